"""The first steps, and the way to a new key: what to do, what is done, and what comes next.

Law: each step is an operation of its own, audited as such; what was done before a step that is refused stays.

Source: requirements KS-KEY-002, 007, 053; KS-ADM-005; KS-UI-016.
"""

from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from keystead.core.errors import KeysteadError, NotFound
from keystead.core.fields import Text
from keystead.core.key_names import CATALOGUE
from keystead.core.permission import Access
from keystead.gate.forms import fields_of
from keystead.operations.admin_keys_made import GenerateKey
from keystead.operations.key_details import KeySummary
from keystead.protocols.console import forms, waiting
from keystead.protocols.console.journeys import made_user
from keystead.protocols.console.site import Site, caller_of, form_of, said
from keystead.protocols.console.suggestions import Suggestions
from keystead.protocols.local.wire import declaration_of
from keystead.protocols.rest.problems import status_of

FIRST_STEPS, NEW_KEY, KEY_MADE, BACK_UP = "/first-steps", "/new-key", "/new-key/made", "/back-up"
OUTDATED = frozenset({"RSA-1024", "RSA-512", "HmacSHA1", "DES-EDE-168", "DES-EDE-112", "DES", "RC4-128", "RC4-40"})
"""What a new key is not offered as; `key.generate` takes them where `legacy.algorithms` is on."""
_GENERATE = {field.name: field for field in fields_of(GenerateKey)}
_CHOICES = tuple(name for name in CATALOGUE if name not in OUTDATED)
FIELDS = (
    replace(_GENERATE["name"], required=True, nullable=False, about="Begin with a letter; no blanks."),
    replace(_GENERATE["owner"], required=True, nullable=False),
    replace(_GENERATE["algorithm"], text=Text(characters_max=32, choices=_CHOICES)),
    _GENERATE["exportable"],
)
MORE = (_GENERATE["deletable"], _GENERATE["active"], _GENERATE["description"])
LABELS = {
    "name": ("Name", "What people and clients call it, such as payroll-2027. Letters, digits, “_”, “.” and “-”."),
    "owner": ("User who will own it", "The client that uses it; one who is not there yet is made."),
    "algorithm": ("Kind of key", "AES-256 is right for most clients."),
    "exportable": ("May its clients fetch the key itself?", "No: they have data encrypted and decrypted here."),
    "deletable": ("May its clients delete it?", ""),
    "active": ("Can it be used at once?", "No: somebody activates it later."),
    "description": ("Description", "For people."),
}
KEY_FIELDS = ("name", "owner", "algorithm", "state", "created_us", "id")


class FirstPages:
    """The pages.

    Args:
        site: Makes them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._suggestions = Suggestions(site)

    async def steps(self, request: Request) -> Response:
        """Show the first steps, those that are done and those to come."""
        access = caller_of(request).principal.access
        return self._site.page(
            request,
            "first_steps.html",
            title="First steps",
            tab="Home",
            message="done" in request.query_params,
            is_open=await self._is_open(request),
            has_key=await self._has_key(request) if access & Access.KEYS else None,
            has_client=await self._has_client(request) if access & Access.CERTIFICATES else None,
            people_count=await self._people(request) if access & Access.HIGH_ACCESS else None,
        )

    async def back_up(self, request: Request) -> Response:
        """Say how to make a backup."""
        return self._site.page(request, "back_up.html", title="Back up", tab="Home")

    async def form(self, request: Request) -> Response:
        """Ask what key it shall be."""
        await self._site.check(request, declaration_of("key.generate"))
        owner = request.query_params.get("user", "")
        return await self._form(request, forms.inputs((*FIELDS, *MORE), {"owner": owner} if owner else {}))

    async def send(self, request: Request) -> Response:
        """Make the user unless there is one of this name, then the key."""
        await self._site.check(request, declaration_of("key.generate"))
        fields, posted = (*FIELDS, *MORE), form_of(request)
        plain, wrong = forms.read(fields, posted, {})
        drawn = forms.with_errors(forms.inputs(fields, {}, posted), wrong)
        if wrong:
            return await self._form(request, drawn, "Look at the fields that are marked.", 422)
        is_new = False
        try:
            is_new = await made_user(self._site, request, plain["owner"])
            made = await self._site.ask(request, "key.generate", plain)
        except KeysteadError as error:
            if waiting.place_of(error):
                raise
            place = forms.field_of_error(drawn, error.message)
            drawn = forms.with_errors(drawn, {place: said(error)} if place else {})
            kept = f" The user {plain['owner']} was made and stays." if is_new else ""
            return await self._form(request, drawn, said(error) + kept, status_of(error))
        query = urlencode({"item": made["key"]["id"], **({"new": "1"} if is_new else {})})
        return RedirectResponse(f"{KEY_MADE}?{query}", 303)

    async def made(self, request: Request) -> Response:
        """Say that the key is there, and what comes next."""
        item = request.query_params.get("item", "")
        if not item:
            raise NotFound("name a key; the list of keys shows them")
        key = (await self._site.ask(request, "key.show", {"target": item}))["key"]
        return self._site.page(
            request,
            "key_made.html",
            title=f"Key {key['name']}",
            tab="Security",
            key=key,
            fields=[field for field in fields_of(KeySummary) if field.name in KEY_FIELDS],
            is_new=request.query_params.get("new") == "1",
            place=quote(key["id"], safe=""),
            may_certify=bool(caller_of(request).principal.access & Access.CERTIFICATES),
        )

    async def _form(self, request: Request, drawn: list[forms.Input], wrong: str = "", status: int = 200) -> Response:
        told = [replace(one, label=LABELS[one.name][0], help=LABELS[one.name][1] or one.help) for one in drawn]
        return self._site.page(
            request,
            "new_key.html",
            status,
            title="New key",
            tab="Security",
            inputs=told[: len(FIELDS)],
            more=told[len(FIELDS) :],
            suggestions=await self._suggestions.of(request, drawn),
            wrong=wrong,
        )

    async def _is_open(self, request: Request) -> bool:
        """Tell whether keys can be made now, as far as that is known here."""
        try:
            found: Any = await self._site.ask(request, "module.show", {})
        except KeysteadError:
            return False
        return bool(found["activated"])

    async def _has_key(self, request: Request) -> bool:
        return bool((await self._site.ask(request, "key.find", {"limit_count": 1}))["keys"])

    async def _has_client(self, request: Request) -> bool:
        return bool(await self._site.ask(request, "certificate.list", {}))

    async def _people(self, request: Request) -> int:
        rows = await self._site.ask(request, "administrator.list", {})
        return sum(not row["disabled"] and "high_access" in row["access"] for row in rows)
