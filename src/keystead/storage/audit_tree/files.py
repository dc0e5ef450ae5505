"""Files of the audit tree: where tiles, bundles and personal parts lie, how they are written durably and read.

Source: C2SP tlog-tiles (paths, partial tiles, bundles of entries).
"""

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from keystead.core.errors import Tampered
from keystead.trust.durable_files import flush_folder
from keystead.trust.merkle import HASH_BYTES

WIDTH = 256
HEIGHT = 8  # of the subtree in one tile
FILE_MODE = 0o600
FOLDER_MODE = 0o700
BUNDLE_BYTES_MAX = WIDTH * (65_535 + 2)
PERSONAL_BYTES_MAX = WIDTH * 65_536
ENTRIES = "entries"
CHECKPOINT = "checkpoint"
CHECKPOINTS = "checkpoints"
KEY = "key"
PERSONAL = "personal"
_ENTRY_LENGTH = struct.Struct(">H")
_PERSONAL_LENGTH = struct.Struct(">I")


def number_path(number: int) -> str:
    """Return an index as folders of three digits: 1234067 is x001/x234/067."""
    path = f"{number % 1000:03}"
    while number := number // 1000:
        path = f"x{number % 1000:03}/{path}"
    return path


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Return where a tile of hashes (level 0 to 63) or a bundle (`ENTRIES`) lies, below the tree's folder."""
    return f"tile/{level}/{number_path(number)}" + ("" if width == WIDTH else f".p/{width}")


def personal_path(number: int) -> str:
    """Return where the personal parts of a bundle's entries lie."""
    return f"{PERSONAL}/{number_path(number)}"


def packed_entries(entries: Iterable[bytes]) -> bytes:
    """Return a bundle: each entry with its length before it."""
    return b"".join(_ENTRY_LENGTH.pack(len(entry)) + entry for entry in entries)


def packed_personal(parts: Iterable[bytes]) -> bytes:
    """Return the file of a bundle's personal parts."""
    return b"".join(_PERSONAL_LENGTH.pack(len(part)) + part for part in parts)


def unpacked_entries(data: bytes) -> list[bytes]:
    """Cut a bundle. Raises Tampered."""
    return list(_cut(data, _ENTRY_LENGTH))


def unpacked_personal(data: bytes) -> list[bytes]:
    """Cut a file of personal parts. Raises Tampered."""
    return list(_cut(data, _PERSONAL_LENGTH))


def _cut(data: bytes, length: struct.Struct) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        if at + length.size > len(data):
            raise Tampered("a file of the audit tree is cut off")
        (size,) = length.unpack_from(data, at)
        at += length.size
        if at + size > len(data):
            raise Tampered("a file of the audit tree is cut off")
        yield data[at : at + size]
        at += size


def read_whole(path: Path, bytes_max: int) -> bytes | None:
    """Return what is in a file, None when there is none. Raises Tampered (too large), OSError."""
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(data) > bytes_max:
        raise Tampered(f"{path.name} of the audit tree is larger than any that was written")
    return data


def read_tile(folder: Path, level: int, number: int, width: int) -> list[bytes] | None:
    """Return `width` hashes of a tile, from the full tile where the partial one is gone; None when neither is there.

    Raises:
        Tampered: it is too short.
    """
    data = _partial_or_full(folder, level, number, width, WIDTH * HASH_BYTES)
    if data is None:
        return None
    if len(data) < width * HASH_BYTES:
        raise Tampered(f"tile {level}/{number} of the audit tree is cut off")
    return [data[i : i + HASH_BYTES] for i in range(0, width * HASH_BYTES, HASH_BYTES)]


def read_bundle(folder: Path, number: int, width: int) -> list[bytes] | None:
    """Return the first `width` entries of a bundle, fewer of a shorter one; None: there is none. Raises Tampered."""
    data = _partial_or_full(folder, ENTRIES, number, width, BUNDLE_BYTES_MAX)
    return None if data is None else unpacked_entries(data)[:width]


def _partial_or_full(folder: Path, level: int | str, number: int, width: int, bytes_max: int) -> bytes | None:
    data = read_whole(folder / tile_path(level, number, width), bytes_max)
    if data is None and width != WIDTH:
        data = read_whole(folder / tile_path(level, number), bytes_max)
    return data


class Writing:
    """Files written together: each is flushed at once, the folders they are in at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._touched: set[Path] = set()

    def write(self, name: str, data: bytes) -> None:
        """Write a file that no checkpoint covers yet, in place."""
        path = self._folder / name
        self._make_folder(path.parent)
        _written(path, data, os.O_TRUNC)
        self._touched.add(path.parent)

    def replace(self, name: str, data: bytes) -> None:
        """Write a file that is read while it is replaced: beside its place, then renamed."""
        path = self._folder / name
        beside = path.with_name(path.name + ".new")
        self._make_folder(path.parent)
        _written(beside, data, os.O_TRUNC)
        beside.replace(path)
        self._touched.add(path.parent)

    def append(self, name: str, data: bytes) -> None:
        """Add to the end of a file."""
        path = self._folder / name
        _written(path, data, os.O_APPEND)
        self._touched.add(path.parent)

    def flush(self) -> None:
        """Make the names durable."""
        for folder in self._touched:
            flush_folder(folder)
        self._touched.clear()

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir(FOLDER_MODE, exist_ok=True)
            self._touched.add(folder.parent)


def _written(path: Path, data: bytes, how: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | how
    with os.fdopen(os.open(path, flags, FILE_MODE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
