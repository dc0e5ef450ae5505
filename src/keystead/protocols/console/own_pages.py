"""The way in and out, and one's own password.

Laws: what is typed as a password is never shown again. Whoever fails hears one sentence, whatever was wrong.

Source: requirements KS-UI-001, 002, 025; KS-ADM-005, 006; KS-PWD-009.
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from keystead.core.errors import KeysteadError, Unauthenticated
from keystead.core.secret import Secret
from keystead.protocols.console.guard import COOKIE, LOG_IN, PASSWORD, own_path
from keystead.protocols.console.site import Site, caller_of, form_of, said
from keystead.protocols.rest.guard import address_of
from keystead.protocols.rest.problems import status_of
from keystead.protocols.rest.session_routes import NAME_CHARACTERS_MAX, PASSWORD_CHARACTERS_MAX


class OwnPages:
    """The pages.

    Args:
        site: Makes them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    async def way_in(self, request: Request) -> Response:
        """Show the form to log in."""
        query = request.query_params
        message = "Your session has ended. Log in again." if query.get("ended") else ""
        message = "You are logged out." if query.get("out") else message
        return self._log_in_page(request, own_path(query.get("next", "/")), message=message)

    async def log_in(self, request: Request) -> Response:
        """Begin a session."""
        posted = form_of(request)
        name, password = posted.get("name", [""])[-1].strip(), posted.get("password", [""])[-1]
        following = own_path(posted.get("next", ["/"])[-1])
        if not 0 < len(name) <= NAME_CHARACTERS_MAX or not 0 < len(password) <= PASSWORD_CHARACTERS_MAX:
            return self._log_in_page(request, following, name=name[:NAME_CHARACTERS_MAX], wrong=_INCOMPLETE, status=422)
        try:
            token, must_change = await self._site.entrance.log_in(
                name, Secret(password.encode()), address_of(request.scope)
            )
        except KeysteadError as error:
            return self._log_in_page(request, following, name=name, wrong=said(error), status=status_of(error))
        response = RedirectResponse(PASSWORD if must_change else following, 303)
        response.headers["set-cookie"] = (
            f"{COOKIE}={token.reveal().decode()}; Path=/; Secure; HttpOnly; SameSite=Strict"
        )
        response.headers["cache-control"] = "no-store"
        return response

    async def log_out(self, request: Request) -> Response:
        """End the session."""
        await self._site.entrance.log_out(caller_of(request))
        response = RedirectResponse(f"{LOG_IN}?out=1", 303)
        response.headers["set-cookie"] = f"{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"
        return response

    async def ended(self, request: Request) -> Response:
        """Show what a page turns into that nobody has used for the idle time."""
        return self._site.page(request, "ended.html", title="Session ended", tab="")

    async def password(self, request: Request) -> Response:
        """Show the form of the own password."""
        return self._password_page(request)

    async def set_password(self, request: Request) -> Response:
        """Set the password that the form says."""
        posted = form_of(request)
        current, new, again = (posted.get(name, [""])[-1] for name in ("current", "new", "again"))
        if not current or not new or not again:
            return self._password_page(request, "Fill in all three fields.", 422, "new" if current else "current")
        if new != again:
            return self._password_page(request, "The new password is not the same in both places.", 422, "again")
        try:
            await self._site.entrance.change_password(
                caller_of(request), Secret(current.encode()), Secret(new.encode())
            )
        except KeysteadError as error:
            wrong = "current" if isinstance(error, Unauthenticated) else "new"
            told = _WRONG_PASSWORD if wrong == "current" else said(error)
            return self._password_page(request, told, status_of(error), wrong)
        following = "/first-steps" if caller_of(request).must_change else "/"
        return RedirectResponse(f"{following}?done=administrator.change_own_password", 303)

    def _log_in_page(self, request: Request, following: str, status: int = 200, **given: str) -> Response:
        told = {"name": "", "wrong": "", "message": "", **given}
        facts = self._site.facts
        return self._site.page(request, "log_in.html", status, title="Log in", next=following, facts=facts, **told)

    def _password_page(self, request: Request, wrong: str = "", status: int = 200, field: str = "") -> Response:
        given = {"title": "Own password", "wrong": wrong, "wrong_field": field, "tab": "Home"}
        return self._site.page(request, "password.html", status, **given)


_INCOMPLETE = "Fill in name and password."
_WRONG_PASSWORD = "The current password is wrong, or the account is locked."  # noqa: S105  # a sentence
