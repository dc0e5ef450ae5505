"""Payloads of Sign and Signature Verify.

Data in pieces (Correlation Value) is not offered; one request that is its own beginning and end is.

Source: KMIP 1.4 sections 4.31, 4.32; KMIP 2.1 sections 6.1.55, 6.1.56.
"""

from typing import Any

from keystead.core.errors import Invalid
from keystead.operations.signatures import Sign, SignatureJudged, SignatureVerify, Signed
from keystead.protocols.kmip.translate.ciphers import PIECES, read_parameters, whole
from keystead.protocols.kmip.translate.fields import Dialect, Field, Layout, Values, byte_string
from keystead.protocols.kmip.translate.macs import INVALID, VALID
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


def make_sign(values: Values, _dialect: Dialect) -> Sign:
    """Sign."""
    return Sign(**_data_or_digest(values))


def make_signature_verify(values: Values, _dialect: Dialect) -> SignatureVerify:
    """Signature Verify."""
    if "signature" not in values:
        raise Invalid("there is no Signature Data to judge", "invalid.missing")
    return SignatureVerify(**_data_or_digest(values))


def _data_or_digest(values: Values) -> dict[str, Any]:
    digest = values.pop("digest", None)
    if digest is None:
        return whole(values)
    if "data" in values:
        raise Invalid("send Data or Digested Data, not both", "invalid.field")
    return {**whole({**values, "data": digest}), "is_digest": True}


def answer_signed(result: Signed, _dialect: Dialect) -> list[Node]:
    """Identifier and signature."""
    return [nodes.text(Tag.UNIQUE_IDENTIFIER, result.id), nodes.byte_string(Tag.SIGNATURE_DATA, result.signature)]


def answer_signature_judged(result: SignatureJudged, _dialect: Dialect) -> list[Node]:
    """Identifier and judgement."""
    return [
        nodes.text(Tag.UNIQUE_IDENTIFIER, result.id),
        nodes.enumeration(Tag.VALIDITY_INDICATOR, VALID if result.is_valid else INVALID),
    ]
