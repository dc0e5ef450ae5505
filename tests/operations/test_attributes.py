"""Attributes through the gate: who may read and change them, and what is durable."""

from collections.abc import Callable
from typing import Any

import pytest

from keystead.core.attributes import Attribute, text
from keystead.core.permission import GRANTABLE
from keystead.core.structures import made, name_value
from keystead.operations.grants import GrantKey
from keystead.operations.requests import (
    AddAttribute,
    Condition,
    DeleteAttribute,
    Destroy,
    GetAttributeList,
    GetAttributes,
    Locate,
    ModifyAttribute,
    SetAttribute,
)
from tests.support.builders import ALICE, BOB, Node, a_key, a_user, attribute, integer

CHANGES: dict[str, Callable[[str], Any]] = {
    "add": lambda key: AddAttribute("x-Own", text("v"), key),
    "modify": lambda key: ModifyAttribute("x-Held", text("v"), target=key),
    "delete": lambda key: DeleteAttribute("x-Held", target=key),
    "set": lambda key: SetAttribute("x-Own", text("v"), key),
}


@pytest.fixture
def key(node: Node) -> str:
    key = a_key(node)
    node.ask(ALICE, AddAttribute("x-Held", text("before"), key))
    return key


def held(node: Node, key: str, name: str) -> list[Attribute]:
    return [a for a in node.ask(ALICE, GetAttributes(key)).attributes if a.name == name]


@pytest.mark.row("KS-KMIP-041")
def test_named_attributes_come_with_all_instances_and_absent_ones_are_left_out(node: Node, key: str) -> None:
    for word in ("a", "b"):
        node.ask(ALICE, AddAttribute("Object Group", text(word), key))
    read = node.ask(ALICE, GetAttributes(key, ("Object Group", "Contact Information", "State", "x-Never")))
    assert [(a.name, a.index) for a in read.attributes] == [("Object Group", 0), ("Object Group", 1), ("State", 0)]
    assert node.ask(ALICE, GetAttributes(key, ("Contact Information",))).attributes == ()
    assert node.reason(ALICE, GetAttributes(key, ("State", "State"))) == "invalid.message"


@pytest.mark.row("KS-KMIP-041", "KS-KMIP-042")
def test_no_names_mean_all_and_the_list_names_the_same(node: Node, key: str) -> None:
    every = {a.name for a in node.ask(ALICE, GetAttributes(key)).attributes}
    assert every == {a.name for a in node.ask(ALICE, GetAttributeList(key)).attributes}
    assert {"Unique Identifier", "State", "Digest", "x-Held", "Random Number Generator"} <= every


@pytest.mark.row("KS-KMIP-036", "KS-KMIP-049", "KS-KEY-020")
def test_aliases_are_added_later_and_are_durable(node: Node, key: str) -> None:
    for index, word in enumerate(("first", "second")):
        changed = node.ask(ALICE, AddAttribute("Name", name_value(word), key))
        assert changed.attribute == Attribute("Name", index, name_value(word))
    assert [a.value for a in node.record(key).attributes.instances("Name")] == [
        name_value("first"),
        name_value("second"),
    ]


@pytest.mark.row("KS-KMIP-038", "KS-KMIP-045")
def test_changing_and_deleting_answer_with_the_instance(node: Node, key: str) -> None:
    changed = node.ask(ALICE, ModifyAttribute("x-Held", text("after"), target=key))
    assert changed.attribute == Attribute("x-Held", 0, text("after"))
    assert node.ask(ALICE, DeleteAttribute("x-Held", target=key)).attribute == Attribute("x-Held", 0, text("after"))
    assert held(node, key, "x-Held") == []
    assert node.reason(ALICE, DeleteAttribute("x-Held", target=key)) == "not_found.attribute"
    assert node.reason(ALICE, DeleteAttribute("State", target=key)) == "invalid.attribute_read_only"


@pytest.mark.row("KS-KMIP-031")
def test_objects_are_linked_by_their_clients(node: Node, key: str) -> None:
    other = a_key(node)
    following = made("Link", 0x10B, other)
    assert node.ask(ALICE, AddAttribute("Link", following, key)).attribute.value == following
    assert node.ask(ALICE, Locate((Condition("Link", made("Link", None, other)),))).ids == (key,)
    assert node.reason(ALICE, AddAttribute("Link", made("Link", 0x10B), key)) == "invalid.attribute_value"


def test_all_instances_go_at_once_in_newer_versions(node: Node, key: str) -> None:
    node.ask(ALICE, AddAttribute("x-Held", text("more"), key))
    node.ask(ALICE, DeleteAttribute("x-Held", every=True, target=key))
    assert held(node, key, "x-Held") == []


def test_an_instance_without_a_name_must_be_the_only_one_in_newer_versions(node: Node, key: str) -> None:
    node.ask(ALICE, AddAttribute("x-Held", text("more"), key))
    request = ModifyAttribute("x-Held", text("v"), target=key, only=True)
    assert node.reason(ALICE, request) == "invalid.attribute_multiple"


def test_a_change_moves_the_last_change_date(node: Node, key: str) -> None:
    node.clock.pass_s(5)
    node.ask(ALICE, SetAttribute("x-Own", text("v"), key))
    assert node.record(key).last_change_us == node.clock.us


@pytest.mark.parametrize("change", CHANGES)
def test_only_the_owner_changes_attributes(node: Node, key: str, change: str) -> None:
    member = a_user("carol", "staff")
    node.ask(ALICE, GrantKey(key, "staff", int(GRANTABLE) & ~0x1F8))  # everything that an AES key can be granted
    before = node.record(key)
    assert node.reason(member, CHANGES[change](key)) == "refused.permission"
    assert node.reason(BOB, CHANGES[change](key)) == "not_found.item"
    assert node.record(key) == before
    assert node.reason(ALICE, CHANGES[change](key)) is None


def test_members_see_attributes_and_strangers_do_not(node: Node, key: str) -> None:
    node.ask(ALICE, GrantKey(key, "staff", 1))
    assert attribute(node, a_user("carol", "staff"), key, "State") == 2
    assert node.reason(BOB, GetAttributes(key)) == "not_found.item"


@pytest.mark.parametrize("change", CHANGES)
def test_destroyed_objects_are_read_and_no_longer_changed(node: Node, change: str) -> None:
    key = a_key(node, active=False)
    node.ask(ALICE, AddAttribute("x-Held", text("before"), key))
    node.ask(ALICE, Destroy(key))
    assert attribute(node, ALICE, key, "State") == 5
    assert attribute(node, ALICE, key, "x-Held") == "before"
    assert node.reason(ALICE, CHANGES[change](key)) == "wrong_state.destroyed"


def test_three_additions_in_one_message_see_each_other(node: Node, key: str) -> None:
    replies = node.batch(ALICE, [AddAttribute("x-Many", integer(number), key) for number in range(3)])
    assert [reply.result.attribute.index for reply in replies] == [0, 1, 2]
    assert [a.value.content for a in held(node, key, "x-Many")] == [0, 1, 2]
