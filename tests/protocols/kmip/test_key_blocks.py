"""Managed objects as they are sent and kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.attribute_table import ObjectType
from keystead.core.errors import Invalid, NotSupported
from keystead.operations.requests import KeyBlock
from keystead.protocols.kmip.translate import key_blocks
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.names import enum_value
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag
from tests.support.kmip_requests import name_value, text_attribute

AES = enum_value("CryptographicAlgorithm", "AES")
CHACHA20 = enum_value("CryptographicAlgorithm", "ChaCha20")
RAW, OPAQUE, TRANSPARENT, TRANSPARENT_RSA = 1, 2, 7, 11
MATERIAL = bytes(range(32))


def key_block(key_format: int, material: Node, *further: Node) -> Node:
    return nodes.structure(
        Tag.KEY_BLOCK,
        nodes.enumeration(Tag.KEY_FORMAT_TYPE, key_format),
        nodes.structure(Tag.KEY_VALUE, material),
        *further,
    )


def algorithm(value: int = AES, bits: int = 256) -> tuple[Node, Node]:
    return nodes.enumeration(Tag.CRYPTOGRAPHIC_ALGORITHM, value), nodes.integer(Tag.CRYPTOGRAPHIC_LENGTH, bits)


BYTES = nodes.byte_string(Tag.KEY_MATERIAL, MATERIAL)
RSA_PUBLIC = nodes.structure(
    Tag.KEY_MATERIAL, (Tag.MODULUS, nodes.BIG_INTEGER, (3 << 1000) + 1), (Tag.PUBLIC_EXPONENT, nodes.BIG_INTEGER, 65537)
)
OBJECTS: list[tuple[ObjectType, Node]] = [
    (ObjectType.SYMMETRIC_KEY, nodes.structure(Tag.SYMMETRIC_KEY, key_block(RAW, BYTES, *algorithm()))),
    (ObjectType.SYMMETRIC_KEY, nodes.structure(Tag.SYMMETRIC_KEY, key_block(OPAQUE, BYTES, *algorithm()))),
    (
        ObjectType.SYMMETRIC_KEY,
        nodes.structure(
            Tag.SYMMETRIC_KEY,
            key_block(
                TRANSPARENT,
                nodes.structure(Tag.KEY_MATERIAL, nodes.byte_string(Tag.KEY, MATERIAL)),
                *algorithm(),
            ),
        ),
    ),
    (
        ObjectType.PUBLIC_KEY,
        nodes.structure(Tag.PUBLIC_KEY, key_block(TRANSPARENT_RSA, RSA_PUBLIC, *algorithm(4, 1024))),
    ),
    (
        ObjectType.SECRET_DATA,
        nodes.structure(Tag.SECRET_DATA, nodes.enumeration(Tag.SECRET_DATA_TYPE, 1), key_block(OPAQUE, BYTES)),
    ),
    (
        ObjectType.OPAQUE,
        nodes.structure(
            Tag.OPAQUE_OBJECT,
            nodes.enumeration(Tag.OPAQUE_DATA_TYPE, 0x80000001),
            nodes.byte_string(Tag.OPAQUE_DATA_VALUE, MATERIAL),
        ),
    ),
    (
        ObjectType.CERTIFICATE,
        nodes.structure(
            Tag.CERTIFICATE,
            nodes.enumeration(Tag.CERTIFICATE_TYPE, 1),
            nodes.byte_string(Tag.CERTIFICATE_VALUE, MATERIAL),
        ),
    ),
    (ObjectType.TEMPLATE, nodes.structure(Tag.TEMPLATE, text_attribute("x-Shelf", "3"))),
]


@pytest.mark.parametrize(("object_type", "node"), OBJECTS)
def test_what_is_registered_is_what_get_answers(object_type: ObjectType, node: Node) -> None:
    registered = key_blocks.read_object(object_type, node, (1, 4))
    written = key_blocks.object_node(object_type, registered.block, registered.attributes, (1, 4))
    assert written == node


@given(st.binary(min_size=1), st.sampled_from([RAW, OPAQUE, TRANSPARENT]))
def test_material_is_kept_as_bytes_whatever_the_format(material: bytes, key_format: int) -> None:
    inside = nodes.byte_string(Tag.KEY_MATERIAL, material)
    if key_format == TRANSPARENT:
        inside = nodes.structure(Tag.KEY_MATERIAL, nodes.byte_string(Tag.KEY, material))
    node = nodes.structure(Tag.SYMMETRIC_KEY, key_block(key_format, inside))
    block = key_blocks.read_object(ObjectType.SYMMETRIC_KEY, node, (2, 1)).block
    assert block is not None
    assert block.material.reveal() == material
    assert repr(material) not in repr(block)


def test_attributes_inside_the_key_value_are_found_and_not_sent_back() -> None:
    value = nodes.structure(Tag.KEY_VALUE, BYTES, text_attribute("x-Shelf", "3"))
    block = nodes.structure(Tag.KEY_BLOCK, nodes.enumeration(Tag.KEY_FORMAT_TYPE, RAW), value, *algorithm())
    registered = key_blocks.read_object(ObjectType.SYMMETRIC_KEY, nodes.structure(Tag.SYMMETRIC_KEY, block), (1, 0))
    assert [attribute.name for attribute in registered.attributes] == ["x-Shelf"]
    written = key_blocks.object_node(ObjectType.SYMMETRIC_KEY, registered.block, registered.attributes, (1, 0))
    assert written == OBJECTS[0][1]


def test_an_algorithm_that_the_version_does_not_know_is_left_out() -> None:
    _, node = OBJECTS[0]
    block = key_blocks.read_object(ObjectType.SYMMETRIC_KEY, node, (1, 4)).block
    assert block is not None
    newer = KeyBlock(block.format, block.material, CHACHA20, 256)
    (old,) = key_blocks.object_node(ObjectType.SYMMETRIC_KEY, newer, (), (1, 0))[2]
    assert [child[0] for child in old[2]] == [Tag.KEY_FORMAT_TYPE, Tag.KEY_VALUE]


@pytest.mark.parametrize(
    ("block", "error", "reason"),
    [
        (key_block(RAW, BYTES, nodes.structure(Tag.KEY_WRAPPING_DATA)), Invalid, "invalid.missing"),
        (
            key_block(RAW, BYTES, nodes.enumeration(Tag.KEY_COMPRESSION_TYPE, 2)),
            NotSupported,
            "not_supported.compression",
        ),
        (nodes.structure(Tag.KEY_BLOCK, nodes.enumeration(Tag.KEY_FORMAT_TYPE, RAW)), Invalid, "invalid.missing"),
        (key_block(RAW, nodes.structure(Tag.KEY_MATERIAL)), Invalid, "invalid.message"),
        (key_block(TRANSPARENT, nodes.structure(Tag.KEY_MATERIAL)), Invalid, "invalid.key"),
        (key_block(TRANSPARENT, BYTES), Invalid, "invalid.message"),
        (key_block(TRANSPARENT_RSA, BYTES), Invalid, "invalid.message"),
        (key_block(RAW, BYTES, BYTES), Invalid, "invalid.field"),
    ],
)
def test_a_key_block_that_cannot_be_kept(block: Node, error: type[Exception], reason: str) -> None:
    with pytest.raises(error) as caught:
        key_blocks.read_object(ObjectType.SYMMETRIC_KEY, nodes.structure(Tag.SYMMETRIC_KEY, block), (1, 4))
    assert getattr(caught.value, "reason", None) == reason


def test_a_template_holds_attributes_and_from_old_clients_its_name() -> None:
    name = nodes.structure(
        Tag.ATTRIBUTE,
        nodes.text(Tag.ATTRIBUTE_NAME, "Name"),
        (Tag.ATTRIBUTE_VALUE, nodes.STRUCTURE, name_value("mould")[2]),
    )
    registered = key_blocks.read_object(ObjectType.TEMPLATE, nodes.structure(Tag.TEMPLATE, name), (1, 0))
    assert [attribute.name for attribute in registered.attributes] == ["Name"]
    with pytest.raises(Invalid):
        key_blocks.read_object(ObjectType.TEMPLATE, nodes.structure(Tag.TEMPLATE, BYTES), (1, 0))
