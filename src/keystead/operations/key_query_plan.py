"""What the index can do for a query of keys: searches that together find at least all that match. Pure.

Law: a plan may propose keys that do not match, never leave one out that does; each key is put to the query afterwards.

Source: docs/adr/0018-searches-of-administrators.md; docs/adr/0077-key-queries.md.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from keystead.core.attributes import ItemType, Value
from keystead.core.authorize import scope_of_policy
from keystead.core.key_names import KeyKind, KeyState, kind_number, sort_or_family, state_number
from keystead.core.key_query import USES, Condition, Either, Every, Expression, Operator, Reference
from keystead.core.key_query_match import within
from keystead.core.moments import moment_from
from keystead.core.peoples_attributes import NUMBERS, PEOPLES, some_bytes, truth, whole_number
from keystead.core.structures import fits
from keystead.storage.store import Match

SEARCHES_COUNT_MAX = 8
MATCHES_COUNT_MAX = 8


class Search(NamedTuple):
    """One search of the index: keys that one scope sees ("" = all), with some values."""

    scope: str = ""
    matches: tuple[Match, ...] = ()


ALL = (Search(),)


def plan(expression: Expression, others: Mapping[str, Expression], now_us: int) -> tuple[Search, ...]:
    """Return the searches for a query and what it refers to; `ALL` = the index does not help."""
    return _Planner(others, now_us).of(expression)


class _Planner:
    def __init__(self, others: Mapping[str, Expression], now_us: int) -> None:
        self._others = others
        self._now_us = now_us
        self._made: dict[str, tuple[Search, ...]] = {}

    def of(self, expression: Expression) -> tuple[Search, ...]:
        if isinstance(expression, Condition):
            return _searches(expression, self._now_us)
        if isinstance(expression, Reference):
            if expression.name not in self._made:
                self._made[expression.name] = self.of(self._others[expression.name])
            return self._made[expression.name]
        if isinstance(expression, Every):
            return self._every(expression)
        if isinstance(expression, Either):
            found = tuple(dict.fromkeys(search for one in expression.of for search in self.of(one)))
            return ALL if len(found) > SEARCHES_COUNT_MAX or Search() in found else found
        return ALL

    def _every(self, expression: Every) -> tuple[Search, ...]:
        """Combine what each part proposes, as far as that stays within bounds."""
        found: tuple[Search, ...] = ALL
        for part in sorted((self.of(one) for one in expression.of), key=len):
            if len(found) * len(part) <= SEARCHES_COUNT_MAX:
                found = tuple(_both(one, other) for one in found for other in part)
        return found


def _both(one: Search, other: Search) -> Search:
    return Search(one.scope or other.scope, (*one.matches, *other.matches)[:MATCHES_COUNT_MAX])


def _searches(condition: Condition, now_us: int) -> tuple[Search, ...]:
    if not condition.field:
        return _of_attribute(condition)
    if condition.field in _DATES:
        found = within(condition, now_us) if condition.value else None
        return ALL if found is None else (Search("", (_between(_DATES[condition.field], *found),)),)
    reader = _EQUAL.get(condition.field)
    return reader(condition.value) if reader is not None and condition.operator is Operator.EQUAL else ALL


def _between(name: str, low: int, high: int) -> Match:
    return Match(name, Value(ItemType.DATE_TIME_EXTENDED, low), Value(ItemType.DATE_TIME_EXTENDED, high))


def _numbered(name: str, number: int) -> tuple[Search, ...]:
    return (Search("", (Match(name, Value(ItemType.ENUMERATION, number)),)),)


def _of_algorithm(word: str) -> tuple[Search, ...]:
    if not word:
        return _numbered("Cryptographic Algorithm", 0)
    sort = sort_or_family(word)
    found = [Match("Cryptographic Algorithm", Value(ItemType.ENUMERATION, int(sort.algorithm)))]
    if sort.length_bits:
        found.append(Match("Cryptographic Length", Value(ItemType.INTEGER, sort.length_bits)))
    return (Search("", tuple(found)),)


def _of_usage(word: str) -> tuple[Search, ...]:
    return _numbered("Cryptographic Usage Mask", int(USES[word])) if word else ALL


def _of_attribute(condition: Condition) -> tuple[Search, ...]:
    """Return a search for each type in which an instance may be equal to the text."""
    if condition.operator is not Operator.EQUAL or not condition.value:
        return ALL
    name, text = condition.attribute, condition.value
    found = [Value(ItemType.TEXT_STRING, text)]
    if name not in PEOPLES:
        if moment_from(text) is not None:
            return ALL
        number, is_true, octets = whole_number(text), truth(text), some_bytes(text)
        if number is not None:
            found += [Value(kind, number) for kind in sorted(NUMBERS) if fits(kind, number)]
        if is_true is not None:
            found.append(Value(ItemType.BOOLEAN, is_true))
        if octets is not None:
            found.append(Value(ItemType.BYTE_STRING, octets))
    return tuple(Search("", (Match(name, value),)) for value in found)


_DATES = {
    "created": "Initial Date",
    "changed": "Last Change Date",
    "activation": "Activation Date",
    "process-start": "Process Start Date",
    "protect-stop": "Protect Stop Date",
    "deactivation": "Deactivation Date",
    "compromised": "Compromise Date",
    "destroyed": "Destroy Date",
}
_EQUAL: dict[str, Callable[[str], tuple[Search, ...]]] = {
    "id": lambda word: (Search("", (Match("Unique Identifier", Value(ItemType.TEXT_STRING, word)),)),),
    "owner": lambda word: (Search(f"u:{word}" if word else "*"),),
    "group": lambda word: (Search(f"g:{word}"),) if word else ALL,
    "user": lambda word: (Search(f"u:{word}"),) if word else ALL,
    "policy": lambda word: (Search(scope_of_policy(word)),) if word else ALL,
    "kind": lambda word: _numbered("Object Type", kind_number(KeyKind(word))),
    "state": lambda word: _numbered("State", state_number(KeyState(word))),
    "length": lambda word: (Search("", (Match("Cryptographic Length", Value(ItemType.INTEGER, int(word))),)),),
    "algorithm": _of_algorithm,
    "usage": _of_usage,
    "sensitive": lambda word: (Search("", (Match("Sensitive", Value(ItemType.BOOLEAN, word == "yes")),)),),
    "extractable": lambda word: (Search("", (Match("Extractable", Value(ItemType.BOOLEAN, word == "yes")),)),),
}
