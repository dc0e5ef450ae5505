"""Making new objects."""

import hashlib
import re
from dataclasses import replace

import pytest

from keystead.core.algorithms import SYMMETRIC, Algorithm, material_bytes
from keystead.core.attributes import Attribute, ItemType, Value, text
from keystead.core.records import ManagedObject
from keystead.core.secret import Secret
from keystead.core.structures import TAG_DIGEST_VALUE, made, name_value
from keystead.operations.requests import (
    Create,
    Created,
    Get,
    GetAttributeList,
    GetAttributes,
    KeyBlock,
    ModifyAttribute,
    Register,
)
from tests.support.builders import (
    AES,
    ALICE,
    DES3,
    ENCRYPT,
    EVERYTHING,
    GLOBAL,
    HMAC_SHA256,
    OPAQUE,
    PERMISSIVE,
    SECRET_DATA,
    START_US,
    SYMMETRIC_KEY,
    TEMPLATE,
    Node,
    a_key,
    attribute,
    attributes,
    boolean,
    creation,
    enumeration,
    integer,
)

NAME_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def bytes_of(node: Node, object_id: str) -> bytes:
    material: bytes = node.ask(ALICE, Get(object_id)).block.material.reveal()
    return material


@pytest.mark.row("KS-KEY-001", "KS-KMIP-030", "KS-KMIP-035")
def test_a_key_consists_of_bytes_and_metadata(node: Node) -> None:
    created: Created = node.ask(ALICE, creation(x_Purpose=text("tests")))
    record = node.record(created.id)
    assert (record.id, record.owner, record.object_type) == (created.id, "alice", SYMMETRIC_KEY)
    assert (record.shape.algorithm, record.shape.length_bits, record.grants) == (AES, 256, {})
    assert record.initial_us == record.last_change_us == record.original_creation_us == START_US
    assert (record.protection.deletable, record.protection.exportable, record.state(START_US)) == (True, True, 1)
    assert NAME_PATTERN.fullmatch(record.handle)
    assert len(bytes_of(node, created.id)) == 32


@pytest.mark.row("KS-KMIP-029")
def test_the_digest_is_that_of_the_clear_bytes(node: Node) -> None:
    key = a_key(node)
    held = node.ask(ALICE, GetAttributes(key, ("Digest",))).attributes[0].value
    assert held == made("Digest", 6, hashlib.sha256(bytes_of(node, key)).digest(), 1)


def test_every_key_is_another_one_and_shows_nowhere_in_the_store(node: Node) -> None:
    keys = [a_key(node) for _ in range(5)]
    materials = {bytes_of(node, key) for key in keys}
    assert len(materials) == len({node.record(key).handle for key in keys}) == 5
    stored = b"".join(path.read_bytes() for path in node.path.parent.glob("store.db*"))
    assert not any(material in stored for material in materials)


@pytest.mark.row("KS-KMIP-030", "KS-KMIP-034")
def test_initial_date_and_type_never_change(node: Node) -> None:
    key = a_key(node)
    node.clock.pass_s(60)
    assert node.ask(ALICE, Get(key))
    assert attribute(node, ALICE, key, "Initial Date") == START_US // 1_000_000
    assert attribute(node, ALICE, key, "Object Type") == SYMMETRIC_KEY


LEGACY = sorted(number for number, rule in SYMMETRIC.items() if rule.legacy)
MODERN = sorted(SYMMETRIC.keys() - set(LEGACY))


@pytest.mark.row("KS-KEY-007")
@pytest.mark.parametrize("algorithm", MODERN, ids=lambda number: Algorithm(number).name)
def test_modern_algorithms_make_keys_of_their_lengths(node: Node, algorithm: int) -> None:
    rule = SYMMETRIC[algorithm]
    for bits in sorted({min(rule.lengths_bits), rule.default_bits, max(rule.lengths_bits)}):
        key = a_key(node, algorithm=algorithm, bits=bits)
        assert len(bytes_of(node, key)) == bits // 8
    assert node.reason(ALICE, creation(algorithm, 72)) == "invalid.attribute_value"


@pytest.mark.row("KS-KEY-007")
@pytest.mark.parametrize("algorithm", LEGACY, ids=lambda number: Algorithm(number).name)
def test_outdated_algorithms_need_their_switch(node: Node, algorithm: int) -> None:
    rule = SYMMETRIC[algorithm]
    request = creation(algorithm, rule.default_bits)
    assert node.reason(ALICE, request) == "refused.switched_off"
    node.gate.switches = EVERYTHING
    key = node.ask(ALICE, request).id
    assert len(bytes_of(node, key)) == material_bytes(algorithm, rule.default_bits)


@pytest.mark.parametrize(("bits", "byte_count"), [(112, 16), (128, 16), (168, 24), (192, 24)])
def test_triple_des_keys_have_odd_parity_and_the_length_they_were_asked_for(
    open_node: Node, bits: int, byte_count: int
) -> None:
    key = a_key(open_node, algorithm=DES3, bits=bits)
    material = bytes_of(open_node, key)
    assert len(material) == byte_count
    assert all(byte.bit_count() % 2 for byte in material)
    assert attribute(open_node, ALICE, key, "Cryptographic Length") == bits


def test_what_is_left_out_gets_the_defaults_and_the_answer_tells_them(node: Node) -> None:
    created: Created = node.ask(ALICE, Create(SYMMETRIC_KEY))
    assert [(a.name, a.value.content) for a in created.implicit] == [
        ("Cryptographic Algorithm", AES),
        ("Cryptographic Length", 256),
        ("Cryptographic Usage Mask", 12),
    ]
    mac: Created = node.ask(ALICE, Create(SYMMETRIC_KEY, attributes(Cryptographic_Algorithm=enumeration(HMAC_SHA256))))
    assert attribute(node, ALICE, mac.id, "Cryptographic Usage Mask") == 0x180


def test_secret_data_can_be_made(node: Node) -> None:
    created: Created = node.ask(ALICE, Create(SECRET_DATA, attributes(Cryptographic_Length=integer(80))))
    got = node.ask(ALICE, Get(created.id))
    assert (got.object_type, got.block.format, got.block.subtype, len(got.block.material)) == (SECRET_DATA, 2, 1, 10)


@pytest.mark.parametrize("bits", [-8, 4, 12, 8 * 65_537])
def test_secret_data_has_whole_bytes_within_bounds(node: Node, bits: int) -> None:
    request = Create(SECRET_DATA, attributes(Cryptographic_Length=integer(bits)))
    assert node.reason(ALICE, request) == "invalid.attribute_value"


@pytest.mark.parametrize("object_type", [1, 3, 4, 5, TEMPLATE, OPAQUE, 9, 10, 99])
def test_other_objects_are_not_made(node: Node, object_type: int) -> None:
    assert node.reason(ALICE, Create(object_type)) == "invalid.object_type"


@pytest.mark.row("KS-KMIP-037", "KS-KMIP-049")
def test_a_key_takes_application_information_custom_attributes_and_aliases(node: Node) -> None:
    information = made("Application Specific Information", "LIBRARY-LTO", "0123")
    given = (
        Attribute("Application Specific Information", 0, information),
        Attribute("x-Barcode", 0, text("XXA012A1")),
        Attribute("Name", 0, name_value("first")),
        Attribute("Name", 1, name_value("alias")),
    )
    key = node.ask(ALICE, Create(SYMMETRIC_KEY, given)).id
    held = node.ask(ALICE, GetAttributes(key)).attributes
    assert set(given) <= set(held)


@pytest.mark.row("KS-KMIP-023", "KS-KMIP-037")
def test_templates_give_their_attributes_to_new_keys(node: Node) -> None:
    given = attributes("standard", Cryptographic_Algorithm=enumeration(AES), Cryptographic_Length=integer(192))
    template = node.ask(ALICE, Register(TEMPLATE, None, given)).id
    key = node.ask(ALICE, Create(SYMMETRIC_KEY, attributes("mine"), ("standard",))).id
    assert node.record(key).shape.length_bits == 192
    assert [a.value for a in node.record(key).attributes.instances("Name")] == [name_value("mine")]
    assert node.reason(ALICE, Create(SYMMETRIC_KEY, (), ("unknown",))) == "not_found.item"
    got = node.ask(ALICE, Get(template))
    assert {a.name for a in got.attributes} == {"Cryptographic Algorithm", "Cryptographic Length"}


@pytest.mark.row("KS-KEY-031", "KS-KEY-032", "KS-KEY-034")
def test_a_template_without_an_algorithm_counts_only_while_a_key_is_made(node: Node) -> None:
    usage = attributes("archive", Cryptographic_Usage_Mask=integer(ENCRYPT), **{"x-site": text("north")})
    template = node.ask(ALICE, Register(TEMPLATE, None, usage)).id
    assert node.record(template).material is None
    assert node.record(template).shape.algorithm == 0
    own = attributes(Cryptographic_Algorithm=enumeration(AES), Cryptographic_Length=integer(256))
    before = node.ask(ALICE, Create(SYMMETRIC_KEY, own, ("archive",))).id
    node.ask(ALICE, ModifyAttribute("x-site", text("south"), 0, target=template))
    after = node.ask(ALICE, Create(SYMMETRIC_KEY, own, ("archive",))).id
    sites = [node.record(key).attributes.first("x-site") for key in (before, after)]
    assert sites == [text("north"), text("south")]
    assert [node.record(key).shape.usage_mask for key in (before, after)] == [ENCRYPT] * 2


def test_templates_of_others_are_not_found(node: Node) -> None:
    node.ask(ALICE, Register(TEMPLATE, None, attributes("standard")))
    bob = replace(ALICE, name="bob")
    assert node.reason(bob, Create(SYMMETRIC_KEY, (), ("standard",))) == "not_found.item"
    assert node.reason(ALICE, Create(SYMMETRIC_KEY, (), ("standard",) * 11)) == "invalid.field"


def test_a_key_that_shall_be_quantum_safe_must_be(node: Node) -> None:
    assert node.reason(ALICE, creation(bits=128, Quantum_Safe=boolean(True))) == "invalid.not_quantum_safe"
    assert node.reason(ALICE, creation(bits=256, Quantum_Safe=boolean(True))) is None


def test_keys_come_from_one_generator_which_is_named(node: Node) -> None:
    unspecified, another = (made("Random Number Generator", number) for number in (1, 3))
    assert node.record(a_key(node)).attributes.first("Random Number Generator") == unspecified
    assert node.reason(ALICE, creation(Random_Number_Generator=unspecified)) is None
    assert node.reason(ALICE, creation(Random_Number_Generator=another)) == "invalid.attribute_value"


@pytest.mark.parametrize(("wanted", "reason"), [(1, None), (2, None), (7, None), (3, "not_supported.key_format")])
def test_the_format_is_as_asked_for(node: Node, wanted: int, reason: str | None) -> None:
    assert node.reason(ALICE, creation(Key_Format_Type=enumeration(wanted))) == reason


@pytest.mark.row("KS-KMIP-048")
def test_an_object_belongs_to_the_user_or_to_nobody(node: Node) -> None:
    assert node.record(a_key(node)).owner == "alice"
    assert node.reason(GLOBAL, creation()) == "refused.switched_off"
    node.gate.switches = replace(PERMISSIVE, global_keys=True)
    record: ManagedObject = node.record(node.ask(GLOBAL, creation()).id)
    assert record.owner is None


def test_a_realm_keeps_to_itself(node: Node) -> None:
    node.keyring.add_realm("tenant", node.keyring.new_realm_key("tenant"))
    stranger = replace(ALICE, realm="tenant")
    key = a_key(node, stranger)
    assert node.record(key).realm == "tenant"
    assert node.reason(ALICE, Get(key)) == "not_found.item"
    assert node.reason(stranger, Get(key)) is None


def test_while_the_module_is_locked_nothing_is_made(node: Node) -> None:
    node.module.deactivate()
    assert node.reason(ALICE, creation()) == "unavailable.locked"


def test_a_value_of_no_known_attribute_is_refused(node: Node) -> None:
    request = Create(SYMMETRIC_KEY, (Attribute("Colour", 0, Value(ItemType.TEXT_STRING, "red")),))
    assert node.reason(ALICE, request) == "invalid.attribute"


@pytest.mark.row("KS-KMIP-029")
def test_a_digest_that_would_let_guesses_be_tested_is_made_when_asked_for_and_kept_nowhere(node: Node) -> None:
    secret = b"correct horse"
    block = KeyBlock(2, Secret(secret), subtype=1)
    registered = node.ask(ALICE, Register(SECRET_DATA, block, attributes(Cryptographic_Usage_Mask=integer(2)))).id
    assert node.record(registered).digest is None
    (held,) = [a.value for a in node.ask(ALICE, GetAttributes(registered)).attributes if a.name == "Digest"]
    assert held.field(TAG_DIGEST_VALUE) == hashlib.sha256(secret).digest()
    assert "Digest" in {a.name for a in node.ask(ALICE, GetAttributeList(registered)).attributes}
