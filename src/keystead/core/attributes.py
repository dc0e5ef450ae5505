"""Attribute values and the multimap of them that every managed object carries.

KMIP's attribute model carries everybody else's: an attribute has a name, instances with an index that is never
renumbered (KS-KMIP-050), and typed values. A structure's value is a tuple of fields, each `(tag, type, value)`, the
same shape as a decoded TTLV item, so that nothing is lost between wire and store.

Source: KMIP 1.4 section 3; KMIP 2.1 section 4; requirements KS-KMIP-025 to 036, 050.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from itertools import chain
from typing import Any, NamedTuple

CUSTOM_PREFIXES = ("x-", "y-")
CUSTOM_NAME_CHARACTERS_MAX = 255  # KS-KEY-025
INSTANCES_PER_OBJECT_MAX = 1000  # named maximum of what a peer can pile up on one object
CUSTOM_INSTANCES_PER_OBJECT_MAX = 100  # KS-KEY-028
VALUE_BYTES_MAX = 65_536


class ItemType(IntEnum):
    """Type of a value; the numbers are TTLV's item types (KMIP 2.1 section 9.1.1.2)."""

    STRUCTURE = 1
    INTEGER = 2
    LONG_INTEGER = 3
    BIG_INTEGER = 4
    ENUMERATION = 5
    BOOLEAN = 6
    TEXT_STRING = 7
    BYTE_STRING = 8
    DATE_TIME = 9  # seconds since 1970, UTC
    INTERVAL = 10  # seconds
    DATE_TIME_EXTENDED = 11  # microseconds since 1970, UTC


class Value(NamedTuple):
    """A typed value. `content` is int, bool, str, bytes, or for a structure a tuple of (tag, type, value) fields."""

    type: ItemType | int
    content: Any

    def field(self, tag: int) -> Any:
        """Return the value of the first field with this tag of a structure, or None."""
        for field_tag, _, value in self.content:
            if field_tag == tag:
                return value
        return None


class Attribute(NamedTuple):
    """One instance of an attribute. `name` is the name of KMIP 1.x ("Object Group", "x-Vendor")."""

    name: str
    index: int  # type: ignore[assignment]  # the field's own word; nobody asks an attribute for tuple.index()
    value: Value


class Attributes:
    """An immutable multimap: name -> instances in order of their index."""

    __slots__ = ("_by_name",)

    def __init__(self, instances: Iterable[Attribute] = ()) -> None:
        by_name: dict[str, tuple[Attribute, ...]] = {}
        for instance in instances:
            by_name[instance.name] = (*by_name.get(instance.name, ()), instance)
        self._by_name = by_name

    def __iter__(self) -> Iterator[Attribute]:
        return chain.from_iterable(self._by_name.values())

    def __len__(self) -> int:
        return sum(len(instances) for instances in self._by_name.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Attributes) and self._by_name == other._by_name

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Attributes({list(self)!r})"

    def names(self) -> tuple[str, ...]:
        """Return the names that have at least one instance."""
        return tuple(self._by_name)

    def instances(self, name: str) -> tuple[Attribute, ...]:
        """Return all instances of a name, lowest index first; empty when there is none."""
        return self._by_name.get(name, ())

    def first(self, name: str) -> Value | None:
        """Return the value of the lowest-indexed instance, or None."""
        found = self._by_name.get(name)
        return found[0].value if found else None

    def added(self, name: str, value: Value) -> "Attributes":
        """Return a copy with one more instance; its index follows the highest one present."""
        present = self.instances(name)
        index = present[-1].index + 1 if present else 0
        return Attributes([*self, Attribute(name, index, value)])

    def replaced(self, name: str, index: int, value: Value) -> "Attributes":
        """Return a copy in which the instance with this index has another value; unchanged when there is none."""
        copy = Attributes()
        copy._by_name = self._by_name.copy()
        copy._by_name[name] = tuple(
            [Attribute(name, index, value) if held.index == index else held for held in self.instances(name)]
        )
        return copy

    def removed(self, name: str, index: int | None = None) -> "Attributes":
        """Return a copy without one instance, or without all of them when `index` is None."""
        return Attributes(a for a in self if a.name != name or (index is not None and a.index != index))


NONE = Attributes()


def text(value: str) -> Value:
    """Make a text value."""
    return Value(ItemType.TEXT_STRING, value)


def is_custom(name: str) -> bool:
    """Tell whether the name is a client's (x-) or a server's (y-) own (KMIP 1.4 section 3.39)."""
    return name.startswith(CUSTOM_PREFIXES)
