"""What stands before the pages: who asks, whether a form is ours, bounds on what strangers send. An ASGI application.

Laws: nothing but the way in is shown before it is known who asks. A form counts only when this site's own page of the
same session has sent it: its Origin is this site, and it carries the session's token for forms.

Source: requirements KS-UI-001, 025; attacks.md classes 24 and 46; RFC 6265bis (cookie prefixes); CSP Level 3.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from keystead.core.errors import KeysteadError, TooLarge, Unauthenticated
from keystead.core.secret import Secret
from keystead.protocols.rest.entrance import TOKEN_CHARACTERS_MAX, Caller, Entrance
from keystead.protocols.rest.guard import BODY_S_MAX, STRANGERS_BODY_BYTES_MAX, address_of, body_of, with_headers

COOKIE = "__Host-keystead"
FORM_TOKEN = "form-token"  # noqa: S105  # the name of a field
FORM_BYTES_MAX = 1_048_576
FORM_FIELDS_COUNT_MAX = 1_000
NEXT_CHARACTERS_MAX = 1_024
LOG_IN, ENDED, PASSWORD, LOG_OUT, STATIC = "/log-in", "/ended", "/password", "/log-out", "/static/"
PUBLIC = frozenset({LOG_IN, ENDED})
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "same-origin",  # not "no-referrer": browsers would send forms with the Origin "null"
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
NOT_OURS = "This form was not sent by a page of this session. Open the page again and fill it in anew."

Refuse = Callable[[Scope, int, str], Response]
"""Makes the page for whoever is turned away: (request, status, why)."""
Count = Callable[[Caller], Awaitable[int]]
"""Tells how many requests wait for somebody."""


class Guard:
    """Wraps the pages.

    Args:
        app: The pages.
        entrance: Tells who asks.
        refuse: Makes pages for those who are turned away.
        count: Tells what every page shows beside the way to the approvals.
    """

    def __init__(self, app: ASGIApp, entrance: Entrance, refuse: Refuse, count: Count) -> None:
        self._app = app
        self._entrance = entrance
        self._refuse = refuse
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        heads = with_headers(send, HEADERS)
        state = scope.setdefault("state", {})
        state["caller"], state["form"], state["form_token"], state["waiting_count"] = None, {}, "", 0
        try:
            stopped = self._admitted(scope) or await self._form(scope, receive)
            if state["caller"] is not None and not stopped:
                state["waiting_count"] = await self._count(state["caller"])
        except TimeoutError:
            return  # whoever is that slow is not waiting for an answer
        except KeysteadError as error:
            stopped = self._refuse(scope, 413 if isinstance(error, TooLarge) else 403, error.message)
        await (stopped or self._app)(scope, receive, heads)

    def _admitted(self, scope: Scope) -> Response | None:
        path, state = scope["path"], scope["state"]
        if path.startswith(STATIC):
            return None
        token = token_of(scope)
        caller = None if token is None else self._caller(token, address_of(scope))
        if caller is None or token is None:
            return None if path in PUBLIC else RedirectResponse(_way_in(scope, had_token=token is not None), 303)
        state["caller"], state["form_token"] = caller, form_token(token)
        if caller.must_change and path not in {PASSWORD, LOG_OUT, *PUBLIC}:
            return RedirectResponse(PASSWORD, 303)
        return None

    def _caller(self, token: Secret, address: str) -> Caller | None:
        try:
            caller = self._entrance.caller(f"Bearer {token.reveal().decode()}", address)
        except Unauthenticated:
            return None
        return None if caller.session is None else caller  # API tokens are for programs

    async def _form(self, scope: Scope, receive: Receive) -> Response | None:
        if scope["method"] in ("GET", "HEAD") or scope["path"].startswith(STATIC):
            return None
        state, headers = scope["state"], dict(scope["headers"])
        most = STRANGERS_BODY_BYTES_MAX if state["caller"] is None else FORM_BYTES_MAX
        body = await asyncio.wait_for(body_of(scope, receive, most), BODY_S_MAX)
        if not _is_own_origin(headers):
            return self._refuse(scope, 403, NOT_OURS)
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if kind != b"application/x-www-form-urlencoded":
            return self._refuse(scope, 415, "This is not a form as these pages send it.")
        try:
            state["form"] = _read(body)
        except ValueError:
            return self._refuse(scope, 413, f"A form has at most {FORM_FIELDS_COUNT_MAX} fields.")
        given = state["form"].pop(FORM_TOKEN, [""])[0]
        if scope["path"] != LOG_IN and not hmac.compare_digest(given.encode(), state["form_token"].encode()):
            return self._refuse(scope, 403, NOT_OURS)
        return None


def token_of(scope: Scope) -> Secret | None:
    """Return the session's token from the cookie; None = there is none."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(dict(scope["headers"]).get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return None
    held = jar[COOKIE].value if COOKIE in jar else ""
    return Secret(held.encode()) if held.isascii() and 0 < len(held) <= TOKEN_CHARACTERS_MAX else None


def form_token(token: Secret) -> str:
    """Return what every form of a session carries; whoever knows it does not know the session's token."""
    return hmac.new(token.reveal(), b"keystead console form", hashlib.sha256).hexdigest()


def own_path(word: str) -> str:
    """Return a path of this site as it was given, "/" when it is anything else."""
    is_own = word.startswith("/") and not word.startswith("//") and "\\" not in word and word.isprintable()
    return word if is_own and len(word) <= NEXT_CHARACTERS_MAX and not word.startswith(LOG_IN) else "/"


def _read(body: bytes) -> dict[str, list[str]]:
    if not body:
        return {}
    return parse_qs(body.decode("latin-1"), keep_blank_values=True, max_num_fields=FORM_FIELDS_COUNT_MAX)


def _is_own_origin(headers: Mapping[bytes, Any]) -> bool:
    origin = headers.get(b"origin")
    if origin is None:
        return bool(headers.get(b"sec-fetch-site") == b"same-origin")
    return bool(origin == b"https://" + headers.get(b"host", b""))


def _way_in(scope: Scope, *, had_token: bool) -> str:
    query = scope["query_string"].decode("latin-1")
    wanted = own_path(scope["path"] + (f"?{query}" if query else "")) if scope["method"] == "GET" else "/"
    parts = ["ended=1"] if had_token else []
    parts += [f"next={quote(wanted, safe='/')}"] if wanted not in ("/", LOG_OUT) else []
    return LOG_IN + ("?" + "&".join(parts) if parts else "")
