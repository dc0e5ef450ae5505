"""Attributes that people read and write, and the types that administrators give to names of their own.

Law: a type is what a value is stored as; text that does not mean a value of it is refused.

Source: requirements KS-KEY-025 to 027, 058; KMIP 1.4 section 9.1.1.2 (types); docs/adr/0077-key-queries.md.
"""

from collections.abc import Callable
from enum import StrEnum

from keystead.core.attribute_table import ATTRIBUTES, rule_of
from keystead.core.attributes import CUSTOM_NAME_CHARACTERS_MAX, VALUE_BYTES_MAX, ItemType, Value
from keystead.core.errors import Invalid
from keystead.core.moments import US_PER_S, moment_from, shown_moment
from keystead.core.structures import fits

PEOPLES = ("Description", "Comment", "Contact Information", "Object Group")
"""Attributes of KMIP that people read and write, beside the custom ones (KS-KEY-027)."""
BUILT_IN = ("Contact Information", "Object Group")
"""Of them those that stand among the names of administrators, which nobody changes."""
BIG_DIGITS_MAX = 4096
LONG_NUMBER = 10**BIG_DIGITS_MAX  # from here on a number is shown in hexadecimal


class AttributeType(StrEnum):
    """What values of an attribute are."""

    STRING = "string"
    INTEGER = "integer"
    LONG_INTEGER = "long-integer"
    BIG_INTEGER = "big-integer"
    ENUMERATION = "enumeration"
    BOOLEAN = "boolean"
    BYTE_STRING = "byte-string"
    DATE_TIME = "date-time"
    INTERVAL = "interval"


ITEM_TYPES: dict[AttributeType, ItemType] = {
    AttributeType.STRING: ItemType.TEXT_STRING,
    AttributeType.INTEGER: ItemType.INTEGER,
    AttributeType.LONG_INTEGER: ItemType.LONG_INTEGER,
    AttributeType.BIG_INTEGER: ItemType.BIG_INTEGER,
    AttributeType.ENUMERATION: ItemType.ENUMERATION,
    AttributeType.BOOLEAN: ItemType.BOOLEAN,
    AttributeType.BYTE_STRING: ItemType.BYTE_STRING,
    AttributeType.DATE_TIME: ItemType.DATE_TIME,
    AttributeType.INTERVAL: ItemType.INTERVAL,
}
NUMBERS = frozenset(
    {ItemType.INTEGER, ItemType.LONG_INTEGER, ItemType.BIG_INTEGER, ItemType.ENUMERATION, ItemType.INTERVAL}
)


def is_peoples(name: str) -> bool:
    """Tell whether people read and write an attribute: a custom one, or one of `PEOPLES`."""
    return name not in ATTRIBUTES or name in PEOPLES


def can_be_asked(name: str) -> bool:
    """Tell whether there can be an attribute of this name that people read."""
    return 0 < len(name) <= CUSTOM_NAME_CHARACTERS_MAX and is_peoples(name) and rule_of(name) is not None


def whole_number(text: str) -> int | None:
    """Return the number that a text is: decimal digits, with a sign before them or not; None = it is none."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= BIG_DIGITS_MAX
    return int(text) if is_number else None


def truth(text: str) -> bool | None:
    """Return what yes, no, true and false mean; None = it is none of them."""
    return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower())


def some_bytes(text: str) -> bytes | None:
    """Return the bytes that hexadecimal digits after 0x mean; None = it is none of that."""
    if not text.startswith("0x") or not text.isascii() or len(text) > 2 * VALUE_BYTES_MAX + 2:
        return None
    try:
        return bytes.fromhex(text[2:]) if text[2:].isalnum() or text == "0x" else None
    except ValueError:
        return None


def seconds(text: str) -> int | None:
    """Return the moment that a text means, in seconds since 1970; None = it is none, or counts from now."""
    found = moment_from(text)
    return None if found is None or found.is_relative else found.low // US_PER_S


def typed_value(kind: AttributeType, text: str) -> Value:
    """Return the value of a type that a text means.

    Raises:
        Invalid: it means none.
    """
    content = _READERS[kind](text) if kind in _READERS else whole_number(text)
    if content is None or not fits(ITEM_TYPES[kind], content):
        raise Invalid(f"{text[:40]!r} is no {kind}: {_FORMS.get(kind, _NUMBER)}", "invalid.attribute_value")
    return Value(ITEM_TYPES[kind], content)


_READERS: dict[AttributeType, Callable[[str], str | bool | bytes | int | None]] = {
    AttributeType.STRING: str,
    AttributeType.BOOLEAN: truth,
    AttributeType.BYTE_STRING: some_bytes,
    AttributeType.DATE_TIME: seconds,
}
_NUMBER = "write a whole number in its range"
_FORMS = {
    AttributeType.BOOLEAN: "write yes or no",
    AttributeType.BYTE_STRING: "write hexadecimal digits after 0x",
    AttributeType.DATE_TIME: "write a time such as 2027-01-31T12:00:00Z",
    AttributeType.INTERVAL: "write a number of seconds",
    AttributeType.STRING: "write text of at most 65,536 bytes",
}


def shown_number(number: int) -> str:
    """Return a whole number as text; one of very many digits in hexadecimal, as clients may keep such."""
    return str(number) if abs(number) < LONG_NUMBER else hex(number)


def shown(value: Value) -> str:
    """Return a value as people read it, which `typed_value` reads again."""
    content = value.content
    if isinstance(content, bool):
        return "yes" if content else "no"
    if value.type in (ItemType.DATE_TIME, ItemType.DATE_TIME_EXTENDED):
        return shown_moment(content * US_PER_S if value.type == ItemType.DATE_TIME else content)
    if isinstance(content, int):
        return shown_number(content)
    return f"0x{content.hex()}" if isinstance(content, bytes) else str(content)
