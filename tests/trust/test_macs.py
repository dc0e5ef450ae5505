"""Codes and hashes against the examples of their standards."""

import pytest

from keystead.core.errors import Invalid, NotSupported
from keystead.core.secret import Secret
from keystead.trust.macs import HASHES, HMACS, digest, hashing, is_code, method

AES, HMAC_SHA1, HMAC_SHA224, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512, DES3 = 3, 7, 8, 9, 10, 11, 2
CMAC = 7
SHA_256 = 6


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        (HMAC_SHA224, "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22"),
        (HMAC_SHA256, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            HMAC_SHA384,
            "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
        ),
        (
            HMAC_SHA512,
            (
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
                "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"
            ),
        ),
    ],
)
def test_hmac_as_rfc_4231_says(algorithm: int, expected: str) -> None:
    """Test case 1 of its section 4."""
    made = method(algorithm, 0, None).make(Secret(b"\x0b" * 20), b"Hi There")
    assert made.hex() == expected


@pytest.mark.parametrize(
    ("length_bytes", "expected"),
    [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
    ],
)
def test_cmac_as_sp_800_38b_says(length_bytes: int, expected: str) -> None:
    """Examples of AES-128, also in RFC 4493 section 4."""
    key = Secret(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"))
    data = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411")
    assert method(AES, CMAC, None).make(key, data[:length_bytes]).hex() == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (6, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (13, "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"),
        (15, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        (4, "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ],
)
def test_hashes_as_fips_180_and_202_say(number: int, expected: str) -> None:
    """Of "abc"."""
    assert digest(hashing(number), b"abc").hex() == expected


def test_every_hash_and_every_hmac_that_is_offered_works() -> None:
    assert {len(digest(function, b"")) for function in HASHES.values()} <= {16, 20, 28, 32, 48, 64}
    for algorithm, number in HMACS.items():
        assert len(method(algorithm, 0, number).make(Secret(bytes(32)), b"")) == len(digest(HASHES[number], b""))


def test_what_is_outdated_says_so() -> None:
    assert method(HMAC_SHA1, 0, None).legacy
    assert not method(HMAC_SHA256, 0, None).legacy
    assert {number for number, function in HASHES.items() if function.legacy} == {3, 4}


@pytest.mark.parametrize(
    ("algorithm", "mode", "number"),
    [(HMAC_SHA256, CMAC, None), (HMAC_SHA256, 0, 8), (AES, 0, None), (AES, 1, None), (AES, CMAC, SHA_256)],
)
def test_parameters_that_do_not_fit_the_key_are_refused(algorithm: int, mode: int, number: int | None) -> None:
    with pytest.raises(Invalid):
        method(algorithm, mode, number)


def test_a_ciphers_key_makes_hmacs_when_it_is_asked_to() -> None:
    key = Secret(bytes(16))
    assert method(AES, 0, None, HMAC_SHA256).make(key, b"") == method(HMAC_SHA256, 0, None).make(key, b"")
    assert method(DES3, 0, SHA_256, HMAC_SHA256).name == "HMAC-SHA256"


@pytest.mark.parametrize(("algorithm", "asked"), [(HMAC_SHA256, HMAC_SHA512), (HMAC_SHA256, AES), (AES, DES3)])
def test_a_key_of_another_algorithm_is_not_taken(algorithm: int, asked: int) -> None:
    with pytest.raises(Invalid):
        method(algorithm, 0, None, asked)


def test_what_is_not_offered_is_refused() -> None:
    with pytest.raises(NotSupported):
        method(DES3, CMAC, None)
    with pytest.raises(NotSupported):
        hashing(1)


def test_codes_are_compared_whole() -> None:
    assert is_code(b"code", b"code")
    assert not is_code(b"code", b"cod")
    assert not is_code(b"code", b"")
