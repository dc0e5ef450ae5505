"""Deposited keys, the custody quorum, registration files and their receipts."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from keystead.clients.backup.key_store import KeyStore
from keystead.custody.safeguard.client_keys import ClientIdentity
from keystead.custody.safeguard.quorums import Card, CustodyQuorum
from keystead.custody.safeguard.registrations import Request
from tests.clients.vault.rig import PASSPHRASE, Rig
from tests.clients.vault.test_connecting import ACCOUNT, PRIVATE, back_up, refused
from tests.support.components import ROOT

ALICE = "acme/alice"


@pytest.fixture
def safeguarded(rig: Rig, tmp_path: Path) -> Rig:
    """Alice with a backup and deposited keys; two of three custodians."""
    cards = rig.make_custodians(3)
    assert rig.vault("safeguard", "--mode", "mandatory", "--threshold", "2", *cards) == 0
    safeguard = "--safeguard", rig.fingerprint()
    assert rig.setup(ALICE, rig.enrol(ALICE), PRIVATE, ACCOUNT, *safeguard) == 0
    assert back_up(rig, ALICE, tmp_path) == 0
    return rig


def make_file(rig: Rig, name: str) -> None:
    assert rig.request(ALICE, f"{name}.request") == 0
    for number in (1, 3):
        assert rig.approve(f"{name}.request", number, f"{name}.{number}") == 0
    assert rig.finish(f"{name}.request", [f"{name}.1", f"{name}.3"], f"{name}.ckr") == 0


def rebuild(rig: Rig, name: str, at: str) -> int:
    words = "--registration", str(rig.folder / f"{name}.ckr"), "--passphrase-file", rig.passphrase
    return rig.client(at, "setup", *words)


@pytest.mark.row("DS-015", "DS-016", "DS-020")
def test_a_client_is_rebuilt_from_its_registration_file_alone(
    safeguarded: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = safeguarded
    make_file(rig, "a")
    shutil.rmtree(rig.place(ALICE))
    assert rebuild(rig, "a", "new machine") == 0
    assert rig.client("new machine", "restore", str(tmp_path / "back")) == 0
    assert [path.read_text() for path in (tmp_path / "back").rglob("file")] == ["contents that nobody else reads"]
    assert back_up(rig, "new machine", tmp_path) == 0
    assert "contents" not in capsys.readouterr().err


@pytest.mark.row("DS-016")
def test_the_client_shows_who_approved_a_registration_file_and_why(
    safeguarded: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    make_file(safeguarded, "a")
    capsys.readouterr()
    assert safeguarded.client(ALICE, "status") == 0
    told = capsys.readouterr().err
    for words in ("Help desk", "the machine burnt", "custodian1, custodian3", "receipt 1"):
        assert words in told
    assert safeguarded.client(ALICE, "status") == 0
    assert "registration file" not in capsys.readouterr().err
    assert safeguarded.vault("log") == 0
    assert "registration file of acme/alice made for Help desk: the machine burnt" in capsys.readouterr().out


@pytest.mark.row("DS-014", "DS-017")
def test_where_safeguarding_is_mandatory_nobody_connects_without(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    code = rig.enrol(ALICE)
    assert rig.setup(ALICE, code, PRIVATE) == 0
    assert rig.client(ALICE, "status") == 0
    cards = rig.make_custodians(3)
    assert rig.vault("safeguard", "--mode", "optional", "--threshold", "2", *cards) == 0
    assert rig.client(ALICE, "status") == 0
    assert rig.vault("safeguard", "--mode", "mandatory") == 0
    assert rig.client(ALICE, "status") == 1
    refused(capsys, "have enabled key safeguarding")
    assert rig.client(ALICE, "configure", "--safeguard", "00" * 32) == 1
    refused(capsys, "another custody quorum")
    assert rig.client(ALICE, "configure", "--safeguard", rig.fingerprint()) == 0
    assert rig.client(ALICE, "status") == 0


def test_a_client_that_only_says_that_it_is_safeguarded_is_refused(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rig.vault("safeguard", "--mode", "mandatory", "--threshold", "1", *rig.make_custodians(1)) == 0
    assert rig.setup(ALICE, rig.enrol(ALICE), PRIVATE, "", "--safeguard", rig.fingerprint()) == 0
    place = rig.place(ALICE)
    store = KeyStore(place, Path(f"{place}.secret"))
    store.save(replace(store.load(), needs_deposit=False))
    assert rig.client(ALICE, "status") == 1
    refused(capsys, "has deposited none")


def test_too_few_custodians_or_those_of_another_request_make_no_file(
    safeguarded: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = safeguarded
    for name in ("a", "b"):
        assert rig.request(ALICE, f"{name}.request") == 0
        assert rig.approve(f"{name}.request", 1, f"{name}.1") == 0
    assert rig.finish("a.request", ["a.1", "a.1"], "a.ckr") == 1
    refused(capsys, "1 of 2 necessary approvals")
    assert rig.finish("a.request", ["a.1", "b.1"], "a.ckr") == 1
    refused(capsys, "given to another request")
    rig.make_custodians(1, "stranger")
    assert rig.approve("a.request", 1, "a.x", "stranger") == 1
    refused(capsys, "not of the quorum")
    assert not (rig.folder / "a.ckr").exists()


def test_a_stolen_registration_file_opens_with_its_passphrase_only(
    safeguarded: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = safeguarded
    make_file(rig, "a")
    data = (rig.folder / "a.ckr").read_bytes()
    assert PRIVATE.encode() not in data
    right, rig.passphrase = rig.passphrase, rig.secret("guess", PASSPHRASE + "x")
    assert rebuild(rig, "a", "thief") == 1
    refused(capsys, "passphrase is wrong")
    rig.passphrase = right
    (rig.folder / "a.ckr").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert rebuild(rig, "a", "thief") == 1
    refused(capsys, "signature does not hold")


def test_a_request_for_one_client_never_opens_the_keys_of_another(
    safeguarded: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = safeguarded
    safeguard = "--safeguard", rig.fingerprint()
    assert rig.setup("acme/bob", rig.enrol("acme/bob"), "bob's own text", ACCOUNT, *safeguard) == 0
    assert rig.client("acme/bob", "status") == 0
    assert rig.request("acme/bob", "b.request") == 0
    path = rig.folder / "b.request"
    path.write_bytes(replace(Request.read(path.read_bytes()), who=ClientIdentity("acme", "alice")).encoded())
    assert rig.approve("b.request", 1, "b.1") == 1
    refused(capsys, "of another client")


def test_a_vault_that_withholds_a_receipt_is_found_out(safeguarded: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig = safeguarded
    make_file(rig, "a")
    assert rig.client(ALICE, "status") == 0
    assert rebuild(rig, "a", "new machine") == 0
    with closing(sqlite3.connect(rig.state / "vault.db", isolation_level=None)) as db:
        db.execute("DROP TRIGGER receipts_DELETE")
        db.execute("DELETE FROM receipts")
    for at in (ALICE, "new machine"):
        assert rig.client(at, "status") == 1
        refused(capsys, "withholds a receipt")


def test_a_vault_that_shows_another_quorum_than_the_pinned_one_is_refused(
    safeguarded: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = safeguarded
    other = rig.make_custodians(3, "spy")
    assert rig.vault("safeguard", "--mode", "mandatory", "--threshold", "2", *other) == 1
    refused(capsys, "cannot be replaced")
    cards = tuple(Card.read(Path(path).read_bytes()) for path in other[1::2])
    with closing(sqlite3.connect(rig.state / "vault.db", isolation_level=None)) as db:
        db.execute("UPDATE policy SET quorum = ?", (CustodyQuorum(2, cards).encoded(),))
    assert rig.client(ALICE, "status") == 1
    refused(capsys, "another custody quorum than the one that was confirmed")


def test_nobody_clears_deposits_receipts_or_the_log(safeguarded: Rig) -> None:
    with closing(sqlite3.connect(safeguarded.state / "vault.db", isolation_level=None)) as db:
        for table in ("deposits", "log"):
            with pytest.raises(sqlite3.IntegrityError, match="kept for ever"):
                db.execute(f"DELETE FROM {table}")


@pytest.mark.row("DS-021")
def test_safeguarding_is_the_customers_decision_and_its_risk_is_told(rig: Rig, tmp_path: Path) -> None:
    assert rig.vault("safeguard", "--mode", "optional", "--threshold", "2", *rig.make_custodians(3)) == 0
    assert rig.setup(ALICE, rig.enrol(ALICE), PRIVATE, ACCOUNT) == 0
    assert back_up(rig, ALICE, tmp_path) == 0
    assert deposits(rig) == 0  # offered, and nobody said yes
    assert rig.client(ALICE, "configure", "--safeguard", rig.fingerprint()) == 0
    assert rig.client(ALICE, "status") == 0
    assert deposits(rig) == 1
    told = " ".join((ROOT / "docs" / "vault.md").read_text().split())
    for words in ("it is a risk", "the customer's decision together with the provider", "Whoever loses the keys"):
        assert words in told


def deposits(rig: Rig) -> int:
    with closing(sqlite3.connect(rig.state / "vault.db")) as db:
        return int(db.execute("SELECT count(*) FROM deposits").fetchone()[0])
