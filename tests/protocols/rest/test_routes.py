"""Every route is drawn from a declaration, and every declaration for administrators has its route."""

import dataclasses
import re
from typing import Any

import pytest

import keystead.operations.all  # noqa: F401  # declares every operation
from keystead.core.changes import Change
from keystead.gate.forms import fields_of
from keystead.gate.operation import REGISTRY
from keystead.protocols.rest.models import json_name, model_of, result_type
from keystead.protocols.rest.routes import Route, routes
from tests.support.rest.client import Rest

ROUTES = routes()
WITHOUT = {
    "administrator.change_own_password": "PUT /session/password, by hand: the session goes on",
    "command.fail": "the command line's own",
    "directory.find": "the node's own",
    "directory.prove": "the node's own",
    "key.list": "GET /keys is `key.find`, which finds more",
    "module.login": "the secret of a role token goes straight to the key process",
    "node.measure": "for /metrics",
    "server.query": "KMIP's own",
    "server.versions": "KMIP's own",
    "session.log_out": "DELETE /session, by hand",
}


def test_every_operation_for_administrators_has_one_route() -> None:
    declared = {one.name for one in REGISTRY.values() if one.administrator is not None}
    assert {route.declaration.name for route in ROUTES} == declared - {*WITHOUT}
    assert {*WITHOUT} <= declared


def test_no_two_routes_are_mistaken_for_each_other() -> None:
    """Whatever the method: a key may be called as the verb of another path, and Allow has to be right about it."""
    patterns = [(route.method, re.compile(re.sub(r"\{\w+\}", "[^/]+", route.path)), route) for route in ROUTES]
    mistaken = [
        (route.path, other.path)
        for _, pattern, route in patterns
        for other in ROUTES
        if other.path != route.path and pattern.fullmatch(re.sub(r"[{}]", "", other.path))
    ]
    assert mistaken == []


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.declaration.name)
def test_what_a_route_answers_is_known(route: Route) -> None:
    returned = route.declaration.handler.__annotations__.get("return")
    if returned in (Change, "Change"):
        silent = route.declaration.name in {"user.set_password", "directory.set_password", "api_token.revoke"}
        assert (route.answer is None) == silent
    if route.answer is not None:
        assert result_type(route.answer) is not None
    names = [json_name(field) for field in fields_of(route.declaration.request)]
    assert len(names) == len({*names})
    if isinstance(route.answer, type) and (dataclasses.is_dataclass(route.answer) or hasattr(route.answer, "_fields")):
        shown = [json_name(field) for field in fields_of(route.answer)]
        assert len(shown) == len({*shown})


def test_the_description_has_each_route_with_who_may_ask(nobody: Rest) -> None:
    told: dict[str, Any] = nobody.told("GET", "/openapi.json")
    assert told["openapi"].startswith("3.1")
    pairs = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert {(route.method, f"/v1{route.path}") for route in ROUTES} <= pairs
    assert len(pairs) >= 60
    public = {path for path, methods in told["paths"].items() for one in methods.values() if one["security"] == []}
    assert public == {"/v1/openapi.json", "/v1/session", "/v1/health"}
    names = [one["operationId"] for methods in told["paths"].values() for one in methods.values()]
    assert len(names) == len({*names})


def test_a_request_says_what_its_fields_are_good_for() -> None:
    drawn = model_of(
        next(route for route in ROUTES if route.declaration.name == "administrator.create").declaration.request
    )
    described = drawn.model_json_schema()["properties"]["name"]["description"]
    assert described.startswith("Letters and digits")
