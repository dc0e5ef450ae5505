"""Key Wrapping Specification (what a client asks for) and Key Wrapping Data (what was done).

With No Encoding the bytes of the key material are wrapped and stand in its place; else the whole Key Value is, as TTLV,
and a byte string stands in its place.

Source: KMIP 1.4 sections 2.1.5, 2.1.6, 9.1.3.2.4, 9.1.3.2.32.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from keystead.core.errors import Invalid, NotSupported
from keystead.core.secret import Secret
from keystead.operations.requests import CipherParameters, KeyBlock, Wrapping
from keystead.operations.wrapping import NO_ENCODING, TTLV_ENCODING
from keystead.protocols.kmip.translate.ciphers import read_parameters
from keystead.protocols.kmip.translate.fields import LAST, Field, Layout, byte_string, enumeration, ignored, text
from keystead.protocols.kmip.translate.targets import read_target
from keystead.protocols.kmip.wire import nodes, ttlv
from keystead.protocols.kmip.wire.nodes import BYTE_STRING, Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version

_KEY_INFORMATION = Layout(
    Field(Tag.UNIQUE_IDENTIFIER, "key", read_target, required=True),
    Field(Tag.CRYPTOGRAPHIC_PARAMETERS, "parameters", lambda node: node),
)
_SPECIFICATION = Layout(
    Field(Tag.WRAPPING_METHOD, "method", enumeration, required=True),
    Field(Tag.ENCRYPTION_KEY_INFORMATION, "encryption", lambda node: _KEY_INFORMATION.read(node, LAST)),
    Field(Tag.MAC_SIGNATURE_KEY_INFORMATION, "signature", ignored),
    Field(Tag.ATTRIBUTE_NAME, "names", text, many=True),
    Field(Tag.ENCODING_OPTION, "encoding", enumeration),
)
_DATA = Layout(
    Field(Tag.WRAPPING_METHOD, "method", enumeration, required=True),
    Field(Tag.ENCRYPTION_KEY_INFORMATION, "encryption", lambda node: _KEY_INFORMATION.read(node, LAST)),
    Field(Tag.MAC_SIGNATURE_KEY_INFORMATION, "signature", ignored),
    Field(Tag.MAC_SIGNATURE, "code", ignored),
    Field(Tag.IV_COUNTER_NONCE, "iv", byte_string),
    Field(Tag.ENCODING_OPTION, "encoding", enumeration),
)


class WrappedBlock(NamedTuple):
    """A key block that arrived wrapped: its Key Value, and how it was wrapped."""

    value: Node
    wrapping: Wrapping
    iv: bytes | None


def read_specification(node: Node) -> Wrapping:
    """Read a Key Wrapping Specification."""
    return _wrapping(_SPECIFICATION.read(node, LAST))


def read_wrapping_data(value: Node, node: Node) -> WrappedBlock:
    """Read Key Wrapping Data, with the Key Value beside it."""
    values = _DATA.read(node, LAST)
    return WrappedBlock(value, _wrapping(values), values.get("iv"))


def _wrapping(values: dict[str, Any]) -> Wrapping:
    if "encryption" not in values or "signature" in values:
        raise NotSupported("keys are wrapped by encryption alone", "not_supported.wrapping")
    encoding = values.get("encoding")
    if encoding not in (None, NO_ENCODING, TTLV_ENCODING):
        raise Invalid("Encoding Option is No Encoding or TTLV Encoding", "invalid.field")
    found = values["encryption"]
    asked = found.get("parameters")
    parameters: CipherParameters | None = None if asked is None else read_parameters(asked)
    return Wrapping(found["key"], parameters, values["method"], encoding, values.get("names", ()))


def encoder(wrapping: Wrapping, material_node: Callable[[KeyBlock], Node]) -> Callable[[KeyBlock], bytes]:
    """Return how a key value is written before it is wrapped."""
    return partial(_encoded, wrapping, material_node)


def _encoded(wrapping: Wrapping, material_node: Callable[[KeyBlock], Node], block: KeyBlock) -> bytes:
    node = material_node(block)
    if wrapping.encoding != NO_ENCODING:
        return ttlv.encode(nodes.structure(Tag.KEY_VALUE, node))
    if node[1] != BYTE_STRING:
        raise NotSupported(
            "without encoding only key material that is a byte string is wrapped; ask for TTLV Encoding",
            "not_supported.wrapping",
        )
    return block.material.reveal()


def wrapped_bytes(wrapped: WrappedBlock) -> bytes:
    """Return the bytes that the wrapping gave."""
    if wrapped.wrapping.encoding == NO_ENCODING and wrapped.value[1] != BYTE_STRING:
        inside = nodes.first(wrapped.value, Tag.KEY_MATERIAL) if wrapped.value[1] == nodes.STRUCTURE else None
        if inside is None:
            raise Invalid("a key wrapped without encoding has its bytes as Key Material", "invalid.key")
        return byte_string(inside)
    return byte_string(wrapped.value)


def value_node(wrapping: Wrapping, wrapped: Secret) -> Node:
    """Write the Key Value of a wrapped key."""
    if wrapping.encoding == NO_ENCODING:
        return nodes.structure(Tag.KEY_VALUE, nodes.byte_string(Tag.KEY_MATERIAL, wrapped.reveal()))
    return nodes.byte_string(Tag.KEY_VALUE, wrapped.reveal())


def wrapping_data_node(wrapping: Wrapping, iv: bytes | None, version: Version) -> Node:
    """Write Key Wrapping Data."""
    named = wrapping.parameters
    return nodes.structure(
        Tag.KEY_WRAPPING_DATA,
        nodes.enumeration(Tag.WRAPPING_METHOD, wrapping.method),
        nodes.structure(
            Tag.ENCRYPTION_KEY_INFORMATION,
            nodes.text(Tag.UNIQUE_IDENTIFIER, wrapping.key),
            None if named is None else _parameters_node(named),
        ),
        None if iv is None else nodes.byte_string(Tag.IV_COUNTER_NONCE, iv),
        nodes.enumeration(Tag.ENCODING_OPTION, wrapping.encoding)
        if wrapping.encoding is not None and version >= (1, 1)
        else None,
    )


def _parameters_node(named: CipherParameters) -> Node:
    fields = (
        (Tag.BLOCK_CIPHER_MODE, named.mode),
        (Tag.PADDING_METHOD, named.padding),
        (Tag.HASHING_ALGORITHM, named.hashing),
        (Tag.CRYPTOGRAPHIC_ALGORITHM, named.algorithm),
    )
    return nodes.structure(
        Tag.CRYPTOGRAPHIC_PARAMETERS, *(nodes.enumeration(tag, value) for tag, value in fields if value is not None)
    )
