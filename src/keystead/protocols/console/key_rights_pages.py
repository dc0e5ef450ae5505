"""Who may use a key: what each group and user may do with it, and giving a group a right.

Laws: the form shows what the group has now, and replaces just that; a right that the key's algorithm cannot have is not
offered.

Source: requirements KS-KEY-021, 022; KS-UI-016.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from keystead.core.algorithms import grantable_rights
from keystead.core.errors import Invalid, KeysteadError, NotFound
from keystead.core.key_names import KeyKind, sort_of
from keystead.core.key_pairs import pair_rights
from keystead.core.permission import GRANTABLE, Access, Right
from keystead.gate.forms import fields_of
from keystead.operations.grants import GrantKey
from keystead.protocols.console import forms, waiting
from keystead.protocols.console.catalogue import nouns
from keystead.protocols.console.site import Site, caller_of, form_of, said
from keystead.protocols.console.suggestions import Suggestions
from keystead.protocols.local.wire import declaration_of
from keystead.protocols.rest.problems import status_of

PATH = "/key-rights"
NEVER, ALWAYS, POLICY = "never", "always", "policy:"
WORDS = {
    Right.SEE: "See that it is there",
    Right.ENCRYPT: "Encrypt",
    Right.DECRYPT: "Decrypt",
    Right.SIGN: "Sign",
    Right.VERIFY: "Check signatures",
    Right.MAC: "Make MACs",
    Right.MAC_VERIFY: "Check MACs",
    Right.EXPORT: "Fetch the key itself",
    Right.DERIVE: "Derive other keys from it",
}
_GROUP = next(field for field in fields_of(GrantKey) if field.name == "group")


class Held(NamedTuple):
    """A key, as it is shown, and what is granted on it."""

    key: Mapping[str, Any]
    grants: list[Mapping[str, Any]]
    exportable: bool
    caution: str


class KeyRightsPages:
    """The pages.

    Args:
        site: Makes them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._suggestions = Suggestions(site)

    async def show(self, request: Request) -> Response:
        """Show who may do what; or, with a group, the form of what it may."""
        await self._site.check(request, declaration_of("key.grants"))
        query = request.query_params
        held = await self._held(request, query.get("item", ""))
        if "group" not in query:
            return await self._overview(request, held)
        _, wrong = forms.read((_GROUP,), {"group": [query["group"]]}, {})
        if wrong:
            return await self._overview(request, held, query["group"], wrong["group"])
        return await self._form(request, held, query["group"].strip())

    async def send(self, request: Request) -> Response:
        """Replace what the group may do."""
        await self._site.check(request, declaration_of("key.grant"))
        posted = form_of(request)
        held = await self._held(request, posted.get("item", [""])[-1])
        group = posted.get("group", [""])[-1]
        policies = await self._policies(request)
        chosen = {str(right.name): posted.get(str(right.name), [NEVER])[-1] for right in possible(held.key)}
        allowed = {NEVER, ALWAYS, *(POLICY + name for name in policies)}
        if not set(chosen.values()) <= allowed:
            return await self._form(request, held, group, chosen, ("Choose among what is offered.", 422))
        places = []
        for number, (policy, rights) in enumerate(by_policy(chosen).items()):
            fields = {"target": held.key["id"], "group": group, "rights": rights}
            fields |= {"policy": policy} if policy else {}
            try:
                await self._site.ask(request, "key.give" if number else "key.grant", fields)
            except KeysteadError as error:
                if not waiting.place_of(error):
                    return await self._form(request, held, group, chosen, (said(error), status_of(error)))
                places.append(waiting.place_of(error))
        if places:
            return RedirectResponse(f"{places[0]}?asked=1" if len(places) == 1 else waiting.PATH, 303)
        return RedirectResponse(f"{PATH}?{urlencode({'item': held.key['id'], 'done': group})}", 303)

    async def _overview(self, request: Request, held: Held, typed: str = "", wrong: str = "") -> Response:
        rows: dict[tuple[str, str], dict[str, str]] = {}
        for one in held.grants:
            row = rows.setdefault((one["group"], one["user"]), {})
            row |= {str(right.name): state_of(one) for right in WORDS if right & one["rights"]}
        offered = possible(held.key)
        shown = [right for right in WORDS if right in offered or any(str(right.name) in row for row in rows.values())]
        changed = request.query_params.get("done", "")
        return self._site.page(
            request,
            "key_rights.html",
            422 if wrong else 200,
            title=f"Who may use {waiting.called(held.key)}",
            name=waiting.called(held.key),
            tab="Security",
            key=held.key,
            caution=held.caution,
            rows=rows,
            rights=shown,
            words=WORDS,
            suggestions=await self._suggestions.of(request, forms.inputs((_GROUP,), {})),
            changed=changed if any(group == changed for group, _ in rows) else "",
            taken=changed if changed and not any(group == changed for group, _ in rows) else "",
            members=await self._members(request, changed) if changed else None,
            typed=typed,
            wrong=wrong,
        )

    async def _form(
        self,
        request: Request,
        held: Held,
        group: str,
        chosen: Mapping[str, str] | None = None,
        wrong: tuple[str, int] = ("", 200),
    ) -> Response:
        own = [one for one in held.grants if one["group"] == group and not one["user"]]
        now = {str(right.name): state_of(one) for one in own for right in WORDS if right & one["rights"]}
        policies = await self._policies(request)
        switches = (await self._site.ask(request, "settings.read", {"section": "key_server"}))["key_server"]
        return self._site.page(
            request,
            "key_rights_form.html",
            wrong[1],
            title=f"What {group} may do with {waiting.called(held.key)}",
            name=waiting.called(held.key),
            tab="Security",
            key=held.key,
            group=group,
            rights=[right for right in WORDS if right in possible(held.key)],
            words=WORDS,
            chosen={**now, **(chosen or {})},
            policies=policies,
            wrong=wrong[0],
            is_new=not own,
            exports=bool(held.exportable and switches["allow_key_export"]),
        )

    async def _held(self, request: Request, item: str) -> Held:
        if not item:
            raise NotFound("name a key; the list of keys shows them")
        found = await self._site.ask(request, "key.show", {"target": item})
        grants = await self._site.ask(request, "key.grants", {"target": item})
        return Held(found["key"], grants["grants"], found["exportable"], grants["caution"])

    async def _policies(self, request: Request) -> list[str]:
        noun = nouns().get("policy")
        if noun is None or noun.list is None or not noun.is_open(caller_of(request).principal.access):
            return []
        return [str(row["name"]) for row in await self._site.ask(request, noun.list, {})]

    async def _members(self, request: Request, group: str) -> int | None:
        """Return how many are in a group, None where that cannot be known."""
        if not caller_of(request).principal.access & Access.ANY:
            return None
        try:
            return int((await self._site.ask(request, "group.show", {"name": group}))["members_count"])
        except KeysteadError:
            return 0


def possible(key: Mapping[str, Any]) -> Right:
    """Return what may be granted on a key, as it is listed."""
    try:
        algorithm = sort_of(key["algorithm"]).algorithm
    except Invalid:
        return GRANTABLE
    if key["kind"] == KeyKind.SYMMETRIC_KEY:
        return grantable_rights(algorithm)
    if key["kind"] in (KeyKind.PRIVATE_KEY, KeyKind.PUBLIC_KEY):
        return Right.SEE | Right.EXPORT | pair_rights(algorithm)
    return Right.SEE | Right.EXPORT


def state_of(granted: Mapping[str, Any]) -> str:
    """Return how rights are given: always, or under a policy."""
    policy = granted.get("policy", "")
    return POLICY + policy if policy else ALWAYS


def by_policy(chosen: Mapping[str, str]) -> dict[str, int]:
    """Return which rights are given under which policy, "" = none, and what is given without one first.

    Nothing at all is one step, too: it takes everything back.
    """
    found: dict[str, int] = {}
    for name, state in sorted(chosen.items(), key=lambda one: one[1]):
        if state != NEVER:
            policy = state.removeprefix(POLICY) if state.startswith(POLICY) else ""
            found[policy] = found.get(policy, 0) | int(Right[name])
    return found or {"": 0}
