"""Finding objects."""

from dataclasses import replace

import pytest

from keystead.core.attributes import ItemType, Value, text
from keystead.core.structures import TAG_NAME_VALUE, made, name_value
from keystead.operations.grants import GrantKey
from keystead.operations.requests import (
    Activate,
    AddAttribute,
    Condition,
    Destroy,
    Get,
    GetAttributes,
    Locate,
    Located,
    Revoke,
)
from tests.support.builders import (
    AES,
    ALICE,
    BOB,
    ENCRYPT,
    GLOBAL,
    PERMISSIVE,
    START_US,
    Node,
    a_key,
    a_user,
    boolean,
    creation,
    date,
    enumeration,
    integer,
)


def found(node: Node, *conditions: Condition, **more: int) -> set[str]:
    return set(node.ask(ALICE, Locate(conditions, **more)).ids)


@pytest.fixture
def keys(node: Node) -> list[str]:
    """Five keys, a second apart, oldest first; the fourth is active, the fifth compromised."""
    made_keys = []
    for number in range(5):
        key = a_key(node, active=number == 3, bits=128 if number == 0 else 256)
        node.ask(ALICE, AddAttribute("Name", name_value(f"key {number}"), key))
        node.ask(ALICE, AddAttribute("x-Number", integer(number), key))
        made_keys.append(key)
        node.clock.pass_s(1)
    node.ask(ALICE, Revoke(2, target=made_keys[4]))
    return made_keys


@pytest.mark.row("KS-KMIP-043")
@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        (Condition("Name", name_value("key 2")), {2}),
        (Condition("Name", Value(ItemType.STRUCTURE, ((TAG_NAME_VALUE, 7, "key 3"),))), {3}),
        (Condition("Name", name_value("key")), set()),
        (Condition("x-Number", integer(1)), {1}),
        (Condition("State", enumeration(2)), {3}),
        (Condition("State", enumeration(4)), {4}),
        (Condition("Cryptographic Algorithm", enumeration(AES)), {0, 1, 2, 3, 4}),
        (Condition("Cryptographic Length", integer(128)), {0}),
        (Condition("Cryptographic Usage Mask", integer(ENCRYPT)), {0, 1, 2, 3, 4}),
        (Condition("Cryptographic Usage Mask", integer(ENCRYPT | 1)), set()),
        (Condition("Object Type", enumeration(7)), set()),
        (Condition("Initial Date", date(2)), {2}),
        (Condition("Fresh", boolean(True)), {0, 1, 2, 3, 4}),
        (Condition("Lease Time", Value(ItemType.INTERVAL, 3600)), {0, 1, 2, 3, 4}),
        (Condition("Revocation Reason", made("Revocation Reason", 2)), {4}),
        (Condition("Protection Storage Mask", integer(2)), set()),
        (Condition("Contact Information", text("nobody")), set()),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_objects_are_found_by_any_attribute(
    node: Node, keys: list[str], condition: Condition, numbers: set[int]
) -> None:
    assert found(node, condition) == {keys[number] for number in numbers}


def test_objects_are_found_by_what_is_made_of_their_bytes_and_ids(node: Node, keys: list[str]) -> None:
    read = node.ask(ALICE, GetAttributes(keys[1], ("Digest", "Short Unique Identifier", "Unique Identifier")))
    for name, _, value in read.attributes:
        assert found(node, Condition(name, value)) == {keys[1]}


@pytest.mark.row("KS-KMIP-043")
def test_two_dates_of_one_name_are_a_range_with_its_ends(node: Node, keys: list[str]) -> None:
    low, high = Condition("Initial Date", date(1)), Condition("Initial Date", date(3))
    assert found(node, low, high) == found(node, high, low) == set(keys[1:4])
    unbounded = Condition("Initial Date", Value(ItemType.DATE_TIME, (1 << 63) - 1))
    assert found(node, low, unbounded) == set(keys[1:])
    assert node.reason(ALICE, Locate((low, high, low))) == "invalid.field"


def test_all_conditions_hold_together(node: Node, keys: list[str]) -> None:
    both = (Condition("x-Number", integer(3)), Condition("State", enumeration(2)))
    assert found(node, *both) == {keys[3]}
    assert found(node, both[0], Condition("State", enumeration(1))) == set()


def test_the_newest_come_first_and_limits_hold(node: Node, keys: list[str]) -> None:
    assert node.ask(ALICE, Locate()) == Located(tuple(reversed(keys)), 5)
    assert node.ask(ALICE, Locate(maximum_count=2)).ids == (keys[4], keys[3])
    assert node.ask(ALICE, Locate(maximum_count=2, offset_count=1)).ids == (keys[3], keys[2])
    assert node.ask(ALICE, Locate(maximum_count=0)).ids == tuple(reversed(keys))
    lease = Condition("Lease Time", Value(ItemType.INTERVAL, 3600))
    assert node.ask(ALICE, Locate((lease,), maximum_count=2, offset_count=2)).ids == (keys[2], keys[1])


@pytest.mark.parametrize("request_", [Locate(maximum_count=-1), Locate(offset_count=-1), Locate(offset_count=1 << 40)])
def test_counts_out_of_range_lift_no_limit(node: Node, request_: Locate) -> None:
    assert node.reason(ALICE, request_) == "invalid.field"


@pytest.mark.row("KS-KMIP-044")
@pytest.mark.parametrize(("mask", "states"), [(None, {1}), (0, set()), (1, {1}), (2, set()), (4, {5}), (5, {1, 5})])
def test_a_mask_without_the_online_bit_finds_nothing_online(node: Node, mask: int | None, states: set[int]) -> None:
    by_state = {1: a_key(node, active=False), 5: a_key(node, active=False)}
    node.ask(ALICE, Destroy(by_state[5]))
    assert set(node.ask(ALICE, Locate(storage_mask=mask)).ids) == {by_state[state] for state in states}


def test_destroyed_objects_are_found_when_their_state_is_asked_for(node: Node) -> None:
    key = a_key(node, active=False)
    node.ask(ALICE, Destroy(key))
    assert found(node) == set()
    assert found(node, Condition("State", enumeration(5))) == {key}


@pytest.mark.parametrize("condition", [Condition("Colour", text("red")), Condition("Certificate", text("n"))])
def test_unknown_attributes_are_refused(node: Node, condition: Condition) -> None:
    assert node.reason(ALICE, Locate((condition,))) == "invalid.attribute"


def test_usage_limits_are_at_least_what_is_asked_for(node: Node) -> None:
    key = node.ask(ALICE, creation(Usage_Limits=made("Usage Limits", 100, None, 1))).id
    for total, hit in ((99, True), (100, True), (101, False)):
        condition = Condition("Usage Limits", made("Usage Limits", total, None, 1))
        assert found(node, condition) == ({key} if hit else set())
    assert found(node, Condition("Usage Limits", made("Usage Limits", 1, None, 2))) == set()


def test_fresh_members_of_a_group(node: Node) -> None:
    groups = [a_key(node, Object_Group=text("tapes")) for _ in range(2)]
    node.ask(ALICE, Get(groups[0]))
    condition = Condition("Object Group", text("tapes"))
    assert found(node, condition, group_member=1) == {groups[1]}
    assert found(node, condition, group_member=2) == set(groups)


def test_nobody_finds_what_they_may_not_see(node: Node, keys: list[str]) -> None:
    member = a_user("carol", "staff")
    assert node.ask(BOB, Locate()).ids == node.ask(member, Locate()).ids == ()
    name = Condition("Name", name_value("key 2"))
    unindexed = Condition("Lease Time", Value(ItemType.INTERVAL, 3600))
    for conditions in ((), (name,), (unindexed,), (Condition("Unique Identifier", text(keys[2])),)):
        for mask in (None, 1, 4, 5, 7):
            assert node.ask(BOB, Locate(conditions, storage_mask=mask)).ids == ()
    node.ask(ALICE, GrantKey(keys[2], "staff", 1))
    assert node.ask(member, Locate()).ids == (keys[2],)
    assert node.ask(BOB, Locate((name,))).ids == ()


@pytest.mark.row("KS-AUTH-013")
def test_a_user_reaches_own_shared_and_global_keys(node: Node) -> None:
    node.gate.switches = replace(PERMISSIVE, global_keys=True)
    own, foreign, shared = a_key(node, BOB), a_key(node), a_key(node)
    everybodys = node.ask(GLOBAL, creation()).id
    node.ask(ALICE, GrantKey(shared, "staff", 128))
    bob = replace(BOB, groups=frozenset({"staff", "others"}))
    assert set(node.ask(bob, Locate()).ids) == {own, shared, everybodys}
    assert [node.reason(bob, Get(key)) for key in (own, shared, everybodys)] == [None, None, None]
    assert node.reason(bob, Get(foreign)) == "not_found.item"
    assert node.ask(GLOBAL, Locate()).ids == (everybodys,)


def test_the_only_hit_is_meant_by_the_items_that_follow(node: Node, keys: list[str]) -> None:
    name = Locate((Condition("Name", name_value("key 2")),))
    replies = node.batch(ALICE, [name, Get(), GetAttributes("", ("State",))])
    assert [reply.error for reply in replies] == [None, None, None]
    assert replies[1].result.id == replies[2].result.id == keys[2]


@pytest.mark.parametrize("conditions", [(), (Condition("Name", name_value("nothing")),)], ids=["several", "none"])
def test_several_hits_or_none_empty_the_placeholder(
    node: Node, keys: list[str], conditions: tuple[Condition, ...]
) -> None:
    """What follows must never fall on the object of an earlier item."""
    replies = node.batch(ALICE, [creation(), Locate(conditions), Destroy()], go_on=True)
    assert replies[2].error is not None
    assert replies[2].error.reason == "invalid.missing"
    assert node.record(replies[0].result.id).state(START_US) == 1


def test_a_failed_item_empties_the_placeholder(node: Node) -> None:
    replies = node.batch(ALICE, [creation(), creation(bits=1), Destroy()], go_on=True)
    assert [reply.error.reason if reply.error else None for reply in replies] == [
        None,
        "invalid.attribute_value",
        "invalid.missing",
    ]


def test_a_search_sees_what_the_items_before_it_did(node: Node) -> None:
    replies = node.batch(ALICE, [creation(), Activate(), Locate((Condition("State", enumeration(2)),))])
    assert replies[2].result.ids == (replies[0].result.id,)
