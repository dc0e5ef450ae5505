"""Serving the local door: who is on the other end is told by the kernel, what they ask goes through the gate.

Source: design.md section 6 ("first door of the administrator"); attacks.md classes 32 and 42.
"""

import asyncio
import logging
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from keystead.core.errors import Internal, Invalid, KeysteadError, Unavailable
from keystead.core.permission import EVERY_ACCESS, Principal
from keystead.core.secret import Secret
from keystead.gate.call import Batch, Gate, Reply
from keystead.operations.approval_records import concerns_material
from keystead.protocols.local.wire import (
    FRAME_BYTES_MAX,
    LENGTH,
    credentials_from,
    declaration_of,
    frame,
    plain,
    read_body,
    request_from,
)

IDLE_S_MAX = 60.0
CALLERS_COUNT_MAX = 64
_UCRED = struct.Struct("3i")

Forward = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

log = logging.getLogger("keystead.local")


class LocalDoor:
    """A Unix socket that runs declared operations for root and the node's own account.

    Args:
        gate: Of this process.
        turn: Refreshes the gate's view and writes log lines around each request: (before, after).
        forward: Sends a message on to the `keys` process; None in that process itself.
    """

    def __init__(
        self, gate: Gate, turn: tuple[Callable[[], None], Callable[[], None]], forward: Forward | None = None
    ) -> None:
        self._gate = gate
        self._before, self._after = turn
        self._forward = forward
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
            declaration = declaration_of(message.get("operation"))
            is_for_keys = declaration.material or concerns_material(self._gate.objects, message)
            if is_for_keys and self._forward is not None:
                return await self._forward({**message, "as": name})
            fields = message.get("fields", {})
            if not isinstance(fields, dict):
                raise Invalid("fields must be a map", "invalid.message")
            on_behalf = message.get("as") if self._forward is None else None
            request, credentials = request_from(declaration, fields), credentials_from(message)
            return await self._run(request, str(on_behalf or name), credentials)
        except KeysteadError as error:
            return {"error": error.reason, "message": error.message}

    async def _run(self, request: Any, name: str, credentials: tuple[tuple[str, Secret], ...]) -> dict[str, Any]:
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        principal = Principal("local", name, access=EVERY_ACCESS)

        def deliver(replies: list[Reply]) -> None:
            if not answered.done():
                answered.set_result(replies[0])

        self._before()
        self._gate.run(Batch(principal, (request,), credentials=credentials), deliver)
        reply = await answered
        self._after()
        if reply.error is not None:
            raise reply.error
        return {"result": plain(reply.result)}


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
