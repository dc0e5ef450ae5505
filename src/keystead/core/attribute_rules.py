"""From the attributes a client gives to the object that comes to be: the head's parts and the multimap.

Laws: what a client may not give at creation is refused, never ignored (except the spent count of usage limits, which
the specification says to ignore); a single-instance attribute comes once; instances are numbered from 0 in the order
given; dates are in order.

Source: KMIP 1.4 sections 3 and 4.1, 4.3, 11.2; KMIP 2.1 sections 4 and 6.1.8; requirements KS-KMIP-025 to 037,
KS-KEY-028, KS-LIFE-001, 006; docs/adr/0030.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from keystead.core.algorithms import is_quantum_safe
from keystead.core.attribute_table import ATTRIBUTES, Client, Home
from keystead.core.attribute_values import checked, known_rule, micros, unused_limits
from keystead.core.attribute_views import READERS
from keystead.core.attributes import (
    CUSTOM_INSTANCES_PER_OBJECT_MAX,
    INSTANCES_PER_OBJECT_MAX,
    Attribute,
    Attributes,
    Value,
)
from keystead.core.errors import Invalid
from keystead.core.lifecycle import Dates
from keystead.core.records import KeyShape, ManagedObject, Protection

DATE_FIELDS = {
    "Activation Date": "activation_us",
    "Process Start Date": "process_start_us",
    "Protect Stop Date": "protect_stop_us",
    "Deactivation Date": "deactivation_us",
}
"""Dates a client may give -> field of Dates."""

_SHAPE_FIELDS = {
    "Cryptographic Algorithm": "algorithm",
    "Cryptographic Length": "length_bits",
    "Cryptographic Usage Mask": "usage_mask",
    "Key Format Type": "format",
}


ASKER = ""
"""Owner of a new object that nobody named: whoever asks for it."""


class Birth(NamedTuple):
    """What the given attributes say of a new object, and whose it will be (None = nobody's)."""

    shape: KeyShape
    dates: Dates
    protection: Protection
    original_creation_us: int | None
    attributes: Attributes
    owner: str | None = ASKER


def birth_of(object_type: int, given: Iterable[Attribute]) -> Birth:
    """Sort a creation's attributes into the parts of a record.

    Args:
        object_type: Of the new object.
        given: As the client gave them; indexes do not count.

    Raises:
        Invalid: unknown, read-only, not for this type of object, too often, of a wrong type, dates out of order.
    """
    values: dict[str, list[Value]] = {}
    for name, _, value in given:
        _check_creation(object_type, name)
        values.setdefault(name, []).append(checked(name, value))
    _check_counts(values)
    single = {
        name: found[0] for name, found in values.items() if ATTRIBUTES.get(name) and not ATTRIBUTES[name].multiple
    }
    dates = Dates(**{field: micros(single[name]) for name, field in DATE_FIELDS.items() if name in single})
    check_order(dates)
    original = single.get("Original Creation Date")
    return Birth(
        KeyShape(**{field: single[name].content for name, field in _SHAPE_FIELDS.items() if name in single}),
        dates,
        _protection(single),
        None if original is None else micros(original),
        _multimap(values),
    )


_CREATABLE: dict[str, frozenset[int]] = {
    name: frozenset(map(int, rule.kinds | rule.kinds_2))
    for name, rule in ATTRIBUTES.items()
    if rule.client & Client.CREATE
}
"""Attribute that clients may give to a new object -> types of objects that have it."""
_NONE: frozenset[int] = frozenset()


def _check_creation(object_type: int, name: str) -> None:
    if object_type in _CREATABLE.get(name, _NONE):
        return
    rule = known_rule(name)
    if not rule.client & Client.CREATE:
        raise Invalid(f"{name} is set by the server; leave it out", "invalid.attribute_read_only")
    if object_type not in rule.kinds | rule.kinds_2:
        raise Invalid(f"objects of this type have no {name}", "invalid.attribute")


def _check_counts(values: Mapping[str, list[Value]]) -> None:
    customs = 0
    for name, found in values.items():
        rule = known_rule(name)
        if len(found) > 1 and not rule.multiple:
            raise Invalid(f"an object has only one {name}", "invalid.attribute_single")
        customs += len(found) if name not in ATTRIBUTES else 0
    if customs > CUSTOM_INSTANCES_PER_OBJECT_MAX or sum(map(len, values.values())) > INSTANCES_PER_OBJECT_MAX:
        raise Invalid("an object cannot have so many attributes", "invalid.attribute_index")


def _protection(single: Mapping[str, Value]) -> Protection:
    def flag(name: str, default: bool) -> bool:
        return bool(single[name].content) if name in single else default

    sensitive, extractable = flag("Sensitive", False), flag("Extractable", True)
    return Protection(
        sensitive=sensitive,
        always_sensitive=sensitive,
        extractable=extractable,
        never_extractable=not extractable,
        fresh=flag("Fresh", True),
    )


def _multimap(values: Mapping[str, list[Value]]) -> Attributes:
    kept = {name: found for name, found in values.items() if known_rule(name).home is Home.MULTIMAP}
    if "Usage Limits" in kept:
        kept["Usage Limits"] = [unused_limits(kept["Usage Limits"][0])]
    return Attributes(
        Attribute(name, index, value) for name, found in kept.items() for index, value in enumerate(found)
    )


def check_order(dates: Dates) -> None:
    """Check that dates follow each other as the specification says (KMIP 1.4 sections 3.25, 3.26).

    Raises:
        Invalid: processing starts before activation, protection stops after deactivation, or deactivation comes first.
    """
    for earlier, later, words in (
        (dates.activation_us, dates.process_start_us, "the Process Start Date precedes the Activation Date"),
        (dates.protect_stop_us, dates.deactivation_us, "the Protect Stop Date is later than the Deactivation Date"),
        (dates.activation_us, dates.deactivation_us, "the Deactivation Date precedes the Activation Date"),
    ):
        if earlier is not None and later is not None and earlier > later:
            raise Invalid(words, "invalid.attribute_value")


def check_quantum_safe(shape: KeyShape, attributes: Attributes) -> None:
    """Refuse a key that shall be quantum safe and is not (KMIP 2.1 section 4.45).

    Raises:
        Invalid: of this algorithm and length it is not.
    """
    wanted = attributes.first("Quantum Safe")
    if wanted is not None and wanted.content and not is_quantum_safe(shape.algorithm, shape.length_bits):
        raise Invalid("a key of this algorithm and length is not quantum safe", "invalid.not_quantum_safe")


def template_attributes(template: ManagedObject) -> tuple[Attribute, ...]:
    """Return what a template gives to the objects made with it: all it holds but its own name and protection."""
    held = [
        Attribute(name, 0, value)
        for name, read in READERS.items()
        if ATTRIBUTES[name].client & Client.CREATE and (value := read(template, template.last_change_us)) is not None
    ]
    return (*held, *(a for a in template.attributes if a.name != "Name"))


def merged(templates: Iterable[Iterable[Attribute]], given: Iterable[Attribute]) -> tuple[Attribute, ...]:
    """Merge templates and given attributes: the last single value counts, several instances are united.

    Source: KMIP 1.4 section 4 (Template-Attribute); requirement KS-KMIP-037 with AMB-05.
    """
    found: dict[str, list[Value]] = {}
    for source in templates:
        for name, _, value in source:
            if not known_rule(name).multiple:
                found[name] = [value]
            elif value not in found.setdefault(name, []):
                found[name].append(value)
    given = tuple(given)
    for name in {a.name for a in given if not known_rule(a.name).multiple}:
        found.pop(name, None)
    for name, _, value in given:
        found.setdefault(name, []).append(value)
    return tuple(Attribute(name, index, value) for name, values in found.items() for index, value in enumerate(values))
