"""Verifying an exported audit tree without its node: what was altered, is missing, moved, cut, forked or rolled back.

Every checkpoint is a signed statement about all entries before it, so each is compared with the entries and with the
tiles. Tiles that give the signed root tell which entry is not as it was; where both were forged, what can be proven is
the range between two checkpoints.

Source: C2SP tlog-tiles; RFC 9162 section 2.1; requirements KS-LOG-033; attacks.md class 31.
"""

import hmac
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from keystead.core.errors import Tampered
from keystead.storage.audit_tree.checks import EntryChecks
from keystead.storage.audit_tree.files import ENTRIES, PERSONAL, WIDTH, read_bundle, read_tile, tile_path
from keystead.storage.audit_tree.pseudonyms import Act
from keystead.storage.audit_tree.reading import Progress
from keystead.storage.audit_tree.signed import SignedHeads
from keystead.storage.audit_tree.tiles import Edge, Tile
from keystead.storage.audit_tree.tree import read_personal
from keystead.trust.merkle import leaf_hash
from keystead.trust.notes import Checkpoint, VerifierKey

FINDINGS_COUNT_MAX = 1_000


@dataclass(slots=True)
class Verified:
    """What was found.

    Attributes:
        findings: What is wrong, the first altered entry first; at most FINDINGS_COUNT_MAX.
        notes: What else whoever reads it should know.
        entries_count: Entries looked at.
        checkpoints_count: Checkpoints whose signatures were judged.
        acts: Acts of pseudonymising, in order.
    """

    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    entries_count: int = 0
    checkpoints_count: int = 0
    acts: list[Act] = field(default_factory=list)

    def add(self, what: str) -> None:
        """Take in a finding."""
        if len(self.findings) < FINDINGS_COUNT_MAX:
            self.findings.append(what)


class _Difference(NamedTuple):
    """Where entries and tiles first differ: both hashes from there to the end of the bundle."""

    number: int
    entries: list[bytes]
    tiles: list[bytes]


def verify(
    folder: Path, key: VerifierKey, older: Checkpoint | None = None, progress: Progress | None = None
) -> Verified:
    """Verify an export.

    Args:
        folder: The export.
        key: Of the log.
        older: A checkpoint of the same log that was kept elsewhere, its signature verified.
        progress: Called now and then.

    Raises:
        OSError: the folder cannot be read.
    """
    told = Verified()
    with closing(SignedHeads(folder, key, older, told.add)) as heads:
        return _Walk(folder, told, heads).run(progress)


class _Walk:
    """One pass over bundles and tiles."""

    def __init__(self, folder: Path, told: Verified, heads: SignedHeads) -> None:
        self._folder = folder
        self._told = told
        self._heads = heads
        self._checks = EntryChecks(self._told.add, has_personal=(folder / PERSONAL).is_dir())
        self._entries, self._tiles = Edge(), Edge()
        self._difference: _Difference | None = None
        self._proven_size = 0  # the largest checkpoint that entries or tiles agreed with
        self._is_broken = False

    def run(self, progress: Progress | None) -> Verified:
        size = self._heads.size
        for bundle in range((size + WIDTH - 1) // WIDTH):
            self._bundle(bundle, min(WIDTH, size - bundle * WIDTH))
            if progress is not None:
                progress(min(size, (bundle + 1) * WIDTH), size)
            if self._is_broken:
                break
        if not self._is_broken:
            self._compare_tiles(self._entries.partial())
            self._beyond(size)
        told = self._told
        told.entries_count, told.checkpoints_count = self._entries.size, self._heads.judged_count
        self._checks.finish(is_whole=self._entries.size == size)
        told.acts, told.notes = self._checks.acts, [*told.notes, *self._checks.notes]
        return told

    def _bundle(self, bundle: int, width: int) -> None:
        entries, hashes = self._read(bundle, width)
        personal = self._personal(bundle)
        for place in range(width):
            number = bundle * WIDTH + place
            found = leaf_hash(entries[place]) if place < len(entries) else None
            told = hashes[place] if place < len(hashes) else None
            if found is None:
                self._cut(number, told)
                return
            if self._difference is None and told is not None and not hmac.compare_digest(found, told):
                self._difference = _Difference(number, [*map(leaf_hash, entries[place:])], hashes[place:])
            self._compare_tiles(self._entries.append(found))
            self._tiles.append(told or found)
            if self._difference is None:
                self._checks.entry(number, entries[place], personal[place] if place < len(personal) else None)
            for root, source in self._heads.at(number + 1):
                self._judge(number + 1, root, source)
            if self._is_broken:
                return

    def _read(self, bundle: int, width: int) -> tuple[list[bytes], list[bytes]]:
        entries: list[bytes] = []
        try:
            entries = read_bundle(self._folder, bundle, width) or []
        except Tampered:
            self._told.add(f"the bundle with the entries from {bundle * WIDTH} on is damaged")
        hashes = self._tile(0, bundle, width)
        return entries, hashes

    def _personal(self, bundle: int) -> list[bytes]:
        try:
            return read_personal(self._folder, bundle)
        except Tampered:
            self._told.add(f"the file with the personal parts from entry {bundle * WIDTH} on is damaged")
            return []

    def _cut(self, number: int, told: bytes | None) -> None:
        self._is_broken = True
        self._settle()
        size = self._heads.size
        bundle = number // WIDTH
        width = min(WIDTH, size - (bundle + 1) * WIDTH)
        goes_on = width > 0 and (self._folder / tile_path(ENTRIES, bundle + 1, width)).exists()
        last = (bundle + 1) * WIDTH - 1 if goes_on else size - 1
        span = f"entry {number}" if number == last else f"entries {number} to {last}"
        tile = "; its hash is still in the tile" if told is not None else ""
        self._told.add(f"{span}: missing or cut off, though a signed checkpoint covers {size} entries{tile}")

    def _tile(self, level: int, number: int, width: int) -> list[bytes]:
        try:
            hashes = read_tile(self._folder, level, number, width)
        except Tampered:
            self._told.add(f"tile {level}/{number} is damaged")
            return []
        if hashes is None:
            self._told.add(f"tile {level}/{number} is missing")
        return hashes or []

    def _compare_tiles(self, tiles: list[Tile]) -> None:
        """Compare tiles above the entries' own hashes with those of the folder, while these agree."""
        for tile in tiles:
            if tile.level == 0 or self._difference is not None:
                continue
            stored = self._tile(tile.level, tile.number, len(tile.hashes))
            if stored and tuple(stored) != tile.hashes:
                self._told.add(f"tile {tile.level}/{tile.number} does not hold the hashes of the tiles below it")

    def _judge(self, size: int, root: bytes, source: str) -> None:
        """Compare what is there with what was signed for this size."""
        entries_fit = hmac.compare_digest(self._entries.root(), root)
        tiles_fit = hmac.compare_digest(self._tiles.root(), root)
        if entries_fit and self._difference is not None:
            number = self._difference.number
            self._told.add(f"entry {number}: its hash in the tile was altered; the entries are sound")
            self._is_broken = not tiles_fit
        elif not entries_fit and tiles_fit and self._difference is not None:
            self._told.add(_what_happened(self._difference))
            self._is_broken = True
        elif not entries_fit:
            first = self._proven_size
            span = str(first) if size == first + 1 else f"{first} to {size - 1}"
            self._told.add(
                f"entries {span}: not those that {source} was signed over; entries and tiles were both altered, or the "
                "log was forked"
            )
            self._is_broken = True
        else:
            self._proven_size = size

    def _settle(self) -> None:
        """Say what is known of a difference that no checkpoint has judged."""
        if self._difference is not None:
            self._told.add(_what_happened(self._difference))

    def _beyond(self, size: int) -> None:
        for number, width in _after(size):
            try:
                more = read_bundle(self._folder, number, width)
            except Tampered:
                more = []
            if more is not None and number * WIDTH + len(more) > size:
                self._told.add(f"entry {size} and what follows: added beyond the last signed checkpoint")
                return


def _after(size: int) -> Iterator[tuple[int, int]]:
    number, width = divmod(size, WIDTH)
    for wider in range(width + 1, WIDTH + 1):
        yield number, wider
    yield number + 1, WIDTH


def _what_happened(difference: _Difference) -> str:
    """Name the first entry that is not as the tiles say, and what was done to it as far as its neighbours tell."""
    number, entries, tiles = difference
    found, told = entries[0], tiles[0]
    if entries[1:2] and told == entries[1]:
        return f"entry {number}: inserted; the entry that was there comes after it"
    if tiles[1:2] and found == tiles[1]:
        return f"entry {number}: missing; the entry after it stands in its place"
    if found in tiles and told in entries:
        return f"entry {number}: out of order; it has changed places with entry {number + tiles.index(found)}"
    return f"entry {number}: altered"
