"""Thirty-two clients against one key: what they saw could have happened one after the other, and nothing is lost.

Attack classes 7 (parallel calls) and 22 (time of check, time of use).
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.hostile.linearisable import Seen, is_linearisable
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Refused, Session

THREADS_COUNT = 32
MODIFY_ATTRIBUTE, ADD_ATTRIBUTE = 0x0E, 0x0D
PRE_ACTIVE, ACTIVE, DEACTIVATED = 1, 2, 3
REGISTER, LIST = "x-Register", "x-List"
WRITES_COUNT = 4

Work = Callable[[Session], list[Seen]]


def timed(session: Session, name: Any, request: bytes, read: Callable[[messages.Item], Any]) -> Seen:
    """Ask; a refusal is an outcome, too."""
    begun = time.monotonic()
    try:
        outcome = read(session.ask(request))
    except Refused:
        outcome = "refused"
    return Seen(begun, time.monotonic(), name, outcome)


def done(_reply: messages.Item) -> str:
    return "done"


def attribute_of(name: str) -> Callable[[messages.Item], Any]:
    """Reads an attribute's values, in order, out of the answer to Get Attributes."""

    def read(reply: messages.Item) -> tuple[Any, ...]:
        found = reply.find(messages.ATTRIBUTE)
        return tuple(
            next(each.find(messages.ATTRIBUTE_VALUE)).value
            for each in found
            if next(each.find(messages.ATTRIBUTE_NAME)).value == name
        )

    return read


def named(key: str) -> bytes:
    return messages.text(messages.UNIQUE_IDENTIFIER, key)


def get_attribute(key: str, name: str) -> bytes:
    return messages.request(messages.GET_ATTRIBUTES, named(key), messages.text(messages.ATTRIBUTE_NAME, name))


def activating(key: str) -> Work:
    return lambda session: [timed(session, "activate", messages.activate(key), done)]


def revoking(key: str) -> Work:
    return lambda session: [timed(session, "revoke", messages.revoke(key), done) for _ in range(2)]


def adding(key: str, number: int) -> Work:
    def work(session: Session) -> list[Seen]:
        values = [f"{number}.{count}" for count in range(WRITES_COUNT)]
        requests = [
            messages.request(ADD_ATTRIBUTE, named(key), messages.custom_attribute(LIST, value)) for value in values
        ]
        return [timed(session, ("add", value), sent, done) for value, sent in zip(values, requests, strict=True)]

    return work


def modifying(key: str, number: int) -> Work:
    def work(session: Session) -> list[Seen]:
        seen = []
        for count in range(WRITES_COUNT):
            value = f"{number}.{count}"
            sent = messages.request(MODIFY_ATTRIBUTE, named(key), messages.custom_attribute(REGISTER, value))
            seen.append(timed(session, ("write", value), sent, done))
            seen.append(timed(session, "read", get_attribute(key, REGISTER), attribute_of(REGISTER)))
        return seen

    return work


def watching(key: str) -> Work:
    return lambda session: [
        timed(session, "state", get_attribute(key, "State"), attribute_of("State")) for _ in range(2 * WRITES_COUNT)
    ]


def life(state: Any, name: Any, outcome: Any) -> Any:
    """The life cycle, as far as these clients move it."""
    if name == "state":
        return state if outcome == (state,) else None
    allowed, after = {"activate": (PRE_ACTIVE, ACTIVE), "revoke": (ACTIVE, DEACTIVATED)}[name]
    if outcome == "done":
        return after if state == allowed else None
    return None if state == allowed else state


def register(state: Any, name: Any, outcome: Any) -> Any:
    """One value: a read sees the last write."""
    if name == "read":
        return state if outcome == (state,) else None
    return name[1] if outcome == "done" else None


@pytest.fixture(scope="module")
def fought_over(node: DevNode) -> tuple[DevNode, str, list[list[Seen]]]:
    """A key, and what each of the clients saw that fell upon it at the same moment."""
    with node.session() as session:
        key = session.identifier(messages.create(None, messages.custom_attribute(REGISTER, "first")))
    works = [work for number in range(THREADS_COUNT // 8) for work in a_share(key, number)]
    begin = Barrier(THREADS_COUNT)

    def run(work: Work) -> list[Seen]:
        with node.session() as session:
            begin.wait(60)
            return work(session)

    with ThreadPoolExecutor(THREADS_COUNT) as pool:
        return node, key, list(pool.map(run, works))


def a_share(key: str, number: int) -> list[Work]:
    return [
        *(activating(key), revoking(key), watching(key), watching(key)),
        *(adding(key, 2 * number), adding(key, 2 * number + 1)),
        *(modifying(key, 2 * number), modifying(key, 2 * number + 1)),
    ]


def seen_of(fought_over: tuple[DevNode, str, list[list[Seen]]], *names: str) -> list[Seen]:
    histories = fought_over[2]
    return [each for seen in histories for each in seen if each.name in names or each.name[0] in names]


def test_its_life_went_one_way(fought_over: tuple[DevNode, str, list[list[Seen]]]) -> None:
    history = seen_of(fought_over, "activate", "revoke", "state")
    assert len(history) >= THREADS_COUNT
    assert [each.outcome for each in history if each.name == "activate"].count("done") == 1
    assert is_linearisable(history, PRE_ACTIVE, life)


def test_every_read_saw_the_last_write(fought_over: tuple[DevNode, str, list[list[Seen]]]) -> None:
    assert is_linearisable(seen_of(fought_over, "write", "read"), "first", register)


def test_nothing_that_was_added_is_lost(fought_over: tuple[DevNode, str, list[list[Seen]]]) -> None:
    node, key, _ = fought_over
    added = [each.name[1] for each in seen_of(fought_over, "add") if each.outcome == "done"]
    with node.session() as session:
        held = attribute_of(LIST)(session.ask(get_attribute(key, LIST)))
    assert sorted(held) == sorted(added)
    assert len(added) == THREADS_COUNT // 4 * WRITES_COUNT


def test_the_checker_sees_what_cannot_have_been() -> None:
    """The control: a read of what was overwritten, and a second activation."""
    write, read = Seen(0, 1, ("write", "new"), "done"), Seen(2, 3, "read", ("first",))
    assert not is_linearisable([write, read], "first", register)
    assert is_linearisable([write, read._replace(begun=0.5)], "first", register)
    activations = [Seen(0, 1, "activate", "done"), Seen(0, 1, "activate", "done")]
    assert not is_linearisable(activations, PRE_ACTIVE, life)


def test_keys_fought_over_leave_clean_stores(own_node: DevNode) -> None:
    """One winner each; `keystead verify` has nothing to say afterwards."""
    with own_node.session() as session:
        keys = [session.identifier(messages.create()) for _ in range(8)]
    begin = Barrier(THREADS_COUNT)

    def destroy(_: int) -> list[str]:
        with own_node.session() as session:
            begin.wait(60)
            return [timed(session, key, messages.destroy(key), done).outcome for key in keys]

    with ThreadPoolExecutor(THREADS_COUNT) as pool:
        outcomes = list(pool.map(destroy, range(THREADS_COUNT)))
    assert [sum(each[number] == "done" for each in outcomes) for number in range(len(keys))] == [1] * len(keys)
    own_node.stop()
    verified = own_node.verify()
    assert (verified.returncode, verified.stdout.count(" 0 findings")) == (0, 2), verified.stdout
