"""TTLV: bytes to a tree of nodes and back. The reference that the quick paths (shapes, templates) must agree with.

Rule 1: strict. What is accepted has exactly one reading: exact lengths, zero padding, valid UTF-8, nothing behind.
Rule 2: time and memory are linear in the message's size, whatever the message says about itself.

An item is a tag (3 bytes), a type (1), a length (4) and a value padded with zeros to a multiple of eight bytes.

Source: KMIP 1.4 section 9.1, KMIP 2.1 section 10.1.
"""

from dataclasses import dataclass
from itertools import repeat
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class, and named like one
from typing import Any, NoReturn

from keystead.core.errors import Invalid
from keystead.protocols.kmip.wire.nodes import (
    BIG_INTEGER,
    BOOLEAN,
    BYTE_STRING,
    DATE_TIME,
    DATE_TIME_EXTENDED,
    ENUMERATION,
    INTEGER,
    INTERVAL,
    LONG_INTEGER,
    STRUCTURE,
    TEXT_STRING,
    Node,
)

MESSAGE_BYTES_MAX = 1 << 20
"""Largest message by default; the largest of the OASIS profile cases is below 64 KiB."""
DEPTH_MAX = 32
"""Structures within structures; the deepest message that KMIP defines has about ten."""
ITEMS_MAX = 1 << 16
"""Items of one message: as many integers as fill the largest message."""

PADDING = tuple(bytes(-length & 7) for length in range(8))
"""Zero bytes that follow a value, by the lowest three bits of its length."""

BEYOND = "the value ends behind its structure"
WRONG_LENGTH = "the length is not that of the type"
NOT_ZERO = "padding is not zero"

_TAG_FIRST_BYTES = (0x42, 0x54)
FOUR_BYTES = frozenset({INTEGER, ENUMERATION, INTERVAL})
LONG_NUMBERS = frozenset({LONG_INTEGER, DATE_TIME, DATE_TIME_EXTENDED})
EIGHT_BYTES = LONG_NUMBERS | {BOOLEAN}
"""Types by the length of their values."""

_read = Struct(">IIiI").unpack_from  # a header, and the value and padding of the four-byte types
_read_long = Struct(">IIq").unpack_from
_header = Struct(">II").pack
_signed_item = Struct(">IIi4x").pack
_unsigned_item = Struct(">III4x").pack
_long_item = Struct(">IIq").pack


class MalformedMessage(Invalid):
    """The bytes are not TTLV, or exceed a limit; nothing behind them on the connection can be trusted.

    Attributes:
        offset: Where in the message, in bytes.
        text: What is wrong there, without the message's content; stable.
    """

    def __init__(self, offset: int, text: str) -> None:
        super().__init__(f"malformed TTLV at byte {offset}: {text}", "invalid.message")
        self.offset = offset
        self.text = text


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message may be at most.

    Attributes:
        message_bytes_max: Header and value of the outermost item.
        depth_max: Structures within structures.
        items_max: Items at all depths together.
    """

    message_bytes_max: int = MESSAGE_BYTES_MAX
    depth_max: int = DEPTH_MAX
    items_max: int = ITEMS_MAX


LIMITS = Limits()


def decode(message: bytes, limits: Limits = LIMITS) -> Node:
    """Read exactly one item, usually a message.

    Raises:
        MalformedMessage: the bytes break a rule of the encoding or a limit.
    """
    _check_outermost(message, limits)
    buffer = message + bytes(8)  # so that reading the eight bytes behind a header never leaves the buffer
    items: list[Node] = []
    outer: list[tuple[list[Node], int]] = []  # the structures around this one: their items so far, and their end
    at, end = 0, len(message)
    for _ in repeat(None, limits.items_max):
        head, length, high, low = _read(buffer, at)
        kind = head & 0xFF
        if head >> 24 not in _TAG_FIRST_BYTES:
            raise MalformedMessage(at, "a tag starts with 42 or 54")
        if kind == STRUCTURE:
            if length & 7 or at + 8 + length > end or len(outer) > limits.depth_max:
                _refuse_structure(at, length, at + 8 + length > end)
            children: list[Node] = []
            items.append((head >> 8, STRUCTURE, children))
            at += 8
            if length:
                outer.append((items, end))
                items, end = children, at + length
                continue
        elif kind in FOUR_BYTES:
            if length != 4 or low or at + 16 > end:
                _refuse_four_bytes(at, length, at + 16 > end)
            items.append((head >> 8, kind, high if kind == INTEGER else high & 0xFFFFFFFF))
            at += 16
        elif kind in EIGHT_BYTES:
            items.append((head >> 8, kind, _eight_bytes(buffer, at, end)))
            at += 16
        else:
            stop = at + 8 + length
            behind = stop + (-length & 7)
            if behind > end or buffer[stop:behind] != PADDING[length & 7]:
                raise MalformedMessage(at, BEYOND if behind > end else NOT_ZERO)
            items.append((head >> 8, kind, _string(at, kind, buffer[at + 8 : stop])))
            at = behind
        while at == end:
            if not outer:
                return items[0]
            items, end = outer.pop()
    raise MalformedMessage(at, "too many items")


def _check_outermost(message: bytes, limits: Limits) -> None:
    size = len(message)
    if size > limits.message_bytes_max:
        raise MalformedMessage(0, "the message is larger than allowed")
    if size < 8:
        raise MalformedMessage(0, "no room for a tag, a type and a length")
    length = int.from_bytes(message[4:8], "big")
    if 8 + length + (-length & 7) != size:
        raise MalformedMessage(0, "the outermost length is not that of the message")


def _refuse_structure(at: int, length: int, is_beyond: bool) -> NoReturn:
    if length & 7:
        raise MalformedMessage(at, WRONG_LENGTH)
    raise MalformedMessage(at, BEYOND if is_beyond else "too many structures within structures")


def _refuse_four_bytes(at: int, length: int, is_beyond: bool) -> NoReturn:
    if length != 4:
        raise MalformedMessage(at, WRONG_LENGTH)
    raise MalformedMessage(at, BEYOND if is_beyond else NOT_ZERO)


def _eight_bytes(buffer: bytes, at: int, end: int) -> Any:
    """A number or a boolean, which compiled code would take for a number."""
    head, length, value = _read_long(buffer, at)
    if length != 8:
        raise MalformedMessage(at, WRONG_LENGTH)
    if at + 16 > end:
        raise MalformedMessage(at, BEYOND)
    if head & 0xFF != BOOLEAN:
        return int(value)
    if value not in (0, 1):
        raise MalformedMessage(at, "a boolean is neither 0 nor 1")
    return bool(value)


def _string(at: int, kind: int, value: bytes) -> str | bytes | int:
    """The value of a type whose length varies."""
    if kind == BYTE_STRING:
        return value
    if kind == TEXT_STRING:
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedMessage(at, "a text is not UTF-8") from None
    if kind == BIG_INTEGER:
        if not value or len(value) & 7:
            raise MalformedMessage(at, WRONG_LENGTH)
        return int.from_bytes(value, "big", signed=True)
    raise MalformedMessage(at, "unknown type")


def encode(node: Node) -> bytes:
    """Write one item, usually a message.

    Raises:
        Invalid: a value does not fit its type, a type is unknown, or structures nest deeper than DEPTH_MAX.
    """
    parts: list[bytes] = []
    try:
        _write(parts, node, DEPTH_MAX + 1)
    except (StructError, UnicodeEncodeError):  # their texts may show the value: not chained
        raise Invalid("a value does not fit its TTLV type; send a smaller number or valid text") from None
    return b"".join(parts)


def _write(parts: list[bytes], node: Node, depth_left: int) -> int:
    """Append one item's bytes; the answer is their count."""
    tag, kind, value = node
    head = tag << 8 | kind
    if kind == STRUCTURE:
        if not depth_left:
            raise Invalid(f"more than {DEPTH_MAX} structures within structures; send a flatter message")
        place = len(parts)
        parts.append(b"")
        length = 0
        for item in value:
            length += _write(parts, item, depth_left - 1)
        parts[place] = _header(head, length)
        return 8 + length
    if kind in FOUR_BYTES:
        parts.append((_signed_item if kind == INTEGER else _unsigned_item)(head, 4, value))
        return 16
    if kind in EIGHT_BYTES:
        parts.append(_long_item(head, 8, value))
        return 16
    raw = value if kind == BYTE_STRING else _string_bytes(kind, value)
    length = len(raw)
    parts += (_header(head, length), raw, PADDING[length & 7])
    return 8 + length + (-length & 7)


def _string_bytes(kind: int, value: Any) -> bytes:
    if kind == TEXT_STRING:
        return bytes(value.encode("utf-8"))
    if kind == BIG_INTEGER:
        bits = (value if value >= 0 else ~value).bit_length()  # without the sign
        return bytes(value.to_bytes((bits // 64 + 1) * 8, "big", signed=True))
    raise Invalid(f"type {kind} is no TTLV type; use one of KMIP 2.1 section 10.1.2")
