"""The reference codec: the specification's examples, everything it refuses, and what it costs at worst."""

import contextlib
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import Invalid
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.ttlv import (
    DEPTH_MAX,
    MESSAGE_BYTES_MAX,
    Limits,
    MalformedMessage,
    decode,
    encode,
)
from tests.support import kmip_samples, kmip_trees

TAG = 0x420020

EXAMPLES: dict[str, tuple[int, Any, str]] = {  # KMIP 1.4 section 9.1.2
    "integer 8": (nodes.INTEGER, 8, "42002002000000040000000800000000"),
    "long integer": (nodes.LONG_INTEGER, 123456789000000000, "420020030000000801B69B4BA5749200"),
    "big integer": (
        nodes.BIG_INTEGER,
        1234567890000000000000000000,
        "42002004000000100000000003FD35EB6BC2DF4618080000",
    ),
    "enumeration 255": (nodes.ENUMERATION, 255, "4200200500000004000000FF00000000"),
    "true": (nodes.BOOLEAN, True, "42002006000000080000000000000001"),
    "text": (nodes.TEXT_STRING, "Hello World", "420020070000000B48656C6C6F20576F726C640000000000"),
    "bytes": (nodes.BYTE_STRING, b"\1\2\3", "42002008000000030102030000000000"),
    "date and time": (nodes.DATE_TIME, 1205495800, "42002009000000080000000047DA67F8"),
    "ten days": (nodes.INTERVAL, 864000, "4200200A00000004000D2F0000000000"),
    "structure": (
        nodes.STRUCTURE,
        [(0x420004, nodes.ENUMERATION, 254), (0x420005, nodes.INTEGER, 255)],
        "42002001000000204200040500000004000000FE000000004200050200000004000000FF00000000",
    ),
}
MORE: dict[str, tuple[int, Any, str]] = {  # edges of each type
    "least integer": (nodes.INTEGER, -(1 << 31), "42002002000000048000000000000000"),
    "largest enumeration": (nodes.ENUMERATION, 0xFFFFFFFF, "4200200500000004FFFFFFFF00000000"),
    "largest interval": (nodes.INTERVAL, 0xFFFFFFFF, "4200200A00000004FFFFFFFF00000000"),
    "long -1": (nodes.LONG_INTEGER, -1, "4200200300000008FFFFFFFFFFFFFFFF"),
    "before 1970": (nodes.DATE_TIME, -2, "4200200900000008FFFFFFFFFFFFFFFE"),
    "microseconds": (nodes.DATE_TIME_EXTENDED, 1_000_001, "4200200B0000000800000000000F4241"),
    "big 0": (nodes.BIG_INTEGER, 0, "42002004000000080000000000000000"),
    "big -1": (nodes.BIG_INTEGER, -1, "4200200400000008FFFFFFFFFFFFFFFF"),
    "big 2^63": (nodes.BIG_INTEGER, 1 << 63, "420020040000001000000000000000008000000000000000"),
    "big -2^63": (nodes.BIG_INTEGER, -(1 << 63), "42002004000000088000000000000000"),
    "false": (nodes.BOOLEAN, False, "42002006000000080000000000000000"),
    "empty text": (nodes.TEXT_STRING, "", "4200200700000000"),
    "empty bytes": (nodes.BYTE_STRING, b"", "4200200800000000"),
    "eight bytes": (nodes.BYTE_STRING, b"12345678", "42002008000000083132333435363738"),
    "empty structure": (nodes.STRUCTURE, [], "4200200100000000"),
    "empty at the end": (
        nodes.STRUCTURE,
        [(0x420004, nodes.STRUCTURE, [(0x420005, nodes.TEXT_STRING, "")])],
        "4200200100000010420004010000000842000507 00000000",
    ),
}

BEYOND = "the value ends behind its structure"
WRONG_LENGTH = "the length is not that of the type"
NOT_ZERO = "padding is not zero"
OUTERMOST = "the outermost length is not that of the message"
TOO_DEEP = "too many structures within structures"

BAD: dict[str, tuple[str, int, str]] = {  # bytes, where, what
    "nothing": ("", 0, "no room for a tag, a type and a length"),
    "half a header": ("42002002", 0, "no room for a tag, a type and a length"),
    "a header only": ("4200200200000004", 0, OUTERMOST),
    "cut in the value": ("42002007000000104142434445464748", 0, OUTERMOST),
    "bytes behind": ("42002002000000040000000800000000 42002002000000040000000800000000", 0, OUTERMOST),
    "length says 4 GiB": ("42002008FFFFFFFF0000000000000000", 0, OUTERMOST),
    "negative length": ("4200200880000000", 0, OUTERMOST),
    "tag 00": ("00002002000000040000000800000000", 0, "a tag starts with 42 or 54"),
    "tag 43": ("43002002000000040000000800000000", 0, "a tag starts with 42 or 54"),
    "type 0": ("42002000000000080000000000000000", 0, "unknown type"),
    "type 12": ("4200200C000000080000000000000000", 0, "unknown type"),
    "type 255": ("420020FF000000080000000000000000", 0, "unknown type"),
    "integer of 8": ("42002002000000080000000000000008", 0, WRONG_LENGTH),
    "integer of 1": ("42002002000000010800000000000000", 0, WRONG_LENGTH),
    "integer padded with 1": ("42002002000000040000000800000001", 0, NOT_ZERO),
    "enumeration of 0": ("4200200500000000", 0, WRONG_LENGTH),
    "interval padded": ("4200200A00000004000D2F0080000000", 0, NOT_ZERO),
    "long of 4": ("42002003000000040000000000000000", 0, WRONG_LENGTH),
    "date of 16": ("420020090000001000000000000000000000000000000000", 0, WRONG_LENGTH),
    "boolean 2": ("42002006000000080000000000000002", 0, "a boolean is neither 0 nor 1"),
    "boolean high bit": ("42002006000000088000000000000001", 0, "a boolean is neither 0 nor 1"),
    "boolean of 1": ("42002006000000010100000000000000", 0, WRONG_LENGTH),
    "big integer of 4": ("42002004000000040000000100000000", 0, WRONG_LENGTH),
    "big integer of 0": ("4200200400000000", 0, WRONG_LENGTH),
    "text padded with 1": ("42002007000000034142430000000001", 0, NOT_ZERO),
    "bytes padded with 1": ("42002008000000030102030100000000", 0, NOT_ZERO),
    "text not UTF-8": ("4200200700000002C328000000000000", 0, "a text is not UTF-8"),
    "text overlong": ("4200200700000002C080000000000000", 0, "a text is not UTF-8"),
    "text half a pair": ("4200200700000003EDA0800000000000", 0, "a text is not UTF-8"),
    "structure of 4": ("42002001000000040000000000000000", 0, WRONG_LENGTH),
    "text longer than its structure": ("4200200100000010420004070000000941424344 45464748", 8, BEYOND),
    "padding beyond the structure": ("42002001000000104200040800000009 4142434445464748", 8, BEYOND),
    "integer cut by its structure": ("4200200100000008 4200040200000004", 8, BEYOND),
    "date cut by its structure": ("4200200100000008 4200040900000008", 8, BEYOND),
    "structure beyond its structure": ("4200200100000008 4200040100000008", 8, BEYOND),
    "inner takes from outer": (
        "4200200100000020 4200040100000018 4200050200000004 0000000800000000 4200060200000004",
        32,
        BEYOND,
    ),
    "inner length not of eight": ("4200200100000010 420004010000000C 0000000000000000", 8, WRONG_LENGTH),
    "bad tag inside": ("4200200100000010 4300040200000004 0000000800000000", 8, "a tag starts with 42 or 54"),
}


@pytest.mark.parametrize("name", [*EXAMPLES, *MORE])
def test_examples_both_ways(name: str) -> None:
    kind, value, text = (EXAMPLES | MORE)[name]
    message = bytes.fromhex(text)
    assert encode((TAG, kind, value)) == message
    assert decode(message) == (TAG, kind, value)
    assert type(decode(message)[2]) is type(value)


@pytest.mark.parametrize("name", BAD)
def test_bad_bytes_are_refused_where_and_why(name: str) -> None:
    text, offset, reason = BAD[name]
    with pytest.raises(MalformedMessage) as caught:
        decode(bytes.fromhex(text))
    assert (caught.value.offset, caught.value.text) == (offset, reason)
    assert caught.value.reason == "invalid.message"


@given(kmip_trees.trees())
def test_every_tree_comes_back(tree: Node) -> None:
    assert decode(encode(tree)) == tree


@given(kmip_trees.trees(), st.data())
def test_damaged_bytes_are_refused_or_have_one_reading(tree: Node, data: st.DataObject) -> None:
    message = data.draw(kmip_trees.damaged(encode(tree)))
    try:
        found = decode(message)
    except MalformedMessage:
        return
    if encode(found) != message:  # the one freedom that the specification leaves: sign bytes of big integers
        assert len(encode(found)) < len(message)
        assert nodes.BIG_INTEGER in kinds(found)


@given(st.binary(max_size=64))
def test_any_bytes_end_in_a_tree_or_the_one_error(message: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        decode(message)


@pytest.mark.parametrize("cut", range(0, 312, 8))
def test_every_truncation_is_refused(cut: int) -> None:
    message = encode(kmip_samples.get_response())
    with pytest.raises(MalformedMessage):
        decode(message[:cut])


def test_depth_is_limited_both_ways() -> None:
    assert decode(encode(nested(DEPTH_MAX))) == nested(DEPTH_MAX)
    with pytest.raises(Invalid):
        encode(nested(DEPTH_MAX + 1))
    one_more = nested_bytes(DEPTH_MAX + 1)
    with pytest.raises(MalformedMessage) as caught:
        decode(one_more)
    assert (caught.value.text, caught.value.offset) == (TOO_DEEP, 8 * (DEPTH_MAX + 1))


def test_items_and_size_are_limited() -> None:
    tree = nodes.structure(TAG, *[nodes.integer(TAG, 1)] * 9)
    message = encode(tree)
    assert decode(message, Limits(items_max=10, message_bytes_max=len(message))) == tree
    with pytest.raises(MalformedMessage, match="too many items"):
        decode(message, Limits(items_max=9))
    with pytest.raises(MalformedMessage, match="larger than allowed"):
        decode(message, Limits(message_bytes_max=len(message) - 1))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (nodes.INTEGER, 1 << 31),
        (nodes.INTEGER, -(1 << 31) - 1),
        (nodes.ENUMERATION, -1),
        (nodes.INTERVAL, 1 << 32),
        (nodes.DATE_TIME, 1 << 63),
        (nodes.TEXT_STRING, "\ud800 canary"),
        (12, b"canary"),
        (0, b"canary"),
    ],
)
def test_what_cannot_be_written_is_refused_without_showing_it(kind: int, value: object) -> None:
    with pytest.raises(Invalid) as caught:
        encode(nodes.structure(TAG, (TAG, kind, value)))
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


HOSTILE = {
    "empty structures": bytes.fromhex("4200200100000000"),
    "empty texts": bytes.fromhex("4200200700000000"),
    "integers": bytes.fromhex("42002002000000040000000800000000"),
    "dates": bytes.fromhex("42002009000000087FFFFFFFFFFFFFFF"),
    "texts of one character": bytes.fromhex("4200200700000003E282AC0000000000"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_largest_message_takes_bounded_memory(name: str) -> None:
    body = HOSTILE[name] * ((MESSAGE_BYTES_MAX - 8) // len(HOSTILE[name]))
    message = bytes.fromhex("42007801") + len(body).to_bytes(4, "big") + body
    assert peak_bytes(message) < 16 * MESSAGE_BYTES_MAX


def test_deepest_nesting_takes_bounded_memory() -> None:
    assert peak_bytes(nested_bytes(MESSAGE_BYTES_MAX // 8 - 1)) < 2 * MESSAGE_BYTES_MAX


@pytest.mark.parametrize("kind", ["08", "07", "04"])
def test_a_single_long_value_takes_bounded_memory(kind: str) -> None:
    length = MESSAGE_BYTES_MAX - 8
    message = bytes.fromhex("420020" + kind) + length.to_bytes(4, "big") + b"a" * length
    assert peak_bytes(message) < 4 * MESSAGE_BYTES_MAX


def peak_bytes(message: bytes) -> int:
    """The most memory that reading the message holds, the message not counted."""
    tracemalloc.start()
    try:
        with contextlib.suppress(MalformedMessage):
            decode(message)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def nested(depth: int) -> Node:
    tree = nodes.structure(TAG)
    for _ in range(depth):
        tree = nodes.structure(TAG, tree)
    return tree


def nested_bytes(depth: int) -> bytes:
    head = bytes.fromhex("42002001")
    return b"".join(head + (8 * left).to_bytes(4, "big") for left in range(depth, -1, -1))


def kinds(tree: Node) -> set[int]:
    _, kind, value = tree
    return {kind}.union(*map(kinds, value)) if kind == nodes.STRUCTURE else {kind}
