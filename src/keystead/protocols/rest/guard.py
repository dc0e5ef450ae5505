"""What stands before the application: bounds on what strangers send, and who asks. An ASGI application itself.

Source: RFC 9110 sections 8.6 and 11; requirements KS-UI-001; attacks.md classes 24 and 46.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keystead.core.errors import KeysteadError, TooLarge, Unauthenticated
from keystead.protocols.rest.entrance import Entrance
from keystead.protocols.rest.problems import MEDIA_TYPE, problem, status_of

BASE = "/v1"
BODY_BYTES_MAX = 8_388_608
STRANGERS_BODY_BYTES_MAX = 65_536
BODY_S_MAX = 20.0
PUBLIC = frozenset({("GET", f"{BASE}/openapi.json"), ("POST", f"{BASE}/session"), ("GET", f"{BASE}/health")})
"""What everybody may see; nothing else is answered before it is known who asks."""
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Guard:
    """Wraps an application.

    Args:
        app: Of the routes.
        entrance: Tells who asks.
    """

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        self.app = app
        self._entrance = entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        heads = with_headers(send, HEADERS)
        try:
            is_public = (scope["method"], scope["path"]) in PUBLIC
            if not is_public:
                given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
                caller = self._entrance.caller(given, address_of(scope))
                scope.setdefault("state", {})["caller"] = caller
            most = STRANGERS_BODY_BYTES_MAX if is_public else BODY_BYTES_MAX
            body = await asyncio.wait_for(body_of(scope, receive, most), BODY_S_MAX)
        except TimeoutError:
            return  # whoever is that slow is not waiting for an answer
        except KeysteadError as error:
            await refused(error)(scope, receive, heads)
            return
        await self.app(scope, _replayed(body), heads)


def refused(error: KeysteadError) -> JSONResponse:
    """Return the answer for somebody who is turned away."""
    headers = {"www-authenticate": "Bearer"} if isinstance(error, Unauthenticated) else None
    told = problem(status_of(error), error.message, error.reason)
    return JSONResponse(told, status_of(error), headers, media_type=MEDIA_TYPE)


def address_of(scope: Scope) -> str:
    """Return the peer's address for the logs."""
    client: Any = scope.get("client")
    return str(client[0]) if client else "-"


async def body_of(scope: Scope, receive: Receive, most: int) -> bytes:
    """Return the body of a request.

    Raises:
        TooLarge: it has more than `most` bytes. TimeoutError: the peer has left.
    """
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > most:
        raise TooLarge(f"this request has at most {most} bytes")
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise TimeoutError
        body += message.get("body", b"")
        if len(body) > most:
            raise TooLarge(f"this request has at most {most} bytes")
        if not message.get("more_body", False):
            return bytes(body)


def _replayed(body: bytes) -> Receive:
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            await asyncio.Event().wait()  # until the server gives up; nobody here asks whether the client has left
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    """Return a `send` that adds headers to every answer."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            held = list(message.get("headers", []))
            message = {**message, "headers": [*held, *[(k.encode(), v.encode()) for k, v in headers.items()]]}
        await send(message)

    return sent
