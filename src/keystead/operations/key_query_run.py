"""Running a query of keys, page by page.

Laws: each key is put to the query itself; the index only says which keys to look at. A page costs what is on it, or a
bounded look in vain: then it ends, short or empty, and says where to go on.

Source: requirements KS-KEY-046, 047, 050; docs/adr/0018-searches-of-administrators.md; docs/adr/0077-key-queries.md.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from heapq import merge
from itertools import groupby
from typing import NamedTuple

from keystead.core.errors import Invalid
from keystead.core.key_columns import cell
from keystead.core.key_query_match import Matcher
from keystead.core.records import KIND_OBJECT, ManagedObject
from keystead.gate.call import Call
from keystead.operations.key_query_plan import Search
from keystead.storage.store import EVERYWHERE, LOCATE_COUNT_MAX, Query

QUERIED_COUNT_MAX = 1000
QUERIED_LOOKS_COUNT_MAX = 2_000
QUERIED_STEPS_COUNT_MAX = 100_000
CURSOR_CHARACTERS_MAX = 256
SOME_COUNT = 100


class QueryOrder(StrEnum):
    """What the keys of a query go by."""

    CREATION = "creation"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class QueriedKey:
    """A key that a query found.

    Attributes:
        id: For ever.
        name: Unique; may be changed.
        cells: What each column of the query shows, in their order; times are UTC, "" = nothing.
    """

    id: str
    name: str
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class QueriedKeys:
    """One page.

    Attributes:
        keys: In order; there may be fewer than asked for, even none, before the end.
        next: Where the next page begins, "" = this was the last.
    """

    keys: tuple[QueriedKey, ...]
    next: str


class Run(NamedTuple):
    """What is run.

    Attributes:
        matcher: Puts keys to the query.
        searches: Which keys there are to look at.
        columns: Shown of each key.
        order: What they go by.
        after: `next` of the page before.
        limit_count: At most so many.
    """

    matcher: Matcher
    searches: tuple[Search, ...]
    columns: tuple[str, ...]
    order: QueryOrder
    after: str
    limit_count: int


def page_of(call: Call, run: Run) -> QueriedKeys:
    """Return one page.

    Raises:
        Invalid: the limit is out of range, or `after` is of no page of this order.
        TooLarge: by creation, too many owners have keys, and the query names none.
    """
    if not 1 <= run.limit_count <= QUERIED_COUNT_MAX:
        raise Invalid(f"ask for 1 to {QUERIED_COUNT_MAX} keys", "invalid.field")
    found: list[QueriedKey] = []
    place = _place_of(run)
    for looked_at_count, (at, record) in enumerate(_WALKS[run.order](call, run, place)):
        is_enough = looked_at_count == QUERIED_LOOKS_COUNT_MAX or run.matcher.steps_count >= QUERIED_STEPS_COUNT_MAX
        if is_enough:
            return QueriedKeys(tuple(found), _cursor(run.order, place))
        if record.realm == call.principal.realm and run.matcher.matches(record):
            if len(found) == run.limit_count:
                return QueriedKeys(tuple(found), _cursor(run.order, place))
            cells = {column: cell(record, column, call.now_us) for column in run.columns}
            found.append(QueriedKey(record.id, record.handle, cells))
        place = at
    return QueriedKeys(tuple(found), "")


def _by_creation(call: Call, run: Run, below: str) -> Iterator[tuple[str, ManagedObject]]:
    """Walk along what the searches find, newest first, each key once."""
    found = merge(*[_located(call, run, search, below) for search in run.searches], reverse=True)
    for object_id, _ in groupby(found):
        loaded = call.desk.get(object_id)
        if loaded is not None and isinstance(loaded.record, ManagedObject):
            yield object_id, loaded.record


def _located(call: Call, run: Run, search: Search, below: str) -> Iterator[str]:
    scopes = (search.scope,) if search.scope else EVERYWHERE
    realm = call.principal.realm
    for count in _counts(run.limit_count):
        query = Query(realm, scopes, search.matches, call.now_us, 0, count, run.matcher.finds_destroyed, below)
        found = call.desk.locate(query)
        yield from found
        if len(found) < count:
            return
        below = found[-1]


def _by_name(call: Call, run: Run, after: str) -> Iterator[tuple[str, ManagedObject]]:
    reader, realm = call.desk.objects.reader, call.principal.realm
    for count in _counts(run.limit_count):
        loaded = reader.list_records(KIND_OBJECT, after, count, realm)
        for one in loaded:
            if isinstance(one.record, ManagedObject):
                after = one.record.handle
                yield after, one.record
        if len(loaded) < count:
            return


_WALKS = {QueryOrder.CREATION: _by_creation, QueryOrder.NAME: _by_name}


def _counts(limit_count: int) -> Iterator[int]:
    """Yield how many keys to fetch together: one more than wanted, some more, then many."""
    yield min(limit_count + 1, LOCATE_COUNT_MAX)
    yield SOME_COUNT
    while True:
        yield LOCATE_COUNT_MAX


def _cursor(order: QueryOrder, place: str) -> str:
    return urlsafe_b64encode(f"{order}\n{place}".encode()).decode()


def _place_of(run: Run) -> str:
    """Return where the page before ended, "" = from the beginning.

    Raises:
        Invalid: this is no cursor, or of a list in another order.
    """
    if not run.after:
        return ""
    try:
        if len(run.after) > CURSOR_CHARACTERS_MAX:
            raise ValueError("too long")
        order, _, place = urlsafe_b64decode(run.after.encode("ascii")).decode().partition("\n")
    except ValueError:
        order, place = "", ""
    if order != run.order or not place:
        raise Invalid("go on with `next` of the page before, in the same order", "invalid.field")
    return place
