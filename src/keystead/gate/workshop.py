"""Work that takes too long for the serving thread, such as making an RSA key, is done on another one.

A handler that needs such a thing and does not have it raises `Laborious`. The gate has it made and runs the whole batch
anew with what came out of it; until then nothing of the batch has happened.

Source: design.md law 2; attacks.md class 42 (one request must not hold up the others).
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from keystead.core.errors import KeysteadError, Limited

WAITING_COUNT_MAX = 32
PREPARED_PER_BATCH_COUNT_MAX = 8
RETRY_AFTER_S = 5.0


class Outcome(NamedTuple):
    """What came of a piece of work: a value, or the error that took its place."""

    value: Any = None
    error: KeysteadError | None = None


Make = Callable[[], Any]
Done = Callable[[Outcome], None]
Prepared = dict[int, Outcome]
"""Identity of a request -> what was made for it."""


class Laborious(Exception):
    """A handler needs what `make` makes; `make` touches nothing that belongs to the serving thread."""

    def __init__(self, request: Any, make: Make) -> None:
        super().__init__("to be made on another thread")
        self.request = request
        self.make = make


class Workshop(Protocol):
    """Does work elsewhere and reports on the serving thread."""

    def submit(self, make: Make, done: Done) -> None:
        """Do a piece of work, then call `done`; at once when too much is waiting already."""


class InlineWorkshop:
    """Works at once on the caller's thread: for one-off commands that serve nobody else meanwhile."""

    def submit(self, make: Make, done: Done) -> None:
        """Work and report before returning."""
        done(_outcome(make))


class ThreadWorkshop:
    """Works on one thread of its own, in the order of submission.

    Args:
        loop: Of the serving thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: queue.SimpleQueue[tuple[Make, Done] | None] = queue.SimpleQueue()
        self._waiting_count = 0
        self._thread = threading.Thread(target=self._work, name="workshop", daemon=True)
        self._thread.start()

    def submit(self, make: Make, done: Done) -> None:
        """Queue a piece of work, or refuse it when too much is waiting."""
        if self._waiting_count >= WAITING_COUNT_MAX:
            done(Outcome(error=Limited("too many keys are being made; try again in a moment", RETRY_AFTER_S)))
            return
        self._waiting_count += 1
        self._queue.put((make, done))

    def close(self) -> None:
        """Stop after the piece of work that is being done; what waits is given up, as its batch has not happened."""
        while not self._queue.empty():
            self._queue.get()
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            make, done = task
            outcome = _outcome(make)
            with suppress(RuntimeError):  # the loop is closed: nobody waits for an answer any more
                self._loop.call_soon_threadsafe(self._tell, done, outcome)

    def _tell(self, done: Done, outcome: Outcome) -> None:
        self._waiting_count -= 1
        done(outcome)


def _outcome(make: Make) -> Outcome:
    try:
        return Outcome(make())
    except KeysteadError as error:
        return Outcome(error=error)
