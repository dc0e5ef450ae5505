"""Managed objects with their key blocks, on the way in (Register) and out (Get).

The Key Value holds key material only: clients fail on attributes beside it. Transparent RSA and elliptic curve keys are
kept as DER (transparent_keys), other material that KMIP writes as a structure as the bytes of that structure.

Source: KMIP 1.4 sections 2.1.3 to 2.1.7 and 2.2; KMIP 2.1 sections 2 and 3.
"""

from collections.abc import Callable
from typing import NamedTuple

from keystead.core.attribute_table import ObjectType
from keystead.core.attributes import Attribute, Value
from keystead.core.errors import Invalid, NotSupported
from keystead.core.secret import Secret
from keystead.operations.requests import GotWrapped, KeyBlock, Wrapping
from keystead.operations.wrapping import NO_ENCODING
from keystead.protocols.kmip.translate.attributes import instance_nodes, numbered, read_instance
from keystead.protocols.kmip.translate.fields import (
    Field,
    Layout,
    byte_string,
    enumeration,
    ignored,
    integer,
    members,
)
from keystead.protocols.kmip.translate.split_keys import SPLIT_KEY_FIELDS, read_split_key, split_key_nodes
from keystead.protocols.kmip.translate.transparent_keys import (
    is_transparent,
    read_transparent,
    spoken_format,
    transparent_node,
)
from keystead.protocols.kmip.translate.wrapping import (
    WrappedBlock,
    read_wrapping_data,
    value_node,
    wrapped_bytes,
    wrapping_data_node,
)
from keystead.protocols.kmip.wire import nodes, ttlv
from keystead.protocols.kmip.wire.names import VERSIONS, enum_available, tag_available
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version

TRANSPARENT_SYMMETRIC = 7
STRUCTURED = range(8, 22)  # Key Format Types whose material is a structure of its own
UNCOMPRESSED = 1

_KEY_VALUE = Layout(
    Field(Tag.KEY_MATERIAL, "material", lambda node: node, required=True),
    Field(Tag.ATTRIBUTE, "attributes", read_instance, many=True),
    Field(Tag.ATTRIBUTES, "attributes_2", ignored),
)
_KEY_BLOCK = Layout(
    Field(Tag.KEY_FORMAT_TYPE, "format", enumeration, required=True),
    Field(Tag.KEY_COMPRESSION_TYPE, "compression", enumeration),
    Field(Tag.KEY_VALUE, "value", lambda node: node),
    Field(Tag.CRYPTOGRAPHIC_ALGORITHM, "algorithm", enumeration),
    Field(Tag.CRYPTOGRAPHIC_LENGTH, "length_bits", integer),
    Field(Tag.KEY_WRAPPING_DATA, "wrapping", lambda node: node),
)


class Registered(NamedTuple):
    """An object as a client sent it; `attributes` of a template, or inside its key value."""

    object_type: int
    block: KeyBlock | None
    attributes: tuple[Attribute, ...] = ()
    wrapped: WrappedBlock | None = None


def _read_key_block(node: Node, version: Version) -> Registered:
    values = _KEY_BLOCK.read(node, version)
    if values.get("compression", UNCOMPRESSED) != UNCOMPRESSED:
        raise NotSupported("compressed keys are not supported; send it uncompressed", "not_supported.compression")
    if "value" not in values:
        raise Invalid("KeyBlock has no KeyValue; objects without their key are not supported", "invalid.missing")
    block = KeyBlock(values["format"], Secret(b""), values.get("algorithm", 0), values.get("length_bits", 0))
    if "wrapping" in values:
        wrapped = read_wrapping_data(values["value"], values["wrapping"])
        return Registered(0, block._replace(material=Secret(wrapped_bytes(wrapped))), (), wrapped)
    return Registered(0, *_read_value(block, values["value"], version))


def _read_value(block: KeyBlock, node: Node, version: Version) -> tuple[KeyBlock, tuple[Attribute, ...]]:
    inner = _KEY_VALUE.read(node, version)
    material = Secret(_material_bytes(block.format, inner["material"]))
    return block._replace(material=material), numbered(inner.get("attributes", ()))


def unwrapped(block: KeyBlock, wrapping: Wrapping, data: bytes) -> KeyBlock:
    """Read the key value of a block that was wrapped, after its unwrapping; attributes in it are left alone.

    Raises:
        Invalid: what was wrapped is not a key value of the block's format.
    """
    if wrapping.encoding == NO_ENCODING:
        return block._replace(material=Secret(data))
    node = ttlv.decode(data)
    if node[0] != Tag.KEY_VALUE:
        raise Invalid("what was wrapped is no Key Value", "invalid.key")
    return _read_value(block, node, VERSIONS[-1])[0]


def _material_bytes(key_format: int, node: Node) -> bytes:
    if key_format == TRANSPARENT_SYMMETRIC:
        inside = members(node)
        if len(inside) != 1 or inside[0][0] != Tag.KEY:
            raise Invalid("the material of a transparent symmetric key is one Key", "invalid.key")
        return byte_string(inside[0])
    if is_transparent(key_format):
        return read_transparent(key_format, node)
    if key_format in STRUCTURED:
        members(node)
        return ttlv.encode(node)
    return byte_string(node)


def material_node(block: KeyBlock, version: Version) -> Node:
    """Write Key Material."""
    material = block.material.reveal()
    if block.format == TRANSPARENT_SYMMETRIC:
        return nodes.structure(Tag.KEY_MATERIAL, nodes.byte_string(Tag.KEY, material))
    if is_transparent(block.format):
        return transparent_node(block.format, block.material, version)
    if block.format in STRUCTURED:
        return ttlv.decode(material)
    return nodes.byte_string(Tag.KEY_MATERIAL, material)


def _key_block_node(block: KeyBlock, version: Version, wrapped: tuple[Wrapping, bytes | None] | None = None) -> Node:
    is_named = block.algorithm != 0 and enum_available("CryptographicAlgorithm", block.algorithm, version)
    return nodes.structure(
        Tag.KEY_BLOCK,
        nodes.enumeration(Tag.KEY_FORMAT_TYPE, spoken_format(block.format, block.algorithm, version)),
        nodes.structure(Tag.KEY_VALUE, material_node(block, version))
        if wrapped is None
        else value_node(wrapped[0], block.material),
        nodes.enumeration(Tag.CRYPTOGRAPHIC_ALGORITHM, block.algorithm) if is_named else None,
        nodes.integer(Tag.CRYPTOGRAPHIC_LENGTH, block.length_bits) if is_named else None,
        None if wrapped is None else wrapping_data_node(*wrapped, version),
    )


class _Kind(NamedTuple):
    """How one type of object is written.

    Attributes:
        tag: Of the object's structure.
        subtype: Tag of the field that tells the type of its content, 0 when there is none.
        value: Tag of the field with the bytes; KEY_BLOCK stands for a key block.
    """

    tag: int
    subtype: int
    value: int


_KINDS = {
    int(ObjectType.CERTIFICATE): _Kind(Tag.CERTIFICATE, Tag.CERTIFICATE_TYPE, Tag.CERTIFICATE_VALUE),
    int(ObjectType.SYMMETRIC_KEY): _Kind(Tag.SYMMETRIC_KEY, 0, Tag.KEY_BLOCK),
    int(ObjectType.PUBLIC_KEY): _Kind(Tag.PUBLIC_KEY, 0, Tag.KEY_BLOCK),
    int(ObjectType.PRIVATE_KEY): _Kind(Tag.PRIVATE_KEY, 0, Tag.KEY_BLOCK),
    int(ObjectType.SPLIT_KEY): _Kind(Tag.SPLIT_KEY, 0, Tag.KEY_BLOCK),
    int(ObjectType.SECRET_DATA): _Kind(Tag.SECRET_DATA, Tag.SECRET_DATA_TYPE, Tag.KEY_BLOCK),
    int(ObjectType.OPAQUE): _Kind(Tag.OPAQUE_OBJECT, Tag.OPAQUE_DATA_TYPE, Tag.OPAQUE_DATA_VALUE),
    int(ObjectType.PGP_KEY): _Kind(Tag.PGP_KEY, Tag.PGP_KEY_VERSION, Tag.KEY_BLOCK),
}
"""Object Type -> how it is written. A template is written as its attributes."""


def _layout(kind: _Kind) -> Layout:
    read = (lambda node: node) if kind.value == Tag.KEY_BLOCK else byte_string
    fields = [Field(kind.value, "value", read, required=True)]
    if kind.subtype:
        read_subtype = integer if kind.subtype == Tag.PGP_KEY_VERSION else enumeration
        fields.append(Field(kind.subtype, "subtype", read_subtype, required=True))
    return Layout(*fields, *(SPLIT_KEY_FIELDS if kind.tag == Tag.SPLIT_KEY else ()))


_UNBLOCKED = {int(ObjectType.CERTIFICATE): 5, int(ObjectType.OPAQUE): 2}
"""Objects without a key block -> Key Format Type of their bytes: X.509, Opaque (KMIP 2.1 table 81)."""

_LAYOUTS = {object_type: _layout(kind) for object_type, kind in _KINDS.items()}


def read_object(object_type: int, node: Node, version: Version) -> Registered:
    """Read a managed object's structure."""
    if object_type == ObjectType.TEMPLATE:
        return Registered(object_type, None, numbered(_template_instance(child) for child in members(node)))
    values = _LAYOUTS[object_type].read(node, version)
    subtype = values.get("subtype", 0)
    key_format = _UNBLOCKED.get(object_type)
    if key_format is not None:
        return Registered(object_type, KeyBlock(key_format, Secret(values["value"]), subtype=subtype))
    found = _read_key_block(values["value"], version)
    block = found.block
    if subtype and block is not None:
        block = block._replace(subtype=subtype)
    if object_type == ObjectType.SPLIT_KEY and block is not None:
        block = block._replace(split=read_split_key(values, version))
    return found._replace(object_type=object_type, block=block)


def _template_instance(node: Node) -> tuple[str, int | None, Value]:
    """Read an attribute of a template; old clients also put the template's Name here."""
    if node[0] != Tag.ATTRIBUTE:
        raise Invalid("a Template holds attributes only", "invalid.field")
    return read_instance(node)


def object_node(object_type: int, block: KeyBlock | None, attributes: tuple[Attribute, ...], version: Version) -> Node:
    """Write a managed object's structure."""
    kind = _KINDS.get(object_type)
    if not tag_available(Tag.TEMPLATE if kind is None else kind.tag, version):
        raise Invalid("this version of KMIP has no objects of this type; ask with another one", "invalid.object_type")
    if kind is None:
        return nodes.structure(Tag.TEMPLATE, *instance_nodes(attributes, version))
    if block is None:
        raise NotSupported("the object has no material to send", "not_supported.key_format")
    subtype = _subtype_node(kind, block)
    if block.split is not None:
        return nodes.structure(kind.tag, *split_key_nodes(block.split, version), _key_block_node(block, version))
    if kind.value == Tag.KEY_BLOCK:
        return nodes.structure(kind.tag, subtype, _key_block_node(block, version))
    return nodes.structure(kind.tag, subtype, nodes.byte_string(kind.value, block.material.reveal()))


def wrapped_node(got: GotWrapped, version: Version) -> Node:
    """Write a managed object's structure with its key value wrapped."""
    kind = _KINDS[got.object_type]
    subtype = _subtype_node(kind, got.block)
    return nodes.structure(kind.tag, subtype, _key_block_node(got.block, version, (got.wrapping, got.iv)))


def _subtype_node(kind: _Kind, block: KeyBlock) -> Node | None:
    if kind.subtype == Tag.PGP_KEY_VERSION:
        return nodes.integer(kind.subtype, block.subtype)
    return nodes.enumeration(kind.subtype, block.subtype) if kind.subtype else None


def _reader(object_type: int) -> Callable[[Node], tuple[int, Node]]:
    return lambda node: (object_type, node)


def _unkept(_node: Node) -> None:
    raise Invalid("this server does not keep objects of this type", "invalid.object_type")


OBJECT_FIELDS = (
    *(Field(kind.tag, "object", _reader(object_type)) for object_type, kind in _KINDS.items()),
    Field(Tag.TEMPLATE, "object", _reader(int(ObjectType.TEMPLATE)), until=(1, 4)),
    Field(Tag.CERTIFICATE_REQUEST, "object", _unkept, since=(2, 0)),
)
"""The field that holds the object in a Register request: (Object Type, its structure)."""
