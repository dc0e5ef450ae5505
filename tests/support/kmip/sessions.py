"""One blocking KMIP connection under mutual TLS."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.kmip import messages
from tests.support.kmip.messages import Item

REPLY_BYTES_MAX = 16 << 20


class Refused(Exception):
    """The server answered, but not with success."""

    def __init__(self, reason: int, message: str) -> None:
        super().__init__(f"result reason {reason:#x}: {message}")
        self.reason = reason


class Disconnected(Exception):
    """The server went away before it answered."""


@dataclass(frozen=True)
class Client:
    """Who asks: PEM files of certificate, private key and the authority of the server's certificate."""

    certificate: Path
    key: Path
    authority: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority))
        context.check_hostname = False  # loopback nodes are reached by number
        context.load_cert_chain(self.certificate, self.key)
        return context


class Session:
    """A connection; `ask` sends one request and returns the reply.

    Args:
        port: on the loopback interface.
        client: who asks.
        timeout_s: of every read and write.
    """

    def __init__(self, port: int, client: Client, timeout_s: float = 20) -> None:
        # Wrapped before it connects: `wrap_socket` loses a connected socket whose peer resets it just then.
        self._socket = client.context().wrap_socket(socket.socket())
        self._socket.settimeout(timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.connect(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, message: bytes) -> bytes:
        """Raw request to raw reply.

        Raises:
            Disconnected: the connection broke, so whether the request was carried out is unknown.
        """
        try:
            self._socket.sendall(message)
            header = self._receive(messages.HEADER_BYTES)
            length = int.from_bytes(header[4:], "big")
            if length > REPLY_BYTES_MAX:
                raise messages.MalformedReply(f"reply of {length} bytes")
            return header + self._receive(length)
        except OSError as error:
            raise Disconnected(str(error)) from error

    def ask(self, message: bytes) -> Item:
        """Raises: Refused, Disconnected, messages.MalformedReply."""
        reply = messages.parse(self.send(message))
        status = next(reply.find(messages.RESULT_STATUS)).value
        if status != messages.SUCCESS:
            reason = next((item.value for item in reply.find(messages.RESULT_REASON)), 0)
            said = next((item.value for item in reply.find(messages.RESULT_MESSAGE)), "")
            raise Refused(int(str(reason)), str(said))
        return reply

    def identifier(self, message: bytes) -> str:
        """The unique identifier in the reply (Create, Activate, Destroy …)."""
        return str(next(self.ask(message).find(messages.UNIQUE_IDENTIFIER)).value)

    def identifiers(self, message: bytes) -> list[str]:
        """All unique identifiers in the reply (Locate)."""
        return [str(item.value) for item in self.ask(message).find(messages.UNIQUE_IDENTIFIER)]

    def key(self, identifier: str) -> bytes:
        """The key's bytes by Get."""
        value = next(self.ask(messages.get(identifier)).find(messages.KEY_MATERIAL)).value
        if not isinstance(value, bytes):
            raise messages.MalformedReply("key material is no byte string")
        return value

    def _receive(self, length: int) -> bytes:
        received = bytearray()
        while len(received) < length:
            piece = self._socket.recv(min(length - len(received), 1 << 20))
            if not piece:
                raise Disconnected("the server closed the connection")
            received += piece
        return bytes(received)
