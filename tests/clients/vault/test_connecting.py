"""Who may connect, and what a client is told that may not."""

from pathlib import Path

import pytest

from keystead.clients.backup.key_store import KeyStore
from tests.clients.vault.rig import Rig

PRIVATE, ACCOUNT = "Zebra/Krokodil-71", "Quitte+Walfisch9"


def refused(capsys: pytest.CaptureFixture[str], words: str) -> None:
    assert words in capsys.readouterr().err


def back_up(rig: Rig, at: str, tmp_path: Path) -> int:
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    (tree / "file").write_text("contents that nobody else reads")
    return rig.client(at, "backup", str(tree))


@pytest.mark.row("DS-005", "DS-020")
def test_a_client_backs_up_and_restores_over_the_network(rig: Rig, tmp_path: Path) -> None:
    assert rig.setup("acme/alice", rig.enrol("acme/alice"), PRIVATE) == 0
    assert back_up(rig, "acme/alice", tmp_path) == 0
    assert rig.client("acme/alice", "restore", str(tmp_path / "back")) == 0
    found = [path.read_text() for path in (tmp_path / "back").rglob("file")]
    assert found == ["contents that nobody else reads"]
    assert rig.client("acme/alice", "verify") == 0


@pytest.mark.row("DS-008", "DS-010")
def test_keys_may_change_until_the_first_connection_and_never_after(
    rig: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = rig.enrol("acme/alice")
    assert rig.setup("acme/alice", code, "first thought") == 0
    assert rig.setup("acme/alice", code, PRIVATE) == 0
    assert rig.setup("acme/alice", code, "a later thought", at="copy") == 0
    assert back_up(rig, "acme/alice", tmp_path) == 0
    assert rig.client("copy", "status") == 1
    refused(capsys, "keys are final")
    assert rig.setup("acme/alice", code, "another") == 1
    refused(capsys, "keys are final")


@pytest.mark.row("DS-006", "DS-007")
def test_clients_of_an_account_have_the_same_account_key(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    codes = {name: rig.enrol(name) for name in ("acme/alice", "acme/bob", "acme/carol")}
    assert rig.setup("acme/alice", codes["acme/alice"], PRIVATE, ACCOUNT) == 0
    assert rig.client("acme/alice", "status") == 0
    assert rig.setup("acme/bob", codes["acme/bob"], PRIVATE) == 0
    assert rig.client("acme/bob", "status") == 1
    refused(capsys, "has no account key")
    assert rig.setup("acme/carol", codes["acme/carol"], PRIVATE, "another key") == 0
    assert rig.client("acme/carol", "status") == 1
    refused(capsys, "the account key is another one")
    update = rig.secret("config-update.toml", f'account_key = "{ACCOUNT}"\n')
    assert rig.client("acme/bob", "configure", "--update", update) == 0
    assert not Path(update).exists()
    assert rig.client("acme/bob", "status") == 0


@pytest.mark.row("DS-009")
def test_an_account_with_a_mobile_client_needs_the_type_that_it_can_use(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    code = rig.enrol("acme/alice")
    rig.enrol("acme/phone", "--mobile")
    assert rig.setup("acme/alice", code, "a short text", ACCOUNT) == 0
    assert rig.client("acme/alice", "status") == 1
    refused(capsys, "client phone of this account cannot use AES-256; choose AES-128")
    assert rig.setup("acme/alice", code, "a short text", ACCOUNT, "--type", "AES-128") == 0
    assert rig.client("acme/alice", "status") == 0


@pytest.mark.row("DS-004")
def test_a_key_text_is_as_long_as_its_cipher_allows(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    code = rig.enrol("acme/alice")
    for kind, most in (("AES-128", 16), ("AES-192", 24), ("AES-256", 32)):
        assert rig.setup("acme/alice", code, "x" * (most + 1), "", "--type", kind) == 1
        refused(capsys, f"1 to {most} characters")
        assert rig.setup("acme/alice", code, "x" * most, "", "--type", kind) == 0
    assert rig.setup("acme/alice", code, "x" * 9, "", "--type", "DES") == 1
    refused(capsys, "1 to 8 characters")
    assert rig.setup("acme/alice", code, "x" * 8, "", "--type", "DES") == 1
    refused(capsys, "choose AES-256")
    assert rig.setup("acme/alice", code, "short", "", "--raw-key-text") == 0
    refused(capsys, "warning: the key text is used as it is, padded with zero bytes")


@pytest.mark.row("DS-011", "DS-012")
def test_a_copy_of_the_clients_folder_gives_no_key_away(rig: Rig, tmp_path: Path) -> None:
    assert rig.setup("acme/alice", rig.enrol("acme/alice"), PRIVATE, ACCOUNT) == 0
    assert back_up(rig, "acme/alice", tmp_path) == 0
    place = rig.place("acme/alice")
    keys = KeyStore(place, Path(f"{place}.secret")).load().bundle.keys
    assert keys.account is not None
    secrets = [PRIVATE.encode(), ACCOUNT.encode(), keys.private.reveal(), keys.account.reveal()]
    for folder in (place, rig.state):
        everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
        for secret in secrets:
            windows = {secret[at : at + 8] for at in range(len(secret) - 7)}
            assert not any(window in everything for window in windows)
    Path(f"{place}.secret").unlink()
    assert rig.client("acme/alice", "status") == 1


def test_a_stranger_and_another_vault_get_nothing(rig: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = rig.secret("wrong", "no-such-code")
    rig.enrol("acme/alice")
    assert rig.setup("acme/alice", wrong, PRIVATE) == 1
    refused(capsys, "enrolment code is wrong")
    assert rig.setup("acme/nobody", wrong, PRIVATE) == 1
    refused(capsys, "enrolment code is wrong")
    other = Rig(tmp_path / "other")
    with other.serving():
        port, rig.port = rig.port, other.port
        assert rig.setup("acme/alice", wrong, PRIVATE) == 1
        refused(capsys, "not the vault of the pinned CA")
        rig.port = port
