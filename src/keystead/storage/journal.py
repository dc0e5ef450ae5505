"""The journal: every change as one row under a keyed chain, a root over all live records, and audit leaves beside it.

Laws: chain_n = HMAC(chain key, chain_{n-1} | row_n), from the first row on; the root is the sum modulo 2^256 of
HMAC(term key, kind | id | revision | mac) over every live record, so that a change moves it in constant time; sequence
numbers have no gaps. The encodings here belong to format 1 and never change; docs/adr/0010 gives them byte by byte.

Everything here is a function of its arguments.

Source: design.md law 6, sections 6 ("rollback") and 7; RFC 9162 section 2.1 (leaves of an audit tree).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import cbor2

from keystead.core.changes import Change, Transaction
from keystead.storage.documents import kind_of
from keystead.storage.sealed import DIGEST_BYTES, Seals

_tuple: Callable[..., Any] = tuple.__new__  # makes a named tuple without a frame of its own

ROOT_MODULUS = 1 << 256
LEAF_FORMAT = 1
TARGETS_NAMED_COUNT_MAX = 8
DETAIL_CHARACTERS_MAX = 2000

_ROOT = struct.Struct(f">B{DIGEST_BYTES}sQ{DIGEST_BYTES}sQ{DIGEST_BYTES}sQQ")
_ROOT_FORMAT = 1
_ROW_HEAD = struct.Struct(">QQQBHHHHHHHI")  # sequence, at, revision, action; lengths of the eight parts


PUT, PURGE = 1, 2
"""What a journal row did to its record. Plain numbers: the driver takes ten times as long to bind an enumeration."""


class Origin(NamedTuple):
    """Who wrote a journal row, from where, by which operation, when."""

    at_us: int
    request_id: bytes
    principal: str
    origin: str
    operation: str


class Row(NamedTuple):
    """One row of the journal, without its chain value.

    Attributes:
        key: Id as stored (`sealed.key_of`).
        revision: As stored by this row; of a purge, the one that was removed.
        document: As stored; empty for a purge.
        mac: MAC of the record as stored; of a purge, of the one that was removed.
    """

    sequence: int
    by: Origin
    action: int
    kind: str
    key: bytes
    revision: int
    document: bytes
    mac: bytes


def row_bytes(row: Row) -> bytes:
    """Return what the chain covers: fixed numbers and lengths first, then the parts."""
    by = row.by
    principal, origin, operation, kind = (
        by.principal.encode(),
        by.origin.encode(),
        by.operation.encode(),
        row.kind.encode(),
    )
    parts = (by.request_id, principal, origin, operation, kind, row.key, row.mac, row.document)
    return _ROW_HEAD.pack(row.sequence, by.at_us, row.revision, row.action, *map(len, parts)) + b"".join(parts)


@dataclass(slots=True)
class Root:
    """Where a store stands after a commit; kept sealed in one row, moved by every change.

    Attributes:
        total: Sum of the terms of all live records, modulo 2^256.
        sequence: Of the newest journal row, 0 = none.
        head: Chain value of that row.
        audit_sequence: Of the newest audit leaf, 0 = none.
        audit_head: Digest of that leaf.
        record_count: Live records.
        at_us: Latest moment of any commit, UTC microseconds.
    """

    total: int
    sequence: int
    head: bytes
    audit_sequence: int
    audit_head: bytes
    record_count: int
    at_us: int

    def copied(self) -> "Root":
        """Return another one that stands where this one does."""
        return Root(
            *(self.total, self.sequence, self.head, self.audit_sequence, self.audit_head),
            *(self.record_count, self.at_us),
        )

    def packed(self) -> bytes:
        """Return the form that is sealed."""
        return _ROOT.pack(
            _ROOT_FORMAT,
            self.total.to_bytes(DIGEST_BYTES, "big"),
            *(self.sequence, self.head),
            *(self.audit_sequence, self.audit_head),
            *(self.record_count, self.at_us),
        )

    @classmethod
    def unpacked(cls, packed: bytes) -> "Root":
        """Return what `packed` was made from; the bytes have been authenticated."""
        _, total, sequence, head, audit_sequence, audit_head, count, at_us = _ROOT.unpack(packed)
        return cls(int.from_bytes(total, "big"), sequence, head, audit_sequence, audit_head, count, at_us)

    @classmethod
    def first(cls, seals: Seals, marks_mac: bytes) -> "Root":
        """Return the root of an empty store."""
        return cls(0, 0, seals.first_chain(marks_mac), 0, seals.first_leaf(marks_mac), 0, 0)


class Leaf(NamedTuple):
    """One entry of the audit trail.

    Attributes:
        target: "kind:id" of what it was done to, several separated by a space, "-" for nothing.
        outcome: "done", "refused", or "pending" for a request that waits for approvals.
        detail: What changed, or why it was refused.
    """

    sequence: int
    at_us: int
    request_id: bytes
    principal: str
    origin: str
    operation: str
    target: str
    outcome: str
    detail: str


def leaf_bytes(leaf: Leaf) -> bytes:
    """Return a leaf as stored: canonical CBOR array, format number first."""
    return cbor2.dumps([LEAF_FORMAT, *leaf], canonical=True)


def leaf_of(stored: bytes) -> Leaf:
    """Return the leaf of bytes that have been authenticated."""
    return Leaf(*cbor2.loads(stored)[1:])


def leaves_of(transaction: Transaction, after_sequence: int) -> list[Leaf]:
    """Return the audit leaves of a transaction: one per step and per refusal, numbered from `after_sequence` + 1."""
    at_us, request_id, origin = transaction.at_us, transaction.request_id, transaction.origin
    by = (at_us, request_id, transaction.principal, origin)
    leaves: list[Leaf] = []
    sequence = after_sequence
    for operation, change in transaction.steps:
        sequence += 1
        detail = change.detail[:DETAIL_CHARACTERS_MAX]
        who = (at_us, request_id, change.person, origin) if change.person else by
        leaves.append(_tuple(Leaf, (sequence, *who, operation, targets_of(change), change.outcome, detail)))
    for operation, target, reason in transaction.refusals:
        sequence += 1
        leaves.append(Leaf(sequence, *by, operation, target, "refused", reason[:DETAIL_CHARACTERS_MAX]))
    return leaves


def targets_of(change: Change) -> str:
    """Name the records that a change writes; the first few of many, and how many more."""
    if len(change.puts) == 1 and not change.purges:
        record = change.puts[0].record
        return f"{kind_of(record)}:{record.id}"
    named = [
        *(f"{kind_of(put.record)}:{put.record.id}" for put in change.puts),
        *(f"{kind}:{record_id}" for kind, record_id, _ in change.purges),
    ]
    more = len(named) - TARGETS_NAMED_COUNT_MAX
    return " ".join(named[:TARGETS_NAMED_COUNT_MAX]) + (f" +{more}" if more > 0 else "") or "-"
