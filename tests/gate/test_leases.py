"""Budgets spent from durable reservations: never more than the limit, whatever is lost or in flight."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.core.changes import Put
from keystead.core.errors import Conflict, Exists, KeysteadError, Refused
from keystead.core.records import Record
from keystead.gate import leases
from keystead.gate.desk import Desk
from keystead.gate.leases import Leases
from keystead.storage.store import KIND_COUNTER
from tests.support.builders import Node, a_node

LIMIT = 1 << 32


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small numbers, so that a test reaches their ends."""
    for name, value in {
        "ALLOWANCE_COUNT": 4,
        "LEASE_COUNT": 10,
        "LEASE_WHEN_CROWDED_COUNT": 3,
        "NAMES_COUNT_MAX": 3,
    }.items():
        monkeypatch.setattr(leases, name, value)


class Process:
    """One process's leases on a store; spends as a batch of requests would."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._leases = Leases()
        self._shared = Desk(node.objects, node.keyring, {}, shared=True)
        self.writes_count = 0

    def plan(self, *names: str, limit: int = LIMIT) -> tuple[Put, ...]:
        desk = self._shared if len(names) == 1 else Desk(self._node.objects, self._node.keyring, {})
        return tuple(put for name in names for put in self._leases.take(desk, name, limit))

    def store(self, puts: tuple[Put, ...]) -> KeysteadError | None:
        self.writes_count += 1
        return self._node.store(*puts)

    def spend(self, *names: str, limit: int = LIMIT) -> None:
        """Until it is stored, as the gate does after a conflict."""
        for _ in range(5):
            puts = self.plan(*names, limit=limit)
            if not puts or self.store(puts) is None:
                return
        raise AssertionError("never stored")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with a_node(tmp_path) as node:
        yield node


@pytest.fixture
def process(node: Node) -> Process:
    return Process(node)


def reserved(node: Node, name: str) -> int:
    loaded = node.objects.reader.record(KIND_COUNTER, name)
    if loaded is None:
        return 0
    assert isinstance(loaded.record, Record)
    value: int = loaded.record.fields["value"]
    return value


def test_a_process_counts_itself_before_it_spends_anything(node: Node, process: Process) -> None:
    process.spend("key")
    assert (reserved(node, leases.STARTS), reserved(node, "key")) == (1, 0)
    for name in ("key", "another", "third"):
        process.spend(name)
    assert process.writes_count == 1


def test_beyond_its_allowance_a_name_is_reserved_in_leases(node: Node, process: Process) -> None:
    for number in range(1, 40):
        process.spend("key")
        covered = reserved(node, "key") + reserved(node, leases.STARTS) * leases.ALLOWANCE_COUNT
        assert number <= covered
    assert process.writes_count == 1 + 4
    assert reserved(node, "key") == 40


def test_the_limit_ends_it_whoever_spends(node: Node) -> None:
    limit, spent = 50, 0
    with pytest.raises(Refused) as raised:  # noqa: PT012  # how often it goes well is the question
        while True:
            process = Process(node)  # one that forgets everything it had left
            for _ in range(7):
                process.spend("key", limit=limit)
                spent += 1
    assert raised.value.reason == "refused.usage_limit"
    assert 0 < spent <= limit


def test_requests_of_one_batch_share_a_reservation(node: Node, process: Process) -> None:
    process.spend(*["key"] * 3)
    assert process.writes_count == 1
    process.spend(*["key"] * 8)
    assert process.writes_count == 2
    assert reserved(node, "key") == 10


def test_what_is_in_flight_is_not_spent_by_others(node: Node, process: Process) -> None:
    first = process.plan("key")
    second = process.plan("key")
    assert first
    assert second
    assert process.store(first) is None
    assert isinstance(process.store(second), Conflict | Exists)
    assert process.plan("key") == ()


def test_what_never_arrived_is_asked_for_again(node: Node, process: Process) -> None:
    assert process.plan("key")
    assert process.plan("key")
    process.spend("key")
    assert reserved(node, leases.STARTS) == 1


def test_two_processes_never_share_a_lease(node: Node) -> None:
    one, two = Process(node), Process(node)
    for _ in range(10):
        one.spend("key")
        two.spend("key")
    assert (reserved(node, leases.STARTS), one.writes_count + two.writes_count) == (2, 4)
    assert reserved(node, "key") + 2 * leases.ALLOWANCE_COUNT >= 20


def test_forgotten_names_get_no_second_allowance(node: Node, process: Process) -> None:
    names = ["a", "b", "c", "d"]
    for _ in range(6):
        for name in names:
            process.spend(name)
    for name in names:
        assert reserved(node, name) + leases.ALLOWANCE_COUNT >= 6
    assert any(reserved(node, name) for name in names)
