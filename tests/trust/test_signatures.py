"""Signing and verifying: schemes, known answers, confusion of algorithms."""

import subprocess
from itertools import product
from pathlib import Path
from shutil import which

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.algorithms import Algorithm, Padding
from keystead.core.errors import Invalid, KeysteadError, NotSupported
from keystead.core.key_pairs import PairFormat
from keystead.core.secret import Secret
from keystead.trust.asymmetric_ciphers import LIBRARY_HASHES
from keystead.trust.key_pairs import read_private, read_public
from keystead.trust.macs import HASHES, Hashing, digest
from keystead.trust.signatures import RSASSA_PSS, SIGNATURE_BYTES_MAX, Wanted, is_signature, scheme, sign
from tests.support.key_pairs import OF_CURVES, pair, private_bytes, rsa_pair

DATA = b"data to be signed"
PKCS1, PSS, OAEP = int(Padding.PKCS1_V1_5), int(Padding.PSS), int(Padding.OAEP)
RSA_WAYS = [
    Wanted(hashing=int(hashing), padding=padding)
    for hashing, padding in product(LIBRARY_HASHES, (PKCS1, PSS))
    if (hashing, padding) != (Hashing.SHA3_224, PKCS1)
]
SHA_256_PSS = Wanted(hashing=int(Hashing.SHA_256), padding=PSS)
SHA_256_PKCS1 = Wanted(hashing=int(Hashing.SHA_256), padding=PKCS1)
NAMED_RSA = {2: 3, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8, 17: 15, 18: 16, 19: 17}
NAMED_ECDSA = {12: 4, 13: 5, 14: 6, 15: 7, 16: 8}
"""Digital Signature Algorithm -> Hashing Algorithm, as KMIP 1.4 section 9.1.3.2.7 names them."""


def signed_and_judged(name: str, wanted: Wanted) -> bytes:
    key = pair(name)
    how = scheme(key, wanted)
    signature = sign(key, how, DATA)
    assert is_signature(key.public_key(), how, DATA, signature)
    assert not is_signature(key.public_key(), how, DATA + b".", signature)
    return signature


# -- known answers ---------------------------------------------------------------------------------------------------


def test_ed25519_as_published() -> None:
    """RFC 8032 section 7.1, tests 1 and 2."""
    for private, public, data, expected in (
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            (
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
            ),
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            (
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            ),
        ),
    ):
        key = read_private(PairFormat.RAW, Secret(bytes.fromhex(private)), Algorithm.ED25519)
        verifier = read_public(PairFormat.RAW, Secret(bytes.fromhex(public)), Algorithm.ED25519)
        how = scheme(key, Wanted())
        assert sign(key, how, bytes.fromhex(data)).hex() == expected
        assert is_signature(verifier, how, bytes.fromhex(data), bytes.fromhex(expected))


RFC_6979_P_256 = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
RFC_6979 = [
    (
        Hashing.SHA_256,
        b"sample",
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    ),
    (
        Hashing.SHA_256,
        b"test",
        0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
        0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
    ),
]


@pytest.mark.parametrize(("hashing", "data", "r", "s"), RFC_6979)
def test_ecdsa_as_published(hashing: Hashing, data: bytes, r: int, s: int) -> None:
    """RFC 6979 appendix A.2.5."""
    public = ec.derive_private_key(RFC_6979_P_256, ec.SECP256R1()).public_key()
    how = scheme(public, Wanted(hashing=int(hashing)))
    assert is_signature(public, how, data, encode_dss_signature(r, s))
    assert is_signature(public, how, digest(HASHES[hashing], data), encode_dss_signature(r, s), is_digest=True)
    assert not is_signature(public, how, data, encode_dss_signature(s, r))
    assert scheme(public, Wanted()) == how  # the hash of the curve's size


@pytest.mark.skipif(which("openssl") is None, reason="there is no openssl command to compare with")
@pytest.mark.parametrize(
    ("name", "wanted", "options"),
    [
        ("RSA", SHA_256_PKCS1, ["-sha256"]),
        ("RSA", SHA_256_PSS, ["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]),
        ("RSA", Wanted(signature=7), ["-sha512"]),
        ("P_256", Wanted(), ["-sha256"]),
        ("P_384", Wanted(), ["-sha384"]),
        ("P_521", Wanted(), ["-sha512"]),
        ("SECP256K1", Wanted(signature=14), ["-sha256"]),
    ],
)
def test_openssl_verifies_our_signatures_and_we_those_of_openssl(
    name: str, wanted: Wanted, options: list[str], tmp_path: Path
) -> None:
    paths = {part: tmp_path / part for part in ("key", "data", "ours", "theirs")}
    key = pair(name)
    how = scheme(key, wanted)
    paths["key"].write_bytes(private_bytes(name).reveal())
    paths["data"].write_bytes(DATA)
    paths["ours"].write_bytes(sign(key, how, DATA))
    command = ["openssl", "dgst", "-keyform", "DER", *options]
    verify = ["-prverify", str(paths["key"]), "-signature", str(paths["ours"]), str(paths["data"])]
    subprocess.run([*command, *verify], check=True, timeout=30, capture_output=True)
    make = ["-sign", str(paths["key"]), "-out", str(paths["theirs"]), str(paths["data"])]
    subprocess.run([*command, *make], check=True, timeout=30, capture_output=True)
    assert is_signature(key.public_key(), how, DATA, paths["theirs"].read_bytes())


# -- schemes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", RSA_WAYS, ids=str)
def test_every_hash_and_padding_of_rsa(wanted: Wanted) -> None:
    how = scheme(pair("RSA"), wanted)
    assert how.legacy == (wanted.hashing in (Hashing.MD5, Hashing.SHA_1))
    try:
        signature = signed_and_judged("RSA", wanted)
    except NotSupported:  # the library signs with the hashes of FIPS 186-5 only
        assert wanted.hashing in (Hashing.MD5, Hashing.SHA_512_224, Hashing.SHA_512_256)
        return
    assert len(signature) == 256


@pytest.mark.parametrize(("number", "hashing"), NAMED_RSA.items())
def test_a_digital_signature_algorithm_of_rsa_says_hash_and_padding(number: int, hashing: int) -> None:
    named, spelled = (scheme(pair("RSA"), w) for w in (Wanted(number), Wanted(hashing=hashing, padding=PKCS1)))
    assert named == spelled
    assert named.name == f"RSA/PKCS1/{HASHES[hashing].name}"


@pytest.mark.parametrize(("number", "hashing"), NAMED_ECDSA.items())
def test_a_digital_signature_algorithm_of_ecdsa_says_the_hash(number: int, hashing: int) -> None:
    assert scheme(pair("P_256"), Wanted(number)) == scheme(pair("P_256"), Wanted(hashing=hashing))
    assert scheme(pair("P_256"), Wanted(number)).name == f"ECDSA/{HASHES[hashing].name}"


@pytest.mark.parametrize("name", sorted(OF_CURVES))
def test_every_curve_signs_with_the_hash_of_its_size(name: str) -> None:
    signed_and_judged(name, Wanted())
    bits = pair(name).key_size  # type: ignore[union-attr]  # keys on a curve have a size
    expected = Hashing.SHA_256 if bits <= 256 else Hashing.SHA_384 if bits <= 384 else Hashing.SHA_512
    assert scheme(pair(name), Wanted()).hashing == expected


@pytest.mark.parametrize("name", ["Ed25519", "Ed448"])
def test_edwards_curves_sign_data_and_no_digest(name: str) -> None:
    assert signed_and_judged(name, Wanted()) == signed_and_judged(name, Wanted(algorithm=int(Algorithm.EC)))
    how = scheme(pair(name), Wanted())
    with pytest.raises(Invalid):
        sign(pair(name), how, bytes(32), is_digest=True)
    with pytest.raises(Invalid):
        is_signature(pair(name).public_key(), how, bytes(32), bytes(64), is_digest=True)


@pytest.mark.parametrize("name", ["RSA", "P_256", "P_521"])
@pytest.mark.parametrize("hashing", [Hashing.SHA_256, Hashing.SHA_512, Hashing.SHA3_256])
def test_a_digest_is_signed_as_the_data_would_be(name: str, hashing: Hashing) -> None:
    key = pair(name)
    how = scheme(key, Wanted(hashing=int(hashing), padding=PKCS1 if name == "RSA" else None))
    made = digest(HASHES[hashing], DATA)
    assert is_signature(key.public_key(), how, DATA, sign(key, how, made, is_digest=True))
    assert is_signature(key.public_key(), how, made, sign(key, how, DATA), is_digest=True)
    for wrong in (b"", made[:-1], made + b"\0"):
        with pytest.raises(Invalid):
            sign(key, how, wrong, is_digest=True)
        with pytest.raises(Invalid):
            is_signature(key.public_key(), how, wrong, sign(key, how, DATA), is_digest=True)


def test_pss_salts_are_as_long_as_the_hash_and_found_when_verifying() -> None:
    key, public = pair("RSA"), pair("RSA").public_key()
    for salt in (0, 1, 20, 32, 222):
        how = scheme(key, SHA_256_PSS._replace(salt_bytes=salt))
        signature = sign(key, how, DATA)
        assert is_signature(public, how, DATA, signature)
        assert is_signature(public, scheme(public, SHA_256_PSS), DATA, signature)
        other = scheme(public, SHA_256_PSS._replace(salt_bytes=salt + 1 if salt < 222 else 0))
        assert not is_signature(public, other, DATA, signature)
    default = sign(key, scheme(key, SHA_256_PSS), DATA)
    assert is_signature(public, scheme(public, SHA_256_PSS._replace(salt_bytes=32)), DATA, default)
    for salt in (-1, 223, SIGNATURE_BYTES_MAX + 1):
        with pytest.raises(Invalid):
            sign(key, scheme(key, SHA_256_PSS._replace(salt_bytes=salt)), DATA)


def test_the_mask_of_pss_has_the_hash_of_the_message_and_sha_1_is_taken_too() -> None:
    """docs/adr/0035: KMIP's text says SHA-1, every library the message's hash."""
    key, public = pair("RSA"), pair("RSA").public_key()
    plain = scheme(public, SHA_256_PSS)
    for mask, is_taken in ((Hashing.SHA_256, True), (Hashing.SHA_1, True), (Hashing.SHA_512, False)):
        how = scheme(key, SHA_256_PSS._replace(mask_hashing=int(mask)))
        signature = sign(key, how, DATA)
        assert is_signature(public, how, DATA, signature)
        assert is_signature(public, plain, DATA, signature) is is_taken
    unmasked = sign(key, scheme(key, SHA_256_PSS), DATA)
    assert is_signature(public, scheme(public, SHA_256_PSS._replace(mask_hashing=int(Hashing.SHA_256))), DATA, unmasked)
    assert not is_signature(public, scheme(public, SHA_256_PSS._replace(mask_hashing=4)), DATA, unmasked)


def test_rsa_must_be_told_how_to_sign() -> None:
    for wanted in (
        Wanted(),
        Wanted(hashing=6),
        Wanted(padding=PSS),
        Wanted(signature=RSASSA_PSS),
        Wanted(hashing=6, padding=OAEP),
        Wanted(hashing=6, padding=1),
        Wanted(hashing=6, padding=99),
    ):
        with pytest.raises(Invalid):
            scheme(pair("RSA"), wanted)
    for wanted in (
        Wanted(hashing=1, padding=PSS),
        Wanted(hashing=99, padding=PSS),
        SHA_256_PSS._replace(mask_generator=2),
    ):
        with pytest.raises(NotSupported):
            scheme(pair("RSA"), wanted)


def test_a_key_that_is_too_short_for_the_hash_says_so() -> None:
    short = rsa_pair(1024)
    how = scheme(short, Wanted(hashing=8, padding=PSS, salt_bytes=64))
    with pytest.raises(Invalid):
        sign(short, how, DATA)


# -- confusion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("RSA", Wanted(signature=14)),
        ("RSA", SHA_256_PSS._replace(algorithm=int(Algorithm.ECDSA))),
        ("RSA", SHA_256_PSS._replace(signature=5)),
        ("RSA", SHA_256_PKCS1._replace(signature=RSASSA_PSS)),
        ("RSA", SHA_256_PKCS1._replace(signature=7)),
        ("P_256", Wanted(signature=5)),
        ("P_256", Wanted(signature=RSASSA_PSS)),
        ("P_256", SHA_256_PSS),
        ("P_256", SHA_256_PKCS1),
        ("P_256", Wanted(signature=14, hashing=8)),
        ("P_256", Wanted(algorithm=int(Algorithm.RSA))),
        ("P_256", Wanted(algorithm=int(Algorithm.HMAC_SHA256))),
        ("P_256", Wanted(algorithm=int(Algorithm.ED25519))),
        ("Ed25519", Wanted(signature=14)),
        ("Ed25519", Wanted(hashing=8)),
        ("Ed25519", Wanted(algorithm=int(Algorithm.ED448))),
        ("Ed448", Wanted(padding=PSS)),
    ],
)
def test_parameters_of_another_algorithm_are_refused_for_both_halves(name: str, wanted: Wanted) -> None:
    for half in (pair(name), pair(name).public_key()):
        with pytest.raises(Invalid) as caught:
            scheme(half, wanted)
        assert caught.value.reason == "invalid.cryptographic_parameters"


@pytest.mark.parametrize("number", [0, 1, 9, 10, 11, 20, 99])
def test_digital_signature_algorithms_that_are_not_offered(number: int) -> None:
    for name in ("RSA", "P_256"):
        with pytest.raises(NotSupported):
            scheme(pair(name), Wanted(number))


@pytest.mark.parametrize("name", ["X25519", "X448"])
def test_keys_of_agreement_do_not_sign(name: str) -> None:
    for half in (pair(name), pair(name).public_key()):
        with pytest.raises(NotSupported):
            scheme(half, Wanted())


def test_a_signature_fits_one_scheme_only() -> None:
    key, public = pair("RSA"), pair("RSA").public_key()
    ways = [Wanted(hashing=h, padding=p) for h in (5, 6, 7, 8, 15) for p in (PKCS1, PSS)]
    for made in ways:
        signature = sign(key, scheme(key, made), DATA)
        assert [w for w in ways if is_signature(public, scheme(public, w), DATA, signature)] == [made]


def test_a_signature_fits_one_key_only() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    how = scheme(other, Wanted())
    assert not is_signature(other, how, DATA, sign(pair("P_256"), how, DATA))


def test_signatures_of_ecdsa_are_malleable_as_the_standard_has_it() -> None:
    """With (r, s) also (r, n - s) fits (docs/adr/0035): a signature is no name for what was signed."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    key = pair("P_256")
    how = scheme(key, Wanted())
    r, s = decode_dss_signature(sign(key, how, DATA))
    assert is_signature(key.public_key(), how, DATA, encode_dss_signature(r, order - s))
    for wrong_r, wrong_s in ((0, s), (r, 0), (0, 0), (order, s), (r, order), (r + order, s), (r, s + order)):
        assert not is_signature(key.public_key(), how, DATA, encode_dss_signature(wrong_r, wrong_s))


def test_signatures_of_ed25519_are_not_malleable() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    key = pair("Ed25519")
    how = scheme(key, Wanted())
    signature = sign(key, how, DATA)
    shifted = int.from_bytes(signature[32:], "little") + order
    assert not is_signature(key.public_key(), how, DATA, signature[:32] + shifted.to_bytes(32, "little"))


def test_der_that_is_not_the_shortest_is_no_signature() -> None:
    key = pair("P_256")
    how = scheme(key, Wanted())
    signature = sign(key, how, DATA)
    longer = bytes([0x30, 0x81, *signature[1:]])
    assert not is_signature(key.public_key(), how, DATA, longer)
    assert not is_signature(key.public_key(), how, DATA, signature + b"\0")


def test_pkcs1_signatures_with_garbage_behind_the_hash_do_not_fit() -> None:
    """Attack class of e = 3: what is checked is the whole padding, not that it begins well."""
    numbers = rsa_pair(2048, 3).private_numbers()
    key = rsa_pair(2048, 3)
    how = scheme(key, SHA_256_PKCS1)
    prefix = bytes.fromhex("3031300d060960864801650304020105000420")
    forged = b"\0\1" + b"\xff" * 8 + b"\0" + prefix + digest(HASHES[6], DATA)
    forged += bytes(256 - len(forged))
    signature = pow(int.from_bytes(forged, "big"), numbers.d, numbers.public_numbers.n).to_bytes(256, "big")
    assert not is_signature(key.public_key(), how, DATA, signature)
    assert is_signature(key.public_key(), how, DATA, sign(key, how, DATA))


@given(st.binary(max_size=600), st.sampled_from(["RSA", "P_256", "P_521", "Ed25519", "Ed448"]))
def test_whatever_comes_as_a_signature_is_judged(signature: bytes, name: str) -> None:
    public = pair(name).public_key()
    for wanted in (SHA_256_PSS, SHA_256_PKCS1) if name == "RSA" else (Wanted(),):
        assert not is_signature(public, scheme(public, wanted), DATA, signature)


@given(st.sampled_from(["RSA", "P_256", "Ed25519", "Ed448"]), st.integers(0, 4000))
def test_a_changed_bit_makes_every_signature_wrong(name: str, at: int) -> None:
    how = scheme(pair(name), SHA_256_PSS if name == "RSA" else Wanted())
    signature = bytearray(sign(pair(name), how, DATA))
    at %= 8 * len(signature)
    signature[at // 8] ^= 1 << at % 8
    assert not is_signature(pair(name).public_key(), how, DATA, bytes(signature))


@given(st.builds(Wanted, *(st.none() | st.integers(-1, 25) for _ in range(7))))
def test_whatever_parameters_come_the_error_is_one_of_ours(wanted: Wanted) -> None:
    for name in ("RSA", "P_256", "Ed25519", "X25519"):
        key = pair(name)
        try:
            how = scheme(key, wanted)
            signature = sign(key, how, DATA)
        except KeysteadError:
            continue
        assert is_signature(key.public_key(), how, DATA, signature)


def test_the_length_of_a_signature_is_bounded() -> None:
    public = pair("P_256").public_key()
    assert not is_signature(public, scheme(public, Wanted()), DATA, bytes(SIGNATURE_BYTES_MAX + 1))
    assert not is_signature(public, scheme(public, Wanted()), DATA, b"")


def test_a_public_key_of_small_order_fits_signatures_that_nobody_made() -> None:
    """RFC 8032 does not forbid them: whoever registers such a key has said that anything fits it (docs/adr/0035)."""
    identity = ed25519.Ed25519PublicKey.from_public_bytes(b"\1" + bytes(31))
    assert is_signature(identity, scheme(identity, Wanted()), DATA, b"\1" + bytes(63))
