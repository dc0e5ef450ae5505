"""What is counted under policies: against a model, when batches run anew, and when there is no room."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.core.changes import Transaction
from keystead.core.permission import Right
from keystead.core.policies import HOUR_US
from keystead.gate import policies as counting
from keystead.gate.committer import Committer, Done
from keystead.operations.derivations import DeriveKey
from keystead.operations.grants import GiveRights
from keystead.operations.policies import ChangePolicy, CreatePolicy
from keystead.operations.requests import Activate, CipherParameters, Encrypt, Get
from tests.support.builders import ADMINISTRATOR, ALICE, Node, a_key, a_node, a_user, attributes, enumeration, integer
from tests.support.policies import CAROL, DAVE, ENCRYPT, Hours, a_narrowed_key

EXPORT, DERIVE = int(Right.EXPORT), int(Right.DERIVE)
RATE = "refused.policy_rate"
GROUPS = {"few": "first", "many": "second"}
USERS = [a_user("hugo", "few"), a_user("inga", "few", "many"), a_user("jana", "many")]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.integers(0, 2), st.integers(0, 1)),
        st.tuples(st.just("wait"), st.sampled_from([1, 1200, 1800, 3599, 3600]), st.just(0)),
        st.tuples(st.just("limit"), st.integers(0, 1), st.integers(0, 4)),
    ),
    max_size=40,
)


class Model:
    """Keeps every moment of every operation, and looks at all of them each time."""

    def __init__(self) -> None:
        self.limits = {"few": 2, "many": 3}
        self.moments: dict[tuple[str, int, str], list[int]] = {}

    def counted(self, user: str, key: int, group: str, now_us: int) -> int:
        began_us, count = -HOUR_US, 0
        for moment_us in self.moments.get((user, key, group), []):
            if moment_us >= began_us + HOUR_US:
                began_us, count = moment_us, 0
            count += 1
        return count if now_us < began_us + HOUR_US else 0

    def use(self, user: str, groups: frozenset[str], key: int, now_us: int) -> bool:
        limited = [group for group in groups if self.limits[group]]
        left = [self.counted(user, key, group, now_us) < self.limits[group] for group in limited]
        if not any(left) and len(limited) == len(groups):
            return False
        for group in limited:
            self.moments.setdefault((user, key, group), []).append(now_us)
        return True


@pytest.mark.row("KS-POL-004", "KS-POL-005", "KS-POL-006")
def test_whatever_happens_as_much_is_let_through_as_a_model_says(tmp_path: Path) -> None:
    with a_node(tmp_path) as node:
        keys = [a_key(node), a_key(node)]
        for group, policy in GROUPS.items():
            node.ask(ADMINISTRATOR, CreatePolicy(policy, 1))
            for key in keys:
                node.ask(ADMINISTRATOR, GiveRights(key, EXPORT, group, policy=policy))

        @settings(max_examples=60)
        @given(STEPS)
        def played(steps: list[tuple[str, int, int]]) -> None:
            hours, model = Hours(node), Model()
            for group, limit in model.limits.items():
                node.ask(ADMINISTRATOR, ChangePolicy(GROUPS[group], limit))
            for what, first, second in steps:
                if what == "wait":
                    hours.pass_s(first)
                elif what == "limit":
                    group = list(GROUPS)[first]
                    model.limits[group] = second
                    node.ask(ADMINISTRATOR, ChangePolicy(GROUPS[group], second))
                else:
                    user = USERS[first]
                    permitted = model.use(user.name, user.groups, second, hours.us)
                    assert node.reason(user, Get(keys[second])) == (None if permitted else RATE)

        played()


class Losing:
    """A committer before which somebody else changes a key, so often."""

    def __init__(self, node: Node, key: str, times: int) -> None:
        self._inner: Committer = node.gate.committer
        self._node, self._key, self._left = node, key, times

    def submit(self, transaction: Transaction, done: Done) -> None:
        if self._left:
            self._left -= 1
            self._node.change(self._key, last_change_us=self._node.clock.us + self._left)
        self._inner.submit(transaction, done)


def test_a_batch_that_loses_races_counts_once(tmp_path: Path) -> None:
    with a_node(tmp_path) as node:
        hours = Hours(node)
        key = a_narrowed_key(node, 3, rights=EXPORT)
        own = a_key(node, CAROL, active=False)
        node.gate.committer = Losing(node, own, 7)
        replies = node.batch(CAROL, [Get(key), Activate(own), Get(key)], go_on=True)
        assert [reply.error for reply in replies] == [None] * 3
        assert [node.reason(CAROL, Get(key)) for _ in range(2)] == [None, RATE]
        hours.pass_s(3600)
        assert [node.reason(CAROL, Get(key)) for _ in range(4)] == [None, None, None, RATE]


def test_a_batch_that_waits_for_another_thread_counts_once(tmp_path: Path) -> None:
    with a_node(tmp_path) as node:
        Hours(node)
        key = a_key(node, mask=4 | 8 | 512)
        node.ask(ADMINISTRATOR, CreatePolicy("office", 2))
        node.ask(ADMINISTRATOR, GiveRights(key, DERIVE, "staff", policy="office"))
        wanted = attributes(Cryptographic_Algorithm=enumeration(3), Cryptographic_Length=integer(128))
        slow = DeriveKey(
            2, key, 1, None, CipherParameters(hashing=6), salt=b"salt", iterations=200_000, attributes=wanted
        )
        assert [node.reason(CAROL, slow) for _ in range(3)] == [None, None, RATE]


def test_what_is_given_back_is_not_taken_from_an_hour_that_began_since(tmp_path: Path) -> None:
    with a_node(tmp_path) as node:
        hours = Hours(node)
        key = a_narrowed_key(node, 2, rights=EXPORT)
        own = a_key(node, CAROL, active=False)
        inner = node.gate.committer

        class Meanwhile:
            """Before the batch is written the hour ends, and somebody else begins the next one and is in the way."""

            is_first = True

            def submit(self, transaction: Transaction, done: Done) -> None:
                if self.is_first:
                    self.is_first = False
                    hours.pass_s(3600)
                    assert node.reason(CAROL, Get(key)) is None
                    node.change(own, last_change_us=node.clock.us)
                inner.submit(transaction, done)

        node.ask(ALICE, Get(key))  # it is not fresh any more, so that reading it writes nothing
        node.gate.committer = Meanwhile()
        assert [reply.error for reply in node.batch(CAROL, [Get(key), Activate(own)])] == [None, None]
        assert node.reason(CAROL, Get(key)) == RATE


def test_without_room_nothing_more_is_let_through_and_nothing_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "COUNTERS_COUNT_MAX", 4)
    monkeypatch.setattr(counting, "COUNTERS_PER_USER_COUNT_MAX", 3)
    with a_node(tmp_path) as node:
        hours = Hours(node)
        first = a_narrowed_key(node, 2)
        keys = [first, *(a_key(node) for _ in range(4))]
        for key in keys[1:]:
            node.ask(ADMINISTRATOR, GiveRights(key, ENCRYPT, "staff", policy="office"))
        asked = [Encrypt(b"data", key, CipherParameters(mode=9, random_iv=True)) for key in keys]
        assert [node.reason(CAROL, each) for each in asked] == [None, None, None, RATE, RATE]
        assert [node.reason(DAVE, each) for each in asked[:2]] == [None, RATE]
        assert [node.reason(CAROL, asked[0]) for _ in range(2)] == [None, RATE]  # what is kept goes on
        assert hours.policies.count() == 4
        hours.pass_s(1800)
        assert node.reason(DAVE, asked[1]) == RATE
        hours.pass_s(1800)
        assert [node.reason(DAVE, each) for each in asked[:4]] == [None, None, None, RATE]
        assert hours.policies.count() == 3
        assert node.reason(CAROL, asked[3]) is None
