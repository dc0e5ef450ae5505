"""Searches in a PostgreSQL store: locate.py's walks, page by page, and their candidates in batches.

A walk is asked for in pages that grow, since a server has no cursor that costs nothing; all pages of a search see one
state of the store. The objects to look at are loaded many at a time: the way to the server is dearer than they are.

Source: docs/adr/0011-attribute-index.md, docs/adr/0015-postgresql-store.md.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from keystead.core.records import KIND_OBJECT, ManagedObject
from keystead.storage import loading
from keystead.storage.loading import LOCATE_KEPT_COUNT_MAX
from keystead.storage.postgresql_connections import Link, row, rows
from keystead.storage.sealed import Seals, text_of
from keystead.storage.store import Get, Loaded, Query, as_object

FIRST_PAGE_COUNT = 256
PAGE_FACTOR = 8  # walking again what was walked costs less than a seventh
BATCH_COUNT_MAX = 64

_PAGE = "SELECT * FROM ({}) AS walk LIMIT ? OFFSET ?"
_WHOLE = "SELECT id, revision, document, mac, sealed FROM records WHERE kind = 'object' AND id = ANY (?)"
_HEADS = "SELECT id, revision, document, mac FROM records WHERE kind = 'object' AND id = ANY (?)"


class Candidates:
    """Answers the statements of one search, and loads what they propose (locate.Asked).

    Args:
        link: In the search's transaction.
        seals: Digests of the store.
        query: What is asked.
        at_hand: Objects that the asker has.
        get: Loads an object for the asker to keep; finds its row in `fetched`.

    Attributes:
        fetched: Rows (statements.LOADED) of candidates that `get` is about to be asked for.
    """

    def __init__(self, link: Link, seals: Seals, query: Query, at_hand: Mapping[str, Loaded], get: Get | None) -> None:
        self.link = link
        self._seals = seals
        self._at_hand = at_hand
        self._get = get
        self._got_count = 0
        self._oldest_first = query.oldest_first
        self._batch_count = min(query.offset_count + query.limit_count, BATCH_COUNT_MAX)
        self._proposed: set[bytes] = set()
        self._heads: dict[bytes, Any] = {}
        self.fetched: dict[bytes, Any] = {}

    def execute(self, sql: str, parameters: Any, /) -> "Walk":
        """Run a statement of the search."""
        return Walk(self, sql, tuple(parameters))

    def propose(self, found: list[Any]) -> None:
        """Take down which objects a page proposes: its rows hold an id and perhaps whether other conditions hold."""
        self._proposed.update([cells[0] for cells in found if len(cells) == 1 or cells[1]])

    def load(self, key: bytes) -> ManagedObject | None:
        """Return an object to look at, None when it is not there any more. Raises Tampered."""
        object_id = text_of(KIND_OBJECT, key)
        known = self._at_hand.get(object_id)
        if known is not None:
            return as_object(known)
        if self._get is not None and self._got_count < LOCATE_KEPT_COUNT_MAX:
            self._got_count += 1
            if key not in self.fetched:
                found = rows(self.link, _WHOLE, (self._batch(key, LOCATE_KEPT_COUNT_MAX),))
                self.fetched.update((cells[0], cells) for cells in found)
            known = self._get(object_id) if key in self.fetched else None
            return None if known is None else as_object(known)
        if key not in self._heads:
            found = rows(self.link, _HEADS, (self._batch(key, BATCH_COUNT_MAX),))
            self._heads.update((cells[0], cells) for cells in found)
        cells = self._heads.pop(key, None)
        return None if cells is None else loading.opened(self._seals, *cells)

    def _batch(self, key: bytes, count: int) -> list[bytes]:
        """Return a key and those that will probably be asked for next."""
        self._proposed.discard(key)
        unknown = [each for each in self._proposed if text_of(KIND_OBJECT, each) not in self._at_hand]
        forward = self._oldest_first
        next_ones = sorted((each for each in unknown if (each > key) is forward), reverse=not forward)
        batch = [key, *next_ones[: min(count, self._batch_count) - 1]]
        self._proposed.difference_update(batch)
        return batch


class Walk:
    """What a statement finds (locate.Rows)."""

    def __init__(self, candidates: Candidates, sql: str, parameters: tuple[Any, ...]) -> None:
        self._candidates = candidates
        self._sql = sql
        self._parameters = parameters

    def __iter__(self) -> Iterator[Any]:
        """Walk along the rows, page by page."""
        offset, size = 0, FIRST_PAGE_COUNT
        while True:
            page = rows(self._candidates.link, _PAGE.format(self._sql), (*self._parameters, size, offset))
            self._candidates.propose(page)
            yield from page
            if len(page) < size:
                return
            offset += size
            size *= PAGE_FACTOR

    def fetchone(self) -> Any:
        """Return the only row."""
        return row(self._candidates.link, self._sql, self._parameters)

    def close(self) -> None:
        """Stop walking: no page is asked for any more."""
