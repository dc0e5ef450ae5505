"""Clients that do not behave, byte by byte."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil

from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Client

TIMEOUT_S = 20.0
RESPONSE_MESSAGE = 0x42007B


def plain(node: DevNode, timeout_s: float = TIMEOUT_S) -> socket.socket:
    """A TCP connection and nothing else."""
    return socket.create_connection(("127.0.0.1", node.port), timeout_s)


def secure(node: DevNode, client: Client | ssl.SSLContext | None = None) -> ssl.SSLSocket:
    """A TLS connection, of alice unless told otherwise."""
    context = client if isinstance(client, ssl.SSLContext) else (client or node.client()).context()
    raw = plain(node)
    try:
        return context.wrap_socket(raw)
    except BaseException:
        raw.close()
        raise


def client_hello(node: DevNode) -> bytes:
    """The first bytes that a good client sends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = node.client().context().wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def reply(connection: socket.socket) -> bytes:
    """One whole KMIP message; fewer bytes when the server closed."""
    data = b""
    while len(data) < 8 or len(data) < 8 + int.from_bytes(data[4:8], "big"):
        wanted = 8 if len(data) < 8 else 8 + int.from_bytes(data[4:8], "big")
        part = connection.recv(wanted - len(data))
        if not part:
            return data
        data += part
    return data


def converse(connection: ssl.SSLSocket, data: bytes, piece_bytes: int = 1 << 16) -> Iterator[bytes]:
    """Send bytes piece by piece and yield whole replies as they come, without waiting for one before the next piece.

    One thread does both: a TLS connection of Python's is not for two at once.
    """
    connection.setblocking(False)
    received = b""
    while True:
        piece = data[:piece_bytes]
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            data = data[connection.send(piece) :] if piece else data
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            received += connection.recv(1 << 16)
        while len(received) >= 8 and len(received) >= (end := 8 + int.from_bytes(received[4:8], "big")):
            yield received[:end]
            received = received[end:]
        if not connection.pending():
            ready = select.select([connection], [connection] if data else [], [], TIMEOUT_S)
            assert any(ready), "neither a reply nor room for the next message"


def is_message(data: bytes) -> bool:
    """Whether these bytes are one whole response.

    Raises:
        messages.MalformedReply: they are something else.
    """
    return bool(data) and messages.parse(data).tag == RESPONSE_MESSAGE


def is_closed(connection: socket.socket, within_s: float) -> bool:
    """Wait until the server has closed the connection, whatever it says before."""
    until = time.monotonic() + within_s
    try:
        while (left_s := until - time.monotonic()) > 0:
            connection.settimeout(left_s)
            if not connection.recv(65_536):
                return True
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


def reset(connection: socket.socket) -> None:
    """Close as a crashing machine does: with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def close_all(connections: Iterable[socket.socket]) -> None:
    for connection in connections:
        connection.close()


def is_served(node: DevNode, user: str = "alice") -> bool:
    """An honest client connects and gets what it asks for."""
    with node.session(user) as session:
        key = session.identifier(messages.create())
        return len(session.key(key)) == 32


def process(node: DevNode, role: str = "keys") -> psutil.Process:
    """One of the node's processes."""
    return next(each for each in psutil.Process(node.pid).children() if f"_{role}" in each.cmdline())


def until(condition: Callable[[], bool], within_s: float) -> bool:
    """Ask again and again until it holds."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def said(node: DevNode) -> str:
    """All that the node has written to its output."""
    return Path(node.output).read_text()
