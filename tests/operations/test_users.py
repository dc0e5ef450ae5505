"""Key users as administrators keep them."""

from dataclasses import replace

import pytest

from keystead.core.errors import Unauthenticated
from keystead.core.permission import EVERY_ACCESS, Access
from keystead.gate.admit import admit_user
from keystead.operations.users import CreateUser, DisableUser, ListUsers, SetGroups, ShowUser, User
from tests.support.builders import ADMINISTRATOR, ALICE, GLOBAL, Node


@pytest.mark.row("KS-USR-001")
@pytest.mark.parametrize("name", ["a", "Z9", "john.smith", "a_b-c.d", "x" * 64])
def test_names_follow_their_pattern(node: Node, name: str) -> None:
    assert node.ask(ADMINISTRATOR, CreateUser(name)) == User(name, (), False)


@pytest.mark.row("KS-USR-001")
@pytest.mark.parametrize(
    "name", ["", "9a", "_a", "-a", ".a", "a b", "a/b", "a<b", "a*", "x" * 65, "ä", "a\n", "u:bob", "а"], ids=repr
)
def test_other_names_are_refused(node: Node, name: str) -> None:
    assert node.reason(ADMINISTRATOR, CreateUser(name)) == "invalid.field"
    assert node.reason(ADMINISTRATOR, CreateUser("fine", (name,))) == "invalid.field"


def test_names_are_unique_and_case_sensitive(node: Node) -> None:
    node.ask(ADMINISTRATOR, CreateUser("alice"))
    assert node.reason(ADMINISTRATOR, CreateUser("alice")) == "exists"
    assert node.reason(ADMINISTRATOR, CreateUser("Alice")) is None


def test_users_are_listed_by_name_and_shown(node: Node) -> None:
    for name in ("carol", "alice", "bob"):
        node.ask(ADMINISTRATOR, CreateUser(name, ("staff", "all", "staff")))
    assert [user.name for user in node.ask(ADMINISTRATOR, ListUsers())] == ["alice", "bob", "carol"]
    assert [user.name for user in node.ask(ADMINISTRATOR, ListUsers("alice"))] == ["bob", "carol"]
    assert node.ask(ADMINISTRATOR, ShowUser("bob")) == User("bob", ("all", "staff"), False)
    assert node.reason(ADMINISTRATOR, ShowUser("dave")) == "not_found.item"


def test_groups_are_what_was_set_last(node: Node) -> None:
    node.ask(ADMINISTRATOR, CreateUser("alice", ("staff", "all")))
    node.ask(ADMINISTRATOR, SetGroups("alice", ("all",)))
    node.objects.refresh()
    assert admit_user(node.objects, "alice", "cn", "-").groups == frozenset({"all"})
    assert (
        node.reason(ADMINISTRATOR, SetGroups("alice", tuple(f"g{number}" for number in range(101)))) == "invalid.field"
    )
    assert node.reason(ADMINISTRATOR, SetGroups("bob")) == "not_found.item"


def test_a_disabled_user_is_not_admitted_until_enabled_again(node: Node) -> None:
    node.ask(ADMINISTRATOR, CreateUser("alice", ("staff",)))
    assert admit_user(node.objects, "alice", "cn", "-").groups == frozenset({"staff"})
    assert node.ask(ADMINISTRATOR, DisableUser("alice")).disabled
    with pytest.raises(Unauthenticated):
        admit_user(node.objects, "alice", "cn", "-")
    assert node.ask(ADMINISTRATOR, DisableUser("alice", disabled=False)) == User("alice", ("staff",), False)
    assert admit_user(node.objects, "alice", "cn", "-").name == "alice"


@pytest.mark.row("KS-GEN-012")
@pytest.mark.parametrize("request_", [CreateUser("x"), ListUsers(), ShowUser("x"), SetGroups("x"), DisableUser("x")])
def test_key_users_manage_no_users(node: Node, request_: object) -> None:
    assert node.reason(ALICE, request_) == "refused.permission"
    assert node.reason(GLOBAL, request_) == "refused.permission"


def test_changing_users_needs_the_right_for_it(node: Node) -> None:
    without = replace(ADMINISTRATOR, access=EVERY_ACCESS & ~Access.USERS)
    assert node.reason(without, CreateUser("alice")) == "refused.permission"
    assert node.reason(without, ListUsers()) is None


def test_realms_have_their_own_users(node: Node) -> None:
    tenant = replace(ADMINISTRATOR, realm="tenant")
    node.ask(ADMINISTRATOR, CreateUser("alice"))
    node.ask(tenant, CreateUser("alice"))
    node.ask(tenant, DisableUser("alice"))
    assert [user.disabled for user in node.ask(ADMINISTRATOR, ListUsers())] == [False]
    assert [user.disabled for user in node.ask(tenant, ListUsers())] == [True]
