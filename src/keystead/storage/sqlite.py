"""A store in one SQLite file, opened for serving.

Opening is quick whatever the size: the root is authenticated and compared with the newest journal row and audit leaf;
`keystead verify` walks everything. Schema tools are not needed here (sqlite_creation.py).

Source: design.md sections 5 to 7; requirements KS-GEN-006.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from keystead.core.errors import Unavailable
from keystead.core.records import KINDS
from keystead.storage.identity import Identity, identify
from keystead.storage.journal import Root
from keystead.storage.sqlite_connections import connect, unavailable
from keystead.storage.sqlite_reader import SqliteReader
from keystead.storage.sqlite_watch import Watch
from keystead.storage.sqlite_writer import SqliteWriter
from keystead.storage.statements import CHAIN_AT, MARKS, META, NEWEST_LEAF, NEWEST_ROW, ROOT, SQLITE
from keystead.storage.store import Anchor, StoreKeys


@dataclass(frozen=True, slots=True)
class Options:
    """How a store was opened; see `open_store`."""

    kinds: frozenset[str]
    insecure_no_flush: bool


class SqliteStore:
    """Implements store.Store; made by `open_store`."""

    statements = SQLITE

    def __init__(self, path: Path, identity: Identity, options: Options) -> None:
        self.path = path
        self.identity = identity
        self._options = options
        self.seals = identity.seals
        self._watch = Watch()

    def reader(self, *, watching: bool = False) -> SqliteReader:
        """Open a reader for the calling thread (store.Store.reader)."""
        return SqliteReader(self.path, self.seals, self._watch if watching else None)

    def writer(self) -> SqliteWriter:
        """Open the writer (store.Store.writer)."""
        flush = not self._options.insecure_no_flush
        return SqliteWriter(self.path, self.identity, self._options.kinds, self._watch, flush=flush)

    def mark(self, name: str) -> str | None:
        """Return a permanent mark (store.Store.mark)."""
        return self.identity.mark(name)

    def anchor(self) -> Anchor:
        """Return where the store stands (store.Store.anchor)."""
        with self.connection() as connection:
            return self.identity.anchor(self.read_root(connection))

    def chain_at(self, sequence: int) -> bytes | None:
        """Return the chain value of a journal row (store.Store.chain_at)."""
        with self.connection() as connection:
            row = connection.execute(CHAIN_AT, (sequence,)).fetchone()
        return None if row is None else bytes(row[0])

    def check(self) -> None:
        """Compare the root with the ends of journal and audit trail; constant time.

        Raises:
            Tampered: the root does not authenticate, or the trails do not end where it says.
        """
        with self.connection() as connection:
            connection.execute("BEGIN")
            root = self.read_root(connection)
            row = connection.execute(NEWEST_ROW).fetchone()
            leaf = connection.execute(NEWEST_LEAF).fetchone()
        self.identity.check(root, row, leaf)

    def read_root(self, connection: sqlite3.Connection) -> Root:
        """Return the store's root as it stands in the connection's transaction.

        Raises:
            Tampered: it does not authenticate.
        """
        return self.identity.root(connection.execute(ROOT).fetchone())

    def connection(self) -> AbstractContextManager[sqlite3.Connection]:
        """Open a connection for reading and close it afterwards. Raises Unavailable when SQLite fails."""
        return _opened(self.path)

    @contextmanager
    def walk(self) -> Iterator[sqlite3.Connection]:
        """Open a connection that sees one state of the store for as long as it takes (verify.Walkable)."""
        with self.connection() as connection:
            connection.execute("PRAGMA temp_store = FILE")  # sorting a large store must not fill the memory
            connection.execute("BEGIN")
            yield connection


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection for reading and close it afterwards. Raises Unavailable when SQLite fails."""
    try:
        with closing(connect(path, read_only=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise unavailable(error) from error


def open_store(
    path: Path,
    keys: StoreKeys,
    *,
    kinds: Iterable[str] = KINDS,
    insecure_no_flush: bool = False,
    check: bool = True,
) -> SqliteStore:
    """Open a store; takes about a millisecond, whatever its size.

    Args:
        path: Made by `sqlite_creation.create_store`.
        keys: Those it was created with.
        kinds: Kinds of record bound to this store; its writer refuses others.
        insecure_no_flush: Do not flush: commits are lost with the power. For `dev` and for proving the tests.
        check: Compare root, journal and audit trail; False only for `keystead verify`, which tells more.

    Raises:
        Unavailable: there is no store, or it was written by a newer version.
        Tampered: marks or root do not authenticate, or journal or audit trail are cut short.
    """
    if not path.is_file():
        raise Unavailable("there is no store; run `keystead init` first", "unavailable.store")
    with _opened(path) as connection:
        identity = identify(dict(connection.execute(META).fetchall()), connection.execute(MARKS).fetchone(), keys)
    store = SqliteStore(path, identity, Options(frozenset(kinds), insecure_no_flush))
    if check:
        store.check()
    return store
