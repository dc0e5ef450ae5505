"""Payload of Derive Key.

Source: KMIP 1.4 sections 4.6, 9.1.3.2.21; KMIP 2.1 section 6.1.12.
"""

from keystead.core.errors import Invalid
from keystead.operations.derivations import DeriveKey
from keystead.protocols.kmip.translate.ciphers import read_parameters
from keystead.protocols.kmip.translate.fields import (
    LAST,
    Dialect,
    Field,
    Layout,
    Values,
    byte_string,
    enumeration,
    integer,
)
from keystead.protocols.kmip.translate.objects import NEW_OBJECT, given
from keystead.protocols.kmip.translate.targets import read_target
from keystead.protocols.kmip.wire.tags_table import Tag

BASES_COUNT_MAX = 2  # a key, and secret data with the derivation data or the other side's public key

_PARAMETERS = Layout(
    Field(Tag.CRYPTOGRAPHIC_PARAMETERS, "parameters", read_parameters),
    Field(Tag.INITIALIZATION_VECTOR, "iv", byte_string),
    Field(Tag.DERIVATION_DATA, "data", byte_string),
    Field(Tag.SALT, "salt", byte_string),
    Field(Tag.ITERATION_COUNT, "iterations", integer),
)
DERIVE_KEY = Layout(
    *NEW_OBJECT,
    Field(Tag.UNIQUE_IDENTIFIER, "bases", read_target, many=True, required=True),
    Field(Tag.DERIVATION_METHOD, "method", enumeration, required=True),
    Field(Tag.DERIVATION_PARAMETERS, "derivation", lambda node: _PARAMETERS.read(node, LAST), required=True),
)


def make_derive_key(values: Values, _dialect: Dialect) -> DeriveKey:
    """Derive Key."""
    bases = values["bases"]
    if len(bases) > BASES_COUNT_MAX:
        raise Invalid("a key is derived from one or two objects", "invalid.field")
    if not all(bases):
        raise Invalid("name what to derive from; the ID Placeholder does not count here", "invalid.field")
    second = bases[1] if len(bases) == BASES_COUNT_MAX else None
    return DeriveKey(values["object_type"], bases[0], values["method"], second, **values["derivation"], **given(values))
