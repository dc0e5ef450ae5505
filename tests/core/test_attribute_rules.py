"""What a new object becomes of the attributes that a client gives."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.attribute_rules import Birth, birth_of, check_quantum_safe, merged, template_attributes
from keystead.core.attribute_table import ATTRIBUTES, Client, ObjectType
from keystead.core.attributes import Attribute, Attributes, ItemType, Value, text
from keystead.core.errors import Invalid
from keystead.core.records import KeyShape, ManagedObject
from keystead.core.structures import FIELDS, made, name_value

DAY_S = 86_400
NOW_S = 1_700_000_000


def given_as(**attributes: Any) -> tuple[Attribute, ...]:
    """Underscores in names are blanks."""
    return tuple(Attribute(name.replace("_", " "), 0, value) for name, value in attributes.items())


def born(*attributes: Attribute, kind: int = ObjectType.SYMMETRIC_KEY, **more: Any) -> Birth:
    return birth_of(kind, (*attributes, *given_as(**more)))


def number(value: int) -> Value:
    return Value(ItemType.ENUMERATION, value)


def integer(value: int) -> Value:
    return Value(ItemType.INTEGER, value)


def moment(offset_s: int) -> Value:
    return Value(ItemType.DATE_TIME, NOW_S + offset_s)


def yes_or_no(value: bool) -> Value:
    return Value(ItemType.BOOLEAN, value)


def reason_of(*attributes: Attribute, kind: int = ObjectType.SYMMETRIC_KEY, **more: Any) -> str:
    with pytest.raises(Invalid) as raised:
        born(*attributes, kind=kind, **more)
    return raised.value.reason


@pytest.mark.row("KS-KMIP-027")
def test_algorithm_length_and_mask_go_to_the_head() -> None:
    birth = born(
        Cryptographic_Algorithm=number(3), Cryptographic_Length=integer(192), Cryptographic_Usage_Mask=integer(12)
    )
    assert birth.shape == KeyShape(algorithm=3, length_bits=192, usage_mask=12)
    assert len(birth.attributes) == 0


def test_dates_go_to_the_head_in_microseconds() -> None:
    birth = born(
        Activation_Date=moment(0),
        Process_Start_Date=Value(ItemType.DATE_TIME_EXTENDED, NOW_S * 1_000_000 + 5),
        Protect_Stop_Date=moment(DAY_S),
        Deactivation_Date=moment(DAY_S),
    )
    assert birth.dates.activation_us == NOW_S * 1_000_000
    assert birth.dates.process_start_us == NOW_S * 1_000_000 + 5
    assert birth.dates.protect_stop_us == birth.dates.deactivation_us == (NOW_S + DAY_S) * 1_000_000


@pytest.mark.parametrize(
    "dates",
    [
        {"Activation_Date": moment(1), "Process_Start_Date": moment(0)},
        {"Protect_Stop_Date": moment(1), "Deactivation_Date": moment(0)},
        {"Activation_Date": moment(1), "Deactivation_Date": moment(0)},
    ],
)
@pytest.mark.row("KS-LIFE-006")
def test_dates_out_of_order_are_refused(dates: dict[str, Value]) -> None:
    assert reason_of(*given_as(**dates)) == "invalid.attribute_value"


def test_protection_may_stop_before_processing_starts() -> None:
    assert born(Activation_Date=moment(0), Process_Start_Date=moment(9), Protect_Stop_Date=moment(0))


@pytest.mark.row("KS-KMIP-032", "KS-KMIP-033")
def test_names_and_groups_come_several_times_and_are_numbered_in_order() -> None:
    names = [Attribute("Name", 7, name_value(word)) for word in ("b", "a")]
    groups = [Attribute("Object Group", 0, text(word)) for word in ("x", "y", "z")]
    held = born(*names, *groups).attributes
    assert [(a.index, a.value) for a in held.instances("Name")] == [(0, name_value("b")), (1, name_value("a"))]
    assert [a.index for a in held.instances("Object Group")] == [0, 1, 2]


@pytest.mark.row("KS-KMIP-026", "KS-KEY-028")
def test_contact_information_comes_at_most_once() -> None:
    contact = Attribute("Contact Information", 0, text("ops@example.org"))
    assert born(contact).attributes.first("Contact Information") == text("ops@example.org")
    assert reason_of(contact, contact) == "invalid.attribute_single"


@pytest.mark.row("KS-KEY-028")
def test_an_object_has_at_most_a_hundred_custom_attributes() -> None:
    customs = [Attribute(f"x-{number % 7}", 0, integer(number)) for number in range(101)]
    assert len(born(*customs[:100]).attributes) == 100
    assert reason_of(*customs) == "invalid.attribute_index"


@pytest.mark.row("KS-KMIP-025")
@pytest.mark.parametrize(
    ("namespace", "data", "reason"),
    [
        ("n" * 64, "d" * 256, None),
        ("n" * 65, "d", "invalid.attribute_value"),
        ("n", "d" * 257, "invalid.attribute_value"),
        ("n", None, "invalid.namespace"),
    ],
)
def test_application_specific_information(namespace: str, data: str | None, reason: str | None) -> None:
    attribute = Attribute(
        "Application Specific Information", 0, made("Application Specific Information", namespace, data)
    )
    if reason is None:
        assert len(born(attribute, attribute).attributes) == 2
    else:
        assert reason_of(attribute) == reason


NINE_KINDS = {
    ItemType.BIG_INTEGER: 1 << 80,
    ItemType.BOOLEAN: True,
    ItemType.BYTE_STRING: b"\x00\xff",
    ItemType.DATE_TIME: NOW_S,
    ItemType.ENUMERATION: 0x80000001,
    ItemType.INTEGER: -5,
    ItemType.INTERVAL: 60,
    ItemType.LONG_INTEGER: 1 << 40,
    ItemType.TEXT_STRING: "Ω" * 5000,
}


@pytest.mark.row("KS-KMIP-028", "KS-KEY-029")
@pytest.mark.parametrize("kind", NINE_KINDS, ids=lambda kind: kind.name)
def test_custom_attributes_take_nine_kinds_of_value(kind: ItemType) -> None:
    """Any text, also longer than the old product's 4096 printable ASCII characters: the specification wins."""
    value = Value(kind, NINE_KINDS[kind])
    assert born(Attribute("x-Own", 0, value)).attributes.first("x-Own") == value


@pytest.mark.row("KS-KMIP-028")
def test_custom_attributes_take_no_structures() -> None:
    assert reason_of(Attribute("x-Own", 0, name_value("n"))) == "invalid.attribute_value"


@pytest.mark.row("KS-KEY-030")
def test_custom_names_need_no_definition_beforehand() -> None:
    assert born(Attribute("x-Never heard of – Ω", 0, text("v"))).attributes.names() == ("x-Never heard of – Ω",)


@pytest.mark.parametrize("name", ["y-Server", "x-" + "n" * 254, "x-", "Colour", "State", "Digest", "Unique Identifier"])
def test_names_that_a_client_cannot_give(name: str) -> None:
    assert reason_of(Attribute(name, 0, text("v"))) in {"invalid.attribute", "invalid.attribute_read_only"}


@pytest.mark.parametrize("rule", [r for r in ATTRIBUTES.values() if not r.client & Client.CREATE], ids=lambda r: r.name)
def test_what_the_server_sets_is_refused_at_creation(rule: Any) -> None:
    assert reason_of(Attribute(rule.name, 0, text("v"))) == "invalid.attribute_read_only"


@pytest.mark.row("KS-KEY-058")
@given(name=st.sampled_from(sorted(ATTRIBUTES)), kind=st.sampled_from(list(ItemType)))
def test_a_value_of_another_type_is_refused(name: str, kind: ItemType) -> None:
    rule = ATTRIBUTES[name]
    if kind == rule.type or (rule.type is ItemType.DATE_TIME and kind == ItemType.DATE_TIME_EXTENDED):
        return
    content: Any = () if kind is ItemType.STRUCTURE else NINE_KINDS.get(kind, NOW_S)
    for object_type in ObjectType:
        with pytest.raises(Invalid):
            born(Attribute(name, 0, Value(kind, content)), kind=object_type)


@pytest.mark.parametrize("name", sorted(name for name in FIELDS if not ATTRIBUTES[name].read_only))
def test_a_structure_with_a_strange_field_is_refused(name: str) -> None:
    strange = Value(ItemType.STRUCTURE, ((0x54FFFF, int(ItemType.INTEGER), 1),))
    assert reason_of(Attribute(name, 0, strange), kind=ObjectType.PRIVATE_KEY) in {
        "invalid.attribute_value",
        "invalid.attribute",
    }


@pytest.mark.row("KS-KEY-058")
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (ItemType.INTEGER, 1 << 31),
        (ItemType.INTEGER, "1"),
        (ItemType.INTEGER, True),
        (ItemType.LONG_INTEGER, 1 << 63),
        (ItemType.ENUMERATION, -1),
        (ItemType.INTERVAL, 1 << 32),
        (ItemType.BOOLEAN, 1),
        (ItemType.TEXT_STRING, b"bytes"),
        (ItemType.TEXT_STRING, "t" * 65_537),
        (ItemType.BYTE_STRING, "text"),
        (ItemType.DATE_TIME, 253_402_300_800),
        (99, 1),
    ],
)
def test_a_value_out_of_its_types_range_is_refused(kind: int, content: Any) -> None:
    assert reason_of(Attribute("x-Own", 0, Value(kind, content))) == "invalid.attribute_value"


def test_a_structure_is_kept_with_its_fields_in_order() -> None:
    turned = Value(ItemType.STRUCTURE, tuple(reversed(name_value("n").content)))
    assert born(Attribute("Name", 0, turned)).attributes.first("Name") == name_value("n")


@pytest.mark.row("KS-KMIP-032")
@pytest.mark.parametrize(("kind", "accepted"), [(1, True), (2, True), (3, False)])
def test_names_are_texts_or_uris(kind: int, accepted: bool) -> None:
    attribute = Attribute("Name", 0, name_value("n", kind))
    if accepted:
        assert born(attribute)
    else:
        assert reason_of(attribute) == "invalid.attribute_value"


def test_usage_limits_start_unspent_whatever_the_client_says() -> None:
    limits = born(Usage_Limits=made("Usage Limits", 100, 7, 1)).attributes.first("Usage Limits")
    assert limits == made("Usage Limits", 100, 100, 1)


def test_protection_starts_as_given_and_remembers() -> None:
    free = born().protection
    assert (free.sensitive, free.always_sensitive, free.extractable, free.never_extractable) == (
        False,
        False,
        True,
        False,
    )
    held = born(Sensitive=yes_or_no(True), Extractable=yes_or_no(False)).protection
    assert (held.sensitive, held.always_sensitive, held.extractable, held.never_extractable) == (
        True,
        True,
        False,
        True,
    )


def test_attributes_of_other_object_types_are_refused() -> None:
    parameters = Attribute("Cryptographic Domain Parameters", 0, made("Cryptographic Domain Parameters", 256))
    assert reason_of(parameters, kind=ObjectType.SYMMETRIC_KEY) == "invalid.attribute"
    assert born(parameters, kind=ObjectType.PRIVATE_KEY)


@pytest.mark.parametrize(("bits", "safe"), [(128, False), (192, False), (256, True)])
def test_a_key_that_shall_be_quantum_safe_has_256_bits(bits: int, safe: bool) -> None:
    wanted = Attributes([Attribute("Quantum Safe", 0, yes_or_no(True))])
    shape = KeyShape(algorithm=3, length_bits=bits)
    if safe:
        check_quantum_safe(shape, wanted)
    else:
        with pytest.raises(Invalid):
            check_quantum_safe(shape, wanted)


@pytest.mark.row("KS-KMIP-023")
def test_a_template_gives_what_it_holds_but_its_name() -> None:
    birth = born(
        Attribute("Name", 0, name_value("standard")),
        kind=ObjectType.TEMPLATE,
        Cryptographic_Algorithm=number(3),
        Cryptographic_Length=integer(128),
        Object_Group=text("tapes"),
    )
    template = ManagedObject(
        "id", "root", ObjectType.TEMPLATE, "alice", "h", 0, 0, birth.shape, birth.dates, attributes=birth.attributes
    )
    assert sorted(template_attributes(template)) == sorted(
        given_as(Cryptographic_Algorithm=number(3), Cryptographic_Length=integer(128), Object_Group=text("tapes"))
    )


def test_given_attributes_win_over_templates_and_instances_are_united() -> None:
    first = given_as(Cryptographic_Length=integer(128), Object_Group=text("a"))
    second = given_as(Cryptographic_Length=integer(192), Object_Group=text("a"))
    united = merged([first, second], given_as(Object_Group=text("b")))
    assert [a.value for a in united if a.name == "Object Group"] == [text("a"), text("b")]
    assert [a.value for a in united if a.name == "Cryptographic Length"] == [integer(192)]
    won = merged([first], given_as(Cryptographic_Length=integer(256)))
    assert [a.value for a in won if a.name == "Cryptographic Length"] == [integer(256)]
