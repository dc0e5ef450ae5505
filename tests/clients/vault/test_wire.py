"""What goes over the wire between clients and their vault, and what a lying vault can do (attacks.md class 50)."""

import hashlib
import hmac
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keystead.clients.backup.key_store import KeyStore
from keystead.clients.backup.remote_depot import Line
from tests.clients.vault.rig import Rig
from tests.clients.vault.test_connecting import ACCOUNT, PRIVATE, refused

ALICE = "acme/alice"
CONTENT = b"The sum that was agreed upon is 7,340,182 and nobody else is to know. " * 40


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Everything that clients and vault say to each other, as it is inside TLS."""
    said: list[bytes] = []
    post = Line._post

    def record(self: Line, name: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        status, data = post(self, name, body, headers)
        said.extend((name.encode(), body, data))
        return status, data

    monkeypatch.setattr(Line, "_post", record)
    return said


def tree(folder: Path, name: str = "tree") -> Path:
    """A tree with a name and a content to look for."""
    made = folder / name
    made.mkdir(exist_ok=True)
    (made / "merger-with-krokodil-ltd.txt").write_bytes(CONTENT)
    return made


def keys_of(rig: Rig, at: str) -> list[bytes]:
    """The master keys of a client."""
    place = rig.place(at)
    keys = KeyStore(place, Path(f"{place}.secret")).load().bundle.keys
    return [key.reveal() for key in (keys.private, keys.account) if key is not None]


@pytest.mark.row("DS-001", "DS-002")
def test_what_goes_over_the_wire_and_what_the_vault_keeps_tells_no_secret(
    rig: Rig, tmp_path: Path, recorded: list[bytes]
) -> None:
    cards = rig.make_custodians(3)
    assert rig.vault("safeguard", "--mode", "mandatory", "--threshold", "2", *cards) == 0
    safeguard = "--safeguard", rig.fingerprint()
    assert rig.setup(ALICE, rig.enrol(ALICE), PRIVATE, ACCOUNT, *safeguard) == 0
    assert rig.client(ALICE, "backup", str(tree(tmp_path)), "--common", str(tree(tmp_path, "shared"))) == 0
    assert rig.client(ALICE, "restore", str(tmp_path / "back")) == 0
    assert rig.client(ALICE, "verify") == 0
    kept = b"\n".join(path.read_bytes() for path in rig.state.rglob("*") if path.is_file())
    for everything in (b"\n".join(recorded), kept):
        assert len(everything) > 10_000
        for text in (PRIVATE, ACCOUNT, "merger-with-krokodil", "krokodil-ltd"):
            assert text.encode() not in everything
        assert not any(CONTENT[start : start + 8] in everything for start in range(80))
        for key in keys_of(rig, ALICE):
            assert not any(key[start : start + 8] in everything for start in range(len(key) - 7))


def cheap(text: str, salts: list[bytes]) -> list[bytes]:
    """What a guesser could compute for nothing."""
    data = text.encode()
    plain = [getattr(hashlib, name)(data).digest() for name in ("md5", "sha1", "sha256", "sha512", "sha3_256")]
    salted = [hmac.digest(salt, data, "sha256") for salt in salts]
    joined = [hashlib.sha256(part).digest() for salt in salts for part in (salt + data, data + salt)]
    return plain + salted + joined


@pytest.mark.row("DS-010")
def test_what_the_vault_keeps_of_a_key_is_no_cheap_oracle(rig: Rig, recorded: list[bytes]) -> None:
    assert rig.setup(ALICE, rig.enrol(ALICE), "a weak one", ACCOUNT) == 0
    assert rig.client(ALICE, "status") == 0
    kept = b"\n".join(path.read_bytes() for path in rig.state.rglob("*") if path.is_file())
    with closing(sqlite3.connect(rig.state / "vault.db")) as db:
        salts = [row[0] for table in ("clients", "accounts") for row in db.execute(f"SELECT salt FROM {table}")]
    assert len(salts) == 2
    for text in ("a weak one", ACCOUNT):
        for value in cheap(text, salts):
            assert value[:16] not in kept
            assert value[:16] not in b"\n".join(recorded)


@pytest.mark.parametrize("what", ["backup", "restore", "status", "verify"])
def test_yesterdays_snapshot_shown_as_todays_is_refused(
    rig: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    folder = tree(tmp_path)
    assert rig.setup(ALICE, rig.enrol(ALICE), PRIVATE, ACCOUNT) == 0
    assert rig.client(ALICE, "backup", str(folder)) == 0
    yesterday = tmp_path / "yesterday"
    shutil.copytree(rig.state, yesterday)
    (folder / "new.txt").write_bytes(CONTENT[::-1])
    assert rig.client(ALICE, "backup", str(folder)) == 0
    put_back(yesterday, rig.state)
    words: dict[str, Any] = {"backup": [str(folder)], "restore": [str(tmp_path / "back")]}
    assert rig.client(ALICE, what, *words.get(what, [])) == 1
    refused(capsys, "older")
    assert not list((tmp_path / "back").rglob("*.txt"))


def put_back(old: Path, state: Path) -> None:
    """Put what the vault stores back to yesterday, under the running server; its ledger stays."""
    for path in old.iterdir():
        if path.is_dir():
            shutil.rmtree(state / path.name)
            shutil.copytree(path, state / path.name)
