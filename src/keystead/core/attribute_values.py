"""Is this a value that an attribute may have? Types, fields and sizes, the same for every door and operation.

Laws: an unknown name is refused; a client makes up names only with "x-" or as another vendor; what is too long is
refused before it is kept. The old product's limits on custom attributes (names and text in ASCII, 4096 characters,
defined beforehand) are lifted, as the specification wins (docs/adr/0030).

Source: KMIP 1.4 section 3; KMIP 2.1 section 4; requirements KS-KMIP-025, 028, 032; KS-KEY-025, 028 to 030, 058.
"""

from collections.abc import Callable

from keystead.core.attribute_table import CUSTOM, AttributeRule, rule_of
from keystead.core.attributes import CUSTOM_NAME_CHARACTERS_MAX, ItemType, Value
from keystead.core.errors import Invalid
from keystead.core.structures import (
    NAME_TYPE_TEXT,
    NAME_TYPE_URI,
    TAG_APPLICATION_DATA,
    TAG_APPLICATION_NAMESPACE,
    TAG_NAME_TYPE,
    TAG_NAME_VALUE,
    TAG_USAGE_LIMITS_TOTAL,
    TAG_USAGE_LIMITS_UNIT,
    UNIT_BYTE,
    UNIT_OBJECT,
    fits,
    made,
    structure,
)

APPLICATION_NAMESPACE_CHARACTERS_MAX = 64  # KS-KMIP-025
APPLICATION_DATA_CHARACTERS_MAX = 256  # KS-KMIP-025
DATE_S_MIN = -62_135_596_800  # the year 1
DATE_S_MAX = 253_402_300_799  # the end of the year 9999

_DATES = (ItemType.DATE_TIME, ItemType.DATE_TIME_EXTENDED)
_CUSTOM_TYPES = frozenset(ItemType) - {ItemType.STRUCTURE}  # KS-KMIP-028


def known_rule(name: str) -> AttributeRule:
    """Return the rule of an attribute.

    Raises:
        Invalid: no attribute has this name.
    """
    rule = rule_of(name)
    if rule is None or len(name) > CUSTOM_NAME_CHARACTERS_MAX or name in ("x-", "y-"):
        raise Invalid("there is no attribute of this name; a client's own begin with x-", "invalid.attribute")
    return rule


def checked(name: str, value: Value, *, partial: bool = False) -> Value:
    """Return a value fit to be kept as an instance of an attribute.

    Args:
        name: Of the attribute.
        value: As it was given.
        partial: It is a condition of a search: a structure may have only some of its fields.

    Raises:
        Invalid: unknown attribute, or a value of another type, of a wrong form or too long.
    """
    rule = known_rule(name)
    if not _has_type(rule, value):
        raise Invalid(f"a value of {name} is of another type", "invalid.attribute_value")
    if value.type == ItemType.STRUCTURE:
        value = structure(name, value, partial=partial)
    elif not fits(value.type, value.content):
        raise Invalid(f"a value of {name} is out of range", "invalid.attribute_value")
    if value.type in _DATES:
        _check_date(value)
    check = _CHECKS.get(name)
    if check is not None and not partial:
        check(value)
    return value


def _has_type(rule: AttributeRule, value: Value) -> bool:
    if rule.name == CUSTOM.name:
        return value.type in _CUSTOM_TYPES
    if rule.type is ItemType.DATE_TIME:
        return value.type in _DATES
    return value.type == rule.type


def _check_date(value: Value) -> None:
    scale = 1 if value.type == ItemType.DATE_TIME else 1_000_000
    if not DATE_S_MIN * scale <= value.content <= DATE_S_MAX * scale:
        raise Invalid("a date is out of range; give one between the years 1 and 9999", "invalid.attribute_value")


def _check_name(value: Value) -> None:
    if value.field(TAG_NAME_TYPE) not in (NAME_TYPE_TEXT, NAME_TYPE_URI):
        raise Invalid("a Name is an uninterpreted text string or a URI", "invalid.attribute_value")
    if not value.field(TAG_NAME_VALUE):
        raise Invalid("a Name is not empty", "invalid.attribute_value")


def _check_application(value: Value) -> None:
    namespace, data = value.field(TAG_APPLICATION_NAMESPACE), value.field(TAG_APPLICATION_DATA)
    if len(namespace) > APPLICATION_NAMESPACE_CHARACTERS_MAX:
        raise Invalid("an application namespace has at most 64 characters", "invalid.attribute_value")
    if data is None:
        raise Invalid("this server makes up no application data; give the data too", "invalid.namespace")
    if len(data) > APPLICATION_DATA_CHARACTERS_MAX:
        raise Invalid("application data has at most 256 characters", "invalid.attribute_value")


def _check_limits(value: Value) -> None:
    if value.field(TAG_USAGE_LIMITS_UNIT) not in (UNIT_BYTE, UNIT_OBJECT) or value.field(TAG_USAGE_LIMITS_TOTAL) < 0:
        raise Invalid("usage limits count bytes or objects, from 0", "invalid.attribute_value")


def _check_filled(value: Value) -> None:
    if not value.content:
        raise Invalid("the attribute's text is empty; delete the attribute instead", "invalid.attribute_value")


_CHECKS: dict[str, Callable[[Value], None]] = {
    "Name": _check_name,
    "Application Specific Information": _check_application,
    "Usage Limits": _check_limits,
    "Object Group": _check_filled,
}


def micros(value: Value) -> int:
    """Return a date as UTC microseconds."""
    moment: int = value.content
    return moment * 1_000_000 if value.type == ItemType.DATE_TIME else moment


def date(moment_us: int) -> Value:
    """Make a date with KMIP's resolution of a second."""
    return Value(ItemType.DATE_TIME, moment_us // 1_000_000)


def unused_limits(value: Value) -> Value:
    """Return usage limits of which nothing is spent: a client never sets the count (KMIP 1.4 section 3.21)."""
    total = value.field(TAG_USAGE_LIMITS_TOTAL)
    return made("Usage Limits", total, total, value.field(TAG_USAGE_LIMITS_UNIT))
