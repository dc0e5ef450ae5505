"""Ways around approvals: a model of requests, people who come and go, grants, replays and swaps; and two at once.

Attack classes 41 (bypass: zero approvals, self-approval, swapped, replayed, expired approver) and 22 (an approval is
not spent twice).
"""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from keystead.core.approvals import Approval
from keystead.core.changes import Transaction
from keystead.core.errors import KeysteadError, Refused
from keystead.core.permission import ACCESS_CONTROLS, EVERY_ACCESS, Principal
from keystead.core.secret import Secret
from keystead.gate.call import Batch, Reply
from keystead.gate.committer import Committer, Done
from keystead.node.folder import read_config, unix_address
from keystead.operations.approvals import ApprovalShown, Approve, ListApprovals, RefuseApproval, WithdrawApproval
from keystead.operations.credentials import GRANTS, GrantCredential, Grants
from keystead.operations.users import CreateUser, ListUsers
from keystead.protocols.local.client import ask_with
from tests.hostile.doors import at_door, change_setting
from tests.support.administrators import ROOT, add, change, remove, require, session, wait
from tests.support.builders import Node, a_node
from tests.support.dev_node import DevNode

NAMES = ("ada", "bob", "cyd", "dan")
HOUR_S = 3600
WAITING_COUNT = 3  # so few that they are approved again and again
names = st.sampled_from(NAMES)


@dataclass
class Person:
    """An account as the model has it; who could approve is enabled and high."""

    account: str
    is_enabled: bool = True
    is_high: bool = True


@dataclass
class Waiting:
    """A request as the model has it."""

    shown: ApprovalShown
    user: str
    requester: str
    until_s: float
    state: str = "pending"
    approvals: set[str] = field(default_factory=set)


class Approvals(RuleBasedStateMachine):
    """What the gate lets happen is what the model lets happen, whatever order people act in."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = contextlib.ExitStack()
        folder = Path(self._kept.enter_context(TemporaryDirectory()))
        self.node: Node = self._kept.enter_context(a_node(folder))
        self.boot_s = 0.0
        self.now_s = 0.0
        self.node.gate.services[GRANTS] = Grants(lambda: self.boot_s)
        self.count = 3
        require(self.node, 3, grants_allowed=True)
        self.accounts = 0
        self.people: dict[str, Person] = {}
        self.requests: list[Waiting] = []
        self.grants: list[tuple[str, str, float]] = []
        self.made: set[str] = set()
        for name in NAMES:
            self._arrive(name)

    def teardown(self) -> None:
        self._kept.close()

    def _arrive(self, name: str) -> None:
        self.accounts += 1
        self.people[name] = Person(f"account-{self.accounts}")
        add(self.node, name, account=self.people[name].account)

    def _can(self, account: str) -> bool:
        return any(one.account == account and one.is_enabled and one.is_high for one in self.people.values())

    def _principal(self, name: str) -> Principal:
        """As the session was when it began, which may be long ago."""
        return Principal("administrator", name, access=EVERY_ACCESS, address="192.0.2.9")

    def _standing(self, requester: str) -> set[str]:
        return {by for by, to, until_s in self.grants if to == requester and self.boot_s < until_s}

    def _is_enough(self, requester: str, approvals: set[str]) -> bool:
        standing = {one for one in approvals | self._standing(requester) if self._can(one)} - {requester}
        return len(standing) >= self.count - 1

    @rule(by=names | st.just("root"))
    def ask(self, by: str) -> None:
        if len([one for one in self.requests if one.state == "pending"]) >= WAITING_COUNT:
            return
        user = f"user{len(self.requests)}-{len(self.made)}"
        principal = ROOT if by == "root" else self._principal(by)
        requester = "local:root" if by == "root" else self.people[by].account
        if self._is_enough(requester, set()):
            assert self.node.reason(principal, CreateUser(user)) is None
            self.made.add(user)
        else:
            shown = wait(self.node, principal, CreateUser(user))
            self.requests.append(Waiting(shown, user, requester, self.now_s + 24 * HOUR_S))

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), by=names)
    def approve(self, data: st.DataObject, by: str) -> None:
        request, person = self._one(data), self.people[by]
        reason = self.node.reason(self._principal(by), Approve(request.shown.id, request.shown.hash))
        is_late = request.state == "pending" and self.now_s >= request.until_s
        good = request.state == "pending" and not is_late and self._can(person.account)
        good = good and person.account != request.requester and person.account not in request.approvals
        assert (reason is None) is good
        if is_late and self._can(person.account):
            request.state = "expired"
        if not good:
            return
        request.approvals.add(person.account)
        if self._is_enough(request.requester, request.approvals):
            held = next((one for one in self.people.values() if one.account == request.requester), None)
            may = request.requester == "local:root" or (held is not None and held.is_enabled)
            request.state = "done" if may else "failed"
            if may:
                self.made.add(request.user)

    @precondition(lambda self: len(self.requests) > 1)
    @rule(data=st.data(), by=names)
    def approve_falsely(self, data: st.DataObject, by: str) -> None:
        """By the hash of another request, and as root."""
        request, other = self._one(data), self._one(data)
        assert self.node.reason(ROOT, Approve(request.shown.id, request.shown.hash)) == "invalid.missing"
        if request is not other and self.now_s < min(request.until_s, other.until_s):
            assert self.node.reason(self._principal(by), Approve(request.shown.id, other.shown.hash)) is not None

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), by=names, takes_back=st.booleans())
    def end(self, data: st.DataObject, by: str, takes_back: bool) -> None:
        request, account = self._one(data), self.people[by].account
        word: RefuseApproval | WithdrawApproval = RefuseApproval(request.shown.id, "no")
        may = self._can(account)
        if takes_back:
            word, may = WithdrawApproval(request.shown.id), account == request.requester
        reason = self.node.reason(self._principal(by), word)
        assert (reason is None) is (request.state == "pending" and may)
        if reason is None:
            request.state = "withdrawn" if takes_back else "refused"

    def _one(self, data: st.DataObject) -> Waiting:
        """One of the latest requests."""
        return data.draw(st.sampled_from(self.requests[-WAITING_COUNT:]), label="request")

    @rule(name=names, able=st.sampled_from(((True, True), (True, True), (False, True), (True, False))))
    def change(self, name: str, able: tuple[bool, bool]) -> None:
        is_enabled, is_high = able
        self.people[name].is_enabled, self.people[name].is_high = is_enabled, is_high
        access = [one for one in ACCESS_CONTROLS if is_high or one != "high_access"]
        change(self.node, name, disabled=not is_enabled, access=access)

    @rule(name=names)
    def leave_to_a_namesake(self, name: str) -> None:
        remove(self.node, name)
        self._arrive(name)

    @precondition(lambda self: any(one.state == "pending" and one.approvals for one in self.requests))
    @rule(data=st.data(), is_namesake=st.booleans())
    def approver_leaves(self, data: st.DataObject, is_namesake: bool) -> None:
        """What tells an approval that was given from one that counts."""
        given = {account for one in self.requests if one.state == "pending" for account in one.approvals}
        here = sorted(name for name, person in self.people.items() if person.account in given)
        if here:
            name = data.draw(st.sampled_from(here), label="approver")
            if is_namesake:
                self.leave_to_a_namesake(name)
            else:
                self.change(name, (False, True))

    @rule(by=names, to=names, hours=st.integers(1, 7))
    def grant(self, by: str, to: str, hours: int) -> None:
        reason = self.node.reason(self._principal(by), GrantCredential(to, hours, (Approval.CHANGE_USERS,)))
        giver, grantee = self.people[by], self.people[to]
        assert (reason is None) is (self._can(giver.account) and by != to and grantee.is_enabled)
        if reason is None:
            pair = giver.account, grantee.account
            self.grants = [one for one in self.grants if one[:2] != pair]
            self.grants.append((*pair, self.boot_s + hours * HOUR_S))

    @rule(count=st.sampled_from((0, 1, 2, 3, 3, 3, 4)))
    def need(self, count: int) -> None:
        self.count = max(2, count)
        require(self.node, count)

    @rule(hours=st.integers(1, 8))
    def pass_time(self, hours: int) -> None:
        self.boot_s += hours * HOUR_S
        self.now_s += hours * HOUR_S
        self.node.clock.pass_s(hours * HOUR_S)

    @rule()
    def start_anew(self) -> None:
        self.grants = []
        self.node.gate.services[GRANTS] = Grants(lambda: self.boot_s)

    @invariant()
    def nothing_else_happened(self) -> None:
        assert {user.name for user in self.node.ask(ROOT, ListUsers())} == self.made
        shown = {one.id: one for one in self.node.ask(ROOT, ListApprovals())}
        assert {one.shown.id: one.state for one in self.requests} == {one.id: one.state for one in shown.values()}


TestApprovals = Approvals.TestCase
TestApprovals.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


class Held:
    """Takes transactions and commits them together when it is told to, as a group of the node's committer is."""

    def __init__(self, inner: Committer) -> None:
        self._inner = inner
        self.jobs: list[tuple[Transaction, Done]] = []

    def submit(self, transaction: Transaction, done: Done) -> None:
        self.jobs.append((transaction, done))

    def release(self) -> None:
        while self.jobs:
            self._inner.submit(*self.jobs.pop(0))


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Node]:
    with a_node(tmp_path) as node:
        for name in ("ada", "bob", "cyd"):
            add(node, name)
        require(node, 2)
        yield node


@pytest.mark.parametrize("second", ["approves", "refuses", "withdraws", "approves again"])
def test_of_two_who_decide_at_once_one_finds_it_decided(three: Node, second: str) -> None:
    asked = wait(three, session(three, "ada"), CreateUser("eve"))
    approval = Approve(asked.id, asked.hash)
    by, request = {
        "approves": ("cyd", approval),
        "refuses": ("cyd", RefuseApproval(asked.id, "no")),
        "withdraws": ("ada", WithdrawApproval(asked.id)),
        "approves again": ("bob", approval),
    }[second]
    held = Held(three.gate.committer)
    three.gate.committer = held
    answers: list[Reply] = []
    for principal, one in ((session(three, "bob"), approval), (session(three, by), request)):
        three.gate.run(Batch(principal, (one,)), answers.extend)
    assert len(held.jobs) == 2  # both were decided on what was there before
    held.release()
    three.gate.committer = held._inner
    assert [one.error is None for one in answers] == [True, False]
    assert isinstance(answers[1].error, Refused)
    (user,) = three.ask(ROOT, ListUsers())
    assert user.name == "eve"


@pytest.mark.slow
@pytest.mark.row("KS-MC-008")
def test_approvals_at_once_at_a_node_run_a_request_once(tmp_path: Path) -> None:
    node = DevNode(tmp_path)
    node.start()
    try:
        address = unix_address(read_config(node.data).local_socket)
        people = [f"admin{letter}" for letter in "abcdef"]
        given, own = b"telescope-dragon-7", b"lantern-orbit-31"
        for name in people:
            at_door(node, "administrator.create", name=name, password=given, access=["all"])
            at_door(node, "administrator.change_own_password", name=name, current=given, new=own)
        change_setting(node, "multiple_credentials", "required", True)
        with pytest.raises(KeysteadError, match="have to approve"):
            at_door(node, "user.create", name="eve")
        (waits,) = at_door(node, "approval.list")
        begin = Barrier(len(people))

        def approve(name: str) -> str:
            begin.wait()
            fields = {"id": waits["id"], "hash": waits["hash"]}
            try:
                return str(ask_with(address, "approval.approve", fields, ((name, Secret(own)),))["state"])
            except KeysteadError as error:
                return error.reason

        with ThreadPoolExecutor(len(people)) as threads:
            told = list(threads.map(approve, people))
        assert sorted(told) == ["done", *["refused.permission"] * (len(people) - 1)]
        (shown,) = at_door(node, "approval.list")
        assert (shown["state"], len(shown["approved_by"])) == ("done", 1)
    finally:
        node.kill()
