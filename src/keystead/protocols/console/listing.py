"""Lists: everything an operation lists, then filtered, sorted and cut into pages as the address says.

Source: requirement KS-UI-023.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request

from keystead.gate.forms import Field
from keystead.protocols.console.catalogue import Noun, Verb
from keystead.protocols.console.forms import KEEP, read
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
_TAKEN = frozenset({"sort", "down", "filter", "per", "page", "done", "order", "reverse", "back", "placed"})


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


class Head(NamedTuple):
    """Title of a column.

    Attributes:
        field: Of the items.
        link: Where a click leads; "" = it is not sorted by.
        sorted: "ascending", "descending" or "".
    """

    field: Field
    link: str
    sorted: str


class PageLink(NamedTuple):
    """A link to another page of a list.

    Attributes:
        label: For people.
        query: The part of the address after the path.
        rel: What it is to this one, "" = nothing special.
    """

    label: str
    query: str
    rel: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A page of a list as its template wants it.

    Attributes:
        rows: Of this page.
        heads: Titles of the columns.
        per: Items per page, as the address has it.
        hidden: What a new filter keeps of the address.
        links: To other pages.
        counted: How many items there are, as far as it is known.
        place: Which page this is, "" = pages have no numbers.
        filter: What every item contains; None = this is not offered.
        given: Fields of the operation that lists, as they stand in the address.
        note: Why columns are not sorted by, "" = all are.
        is_short: There may be more, although the page is not full.
    """

    rows: list[Mapping[str, Any]]
    heads: tuple[Head, ...]
    per: str
    hidden: tuple[tuple[str, str], ...]
    links: tuple[PageLink, ...]
    counted: str
    place: str = ""
    filter: str | None = None
    given: tuple[tuple[str, str], ...] = ()
    note: str = ""
    is_short: bool = False


def view_of(query: QueryParams, columns: tuple[Field, ...], fields: tuple[Field, ...]) -> View:
    """Return what the address says, anything strange in it left out."""
    names = {field.name for field in columns}
    page = query.get("page", "1")
    return View(
        query.get("sort", "") if query.get("sort") in names else "",
        query.get("down") == "1",
        query.get("filter", "")[:FILTER_CHARACTERS_MAX],
        per_of(query),
        min(int(page), PAGE_NUMBER_MAX) if page.isascii() and page.isdigit() and len(page) < 9 and int(page) else 1,
        given_in(query, fields),
    )


def per_of(query: QueryParams) -> str:
    """Return how many items a page has."""
    per = query.get("per", "")
    return per if per in (*map(str, PER_PAGE_COUNTS), ALL) else str(PER_PAGE_COUNT)


def given_in(query: QueryParams, fields: tuple[Field, ...]) -> tuple[tuple[str, str], ...]:
    """Return the fields of the operation that lists which the address has."""
    return tuple((field.name, query[field.name]) for field in fields if query.get(field.name) not in (None, "", KEEP))


def own_fields(verb: Verb) -> tuple[Field, ...]:
    """Return the fields that narrow a list down, without those that say where to begin."""
    return tuple(field for field in verb.fields if field.name not in (*PLACES, *_TAKEN))


def narrowed(fields: tuple[Field, ...], given: tuple[tuple[str, str], ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what to tell the operation that lists, and what is wrong by field; a hyphen stands for an empty text."""
    posted = {name: [value] for name, value in given}
    asked = tuple(field for field in fields if field.name in posted)
    empty = {field.name: "" for field in asked if field.nullable and field.type is str and posted[field.name] == ["-"]}
    told, wrong = read(tuple(field for field in asked if field.name not in empty), posted, {})
    return {**told, **empty}, wrong


async def listed(
    site: Site, request: Request, noun: Noun, told: Mapping[str, Any]
) -> tuple[list[Mapping[str, Any]], bool]:
    """Return everything there is, at most LISTED_COUNT_MAX, and whether there is more.

    Raises:
        KeysteadError: why not.
    """
    verb = noun.list
    if verb is None:
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


def cut(noun: Noun, found: list[Mapping[str, Any]], view: View, *, is_cut: bool) -> Shown:
    """Return the page that is to be seen."""
    wanted = view.filter.casefold()
    rows = [row for row in found if not wanted or _contains(noun.columns, row, wanted)]
    if view.sort:
        rows.sort(key=lambda row: sort_key(row[view.sort]), reverse=view.down)
    per = STEP_COUNT if view.per == ALL else int(view.per)
    pages = max(1, -(-len(rows) // per))
    view = view.at(min(view.page, pages))
    counted = f"{len(rows):,}" + (f" of {len(found):,}" if len(rows) != len(found) else "")
    return Shown(
        rows[(view.page - 1) * per : view.page * per],
        _heads(noun, view),
        view.per,
        (("sort", view.sort), *((("down", "1"),) if view.down else ())) if view.sort else (),
        _links(view, pages),
        counted + (" and more: narrow the list down" if is_cut else ""),
        f"Page {view.page} of {pages}" if pages > 1 else "",
        view.filter,
        view.given,
    )


def _heads(noun: Noun, view: View) -> tuple[Head, ...]:
    way = "descending" if view.down else "ascending"
    return tuple(
        Head(field, noun.path + view.sorted_by(field.name).query, way if field.name == view.sort else "")
        for field in noun.columns
    )


def _links(view: View, pages: int) -> tuple[PageLink, ...]:
    before = (PageLink("First", view.at(1).query), PageLink("Back", view.at(view.page - 1).query, "prev"))
    beyond = (PageLink("On", view.at(view.page + 1).query, "next"), PageLink("Last", view.at(pages).query))
    return (*(before if view.page > 1 else ()), *(beyond if view.page < pages else ()))


def _contains(columns: tuple[Field, ...], row: Mapping[str, Any], wanted: str) -> bool:
    return any(wanted in text_of(field, row[field.name]).casefold() for field in columns)
