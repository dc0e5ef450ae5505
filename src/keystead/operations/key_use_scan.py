"""Scanning the activity log for the use of keys: what of each line is wanted, page by page or counted.

Laws: a scan looks at so many bytes and says where to go on; a line that cannot be understood is told or passed over,
never trusted. Everything here may run on another thread: it works on the log's files and plain values only.

Source: requirements KS-LOG-002, 012; docs/adr/0079.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from keystead.core.errors import Invalid
from keystead.gate.activity_lines import LINE, ActivityLine, hour_s, line_of, local_stamp
from keystead.gate.log_reading import Block, Place, walk

NEEDLES_COUNT = 8  # with more of them lines are taken apart sooner than found
LOOKED_AT_BYTES_MAX = 8_388_608
PLACE_CHARACTERS_MAX = 256
SHIFT_S_MAX = 7_200  # by which summer time, or a clock that was set, may put lines out of order
NO_KEY = b"-"
HOUR, PRIORITY, USER, TITLE, KEY = 1, 4, 7, 9, 10
"""Groups of LINE."""
_DAY_CHARACTERS, _HOUR_CHARACTERS = 10, 13
_STAMP_CHARACTERS = 19


class Wanted(NamedTuple):
    """Which lines are wanted; everything that is given must hold.

    Attributes:
        keys: How the key may be called, in UTF-8 like user and title; empty = any.
        user: Name; empty = anybody's.
        title: Request type; empty = all.
        from_s: Then or later; None = whenever.
        until_s: Then or before.
    """

    keys: frozenset[bytes] = frozenset()
    user: bytes = b""
    title: bytes = b""
    from_s: int | None = None
    until_s: int | None = None

    @property
    def is_all(self) -> bool:
        """Whether every line on a key is wanted."""
        return self == Wanted()

    def needles(self) -> tuple[bytes, ...]:
        """Return texts of which each wanted line has one; () = they have too little in common to look for it."""
        if 0 < len(self.keys) <= NEEDLES_COUNT:
            return tuple(b" %b [" % key for key in self.keys)
        return (b"] %b " % self.user,) if self.user else (b" %b " % self.title,) if self.title else ()

    def is_named(self, key: bytes, user: bytes, title: bytes) -> bool:
        """Tell whether the words of a line are wanted."""
        if key == NO_KEY or (self.keys and key not in self.keys):
            return False
        return self.user in (b"", user) and self.title in (b"", title)

    def is_in_time(self, data: bytes, start: int) -> bool:
        """Tell whether a line that begins there is of a time that is wanted; one without a time is looked at closer."""
        if self.from_s is None and self.until_s is None:
            return True
        stamp = data[start + 1 : start + _STAMP_CHARACTERS + 1]
        begin_s = hour_s(stamp[:_HOUR_CHARACTERS])
        if begin_s is None:
            return True
        minute, second = stamp[14:16], stamp[17:19]
        if not (minute.isdigit() and second.isdigit()):
            return True
        at_s = begin_s + int(minute) * 60 + int(second)
        return (self.from_s is None or at_s >= self.from_s) and (self.until_s is None or at_s <= self.until_s)


class Listed(NamedTuple):
    """Lines, newest first; None = one that cannot be understood. With where to go on, None = that was all."""

    lines: list[ActivityLine | None]
    place: Place | None


class Counted(NamedTuple):
    """(begin of hour or day, whose) -> (uses, failures among them), with where to go on."""

    counts: dict[tuple[int, str], tuple[int, int]]
    place: Place | None


class Grouping(NamedTuple):
    """What is counted together: the whole day or one hour; a group of LINE, 0 = all."""

    by_day: bool
    group: int


def list_lines(path: Path, wanted: Wanted, place: Place | None, limit_count: int) -> Listed:
    """Return what is wanted from a place on."""
    lines: list[ActivityLine | None] = []
    for block, is_last in _blocks(path, wanted, place):
        for start in _starts(block.data, wanted.needles()):
            if not wanted.is_in_time(block.data, start):
                continue
            found = LINE.match(block.data, start)
            line = None if found is None else line_of(found)
            if wanted.is_all if found is None or line is None else wanted.is_named(*found.group(KEY, USER, TITLE)):
                lines.append(line)
                if len(lines) == limit_count:
                    return Listed(lines, _place(block, start))
        if is_last:
            return Listed(lines, _place(block, 0))
    return Listed(lines, None)


def count_lines(path: Path, wanted: Wanted, place: Place | None, grouping: Grouping, rows_count_max: int) -> Counted:
    """Return counts from a place on; with too many different ones it stops where the next would be one too many."""
    counts: dict[tuple[bytes, bytes], list[int]] = {}
    before = None
    for block, is_last in _blocks(path, wanted, place):
        for found in _matches(block.data, wanted):
            if not wanted.is_named(*found.group(KEY, USER, TITLE)):
                continue
            hour = found[HOUR]
            row = hour[:_DAY_CHARACTERS] if grouping.by_day else hour, found[grouping.group] if grouping.group else b""
            held = counts.get(row)
            if held is None:
                if len(counts) == rows_count_max and before is not None:
                    return Counted(_told(counts), _place(*before))
                held = counts[row] = [0, 0]
            held[0] += 1
            held[1] += found[PRIORITY] == b"ERROR"
            before = block, found.start()
        if is_last:
            return Counted(_told(counts), _place(block, 0))
    return Counted(_told(counts), None)


def _told(counts: Mapping[tuple[bytes, bytes], list[int]]) -> dict[tuple[int, str], tuple[int, int]]:
    found = {}
    for (begin, name), (uses_count, failures_count) in counts.items():
        begin_s = hour_s(begin if len(begin) > _DAY_CHARACTERS else begin + b" 00")
        if begin_s is not None:
            found[begin_s, name.decode(errors="replace")] = uses_count, failures_count
    return found


def cursor_of(place: Place | None) -> str:
    """Return a place as text, "" for none."""
    if place is None:
        return ""
    return urlsafe_b64encode("\n".join(map(str, place)).encode()).decode()


def place_of(cursor: str) -> Place | None:
    """Return the place of a cursor, None for "".

    Raises:
        Invalid: it is none.
    """
    if not cursor:
        return None
    try:
        if len(cursor) > PLACE_CHARACTERS_MAX:
            raise ValueError("too long")
        inode, below, check, stamp = urlsafe_b64decode(cursor.encode("ascii")).decode("ascii").split("\n")
        place = Place(int(inode), int(below), int(check), stamp)
        if any(not 0 <= number < 2**63 for number in place[:3]) or len(stamp) not in (0, _STAMP_CHARACTERS):
            raise ValueError("out of range")
    except ValueError:
        raise Invalid("go on with `next` of the page before, with everything else as it was", "invalid.field") from None
    return place


def _blocks(path: Path, wanted: Wanted, place: Place | None) -> Iterator[tuple[Block, bool]]:
    """Yield blocks, and whether a scan has looked at enough with this one; ends before what is too old."""
    oldest = "" if wanted.from_s is None else local_stamp(max(wanted.from_s - SHIFT_S_MAX, 0))
    until = "" if wanted.until_s is None else local_stamp(wanted.until_s + SHIFT_S_MAX)
    looked_at_bytes = 0
    for block in walk(path, place, until):
        looked_at_bytes += len(block.data)
        yield block, looked_at_bytes >= LOOKED_AT_BYTES_MAX
        stamp = block.first_stamp()
        if stamp and stamp < oldest:
            return


def _starts(data: bytes, needles: tuple[bytes, ...]) -> Iterator[int]:
    """Yield where lines begin that may be wanted, the last first."""
    if needles:
        found = {data.rfind(b"\n", 0, at) + 1 for needle in needles for at in _all(data, needle)}
        yield from sorted(found, reverse=True)
        return
    end = len(data) - data.endswith(b"\n")
    while end >= 0:
        start = data.rfind(b"\n", 0, end) + 1
        yield start
        end = start - 1


def _all(data: bytes, needle: bytes) -> Iterator[int]:
    """Yield where a text is, at most once in a line."""
    at = data.find(needle)
    while at >= 0:
        yield at
        end = data.find(b"\n", at)
        at = data.find(needle, end) if end >= 0 else -1


def _matches(data: bytes, wanted: Wanted) -> Iterator["re.Match[bytes]"]:
    """Yield lines that may be wanted, of a time that is; the last first."""
    needles = wanted.needles()
    if not needles:
        found = (each for each in reversed(list(LINE.finditer(data))))
    else:
        found = (each for start in _starts(data, needles) if (each := LINE.match(data, start)) is not None)
    for each in found:
        if wanted.is_in_time(data, each.start()):
            yield each


def _place(block: Block, start: int) -> Place:
    found = LINE.match(block.data, start)
    stamp = block.first_stamp() if found is None else found[0][1 : _STAMP_CHARACTERS + 1].decode()
    return block.place(start, stamp)
