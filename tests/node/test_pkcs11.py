"""A production node whose root of trust is a PKCS#11 token, by the commands that a person gives."""

import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from tests.hostile.canaries import Canaries
from tests.hostile.sockets import until
from tests.node.production import PINS, client_of, keystead, make, serving, unlock
from tests.node.test_production import alive, ready
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Refused, Session
from tests.support.opencryptoki import MAKER_PIN, opencryptoki
from tests.support.tokens import softhsm_folder, softhsm_library

BACK_S_MAX = 30.0
SWITCHES = ("key_server.allow_key_configuration=true", "key_server.allow_key_export=true")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node made on a SoftHSM token, not served yet."""
    monkeypatch.setenv("SOFTHSM2_CONF", str(softhsm_folder(tmp_path)))
    return make(tmp_path, "--pkcs11", softhsm_library(), "--token-label", "production")


def token_processes() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if "_token" in each.cmdline()]


def pull_out(data: Path) -> None:
    """Take the token away, and the process that has read it."""
    (data.parent / "softhsm").rename(data.parent / "pulled out")
    for each in token_processes():
        each.kill()


@pytest.mark.row("KS-HSM-001", "KS-HSM-005", "KS-HSM-020")
def test_it_starts_locked_and_serves_keys_once_the_crypto_user_is_in(data: Path) -> None:
    with serving(data) as ports:
        assert (alive(ports["health"]), ready(ports["health"])) == (200, 500)
        assert "(pkcs11 module)" in keystead("hsm", "status", "--data", data).stdout
        assert unlock(data).stdout == "crypto-user: logged in\n"
        assert ready(ports["health"]) == 200
        for switch in SWITCHES:
            assert keystead("settings", "set", switch, "--data", data).returncode == 0
        client = client_of(data, "carol")
        with Session(ports["kmip"], client) as carol:
            (key,) = carol.identifiers(messages.create())
            material = carol.key(key)
            (serving_token,) = token_processes()
            serving_token.send_signal(signal.SIGKILL)
            assert carol.key(key) == material, "a lost process is replaced"
            pull_out(data)
            with pytest.raises(Refused):
                carol.key(key)
            assert (alive(ports["health"]), ready(ports["health"])) == (200, 500)
            (data.parent / "pulled out").rename(data.parent / "softhsm")
            assert until(lambda: ready(ports["health"]) == 200, BACK_S_MAX)
            assert carol.key(key) == material, "the token is back"
    with serving(data) as ports:
        assert ready(ports["health"]) == 500
        unlock(data)
        with Session(ports["kmip"], client) as carol:
            assert carol.key(key) == material
    assert keystead("verify", "--data", data).returncode == 0


@pytest.mark.row("KS-HSM-018", "KS-HSM-053")
def test_every_command_of_the_module_works_on_a_token(data: Path) -> None:
    assert keystead("settings", "set", "module.activation_window_s=600", "--data", data).returncode == 0
    officer = data.parent / "tokens" / "security-officer-1.token"
    with serving(data) as ports:
        unlock(data)
        login = ("hsm", "login", "security-officer", "--token", officer, "--answers", data.parent / "answers")
        assert keystead(*login, "--data", data).stdout == "security-officer: logged in\n"
        words = [
            keystead("hsm", *verb.split(), "--data", data).stdout.strip()
            for verb in ("deactivate", "activate", "activate", "enable-key-cache", "logout security-officer")
        ]
        assert words == [
            "deactivated",
            "activated",
            "already in this state: activated",
            "secure key cache enabled",
            "security-officer: logged out",
        ]
    with serving(data) as ports:
        assert ready(ports["health"]) == 200, "the window is open: by itself"


def test_a_copied_folder_serves_nobody_without_the_token(data: Path, tmp_path: Path) -> None:
    """Even with node key, role tokens and PINs."""
    (tmp_path / "softhsm").rename(tmp_path / "elsewhere")
    (tmp_path / "softhsm").mkdir()
    with serving(data) as ports:
        ended = unlock(data)
        assert ended.returncode == 1
        assert "there is no token with the label 'production'" in ended.stderr
        assert (alive(ports["health"]), ready(ports["health"])) == (200, 500)


def test_a_wrong_pin_counts_at_the_node_although_this_token_never_locks(data: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("security-officer = 11112222\n")
    wrong.chmod(0o600)
    officer = data.parent / "tokens" / "security-officer-1.token"
    login = ("hsm", "login", "security-officer", "--token", officer, "--data", data, "--answers")
    with serving(data):
        said = [keystead(*login, wrong).stderr for _ in range(3)]
        assert [f"{left} attempts" in words for left, words in zip((2, 1, 0), said, strict=True)] == [True] * 3
        assert "blocked" in keystead(*login, data.parent / "answers").stderr


def test_no_pin_or_password_is_in_files_logs_or_processes(data: Path, tmp_path: Path) -> None:
    canaries = Canaries({role: pin.encode() for role, pin in PINS.items()})
    with serving(data):
        unlock(data)
        assert len(token_processes()) == 1
        assert canaries.in_processes(os.getpid()) == []
    assert canaries.in_files(tmp_path, but=["answers"]) == []


def test_a_throw_away_node_on_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", str(softhsm_folder(tmp_path)))
    place = ("module.kind=pkcs11", f"module.library={softhsm_library()}", "module.token_label=dev")
    node = DevNode(tmp_path, settings=place)
    try:
        node.start()
        with node.session() as alice:
            (key,) = alice.identifiers(messages.create())
            material = alice.key(key)
        node.kill()
        node.start()
        with node.session() as alice:
            assert alice.key(key) == material
    finally:
        node.kill()


@pytest.mark.parametrize("wrong", ["module.library=libsofthsm2.so", "module.token_label=" + "x" * 33])
def test_a_place_that_cannot_be_is_refused(tmp_path: Path, wrong: str) -> None:
    right = ("module.kind=pkcs11", "module.library=/usr/lib/any.so", "module.token_label=dev")
    settings = [word for each in (*right, wrong) for word in ("--set", each)]
    ended = keystead("dev", "--data", tmp_path / "data", "--ready-file", tmp_path / "ready", *settings)
    assert ended.returncode == 1
    assert wrong.split("=", maxsplit=1)[0] in ended.stderr


def test_a_token_with_its_makers_pin_is_taken_over(tmp_path: Path) -> None:
    with opencryptoki(tmp_path) as bench:
        place = ("--pkcs11", bench.library, "--token-slot", "1")
        with pytest.raises(AssertionError, match="give the one that its maker set"):
            make(tmp_path, *place)
        shutil.rmtree(tmp_path / "data")
        shutil.rmtree(tmp_path / "safe")
        shutil.rmtree(tmp_path / "tokens")
        data = make(tmp_path, *place, "--token-maker-pin", maker_pin=MAKER_PIN)
        with serving(data) as ports:
            assert ready(ports["health"]) == 500
            unlock(data)
            assert ready(ports["health"]) == 200


def test_a_library_that_is_none_is_said_before_anything_serves(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="library cannot be loaded"):
        make(tmp_path, "--pkcs11", str(tmp_path / "missing.so"))
