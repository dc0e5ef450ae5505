"""Split keys: parts of a secret come back with what they say of the whole, and the store has nothing of it in clear."""

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import Invalid, Tampered
from keystead.core.secret import Secret
from keystead.core.split_keys import PRIME_FIELD_BYTES_MAX, SplitKey, SplitMethod, check_split_key, packed, unpacked
from keystead.core.structures import made
from keystead.operations.grants import GrantKey
from keystead.operations.macs import Mac
from keystead.operations.requests import Activate, Destroy, Encrypt, Get, GetAttributes, KeyBlock, Register
from tests.support.builders import AES, ALICE, BOB, Node, attribute, attributes, enumeration, integer

SPLIT_KEY = 5
XOR, GF_2_16, PRIME_FIELD, GF_2_8 = 1, 2, 3, 4
PART = bytes(range(100, 116))
PRIME = (1 << 521) - 1
WHOLE = SplitKey(5, 2, 3, GF_2_8)


def registration(split: SplitKey | None = WHOLE, material: bytes = PART, kind: int = 1, **more: Any) -> Register:
    block = KeyBlock(kind, Secret(material), **({"algorithm": AES, "length_bits": 128} | more), split=split)
    return Register(SPLIT_KEY, block, attributes(Cryptographic_Usage_Mask=integer(0x1FF)))


@pytest.mark.row("KS-KMIP-047")
@pytest.mark.parametrize(
    "split",
    [
        SplitKey(3, 1, 3, XOR),
        SplitKey(65_535, 65_535, 1, GF_2_16),
        SplitKey(4, 4, 2, PRIME_FIELD, PRIME),
        SplitKey(255, 9, 255, GF_2_8),
    ],
    ids=lambda split: SplitMethod(split.method).name,
)
def test_a_part_comes_back_as_it_was_given(node: Node, split: SplitKey) -> None:
    part = node.ask(ALICE, registration(split)).id
    got = node.ask(ALICE, Get(part))
    assert (got.object_type, got.block.split) == (SPLIT_KEY, split)
    assert (got.block.format, got.block.algorithm, got.block.length_bits) == (1, AES, 128)
    assert got.block.material.reveal() == PART
    again = node.ask(ALICE, Get(part, 7)).block
    assert (again.format, again.split, again.material.reveal()) == (7, split, PART)
    assert node.reason(ALICE, Get(part, 3)) == "not_supported.key_format"


def test_nothing_of_a_part_stands_in_clear_in_the_store(node: Node) -> None:
    """Its numbers and its bytes are in no file, and no digest lets anybody test guesses of a part."""
    prime = int.from_bytes(b"a prime that nobody else would use: " * 3, "big")
    part = node.ask(ALICE, registration(SplitKey(4, 4, 2, PRIME_FIELD, prime))).id
    stored = b"".join(path.read_bytes() for path in node.path.parent.glob("store.db*"))
    assert part.replace("-", "").encode() in stored.hex().encode()
    assert b"nobody else would use" not in stored
    assert PART not in stored
    assert sha256(PART).digest() not in stored
    assert node.record(part).digest is None


@pytest.mark.row("KS-KMIP-029")
def test_the_digest_is_that_of_the_key_bytes_alone(node: Node) -> None:
    part = node.ask(ALICE, registration()).id
    (digest,) = node.ask(ALICE, GetAttributes(part, ("Digest",))).attributes
    assert digest.value == made("Digest", 6, sha256(PART).digest(), 1)


def test_algorithm_and_length_are_those_of_the_whole_as_it_was_told(node: Node) -> None:
    told = node.ask(ALICE, registration(algorithm=4, length_bits=2048)).id
    untold = node.ask(ALICE, registration(algorithm=0, length_bits=0)).id
    assert [attribute(node, ALICE, told, f"Cryptographic {what}") for what in ("Algorithm", "Length")] == [4, 2048]
    assert [attribute(node, ALICE, untold, f"Cryptographic {what}") for what in ("Algorithm", "Length")] == [None, None]
    contrary = registration()
    contrary = Register(SPLIT_KEY, contrary.block, attributes(Cryptographic_Algorithm=enumeration(2)))
    assert node.reason(ALICE, contrary) == "invalid.field"


def test_a_part_is_no_key(node: Node) -> None:
    part = node.ask(ALICE, registration(material=bytes(16))).id
    node.ask(ALICE, Activate(part))
    assert node.reason(ALICE, Encrypt(b"data", part)) == "invalid.object_type"
    assert node.reason(ALICE, Mac(b"data", part)) == "invalid.object_type"
    assert node.reason(ALICE, GrantKey(part, "staff", 4)) == "invalid.field"


def test_parts_are_their_owners_and_can_be_destroyed(node: Node) -> None:
    part = node.ask(ALICE, registration()).id
    assert node.reason(BOB, Get(part)) == "not_found.item"
    node.ask(ALICE, Destroy(part))
    assert node.reason(ALICE, Get(part)) == "wrong_state.destroyed"
    assert node.reason(ALICE, GetAttributes(part)) is None


BIG = 1 << (8 * PRIME_FIELD_BYTES_MAX)


@pytest.mark.row("KS-KMIP-047")
@pytest.mark.parametrize(
    ("split", "reason"),
    [
        (None, "invalid.missing"),
        (SplitKey(3, 0, 3, XOR), "invalid.field"),
        (SplitKey(3, 4, 3, XOR), "invalid.field"),
        (SplitKey(3, -1, 2, GF_2_8), "invalid.field"),
        (SplitKey(0, 0, 0, GF_2_8), "invalid.field"),
        (SplitKey(-3, -3, -3, GF_2_8), "invalid.field"),
        (SplitKey(3, 1, 4, GF_2_8), "invalid.field"),
        (SplitKey(3, 1, 0, GF_2_8), "invalid.field"),
        (SplitKey(256, 1, 2, GF_2_8), "invalid.field"),
        (SplitKey(65_536, 1, 2, GF_2_16), "invalid.field"),
        (SplitKey(3, 1, 2, 0), "invalid.field"),
        (SplitKey(3, 1, 2, 5), "invalid.field"),
        (SplitKey(3, 1, 2, 0x80000001), "invalid.field"),
        (SplitKey(3, 1, 2, PRIME_FIELD), "invalid.missing"),
        (SplitKey(3, 1, 2, PRIME_FIELD, 1), "invalid.field"),
        (SplitKey(3, 1, 2, PRIME_FIELD, -PRIME), "invalid.field"),
        (SplitKey(3, 1, 2, PRIME_FIELD, BIG), "invalid.field"),
    ],
    ids=str,
)
def test_numbers_that_cannot_be_true_are_refused(node: Node, split: SplitKey | None, reason: str) -> None:
    assert node.reason(ALICE, registration(split)) == reason


@pytest.mark.parametrize(
    ("material", "kind", "reason"),
    [(b"", 1, "invalid.key"), (bytes(65_537), 1, "invalid.key"), (PART, 4, "not_supported.key_format")],
)
def test_bytes_and_formats_have_their_bounds(node: Node, material: bytes, kind: int, reason: str) -> None:
    assert node.reason(ALICE, registration(material=material, kind=kind)) == reason


def test_the_largest_prime_and_part_are_kept(node: Node) -> None:
    split = SplitKey(3, 1, 2, PRIME_FIELD, BIG - 1)
    got = node.ask(ALICE, Get(node.ask(ALICE, registration(split, bytes(65_536))).id)).block
    assert (got.split, len(got.material)) == (split, 65_536)


NUMBERS = st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(-1, 5)
PRIMES = st.none() | st.integers(-5, 1 << 300)


@given(st.builds(SplitKey, NUMBERS, NUMBERS, NUMBERS, NUMBERS, PRIMES), st.binary(max_size=40))
def test_what_is_accepted_can_be_packed_and_comes_back(split: SplitKey, material: bytes) -> None:
    try:
        check_split_key(split)
    except Invalid:
        return
    assert 1 <= split.part <= split.parts_count >= split.threshold_count >= 1
    numbers, inner = unpacked(packed(split, Secret(material)))
    assert (numbers, inner.reveal()) == (split, material)


@st.composite
def true_numbers(draw: st.DrawFn) -> SplitKey:
    method = draw(st.sampled_from(SplitMethod))
    parts_count = draw(st.integers(1, 255))
    threshold_count = draw(st.integers(1, parts_count))
    prime = draw(st.integers(2, 1 << 600)) if method is SplitMethod.PRIME_FIELD else None
    return SplitKey(parts_count, draw(st.integers(1, parts_count)), threshold_count, int(method), prime)


@given(true_numbers(), st.binary(max_size=40))
def test_true_numbers_are_accepted_and_come_back(split: SplitKey, material: bytes) -> None:
    check_split_key(split)
    numbers, inner = unpacked(packed(split, Secret(material)))
    assert (numbers, inner.reveal()) == (split, material)


@pytest.mark.parametrize("sealed", [b"", b"\x01" * 20, b"\x02" + bytes(40)])
def test_a_part_of_an_unknown_form_is_not_given_out(sealed: bytes) -> None:
    with pytest.raises(Tampered):
        unpacked(Secret(sealed))
