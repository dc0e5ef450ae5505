"""RSA encryption: OAEP, PKCS#1 v1.5, and no oracle in either."""

import subprocess
from contextlib import suppress
from itertools import product
from pathlib import Path
from shutil import which

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.algorithms import Padding
from keystead.core.errors import CryptographicFailure, Invalid, KeysteadError, NotSupported
from keystead.core.key_pairs import PairFormat
from keystead.core.secret import Secret
from keystead.trust.asymmetric_ciphers import (
    LABEL_BYTES_MAX,
    LIBRARY_HASHES,
    Asymmetric,
    MaskParameters,
    asymmetric_suite,
    library_hash,
)
from keystead.trust.key_pairs import PrivateKey, read_private
from keystead.trust.macs import Hashing
from tests.support.key_pairs import pair, private_bytes, rsa_pair

OAEP, PKCS1, PSS = int(Padding.OAEP), int(Padding.PKCS1_V1_5), int(Padding.PSS)
SHA_256 = MaskParameters(int(Hashing.SHA_256))
NOTHING = MaskParameters()


def both(method: int, mask: MaskParameters = NOTHING, key: PrivateKey | None = None) -> tuple[Asymmetric, Asymmetric]:
    """What encrypts and what decrypts."""
    private = key or pair("RSA")
    return Asymmetric(private.public_key(), method, mask), Asymmetric(private, method, mask)


def refusal(of: Asymmetric, data: bytes) -> tuple[type, str, str]:
    """How decrypting fails."""
    with pytest.raises(KeysteadError) as caught:
        of.decrypt(data)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return type(caught.value), caught.value.message, caught.value.reason


@pytest.mark.parametrize(("hashing", "mask"), [*product([4, 5, 6, 7, 8, 14, 15, 16, 17], [None, 4, 6])])
def test_oaep_with_every_hash_comes_back(hashing: int, mask: int | None) -> None:
    encrypting, decrypting = both(OAEP, MaskParameters(hashing, mask, 1, b"label"))
    try:
        sealed, tag = encrypting.encrypt(b"data")
    except NotSupported:
        assert hashing >= 14  # the library takes SHA-1 and SHA-2 for OAEP
        return
    assert (len(sealed), tag) == (256, None)
    assert decrypting.decrypt(sealed) == b"data"


@pytest.mark.parametrize("method", [OAEP, PKCS1])
def test_each_encryption_is_another(method: int) -> None:
    encrypting, decrypting = both(method, SHA_256)
    sealed = {encrypting.encrypt(b"data")[0] for _ in range(10)}
    assert len(sealed) == 10
    assert {decrypting.decrypt(one) for one in sealed} == {b"data"}


@pytest.mark.parametrize(("method", "longest"), [(OAEP, 190), (PKCS1, 245)])
def test_data_has_the_room_that_the_padding_leaves(method: int, longest: int) -> None:
    encrypting, decrypting = both(method, SHA_256)
    for size in (0, 1, longest):
        assert decrypting.decrypt(encrypting.encrypt(bytes(size))[0]) == bytes(size)
    for size in (longest + 1, 256, 5000):
        with pytest.raises(Invalid) as caught:
            encrypting.encrypt(bytes(size))
        assert caught.value.reason == "invalid.cryptographic_parameters"


@pytest.mark.skipif(which("openssl") is None, reason="there is no openssl command to compare with")
@pytest.mark.parametrize(
    ("mask", "options"),
    [
        (MaskParameters(4), ["rsa_padding_mode:oaep"]),
        (SHA_256, ["rsa_padding_mode:oaep", "rsa_oaep_md:sha256"]),
        (MaskParameters(6, 4), ["rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha1"]),
        (MaskParameters(8, label=b"abc"), ["rsa_padding_mode:oaep", "rsa_oaep_md:sha512", "rsa_oaep_label:616263"]),
    ],
)
def test_openssl_reads_what_we_encrypted_and_we_what_it_did(
    mask: MaskParameters, options: list[str], tmp_path: Path
) -> None:
    """So the mask's hash is the label's where it is not given, as in the library that everybody has."""
    encrypting, decrypting = both(OAEP, mask)
    (tmp_path / "key").write_bytes(private_bytes("RSA").reveal())
    (tmp_path / "in").write_bytes(encrypting.encrypt(b"data")[0])
    command = ["openssl", "pkeyutl", "-keyform", "DER", "-inkey", str(tmp_path / "key")]
    flags = [word for option in options for word in ("-pkeyopt", option)]
    read = [*command, "-decrypt", "-in", str(tmp_path / "in"), *flags]
    assert subprocess.run(read, check=True, capture_output=True, timeout=30).stdout == b"data"
    sealed = subprocess.run(
        [*command, "-encrypt", *flags], input=b"theirs", check=True, capture_output=True, timeout=30
    ).stdout
    assert decrypting.decrypt(sealed) == b"theirs"


def textbook(key: PrivateKey, padded: bytes) -> bytes:
    """RSA without a padding, as an attacker does it."""
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.public_key().public_numbers()
    return pow(int.from_bytes(padded, "big"), numbers.e, numbers.n).to_bytes(256, "big")


def test_what_is_wrong_with_oaep_is_one_error_with_one_text() -> None:
    """Attack class 34 (Manger): the first byte, the label's hash, the separator and the length tell nothing apart."""
    key = pair("RSA")
    encrypting, decrypting = both(OAEP, SHA_256)
    sealed = bytearray(encrypting.encrypt(b"data")[0])
    sealed[100] ^= 1
    other_label, _ = both(OAEP, SHA_256._replace(label=b"other"))
    other_hash, _ = both(OAEP, MaskParameters(8))
    other_key, _ = both(OAEP, SHA_256, rsa_pair(2048, 3))
    wrong = [
        bytes(sealed),
        textbook(key, b"\0" + bytes(range(255))),
        textbook(key, b"\1" + bytes(range(255))),
        other_label.encrypt(b"data")[0],
        other_hash.encrypt(b"data")[0],
        other_key.encrypt(b"data")[0],
        both(PKCS1)[0].encrypt(b"data")[0],
        bytes(256),
        b"\xff" * 256,
        b"",
        bytes(255),
        bytes(257),
    ]
    assert len({refusal(decrypting, one) for one in wrong}) == 1


def test_a_wrong_padding_of_pkcs1_v1_5_cannot_be_told_from_a_right_one() -> None:
    """Attack class 34 (Bleichenbacher): whoever sends a forgery gets bytes, the same ones each time, never an error."""
    key = pair("RSA")
    _, decrypting = both(PKCS1)
    right = b"\0\2" + b"\1" * 237 + b"\0" + b"sixteen bytes..."
    assert decrypting.decrypt(textbook(key, right)) == b"sixteen bytes..."
    for at, byte in ((0, 1), (1, 1), (1, 0), (5, 0), (239, 1)):
        wrong = bytearray(right)
        wrong[at] = byte
        if at == 239:
            wrong[240:] = b"\1" * 16  # nowhere a zero
        forged = textbook(key, bytes(wrong))
        answers = {decrypting.decrypt(forged) for _ in range(3)}
        assert len(answers) == 1
        assert answers != {b"sixteen bytes..."}


def test_forgeries_of_pkcs1_v1_5_have_answers_of_any_length() -> None:
    key = pair("RSA")
    _, decrypting = both(PKCS1)
    lengths = {len(decrypting.decrypt(textbook(key, b"\0\1" + number.to_bytes(254, "big")))) for number in range(1, 40)}
    assert len(lengths) > 10


def test_bytes_that_are_no_ciphertext_of_the_key_fail_as_every_decryption_does() -> None:
    _, decrypting = both(PKCS1)
    found = {refusal(decrypting, one) for one in (b"", bytes(255), bytes(257), b"\xff" * 256)}
    _, oaep = both(OAEP, SHA_256)
    assert found == {refusal(oaep, bytes(256))}


@given(st.binary(max_size=300), st.sampled_from([OAEP, PKCS1]))
def test_whatever_comes_is_decrypted_or_fails_as_ours(data: bytes, method: int) -> None:
    _, decrypting = both(method, SHA_256)
    with suppress(CryptographicFailure):
        assert len(decrypting.decrypt(data)) <= 245


def test_halves_do_only_their_part() -> None:
    encrypting, decrypting = both(OAEP, SHA_256)
    with pytest.raises(Invalid):
        encrypting.decrypt(bytes(256))
    with pytest.raises(Invalid):
        decrypting.encrypt(b"data")


@pytest.mark.parametrize("extra", [{"iv": b""}, {"associated": b""}, {"tag": b""}])
def test_there_is_no_iv_no_additional_data_and_no_tag(extra: dict[str, bytes]) -> None:
    encrypting, decrypting = both(OAEP, SHA_256)
    with pytest.raises(Invalid):
        decrypting.decrypt(bytes(256), **extra)
    with pytest.raises(Invalid):
        encrypting.encrypt(b"data", extra.get("iv"), extra.get("associated"), 16 if "tag" in extra else None)


@pytest.mark.parametrize(
    ("method", "mask", "error"),
    [
        (0, SHA_256, Invalid),
        (1, SHA_256, Invalid),
        (PSS, SHA_256, Invalid),
        (99, SHA_256, Invalid),
        (OAEP, NOTHING, Invalid),
        (OAEP, SHA_256._replace(mask_generator=2), NotSupported),
        (OAEP, SHA_256._replace(label=bytes(LABEL_BYTES_MAX + 1)), Invalid),
        (OAEP, MaskParameters(1), NotSupported),
        (OAEP, MaskParameters(6, 9), NotSupported),
    ],
)
def test_what_is_not_said_or_not_offered_is_told(method: int, mask: MaskParameters, error: type[KeysteadError]) -> None:
    for half in (pair("RSA"), pair("RSA").public_key()):
        with pytest.raises(error):
            Asymmetric(half, method, mask)


@pytest.mark.parametrize("name", ["P_256", "Ed25519", "X25519"])
def test_other_keys_do_not_encrypt(name: str) -> None:
    for half in (pair(name), pair(name).public_key()):
        with pytest.raises(NotSupported):
            Asymmetric(half, OAEP, SHA_256)


def test_no_hash_of_the_table_is_refused_and_no_other_is_taken() -> None:
    for number in range(-1, 25):
        if number in LIBRARY_HASHES:
            assert library_hash(number) is LIBRARY_HASHES[number]
        else:
            with pytest.raises(NotSupported):
                library_hash(number)


def test_pkcs1_v1_5_is_a_legacy_mode_and_short_keys_are_a_legacy_algorithm() -> None:
    for method, bits, mode, algorithm in (
        (OAEP, 2048, False, False),
        (PKCS1, 2048, True, False),
        (OAEP, 1024, False, True),
        (PKCS1, 2047, True, True),
    ):
        found = asymmetric_suite(method, bits)
        assert (found.legacy_mode, found.legacy_algorithm) == (mode, algorithm)
        with pytest.raises(NotSupported):
            found.make(bytes(32), method)


def test_a_key_whose_primes_are_none_hurts_only_its_owner() -> None:
    """No primality test is made when reading (docs/adr/0035); what follows is an error of ours or a wrong answer."""
    p, q = 3 * 5 * 7 * 11 * (2**521 - 1), 2**1279 - 1
    numbers = rsa.RSAPrivateNumbers(
        p, q, d := pow(65_537, -1, (p - 1) * (q - 1)), d % (p - 1), d % (q - 1), pow(q, -1, p),
        rsa.RSAPublicNumbers(65_537, p * q),
    )  # fmt: skip
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    encrypting, decrypting = both(OAEP, SHA_256, key)
    for data in (encrypting.encrypt(b"data")[0], bytes(226), b"\1" * 226):
        with suppress(CryptographicFailure):
            decrypting.decrypt(data)


def test_a_key_read_from_its_bytes_decrypts_as_the_one_that_was_made() -> None:
    again = read_private(PairFormat.PKCS_8, Secret(private_bytes("RSA").reveal()))
    encrypting, _ = both(OAEP, SHA_256)
    assert Asymmetric(again, OAEP, SHA_256).decrypt(encrypting.encrypt(b"data")[0]) == b"data"
