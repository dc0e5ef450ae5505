"""The material of transparent public and private keys: a structure of numbers on the wire, DER inside.

Source: KMIP 1.4 section 2.1.7; KMIP 2.1 section 3.6.
"""

from keystead.core.errors import Invalid
from keystead.core.secret import Secret
from keystead.protocols.kmip.translate.fields import Field, Layout, byte_string, enumeration, typed
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.names import VERSIONS
from keystead.protocols.kmip.wire.nodes import BIG_INTEGER, Node
from keystead.protocols.kmip.wire.tags_table import Tag
from keystead.trust.transparent_keys import TRANSPARENT, EcNumbers, RsaNumbers, is_rsa, kept, numbers_of

_LAST = VERSIONS[-1]


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


def read_transparent(key_format: int, node: Node) -> bytes:
    """Return the bytes that are kept of a transparent key."""
    if is_rsa(key_format):
        return kept(key_format, RsaNumbers(**_RSA.read(node, _LAST))).reveal()
    return kept(key_format, EcNumbers(**_EC.read(node, _LAST))).reveal()


def transparent_node(key_format: int, material: Secret) -> Node:
    """Write the material of a transparent key."""
    numbers = numbers_of(key_format, material)
    if isinstance(numbers, RsaNumbers):
        found = numbers._asdict()
        return nodes.structure(
            Tag.KEY_MATERIAL,
            *(nodes.big_integer(tag, found[name]) for name, tag in _RSA_TAGS.items() if found[name] is not None),
        )
    return nodes.structure(
        Tag.KEY_MATERIAL,
        nodes.enumeration(Tag.RECOMMENDED_CURVE, numbers.curve),
        nodes.big_integer(Tag.D, numbers.d) if numbers.d is not None else None,
        nodes.byte_string(Tag.Q_STRING, numbers.point) if numbers.point is not None else None,
    )
