"""Approvals in advance: whose, for what, for how long, and that they end."""

import sqlite3
from contextlib import closing

import pytest

from keystead.core.approvals import GRANTABLE, Approval
from keystead.core.permission import Principal
from keystead.operations.approvals import Approve, ShowApproval
from keystead.operations.credentials import (
    GRANTS,
    GrantCredential,
    Grants,
    GrantShown,
    ListCredentials,
    RevokeCredential,
)
from keystead.operations.grants import SetKeyFlags
from keystead.operations.groups import DeleteUser
from keystead.operations.settings import ChangeSetting
from keystead.operations.users import CreateUser, ListUsers
from tests.operations.test_logins import leaves_in
from tests.support.administrators import ROOT, add, change, remove, replied, require, session, wait, why
from tests.support.builders import Node, a_key

HOUR_S = 3600.0
USERS = (Approval.CHANGE_USERS,)


class Boot:
    """A clock that runs when it is told to, as the one since boot runs by itself."""

    s = 1000.0

    def now_s(self) -> float:
        return self.s


@pytest.fixture
def boot(node: Node) -> Boot:
    clock = Boot()
    node.gate.services[GRANTS] = Grants(clock.now_s)
    return clock


@pytest.fixture
def pair(node: Node, boot: Boot) -> tuple[Principal, Principal]:
    """Olga, who grants, and Paul."""
    found = add(node, "olga"), add(node, "paul")
    require(node, 2, grants_allowed=True)
    return found


def grant(node: Node, giver: Principal, to: str = "paul", hours: int = 4, *kinds: Approval) -> GrantShown:
    found = node.ask(giver, GrantCredential(to, hours, kinds or USERS))
    assert isinstance(found, GrantShown)
    return found


@pytest.mark.row("KS-MC-021", "KS-MC-016")
def test_the_grantee_does_several_things_without_asking_again(node: Node, pair: tuple[Principal, Principal]) -> None:
    olga, paul = pair
    assert node.reason(paul, CreateUser("eve")) == "pending.approval"
    grant(node, olga)
    for name in ("eve", "adam", "noah"):
        assert node.reason(session(node, "paul"), CreateUser(name)) is None  # whichever session
    assert node.reason(olga, CreateUser("mallory")) == "pending.approval"  # it is not the giver's own
    told = b"\n".join(leaves_in(node))
    assert b"olga stands behind paul for 4 hours: change_users" in told
    assert b"user noah created; approved by olga" in told


@pytest.mark.row("KS-MC-021")
def test_a_grant_is_one_approval_beside_others(node: Node, pair: tuple[Principal, Principal]) -> None:
    olga, paul = pair
    quinn = add(node, "quinn")
    require(node, 3)
    grant(node, olga)
    grant(node, olga)  # a second one of the same giver is no second approval
    grant(node, olga, "paul", 4, *USERS, Approval.DELETE_USERS)
    asked = wait(node, paul, CreateUser("eve"))
    assert asked.missing_count == 1
    assert node.reason(quinn, Approve(asked.id, asked.hash)) is None
    assert node.ask(ROOT, ShowApproval(asked.id)).state == "done"
    assert why(replied(node, paul, CreateUser("adam"), "quinn")) is None


@pytest.mark.row("KS-MC-011", "KS-MC-012")
def test_grants_are_allowed_by_a_setting_with_a_longest_duration(node: Node, pair: tuple[Principal, Principal]) -> None:
    olga, _ = pair
    for hours, good in ((-1, False), (0, False), (1, True), (7, True), (8, False), (9, False)):
        assert (node.reason(olga, GrantCredential("paul", hours, USERS)) is None) is good
    require(node, 2, grant_hours_max=24)
    assert node.reason(olga, GrantCredential("paul", 23, USERS)) is None
    require(node, 2, grants_allowed=False)
    assert node.reason(olga, GrantCredential("paul", 1, USERS)) == "refused.switched_off"
    assert node.reason(session(node, "paul"), CreateUser("eve")) == "pending.approval"  # those that stand, too


@pytest.mark.row("KS-MC-012")
def test_a_grant_is_for_one_other_administrator(node: Node, pair: tuple[Principal, Principal]) -> None:
    olga, _ = pair
    assert node.reason(olga, GrantCredential("olga", 1, USERS)) == "refused.permission"
    assert node.reason(olga, GrantCredential("nobody", 1, USERS)) == "not_found.item"
    change(node, "paul", disabled=True)
    assert node.reason(olga, GrantCredential("paul", 1, USERS)) == "not_found.item"


@pytest.mark.row("KS-MC-013")
@pytest.mark.parametrize("kind", list(Approval), ids=str)
def test_only_fixed_operations_are_granted(node: Node, pair: tuple[Principal, Principal], kind: Approval) -> None:
    assert (node.reason(pair[0], GrantCredential("paul", 1, (kind,))) is None) is (kind in GRANTABLE)
    grantable = {"change_keys", "delete_keys", "change_users", "delete_users", "policies", "ldap"}
    assert {str(one) for one in GRANTABLE} == grantable


@pytest.mark.row("KS-MC-013")
def test_a_grant_is_for_what_it_names(node: Node, pair: tuple[Principal, Principal]) -> None:
    olga, paul = pair
    grant(node, olga)
    key = a_key(node, active=False)
    for other in (
        DeleteUser("eve"),
        SetKeyFlags(key, deletable=False),
        ChangeSetting("multiple_credentials", "required", False),
    ):
        assert node.reason(paul, other) == "pending.approval"
    assert node.reason(olga, GrantCredential("paul", 1, ())) == "invalid.field"


@pytest.mark.row("KS-MC-014")
def test_nobody_grants_what_they_may_not_do(node: Node, pair: tuple[Principal, Principal]) -> None:
    _, paul = pair
    kim = add(node, "kim", ("high_access", "keys_policies"))
    assert node.reason(kim, GrantCredential("paul", 1, USERS)) == "refused.permission"
    assert node.reason(kim, GrantCredential("paul", 1, (Approval.CHANGE_KEYS, *USERS))) == "refused.permission"
    uma = add(node, "uma", ("users_groups",))
    assert node.reason(uma, GrantCredential("paul", 1, USERS)) == "refused.permission"  # could not approve either
    lea = add(node, "lea", ("high_access", "users_groups"))
    grant(node, lea, "paul", 1, Approval.DELETE_USERS)
    assert node.reason(paul, DeleteUser("eve")) == "pending.approval"  # which needs more access than lea has


@pytest.mark.row("KS-MC-015")
def test_a_grant_adds_no_access(node: Node, pair: tuple[Principal, Principal]) -> None:
    kim = add(node, "kim", ("keys_policies",))
    grant(node, pair[0], "kim")
    assert node.reason(kim, CreateUser("eve")) == "refused.permission"


@pytest.mark.row("KS-MC-016")
def test_a_grant_is_not_passed_on(node: Node, pair: tuple[Principal, Principal]) -> None:
    """Neither does a grantee's approval weigh more, nor does a namesake have the grant."""
    olga, paul = pair
    quinn = add(node, "quinn")
    require(node, 3)
    grant(node, olga)
    asked = wait(node, quinn, CreateUser("eve"))
    assert node.reason(paul, Approve(asked.id, asked.hash)) is None
    assert node.ask(ROOT, ShowApproval(asked.id)).missing_count == 1
    grant(node, paul, "quinn")
    assert why(replied(node, quinn, CreateUser("eve"))) == "pending.approval"
    require(node, 2)
    remove(node, "paul")
    namesake = add(node, "paul", account="account-another-paul")
    assert node.reason(namesake, CreateUser("eve")) == "pending.approval"


@pytest.mark.row("KS-MC-017", "KS-MC-018")
def test_grants_end_by_a_clock_that_nobody_sets_and_are_stored_nowhere(
    node: Node, pair: tuple[Principal, Principal], boot: Boot
) -> None:
    olga, paul = pair
    given = grant(node, olga, "paul", 2)
    node.clock.pass_s(-50 * HOUR_S)  # the time of day goes back, and counts for nothing
    boot.s += 2 * HOUR_S - 1
    assert node.reason(paul, CreateUser("eve")) is None
    boot.s += 1
    assert node.reason(paul, CreateUser("adam")) == "pending.approval"
    grant(node, olga)
    node.gate.services[GRANTS] = Grants(boot.now_s)  # as after a restart: there is nothing to read them from
    assert node.reason(paul, CreateUser("adam")) == "pending.approval"
    with closing(sqlite3.connect(node.path)) as store:  # what a backup would hold of it
        documents = b"".join(bytes(row[0]) for row in store.execute("select document from records"))
    assert given.id.encode() not in documents


@pytest.mark.row("KS-MC-019")
def test_each_sees_what_they_gave_and_received(node: Node, pair: tuple[Principal, Principal], boot: Boot) -> None:
    olga, paul = pair
    quinn = add(node, "quinn")
    given = grant(node, olga)
    boot.s += HOUR_S
    shown = GrantShown(given.id, "olga", "paul", 3 * 3600, ("change_users",))
    assert node.ask(olga, ListCredentials()) == node.ask(paul, ListCredentials()) == (shown,)
    assert node.ask(quinn, ListCredentials()) == ()
    assert node.reason(ROOT, ListCredentials()) == "invalid.missing"
    assert replied(node, ROOT, ListCredentials(), "paul").result == (shown,)
    assert replied(node, ROOT, ListCredentials(), "quinn").result == ()


@pytest.mark.row("KS-MC-020")
@pytest.mark.parametrize("who", ["olga", "paul"])
def test_giver_and_grantee_end_a_grant(node: Node, pair: tuple[Principal, Principal], who: str) -> None:
    olga, paul = pair
    quinn = add(node, "quinn")
    given = grant(node, olga)
    assert node.reason(quinn, RevokeCredential(given.id)) == "not_found.item"
    assert node.reason(session(node, who), RevokeCredential(given.id)) is None
    assert node.reason(paul, CreateUser("eve")) == "pending.approval"
    assert node.reason(olga, RevokeCredential(given.id)) == "not_found.item"
    assert any(b"ended what olga granted paul" in leaf for leaf in leaves_in(node))


@pytest.mark.parametrize("how", ["disabled", "no high access", "expired", "deleted", "namesake"])
def test_a_grant_counts_only_while_its_giver_could_approve(
    node: Node, pair: tuple[Principal, Principal], how: str
) -> None:
    olga, paul = pair
    add(node, "quinn")
    grant(node, olga)
    changes: dict[str, dict[str, object]] = {
        "disabled": {"disabled": True},
        "no high access": {"access": ["users_groups"]},
        "expired": {"must_change": True},
    }
    if how in changes:
        change(node, "olga", **changes[how])
    else:
        remove(node, "olga")
        if how == "namesake":
            add(node, "olga", account="account-another-olga")
    assert node.reason(paul, CreateUser("eve")) == "pending.approval"
    assert [user.name for user in node.ask(ROOT, ListUsers())] == []


def test_root_is_granted_nothing(node: Node, pair: tuple[Principal, Principal]) -> None:
    assert node.reason(pair[0], GrantCredential("root", 1, USERS)) == "not_found.item"
    assert why(replied(node, ROOT, GrantCredential("paul", 1, USERS), "olga")) is None
    assert node.reason(ROOT, CreateUser("eve")) == "pending.approval"
