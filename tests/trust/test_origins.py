import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import Invalid, Tampered
from keystead.core.secret import Secret
from keystead.trust.origins import ORIGIN_KEY_BYTES, SIGNATURE_BYTES, Origin, OriginKey

ORIGIN = Origin(Secret(bytes(range(64))))
SIGNATURE = ORIGIN.sign(b"message", "test")


def test_a_signature_holds_for_its_message_and_purpose_only() -> None:
    ORIGIN.key.verify(SIGNATURE, b"message", "test")
    for message, purpose in ((b"messagf", "test"), (b"message", "tess"), (b"", "messagetest")):
        with pytest.raises(Tampered):
            ORIGIN.key.verify(SIGNATURE, message, purpose)


@given(st.integers(0, SIGNATURE_BYTES - 1), st.integers(1, 255))
def test_each_half_of_a_signature_must_hold(place: int, change: int) -> None:
    changed = bytearray(SIGNATURE)
    changed[place] ^= change
    with pytest.raises(Tampered):
        ORIGIN.key.verify(bytes(changed), b"message", "test")


def test_halves_of_two_origins_make_no_signature() -> None:
    other = Origin.generate()
    mixed = SIGNATURE[:64] + other.sign(b"message", "test")[64:]
    for key in (ORIGIN.key, other.key):
        with pytest.raises(Tampered):
            key.verify(mixed, b"message", "test")


@pytest.mark.parametrize("length_bytes", [0, SIGNATURE_BYTES - 1, SIGNATURE_BYTES + 1])
def test_signatures_have_one_length(length_bytes: int) -> None:
    with pytest.raises(Tampered):
        ORIGIN.key.verify(SIGNATURE.ljust(length_bytes, b"\0")[:length_bytes], b"message", "test")


def test_an_origin_comes_back_from_its_secret() -> None:
    again = Origin(ORIGIN.secret)
    assert again.key == ORIGIN.key
    assert again.key.id == OriginKey(ORIGIN.key.encoded).id
    again.key.verify(SIGNATURE, b"message", "test")


@pytest.mark.parametrize("length_bytes", [0, 63, 65, ORIGIN_KEY_BYTES - 1, ORIGIN_KEY_BYTES + 1])
def test_keys_of_other_lengths_are_refused(length_bytes: int) -> None:
    with pytest.raises(Invalid):
        OriginKey(bytes(length_bytes))
    with pytest.raises(Invalid):
        Origin(Secret(bytes(length_bytes)))
