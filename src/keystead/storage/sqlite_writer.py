"""The writer of an SQLite store: a group of transactions in one BEGIN IMMEDIATE … COMMIT, flushed once.

Laws: chain head and root are read inside the transaction, so that several processes extend one chain; others see a
group once it is flushed.

A group is planned on trust first: what claims to be new is not looked up, as the tables refuse a second one. When they
do, the group is planned again with a look at everything, and each transaction learns its own fate.

Source: design.md sections 4 and 6; performance.md section 8 rule 5.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from keystead.core.changes import Transaction
from keystead.core.errors import KeysteadError, Tampered, Unavailable
from keystead.storage.identity import Identity
from keystead.storage.journal import Root, Row
from keystead.storage.planning import Name, Plan, Stored
from keystead.storage.sqlite_connections import BUSY_S, LOCK_POLL_S, WriterLock, connect, unavailable
from keystead.storage.sqlite_watch import Committed, Watch
from keystead.storage.statements import HOLDER, PUT_ROOT, ROOT, SQLITE, STORED, rows_of
from keystead.storage.store import KIND_COUNTER, Staged, do_nothing

ROWS_BETWEEN_CHECKPOINTS = 16_000
ROWS_WITHOUT_PAUSE_MAX = 60_000  # then the WAL is copied back although somebody may be waiting


class SqliteWriter:
    """Implements store.Writer. One thread at a time.

    Args:
        path: The store's file.
        identity: Of this store; gives its digests, and binds the root to its marks.
        kinds: Kinds of record bound to this store.
        watch: Where readers of this process learn of its commits.
        flush: False = nothing is flushed (`insecure_no_flush`).
    """

    def __init__(self, path: Path, identity: Identity, kinds: frozenset[str], watch: Watch, *, flush: bool) -> None:
        self._seals = identity.seals
        self._marks_mac = identity.marks_mac
        self._watch = watch
        self._kinds = kinds | {KIND_COUNTER}
        self._lock = WriterLock(path)
        self._connection = connect(path, flush=flush)
        self._connection.execute("PRAGMA busy_timeout = 0")  # waiting is done here, in line with other writers
        self._known: tuple[bytes, Root] | None = None
        self._moved: tuple[bytes, Root] | None = None  # by what is written and not committed yet
        self._written: tuple[int, list[tuple[Row, bytes]]] = (0, [])  # journal before it, and what it adds
        self._rows_copied = self._connection.total_changes

    def commit(self, group: Sequence[Transaction]) -> list[KeysteadError | None]:
        """Apply transactions in order in one durable commit (store.Writer.commit)."""
        self._open()
        try:
            staged = self._stage(group)
        except Tampered as error:
            return [error] * len(group)
        staged.finish()
        return staged.outcomes

    def stage(self, group: Sequence[Transaction]) -> Staged | None:
        """Write a group down without flushing it, unless that would have to wait (store.Writer.stage)."""
        if not self._is_open():
            return None
        try:
            return self._stage(group)
        except Tampered as error:
            return Staged([error] * len(group), do_nothing)

    @property
    def is_untidy(self) -> bool:
        """Tell whether `tidy` has something to do (store.Writer.is_untidy)."""
        return self._connection.total_changes - self._rows_copied >= ROWS_BETWEEN_CHECKPOINTS

    def tidy(self) -> None:
        """Copy the WAL back into the file when enough has gathered (store.Writer.tidy)."""
        if self.is_untidy:
            self._copy_back()

    def _copy_back(self) -> None:
        if not self._lock.taken():
            return  # still due when the others are done
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            raise unavailable(error) from error
        finally:
            self._lock.release()
        self._rows_copied = self._connection.total_changes

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()
        self._lock.close()

    def stored(self, name: Name) -> Stored | None:
        """Look a record up for the plan (planning.Lookup)."""
        row = self._connection.execute(STORED, name).fetchone()
        return None if row is None else Stored(*row)

    def holder(self, realm: str, kind: str, handle: str) -> bytes | None:
        """Look the holder of a handle up for the plan (planning.Lookup)."""
        row = self._connection.execute(HOLDER, (realm, kind, handle)).fetchone()
        return None if row is None else bytes(row[0])

    def _stage(self, group: Sequence[Transaction]) -> Staged:
        outcomes: list[KeysteadError | None] = []

        def take(plan: Plan) -> None:
            outcomes[:] = [plan.attempt(transaction) for transaction in group]

        return Staged(outcomes, self._finish if self._write(take) else do_nothing)

    def _open(self) -> None:
        """Take the lock and open a transaction, waiting for others.

        Raises:
            Unavailable: another process has been writing for too long.
        """
        deadline_s = time.monotonic() + BUSY_S
        while not self._is_open():
            if time.monotonic() > deadline_s:
                raise Unavailable("another process has been writing to the store for too long", "unavailable.store")
            time.sleep(LOCK_POLL_S)

    def _is_open(self) -> bool:
        """Take the lock and open a transaction unless somebody else is writing; tells whether it did."""
        if not self._lock.taken():
            return False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._lock.release()
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:  # a program that does not know of the lock
                return False
            raise unavailable(error) from error
        return True

    def _write(self, take: Callable[[Plan], None]) -> bool:
        """In the open transaction, let `take` fill a plan and write its rows; False when there are none.

        With rows, the transaction stays open for `_finish`; without, or when this fails, it is given up.
        """
        is_written = False
        try:
            try:
                is_written = self._planned(take, trusting=True)
            except sqlite3.IntegrityError:
                self._give_up()
                self._open()
                is_written = self._planned(take, trusting=False)
        except sqlite3.Error as error:
            raise unavailable(error) from error
        finally:
            if not is_written:
                self._give_up()
        return is_written

    def _planned(self, take: Callable[[Plan], None], *, trusting: bool) -> bool:
        plan = Plan(self, self._seals, self._root(), self._kinds, trusting=trusting)
        take(plan)
        if not (plan.journal or plan.leaves):
            return False
        sealed = self._seals.seal_root(plan.root.packed(), self._marks_mac)
        for statement, rows in rows_of(plan, SQLITE):
            self._connection.executemany(statement, rows)
        self._connection.execute(PUT_ROOT, (sealed,))
        self._moved = (sealed, plan.root)
        self._written = (plan.root.sequence - len(plan.journal), plan.journal)
        return True

    def _finish(self) -> None:
        """Make durable what `_write` has left open; blocks for as long as the disk takes."""
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise unavailable(error) from error
        else:
            self._known = self._moved
            self._tell()
        finally:
            self._give_up()
        if self._connection.total_changes - self._rows_copied >= ROWS_WITHOUT_PAUSE_MAX:
            with suppress(Unavailable):  # what is committed stays so; what is due stays due
                self._copy_back()

    def _tell(self) -> None:
        """Tell readers of this process what was committed, while the lock keeps everybody else from committing."""
        header = self._watch.version()
        if header is not None:
            since, journal = self._written
            rows = [(row.sequence, row.kind, row.key, row.by.request_id) for row, _ in journal]
            self._watch.committed = Committed(header, since, rows)

    def _give_up(self) -> None:
        """Leave the transaction, if there still is one, and the lock."""
        try:
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
        finally:
            self._lock.release()

    def _root(self) -> Root:
        """Return where the store stands, opening the root row only when another process has moved it."""
        sealed = self._connection.execute(ROOT).fetchone()[0]
        if self._known is None or self._known[0] != sealed:
            self._known = (sealed, Root.unpacked(self._seals.open_root(sealed, self._marks_mac)))
        return self._known[1]
