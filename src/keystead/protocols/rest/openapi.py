"""The description of the interface: what FastAPI draws from the routes, with who may ask and how it fails.

Source: OpenAPI 3.1; RFC 9457.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from keystead.protocols.rest.guard import BASE, PUBLIC
from keystead.protocols.rest.models import source_of
from keystead.protocols.rest.problems import MEDIA_TYPE, TITLES
from keystead.protocols.rest.routes import Route

PROBLEM = {
    "type": "object",
    "description": "What went wrong, and what to do about it (RFC 9457).",
    "required": ["type", "title", "status", "detail", "reason"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For a person: what to do."},
        "reason": {"type": "string", "description": "Stable code for programs."},
        "errors": {
            "type": "array",
            "description": "Of 422: what is not as described.",
            "items": {
                "type": "object",
                "required": ["where", "what"],
                "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
            },
        },
    },
}
FAILURES = {
    "400": TITLES[400],
    "401": TITLES[401],
    "403": TITLES[403],
    "404": TITLES[404],
    "409": TITLES[409],
    "413": TITLES[413],
    "415": TITLES[415],
    "422": TITLES[422],
    "429": TITLES[429],
    "500": TITLES[500],
    "503": TITLES[503],
}


def described(app: FastAPI, found: tuple[Route, ...]) -> dict[str, Any]:
    """Return the OpenAPI document; drawn once."""
    if app.openapi_schema is None:
        drawn = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes, openapi_version="3.1.0"
        )
        components = drawn.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        schemas["Problem"] = PROBLEM
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": "Token of a session, or an API token."}
        }
        for path, methods in drawn["paths"].items():
            for method, operation in methods.items():
                is_public = (method.upper(), path) in PUBLIC
                operation["security"] = [] if is_public else [{"bearer": []}]
                for status, title in FAILURES.items():
                    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
                    operation["responses"][status] = {"description": title, "content": content}
        for route in found:
            if route.makes:
                answer = drawn["paths"][BASE + route.path]["post"]["responses"]["201"]
                answer["links"] = _links(route, found)
        drawn["paths"][f"{BASE}/openapi.json"] = {"get": _OWN}
        app.openapi_schema = drawn
    return app.openapi_schema


def _links(route: Route, found: tuple[Route, ...]) -> dict[str, Any]:
    """Return where one can go with what a route has made."""
    links = {}
    for other in found:
        if other.in_path and other.path.startswith(f"{route.path}/{{"):
            first = other.in_path[0].name
            source = source_of(first, route.answer)
            if source:
                name = other.declaration.name
                links[name] = {"operationId": name, "parameters": {f"path.{first}": f"$response.body#/{source}"}}
    return links


_OWN = {
    "operationId": "openapi",
    "tags": ["openapi"],
    "summary": "This description",
    "security": [],
    "responses": {
        "200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object"}}}}
    },
}
