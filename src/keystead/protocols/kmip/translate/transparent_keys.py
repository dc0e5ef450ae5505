"""The material of transparent public and private keys: a structure of numbers on the wire, DER inside.

Source: KMIP 1.4 section 2.1.7; KMIP 2.1 section 3.6.
"""

from keystead.core.algorithms import Algorithm
from keystead.core.errors import Invalid, NotSupported
from keystead.core.key_pairs import PairFormat
from keystead.core.secret import Secret
from keystead.protocols.kmip.translate.fields import Field, Layout, byte_string, enumeration, typed
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.names import VERSIONS, enum_available
from keystead.protocols.kmip.wire.nodes import BIG_INTEGER, Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version
from keystead.trust.transparent_keys import (
    EC_PRIVATE,
    EC_PUBLIC,
    TRANSPARENT,
    EcNumbers,
    RsaNumbers,
    is_rsa,
    kept,
    numbers_of,
)

_LAST = VERSIONS[-1]
ONE_FORMAT_SINCE: Version = (1, 3)


def _number(node: Node) -> int:
    value: int = typed(node, BIG_INTEGER)
    if value < 0:
        raise Invalid("the numbers of a key are not negative", "invalid.key")
    return value


_RSA_TAGS = {
    "modulus": Tag.MODULUS,
    "private_exponent": Tag.PRIVATE_EXPONENT,
    "public_exponent": Tag.PUBLIC_EXPONENT,
    "p": Tag.P,
    "q": Tag.Q,
    "exponent_p": Tag.PRIME_EXPONENT_P,
    "exponent_q": Tag.PRIME_EXPONENT_Q,
    "coefficient": Tag.CRT_COEFFICIENT,
}
_RSA = Layout(*(Field(tag, name, _number, required=name == "modulus") for name, tag in _RSA_TAGS.items()))
_EC = Layout(
    Field(Tag.RECOMMENDED_CURVE, "curve", enumeration, required=True),
    Field(Tag.D, "d", _number),
    Field(Tag.Q_STRING, "point", byte_string),
)


def is_transparent(key_format: int) -> bool:
    """Tell whether a Key Format Type is one of these."""
    return key_format in TRANSPARENT


def spoken_format(key_format: int, algorithm: int, version: Version) -> int:
    """Return the Key Format Type under which a version knows a format.

    Those of elliptic curves are two for each purpose until 1.2, also one for all purposes from 1.3 on, and only that
    from 2.0 on; what they hold is the same.
    """
    if key_format not in EC_PRIVATE | EC_PUBLIC or enum_available("KeyFormatType", key_format, version):
        return key_format
    is_private = key_format in EC_PRIVATE
    if version >= ONE_FORMAT_SINCE:
        return PairFormat.TRANSPARENT_EC_PRIVATE_KEY if is_private else PairFormat.TRANSPARENT_EC_PUBLIC_KEY
    if algorithm == Algorithm.ECDH:
        return PairFormat.TRANSPARENT_ECDH_PRIVATE_KEY if is_private else PairFormat.TRANSPARENT_ECDH_PUBLIC_KEY
    return PairFormat.TRANSPARENT_ECDSA_PRIVATE_KEY if is_private else PairFormat.TRANSPARENT_ECDSA_PUBLIC_KEY


def read_transparent(key_format: int, node: Node) -> bytes:
    """Return the bytes that are kept of a transparent key."""
    if is_rsa(key_format):
        return kept(key_format, RsaNumbers(**_RSA.read(node, _LAST))).reveal()
    return kept(key_format, EcNumbers(**_EC.read(node, _LAST))).reveal()


def transparent_node(key_format: int, material: Secret, version: Version) -> Node:
    """Write the material of a transparent key.

    Raises:
        NotSupported: the version has no name for its curve.
    """
    numbers = numbers_of(key_format, material)
    if isinstance(numbers, RsaNumbers):
        found = numbers._asdict()
        return nodes.structure(
            Tag.KEY_MATERIAL,
            *(nodes.big_integer(tag, found[name]) for name, tag in _RSA_TAGS.items() if found[name] is not None),
        )
    if not enum_available("RecommendedCurve", numbers.curve, version):
        raise NotSupported(
            "this version of KMIP has no name for the key's curve; ask for PKCS#8 or X.509", "not_supported.key_format"
        )
    return nodes.structure(
        Tag.KEY_MATERIAL,
        nodes.enumeration(Tag.RECOMMENDED_CURVE, numbers.curve),
        nodes.big_integer(Tag.D, numbers.d) if numbers.d is not None else None,
        nodes.byte_string(Tag.Q_STRING, numbers.point) if numbers.point is not None else None,
    )
