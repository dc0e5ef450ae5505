"""Serving the local door: who is on the other end is told by the kernel, what they ask goes through the gate.

Source: design.md section 6 ("first door of the administrator"); attacks.md classes 32 and 42.
"""

import asyncio
import logging
import os
import pwd
import socket
import struct
from typing import Any

from keystead.core.errors import Internal, KeysteadError, Unavailable
from keystead.core.permission import EVERY_ACCESS, Principal
from keystead.protocols.asking import Asker, answered
from keystead.protocols.local.wire import FRAME_BYTES_MAX, LENGTH, frame, read_body

IDLE_S_MAX = 60.0
CALLERS_COUNT_MAX = 64
_UCRED = struct.Struct("3i")

log = logging.getLogger("keystead.local")


class LocalDoor:
    """A Unix socket that runs declared operations for root and the node's own account.

    Args:
        asker: Of this process. In the `keys` process it believes the other process, which describes who asks.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._server: asyncio.Server | None = None
        self._callers_count = 0

    async def listen(self, listening: socket.socket) -> None:
        """Serve a listening socket of mode 0600."""
        self._server = await asyncio.start_unix_server(self._serve, sock=listening)

    def close(self) -> None:
        """Stop accepting."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._callers_count += 1
        try:
            name = _caller(writer.get_extra_info("socket"))
            while name is not None and self._callers_count <= CALLERS_COUNT_MAX:
                async with asyncio.timeout(IDLE_S_MAX):
                    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                    if length > FRAME_BYTES_MAX:
                        break
                    body = await reader.readexactly(length)
                writer.write(frame(await self._answer(body, name)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        finally:
            self._callers_count -= 1
            writer.close()

    async def _answer(self, body: bytes, name: str) -> dict[str, Any]:
        try:
            message = read_body(body)
            told = message.get("as") if self._asker.forward is None else None
            principal = (
                Principal("local", name, access=EVERY_ACCESS)
                if told is None
                else self._asker.principal(told, message.get("grants"))
            )
            return {"result": await answered(self._asker, message, principal)}
        except KeysteadError as error:
            return {"error": error.reason, "message": error.message}


def _caller(connected: socket.socket) -> str | None:
    """Return the account behind the connection if it is root or our own, else None."""
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(credentials)
    if uid not in (0, os.geteuid()):
        log.warning("uid %d was turned away at the local door", uid)
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"


class Forwarder:
    """Sends requests to the `keys` process over its socket; one connection, opened when needed.

    Args:
        address: Of the socket.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    async def __call__(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of the `keys` process.

        Raises:
            Unavailable: it does not answer (it is being restarted).
        """
        try:
            async with asyncio.timeout(IDLE_S_MAX):
                reader, writer = await asyncio.open_unix_connection(self._address)
                try:
                    writer.write(frame(message))
                    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                    if length > FRAME_BYTES_MAX:
                        raise Internal("the key process answered nonsense")
                    return read_body(await reader.readexactly(length))
                finally:
                    writer.close()
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            raise Unavailable(
                "the key process does not answer; try again in a moment", "unavailable.stopping"
            ) from None
