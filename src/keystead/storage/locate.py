"""Searches in a store: the index proposes, the authenticated record decides.

A search walks one stream of candidates per scope and merges them, newest first. Within a scope the walk is driven by
the rarest indexed condition; the other indexed conditions and those on the head are tested in the same statement.
Which one is rarest is found window by window: the one whose next rows reach furthest. A condition that has not many
more rows in the window is walked beside it, a denser one is looked up for each row. Windows grow, so that neither
looking ahead nor walking along the wrong one costs more than the other. Without an indexed condition the listing is
walked. So the cost follows the smallest set that the index knows, and never the size of the store.

Laws: a search writes nothing; it finds an object by its state at the query's moment also before the clock has applied
a due transition; statements are made of this file's and conditions.py's constants, values are always parameters.

Source: KMIP 1.4 section 4.9; requirements KS-KMIP-043, 044; docs/adr/0011-attribute-index.md.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from heapq import merge
from itertools import groupby
from typing import Any, Protocol

from keystead.core.authorize import scopes_for
from keystead.core.errors import Invalid, TooLarge
from keystead.core.lifecycle import State
from keystead.core.records import KIND_OBJECT, ManagedObject
from keystead.core.search import asks_for_gone, matches
from keystead.storage.attribute_index import place_of, term_of
from keystead.storage.conditions import Test, equal_value, head_test, value_range
from keystead.storage.sealed import key_of
from keystead.storage.store import (
    EVERYWHERE,
    LOCATE_COUNT_MAX,
    LOCATE_MATCHES_COUNT_MAX,
    LOCATE_MISSES_COUNT_MAX,
    LOCATE_OFFSET_MAX,
    LOCATE_PLACES_COUNT_MAX,
    Query,
)

STATEMENTS_COUNT_MAX = 256  # different walks of which the text is remembered

_BOUNDS: tuple[int, ...] = (256, 4096, 65_536)  # candidates of one scope looked at before the driver is chosen anew
_BESIDE_FACTOR = 8  # rows that are walked beside another condition's in the time that it takes to look one up
_NEWEST = b"\xff" * 17  # after every id

_END = "SELECT object FROM attribute_index WHERE term = ? AND object {way} ORDER BY object {order} LIMIT 1 OFFSET ?"
_COUNT = (
    "SELECT count(*) FROM (SELECT 1 FROM attribute_index WHERE term = ? AND object {way} AND object {until} LIMIT ?)"
    " AS counted"
)
# Not EXISTS: an engine that plans joins would take it for one, and walk along the larger set.
_HAS_VALUE = "(SELECT 1 FROM attribute_index WHERE term = ? AND object = d.object) IS NOT NULL"
_HAS_HEAD = "(SELECT 1 FROM listing WHERE place = ? AND object = d.object AND %s) IS NOT NULL"
_PLACES = (  # one step of the index for each; the 0 says that a row proposes no object
    "WITH RECURSIVE places(place) AS (SELECT (SELECT place FROM listing ORDER BY place LIMIT 1) UNION ALL"
    " SELECT (SELECT place FROM listing WHERE place > places.place ORDER BY place LIMIT 1) FROM places"
    " WHERE places.place IS NOT NULL) SELECT place, 0 FROM places WHERE place IS NOT NULL LIMIT ?"
)
_LIVING = Test("state < ?", (int(State.DESTROYED),))
_WALK = "SELECT object FROM {table} AS d WHERE {driver} AND object {way} AND {tests} ORDER BY object {order}"
_WINDOW = "SELECT object FROM attribute_index AS d WHERE term = ? AND object {way} AND object {until} AND {tests}"
_BESIDE = " INTERSECT SELECT object FROM attribute_index WHERE term = ? AND object {way} AND object {until}"
_NEWEST_FIRST, _OLDEST_FIRST = ("< ?", ">= ?", "DESC"), ("> ?", "<= ?", "ASC")


class Rows(Protocol):
    """What a statement finds; of sqlite3.Cursor."""

    def __iter__(self) -> Iterator[Any]:
        """Walk along the rows."""

    def fetchone(self) -> Any:
        """Return the next row."""

    def close(self) -> None:
        """Stop walking."""


class Asked(Protocol):
    """What answers a search's statements, of which values are written `?`; of sqlite3.Connection."""

    def execute(self, sql: str, parameters: Any, /) -> Rows:
        """Run a statement."""


class Search:
    """One search, inside a read transaction of its connection.

    Args:
        asked: The reader's connection.
        load: Returns the authenticated object of an id as stored, None when there is none.
        query: What is asked.

    Attributes:
        is_one_statement: It needs no more than one walk, hence no transaction around it to see one state of the store.

    Raises:
        Invalid: offset, limit or the number of conditions is out of range, or it goes on below what is no id.
    """

    def __init__(self, asked: Asked, load: Callable[[bytes], ManagedObject | None], query: Query) -> None:
        if not (0 <= query.offset_count <= LOCATE_OFFSET_MAX and 1 <= query.limit_count <= LOCATE_COUNT_MAX):
            raise Invalid(
                f"a search leaves out at most {LOCATE_OFFSET_MAX} and returns 1 to {LOCATE_COUNT_MAX} objects"
            )
        if len(query.matches) > LOCATE_MATCHES_COUNT_MAX:
            raise Invalid(f"a search has at most {LOCATE_MATCHES_COUNT_MAX} conditions")
        self._asked = asked
        self._load = load
        self._query = query
        self._scopes = frozenset(query.scopes)
        self._values = [value for match in query.matches if (value := equal_value(match)) is not None]
        self._ranges = [values for match in query.matches if (values := value_range(match)) is not None]
        self._head = [test for match in query.matches if (test := head_test(match, query.now_us)) is not None]
        self._cursors: list[Rows] = []
        self._way, self._until, self._order = _OLDEST_FIRST if query.oldest_first else _NEWEST_FIRST
        begin, self._end = (b"", _NEWEST) if query.oldest_first else (_NEWEST, b"")
        below = key_of(KIND_OBJECT, query.below) if query.below else begin
        if below is None:
            raise Invalid("a search goes on below the id of an object")
        self._below = below
        self._is_everywhere = query.scopes == EVERYWHERE
        self._parts = (0, 1) if query.destroyed or asks_for_gone(query) else (0,)
        is_one_walk = len(self._parts) * len(query.scopes) == 1 and not self._is_everywhere
        self.is_one_statement = is_one_walk and len(self._values) < 2
        if self._is_everywhere and len(self._parts) == 1:  # living and destroyed ones stand at places that look alike
            self._head.append(_LIVING)

    def run(self) -> list[str]:
        """Return the ids of the hits, newest first unless asked otherwise.

        Raises:
            Tampered: a candidate does not authenticate.
            TooLarge: too many candidates were looked at in vain.
        """
        try:
            return self._hits()
        finally:
            for cursor in self._cursors:  # one that is left in the middle would keep showing the store as it is now
                cursor.close()

    def _hits(self) -> list[str]:
        hits: list[str] = []
        missed_count = 0
        for key in self._candidates():
            record = self._load(key)
            if record is None or not self._is_hit(record):
                missed_count += 1
                if missed_count > LOCATE_MISSES_COUNT_MAX:
                    raise TooLarge("the search is too wide; add a name, a group or another indexed attribute")
                continue
            hits.append(record.id)
            if len(hits) == self._query.offset_count + self._query.limit_count:
                break
        return hits[self._query.offset_count :]

    def _is_hit(self, record: ManagedObject) -> bool:
        query = self._query
        seen = record.realm == query.realm and (self._is_everywhere or not self._scopes.isdisjoint(scopes_for(record)))
        return seen and matches(record, query)

    def _candidates(self) -> Iterator[bytes]:
        """Yield what the index proposes, newest first, each once."""
        query = self._query
        named = [match.value.content for match in query.matches if match.name == "Unique Identifier"]
        if named:
            key = key_of(KIND_OBJECT, str(named[0]))
            return iter(()) if key is None else iter((key,))
        walks = [self._walk(place) for place in self._places()]
        if len(walks) == 1:
            return walks[0]
        return _merged(walks, newest_first=not query.oldest_first)

    def _places(self) -> list[bytes]:
        """Return where in the index to walk.

        Raises:
            TooLarge: too many owners and groups have objects to merge what all of them have.
        """
        query = self._query
        if not self._is_everywhere:
            return [place_of(query.realm, scope, gone) for scope in query.scopes for gone in self._parts]
        rows = self._asked.execute(_PLACES, (LOCATE_PLACES_COUNT_MAX + 1,))
        places = [bytes(place) for place, _ in rows]
        if len(places) > LOCATE_PLACES_COUNT_MAX:
            raise TooLarge("too many owners have keys; name an owner or a group, or go by name")
        return places

    def _walk(self, place: bytes) -> Iterator[bytes]:
        """Yield the candidates at one place of the index, newest first."""
        terms = [term_of(place, name, value) for name, value in self._values]
        head = _all(self._head)
        tests = [Test(_HAS_HEAD % head.sql, (place, *head.parameters))] if self._head else []
        if len(terms) == 1:
            return self._walk_all("attribute_index", Test("term = ?", (terms[0],)), tests)
        if terms:
            return self._walk_rarest(terms, tests)
        if self._ranges:
            name, low, high = self._ranges[0]
            bounds = (term_of(place, name, low), term_of(place, name, high))
            return self._walk_all("attribute_index", Test("term BETWEEN ? AND ?", bounds), tests)
        return self._walk_all("listing", Test("place = ?", (place,)), [head])

    def _walk_rarest(self, terms: list[bytes], tests: list[Test]) -> Iterator[bytes]:
        below = self._below
        for bound in _BOUNDS:
            terms, counts, until = self._ahead(terms, below, bound)
            yield from self._window(terms, counts, (below, until or self._end), bound, tests)
            if until is None:
                return
            below = until
        driver, *others = terms
        joined = [*(Test(_HAS_VALUE, (term,)) for term in others), *tests]
        yield from self._walk_all("attribute_index", Test("term = ?", (driver,)), joined, below)

    def _ahead(self, terms: list[bytes], below: bytes, bound: int) -> tuple[list[bytes], list[int], bytes | None]:
        """Look ahead, up to `bound` rows of each term.

        Returns: terms, the one whose rows reach furthest first; how many rows each has, as far as counted, or `bound`;
            the last row of the first one, None when it has no more than these.
        """
        counts = {term: self._count(term, (below, self._end), bound) for term in terms}
        driver = min(counts, key=counts.__getitem__)
        until: bytes | None = None
        if counts[driver] == bound:
            sql = _END.format(way=self._way, order=self._order)
            ends = {term: bytes(self._asked.execute(sql, (term, below, bound - 1)).fetchone()[0]) for term in counts}
            driver = (max if self._query.oldest_first else min)(ends, key=ends.__getitem__)
            until = ends[driver]
        ordered = [driver, *(term for term in counts if term != driver)]
        return ordered, [counts[term] for term in ordered], until

    def _window(
        self, terms: list[bytes], counts: list[int], window: tuple[bytes, bytes], bound: int, tests: list[Test]
    ) -> Iterator[bytes]:
        """Yield what all conditions have in a window; the first one drives."""
        most = _BESIDE_FACTOR * counts[0]
        beside: list[bytes] = []
        looked_up: list[bytes] = []
        for term, count in zip(terms[1:], counts[1:], strict=True):
            known = count if count < bound else self._count(term, window, most + 1)
            (beside if known <= most else looked_up).append(term)
        joined = _all([*(Test(_HAS_VALUE, (term,)) for term in looked_up), *tests])
        sql = _window_sql(joined.sql, len(beside), self._way, self._until, self._order)
        besides = [cell for term in beside for cell in (term, *window)]
        for (key,) in self._rows(sql, (terms[0], *window, *joined.parameters, *besides)):
            yield key

    def _count(self, term: bytes, window: tuple[bytes, bytes], most: int) -> int:
        """Return how many rows a term has in a window, as far as `most` tells."""
        sql = _COUNT.format(way=self._way, until=self._until)
        return int(self._asked.execute(sql, (term, *window, most)).fetchone()[0])

    def _walk_all(self, table: str, driver: Test, tests: list[Test], below: bytes | None = None) -> Iterator[bytes]:
        joined = _all(tests)
        sql = _walk_sql(table, driver.sql, joined.sql, self._way, self._order)
        for (key,) in self._rows(sql, (*driver.parameters, below or self._below, *joined.parameters)):
            yield key

    def _rows(self, sql: str, parameters: tuple[Any, ...]) -> Rows:
        cursor = self._asked.execute(sql, parameters)
        self._cursors.append(cursor)
        return cursor


def _merged(walks: list[Iterator[bytes]], *, newest_first: bool) -> Iterator[bytes]:
    """Yield what several walks propose, in their order, each once; no further than somebody asks.

    A function, since the compiler makes a list of a generator expression before it hands out the first item.
    """
    for key, _ in groupby(merge(*walks, reverse=newest_first)):
        yield key


@lru_cache(STATEMENTS_COUNT_MAX)
def _walk_sql(table: str, driver: str, tests: str, way: str, order: str) -> str:
    return _WALK.format(table=table, driver=driver, tests=tests, way=way, order=order)


@lru_cache(STATEMENTS_COUNT_MAX)
def _window_sql(tests: str, beside_count: int, way: str, until: str, order: str) -> str:
    arms = _WINDOW + _BESIDE * beside_count + " ORDER BY object {order}"
    return arms.format(tests=tests, way=way, until=until, order=order)


def _all(tests: list[Test]) -> Test:
    """Join tests that must all hold."""
    if len(tests) == 1:
        return tests[0]
    sql = " AND ".join(test.sql for test in tests) or "1 = 1"
    return Test(sql, tuple(cell for test in tests for cell in test.parameters))
