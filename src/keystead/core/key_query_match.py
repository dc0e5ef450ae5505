"""Does a key match a query? A query becomes functions once, and each key is then put to them. Pure.

Laws: a key that has several values of a field matches when one of them does; != is what = is not; nothing is compared
by patterns. Destroyed keys match only what names a destroyed state by =, of a query that is referred to as of the
one that refers. What is looked at is counted, so that whoever walks can stop.

Source: requirement KS-KEY-046; docs/adr/0077-key-queries.md.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keystead.core.attributes import Attribute, ItemType, Value
from keystead.core.errors import Invalid
from keystead.core.grants import conditions
from keystead.core.key_names import kind_word, sort_or_family, state_word
from keystead.core.key_query import (
    USES,
    Condition,
    Either,
    Every,
    Everything,
    Expression,
    Not,
    Operator,
    Reference,
    asks_for_destroyed,
    leaves,
    references,
)
from keystead.core.lifecycle import GONE
from keystead.core.moments import moment_from
from keystead.core.peoples_attributes import NUMBERS, some_bytes, truth, whole_number
from keystead.core.permission import CONDITIONAL, PERSONAL
from keystead.core.records import ManagedObject
from keystead.core.search import TAG_NAME_VALUE

REFERENCES_DEPTH_MAX = 8
CONDITIONS_TOGETHER_COUNT_MAX = 200
CHARACTERS_PER_STEP = 256

Holds = Callable[[ManagedObject], bool]
Look = Callable[[str], Expression]
"""Returns the saved query of a name; raises NotFound."""


def resolved(expression: Expression, look: Look, name: str = "") -> dict[str, Expression]:
    """Return every query that an expression refers to, by name, also by way of others.

    Args:
        expression: Of the query.
        look: Returns a saved query.
        name: Of the query itself, "" = it has none.

    Raises:
        NotFound: it refers to what is not there.
        Invalid: it comes back to itself, or is too deep or of too many conditions together.
    """
    found: dict[str, Expression] = {}
    _resolve(expression, look, (name,) if name else (), found, {})
    count = sum(1 for one in (expression, *found.values()) for _ in leaves(one))
    if count > CONDITIONS_TOGETHER_COUNT_MAX:
        raise Invalid(
            f"a query and those it refers to have at most {CONDITIONS_TOGETHER_COUNT_MAX} conditions together",
            "invalid.field",
        )
    return found


def _resolve(
    expression: Expression, look: Look, path: tuple[str, ...], found: dict[str, Expression], depths: dict[str, int]
) -> int:
    """Take down what an expression refers to; returns how deep that goes."""
    depth = 0
    for name in references(expression):
        if name in path:
            raise Invalid(f"a query cannot refer to itself: {' -> '.join((*path, name))}", "invalid.field")
        if name not in depths:
            if len(path) > REFERENCES_DEPTH_MAX or len(found) >= CONDITIONS_TOGETHER_COUNT_MAX:
                raise Invalid(_TOO_DEEP, "invalid.field")
            found[name] = look(name)
            depths[name] = _resolve(found[name], look, (*path, name), found, depths)
        depth = max(depth, depths[name] + 1)
    if depth > REFERENCES_DEPTH_MAX:
        raise Invalid(_TOO_DEEP, "invalid.field")
    return depth


_TOO_DEEP = f"queries refer to each other at most {REFERENCES_DEPTH_MAX} deep"


class Matcher:
    """A query that keys are put to.

    Args:
        expression: Of the query.
        others: What it refers to, as `resolved` returns it.
        now_us: Decides states and moments that count from now.

    Attributes:
        steps_count: Of work so far: conditions, and stretches of text that were searched.
        finds_destroyed: It, or what it refers to, names a destroyed state.
    """

    def __init__(self, expression: Expression, others: Mapping[str, Expression], now_us: int) -> None:
        self.steps_count = 0
        self.finds_destroyed = any(asks_for_destroyed(one) for one in (expression, *others.values()))
        self._now_us = now_us
        self._others = others
        self._made: dict[str, Holds] = {}
        self._told: dict[str, bool] = {}
        self._holds = self._whole(expression)

    def matches(self, record: ManagedObject) -> bool:
        """Tell whether a key matches."""
        self._told.clear()
        return self._holds(record)

    def _whole(self, expression: Expression) -> Holds:
        holds = self._made_of(expression)
        if asks_for_destroyed(expression):
            return holds
        now_us = self._now_us
        return lambda record: record.state(now_us) not in GONE and holds(record)

    def _made_of(self, expression: Expression) -> Holds:
        if isinstance(expression, Everything):
            return lambda _record: True
        if isinstance(expression, Not):
            inner = self._made_of(expression.of)
            return lambda record: not inner(record)
        if isinstance(expression, Every):
            return _every([self._made_of(one) for one in expression.of])
        if isinstance(expression, Either):
            return _either([self._made_of(one) for one in expression.of])
        if isinstance(expression, Reference):
            return self._referred(expression.name)
        return self._counted(_condition(expression, self._now_us, self))

    def _counted(self, holds: Holds) -> Holds:
        def count(record: ManagedObject) -> bool:
            self.steps_count += 1
            return holds(record)

        return count

    def _referred(self, name: str) -> Holds:
        """Return what looks once for each key, however often it is referred to."""
        if name not in self._made:
            self._made[name] = self._whole(self._others[name])
        holds, told = self._made[name], self._told

        def look(record: ManagedObject) -> bool:
            if name not in told:
                told[name] = holds(record)
            return told[name]

        return look


def _every(parts: list[Holds]) -> Holds:
    return lambda record: all(part(record) for part in parts)


def _either(parts: list[Holds]) -> Holds:
    return lambda record: any(part(record) for part in parts)


def _condition(condition: Condition, now_us: int, matcher: Matcher) -> Holds:
    if condition.operator is Operator.UNEQUAL:
        same = Condition(condition.field, Operator.EQUAL, condition.value, condition.attribute)
        holds = _condition(same, now_us, matcher)
        return lambda record: not holds(record)
    if not condition.field:
        return _of_attribute(condition, now_us, matcher)
    if condition.field in TEXTS:
        return _of_texts(condition)
    if condition.field in MOMENTS:
        return _of_moment(condition, now_us)
    return _OTHERS[condition.field](condition, now_us)


def names_of(record: ManagedObject) -> list[str]:
    """Return the name of a key, then those that clients gave it."""
    given = record.attributes.instances("Name")
    return [record.handle, *[str(one) for held in given for tag, _, one in held.value.content if tag == TAG_NAME_VALUE]]


def _granted(record: ManagedObject) -> Iterable[str]:
    return record.grants if record.owner is not None else ()


TEXTS: dict[str, Callable[[ManagedObject], list[str]]] = {  # field -> its texts
    "name": names_of,
    "id": lambda record: [record.id],
    "owner": lambda record: [] if record.owner is None else [record.owner],
    "group": lambda record: [name for name in _granted(record) if not name.startswith((PERSONAL, CONDITIONAL))],
    "user": lambda record: [name[len(PERSONAL) :] for name in _granted(record) if name.startswith(PERSONAL)],
    "policy": lambda record: [] if record.owner is None else [policy for policy, _, _ in conditions(record.grants)],
}

MOMENTS: dict[str, Callable[[ManagedObject], int | None]] = {
    "created": lambda record: record.initial_us,
    "changed": lambda record: record.last_change_us,
    "activation": lambda record: record.dates.activation_us,
    "process-start": lambda record: record.dates.process_start_us,
    "protect-stop": lambda record: record.dates.protect_stop_us,
    "deactivation": lambda record: record.dates.deactivation_us,
    "compromised": lambda record: record.dates.compromise_us,
    "destroyed": lambda record: record.dates.destroy_us,
}

_COMPARES: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQUAL: operator.eq,
    Operator.BELOW: operator.lt,
    Operator.UP_TO: operator.le,
    Operator.ABOVE: operator.gt,
    Operator.FROM: operator.ge,
}


def _of_texts(condition: Condition) -> Holds:
    read, holds = TEXTS[condition.field], _of_text(condition)
    if not condition.value:
        return lambda record: not read(record)
    return lambda record: any(holds(text) for text in read(record))


def _of_text(condition: Condition) -> Callable[[str], bool]:
    wanted = condition.value
    if condition.operator is Operator.EQUAL:
        return lambda text: text == wanted
    folded = wanted.casefold()
    if condition.operator is Operator.CONTAINS:
        return lambda text: folded in text.casefold()
    return lambda text: text.casefold().startswith(folded)


def _of_moment(condition: Condition, now_us: int) -> Holds:
    read = MOMENTS[condition.field]
    if not condition.value:
        return lambda record: read(record) is None
    admitted = within(condition, now_us)
    if admitted is None:
        raise Invalid(f"{condition.value[:40]!r} is no time", "invalid.field")
    first, last = admitted

    def holds(record: ManagedObject) -> bool:
        moment_us = read(record)
        return moment_us is not None and first <= moment_us <= last

    return holds


EARLIEST_US, LATEST_US = -(1 << 63), (1 << 63) - 1


def within(condition: Condition, now_us: int) -> tuple[int, int] | None:
    """Return the first and the last microsecond that a comparison admits; None = its value is no moment."""
    moment = moment_from(condition.value)
    if moment is None:
        return None
    low, high = moment.at(now_us)
    return {
        Operator.EQUAL: (low, high),
        Operator.BELOW: (EARLIEST_US, low - 1),
        Operator.UP_TO: (EARLIEST_US, high),
        Operator.ABOVE: (high + 1, LATEST_US),
        Operator.FROM: (low, LATEST_US),
    }.get(condition.operator)


def _of_length(condition: Condition, _now_us: int) -> Holds:
    compare, wanted = _COMPARES[condition.operator], int(condition.value)
    return lambda record: compare(record.shape.length_bits, wanted)


def _of_kind(condition: Condition, _now_us: int) -> Holds:
    return lambda record: kind_word(record.object_type) == condition.value


def _of_state(condition: Condition, now_us: int) -> Holds:
    return lambda record: state_word(record.state(now_us)) == condition.value


def _of_algorithm(condition: Condition, _now_us: int) -> Holds:
    if not condition.value:
        return lambda record: not record.shape.algorithm
    sort = sort_or_family(condition.value)
    return lambda record: record.shape.algorithm == sort.algorithm and sort.length_bits in (0, record.shape.length_bits)


def _of_usage(condition: Condition, _now_us: int) -> Holds:
    if not condition.value:
        return lambda record: not record.shape.usage_mask
    use = int(USES[condition.value])
    return lambda record: bool(record.shape.usage_mask & use)


def _of_versions(condition: Condition, _now_us: int) -> Holds:
    wanted = condition.value == "yes"
    return lambda record: (record.versioning is not None) is wanted


def _of_flag(condition: Condition, _now_us: int) -> Holds:
    name, wanted = condition.field, condition.value == "yes"
    return lambda record: getattr(record.protection, name) is wanted


_OTHERS: dict[str, Callable[[Condition, int], Holds]] = {
    "length": _of_length,
    "kind": _of_kind,
    "state": _of_state,
    "algorithm": _of_algorithm,
    "usage": _of_usage,
    "deletable": _of_flag,
    "exportable": _of_flag,
    "sensitive": _of_flag,
    "extractable": _of_flag,
    "versioned": _of_versions,
}


def _of_attribute(condition: Condition, now_us: int, matcher: Matcher) -> Holds:
    """Return the comparison with each instance, as the type of the instance has it."""
    name = condition.attribute
    if not condition.value:
        return lambda record: all(instance.value.content in _NOTHING for instance in _held(record, name))
    compared = _Compared(condition, now_us, matcher)
    return lambda record: any(compared.holds(instance.value) for instance in _held(record, name))


_NOTHING = ("", b"")


def _held(record: ManagedObject, name: str) -> tuple[Attribute, ...]:
    return record.attributes.instances(name)


class _Compared:
    """What the instances of an attribute are compared with: one text, and what it means in each type."""

    def __init__(self, condition: Condition, now_us: int, matcher: Matcher) -> None:
        self._operator = condition.operator
        self._matcher = matcher
        self._of_text = _of_text(condition)
        self._number = whole_number(condition.value)
        self._truth = truth(condition.value)
        self._bytes = some_bytes(condition.value)
        self._within = within(condition, now_us)
        self._is_textual = condition.operator in (Operator.EQUAL, Operator.CONTAINS, Operator.BEGINS)

    def holds(self, held: Value) -> bool:
        kind, content = held
        if kind == ItemType.TEXT_STRING:
            self._matcher.steps_count += len(content) // CHARACTERS_PER_STEP
            return self._is_textual and self._of_text(content)
        if kind in (ItemType.DATE_TIME, ItemType.DATE_TIME_EXTENDED):
            return self._is_within(content * 1_000_000 if kind == ItemType.DATE_TIME else content)
        if kind in NUMBERS:
            compare = _COMPARES.get(self._operator)
            return compare is not None and self._number is not None and compare(content, self._number)
        if kind == ItemType.BOOLEAN:
            return self._operator is Operator.EQUAL and content is self._truth
        if kind == ItemType.BYTE_STRING:
            return self._operator is Operator.EQUAL and content == self._bytes
        return False

    def _is_within(self, moment_us: int) -> bool:
        return self._within is not None and self._within[0] <= moment_us <= self._within[1]
