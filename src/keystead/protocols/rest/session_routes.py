"""Logging in and out, and asking who one is: the routes that are no operation of the gate by themselves.

Source: requirements KS-ADM-005, 006, 041; KS-UI-025.
"""

from typing import Annotated, Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.responses import Response

from keystead.core.permission import ACCESS_CONTROLS
from keystead.core.secret import Secret
from keystead.protocols.rest.entrance import Caller, Entrance
from keystead.protocols.rest.guard import BASE, address_of

NAME_CHARACTERS_MAX = 64
PASSWORD_CHARACTERS_MAX = 256


class LogIn(BaseModel):
    """Name and password of an administrator."""

    model_config = ConfigDict(extra="forbid", strict=True)
    username: Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    password: Annotated[SecretStr, Field(min_length=1, max_length=PASSWORD_CHARACTERS_MAX)]


class NewPassword(BaseModel):
    """The current password, and the one to come."""

    model_config = ConfigDict(extra="forbid", strict=True)
    current: Annotated[SecretStr, Field(min_length=1, max_length=PASSWORD_CHARACTERS_MAX)]
    new: Annotated[SecretStr, Field(min_length=1, max_length=PASSWORD_CHARACTERS_MAX)]


class LoggedIn(BaseModel):
    """A session that has begun."""

    token: Annotated[str, Field(description="Send it as `Authorization: Bearer`; it is shown this once.")]
    must_change_password: Annotated[
        bool, Field(description="Nothing but PUT /v1/session/password is possible until another password is set.")
    ]


class WhoAmI(BaseModel):
    """The caller as the server knows them now."""

    name: str
    access: list[str]
    must_change_password: bool
    kind: Literal["session", "api_token"]


class Health(BaseModel):
    """The server answers."""

    status: Literal["ok"]


def add_session(app: FastAPI, entrance: Entrance) -> None:
    """Add the routes."""

    @app.get(f"{BASE}/health", operation_id="health", tags=["health"], summary="Ask whether the server answers")
    async def health() -> Health:
        return Health(status="ok")

    @app.post(f"{BASE}/session", status_code=201, operation_id="session.log_in", tags=["session"], summary="Log in")
    async def log_in(request: Request, body: LogIn) -> LoggedIn:
        password = Secret(body.password.get_secret_value().encode())
        token, must_change = await entrance.log_in(body.username, password, address_of(request.scope))
        return LoggedIn(token=token.reveal().decode(), must_change_password=must_change)

    @app.get(f"{BASE}/session", operation_id="session.show", tags=["session"], summary="Ask who one is")
    async def show(request: Request) -> WhoAmI:
        caller: Caller = request.state.caller
        access = [name for name, one in ACCESS_CONTROLS.items() if one & caller.principal.access]
        kind: Literal["session", "api_token"] = "api_token" if caller.session is None else "session"
        return WhoAmI(name=caller.principal.name, access=access, must_change_password=caller.must_change, kind=kind)

    @app.delete(f"{BASE}/session", status_code=204, operation_id="session.log_out", tags=["session"], summary="Log out")
    async def log_out(request: Request) -> Response:
        await entrance.log_out(request.state.caller)
        return Response(status_code=204)

    @app.put(
        f"{BASE}/session/password",
        status_code=204,
        operation_id="session.set_password",
        tags=["session"],
        summary="Set one's own password; all other sessions of the account end",
    )
    async def set_password(request: Request, body: NewPassword) -> Response:
        current, new = (Secret(one.get_secret_value().encode()) for one in (body.current, body.new))
        await entrance.change_password(request.state.caller, current, new)
        return Response(status_code=204)
