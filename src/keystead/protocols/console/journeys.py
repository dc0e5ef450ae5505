"""Ways that lead through several operations: a new client's certificate, from the user to the files.

Law: each step is an operation of its own, audited as such; what was done before a step that is refused stays.

Source: requirements KS-UI-019, 021; KS-CAU-001; KS-USR-001; AMB-07.
"""

import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from keystead.core.errors import Exists, KeysteadError
from keystead.core.permission import Access
from keystead.gate.forms import Field, fields_of
from keystead.operations.certificates import IssueClientCertificate
from keystead.operations.users import CreateUser
from keystead.protocols.console import forms
from keystead.protocols.console.site import Site, caller_of, form_of, said
from keystead.protocols.console.suggestions import Suggestions
from keystead.protocols.console.waiting import place_of
from keystead.protocols.local.wire import declaration_of
from keystead.protocols.rest.problems import status_of

PATH = "/new-client"
TITLE = "New client's certificate"
_ISSUE = {field.name: field for field in fields_of(IssueClientCertificate)}
_GROUPS = next(field for field in fields_of(CreateUser) if field.name == "groups")
FIELDS: tuple[Field, ...] = (_ISSUE["user"], _GROUPS, _ISSUE["validity_days"])
WITHOUT_GROUPS = (FIELDS[0], FIELDS[2])
"""For a user who is there already, whose groups are changed on another page."""
MORE: tuple[Field, ...] = (_ISSUE["addresses"], _ISSUE["request_pem"])
LABELS = {
    "user": ("User", "What the client is called here, such as storage1; one who is not there yet is made."),
    "groups": ("Groups", "Of a new user; groups can be granted the use of keys together."),
    "validity_days": ("Days until it ends", ""),
    "addresses": ("Addresses that the client connects from", ""),
    "request_pem": (
        "Certificate request (PKCS#10)",
        "The client's own, in PEM: then only the client ever has the key.",
    ),
}


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
        user, key = request.query_params.get("user", ""), request.query_params.get("key", "")
        fields = (*(FIELDS if not user else WITHOUT_GROUPS), *MORE)
        return await self._form(request, forms.inputs(fields, {"user": user} if user else {}), key)

    async def send(self, request: Request) -> Response:
        """Make the user unless there is one of this name, then the certificate."""
        await self._site.check(request, declaration_of("certificate.issue"))
        posted = form_of(request)
        fields = (*(FIELDS if "groups" in posted else WITHOUT_GROUPS), *MORE)
        key = posted.get("key", [""])[-1]
        plain, wrong = forms.read(fields, posted, {})
        drawn = forms.with_errors(forms.inputs(fields, {}, posted), wrong)
        if wrong:
            return await self._form(request, drawn, key, "Look at the fields that are marked.", 422)
        groups = plain.pop("groups", [])
        is_new = False
        try:
            is_new = await made_user(self._site, request, plain["user"], groups)
            issued = await self._site.ask(request, "certificate.issue", plain)
        except KeysteadError as error:
            if place_of(error):
                raise
            place = forms.field_of_error(drawn, error.message)
            drawn = forms.with_errors(drawn, {place: said(error)} if place else {})
            kept = f" The user {plain['user']} was made and stays." if is_new else ""
            return await self._form(request, drawn, key, said(error) + kept, status_of(error))
        return await self._files(request, plain["user"], issued, key, is_new=is_new)

    async def _form(
        self, request: Request, drawn: list[forms.Input], key: str, wrong: str = "", status: int = 200
    ) -> Response:
        told = [replace(one, label=LABELS[one.name][0], help=LABELS[one.name][1] or one.help) for one in drawn]
        return self._site.page(
            request,
            "new_client.html",
            status,
            title=TITLE,
            inputs=told[: -len(MORE)],
            more=told[-len(MORE) :],
            suggestions=await self._suggestions.of(request, drawn),
            key=key,
            wrong=wrong,
            tab="Security",
        )

    async def _files(self, request: Request, user: str, issued: dict[str, Any], key: str, *, is_new: bool) -> Response:
        private = issued["key"] or b""
        files = [
            ("certificate", f"{user}.pem", issued["certificate"]),
            ("CA certificate", "ca.pem", issued["authority"]),
        ]
        if private:
            files.insert(0, ("private key", f"{user}.key", private.decode()))
        linked = [
            (title, name, text, "data:application/x-pem-file;base64," + base64.b64encode(text.encode()).decode())
            for title, name, text in files
        ]
        server = (await self._site.ask(request, "settings.read", {"section": "kmip"}))["kmip"]
        return self._site.page(
            request,
            "new_client_done.html",
            title=f"Certificate for {user}",
            user=user,
            files=linked,
            has_key=bool(private),
            is_new=is_new,
            host=request.url.hostname or "",
            port=server["port"],
            key=await self._key(request, key),
            may_make_keys=bool(caller_of(request).principal.access & Access.KEYS),
            tab="Security",
        )

    async def _key(self, request: Request, key: str) -> Mapping[str, Any] | None:
        """Return the key that the client is made for, None where none was named or it is not to be seen."""
        if not key or not caller_of(request).principal.access & Access.KEYS:
            return None
        with suppress(KeysteadError):
            found: Mapping[str, Any] = (await self._site.ask(request, "key.show", {"target": key}))["key"]
            return found
        return None


async def made_user(site: Site, request: Request, user: str, groups: list[str] | None = None) -> bool:
    """Make a user; return False where there is one already.

    Raises:
        Exists: there is one already, and groups are given. KeysteadError: why not.
    """
    known = {row["name"] for row in await site.ask(request, "user.list", {"after": user[:-1]})}
    if user in known and not groups:
        return False
    try:
        await site.ask(request, "user.create", {"name": user, "groups": groups or []})
    except Exists:
        if groups:
            raise Exists(f"the user {user} is there already: leave the groups empty, or choose another name") from None
        return False
    return True
