"""Walks along the journal and the audit trail from their first rows: nothing missing, changed, inserted or cut off.

Law: after a broken row the walk goes on from what that row says, so that each later break is named as well.

Source: docs/adr/0010-journal-chain-and-root.md.
"""

import hmac
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from cbor2 import CBORDecodeError

from keystead.storage.findings import Finding
from keystead.storage.journal import Origin, Row, leaf_of, row_bytes
from keystead.storage.verify_records import Asked

_JOURNAL = (
    "SELECT chain, sequence, at_us, request_id, principal, origin, operation, action, kind, id, revision, document, mac"
    " FROM journal ORDER BY sequence"
)
_AUDIT = "SELECT digest, sequence, request_id, leaf FROM audit ORDER BY sequence"


class Link(NamedTuple):
    """One row of a trail: its number, its stored digest, and what the digest covers (None = it contradicts itself)."""

    sequence: int
    digest: bytes
    covered: bytes | None


class Known(NamedTuple):
    """What must stand in a trail: its end as the store's root has it, or what a witness has seen."""

    sequence: int
    digest: bytes


class Trail(NamedTuple):
    """One chained trail and what is known of it.

    Attributes:
        name: "journal" or "audit".
        chain: Returns the digest of a row after that of the row before.
        first: Digest before the first row.
        end: Where the store's root says that it ends; None when the root cannot be read.
        witness: What was seen outside the store's folder.
    """

    name: str
    chain: Callable[[bytes, bytes], bytes]
    first: bytes
    end: Known | None
    witness: Known | None

    def walk(self, links: Iterator[Link]) -> Iterator[Finding | None]:
        """Yield what is wrong, and None for each row that is right."""
        last, before = 0, self.first
        for sequence, digest, covered in links:
            if sequence != last + 1:
                yield Finding(self.name, _span(last + 1, sequence - 1), "is missing: deleted or moved")
            elif covered is None or not hmac.compare_digest(self.chain(before, covered), digest):
                yield Finding(self.name, str(sequence), "was changed, inserted or moved here")
            else:
                yield None
            if self.witness is not None and sequence == self.witness.sequence and digest != self.witness.digest:
                yield Finding(
                    self.name, str(sequence), "is not the row that the witness has seen: history was replaced"
                )
            last, before = sequence, digest
        yield from self._ends(Known(last, before))

    def _ends(self, last: Known) -> Iterator[Finding]:
        end, witness = self.end, self.witness
        if end is not None and last.sequence < end.sequence:
            what = "is missing at the end: cut off or rolled back"
            yield Finding(self.name, _span(last.sequence + 1, end.sequence), what)
        elif end is not None and last.sequence > end.sequence:
            what = "was added at the end, beyond where the store's root ends"
            yield Finding(self.name, _span(end.sequence + 1, last.sequence), what)
        elif end is not None and last.digest != end.digest:
            yield Finding(self.name, str(last.sequence), "is not the row with which the store's root ends")
        if witness is not None and last.sequence < witness.sequence:
            what = f"is missing, though the witness has seen row {witness.sequence}: the store was rolled back"
            yield Finding(self.name, _span(last.sequence + 1, witness.sequence), what)


def journal_links(asked: Asked) -> Iterator[Link]:
    """Yield the journal for `Trail.walk`."""
    for chain, sequence, *cells in asked.execute(_JOURNAL):
        try:
            covered = row_bytes(Row(sequence, Origin(*cells[:5]), *cells[5:]))
        except struct.error:  # a number or a length that no row of ours can have
            covered = None
        yield Link(sequence, chain, covered)


def audit_links(asked: Asked) -> Iterator[Link]:
    """Yield the audit trail for `Trail.walk`."""
    for digest, sequence, request_id, leaf in asked.execute(_AUDIT):
        try:
            inside = leaf_of(leaf)
            agrees = (inside.sequence, inside.request_id) == (sequence, request_id)
        except (CBORDecodeError, TypeError):
            agrees = False
        yield Link(sequence, digest, leaf if agrees else None)


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"
