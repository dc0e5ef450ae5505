"""A store in one SQLite file, opened for serving.

Opening is quick whatever the size: the root is authenticated and compared with the newest journal row and audit leaf;
`keystead verify` walks everything. Schema tools are not needed here (creation.py).

Source: design.md sections 5 to 7; requirements KS-GEN-006.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cbor2

from keystead.core.errors import Tampered, Unavailable
from keystead.core.records import KINDS
from keystead.storage.journal import Root
from keystead.storage.sealed import Seals
from keystead.storage.sqlite_connections import connect, unavailable
from keystead.storage.sqlite_reader import SqliteReader
from keystead.storage.sqlite_writer import SqliteWriter
from keystead.storage.store import Anchor, StoreKeys

FORMAT = 1

_NEWEST_ROW = "SELECT sequence, chain FROM journal ORDER BY sequence DESC LIMIT 1"
_NEWEST_LEAF = "SELECT sequence, digest FROM audit ORDER BY sequence DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Options:
    """How a store was opened; see `open_store`."""

    kinds: frozenset[str]
    insecure_no_flush: bool


class SqliteStore:
    """Implements store.Store; made by `open_store`."""

    def __init__(self, path: Path, seals: Seals, marks: dict[str, str], options: Options) -> None:
        self.path = path
        self._marks = marks
        self._options = options
        self.seals = seals
        self.marks_mac = seals.marks_mac(cbor2.dumps(marks, canonical=True))

    def reader(self, *, watching: bool = False) -> SqliteReader:
        """Open a reader for the calling thread (store.Store.reader)."""
        return SqliteReader(self.path, self.seals, watching=watching)

    def writer(self) -> SqliteWriter:
        """Open the writer (store.Store.writer)."""
        flush = not self._options.insecure_no_flush
        return SqliteWriter(self.path, self.seals, self.marks_mac, self._options.kinds, flush=flush)

    def mark(self, name: str) -> str | None:
        """Return a permanent mark (store.Store.mark)."""
        return str(FORMAT) if name == "format" else self._marks.get(name)

    def anchor(self) -> Anchor:
        """Return where the store stands (store.Store.anchor)."""
        with self.connection() as connection:
            root = self.read_root(connection)
        return Anchor(self.seals.store_id, root.sequence, root.head, root.audit_sequence, root.audit_head, root.at_us)

    def check(self) -> None:
        """Compare the root with the ends of journal and audit trail; constant time.

        Raises:
            Tampered: the root does not authenticate, or the trails do not end where it says.
        """
        with self.connection() as connection:
            connection.execute("BEGIN")
            root = self.read_root(connection)
            row = connection.execute(_NEWEST_ROW).fetchone()
            leaf = connection.execute(_NEWEST_LEAF).fetchone()
        first = Root.first(self.seals, self.marks_mac)
        if (row or (0, first.head)) != (root.sequence, root.head):
            raise Tampered("the journal does not end where the store's root says; run `keystead verify`")
        if (leaf or (0, first.audit_head)) != (root.audit_sequence, root.audit_head):
            raise Tampered("the audit trail does not end where the store's root says; run `keystead verify`")

    def read_root(self, connection: sqlite3.Connection) -> Root:
        """Return the store's root as it stands in the connection's transaction.

        Raises:
            Tampered: it does not authenticate.
        """
        row = connection.execute("SELECT sealed FROM root WHERE id = 1").fetchone()
        return Root.unpacked(self.seals.open_root(row[0] if row else b"", self.marks_mac))

    def connection(self) -> AbstractContextManager[sqlite3.Connection]:
        """Open a connection for reading and close it afterwards. Raises Unavailable when SQLite fails."""
        return _opened(self.path)


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
        path: Made by `creation.create_store`.
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
        meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        row = connection.execute("SELECT marks, mac FROM marks WHERE id = 1").fetchone()
    if int(meta.get("min_reader", 0)) > FORMAT or int(meta.get("min_writer", 0)) > FORMAT:
        raise Unavailable("the store was written by a newer version; upgrade this node", "unavailable.store")
    try:
        seals = Seals(keys, bytes.fromhex(meta["store_id"]))
    except (KeyError, ValueError):
        raise Tampered("the store has lost its id; restore it from a backup") from None
    if row is None or not seals.same(seals.marks_mac(row[0]), row[1]):
        raise Tampered("the store's marks do not authenticate: changed, or another node's store")
    store = SqliteStore(path, seals, cbor2.loads(row[0]), Options(frozenset(kinds), insecure_no_flush))
    if check:
        store.check()
    return store
