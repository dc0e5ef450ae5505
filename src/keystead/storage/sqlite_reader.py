"""The reader of an SQLite store: verified reads on one connection of one thread.

Source: performance.md section 8 rules 1 and 3; design.md law 6.
"""

import sqlite3
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keystead.core.records import KIND_OBJECT, ROOT_REALM, ManagedObject
from keystead.storage import loading
from keystead.storage.loading import LOCATE_KEPT_COUNT_MAX
from keystead.storage.locate import Search
from keystead.storage.sealed import Seals, key_of, text_of
from keystead.storage.sqlite_connections import connect, unavailable
from keystead.storage.sqlite_watch import HEADER_BYTES, Watch, header_of
from keystead.storage.statements import (
    BY_HANDLE,
    BY_ID,
    CHANGES,
    DUE,
    HEAD,
    LAST_HANDLE,
    LIST,
    LIST_BACK,
    NEWEST,
    OUTCOME,
    SCANS,
)
from keystead.storage.store import CHANGES_COUNT_MAX, NOTHING, Get, Loaded, Query, Scan, Scanned, as_object


class SqliteReader:
    """Implements store.Reader.

    Args:
        path: The store's file.
        seals: Digests of this store.
        watch: Shared with the writers of this process; None = the reader is not asked for its data version all the
            time. Takes a descriptor for the life of the process.
    """

    def __init__(self, path: Path, seals: Seals, watch: Watch | None = None) -> None:
        self._seals = seals
        self._connection = connect(path, read_only=True)
        self._watch = watch
        self._header = None
        if watch is not None:
            self._row(NEWEST)  # the WAL index is there once something was read
            self._header = watch.header = header_of(path)

    def data_version(self) -> Hashable:
        """Return what changes with every commit by anyone else (store.Reader.data_version)."""
        header = self._header
        return self._row("PRAGMA data_version")[0] if header is None else header[:HEADER_BYTES]

    def changes_since(self, sequence: int) -> tuple[int, list[tuple[str, str, bytes]] | None]:
        """Return the newest sequence and what changed since (store.Reader.changes_since)."""
        own = None if self._watch is None else self._watch.committed
        if own is not None and own.since == sequence and own.header == self.data_version():
            rows = own.rows
        else:
            rows = self._rows(CHANGES, (sequence, CHANGES_COUNT_MAX + 1))
        return loading.changes(sequence, rows, lambda: int(self._row(NEWEST)[0]))

    def object(self, object_id: str) -> Loaded | None:
        """Load a managed object (store.Reader.object)."""
        return self.record(KIND_OBJECT, object_id)

    def record(self, kind: str, record_id: str) -> Loaded | None:
        """Load a record by id (store.Reader.record)."""
        key = key_of(kind, record_id)
        if key is None:
            return None
        row = self._row(BY_ID, (kind, key))
        return None if row is None else loading.loaded(self._seals, kind, record_id, row)

    def by_handle(self, realm: str, kind: str, handle: str) -> Loaded | None:
        """Load a record by handle (store.Reader.by_handle)."""
        row = self._row(BY_HANDLE, (realm, kind, handle))
        return None if row is None else loading.loaded_by_handle(self._seals, kind, realm, handle, row)

    def list_records(
        self,
        kind: str,
        after_handle: str = "",
        limit_count: int = 1000,
        realm: str = ROOT_REALM,
        *,
        backwards: bool = False,
    ) -> list[Loaded]:
        """List a realm's records of a kind by handle (store.Reader.list_records)."""
        begin = (after_handle or LAST_HANDLE) if backwards else after_handle
        rows = self._rows(LIST_BACK if backwards else LIST, (realm, kind, begin, limit_count))
        return [loading.loaded(self._seals, kind, text_of(kind, row[0]), row) for row in rows]

    def scan(self, scan: Scan) -> Scanned:
        """Look for bytes in documents (store.Reader.scan)."""
        begin = loading.beginning(scan)
        return loading.scanned(
            scan, self._rows(SCANS[scan.by_id, scan.backwards], (scan.realm, begin, scan.limit_count))
        )

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
        return loading.due(self._seals, self._rows(DUE, (now_us, limit_count)), now_us)

    def outcome(self, request_id: bytes) -> bool:
        """Tell whether a transaction was committed (store.Reader.outcome)."""
        return self._row(OUTCOME, (request_id,)) is not None

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

    def _head(self, key: bytes) -> ManagedObject | None:
        """Load an object without its material, inside a search."""
        row = self._connection.execute(HEAD, (key,)).fetchone()
        return None if row is None else loading.opened(self._seals, key, *row)
