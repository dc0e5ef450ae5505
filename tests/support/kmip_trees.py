"""Random trees of the wire codec, and wire-like damage to bytes, for property tests."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.nodes import Node

TAGS = st.one_of(st.integers(0x420000, 0x42FFFF), st.integers(0x540000, 0x54FFFF))
SIGNED_32 = st.integers(-(1 << 31), (1 << 31) - 1)
UNSIGNED_32 = st.integers(0, (1 << 32) - 1)
SIGNED_64 = st.integers(-(1 << 63), (1 << 63) - 1)
VALUES: dict[int, SearchStrategy[Any]] = {
    nodes.INTEGER: SIGNED_32,
    nodes.LONG_INTEGER: SIGNED_64,
    nodes.BIG_INTEGER: st.integers(-(1 << 200), 1 << 200),
    nodes.ENUMERATION: UNSIGNED_32,
    nodes.BOOLEAN: st.booleans(),
    nodes.TEXT_STRING: st.text(max_size=20),
    nodes.BYTE_STRING: st.binary(max_size=20),
    nodes.DATE_TIME: SIGNED_64,
    nodes.INTERVAL: UNSIGNED_32,
    nodes.DATE_TIME_EXTENDED: SIGNED_64,
}


def leaves(tags: SearchStrategy[int] = TAGS) -> SearchStrategy[Node]:
    return st.one_of([st.tuples(tags, st.just(kind), values) for kind, values in VALUES.items()])


def trees(tags: SearchStrategy[int] = TAGS) -> SearchStrategy[Node]:
    def structures(items: SearchStrategy[Node]) -> SearchStrategy[Node]:
        return st.tuples(tags, st.just(nodes.STRUCTURE), st.lists(items, max_size=5))

    return st.recursive(leaves(tags), structures, max_leaves=25)


@st.composite
def damaged(draw: st.DrawFn, message: bytes) -> bytes:
    """The message with one to three bytes changed, a part cut out, doubled or replaced, or its end gone."""
    at = draw(st.integers(0, len(message) - 1))
    stop = draw(st.integers(at, min(len(message), at + 24)))
    kind = draw(st.sampled_from(["change", "change", "change", "cut", "double", "replace", "end"]))
    if kind == "change":
        changed = bytearray(message)
        for _ in range(draw(st.integers(1, 3))):
            changed[draw(st.integers(0, len(message) - 1))] = draw(st.integers(0, 255))
        return bytes(changed)
    if kind == "cut":
        return message[:at] + message[stop:]
    if kind == "double":
        return message[:stop] + message[at:stop] + message[stop:]
    if kind == "replace":
        return message[:at] + draw(st.binary(min_size=stop - at, max_size=stop - at)) + message[stop:]
    return message[:at]
