"""Lists: everything an operation lists, then filtered, sorted and cut into pages as the address says.

Source: requirement KS-UI-023.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request

from keystead.gate.forms import Field
from keystead.protocols.console.catalogue import Noun, Verb
from keystead.protocols.console.forms import read
from keystead.protocols.console.site import Site
from keystead.protocols.console.values import sort_key, text_of
from keystead.protocols.rest.pages import PLACES, place_of

STEP_COUNT = 1_000
LISTED_COUNT_MAX = 10_000
PER_PAGE_COUNTS = (10, 25, 50, 100, 1_000)
PER_PAGE_COUNT = 25
ALL = "all"
FILTER_CHARACTERS_MAX = 200
PAGE_NUMBER_MAX = 10_000
_TAKEN = frozenset({"sort", "down", "filter", "per", "page", "done"})


@dataclass(frozen=True, slots=True)
class View:
    """How somebody wants to see a list.

    Attributes:
        sort: Name of a column, "" = as it comes.
        down: From the last to the first.
        filter: Only what contains this.
        per: "10", "25", ... or "all".
        page: From 1.
        given: Fields of the operation that lists, as they stand in the address.
    """

    sort: str = ""
    down: bool = False
    filter: str = ""
    per: str = str(PER_PAGE_COUNT)
    page: int = 1
    given: tuple[tuple[str, str], ...] = ()

    @property
    def query(self) -> str:
        """The part of the address after the question mark."""
        said: dict[str, str] = dict(self.given)
        said |= {"sort": self.sort} if self.sort else {}
        said |= {"down": "1"} if self.down else {}
        said |= {"filter": self.filter} if self.filter else {}
        said |= {"per": self.per} if self.per != str(PER_PAGE_COUNT) else {}
        said |= {"page": str(self.page)} if self.page > 1 else {}
        return "?" + urlencode(said)

    def sorted_by(self, column: str) -> "View":
        """Return the view after a click on a column's title."""
        return replace(self, sort=column, down=self.sort == column and not self.down, page=1)

    def at(self, page: int) -> "View":
        """Return the view of another page."""
        return replace(self, page=page)


@dataclass(frozen=True, slots=True)
class Cut:
    """A page of a list.

    Attributes:
        rows: Of this page.
        count: All that fit the filter.
        whole_count: All that were listed.
        pages: How many there are, at least 1.
        view: With the page that is shown.
        is_cut: There are more than are listed here.
    """

    rows: list[Mapping[str, Any]]
    count: int
    whole_count: int
    pages: int
    view: View
    is_cut: bool


def view_of(query: QueryParams, columns: tuple[Field, ...], fields: tuple[Field, ...]) -> View:
    """Return what the address says, anything strange in it left out."""
    names = {field.name for field in columns}
    per = query.get("per", "")
    page = query.get("page", "1")
    return View(
        query.get("sort", "") if query.get("sort") in names else "",
        query.get("down") == "1",
        query.get("filter", "")[:FILTER_CHARACTERS_MAX],
        per if per in (*map(str, PER_PAGE_COUNTS), ALL) else str(PER_PAGE_COUNT),
        min(int(page), PAGE_NUMBER_MAX) if page.isascii() and page.isdigit() and len(page) < 9 and int(page) else 1,
        tuple((field.name, query[field.name]) for field in fields if query.get(field.name)),
    )


def own_fields(verb: Verb) -> tuple[Field, ...]:
    """Return the fields that narrow a list down, without those that say where to begin."""
    return tuple(field for field in verb.fields if field.name not in (*PLACES, *_TAKEN))


async def listed(site: Site, request: Request, noun: Noun, view: View) -> tuple[list[Mapping[str, Any]], bool]:
    """Return everything there is, at most LISTED_COUNT_MAX, and whether there is more.

    Raises:
        KeysteadError: why not.
    """
    verb = noun.list
    if verb is None:
        return [], False
    posted = {name: [value] for name, value in view.given}
    told, wrong = read(tuple(field for field in own_fields(verb) if field.name in posted), posted, {})
    if wrong:
        return [], False
    if verb.route.has_pages:
        return await _page_by_page(site, request, verb, told)
    place = place_of(verb.fields)
    found: list[Mapping[str, Any]] = []
    while len(found) < LISTED_COUNT_MAX:
        begin = {place: found[-1][noun.key] if place == "after" else len(found)} if place and found else {}
        step = await site.ask(request, verb, {**told, **begin})
        found += step
        if not place or len(step) < STEP_COUNT:
            return found[:LISTED_COUNT_MAX], len(found) > LISTED_COUNT_MAX
    return found[:LISTED_COUNT_MAX], True


async def _page_by_page(
    site: Site, request: Request, verb: Verb, told: Mapping[str, Any]
) -> tuple[list[Mapping[str, Any]], bool]:
    """Return the same of an operation that itself says where its next page begins."""
    found: list[Mapping[str, Any]] = []
    after = ""
    while len(found) < LISTED_COUNT_MAX:
        page = await site.ask(request, verb, {**told, "after": after, "limit_count": STEP_COUNT})
        items, after, *_ = page.values()
        found += items
        if not after:
            return found, False
    return found[:LISTED_COUNT_MAX], True


def cut(columns: tuple[Field, ...], found: list[Mapping[str, Any]], view: View, *, is_cut: bool) -> Cut:
    """Return the page that is to be seen."""
    wanted = view.filter.casefold()
    rows = [row for row in found if not wanted or _contains(columns, row, wanted)]
    if view.sort:
        rows.sort(key=lambda row: sort_key(row[view.sort]), reverse=view.down)
    per = STEP_COUNT if view.per == ALL else int(view.per)
    pages = max(1, -(-len(rows) // per))
    page = min(view.page, pages)
    shown = rows[(page - 1) * per : page * per]
    return Cut(shown, len(rows), len(found), pages, view.at(page), is_cut)


def _contains(columns: tuple[Field, ...], row: Mapping[str, Any], wanted: str) -> bool:
    return any(wanted in text_of(field, row[field.name]).casefold() for field in columns)
