"""Does an object match a search? The rule that index hits and unindexed conditions are both held to.

Source: KMIP 1.4 section 4.9 (Locate); requirements KS-KMIP-043, 044.
"""

from typing import Any

from keystead.core.attributes import ItemType, Value
from keystead.core.lifecycle import GONE, state_at
from keystead.core.records import ManagedObject

TAG_NAME_VALUE = 0x420055
_GONE = frozenset(int(state) for state in GONE)

_HEAD_DATES = {
    "Initial Date": lambda o: o.initial_us,
    "Activation Date": lambda o: o.dates.activation_us,
    "Process Start Date": lambda o: o.dates.process_start_us,
    "Protect Stop Date": lambda o: o.dates.protect_stop_us,
    "Deactivation Date": lambda o: o.dates.deactivation_us,
    "Destroy Date": lambda o: o.dates.destroy_us,
    "Compromise Date": lambda o: o.dates.compromise_us,
    "Compromise Occurrence Date": lambda o: o.compromise_occurrence_us,
    "Last Change Date": lambda o: o.last_change_us,
    "Original Creation Date": lambda o: o.original_creation_us,
}

_HEAD_NUMBERS = {
    "Object Type": lambda o: o.object_type,
    "Cryptographic Algorithm": lambda o: o.shape.algorithm,
    "Cryptographic Length": lambda o: o.shape.length_bits,
    "Key Format Type": lambda o: o.shape.format,
}

HEAD_NAMES = frozenset(
    {
        *_HEAD_DATES,
        *_HEAD_NUMBERS,
        "State",
        "Unique Identifier",
        "Cryptographic Usage Mask",
        "Sensitive",
        "Extractable",
        "Always Sensitive",
        "Never Extractable",
        "Fresh",
    }
)
"""Attributes that live in the head of an object, not in its multimap."""


IMPLIED = {"Operation Policy Name": "default"}
"""Attributes that every object has with this value unless it was given another one (KMIP 1.4 section 3.18)."""


def matches(record: ManagedObject, query: Any) -> bool:
    """Tell whether an object fulfils every condition of a query at the query's moment (scopes are the caller's)."""
    if not query.destroyed and state_at(record.dates, query.now_us) in GONE and not asks_for_gone(query):
        return False
    if query.below and (record.id == query.below or (record.id > query.below) is not query.oldest_first):
        return False
    return all(holds(record, match, query.now_us) for match in query.matches)


def asks_for_gone(query: Any) -> bool:
    """Tell whether a query names a destroyed state, which includes destroyed objects without saying so."""
    return any(match.name == "State" and match.value.content in _GONE for match in query.matches)


def holds(record: ManagedObject, match: Any, now_us: int) -> bool:
    """Tell whether one condition holds."""
    name, wanted = match.name, match.value.content
    if name in _HEAD_DATES:
        return _date_holds(_HEAD_DATES[name](record), match)
    if name in _HEAD_NUMBERS:
        return bool(_HEAD_NUMBERS[name](record) == wanted)
    if name == "State":
        return bool(state_at(record.dates, now_us) == wanted)
    if name == "Unique Identifier":
        return bool(record.id == wanted)
    if name == "Cryptographic Usage Mask":
        return bool(record.shape.usage_mask & wanted == wanted)
    if name in ("Sensitive", "Extractable", "Always Sensitive", "Never Extractable", "Fresh"):
        return bool(getattr(record.protection, name.lower().replace(" ", "_")) == wanted)
    instances = record.attributes.instances(name)
    if not instances and name in IMPLIED:
        return bool(wanted == IMPLIED[name])
    return any(_value_holds(instance.value, match) for instance in instances)


def _date_holds(held_us: int | None, match: Any) -> bool:
    if held_us is None:
        return False
    low = _micros(match.value)
    if match.until is not None:
        return bool(low <= held_us <= _micros(match.until) + (999_999 if match.until.type == ItemType.DATE_TIME else 0))
    if match.value.type == ItemType.DATE_TIME:
        return bool(low <= held_us < low + 1_000_000)
    return bool(held_us == low)


def _micros(value: Value) -> int:
    moment: int = value.content
    return moment * 1_000_000 if value.type == ItemType.DATE_TIME else moment


def _value_holds(held: Value, match: Any) -> bool:
    wanted: Value = match.value
    if match.until is not None:
        return held.type == wanted.type and bool(wanted.content <= held.content <= match.until.content)
    if wanted.type == ItemType.STRUCTURE and held.type == ItemType.STRUCTURE:
        return all(field in held.content for field in wanted.content)
    return held == wanted
