"""Hashes of the audit tree as tiles: the right edge that grows, and any subtree read back from files.

Source: C2SP tlog-tiles; RFC 9162 section 2.1.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from keystead.core.errors import Tampered
from keystead.storage.audit_tree.files import HEIGHT, WIDTH, read_tile
from keystead.trust.merkle import fold, peaks, range_hash, root_of

TILES_HELD_COUNT_MAX = 256


class Tile(NamedTuple):
    """Hashes of one level, 1 to 256, from a multiple of 256 on."""

    level: int
    number: int
    hashes: tuple[bytes, ...]


class Edge:
    """The right edge of a tree: the last tile of each level as far as it is filled.

    Attributes:
        size: Leaves.
    """

    def __init__(self, size: int = 0, levels: Sequence[Sequence[bytes]] = ()) -> None:
        self.size = size
        self._levels = [list(level) for level in levels] or [[]]

    def append(self, leaf: bytes) -> list[Tile]:
        """Take in the hash of the next leaf; returns the tiles that it fills."""
        self.size += 1
        filled: list[Tile] = []
        level, found = 0, leaf
        while True:
            if level == len(self._levels):
                self._levels.append([])
            hashes = self._levels[level]
            hashes.append(found)
            if len(hashes) < WIDTH:
                return filled
            filled.append(Tile(level, (self.size >> HEIGHT * (level + 1)) - 1, tuple(hashes)))
            found = root_of(hashes)
            hashes.clear()
            level += 1

    def root(self) -> bytes:
        """Return the root of the tree as it stands."""
        return fold([peak for level in reversed(self._levels) for peak in peaks(level)])

    def partial(self) -> list[Tile]:
        """Return the last tile of each level that is not full and not empty."""
        return [
            Tile(level, self.size >> HEIGHT * (level + 1), tuple(hashes))
            for level, hashes in enumerate(self._levels)
            if hashes
        ]


def widths(size: int) -> list[tuple[int, int, int]]:
    """Return (level, number of full tiles, width of the partial one after them) of a tree's levels with hashes."""
    found, level = [], 0
    while count := size >> HEIGHT * level:
        found.append((level, count // WIDTH, count % WIDTH))
        level += 1
    return found


def read_edge(folder: Path, size: int) -> Edge:
    """Read the right edge of a tree of a size. Raises Tampered: a tile is missing or cut off."""
    levels = []
    for level, full_count, width in widths(size):
        hashes = read_tile(folder, level, full_count, width) if width else []
        if hashes is None:
            raise Tampered(f"tile {level}/{full_count} of the audit tree is missing")
        levels.append(hashes)
    return Edge(size, levels)


class Tiles:
    """Subtrees of a tree of one size, from its files; not authenticated until a root is compared."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size
        self._held: dict[tuple[int, int], list[bytes]] = {}

    def subtree(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree (merkle.Subtree). Raises Tampered: a tile is missing."""
        tile_level, height = divmod(level, HEIGHT)
        first = index << height
        hashes = self._tile(tile_level, first // WIDTH)
        at = first % WIDTH
        return root_of(hashes[at : at + (1 << height)])

    def root(self, size: int) -> bytes:
        """Return the root of the first `size` leaves, 1 or more. Raises Tampered."""
        return range_hash(0, size, self.subtree)

    def _tile(self, level: int, number: int) -> list[bytes]:
        found = self._held.get((level, number))
        if found is None:
            width = min(WIDTH, (self._size >> HEIGHT * level) - number * WIDTH)
            read = read_tile(self._folder, level, number, width)
            if read is None:
                raise Tampered(f"tile {level}/{number} of the audit tree is missing")
            if len(self._held) >= TILES_HELD_COUNT_MAX:
                self._held.clear()
            found = self._held[level, number] = read
        return found
