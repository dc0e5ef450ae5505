"""The checkpoints of an exported audit tree: every signature, and that none takes back what one before it said.

Source: C2SP signed-note, tlog-checkpoint; docs/adr/0060-audit-tree.md.
"""

import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from keystead.core.errors import Tampered
from keystead.storage.audit_tree.files import CHECKPOINT, CHECKPOINTS, read_whole
from keystead.storage.audit_tree.heads import Head, head_of, text_of
from keystead.trust.merkle import EMPTY_ROOT
from keystead.trust.notes import NOTE_BYTES_MAX, Checkpoint, VerifierKey, split_notes

_READ_BYTES = 1 << 20
_ROOT = struct.Struct(">Q32sQ")


class SignedHeads:
    """Roots that were signed, by the size of the tree.

    Attributes:
        size: Of the largest tree that was signed for.
        judged_count: Checkpoints that were looked at.
    """

    def __init__(self, folder: Path, key: VerifierKey, older: Checkpoint | None, add: Callable[[str], None]) -> None:
        self.size = 0
        self.judged_count = 0
        self._add = add
        self._extra: list[tuple[int, bytes, str]] = []
        self._last: Head | None = None
        self._roots = _Roots()
        for note in _notes(folder / CHECKPOINTS, add):
            self._judge(note, key)
        self._latest(folder, key)
        if older is not None:
            self._against(older)
        self._roots.rewind()

    def close(self) -> None:
        """Give the file back."""
        self._roots.close()

    def at(self, size: int) -> Iterator[tuple[bytes, str]]:
        """Yield the roots that were signed for a size, each with the words for it."""
        found = self._roots.of(size)
        if found is not None:
            yield found[0], f"checkpoint {found[1]}"
        yield from ((root, source) for covered, root, source in self._extra if covered == size)

    def _judge(self, note: str, key: VerifierKey) -> None:
        self.judged_count += 1
        number = self.judged_count
        try:
            head = head_of(note, key)
        except Tampered as error:
            self._add(f"checkpoint {number}: {error.message}")
            return
        last = self._last
        if last is not None and head.size < last.size:
            self._add(f"checkpoint {number}: of {head.size} entries, after one of {last.size}: the log was rolled back")
            return
        if last is not None and head.size == last.size and head.checkpoint.root != last.checkpoint.root:
            self._add(f"checkpoint {number}: another root for the same {head.size} entries: the log was forked")
            return
        if last is not None:
            self._epochs(number, last, head)
        self._last = head
        self.size = head.size
        if head.size:
            self._roots.add(head.size, head.checkpoint.root, number)
        elif head.checkpoint.root != EMPTY_ROOT:
            self._add(f"checkpoint {number}: a root for no entries that is none")

    def _epochs(self, number: int, last: Head, head: Head) -> None:
        for file, before in last.epochs.items():
            now = head.epochs.get(file)
            if now is None or now.sequence < before.sequence or now.audit_sequence < before.audit_sequence:
                self._add(f"checkpoint {number}: the {file} store stands before where it stood already")

    def _latest(self, folder: Path, key: VerifierKey) -> None:
        """Compare the latest checkpoint with the last of all of them."""
        data = read_whole(folder / CHECKPOINT, NOTE_BYTES_MAX)
        if data is None:
            self._add(f"the file `{CHECKPOINT}` with the latest checkpoint is missing")
            return
        if self._last is not None and self._last.note == text_of(data):
            return
        try:
            head = head_of(text_of(data), key)
        except Tampered as error:
            self._add(f"the latest checkpoint: {error.message}")
            return
        self._add(f"the latest checkpoint, of {head.size} entries, is not the last of all of them: some were cut off")
        if head.size > self.size:
            self.size = head.size
            self._extra.append((head.size, head.checkpoint.root, "the latest checkpoint"))

    def _against(self, older: Checkpoint) -> None:
        if older.size > self.size:
            self._add(f"the log was rolled back: it has {self.size} entries, the older checkpoint covers {older.size}")
        elif older.size == 0 and older.root != EMPTY_ROOT:
            self._add("the older checkpoint has a root for no entries that is none")
        self._extra.append((older.size, older.root, f"the older checkpoint of {older.size} entries"))


class _Roots:
    """Signed roots in the order of their sizes, in a file: a log may have as many checkpoints as entries."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # gone with this object
        self._next: tuple[int, bytes, int] | None = None

    def add(self, size: int, root: bytes, number: int) -> None:
        """Take in a root; one of the same size again is the same."""
        self._file.write(_ROOT.pack(size, root, number))

    def rewind(self) -> None:
        """Begin to read."""
        self._file.seek(0)
        self._step()

    def of(self, size: int) -> tuple[bytes, int] | None:
        """Return root and number of the checkpoint of a size; sizes are asked for in order."""
        found = None
        while self._next is not None and self._next[0] <= size:
            found = self._next[1:] if self._next[0] == size else None
            self._step()
        return found

    def close(self) -> None:
        """Drop the file."""
        self._file.close()

    def _step(self) -> None:
        packed = self._file.read(_ROOT.size)
        self._next = _ROOT.unpack(packed) if packed else None


def _notes(path: Path, add: Callable[[str], None]) -> Iterator[str]:
    """Yield the notes of a file, a piece at a time."""
    left = ""
    try:
        with path.open("rb") as file:
            rest = b""
            while piece := file.read(_READ_BYTES):
                lines, newline, rest = (rest + piece).rpartition(b"\n")
                notes, left = split_notes(left + text_of(lines + newline))
                if notes and not left:  # the last one may go on with another signature
                    left = notes.pop()
                yield from notes
            notes, left = split_notes(left + text_of(rest))
            yield from notes
    except FileNotFoundError:
        add(f"the file `{CHECKPOINTS}` with all checkpoints is missing")
    if left:
        add("the last checkpoint of all of them is cut off")
