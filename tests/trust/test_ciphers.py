import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import CryptographicFailure, Invalid, NotSupported
from keystead.core.secret import Secret
from keystead.trust import selftest_table as table
from keystead.trust.cipher_modes import Block
from keystead.trust.ciphers import SUITES, Algorithm, Mode, Padding, new_iv, prepare, suite

SUITE_IDS = [f"{Algorithm(algorithm).name}-{Mode(mode).name}" for algorithm, mode in SUITES]
DATA = bytes(range(48))


def a_key(length_bytes: int) -> Secret:
    return Secret(bytes(range(7, 7 + length_bytes)))


def paddings_of(algorithm: int, mode: int) -> Iterator[int]:
    yield 0
    if suite(algorithm, mode).pads:
        yield from Padding


@pytest.mark.parametrize(("algorithm", "mode"), SUITES, ids=SUITE_IDS)
@given(data=st.binary(max_size=100))
def test_every_suite_gives_back_what_it_took(algorithm: int, mode: int, data: bytes) -> None:
    found = suite(algorithm, mode)
    for length_bytes in found.key_lengths_bytes:
        for padding in paddings_of(algorithm, mode):
            cipher = prepare(algorithm, mode, padding, a_key(length_bytes))
            iv = new_iv(algorithm, mode)
            associated = b"bound" if found.authenticates else None
            if needs_another_length((algorithm, mode), padding, data):
                with pytest.raises(Invalid):
                    cipher.encrypt(data, iv, associated)
                continue
            sealed, tag = cipher.encrypt(data, iv, associated)
            assert (tag is not None) is found.authenticates
            assert cipher.decrypt(sealed, iv, associated, tag) == data
            assert len(data) < 8 or data not in sealed


BLOCKS_OF_16 = {Algorithm.AES, Algorithm.SEED, Algorithm.CAMELLIA}


def needs_another_length(kind: tuple[int, int], padding: int, data: bytes) -> bool:
    algorithm, mode = kind
    if mode in {Mode.CBC, Mode.ECB}:
        return padding in {0, Padding.NONE} and len(data) % (16 if algorithm in BLOCKS_OF_16 else 8) != 0
    if mode == Mode.XTS:
        return len(data) < 16
    if mode == Mode.NIST_KEY_WRAP:
        return len(data) < 16 or len(data) % 8 != 0
    return mode == Mode.AES_KEY_WRAP_PADDING and not data


# Another build of the same library, driven from outside: names of the openssl command for the suites it has.
OPENSSL = {
    (Algorithm.AES, Mode.CBC): "aes-{bits}-cbc",
    (Algorithm.AES, Mode.ECB): "aes-{bits}-ecb",
    (Algorithm.AES, Mode.CFB): "aes-{bits}-cfb",
    (Algorithm.AES, Mode.OFB): "aes-{bits}-ofb",
    (Algorithm.AES, Mode.CTR): "aes-{bits}-ctr",
    (Algorithm.TRIPLE_DES, Mode.CBC): "des-ede3-cbc",
    (Algorithm.TRIPLE_DES, Mode.ECB): "des-ede3",
    (Algorithm.TRIPLE_DES, Mode.CFB): "des-ede3-cfb",
    (Algorithm.TRIPLE_DES, Mode.OFB): "des-ede3-ofb",
    (Algorithm.DES, Mode.CBC): "des-cbc",
    (Algorithm.DES, Mode.ECB): "des-ecb",
    (Algorithm.RC4, Mode.NONE): "rc4",
    (Algorithm.CHACHA20, Mode.NONE): "chacha20",
}


@pytest.mark.parametrize(("algorithm", "mode"), OPENSSL)
def test_ciphers_agree_with_the_openssl_command(algorithm: Algorithm, mode: Mode) -> None:
    found = suite(algorithm, mode)
    key = a_key(found.key_lengths_bytes[-1]).reveal()
    iv = bytes(range(100, 100 + found.iv_bytes)) if found.iv_bytes else None
    command = ["openssl", "enc", "-e", "-provider", "default", "-provider", "legacy"]
    command += [f"-{OPENSSL[algorithm, mode].format(bits=len(key) * 8)}", "-K", key.hex()]
    if iv is not None:  # ChaCha20: the command's IV begins with the counter
        command += ["-iv", (iv if algorithm != Algorithm.CHACHA20 else bytes(4) + iv).hex()]
    padding = Padding.PKCS5 if found.pads else 0
    done = subprocess.run(command, input=DATA, capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    assert prepare(algorithm, mode, padding, Secret(key)).encrypt(DATA, iv)[0] == done.stdout


def test_gcm_gives_its_published_answer() -> None:
    cipher = prepare(Algorithm.AES, Mode.GCM, 0, Secret(bytes.fromhex(table.AES_GCM_KEY)))
    text, bound = bytes.fromhex(table.AES_GCM_TEXT), bytes.fromhex(table.AES_GCM_AAD)
    sealed = bytes.fromhex(table.AES_GCM_SEALED)
    assert cipher.encrypt(text, bytes.fromhex(table.AES_GCM_IV), bound) == (sealed[:-16], sealed[-16:])


@pytest.mark.parametrize(
    ("iv", "sealed", "tag"),
    [  # McGrew and Viega, test cases 17 and 18
        (
            "cafebabefacedbad",
            "c3762df1ca787d32ae47c13bf19844cbaf1ae14d0b976afac52ff7d79bba9de0feb582d33934a4f0954cc2363bc73f7862ac430e64abe499f47c9b1f",
            "3a337dbf46a792c45e454913fe2ea8f2",
        ),
        (
            "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b",
            "5a8def2f0c9e53f1f75d7853659e2a20eeb2b22aafde6419a058ab4f6f746bf40fc0c3b780f244452da3ebf1c5d82cdea2418997200ef82e44ae7e3f",
            "a44a8266ee1c8eb0c8b5d4cf5ae9f19a",
        ),
    ],
)
def test_gcm_takes_ivs_of_other_lengths(iv: str, sealed: str, tag: str) -> None:
    cipher = prepare(Algorithm.AES, Mode.GCM, 0, Secret(bytes.fromhex(table.AES_GCM_KEY)))
    text, bound = bytes.fromhex(table.AES_GCM_TEXT), bytes.fromhex(table.AES_GCM_AAD)
    assert cipher.encrypt(text, bytes.fromhex(iv), bound) == (bytes.fromhex(sealed), bytes.fromhex(tag))


@pytest.mark.parametrize("length_bytes", range(12, 17))
def test_gcm_tags_may_be_cut_to_twelve_bytes(length_bytes: int) -> None:
    cipher = prepare(Algorithm.AES, Mode.GCM, 0, a_key(16))
    iv = bytes(12)
    whole = cipher.encrypt(DATA, iv, b"a")[1]
    sealed, tag = cipher.encrypt(DATA, iv, b"a", length_bytes)
    assert whole is not None
    assert tag == whole[:length_bytes]
    assert cipher.decrypt(sealed, iv, b"a", tag) == DATA
    for associated, spoilt in ((b"b", tag), (b"a", bytes([tag[0] ^ 1]) + tag[1:]), (None, tag)):
        with pytest.raises(CryptographicFailure):
            cipher.decrypt(sealed, iv, associated, spoilt)


@pytest.mark.parametrize("length_bytes", [0, 1, 4, 11, 17, 32])
def test_gcm_tags_of_other_lengths_are_refused(length_bytes: int) -> None:
    cipher = prepare(Algorithm.AES, Mode.GCM, 0, a_key(16))
    with pytest.raises(Invalid, match="12 to 16 bytes"):
        cipher.encrypt(DATA, bytes(12), None, length_bytes)
    with pytest.raises(Invalid, match="12 to 16 bytes"):
        cipher.decrypt(DATA, bytes(12), None, bytes(length_bytes))


def test_ccm_gives_its_published_answer() -> None:
    cipher = prepare(Algorithm.AES, Mode.CCM, 0, Secret(bytes(range(0x40, 0x50))))  # SP 800-38C, example 3
    iv, associated, text = bytes(range(0x10, 0x1C)), bytes(range(0x14)), bytes(range(0x20, 0x38))
    sealed = bytes.fromhex("e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5")
    tag = bytes.fromhex("484392fbc1b09951")
    assert cipher.encrypt(text, iv, associated, 8) == (sealed, tag)
    assert cipher.decrypt(sealed, iv, associated, tag) == text


def test_xts_gives_its_published_answer() -> None:
    key = Secret(b"\x11" * 16 + b"\x22" * 16)  # IEEE 1619-2007, vector 2
    sealed = bytes.fromhex("c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0")
    tweak = b"\x33" * 5 + bytes(11)
    assert prepare(Algorithm.AES, Mode.XTS, 0, key).encrypt(b"\x44" * 32, tweak) == (sealed, None)


def test_key_wrap_gives_its_published_answers() -> None:
    key = Secret(bytes.fromhex(table.AES_KW_KEY))
    cipher = prepare(Algorithm.AES, Mode.NIST_KEY_WRAP, 0, key)
    assert cipher.encrypt(bytes.fromhex(table.AES_KW_TEXT))[0].hex() == table.AES_KW_SEALED
    padded = prepare(  # RFC 5649 section 6
        Algorithm.AES,
        Mode.AES_KEY_WRAP_PADDING,
        0,
        Secret(bytes.fromhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")),
    )
    text = bytes.fromhex("466f7250617369")
    assert padded.encrypt(text)[0].hex() == "afbeb0f07dfbf5419200f2ccb50bb24f"


def test_chacha20_gives_its_published_answers() -> None:
    eight = prepare(Algorithm.CHACHA20, Mode.NONE, 0, Secret(bytes(32)))
    stream = eight.encrypt(bytes(32), bytes(8))[0].hex()  # draft-agl-tls-chacha20poly1305-04 section 7
    assert stream == "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
    twelve = prepare(Algorithm.CHACHA20, Mode.NONE, 0, Secret(bytes(31) + b"\x01"))
    block_one = twelve.encrypt(bytes(128), bytes(12))[0][64:96].hex()  # RFC 8439 A.1, test vector 3
    assert block_one == "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"


# --------------------------------------------------------------------------------------------- nothing is an oracle


@pytest.mark.parametrize(("algorithm", "mode"), SUITES, ids=SUITE_IDS)
def test_whatever_is_wrong_with_data_is_told_in_the_same_words(algorithm: int, mode: int) -> None:
    found = suite(algorithm, mode)
    iv = new_iv(algorithm, mode)
    messages = set()
    for padding in paddings_of(algorithm, mode):
        cipher = prepare(algorithm, mode, padding, a_key(found.key_lengths_bytes[0]))
        sealed, tag = cipher.encrypt(DATA, iv)
        for position in (0, len(sealed) // 2, len(sealed) - 1):
            spoilt = sealed[:position] + bytes([sealed[position] ^ 0x55]) + sealed[position + 1 :]
            for data in (spoilt, sealed[:-1], sealed[:5], b""):
                try:
                    clear = cipher.decrypt(data, iv, None, tag)
                except CryptographicFailure as error:
                    messages.add((error.message, error.reason))
                else:
                    assert not found.authenticates
                    assert clear != DATA
    assert len(messages) <= 1
    assert found.authenticates <= len(messages)


def test_padding_and_length_errors_look_alike() -> None:
    cipher = prepare(Algorithm.AES, Mode.CBC, Padding.PKCS5, a_key(32))
    seen = set()
    for last in range(256):
        try:
            cipher.decrypt(bytes(15) + bytes([last]) + bytes(16), bytes(16))
        except CryptographicFailure as error:
            seen.add(error.message)
    for data in (b"", bytes(15), bytes(17)):
        with pytest.raises(CryptographicFailure) as caught:
            cipher.decrypt(data, bytes(16))
        seen.add(caught.value.message)
    assert len(seen) == 1


# ----------------------------------------------------------------------------------------------- parameters that fit


IVS = [(algorithm, mode) for (algorithm, mode), found in SUITES.items() if found.iv_bytes]


@pytest.mark.parametrize(("algorithm", "mode"), IVS)
def test_a_missing_or_misfit_iv_is_told(algorithm: int, mode: int) -> None:
    cipher = prepare(algorithm, mode, 0, a_key(suite(algorithm, mode).key_lengths_bytes[0]))
    tag = bytes(16) if suite(algorithm, mode).authenticates else None
    for iv, reason in ((None, "invalid.missing_iv"), (b"", ""), (bytes(5), ""), (bytes(200), "")):
        for call in (lambda iv=iv: cipher.encrypt(DATA, iv), lambda iv=iv: cipher.decrypt(DATA, iv, None, tag)):
            with pytest.raises(Invalid) as caught:
                call()
            assert caught.value.reason == (reason or "invalid.cryptographic_parameters")


@pytest.mark.parametrize(("algorithm", "mode"), SUITES, ids=SUITE_IDS)
def test_what_a_mode_would_ignore_is_refused(algorithm: int, mode: int) -> None:
    found = suite(algorithm, mode)
    cipher = prepare(algorithm, mode, 0, a_key(found.key_lengths_bytes[0]))
    iv = new_iv(algorithm, mode)
    if not found.authenticates:
        for associated, length_bytes, tag in ((b"a", None, None), (None, 16, bytes(16))):
            with pytest.raises(Invalid, match="authenticates nothing"):
                cipher.encrypt(DATA, iv, associated, length_bytes)
            with pytest.raises(Invalid, match="authenticates nothing"):
                cipher.decrypt(DATA, iv, associated, tag)
    else:
        with pytest.raises(Invalid, match="needs the tag"):
            cipher.decrypt(DATA, iv)
    if not found.iv_bytes:
        with pytest.raises(Invalid, match="no initialisation vector"):
            cipher.encrypt(DATA, bytes(16))
        with pytest.raises(Invalid, match="no initialisation vector"):
            cipher.decrypt(DATA, bytes(16))
    if not found.pads:
        with pytest.raises(Invalid, match="no padding"):
            prepare(algorithm, mode, Padding.PKCS5, a_key(found.key_lengths_bytes[0]))


@pytest.mark.parametrize(("algorithm", "mode"), SUITES, ids=SUITE_IDS)
def test_keys_of_other_lengths_are_refused(algorithm: int, mode: int) -> None:
    for length_bytes in {0, 1, 7, 15, 17, 31, 33, 48, 128} - {*suite(algorithm, mode).key_lengths_bytes}:
        with pytest.raises(Invalid) as caught:
            prepare(algorithm, mode, 0, a_key(length_bytes))
        assert caught.value.reason == "invalid.key"


def test_what_is_not_in_the_table_is_not_offered() -> None:
    for algorithm, mode in ((Algorithm.AES, Mode.NONE), (Algorithm.AES, Mode.PCBC), (Algorithm.AES, 99), (4, Mode.CBC)):
        for call in (
            lambda a=algorithm, m=mode: prepare(a, m, 0, a_key(16)),
            lambda a=algorithm, m=mode: new_iv(a, m),
        ):
            with pytest.raises(NotSupported):
                call()
    with pytest.raises(NotSupported, match="padding"):
        prepare(Algorithm.AES, Mode.CBC, 7, a_key(16))
    with pytest.raises(Invalid, match="halves"):
        prepare(Algorithm.AES, Mode.XTS, 0, Secret(bytes(32)))


def test_legacy_is_marked_in_the_table() -> None:
    legacy_algorithms = {algorithm for (algorithm, _), found in SUITES.items() if found.legacy_algorithm}
    outdated = {Algorithm.BLOWFISH, Algorithm.CAST5, Algorithm.IDEA, Algorithm.SEED, Algorithm.CAMELLIA}
    assert legacy_algorithms == outdated | {Algorithm.DES, Algorithm.TRIPLE_DES, Algorithm.RC4}
    assert {mode for (_, mode), found in SUITES.items() if found.legacy_mode} == {Mode.ECB}
    assert suite(Algorithm.AES, Mode.GCM).budget_count == 2**32


def test_random_ivs_are_fresh_and_of_the_mode_s_length() -> None:
    for algorithm, mode in SUITES:
        drawn = [new_iv(algorithm, mode) for _ in range(3)]
        assert {len(each or b"") for each in drawn} == {suite(algorithm, mode).iv_bytes}
        assert drawn[0] is None or len(set(drawn)) == 3
    assert len(new_iv(Algorithm.AES, Mode.GCM, 128) or b"") == 16
    for mode, bits in ((Mode.GCM, 56), (Mode.GCM, 100), (Mode.GCM, 1032), (Mode.CBC, 96), (Mode.GCM, -8)):
        with pytest.raises(Invalid, match="takes an IV"):
            new_iv(Algorithm.AES, mode, bits)


def test_two_key_triple_des_uses_the_first_key_again() -> None:
    two, three = a_key(16), Secret(a_key(16).reveal() + a_key(8).reveal())
    ends = [prepare(Algorithm.TRIPLE_DES, Mode.CBC, 0, key).encrypt(DATA, bytes(8)) for key in (two, three)]
    assert ends[0] == ends[1]


def test_ccm_refuses_more_data_than_its_nonce_leaves_room_for() -> None:
    cipher = prepare(Algorithm.AES, Mode.CCM, 0, a_key(16))
    with pytest.raises(Invalid, match="too long"):
        cipher.encrypt(bytes(1 << 16), bytes(13))


@given(st.data())
def test_a_context_that_is_used_again_leaves_no_trace(data: st.DataObject) -> None:
    block_bytes = data.draw(st.sampled_from((8, 16)))
    algorithm = TripleDES(bytes(range(24))) if block_bytes == 8 else algorithms.AES(bytes(range(32)))
    chained = data.draw(st.booleans())
    block = Block(algorithm, block_bytes, int(Padding.NONE), chained=chained)
    size = st.integers(0, 5).map(lambda count: count * block_bytes)
    for _ in range(data.draw(st.integers(1, 6))):
        clear = data.draw(size.flatmap(lambda length: st.binary(min_size=length, max_size=length)))
        iv = data.draw(st.binary(min_size=block_bytes, max_size=block_bytes)) if chained else None
        mode = modes.ECB() if iv is None else modes.CBC(iv)
        sealed = Cipher(algorithm, mode).encryptor().update(clear)
        if data.draw(st.booleans()):
            assert block.encrypt(clear, iv) == (sealed, None)
        else:
            assert block.decrypt(sealed, iv) == clear


def test_a_context_serves_one_call_at_a_time() -> None:
    block = prepare(Algorithm.AES, Mode.CBC, Padding.PKCS5, a_key(32))

    def work(number: int) -> bool:
        iv = bytes([number]) * 16
        return all(block.decrypt(block.encrypt(bytes(length), iv)[0], iv) == bytes(length) for length in range(200))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(16)))
