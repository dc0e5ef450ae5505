"""Reading a log file and its rotated predecessors backwards, in blocks of whole lines.

Laws: every walk is bounded by what its caller takes of it; nothing that lies in the folder makes it fail: files that
vanish, shrink or are no files, lines without an end. What is written meanwhile is the next walk's.

Rotated files lie beside the current one and begin with its name and a dot; compressed ones are not read.

Source: requirements KS-LOG-002, 012; docs/adr/0079.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

BLOCK_BYTES = 262_144
FILES_COUNT_MAX = 100
LISTED_ANEW_COUNT = 3
PROBE_BYTES = 16_384
CHECKED_BYTES = 64
COMPRESSED = (".gz", ".xz", ".zst", ".bz2")
_STAMP = re.compile(rb"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] ", re.MULTILINE)


class Place(NamedTuple):
    """Where a walk stopped: what lies before it comes next.

    Attributes:
        inode: Of the file, whatever it is called by then.
        below: Bytes of the file that were not looked at; at the begin of a line.
        check: CRC of what follows, by which another file of the same inode is known.
        stamp: Local time of what was looked at last, by which to go on when the file is not there any more.
    """

    inode: int
    below: int
    check: int
    stamp: str


class Block(NamedTuple):
    """Some whole lines of a file that follow each other."""

    inode: int
    start: int
    data: bytes

    def place(self, offset: int, stamp: str) -> Place:
        """Return the place before a line of the block that begins at an offset within it."""
        return Place(self.inode, self.start + offset, _check(self.data[offset : offset + CHECKED_BYTES]), stamp)

    def first_stamp(self) -> str:
        """Return the local time of the first line that has one, "" when none has."""
        found = _STAMP.search(self.data)
        return "" if found is None else found[1].decode()


class _Part(NamedTuple):
    file: int
    inode: int
    size_bytes: int
    is_current: bool


def walk(path: Path, place: Place | None, until: str) -> Iterator[Block]:
    """Yield blocks of lines, the newest first; of each block the lines are in the order of the file.

    Args:
        path: Of the current file.
        place: Where the walk before stopped; None = from the newest on.
        until: Local time; what is newer is left out, as far as lines are in order. "" = nothing is.
    """
    with ExitStack() as files:
        parts = _opened(path, files)
        if place is not None:
            fitting = [at for at, part in enumerate(parts) if _fits(part, place)]
            if fitting:
                parts = parts[fitting[0] :]
            else:  # the file is gone: its lines may be in another, or nowhere
                if not place.stamp:
                    return
                until = min(until or place.stamp, place.stamp)
                place = None
        for part in parts:
            below = _end_of(part) if place is None else place.below
            place = None
            if until:
                below = _bisected(part.file, below, until)
            for start, data in _blocks(part.file, below):
                yield Block(part.inode, start, data)


def _opened(path: Path, files: ExitStack) -> list[_Part]:
    """Open all files of a log, the newest first; they stay what they are while they are read."""
    parts: list[_Part] = []
    for _ in range(LISTED_ANEW_COUNT):
        listed = _listed(path)
        parts = []
        for name, inode in listed:
            with suppress(OSError):
                file = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
                files.callback(os.close, file)
                now = os.fstat(file)
                if now.st_ino == inode:
                    parts.append(_Part(file, inode, now.st_size, name == str(path)))
        if len(parts) == len(listed):  # else it was rotated between the two
            break
    return parts


def _listed(path: Path) -> list[tuple[str, int]]:
    """Return names and inodes of the files of a log, the newest first."""
    found = []
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            is_one = entry.name == path.name or entry.name.startswith(f"{path.name}.")
            if is_one and not entry.name.endswith(COMPRESSED):
                with suppress(OSError):
                    now = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(now.st_mode):
                        found.append((entry.name == path.name, now.st_mtime_ns, entry.name, now.st_ino))
    found.sort(reverse=True)
    return [(str(path.parent / name), inode) for _, _, name, inode in found[:FILES_COUNT_MAX]]


def _fits(part: _Part, place: Place) -> bool:
    if part.inode != place.inode or part.size_bytes < place.below:
        return False
    return _check(os.pread(part.file, CHECKED_BYTES, place.below)) == place.check


def _check(data: bytes) -> int:
    """Return what a line is known by: a CRC of how it begins."""
    return crc32(data.partition(b"\n")[0])


def _end_of(part: _Part) -> int:
    """Return how far whole lines go; the last one of the current file may be half written."""
    end = part.size_bytes
    if not part.is_current:
        return end
    begin = max(end - BLOCK_BYTES, 0)
    found = os.pread(part.file, end - begin, begin).rfind(b"\n")
    return begin + found + 1 if found >= 0 or not begin else end


def _bisected(file: int, below: int, until: str) -> int:
    """Return where the first line begins that is newer, if lines are in order."""
    low, high = 0, below
    while high - low > PROBE_BYTES:
        middle = (low + high) // 2
        data = os.pread(file, PROBE_BYTES, middle)
        found = _STAMP.search(data, data.find(b"\n") + 1)
        if found is None:
            break
        if found[1].decode() > until:
            if middle + found.start() >= high:
                break
            high = middle + found.start()
        else:
            low = middle
    if high - low > PROBE_BYTES:  # lines there have no times
        return high
    data = os.pread(file, high - low, low)
    for found in _STAMP.finditer(data, data.find(b"\n") + 1 if low else 0):
        if found[1].decode() > until:
            return low + found.start()
    return high


def _blocks(file: int, below: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, whole lines) backwards; a line that is longer than a block comes in pieces."""
    end = below
    while end > 0:
        start = max(end - BLOCK_BYTES, 0)
        data = os.pread(file, end - start, start)
        if len(data) < end - start:  # it was cut meanwhile
            return
        cut = data.find(b"\n") + 1 if start else 0
        cut = 0 if cut == len(data) else cut
        yield start + cut, data[cut:]
        end = start + cut
