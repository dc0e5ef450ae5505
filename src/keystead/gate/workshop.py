"""Work that takes too long for the serving thread, such as making an RSA key, is done on another one.

A handler that needs such a thing and does not have it raises `Laborious`. The gate has it made and runs the whole batch
anew with what came out of it; until then nothing of the batch has happened.

Source: design.md law 2; docs/adr/0036.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from keystead.core.errors import KeysteadError, Limited

WAITING_COUNT_MAX = 32
PREPARED_PER_BATCH_COUNT_MAX = 8
RETRY_AFTER_S = 5.0


class Outcome(NamedTuple):
    """What came of a piece of work: a value, or the error that took its place."""

    value: Any = None
    error: BaseException | None = None


Make = Callable[[], Any]
Done = Callable[[Outcome], None]
Prepared = dict[int, Outcome]
"""Place of a request in its batch -> what was made for it."""


class Laborious(Exception):
    """A handler needs what `make` makes; `make` touches nothing that belongs to the serving thread."""

    def __init__(self, make: Make) -> None:
        super().__init__("to be made on another thread")
        self.make = make


class Workshop(Protocol):
    """Does work elsewhere and reports on the serving thread."""

    def submit(self, make: Make, done: Done) -> None:
        """Do a piece of work, then call `done`; at once when too much is waiting already."""


class InlineWorkshop:
    """Works at once on the caller's thread: for one-off commands that serve nobody else meanwhile."""

    def submit(self, make: Make, done: Done) -> None:
        """Work and report before returning."""
        try:
            outcome = Outcome(make())
        except KeysteadError as error:
            outcome = Outcome(error=error)
        done(outcome)


class ThreadWorkshop:
    """Works on one thread of its own, in the order of submission, or on several.

    Args:
        loop: Of the serving thread.
        threads_count: How many.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, threads_count: int = 1) -> None:
        self._loop = loop
        self._executor = ThreadPoolExecutor(threads_count, "workshop")
        self._waiting_count = 0
        self._is_open = True

    def submit(self, make: Make, done: Done) -> None:
        """Queue a piece of work, or refuse it when too much is waiting."""
        if self._waiting_count >= WAITING_COUNT_MAX:
            done(Outcome(error=Limited("too many keys are being made; try again in a moment", RETRY_AFTER_S)))
            return
        self._waiting_count += 1

        def report(future: Future[Any]) -> None:  # on the other thread
            with suppress(RuntimeError):  # the loop is closed: nobody waits for an answer any more
                self._loop.call_soon_threadsafe(self._tell, done, future)

        self._executor.submit(make).add_done_callback(report)

    def close(self) -> None:
        """Stop after the piece of work that is being done; what waits is given up, as its batch has not happened."""
        self._is_open = False
        self._executor.shutdown(cancel_futures=True)

    def _tell(self, done: Done, future: "Future[Any]") -> None:
        self._waiting_count -= 1
        if self._is_open:  # else what the batch would run on is closed too
            error = future.exception()  # whatever it is: the gate answers for mistakes of ours
            done(Outcome(error=error) if error is not None else Outcome(future.result()))
