"""Adding, changing and deleting attributes of an object that exists: pure rules, from record to record.

Laws: an index is never renumbered (KS-KMIP-050); what only the server sets stays so; dates move only
in the states that the specification allows, and never out of order; a key can become more sensitive and less
extractable, never the other way round (docs/adr/0030); spent usage limits stay spent.

Source: KMIP 1.4 sections 3.20 to 3.51, 4.14 to 4.16, 11.15 to 11.17; KMIP 2.1 sections 4, 6.1.2, 6.1.13, 6.1.34,
6.1.51; requirements KS-KMIP-036, 038, 045, 050, 051; KS-LIFE-005, 006; AMB-41.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from keystead.core.attribute_rules import DATE_FIELDS, check_order
from keystead.core.attribute_table import ATTRIBUTES, AttributeRule, Client, Home
from keystead.core.attribute_values import checked, known_rule, micros, unused_limits
from keystead.core.attribute_views import instances_of
from keystead.core.attributes import (
    CUSTOM_INSTANCES_PER_OBJECT_MAX,
    INSTANCES_PER_OBJECT_MAX,
    Attribute,
    Attributes,
    ItemType,
    Value,
)
from keystead.core.errors import Exists, Invalid, NotFound, Refused, WrongState
from keystead.core.lifecycle import State
from keystead.core.records import ManagedObject, Protection
from keystead.core.structures import TAG_USAGE_LIMITS_COUNT, TAG_USAGE_LIMITS_TOTAL

LIMITS = "Usage Limits"


class Changed(NamedTuple):
    """A record after a change, and the instance that was added, changed or deleted."""

    record: ManagedObject
    attribute: Attribute


@dataclass(frozen=True, slots=True)
class Instance:
    """Which instance of an attribute is meant.

    Attributes:
        name: Of the attribute.
        index: Of KMIP 1.x; None = not given.
        current: Of KMIP 2.x: the value it has now.
        only: There must be no other one (KMIP 2.x, when nothing tells which).
    """

    name: str
    index: int | None = None
    current: Value | None = None
    only: bool = False


def added(record: ManagedObject, name: str, value: Value, now_us: int) -> Changed:
    """Add an instance.

    Raises:
        Invalid: unknown, read-only or not for this object, a value it cannot have, or too many instances.
        Exists: it has its only instance already.
        WrongState: the object's state does not allow it.
    """
    rule = _permitted(record, name, Client.ADD)
    value = checked(name, value)
    present = instances_of(record, name, now_us)
    if present and not rule.multiple and not _is_blank_mask(record, name):
        raise Exists(f"the object has its {name}; modify it instead", "exists.attribute")
    if rule.home is Home.HEAD:
        return _in_head(record, Attribute(name, 0, value), now_us)
    _check_room(record.attributes, name)
    if name == LIMITS:
        value = unused_limits(value)
    attributes = record.attributes.added(name, value)
    return Changed(record.changed(now_us, attributes=attributes), attributes.instances(name)[-1])


def modified(record: ManagedObject, instance: Instance, value: Value, now_us: int) -> Changed:
    """Change the value of an existing instance.

    Raises:
        Invalid: unknown, read-only, a value it cannot have, or several instances and none named.
        NotFound: the object does not have it.
        Refused: the change would weaken the object's protection, or the limits are spent in part.
        WrongState: the object's state does not allow it.
    """
    rule = _permitted(record, instance.name, Client.MODIFY)
    value = checked(instance.name, value)
    found = _found(record, instance, now_us)
    if rule.home is Home.HEAD:
        return _in_head(record, Attribute(instance.name, 0, value), now_us)
    if instance.name == LIMITS:
        _check_unspent(found.value)
        value = unused_limits(value)
    attributes = record.attributes.replaced(found.name, found.index, value)
    return Changed(record.changed(now_us, attributes=attributes), Attribute(found.name, found.index, value))


def deleted(record: ManagedObject, instance: Instance, now_us: int, *, every: bool = False) -> Changed:
    """Delete an instance, or all of the name.

    Raises:
        Invalid: unknown, or always required.
        NotFound: the object does not have it.
        Refused: usage limits that are spent in part.
    """
    _permitted(record, instance.name, Client.DELETE)
    found = _found(record, Instance(instance.name) if every else instance, now_us)
    if instance.name == LIMITS:
        _check_unspent(found.value)
    attributes = record.attributes.removed(found.name, None if every else found.index)
    return Changed(record.changed(now_us, attributes=attributes), found)


def assigned(record: ManagedObject, name: str, value: Value, now_us: int) -> Changed:
    """Set an attribute whether or not the object has it (Set Attribute).

    Raises:
        Invalid: as for adding and modifying; also when it has several instances.
        Refused, WrongState: as for modifying.
    """
    known_rule(name)
    if instances_of(record, name, now_us) and not _is_blank_mask(record, name):
        return modified(record, Instance(name, only=True), value, now_us)
    return added(record, name, value, now_us)


def dated(record: ManagedObject, moments: Mapping[str, int], now_us: int) -> ManagedObject:
    """Return an object with several dates changed at once; only what comes out has to be in order.

    Args:
        record: As it is.
        moments: Names of dates (keys of DATE_FIELDS) -> UTC microseconds.
        now_us: Decides the state.

    Raises:
        Invalid: out of range, or out of order.
        WrongState: the object's state fixes one of them.
    """
    changes: dict[str, int] = {}
    for name, moment_us in moments.items():
        _permitted(record, name, Client.MODIFY)
        _check_date_open(record, name, now_us)
        changes[DATE_FIELDS[name]] = micros(checked(name, Value(ItemType.DATE_TIME_EXTENDED, moment_us)))
    dates = record.dates._replace(**changes)
    check_order(dates)
    return record.changed(now_us, dates=dates)


def _permitted(record: ManagedObject, name: str, wanted: Client) -> AttributeRule:
    rule = known_rule(name)
    if record.object_type not in rule.kinds | rule.kinds_2:
        raise Invalid(f"objects of this type have no {name}", "invalid.attribute")
    if record.versioning is not None and (name in DATE_FIELDS or name == LIMITS):
        raise WrongState(f"a versioned key has no {name}; an administrator sets the states of its versions")
    if not rule.client & wanted:
        raise Invalid(f"{name} cannot be changed like this by a client", "invalid.attribute_read_only")
    return rule


def _found(record: ManagedObject, instance: Instance, now_us: int) -> Attribute:
    present = instances_of(record, instance.name, now_us)
    if not present:
        raise NotFound(f"the object has no {instance.name}; add it first", "not_found.attribute")
    if instance.current is not None:
        current = checked(instance.name, instance.current, partial=True)
        present = tuple(a for a in present if a.value == current)
    elif instance.index is not None:
        present = tuple(a for a in present if a.index == instance.index)
    elif instance.only and len(present) > 1:
        raise Invalid(f"the object has several {instance.name}; say which one", "invalid.attribute_multiple")
    elif not instance.only:
        present = tuple(a for a in present if a.index == 0)  # KS-KMIP-045
    if not present:
        raise NotFound(f"the object has no such {instance.name}", "not_found.attribute_instance")
    return present[0]


def _check_room(held: Attributes, name: str) -> None:
    customs = sum(a.name not in ATTRIBUTES for a in held) if name not in ATTRIBUTES else 0
    if customs >= CUSTOM_INSTANCES_PER_OBJECT_MAX or len(held) >= INSTANCES_PER_OBJECT_MAX:
        raise Invalid("the object cannot have more attributes; delete one", "invalid.attribute_index")


def _check_unspent(limits: Value) -> None:
    if limits.field(TAG_USAGE_LIMITS_COUNT) != limits.field(TAG_USAGE_LIMITS_TOTAL):
        raise Refused("the usage limits are spent in part and stay as they are", "refused.permission")


def _is_blank_mask(record: ManagedObject, name: str) -> bool:
    return name == "Cryptographic Usage Mask" and not record.shape.usage_mask


def _in_head(record: ManagedObject, attribute: Attribute, now_us: int) -> Changed:
    name, _, value = attribute
    if name in DATE_FIELDS:
        _check_date_open(record, name, now_us)
        dates = record.dates._replace(**{DATE_FIELDS[name]: micros(value)})
        check_order(dates)
        return Changed(record.changed(now_us, dates=dates), attribute)
    if name == "Original Creation Date":
        return Changed(record.changed(now_us, original_creation_us=micros(value)), attribute)
    if name == "Cryptographic Usage Mask":
        return Changed(record.changed(now_us, shape=record.shape._replace(usage_mask=value.content)), attribute)
    return Changed(record.changed(now_us, protection=_protected(record, attribute)), attribute)


_OPEN_STATES = {
    "Activation Date": frozenset({State.PRE_ACTIVE}),
    "Process Start Date": frozenset({State.PRE_ACTIVE, State.ACTIVE}),
    "Protect Stop Date": frozenset({State.PRE_ACTIVE, State.ACTIVE}),
    "Deactivation Date": frozenset({State.PRE_ACTIVE, State.ACTIVE}),
}
"""States in which a date may be set or moved (KMIP 1.4 sections 3.24 to 3.27)."""

_FIXED_ONCE_REACHED = ("Process Start Date", "Protect Stop Date")


def _check_date_open(record: ManagedObject, name: str, now_us: int) -> None:
    state = record.state(now_us)
    if state not in _OPEN_STATES[name]:
        raise WrongState(f"the {name} is fixed while the object is {state.name.lower().replace('_', '-')}")
    reached: int | None = getattr(record.dates, DATE_FIELDS[name])
    if name in _FIXED_ONCE_REACHED and reached is not None and reached <= now_us:
        raise WrongState(f"the {name} has passed and is fixed")


def _protected(record: ManagedObject, attribute: Attribute) -> Protection:
    held, wanted = record.protection, bool(attribute.value.content)
    if attribute.name == "Sensitive":
        if held.sensitive and not wanted:
            raise Refused("a sensitive object stays sensitive", "refused.permission")
        return held._replace(sensitive=wanted, always_sensitive=held.always_sensitive and wanted)
    if not held.extractable and wanted:
        raise Refused("an object that cannot be extracted stays so", "refused.permission")
    return held._replace(extractable=wanted)
