"""A store in a PostgreSQL database, opened for serving: the shared store of nodes that must not keep it to themselves.

One database holds one store. Opening is quick whatever the size, as with a file (sqlite.py); schema tools are not
needed here (postgresql_creation.py).

Source: design.md sections 4 to 7; cluster.md; docs/adr/0015-postgresql-store.md; requirements KS-GEN-006.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from keystead.core.errors import Unavailable
from keystead.core.records import KINDS
from keystead.storage.identity import Identity, identify
from keystead.storage.postgresql_connections import Link, Occasions, Server, row, unavailable
from keystead.storage.postgresql_reader import PostgresqlReader
from keystead.storage.postgresql_watch import Own
from keystead.storage.postgresql_writer import PostgresqlWriter
from keystead.storage.statements import CHAIN_AT, MARKS, META, NEWEST_LEAF, NEWEST_ROW, POSTGRESQL, ROOT, Statements
from keystead.storage.store import Anchor, StoreKeys

WALK_ROWS_COUNT = 1000  # fetched at a time
WALK_ANSWER_S = 600.0  # a large store is sorted first

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@dataclass(frozen=True, slots=True)
class PostgresqlStore:
    """Implements store.Store; made by `open_store`."""

    server: Server
    identity: Identity
    kinds: frozenset[str]
    occasions: Occasions
    own: Own = field(default_factory=Own)
    statements: Statements = POSTGRESQL

    def reader(self, *, watching: bool = False) -> PostgresqlReader:
        """Open a reader for the calling thread (store.Store.reader)."""
        return PostgresqlReader(self.server, self.identity, self.own, watching=watching)

    def writer(self) -> PostgresqlWriter:
        """Open the writer (store.Store.writer)."""
        return PostgresqlWriter(self.server, self.identity, self.kinds, self.own)

    def mark(self, name: str) -> str | None:
        """Return a permanent mark (store.Store.mark)."""
        return self.identity.mark(name)

    def anchor(self) -> Anchor:
        """Return where the store stands (store.Store.anchor)."""
        return self.identity.anchor(self.identity.root(self.occasions.ask(lambda link: row(link, ROOT))))

    def chain_at(self, sequence: int) -> bytes | None:
        """Return the chain value of a journal row (store.Store.chain_at)."""
        found = self.occasions.ask(lambda link: row(link, CHAIN_AT, (sequence,)))
        return None if found is None else bytes(found[0])

    def check(self) -> None:
        """Compare the root with the ends of journal and audit trail; constant time.

        Raises:
            Tampered: the root does not authenticate, or the trails do not end where it says.
        """
        root, newest, leaf = self.occasions.ask(_ends)
        self.identity.check(self.identity.root(root), newest, leaf)

    @contextmanager
    def walk(self) -> Iterator["Walked"]:
        """Open something to ask that sees one state of the store for as long as it takes (verify.Walkable)."""
        try:
            link = self.server.connect()
            walked = Walked(link)
            try:
                link.patience_s = WALK_ANSWER_S
                link.execute(_SNAPSHOT)
                yield walked
            finally:
                walked.close()
                link.close()
        except psycopg.Error as error:
            raise unavailable(error) from error


class Walked:
    """Answers a walk's statements with cursors of the server, which keep what is not fetched (verify_records.Asked)."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._cursors: list[psycopg.ServerCursor[tuple[Any, ...]]] = []

    def execute(self, sql: str, /) -> "psycopg.ServerCursor[tuple[Any, ...]]":
        """Run a statement without values."""
        cursor = psycopg.ServerCursor(self._link, f"walk{len(self._cursors)}", row_factory=tuple_row)
        self._cursors.append(cursor)
        cursor.itersize = WALK_ROWS_COUNT
        return cursor.execute(sql, binary=True)

    def close(self) -> None:
        """Give the cursors back; those of a connection that was lost are gone with it."""
        for cursor in self._cursors:
            with suppress(psycopg.Error):
                cursor.close()


def open_store(
    url: str, keys: StoreKeys, *, kinds: Iterable[str] = KINDS, insecure_no_flush: bool = False, check: bool = True
) -> PostgresqlStore:
    """Open a store; takes a few connections, whatever its size.

    Args:
        url: Where the database is, without a password (postgresql_connections.read_url).
        keys: Those it was created with.
        kinds: Kinds of record bound to this store; its writer refuses others.
        insecure_no_flush: Do not wait for flushes, and accept a server that does not flush. For `dev` and for proving
            the tests.
        check: Compare root, journal and audit trail; False only for `keystead verify`, which tells more.

    Raises:
        Unavailable: there is no store, it cannot be reached, it was written by a newer version, or the server could
            lose what it acknowledges.
        Tampered: marks or root do not authenticate, or journal or audit trail are cut short.
        Invalid: the address is not acceptable.
    """
    server = Server(url, insecure_no_flush)
    occasions = Occasions(server)
    meta, marks = occasions.ask(_beginning)
    if not meta:
        raise Unavailable("there is no store in this database; run `keystead init` first", "unavailable.store")
    store = PostgresqlStore(server, identify(meta, marks, keys), frozenset(kinds), occasions)
    if check:
        store.check()
    return store


def _beginning(link: Link) -> tuple[dict[str, str], Any]:
    if row(link, "SELECT to_regclass('meta')")[0] is None:
        return {}, None
    return dict(link.execute(META).fetchall()), row(link, MARKS)


def _ends(link: Link) -> tuple[Any, Any, Any]:
    link.execute(_SNAPSHOT)
    try:
        return row(link, ROOT), row(link, NEWEST_ROW), row(link, NEWEST_LEAF)
    finally:
        link.execute("ROLLBACK")
