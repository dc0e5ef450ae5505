"""Keeping objects that were made elsewhere."""

from typing import Any

import pytest

from keystead.core.attributes import Value
from keystead.core.secret import Secret
from keystead.operations.requests import Get, KeyBlock, Register
from tests.support.builders import (
    AES,
    ALICE,
    DES3,
    OPAQUE,
    SECRET_DATA,
    START_US,
    SYMMETRIC_KEY,
    Node,
    attribute,
    attributes,
    boolean,
    date,
    enumeration,
    integer,
    registration,
)

BYTES = bytes(range(32))


def block(material: bytes = BYTES, kind: int = 1, **more: Any) -> KeyBlock:
    return KeyBlock(kind, Secret(material), **more)


@pytest.mark.row("KS-KMIP-022")
@pytest.mark.parametrize("kind", [1, 2, 7], ids=["raw", "opaque", "transparent"])
def test_a_symmetric_key_comes_back_as_it_was_given(node: Node, kind: int) -> None:
    key = node.ask(ALICE, Register(SYMMETRIC_KEY, block(kind=kind, algorithm=AES, length_bits=256))).id
    got = node.ask(ALICE, Get(key))
    assert (got.block.format, got.block.algorithm, got.block.length_bits) == (kind, AES, 256)
    assert got.block.material.reveal() == BYTES


@pytest.mark.row("KS-KMIP-021")
@pytest.mark.parametrize("kind", [1, 2])
def test_secret_data_comes_back_with_its_type(node: Node, kind: int) -> None:
    """Also Raw, which the old product did not take: the specification wins."""
    secret = node.ask(ALICE, Register(SECRET_DATA, block(b"password", kind, subtype=2))).id
    got = node.ask(ALICE, Get(secret))
    assert (got.object_type, got.block.format, got.block.subtype) == (SECRET_DATA, kind, 2)
    assert got.block.material.reveal() == b"password"
    assert attribute(node, ALICE, secret, "Cryptographic Length") == 64


def test_an_opaque_object_is_not_interpreted(node: Node) -> None:
    stored = node.ask(ALICE, Register(OPAQUE, block(b"\x00anything\xff", 0, subtype=0x80000001))).id
    got = node.ask(ALICE, Get(stored, format=1))
    assert (got.object_type, got.block.subtype, got.block.format) == (OPAQUE, 0x80000001, 0)
    assert got.block.material.reveal() == b"\x00anything\xff"
    assert attribute(node, ALICE, stored, "Opaque Data Type") == 0x80000001


def test_attributes_may_say_what_the_block_does_not(node: Node) -> None:
    given = attributes(Cryptographic_Algorithm=enumeration(AES), Cryptographic_Length=integer(256))
    key = node.ask(ALICE, Register(SYMMETRIC_KEY, block(), given)).id
    assert (node.record(key).shape.algorithm, node.record(key).shape.length_bits) == (AES, 256)
    assert node.record(node.ask(ALICE, registration(BYTES)).id).shape.length_bits == 256


@pytest.mark.parametrize(
    ("given", "more", "reason"),
    [
        ({"Cryptographic_Algorithm": enumeration(DES3)}, {"algorithm": AES}, "invalid.field"),
        ({"Cryptographic_Length": integer(128)}, {"algorithm": AES, "length_bits": 256}, "invalid.field"),
        ({"Key_Format_Type": enumeration(2)}, {"algorithm": AES}, "invalid.field"),
        ({}, {"algorithm": AES, "length_bits": 128}, "invalid.key"),
        ({}, {}, "invalid.algorithm"),
        ({}, {"algorithm": DES3}, "refused.switched_off"),
        ({}, {"algorithm": 4}, "invalid.algorithm"),
    ],
)
def test_what_contradicts_itself_or_is_not_kept_is_refused(
    node: Node, given: dict[str, Value], more: dict[str, Any], reason: str
) -> None:
    assert node.reason(ALICE, Register(SYMMETRIC_KEY, block(**more), attributes(**given))) == reason


def test_formats_sizes_and_types_have_their_bounds(node: Node) -> None:
    assert node.reason(ALICE, Register(SYMMETRIC_KEY, block(kind=3, algorithm=AES))) == "not_supported.key_format"
    assert node.reason(ALICE, Register(SECRET_DATA, block(kind=7))) == "not_supported.key_format"
    assert node.reason(ALICE, Register(OPAQUE, block(b"", 0))) == "invalid.key"
    assert node.reason(ALICE, Register(OPAQUE, block(bytes(65_537), 0))) == "invalid.key"
    assert node.reason(ALICE, Register(OPAQUE, block(bytes(65_536), 0))) is None
    assert node.reason(ALICE, Register(10, block())) == "invalid.object_type"
    assert node.reason(ALICE, Register(SYMMETRIC_KEY, None)) == "invalid.missing"


@pytest.mark.parametrize(("bits", "byte_count"), [(112, 16), (168, 24), (192, 24)])
def test_triple_des_counts_with_or_without_parity(open_node: Node, bits: int, byte_count: int) -> None:
    material = block(bytes(range(1, 2 * byte_count, 2)), algorithm=DES3, length_bits=bits)
    assert open_node.reason(ALICE, Register(SYMMETRIC_KEY, material)) is None
    wrong = material._replace(material=Secret(bytes(8)))
    assert open_node.reason(ALICE, Register(SYMMETRIC_KEY, wrong)) == "invalid.key"


def test_where_and_when_an_object_was_made_is_its_clients_word(node: Node) -> None:
    key = node.ask(ALICE, registration(BYTES, Original_Creation_Date=date(-3600), Fresh=boolean(False))).id
    record = node.record(key)
    assert (record.original_creation_us, record.protection.fresh) == (START_US - 3_600_000_000, False)
    assert record.attributes.first("Random Number Generator") is None


def test_a_registered_key_may_be_active_at_once(node: Node) -> None:
    key = node.ask(ALICE, registration(BYTES, Activation_Date=date(-60))).id
    assert attribute(node, ALICE, key, "State") == 2
