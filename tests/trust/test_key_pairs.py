"""Reading, checking, generating and writing public and private keys."""

import subprocess
from contextlib import suppress
from pathlib import Path
from shutil import which

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.algorithms import Algorithm
from keystead.core.errors import Invalid, KeysteadError, NotSupported, Refused, Unavailable
from keystead.core.key_pairs import (
    CURVES,
    RSA_BITS_MAX,
    Curve,
    PairFormat,
    PairSpecification,
    default_format,
    default_usage,
    new_pair,
)
from keystead.core.permission import Switches
from keystead.core.secret import Secret
from keystead.trust import selftest
from keystead.trust.key_pairs import (
    PUBLIC_EXPONENT_BITS_MAX,
    generate,
    read_private,
    read_public,
    specification_of,
    write_private,
    write_public,
)
from keystead.trust.selftest import ConditionalTests
from tests.support.key_pairs import (
    EVERY,
    PRIVATE_FORMS,
    PUBLIC_FORMS,
    SPECIFICATIONS,
    pair,
    private_bytes,
    public_bytes,
    rsa_pair,
)

FORMS = sorted(set(PairFormat))
ALGORITHMS = [0, *(int(algorithm) for algorithm in Algorithm), 0x80000001]
PRIVATE_IN_DER = [PairFormat.PKCS_1, PairFormat.PKCS_8, PairFormat.EC_PRIVATE_KEY]
PUBLIC_IN_DER = [PairFormat.PKCS_1, PairFormat.X_509]


def of(forms: dict[PairFormat, frozenset[str]]) -> list[tuple[str, PairFormat]]:
    return [(name, form) for form, names in forms.items() for name in sorted(names)]


# -- every form in and out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "form"), of(PRIVATE_FORMS))
def test_a_private_key_of_every_kind_comes_back_from_every_form_that_it_has(name: str, form: PairFormat) -> None:
    material = private_bytes(name, form)
    key = read_private(form, material, SPECIFICATIONS[name].algorithm)
    assert specification_of(key, SPECIFICATIONS[name].algorithm) == SPECIFICATIONS[name]
    assert write_private(key, PairFormat.PKCS_8).matches(private_bytes(name))


@pytest.mark.parametrize(("name", "form"), of(PUBLIC_FORMS))
def test_a_public_key_of_every_kind_comes_back_from_every_form_that_it_has(name: str, form: PairFormat) -> None:
    material = public_bytes(name, form)
    key = read_public(form, material, SPECIFICATIONS[name].algorithm)
    assert specification_of(key, SPECIFICATIONS[name].algorithm) == SPECIFICATIONS[name]
    assert write_public(key, PairFormat.X_509).matches(public_bytes(name))


@pytest.mark.parametrize("name", sorted(EVERY))
@pytest.mark.parametrize("form", [*FORMS, 0, 2, 7, 8, 18, 22, 99, -1])
def test_what_has_no_such_form_is_not_written_in_another(name: str, form: int) -> None:
    if name not in PRIVATE_FORMS.get(form, ()):  # type: ignore[call-overload]  # also numbers that are no format
        with pytest.raises(NotSupported):
            write_private(pair(name), form)
    if name not in PUBLIC_FORMS.get(form, ()):  # type: ignore[call-overload]  # likewise
        with pytest.raises(NotSupported):
            write_public(pair(name).public_key(), form)


@pytest.mark.skipif(which("openssl") is None, reason="there is no openssl command to compare with")
@pytest.mark.parametrize(
    "name", ["RSA", "P_256", "P_521", "SECP256K1", "BRAINPOOLP256R1", "Ed25519", "Ed448", "X25519"]
)
def test_openssl_reads_the_forms_and_finds_the_same_public_key(name: str, tmp_path: Path) -> None:
    path = tmp_path / "key.der"
    for form in (PairFormat.PKCS_8, PairFormat.PKCS_1, PairFormat.EC_PRIVATE_KEY):
        if name in PRIVATE_FORMS[form]:
            path.write_bytes(private_bytes(name, form).reveal())
            command = ["openssl", "pkey", "-inform", "DER", "-in", str(path), "-pubout", "-outform", "DER"]
            found = subprocess.run(command, capture_output=True, check=True, timeout=30).stdout
            assert found == public_bytes(name).reveal()


# -- mislabelled, cut off, foreign, contradictory --------------------------------------------------------------------


@pytest.mark.parametrize(("name", "form"), [one for one in of(PRIVATE_FORMS) if one[1] in PRIVATE_IN_DER])
@pytest.mark.parametrize("label", PRIVATE_IN_DER)
def test_a_private_key_under_another_label_is_seen_for_what_it_is(
    name: str, form: PairFormat, label: PairFormat
) -> None:
    found = specification_of(read_private(label, private_bytes(name, form)), SPECIFICATIONS[name].algorithm)
    assert found == SPECIFICATIONS[name]


@pytest.mark.parametrize(("name", "form"), [one for one in of(PRIVATE_FORMS) if one[1] in PRIVATE_IN_DER])
def test_what_is_not_raw_is_not_read_as_raw(name: str, form: PairFormat) -> None:
    with pytest.raises(Invalid) as caught:
        read_private(PairFormat.RAW, private_bytes(name, form), SPECIFICATIONS[name].algorithm)
    assert caught.value.reason == "invalid.key"


@pytest.mark.parametrize("name", sorted(EVERY))
def test_halves_are_not_taken_for_each_other(name: str) -> None:
    for form in PRIVATE_IN_DER:
        with pytest.raises(KeysteadError):
            read_private(form, public_bytes(name))
    for form in PUBLIC_IN_DER:
        with pytest.raises(KeysteadError):
            read_public(form, private_bytes(name))


@pytest.mark.parametrize("name", ["RSA", "P_256", "Ed25519", "X448"])
def test_what_is_cut_off_or_followed_by_more_is_refused(name: str) -> None:
    private, public = private_bytes(name).reveal(), public_bytes(name).reveal()
    for length in range(0, len(private), 7):
        with pytest.raises(KeysteadError):
            read_private(PairFormat.PKCS_8, Secret(private[:length]))
    for length in range(0, len(public), 7):
        with pytest.raises(KeysteadError):
            read_public(PairFormat.X_509, Secret(public[:length]))
    with pytest.raises(Invalid):
        read_private(PairFormat.PKCS_8, Secret(private + b"\0"))
    with pytest.raises(Invalid):
        read_public(PairFormat.X_509, Secret(public + b"\0"))


@pytest.mark.parametrize("name", ["RSA", "P_256", "Ed25519"])
def test_an_encrypted_private_key_is_refused_under_every_label(name: str) -> None:
    sealed = Secret(pair(name).private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")))
    for form in PRIVATE_IN_DER:
        with pytest.raises(Invalid):
            read_private(form, sealed)


@pytest.mark.parametrize("name", ["RSA", "P_256", "Ed25519"])
def test_the_text_form_is_no_key(name: str) -> None:
    text = pair(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for form in FORMS:
        with pytest.raises(KeysteadError):
            read_private(form, Secret(text), SPECIFICATIONS[name].algorithm)


def any_bytes() -> st.SearchStrategy[bytes]:
    """Garbage, and keys with a byte changed, a piece cut out or a piece put in."""
    keys = st.sampled_from([material.reveal() for name in ("RSA", "P_256", "Ed25519", "X25519")
                            for material in (private_bytes(name), public_bytes(name))])  # fmt: skip

    def changed(data: bytes, at: int, cut: int, put: bytes) -> bytes:
        at %= len(data)
        return data[:at] + put + data[at + cut :]

    return st.binary(max_size=200) | st.builds(
        changed, keys, st.integers(0, 4000), st.integers(0, 8), st.binary(max_size=8)
    )


@given(any_bytes(), st.sampled_from([*FORMS, 0, 2, 8, 22]), st.sampled_from(ALGORITHMS))
def test_whatever_bytes_come_the_error_is_one_of_ours(data: bytes, form: int, algorithm: int) -> None:
    for read in (read_private, read_public):
        with suppress(KeysteadError):
            specification_of(read(form, Secret(data), algorithm), algorithm)


def test_a_key_of_another_kind_is_not_offered() -> None:
    key = dsa.generate_private_key(1024)
    for form, wrapped in (
        (PairFormat.PKCS_8, PrivateFormat.PKCS8),
        (PairFormat.PKCS_1, PrivateFormat.TraditionalOpenSSL),
    ):
        with pytest.raises(NotSupported):
            read_private(form, Secret(key.private_bytes(Encoding.DER, wrapped, NoEncryption())))
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(NotSupported):
        read_public(PairFormat.X_509, Secret(public))


P_256_NAME, UNKNOWN_NAME = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d03017f")


def test_a_curve_that_is_not_offered_is_told() -> None:
    for read, form, material in (
        (read_private, PairFormat.PKCS_8, private_bytes("P_256")),
        (read_private, PairFormat.EC_PRIVATE_KEY, private_bytes("P_256", PairFormat.EC_PRIVATE_KEY)),
        (read_public, PairFormat.X_509, public_bytes("P_256")),
    ):
        foreign = material.reveal().replace(P_256_NAME, UNKNOWN_NAME)
        with pytest.raises(NotSupported) as caught:
            read(form, Secret(foreign))
        assert caught.value.reason == "not_supported.cryptography"


@pytest.mark.parametrize("name", sorted(PRIVATE_FORMS[PairFormat.EC_PRIVATE_KEY]))
def test_a_point_that_is_not_on_its_curve_is_refused(name: str) -> None:
    public = bytearray(public_bytes(name).reveal())
    public[-1] ^= 1
    with pytest.raises(Invalid):
        read_public(PairFormat.X_509, Secret(bytes(public)))


def test_the_point_at_infinity_is_no_key() -> None:
    head = "3019301306072a8648ce3d020106082a8648ce3d030107"
    with pytest.raises(Invalid):
        read_public(PairFormat.X_509, Secret(bytes.fromhex(head + "03020000")))


def test_a_private_key_beside_the_public_key_of_another_is_refused() -> None:
    key, other = pair("P_256"), ec.generate_private_key(ec.SECP256R1())
    ours, theirs = (
        half.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) for half in (key, other)
    )
    mixed = private_bytes("P_256").reveal().replace(ours, theirs)
    with pytest.raises(Invalid):
        read_private(PairFormat.PKCS_8, Secret(mixed))


SMALL_ORDER_25519 = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
"""Where every agreement ends in zeros (RFC 7748 section 6.1)."""


@pytest.mark.parametrize("point", SMALL_ORDER_25519)
def test_points_of_small_order_agree_on_nothing(point: str) -> None:
    for algorithm in (Algorithm.ECDH, Algorithm.EC):
        with pytest.raises(Invalid) as caught:
            read_public(PairFormat.RAW, Secret(bytes.fromhex(point)), algorithm)
        assert caught.value.reason == "invalid.key"
    wrapped = public_bytes("X25519").reveal()[:-32] + bytes.fromhex(point)
    with pytest.raises(Invalid):
        read_public(PairFormat.X_509, Secret(wrapped))
    with pytest.raises(Invalid):
        read_public(PairFormat.RAW, Secret(bytes(56)), Algorithm.ECDH)


@pytest.mark.parametrize("length", [0, 1, 31, 33, 55, 57, 58, 64])
def test_raw_bytes_have_the_length_of_their_curve(length: int) -> None:
    for read in (read_private, read_public):
        for algorithm in (Algorithm.ED25519, Algorithm.ECDH, Algorithm.RSA, Algorithm.ECDSA, 0):
            with pytest.raises(Invalid):
                read(PairFormat.RAW, Secret(b"\1" * length), algorithm)


# -- RSA numbers -----------------------------------------------------------------------------------------------------


def rsa_with(**changes: int) -> Secret:
    """The PKCS#1 form of an RSA key some of whose numbers are others."""
    numbers = rsa_pair().private_numbers()
    found = {"n": numbers.public_numbers.n, "e": numbers.public_numbers.e, "d": numbers.d, "p": numbers.p,
             "q": numbers.q, "dmp1": numbers.dmp1, "dmq1": numbers.dmq1, "iqmp": numbers.iqmp}  # fmt: skip
    return Secret(sequence(0, *(found | changes).values()))


def sequence(*numbers: int) -> bytes:
    """DER of a sequence of numbers."""
    content = b"".join(_tagged(2, number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in numbers)
    return _tagged(0x30, content)


def _tagged(tag: int, content: bytes) -> bytes:
    length = len(content)
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, length] if length < 128 else [tag, 0x80 | len(size), *size]) + content


def test_the_unchanged_numbers_are_a_key() -> None:
    assert specification_of(read_private(PairFormat.PKCS_1, rsa_with())) == PairSpecification(Algorithm.RSA, 2048)


NUMBERS = rsa_pair().private_numbers()
N, P, Q, D = NUMBERS.public_numbers.n, NUMBERS.p, NUMBERS.q, NUMBERS.d


@pytest.mark.parametrize(
    "changes",
    [
        {"n": N + 2},
        {"n": N - 1},
        {"p": P + 2},
        {"p": Q},
        {"p": 1, "q": N},
        {"p": N, "q": 1},
        {"p": 0},
        {"q": 0},
        {"d": 1},
        {"d": 0},
        {"d": D + 2},
        {"d": D + N},
        {"dmp1": 3},
        {"dmq1": 5},
        {"dmp1": 0},
        {"iqmp": 7},
        {"iqmp": 0},
        {"e": 3},
        {"e": 1},
        {"e": 0},
        {"e": 65_536},
        {"d": 17, "dmp1": 17, "dmq1": 17},
        {"n": 2 * Q, "p": 2},
    ],
    ids=",".join,
)
def test_numbers_that_contradict_each_other_are_no_key(changes: dict[str, int]) -> None:
    with pytest.raises(Invalid) as caught:
        read_private(PairFormat.PKCS_1, rsa_with(**changes))
    assert caught.value.reason == "invalid.key"
    assert str(D) not in str(caught.value)


@pytest.mark.parametrize("bits", [PUBLIC_EXPONENT_BITS_MAX + 1, 2000])
def test_a_giant_public_exponent_is_refused(bits: int) -> None:
    with pytest.raises(Invalid):
        read_public(PairFormat.PKCS_1, Secret(sequence(N, (1 << bits - 1) + 1)))
    with pytest.raises(Invalid):
        read_private(PairFormat.PKCS_1, rsa_with(e=(1 << bits - 1) + 1))


def test_the_longest_public_exponent_is_taken() -> None:
    longest = (1 << PUBLIC_EXPONENT_BITS_MAX - 1) + 1
    assert isinstance(read_public(PairFormat.PKCS_1, Secret(sequence(N, longest))), rsa.RSAPublicKey)


@pytest.mark.parametrize("bits", [8, 64, 511, RSA_BITS_MAX + 1, 16_384, 400_000])
def test_sizes_of_rsa_keys_have_limits(bits: int) -> None:
    modulus = (1 << bits - 1) + 1
    with pytest.raises(Invalid):
        read_public(PairFormat.PKCS_1, Secret(sequence(modulus, 65_537)))
    with pytest.raises(Invalid):
        read_private(PairFormat.PKCS_1, rsa_with(n=modulus))
    with pytest.raises(Invalid):
        read_private(PairFormat.PKCS_1, rsa_with(dmp1=modulus, dmq1=modulus, iqmp=modulus))


@pytest.mark.parametrize("bits", [512, 768, 1023, 1024, 2047, 2049, RSA_BITS_MAX])
def test_sizes_within_them_are_read_also_odd_ones(bits: int) -> None:
    key = read_public(PairFormat.PKCS_1, Secret(sequence((1 << bits - 1) + 1, 65_537)))
    assert specification_of(key) == PairSpecification(Algorithm.RSA, bits)
    assert specification_of(key).legacy == (bits < 2048)


def test_an_even_modulus_is_no_key() -> None:
    with pytest.raises(Invalid):
        read_public(PairFormat.PKCS_1, Secret(sequence(N - 1, 65_537)))


# -- what a key is, and what it was said to be -----------------------------------------------------------------------

ONLY = {"RSA": {4}, "Ed25519": {55}, "Ed448": {56}, "X25519": {14, 26}, "X448": {14, 26}}


@pytest.mark.parametrize("name", sorted(EVERY))
@pytest.mark.parametrize("told", ALGORITHMS[1:])
def test_a_key_is_what_its_bytes_are_whatever_was_told(name: str, told: int) -> None:
    names = ONLY.get(name, {Algorithm.EC, Algorithm.ECDSA, Algorithm.ECDH})
    for half in (pair(name), pair(name).public_key()):
        if told in names:
            assert specification_of(half, told) == SPECIFICATIONS[name]._replace(algorithm=told)
        elif told in (Algorithm.EC, Algorithm.ECDSA) and name.startswith("Ed"):
            assert specification_of(half, told) == SPECIFICATIONS[name]  # 1.x has no other names for these
        else:
            with pytest.raises(Invalid):
                specification_of(half, told)


# -- new ones --------------------------------------------------------------------------------------------------------

STRICT, LEGACY = Switches(), Switches(legacy_algorithms=True)


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_rsa_of_these_sizes_is_accepted(bits: int) -> None:
    assert new_pair(Algorithm.RSA, bits, 0, STRICT) == PairSpecification(Algorithm.RSA, bits)


@pytest.mark.row("KS-KEY-007")
def test_rsa_of_1024_bits_is_made_only_where_legacy_algorithms_are_on_and_512_never() -> None:
    with pytest.raises(Refused):
        new_pair(Algorithm.RSA, 1024, 0, STRICT)
    specification = new_pair(Algorithm.RSA, 1024, 0, LEGACY)
    key = generate(specification, ConditionalTests())
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 1024
    for bits in (512, 768, 2047, 5120, 8192, 16_384, -1):
        with pytest.raises(Invalid):
            new_pair(Algorithm.RSA, bits, 0, LEGACY)


def test_what_is_left_out_of_a_new_pair_is_completed() -> None:
    assert new_pair(Algorithm.RSA, 0, 0, STRICT).length_bits == 3072
    assert new_pair(Algorithm.EC, 0, 0, STRICT).curve == Curve.P_256
    assert new_pair(Algorithm.ECDSA, 384, 0, STRICT).curve == Curve.P_384
    assert new_pair(Algorithm.ECDH, 0, Curve.CURVE25519, STRICT).length_bits == 256
    assert new_pair(Algorithm.ED25519, 0, 0, STRICT) == SPECIFICATIONS["Ed25519"]
    assert new_pair(Algorithm.ED448, 448, Curve.CURVE448, STRICT) == SPECIFICATIONS["Ed448"]


@pytest.mark.parametrize(
    ("algorithm", "bits", "curve", "error"),
    [
        (Algorithm.RSA, 2048, Curve.P_256, Invalid),
        (Algorithm.EC, 384, Curve.P_256, Invalid),
        (Algorithm.EC, 100, 0, NotSupported),
        (Algorithm.EC, 0, 2, NotSupported),
        (Algorithm.ECDSA, 0, Curve.CURVE25519, Invalid),
        (Algorithm.ED25519, 255, 0, Invalid),
        (Algorithm.ED25519, 0, Curve.P_256, Invalid),
        (Algorithm.EC, 0, Curve.P_192, Refused),
        (Algorithm.EC, 192, 0, Refused),
        (Algorithm.AES, 256, 0, Invalid),
        (5, 2048, 0, Invalid),
        (0, 0, 0, Invalid),
    ],
)
def test_what_no_pair_can_be_is_refused(algorithm: int, bits: int, curve: int, error: type[KeysteadError]) -> None:
    with pytest.raises(error):
        new_pair(algorithm, bits, curve, STRICT)


@given(st.sampled_from(ALGORITHMS), st.integers(-1, 9000), st.integers(-1, 80), st.booleans())
def test_whatever_is_asked_for_the_answer_is_a_known_kind_or_an_error_of_ours(
    algorithm: int, bits: int, curve: int, legacy: bool
) -> None:
    try:
        found = new_pair(algorithm, bits, curve, LEGACY if legacy else STRICT)
    except KeysteadError:
        return
    assert legacy or not found.legacy
    assert found.curve == 0 or CURVES[found.curve].bits == found.length_bits
    for private in (True, False):
        forms = PRIVATE_FORMS if private else PUBLIC_FORMS
        assert default_format(found, private=private) in forms
        assert default_usage(found, private=private)


@pytest.mark.parametrize("name", sorted(EVERY))
def test_the_default_format_is_one_that_the_key_has(name: str) -> None:
    found = SPECIFICATIONS[name]
    assert name in PRIVATE_FORMS[default_format(found, private=True)]
    assert name in PUBLIC_FORMS[default_format(found, private=False)]


@pytest.mark.parametrize("name", sorted(EVERY))
def test_no_two_new_keys_are_alike_and_each_is_what_was_asked_for(name: str) -> None:
    specification = SPECIFICATIONS[name]
    keys = [pair(name), generate(specification, ConditionalTests())]
    assert [specification_of(key, specification.algorithm) for key in keys] == [specification] * 2
    assert len({write_public(key.public_key(), PairFormat.X_509).reveal() for key in keys}) == 2


@pytest.mark.parametrize("name", ["RSA", "P_256", "Ed448", "X448"])
def test_a_new_pair_whose_halves_do_not_fit_stops_everything(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "_fits", lambda _private, _public: False)
    tests = ConditionalTests()
    with pytest.raises(Unavailable) as caught:
        generate(SPECIFICATIONS[name], tests)
    assert caught.value.reason == "unavailable.self_test"
    monkeypatch.undo()
    with pytest.raises(Unavailable):
        generate(SPECIFICATIONS["Ed25519"], tests)


@pytest.mark.parametrize("name", sorted(EVERY))
def test_the_pairwise_test_finds_halves_of_different_keys(name: str) -> None:
    tests = ConditionalTests()
    with pytest.raises(Unavailable):
        tests.check_pair(pair(name), generate(SPECIFICATIONS[name], ConditionalTests()).public_key())
    assert tests.failed is not None
