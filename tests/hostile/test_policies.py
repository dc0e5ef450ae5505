"""Limits of policies at the doors of a running node: never passed, and told before the connection ends."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from typing import Any

import pytest

from keystead.core.permission import Right
from tests.hostile.doors import at_door
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Disconnected, Refused, Session
from tests.support.xml.client import logged_in, request

THREADS_COUNT = 16
LIMIT = 37
CRYPTO = int(Right.ENCRYPT | Right.EXPORT)
PERMISSION_DENIED = 0x0C
EXCEEDED, OUTSIDE = 1305, 1306


@pytest.fixture(scope="module", autouse=True)
def staff(node: DevNode) -> Iterator[None]:
    """Bob is of the staff."""
    at_door(node, "user.set_groups", name="bob", groups=["staff"])
    yield
    at_door(node, "user.set_groups", name="bob", groups=[])


def a_key(node: DevNode, policy: str, rights: int = CRYPTO, **fields: Any) -> str:
    """A key of Alice's that the staff may use under a new policy."""
    at_door(node, "policy.create", name=policy, **fields)
    with node.session() as owner:
        key = owner.identifier(messages.create(f"of {policy}"))
        owner.ask(messages.activate(key))
    at_door(node, "key.give", target=key, group="staff", rights=rights, policy=policy)
    return key


def closed_period() -> str:
    """A minute of the week that is half a week away."""
    local = time.localtime(time.time() + 3.5 * 86_400)
    day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[local.tm_wday]
    return f"{day} {local.tm_hour:02}:00-{day} {local.tm_hour:02}:01"


def refused_then_closed(session: Session, message: bytes, words: str) -> None:
    """The refusal is told; after it the server has closed."""
    with pytest.raises(Refused, match=words) as told:
        session.ask(message)
    assert told.value.reason == PERMISSION_DENIED
    with pytest.raises(Disconnected):
        session.ask(messages.locate())


@pytest.mark.row("KS-POL-007")
def test_exceeding_the_rate_is_told_and_ends_the_connection(node: DevNode) -> None:
    key = a_key(node, "twice", operations_per_hour=2)
    get, encrypt = messages.get(key), messages.encrypt_gcm(key, b"data")
    with node.session("bob") as bob:
        bob.ask(encrypt)
        assert len(bob.key(key)) == 32
        refused_then_closed(bob, encrypt, "in an hour are used up")
    with node.session("bob") as bob:  # who comes again may ask for other things, and is refused again
        assert key in bob.identifiers(messages.locate())
        refused_then_closed(bob, get, "in an hour are used up")
    with node.session() as owner:
        for _ in range(5):
            owner.ask(encrypt)


@pytest.mark.row("KS-POL-011")
def test_use_outside_the_periods_is_told_and_ends_the_connection(node: DevNode) -> None:
    key = a_key(node, "later", periods=[closed_period()])
    with node.session("bob") as bob:
        refused_then_closed(bob, messages.encrypt_gcm(key, b"data"), "outside the periods")
    at_door(node, "policy.change", name="later", periods=[])
    with node.session("bob") as bob:
        bob.ask(messages.encrypt_gcm(key, b"data"))


def test_what_was_sent_behind_the_refused_message_is_not_looked_at(node: DevNode) -> None:
    key = a_key(node, "once", operations_per_hour=1)
    get = messages.get(key)
    with node.session("bob") as bob:
        replies = messages.parse(bob.send(get + get + messages.locate() + get[:20]))
        assert next(replies.find(messages.RESULT_STATUS)).value == messages.SUCCESS
        said = messages.parse(bob.send(b""))
        assert next(said.find(messages.RESULT_REASON)).value == PERMISSION_DENIED
        with pytest.raises(Disconnected):
            bob.send(b"")


@pytest.mark.row("KS-NAE-027", "KS-POL-007", "KS-POL-011")
def test_over_xml_both_limits_are_fatal(node: DevNode) -> None:
    often = a_key(node, "xml-twice", operations_per_hour=2)
    later = a_key(node, "xml-later", periods=[closed_period()])
    for key, number in ((often, EXCEEDED), (later, OUTSIDE)):
        handle = at_door(node, "key.show", target=key)["key"]["name"]
        more = {"Action": "ENCRYPT", "Algorithm": "AES/GCM/NoPadding", "KeyName": handle, "Base64DataSingle": "AAAA"}
        with logged_in(node, "bob") as bob:
            if key == often:
                assert bob.ask("Crypto", **more).ok
                assert bob.ask("KeyInfo", KeyName=handle).ok
                assert bob.ask("Crypto", **more).ok
            answer = bob.ask("Crypto", **more)
            assert (answer.number, answer.is_fatal) == (number, True)
            assert bob.is_closed()
        with logged_in(node, "bob") as bob:
            bob.send(request("Crypto", **more) + request("RandGen", Size=1))
            refused = bob.receive()
            assert refused is not None
            assert (refused.name, refused.number, refused.is_fatal) == ("CryptoResponse", number, True)
            assert bob.is_closed()


@pytest.mark.row("KS-POL-003", "KS-POL-004")
def test_many_connections_of_a_user_never_pass_the_limit_together(node: DevNode) -> None:
    key = a_key(node, "race", operations_per_hour=LIMIT)
    together = Barrier(THREADS_COUNT)
    asked = [messages.encrypt_gcm(key, b"data"), messages.get(key)]

    def counted(number: int) -> int:
        """Operations of one connection after the other until one is refused."""
        done = 0
        together.wait()
        with node.session("bob") as session, suppress(Refused):
            while done <= LIMIT:
                session.ask(asked[(number + done) % 2])
                done += 1
        return done

    with ThreadPoolExecutor(THREADS_COUNT) as pool:
        assert sum(pool.map(counted, range(THREADS_COUNT))) == LIMIT


def test_refusals_are_audited_with_who_what_and_why(node: DevNode) -> None:
    key = a_key(node, "never", periods=[closed_period()])
    with node.session("bob") as bob, pytest.raises(Refused):
        bob.ask(messages.get(key))
    deadline = time.monotonic() + 20
    found: list[dict[str, Any]] = []
    while not found and time.monotonic() < deadline:
        entries = at_door(node, "audit.show")["lines"]
        found = [one for one in entries if one["target"] == key and one["outcome"] == "refused"]
        time.sleep(0.2)
    (one,) = found
    assert (one["name"], one["operation"], one["detail"]) == ("bob", "key.get", "refused.policy_period")
    log = (node.data / "logs" / "activity.log").read_text()
    assert any(key in line and "refused.policy_period" in line for line in log.splitlines())
