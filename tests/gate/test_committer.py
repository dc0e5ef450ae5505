"""What one turn of the loop submits is one group; every transaction learns its own fate."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from keystead.core.changes import Transaction
from keystead.core.errors import Conflict, KeysteadError, Unavailable
from keystead.gate.committer import GROUP_COUNT_MAX, GroupCommitter


class Recorder:
    """A writer that remembers its groups."""

    def __init__(self, fate: Callable[[int], KeysteadError | None]) -> None:
        self.groups: list[int] = []
        self._fate = fate

    def commit(self, group: Sequence[Transaction]) -> list[KeysteadError | None]:
        self.groups.append(len(group))
        outcomes = [self._fate(transaction.at_us) for transaction in group]
        for outcome in outcomes:
            if isinstance(outcome, Unavailable):
                raise outcome
        return outcomes

    def tidy(self) -> None:
        """Nothing gathers."""

    def close(self) -> None:
        """Nothing is open."""


def transaction(number: int) -> Transaction:
    return Transaction(number.to_bytes(16, "big"), "user:alice", "-", number, ())


def opened(writer: Recorder) -> Callable[[], Any]:
    """It has the part of a writer that is used."""
    return lambda: writer


async def told(writer: Recorder, turns: Sequence[int]) -> list[KeysteadError | None]:
    """Submit so many transactions in each turn, and return what each was told, in order."""
    committer = GroupCommitter(opened(writer), asyncio.get_running_loop())
    outcomes: list[asyncio.Future[Any]] = []
    for count in turns:
        for _ in range(count):
            outcome = asyncio.get_running_loop().create_future()
            committer.submit(transaction(len(outcomes)), outcome.set_result)
            outcomes.append(outcome)
        await asyncio.gather(*outcomes)
    committer.close()
    return [outcome.result() for outcome in outcomes]


def test_a_turn_is_a_group() -> None:
    writer = Recorder(lambda _number: None)
    assert asyncio.run(told(writer, [8, 1, 3])) == [None] * 12
    assert writer.groups == [8, 1, 3]


def test_each_learns_its_own_fate() -> None:
    conflict = Conflict("changed meanwhile")
    writer = Recorder(lambda number: conflict if number % 2 else None)
    assert asyncio.run(told(writer, [4])) == [None, conflict, None, conflict]


def test_a_store_that_fails_tells_everyone() -> None:
    gone = Unavailable("the disk is full", "unavailable.store")
    assert asyncio.run(told(Recorder(lambda number: gone if number == 2 else None), [3])) == [gone] * 3


def test_what_was_submitted_is_finished_when_it_is_closed() -> None:
    writer = Recorder(lambda _number: None)

    async def leave() -> None:
        committer = GroupCommitter(opened(writer), asyncio.get_running_loop())
        committer.submit(transaction(1), lambda _error: None)
        committer.close()

    asyncio.run(leave())
    assert writer.groups == [1]


def test_a_large_turn_is_cut_into_groups_of_the_largest_size() -> None:
    writer = Recorder(lambda _number: None)
    count = 2 * GROUP_COUNT_MAX + 1
    assert asyncio.run(told(writer, [count])) == [None] * count
    assert writer.groups == [GROUP_COUNT_MAX, GROUP_COUNT_MAX, 1]
