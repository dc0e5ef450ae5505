"""The writer of a PostgreSQL store: a group of transactions in one transaction, durable when it returns.

Laws: every transaction begins by locking the root row, so that all writers, in however many processes and on however
many machines, extend one chain; in the same statement the server says that it flushes. Nothing is acknowledged that the
server has not, and what it left open is settled by looking, never guessed.

When a connection ends after COMMIT was sent, the group may be stored or not. The next transaction then locks the root,
which waits until the server has ended the one before it, and looks for the very rows that were sent: sequence and chain
value cover the request ids and everything else. Found, the group is stored; not found, it never will be, and is written
anew. That transaction is committed too: where commits wait for a standby, its own commit says that the one before has
arrived as well.

Source: cluster.md section 3 rules 1, 2 and 4; design.md sections 4 and 6; docs/adr/0015-postgresql-store.md.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg.errors import Diagnostic, UniqueViolation

from keystead.core.changes import Put, Transaction
from keystead.core.errors import Invalid, KeysteadError, Tampered, Unavailable
from keystead.core.records import ManagedObject, Record
from keystead.storage.documents import kind_of
from keystead.storage.identity import Identity
from keystead.storage.journal import Root
from keystead.storage.planning import Name, Plan, Stored
from keystead.storage.postgresql_connections import (
    DURABILITY,
    PASSING,
    STALLED_S,
    Link,
    Server,
    check_durable,
    row,
    spelt,
    unavailable,
)
from keystead.storage.postgresql_watch import CHANNEL, Own, position_of
from keystead.storage.sealed import key_of
from keystead.storage.statements import HOLDER, POSTGRESQL, PUT_ROOT, STORED, STORED_COLUMNS, rows_of
from keystead.storage.store import KIND_COUNTER, Staged

SETTLE_S = 12.0  # how long a group is tried, and an open outcome looked for, before the store counts as unavailable
SEE_OFF_S = 1.0
REST_S = 0.02
KEY_BYTES_MAX = 2000  # realm, kind and handle or id together: a row of an index has to fit into a third of a page

_LOCK = f"SELECT sealed, {DURABILITY} FROM root WHERE id = 1 FOR UPDATE"  # noqa: S608 - constants
_NAMED = ", ".join(f"records.{column}" for column in STORED_COLUMNS.split(", "))
_STORED_ALL = (
    f"SELECT records.kind, records.id, {_NAMED} FROM unnest(?::text[], ?::bytea[]) AS wanted (kind, id)"  # noqa: S608 - constants
    " JOIN records ON records.kind = wanted.kind AND records.id = wanted.id"
)
_ANNOUNCE = f"SELECT pg_notify('{CHANNEL}', ?)"
_ROW_THERE = "SELECT 1 FROM journal WHERE sequence = ? AND chain = ?"
_LEAF_THERE = "SELECT 1 FROM audit WHERE sequence = ? AND digest = ?"
_SESSION = (
    f"SET idle_in_transaction_session_timeout = '{STALLED_S}s'; SET tcp_keepalives_idle = 5;"
    " SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3"
)
_SELF = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
# Whoever waits for its client here waits for one that is gone; one that is committing does not, and is left alone.
_END = (
    "SELECT CASE WHEN wait_event = 'ClientRead' THEN pg_terminate_backend(pid) END FROM pg_stat_activity"
    " WHERE pid = ? AND backend_start = ?"
)
_DOUBT = "01000"  # a warning at COMMIT: the wait for a standby was cancelled


class PostgresqlWriter:
    """Implements store.Writer. One thread at a time.

    Args:
        server: Where the store is.
        identity: Which store it is.
        kinds: Kinds of record bound to this store.
        own: Told of every commit.

    Raises:
        Unavailable, Invalid: the server cannot be reached, or may not be used.
    """

    def __init__(self, server: Server, identity: Identity, kinds: frozenset[str], own: Own) -> None:
        self._server = server
        self._identity = identity
        self._kinds = kinds | {KIND_COUNTER}
        self._own = own
        self._known: tuple[bytes, Root] | None = None
        self._looked_up: dict[Name, Stored | None] = {}
        self._open: Plan | None = None  # sent with COMMIT, and nobody knows what became of it
        self._is_doubtful = False
        self._backend: tuple[int, Any] | None = None
        try:
            self._link = self._connected()
        except psycopg.Error as error:
            raise unavailable(error) from error

    def commit(self, group: Sequence[Transaction]) -> list[KeysteadError | None]:
        """Apply transactions in order in one durable commit (store.Writer.commit)."""
        outcomes: list[KeysteadError | None] = [_unfit(transaction) for transaction in group]
        fit = [number for number, refusal in enumerate(outcomes) if refusal is None]

        def take(plan: Plan) -> None:
            for number in fit:
                outcomes[number] = plan.attempt(group[number])

        try:
            self._write(take, [group[number] for number in fit])
        except Tampered as error:
            return [error] * len(group)
        return outcomes

    def stage(self, group: Sequence[Transaction]) -> Staged | None:  # noqa: ARG002  # of the contract
        """Return None: every statement would have to wait for the network (store.Writer.stage)."""
        return None

    @property
    def is_untidy(self) -> bool:
        """Tell whether `tidy` has something to do: the server keeps itself tidy."""
        return False

    def tidy(self) -> None:
        """Do nothing (store.Writer.tidy)."""

    def close(self) -> None:
        """Give the connection back."""
        self._link.close()

    def stored(self, name: Name) -> Stored | None:
        """Look a record up for the plan (planning.Lookup)."""
        if name in self._looked_up:
            return self._looked_up[name]
        found = row(self._link, STORED, name)
        return None if found is None else Stored(*found)

    def holder(self, realm: str, kind: str, handle: str) -> bytes | None:
        """Look the holder of a handle up for the plan (planning.Lookup)."""
        found = row(self._link, HOLDER, (realm, kind, handle))
        return None if found is None else bytes(found[0])

    def _write(self, take: Callable[[Plan], None], group: Sequence[Transaction]) -> None:
        """Let `take` fill a plan and store its rows, over again until its fate is known.

        Raises:
            Unavailable: it cannot be known in time, or the server refuses. Tampered, and what `take` raises.
        """
        ends_s = time.monotonic() + SETTLE_S
        try:
            while True:
                try:
                    if self._link.closed:
                        self._link = self._connected()
                    if not self._is_stored():
                        self._attempt(take, group)
                    return
                except PASSING as error:
                    self._link.close()
                    if time.monotonic() > ends_s:
                        raise unavailable(error) from error
                time.sleep(REST_S)
        except BaseException as error:
            self._link.close()  # the server gives up what was not committed
            if isinstance(error, psycopg.Error):
                raise unavailable(error) from error
            if isinstance(error, Tampered) and self._open is not None:
                raise Unavailable(error.message, "unavailable.store") from error  # it may be stored all the same
            raise
        finally:
            self._open = None
            self._looked_up = {}

    def _connected(self) -> Link:
        link = self._server.connect()
        try:
            link.add_notice_handler(self._noticed)
            link.execute(_SESSION)
            self._see_off(link)
            self._backend = row(link, _SELF)
        except BaseException:
            link.close()
            raise
        return link

    def _see_off(self, link: Link) -> None:
        """Give the server a moment to end the connection before: what it holds would be waited for."""
        ends_s = time.monotonic() + SEE_OFF_S
        while self._backend is not None and time.monotonic() < ends_s:
            if row(link, _END, self._backend) is None:
                return
            time.sleep(REST_S)

    def _noticed(self, notice: Diagnostic) -> None:
        self._is_doubtful = self._is_doubtful or notice.sqlstate == _DOUBT

    def _attempt(self, take: Callable[[Plan], None], group: Sequence[Transaction]) -> None:
        """Plan and write once; leaves a transaction open only when it raises."""
        for is_trusting in (True, False):
            self._begin(_names(group, is_trusting=is_trusting))
            plan = Plan(self, self._identity.seals, self._root(), self._kinds, trusting=is_trusting)
            take(plan)
            if not (plan.journal or plan.leaves):
                self._link.execute("ROLLBACK")
                return
            try:
                self._send(plan)
                return
            except UniqueViolation:  # what claims to be new is not
                self._open = None
                if not is_trusting:
                    raise
                self._link.execute("ROLLBACK")

    def _begin(self, names: tuple[list[str], list[bytes]]) -> None:
        """Open a transaction, lock the root, and look up what the group replaces: one way there and back."""
        link = self._link
        self._is_doubtful = False
        with link.pipeline():
            link.execute("BEGIN")
            locked = link.execute(_LOCK, prepare=True, binary=True)
            found = link.execute(spelt(_STORED_ALL), names, prepare=True, binary=True) if names[0] else None
        answer = locked.fetchone()
        if answer is None:
            raise Tampered("the store's root is missing; restore the store from a backup")
        self._sealed = answer[0]
        if not self._server.insecure_no_flush:
            check_durable(*answer[1:])
        self._looked_up = dict.fromkeys(zip(*names, strict=True)) if found is not None else {}
        for kind, key, *cells in found or ():
            self._looked_up[kind, key] = Stored(*cells)

    def _root(self) -> Root:
        """Return where the store stands, opening the root row only when another writer has moved it."""
        sealed = self._sealed
        if self._known is None or self._known[0] != sealed:
            self._known = (sealed, self._identity.root((sealed,)))
        return self._known[1]

    def _send(self, plan: Plan) -> None:
        """Write a plan's rows and commit them: one way there and back.

        Raises:
            psycopg.OperationalError: nobody knows whether they are stored; `_open` holds the plan.
        """
        link = self._link
        sealed = self._identity.seals.seal_root(plan.root.packed(), self._identity.marks_mac)
        self._open = plan
        with link.pipeline(), link.cursor() as cursor:
            for statement, written in rows_of(plan, POSTGRESQL):
                for cells in written:
                    cursor.execute(spelt(statement), cells, prepare=True)
            cursor.execute(spelt(PUT_ROOT), (sealed,), prepare=True)
            cursor.execute(spelt(_ANNOUNCE), (str(position_of(plan.root)),), prepare=True)
            committed = link.execute("COMMIT")
        self._check_committed(committed.statusmessage)
        self._open = None
        self._known = (sealed, plan.root)
        self._own.moved(plan.root)

    def _check_committed(self, said: str | None) -> None:
        if said != "COMMIT" or self._is_doubtful:
            raise psycopg.OperationalError(f"the server does not vouch for what it answers to COMMIT: {said}")

    def _is_stored(self) -> bool:
        """Tell whether the plan whose fate is open was stored, once the server has decided; False when none is open."""
        plan = self._open
        if plan is None:
            return False
        root = plan.root
        self._begin(([], []))
        if plan.journal:
            found = row(self._link, _ROW_THERE, (root.sequence, root.head))
        else:
            found = row(self._link, _LEAF_THERE, (root.audit_sequence, root.audit_head))
        self._check_committed(self._link.execute("COMMIT").statusmessage)
        self._open = None
        if found is None:
            return False
        self._own.moved(root)
        return True


def _names(group: Sequence[Transaction], *, is_trusting: bool) -> tuple[list[str], list[bytes]]:
    """Return kinds and ids, as stored, of the records that a group replaces or removes."""
    names = dict.fromkeys(name for transaction in group for name in _touched(transaction, is_trusting=is_trusting))
    return [kind for kind, _ in names], [key for _, key in names]


def _touched(transaction: Transaction, *, is_trusting: bool) -> Iterator[Name]:
    for _, change in transaction.steps:
        for put in change.puts:
            if put.record.revision or not is_trusting:
                yield from _name(kind_of(put.record), put.record.id)
        for kind, record_id, _ in change.purges:
            yield from _name(kind, record_id)


def _name(kind: str, record_id: str) -> Iterator[Name]:
    key = key_of(kind, record_id)
    if key:
        yield kind, key


def _unfit(transaction: Transaction) -> Invalid | None:
    """Return why a transaction cannot stand in a PostgreSQL table, None when it can."""
    texts = [transaction.principal, transaction.origin]
    for operation, change in transaction.steps:
        texts.append(operation)
        for put in change.puts:
            names = _names_of(put)
            if sum(len(each.encode(errors="replace")) for each in names) > KEY_BYTES_MAX:
                return Invalid("the name is too long; choose a shorter one", "invalid.field")
            texts += names
    if any("\0" in each for each in texts):
        return Invalid("a name holds a character with the number 0; leave it out", "invalid.field")
    return None


def _names_of(put: Put) -> tuple[str, ...]:
    record: ManagedObject | Record = put.record
    return record.realm, kind_of(record), record.handle, "" if isinstance(record, ManagedObject) else record.id
