"""Attributes in the forms of 1.x and 2.x."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.attribute_table import ATTRIBUTES
from keystead.core.attributes import Attribute, ItemType, Value, text
from keystead.core.errors import Invalid
from keystead.protocols.kmip.translate import attributes, values
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.names import VERSIONS, enum_value, unavailable_tags
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version
from tests.support.kmip_trees import trees

AES = enum_value("CryptographicAlgorithm", "AES")
CHACHA20 = enum_value("CryptographicAlgorithm", "ChaCha20")
NAME = Value(ItemType.STRUCTURE, ((Tag.NAME_VALUE, nodes.TEXT_STRING, "key 1"), (Tag.NAME_TYPE, nodes.ENUMERATION, 1)))
HELD = (
    Attribute("Name", 0, NAME),
    Attribute("Name", 2, NAME),
    Attribute("Cryptographic Algorithm", 0, Value(ItemType.ENUMERATION, AES)),
    Attribute("x-Product", 0, text("disk array")),
    Attribute("acme/Shelf", 0, Value(ItemType.INTEGER, 3)),
    Attribute("Operation Policy Name", 0, text("default")),
    Attribute("Fresh", 0, Value(ItemType.BOOLEAN, True)),
    Attribute("Alternative Name", 0, NAME),
    Attribute("Sensitive", 0, Value(ItemType.BOOLEAN, False)),
    Attribute("Short Unique Identifier", 0, Value(ItemType.BYTE_STRING, b"1234")),
    Attribute("Rotate Interval", 0, Value(ItemType.INTERVAL, 60)),
)


def names_of(version: Version) -> list[str]:
    written = attributes.instance_nodes(HELD, version)
    return [child[2] for node in written for child in node[2] if child[0] == Tag.ATTRIBUTE_NAME]


def test_every_attribute_has_a_tag_for_2_0() -> None:
    assert set(values.ATTRIBUTE_TAGS) == set(ATTRIBUTES)


@given(trees())
def test_values_survive_the_way_into_the_store_and_back(node: Node) -> None:
    assert values.node_of(node[0], values.value_of(node)) == node


def test_old_clients_are_told_only_what_their_version_knows() -> None:
    oldest = ["Name", "Name", "Cryptographic Algorithm", "x-Product", "Operation Policy Name"]
    assert names_of((1, 0)) == oldest
    assert names_of((1, 1)) == [*oldest, "Fresh"]
    assert names_of((1, 2)) == names_of((1, 3)) == [*oldest, "Fresh", "Alternative Name"]
    assert names_of((1, 4)) == [*oldest, "Fresh", "Alternative Name", "Sensitive"]


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_no_tag_is_newer_than_the_version(version: Version) -> None:
    written = (
        nodes.structure(Tag.RESPONSE_PAYLOAD, *attributes.instance_nodes(HELD, version))
        if version < (2, 0)
        else attributes.attributes_node(HELD, version)
    )
    assert not unavailable_tags(written, version)


@pytest.mark.row("KS-KMIP-050")
def test_an_index_is_written_unless_it_is_the_first() -> None:
    first, second, *_ = attributes.instance_nodes(HELD, (1, 4))
    assert nodes.first(first, Tag.ATTRIBUTE_INDEX) is None
    assert nodes.first(second, Tag.ATTRIBUTE_INDEX) == nodes.integer(Tag.ATTRIBUTE_INDEX, 2)


def test_vendor_attributes_of_2_0_are_the_custom_ones_of_1_0() -> None:
    written = attributes.attributes_node(HELD, (2, 1))
    vendors = [[child[2] for child in node[2]] for node in nodes.every(written, Tag.ATTRIBUTE)]
    assert vendors == [["x", "Product", "disk array"], ["acme", "Shelf", 3]]
    back = {a.name: a.value for a in attributes.read_attributes(written)}
    assert back["x-Product"] == text("disk array")
    assert back["acme/Shelf"].content == 3


def test_a_new_enumeration_value_is_not_told_to_a_version_without_it() -> None:
    chacha = Attribute("Cryptographic Algorithm", 0, Value(ItemType.ENUMERATION, CHACHA20))
    assert not attributes.instance_nodes([chacha], (1, 2))
    assert attributes.instance_nodes([chacha], (1, 4))


def test_new_bits_of_a_mask_are_not_told_to_a_version_without_them() -> None:
    newest = 0x00800000 | 0x0C
    assert values.masked(Tag.CRYPTOGRAPHIC_USAGE_MASK, newest, (1, 0)) == 0x0C
    assert values.masked(Tag.CRYPTOGRAPHIC_USAGE_MASK, newest, (2, 1)) == newest


def test_fields_of_structures_follow_the_version() -> None:
    digest = Value(
        ItemType.STRUCTURE,
        (
            (Tag.HASHING_ALGORITHM, nodes.ENUMERATION, 6),
            (Tag.DIGEST_VALUE, nodes.BYTE_STRING, bytes(32)),
            (Tag.KEY_FORMAT_TYPE, nodes.ENUMERATION, 1),
        ),
    )
    told: dict[Version, Any] = {version: values.sayable("Digest", digest, version) for version in VERSIONS}
    assert [len(value.content) for value in told.values()] == [2, 3, 3, 3, 3, 3, 3]


def test_new_objects_number_their_instances_from_zero() -> None:
    template = nodes.structure(
        Tag.TEMPLATE_ATTRIBUTE,
        nodes.structure(Tag.NAME, nodes.text(Tag.NAME_VALUE, "mould"), nodes.enumeration(Tag.NAME_TYPE, 1)),
        *attributes.instance_nodes([HELD[1], HELD[1], HELD[3]], (1, 0)),
    )
    found, templates = attributes.read_template(template)
    assert [(a.name, a.index) for a in found] == [("Name", 0), ("Name", 1), ("x-Product", 0)]
    assert templates == ("mould",)


@pytest.mark.parametrize("name", ["acme/Shelf", "/", "a/b/c"])
def test_1_0_cannot_reach_another_vendors_attributes(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        attributes.read_name(nodes.text(Tag.ATTRIBUTE_NAME, name))
    assert caught.value.reason == "invalid.attribute"


@pytest.mark.parametrize("vendor", ["", "a/b", "a b", "é"])
def test_a_vendor_identification_has_few_letters(vendor: str) -> None:
    node = nodes.structure(
        Tag.ATTRIBUTE,
        nodes.text(Tag.VENDOR_IDENTIFICATION, vendor),
        nodes.text(Tag.ATTRIBUTE_NAME, "Shelf"),
        nodes.integer(Tag.ATTRIBUTE_VALUE, 3),
    )
    with pytest.raises(Invalid):
        attributes.read_tagged(node)


@given(st.sampled_from(sorted(ATTRIBUTES)))
def test_references_name_the_same_attribute_both_ways(name: str) -> None:
    for node in attributes.name_nodes([Attribute(name, 0, NAME)], (2, 1)):
        assert attributes.read_reference(node) == name


def test_references_to_vendor_attributes() -> None:
    written = attributes.name_nodes(HELD, (2, 0))
    assert [attributes.read_reference(node) for node in written] == [
        *("Name", "Cryptographic Algorithm", "x-Product", "acme/Shelf", "Fresh", "Alternative Name", "Sensitive"),
        "Short Unique Identifier",
    ]


@pytest.mark.parametrize(
    "node",
    [
        nodes.enumeration(Tag.ATTRIBUTE_REFERENCE, Tag.BATCH_ITEM),
        nodes.text(Tag.ATTRIBUTE_REFERENCE, "Name"),
        nodes.structure(Tag.ATTRIBUTE_REFERENCE, nodes.text(Tag.ATTRIBUTE_NAME, "Shelf")),
    ],
)
def test_a_reference_to_no_attribute_is_refused(node: Node) -> None:
    with pytest.raises(Invalid):
        attributes.read_reference(node)


def test_a_new_attribute_is_exactly_one() -> None:
    name = nodes.structure(Tag.NAME, nodes.text(Tag.NAME_VALUE, "a"), nodes.enumeration(Tag.NAME_TYPE, 1))
    assert attributes.read_single(nodes.structure(Tag.NEW_ATTRIBUTE, name))[0] == "Name"
    for items in ([], [name, name]):
        with pytest.raises(Invalid):
            attributes.read_single(nodes.structure(Tag.NEW_ATTRIBUTE, *items))
