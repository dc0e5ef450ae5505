"""Who may use a key beside its owner, and whose it is."""

from dataclasses import replace
from typing import Any

import pytest

from keystead.core.permission import Right
from keystead.core.structures import name_value
from keystead.operations.grants import GiveRights, Grant, Grants, ListGrants, SetOwner, TakeRights
from keystead.operations.key_lists import Key, ListKeys
from keystead.operations.requests import Condition, Destroy, Get, Locate, Revoke
from keystead.operations.users import CreateUser
from tests.operations.test_kept_certificates import a_certificate
from tests.support.builders import ADMINISTRATOR, ALICE, BOB, GLOBAL, PERMISSIVE, Node, a_key, a_user

SEE, ENCRYPT, EXPORT = int(Right.SEE), int(Right.ENCRYPT), int(Right.EXPORT)


@pytest.fixture
def key(node: Node) -> str:
    """Alice's key; bob and carol are users, carol is of the staff."""
    for user, groups in (("alice", ()), ("bob", ()), ("carol", ("staff",))):
        node.ask(ADMINISTRATOR, CreateUser(user, groups))
    return a_key(node)


def grants(node: Node, key: str) -> dict[str, int]:
    return {one.group or f"{one.user}!": one.rights for one in node.ask(ADMINISTRATOR, ListGrants(key)).grants}


def test_rights_are_given_and_taken_one_by_one(node: Node, key: str) -> None:
    node.ask(ADMINISTRATOR, GiveRights(key, ENCRYPT, "staff"))
    node.ask(ALICE, GiveRights(key, EXPORT, user="bob"))
    told = node.ask(ADMINISTRATOR, GiveRights(key, EXPORT, "staff"))
    assert told == Grants(key, "alice", (Grant("staff", "", SEE | ENCRYPT | EXPORT), Grant("", "bob", SEE | EXPORT)))
    node.ask(ADMINISTRATOR, TakeRights(key, EXPORT, "staff"))
    assert grants(node, key) == {"staff": SEE | ENCRYPT, "bob!": SEE | EXPORT}
    node.ask(ADMINISTRATOR, TakeRights(key, ENCRYPT, "staff"))  # seeing alone was never asked for
    node.ask(ADMINISTRATOR, TakeRights(key, SEE | EXPORT, user="bob"))
    assert grants(node, key) == {}


def test_who_was_granted_a_key_finds_it_and_loses_it_at_once(node: Node, key: str) -> None:
    own = a_key(node, BOB)
    assert node.ask(BOB, Locate(())).ids == (own,)
    node.ask(ALICE, GiveRights(key, EXPORT, user="bob"))
    assert set(node.ask(BOB, Locate(())).ids) == {own, key}
    assert node.ask(BOB, Get(key)).block is not None
    node.ask(ALICE, TakeRights(key, EXPORT, user="bob"))
    assert node.ask(BOB, Locate(())).ids == (own,)
    assert node.reason(BOB, Get(key)) == "not_found.item"


@pytest.mark.parametrize(
    ("request_of", "reason"),
    [
        (lambda key: GiveRights(key, SEE), "invalid.field"),
        (lambda key: GiveRights(key, SEE, "staff", "bob"), "invalid.field"),
        (lambda key: GiveRights(key, SEE, user="nobody"), "not_found.item"),
        (lambda key: GiveRights(key, SEE, user="alice"), "refused.permission"),
        (lambda key: GiveRights(key, 0, user="bob"), "invalid.field"),
        (lambda key: GiveRights(key, -1, user="bob"), "invalid.field"),
        (lambda key: GiveRights(key, int(Right.DELETE), user="bob"), "invalid.field"),
        (lambda key: GiveRights(key, int(Right.SIGN), user="bob"), "invalid.field"),
        (lambda key: GiveRights(key, SEE, "user:bob"), "invalid.field"),
        (lambda key: GiveRights(key, SEE, user="user:bob"), "invalid.field"),
    ],
)
def test_what_cannot_be_granted_is_refused(node: Node, key: str, request_of: Any, reason: str) -> None:
    assert node.reason(ADMINISTRATOR, request_of(key)) == reason
    assert grants(node, key) == {}


@pytest.mark.row("KS-KEY-003", "KS-KEY-059")
def test_a_key_changes_hands(node: Node, key: str) -> None:
    node.ask(ALICE, GiveRights(key, ENCRYPT, "staff"))
    node.ask(ALICE, GiveRights(key, EXPORT, user="bob"))
    value = node.ask(ALICE, Get(key)).block.material.reveal()
    node.ask(ADMINISTRATOR, SetOwner(key, "bob"))
    assert node.reason(ALICE, Get(key)) == "not_found.item"
    assert node.ask(ALICE, Locate(())).ids == ()
    assert node.ask(BOB, Locate(())).ids == (key,)
    assert node.ask(BOB, Get(key)).block.material.reveal() == value
    assert node.ask(BOB, Revoke(1, target=key))
    assert grants(node, key) == {"staff": SEE | ENCRYPT}
    assert node.ask(a_user("carol", "staff"), Locate(())).ids == (key,)


@pytest.mark.row("KS-KEY-003", "KS-KEY-006", "KS-KEY-059")
def test_a_key_of_nobody_needs_the_switch_and_has_no_grants(node: Node, key: str) -> None:
    node.ask(ALICE, GiveRights(key, ENCRYPT, "staff"))
    assert node.reason(ADMINISTRATOR, SetOwner(key, None)) == "refused.switched_off"
    node.gate.switches = replace(PERMISSIVE, global_keys=True)
    assert node.ask(ADMINISTRATOR, SetOwner(key, None)) == Grants(key, None, ())
    assert node.ask(GLOBAL, Locate(())).ids == (key,)
    assert node.reason(ADMINISTRATOR, GiveRights(key, ENCRYPT, "staff")) == "refused.permission"
    node.ask(ADMINISTRATOR, SetOwner(key, "bob"))
    assert node.reason(GLOBAL, Get(key)) == "not_found.item"


@pytest.mark.row("KS-KEY-059")
def test_a_certificate_does_not_change_hands(node: Node) -> None:
    node.gate.switches = replace(PERMISSIVE, global_keys=True)
    kept = a_certificate(node)
    for owner in ("bob", None):
        assert node.reason(ADMINISTRATOR, SetOwner(kept, owner)) == "invalid.object_type"
    assert node.record(kept).owner == "alice"


def test_only_users_that_there_are_own_keys(node: Node, key: str) -> None:
    assert node.reason(ADMINISTRATOR, SetOwner(key, "nobody")) == "not_found.item"
    assert node.reason(ALICE, SetOwner(key, "bob")) == "refused.permission"


def test_destroyed_keys_change_hands_too(node: Node, key: str) -> None:
    node.ask(ALICE, Revoke(1, target=key))
    node.ask(ALICE, Destroy(key))
    node.ask(ADMINISTRATOR, SetOwner(key, "bob"))
    assert node.record(key).owner == "bob"


def test_administrators_list_keys_without_their_bytes(node: Node, key: str) -> None:
    named = a_key(node, active=False, Name=name_value("first"))
    node.ask(ALICE, GiveRights(named, ENCRYPT, "staff"))
    node.ask(ALICE, GiveRights(named, ENCRYPT, user="bob"))
    line = Key(named, "alice", "symmetric key", "AES", 256, "pre-active", ("first",))
    assert node.ask(ADMINISTRATOR, ListKeys("alice"))[0] == line
    assert [one.id for one in node.ask(ADMINISTRATOR, ListKeys("alice"))] == [named, key]
    assert [one.id for one in node.ask(ADMINISTRATOR, ListKeys("alice", offset=1))] == [key]
    assert node.ask(ADMINISTRATOR, ListKeys("bob")) == node.ask(ADMINISTRATOR, ListKeys(group="staff")) == (line,)
    assert node.ask(ADMINISTRATOR, ListKeys()) == ()
    assert node.reason(ADMINISTRATOR, ListKeys("alice", "staff")) == "invalid.field"
    assert node.reason(ALICE, ListKeys("alice")) == "refused.permission"
    assert node.ask(BOB, Locate((Condition("Name", name_value("first")),))).ids == (named,)
