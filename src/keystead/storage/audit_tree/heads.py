"""Heads of the audit tree: signed checkpoints with the epochs of both stores, and the file in which all of them stand.

Source: C2SP tlog-checkpoint; docs/adr/0060-audit-tree.md; design.md section 7 ("epoch").
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from keystead.core.errors import Tampered
from keystead.storage.audit_tree.files import CHECKPOINT, CHECKPOINTS, read_whole
from keystead.storage.store import Anchor
from keystead.trust.notes import NOTE_BYTES_MAX, Checkpoint, VerifierKey, checkpoint_of, split_notes

_TAIL_BYTES = 4 * NOTE_BYTES_MAX
_EPOCH = re.compile(r"epoch ([a-z]{1,16}) (\d{1,19}) ([0-9a-f]{64}) (\d{1,19}) ([0-9a-f]{64})")


class Epoch(NamedTuple):
    """Where a store stood when a checkpoint was made.

    Attributes:
        sequence: Newest journal row.
        head: Chain value of that row, 32 bytes.
        audit_sequence: Newest audit leaf that the tree holds.
        audit_head: Digest of that leaf in the store, 32 bytes.
    """

    sequence: int
    head: bytes
    audit_sequence: int
    audit_head: bytes

    def line(self, file: str) -> str:
        """Return the line of a checkpoint."""
        head, audit_head = self.head.hex(), self.audit_head.hex()
        return f"epoch {file} {self.sequence} {head} {self.audit_sequence} {audit_head}"

    @classmethod
    def of(cls, anchor: Anchor, audit_sequence: int, audit_head: bytes) -> "Epoch":
        """Return the epoch of a store that stands there, taken over up to a leaf."""
        return cls(anchor.sequence, anchor.head, audit_sequence, audit_head)


class Head(NamedTuple):
    """A published checkpoint.

    Attributes:
        note: As it was signed.
        checkpoint: What it says.
        epochs: File -> where its store stood.
    """

    note: str
    checkpoint: Checkpoint
    epochs: Mapping[str, Epoch]

    @property
    def size(self) -> int:
        """Entries."""
        return self.checkpoint.size


def head_of(note: str, key: VerifierKey) -> Head:
    """Read a checkpoint. Raises Tampered: the key has not signed it, or it is not of the form."""
    checkpoint = checkpoint_of(note, key)
    epochs = {}
    for line in checkpoint.extensions:
        found = _EPOCH.fullmatch(line)
        if found is not None:
            file, sequence, head, audit_sequence, audit_head = found.groups()
            numbers = int(sequence), bytes.fromhex(head), int(audit_sequence), bytes.fromhex(audit_head)
            epochs[file] = Epoch(*numbers)
    return Head(note, checkpoint, epochs)


def published(folder: Path, key: VerifierKey) -> Head | None:
    """Return the latest published checkpoint, None before the first. Raises Tampered."""
    data = read_whole(folder / CHECKPOINT, NOTE_BYTES_MAX)
    return None if data is None else head_of(text_of(data), key)


def latest_signed(folder: Path, key: VerifierKey) -> tuple[Head | None, int]:
    """Return the last whole checkpoint of the file of all of them, and how many bytes end with it.

    It may be ahead of the published one after a crash, and counts: two signed checkpoints must never contradict.

    Raises:
        Tampered: the last one was not signed by the key.
    """
    path = folder / CHECKPOINTS
    if not path.exists():
        return None, 0
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        notes, torn = split_notes(text_of(file.read()))
    if not notes:
        if size > NOTE_BYTES_MAX:
            raise Tampered(f"{CHECKPOINTS} of the audit tree does not end in a checkpoint")
        return None, 0
    return head_of(notes[-1], key), size - len(torn.encode(errors="surrogateescape"))


def text_of(data: bytes) -> str:
    """Decode notes; what is no text is no note, and a character cut in two at either end does not harm the rest."""
    return data.decode(errors="surrogateescape")
