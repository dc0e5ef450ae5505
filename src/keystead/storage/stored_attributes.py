"""Attributes as they stand in a document: one flat CBOR array, decoded only when somebody asks for them.

Source: design.md sections 5 and 7; docs/adr/0010-journal-chain-and-root.md.
"""

from collections.abc import Iterator
from typing import Any

import cbor2

from keystead.core.attributes import Attribute, Attributes, ItemType, Value

_STRUCTURE = int(ItemType.STRUCTURE)
_ITEM_TYPES: dict[int, ItemType | int] = {int(item): item for item in ItemType}


class StoredAttributes(Attributes):
    """Attributes as they stand in a document, decoded when first asked for."""

    __slots__ = ("encoded",)

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded  # the slot of the decoded form stays empty until __getattr__ is asked for it

    def instances(self, name: str) -> tuple[Attribute, ...]:
        """Return all instances of a name; most often there is none, which is seen without decoding anything."""
        return super().instances(name) if name.encode() in self.encoded else ()

    def first(self, name: str) -> Value | None:
        """Return the value of the lowest-indexed instance, or None; likewise."""
        return super().first(name) if name.encode() in self.encoded else None

    def __getattr__(self, name: str) -> Any:
        if name != "_by_name":
            raise AttributeError(name)
        super().__init__(_read_attributes(self.encoded))
        return self._by_name


def _read_attributes(encoded: bytes) -> Iterator[Attribute]:
    items = iter(cbor2.loads(encoded))
    for name, index, item_type, content in zip(items, items, items, items, strict=True):
        yield Attribute(name, index, Value(_ITEM_TYPES.get(item_type, item_type), _read(item_type, content)))


def _read(item_type: int, content: Any) -> Any:
    if item_type != _STRUCTURE:
        return content
    items = iter(content)
    return tuple((tag, kind, _read(kind, value)) for tag, kind, value in zip(items, items, items, strict=True))
