"""Statements of every engine from one place, and the rows that a plan writes with them.

Values are written `?`, as SQLite has them. The engines differ in how a row takes the place of another and in how the
newest of several is found; everything else is the same text.

Source: docs/adr/0010-journal-chain-and-root.md, 0011, 0015.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from keystead.storage.attribute_index import NO_ROWS, ListingRow
from keystead.storage.planning import Plan

LOADED = "SELECT id, revision, document, mac, sealed FROM records"  # in the order of loading.loaded's row
BY_ID = f"{LOADED} WHERE kind = ? AND id = ?"
BY_HANDLE = f"{LOADED} WHERE realm = ? AND kind = ? AND handle = ?"
LIST = f"{LOADED} WHERE realm = ? AND kind = ? AND handle > ? ORDER BY handle LIMIT ?"
LIST_BACK = f"{LOADED} WHERE realm = ? AND kind = ? AND handle < ? ORDER BY handle DESC LIMIT ?"
_SCAN = "SELECT id, handle, document FROM records WHERE kind = 'object' AND realm = ? AND "
SCANS = {  # (by id, backwards)
    (False, False): f"{_SCAN}handle > ? ORDER BY handle LIMIT ?",
    (False, True): f"{_SCAN}handle < ? ORDER BY handle DESC LIMIT ?",
    (True, False): f"{_SCAN}id > ? ORDER BY id LIMIT ?",
    (True, True): f"{_SCAN}id < ? ORDER BY id DESC LIMIT ?",
}
LAST_HANDLE, LAST_ID = "\U0010ffff", b"\xff" * 17  # after every handle, after every id
HEAD = "SELECT revision, document, mac FROM records WHERE kind = 'object' AND id = ?"
DUE = "SELECT id, revision, document, mac, at_us FROM records WHERE next_us <= ? ORDER BY next_us LIMIT ?"
NEWEST = "SELECT max(sequence) FROM journal"
CHANGES = "SELECT sequence, kind, id, request_id FROM journal WHERE sequence > ? ORDER BY sequence LIMIT ?"
OUTCOME = "SELECT 1 FROM audit WHERE request_id = ? LIMIT 1"

STORED_COLUMNS = "revision, document, mac, realm, handle, at_us, next_us, sealed"  # in the order of planning.Stored
STORED = f"SELECT {STORED_COLUMNS} FROM records WHERE kind = ? AND id = ?"  # noqa: S608 - constants
HOLDER = "SELECT id FROM records WHERE realm = ? AND kind = ? AND handle = ?"
ROOT = "SELECT sealed FROM root WHERE id = 1"
META = "SELECT name, value FROM meta"
MARKS = "SELECT marks, mac FROM marks WHERE id = 1"
NEWEST_ROW = "SELECT sequence, chain FROM journal ORDER BY sequence DESC LIMIT 1"
NEWEST_LEAF = "SELECT sequence, digest FROM audit ORDER BY sequence DESC LIMIT 1"
CHAIN_AT = "SELECT chain FROM journal WHERE sequence = ?"

PUT_META = "INSERT INTO meta (name, value) VALUES ('store_id', ?)"
PUT_MARKS = "INSERT INTO marks (id, marks, mac) VALUES (1, ?, ?)"
NEW_ROOT = "INSERT INTO root (id, sealed) VALUES (1, ?)"
PUT_ROOT = "UPDATE root SET sealed = ? WHERE id = 1"
_NEW_RECORD = (
    "INSERT INTO records (kind, id, revision, document, mac, realm, handle, at_us, next_us, sealed)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_PUT_RECORD = (
    f"{_NEW_RECORD} ON CONFLICT (kind, id) DO UPDATE SET revision = excluded.revision,"
    " document = excluded.document, mac = excluded.mac, realm = excluded.realm, handle = excluded.handle,"
    " at_us = excluded.at_us, next_us = excluded.next_us, sealed = excluded.sealed"
)
_FREE_HANDLE = "DELETE FROM records WHERE realm = ? AND kind = ? AND handle = ?"
_PUT_JOURNAL = (
    "INSERT INTO journal (sequence, at_us, request_id, principal, origin, operation, action, kind, id, revision,"
    " document, mac, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_PUT_LEAF = "INSERT INTO audit (sequence, request_id, leaf, digest) VALUES (?, ?, ?, ?)"
_COLUMNS = ListingRow._fields
_LISTING = f"INTO listing ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_MOVED_COLUMNS = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[2:])
_DROP_LISTING = "DELETE FROM listing WHERE place = ? AND object = ?"
_ATTRIBUTE = "INTO attribute_index (term, object) VALUES (?, ?)"
_DROP_ATTRIBUTE = "DELETE FROM attribute_index WHERE term = ? AND object = ?"
_ENTRY = "kind, id, action, revision, mac, at_us, "


class Statements(NamedTuple):
    """What an engine writes in a way of its own.

    Attributes:
        put_listing: Write a row of `listing` over one that may be there.
        put_attribute: Write a row of `attribute_index` unless it is there.
        newest_entries: The journal's last row of every record, by kind and id.
    """

    put_listing: str
    put_attribute: str
    newest_entries: str


SQLITE = Statements(
    f"REPLACE {_LISTING}",
    f"INSERT OR IGNORE {_ATTRIBUTE}",
    # Beside max(), SQLite takes the other columns from the row that has the maximum (sqlite.org/lang_select.html).
    f"SELECT {_ENTRY}max(sequence) FROM journal GROUP BY kind, id ORDER BY kind, id",  # noqa: S608 - constants
)
POSTGRESQL = Statements(
    f"INSERT {_LISTING} ON CONFLICT (place, object) DO UPDATE SET {_MOVED_COLUMNS}",
    f"INSERT {_ATTRIBUTE} ON CONFLICT DO NOTHING",
    f"SELECT DISTINCT ON (kind, id) {_ENTRY}sequence FROM journal ORDER BY kind, id, sequence DESC",  # noqa: S608 - constants
)


def rows_of(plan: Plan, of: Statements) -> Iterator[tuple[str, Iterable[tuple[Any, ...]]]]:
    """Yield statements with their rows, in the order in which they must be written; tables without rows left out."""
    if plan.freed:
        yield _FREE_HANDLE, plan.freed
    new: list[tuple[Any, ...]] = []
    changed: list[tuple[Any, ...]] = []
    for name, stored in plan.records.items():
        if stored is not None:
            (new if name in plan.new else changed).append((*name, *stored))
    if new:
        yield _NEW_RECORD, new
    if changed:
        yield _PUT_RECORD, changed
    if plan.index:
        yield from _index_rows(plan, of)
    if plan.journal:
        yield _PUT_JOURNAL, [(row.sequence, *row.by, *row[2:], chain) for row, chain in plan.journal]
    if plan.leaves:
        yield _PUT_LEAF, plan.leaves


def _index_rows(plan: Plan, of: Statements) -> Iterator[tuple[str, Iterable[tuple[Any, ...]]]]:
    changed = [(old, new) for old, new in plan.index.values() if old is not NO_ROWS]
    if changed:
        kept = {row[:2] for _, new in changed for row in new.listing}
        yield _DROP_LISTING, [row[:2] for old, _ in changed for row in old.listing if row[:2] not in kept]
        yield _DROP_ATTRIBUTE, [row for old, new in changed for row in old.attributes - new.attributes]
    yield of.put_listing, [row for old, new in plan.index.values() for row in new.listing if row not in old.listing]
    yield (
        of.put_attribute,
        [row for old, new in plan.index.values() for row in sorted(new.attributes - old.attributes)],
    )
