"""Answers health checks: `/` tells whether the server accepts requests, `/ready` tests the path to the module.

`/` succeeds even when every key server is stopped (KS-HCK-004) and fails when the store cannot be reached (AMB-27);
`/ready` reports each part and is 500 while the node is locked. No connection or no answer means "down" (KS-HCK-003).

Source: requirements KS-HCK-001 to 005.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable

from keystead.protocols.health.wire import HEAD_BYTES_MAX, Head, read_head, response

REQUEST_S_MAX = 10.0
CONNECTIONS_COUNT_MAX = 200
REQUESTS_PER_S_MAX = 500

Check = Callable[[], Awaitable[dict[str, bool]]]
"""Asks the parts of the node; all true = ready."""


class HealthServer:
    """The health listener.

    Args:
        alive: Parts that `/` depends on.
        ready: Parts that `/ready` depends on.
    """

    def __init__(self, alive: Check, ready: Check) -> None:
        self._checks = {"/": alive, "/ready": ready}
        self._server: asyncio.Server | None = None
        self._waiting: dict[asyncio.StreamWriter, None] = {}  # the one that has been silent longest comes first
        self._second = 0
        self._requests_count = 0

    async def listen(self, host: str, port: int) -> int:
        """Start answering; return the port."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=HEAD_BYTES_MAX)
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop answering."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            keep = True
            while keep:
                self._let_wait(writer)
                async with asyncio.timeout(REQUEST_S_MAX):
                    head = read_head(await reader.readuntil(b"\r\n\r\n"))
                    if isinstance(head, Head):
                        await reader.readexactly(head.body_bytes)
                        keep = head.keep
                        writer.write(await self._answer(head))
                    else:
                        keep = False
                        writer.write(response(head, b"{}\n"))
                    await writer.drain()
        except asyncio.LimitOverrunError:
            writer.write(response(413, b"{}\n"))
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        finally:
            self._waiting.pop(writer, None)
            writer.close()

    def _let_wait(self, writer: asyncio.StreamWriter) -> None:
        """Note that a connection waits for a request; when too many do, the one that has waited longest makes room."""
        self._waiting.pop(writer, None)
        if len(self._waiting) >= CONNECTIONS_COUNT_MAX:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest.transport.abort()
        self._waiting[writer] = None

    async def _answer(self, head: Head) -> bytes:
        second = int(asyncio.get_running_loop().time())
        self._requests_count = self._requests_count + 1 if second == self._second else 1
        self._second = second
        if self._requests_count > REQUESTS_PER_S_MAX:
            return response(429, b"{}\n", head_only=head.method == "HEAD")
        check = self._checks.get(head.path)
        if check is None:
            return response(404, b"{}\n", head_only=head.method == "HEAD", keep=head.keep)
        parts = await check()
        status = 200 if all(parts.values()) else 500
        body = json.dumps({"status": "up" if status == 200 else "unavailable", **parts}).encode() + b"\n"
        return response(status, body, head_only=head.method == "HEAD", keep=head.keep)
