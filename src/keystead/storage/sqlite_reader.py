"""The reader of an SQLite store: verified reads on one connection of one thread.

Law: nothing leaves here that has not been authenticated: MAC first, then decoding, then the material against the digest
in the document, then the hint that led here against the document.

Source: performance.md section 8 rules 1 and 3; design.md law 6.
"""

import sqlite3
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keystead.core.errors import Tampered
from keystead.core.lifecycle import next_transition_at
from keystead.core.records import KIND_OBJECT, ROOT_REALM, ManagedObject, Record
from keystead.storage.documents import decode
from keystead.storage.sealed import Seals, key_of, material_of, text_of
from keystead.storage.sqlite_connections import connect, unavailable
from keystead.storage.sqlite_locate import Search
from keystead.storage.sqlite_watch import HEADER_BYTES, header_of
from keystead.storage.store import CHANGES_COUNT_MAX, NOTHING, Get, Loaded, Query, as_object

_LOADED = "SELECT id, revision, document, mac, sealed FROM records"  # in the order of _loaded's parameters
_BY_ID = f"{_LOADED} WHERE kind = ? AND id = ?"
_BY_HANDLE = f"{_LOADED} WHERE realm = ? AND kind = ? AND handle = ?"
_LIST = f"{_LOADED} WHERE realm = ? AND kind = ? AND handle > ? ORDER BY handle LIMIT ?"
_HEAD = "SELECT revision, document, mac FROM records WHERE kind = 'object' AND id = ?"
_DUE = "SELECT id, revision, document, mac, at_us FROM records WHERE next_us <= ? ORDER BY next_us LIMIT ?"
_NEWEST = "SELECT max(sequence) FROM journal"
_CHANGES = "SELECT sequence, kind, id, request_id FROM journal WHERE sequence > ? ORDER BY sequence LIMIT ?"
_OUTCOME = "SELECT 1 FROM audit WHERE request_id = ? LIMIT 1"

LOCATE_KEPT_COUNT_MAX = 16
"""Candidates of a search that its asker keeps in memory; one that finds many looks for something else than to use them.
"""


class SqliteReader:
    """Implements store.Reader.

    Args:
        path: The store's file.
        seals: Digests of this store.
        watching: It is asked for its data version all the time; takes a descriptor for the life of the process.
    """

    def __init__(self, path: Path, seals: Seals, *, watching: bool = False) -> None:
        self._seals = seals
        self._connection = connect(path, read_only=True)
        self._header = None
        if watching:
            self._row(_NEWEST)  # the WAL index is there once something was read
            self._header = header_of(path)

    def data_version(self) -> Hashable:
        """Return what changes with every commit by anyone else (store.Reader.data_version)."""
        header = self._header
        return self._row("PRAGMA data_version")[0] if header is None else header[:HEADER_BYTES]

    def changes_since(self, sequence: int) -> tuple[int, list[tuple[str, str, bytes]] | None]:
        """Return the newest sequence and what changed since (store.Reader.changes_since)."""
        rows = self._rows(_CHANGES, (sequence, CHANGES_COUNT_MAX + 1))
        if not rows:
            return sequence, []  # what comes between this look and another one must not be passed over
        newest = rows[-1][0] if len(rows) <= CHANGES_COUNT_MAX else self._row(_NEWEST)[0]
        if newest - sequence > CHANGES_COUNT_MAX:
            return newest, None
        changed = dict.fromkeys([row[1:] for row in rows])
        return newest, [(kind, text_of(kind, key), request_id) for kind, key, request_id in changed]

    def object(self, object_id: str) -> Loaded | None:
        """Load a managed object (store.Reader.object)."""
        return self.record(KIND_OBJECT, object_id)

    def record(self, kind: str, record_id: str) -> Loaded | None:
        """Load a record by id (store.Reader.record)."""
        key = key_of(kind, record_id)
        if key is None:
            return None
        row = self._row(_BY_ID, (kind, key))
        return None if row is None else self._loaded(kind, record_id, row)

    def by_handle(self, realm: str, kind: str, handle: str) -> Loaded | None:
        """Load a record by handle (store.Reader.by_handle)."""
        row = self._row(_BY_HANDLE, (realm, kind, handle))
        if row is None:
            return None
        loaded = self._loaded(kind, text_of(kind, row[0]), row)
        if (loaded.record.realm, loaded.record.handle) != (realm, handle):
            raise Tampered(f"{kind} {loaded.record.id} stands under another name; run `keystead verify`")
        return loaded

    def list_records(
        self, kind: str, after_handle: str = "", limit_count: int = 1000, realm: str = ROOT_REALM
    ) -> list[Loaded]:
        """List a realm's records of a kind by handle (store.Reader.list_records)."""
        rows = self._rows(_LIST, (realm, kind, after_handle, limit_count))
        return [self._loaded(kind, text_of(kind, row[0]), row) for row in rows]

    def locate(self, query: Query, at_hand: Mapping[str, Loaded] = NOTHING, get: Get | None = None) -> list[str]:
        """Search for managed objects (store.Reader.locate)."""
        got_count = 0

        def load(key: bytes) -> ManagedObject | None:
            nonlocal got_count
            object_id = text_of(KIND_OBJECT, key)
            known = at_hand.get(object_id)
            if known is None:
                if get is None or got_count >= LOCATE_KEPT_COUNT_MAX:
                    return self._head(key)
                got_count += 1
                known = get(object_id)
            return None if known is None else as_object(known)

        search = Search(self._connection, load, query)
        try:
            if search.is_one_statement:  # which is a transaction of its own
                return search.run()
            self._connection.execute("BEGIN")
            try:
                return search.run()
            finally:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise unavailable(error) from error

    def due_transitions(self, now_us: int, limit_count: int) -> list[str]:
        """Return ids of objects whose stored state is behind their dates (store.Reader.due_transitions)."""
        found: list[str] = []
        for key, revision, document, mac, at_us in self._rows(_DUE, (now_us, limit_count)):
            record = self._opened(key, revision, document, mac)
            due_us = next_transition_at(record.dates, at_us)
            if due_us is not None and due_us <= now_us:
                found.append(record.id)
        return found

    def outcome(self, request_id: bytes) -> bool:
        """Tell whether a transaction was committed (store.Reader.outcome)."""
        return self._row(_OUTCOME, (request_id,)) is not None

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def _row(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        try:
            return self._connection.execute(statement, parameters).fetchone()
        except sqlite3.Error as error:
            raise unavailable(error) from error

    def _rows(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise unavailable(error) from error

    def _loaded(self, kind: str, record_id: str, row: Any) -> Loaded:
        key, revision, document, mac, sealed = row
        self._seals.check_record(kind, key, revision, document, mac)
        record = decode(kind, record_id, revision, document)
        return Loaded(record, material_of(kind, record_id, record.material, sealed))

    def _head(self, key: bytes) -> ManagedObject | None:
        """Load an object without its material, inside a search."""
        row = self._connection.execute(_HEAD, (key,)).fetchone()
        return None if row is None else self._opened(key, *row)

    def _opened(self, key: bytes, revision: int, document: bytes, mac: bytes) -> ManagedObject:
        self._seals.check_record(KIND_OBJECT, key, revision, document, mac)
        record = decode(KIND_OBJECT, text_of(KIND_OBJECT, key), revision, document)
        if isinstance(record, Record):
            raise TypeError("a managed object decodes to one")
        return record
