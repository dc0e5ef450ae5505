"""Attributes whose value is a structure: which fields each has, as numbers of tags, and how to make and read them.

Law: a stored structure has known fields only, each once, of the type the specification says, in its order; so equal
values compare equal, whatever door they came through.

Source: KMIP 1.4 sections 3.2 to 3.44 (tables of fields), 2.1.18 (RNG Parameters); KMIP 2.1 sections 4 and 9.1.
"""

from typing import Any, NamedTuple

from keystead.core.attributes import VALUE_BYTES_MAX, ItemType, Value
from keystead.core.errors import Invalid

TAG_APPLICATION_DATA = 0x420002
TAG_APPLICATION_NAMESPACE = 0x420003
TAG_BLOCK_CIPHER_MODE = 0x420011
TAG_CERTIFICATE_ISSUER_ALTERNATIVE_NAME = 0x420016
TAG_CERTIFICATE_ISSUER_DISTINGUISHED_NAME = 0x420017
TAG_CERTIFICATE_SUBJECT_ALTERNATIVE_NAME = 0x42001B
TAG_CERTIFICATE_SUBJECT_DISTINGUISHED_NAME = 0x42001C
TAG_CRYPTOGRAPHIC_ALGORITHM = 0x420028
TAG_DIGEST_VALUE = 0x420035
TAG_HASHING_ALGORITHM = 0x420038
TAG_ISSUER = 0x42003B
TAG_KEY_FORMAT_TYPE = 0x420042
TAG_LINK_TYPE = 0x42004B
TAG_LINKED_OBJECT = 0x42004C
TAG_NAME_TYPE = 0x420054
TAG_NAME_VALUE = 0x420055
TAG_PADDING_METHOD = 0x42005F
TAG_RECOMMENDED_CURVE = 0x420075
TAG_REVOCATION_MESSAGE = 0x420080
TAG_REVOCATION_REASON_CODE = 0x420082
TAG_SERIAL_NUMBER = 0x420087
TAG_USAGE_LIMITS_COUNT = 0x420096
TAG_USAGE_LIMITS_TOTAL = 0x420097
TAG_USAGE_LIMITS_UNIT = 0x420098
TAG_DIGITAL_SIGNATURE_ALGORITHM = 0x4200AE
TAG_CERTIFICATE_SERIAL_NUMBER = 0x4200AF
TAG_ISSUER_ALTERNATIVE_NAME = 0x4200B1
TAG_ISSUER_DISTINGUISHED_NAME = 0x4200B2
TAG_SUBJECT_ALTERNATIVE_NAME = 0x4200B3
TAG_SUBJECT_DISTINGUISHED_NAME = 0x4200B4
TAG_RANDOM_IV = 0x4200C5
TAG_IV_LENGTH = 0x4200CD
TAG_TAG_LENGTH = 0x4200CE
TAG_FIXED_FIELD_LENGTH = 0x4200CF
TAG_COUNTER_LENGTH = 0x4200D0
TAG_INITIAL_COUNTER_VALUE = 0x4200D1
TAG_INVOCATION_FIELD_LENGTH = 0x4200D2
TAG_RNG_ALGORITHM = 0x4200DA
TAG_SALT_LENGTH = 0x420100
TAG_MASK_GENERATOR = 0x420101
TAG_MASK_GENERATOR_HASHING_ALGORITHM = 0x420102
TAG_P_SOURCE = 0x420103

NAME_TYPE_TEXT = 1
NAME_TYPE_URI = 2
HASH_SHA_256 = 6
RNG_UNSPECIFIED = 1
UNIT_BYTE = 1
UNIT_OBJECT = 2

_TEXT, _INT, _LONG = ItemType.TEXT_STRING, ItemType.INTEGER, ItemType.LONG_INTEGER
_ENUM, _BOOL, _BYTES = ItemType.ENUMERATION, ItemType.BOOLEAN, ItemType.BYTE_STRING


_RANGES = {
    int(ItemType.INTEGER): (-(1 << 31), (1 << 31) - 1),
    int(ItemType.LONG_INTEGER): (-(1 << 63), (1 << 63) - 1),
    int(ItemType.BIG_INTEGER): (-(1 << 8 * VALUE_BYTES_MAX), 1 << 8 * VALUE_BYTES_MAX),
    int(ItemType.ENUMERATION): (0, (1 << 32) - 1),
    int(ItemType.DATE_TIME): (-(1 << 63), (1 << 63) - 1),
    int(ItemType.INTERVAL): (0, (1 << 32) - 1),
    int(ItemType.DATE_TIME_EXTENDED): (-(1 << 63), (1 << 63) - 1),
}
"""What TTLV can carry (KMIP 2.1 section 9.1.1.4)."""


class Field(NamedTuple):
    """A field of a structure: its tag, the type of its value, and whether it may be repeated."""

    tag: int
    type: ItemType
    required: bool = False
    many: bool = False


FIELDS: dict[str, tuple[Field, ...]] = {
    "Name": (Field(TAG_NAME_VALUE, _TEXT, True), Field(TAG_NAME_TYPE, _ENUM, True)),
    "Cryptographic Parameters": (
        Field(TAG_BLOCK_CIPHER_MODE, _ENUM),
        Field(TAG_PADDING_METHOD, _ENUM),
        Field(TAG_HASHING_ALGORITHM, _ENUM),
        Field(0x420083, _ENUM),  # Key Role Type
        Field(TAG_DIGITAL_SIGNATURE_ALGORITHM, _ENUM),
        Field(TAG_CRYPTOGRAPHIC_ALGORITHM, _ENUM),
        Field(TAG_RANDOM_IV, _BOOL),
        Field(TAG_IV_LENGTH, _INT),
        Field(TAG_TAG_LENGTH, _INT),
        Field(TAG_FIXED_FIELD_LENGTH, _INT),
        Field(TAG_INVOCATION_FIELD_LENGTH, _INT),
        Field(TAG_COUNTER_LENGTH, _INT),
        Field(TAG_INITIAL_COUNTER_VALUE, _INT),
        Field(TAG_SALT_LENGTH, _INT),
        Field(TAG_MASK_GENERATOR, _ENUM),
        Field(TAG_MASK_GENERATOR_HASHING_ALGORITHM, _ENUM),
        Field(TAG_P_SOURCE, _BYTES),
        Field(0x420104, _INT),  # Trailer Field
    ),
    "Cryptographic Domain Parameters": (Field(0x420073, _INT), Field(TAG_RECOMMENDED_CURVE, _ENUM)),  # Qlength
    "Usage Limits": (
        Field(TAG_USAGE_LIMITS_TOTAL, _LONG, True),
        Field(TAG_USAGE_LIMITS_COUNT, _LONG),
        Field(TAG_USAGE_LIMITS_UNIT, _ENUM, True),
    ),
    "Link": (Field(TAG_LINK_TYPE, _ENUM, True), Field(TAG_LINKED_OBJECT, _TEXT, True)),
    "Application Specific Information": (
        Field(TAG_APPLICATION_NAMESPACE, _TEXT, True),
        Field(TAG_APPLICATION_DATA, _TEXT),
    ),
    "Alternative Name": (Field(0x4200C0, _TEXT, True), Field(0x4200C1, _ENUM, True)),  # its Value, its Type
    "Key Value Location": (Field(0x4200B9, _TEXT, True), Field(0x4200BA, _ENUM, True)),  # its Value, its Type
    "Random Number Generator": (
        Field(TAG_RNG_ALGORITHM, _ENUM, True),
        Field(TAG_CRYPTOGRAPHIC_ALGORITHM, _ENUM),
        Field(0x42002A, _INT),  # Cryptographic Length
        Field(TAG_HASHING_ALGORITHM, _ENUM),
        Field(0x4200DB, _ENUM),  # DRBG Algorithm
        Field(TAG_RECOMMENDED_CURVE, _ENUM),
        Field(0x4200DC, _ENUM),  # FIPS186 Variation
        Field(0x4200DD, _BOOL),  # Prediction Resistance
    ),
    "Rotate Name": (Field(0x420170, _TEXT, True), Field(0x420171, _ENUM, True)),  # its Value, its Type
    "Digest": (
        Field(TAG_HASHING_ALGORITHM, _ENUM),
        Field(TAG_DIGEST_VALUE, _BYTES),
        Field(TAG_KEY_FORMAT_TYPE, _ENUM),
    ),
    "Revocation Reason": (Field(TAG_REVOCATION_REASON_CODE, _ENUM), Field(TAG_REVOCATION_MESSAGE, _TEXT)),
    "X.509 Certificate Identifier": (
        Field(TAG_ISSUER_DISTINGUISHED_NAME, _BYTES),
        Field(TAG_CERTIFICATE_SERIAL_NUMBER, _BYTES),
    ),
    "X.509 Certificate Subject": (
        Field(TAG_SUBJECT_DISTINGUISHED_NAME, _BYTES),
        Field(TAG_SUBJECT_ALTERNATIVE_NAME, _BYTES, many=True),
    ),
    "X.509 Certificate Issuer": (
        Field(TAG_ISSUER_DISTINGUISHED_NAME, _BYTES),
        Field(TAG_ISSUER_ALTERNATIVE_NAME, _BYTES, many=True),
    ),
    "Certificate Identifier": (Field(TAG_ISSUER, _TEXT), Field(TAG_SERIAL_NUMBER, _TEXT)),
    "Certificate Subject": (
        Field(TAG_CERTIFICATE_SUBJECT_DISTINGUISHED_NAME, _TEXT),
        Field(TAG_CERTIFICATE_SUBJECT_ALTERNATIVE_NAME, _TEXT, many=True),
    ),
    "Certificate Issuer": (
        Field(TAG_CERTIFICATE_ISSUER_DISTINGUISHED_NAME, _TEXT),
        Field(TAG_CERTIFICATE_ISSUER_ALTERNATIVE_NAME, _TEXT, many=True),
    ),
}
"""Attribute name -> its fields in the specification's order; also the server's own, which a search may name."""


def structure(name: str, value: Value, *, partial: bool = False) -> Value:
    """Return a structure's value with its fields checked and in order.

    Args:
        name: Attribute.
        value: As it was given.
        partial: Required fields may be missing (a search, KMIP 1.4 section 4.9).

    Raises:
        Invalid: a field is unknown, given twice, missing, of another type or out of range.
    """
    given: dict[int, list[tuple[int, int, Any]]] = {}
    for tag, kind, content in value.content:
        given.setdefault(tag, []).append((int(tag), int(kind), content))
    if name not in FIELDS:
        raise Invalid(f"{name} is not supported", "invalid.attribute")
    fields: list[tuple[int, int, Any]] = []
    for field in FIELDS[name]:
        found = given.pop(field.tag, [])
        if not found and field.required and not partial:
            raise Invalid(f"{name} lacks a required field (tag {field.tag:06X})", "invalid.attribute_value")
        if len(found) > 1 and not field.many:
            raise Invalid(f"{name} has a field twice; give each once", "invalid.attribute_value")
        for one in found:
            if one[1] != field.type or not fits(one[1], one[2]):
                raise Invalid(f"a field of {name} has another type or does not fit", "invalid.attribute_value")
            fields.append(one)
    if given:
        raise Invalid(f"{name} has no field with tag {min(given):06X}", "invalid.attribute_value")
    return Value(ItemType.STRUCTURE, tuple(fields))


def fits(kind: int, content: Any) -> bool:
    """Tell whether a content is of its type and within its range; texts, bytes and big integers are bounded too."""
    bounds = _RANGES.get(kind)
    if bounds is not None:
        return isinstance(content, int) and not isinstance(content, bool) and bounds[0] <= content <= bounds[1]
    if kind == ItemType.TEXT_STRING:
        return isinstance(content, str) and len(content.encode(errors="surrogatepass")) <= VALUE_BYTES_MAX
    if kind == ItemType.BYTE_STRING:
        return isinstance(content, bytes) and len(content) <= VALUE_BYTES_MAX
    return kind == ItemType.BOOLEAN and isinstance(content, bool)


def made(name: str, *contents: Any) -> Value:
    """Make a structure from its fields' contents in order; None leaves a field out, a tuple repeats it."""
    fields: list[tuple[int, int, Any]] = []
    for field, content in zip(FIELDS[name], contents, strict=False):
        if content is not None:
            fields += [(field.tag, int(field.type), one) for one in (content if field.many else (content,))]
    return Value(ItemType.STRUCTURE, tuple(fields))


def name_value(text: str, kind: int = NAME_TYPE_TEXT) -> Value:
    """Make a KMIP Name."""
    return made("Name", text, kind)
