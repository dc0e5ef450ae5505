"""The health check takes requests from anybody: it must cost the key process nothing, and strangers cannot occupy it.

Attack classes 1, 2 and 24 (a door without a lock shows what it must, and no more).
"""

import asyncio
import contextlib
import http.client
import socket
import urllib.parse
from collections.abc import Awaitable, Callable

import pytest

from keystead.protocols.health import server
from keystead.protocols.health.server import HealthServer
from tests.hostile.sockets import close_all
from tests.support.dev_node import DevNode

FLOOD_COUNT = 1_200
SILENT_COUNT = 300


def place(node: DevNode) -> tuple[str, int]:
    split = urllib.parse.urlsplit(node.ready["health"]["url"])
    return split.hostname or "", split.port or 0


def status(node: DevNode, path: str) -> int:
    with contextlib.closing(http.client.HTTPConnection(*place(node), timeout=10)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


def checks_of(node: DevNode) -> int:
    """How often the key process was asked."""
    return (node.data / "logs" / "activity.log").read_text().count(" ModuleCheck ")


@pytest.mark.row("KS-HCK-005")
def test_a_flood_is_limited_and_spares_the_key_process(node: DevNode) -> None:
    """More requests than a second may have; most share an answer."""
    before = checks_of(node)
    request = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(place(node), 10) as raw:
        raw.sendall(request * FLOOD_COUNT)
        told = b""
        while told.count(b"HTTP/1.1 ") < FLOOD_COUNT and (part := raw.recv(1 << 16)):
            told += part
    assert told.count(b"HTTP/1.1 200") > 0
    assert told.count(b"HTTP/1.1 429") > 0
    assert 0 < checks_of(node) - before < FLOOD_COUNT // 10


def test_silent_connections_make_room(node: DevNode) -> None:
    """Class 1: a load balancer would take the node for dead."""
    silent = [socket.create_connection(place(node), 10) for _ in range(SILENT_COUNT)]
    try:
        assert status(node, "/") == 200
        assert status(node, "/ready") == 200
    finally:
        close_all(silent)


async def _all_true() -> dict[str, bool]:
    return {"part": True}


def with_server(talk: Callable[[int], Awaitable[bytes]]) -> bytes:
    async def run() -> bytes:
        health = HealthServer(_all_true, _all_true)
        port = await health.listen("127.0.0.1", 0)
        try:
            return await asyncio.wait_for(talk(port), 20)
        finally:
            health.close()

    return asyncio.run(run())


@pytest.mark.row("KS-HCK-005")
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nshort"])
def test_a_request_that_takes_too_long_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """Class 2: silence, half a head, half a body."""
    monkeypatch.setattr(server, "REQUEST_S_MAX", 0.3)

    async def talk(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        told = await reader.read()  # to the end of the connection
        writer.close()
        return told

    assert with_server(talk) == b""


SPOILED = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"DELETE / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /%2e%2e/ HTTP/1.1\r\nConnection: close\r\n\r\n",
    b"GET http://127.0.0.1/ready HTTP/1.1\r\nConnection: close\r\n\r\n",
    bytes(range(128)) + b"\r\n\r\n",
)


@pytest.mark.parametrize("sent", SPOILED, ids=range(len(SPOILED)))
def test_spoiled_requests_are_told_and_closed(node: DevNode, sent: bytes) -> None:
    with socket.create_connection(place(node), 10) as raw:
        raw.sendall(sent)
        told = b""
        with contextlib.suppress(ConnectionResetError):
            while part := raw.recv(4096):
                told += part
    assert told.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404", b"HTTP/1.1 405", b"HTTP/1.1 413"))
    assert status(node, "/") in (200, 429)
