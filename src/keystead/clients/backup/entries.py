"""Entries of a snapshot: folders, files and links with their metadata, and where a file's content lies.

The list of entries is a stream of frames, each 4 bytes length and a CBOR array, sorted by path so that two lists are
compared in one pass. A file in more than PIECES_FRAME_MAX pieces goes on in frames that begin with null.

Laws: a list is judged as if an enemy had written it: names that lead elsewhere, entries out of order or below something
that is no folder, and pieces that do not add up are refused before anything is written.

Source: requirements DS-001, DS-002; attacks.md class 50; docs/design/backup-format.md section 3.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import cbor2

from keystead.core.errors import Tampered
from keystead.custody.safeguard.depot import ID_BYTES, Area

PATH_BYTES_MAX = 16 * 1024
NAME_BYTES_MAX = 255
PIECES_FRAME_MAX = 1000
FRAME_BYTES_MAX = 128 * 1024
_AREAS = (Area.CLIENT, Area.ACCOUNT)
_LENGTH = struct.Struct(">I")
_PIECE_ITEMS = 3
_ENTRY_ITEMS = 12


class Form(StrEnum):
    """What an entry is."""

    FOLDER = "d"
    FILE = "f"
    LINK = "l"


class Piece(NamedTuple):
    """Part of a file: `length` bytes from `offset` of the chunk `id`."""

    id: bytes
    offset: int
    length: int


class Stamp(NamedTuple):
    """What tells whether a file was touched; times in nanoseconds since 1970."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(slots=True)
class Entry:
    """One folder, file or link.

    Attributes:
        path: Names from the root of the file system, as bytes.
        form: Folder, file or link.
        mode: Permission bits.
        owner: Numbers of user and group.
        stamp: Size and times.
        target: Where a link leads.
        code: Keyed code of a file's content, 32 bytes.
        area: Whose chunks a file consists of.
        pieces: A file's content, in order.
    """

    path: tuple[bytes, ...]
    form: Form
    mode: int
    owner: tuple[int, int]
    stamp: Stamp
    target: bytes = b""
    code: bytes = b""
    area: Area = Area.CLIENT
    pieces: list[Piece] = field(default_factory=list)


def written(entry: Entry) -> Iterator[bytes]:
    """Give the frames of an entry."""
    flat = [item for piece in entry.pieces for item in piece]
    step = PIECES_FRAME_MAX * _PIECE_ITEMS
    size, mtime_ns, ctime_ns, inode = entry.stamp
    yield _frame(
        [
            b"/".join(entry.path),
            *(entry.form.value, entry.mode, *entry.owner),
            *(size, mtime_ns, ctime_ns, inode),
            entry.code if entry.form is Form.FILE else entry.target,
            *(_AREAS.index(entry.area), flat[:step]),
        ]
    )
    for start in range(step, len(flat), step):
        yield _frame([None, flat[start : start + step]])


def _frame(items: list[Any]) -> bytes:
    body = cbor2.dumps(items)
    return _LENGTH.pack(len(body)) + body


def read(blocks: Iterable[bytes]) -> Iterator[Entry]:
    """Give the entries of a list that arrives in blocks.

    Raises:
        Tampered: the list is not one that this program would have written.
    """
    order = _Order()
    waiting: Entry | None = None
    for body in _bodies(blocks):
        items = _decoded(body)
        if items[:1] == [None] and len(items) == 2:
            if waiting is None:
                raise Tampered("the list of files goes on with a file that it did not begin")
            waiting.pieces.extend(_more(items[1]))
            continue
        if waiting is not None:
            yield _complete(waiting)
        waiting = _entry(items)
        order.judge(waiting)
    if waiting is not None:
        yield _complete(waiting)


def _bodies(blocks: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for block in blocks:
        held += block
        place = 0
        while len(held) - place >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(held, place)
            if length > FRAME_BYTES_MAX:
                raise Tampered("an entry of the list of files is too long")
            if len(held) - place < _LENGTH.size + length:
                break
            yield bytes(held[place + _LENGTH.size : place + _LENGTH.size + length])
            place += _LENGTH.size + length
        del held[:place]
    if held:
        raise Tampered("the list of files ends in the middle of an entry")


def _decoded(body: bytes) -> list[Any]:
    try:
        items = cbor2.loads(body)
    except cbor2.CBORDecodeError:
        items = None
    if not isinstance(items, list):
        raise Tampered("an entry of the list of files cannot be read")
    return items


def _entry(items: list[Any]) -> Entry:
    try:
        if len(items) != _ENTRY_ITEMS:
            raise ValueError
        path, form, mode, user, group, size, mtime_ns, ctime_ns, inode, more, area, flat = items
        numbers = (mode, user, group, size, ctime_ns, inode, area)
        if not all(type(number) is int and number >= 0 for number in numbers) or type(mtime_ns) is not int:
            raise ValueError
        if not (isinstance(path, bytes) and isinstance(more, bytes)) or mode > 0o7777:
            raise ValueError
        entry = Entry(_names(path), Form(form), mode, (user, group), Stamp(size, mtime_ns, ctime_ns, inode))
        entry.area = _AREAS[area]
        entry.pieces = _pieces(flat)
    except (ValueError, IndexError):
        raise Tampered("an entry of the list of files cannot be read") from None
    if entry.form is Form.FILE:
        entry.code = more
    else:
        entry.target = more
    return entry


def _names(path: bytes) -> tuple[bytes, ...]:
    names = tuple(path.split(b"/"))
    if len(path) > PATH_BYTES_MAX or any(hostile(name) for name in names):
        raise Tampered("a name in the list of files leads elsewhere; nothing of this snapshot is restored")
    return names


def hostile(name: bytes) -> bool:
    """Tell whether a name is none that a folder can hold."""
    return name in (b"", b".", b"..") or b"/" in name or b"\0" in name or len(name) > NAME_BYTES_MAX


def _more(flat: Any) -> list[Piece]:
    try:
        return _pieces(flat)
    except ValueError:
        raise Tampered("an entry of the list of files cannot be read") from None


def shown(path: tuple[bytes, ...]) -> str:
    """Return a path for people: nothing in it acts on a terminal."""
    text = (b"/" + b"/".join(path)).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _pieces(flat: Any) -> list[Piece]:
    if not isinstance(flat, list) or len(flat) % _PIECE_ITEMS:
        raise ValueError
    return [_piece(*flat[place : place + _PIECE_ITEMS]) for place in range(0, len(flat), _PIECE_ITEMS)]


def _piece(chunk_id: Any, offset: Any, length: Any) -> Piece:
    if not isinstance(chunk_id, bytes) or len(chunk_id) != ID_BYTES:
        raise ValueError
    if type(offset) is not int or type(length) is not int or offset < 0 or length < 1:
        raise ValueError
    return Piece(chunk_id, offset, length)


def _complete(entry: Entry) -> Entry:
    expected = entry.stamp.size if entry.form is Form.FILE else 0
    if sum(piece.length for piece in entry.pieces) != expected:
        raise Tampered("the pieces of a file do not add up to it")
    if entry.form is Form.LINK and (not entry.target or b"\0" in entry.target):
        raise Tampered("a link leads nowhere")
    return entry


class _Order:
    """Judges that paths rise, and that each lies in a folder that was listed."""

    def __init__(self) -> None:
        self._last: tuple[bytes, ...] = ()
        self._folders: list[bytes] = []

    def judge(self, entry: Entry) -> None:
        """Raises: Tampered."""
        if entry.path <= self._last:
            raise Tampered("the list of files is not in order")
        parent = list(entry.path[:-1])
        if self._folders[: len(parent)] != parent:
            raise Tampered("a file in the list does not lie in a folder")
        self._last = entry.path
        self._folders = [*parent, entry.path[-1]] if entry.form is Form.FOLDER else parent
