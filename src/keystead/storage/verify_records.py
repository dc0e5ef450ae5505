"""Walks all records in order of their ids, beside what the journal says last of each, and the index rows they leave.

Everything is read as streams sorted by id, so that memory stays bounded: the engine sorts the journal and the index in
temporary files.

Source: docs/adr/0010-journal-chain-and-root.md, docs/adr/0011-attribute-index.md.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from keystead.core.errors import Tampered
from keystead.core.lifecycle import next_transition_at
from keystead.core.records import KIND_OBJECT, ManagedObject, Record
from keystead.storage.attribute_index import NO_ROWS, IndexRows, ListingRow, rows_of
from keystead.storage.documents import decode
from keystead.storage.findings import REBUILD, Finding
from keystead.storage.journal import PURGE, ROOT_MODULUS
from keystead.storage.sealed import Seals, material_of, text_of
from keystead.storage.statements import Statements

_RECORDS = (
    "SELECT kind, id, realm, handle, revision, at_us, next_us, document, mac, sealed FROM records ORDER BY kind, id"
)
_LISTING = f"SELECT {', '.join(ListingRow._fields)} FROM listing ORDER BY object"  # noqa: S608 - constants
_ATTRIBUTES = "SELECT term, object FROM attribute_index ORDER BY object"


class Found(Protocol):
    """What a statement finds; of sqlite3.Cursor."""

    def __iter__(self) -> Iterator[Any]:
        """Walk along the rows."""

    def fetchone(self) -> Any:
        """Return the next row."""


class Asked(Protocol):
    """What answers a walk's statements; of sqlite3.Connection."""

    def execute(self, sql: str, /) -> Found:
        """Run a statement."""


Key = TypeVar("Key", bound=Any)
Name = tuple[str, bytes]


class Entry(NamedTuple):
    """What the journal says last of a record."""

    action: int
    revision: int
    mac: bytes
    at_us: int


class Row(NamedTuple):
    """A record's row."""

    realm: str
    handle: str
    revision: int
    at_us: int
    next_us: int | None
    document: bytes
    mac: bytes
    sealed: bytes | None


class Stream(Generic[Key]):
    """Rows sorted by a key, taken key by key beside another stream.

    Args:
        rows: Sorted rows.
        key: Returns a row's key.
    """

    def __init__(self, rows: Iterable[Any], key: Callable[[Any], Key]) -> None:
        self._groups = groupby(rows, key)
        self.rows_count = 0
        self._advance()

    def _advance(self) -> None:
        key, group = next(self._groups, (None, ()))
        self.key: Key | None = key
        self.group = list(group)
        self.rows_count += len(self.group)

    def before(self, key: Key | None) -> Iterator[tuple[Key, list[Any]]]:
        """Yield and pass all groups before a key; None = all that are left."""
        while self.key is not None and (key is None or self.key < key):
            yield self.key, self.group
            self._advance()

    def at(self, key: Key) -> list[Any]:
        """Return and pass the rows of a key; empty when there are none."""
        if self.key != key:
            return []
        group = self.group
        self._advance()
        return group


class RecordWalk:
    """The walk over one store.

    Args:
        asked: Sees one state of the store.
        seals: Digests of the store.
        statements: Of its engine.

    Attributes:
        total: Sum of the root terms of all records, as they stand.
        rows_count: Records and index rows seen.
    """

    def __init__(self, asked: Asked, seals: Seals, statements: Statements) -> None:
        self._asked = asked
        self._statements = statements
        self._seals = seals
        self._listing = Stream[bytes](asked.execute(_LISTING), itemgetter(1))
        self._attributes = Stream[bytes](asked.execute(_ATTRIBUTES), itemgetter(1))
        self.total = 0
        self.record_count = 0

    @property
    def rows_count(self) -> int:
        """Return how many records and index rows have been seen."""
        return self.record_count + self._listing.rows_count + self._attributes.rows_count

    def walk(self) -> Iterator[Finding | None]:
        """Yield what is wrong, and None for each record that is right."""
        journal = Stream[Name](self._asked.execute(self._statements.newest_entries), itemgetter(0, 1))
        for kind, key, *cells in self._asked.execute(_RECORDS):
            row = Row._make(cells)
            for name, entries in journal.before((kind, key)):
                yield from _absent(name, entries[0])
            entries = journal.at((kind, key))
            yield from self._record((kind, key), row, Entry(*entries[0][2:6]) if entries else None) or (None,)
        for name, entries in journal.before(None):
            yield from _absent(name, entries[0])
        yield from self._index_before(None)

    def _record(self, name: Name, row: Row, entry: Entry | None) -> list[Finding]:
        kind, key = name
        self.record_count += 1
        self.total = (self.total + self._seals.root_term(kind, key, row.revision, row.mac)) % ROOT_MODULUS
        authentic = self._seals.same(self._seals.record_mac(kind, key, row.revision, row.document), row.mac)
        wrong = [*_against_journal(row, entry, authentic=authentic)]
        rows = NO_ROWS
        if authentic:
            record = decode(kind, text_of(kind, key), row.revision, row.document)
            wrong += _hints(record, row, entry)
            wrong += _material(kind, record, row)
            if isinstance(record, ManagedObject):
                rows = rows_of(record, key, row.at_us)
        found = [Finding(kind, text_of(kind, key), what) for what in wrong]
        if kind == KIND_OBJECT:
            found += self._index_before(key)
            found += self._index_at(key, rows)
        return found

    def _index_before(self, key: bytes | None) -> Iterator[Finding]:
        for stream in (self._listing, self._attributes):
            for extra, rows in stream.before(key):
                what = f"has {len(rows)} index rows, but there is no such object"
                yield Finding(KIND_OBJECT, text_of(KIND_OBJECT, extra), what, REBUILD)

    def _index_at(self, key: bytes, expected: IndexRows) -> Iterator[Finding]:
        for stream, wanted in ((self._listing, expected.listing), (self._attributes, expected.attributes)):
            present, wanted_rows = set(stream.at(key)), {tuple(row) for row in wanted}
            omitted, added = len(wanted_rows - present), len(present - wanted_rows)
            if omitted or added:
                what = f"has {omitted} index rows too few and {added} that do not belong to it"
                yield Finding(KIND_OBJECT, text_of(KIND_OBJECT, key), what, REBUILD)


def _absent(name: Name, last: Any) -> Iterator[Finding]:
    if last[2] != PURGE:
        what = f"was deleted: the journal's last word of it is revision {last[3]}"
        yield Finding(name[0], text_of(*name), what)


def _against_journal(row: Row, entry: Entry | None, *, authentic: bool) -> Iterator[str]:
    """Compare a row with the journal's last word of it."""
    if not authentic:
        yield "does not authenticate: its document was changed or belongs to another record"
    if entry is None:
        yield "was inserted: the journal does not know it"
    elif entry.action == PURGE:
        yield f"was put back: the journal says that revision {entry.revision} was removed"
    elif row.revision < entry.revision:
        yield f"was rolled back from revision {entry.revision} to {row.revision}"
    elif row.revision > entry.revision:
        yield f"is at revision {row.revision}, but the journal ends at {entry.revision}"
    elif row.mac != entry.mac:
        yield f"is not the revision {row.revision} that the journal has"


def _hints(record: ManagedObject | Record, row: Row, entry: Entry | None) -> Iterator[str]:
    """Compare what is beside a document with what is inside."""
    if (record.realm, record.handle) != (row.realm, row.handle):
        yield f"is filed under a false name or realm; it is {record.handle!r} in {record.realm!r}"
    if entry is not None and row.at_us != entry.at_us:
        yield "is filed under a false time"
    if row.next_us != (next_transition_at(record.dates, row.at_us) if isinstance(record, ManagedObject) else None):
        yield "is filed with a false date of its next transition"


def _material(kind: str, record: ManagedObject | Record, row: Row) -> Iterator[str]:
    if record.material is None and row.sealed is not None:
        yield "has sealed material that it does not name"
    try:
        material_of(kind, record.id, record.material, row.sealed)
    except Tampered:
        what = "has lost its sealed material" if row.sealed is None else "has sealed material that is not its own"
        yield what + ": deleted, changed, moved or rolled back"
