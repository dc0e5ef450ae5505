"""Prepared messages: what is sent often is encoded once, with slots for what differs.

A slot stands in the tree where a value would. A template keeps, for the first combinations of value sizes that it
meets, the message as one format: rendering is a look-up and one formatting. Messages of other sizes are put together
from their parts.

Rule 1: a rendered message is byte for byte what `ttlv.encode` makes of the tree with the values in it (tested).
Rule 2: formats hold no value, only their sizes.

Source: KMIP 2.1 section 10.1; design.md section 4.
"""

from dataclasses import dataclass
from struct import Struct

from keystead.core.errors import Internal
from keystead.protocols.kmip.wire.nodes import BYTE_STRING, STRUCTURE, TEXT_STRING, Node
from keystead.protocols.kmip.wire.ttlv import FOUR_BYTES, LONG_NUMBERS, PADDING, encode

ENCODED_ITEMS = 0
"""In place of a type: the slot takes any number of whole items, as `encode` makes them, instead of one value."""

FORMATS_MAX = 32
"""Size combinations that a template remembers; clients choose them, and there may be thousands of templates."""

_word = Struct(">I").pack


@dataclass(frozen=True, slots=True)
class Slot:
    """Stands for a value in a template's tree.

    Attributes:
        size_bytes: The only size that a text or byte string may have; None allows any. Numbers have that of their type.
    """

    size_bytes: int | None = None


class Template:
    """A message with slots.

    Args:
        tree: A message in whose nodes `Slot` may stand for a value. Structures, booleans and big integers take none.

    Attributes:
        formats: For values of these sizes, what `%` with the values makes the message; those that `render` has met.

    Raises:
        Internal: a slot stands where none can be.
    """

    __slots__ = ("_fixed", "_items", "_parts", "_places", "_strings", "_structures", "formats")

    def __init__(self, tree: Node) -> None:
        self._parts: list[bytes] = []  # in order; room for each length, value and padding that is not always the same
        self._places: list[int] = []  # of each slot, the part that is its value
        self._fixed: list[tuple[int, int]] = []  # slot of one size, that size
        self._items: list[int] = []  # slots of encoded items
        self._strings: list[tuple[int, int]] = []  # slot of any size, the part that is its length
        self._structures: list[tuple[int, int, list[int]]] = []  # part that is the length, its least, slots of any size
        self.formats: dict[tuple[int, ...], bytes] = {}
        self._lay(tree)

    def render(self, values: tuple[bytes, ...]) -> bytes:
        """The message with these values.

        Args:
            values: One for each slot in the order of the message: the bytes of its TTLV value, without padding.

        Raises:
            Internal: not one value per slot, or one of another size than its slot allows.
        """
        sizes = tuple(map(len, values))
        form = self.formats.get(sizes)
        if form is not None:
            return form % values
        parts = self._parts_for(sizes)
        if len(self.formats) < FORMATS_MAX:
            escaped = [part.replace(b"%", b"%%") for part in parts]
            for place in self._places:
                escaped[place] = b"%b"
            self.formats[sizes] = b"".join(escaped)
        for place, value in zip(self._places, values, strict=True):
            parts[place] = value
        return b"".join(parts)

    def _parts_for(self, sizes: tuple[int, ...]) -> list[bytes]:
        """The parts of a message with values of these sizes; the values' own are empty."""
        if len(sizes) != len(self._places):
            raise Internal("a template takes one value for each of its slots")
        for slot, size in self._fixed:
            if sizes[slot] != size:
                raise Internal("a value has not the size of its slot; take a template of its size")
        for slot in self._items:
            if sizes[slot] & 7:
                raise Internal("encoded items have sizes of eight bytes")
        parts = self._parts.copy()
        whole = 0  # of all slots of any size; most structures stand around all of them
        for slot, part in self._strings:
            size = sizes[slot]
            whole += size + 7 & -8
            parts[part] = _word(size)
            parts[part + 2] = PADDING[size & 7]
        for slot in self._items:
            whole += sizes[slot]
        slot_count = len(self._strings) + len(self._items)
        for part, least, slots in self._structures:
            within = whole if len(slots) == slot_count else sum([sizes[slot] + 7 & -8 for slot in slots])
            parts[part] = _word(least + within)
        return parts

    def _lay(self, node: Node) -> tuple[int, list[int]]:
        """Append one item's parts; the answer is its least size in bytes, and its slots of any size."""
        tag, kind, value = node
        if isinstance(value, Slot):
            return self._lay_slot(tag, kind, value)
        if kind != STRUCTURE:
            item = encode(node)
            self._parts.append(item)
            return len(item), []
        part = self._lay_head(tag, kind)
        laid = [self._lay(item) for item in value]
        length = sum(size for size, _ in laid)
        slots = [slot for _, within in laid for slot in within]
        self._parts[part] = _word(length)
        if slots:
            self._structures.append((part, length, slots))
        return 8 + length, slots

    def _lay_slot(self, tag: int, kind: int, slot: Slot) -> tuple[int, list[int]]:
        number = len(self._places)
        if kind == ENCODED_ITEMS:
            self._items.append(number)
            self._places.append(len(self._parts))
            self._parts.append(b"")
            return 0, [number]
        size = _size_of(kind, slot)
        part = self._lay_head(tag, kind)
        self._places.append(part + 1)
        if size is None:
            self._parts += [b"", b""]
            self._strings.append((number, part))
            return 8, [number]
        self._fixed.append((number, size))
        self._parts[part] = _word(size)
        self._parts += [b"", PADDING[size & 7]]
        return 8 + size + (-size & 7), []

    def _lay_head(self, tag: int, kind: int) -> int:
        """Append tag, type and room for the length; the answer is the length's part."""
        self._parts += [_word(tag << 8 | kind), b""]
        return len(self._parts) - 1


def _size_of(kind: int, slot: Slot) -> int | None:
    if kind in (TEXT_STRING, BYTE_STRING):
        return slot.size_bytes
    if kind in FOUR_BYTES:
        return 4
    if kind in LONG_NUMBERS:
        return 8
    raise Internal(f"type {kind} takes no slot; put a value there")
