"""Taking audit leaves over from a store: in order, each authenticated by the store's chain before it is believed.

Source: docs/adr/0005-two-stores.md, 0010; design.md section 6 ("rollback"), section 7 ("epoch").
"""

import hmac
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from keystead.core.errors import Tampered
from keystead.storage.audit_tree.heads import Epoch
from keystead.storage.journal import Leaf, Root, leaf_of
from keystead.storage.store import Store
from keystead.storage.verify import Walkable


class Source(Store, Walkable, Protocol):
    """A store whose leaves are taken over."""


class Taken(NamedTuple):
    """Leaves of a store, and the digest of the last of them in the store's chain."""

    leaves: list[Leaf]
    sequence: int
    digest: bytes


def first_epoch(source: Source) -> Epoch:
    """Return the epoch of a store of which nothing was taken over yet."""
    first = Root.first(source.identity.seals, source.identity.marks_mac)
    return Epoch(0, first.head, 0, first.audit_head)


def new_leaves(file: str, source: Source, after: Epoch, until: int, count: int) -> Taken:
    """Return leaves that follow those taken over.

    Args:
        file: Name of the store, for the error.
        source: The store.
        after: Up to where they are taken over.
        until: Newest leaf by the store's root.
        count: At most so many.

    Raises:
        Tampered: the leaves do not continue those that were taken over. Unavailable: the store cannot be read.
    """
    seals = source.identity.seals
    sequence, digest = after.audit_sequence, after.audit_head
    last = min(until, sequence + count)
    leaves: list[Leaf] = []
    for number, stored, told in _rows(source, sequence + 1, last):
        found = seals.leaf(digest, stored)
        if number != sequence + 1 or not hmac.compare_digest(found, told):
            raise Tampered(f"audit leaf {sequence + 1} of the {file} store does not continue those taken over")
        leaves.append(leaf_of(stored))
        sequence, digest = number, told
    if sequence != last:
        raise Tampered(f"audit leaf {sequence + 1} of the {file} store is missing")
    return Taken(leaves, sequence, digest)


def put_back(file: str, source: Source, epoch: Epoch) -> str | None:
    """Say how a store contradicts what a checkpoint has anchored, None when it does not; constant time.

    Raises:
        Tampered, Unavailable: as the store says.
    """
    now = source.anchor()
    if now.sequence < epoch.sequence or now.audit_sequence < epoch.audit_sequence:
        return (
            f"the {file} store was put back: its journal ends at {now.sequence} and its audit trail at "
            f"{now.audit_sequence}, the audit tree has seen {epoch.sequence} and {epoch.audit_sequence}"
        )
    if epoch.sequence and source.chain_at(epoch.sequence) != epoch.head:
        return f"the {file} store is another than before: journal row {epoch.sequence} is not the one the tree has seen"
    return None


def oldest_waiting_us(source: Source, epoch: Epoch) -> int | None:
    """Return when the oldest leaf was written that is not taken over, None when there is none. Raises Unavailable."""
    for _, stored, _ in _rows(source, epoch.audit_sequence + 1, epoch.audit_sequence + 1):
        return leaf_of(stored).at_us
    return None


def _rows(source: Source, first: int, last: int) -> Iterator[tuple[int, bytes, bytes]]:
    span = f"sequence BETWEEN {int(first)} AND {int(last)}"
    statement = f"SELECT sequence, leaf, digest FROM audit WHERE {span} ORDER BY sequence"  # noqa: S608 - numbers
    with source.walk() as asked:
        for sequence, leaf, digest in asked.execute(statement):
            yield int(sequence), bytes(leaf), bytes(digest)
