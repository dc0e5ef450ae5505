"""What one turn of the loop submits is one group; every transaction learns its own fate."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from keystead.core.changes import Change, Transaction
from keystead.core.errors import Conflict, KeysteadError, Unavailable
from keystead.gate.committer import (
    GROUP_COUNT_MAX,
    IDLE_S,
    LINGER_COUNT,
    QUICK_FLUSH_S,
    STAGED_STEPS_MAX,
    GroupCommitter,
)
from keystead.storage.store import Staged


class Recorder:
    """A writer that remembers its groups."""

    is_untidy = True

    def __init__(self, fate: Callable[[int], KeysteadError | None], *, waits: bool = True) -> None:
        self.groups: list[int] = []
        self.threads: list[tuple[str, str]] = []
        self.tidied: list[str] = []
        self.flush_s = 0.0
        self._fate = fate
        self._waits = waits

    def stage(self, group: Sequence[Transaction]) -> Staged | None:
        if self._waits:
            return None
        self.threads.append(("stage", threading.current_thread().name))
        return Staged(self.commit(group), self._finish)

    def _finish(self) -> None:
        self.threads.append(("finish", threading.current_thread().name))
        time.sleep(self.flush_s)

    def commit(self, group: Sequence[Transaction]) -> list[KeysteadError | None]:
        self.groups.append(len(group))
        outcomes = [self._fate(transaction.at_us) for transaction in group]
        for outcome in outcomes:
            if isinstance(outcome, Unavailable):
                raise outcome
        return outcomes

    def tidy(self) -> None:
        self.tidied.append(threading.current_thread().name)

    def close(self) -> None:
        """Nothing is open."""


def transaction(number: int, steps_count: int = 0) -> Transaction:
    steps = (("key.create", Change((), None)),) * steps_count
    return Transaction(number.to_bytes(16, "big"), "user:alice", "-", number, steps)


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


async def thread_ended(committer: GroupCommitter) -> None:
    for _ in range(100):
        if not committer._thread.is_alive():
            break
        await asyncio.sleep(0.01)
    assert not committer._thread.is_alive()


def test_a_turn_is_a_group() -> None:
    writer = Recorder(lambda _number: None)
    assert asyncio.run(told(writer, [8, 1, 3])) == [None] * 12
    assert writer.groups == [8, 1, 3]


AN_HOUR_S = 3600.0


def work() -> None:
    """What keeps the loop busy between two looks."""
    time.sleep(10 * IDLE_S)


def test_a_small_group_waits_for_more_while_the_loop_has_other_work() -> None:
    writer = Recorder(lambda _number: None)

    async def busy() -> None:
        loop = asyncio.get_running_loop()
        committer = GroupCommitter(opened(writer), loop, linger_s=AN_HOUR_S)
        outcomes = [loop.create_future() for _ in range(LINGER_COUNT)]
        for number, outcome in enumerate(outcomes):
            committer.submit(transaction(number), outcome.set_result)
            for _ in range(3):  # turns that have other work
                work()
                await asyncio.sleep(0)
        await asyncio.gather(*outcomes)
        committer.close()

    asyncio.run(busy())
    assert writer.groups == [LINGER_COUNT]


def test_nobody_waits_for_company_when_the_loop_is_idle() -> None:
    writer = Recorder(lambda _number: None)

    async def idle() -> None:
        committer = GroupCommitter(opened(writer), asyncio.get_running_loop(), linger_s=AN_HOUR_S)
        outcome = asyncio.get_running_loop().create_future()
        committer.submit(transaction(0), outcome.set_result)
        assert await asyncio.wait_for(outcome, 60) is None
        committer.close()

    asyncio.run(idle())
    assert writer.groups == [1]


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


def test_a_small_group_is_written_by_the_loop_and_flushed_by_another_thread() -> None:
    writer = Recorder(lambda _number: None, waits=False)
    here = threading.current_thread().name
    assert asyncio.run(told(writer, [2, 3])) == [None] * 5
    assert writer.groups == [2, 3]
    assert writer.threads == [("stage", here), ("finish", "committer")] * 2


def test_a_group_that_would_hold_the_loop_is_the_other_threads() -> None:
    writer = Recorder(lambda _number: None, waits=False)

    async def large() -> None:
        committer = GroupCommitter(opened(writer), asyncio.get_running_loop())
        done = asyncio.Event()
        committer.submit(transaction(1, STAGED_STEPS_MAX + 1), lambda _error: done.set())
        await done.wait()
        committer.close()

    asyncio.run(large())
    assert writer.groups == [1]
    assert writer.threads == []


def test_a_store_that_fails_while_it_is_written_tells_everyone() -> None:
    gone = Unavailable("the disk is full", "unavailable.store")
    writer = Recorder(lambda number: gone if number == 2 else None, waits=False)
    assert asyncio.run(told(writer, [3, 1])) == [gone] * 3 + [None]


def test_what_comes_while_a_group_is_on_its_way_is_the_next_group() -> None:
    writer = Recorder(lambda _number: None, waits=False)
    release = threading.Event()

    async def run() -> list[KeysteadError | None]:
        loop = asyncio.get_running_loop()
        committer = GroupCommitter(opened(writer), loop)
        held = committer._post  # the thread is stopped where it reports

        def late(*arguments: Any) -> None:
            release.wait(10)
            held(*arguments)

        committer._post = late  # type: ignore[method-assign, assignment]  # a real thread, stopped at that one place
        outcomes = [loop.create_future() for _ in range(4)]
        committer.submit(transaction(0), outcomes[0].set_result)
        await asyncio.sleep(0.02)
        for number in (1, 2, 3):
            committer.submit(transaction(number), outcomes[number].set_result)
            await asyncio.sleep(0)
        release.set()
        told = await asyncio.gather(*outcomes)
        committer.close()
        return list(told)

    assert asyncio.run(run()) == [None] * 4
    assert writer.groups == [1, 3]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # that is how the process ends
def test_a_mistake_of_ours_is_met_by_the_other_thread_too() -> None:
    """So that the process ends and is started anew, instead of leaving its clients without an answer."""

    def fate(number: int) -> KeysteadError | None:
        raise ZeroDivisionError

    writer = Recorder(fate, waits=False)
    failed: list[str] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: failed.append(type(context["exception"]).__name__))
        committer = GroupCommitter(opened(writer), loop)
        committer.submit(transaction(1), lambda _error: None)
        await thread_ended(committer)

    asyncio.run(run())
    assert failed == ["ZeroDivisionError"]
    assert writer.groups == [1, 1]


@pytest.mark.parametrize(
    ("connection_count", "flush_s", "threads"),
    [
        (3, 0.0, ["committer", "MainThread"]),  # the first tells how quick the disk is
        (4, 0.0, ["committer", "committer"]),  # a fourth client could ask meanwhile
        (3, 2 * QUICK_FLUSH_S, ["committer", "committer"]),  # the loop does not wait for a slow disk
    ],
)
def test_the_loop_flushes_itself_when_everybody_waits_and_the_disk_is_quick(
    connection_count: int, flush_s: float, threads: list[str]
) -> None:
    writer = Recorder(lambda _number: None, waits=False)
    writer.flush_s = flush_s

    async def run() -> None:
        committer = GroupCommitter(opened(writer), asyncio.get_running_loop())
        committer.connection_count = lambda: connection_count
        for turn in range(2):
            outcomes: list[asyncio.Future[Any]] = []
            for number in range(3):
                outcomes.append(asyncio.get_running_loop().create_future())
                committer.submit(transaction(3 * turn + number), outcomes[-1].set_result)
            assert await asyncio.gather(*outcomes) == [None] * 3
        assert committer.stored_count == 6
        committer.close()

    asyncio.run(run())
    assert [thread for what, thread in writer.threads if what == "finish"] == threads
    assert writer.tidied == ["committer"] * 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # that is how the process ends
def test_a_mistake_of_ours_while_the_loop_flushes_is_met_by_the_other_thread_too() -> None:
    def mistaken() -> None:
        raise ZeroDivisionError

    class Broken(Recorder):
        def stage(self, group: Sequence[Transaction]) -> Staged | None:
            staged = super().stage(group)
            assert staged is not None
            if group[0].at_us:
                return Staged(staged.outcomes, mistaken)
            return staged

    writer = Broken(lambda _number: None, waits=False)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, _context: None)
        committer = GroupCommitter(opened(writer), loop)
        committer.connection_count = lambda: 1
        first = loop.create_future()
        committer.submit(transaction(0), first.set_result)
        await first
        committer.submit(transaction(1), lambda _error: None)
        await thread_ended(committer)

    asyncio.run(run())
