"""Snapshots: sealed, numbered and chained, so that a vault cannot pass an old one for the newest.

Bytes in the vault: magic (4), id of the parent (32, zero for the first), then a sealed chunk (sealing.py) bound to
sequence and parent. The client remembers the newest it has seen and takes only what continues from there.

Laws: a snapshot counts only if it opens under the client's keys at its own place in the chain; a chain that ends before
what was seen, or takes another way to it, is refused.

Source: requirements DS-001, DS-002; attacks.md class 50; docs/design/backup-format.md section 4.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import cbor2

from keystead.clients.backup.sealing import BackupKeys, Kind
from keystead.core.errors import Invalid, KeysteadError, NotFound, Tampered
from keystead.custody.safeguard.depot import ID_BYTES, Area, Depot, SnapshotRef
from keystead.trust.sealing import frame

MAGIC = b"KSB\x01"
FORM = 1
NO_PARENT = bytes(ID_BYTES)
_HEAD_BYTES = len(MAGIC) + ID_BYTES
_AREAS = (Area.CLIENT, Area.ACCOUNT)
OLDER = (
    "the vault shows an older state than this client has seen (number {seen}): it lost data or keeps them back; "
    "nothing was taken from it. Ask whoever runs the vault"
)


@dataclass(frozen=True, slots=True)
class Root:
    """A folder or file that is backed up, and in which area its content lies."""

    path: bytes
    area: Area


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One complete backup.

    Attributes:
        made_us: When it began, UTC microseconds.
        roots: What was backed up.
        files: Files in it.
        content_bytes: Length of all of them.
        skipped: What could not be read.
        list_ids: Chunks of the list of entries, in order.
    """

    made_us: int
    roots: tuple[Root, ...]
    files: int
    content_bytes: int
    skipped: int
    list_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A snapshot with its place in the chain."""

    ref: SnapshotRef
    parent: bytes
    content: Snapshot


def seal(keys: BackupKeys, snapshot: Snapshot, parent: SnapshotRef | None) -> bytes:
    """Return the bytes that a vault keeps."""
    sequence, parent_id = (1, NO_PARENT) if parent is None else (parent.sequence + 1, parent.id)
    roots = [[root.path, _AREAS.index(root.area)] for root in snapshot.roots]
    counts = (snapshot.made_us, snapshot.files, snapshot.content_bytes, snapshot.skipped)
    body = cbor2.dumps([FORM, *counts, roots, b"".join(snapshot.list_ids)])
    own = keys.of(Area.CLIENT)
    return MAGIC + parent_id + own.seal(Kind.SNAPSHOT, _place(sequence, parent_id), body)


def load(keys: BackupKeys, depot: Depot, ref: SnapshotRef) -> Sealed:
    """Fetch and open a snapshot.

    Raises:
        NotFound: the vault does not hold it.
        Tampered: what it holds is not the snapshot of this client at this place.
    """
    data = depot.snapshot(ref)
    parent = data[len(MAGIC) : _HEAD_BYTES]
    if hashlib.sha256(data).digest() != ref.id or not data.startswith(MAGIC) or len(parent) != ID_BYTES:
        raise Tampered("the vault's snapshot is not the one it names")
    body = keys.of(Area.CLIENT).open(Kind.SNAPSHOT, _place(ref.sequence, parent), data[_HEAD_BYTES:])
    if (ref.sequence == 1) != (parent == NO_PARENT):
        raise Tampered("the vault's snapshot is not at its place in the chain")
    return Sealed(ref, parent, _read(body))


def _place(sequence: int, parent: bytes) -> bytes:
    return hashlib.sha256(frame(b"backup/place", sequence.to_bytes(8, "big"), parent)).digest()


def _read(body: bytes) -> Snapshot:
    items: Any = cbor2.loads(body)
    if items[0] != FORM:
        raise Invalid("this snapshot was written by a newer version; upgrade this client")
    _, made_us, files, content_bytes, skipped, roots, ids = items
    list_ids = tuple(ids[place : place + ID_BYTES] for place in range(0, len(ids), ID_BYTES))
    return Snapshot(
        made_us, tuple(Root(path, _AREAS[area]) for path, area in roots), files, content_bytes, skipped, list_ids
    )


def newest(keys: BackupKeys, depot: Depot, seen: SnapshotRef | None) -> Sealed | None:
    """Return the newest snapshot, once it is proven to continue from the newest that was seen.

    Raises:
        Tampered: the vault's chain ends before it, leads elsewhere, or does not open under these keys.
    """
    head = depot.head()
    if head is None or (seen is not None and head.sequence < seen.sequence):
        if seen is not None:
            raise Tampered(OLDER.format(seen=seen.sequence))
        return None
    found = load(keys, depot, head)
    if seen is not None:
        _leads_to(keys, depot, found, seen)
    return found


def at(keys: BackupKeys, depot: Depot, seen: SnapshotRef | None, sequence: int) -> Sealed:
    """Return the snapshot of a number, proven by the chain from the newest.

    Raises:
        NotFound: there is none with this number.
        Tampered: see `newest`.
    """
    last = newest(keys, depot, seen)
    if last is None or not 1 <= sequence <= last.ref.sequence:
        raise NotFound(f"there is no snapshot number {sequence}; `keystead-backup list` shows them")
    return walk(keys, depot, last, sequence)[-1]


def walk(keys: BackupKeys, depot: Depot, start: Sealed, sequence: int) -> list[Sealed]:
    """Follow the chain from a snapshot back to a number; both ends are in the result, newest first.

    Raises:
        Tampered: the chain breaks on the way.
    """
    found = [start]
    while found[-1].ref.sequence > sequence:
        last = found[-1]
        try:
            found.append(load(keys, depot, SnapshotRef(last.ref.sequence - 1, last.parent)))
        except NotFound as error:
            raise _broken(last.ref.sequence - 1, error) from None
    return found


def _leads_to(keys: BackupKeys, depot: Depot, start: Sealed, seen: SnapshotRef) -> None:
    if walk(keys, depot, start, seen.sequence)[-1].ref != seen:
        raise Tampered(
            f"the vault shows another snapshot number {seen.sequence} than this client has seen; nothing was taken "
            "from it. Ask whoever runs the vault"
        )


def _broken(sequence: int, error: KeysteadError) -> Tampered:
    return Tampered(f"snapshot number {sequence} is missing in the vault: {error.message}")
