"""Ending several items of a list at once: a page that asks, then one operation for each, and what came of it.

Law: each item is an operation of its own, so that one that is refused keeps no other from its end.

Source: requirements KS-UI-023, 024; KS-KEY-043 to 045.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from keystead.core.errors import Invalid, KeysteadError, NotFound, Unauthenticated
from keystead.protocols.console.catalogue import Noun, Verb, by_path
from keystead.protocols.console.site import Site, form_of, said

ITEMS_COUNT_MAX = 50
CONFIRM = "confirm"
"""Field that repeats an item's name, which the page that asks stands for."""
ADVICE = {
    "key": "What these keys protect is lost with them. Where other nodes that hold the same keys are far away, bring"
    " each of them in line by hand afterwards: many deletions that are passed on one by one take long."
}
"""What the page that asks says besides, by noun (KS-KEY-043, 045)."""


class Several:
    """The pages.

    Args:
        site: Makes them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    async def form(self, request: Request) -> Response:
        """Ask."""
        noun, verb = _ending(request)
        await self._site.check(request, verb.route.declaration)
        query = request.query_params
        items = _each_once(query.getlist("on-page" if "whole-page" in query else "item"))
        return await self._page(request, (noun, verb), items, _wrong(items))

    async def send(self, request: Request) -> Response:
        """End the items one after the other, and show what came of each."""
        noun, verb = _ending(request)
        await self._site.check(request, verb.route.declaration)
        items = _each_once(form_of(request).get("item", []))
        if _wrong(items):
            return await self._page(request, (noun, verb), items, _wrong(items))
        names = await self._names(request, noun, items)
        told = []
        for item in items:
            try:
                await self._site.ask(request, verb, {verb.item_field: item, **_confirmed(verb, item)})
            except Unauthenticated:
                raise
            except KeysteadError as error:
                told.append((names[item], said(error)))
            else:
                told.append((names[item], ""))
        title = f"{noun.plural}: {verb.title.lower()}"
        ended_count = sum(not why for _, why in told)
        return self._site.page(
            request, "several_done.html", title=title, noun=noun, verb=verb, told=told, ended_count=ended_count
        )

    async def _names(self, request: Request, noun: Noun, items: list[str]) -> dict[str, str]:
        """Return what people call the items, which may be named by an id in addresses."""
        names = {item: item for item in items}
        if noun.show is None or noun.columns[0].name == noun.key:
            return names
        for item in items:
            with suppress(NotFound, Invalid):
                told = await self._site.ask(request, noun.show, {noun.show.item_field: item})
                names[item] = _called(told, noun.columns[0].name, item)
        return names

    async def _page(self, request: Request, what: tuple[Noun, Verb], items: list[str], wrong: str) -> Response:
        noun, verb = what
        title = f"{noun.plural}: {verb.title.lower()}"
        given = {"noun": noun, "verb": verb, "items": items[:ITEMS_COUNT_MAX], "wrong": wrong}
        given["names"] = await self._names(request, noun, items[:ITEMS_COUNT_MAX])
        given["advice"] = ADVICE.get(noun.name, "")
        return self._site.page(request, "several.html", 422 if wrong else 200, title=title, **given)


def _ending(request: Request) -> tuple[Noun, Verb]:
    noun = by_path(request.path_params["noun"])
    if noun is None or noun.ending is None:
        raise HTTPException(404)
    return noun, noun.ending


def _called(told: Mapping[str, Any], field: str, item: str) -> str:
    """Return a field of an answer, or of a part of it."""
    parts = [told, *(part for part in told.values() if isinstance(part, Mapping))]
    return next((str(part[field]) for part in parts if part.get(field)), item)


def _confirmed(verb: Verb, item: str) -> dict[str, str]:
    return {CONFIRM: item} if any(field.name == CONFIRM for field in verb.fields) else {}


def _each_once(items: list[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _wrong(items: list[str]) -> str:
    if not items:
        return "Nothing is chosen. Go back to the list and choose."
    return f"At most {ITEMS_COUNT_MAX} at once. Choose fewer." if len(items) > ITEMS_COUNT_MAX else ""
