"""Payloads of Sign and Signature Verify.

Source: KMIP 1.4 sections 4.31, 4.32; KMIP 2.1 sections 6.1.55, 6.1.56.
"""

from typing import Any

from keystead.core.errors import Invalid
from keystead.operations.pieces import PieceDone, SignatureVerifyPiece, SignPiece
from keystead.operations.signatures import Sign, SignatureVerify, Signed
from keystead.protocols.kmip.translate.ciphers import (
    PIECES,
    answer_piece,
    in_pieces,
    piece,
    read_parameters,
    whole,
)
from keystead.protocols.kmip.translate.fields import Dialect, Field, Layout, Values, byte_string
from keystead.protocols.kmip.translate.targets import TARGET
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag

_SIGNED = (
    TARGET,
    Field(Tag.CRYPTOGRAPHIC_PARAMETERS, "parameters", read_parameters),
    Field(Tag.DATA, "data", byte_string),
    Field(Tag.DIGESTED_DATA, "digest", byte_string),
    *PIECES,
)
SIGN = Layout(*_SIGNED)
SIGNATURE_VERIFY = Layout(*_SIGNED, Field(Tag.SIGNATURE_DATA, "signature", byte_string))


def make_sign(values: Values, _dialect: Dialect) -> Sign | SignPiece:
    """Sign."""
    if in_pieces(values):
        return SignPiece(**piece(_not_a_digest(values)))
    return Sign(**_data_or_digest(values))


def make_signature_verify(values: Values, _dialect: Dialect) -> SignatureVerify | SignatureVerifyPiece:
    """Signature Verify."""
    if in_pieces(values):
        return SignatureVerifyPiece(**piece(_not_a_digest(values), proof="signature"))
    if "signature" not in values:
        raise Invalid("there is no Signature Data to judge", "invalid.missing")
    return SignatureVerify(**_data_or_digest(values))


def _not_a_digest(values: Values) -> Values:
    if "digest" in values:
        raise Invalid("a digest comes in one piece", "invalid.field")
    return values


def _data_or_digest(values: Values) -> dict[str, Any]:
    digest = values.pop("digest", None)
    if digest is None:
        return whole(values)
    if "data" in values:
        raise Invalid("send Data or Digested Data, not both", "invalid.field")
    return {**whole({**values, "data": digest}), "is_digest": True}


def answer_signed(result: Signed | PieceDone, _dialect: Dialect) -> list[Node]:
    """Identifier and signature."""
    if isinstance(result, PieceDone):
        return answer_piece(result, Tag.SIGNATURE_DATA)
    return [nodes.text(Tag.UNIQUE_IDENTIFIER, result.id), nodes.byte_string(Tag.SIGNATURE_DATA, result.signature)]
