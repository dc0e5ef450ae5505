"""The shapes that one server has learned, bounded, because clients choose what they send.

A shape is learned from the second message of its kind: same header, version and operation. Learning costs a hundred
times a match, so it is paid for by messages that no shape served: a client that never repeats itself makes every
message slower by a few comparisons, and nobody else's.

Source: design.md section 4 (the shape cache is bounded: clients choose shapes).
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from keystead.protocols.kmip.wire.shapes import Freedom, Path, Shape, compile_shape

B = TypeVar("B")

MESSAGE_BYTES_MIN = 80
"""A message with header, version, and an operation in its first batch item."""
MESSAGE_BYTES_MAX = 8 << 10
"""Larger ones are rare, and reading their tree is a small part of serving them."""
SHAPES_MAX = 512
"""In all; at most 4 MiB."""
ALTERNATIVES_MAX = 4
"""Shapes of one kind, hence comparisons before the tree is read."""
KINDS_SEEN_MAX = 1024
MISSES_PER_SHAPE = 64
"""What learning one shape costs, in messages that no shape served."""
SHAPES_AHEAD = 64
"""Shapes that may be learned at once, by a server that has just started."""


class _Entry(Generic[B]):
    __slots__ = ("builder", "is_used", "shape")

    def __init__(self, shape: Shape, builder: B) -> None:
        self.shape = shape
        self.builder = builder
        self.is_used = True  # since the last look for something to drop


class ShapeCache(Generic[B]):
    """Finds the shape of a message, and learns new ones.

    Args:
        free: Which leaves differ between messages of one shape, by their path.
    """

    def __init__(self, free: Mapping[Path, Freedom]) -> None:
        self._free = free
        self._entries: dict[bytes, list[_Entry[B]]] = {}
        self._seen: set[bytes] = set()
        self._allowance = SHAPES_AHEAD * MISSES_PER_SHAPE
        self.shape_count = 0

    def match(self, message: bytes) -> tuple[B, list[Any]] | None:
        """The builder that was learned with the message's shape, and the values of its free leaves.

        None when no shape serves: read the tree, and then `learn` if the message was accepted.
        """
        if not MESSAGE_BYTES_MIN <= len(message) <= MESSAGE_BYTES_MAX:
            return None
        operation = 24 + (message[14] << 8 | message[15])  # as in _kind
        for entry in self._entries.get(message[8:56] + message[operation : operation + 16], ()):
            values = entry.shape.match(message)
            if values is not None:
                entry.is_used = True
                return entry.builder, values
        return None

    def learn(self, message: bytes, make_builder: Callable[[Shape], B | None]) -> None:
        """Consider a message that `match` did not serve and that was accepted.

        Args:
            message: A whole message.
            make_builder: Called when a shape was made of it; None forgets the shape.

        Raises:
            MalformedMessage: the message is not TTLV.
        """
        if not MESSAGE_BYTES_MIN <= len(message) <= MESSAGE_BYTES_MAX:
            return
        self._allowance = min(self._allowance + 1, SHAPES_AHEAD * MISSES_PER_SHAPE)
        kind = _kind(message)
        if not self._is_due(kind):
            return
        self._allowance -= MISSES_PER_SHAPE
        shape = compile_shape(message, self._free)
        builder = make_builder(shape) if shape is not None else None
        if shape is not None and builder is not None and self._make_room(kind):
            self._entries.setdefault(kind, []).append(_Entry(shape, builder))
            self.shape_count += 1

    def _is_due(self, kind: bytes) -> bool:
        """Whether a message of this kind came before, and learning is paid for."""
        if kind not in self._seen:
            if len(self._seen) >= KINDS_SEEN_MAX:
                self._seen.clear()
            self._seen.add(kind)
            return False
        if self._allowance < MISSES_PER_SHAPE:
            return False
        self._seen.discard(kind)
        return True

    def _make_room(self, kind: bytes) -> bool:
        """Drop a shape if needed; False when all were used since the last look."""
        if len(self._entries.get(kind, ())) >= ALTERNATIVES_MAX:
            return self._drop_unused([kind])
        return self.shape_count < SHAPES_MAX or self._drop_unused([*self._entries])

    def _drop_unused(self, kinds: list[bytes]) -> bool:
        """Drop the first shape of these kinds that was not used since the last look. All used: that was a look."""
        for kind in kinds:
            entries = self._entries[kind]
            for entry in entries:
                if not entry.is_used:
                    entries.remove(entry)
                    self.shape_count -= 1
                    if not entries:
                        del self._entries[kind]
                    return True
        for kind in kinds:
            for entry in self._entries[kind]:
                entry.is_used = False
        return False


def _kind(message: bytes) -> bytes:
    """What tells most shapes apart at a glance: the header's length and version, the first item's operation."""
    operation = 24 + (message[14] << 8 | message[15])
    return message[8:56] + message[operation : operation + 16]
