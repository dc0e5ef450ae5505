"""The folder of the audit tree, as the one process that extends it sees it: open after any crash, append, publish.

Laws: entries, then hashes are flushed before a checkpoint is signed over them; the checkpoint is flushed in the file of
all of them before it replaces the latest one. After an error in the middle the object is dropped and the folder opened
anew: what lies beyond the last signed checkpoint is cut.

Source: C2SP tlog-tiles, tlog-checkpoint; docs/adr/0060-audit-tree.md.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from keystead.core.errors import Tampered
from keystead.storage.audit_tree.entries import ENTRY_BYTES_MAX, Kept
from keystead.storage.audit_tree.files import (
    CHECKPOINT,
    CHECKPOINTS,
    ENTRIES,
    FOLDER_MODE,
    PERSONAL_BYTES_MAX,
    WIDTH,
    Writing,
    packed_entries,
    packed_personal,
    personal_path,
    read_bundle,
    read_whole,
    tile_path,
    unpacked_personal,
)
from keystead.storage.audit_tree.heads import Head, head_of, latest_signed, published
from keystead.storage.audit_tree.tiles import Tile, read_edge, widths
from keystead.trust.durable_files import flush_folder
from keystead.trust.merkle import leaf_hash
from keystead.trust.notes import NOTE_BYTES_MAX, VerifierKey

BATCH_COUNT_MAX = 5_000  # entries between two checkpoints
_BEYOND_TILES_COUNT = BATCH_COUNT_MAX // WIDTH + 2


class AuditTree:
    """The tree; made by `open_tree`, belongs to one thread at a time.

    Attributes:
        folder: Where it lies.
        head: Latest signed checkpoint, None before the first.
    """

    def __init__(self, folder: Path, key: VerifierKey, head: Head | None) -> None:
        self.folder = folder
        self.head = head
        self._key = key
        self._edge = read_edge(folder, self.size)
        if head is not None and self._edge.root() != head.checkpoint.root:
            raise Tampered("the tiles of the audit tree do not give the root of its last checkpoint")
        number, width = divmod(self.size, WIDTH)
        self._entries = _bundle(folder, number, width)
        self._personal = read_personal(folder, number)[:width]
        if len(self._personal) < width:
            raise Tampered("personal parts are missing beside the last entries of the audit tree")
        self._filled: list[str] = []

    @property
    def size(self) -> int:
        """Entries that the latest checkpoint covers."""
        return 0 if self.head is None else self.head.size

    def append(self, new: Sequence[tuple[bytes, Kept]]) -> tuple[int, bytes]:
        """Write entries with their personal parts durably, up to BATCH_COUNT_MAX; returns size and root to be signed.

        Raises:
            OSError: they are not written; drop the object.
            Tampered: an entry is too long to be written.
        """
        bundles, hashes = Writing(self.folder), Writing(self.folder)
        for entry, kept in new:
            if len(entry) > ENTRY_BYTES_MAX:
                raise Tampered("an audit leaf is longer than any that was written")
            self._entries.append(entry)
            self._personal.append(kept.packed())
            for tile in self._edge.append(leaf_hash(entry)):
                self._write_tile(hashes, tile)
                self._filled.append(tile_path(tile.level, tile.number))
            if len(self._entries) == WIDTH:
                self._write_bundle(bundles)
        if self._entries:
            self._write_bundle(bundles)
        bundles.flush()
        signed = widths(self.size)  # a checkpoint covers these: as they are, or a kill in the middle would cut them off
        for tile in self._edge.partial():
            if (tile.level, tile.number, len(tile.hashes)) not in signed:
                self._write_tile(hashes, tile)
        hashes.flush()
        return self._edge.size, self._edge.root()

    def publish(self, note: str) -> None:
        """Make a signed checkpoint over what was appended the latest one. Raises OSError: drop the object."""
        writing = Writing(self.folder)
        writing.append(CHECKPOINTS, note.encode())
        writing.flush()
        self.head = head_of(note, self._key)
        writing.replace(CHECKPOINT, note.encode())
        writing.flush()
        for full in self._filled:
            shutil.rmtree(self.folder / f"{full}.p", ignore_errors=True)
        self._filled.clear()

    def replaced_personal(self) -> None:
        """Read the last bundle's personal parts anew, after names in the files were replaced. Raises Tampered."""
        number, width = divmod(self.size, WIDTH)
        self._personal = read_personal(self.folder, number)[:width]

    def _write_bundle(self, writing: Writing) -> None:
        width = len(self._entries)
        number = (self._edge.size - 1) // WIDTH
        writing.write(tile_path(ENTRIES, number, width), packed_entries(self._entries))
        writing.replace(personal_path(number), packed_personal(self._personal))
        if width == WIDTH:
            self._filled.append(tile_path(ENTRIES, number))
            self._entries, self._personal = [], []

    @staticmethod
    def _write_tile(writing: Writing, tile: Tile) -> None:
        writing.write(tile_path(tile.level, tile.number, len(tile.hashes)), b"".join(tile.hashes))


def open_tree(folder: Path, key: VerifierKey) -> AuditTree:
    """Open the folder, or begin one: cut what lies beyond the last signed checkpoint, and finish publishing that.

    Raises:
        Tampered: the files do not give what the checkpoint says, or the key has not signed it.
        OSError: the folder cannot be written.
    """
    if not folder.is_dir():
        folder.mkdir(FOLDER_MODE)
        flush_folder(folder.parent)
    head, end = latest_signed(folder, key)
    seen = published(folder, key)
    if seen is not None and (head is None or head.size < seen.size):
        raise Tampered(f"{CHECKPOINTS} of the audit tree is missing, or cut off at its end")
    tree = AuditTree(folder, key, head)
    _cut(folder, tree.size)
    checkpoints = folder / CHECKPOINTS
    if checkpoints.exists() and checkpoints.stat().st_size != end:
        os.truncate(checkpoints, end)
    if head is not None and read_whole(folder / CHECKPOINT, NOTE_BYTES_MAX) != head.note.encode():
        writing = Writing(folder)
        writing.replace(CHECKPOINT, head.note.encode())
        writing.flush()
    return tree


def read_personal(folder: Path, number: int) -> list[bytes]:
    """Return the personal parts of a bundle, packed; empty when there are none. Raises Tampered."""
    data = read_whole(folder / personal_path(number), PERSONAL_BYTES_MAX)
    return [] if data is None else unpacked_personal(data)


def _bundle(folder: Path, number: int, width: int) -> list[bytes]:
    entries = read_bundle(folder, number, width) if width else []
    if entries is None or len(entries) < width:
        raise Tampered("the last entries of the audit tree are missing")
    return entries


def _cut(folder: Path, size: int) -> None:
    """Remove what a killed run wrote beyond the tree or left half written, and partial tiles that full ones replace."""
    (folder / f"{CHECKPOINT}.new").unlink(missing_ok=True)
    bundle, cut = divmod(size, WIDTH)
    for beyond in range(bundle, bundle + _BEYOND_TILES_COUNT):
        path = folder / personal_path(beyond)
        path.with_name(f"{path.name}.new").unlink(missing_ok=True)
        if beyond > bundle or not cut:
            path.unlink(missing_ok=True)
    places: list[tuple[int | str, int, int]] = [*widths(size), (ENTRIES, *divmod(size, WIDTH))]
    for level, number, width in places:
        for filled in range(max(0, number - _BEYOND_TILES_COUNT), number):
            shutil.rmtree(folder / f"{tile_path(level, filled)}.p", ignore_errors=True)
        for beyond in range(number, number + _BEYOND_TILES_COUNT):
            (folder / tile_path(level, beyond)).unlink(missing_ok=True)
            partial = folder / f"{tile_path(level, beyond)}.p"
            for path in partial.iterdir() if partial.is_dir() else ():
                if beyond > number or not path.name.isdigit() or int(path.name) > width:
                    path.unlink()
    for path in (folder / f"tile/{len(widths(size))}").glob("**/*"):
        with suppress(OSError):
            path.unlink()
