"""One TTLV item in memory: the tuple (tag, type, value).

| type | value |
|---|---|
| STRUCTURE | list of nodes |
| INTEGER, LONG_INTEGER | int of 32, 64 bits, signed |
| BIG_INTEGER | int |
| ENUMERATION, INTERVAL | int of 32 bits, unsigned; an interval is in seconds |
| BOOLEAN | bool |
| TEXT_STRING, BYTE_STRING | str, bytes |
| DATE_TIME | int: seconds since 1970-01-01 UTC |
| DATE_TIME_EXTENDED | int: microseconds since 1970-01-01 UTC; KMIP 2.0 and later |

Plain tuples, because they are what pure Python makes and takes apart quickest.

Source: KMIP 1.4 section 9.1.1.2; KMIP 2.1 sections 10.1.2 and 11.23.
"""

from typing import Any

STRUCTURE = 1
INTEGER = 2
LONG_INTEGER = 3
BIG_INTEGER = 4
ENUMERATION = 5
BOOLEAN = 6
TEXT_STRING = 7
BYTE_STRING = 8
DATE_TIME = 9
INTERVAL = 10
DATE_TIME_EXTENDED = 11

Node = tuple[int, int, Any]  # Any: the type says what the value is, which Python's types cannot


def structure(tag: int, *items: Node | None) -> Node:
    """A structure of the given items; None stands for an optional item that is absent."""
    return (tag, STRUCTURE, [item for item in items if item is not None])


def integer(tag: int, value: int) -> Node:
    """A signed number of 32 bits, or a mask."""
    return (tag, INTEGER, value)


def big_integer(tag: int, value: int) -> Node:
    """Make a Big Integer."""
    return tag, BIG_INTEGER, value


def enumeration(tag: int, value: int) -> Node:
    """A member of an enumeration."""
    return (tag, ENUMERATION, value)


def boolean(tag: int, value: bool) -> Node:
    """True or False."""
    return (tag, BOOLEAN, value)


def text(tag: int, value: str) -> Node:
    """A text."""
    return (tag, TEXT_STRING, value)


def byte_string(tag: int, value: bytes) -> Node:
    """Bytes."""
    return (tag, BYTE_STRING, value)


def date_time(tag: int, seconds: int) -> Node:
    """A time in seconds since 1970-01-01 UTC."""
    return (tag, DATE_TIME, seconds)


def first(node: Node, tag: int) -> Node | None:
    """The first item of a structure with this tag, or None."""
    items: list[Node] = node[2]
    for item in items:
        if item[0] == tag:
            return item
    return None


def every(node: Node, tag: int) -> list[Node]:
    """All items of a structure with this tag, in order."""
    return [item for item in node[2] if item[0] == tag]
