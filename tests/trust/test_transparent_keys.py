"""Keys as numbers: in, out, too few of them, contradictory ones, and ones that cost too much."""

from math import lcm

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import Invalid, KeysteadError, NotSupported
from keystead.core.key_pairs import RSA_BITS_MAX, Curve, PairFormat
from keystead.core.secret import Secret
from keystead.trust.key_pairs import LIBRARY_CURVES, read_private
from keystead.trust.transparent_keys import (
    EC_PRIVATE,
    EC_PUBLIC,
    TRANSPARENT,
    EcNumbers,
    Numbers,
    RsaNumbers,
    is_rsa,
    kept,
    numbers_of,
)
from tests.support.key_pairs import (
    OF_CURVES,
    OF_OCTETS,
    PRIVATE_FORMS,
    PUBLIC_FORMS,
    private_bytes,
    public_bytes,
    rsa_pair,
)

RSA_PRIVATE, RSA_PUBLIC = PairFormat.TRANSPARENT_RSA_PRIVATE_KEY, PairFormat.TRANSPARENT_RSA_PUBLIC_KEY
FOUND = rsa_pair().private_numbers()
N, E, D, P, Q = FOUND.public_numbers.n, FOUND.public_numbers.e, FOUND.d, FOUND.p, FOUND.q
WHOLE = RsaNumbers(N, E, D, P, Q, FOUND.dmp1, FOUND.dmq1, FOUND.iqmp)
MERSENNE = 2**4423 - 1
"""A prime, hence no modulus; to look for its factors takes very long."""


@pytest.mark.parametrize("key_format", sorted(TRANSPARENT))
def test_the_numbers_of_every_kind_come_back(key_format: int) -> None:
    forms, material = (PRIVATE_FORMS, private_bytes) if key_format in PRIVATE_FORMS else (PUBLIC_FORMS, public_bytes)
    for name in sorted(forms[PairFormat(key_format)]):
        numbers = numbers_of(key_format, material(name))
        assert isinstance(numbers, RsaNumbers) == is_rsa(key_format)
        assert kept(key_format, numbers).matches(material(name))
        assert numbers_of(key_format, kept(key_format, numbers)) == numbers


@pytest.mark.parametrize("name", sorted(OF_OCTETS))
def test_keys_that_are_octets_have_no_numbers(name: str) -> None:
    for key_format in TRANSPARENT:
        material = private_bytes(name) if key_format in PRIVATE_FORMS else public_bytes(name)
        with pytest.raises(NotSupported):
            numbers_of(key_format, material)


@pytest.mark.parametrize(
    "numbers",
    [
        WHOLE,
        RsaNumbers(N, E, D, P, Q),
        RsaNumbers(N, E, D),
        RsaNumbers(N, E, None, P, Q),
        RsaNumbers(N, None, None, P, Q),
        RsaNumbers(N, E, D, Q, P),
        RsaNumbers(N, E, pow(E, -1, lcm(P - 1, Q - 1))),
    ],
    ids=[
        "all",
        "without crt",
        "exponents only",
        "primes only",
        "65537 meant",
        "primes the other way",
        "least exponent",
    ],
)
def test_what_is_left_out_of_a_private_rsa_key_is_computed(numbers: RsaNumbers) -> None:
    material = kept(RSA_PRIVATE, numbers)
    key = read_private(PairFormat.PKCS_8, material)
    found = numbers_of(RSA_PRIVATE, material)
    assert isinstance(found, RsaNumbers)
    assert (found.modulus, found.public_exponent, {found.p, found.q}) == (N, E, {P, Q})
    assert key.public_key() == rsa_pair().public_key()


@pytest.mark.parametrize("exponent", [3, 65_537])
@pytest.mark.parametrize("bits", [1024, 2048])
def test_primes_are_found_from_the_exponents(bits: int, exponent: int) -> None:
    numbers = rsa_pair(bits, exponent).private_numbers()
    n, p, q = numbers.public_numbers.n, numbers.p, numbers.q
    for d in (numbers.d, pow(exponent, -1, (p - 1) * (q - 1)), pow(exponent, -1, lcm(p - 1, q - 1))):
        found = numbers_of(RSA_PRIVATE, kept(RSA_PRIVATE, RsaNumbers(n, exponent, d)))
        assert isinstance(found, RsaNumbers)
        assert {found.p, found.q} == {p, q}


@pytest.mark.parametrize(
    "numbers",
    [
        RsaNumbers(MERSENNE, E, pow(E, -1, MERSENNE - 1)),
        RsaNumbers(MERSENNE, E, 3),
        RsaNumbers(N, E, D + 2),
        RsaNumbers(N, E, 1),
        RsaNumbers(N, 1, 1),
        RsaNumbers(N, 3, D),
        RsaNumbers(N * 2, E, D),
    ],
)
@pytest.mark.timeout(20)
def test_exponents_that_do_not_belong_to_the_modulus_are_found_out_at_once(numbers: RsaNumbers) -> None:
    """The library would draw up to 500 numbers for each of these: minutes, on the thread that serves."""
    with pytest.raises(Invalid):
        kept(RSA_PRIVATE, numbers)


@pytest.mark.parametrize(
    "numbers",
    [
        RsaNumbers(N),
        RsaNumbers(N, E),
        RsaNumbers(N, None, D),
        RsaNumbers(N, E, None, P),
        RsaNumbers(N, E, None, P, P),
        RsaNumbers(N, E, None, 1, N),
        RsaNumbers(N, E, None, 0, 0),
        RsaNumbers(0, E, D, P, Q),
        RsaNumbers(0, E, D),
        RsaNumbers(N, 0, 0),
        RsaNumbers(P, E, D, P, 1),
        RsaNumbers(N, 2, None, P, Q),
        RsaNumbers(2 * P, E, None, 2, P),
        RsaNumbers(N, 1 << RSA_BITS_MAX, D, P, Q),
        RsaNumbers(N, E, 1 << RSA_BITS_MAX, P, Q),
        RsaNumbers(N, E, D, 1 << 1_000_000, Q),
        RsaNumbers(1 << RSA_BITS_MAX, E, D),
        RsaNumbers((1 << 1_000_000) + 1, E, D, P, Q),
        RsaNumbers(255, 7, None, 15, 17),
    ],
)
@pytest.mark.timeout(20)
def test_numbers_that_are_no_rsa_key_are_refused(numbers: RsaNumbers) -> None:
    with pytest.raises(Invalid) as caught:
        read_private(PairFormat.PKCS_8, kept(RSA_PRIVATE, numbers))
    assert caught.value.reason == "invalid.key"


@pytest.mark.parametrize("field", ["private_exponent", "exponent_p", "exponent_q", "coefficient"])
def test_a_number_that_contradicts_the_others_is_found_when_the_key_is_read(field: str) -> None:
    with pytest.raises(Invalid):
        read_private(PairFormat.PKCS_8, kept(RSA_PRIVATE, WHOLE._replace(**{field: 4_711})))


@pytest.mark.parametrize("numbers", [RsaNumbers(N), RsaNumbers(N, 2), RsaNumbers(N, 1), RsaNumbers(7, 3)])
def test_a_public_rsa_key_needs_both_numbers(numbers: RsaNumbers) -> None:
    with pytest.raises(Invalid):
        kept(RSA_PUBLIC, numbers)


ORDER_P_256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BASE_POINT_X = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
BASE_POINT_Y = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"


@pytest.mark.parametrize("key_format", sorted(EC_PRIVATE))
@pytest.mark.parametrize("d", [None, 0, ORDER_P_256, ORDER_P_256 + 1, 1 << 256, 1 << 1_000_000], ids=["", *"01234"])
@pytest.mark.timeout(20)
def test_a_private_number_lies_within_the_order_of_the_curve(key_format: int, d: int | None) -> None:
    with pytest.raises(Invalid):
        kept(key_format, EcNumbers(Curve.P_256, d))


def test_the_ends_of_that_range_are_keys() -> None:
    for d in (1, ORDER_P_256 - 1):
        assert numbers_of(20, kept(20, EcNumbers(Curve.P_256, d))) == EcNumbers(Curve.P_256, d)


def test_a_point_is_taken_compressed_and_given_uncompressed() -> None:
    point = bytes.fromhex("04" + BASE_POINT_X + BASE_POINT_Y)
    for sent in (point, bytes.fromhex("03" + BASE_POINT_X)):
        assert numbers_of(21, kept(21, EcNumbers(Curve.P_256, None, sent))) == EcNumbers(Curve.P_256, None, point)


@pytest.mark.parametrize(
    "point",
    [
        None,
        "",
        "00",
        "04",
        "04" + BASE_POINT_X,
        "04" + BASE_POINT_X + "00" * 32,
        "05" + BASE_POINT_X,
        "02" + "ff" * 32,
        "04" + BASE_POINT_X + BASE_POINT_Y + "00",
        "06" + BASE_POINT_X + BASE_POINT_Y,
    ],
)
@pytest.mark.parametrize("key_format", sorted(EC_PUBLIC))
def test_what_is_no_point_of_the_curve_is_refused(key_format: int, point: str | None) -> None:
    with pytest.raises(Invalid):
        kept(key_format, EcNumbers(Curve.P_256, None, None if point is None else bytes.fromhex(point)))


@pytest.mark.parametrize("curve", [0, 2, Curve.CURVE25519, Curve.CURVE448, 99, 0x80000001])
def test_curves_that_have_no_such_form_are_told(curve: int) -> None:
    with pytest.raises(NotSupported):
        kept(PairFormat.TRANSPARENT_EC_PRIVATE_KEY, EcNumbers(curve, 1))


def test_every_curve_of_the_library_has_one() -> None:
    assert {Curve(curve).name for curve in LIBRARY_CURVES} == OF_CURVES


def test_halves_are_not_taken_for_each_other() -> None:
    with pytest.raises(Invalid):
        kept(PairFormat.TRANSPARENT_EC_PUBLIC_KEY, EcNumbers(Curve.P_256, 1))
    with pytest.raises(KeysteadError):
        numbers_of(PairFormat.TRANSPARENT_EC_PRIVATE_KEY, public_bytes("P_256"))
    with pytest.raises(KeysteadError):
        numbers_of(RSA_PRIVATE, public_bytes("RSA"))


SMALL = st.none() | st.integers(0, 1 << 70) | st.sampled_from([N, E, D, P, Q, FOUND.dmp1, N - 1, 0, 1])
SOME_RSA = st.builds(RsaNumbers, st.sampled_from([N, P, Q, N + 2, 0]) | st.integers(0, 1 << 600), *[SMALL] * 7)
SOME_EC = st.builds(
    EcNumbers,
    st.sampled_from([*LIBRARY_CURVES, 0, 69]),
    st.none() | st.integers(0, 1 << 600),
    st.none() | st.binary(max_size=140),
)


@given(st.sampled_from(sorted(TRANSPARENT)), st.one_of(SOME_RSA, SOME_EC))
def test_whatever_numbers_come_they_are_a_key_or_the_error_is_ours(key_format: int, numbers: Numbers) -> None:
    if isinstance(numbers, RsaNumbers) != is_rsa(key_format):
        return
    try:
        again = numbers_of(key_format, kept(key_format, numbers))
    except KeysteadError:
        return
    assert again[0] == numbers[0]


@given(st.binary(max_size=300), st.sampled_from(sorted(TRANSPARENT)))
def test_whatever_bytes_were_kept_the_error_is_ours(data: bytes, key_format: int) -> None:
    with pytest.raises(KeysteadError):
        numbers_of(key_format, Secret(data))


def test_numbers_are_not_shown() -> None:
    assert repr(WHOLE) == "RsaNumbers()"
    assert repr(EcNumbers(Curve.P_256, 4_711)) == "EcNumbers(7)"
