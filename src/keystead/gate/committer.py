"""The committer: the one place of a process that opens write transactions. Groups are flushed on another thread.

While one group is being flushed, the next gathers; eight clients share one flush.

Source: performance.md section 8 rule 5; design.md section 6 ("transaction").
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from keystead.core.changes import Transaction
from keystead.core.errors import KeysteadError, Unavailable
from keystead.gate.histograms import Histogram
from keystead.storage.store import Staged, Writer, do_nothing

GROUP_COUNT_MAX = 256
PATIENCE_S = 0.0003
"""How long a group waits for those who have just got their answer and may ask again: two groups that take turns need
twice the flushes of one."""
LINGER_S = 0.005
"""How long a small group waits for more while the loop has other work: nobody is held up that would not be anyway, and
each flush, with its pages, its sealed root and its two changes of threads, serves more changes."""
LINGER_COUNT = 12  # transactions of a group that does not wait for more; the serving thread still writes it down
IDLE_S = 0.0001  # between two looks, when the loop had nothing else to do
FLUSH_BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
STAGED_STEPS_MAX = 16  # changes that the serving thread writes down itself, about 0.1 ms each
QUICK_FLUSH_S = 0.001
"""A disk that was as quick as this the last time is waited for by the serving thread itself, when everybody who could
ask it for anything waits for this very group: changing threads twice would take longer than many a flush."""

Done = Callable[[KeysteadError | None], None]
Job = tuple[Transaction, Done]


class Committer(Protocol):
    """Takes transactions and reports each one's fate."""

    def submit(self, transaction: Transaction, done: Done) -> None:
        """Hand over a transaction; `done(None)` once it is durable, `done(error)` when it is not stored."""


class InlineCommitter:
    """Commits at once on the caller's thread: for one-off commands that serve nobody else meanwhile."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def submit(self, transaction: Transaction, done: Done) -> None:
        """Commit alone and report before returning."""
        done(self._writer.commit([transaction])[0])


class GroupCommitter:
    """Commits groups: what is submitted within one turn of the loop, or while the group before is on its way.

    A small group is written down on the serving thread and only flushed on another, as two threads that take turns at
    Python's lock with every statement need twice the time. A large one, or one that would have to wait, is the other
    thread's from the beginning, so that the loop never stands still for long.

    Args:
        open_writer: Opens the writer.
        loop: Of the serving thread.
        linger_s: How long a small group waits at most while the loop is busy.

    Attributes:
        connection_count: Tells how many clients there are; each waits for its answer before it asks again.
        flushes: How long each group took to become durable, whether it did or not.
        stored_count: Transactions that became durable.
    """

    def __init__(
        self, open_writer: Callable[[], Writer], loop: asyncio.AbstractEventLoop, *, linger_s: float = LINGER_S
    ) -> None:
        self._queue: queue.SimpleQueue[tuple[list[Job], Staged | None] | None] = queue.SimpleQueue()
        self._gathering: list[Job] = []
        self._is_busy = False  # a group is on its way, and the writer is the other thread's
        self._expected_count = 0  # who could be part of the next group, as far as anybody can tell
        self._patience_ends_s = 0.0
        self._linger_s = linger_s
        self._linger_ends_s = 0.0
        self._looked_s = 0.0
        self._flush_s = float("inf")  # the last one
        self.connection_count: Callable[[], int] | None = None
        self.flushes = Histogram(FLUSH_BOUNDS_S)
        self.stored_count = 0
        self._writer = open_writer()
        self._loop = loop
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)
        self._thread.start()

    def submit(self, transaction: Transaction, done: Done) -> None:
        """Take into the group that is handed over when the turn is over and the group before is durable."""
        self._gathering.append((transaction, done))
        if len(self._gathering) == 1 and not self._is_busy:
            self._linger_ends_s = time.monotonic() + self._linger_s
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        count = len(self._gathering)
        if self._is_busy or not count:
            return
        if self._may_grow(count):
            self._loop.call_soon(self._hand_over)
            return
        jobs = self._gathering[:GROUP_COUNT_MAX]
        del self._gathering[:GROUP_COUNT_MAX]
        staged: Staged | None = None
        self._is_busy = True
        try:
            if sum(len(transaction.steps) for transaction, _ in jobs) <= STAGED_STEPS_MAX:
                staged = self._writer.stage([transaction for transaction, _ in jobs])
        except Unavailable as error:
            staged = Staged([error] * len(jobs), do_nothing)
        except BaseException:  # a mistake of ours: the other thread meets it too, and takes the process down with it
            self._queue.put((jobs, None))
            raise
        if staged is None or not self._may_flush_here(len(jobs)):
            self._queue.put((jobs, staged))
            return
        try:
            told = self._finished(jobs, staged)
        except BaseException:
            self._queue.put((jobs, staged))
            raise
        self._tell(told, not self._writer.is_untidy)
        if self._is_busy:
            self._queue.put(([], None))

    def _may_flush_here(self, count: int) -> bool:
        """Whether the loop may wait for the disk: nobody else is there, and the disk has been quick."""
        if self._flush_s > QUICK_FLUSH_S or self.connection_count is None:
            return False
        return self.connection_count() <= count

    def _may_grow(self, count: int) -> bool:
        """Whether waiting is worth it: somebody who was just answered may ask again, or the loop is busy anyway."""
        now_s = time.monotonic()
        since_s, self._looked_s = now_s - self._looked_s, now_s
        if count < self._expected_count and now_s < self._patience_ends_s:
            return True
        return count < LINGER_COUNT and since_s > IDLE_S and now_s < self._linger_ends_s

    def close(self) -> None:
        """Finish what was submitted and stop."""
        while self._gathering:
            self._queue.put((self._gathering[:GROUP_COUNT_MAX], None))
            del self._gathering[:GROUP_COUNT_MAX]
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        writer = self._writer
        while (task := self._queue.get()) is not None:
            jobs, staged = task
            told = self._finished(jobs, staged) if jobs else []
            is_untidy = writer.is_untidy
            self._post(self._tell, told, not is_untidy)
            if is_untidy:
                with suppress(Unavailable):  # what is due stays due
                    writer.tidy()
                self._post(self._tell, [], True)
        writer.close()

    def _finished(self, jobs: list[Job], staged: Staged | None) -> list[Callable[[], None]]:
        """Make a group durable; returns what tells each of its fate."""
        began_s = time.perf_counter()
        outcomes = self._outcomes(jobs, staged)
        self._flush_s = time.perf_counter() - began_s
        self.flushes.add(self._flush_s)
        self.stored_count += outcomes.count(None)
        return [partial(done, outcome) for (_, done), outcome in zip(jobs, outcomes, strict=True)]

    def _post(self, what: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits for an answer any more
            self._loop.call_soon_threadsafe(what, *arguments)

    def _outcomes(self, jobs: list[Job], staged: Staged | None) -> list[KeysteadError | None]:
        """Make a group durable, and return what became of each transaction."""
        try:
            if staged is None:
                return self._writer.commit([transaction for transaction, _ in jobs])
            staged.finish()
        except Unavailable as error:
            return [error] * len(jobs)
        return staged.outcomes

    def _tell(self, told: list[Callable[[], None]], is_free: bool) -> None:
        """Give each its outcome, one by one: what goes wrong with one answer must not keep others back."""
        if is_free:
            self._is_busy = False
            self._expected_count = len(self._gathering) + len(told)
            self._patience_ends_s = time.monotonic() + PATIENCE_S
            if self._gathering:
                self._linger_ends_s = time.monotonic() + self._linger_s
                self._loop.call_soon(self._hand_over)
        for tell in told:
            self._loop.call_soon(tell)
