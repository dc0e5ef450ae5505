"""Planning: turns a group of transactions into the rows to write, the same way for every engine.

A writer opens its transaction, lets a Plan look at what is stored, and writes the plan's rows at the end. Each
transaction of the group sees the ones before it; one that fails leaves nothing behind, which does the work of a
savepoint without its statements, and lets all rows of a table be written at once.

Laws: a record is replaced only by the revision that follows it; a handle names one record per realm and kind; what is
replaced is authenticated first, since the root is moved by taking it out.

Source: design.md section 6 ("transaction"); cluster.md section 3.
"""

import logging
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from cbor2 import CBOREncodeError

from keystead.core.changes import Put, Transaction
from keystead.core.errors import Conflict, Exists, Internal, KeysteadError
from keystead.core.records import ManagedObject, MaterialReference, Record
from keystead.storage import attribute_index, journal
from keystead.storage.attribute_index import NO_ROWS, IndexRows
from keystead.storage.documents import decode, encode, kind_of
from keystead.storage.journal import ROOT_MODULUS, Origin, Root, Row
from keystead.storage.sealed import Seals, key_of, text_of

REQUEST_ID_BYTES = 16

log = logging.getLogger("keystead.storage")

Name = tuple[str, bytes]
"""Kind and id as stored."""

Handle = tuple[str, str, str]
"""Realm, kind and handle; names at most one record."""


class Stored(NamedTuple):
    """A record as it stands in the store, or as this group will leave it."""

    revision: int
    document: bytes
    mac: bytes
    realm: str
    handle: str
    at_us: int
    next_us: int | None
    sealed: bytes | None


class Lookup(Protocol):
    """What a plan asks of the store, inside the writer's transaction."""

    def stored(self, name: Name) -> Stored | None:
        """Return a record's row."""

    def holder(self, realm: str, kind: str, handle: str) -> bytes | None:
        """Return the id, as stored, of the record that holds a handle."""


class _Draft:
    """What one transaction wants; forgotten when it fails."""

    def __init__(self) -> None:
        self.records: dict[Name, Stored | None] = {}
        self.new: set[Name] = set()
        self.handles: dict[Handle, bytes | None] = {}
        self.freed: set[Handle] = set()
        self.index: dict[bytes, tuple[IndexRows, IndexRows]] = {}
        self.entries: list[tuple[Origin, int, Name, Stored]] = []
        self.total = 0
        self.count = 0


class Plan:
    """The rows of one group.

    Args:
        lookup: Reads of the open transaction.
        seals: Digests of this store.
        root: Where the store stands now.
        kinds: Kinds of record that are bound to this store.
        trusting: Do not look up what claims to be new, nor whether its handle is free; the tables refuse a second one.

    Attributes:
        root: Where the store will stand.
        new: Names of records that the store does not have yet.
        records: Every record touched, as it will stand; None = removed.
        freed: Handles that were given up; rows that hold one must go before new rows come, since another record may
            have taken it within the group.
        index: Per object, the rows it had and the rows it will have.
        journal: New journal rows with their chain values.
        leaves: (sequence, request id, leaf, digest) of new audit leaves.
    """

    def __init__(
        self, lookup: Lookup, seals: Seals, root: Root, kinds: frozenset[str], *, trusting: bool = False
    ) -> None:
        self._lookup = lookup
        self._seals = seals
        self._kinds = kinds
        self._trusting = trusting
        self._handles: dict[Handle, bytes | None] = {}
        self.root = root.copied()
        self.records: dict[Name, Stored | None] = {}
        self.new: set[Name] = set()
        self.freed: set[Handle] = set()
        self.index: dict[bytes, tuple[IndexRows, IndexRows]] = {}
        self.journal: list[tuple[Row, bytes]] = []
        self.leaves: list[tuple[int, bytes, bytes, bytes]] = []

    def attempt(self, transaction: Transaction) -> KeysteadError | None:
        """Take a transaction into the plan, or return the error that keeps it out.

        Args:
            transaction: Applied completely or not at all.
        """
        draft = _Draft()
        try:
            if len(transaction.request_id) != REQUEST_ID_BYTES:
                raise Internal("a request id has 16 bytes")
            who = (transaction.at_us, transaction.request_id, transaction.principal, transaction.origin)
            for operation, change in transaction.steps:
                by = Origin(*who, operation)
                for put in change.puts:
                    self._put(draft, by, put)
                for kind, record_id, revision in change.purges:
                    self._purge(draft, by, (kind, _key(kind, record_id)), revision)
        except KeysteadError as error:
            return error
        except (ValueError, TypeError, OverflowError, CBOREncodeError):
            # One transaction that cannot be written down must not take its neighbours with it.
            log.exception("request %s cannot be stored", transaction.request_id.hex())
            return Internal("a record holds what cannot be stored; the system log has details under the request id")
        self._take(draft, transaction)
        return None

    def current(self, name: Name) -> Stored | None:
        """Return a record as the transactions taken so far leave it.

        Raises:
            Tampered: what is stored does not authenticate.
        """
        return self._current(_Draft(), name)

    def _put(self, draft: _Draft, by: Origin, put: Put) -> None:
        record = put.record
        kind = kind_of(record)
        if kind not in self._kinds:
            raise Internal(f"records of kind {kind} are not kept in this store")
        name = (kind, _key(kind, record.id))
        before = self._current(draft, name, is_trusted=record.revision == 0 and self._trusting)
        if record.revision != (before.revision if before is not None else 0):
            if record.revision == 0:
                raise Exists("the identifier is taken; use another one")
            raise Conflict("somebody else changed the record first; read it again and repeat")
        self._claim_handle(draft, name, record, before)
        known = None if before is None else decode(kind, record.id, before.revision, before.document)
        sealed = _sealed_with(put, before, known)
        revision = record.revision + 1
        document = encode(record)
        mac = self._seals.record_mac(kind, name[1], revision, document)
        next_us = None
        if isinstance(record, ManagedObject):
            rows = attribute_index.rows_of(record, name[1], by.at_us)
            next_us = attribute_index.next_us_of(rows)
            self._index(draft, name[1], _rows_before(name[1], known, before), rows)
        after = _tuple(Stored, (revision, document, mac, record.realm, record.handle, by.at_us, next_us, sealed))
        draft.entries.append((by, journal.PUT, name, after))
        self._move(draft, name, before, after)

    def _purge(self, draft: _Draft, by: Origin, name: Name, revision: int) -> None:
        before = self._current(draft, name)
        if before is None or before.revision != revision:
            raise Conflict("somebody else changed the record first; read it again and repeat")
        known = decode(name[0], text_of(*name), revision, before.document)
        _free_handle(draft, name, before)
        if isinstance(known, ManagedObject):
            self._index(draft, name[1], _rows_before(name[1], known, before), NO_ROWS)
        draft.entries.append((by, journal.PURGE, name, before._replace(document=b"")))
        self._move(draft, name, before, None)

    def _current(self, draft: _Draft, name: Name, *, is_trusted: bool = False) -> Stored | None:
        if name in draft.records:
            return draft.records[name]
        if name in self.records:
            return self.records[name]
        if is_trusted:
            return None
        stored = self._lookup.stored(name)
        if stored is not None:
            self._seals.check_record(*name, stored.revision, stored.document, stored.mac)
        return stored

    def _claim_handle(self, draft: _Draft, name: Name, record: ManagedObject | Record, before: Stored | None) -> None:
        if before is not None and (before.realm, before.handle) == (record.realm, record.handle):
            return
        handle: Handle = (record.realm, name[0], record.handle)
        if handle in draft.handles:
            holder = draft.handles[handle]
        elif handle in self._handles:
            holder = self._handles[handle]
        elif before is None and self._trusting:
            holder = None
        else:
            holder = self._lookup.holder(*handle)
        if holder is not None:
            raise Exists("the name is taken; use another one")
        draft.handles[handle] = name[1]
        if before is not None:
            _free_handle(draft, name, before)

    def _index(self, draft: _Draft, key: bytes, old: IndexRows, new: IndexRows) -> None:
        planned = draft.index.get(key) or self.index.get(key)
        draft.index[key] = (planned[0] if planned else old, new)

    def _move(self, draft: _Draft, name: Name, before: Stored | None, after: Stored | None) -> None:
        draft.records[name] = after
        draft.count += (after is not None) - (before is not None)
        if before is None:
            draft.new.add(name)
        else:
            draft.total -= self._seals.root_term(*name, before.revision, before.mac)
        if after is not None:
            draft.total += self._seals.root_term(*name, after.revision, after.mac)

    def _take(self, draft: _Draft, transaction: Transaction) -> None:
        self.records.update(draft.records)
        self.new |= draft.new
        self._handles.update(draft.handles)
        self.freed |= draft.freed
        self.index.update(draft.index)
        root, seals = self.root, self._seals
        for by, action, name, state in draft.entries:
            root.sequence += 1
            kind, key = name
            row = _tuple(Row, (root.sequence, by, action, kind, key, state.revision, state.document, state.mac))
            root.head = seals.chain(root.head, journal.row_bytes(row))
            self.journal.append((row, root.head))
        for leaf in journal.leaves_of(transaction, root.audit_sequence):
            encoded = journal.leaf_bytes(leaf)
            root.audit_sequence += 1
            root.audit_head = seals.leaf(root.audit_head, encoded)
            self.leaves.append((root.audit_sequence, transaction.request_id, encoded, root.audit_head))
        root.total = (root.total + draft.total) % ROOT_MODULUS
        root.record_count += draft.count
        root.at_us = max(root.at_us, transaction.at_us)


_tuple: Callable[..., Any] = tuple.__new__  # makes a named tuple without a frame of its own


def _key(kind: str, record_id: str) -> bytes:
    key = key_of(kind, record_id)
    if not key:
        raise Internal("a managed object's id is a UUID in lower case, another record's is not empty")
    return key


def _free_handle(draft: _Draft, name: Name, before: Stored) -> None:
    handle = (before.realm, name[0], before.handle)
    draft.handles[handle] = None
    draft.freed.add(handle)


def _rows_before(key: bytes, known: ManagedObject | Record | None, before: Stored | None) -> IndexRows:
    if before is None or not isinstance(known, ManagedObject):
        return NO_ROWS
    return attribute_index.rows_of(known, key, before.at_us)


def _sealed_with(put: Put, before: Stored | None, known: ManagedObject | Record | None) -> bytes | None:
    """Return the sealed material to store with a record, after holding it and the record's reference together."""
    named, material = put.record.material, put.material
    if put.erase_material:
        if named is not None or material is not None:
            raise Internal("a record whose material is erased names none")
        return None
    if material is None:
        if named != (known.material if known else None):
            raise Internal("a record keeps the material it has, or brings another with it")
        return before.sealed if before else None
    described = MaterialReference(material.id, material.version, sha256(material.sealed).digest())
    if named != described:
        raise Internal("a record names the material that is stored with it")
    return material.sealed
