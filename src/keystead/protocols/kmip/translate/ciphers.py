"""Payloads of Encrypt and Decrypt.

One request that is its own beginning and end brings everything; a Correlation Value names pieces that belong together.

Source: KMIP 1.4 sections 3.6, 4.29, 4.30; KMIP 2.1 sections 4.14, 6.1.11, 6.1.17.
"""

from typing import Any

from keystead.core.errors import Invalid
from keystead.operations.pieces import DecryptPiece, EncryptPiece, PieceDone
from keystead.operations.requests import CipherParameters, Decrypt, Decrypted, Encrypt, Encrypted, Judged
from keystead.protocols.kmip.translate.fields import (
    LAST,
    Dialect,
    Field,
    Layout,
    Values,
    boolean,
    byte_string,
    enumeration,
    ignored,
    integer,
)
from keystead.protocols.kmip.translate.targets import TARGET
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag

CORRELATION_BYTES_MAX = 64
VALID, INVALID = 1, 2  # Validity Indicator

CRYPTOGRAPHIC_PARAMETERS = Layout(
    Field(Tag.BLOCK_CIPHER_MODE, "mode", enumeration),
    Field(Tag.PADDING_METHOD, "padding", enumeration),
    Field(Tag.HASHING_ALGORITHM, "hashing", enumeration),
    Field(Tag.KEY_ROLE_TYPE, "", ignored),
    Field(Tag.DIGITAL_SIGNATURE_ALGORITHM, "signature", enumeration),
    Field(Tag.CRYPTOGRAPHIC_ALGORITHM, "algorithm", enumeration),
    Field(Tag.RANDOM_IV, "random_iv", boolean),
    Field(Tag.IV_LENGTH, "iv_length_bits", integer),
    Field(Tag.TAG_LENGTH, "tag_length_bytes", integer),
    Field(Tag.FIXED_FIELD_LENGTH, "fixed_field_length_bits", integer),
    Field(Tag.INVOCATION_FIELD_LENGTH, "invocation_field_length_bits", integer),
    Field(Tag.COUNTER_LENGTH, "counter_length_bits", integer),
    Field(Tag.INITIAL_COUNTER_VALUE, "initial_counter", integer),
    Field(Tag.SALT_LENGTH, "salt_bytes", integer),
    Field(Tag.MASK_GENERATOR, "mask_generator", enumeration),
    Field(Tag.MASK_GENERATOR_HASHING_ALGORITHM, "mask_hashing", enumeration),
    Field(Tag.P_SOURCE, "label", byte_string),
    Field(Tag.TRAILER_FIELD, "trailer", ignored),
)
_NAMED = frozenset(CipherParameters._fields)


def read_parameters(node: Node) -> CipherParameters:
    """Return Cryptographic Parameters; what no operation here asks for is left out."""
    values = CRYPTOGRAPHIC_PARAMETERS.read(node, LAST)
    return CipherParameters(**{name: value for name, value in values.items() if name in _NAMED})


PIECES = (
    Field(Tag.CORRELATION_VALUE, "correlation", byte_string),
    Field(Tag.INIT_INDICATOR, "is_first", boolean),
    Field(Tag.FINAL_INDICATOR, "is_last", boolean),
)
"""Fields of an operation that may come in pieces."""

_CIPHER = (
    TARGET,
    Field(Tag.CRYPTOGRAPHIC_PARAMETERS, "parameters", read_parameters),
    Field(Tag.DATA, "data", byte_string),
    Field(Tag.IV_COUNTER_NONCE, "iv", byte_string),
    *PIECES,
    Field(Tag.AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA, "associated", byte_string),
)
ENCRYPT = Layout(*_CIPHER)
DECRYPT = Layout(*_CIPHER, Field(Tag.AUTHENTICATED_ENCRYPTION_TAG, "tag", byte_string))


def in_pieces(values: Values) -> bool:
    """Tell whether a request brings one piece of several."""
    return values.get("correlation") is not None or values.get("is_first", False) != values.get("is_last", False)


def piece(values: Values, proof: str = "") -> dict[str, Any]:
    """Return the fields of one piece of several; `proof` is the field with what is to be judged.

    Raises:
        Invalid: it is neither the first, nor does it say whose it is.
    """
    fields = dict(values)
    is_first = fields.pop("is_first", False)
    correlation = fields.get("correlation")
    if is_first == (correlation is not None):
        raise Invalid("the first piece has an Init Indicator, every other a Correlation Value", "invalid.field")
    if correlation is not None and not 0 < len(correlation) <= CORRELATION_BYTES_MAX:
        raise Invalid("this Correlation Value is none of ours", "invalid.field")
    if proof and proof in fields:
        fields["proof"] = fields.pop(proof)
    return {"data": b"", **fields}


def whole(values: Values) -> dict[str, Any]:
    """Return the fields of a request that brings all data at once.

    Raises:
        Invalid: it brings none.
    """
    for name in ("is_first", "is_last", "correlation"):
        values.pop(name, None)
    if "data" not in values:
        raise Invalid("there is no Data to work on", "invalid.missing")
    return values


def make_encrypt(values: Values, _dialect: Dialect) -> Encrypt | EncryptPiece:
    """Encrypt."""
    return EncryptPiece(**piece(values)) if in_pieces(values) else Encrypt(**whole(values))


def make_decrypt(values: Values, _dialect: Dialect) -> Decrypt | DecryptPiece:
    """Decrypt."""
    return DecryptPiece(**piece(values, proof="tag")) if in_pieces(values) else Decrypt(**whole(values))


def answer_judged(result: Judged | PieceDone, _dialect: Dialect) -> list[Node]:
    """Identifier and verdict on a signature or an authentication code."""
    if isinstance(result, PieceDone):
        return answer_piece(result, Tag.DATA)
    verdict = VALID if result.is_valid else INVALID
    return [nodes.text(Tag.UNIQUE_IDENTIFIER, result.id), nodes.enumeration(Tag.VALIDITY_INDICATOR, verdict)]


def answer_piece(result: PieceDone, tag: int) -> list[Node]:
    """Identifier, what came out, and the Correlation Value for the next piece; `tag` is that of what came out."""
    items = [nodes.text(Tag.UNIQUE_IDENTIFIER, result.id)] if result.id else []
    if result.data:
        items.append(nodes.byte_string(tag, result.data))
    if result.is_valid is not None:
        items.append(nodes.enumeration(Tag.VALIDITY_INDICATOR, VALID if result.is_valid else INVALID))
    if result.iv is not None:
        items.append(nodes.byte_string(Tag.IV_COUNTER_NONCE, result.iv))
    if result.correlation is not None:
        items.append(nodes.byte_string(Tag.CORRELATION_VALUE, result.correlation))
    if result.tag is not None:
        items.append(nodes.byte_string(Tag.AUTHENTICATED_ENCRYPTION_TAG, result.tag))
    return items


def answer_encrypted(result: Encrypted | PieceDone, _dialect: Dialect) -> list[Node]:
    """Identifier, data, and what is needed to decrypt it again."""
    if isinstance(result, PieceDone):
        return answer_piece(result, Tag.DATA)
    items = [nodes.text(Tag.UNIQUE_IDENTIFIER, result.id), nodes.byte_string(Tag.DATA, result.data)]
    if result.iv is not None:
        items.append(nodes.byte_string(Tag.IV_COUNTER_NONCE, result.iv))
    if result.tag is not None:
        items.append(nodes.byte_string(Tag.AUTHENTICATED_ENCRYPTION_TAG, result.tag))
    return items


def answer_decrypted(result: Decrypted | PieceDone, _dialect: Dialect) -> list[Node]:
    """Identifier and data."""
    if isinstance(result, PieceDone):
        return answer_piece(result, Tag.DATA)
    return [nodes.text(Tag.UNIQUE_IDENTIFIER, result.id), nodes.byte_string(Tag.DATA, result.data)]
