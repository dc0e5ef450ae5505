"""Shapes accept less than the reference codec, and read what they accept exactly as it does."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.shapes import (
    FREE_LEAVES_MAX,
    ElasticShape,
    FixedShape,
    Freedom,
    Path,
    Shape,
    compile_shape,
)
from keystead.protocols.kmip.wire.tags_table import Tag
from keystead.protocols.kmip.wire.ttlv import MalformedMessage, decode, encode
from tests.support import kmip_samples, kmip_trees
from tests.support.held import held_by
from tests.support.kmip_samples import FREE, PAYLOAD

FEW_TAGS = st.sampled_from([0x420001, 0x420002, 0x420003, 0x540001])
NEVER_FREE = (nodes.BOOLEAN, nodes.BIG_INTEGER)


def leaves(tree: Node, above: Path = ()) -> Iterator[tuple[Path, int, Any]]:
    tag, kind, value = tree
    if kind == nodes.STRUCTURE:
        for child in value:
            yield from leaves(child, (*above, tag))
    else:
        yield (*above, tag), kind, value


def free_values(tree: Node, free: dict[Path, Freedom]) -> list[Any]:
    return [value for path, kind, value in leaves(tree) if path in free and kind not in NEVER_FREE]


def constant_leaves(tree: Node, free: dict[Path, Freedom]) -> list[Any]:
    return [leaf for leaf in leaves(tree) if leaf[0] not in free or leaf[1] in NEVER_FREE]


def shape_of(tree: Node, free: dict[Path, Freedom] = FREE) -> Shape:
    shape = compile_shape(encode(tree), free)
    assert shape is not None
    return shape


def assert_agrees(shape: Shape, original: Node, message: bytes, free: dict[Path, Freedom]) -> bool:
    """What the shape accepts is what the reference reads; the answer is whether it accepted."""
    values = shape.match(message)
    if values is None:
        return False
    tree = decode(message)
    assert free_values(tree, free) == values
    assert [type(value) for value in free_values(tree, free)] == [type(value) for value in values]
    assert constant_leaves(tree, free) == constant_leaves(original, free)
    return True


@st.composite
def free_paths(draw: st.DrawFn, tree: Node) -> dict[Path, Freedom]:
    paths = sorted({path for path, _, _ in leaves(tree)})
    secret = {path for path, kind, _ in leaves(tree) if kind == nodes.BYTE_STRING}  # else there is no shape
    chosen = secret | (draw(st.sets(st.sampled_from(paths))) if paths else set())
    return {path: draw(st.sampled_from(Freedom)) for path in sorted(chosen)}


@st.composite
def with_other_values(draw: st.DrawFn, tree: Node, free: dict[Path, Freedom], above: Path = ()) -> Node:
    """The same tree with new values in its free leaves, mostly of the same lengths."""
    tag, kind, value = tree
    path = (*above, tag)
    if kind == nodes.STRUCTURE:
        return (tag, kind, [draw(with_other_values(child, free, path)) for child in value])
    if path not in free or kind in NEVER_FREE:
        return tree
    if kind == nodes.BYTE_STRING and free[path] is Freedom.VALUE:
        return (tag, kind, draw(st.binary(min_size=len(value), max_size=len(value))))
    if kind == nodes.TEXT_STRING and free[path] is Freedom.VALUE and value.isascii():
        return (tag, kind, draw(st.text("abcXYZ", min_size=len(value), max_size=len(value))))
    return (tag, kind, draw(kmip_trees.VALUES[kind]))


@given(kmip_trees.trees(FEW_TAGS), st.data())
@settings(max_examples=300)
def test_shapes_agree_with_the_reference_on_any_message(tree: Node, data: st.DataObject) -> None:
    free = data.draw(free_paths(tree))
    message = encode(tree)
    shape = compile_shape(message, free)
    if shape is None:
        return
    assert assert_agrees(shape, tree, message, free), "its own message"
    other = encode(data.draw(with_other_values(tree, free)))
    assert_agrees(shape, tree, other, free)
    damaged = data.draw(kmip_trees.damaged(other))
    if shape.match(damaged) is not None:
        assert_agrees(shape, tree, damaged, free)


SAMPLES: dict[str, Callable[[], Node]] = {
    "Get": kmip_samples.get_request,
    "Encrypt of 0": lambda: kmip_samples.encrypt_request(b""),
    "Encrypt of 5": lambda: kmip_samples.encrypt_request(b"abcde"),
    "Encrypt of 16": lambda: kmip_samples.encrypt_request(bytes(16)),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_flipped_bit_is_refused_or_read_alike(name: str) -> None:
    tree = SAMPLES[name]()
    message = encode(tree)
    shape = shape_of(tree)
    accepted = 0
    for bit in range(8 * len(message)):
        flipped = bytearray(message)
        flipped[bit // 8] ^= 1 << bit % 8
        accepted += assert_agrees(shape, tree, bytes(flipped), FREE)
    free_bits = sum(8 * len(value) for value in free_values(tree, FREE))
    assert accepted <= free_bits
    assert accepted > free_bits // 2 or not free_bits


@pytest.mark.parametrize("name", SAMPLES)
def test_every_truncation_and_extension_is_refused(name: str) -> None:
    tree = SAMPLES[name]()
    message = encode(tree)
    shape = shape_of(tree)
    for size in range(len(message)):
        assert shape.match(message[:size]) is None
    for more in (b"\0", bytes(8), message[-8:], message):
        assert shape.match(message + more) is None


def test_a_get_request() -> None:
    shape = shape_of(kmip_samples.get_request())
    assert isinstance(shape, FixedShape)
    assert shape.paths == ((*PAYLOAD, Tag.UNIQUE_IDENTIFIER),)
    other = kmip_samples.identifiers(7)[6]
    assert shape.match(encode(kmip_samples.get_request(other))) == [other]
    assert shape.match(encode(kmip_samples.get_request(other[:-1]))) is None
    assert shape.match(encode(kmip_samples.request("Destroy", kmip_samples.unique_identifier()))) is None
    assert shape.match(encode(kmip_samples.request("Get", kmip_samples.unique_identifier(), version=(1, 2)))) is None


@pytest.mark.parametrize("learned", [0, 1, 7, 8, 100])
def test_one_shape_serves_data_of_every_length(learned: int) -> None:
    shape = shape_of(kmip_samples.encrypt_request(bytes(learned)))
    assert isinstance(shape, ElasticShape)
    assert [path[-1] for path in shape.paths] == [Tag.UNIQUE_IDENTIFIER, Tag.DATA, Tag.IV_COUNTER_NONCE]
    for size in [*range(66), 1000, 4095, 4096, 70_000]:
        data = bytes(number & 0xFF for number in range(size))
        nonce = bytes([size & 0xFF]) * 12
        message = encode(kmip_samples.encrypt_request(data, nonce))
        assert shape.match(message) == [kmip_samples.UNIQUE_IDENTIFIER, data, nonce]
    assert shape.match(encode(kmip_samples.encrypt_request(b"data", bytes(16)))) is None, "a nonce of another length"


def with_length(message: bytes, head: str, change: int) -> bytes:
    at = message.index(bytes.fromhex(head)) + 4
    length = int.from_bytes(message[at : at + 4], "big") + change
    return message[:at] + (length & 0xFFFFFFFF).to_bytes(4, "big") + message[at + 4 :]


@pytest.mark.parametrize("head", ["42007801", "42000F01", "42007901", "4200C208"])
@pytest.mark.parametrize("change", [-16, -8, 8, 16, 1 << 24, 1 << 31])
def test_each_enclosing_length_is_checked(head: str, change: int) -> None:
    tree = kmip_samples.encrypt_request(b"x" * 20)
    message = with_length(encode(tree), head, change)
    with pytest.raises(MalformedMessage):
        decode(message)
    assert shape_of(tree).match(message) is None


def test_the_length_of_the_data_is_checked() -> None:
    tree = kmip_samples.encrypt_request(b"x" * 20)
    shape = shape_of(tree)
    assert shape.match(with_length(encode(tree), "4200C208", -1)) is None, "then the padding is not zero"
    assert assert_agrees(shape, tree, with_length(encode(tree), "4200C208", 1), FREE), "a padding byte becomes data"


def test_padding_and_text_are_checked() -> None:
    tree = kmip_samples.encrypt_request(b"abcde")
    shape = shape_of(tree)
    message = encode(tree)
    assert shape.match(message.replace(b"abcde\0\0\0", b"abcde\0\0\1")) is None
    not_text = message.replace(kmip_samples.UNIQUE_IDENTIFIER.encode(), b"\xff" * 36)
    assert shape.match(not_text) is None
    free: dict[Path, Freedom] = {(*PAYLOAD, Tag.COMMENT): Freedom.LENGTH}
    elastic = shape_of(kmip_samples.request("Log", nodes.text(Tag.COMMENT, "abc")), free)
    assert elastic.match(encode(kmip_samples.request("Log", nodes.text(Tag.COMMENT, "für 12 €")))) == ["für 12 €"]
    assert elastic.match(message_with_comment(b"\xc3(")) is None


def message_with_comment(raw: bytes) -> bytes:
    valid = encode(kmip_samples.request("Log", nodes.text(Tag.COMMENT, "a" * len(raw))))
    return valid.replace(b"a" * len(raw), raw)


def test_free_numbers_and_elastic_leaves_elsewhere() -> None:
    header = (Tag.REQUEST_MESSAGE, Tag.REQUEST_HEADER)
    tree = kmip_samples.response("Get", time_stamp=nodes.date_time(Tag.TIME_STAMP, -5))
    free: dict[Path, Freedom] = {(Tag.RESPONSE_MESSAGE, Tag.RESPONSE_HEADER, Tag.TIME_STAMP): Freedom.LENGTH}
    shape = shape_of(tree, free)
    assert isinstance(shape, FixedShape), "a number has one length"
    assert shape.match(encode(tree)) == [-5]
    value = nodes.structure(Tag.REQUEST_HEADER, nodes.text(Tag.CLIENT_CORRELATION_VALUE, "a"))
    outside = nodes.structure(Tag.REQUEST_MESSAGE, value)
    assert isinstance(shape_of(outside, {(*header, Tag.CLIENT_CORRELATION_VALUE): Freedom.LENGTH}), FixedShape), (
        "not within a payload"
    )


def test_of_several_elastic_leaves_the_first_is() -> None:
    free = FREE | {(*PAYLOAD, Tag.IV_COUNTER_NONCE): Freedom.LENGTH}
    shape = shape_of(kmip_samples.encrypt_request(bytes(8)), free)
    assert shape.match(encode(kmip_samples.encrypt_request(bytes(30)))) is not None
    assert shape.match(encode(kmip_samples.encrypt_request(bytes(8), bytes(16)))) is None


@pytest.mark.parametrize("count", [2, 10])
def test_batches(count: int) -> None:
    def batch(number: int) -> Node:
        single = kmip_samples.request("Get", kmip_samples.unique_identifier(), item_id=bytes([number] * 4))
        message_header, item = single[2]
        return nodes.structure(Tag.REQUEST_MESSAGE, message_header, *[item] * count)

    shape = shape_of(batch(1))
    assert shape.match(encode(batch(2))) == [bytes([2] * 4), kmip_samples.UNIQUE_IDENTIFIER] * count


SECRET = b"canary-of-a-secret-0123456789abc"


@pytest.mark.parametrize(
    "leaf",
    [
        nodes.byte_string(Tag.KEY_MATERIAL, SECRET),
        (Tag.MODULUS, nodes.BIG_INTEGER, int.from_bytes(SECRET, "big")),
        nodes.text(Tag.PASSWORD, SECRET.decode()),
        nodes.structure(Tag.CREDENTIAL, nodes.text(Tag.NAME_VALUE, SECRET.decode())),
        nodes.structure(Tag.AUTHENTICATION, nodes.text(Tag.NAME_VALUE, SECRET.decode())),
    ],
)
def test_a_message_with_a_secret_has_no_shape(leaf: Node) -> None:
    tree = kmip_samples.request("Get", kmip_samples.unique_identifier(), leaf)
    assert compile_shape(encode(tree), FREE) is None


def test_free_values_are_not_remembered() -> None:
    shape = shape_of(kmip_samples.encrypt_request(SECRET))
    held = held_by(shape)
    assert len(held) > 5
    assert SECRET not in repr(held).encode()
    assert kmip_samples.UNIQUE_IDENTIFIER not in repr(held)


def test_messages_without_shape() -> None:
    assert compile_shape(encode(kmip_samples.request("Query")), FREE) is not None, "nothing needs to be free"
    many = kmip_samples.request("Get", *[kmip_samples.unique_identifier()] * (FREE_LEAVES_MAX + 1))
    assert compile_shape(encode(many), FREE) is None
    with pytest.raises(MalformedMessage):
        compile_shape(b"\0" * 80, FREE)
