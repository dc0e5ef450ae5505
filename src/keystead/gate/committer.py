"""The committer: the one place of a process that opens write transactions. Group commit on a thread of its own.

While one group is being flushed, the next gathers; eight clients share one flush.

Source: performance.md section 8 rule 5; design.md section 6 ("transaction").
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from keystead.core.changes import Transaction
from keystead.core.errors import KeysteadError, Unavailable
from keystead.storage.store import Writer

GROUP_COUNT_MAX = 256

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
    """Commits groups on a writer thread.

    Args:
        open_writer: Opens the writer; called on the writer thread.
        loop: Of the serving thread. What is submitted within one of its turns goes into one group.
    """

    def __init__(self, open_writer: Callable[[], Writer], loop: asyncio.AbstractEventLoop) -> None:
        self._queue: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._gathering: list[Job] = []
        self._open_writer = open_writer
        self._loop = loop
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)
        self._thread.start()

    def submit(self, transaction: Transaction, done: Done) -> None:
        """Take into the group that is handed over when the turn is over."""
        self._gathering.append((transaction, done))
        if len(self._gathering) == 1:
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        if self._gathering:
            self._queue.put(self._gathering)
            self._gathering = []

    def close(self) -> None:
        """Finish what was submitted and stop."""
        self._hand_over()
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        writer = self._open_writer()
        running = True
        while running:
            group: list[Job] = []
            while running and (not group or (len(group) < GROUP_COUNT_MAX and not self._queue.empty())):
                jobs = self._queue.get()
                running = jobs is not None
                group += jobs or []
            for at in range(0, len(group), GROUP_COUNT_MAX):  # a turn may have submitted more
                self._commit(writer, group[at : at + GROUP_COUNT_MAX])
                self._tidy(writer)
        writer.close()

    @staticmethod
    def _tidy(writer: Writer) -> None:
        with suppress(Unavailable):  # what is due stays due
            writer.tidy()

    def _commit(self, writer: Writer, group: list[Job]) -> None:
        outcomes: list[KeysteadError | None]
        try:
            outcomes = writer.commit([transaction for transaction, _ in group])
        except Unavailable as error:
            outcomes = [error] * len(group)
        told: list[Callable[[], None]] = [
            partial(done, outcome) for (_, done), outcome in zip(group, outcomes, strict=True)
        ]
        with suppress(RuntimeError):  # the loop is closed: nobody waits for an answer any more
            self._loop.call_soon_threadsafe(self._tell, told)

    def _tell(self, told: list[Callable[[], None]]) -> None:
        """Give each its outcome, one by one: what goes wrong with one answer must not keep others back."""
        for tell in told:
            self._loop.call_soon(tell)
