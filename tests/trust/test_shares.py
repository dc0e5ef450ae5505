import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import Invalid
from keystead.core.secret import Secret
from keystead.trust.shares import COUNT_MAX, Share, combine, invert, multiply, split

SET = bytes(16)


def shares_of(secret: bytes, threshold: int, count: int, seed: int = 1) -> tuple[Share, ...]:
    randomness = random.Random(seed).randbytes((threshold - 1) * len(secret))
    return split(Secret(secret), (threshold, count), set_id=SET, randomness=randomness)


def logarithm_product(a: int, b: int) -> int:
    """The same product by tables of powers of the generator 3: an oracle that shares nothing with the code."""
    powers = [1]
    for _ in range(254):
        doubled = powers[-1] << 1
        powers.append(powers[-1] ^ (doubled ^ 0x11B if doubled & 0x100 else doubled))
    if not a or not b:
        return 0
    return powers[(powers.index(a) + powers.index(b)) % 255]


def test_the_field_is_that_of_fips_197() -> None:
    assert multiply(0x57, 0x83) == 0xC1  # the standard's own example, section 4.2
    assert all(multiply(a, invert(a)) == 1 for a in range(1, 256))
    assert invert(0) == 0


@given(st.integers(0, 255), st.integers(0, 255))
def test_products_agree_with_logarithms(a: int, b: int) -> None:
    assert multiply(a, b) == logarithm_product(a, b)


@pytest.mark.row("KS-HSM-012")
@pytest.mark.parametrize("count", range(1, COUNT_MAX + 1))
def test_every_m_of_n_gives_the_secret_back(count: int) -> None:
    secret = bytes(range(32))
    for threshold in range(1, count + 1):
        shares = list(shares_of(secret, threshold, count))
        random.Random(count).shuffle(shares)
        assert combine(shares[:threshold]).reveal() == secret


def test_every_choice_of_shares_gives_the_secret_back() -> None:
    for chosen in itertools.permutations(shares_of(b"open sesame", 3, 5), 3):
        assert combine(chosen).reveal() == b"open sesame"


@given(st.binary(min_size=1, max_size=40), st.integers(1, 16), st.integers(0, 2**32))
def test_any_secret_survives(secret: bytes, threshold: int, seed: int) -> None:
    assert combine(shares_of(secret, threshold, 16, seed)[-threshold:]).reveal() == secret


def test_one_share_too_few_fits_every_secret() -> None:
    """With M - 1 shares each value of a byte has exactly one polynomial through it: nothing is known."""
    known = shares_of(b"\x2a", 3, 3)[:2]
    possible = set()
    for a, b in itertools.product(range(256), repeat=2):
        for_each = [multiply(multiply(x, a) ^ b, x) for x in (1, 2)]
        secrets = {share.value[0] ^ value for share, value in zip(known, for_each, strict=True)}
        if len(secrets) == 1:
            possible |= secrets
    assert possible == set(range(256))


# Made once by another implementation of the same field (pyshamir 1.1.0, MPL-2.0); the last byte was the index.
FOREIGN_3_OF_5 = (
    (0x6C, "5130252806185e76a2b908d2dd8e63f233220fbcd87c2181cd936ee40b22fc86"),
    (0x56, "78abfc3bd2534910bb7349864c73ef5d0b850a16ce92698302e045d40b224c91"),
    (0xA0, "515b69119736fccfe27f5c3aa9109c396c03b1458c8c4ef1e73d6c927e900973"),
)


def test_shares_of_another_implementation_combine() -> None:
    shares = [Share(SET, index, 3, 5, bytes.fromhex(value)) for index, value in FOREIGN_3_OF_5]
    assert combine(shares).reveal() == bytes(range(32))


@pytest.mark.row("KS-HSM-012")
@pytest.mark.parametrize(("threshold", "count"), [(0, 1), (1, 0), (3, 2), (17, 17), (1, 17)])
def test_counts_out_of_range_are_refused(threshold: int, count: int) -> None:
    with pytest.raises(Invalid, match="M must be 1 to 16 and N from M to 16"):
        split(Secret(b"s"), (threshold, count), set_id=SET, randomness=b"")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ((), "no share"),
        ((0, 1), "3 shares of this set are needed, 2 were presented"),
        ((0, 1, 2, 3), "3 shares of this set are needed, 4 were presented"),
        ((0, 1, 1), "presented twice"),
    ],
)
def test_misfits_are_named(chosen: tuple[int, ...], message: str) -> None:
    shares = shares_of(b"secret", 3, 5)
    with pytest.raises(Invalid, match=message):
        combine([shares[index] for index in chosen])


def test_shares_of_two_sets_do_not_mix() -> None:
    other = split(Secret(b"secret"), (2, 2), set_id=b"x" * 16, randomness=b"r" * 6)
    with pytest.raises(Invalid, match="different sets"):
        combine([shares_of(b"secret", 2, 2)[0], other[1]])


def test_splitting_refuses_wrong_lengths() -> None:
    with pytest.raises(Invalid, match="needs 6 random bytes"):
        split(Secret(b"secret"), (2, 2), set_id=SET, randomness=b"short")
    with pytest.raises(Invalid, match="1 to 1024"):
        split(Secret(b""), (1, 1), set_id=SET, randomness=b"")


def test_a_share_shows_its_value_to_no_log() -> None:
    assert "value" not in repr(shares_of(b"secret", 2, 2)[0])
