"""Compiled readers: messages of a shape seen before are read without building a tree.

A shape is a message with some leaves cut out, the *free* ones: identifiers, data, nonces. All other bytes (tags, types,
lengths, padding, remaining values) are constant. One `struct` call lifts the constant bytes out of a message, one
comparison settles them, one more call lifts out the free values.

One free leaf may be *elastic*: its length may differ from message to message. The lengths of the three structures
around it then differ by the same amount, so each must be the message's size less a constant.

Rule 1: what a shape accepts, `ttlv.decode` reads as the same tree with the same values in its free leaves (tested).
Rule 2: a shape remembers no secret: every byte string and big integer is free, and messages with credentials have none.

Source: KMIP 2.1 section 10.1; design.md section 4.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from struct import Struct
from typing import Any

from keystead.protocols.kmip.wire.nodes import (
    BIG_INTEGER,
    BYTE_STRING,
    DATE_TIME,
    DATE_TIME_EXTENDED,
    ENUMERATION,
    INTEGER,
    INTERVAL,
    LONG_INTEGER,
    STRUCTURE,
    TEXT_STRING,
)
from keystead.protocols.kmip.wire.tags_table import Tag
from keystead.protocols.kmip.wire.ttlv import PADDING, decode

Path = tuple[int, ...]
"""The tags from the message down to a leaf: (REQUEST_MESSAGE, BATCH_ITEM, REQUEST_PAYLOAD, UNIQUE_IDENTIFIER)."""

FREE_LEAVES_MAX = 64
ELASTIC_DEPTH = 3
"""Structures around an elastic leaf, at least: message, batch item, payload. Elsewhere it keeps its length."""

_CODES = {INTEGER: "i", LONG_INTEGER: "q", ENUMERATION: "I", DATE_TIME: "q", INTERVAL: "I", DATE_TIME_EXTENDED: "q"}
_SECRET_TYPES = frozenset({BYTE_STRING, BIG_INTEGER})
_SECRET_TAGS = frozenset({Tag.AUTHENTICATION, Tag.CREDENTIAL, Tag.PASSWORD})
_header = Struct(">II").unpack_from


class Freedom(Enum):
    """How a free leaf may differ from the message that its shape was made of."""

    VALUE = "any value of the same length"
    LENGTH = "any value of any length"


@dataclass(frozen=True, slots=True)
class _Leaf:
    path: Path
    kind: int
    start: int  # of its value
    length: int
    around: tuple[int, ...]  # where the values of the structures around it start, outermost first

    @property
    def code(self) -> str:
        """How `struct` reads the value."""
        return _CODES.get(self.kind) or f"{self.length}s"

    @property
    def is_string(self) -> bool:
        return self.kind in (TEXT_STRING, BYTE_STRING)


class FixedShape:
    """A shape without an elastic leaf: every message of it has the same size.

    Attributes:
        paths: The path of each free leaf, in the order of the message.
    """

    __slots__ = ("_constants", "_constants_of", "_size", "_texts", "_values_of", "paths")

    def __init__(self, message: bytes, leaves: list[_Leaf]) -> None:
        spans = [(leaf.start, leaf.code) for leaf in leaves]
        self.paths = tuple(leaf.path for leaf in leaves)
        self._size = len(message)
        self._constants_of = _gaps(spans, 0, self._size).unpack
        self._constants = self._constants_of(message)
        self._values_of = _fields(spans, 0, self._size).unpack
        self._texts = tuple(i for i, leaf in enumerate(leaves) if leaf.kind == TEXT_STRING)

    def match(self, message: bytes) -> list[Any] | None:
        """The free leaves' values, as `decode` would give them; None when the message is of another shape."""
        if len(message) != self._size or self._constants_of(message) != self._constants:
            return None
        values = [*self._values_of(message)]
        try:
            for i in self._texts:
                values[i] = str(values[i], "utf-8")
        except UnicodeDecodeError:
            return None
        return values


class ElasticShape:
    """A shape with one leaf of any length: a head up to that leaf's value, and a tail behind its padding.

    What the lengths of the structures around the leaf must be follows from the message's size.

    Attributes:
        paths: The path of each free leaf, in the order of the message.
    """

    __slots__ = (
        *("_head_bytes", "_head_constants", "_head_constants_of", "_head_values_of"),
        *(
            "_lengths",
            "_lengths_of",
            "_tail_bytes",
            "_tail_constants",
            "_tail_constants_of",
            "_tail_values_of",
            "_texts",
            "paths",
        ),
    )

    def __init__(self, message: bytes, leaves: list[_Leaf], elastic: _Leaf) -> None:
        place = leaves.index(elastic)
        self.paths = tuple(leaf.path for leaf in leaves)
        self._texts = tuple(i for i, leaf in enumerate(leaves) if leaf.kind == TEXT_STRING)
        self._head_bytes = elastic.start
        size = len(message)
        behind = elastic.start + elastic.length + (-elastic.length & 7)

        free = [(leaf.start, leaf.code) for leaf in leaves[:place]]
        length = (elastic.start - 4, "I")
        around = [(start - 4, "I") for start in elastic.around]
        self._head_constants_of = _gaps(sorted([*free, *around, length]), 0, elastic.start).unpack_from
        self._head_constants = self._head_constants_of(message)
        self._head_values_of = _fields([*free, length], 0, elastic.start).unpack_from
        self._lengths_of = _fields(around, 0, elastic.start).unpack_from
        self._lengths = [size - found for found in self._lengths_of(message)]

        tail = [(leaf.start, leaf.code) for leaf in leaves[place + 1 :]]
        self._tail_bytes = size - behind
        self._tail_constants_of = _gaps(tail, behind, size).unpack_from
        self._tail_constants = self._tail_constants_of(message, behind)
        self._tail_values_of = _fields(tail, behind, size).unpack_from

    def match(self, message: bytes) -> list[Any] | None:
        """The free leaves' values, as `decode` would give them; None when the message is of another shape."""
        size = len(message)
        behind = size - self._tail_bytes
        start = self._head_bytes
        if behind < start:
            return None
        if self._head_constants_of(message) != self._head_constants:
            return None
        for less, found in zip(self._lengths, self._lengths_of(message), strict=True):
            if less != size - found:
                return None
        values = [*self._head_values_of(message)]
        length = values.pop()
        stop = start + length
        if stop + (-length & 7) != behind or (length & 7 and message[stop:behind] != PADDING[length & 7]):
            return None
        values.append(message[start:stop])
        if behind != size:
            if self._tail_constants_of(message, behind) != self._tail_constants:
                return None
            values += self._tail_values_of(message, behind)
        try:
            for i in self._texts:
                values[i] = str(values[i], "utf-8")
        except UnicodeDecodeError:
            return None
        return values


Shape = FixedShape | ElasticShape


def compile_shape(message: bytes, free: Mapping[Path, Freedom]) -> Shape | None:
    """Make the shape of a message; None when it has none: too much free, or a secret beside it.

    Booleans, big integers and structures are never free. Only the first leaf with the freedom of LENGTH is elastic.

    Raises:
        MalformedMessage: the message is not TTLV.
    """
    decode(message)
    leaves = []
    for leaf in _leaves(message):
        if leaf.path in free and (leaf.is_string or leaf.kind in _CODES):
            leaves.append(leaf)
        elif leaf.kind in _SECRET_TYPES or not _SECRET_TAGS.isdisjoint(leaf.path):
            return None
    if len(leaves) > FREE_LEAVES_MAX:
        return None
    for leaf in leaves:
        if free[leaf.path] is Freedom.LENGTH and leaf.is_string and len(leaf.around) >= ELASTIC_DEPTH:
            return ElasticShape(message, leaves, leaf)
    return FixedShape(message, leaves)


def _leaves(message: bytes) -> Iterator[_Leaf]:
    """Every item but structures, of bytes that `decode` accepted."""
    around: list[tuple[int, int, int]] = []  # tag, start and end of each structure that is open
    at = 0
    while at < len(message):
        head, length = _header(message, at)
        start = at + 8
        if head & 0xFF == STRUCTURE:
            around.append((head >> 8, start, start + length))
            at = start
        else:
            path = (*(tag for tag, _, _ in around), head >> 8)
            yield _Leaf(path, head & 0xFF, start, length, tuple(opened for _, opened, _ in around))
            at = start + length + (-length & 7)
        while around and around[-1][2] == at:
            around.pop()


def _gaps(spans: list[tuple[int, str]], start: int, stop: int) -> Struct:
    """Reads the bytes between the spans of [start, stop), and skips the spans."""
    formats, at = [], start
    for span, code in spans:
        formats += [f"{span - at}s", f"{Struct('>' + code).size}x"]
        at = span + Struct(">" + code).size
    return Struct(">" + "".join(formats) + f"{stop - at}s")


def _fields(spans: list[tuple[int, str]], start: int, stop: int) -> Struct:
    """Reads the spans of [start, stop), and skips the bytes between them."""
    formats, at = [], start
    for span, code in spans:
        formats += [f"{span - at}x", code]
        at = span + Struct(">" + code).size
    return Struct(">" + "".join(formats) + f"{stop - at}x")
