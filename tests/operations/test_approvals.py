"""Requests of administrators that wait until enough others stand behind exactly them. Attack class 41."""

from dataclasses import replace
from typing import Any

import pytest

from keystead.core.changes import Put
from keystead.core.permission import ACCESS_CONTROLS, CLOCK, Principal
from keystead.core.records import KIND_APPROVAL
from keystead.core.secret import Secret
from keystead.operations.administrators import (
    ChangeAdministrator,
    CreateAdministrator,
    DeleteAdministrator,
    ListAdministrators,
    SetAdministratorPassword,
)
from keystead.operations.approval_records import asked_of
from keystead.operations.approvals import (
    PENDING_PER_REQUESTER_COUNT_MAX,
    ApprovalShown,
    Approve,
    ExpireApprovals,
    ListApprovals,
    RefuseApproval,
    ShowApproval,
    WithdrawApproval,
)
from keystead.operations.grants import GiveRights, GrantKey, ListGrants, SetKeyFlags, SetOwner, TakeRights
from keystead.operations.groups import AddMember, CreateGroup, DeleteGroup, DeleteUser, RemoveMember
from keystead.operations.logins import AccountKind, Door, LogIn, SetUserPassword
from keystead.operations.policies import ChangePolicy, CreatePolicy, DeletePolicy, ListPolicies
from keystead.operations.requests import Destroy
from keystead.operations.settings import ChangeSetting, ReadSettings
from keystead.operations.users import CreateUser, DisableUser, ListUsers, SetGroups
from keystead.trust.root import Role
from tests.operations.test_logins import leaves_in
from tests.support.administrators import (
    ROOT,
    add,
    change,
    remove,
    replied,
    require,
    session,
    wait,
    waiting,
    why,
)
from tests.support.builders import ALICE, Node, a_key

PLANTED = Secret(b"planted-canary-7741")
HOUR_S = 3600


def users(node: Node) -> set[str]:
    return {user.name for user in node.ask(ROOT, ListUsers())}


def state(node: Node, asked: ApprovalShown) -> tuple[str, str]:
    shown = node.ask(ROOT, ShowApproval(asked.id))
    return shown.state, shown.outcome


def stand(node: Node, principal: Principal, asked: ApprovalShown) -> str | None:
    return node.reason(principal, Approve(asked.id, asked.hash))


@pytest.fixture
def three(node: Node) -> tuple[Principal, Principal, Principal]:
    """Olga, Paul and Quinn with every access, and two of them needed."""
    found = add(node, "olga"), add(node, "paul"), add(node, "quinn")
    require(node, 2)
    return found


@pytest.mark.row("KS-MC-001", "KS-MC-002")
def test_it_is_switched_on_with_as_many_as_could_approve(node: Node) -> None:
    on = ChangeSetting("multiple_credentials", "required", True)
    assert node.reason(ROOT, on) == "refused.feature"  # nobody could approve
    olga = add(node, "olga")
    add(node, "kim", ("keys_policies",))
    assert node.reason(olga, on) == "refused.feature"
    add(node, "paul")
    change(node, "paul", must_change=True)  # a password that somebody else knows
    assert node.reason(olga, on) == "refused.feature"
    change(node, "paul", must_change=False)
    assert node.reason(session(node, "kim"), on) == "refused.permission"
    for count in (0, 1, -1):
        assert node.reason(olga, ChangeSetting("multiple_credentials", "administrators_count", count)) is not None
    assert node.reason(olga, ChangeSetting("multiple_credentials", "administrators_count", 3)) == "refused.feature"
    assert node.reason(olga, on) is None
    assert node.reason(olga, CreateUser("eve")) == "pending.approval"


@pytest.mark.row("KS-MC-002")
def test_as_many_administrators_as_are_needed_are_left(node: Node) -> None:
    olga, paul = add(node, "olga"), add(node, "paul")
    require(node, 2)
    for gone in (
        ChangeAdministrator("olga", disabled=True),
        ChangeAdministrator("olga", access=("keys_policies",)),
        DeleteAdministrator("olga", "olga"),
    ):
        asked = wait(node, olga, gone)
        assert stand(node, paul, asked) is None
        assert state(node, asked)[0] == "failed"
    assert session(node, "olga").access == olga.access


@pytest.mark.row("KS-MC-003")
@pytest.mark.parametrize(("field", "value"), [("required", False), ("administrators_count", 3), ("pending_hours", 1)])
def test_changing_the_feature_needs_the_same_approvals(
    node: Node, three: tuple[Principal, ...], field: str, value: object
) -> None:
    olga, paul, _ = three
    asked = wait(node, olga, ChangeSetting("multiple_credentials", field, value))
    before = node.ask(ROOT, ReadSettings("multiple_credentials"))
    assert before["multiple_credentials"][field] != value
    assert stand(node, paul, asked) is None
    assert node.ask(ROOT, ReadSettings("multiple_credentials"))["multiple_credentials"][field] == value
    assert node.reason(ROOT, ChangeSetting("passwords", "length_min", 9)) is None  # others are not bound


KEY_REQUESTS: list[Any] = [
    GrantKey("", "staff", 3),
    GiveRights("", 3, group="staff"),
    GiveRights("", 3, group="staff", policy="office"),
    TakeRights("", 3, group="staff"),
    SetOwner("", "bob"),
    SetKeyFlags("", deletable=False),
]


@pytest.mark.row("KS-MC-004")
@pytest.mark.parametrize("request_", KEY_REQUESTS, ids=lambda one: type(one).__name__)
def test_keys_are_not_changed_by_one_administrator(node: Node, three: tuple[Principal, ...], request_: Any) -> None:
    key = a_key(node, active=False)
    before = node.record(key)
    named = replace(request_, target=key)
    for principal in (three[0], ROOT):
        assert node.reason(principal, named) == "pending.approval"
    assert node.record(key) == before
    assert node.reason(ROOT, ListGrants(key)) is None  # looking is not bound
    assert node.reason(ALICE, Destroy(key)) is None  # nor are users


POLICY_REQUESTS: list[Any] = [
    CreatePolicy("night", 5, ("mon 22:00-tue 06:00",)),
    ChangePolicy("office", 1_000),
    ChangePolicy("office", periods=()),
    DeletePolicy("office"),
]


@pytest.mark.parametrize("request_", POLICY_REQUESTS, ids=repr)
def test_policies_are_not_changed_by_one_administrator(node: Node, request_: Any) -> None:
    node.ask(ROOT, CreatePolicy("office", 5, ("mon 09:00-mon 17:00",)))
    olga, paul = add(node, "olga"), add(node, "paul", ("keys_policies", "high_access"))
    require(node)
    before = node.ask(ROOT, ListPolicies())
    assert node.reason(ROOT, request_) == "pending.approval"
    asked = wait(node, olga, request_)
    assert node.ask(ROOT, ListPolicies()) == before
    assert stand(node, paul, asked) is None
    assert state(node, asked)[0] == "done"
    assert node.ask(ROOT, ListPolicies()) != before


USER_REQUESTS: list[Any] = [
    CreateUser("eve"),
    SetGroups("bob", ("staff",)),
    DisableUser("bob"),
    SetUserPassword("bob", PLANTED),
    DeleteUser("bob"),
    CreateGroup("board"),
    AddMember("staff", "bob"),
    RemoveMember("staff", "carol"),
    DeleteGroup("staff"),
]


@pytest.mark.row("KS-MC-005")
@pytest.mark.parametrize("request_", USER_REQUESTS, ids=lambda one: type(one).__name__)
def test_users_and_groups_are_not_changed_by_one_administrator(node: Node, request_: Any) -> None:
    for request in (CreateUser("bob"), CreateUser("carol", ("staff",))):
        node.ask(ROOT, request)
    olga, paul = add(node, "olga"), add(node, "paul")
    require(node)
    before = node.ask(ROOT, ListUsers())
    assert node.reason(ROOT, request_) == "pending.approval"
    asked = wait(node, olga, request_)
    assert node.ask(ROOT, ListUsers()) == before
    assert stand(node, paul, asked) is None
    assert state(node, asked)[0] == "done"


@pytest.mark.row("KS-MC-002")
def test_who_cannot_approve_yet_does_not_stand_in_for_who_goes(
    node: Node, three: tuple[Principal, Principal, Principal]
) -> None:
    olga, paul, _ = three
    change(node, "quinn", must_change=True)
    for gone in (ChangeAdministrator("paul", disabled=True), DeleteAdministrator("paul", "paul")):
        asked = wait(node, olga, gone)
        assert stand(node, paul, asked) is None
        assert state(node, asked)[0] == "failed"
    asked = wait(node, olga, DeleteAdministrator("quinn", "quinn"))
    assert stand(node, paul, asked) is None
    assert state(node, asked)[0] == "done", "nobody is lost by whom a request was approved"


ADMINISTRATOR_REQUESTS: list[Any] = [
    CreateAdministrator("rita", PLANTED),
    ChangeAdministrator("kim", access=("all",)),
    SetAdministratorPassword("paul", PLANTED),
    DeleteAdministrator("kim", "kim"),
]


@pytest.mark.row("KS-MC-007")
@pytest.mark.parametrize("request_", ADMINISTRATOR_REQUESTS, ids=lambda one: type(one).__name__)
def test_administrators_are_not_changed_by_one_administrator(
    node: Node, three: tuple[Principal, ...], request_: Any
) -> None:
    add(node, "kim", ("keys_policies",))
    before = node.ask(ROOT, ListAdministrators())
    assert node.reason(ROOT, request_) == "pending.approval"
    asked = wait(node, three[0], request_)
    assert node.ask(ROOT, ListAdministrators()) == before
    assert stand(node, three[2], asked) is None
    assert state(node, asked)[0] == "done"
    assert node.ask(ROOT, ListAdministrators()) != before


def test_what_is_approved_runs_once_as_it_was_asked_and_holds_its_secret_nowhere(
    node: Node, three: tuple[Principal, ...]
) -> None:
    olga, paul, quinn = three
    asked = wait(node, olga, CreateAdministrator("rita", PLANTED, access=("users_groups",)))
    assert (asked.operation, asked.requester, asked.missing_count) == ("administrator.create", "administrator:olga", 1)
    assert asked.view["name"] == '"rita"'
    assert asked.view["password"] == '"(secret)"'
    assert stand(node, paul, asked) is None
    assert stand(node, quinn, asked) == "refused.permission"  # done: there is no second time
    assert node.ask(ROOT, ListAdministrators())[-1].access == ("users_groups",)
    rita = node.ask(Principal("stranger", ""), LogIn("rita", PLANTED, AccountKind.ADMINISTRATOR, Door.LOCAL))
    assert rita.must_change
    told = b"\n".join(leaves_in(node))
    for part in (
        b"waits for 1 approvals",
        asked.hash.encode(),
        b"done, approved by paul",
        b"administrator rita created",
    ):
        assert part in told
    assert PLANTED.reveal() not in told + node.path.read_bytes() + node.log.read_bytes()
    assert any("AdministratorCreate" in line and "pending.approval" in line for line in node.lines())


def test_nobody_approves_their_own_request_or_twice(node: Node) -> None:
    olga, paul, quinn = add(node, "olga"), add(node, "paul"), add(node, "quinn")
    require(node, 3)
    asked = wait(node, olga, CreateUser("eve"))
    assert stand(node, olga, asked) == "refused.permission"
    assert why(replied(node, ROOT, Approve(asked.id, asked.hash), "olga")) == "refused.permission"  # by another door
    assert stand(node, paul, asked) is None
    assert stand(node, paul, asked) == "exists"
    assert why(replied(node, ROOT, Approve(asked.id, asked.hash), "paul")) == "exists"
    assert "eve" not in users(node)
    assert stand(node, quinn, asked) is None
    assert "eve" in users(node)


def test_root_asks_but_never_approves(node: Node, three: tuple[Principal, ...]) -> None:
    asked = wait(node, ROOT, CreateUser("eve"))
    assert stand(node, ROOT, asked) == "invalid.missing"
    assert "eve" not in users(node)
    assert why(replied(node, ROOT, Approve(asked.id, asked.hash), "olga")) is None
    assert "eve" in users(node)


def test_only_who_could_log_in_with_high_access_approves(node: Node, three: tuple[Principal, ...]) -> None:
    asked = wait(node, three[0], CreateUser("eve"))
    kim = add(node, "kim", tuple(name for name in ACCESS_CONTROLS if name != "high_access"))
    assert stand(node, kim, asked) == "refused.permission"
    assert why(replied(node, ROOT, Approve(asked.id, asked.hash), "kim")) == "refused.permission"
    for fields in ({"must_change": True}, {"access": ["users_groups"]}, {"disabled": True}):
        add(node, "leo", account="account-leo")
        leo = session(node, "leo")
        change(node, "leo", **fields)
        assert stand(node, leo, asked) == "refused.permission"
        remove(node, "leo")
    for nobody in (ALICE, replace(ALICE, kind="global")):
        assert stand(node, nobody, asked) == "refused.permission"
    assert "eve" not in users(node)


@pytest.mark.parametrize("how", ["disabled", "deleted", "namesake", "no high access", "expired"])
def test_an_approval_counts_only_while_its_giver_could_give_it(node: Node, how: str) -> None:
    olga, paul, quinn = add(node, "olga"), add(node, "paul"), add(node, "quinn")
    require(node, 3)
    asked = wait(node, olga, CreateUser("eve"))
    assert stand(node, paul, asked) is None
    if how == "disabled":
        change(node, "paul", disabled=True)
    elif how == "no high access":
        change(node, "paul", access=["users_groups"])
    elif how == "expired":
        change(node, "paul", must_change=True)
    else:
        remove(node, "paul")
        if how == "namesake":
            add(node, "paul", account="account-another-paul")
    assert stand(node, quinn, asked) is None
    assert "eve" not in users(node)
    assert node.ask(ROOT, ShowApproval(asked.id)).missing_count == 1
    assert stand(node, add(node, "rita"), asked) is None
    assert "eve" in users(node)


@pytest.mark.parametrize("how", ["disabled", "less access", "deleted", "namesake"])
def test_the_request_is_authorised_again_as_who_asked_is_then(
    node: Node, three: tuple[Principal, ...], how: str
) -> None:
    _, paul, _ = three
    kim = add(node, "kim", ("users_groups",))
    asked = wait(node, kim, CreateUser("eve"))
    if how == "disabled":
        change(node, "kim", disabled=True)
    elif how == "less access":
        change(node, "kim", access=["certificates"])
    else:
        remove(node, "kim")
        if how == "namesake":
            add(node, "kim", account="account-another-kim")
    assert stand(node, paul, asked) is None
    assert state(node, asked)[0] == "failed"
    assert "eve" not in users(node)
    assert stand(node, three[2], asked) == "refused.permission"  # not a second time


def test_who_approves_names_the_hash_of_exactly_this_request(node: Node, three: tuple[Principal, ...]) -> None:
    olga, paul, _ = three
    good, bad = wait(node, olga, CreateUser("eve")), wait(node, olga, CreateUser("mallory"))
    assert good.hash != bad.hash
    for named in (good.hash, "", "00" * 32, bad.hash[:-2]):
        assert node.reason(paul, Approve(bad.id, named)) == "refused.permission"
    assert users(node).isdisjoint({"eve", "mallory"})


@pytest.mark.parametrize(
    "field", ["operation", "kind", "requester", "view", "sealed", "created_us", "expires_us", "approvals", "hash"]
)
def test_a_stored_request_that_was_changed_never_runs(node: Node, three: tuple[Principal, ...], field: str) -> None:
    """As whoever holds the store's keys could change it; the record's own authentication is past already."""
    olga, paul, _ = three
    asked, other = wait(node, olga, CreateUser("eve")), wait(node, ROOT, DeleteUser("eve"))
    node.objects.refresh()
    records = [node.objects.record(KIND_APPROVAL, one.id) for one in (asked, other)]
    assert records[0] is not None
    assert records[1] is not None
    fields = {**records[0].fields, field: records[1].fields[field]}
    if field == "approvals":
        fields["approvals"] = [["account-quinn", "quinn", 1, records[1].fields["hash"]]]
        require(node, 3)
    if field in ("created_us", "expires_us"):
        fields[field] += 1
    if field == "kind":
        fields[field] = "ldap"
    assert node.store(Put(records[0]._replace(fields=fields))) is None
    outcome = stand(node, paul, asked)
    assert outcome == (None if field == "approvals" else "refused.permission")
    assert "eve" not in users(node)


def test_sealed_bytes_open_only_as_the_request_they_were(node: Node, three: tuple[Principal, ...]) -> None:
    """Even with a hash that fits, as if who approves had been shown the changed record."""
    olga, paul, _ = three
    asked, other = wait(node, olga, CreateUser("eve")), wait(node, olga, CreateUser("mallory"))
    node.objects.refresh()
    records = [node.objects.record(KIND_APPROVAL, one.id) for one in (asked, other)]
    assert records[0] is not None
    assert records[1] is not None
    swapped = asked_of(records[0])._replace(sealed=records[1].fields["sealed"])
    assert node.store(Put(records[0]._replace(fields={**records[0].fields, **swapped.fields()}))) is None
    assert node.reason(paul, Approve(asked.id, swapped.digest().hex())) is None
    assert state(node, asked)[0] == "failed"
    assert state(node, asked)[1].startswith("tampered")
    assert users(node).isdisjoint({"eve", "mallory"})


def test_requests_expire_and_are_forgotten(node: Node, three: tuple[Principal, ...]) -> None:
    olga, paul, _ = three
    late, later = wait(node, olga, CreateUser("eve")), wait(node, olga, CreateUser("adam"))
    node.clock.pass_s(24 * HOUR_S)
    assert stand(node, paul, late) == "refused.permission"
    assert state(node, late)[0] == "expired"
    assert node.ask(CLOCK, ExpireApprovals()) == 1
    assert state(node, later)[0] == "expired"
    assert node.reason(olga, ExpireApprovals()) == "refused.permission"
    node.clock.pass_s(31 * 24 * HOUR_S)
    node.ask(CLOCK, ExpireApprovals())
    assert node.ask(ROOT, ListApprovals()) == ()
    assert "eve" not in users(node)


def test_a_refusal_ends_a_request_and_who_asked_takes_it_back(node: Node, three: tuple[Principal, ...]) -> None:
    olga, paul, quinn = three
    refused, withdrawn = wait(node, olga, CreateUser("eve")), wait(node, olga, CreateUser("adam"))
    assert node.reason(paul, RefuseApproval(refused.id, "who is\nthis")) == "invalid.field"
    assert node.reason(paul, RefuseApproval(refused.id, "who is this?")) is None
    assert state(node, refused) == ("refused", "paul: who is this?")
    assert node.reason(paul, WithdrawApproval(withdrawn.id)) == "refused.permission"
    assert node.reason(olga, WithdrawApproval(withdrawn.id)) is None
    for asked in (refused, withdrawn):
        assert stand(node, quinn, asked) == "refused.permission"
        assert node.reason(quinn, RefuseApproval(asked.id, "")) == "refused.permission"
        assert node.reason(olga, WithdrawApproval(asked.id)) == "refused.permission"
    assert users(node).isdisjoint({"eve", "adam"})
    told = b"\n".join(leaves_in(node))
    assert b"refused: paul: who is this?" in told
    assert b"withdrawn: by who asked" in told


def test_requests_are_seen_by_those_who_approve_and_by_who_asked(node: Node, three: tuple[Principal, ...]) -> None:
    kim, lea = add(node, "kim", ("users_groups",)), add(node, "lea", ("users_groups",))
    asked = wait(node, kim, CreateUser("eve"))
    for principal, sees in ((kim, True), (three[1], True), (ROOT, True), (lea, False)):
        assert (node.reason(principal, ShowApproval(asked.id)) is None) is sees
        assert bool(node.ask(principal, ListApprovals())) is sees
    assert node.reason(ALICE, ListApprovals()) == "refused.permission"


def test_one_administrator_cannot_fill_the_queue(node: Node, three: tuple[Principal, ...]) -> None:
    for number in range(PENDING_PER_REQUESTER_COUNT_MAX):
        wait(node, three[0], CreateUser(f"u{number}"))
    assert node.reason(three[0], CreateUser("more")) == "refused.feature"
    wait(node, three[1], CreateUser("more"))
    assert len(waiting(node)) == PENDING_PER_REQUESTER_COUNT_MAX + 1


def test_a_bound_request_comes_alone(node: Node, three: tuple[Principal, ...]) -> None:
    replies = node.batch(three[0], [CreateUser("eve"), CreateUser("adam")], go_on=True)
    assert [why(reply) for reply in replies] == ["invalid.message"] * 2
    assert not waiting(node)


def test_what_the_asker_may_not_do_does_not_wait(node: Node, three: tuple[Principal, ...]) -> None:
    kim = add(node, "kim", ("keys_policies",))
    assert node.reason(kim, CreateUser("eve")) == "refused.permission"
    assert node.reason(kim, SetKeyFlags("no-such-key", deletable=False)) == "not_found.item"
    assert not waiting(node)


@pytest.mark.row("KS-MC-008")
def test_names_and_passwords_of_others_let_it_run_at_once(node: Node, three: tuple[Principal, ...]) -> None:
    olga, _, _ = three
    require(node, 3)
    assert why(replied(node, olga, CreateUser("eve"), "paul")) == "pending.approval"  # one is missing
    assert why(replied(node, olga, CreateUser("eve"), "paul", "olga")) == "pending.approval"  # the asker is not another
    assert why(replied(node, olga, CreateUser("eve"), "paul", "paul")) == "invalid.field"
    assert why(replied(node, olga, CreateUser("eve"), *(f"n{i}" for i in range(17)))) == "invalid.field"
    assert "eve" not in users(node)
    assert not waiting(node)  # nothing happened at all
    assert why(replied(node, olga, CreateUser("eve"), "paul", "quinn")) is None
    assert "eve" in users(node)
    assert why(replied(node, ROOT, CreateAdministrator("rita", PLANTED), "paul", "quinn")) is None
    assert any(b"user eve created; approved by paul, quinn" in leaf for leaf in leaves_in(node))


@pytest.mark.row("KS-MC-008")
def test_a_wrong_password_fails_all_tells_not_which_and_counts(node: Node, three: tuple[Principal, ...]) -> None:
    olga, _, _ = three
    wrong = Secret(b"planted-wrong-993")
    messages = set()
    for names in (("paul",), ("nobody",), ("paul", "quinn"), ("nobody", "paul")):
        reply = replied(node, olga, CreateUser("eve"), *names, password=wrong)
        assert reply.error is not None
        messages.add((reply.error.reason, reply.error.message))
    add(node, "leo")
    change(node, "leo", disabled=True)
    reply = replied(node, olga, CreateUser("eve"), "leo")
    assert reply.error is not None
    messages.add((reply.error.reason, reply.error.message))
    assert len(messages) == 1
    for _ in range(3):
        assert why(replied(node, olga, CreateUser("eve"), "paul", password=wrong)) == "unauthenticated"
    assert why(replied(node, olga, CreateUser("eve"), "paul")) == "unauthenticated"  # right, but locked
    assert why(replied(node, olga, CreateUser("eve"), "quinn")) is None  # one failure does not lock
    assert wrong.reveal() not in node.path.read_bytes() + node.log.read_bytes()


def test_who_has_no_high_access_does_not_count(node: Node, three: tuple[Principal, ...]) -> None:
    add(node, "kim", ("users_groups",))
    assert why(replied(node, three[0], CreateUser("eve"), "kim")) == "pending.approval"
    assert not waiting(node)


def test_a_setting_of_zero_or_one_is_still_two(node: Node) -> None:
    """As if the record had been written by something else than the settings' own rules."""
    olga = add(node, "olga")
    for count in (1, 0, -5):
        require(node, count)
        asked = wait(node, olga, CreateUser("eve"))
        assert asked.missing_count == 1
        assert why(replied(node, olga, CreateUser("eve"), "olga")) == "pending.approval"
        assert node.reason(olga, WithdrawApproval(asked.id)) is None
    assert "eve" not in users(node)


def test_without_the_feature_nothing_waits(node: Node) -> None:
    assert node.reason(ROOT, CreateUser("eve")) is None
    assert node.ask(ROOT, ListApprovals()) == ()


def test_what_fails_for_a_moment_can_be_approved_again(node: Node, three: tuple[Principal, ...]) -> None:
    """The sealed request cannot be opened while this node's module is locked; the approval is not spent."""
    asked = wait(node, three[0], CreateUser("eve"))
    node.module.logout(Role.CRYPTO_USER)
    assert stand(node, three[1], asked) == "unavailable.locked"
    node.unlock()
    assert stand(node, three[1], asked) is None
    assert "eve" in users(node)
