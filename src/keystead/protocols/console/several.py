"""Ending several items of a list at once: a page that asks, then one operation for each, and what came of it.

Law: each item is an operation of its own, so that one that is refused keeps no other from its end.

Source: requirements KS-UI-023, 024.
"""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from keystead.core.errors import KeysteadError, Unauthenticated
from keystead.protocols.console.catalogue import Noun, Verb, by_path
from keystead.protocols.console.site import Site, form_of, said

ITEMS_COUNT_MAX = 50


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
        items = _each_once(request.query_params.getlist("item"))
        return self._page(request, (noun, verb), items, _wrong(items))

    async def send(self, request: Request) -> Response:
        """End the items one after the other, and show what came of each."""
        noun, verb = _ending(request)
        await self._site.check(request, verb.route.declaration)
        items = _each_once(form_of(request).get("item", []))
        if _wrong(items):
            return self._page(request, (noun, verb), items, _wrong(items))
        told = []
        for item in items:
            try:
                await self._site.ask(request, verb, {verb.item_field: item})
            except Unauthenticated:
                raise
            except KeysteadError as error:
                told.append((item, said(error)))
            else:
                told.append((item, ""))
        title = f"{noun.plural}: {verb.title.lower()}"
        return self._site.page(request, "several_done.html", title=title, noun=noun, told=told)

    def _page(self, request: Request, what: tuple[Noun, Verb], items: list[str], wrong: str) -> Response:
        noun, verb = what
        title = f"{noun.plural}: {verb.title.lower()}"
        given = {"noun": noun, "verb": verb, "items": items[:ITEMS_COUNT_MAX], "wrong": wrong}
        return self._site.page(request, "several.html", 422 if wrong else 200, title=title, **given)


def _ending(request: Request) -> tuple[Noun, Verb]:
    noun = by_path(request.path_params["noun"])
    if noun is None or noun.ending is None:
        raise HTTPException(404)
    return noun, noun.ending


def _each_once(items: list[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _wrong(items: list[str]) -> str:
    if not items:
        return "Nothing is chosen. Go back to the list and choose."
    return f"At most {ITEMS_COUNT_MAX} at once. Choose fewer." if len(items) > ITEMS_COUNT_MAX else ""
