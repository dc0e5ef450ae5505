"""Slow work on a thread of its own: in order, bounded, and never the end of the thread."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from keystead.core.errors import Invalid, Limited
from keystead.gate.workshop import WAITING_COUNT_MAX, InlineWorkshop, Outcome, ThreadWorkshop


def in_workshop(use: Callable[[ThreadWorkshop], Awaitable[Any]]) -> Any:
    """What a coroutine returns that has a workshop."""

    async def run() -> Any:
        workshop = ThreadWorkshop(asyncio.get_running_loop())
        try:
            return await use(workshop)
        finally:
            workshop.close()

    return asyncio.run(asyncio.wait_for(run(), 30))


async def outcome_of(workshop: ThreadWorkshop, make: Callable[[], Any]) -> Outcome:
    told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    workshop.submit(make, told.set_result)
    return await told


def fails(error: BaseException) -> Callable[[], Any]:
    def make() -> Any:
        raise error

    return make


def test_work_is_done_elsewhere_and_told_on_the_serving_thread() -> None:
    async def use(workshop: ThreadWorkshop) -> tuple[str, str]:
        told: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
        workshop.submit(
            lambda: threading.current_thread().name,
            lambda outcome: told.set_result((outcome.value, threading.current_thread().name)),
        )
        return await told

    made, reported = in_workshop(use)
    assert made.startswith("workshop")
    assert reported == threading.current_thread().name


def test_the_serving_thread_goes_on_meanwhile() -> None:
    async def use(workshop: ThreadWorkshop) -> Outcome:
        go_on = threading.Event()
        waiting = asyncio.ensure_future(outcome_of(workshop, lambda: go_on.wait(20)))
        await asyncio.sleep(0)
        go_on.set()  # only a thread that is not held up gets here
        return await waiting

    assert in_workshop(use) == Outcome(True)


def test_an_error_is_told_and_the_next_piece_of_work_is_done() -> None:
    ours, foreign = Invalid("no"), MemoryError("no room")

    async def use(workshop: ThreadWorkshop) -> list[Outcome]:
        return [await outcome_of(workshop, make) for make in (fails(ours), fails(foreign), lambda: "done")]

    assert in_workshop(use) == [Outcome(error=ours), Outcome(error=foreign), Outcome("done")]


def test_work_is_done_in_the_order_of_its_coming_and_what_is_too_much_is_refused_at_once() -> None:
    async def use(workshop: ThreadWorkshop) -> tuple[list[int], list[Outcome]]:
        go_on = threading.Event()
        order: list[int] = []
        refused: list[Outcome] = []
        waiting: list[asyncio.Future[Outcome]] = [asyncio.ensure_future(outcome_of(workshop, lambda: go_on.wait(20)))]
        waiting += [
            asyncio.ensure_future(outcome_of(workshop, partial(order.append, number)))
            for number in range(1, WAITING_COUNT_MAX)
        ]
        await asyncio.sleep(0)
        workshop.submit(lambda: order.append(99), refused.append)
        assert refused, "told before anything was done"
        go_on.set()
        await asyncio.gather(*waiting)
        await outcome_of(workshop, lambda: order.append(WAITING_COUNT_MAX))  # there is room again
        return order, refused

    order, refused = in_workshop(use)
    assert order == list(range(1, WAITING_COUNT_MAX + 1))
    assert [type(outcome.error) for outcome in refused] == [Limited]


def test_what_waits_when_it_is_closed_is_given_up() -> None:
    async def run() -> tuple[list[int], list[Outcome]]:
        workshop = ThreadWorkshop(asyncio.get_running_loop())
        begun, go_on = threading.Event(), threading.Event()
        done: list[int] = []
        told: list[Outcome] = []

        def first() -> None:
            begun.set()
            go_on.wait(20)
            done.append(1)

        workshop.submit(first, told.append)
        workshop.submit(lambda: done.append(2), told.append)
        begun.wait(20)
        threading.Timer(0.05, go_on.set).start()
        workshop.close()
        await asyncio.sleep(0.05)
        return done, told

    assert asyncio.run(run()) == ([1], [])


def test_without_a_loop_work_is_done_at_once() -> None:
    told: list[Outcome] = []
    error = Invalid("no")
    for make in (lambda: "done", fails(error)):
        InlineWorkshop().submit(make, told.append)
    assert told == [Outcome("done"), Outcome(error=error)]
