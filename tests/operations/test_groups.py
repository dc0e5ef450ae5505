"""Groups, and what is left of users and groups that are deleted: nothing."""

from dataclasses import replace
from typing import Any

import pytest

from keystead.core.permission import EVERY_ACCESS, Access, Right
from keystead.operations import groups
from keystead.operations.grants import GiveRights, ListGrants
from keystead.operations.groups import (
    AddMember,
    CreateGroup,
    DeleteGroup,
    DeleteUser,
    Group,
    ListGroups,
    RemoveMember,
    ShowGroup,
)
from keystead.operations.requests import Get, Locate
from keystead.operations.users import CreateUser, SetGroups, ShowUser
from tests.support.builders import ADMINISTRATOR, ALICE, BOB, Node, a_key, a_user

EXPORT = int(Right.EXPORT)


def told(node: Node) -> dict[str, int]:
    return {group.name: group.members_count for group in node.ask(ADMINISTRATOR, ListGroups())}


@pytest.mark.row("KS-USR-006", "KS-USR-007")
def test_groups_are_created_filled_emptied_and_deleted(node: Node) -> None:
    for user in ("alice", "bob"):
        node.ask(ADMINISTRATOR, CreateUser(user))
    node.ask(ADMINISTRATOR, CreateGroup("staff"))
    assert told(node) == {"staff": 0}
    for user in ("bob", "alice", "alice"):
        node.ask(ADMINISTRATOR, AddMember("staff", user))
    assert node.ask(ADMINISTRATOR, ShowGroup("staff")) == Group("staff", 2, ("alice", "bob"))
    assert node.ask(ADMINISTRATOR, ShowUser("alice")).groups == ("staff",)
    node.ask(ADMINISTRATOR, RemoveMember("staff", "bob"))
    assert told(node) == {"staff": 1}
    node.ask(ADMINISTRATOR, DeleteGroup("staff"))
    assert told(node) == {}
    assert node.ask(ADMINISTRATOR, ShowUser("alice")).groups == ()
    assert node.reason(ADMINISTRATOR, ShowGroup("staff")) == "not_found.item"


def test_a_group_that_users_were_put_into_is_one(node: Node) -> None:
    """As every group was before groups could be created."""
    node.ask(ADMINISTRATOR, CreateUser("alice", ("staff",)))
    assert told(node) == {"staff": 1}
    assert node.reason(ADMINISTRATOR, CreateGroup("staff")) == "exists"
    node.ask(ADMINISTRATOR, RemoveMember("staff", "alice"))
    assert told(node) == {"staff": 0}
    node.ask(ADMINISTRATOR, SetGroups("alice", ("others",)))
    node.ask(ADMINISTRATOR, DeleteGroup("others"))
    assert told(node) == {"staff": 0}


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (CreateGroup("no such name"), "invalid.field"),
        (AddMember("nowhere", "alice"), "not_found.item"),
        (AddMember("staff", "nobody"), "not_found.item"),
        (RemoveMember("staff", "alice"), "not_found.item"),
        (DeleteGroup("nowhere"), "not_found.item"),
        (DeleteUser("nobody"), "not_found.item"),
        (DeleteUser("alice", "nobody"), "not_found.item"),
        (DeleteUser("alice", "alice"), "refused.permission"),
    ],
)
def test_what_is_not_there_is_named(node: Node, request_: Any, reason: str) -> None:
    node.ask(ADMINISTRATOR, CreateUser("alice"))
    node.ask(ADMINISTRATOR, CreateGroup("staff"))
    assert node.reason(ADMINISTRATOR, request_) == reason


def test_a_group_of_the_same_name_inherits_nothing(node: Node) -> None:
    key = a_key(node)
    node.ask(ADMINISTRATOR, CreateUser("bob", ("staff",)))
    node.ask(ALICE, GiveRights(key, EXPORT, "staff"))
    node.ask(ALICE, GiveRights(key, EXPORT, "others"))
    node.ask(ADMINISTRATOR, DeleteGroup("staff"))
    node.ask(ADMINISTRATOR, CreateGroup("staff"))
    node.ask(ADMINISTRATOR, AddMember("staff", "bob"))
    assert node.reason(a_user("bob", "staff"), Get(key)) == "not_found.item"
    assert [one.group for one in node.ask(ADMINISTRATOR, ListGrants(key)).grants] == ["others"]


@pytest.mark.row("KS-USR-007", "KS-USR-009")
def test_a_user_of_the_same_name_inherits_nothing(node: Node) -> None:
    key = a_key(node)
    node.ask(ADMINISTRATOR, CreateUser("bob", ("staff",)))
    node.ask(ALICE, GiveRights(key, EXPORT, user="bob"))
    node.ask(ADMINISTRATOR, DeleteUser("bob"))
    assert node.reason(ADMINISTRATOR, ShowUser("bob")) == "not_found.item"
    node.ask(ADMINISTRATOR, CreateUser("bob"))
    assert node.ask(ADMINISTRATOR, ShowUser("bob")).groups == ()
    assert node.reason(BOB, Get(key)) == "not_found.item"
    assert node.ask(BOB, Locate(())).ids == ()


@pytest.mark.row("KS-USR-008")
def test_a_user_who_owns_keys_is_deleted_only_with_an_heir(node: Node) -> None:
    for user in ("alice", "bob"):
        node.ask(ADMINISTRATOR, CreateUser(user))
    keys = {a_key(node) for _ in range(3)}
    value = {key: node.ask(ALICE, Get(key)).block.material.reveal() for key in keys}
    assert node.reason(ADMINISTRATOR, DeleteUser("alice")) == "refused.permission"
    assert node.ask(ADMINISTRATOR, ShowUser("alice"))
    node.ask(ADMINISTRATOR, DeleteUser("alice", "bob"))
    assert set(node.ask(BOB, Locate(())).ids) == keys
    assert {key: node.ask(BOB, Get(key)).block.material.reveal() for key in keys} == value


def test_more_than_one_change_can_hold_is_refused(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "LOCATE_COUNT_MAX", 2)
    monkeypatch.setattr(groups, "MEMBERS_PER_CHANGE_COUNT_MAX", 1)
    for user in ("alice", "bob"):
        node.ask(ADMINISTRATOR, CreateUser(user, ("staff",)))
    assert node.reason(ADMINISTRATOR, DeleteGroup("staff")) == "too_large.request"
    for _ in range(2):
        a_key(node)
    assert node.reason(ADMINISTRATOR, DeleteUser("alice", "bob")) == "too_large.request"


@pytest.mark.parametrize("access", [Access.USERS, Access.KEYS])
def test_deleting_needs_access_to_users_and_keys(node: Node, access: Access) -> None:
    node.ask(ADMINISTRATOR, CreateUser("alice", ("staff",)))
    without = replace(ADMINISTRATOR, access=EVERY_ACCESS & ~access)
    assert node.reason(without, DeleteUser("alice")) == "refused.permission"
    assert node.reason(without, DeleteGroup("staff")) == "refused.permission"
    assert node.reason(ALICE, CreateGroup("mine")) == "refused.permission"


def test_other_realms_have_groups_of_their_own(node: Node) -> None:
    tenant = replace(ADMINISTRATOR, realm="tenant")
    node.ask(ADMINISTRATOR, CreateUser("alice"))
    node.ask(ADMINISTRATOR, CreateGroup("staff"))
    assert node.reason(tenant, AddMember("staff", "alice")) == "not_found.item"
    node.ask(tenant, CreateGroup("staff"))
    assert node.reason(tenant, DeleteUser("alice")) == "not_found.item"
    node.ask(tenant, DeleteGroup("staff"))
    assert told(node) == {"staff": 0}
