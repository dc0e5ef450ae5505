"""Structures read by tables: which fields a structure has in which version, and how each becomes a value.

Rule 1: a field that the version of the message does not have is refused (KMIP 1.4 section 11.1: Invalid Field), one
that appears twice or has another type makes the item unreadable (Invalid Message).
Rule 2: the order of fields is not enforced; every structure here means the same in any order.

Source: KMIP 1.4 sections 7 and 11.1; KMIP 2.1 section 8.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from keystead.core.errors import Invalid
from keystead.core.permission import Switches
from keystead.protocols.kmip.wire.names import VERSIONS, tag_name, tag_since
from keystead.protocols.kmip.wire.nodes import (
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
from keystead.protocols.kmip.wire.tags_table import Version

LAST = VERSIONS[-1]

Values = dict[str, Any]
Read = Callable[[Node], Any]


class Dialect(NamedTuple):
    """How to speak to one client: the version of its message, and what this server has switched on."""

    version: Version
    switches: Switches = Switches()


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a structure.

    Attributes:
        name: Key of the value among those read; fields of different versions may share one.
        read: Node to value.
        many: May appear any number of times; the value is a tuple.
        required: Its absence makes the structure unreadable.
        since: First version; None = the first one that has the tag.
        until: Last version.
    """

    tag: int
    name: str
    read: Read
    many: bool = False
    required: bool = False
    since: Version | None = None
    until: Version = LAST


class Layout:
    """The fields of one structure in every version."""

    def __init__(self, *fields: Field) -> None:
        self._spoken = {version: _Spoken(fields, version) for version in VERSIONS}

    def read(self, node: Node, version: Version) -> Values:
        """Return the values of the fields that are there.

        Raises:
            Invalid: a field is unknown, doubled, missing, or not what it must be.
        """
        spoken = self._spoken[version]
        known = spoken.by_tag
        values: Values = {}
        for child in members(node):
            field = known.get(child[0])
            if field is None:
                what = f"KMIP {version[0]}.{version[1]}"
                raise Invalid(f"{tag_name(node[0])} has no field {tag_name(child[0])} in {what}", "invalid.field")
            name = field.name
            if field.many:
                values.setdefault(name, []).append(field.read(child))
            elif name in values:
                raise Invalid(f"{tag_name(child[0])} appears more than once; send it once", "invalid.message")
            else:
                values[name] = field.read(child)
        for name in spoken.many:
            if name in values:
                values[name] = tuple(values[name])
        for field in spoken.required:
            if field.name not in values:
                raise Invalid(f"{tag_name(field.tag)} is missing in {tag_name(node[0])}", "invalid.missing")
        return values


class _Spoken:
    """The fields of a structure in one version."""

    __slots__ = ("by_tag", "many", "required")

    def __init__(self, fields: tuple[Field, ...], version: Version) -> None:
        self.by_tag = {f.tag: f for f in fields if (f.since or tag_since(f.tag)) <= version <= f.until}
        self.required = tuple(f for f in self.by_tag.values() if f.required)
        self.many = tuple({f.name for f in self.by_tag.values() if f.many})


def members(node: Node) -> list[Node]:
    """Return the items of a structure.

    Raises:
        Invalid: it is no structure.
    """
    value: list[Node] = typed(node, STRUCTURE)
    return value


def typed(node: Node, kind: int) -> Any:
    """Return the value of a node of a type.

    Raises:
        Invalid: the node is of another type.
    """
    if node[1] != kind:
        raise Invalid(f"{tag_name(node[0])} has another type than KMIP gives it", "invalid.message")
    return node[2]


def text(node: Node) -> str:
    """Read a Text String."""
    value: str = typed(node, TEXT_STRING)
    return value


def byte_string(node: Node) -> bytes:
    """Read a Byte String."""
    value: bytes = typed(node, BYTE_STRING)
    return value


def integer(node: Node) -> int:
    """Read an Integer."""
    value: int = typed(node, INTEGER)
    return value


def count(node: Node) -> int:
    """Read an Integer that counts something.

    Raises:
        Invalid: it is negative.
    """
    value = integer(node)
    if value < 0:
        raise Invalid(f"{tag_name(node[0])} must not be negative", "invalid.field")
    return value


def long_integer(node: Node) -> int:
    """Read a Long Integer."""
    value: int = typed(node, LONG_INTEGER)
    return value


def interval(node: Node) -> int:
    """Read an Interval, in seconds."""
    value: int = typed(node, INTERVAL)
    return value


def enumeration(node: Node) -> int:
    """Read an Enumeration."""
    value: int = typed(node, ENUMERATION)
    return value


def boolean(node: Node) -> bool:
    """Read a Boolean."""
    value: bool = typed(node, BOOLEAN)
    return value


def moment_us(node: Node) -> int:
    """Read a Date-Time, or the finer one of 2.x, in microseconds since 1970."""
    if node[1] == DATE_TIME_EXTENDED:
        fine: int = node[2]
        return fine
    seconds: int = typed(node, DATE_TIME)
    return seconds * 1_000_000


def ignored(_node: Node) -> None:
    """Read nothing: the field is allowed and means nothing to us."""
