"""Structures read by tables."""

import pytest

from keystead.core.errors import Invalid
from keystead.protocols.kmip.translate.fields import Field, Layout, boolean, count, integer, moment_us, text
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag

LAYOUT = Layout(
    Field(Tag.UNIQUE_IDENTIFIER, "target", text, required=True),
    Field(Tag.MAXIMUM_ITEMS, "most", count),
    Field(Tag.OFFSET_ITEMS, "offset", count),
    Field(Tag.ATTRIBUTE_NAME, "names", text, many=True, until=(1, 4)),
    Field(Tag.INIT_INDICATOR, "first", boolean, since=(2, 0)),
)
TARGET = nodes.text(Tag.UNIQUE_IDENTIFIER, "a")


def payload(*items: Node) -> Node:
    return nodes.structure(Tag.REQUEST_PAYLOAD, *items)


def test_fields_become_values_in_any_order() -> None:
    names = (nodes.text(Tag.ATTRIBUTE_NAME, name) for name in "ab")
    values = LAYOUT.read(payload(*names, nodes.integer(Tag.MAXIMUM_ITEMS, 3), TARGET), (1, 0))
    assert values == {"names": ("a", "b"), "most": 3, "target": "a"}


@pytest.mark.parametrize(
    ("items", "version", "reason"),
    [
        ([TARGET, TARGET], (1, 0), "invalid.message"),
        ([], (1, 0), "invalid.missing"),
        ([TARGET, nodes.integer(Tag.OFFSET_ITEMS, 1)], (1, 2), "invalid.field"),  # of 1.3 and later
        ([TARGET, nodes.text(Tag.ATTRIBUTE_NAME, "a")], (2, 0), "invalid.field"),
        ([TARGET, nodes.boolean(Tag.INIT_INDICATOR, value=True)], (1, 4), "invalid.field"),
        ([TARGET, nodes.text(0x540001, "a")], (1, 4), "invalid.field"),
        ([nodes.integer(Tag.UNIQUE_IDENTIFIER, 1)], (1, 0), "invalid.message"),
        ([TARGET, nodes.integer(Tag.MAXIMUM_ITEMS, -1)], (1, 0), "invalid.field"),
    ],
)
def test_what_does_not_fit_is_refused(items: list[Node], version: tuple[int, int], reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        LAYOUT.read(payload(*items), version)
    assert caught.value.reason == reason


def test_a_payload_is_a_structure() -> None:
    with pytest.raises(Invalid) as caught:
        LAYOUT.read(nodes.integer(Tag.REQUEST_PAYLOAD, 1), (1, 0))
    assert caught.value.reason == "invalid.message"


def test_dates_of_both_grains_become_microseconds() -> None:
    assert moment_us(nodes.date_time(Tag.ACTIVATION_DATE, 7)) == 7_000_000
    assert moment_us((Tag.ACTIVATION_DATE, nodes.DATE_TIME_EXTENDED, 7)) == 7


@pytest.mark.parametrize("read", [text, boolean, integer, moment_us])
def test_a_value_of_another_type_makes_the_item_unreadable(read: object) -> None:
    assert callable(read)
    with pytest.raises(Invalid):
        read(nodes.byte_string(Tag.DATA, b"secret"))
