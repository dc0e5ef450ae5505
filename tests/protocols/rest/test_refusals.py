"""Who may ask what: nobody without a login, and each administrator exactly what one table says, before anything else is
looked at.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest

from keystead.core.permission import ACCESS_CONTROLS, Access
from keystead.protocols.rest.routes import Route, routes
from tests.protocols.rest.conftest import SCOPES
from tests.protocols.rest.test_sessions import assert_audited
from tests.support.rest.client import Rest

PUBLIC = {("GET", "/v1/openapi.json"), ("POST", "/v1/session"), ("GET", "/v1/health")}
ROUTES = routes()
DISRUPTIVE = {"module.logout", "module.deactivate"}


def place(path: str) -> str:
    """A path with `x` for every field."""
    return re.sub(r"\{\w+\}", "x", path)


def test_a_stranger_learns_nothing_but_that_a_login_is_needed(nobody: Rest) -> None:
    described: dict[str, Any] = nobody.told("GET", "/openapi.json")["paths"]
    pairs = [(method.upper(), path) for path, methods in described.items() for method in methods]
    asked = [(method, path) for method, path in pairs if (method, path) not in PUBLIC]
    for method, path in [*asked, ("GET", "/v1/nothing"), ("TRACE", "/v1/users"), ("GET", "/v1/users/")]:
        reply = nobody.ask(method, place(path).removeprefix("/v1"), {})
        assert (reply.status, reply.headers.get("www-authenticate")) == (401, "Bearer"), (method, path)


@pytest.mark.parametrize(
    "token", ["x", "kst_", "kst_0123456789abcdef_x", "kst_" + "0" * 400, "é", "a b", "kst__", "kst_\x7f_"]
)
def test_a_token_that_is_none_is_refused(nobody: Rest, token: str) -> None:
    reply = nobody.ask("GET", "/users", authorization=f"Bearer {token}".encode().decode("latin-1"))
    assert (reply.status, reply.reason) == (401, "unauthenticated")


def test_other_schemes_are_refused(nobody: Rest, admin: Rest) -> None:
    for header in (f"Basic {admin.token}", admin.token, "Bearer", "Bearer ", f"bearer{admin.token}"):
        assert nobody.ask("GET", "/users", authorization=header).status == 401


def may(route: Route, access: Access) -> bool:
    """The table: what the declaration needs is among what is given."""
    needed = route.declaration.administrator
    assert needed is not None
    return not needed & ~access


@pytest.mark.row("KS-GEN-002")
def test_each_access_control_opens_exactly_what_the_declarations_say(token_with: Callable[..., Rest]) -> None:
    differing = []
    for scope in (None, *SCOPES):
        program = token_with(*([scope] if scope else []))
        access = Access.ANY | (ACCESS_CONTROLS[scope] if scope else Access.NONE)
        for route in ROUTES:
            if route.declaration.name in DISRUPTIVE and may(route, access):
                continue
            body: dict[str, str] | None = {"no such field": ""} if route.has_body else None
            reply = program.ask(route.method, place(route.path), body)
            if (reply.status == 403 and reply.reason == "refused.permission") is may(route, access):
                differing.append((scope, route.method, route.path, reply.status))
    assert differing == []


def test_a_refusal_is_audited_with_the_name_of_the_operation(admin: Rest, token_with: Callable[..., Rest]) -> None:
    assert token_with("snmp").ask("POST", "/users", {}).status == 403
    assert_audited(admin, "user.create", "refused.permission")
