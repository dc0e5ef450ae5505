"""Many who each take a little too much, and mistakes of ours: neither may cost others more than themselves.

Attack classes 2, 7 and 25. The listener in this process, over real TLS, with limits small enough to reach.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from keystead.core.errors import KeysteadError
from keystead.protocols import listener
from keystead.protocols.kmip.wire.framing import REQUEST, Framer
from keystead.protocols.listener import TlsListener, Turn, server_context
from keystead.trust import x509

HELD_BYTES_MAX = 1_000_000
GREEDY_COUNT = 8
HALF_BYTES = 300_000
ANSWER_BYTES = 4_000_000
TIMEOUT_S = 30


SERVED: list[bytes] = []
"""Messages in the order in which they were run."""


class Repeating:
    """A session that answers a message with itself, one with a very long answer, and fails at another."""

    def __init__(self) -> None:
        self._framer = Framer(REQUEST)
        self.failure: KeysteadError | None = None

    def messages(self, data: bytes) -> list[bytes]:
        return self._framer.feed(data)

    def kind(self, message: bytes) -> bytes:
        return message[-1:]

    def handle(self, message: bytes, send: Callable[[bytes], None]) -> None:
        SERVED.append(message)
        if message == FATAL:
            raise ZeroDivisionError
        send(bytes(ANSWER_BYTES) if message == LONG_ANSWER else message)

    def refuse(self, error: KeysteadError) -> bytes:
        return error.message.encode()

    @property
    def pending_bytes(self) -> int:
        return self._framer.pending_bytes

    @property
    def owes_login(self) -> bool:
        return False


def message(body: bytes) -> bytes:
    return REQUEST + len(body).to_bytes(4, "big") + body


HONEST, LONG_ANSWER, FATAL = (message(bytes(7) + bytes([number])) for number in range(3))


class Contexts:
    """TLS contexts of a server and its clients."""

    def __init__(self, folder: Path) -> None:
        key, authority = x509.make_authority("held")
        server_key, server = x509.issue_server(key, authority, ())
        client_key, client = x509.issue_client(key, authority, "alice")
        assert client_key is not None
        (folder / "server").write_bytes(server.encode() + server_key.reveal())
        (folder / "client").write_bytes(client.encode() + client_key.reveal())
        self.server = server_context(str(folder / "server"), str(folder / "server"), authority)
        self.client = ssl.create_default_context(cadata=authority)
        self.client.load_cert_chain(folder / "client")


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]


def identified(certificate: bytes, _issuers: Sequence[bytes]) -> x509.ClientIdentity:
    return x509.identity(certificate)


def nothing() -> None:
    """Before and after a turn."""


def under_attack(
    folder: Path, attack: Callable[[Connect], Awaitable[None]], after: Callable[[], None] = nothing
) -> list[str]:
    """Run an attack against a listener; an honest client is served afterwards.

    Returns: why peers were turned away.
    """
    turned_away: list[str] = []
    contexts = Contexts(folder)

    async def run() -> None:
        turn = Turn(asyncio.get_running_loop(), nothing, after)
        made = TlsListener(contexts.server, turn, lambda _peer: Repeating(), identified, noting(turned_away))
        port = await made.listen("127.0.0.1", 0)

        async def connect() -> Streams:
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            raw.setblocking(False)
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
            return await asyncio.open_connection(sock=raw, ssl=contexts.client, server_hostname="localhost", limit=1000)

        try:
            async with asyncio.timeout(TIMEOUT_S):
                await attack(connect)
                reader, writer = await connect()
                writer.write(HONEST)
                assert await reader.readexactly(len(HONEST)) == HONEST
                writer.close()
        finally:
            await made.close()

    asyncio.run(run())
    return turned_away


def noting(turned_away: list[str]) -> Callable[[str, str], None]:
    return lambda _address, why: turned_away.append(why)


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HELD_BYTES_MAX", HELD_BYTES_MAX)


def test_half_messages_of_many_are_bounded_together(tmp_path: Path) -> None:
    async def attack(connect: Connect) -> None:
        half = message(bytes(2 * HALF_BYTES))[:HALF_BYTES]
        pairs = [await connect() for _ in range(GREEDY_COUNT)]
        for _, writer in pairs:
            writer.write(half)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        await until_closed(pairs, GREEDY_COUNT - HELD_BYTES_MAX // HALF_BYTES)

    turned_away = under_attack(tmp_path, attack)
    assert len(turned_away) == GREEDY_COUNT - HELD_BYTES_MAX // HALF_BYTES
    assert all("half messages" in why for why in turned_away)


def test_answers_that_nobody_takes_are_bounded_together(tmp_path: Path) -> None:
    async def attack(connect: Connect) -> None:
        pairs = [await connect() for _ in range(GREEDY_COUNT)]
        for _, writer in pairs:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport of sockets reads as well
            writer.write(LONG_ANSWER * 4)  # the kernel takes some of it
            await asyncio.sleep(0.05)
        for _, writer in pairs:
            writer.close()

    assert len(under_attack(tmp_path, attack)) >= GREEDY_COUNT // 2


async def until_closed(pairs: list[Streams], count: int) -> None:
    """Wait until so many have been closed by the other side; then close the rest."""
    waiting = [asyncio.ensure_future(reader.read(1)) for reader, _ in pairs]
    while sum(each.done() for each in waiting) < count:
        await asyncio.wait([each for each in waiting if not each.done()], return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for _, writer in pairs:
        writer.close()


def test_a_mistake_of_ours_costs_one_connection(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def attack(connect: Connect) -> None:
        pairs = [await connect() for _ in range(GREEDY_COUNT)]
        for number, (_, writer) in enumerate(pairs):
            writer.write(HONEST + (FATAL if number % 2 else HONEST))
        for number, (reader, writer) in enumerate(pairs):
            if number % 2:
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await reader.readexactly(2 * len(HONEST))
            else:
                assert await reader.readexactly(2 * len(HONEST)) == HONEST * 2
            writer.close()

    assert under_attack(tmp_path, attack) == []
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError] * (
        GREEDY_COUNT // 2
    )


def test_what_cannot_be_logged_is_not_answered(tmp_path: Path) -> None:
    """Class 25: no line, no answer; once lines can be written again, all goes on."""
    is_broken = True

    def log_lines() -> None:
        if is_broken:
            raise ZeroDivisionError

    async def attack(connect: Connect) -> None:
        nonlocal is_broken
        reader, writer = await connect()
        writer.write(HONEST)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        is_broken = False

    under_attack(tmp_path, attack, log_lines)


def test_messages_of_one_kind_run_together(tmp_path: Path) -> None:
    """Each operation's code then stays in the processor's caches, which is a fifth of the time of mixed requests."""
    turns: list[list[bytes]] = []
    SERVED.clear()

    def turn_is_over() -> None:
        turns.append(SERVED.copy())
        SERVED.clear()

    async def attack(connect: Connect) -> None:
        pairs = [await connect() for _ in range(12)]
        sent = [message(bytes(7) + bytes([64 + number % 3])) for number in range(12)]
        for (_, writer), each in zip(pairs, sent, strict=True):
            writer.write(each)
        for (reader, writer), each in zip(pairs, sent, strict=True):
            assert await reader.readexactly(len(each)) == each
            writer.close()

    under_attack(tmp_path, attack, turn_is_over)
    assert max(map(len, turns)) > 3
    assert all(turn == sorted(turn) for turn in turns)


def test_handshakes_take_a_thread_when_somebody_is_served_or_many_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Class 27: the loop itself shakes hands only where that holds nobody up; a lone client is answered sooner."""
    steps: list[object] = []

    class Counting(ThreadPoolExecutor):
        def submit(self, step: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
            steps.append(step)
            return super().submit(step, *arguments, **named)

    monkeypatch.setattr(listener, "ThreadPoolExecutor", Counting)
    monkeypatch.setattr(listener, "SWEEP_S", 0.3)

    async def attack(connect: Connect) -> None:
        reader, writer = await connect()
        assert steps == [], "nobody else is there"
        writer.write(HONEST)
        assert await reader.readexactly(len(HONEST)) == HONEST
        others = [await connect()]
        assert steps, "somebody was served just now"
        await asyncio.sleep(1.5)
        steps.clear()
        others.append(await connect())
        assert steps == [], "nobody was served for a while"
        others += await asyncio.gather(*(connect() for _ in range(12)))
        assert steps, "many come at once"
        writer.write(HONEST)
        assert await reader.readexactly(len(HONEST)) == HONEST
        for _, each in [(reader, writer), *others]:
            each.close()

    assert under_attack(tmp_path, attack) == []
