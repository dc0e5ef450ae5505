"""Long lists: of operations that answer page by page and go both ways along their orders.

Laws: a page is one request to the operation, whatever stands before it; only what the operation can go along is offered
to be sorted by; how many items there are is said only when it is known.

Source: requirement KS-UI-023; docs/adr/0080-lists-go-both-ways.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request

from keystead.core.errors import Invalid
from keystead.protocols.console.catalogue import Noun, Verb
from keystead.protocols.console.listing import ALL, PER_PAGE_COUNT, STEP_COUNT, Head, PageLink, Shown, per_of
from keystead.protocols.console.site import Site
from keystead.protocols.rest.pages import CURSOR_CHARACTERS_MAX

COLUMN_OF = {"creation": "created_us"}
"""Order of an operation -> the column that it sorts, where it is called otherwise."""
DOWNWARD = frozenset({"creation"})
"""Orders that begin with the last: the newest first."""
PLACED_COUNT_MAX = 10_000_000
PLACES = ("order", "reverse")


@dataclass(frozen=True, slots=True)
class LongView:
    """How somebody wants to see a long list.

    Attributes:
        order: What the operation goes by.
        turned: From the other end than the operation itself.
        per: "10", "25", ... or "all".
        after: Cursor, "" = from the beginning.
        is_back: Towards the beginning; with no cursor: the last page.
        before_count: Items before the page, as far as somebody has gone on from the first one; -1 = not known.
        given: Fields of the operation that lists, as they stand in the address.
    """

    order: str
    turned: bool = False
    per: str = str(PER_PAGE_COUNT)
    after: str = ""
    is_back: bool = False
    before_count: int = 0
    given: tuple[tuple[str, str], ...] = ()

    @property
    def count(self) -> int:
        """How many items a page has."""
        return STEP_COUNT if self.per == ALL else int(self.per)

    @property
    def is_down(self) -> bool:
        """Whether the column that is sorted goes from its last value to its first."""
        return self.turned is not (self.order in DOWNWARD)

    @property
    def sorting(self) -> tuple[tuple[str, str], ...]:
        """What says in the address by what is sorted."""
        column = COLUMN_OF.get(self.order, self.order)
        return (("sort", column), ("down", "1")) if self.is_down else (("sort", column),)

    @property
    def query(self) -> str:
        """The part of the address after the question mark."""
        said: dict[str, str] = {**dict(self.given), **dict(self.sorting)}
        said |= {"per": self.per} if self.per != str(PER_PAGE_COUNT) else {}
        said |= {"after": self.after} if self.after else {}
        said |= {"back": "1"} if self.is_back else {}
        said |= {"placed": str(self.before_count)} if self.before_count else {}
        return "?" + urlencode(said)

    def first(self) -> "LongView":
        """Return the view of the first page."""
        return replace(self, after="", is_back=False, before_count=0)

    def sorted_by(self, order: str) -> "LongView":
        """Return the view after a click on the title of the column that an order sorts."""
        is_down = order == self.order and not self.is_down
        return replace(self.first(), order=order, turned=is_down is not (order in DOWNWARD))


def is_long(verb: Verb) -> bool:
    """Tell whether an operation's list is gone through both ways, page by page."""
    return verb.route.has_pages and {*PLACES, "after", "limit_count"} <= {field.name for field in verb.fields}


def orders_of(verb: Verb) -> dict[str, str]:
    """Return the orders by the columns that they sort."""
    kind = next(field.type for field in verb.fields if field.name == PLACES[0])
    found = [str(one) for one in kind] if isinstance(kind, type) and issubclass(kind, StrEnum) else []
    return {COLUMN_OF.get(one, one): one for one in found}


def long_view_of(query: QueryParams, verb: Verb, given: tuple[tuple[str, str], ...]) -> LongView:
    """Return what the address says, anything strange in it left out."""
    orders = orders_of(verb)
    order = orders.get(query.get("sort", ""), "") or next(iter(orders.values()))
    is_down = query.get("down") == "1" if query.get("sort", "") in orders else order in DOWNWARD
    placed = query.get("placed", "0")
    return LongView(
        order,
        is_down is not (order in DOWNWARD),
        per_of(query),
        query.get("after", "")[: CURSOR_CHARACTERS_MAX + 1],
        query.get("back") == "1",
        min(int(placed), PLACED_COUNT_MAX) if placed.isascii() and placed.isdigit() and len(placed) < 9 else -1,
        given,
    )


async def long_list(site: Site, request: Request, noun: Noun, view: LongView, told: Mapping[str, Any]) -> Shown:
    """Return the page that is to be seen.

    Raises:
        KeysteadError: why not.
    """
    if noun.list is None:
        raise Invalid("there is no list of these")
    page = await _asked(site, request, noun.list, view, told)
    if view.is_back and view.after and not page[1]:  # back at the beginning: the first page as it always is
        view = view.first()
        page = await _asked(site, request, noun.list, view, told)
    rows, following, previous = page
    if view.is_back:
        rows, following, previous = rows[::-1], previous, following
    view = replace(view, before_count=_before(view, len(rows), previous))
    return Shown(
        rows,
        _heads(noun, view),
        view.per,
        view.sorting,
        _links(view, len(rows), following, previous),
        _counted(view, len(rows), following),
        given=view.given,
        note=_note(noun.list),
        is_short=len(rows) < view.count and bool(previous if view.is_back else following),
    )


def nothing(noun: Noun, view: LongView) -> Shown:
    """Return the page of a list that cannot be listed as it is asked for."""
    return Shown([], _heads(noun, view), view.per, view.sorting, (), "", given=view.given)


async def _asked(
    site: Site, request: Request, verb: Verb, view: LongView, told: Mapping[str, Any]
) -> tuple[list[Mapping[str, Any]], str, str]:
    """Return items, where to go on and where to go back, in the direction that was asked for."""
    begin = {
        "order": view.order,
        "reverse": view.turned is not view.is_back,
        "after": view.after,
        "limit_count": view.count,
    }
    rows, following, previous, *_ = (await site.ask(request, verb, {**told, **begin})).values()
    return rows, following, previous


def _heads(noun: Noun, view: LongView) -> tuple[Head, ...]:
    orders = orders_of(noun.list) if noun.list is not None else {}
    found = []
    for field in noun.columns:
        order = orders.get(field.name, "")
        sorted_now = "" if order != view.order else "descending" if view.is_down else "ascending"
        found.append(Head(field, noun.path + view.sorted_by(order).query if order else "", sorted_now))
    return tuple(found)


def _links(view: LongView, count: int, following: str, previous: str) -> tuple[PageLink, ...]:
    found = []
    known = view.before_count
    if previous:
        before = replace(view, after=previous, is_back=True, before_count=max(known, 0))
        found += [PageLink("First", view.first().query), PageLink("Back", before.query, "prev")]
    if following:
        beyond = known + count if known >= 0 else 0
        onward = replace(view, after=following, is_back=False, before_count=beyond)
        last = replace(view, after="", is_back=True, before_count=0)
        found += [PageLink("On", onward.query, "next"), PageLink("Last", last.query)]
    return tuple(found)


def _before(view: LongView, count: int, previous: str) -> int:
    """Return how many items stand before the page, -1 when that is not known."""
    if not previous:
        return 0
    known = view.before_count - count if view.is_back else view.before_count
    return known if known > 0 else -1


def _counted(view: LongView, count: int, following: str) -> str:
    known = view.before_count
    if not count:
        return "" if following else f"{max(known, 0):,}"
    if known < 0:
        return f"{count:,} of many" if following else f"the last {count:,}"
    if not following:
        return f"{known + 1:,} to {known + count:,} of {known + count:,}" if known else f"{count:,}"
    return f"{known + 1:,} to {known + count:,} of more than {known + count:,}"


def _note(verb: Verb) -> str:
    names = {"created_us": "creation"}
    listed = [names.get(column, column) for column in orders_of(verb)]
    return (
        f"Sorted by {', '.join(listed[:-1])} or {listed[-1]}: a list of this length is not sorted by anything else. "
        "Narrow it down by the rest."
    )
