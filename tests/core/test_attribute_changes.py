"""Adding, changing, deleting and setting attributes of an object that exists."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.attribute_changes import Instance, added, assigned, deleted, modified
from keystead.core.attribute_table import ATTRIBUTES, Client, ObjectType
from keystead.core.attribute_views import READERS, attributes_of, instances_of
from keystead.core.attributes import Attribute, Attributes, ItemType, Value, text
from keystead.core.errors import Exists, Invalid, KeysteadError, NotFound, Refused, WrongState
from keystead.core.lifecycle import Dates, State
from keystead.core.records import KeyShape, ManagedObject, MaterialReference, Protection
from keystead.core.structures import made, name_value

SECOND_US = 1_000_000
NOW_US = 1_700_000_000 * SECOND_US
KEY = ManagedObject(
    "018c-1",
    "root",
    ObjectType.SYMMETRIC_KEY,
    "alice",
    "key-1",
    NOW_US - 100 * SECOND_US,
    NOW_US - 100 * SECOND_US,
    KeyShape(3, 256, 1, 12),
    material=MaterialReference("018c-2", 1, b"s" * 32),
    digest=b"d" * 32,
    original_creation_us=NOW_US - 100 * SECOND_US,
)

IN_STATE = {
    State.PRE_ACTIVE: Dates(),
    State.ACTIVE: Dates(activation_us=NOW_US - 9),
    State.DEACTIVATED: Dates(activation_us=NOW_US - 9, deactivation_us=NOW_US - 1),
    State.COMPROMISED: Dates(activation_us=NOW_US - 9, compromise_us=NOW_US - 1),
}


def with_attributes(*attributes: Attribute, **fields: Any) -> ManagedObject:
    return KEY._replace(attributes=Attributes(attributes), **fields)


def date(offset_s: int) -> Value:
    return Value(ItemType.DATE_TIME, NOW_US // SECOND_US + offset_s)


def boolean(value: bool) -> Value:
    return Value(ItemType.BOOLEAN, value)


@pytest.mark.row("KS-KMIP-036", "KS-KMIP-050")
def test_each_added_instance_gets_the_next_index_and_none_is_renumbered() -> None:
    record = with_attributes(*(Attribute("Name", index, name_value(word)) for index, word in enumerate("abc")))
    record, _ = deleted(record, Instance("Name", index=1), NOW_US)
    record = added(record, "Name", name_value("d"), NOW_US).record
    held = [(a.index, a.value) for a in record.attributes.instances("Name")]
    assert held == [(0, name_value("a")), (2, name_value("c")), (3, name_value("d"))]


def test_adding_moves_the_last_change_date() -> None:
    assert added(KEY, "x-a", text("v"), NOW_US).record.last_change_us == NOW_US


def test_a_single_attribute_is_not_added_twice() -> None:
    record = added(KEY, "Contact Information", text("a"), NOW_US).record
    with pytest.raises(Exists) as raised:
        added(record, "Contact Information", text("b"), NOW_US)
    assert raised.value.reason == "exists.attribute"


@pytest.mark.row("KS-KEY-028", "KS-KMIP-026")
def test_room_for_custom_attributes_is_bounded() -> None:
    record = with_attributes(*(Attribute("x-a", index, text("v")) for index in range(100)))
    with pytest.raises(Invalid) as raised:
        added(record, "x-b", text("v"), NOW_US)
    assert raised.value.reason == "invalid.attribute_index"
    assert added(record, "Object Group", text("g"), NOW_US)
    with pytest.raises(Exists):
        added(added(KEY, "Contact Information", text("a"), NOW_US).record, "Contact Information", text("a"), NOW_US)


@pytest.mark.row("KS-KMIP-045")
def test_modify_without_an_index_means_the_first_and_with_one_that_one() -> None:
    record = with_attributes(*(Attribute("x-a", index, text(str(index))) for index in range(3)))
    changed, instance = modified(record, Instance("x-a"), text("new"), NOW_US)
    assert (instance.index, changed.attributes.first("x-a")) == (0, text("new"))
    changed, _ = modified(record, Instance("x-a", index=2), text("new"), NOW_US)
    assert [a.value.content for a in changed.attributes.instances("x-a")] == ["0", "1", "new"]


@pytest.mark.row("KS-KMIP-045")
def test_modify_changes_existing_instances_only_and_custom_ones_of_every_kind() -> None:
    with pytest.raises(NotFound) as raised:
        modified(KEY, Instance("x-a"), text("v"), NOW_US)
    assert raised.value.reason == "not_found.attribute"
    record = with_attributes(Attribute("x-a", 0, Value(ItemType.INTEGER, 0)))
    with pytest.raises(NotFound) as raised:
        modified(record, Instance("x-a", index=1), text("v"), NOW_US)
    assert raised.value.reason == "not_found.attribute_instance"
    assert modified(record, Instance("x-a"), Value(ItemType.INTEGER, 1), NOW_US).attribute.value.content == 1


def test_an_instance_is_named_by_its_value_in_newer_versions() -> None:
    record = with_attributes(Attribute("Name", 0, name_value("a")), Attribute("Name", 3, name_value("b")))
    changed, instance = modified(record, Instance("Name", current=name_value("b")), name_value("c"), NOW_US)
    assert (instance.index, changed.attributes.instances("Name")[1].value) == (3, name_value("c"))
    with pytest.raises(NotFound):
        modified(record, Instance("Name", current=name_value("z")), name_value("c"), NOW_US)
    with pytest.raises(Invalid) as raised:
        modified(record, Instance("Name", only=True), name_value("c"), NOW_US)
    assert raised.value.reason == "invalid.attribute_multiple"


@pytest.mark.row("KS-KMIP-038")
def test_delete_removes_one_instance_or_all() -> None:
    record = with_attributes(*(Attribute("x-a", index, text(str(index))) for index in range(3)))
    changed, gone = deleted(record, Instance("x-a", index=1), NOW_US)
    assert (gone.value.content, [a.index for a in changed.attributes.instances("x-a")]) == ("1", [0, 2])
    assert len(deleted(record, Instance("x-a"), NOW_US, every=True).record.attributes) == 0
    with pytest.raises(NotFound):
        deleted(record, Instance("x-b"), NOW_US)


@pytest.mark.row("KS-KMIP-038")
@pytest.mark.parametrize("name", [r.name for r in ATTRIBUTES.values() if not r.client & Client.DELETE])
def test_required_and_fixed_attributes_cannot_be_deleted(name: str) -> None:
    with pytest.raises(Invalid):
        deleted(KEY, Instance(name), NOW_US)


@pytest.mark.row("KS-KMIP-030", "KS-KMIP-034", "KS-KMIP-035")
@pytest.mark.parametrize("name", [r.name for r in ATTRIBUTES.values() if r.read_only])
def test_what_the_server_sets_no_client_touches(name: str) -> None:
    for value in (text("v"), date(0), Value(ItemType.ENUMERATION, 1)):
        changes: list[Callable[[], object]] = [
            partial(added, KEY, name, value, NOW_US),
            partial(modified, KEY, Instance(name), value, NOW_US),
            partial(assigned, KEY, name, value, NOW_US),
        ]
        for change in changes:
            with pytest.raises(Invalid) as raised:
                change()
            assert raised.value.reason in {"invalid.attribute_read_only", "invalid.attribute"}


def test_set_adds_or_replaces_but_never_chooses() -> None:
    record = assigned(KEY, "tc/Set", text("one"), NOW_US).record
    record = assigned(record, "tc/Set", text("two"), NOW_US).record
    assert [a.value for a in record.attributes] == [text("two")]
    record = added(record, "tc/Set", text("three"), NOW_US).record
    with pytest.raises(Invalid) as raised:
        assigned(record, "tc/Set", text("four"), NOW_US)
    assert raised.value.reason == "invalid.attribute_multiple"


DATE_RULES = {
    "Activation Date": {State.PRE_ACTIVE},
    "Process Start Date": {State.PRE_ACTIVE, State.ACTIVE},
    "Protect Stop Date": {State.PRE_ACTIVE, State.ACTIVE},
    "Deactivation Date": {State.PRE_ACTIVE, State.ACTIVE},
}


@pytest.mark.row("KS-LIFE-006", "KS-LIFE-002")
@pytest.mark.parametrize("state", IN_STATE, ids=lambda s: s.name)
@pytest.mark.parametrize("name", DATE_RULES)
def test_dates_may_be_set_in_the_states_of_the_specification(name: str, state: State) -> None:
    record = KEY._replace(dates=IN_STATE[state])
    if state in DATE_RULES[name]:
        assert instances_of(assigned(record, name, date(60), NOW_US).record, name, NOW_US)[0].value == date(60)
    else:
        with pytest.raises(WrongState):
            assigned(record, name, date(60), NOW_US)


@pytest.mark.row("KS-LIFE-005", "KS-KMIP-051")
@pytest.mark.parametrize(
    ("offset_s", "now", "later"), [(-5, State.DEACTIVATED, State.DEACTIVATED), (60, State.ACTIVE, State.DEACTIVATED)]
)
def test_a_deactivation_date_deactivates_at_its_time(offset_s: int, now: State, later: State) -> None:
    record = KEY._replace(dates=Dates(activation_us=NOW_US - 9 * SECOND_US))
    record = added(record, "Deactivation Date", date(offset_s), NOW_US).record
    assert record.state(NOW_US) is now
    assert record.state(NOW_US + 60 * SECOND_US) is later


def test_an_activation_date_of_the_past_activates_at_once() -> None:
    assert added(KEY, "Activation Date", date(-60), NOW_US).record.state(NOW_US) is State.ACTIVE


@pytest.mark.parametrize("name", ["Process Start Date", "Protect Stop Date"])
def test_dates_that_have_passed_are_fixed(name: str) -> None:
    record = KEY._replace(dates=Dates(activation_us=NOW_US - 9 * SECOND_US))
    record = added(record, name, date(-5), NOW_US).record
    with pytest.raises(WrongState):
        modified(record, Instance(name), date(60), NOW_US)


def test_dates_stay_in_order() -> None:
    record = KEY._replace(dates=Dates(activation_us=NOW_US - 9 * SECOND_US))
    with pytest.raises(Invalid):
        added(record, "Deactivation Date", date(-10), NOW_US)


FLAGS = st.lists(st.tuples(st.sampled_from(["Sensitive", "Extractable"]), st.booleans()), max_size=8)


@given(FLAGS)
def test_protection_only_grows(changes: list[tuple[str, bool]]) -> None:
    """Attack class 19: nobody talks a key out of being sensitive, or back into being extractable."""
    record = KEY
    for name, value in changes:
        before = record.protection
        try:
            record = assigned(record, name, boolean(value), NOW_US).record
        except Refused:
            assert record.protection == before
        after = record.protection
        assert after.sensitive >= before.sensitive
        assert after.extractable <= before.extractable
        assert not after.always_sensitive
        assert not after.never_extractable


def test_always_and_never_remember_how_the_object_was_born() -> None:
    held = KEY._replace(protection=Protection(True, True, True, True, False, True))
    record = assigned(held, "Sensitive", boolean(True), NOW_US).record
    assert record.protection.always_sensitive
    assert record.protection.never_extractable
    with pytest.raises(Refused):
        assigned(held, "Extractable", boolean(True), NOW_US)


def test_usage_limits_are_fixed_once_used() -> None:
    fresh = with_attributes(Attribute("Usage Limits", 0, made("Usage Limits", 100, 100, 1)))
    changed = modified(fresh, Instance("Usage Limits"), made("Usage Limits", 50, 9, 1), NOW_US)
    assert changed.attribute.value == made("Usage Limits", 50, 50, 1)
    used = with_attributes(Attribute("Usage Limits", 0, made("Usage Limits", 100, 99, 1)))
    with pytest.raises(Refused):
        modified(used, Instance("Usage Limits"), made("Usage Limits", 500, None, 1), NOW_US)
    with pytest.raises(Refused):
        deleted(used, Instance("Usage Limits"), NOW_US)


def test_a_mask_is_given_once() -> None:
    secret = KEY._replace(object_type=int(ObjectType.SECRET_DATA), shape=KeyShape(subtype=1))
    record = added(secret, "Cryptographic Usage Mask", Value(ItemType.INTEGER, 2), NOW_US).record
    assert record.shape.usage_mask == 2
    with pytest.raises(Exists):
        added(record, "Cryptographic Usage Mask", Value(ItemType.INTEGER, 4), NOW_US)


def test_objects_of_other_types_take_no_such_attribute() -> None:
    with pytest.raises(Invalid):
        added(KEY, "Cryptographic Domain Parameters", made("Cryptographic Domain Parameters", 1), NOW_US)


@pytest.mark.row("KS-KMIP-029")
def test_the_digest_names_sha_256_and_the_format() -> None:
    assert instances_of(KEY, "Digest", NOW_US)[0].value == made("Digest", 6, b"d" * 32, 1)


@pytest.mark.row("KS-KMIP-042")
def test_every_attribute_that_is_always_there_is_there() -> None:
    names = {a.name for a in attributes_of(KEY, NOW_US)}
    always = {r.name for r in ATTRIBUTES.values() if r.always and ObjectType.SYMMETRIC_KEY in r.kinds & r.kinds_2}
    assert always <= names


def test_what_is_not_in_the_multimap_has_a_reader() -> None:
    assert all(name in ATTRIBUTES for name in READERS)


@given(name=st.sampled_from(sorted(ATTRIBUTES)), kind=st.sampled_from(list(ItemType)), number=st.integers())
def test_no_change_ends_in_anything_but_an_answer_or_one_of_our_errors(name: str, kind: ItemType, number: int) -> None:
    content: Any = {ItemType.STRUCTURE: (), ItemType.TEXT_STRING: "t", ItemType.BYTE_STRING: b"b"}.get(kind, number)
    for change in (added, assigned):
        try:
            changed = change(KEY, name, Value(kind, content), NOW_US)
        except KeysteadError:
            continue
        assert changed.record.id == KEY.id
