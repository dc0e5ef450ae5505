"""Rendered messages are byte for byte what the reference codec writes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.core.errors import Internal
from keystead.protocols.kmip.wire import nodes, templates
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag
from keystead.protocols.kmip.wire.templates import ENCODED_ITEMS, Slot, Template
from keystead.protocols.kmip.wire.ttlv import PADDING, encode
from tests.support import kmip_samples, kmip_trees
from tests.support.kmip_samples import NOW, UNIQUE_IDENTIFIER

IDENTIFIER = UNIQUE_IDENTIFIER.encode()
STAMP = NOW.to_bytes(8, "big")
NO_SLOT = (nodes.BOOLEAN, nodes.BIG_INTEGER)


def raw_value(node: Node) -> bytes:
    """A leaf's value as a template takes it: without header and padding."""
    item = encode(node)
    return item[8 : 8 + int.from_bytes(item[4:8], "big")]


@st.composite
def with_slots(draw: st.DrawFn, tree: Node) -> tuple[Node, list[bytes]]:
    """The tree with slots in place of some values, and these values."""
    tag, kind, value = tree
    if kind == nodes.STRUCTURE:
        drawn = [draw(with_slots(child)) for child in value]
        return (tag, kind, [child for child, _ in drawn]), [found for _, values in drawn for found in values]
    if kind in NO_SLOT or draw(st.booleans()):
        return tree, []
    found = raw_value(tree)
    return (tag, kind, Slot(draw(st.sampled_from([None, len(found)])))), [found]


@given(kmip_trees.trees(), st.data())
@settings(max_examples=200)
def test_every_template_renders_what_the_reference_writes(tree: Node, data: st.DataObject) -> None:
    slotted, values = data.draw(with_slots(tree))
    template = Template(slotted)
    assert template.render(tuple(values)) == encode(tree)
    assert template.render(tuple(values)) == encode(tree), "from the remembered format"


@pytest.mark.parametrize("size", [0, 1, 7, 8, 16, 32, 37, 256, 4096])
def test_get(size: int) -> None:
    template = Template(kmip_samples.get_response(now=Slot(), identifier=Slot(36), material=Slot()))
    material = b"%" * size
    assert template.render((STAMP, IDENTIFIER, material)) == encode(kmip_samples.get_response(material=material))


def test_data_of_every_length() -> None:
    template = Template(kmip_samples.encrypt_response(now=Slot(), data=Slot(), nonce=Slot(12)))
    for size in [*range(600), 4095, 4096, 9509]:  # more sizes than formats are kept; lengths that contain a per cent
        data = bytes(number & 0xFF for number in range(size))
        expected = encode(kmip_samples.encrypt_response(data=data))
        assert template.render((STAMP, data, kmip_samples.NONCE)) == expected


def test_formats_are_bounded_and_hold_no_value() -> None:
    template = Template(kmip_samples.get_response(now=Slot(), identifier=Slot(36), material=Slot()))
    secret = b"canary-of-a-secret"
    for size in range(templates.FORMATS_MAX + 50):
        template.render((STAMP, IDENTIFIER, secret * 4 + bytes(size)))
        assert len(template.formats) <= templates.FORMATS_MAX
    assert secret.decode() not in repr(template.formats)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_encoded_items(count: int) -> None:
    template = Template(kmip_samples.response("Locate", (0, ENCODED_ITEMS, Slot())))
    items = b"".join(encode(kmip_samples.unique_identifier(value)) for value in kmip_samples.identifiers(count))
    assert template.render((items,)) == encode(kmip_samples.locate_response(count))


def test_padding_of_numbers_is_part_of_the_template() -> None:
    tree = nodes.structure(Tag.BATCH_ITEM, (Tag.RESULT_REASON, nodes.ENUMERATION, Slot()))
    assert Template(tree).render((b"\0\0\0\7",)) == encode(
        nodes.structure(Tag.BATCH_ITEM, nodes.enumeration(Tag.RESULT_REASON, 7))
    )
    assert PADDING[4] == bytes(4)


@pytest.mark.parametrize(
    "values",
    [
        (),
        (STAMP, IDENTIFIER),
        (STAMP, IDENTIFIER, b"", b""),
        (STAMP[1:], IDENTIFIER, b""),
        (STAMP, IDENTIFIER + b"a", b""),
        (IDENTIFIER, STAMP, b""),
    ],
)
def test_values_that_do_not_fit_are_our_mistake(values: tuple[bytes, ...]) -> None:
    template = Template(kmip_samples.get_response(now=Slot(), identifier=Slot(36), material=Slot()))
    with pytest.raises(Internal):
        template.render(tuple(values))


def test_half_an_item_is_our_mistake() -> None:
    with pytest.raises(Internal):
        Template(nodes.structure(Tag.BATCH_ITEM, (0, ENCODED_ITEMS, Slot()))).render((b"1234",))


@pytest.mark.parametrize("kind", [nodes.BOOLEAN, nodes.BIG_INTEGER, nodes.STRUCTURE, 12])
def test_types_that_take_no_slot(kind: int) -> None:
    misplaced: Any = Slot()
    with pytest.raises(Internal):
        Template((Tag.DATA, kind, misplaced))
