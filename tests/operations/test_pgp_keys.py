"""PGP keys: kept as they came, told of as their client told, never interpreted."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.core.secret import Secret
from keystead.core.structures import made
from keystead.operations.requests import Activate, Destroy, Encrypt, Get, GetAttributes, KeyBlock, Register
from tests.support.builders import ALICE, BOB, Node, attribute, attributes, enumeration, integer

PGP_KEY = 9
RSA = 4
ARMOURED = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENBFHA/dQBCADgved9\n-----END PGP PUBLIC KEY BLOCK-----\n"


def registration(material: bytes = ARMOURED, kind: int = 1, **more: Any) -> Register:
    told = {"algorithm": RSA, "length_bits": 2048, "subtype": 4}
    alternative = made("Alternative Name", "keys@example.org", 1)
    return Register(
        PGP_KEY, KeyBlock(kind, Secret(material), **(told | more)), attributes(Alternative_Name=alternative)
    )


@pytest.mark.row("KS-KMIP-047")
@pytest.mark.parametrize("version", [3, 4, 6])
@pytest.mark.parametrize("kind", [1, 2])
def test_a_pgp_key_comes_back_as_it_was_given(node: Node, kind: int, version: int) -> None:
    key = node.ask(ALICE, registration(kind=kind, subtype=version)).id
    got = node.ask(ALICE, Get(key))
    block = got.block
    assert (got.object_type, block.format, block.subtype) == (PGP_KEY, kind, version)
    assert (block.algorithm, block.length_bits, block.material.reveal()) == (RSA, 2048, ARMOURED)
    assert node.ask(ALICE, Get(key, 3 - kind)).block.format == 3 - kind
    assert node.reason(ALICE, Get(key, 3)) == "not_supported.key_format"


def test_algorithm_and_length_are_what_the_client_tells(node: Node) -> None:
    key = node.ask(ALICE, registration(algorithm=0, length_bits=0)).id
    assert attribute(node, ALICE, key, "Cryptographic Algorithm") is None
    block = KeyBlock(1, Secret(ARMOURED), RSA, 2048, 4)
    for more in (
        {"Cryptographic_Algorithm": enumeration(3)},
        {"Cryptographic_Length": integer(1024)},
        {"Key_Format_Type": enumeration(2)},
    ):
        assert node.reason(ALICE, Register(PGP_KEY, block, attributes(**more))) == "invalid.field"


def test_no_digest_of_what_may_be_a_private_key_is_kept(node: Node) -> None:
    key = node.ask(ALICE, registration()).id
    assert node.record(key).digest is None
    assert node.ask(ALICE, GetAttributes(key, ("Digest",))).attributes


def test_a_pgp_key_is_its_owners_and_does_nothing_here(node: Node) -> None:
    key = node.ask(ALICE, registration()).id
    node.ask(ALICE, Activate(key))
    assert node.reason(BOB, Get(key)) == "not_found.item"
    assert node.reason(ALICE, Encrypt(b"data", key)) in ("invalid.object_type", "refused.usage_mask")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"subtype": 0}, "invalid.field"),
        ({"subtype": -4}, "invalid.field"),
        ({"subtype": 256}, "invalid.field"),
        ({"kind": 7}, "not_supported.key_format"),
        ({"kind": 3}, "not_supported.key_format"),
        ({"material": b""}, "invalid.key"),
        ({"material": bytes(65_537)}, "invalid.key"),
    ],
)
def test_what_is_no_pgp_key_is_refused(node: Node, more: dict[str, Any], reason: str) -> None:
    assert node.reason(ALICE, registration(**more)) == reason


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=200))
def test_its_bytes_are_opaque(node: Node, material: bytes) -> None:
    key = node.ask(ALICE, registration(material)).id
    assert node.ask(ALICE, Get(key)).block.material.reveal() == material
    node.ask(ALICE, Destroy(key))
    assert node.reason(ALICE, Get(key)) == "wrong_state.destroyed"
