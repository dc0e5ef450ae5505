"""Reading the audit tree while another process or thread extends it: entries, proofs, and a copy that fits itself.

Law: everything is read for the size of one published checkpoint; what is beyond is not looked at.

Source: C2SP tlog-tiles, tlog-proof; docs/adr/0060-audit-tree.md.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cbor2

from keystead.core.errors import Exists, NotFound, Tampered
from keystead.storage.audit_tree.entries import Entry, Kept, read_entry
from keystead.storage.audit_tree.files import (
    CHECKPOINT,
    CHECKPOINTS,
    ENTRIES,
    FOLDER_MODE,
    KEY,
    WIDTH,
    Writing,
    packed_entries,
    packed_personal,
    personal_path,
    read_bundle,
    read_tile,
    tile_path,
)
from keystead.storage.audit_tree.heads import Head, published
from keystead.storage.audit_tree.tiles import Tiles, widths
from keystead.storage.audit_tree.tree import read_personal
from keystead.trust.merkle import inclusion_proof, is_included, leaf_hash
from keystead.trust.notes import Proof, VerifierKey, checkpoint_of

Progress = Callable[[int, int], None]
"""Called with entries done and how many there are."""


class Shown(NamedTuple):
    """An entry by its number from 0, with its personal part, None where that is not there."""

    number: int
    entry: Entry
    kept: Kept | None


def shown(folder: Path, size: int, number: int) -> Iterator[Shown]:
    """Yield the entries of a bundle, oldest first. Raises Tampered."""
    width = min(WIDTH, size - number * WIDTH)
    entries = read_bundle(folder, number, width)
    if entries is None or len(entries) < width:
        raise Tampered(f"entries from {number * WIDTH} on are missing in the audit tree")
    parts = read_personal(folder, number)
    for place, entry in enumerate(entries):
        kept = Kept.unpacked(parts[place]) if place < len(parts) else None
        yield Shown(number * WIDTH + place, read_entry(entry), kept)


def proof_of(folder: Path, key: VerifierKey, index: int) -> Proof:
    """Return the proof that an entry is in the tree, with the entry and the key beside it.

    Raises:
        NotFound: there is no such entry. Tampered: the tree does not give its own checkpoint.
    """
    head = published(folder, key)
    if head is None or not 0 <= index < head.size:
        raise NotFound(f"the audit tree has {0 if head is None else head.size} entries, counted from 0")
    number, place = divmod(index, WIDTH)
    entries = read_bundle(folder, number, min(WIDTH, head.size - number * WIDTH)) or []
    if place >= len(entries):
        raise Tampered(f"entry {index} is missing in the audit tree")
    steps = inclusion_proof(index, head.size, Tiles(folder, head.size).subtree)
    if not is_included(leaf_hash(entries[place]), index, head.size, steps, head.checkpoint.root):
        raise Tampered(f"entry {index} is not the one that the audit tree's checkpoint covers")
    extra = cbor2.dumps({"entry": entries[place], "key": key.text}, canonical=True)
    return Proof(index, tuple(steps), head.note, extra)


class Proven(NamedTuple):
    """What a proof shows: an entry, by its number from 0, in a log of a size, by the key that signed."""

    number: int
    entry: Entry
    size: int
    key: VerifierKey


def proven(proof: Proof, key: VerifierKey | None) -> Proven:
    """Judge a proof.

    Args:
        proof: From a file.
        key: Of the log; None = the one beside the proof, which shows only that the file agrees with itself.

    Raises:
        Tampered: it shows nothing. Invalid: the key beside it is damaged.
    """
    try:
        extra = cbor2.loads(proof.extra)
        entry, text = extra["entry"], extra["key"]
    except (cbor2.CBORDecodeError, ValueError, TypeError, KeyError, RecursionError):
        raise Tampered("the proof holds no entry") from None
    if type(entry) is not bytes or type(text) is not str:
        raise Tampered("the proof holds no entry")
    used = key or VerifierKey.from_text(text)
    checkpoint = checkpoint_of(proof.note, used)
    if not is_included(leaf_hash(entry), proof.index, checkpoint.size, proof.steps, checkpoint.root):
        raise Tampered("the proof does not lead from the entry to the checkpoint")
    return Proven(proof.index, read_entry(entry), checkpoint.size, used)


def export(
    folder: Path, key: VerifierKey, out: Path, *, with_personal: bool = True, progress: Progress | None = None
) -> Head:
    """Copy the tree as its latest checkpoint covers it, into a new folder.

    Raises:
        NotFound: there is no checkpoint yet. Exists: the folder is there. Tampered: files are missing. OSError.
    """
    head = published(folder, key)
    if head is None:
        raise NotFound("the audit tree has no checkpoint yet; serve the node first")
    try:
        out.mkdir(FOLDER_MODE)
    except FileExistsError:
        raise Exists(f"{out} exists already; choose another name") from None
    writing = Writing(out)
    full_count, width = divmod(head.size, WIDTH)
    for number in range(full_count + (width > 0)):
        _copy_bundle(folder, writing, number, width if number == full_count else WIDTH, with_personal=with_personal)
        if progress is not None:
            progress(min(head.size, (number + 1) * WIDTH), head.size)
    for level, tiles_count, last in widths(head.size):
        for number in range(tiles_count + (last > 0)):
            _copy_tile(folder, writing, level, number, last if number == tiles_count else WIDTH)
    _copy_checkpoints(folder, out, head)
    writing.write(KEY, key.text.encode() + b"\n")
    writing.write(CHECKPOINT, head.note.encode())
    writing.flush()
    return head


def _copy_bundle(folder: Path, writing: Writing, number: int, width: int, *, with_personal: bool) -> None:
    entries = read_bundle(folder, number, width)
    if entries is None or len(entries) < width:
        raise Tampered(f"entries from {number * WIDTH} on are missing in the audit tree")
    writing.write(tile_path(ENTRIES, number, width), packed_entries(entries))
    if with_personal:
        writing.write(personal_path(number), packed_personal(read_personal(folder, number)[:width]))


def _copy_tile(folder: Path, writing: Writing, level: int, number: int, width: int) -> None:
    hashes = read_tile(folder, level, number, width)
    if hashes is None:
        raise Tampered(f"tile {level}/{number} of the audit tree is missing")
    writing.write(tile_path(level, number, width), b"".join(hashes))


def _copy_checkpoints(folder: Path, out: Path, head: Head) -> None:
    """Copy all checkpoints up to the published one, which may have been followed by others meanwhile."""
    wanted = head.note.encode()
    with (folder / CHECKPOINTS).open("rb") as source, (out / CHECKPOINTS).open("xb") as target:
        (out / CHECKPOINTS).chmod(0o600)
        note = b""
        for line in source:
            note += line
            if note == wanted:
                target.write(note)
                return
            if line.startswith("\N{EM DASH} ".encode()):
                target.write(note)
                note = b""
    raise Tampered("the audit tree's latest checkpoint is missing among all of them")
