"""Answers plain HTTP: a listener for a few pages, and the two pages of the health check.

`/` tells whether the server accepts requests, `/ready` tests the path to the module.

`/` succeeds even when every key server is stopped (KS-HCK-004) and fails when the store cannot be reached (AMB-27);
`/ready` reports each part and is 500 while the node is locked. No connection or no answer means "down" (KS-HCK-003).

Source: requirements KS-HCK-001 to 005.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from keystead.protocols.health.wire import HEAD_BYTES_MAX, Head, Page, read_head, response

REQUEST_S_MAX = 10.0
CONNECTIONS_COUNT_MAX = 200
REQUESTS_PER_S_MAX = 500

Check = Callable[[], Awaitable[dict[str, bool]]]
"""Asks the parts of the node; all true = ready."""
Render = Callable[[], Awaitable[Page]]


def _empty(status: int) -> Page:
    return Page(status, b"{}\n")


class PageServer:
    """A listener that answers a few paths; what strangers send it is limited in size, rate and time (KS-HCK-005).

    Args:
        pages: Path -> what is there.
    """

    def __init__(self, pages: Mapping[str, Render]) -> None:
        self._pages = pages
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
                        writer.write(response(_empty(head)))
                    await writer.drain()
        except asyncio.LimitOverrunError:
            writer.write(response(_empty(413)))
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
            return response(_empty(429), head_only=head.method == "HEAD")
        render = self._pages.get(head.path)
        page = _empty(404) if render is None else await render()
        return response(page, head_only=head.method == "HEAD", keep=head.keep)


class HealthServer(PageServer):
    """The health listener.

    Args:
        alive: Parts that `/` depends on.
        ready: Parts that `/ready` depends on.
    """

    def __init__(self, alive: Check, ready: Check) -> None:
        super().__init__({"/": _page(alive), "/ready": _page(ready)})


def _page(check: Check) -> Render:
    async def render() -> Page:
        parts = await check()
        status = 200 if all(parts.values()) else 500
        body = json.dumps({"status": "up" if status == 200 else "unavailable", **parts}).encode() + b"\n"
        return Page(status, body)

    return render
