"""Conditions of a search as tests on index rows, in SQL that every engine understands.

Law: a test may let through what does not match, never keep out what does; core.search has the last word.

Source: KMIP 1.4 sections 3 and 4.9; docs/adr/0011-attribute-index.md.
"""

from typing import Any, NamedTuple

from keystead.core.attributes import ItemType, Value
from keystead.core.records import Protection
from keystead.core.search import HEAD_NAMES, IMPLIED
from keystead.storage.attribute_index import INTEGER_MAX, INTEGER_MIN, wanted_value
from keystead.storage.documents import protection_bits
from keystead.storage.store import Match

_DATES = {
    "Initial Date": "initial_us",
    "Activation Date": "activation_us",
    "Process Start Date": "process_start_us",
    "Protect Stop Date": "protect_stop_us",
    "Deactivation Date": "deactivation_us",
    "Destroy Date": "destroy_us",
    "Compromise Date": "compromise_us",
    "Compromise Occurrence Date": "compromise_occurrence_us",
    "Last Change Date": "last_change_us",
    "Original Creation Date": "original_creation_us",
}
_NUMBERS = {
    "Object Type": "object_type",
    "Cryptographic Algorithm": "algorithm",
    "Cryptographic Length": "length_bits",
    "Key Format Type": "format",
}
_FLAGS = {
    name: protection_bits(
        Protection(**{field: field == name.lower().replace(" ", "_") for field in Protection._fields})
    )
    for name in ("Sensitive", "Always Sensitive", "Extractable", "Never Extractable", "Fresh")
}


class Test(NamedTuple):
    """A condition on one row, with its parameters."""

    sql: str
    parameters: tuple[Any, ...]


def equal_value(match: Match) -> tuple[str, bytes] | None:
    """Return (name, index value) of a condition that names one value of the multimap, None for any other."""
    if match.name in HEAD_NAMES or match.until is not None or IMPLIED.get(match.name) == match.value.content:
        return None
    value = wanted_value(match.value)
    return None if value is None else (match.name, value)


def value_range(match: Match) -> tuple[str, bytes, bytes] | None:
    """Return (name, lowest, highest index value) of a condition that names a range in the multimap, else None."""
    if match.name in HEAD_NAMES or match.until is None:
        return None
    low = wanted_value(match.value)
    high = wanted_value(Value(match.value.type, match.until.content))
    return None if low is None or high is None else (match.name, low, high)


def head_test(match: Match, now_us: int) -> Test | None:
    """Return the test of a listing row for a condition on the head, None for any other."""
    name, wanted = match.name, match.value.content
    if name not in HEAD_NAMES or not isinstance(wanted, int):
        return None
    if name in _DATES:
        return Test(f"{_DATES[name]} BETWEEN ? AND ?", _range_us(match))
    number = _bounded(wanted)
    if name in _NUMBERS:
        return Test(f"{_NUMBERS[name]} = ?", (number,))
    if name == "State":  # what is stored ends at next_us, whether or not the clock has applied it
        return Test("(state = ? OR next_us <= ?)", (number, now_us))
    if name == "Cryptographic Usage Mask":
        return Test("(usage_mask & ?) = ?", (number, number))
    return Test("(flags & ?) = ?", (_FLAGS[name], _FLAGS[name] if wanted else 0))


def _range_us(match: Match) -> tuple[int, int]:
    """Return the first and the last microsecond that a condition on a date admits."""
    last = match.until or match.value
    return _bounded(_micros(match.value)), _bounded(_micros(last) + (999_999 if last.type == ItemType.DATE_TIME else 0))


def _micros(value: Value) -> int:
    moment: int = value.content
    return moment * 1_000_000 if value.type == ItemType.DATE_TIME else moment


def _bounded(number: int) -> int:
    return max(INTEGER_MIN, min(INTEGER_MAX, number))
