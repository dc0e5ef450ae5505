"""The answer of any query is what a plain filter over all keys gives, on whatever pages and in whichever order."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.core.attributes import Attribute, ItemType, Value
from keystead.core.changes import Put
from keystead.core.key_query import (
    FIELDS,
    OPERATORS,
    USES,
    Condition,
    Either,
    Every,
    Everything,
    Expression,
    Not,
    Operator,
    Reference,
    Sort,
    written,
)
from keystead.core.key_query_reader import read_query
from keystead.core.moments import moment_from
from keystead.core.permission import Right
from keystead.core.records import KIND_OBJECT, ManagedObject
from keystead.core.structures import name_value
from keystead.operations import key_query_run
from keystead.operations.admin_keys import ChangeKey, EraseKey, Move, SetKeyState
from keystead.operations.admin_keys_made import GenerateKey
from keystead.operations.grants import GiveRights, SetKeyFlags
from keystead.operations.key_queries import ApplyQuery, CreateQuery, RunQuery
from keystead.operations.key_query_run import QueryOrder
from keystead.operations.policies import CreatePolicy
from keystead.operations.users import CreateUser
from tests.support.builders import ADMINISTRATOR, EVERYTHING, START_US, US_PER_S, Node, a_key, a_node

OWNERS = ("alice", "bob", None, "carol")
ALGORITHMS = ("AES-256", "AES-128", "HmacSHA256", "AES-256", "AES-192")
SAVED = {
    "northern": "x-site = north or x-number = 5",
    "gone": "state = destroyed or state = destroyed-compromised",
    "mine": "query northern and owner = alice or group = staff",
    "old": "not query mine and created < +20m",
}
TYPED = (
    Value(ItemType.INTEGER, 5),
    Value(ItemType.LONG_INTEGER, 5),
    Value(ItemType.BIG_INTEGER, -7),
    Value(ItemType.TEXT_STRING, "5"),
    Value(ItemType.BOOLEAN, True),
    Value(ItemType.BYTE_STRING, b"\xab"),
    Value(ItemType.DATE_TIME, START_US // US_PER_S),
    Value(ItemType.INTERVAL, 60),
    Value(ItemType.ENUMERATION, 5),
    Value(ItemType.TEXT_STRING, "true"),
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Sixty keys of all sorts, in all states, and some saved queries."""
    with a_node(tmp_path_factory.mktemp("answers"), EVERYTHING) as made:
        for user in ("alice", "bob", "carol"):
            made.ask(ADMINISTRATOR, CreateUser(user))
        made.ask(ADMINISTRATOR, CreatePolicy("nights"))
        for number in range(60):
            _make(made, number)
            made.clock.pass_s(60)
        for name, text in SAVED.items():
            made.ask(ADMINISTRATOR, CreateQuery(name, text))
        yield made


def _make(node: Node, number: int) -> None:
    owner = OWNERS[number % 4]
    if number % 9 == 4:
        a_key(node, active=number % 2 == 0, Name=name_value(f"Tape Ω {number}"))
        return
    site = (f"x-site={'north' if number % 3 else 'south'}",) if number % 4 else ()
    versioned = number % 10 == 8 and number < 50
    active = number % 7 != 0 or versioned
    name, algorithm = f"key{number:02}", ALGORITHMS[number % 5]
    request = GenerateKey(name, algorithm, owner, attributes=site, active=active, versioned=versioned)
    key = node.ask(ADMINISTRATOR, request).key.id
    if number % 5 == 0:
        record = node.record(key)
        typed = TYPED[number // 5 % len(TYPED)]
        attributes = record.attributes.added("x-number", typed).added("x-number", Value(ItemType.TEXT_STRING, "zz"))
        assert node.store(Put(record._replace(attributes=attributes))) is None
    if owner and number % 3 == 0:
        node.ask(ADMINISTRATOR, GiveRights(key, int(Right.SEE), "staff"))
    if owner in ("alice", "carol") and number % 5 == 1:
        node.ask(ADMINISTRATOR, GiveRights(key, int(Right.SEE), user="bob"))
    if owner and number % 7 in (1, 3):
        node.ask(ADMINISTRATOR, GiveRights(key, int(Right.EXPORT), "guards", policy="nights"))
    if number % 6 == 1:
        node.ask(ADMINISTRATOR, SetKeyFlags(key, deletable=True, exportable=True))
    if number % 7 == 2:
        node.ask(
            ADMINISTRATOR, ChangeKey(key, deactivation_us=node.clock.us + 600 * US_PER_S, description="for a time")
        )
    if number % 11 == 3:
        node.ask(ADMINISTRATOR, SetKeyState(key, Move.COMPROMISED))
    if number % 8 == 3:
        node.ask(ADMINISTRATOR, EraseKey(key, key))


def everything(node: Node) -> list[ManagedObject]:
    return [
        one.record
        for one in node.objects.reader.list_records(KIND_OBJECT, "", 1000)
        if isinstance(one.record, ManagedObject)
    ]


def wanted_by(expression: Expression, record: ManagedObject, now_us: int) -> bool:
    """The rule, once more and plainly."""
    names_gone = "state = destroyed" in written(expression)
    is_gone = record.material is None
    return (names_gone or not is_gone) and _is(expression, record, now_us)


def _is(expression: Expression, record: ManagedObject, now_us: int) -> bool:
    match expression:
        case Everything():
            return True
        case Not(of):
            return not _is(of, record, now_us)
        case Every(of):
            return min(_is(one, record, now_us) for one in of)
        case Either(of):
            return max(_is(one, record, now_us) for one in of)
        case Reference(name):
            return wanted_by(read_query(SAVED[name]), record, now_us)
        case Condition(field, operator, value, attribute):
            held = _of_field(field, record, now_us) if field else _of_attribute(attribute, record)
            if operator is Operator.UNEQUAL:
                return not _any(field, Operator.EQUAL, value, held, now_us)
            return _any(field, operator, value, held, now_us)


def _any(field: str, operator: Operator, value: str, held: list[Any], now_us: int) -> bool:
    if value == "":
        return not [one for one in held if one not in ("", b"")]
    if field == "algorithm":
        return value in held
    return any(_one(field, operator, value, one, now_us) for one in held)


def _one(field: str, operator: Operator, value: str, one: Any, now_us: int) -> Any:
    if isinstance(one, str):
        return {
            "=": one == value,
            "contains": value.casefold() in one.casefold(),
            "begins": one.casefold().startswith(value.casefold()),
        }.get(operator, False)
    if isinstance(one, bool):
        return operator == "=" and value.lower() in (("yes", "true") if one else ("no", "false"))
    if isinstance(one, bytes):
        return operator == "=" and value.lower() == f"0x{one.hex()}"
    if isinstance(one, Attribute) or (field and FIELDS[field].sort is Sort.MOMENT):
        moment = moment_from(value)
        if moment is None:
            return False
        low, high = moment.at(now_us)
        at = one.value.content * US_PER_S if isinstance(one, Attribute) else one
        return {"=": low <= at <= high, "<": at < low, "<=": at <= high, ">": at > high, ">=": at >= low}.get(
            operator, False
        )
    if not value.removeprefix("-").isdigit():
        return False
    number = int(value)
    return {"=": one == number, "<": one < number, "<=": one <= number, ">": one > number, ">=": one >= number}.get(
        operator, False
    )


def _of_field(field: str, record: ManagedObject, now_us: int) -> list[Any]:
    grants = list(record.grants)
    dates, length = record.dates, record.shape.length_bits
    family = {3: "AES", 9: "HMAC-SHA256"}[record.shape.algorithm]
    sort = f"AES-{length}" if family == "AES" else "HmacSHA256"
    told: dict[str, list[Any]] = {
        "name": [record.handle, *(one.value.content[0][2] for one in record.attributes.instances("Name"))],
        "id": [record.id],
        "owner": [record.owner] if record.owner else [],
        "group": [name for name in grants if ":" not in name],
        "user": [name.split(":")[1] for name in grants if name.startswith("user:")],
        "policy": [name.split(":")[1] for name in grants if name.startswith("policy:")],
        "kind": ["symmetric-key"],
        "algorithm": [family, sort],
        "length": [length],
        "state": [record.state(now_us).name.lower().replace("_", "-")],
        "usage": [word for word, use in USES.items() if use & record.shape.usage_mask],
        "created": [record.initial_us],
        "changed": [record.last_change_us],
        "activation": [dates.activation_us],
        "process-start": [dates.process_start_us],
        "protect-stop": [dates.protect_stop_us],
        "deactivation": [dates.deactivation_us],
        "compromised": [dates.compromise_us],
        "destroyed": [dates.destroy_us],
    }
    if field == "versioned":
        return ["no" if record.versioning is None else "yes"]
    if field in told:
        return [one for one in told[field] if one is not None]
    return ["yes" if getattr(record.protection, field) else "no"]


def _of_attribute(name: str, record: ManagedObject) -> list[Any]:
    dated = (ItemType.DATE_TIME, ItemType.DATE_TIME_EXTENDED)
    return [one if one.value.type in dated else one.value.content for one in record.attributes.instances(name)]


MOMENTS = st.sampled_from(["2027-01-15", "2027-01-15T08:20:00Z", "2027-01-16", "-40m", "-20m", "+5m", "+1d"])
TEXTS = {
    "name": st.sampled_from(["key01", "KEY", "key3", "tape", "Tape Ω 4", "ω", "4"]),
    "id": st.sampled_from(["0", "019", "no-id"]),
    "owner": st.sampled_from(["alice", "bob", "carol", "b", "A", ""]),
    "group": st.sampled_from(["staff", "guards", "s", "nobody", ""]),
    "user": st.sampled_from(["bob", "alice", "b", ""]),
    "policy": st.sampled_from(["nights", "night", ""]),
}


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    field = draw(st.sampled_from([*FIELDS, "", "", ""]))
    if not field:
        return draw(attribute_conditions())
    rule = FIELDS[field]
    values = TEXTS.get(field, MOMENTS if rule.sort is Sort.MOMENT else st.sampled_from(["128", "192", "256", "0"]))
    if rule.choices:
        near = ("AES", "AES-128", "HmacSHA256", "HMAC-SHA256", "RSA", "symmetric-key", "encrypt", "sign", "mac-verify")
        likely = [choice for choice in rule.choices if choice in near or len(rule.choices) < 9]
        values = st.sampled_from(likely)
    value = draw(st.one_of(st.just(""), values) if rule.unset else values)
    operators = OPERATORS[rule.sort] if value else OPERATORS[Sort.CHOICE]
    return Condition(field, draw(st.sampled_from(sorted(operators))), value)


@st.composite
def attribute_conditions(draw: st.DrawFn) -> Condition:
    name = draw(st.sampled_from(["x-site", "x-number", "x-number", "Description", "x-none"]))
    value = draw(st.sampled_from(["north", "5", "-7", "true", "0xAB", "0xab", "zz", "2027-01-15T08:00:00Z", "60", ""]))
    operators = OPERATORS[Sort.ATTRIBUTE] if value else OPERATORS[Sort.CHOICE]
    operator = draw(st.sampled_from(sorted(operators)))
    if value[:1].isalpha() and operator in ("<", "<=", ">", ">="):
        operator = Operator.EQUAL
    return Condition("", operator, value, name)


def _joined(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    some = st.lists(parts, min_size=2, max_size=4).map(tuple)
    return st.one_of(parts.map(Not), some.map(Every), some.map(Either))


EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    st.one_of(st.just(Everything()), conditions(), conditions(), st.sampled_from(sorted(SAVED)).map(Reference)),
    _joined,
    max_leaves=8,
)


def answered(node: Node, text: str, order: QueryOrder, limit_count: int) -> Iterator[str]:
    page = node.ask(ADMINISTRATOR, ApplyQuery(text, (), order, limit_count))
    while True:
        assert len(page.keys) <= limit_count
        yield from (key.id for key in page.keys)
        if not page.next:
            return
        page = node.ask(ADMINISTRATOR, RunQuery("Unnamed Query", order, page.next, limit_count))


@pytest.mark.row("KS-KEY-046")
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    expression=EXPRESSIONS,
    order=st.sampled_from(list(QueryOrder)),
    limit_count=st.sampled_from([1, 7, 100]),
    looks_count=st.sampled_from([3, 2_000]),
)
def test_an_answer_is_what_a_plain_filter_gives(
    node: Node, expression: Expression, order: QueryOrder, limit_count: int, looks_count: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_query_run, "QUERIED_LOOKS_COUNT_MAX", looks_count)
        found = list(islice(answered(node, written(expression), order, limit_count), 1000))
    expression = read_query(written(expression))
    records = [one for one in everything(node) if wanted_by(expression, one, node.clock.us)]
    records.sort(key=lambda one: one.handle if order is QueryOrder.NAME else one.id)
    expected = [one.id for one in records]
    assert found == (expected if order is QueryOrder.NAME else expected[::-1])
