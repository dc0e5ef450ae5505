import re
import ssl
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from keystead.core.errors import Unavailable
from keystead.trust.known_answers import KNOWN_ANSWERS, LEGACY_ANSWERS
from keystead.trust.selftest import CONTINUOUS, INTEGRITY, PAIRWISE, ConditionalTests, run_selftests

NAMES = [test.name for test in KNOWN_ANSWERS]


@pytest.mark.row("KS-FIPS-003")
def test_every_algorithm_gives_its_known_answer() -> None:
    results = run_selftests(legacy=True)
    assert [result.name for result in results if not result.ok] == []
    tested = " ".join(result.name for result in results)
    for algorithm in (
        *("AES-256-GCM", "AES-256-CBC", "AES-256 key wrap", "SHA-256", "SHA-384", "SHA-512", "SHA3-256"),
        *("HMAC-SHA-256", "HKDF", "PBKDF2", "Argon2id", "RSA PKCS#1 v1.5", "RSA PSS", "RSA OAEP", "ECDSA P-256"),
        *("ECDH P-256", "Ed25519", "random generator", "Triple DES", "software integrity"),
    ):
        assert algorithm in tested


def test_both_builds_of_openssl_are_tested_and_named() -> None:
    bundled, system = backend.openssl_version_text().split()[1], ssl.OPENSSL_VERSION.split()[1]
    for name in ("SHA-256", "HMAC-SHA-256", "PBKDF2", "random generator"):
        assert f"{name} (bundled OpenSSL {bundled})" in NAMES
        assert f"{name} (system OpenSSL {system})" in NAMES


@pytest.mark.row("KS-FIPS-003", "KS-FIPS-008")
@pytest.mark.parametrize("name", [*NAMES, *(test.name for test in LEGACY_ANSWERS), INTEGRITY])
def test_a_wrong_answer_is_noticed_and_named_with_its_time(name: str) -> None:
    before_us = time.time_ns() // 1_000
    failed = [result for result in run_selftests(legacy=True, broken={name}) if not result.ok]
    assert [result.name for result in failed] == [name]
    assert before_us <= failed[0].at_us <= time.time_ns() // 1_000


def test_legacy_algorithms_are_tested_only_where_they_are_switched_on() -> None:
    names = {result.name for result in run_selftests()}
    assert not names & {test.name for test in LEGACY_ANSWERS}


def test_without_installed_checksums_the_result_says_that_nothing_was_checked() -> None:
    result = run_selftests()[-1]
    assert result.name == INTEGRITY
    assert re.fullmatch(r"not checked: .*|[0-9]+ files", result.detail)


INTEGRITY_RESULT = "from keystead.trust.selftest import run_selftests; r = run_selftests()[-1]; print(r.ok, r.detail)"


@pytest.mark.row("KS-FIPS-003")
def test_a_changed_file_of_an_installation_is_found(tmp_path: Path) -> None:
    """Installs a wheel of the source as it is, by unpacking it, and changes a byte."""
    root = Path(__file__).parents[2]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=root, check=True, capture_output=True, timeout=60)
    installed = tmp_path / "installed"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(installed)

    def check() -> str:
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(installed)!r}); {INTEGRITY_RESULT}"]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, cwd=tmp_path).stdout

    assert re.fullmatch(r"True [0-9]+ files\n", check())
    victim = installed / "keystead" / "trust" / "shares.py"
    victim.write_bytes(victim.read_bytes() + b"\n")
    assert check() == "False keystead/trust/shares.py is not what was installed\n"
    victim.unlink()
    assert check().startswith("False ")


# ---------------------------------------------------------------------------------------------------- while serving


@pytest.mark.row("KS-FIPS-004")
def test_a_generator_that_repeats_itself_is_noticed_and_everything_stops() -> None:
    for stuck in (bytes, lambda count: b"0123456789abcdef" * (count // 16)):
        tests = ConditionalTests(stuck)
        with pytest.raises(Unavailable, match="continuous random number test failed; restart") as caught:
            tests.random_key(32)
        assert caught.value.reason == "unavailable.self_test"
        assert tests.failed is not None
        assert tests.failed.name == CONTINUOUS


def test_repetition_across_draws_is_noticed() -> None:
    blocks = iter([b"a" * 16, b"b" * 16, b"b" * 16])
    tests = ConditionalTests(lambda _count: next(blocks))
    assert tests.random_key(5).reveal() == b"bbbbb"
    with pytest.raises(Unavailable):
        tests.random_key(16)


def test_a_source_that_gives_too_little_is_noticed() -> None:
    tests = ConditionalTests(lambda count: bytes(range(count - 1)))
    with pytest.raises(Unavailable):
        tests.random_key(16)


def test_after_a_failure_nothing_is_made_until_a_restart() -> None:
    good = iter([b"a" * 16, b"a" * 16])
    tests = ConditionalTests(lambda count: next(good, bytes(range(count))))
    for call in (lambda: tests.random_key(16), lambda: tests.random_key(16), lambda: tests.ec_key(ec.SECP256R1())):
        with pytest.raises(Unavailable):
            call()
    with pytest.raises(Unavailable):
        tests.rsa_key(2048)
    with pytest.raises(Unavailable):
        tests.require()
    assert len(ConditionalTests().random_key(16)) == 16


@pytest.mark.parametrize("length_bytes", [1, 16, 24, 32, 33])
def test_keys_have_the_length_that_was_asked_for(length_bytes: int) -> None:
    tests = ConditionalTests()
    keys = {tests.random_key(length_bytes).reveal() for _ in range(4)}
    assert {len(key) for key in keys} == {length_bytes}


@pytest.mark.row("KS-FIPS-004")
def test_new_key_pairs_are_tested_for_consistency() -> None:
    tests = ConditionalTests()
    assert tests.rsa_key(2048).key_size == 2048
    assert tests.ec_key(ec.SECP384R1()).curve.name == "secp384r1"
    one, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    with pytest.raises(Unavailable, match="pairwise consistency"):
        tests.check_pair(one, other.public_key())
    assert tests.failed is not None
    assert tests.failed.name == PAIRWISE


def test_an_inconsistent_rsa_pair_is_noticed() -> None:
    one, other = (rsa.generate_private_key(65_537, 1024) for _ in range(2))
    for private, public in ((one, other.public_key()), (one, ec.generate_private_key(ec.SECP256R1()).public_key())):
        with pytest.raises(Unavailable):
            ConditionalTests().check_pair(private, public)
