"""Ways that lead through several operations: a new client's certificate, from the user to the files.

Law: each step is an operation of its own, audited as such; what was done before a step that is refused stays.

Source: requirements KS-UI-019, 021; KS-CAU-001; KS-USR-001; AMB-07.
"""

import base64
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from keystead.core.errors import Exists, KeysteadError
from keystead.gate.forms import Field, fields_of
from keystead.operations.certificates import IssueClientCertificate
from keystead.operations.users import CreateUser
from keystead.protocols.console import forms
from keystead.protocols.console.site import Site, form_of, said
from keystead.protocols.console.suggestions import Suggestions
from keystead.protocols.local.wire import declaration_of
from keystead.protocols.rest.problems import status_of

PATH = "/new-client"
TITLE = "New client's certificate"
_ISSUE = {field.name: field for field in fields_of(IssueClientCertificate)}
_GROUPS = next(field for field in fields_of(CreateUser) if field.name == "groups")
FIELDS: tuple[Field, ...] = (
    _ISSUE["user"],
    _GROUPS,
    _ISSUE["validity_days"],
    _ISSUE["addresses"],
    _ISSUE["request_pem"],
)


class NewClient:
    """The pages.

    Args:
        site: Makes them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._suggestions = Suggestions(site)

    async def form(self, request: Request) -> Response:
        """Show the form."""
        await self._site.check(request, declaration_of("certificate.issue"))
        user = request.query_params.get("user", "")
        return await self._form(request, forms.inputs(FIELDS, {"user": user} if user else {}))

    async def send(self, request: Request) -> Response:
        """Make the user unless there is one of this name, then the certificate."""
        await self._site.check(request, declaration_of("certificate.issue"))
        plain, wrong = forms.read(FIELDS, form_of(request), {})
        drawn = forms.with_errors(forms.inputs(FIELDS, {}, form_of(request)), wrong)
        if wrong:
            return await self._form(request, drawn, "Look at the fields that are marked.", 422)
        groups = plain.pop("groups", [])
        is_new = False
        try:
            is_new = await self._made(request, plain["user"], groups)
            issued = await self._site.ask(request, "certificate.issue", plain)
        except KeysteadError as error:
            place = forms.field_of_error(drawn, error.message)
            drawn = forms.with_errors(drawn, {place: said(error)} if place else {})
            kept = f" The user {plain['user']} was made and stays." if is_new else ""
            return await self._form(request, drawn, said(error) + kept, status_of(error))
        return self._files(request, plain["user"], issued, is_new=is_new)

    async def _made(self, request: Request, user: str, groups: list[str]) -> bool:
        """Make a user; return False where there is one already."""
        known = {row["name"] for row in await self._site.ask(request, "user.list", {"after": user[:-1]})}
        if user in known and not groups:
            return False
        try:
            await self._site.ask(request, "user.create", {"name": user, "groups": groups})
        except Exists:
            if groups:
                raise Exists(
                    f"the user {user} is there already: leave the groups empty, or choose another name"
                ) from None
            return False
        return True

    async def _form(self, request: Request, drawn: list[forms.Input], wrong: str = "", status: int = 200) -> Response:
        return self._site.page(
            request,
            "new_client.html",
            status,
            title=TITLE,
            inputs=drawn,
            suggestions=await self._suggestions.of(request, drawn),
            wrong=wrong,
            tab="Security",
        )

    def _files(self, request: Request, user: str, issued: dict[str, Any], *, is_new: bool) -> Response:
        key = issued["key"] or b""
        files = [
            ("certificate", f"{user}.pem", issued["certificate"]),
            ("CA certificate", "ca.pem", issued["authority"]),
        ]
        if key:
            files.insert(0, ("private key", f"{user}.key", key.decode()))
        linked = [
            (title, name, text, "data:application/x-pem-file;base64," + base64.b64encode(text.encode()).decode())
            for title, name, text in files
        ]
        return self._site.page(
            request,
            "new_client_done.html",
            title=f"Certificate for {user}",
            user=user,
            files=linked,
            has_key=bool(key),
            is_new=is_new,
            tab="Security",
        )
