"""Approvals: what waits, the safe view of one request, and deciding on it.

Laws: what is shown is the stored request; who approves sends its hash back, and so approves exactly that. Nobody is
offered to approve an own request, and the gate refuses it. Each deed leads to the request's page, which says what came
of it and what comes next.

Source: requirements KS-MC-004 to 008; docs/adr/0070.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from keystead.core.errors import KeysteadError, Unauthenticated
from keystead.core.permission import Access
from keystead.gate.forms import fields_of
from keystead.operations.approvals import REASON_CHARACTERS_MAX, ApprovalShown
from keystead.operations.key_details import KeySummary
from keystead.protocols.console import waiting
from keystead.protocols.console.site import Site, caller_of, form_of, said
from keystead.protocols.rest.problems import status_of
from keystead.settings.approvals import MultipleCredentials

DECIDED_SHOWN_COUNT_MAX = 100
NAMED_COUNT_MAX = 50
DEEDS = {"approve": "approval.approve", "refuse": "approval.refuse", "withdraw": "approval.withdraw"}
KEY_FIELDS = ("name", "owner", "algorithm", "kind", "state", "created_us", "names")


class ApprovalPages:
    """The pages.

    Args:
        site: Makes them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    async def inbox(self, request: Request) -> Response:
        """Show what waits for whoever looks, what they have asked, and what was decided lately."""
        rows = await self._site.ask(request, "approval.list", {})
        me, may = await self._me(request)
        waits = [row for row in rows if row["state"] == "pending"]
        for row in waits[:NAMED_COUNT_MAX]:
            key = await self._key(request, row)
            row["about"] = waiting.target(row["view"]) if key is None else waiting.called(key)
        for row in waits[NAMED_COUNT_MAX:]:
            row["about"] = waiting.target(row["view"])
        own = [row for row in waits if _is_own(row, me)]
        mine = [row for row in waits if may and row not in own and me not in row["approved_by"]]
        decided = [row for row in reversed(rows) if row["state"] != "pending"]
        return self._site.page(
            request,
            "approvals.html",
            title="Approvals",
            tab="Approvals",
            mine=mine,
            own=own,
            others=[row for row in waits if row not in own and row not in mine],
            decided=decided[:DECIDED_SHOWN_COUNT_MAX],
            decided_count=len(decided),
            may=may,
            section=self._site.asker.gate.objects.section(MultipleCredentials),
            fields=_FIELDS,
            waiting=waiting,
        )

    async def show(self, request: Request) -> Response:
        """Show one request as it is stored, and what can be done with it."""
        return await self._show(request, request.path_params["item"])

    async def form(self, request: Request) -> Response:
        """Lead to the page of the request, where everything is done."""
        if request.path_params["verb"] not in DEEDS or not request.query_params.get("item"):
            raise HTTPException(404)
        return await self._show(request, request.query_params["item"])

    async def send(self, request: Request) -> Response:
        """Approve, refuse or take back."""
        verb, posted = request.path_params["verb"], form_of(request)
        if verb not in DEEDS:
            raise HTTPException(404)
        item, reason = posted.get("item", [""])[-1], posted.get("reason", [""])[-1].strip()
        fields = {"id": item}
        if verb == "approve":
            fields["hash"] = posted.get("hash", [""])[-1]
        if verb == "refuse":
            fields["reason"] = reason
        if verb == "refuse" and not reason:
            return await self._show(request, item, "Say why, so that whoever asked knows what to do.", 422)
        try:
            await self._site.ask(request, DEEDS[verb], fields)
        except Unauthenticated:
            raise
        except KeysteadError as error:
            with suppress(KeysteadError):
                return await self._show(request, item, said(error), status_of(error), reason)
            raise
        return RedirectResponse(f"{waiting.page_of(item)}?done={verb}", 303)

    async def _show(
        self, request: Request, item: str, wrong: str = "", status: int = 200, reason: str = ""
    ) -> Response:
        row = await self._site.ask(request, "approval.show", {"id": item})
        me, may = await self._me(request)
        is_own, is_open = _is_own(row, me), row["state"] == "pending"
        counts = await self._site.ask(request, "approval.count", {})
        return self._site.page(
            request,
            "approval.html",
            status,
            title=waiting.deed(row["operation"]),
            tab="Approvals",
            row=row,
            me=me,
            asked=waiting.fields(row["operation"], row["view"]),
            about=waiting.about(row["operation"]),
            key=await self._key(request, row),
            key_fields=[field for field in fields_of(KeySummary) if field.name in KEY_FIELDS],
            fields=_FIELDS,
            is_own=is_own,
            can_decide=is_open and may and not is_own and me not in row["approved_by"],
            could=[name for name in await self._approvers(request) if not _is_own(row, name)] if is_open else [],
            left_count=counts["to_decide_count"],
            asked_now=request.query_params.get("asked") == "1",
            wrong=wrong,
            reason=reason,
            reason_characters_max=REASON_CHARACTERS_MAX,
            waiting=waiting,
        )

    async def _me(self, request: Request) -> tuple[str, bool]:
        """Return the name of whoever looks, and whether they could approve."""
        me = caller_of(request).principal.name
        return me, me in await self._approvers(request)

    async def _approvers(self, request: Request) -> list[str]:
        return waiting.approvers(await self._site.ask(request, "administrator.list", {}))

    async def _key(self, request: Request, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the key that a request is about as it is now; None where there is none to be seen."""
        named = waiting.target(row["view"])
        is_open = bool(caller_of(request).principal.access & Access.KEYS)
        if not row["operation"].startswith("key.") or "target" not in row["view"] or not is_open or not named:
            return None
        with suppress(KeysteadError):
            found: Mapping[str, Any] = (await self._site.ask(request, "key.show", {"target": named}))["key"]
            return found
        return None


_FIELDS = {field.name: field for field in fields_of(ApprovalShown)}


def _is_own(row: Mapping[str, Any], name: str) -> bool:
    return bool(row["requester"] == f"administrator:{name}")
