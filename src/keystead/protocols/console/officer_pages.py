"""An administrator who lost the password, or has left: one page that leads through what is to be done.

Laws: what would no longer be possible is said before anything is done. The account comes first; where that is refused
nothing else is done. A password that is made here is shown once, and is good for nothing but setting another one.

Source: requirements KS-ADM-005 to 009; KS-PWD-012; KS-MC-007; attacks.md class 41.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from keystead.core.errors import KeysteadError, Refused, Unauthenticated
from keystead.core.secret import Secret
from keystead.protocols.console import waiting
from keystead.protocols.console.officers import Deed, Finding, Rule, findings, of_name
from keystead.protocols.console.site import Site, caller_of, form_of, said
from keystead.protocols.local.wire import declaration_of
from keystead.protocols.rest.problems import status_of
from keystead.settings.approvals import MultipleCredentials
from keystead.settings.people import Passwords
from keystead.trust.first_passwords import first_password

PATH = "/lost-administrator"
TITLE = "Lost password, or gone"
REASON = "asked by an account that is lost"
REFUSED_AT_ONCE_COUNT_MAX = 50


class Lost(NamedTuple):
    """What there is of an administrator.

    Attributes:
        row: As listed.
        tokens: API tokens.
        waits: Requests that wait, asked by the account.
        findings: What would be different.
    """

    row: Mapping[str, Any]
    tokens: list[Mapping[str, Any]]
    waits: list[Mapping[str, Any]]
    findings: list[Finding]


class Done(NamedTuple):
    """One thing that was tried: what, how it went in words, and where to go on; `is_done` = it has happened."""

    what: str
    how: str
    path: str
    is_done: bool


class OfficerPages:
    """The pages.

    Args:
        site: Makes them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    async def form(self, request: Request) -> Response:
        """Ask who it is, then show what there is of the account and what can be done."""
        await self._site.check(request, declaration_of("administrator.set_password"))
        name = request.query_params.get("name", "")
        if not name:
            rows = await self._site.ask(request, "administrator.list", {})
            others = [row for row in rows if row["name"] != caller_of(request).principal.name]
            return self._site.page(request, "officer_choose.html", title=TITLE, tab="Device", rows=others)
        return await self._form(request, await self._lost(request, name), {})

    async def send(self, request: Request) -> Response:
        """Do it: the account, then tokens and requests."""
        await self._site.check(request, declaration_of("administrator.set_password"))
        posted = form_of(request)
        lost = await self._lost(request, posted.get("name", [""])[-1])
        word = posted.get("deed", [""])[-1]
        if word not in {*Deed}:
            return await self._form(request, lost, posted, "Choose what has happened.", 422)
        deed, name = Deed(word), lost.row["name"]
        if deed is Deed.DELETE and posted.get("confirm", [""])[-1].strip() != name:
            return await self._form(request, lost, posted, f"To delete the account, type its name: {name}.", 422)
        password = first_password(self._site.asker.gate.objects.section(Passwords).length_min, name)
        fields: dict[str, Any] = {"name": name}
        if deed is Deed.RESET:
            fields["password"] = password.reveal()
        elif deed is Deed.DISABLE:
            fields["disabled"] = True
        else:
            fields["confirm"] = name
        try:
            await self._site.ask(request, _OPERATIONS[deed], fields)
        except KeysteadError as error:
            place = waiting.place_of(error)
            if not place:
                return await self._form(request, lost, posted, said(error), status_of(error))
            first = Done(_DEEDS[deed], "waits until somebody else has approved it", place, is_done=False)
        else:
            first = Done(_DEEDS[deed], "done", "", is_done=True)
        told = [first, *await self._others(request, lost, posted)]
        return self._told(request, lost, told, password if deed is Deed.RESET else None)

    async def _others(self, request: Request, lost: Lost, posted: Mapping[str, list[str]]) -> list[Done]:
        told = []
        if "tokens" in posted:
            for token in lost.tokens:
                what = f"API token {token['label']}"
                told.append(await self._tried(request, what, "api_token.revoke", {"id": token["id"]}))
        if "requests" in posted:
            for one in lost.waits[:REFUSED_AT_ONCE_COUNT_MAX]:
                what = f"Request: {waiting.deed(one['operation']).lower()} {waiting.target(one['view'])}"
                fields = {"id": one["id"], "reason": REASON}
                told.append(await self._tried(request, what, "approval.refuse", fields))
        return told

    async def _tried(self, request: Request, what: str, operation: str, fields: Mapping[str, Any]) -> Done:
        try:
            await self._site.ask(request, operation, fields)
        except Unauthenticated:
            raise
        except KeysteadError as error:
            return Done(what, said(error), "", is_done=False)
        return Done(what, "revoked" if operation == "api_token.revoke" else "refused", "", is_done=True)

    async def _lost(self, request: Request, name: str) -> Lost:
        me = caller_of(request).principal.name
        if name == me:
            raise Refused("this is your own account: change your own password instead", "refused.permission")
        row = await self._site.ask(request, "administrator.show", {"name": name})
        rows = await self._site.ask(request, "administrator.list", {})
        held = await self._site.ask(request, "api_token.list", {})
        waits = [one for one in await self._site.ask(request, "approval.list", {}) if one["state"] == "pending"]
        section = self._site.asker.gate.objects.section(MultipleCredentials)
        rule = Rule(section.required, section.administrators_count)
        tokens = [one for one in held if one["administrator"] == name]
        return Lost(row, tokens, of_name(waits, name), findings(rows, name, me, rule, waits))

    async def _form(
        self, request: Request, lost: Lost, posted: Mapping[str, list[str]], wrong: str = "", status: int = 200
    ) -> Response:
        return self._site.page(
            request,
            "officer.html",
            status,
            title=f"{TITLE}: {lost.row['name']}",
            tab="Device",
            lost=lost,
            name=lost.row["name"],
            chosen=posted.get("deed", [""])[-1],
            ticked={one for one in ("tokens", "requests") if one in posted} if posted else {"tokens"},
            wrong=wrong,
            waiting=waiting,
        )

    def _told(self, request: Request, lost: Lost, told: list[Done], password: Secret | None) -> Response:
        return self._site.page(
            request,
            "officer_done.html",
            title=f"{TITLE}: {lost.row['name']}",
            tab="Device",
            name=lost.row["name"],
            told=told,
            password="" if password is None else password.reveal().decode(),
            is_deleted=told[0].what == _DEEDS[Deed.DELETE] and told[0].is_done,
        )


_OPERATIONS = {
    Deed.RESET: "administrator.set_password",
    Deed.DISABLE: "administrator.change",
    Deed.DELETE: "administrator.delete",
}
_DEEDS = {Deed.RESET: "A new password", Deed.DISABLE: "Disabling the account", Deed.DELETE: "Deleting the account"}
