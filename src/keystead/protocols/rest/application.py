"""The REST application: one route for each operation that administrators may ask for, all drawn from the declarations.

Order of every request: size, who asks (401), whether they may ask this at all (403), whether it is as described (422),
then the gate. Nothing else about a request is told to whoever may not ask it.

Source: design.md laws 1 and 3; RFC 9110; RFC 9457; OpenAPI 3.1.
"""

import inspect
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from math import ceil
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Body, FastAPI, Header, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, StringConstraints, create_model
from pydantic import Field as Constraints
from starlette.exceptions import HTTPException
from starlette.responses import Response

from keystead import __version__
from keystead.core.errors import KeysteadError, Limited
from keystead.gate.forms import Field, summary_of
from keystead.protocols.asking import Asker
from keystead.protocols.rest import models, pages
from keystead.protocols.rest.entrance import Caller, Entrance
from keystead.protocols.rest.guard import BASE, Guard
from keystead.protocols.rest.once import HEADER, KEY_CHARACTERS_MAX, Once
from keystead.protocols.rest.openapi import described
from keystead.protocols.rest.problems import MEDIA_TYPE, RETRY_AFTER_S, problem, status_of
from keystead.protocols.rest.routes import IN_BRACES, Route, routes
from keystead.protocols.rest.session_routes import add_session

WRONGS_SHOWN_COUNT_MAX = 20

log = logging.getLogger("keystead.rest")


def application(asker: Asker, entrance: Entrance, once: Once) -> Guard:
    """Return the application with every route.

    Args:
        asker: Runs operations.
        entrance: Tells who asks.
        once: Remembers answers by Idempotency-Key.
    """
    found = routes()
    app = _Application(
        found,
        title="keystead",
        version=__version__,
        summary="Administration of a key manager",
        openapi_url=f"{BASE}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            KeysteadError: _failed,
            RequestValidationError: _not_as_described,
            HTTPException: _of_http,
            Exception: _mistake,
        },
    )
    add_session(app, entrance)
    for route in found:
        _add(app, _Endpoint(asker, entrance, once, route, _home(route, found)))
    return Guard(app, entrance)


class _Application(FastAPI):
    """FastAPI with a description that says more."""

    def __init__(self, found: tuple[Route, ...], **options: Any) -> None:
        super().__init__(**options)
        self._found = found

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        return described(self, self._found)


class _Endpoint:
    """Carries out the requests of one route."""

    def __init__(self, asker: Asker, entrance: Entrance, once: Once, route: Route, home: str) -> None:
        self._asker = asker
        self._entrance = entrance
        self._once = once
        self.route = route
        self._home = home
        self.place = pages.place_of(route.others) if route.is_list else ""
        self.fields = tuple(field for field in route.others if not (route.is_list and field.name in pages.PLACES))

    async def __call__(self, request: Request, **given: Any) -> Response:
        """Answer one request whose parameters are as described."""
        caller: Caller = request.state.caller
        key = request.headers.get(HEADER)
        if key is None or self.route.method != "POST":
            return await self._run(caller, given)
        said = f"{request.method} {request.url.path} ".encode() + await request.body()
        who = f"{'program' if caller.session is None else 'person'} {caller.principal.name}"
        return await self._once.run(who, key, said, lambda: self._run(caller, given))

    async def _run(self, caller: Caller, given: Mapping[str, Any]) -> Response:
        route = self.route
        values = dict(given)
        body = values.pop("body", None)
        if isinstance(body, BaseModel):
            values |= {name: getattr(body, name) for name in body.model_fields_set}
        plain = models.plain_fields((*route.in_path, *self.fields), values)
        if not route.is_list:
            return self._answer(await self._asker.ask(caller.principal, route.declaration, plain))
        if route.has_pages:
            told = {"after": values["cursor"] or "", "limit_count": values["limit"]}
            page = await self._asker.ask(caller.principal, route.declaration, {**plain, **told})
            items, following, *_ = page.values()
            shown = [models.shown(route.item, item) for item in items]
            return JSONResponse({"items": shown, "next": following or None})
        begun = pages.beginning(self.place, values["cursor"])
        told = begun if self.place else {}
        found = await self._asker.ask(caller.principal, route.declaration, {**plain, **told})
        shown = models.shown(route.answer, found)
        page = pages.page(shown, values["limit"], self.place, begun, lambda item: next(iter(item.values())))
        return JSONResponse(page)

    def _answer(self, result: Any) -> Response:
        if self.route.answer is None:
            return Response(status_code=204)
        shown = models.shown(self.route.answer, result)
        if not self.route.makes:
            return JSONResponse(shown)
        return JSONResponse(shown, 201, {"location": BASE + self._place(shown)} if self._home else {})

    def _place(self, shown: Any) -> str:
        """Return the path of what was made."""
        (parameter,) = IN_BRACES.findall(self._home)
        for part in models.source_of(parameter, self.route.answer).split("/"):
            shown = shown[part]
        return self._home.replace(f"{{{parameter}}}", quote(str(shown), safe=""))

    async def refuse(self, caller: Caller) -> None:
        """Have the gate refuse, and audit, what the caller may not ask for; a request without content is enough."""
        declaration = self.route.declaration
        if declaration.administrator is None or not declaration.administrator & ~caller.principal.access:
            return
        await self._asker.run(caller.principal, object.__new__(declaration.request))


def _home(route: Route, found: tuple[Route, ...]) -> str:
    """Return the path of what a route makes, "" when it has none of its own."""
    if not route.makes:
        return ""
    homes = [one.path for one in found if one.method == "GET" and len(one.in_path) == 1 and one.path.endswith("}")]
    own = next((path for path in homes if path.startswith(f"{route.path}/{{")), "")
    return own if own and models.source_of(IN_BRACES.findall(own)[0], route.answer) else ""


def _add(app: FastAPI, endpoint: _Endpoint) -> None:
    route = endpoint.route

    class Checked(APIRoute):
        """Whether the caller may ask this at all comes before what the request says."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def checked(request: Request) -> Response:
                await endpoint.refuse(request.state.caller)
                known = {field.alias for field in self.dependant.query_params}
                unknown = set(request.query_params) - known
                if unknown:
                    wrong = {"loc": ("query", min(unknown)), "msg": "there is no such parameter"}
                    raise RequestValidationError([wrong])
                return await handle(request)

            return checked

    async def run(request: Request, **given: Any) -> Response:
        return await endpoint(request, **given)

    run.__signature__ = _signature(endpoint)  # type: ignore[attr-defined]  # what inspect reads
    app.router.routes.append(
        Checked(
            BASE + route.path,
            run,
            methods=[route.method],
            status_code=201 if route.makes else 204 if route.answer is None else 200,
            response_model=_answer_model(route),
            response_class=Response if route.answer is None else JSONResponse,
            operation_id=route.declaration.name,
            summary=summary_of(route.declaration.request),
            description=summary_of(route.declaration.handler),
            tags=[route.declaration.name.split(".")[0]],
        )
    )


def _answer_model(route: Route) -> Any:
    if route.answer is None:
        return None
    if not route.is_list:
        return models.result_type(route.answer)
    item: Any = models.result_type(route.item)
    return create_model(
        f"{item.__name__}Page",
        items=(models.list_of(item), ...),
        next=(str | None, Constraints(description="Cursor of the next page; null at the end.")),
    )


def _signature(endpoint: _Endpoint) -> inspect.Signature:
    route = endpoint.route
    taken = [inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)]
    in_path = [replace(field, required=True, nullable=False) for field in route.in_path]
    taken += [_parameter(field, Path(description=field.about or None)) for field in in_path]
    if route.is_list:
        taken += [_LIMIT, _CURSOR]
    if not route.has_body:
        taken += [_parameter(field, Query(description=field.about or None)) for field in endpoint.fields]
    elif route.others:
        model = models.request_model(route.declaration.request.__name__, route.declaration.request, route.others)
        default = inspect.Parameter.empty if any(field.required for field in route.others) else None
        annotation: Any = Annotated[model, Body()] if default is inspect.Parameter.empty else _optional(model)
        taken.append(inspect.Parameter("body", inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default))
    if route.method == "POST":
        taken.append(_ONCE)
    return inspect.Signature(taken)


def _optional(model: type[BaseModel]) -> Any:
    return Annotated[model | None, Body()]


def _parameter(field: Field, place: Any) -> inspect.Parameter:
    annotated, constraints = models.json_field(field)
    default = constraints.default if not field.required else inspect.Parameter.empty
    annotation = Annotated[annotated, place]  # type: ignore[valid-type]  # drawn at run time
    name = models.json_name(field)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


_LIMIT = inspect.Parameter(
    "limit",
    inspect.Parameter.KEYWORD_ONLY,
    annotation=Annotated[int, Query(ge=1, le=pages.LIMIT_COUNT_MAX, description="At most so many items.")],
    default=pages.LIMIT_COUNT,
)
_CURSOR = inspect.Parameter(
    "cursor",
    inspect.Parameter.KEYWORD_ONLY,
    annotation=Annotated[
        Annotated[str, StringConstraints(max_length=pages.CURSOR_CHARACTERS_MAX)] | None,
        Query(description="From `next` of the page before."),
    ],
    default=None,
)
_ONCE = inspect.Parameter(
    "idempotency_key",
    inspect.Parameter.KEYWORD_ONLY,
    annotation=Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=KEY_CHARACTERS_MAX)] | None,
        Header(description="The same request sent again under the same key is run once."),
    ],
    default=None,
)


async def _failed(_request: Request, error: KeysteadError) -> Response:
    status = status_of(error)
    headers = {"retry-after": str(_retry_after_s(error))} if status in (429, 503) else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(problem(status, error.message, error.reason), status, headers, media_type=MEDIA_TYPE)


def _retry_after_s(error: KeysteadError) -> int:
    return ceil(error.retry_after_s) if isinstance(error, Limited) else RETRY_AFTER_S


async def _not_as_described(_request: Request, error: RequestValidationError) -> Response:
    """Say what is wrong and where, and nothing of what was sent."""
    wrongs = [
        {"where": ".".join(str(part) for part in one["loc"]), "what": str(one["msg"])}
        for one in list(error.errors())[:WRONGS_SHOWN_COUNT_MAX]
    ]
    told = problem(422, "the request is not as /v1/openapi.json describes it", "invalid.message", errors=wrongs)
    return JSONResponse(told, 422, media_type=MEDIA_TYPE)


async def _of_http(request: Request, error: HTTPException) -> Response:
    reasons = {404: "not_found.item", 405: "not_supported.operation"}
    details = {
        404: "there is nothing at this path; see /v1/openapi.json",
        405: "this path has other methods; see Allow",
    }
    detail = details.get(error.status_code, "the request cannot be read")
    told = problem(error.status_code, detail, reasons.get(error.status_code, "invalid.message"))
    headers = {**(error.headers or {}), **({"allow": _allowed(request)} if error.status_code == 405 else {})}
    return JSONResponse(told, error.status_code, headers, media_type=MEDIA_TYPE)


def _allowed(request: Request) -> str:
    """Return the methods of every route at the path: each route knows only its own."""
    routes = [route for route in request.app.routes if isinstance(route, APIRoute)]
    here = [route.methods or set() for route in routes if route.path_regex.fullmatch(request.scope["path"])]
    return ", ".join(sorted(set().union(*here)))


async def _mistake(_request: Request, error: Exception) -> Response:
    log.error("a request failed for a reason of ours", exc_info=error)
    return JSONResponse(
        problem(500, "internal error; the system log has details", "internal"), 500, media_type=MEDIA_TYPE
    )
