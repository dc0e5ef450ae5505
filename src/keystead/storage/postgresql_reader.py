"""The reader of a PostgreSQL store: verified reads on one connection of one thread, opened again when it is lost.

Every statement sees one state of the store; a search of several statements is a transaction. What fails with its
connection is asked once more on a new one, since reading changes nothing.

Source: design.md law 6, section 4 (change detection); docs/adr/0015-postgresql-store.md.
"""

import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import psycopg

from keystead.core.errors import Unavailable
from keystead.core.records import KIND_OBJECT, ROOT_REALM
from keystead.storage import loading
from keystead.storage.identity import Identity
from keystead.storage.locate import Search
from keystead.storage.postgresql_connections import PASSING, Link, Server, row, rows, unavailable
from keystead.storage.postgresql_locate import Candidates
from keystead.storage.postgresql_watch import Own, Watch
from keystead.storage.sealed import key_of, text_of
from keystead.storage.statements import (
    BY_HANDLE,
    BY_ID,
    CHANGES,
    DUE,
    LAST_HANDLE,
    LIST,
    LIST_BACK,
    NEWEST,
    OUTCOME,
    ROOT,
    SCANS,
)
from keystead.storage.store import CHANGES_COUNT_MAX, NOTHING, Get, Loaded, Query, Scan, Scanned

ANSWER_S = 3.0  # the serving loop stands still as long
REST_S = 0.25  # a server that cannot be reached is not asked again for so long

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

Result = TypeVar("Result")


class PostgresqlReader:
    """Implements store.Reader.

    Args:
        server: Where the store is.
        identity: Which store it is.
        own: Commits of this process.
        watching: It is asked for its data version all the time; takes a thread and a connection.

    Raises:
        Unavailable, Invalid: the server cannot be reached, or may not be used.
    """

    def __init__(self, server: Server, identity: Identity, own: Own, *, watching: bool = False) -> None:
        self._server = server
        self._seals = identity.seals
        self._fetched: dict[bytes, Any] = {}
        self._is_forgetful = False
        self._failed_s = 0.0
        try:
            self._link = self._opened()
        except psycopg.Error as error:
            raise unavailable(error) from error
        try:
            self._watch = Watch(server, identity, own) if watching else None
        except BaseException:
            self._link.close()
            raise

    def data_version(self) -> Hashable:
        """Return what changes with every commit by anyone (store.Reader.data_version)."""
        version = None if self._watch is None else self._watch.version
        return self._row(ROOT)[0] if version is None else version

    def changes_since(self, sequence: int) -> tuple[int, list[tuple[str, str, bytes]] | None]:
        """Return the newest sequence and what changed since (store.Reader.changes_since).

        After a connection was lost everything counts as changed: another server may have taken over, whose journal is
        not a continuation of what was read before.
        """
        found = self._rows(CHANGES, (sequence, CHANGES_COUNT_MAX + 1))
        if self._is_forgetful:
            newest = self._newest()
            self._is_forgetful = False
            return newest, None
        return loading.changes(sequence, found, self._newest)

    def object(self, object_id: str) -> Loaded | None:
        """Load a managed object (store.Reader.object)."""
        return self.record(KIND_OBJECT, object_id)

    def record(self, kind: str, record_id: str) -> Loaded | None:
        """Load a record by id (store.Reader.record)."""
        key = key_of(kind, record_id)
        if key is None:
            return None
        found = (self._fetched.pop(key, None) if self._fetched else None) or self._row(BY_ID, (kind, key))
        return None if found is None else loading.loaded(self._seals, kind, record_id, found)

    def by_handle(self, realm: str, kind: str, handle: str) -> Loaded | None:
        """Load a record by handle (store.Reader.by_handle)."""
        if "\0" in realm + handle:
            return None  # PostgreSQL has no such text
        found = self._row(BY_HANDLE, (realm, kind, handle))
        return None if found is None else loading.loaded_by_handle(self._seals, kind, realm, handle, found)

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
        found = self._rows(LIST_BACK if backwards else LIST, (realm, kind, begin, limit_count))
        return [loading.loaded(self._seals, kind, text_of(kind, cells[0]), cells) for cells in found]

    def scan(self, scan: Scan) -> Scanned:
        """Look for bytes in documents (store.Reader.scan)."""
        begin = loading.beginning(scan)
        return loading.scanned(
            scan, self._rows(SCANS[scan.by_id, scan.backwards], (scan.realm, begin, scan.limit_count))
        )

    def locate(self, query: Query, at_hand: Mapping[str, Loaded] = NOTHING, get: Get | None = None) -> list[str]:
        """Search for managed objects (store.Reader.locate)."""
        return self._asked(lambda link: self._located(Candidates(link, self._seals, query, at_hand, get), query))

    def due_transitions(self, now_us: int, limit_count: int) -> list[str]:
        """Return ids of objects whose stored state is behind their dates (store.Reader.due_transitions)."""
        return loading.due(self._seals, self._rows(DUE, (now_us, limit_count)), now_us)

    def outcome(self, request_id: bytes) -> bool:
        """Tell whether a transaction was committed (store.Reader.outcome)."""
        return self._row(OUTCOME, (request_id,)) is not None

    def close(self) -> None:
        """Give the connections back."""
        self._link.close()
        if self._watch is not None:
            self._watch.close()

    def _located(self, candidates: Candidates, query: Query) -> list[str]:
        search = Search(candidates, candidates.load, query)
        self._fetched = candidates.fetched
        candidates.link.execute(_BEGIN)
        try:
            return search.run()
        finally:
            self._fetched = {}
            if not candidates.link.closed:
                candidates.link.execute("ROLLBACK")

    def _newest(self) -> int:
        return int(self._row(NEWEST)[0] or 0)

    def _row(self, statement: str, parameters: Any = ()) -> Any:
        return self._asked(lambda link: row(link, statement, parameters))

    def _rows(self, statement: str, parameters: Any) -> list[Any]:
        return self._asked(lambda link: rows(link, statement, parameters))

    def _asked(self, ask: Callable[[Link], Result]) -> Result:
        """Ask on the connection at hand, and once more on a new one if that fails. Raises Unavailable."""
        try:
            try:
                return ask(self._link)
            except PASSING:
                return ask(self._connected())
        except psycopg.Error as error:
            raise unavailable(error) from error

    def _connected(self) -> Link:
        self._link.close()
        self._is_forgetful = True
        if time.monotonic() - self._failed_s < REST_S:
            raise Unavailable("the store cannot be reached; see the system log", "unavailable.store")
        try:
            self._link = self._opened()
        except (psycopg.Error, Unavailable):
            self._failed_s = time.monotonic()
            raise
        return self._link

    def _opened(self) -> Link:
        link = self._server.connect()
        link.patience_s = min(link.patience_s, ANSWER_S)
        return link
