"""Names of custom attributes: defined with a type that they keep, and values held to it."""

from typing import Any

import pytest

from keystead.core.attributes import Attribute, ItemType, Value, text
from keystead.core.changes import Put
from keystead.core.errors import Exists, Invalid, KeysteadError, NotFound, Refused
from keystead.core.peoples_attributes import AttributeType, shown, typed_value
from keystead.operations import key_attribute_names
from keystead.operations.admin_key_search import FindKeys
from keystead.operations.admin_keys import ChangeKey, ShowKey
from keystead.operations.admin_keys_made import GenerateKey
from keystead.operations.key_attribute_names import (
    DefineAttribute,
    DefinedAttribute,
    DeleteAttribute,
    ListAttributes,
    ShowAttribute,
)
from keystead.operations.key_queries import ApplyQuery
from keystead.operations.requests import AddAttribute
from keystead.operations.users import CreateUser
from tests.support.builders import ADMINISTRATOR, ALICE, EVERYTHING, Node, a_key

BUILT_IN = ["Contact Information", "Object Group"]


def listed(node: Node) -> list[str]:
    return [one.name for one in node.ask(ADMINISTRATOR, ListAttributes())]


def define(node: Node, name: str, kind: AttributeType = AttributeType.STRING, about: str = "") -> DefinedAttribute:
    made: DefinedAttribute = node.ask(ADMINISTRATOR, DefineAttribute(name, kind, about))
    return made


@pytest.mark.row("KS-KEY-025")
def test_names_are_defined_described_listed_and_deleted(node: Node) -> None:
    assert define(node, "x-cost", AttributeType.INTEGER, "a\tb\r\nc").name == "x-cost"
    assert define(node, "Department") == DefinedAttribute("x-Department", "string", "", built_in=False)
    assert listed(node) == [*BUILT_IN, "x-Department", "x-cost"]
    assert define(node, "Department", about="who pays").description == "who pays"
    assert node.ask(ADMINISTRATOR, ShowAttribute("Department")).description == "who pays"
    assert node.ask(ADMINISTRATOR, ShowAttribute("x-cost")).type == "integer"
    longest = "a" * 253
    define(node, longest, about="~" * 4095)
    node.ask(ADMINISTRATOR, DeleteAttribute(longest))
    node.ask(ADMINISTRATOR, DeleteAttribute("x-cost"))
    assert listed(node) == [*BUILT_IN, "x-Department"]
    with pytest.raises(NotFound):
        node.ask(ADMINISTRATOR, DeleteAttribute("x-cost"))


@pytest.mark.row("KS-KEY-025")
@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("", ""),
        ("1st", ""),
        ("a b", ""),
        ("a\n", ""),
        ("ä", ""),
        ("а", ""),
        ("x-", ""),
        ("y-own", ""),
        ("vendor/a", ""),
        ("a" * 256, ""),
        ("a" * 254, ""),
        ("x-fine", "ä"),
        ("x-fine", "\x00"),
        ("x-fine", "a" * 4096),
    ],
)
def test_names_and_descriptions_have_their_forms(node: Node, name: str, about: str) -> None:
    with pytest.raises(Invalid):
        define(node, name, about=about)
    assert listed(node) == BUILT_IN


@pytest.mark.row("KS-KEY-027")
def test_built_in_names_are_neither_changed_nor_deleted(node: Node) -> None:
    for name in BUILT_IN:
        assert node.ask(ADMINISTRATOR, ShowAttribute(name)).built_in
        with pytest.raises(Refused):
            node.ask(ADMINISTRATOR, DeleteAttribute(name))
        with pytest.raises(Refused):
            define(node, name)


@pytest.mark.row("KS-KEY-026")
def test_a_type_is_fixed_once_it_is_chosen(node: Node) -> None:
    for kind in AttributeType:
        define(node, f"x-{kind}", kind)
        for other in set(AttributeType) - {kind}:
            with pytest.raises(Exists, match=kind):
                define(node, f"x-{kind}", other)
        assert node.ask(ADMINISTRATOR, ShowAttribute(f"x-{kind}")).type == kind


WRITTEN: list[tuple[AttributeType, str, Value]] = [
    (AttributeType.STRING, "5", text("5")),
    (AttributeType.INTEGER, "-2147483648", Value(ItemType.INTEGER, -(2**31))),
    (AttributeType.LONG_INTEGER, str(2**63 - 1), Value(ItemType.LONG_INTEGER, 2**63 - 1)),
    (AttributeType.BIG_INTEGER, "-" + "9" * 100, Value(ItemType.BIG_INTEGER, -(10**100) + 1)),
    (AttributeType.ENUMERATION, "7", Value(ItemType.ENUMERATION, 7)),
    (AttributeType.BOOLEAN, "yes", Value(ItemType.BOOLEAN, True)),
    (AttributeType.BYTE_STRING, "0x00ff", Value(ItemType.BYTE_STRING, b"\x00\xff")),
    (AttributeType.DATE_TIME, "2027-01-15T08:00:00Z", Value(ItemType.DATE_TIME, 1_800_000_000)),
    (AttributeType.INTERVAL, "3600", Value(ItemType.INTERVAL, 3600)),
]
WRONG: list[tuple[AttributeType, str]] = [
    (AttributeType.INTEGER, "2147483648"),
    (AttributeType.INTEGER, "five"),
    (AttributeType.INTEGER, "5.0"),
    (AttributeType.INTEGER, "٥"),
    (AttributeType.INTEGER, "1_0"),
    (AttributeType.LONG_INTEGER, str(2**63)),
    (AttributeType.BIG_INTEGER, "9" * 4097),
    (AttributeType.ENUMERATION, "-1"),
    (AttributeType.BOOLEAN, "maybe"),
    (AttributeType.BOOLEAN, "1"),
    (AttributeType.BYTE_STRING, "00ff"),
    (AttributeType.BYTE_STRING, "0x0"),
    (AttributeType.BYTE_STRING, "0x 0 0"),
    (AttributeType.DATE_TIME, "yesterday"),
    (AttributeType.DATE_TIME, "-30d"),
    (AttributeType.INTERVAL, "-1"),
    (AttributeType.INTERVAL, "4294967296"),
]


@pytest.mark.row("KS-KEY-026", "KS-KEY-058")
@pytest.mark.parametrize(("kind", "written", "value"), WRITTEN)
def test_what_administrators_write_is_of_the_type(node: Node, kind: AttributeType, written: str, value: Value) -> None:
    node.gate.switches = EVERYTHING
    define(node, "mine", kind)
    made = node.ask(ADMINISTRATOR, GenerateKey("made", attributes=(f"mine={written}",))).key.id
    plain = node.ask(ADMINISTRATOR, GenerateKey("plain")).key.id
    node.ask(ADMINISTRATOR, ChangeKey("plain", attributes=(f"x-mine={written}",)))
    for key in (made, plain):
        (held,) = node.record(key).attributes.instances("x-mine")
        assert held == Attribute("x-mine", 0, value)
    assert len(node.ask(ADMINISTRATOR, FindKeys(attribute=f"mine={written}")).keys) == 2
    assert len(node.ask(ADMINISTRATOR, ApplyQuery(f'x-mine = "{written}"')).keys) == 2
    assert typed_value(kind, shown(value)) == value
    node.ask(ADMINISTRATOR, ChangeKey("plain", without=("mine",)))
    assert not node.record(plain).attributes.instances("x-mine")


@pytest.mark.row("KS-KEY-058")
@pytest.mark.parametrize(("kind", "written"), WRONG)
def test_what_is_not_of_the_type_is_refused(node: Node, kind: AttributeType, written: str) -> None:
    node.gate.switches = EVERYTHING
    define(node, "x-mine", kind)
    node.ask(ADMINISTRATOR, GenerateKey("plain"))
    for wrong in (
        ChangeKey("plain", attributes=(f"x-mine={written}",)),
        GenerateKey("new", attributes=(f"x-mine={written}",)),
        FindKeys(attribute=f"x-mine={written}"),
    ):
        with pytest.raises(Invalid, match=f"no {kind}"):
            node.ask(ADMINISTRATOR, wrong)
    assert node.ask(ADMINISTRATOR, ShowKey("plain")).attributes == ()


def test_clients_stay_free_and_what_they_wrote_is_left_to_them(node: Node) -> None:
    node.gate.switches = EVERYTHING
    node.ask(ADMINISTRATOR, CreateUser("alice"))
    define(node, "x-mine", AttributeType.INTEGER)
    key = a_key(node)
    node.ask(ALICE, AddAttribute("x-mine", text("as I like"), key))
    assert node.record(key).attributes.first("x-mine") == text("as I like")
    with pytest.raises(Invalid, match="another type"):
        node.ask(ADMINISTRATOR, ChangeKey(key, attributes=("x-mine=5",)))
    node.ask(ADMINISTRATOR, ChangeKey(key, without=("x-mine",)))
    node.ask(ADMINISTRATOR, ChangeKey(key, attributes=("x-mine=5",)))
    assert node.record(key).attributes.first("x-mine") == Value(ItemType.INTEGER, 5)


def test_values_outlive_the_definition_and_names_without_one_hold_text(node: Node) -> None:
    node.gate.switches = EVERYTHING
    define(node, "mine", AttributeType.INTEGER)
    node.ask(ADMINISTRATOR, GenerateKey("made", attributes=("mine=5",)))
    node.ask(ADMINISTRATOR, DeleteAttribute("mine"))
    assert [one.value for one in node.ask(ADMINISTRATOR, ShowKey("made")).attributes] == ["5"]
    for wrong in ("mine=6", "x-mine=6"):
        with pytest.raises(Invalid):
            node.ask(ADMINISTRATOR, ChangeKey("made", attributes=(wrong,)))
    node.ask(ADMINISTRATOR, ChangeKey("made", attributes=("x-other=6",)))
    assert len(node.ask(ADMINISTRATOR, ApplyQuery("x-mine > 4 and x-other = 6")).keys) == 1


def test_a_number_of_thousands_of_digits_is_shown(node: Node) -> None:
    node.gate.switches = EVERYTHING
    key = node.ask(ADMINISTRATOR, GenerateKey("made")).key.id
    huge = Value(ItemType.BIG_INTEGER, 1 << 20_000)
    record = node.record(key)
    assert node.store(Put(record._replace(attributes=record.attributes.added("x-huge", huge)))) is None
    page = node.ask(ADMINISTRATOR, ApplyQuery("x-huge > 5", ("x-huge",)))
    assert page.keys[0].cells["x-huge"].startswith("0x1000")
    assert node.ask(ADMINISTRATOR, ShowKey("made")).attributes[0].value.startswith("0x1000")


def test_the_number_of_names_is_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    define(node, "x-one")
    monkeypatch.setattr(key_attribute_names, "NAMES_COUNT_MAX", 1)
    with pytest.raises(Refused):
        define(node, "x-two")
    define(node, "x-one", about="described all the same")


def test_users_have_no_say(node: Node) -> None:
    requests: list[Any] = [DefineAttribute("a"), ListAttributes(), ShowAttribute("a"), DeleteAttribute("a")]
    for request in requests:
        with pytest.raises(KeysteadError):
            node.ask(ALICE, request)
