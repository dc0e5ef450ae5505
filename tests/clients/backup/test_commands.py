"""`keystead-backup` as a person calls it: exit status, words, key file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from keystead.clients.backup.__main__ import main
from tests.clients.backup.rig import ACCOUNT, PRIVATE, inside, picture

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    keys = tmp_path / "keys"
    keys.touch(mode=0o600)
    keys.write_text(f'type = "AES-192"\nprivate = "{PRIVATE.hex()}"\naccount = "{ACCOUNT.hex()}"\n')

    def called(command: str, *arguments: object, name: str = "acme/alice", keys: Path = keys) -> int:
        place = ["--folder", tmp_path / "vault", "--keys", keys, "--client", tmp_path / name.partition("/")[2]]
        return main([command, *map(str, place), "--name", name, "--quiet", *map(str, arguments)])

    return called


@pytest.mark.row("DS-001")
def test_a_client_backs_up_lists_restores_and_verifies(
    run: Run, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("status") == 0
    assert run("backup", tree, "--common", tree / "folder 1") == 0
    assert run("backup") == 0
    assert run("list") == 0
    assert run("list", "--snapshot", 1) == 0
    assert run("verify") == 0
    assert run("status") == 0
    assert run("restore", tmp_path / "out") == 0
    said = capsys.readouterr()
    for words in (
        *("There is no backup yet.", "Backup number 1 is complete: 45 files", "Backup number 2 is complete: 45 files"),
        *("45 files unchanged", "Snapshot number 2 is whole", "the chain of 2 snapshots", "Restored 45 files"),
        *("Newest backup: number 2", "Encryption: AES-192, for acme/alice", "name \\xff\\xfe", "(account)"),
    ):
        assert words in said.out, words
    assert said.err == ""
    assert picture(inside(tmp_path / "out", tree)) == picture(tree)


def test_what_goes_wrong_is_one_sentence_that_says_what_to_do(
    run: Run, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "open").write_text(f'private = "{PRIVATE.hex()}"')
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "wrong").touch(mode=0o600)
    (tmp_path / "wrong").write_text('private = "zz"')
    place = ["--client", str(tmp_path / "nobody")]
    cases: tuple[tuple[Callable[[], int], str], ...] = (
        (lambda: run("restore", tmp_path / "out"), "there is no backup yet"),
        (lambda: run("backup"), "name at least one folder"),
        (lambda: run("backup", tmp_path / "absent"), "there is no"),
        (lambda: run("backup", tree, name="acme/../x"), "a name has"),
        (lambda: run("backup", tree, keys=tmp_path / "open"), "chmod 600"),
        (lambda: run("backup", tree, keys=tmp_path / "wrong"), "no key file"),
        (lambda: run("backup", tree, keys=tmp_path / "absent"), "No such file"),
        (lambda: main(["backup", *place, str(tree)]), "set up"),
    )
    for called, words in cases:
        assert called() == 1
        said = capsys.readouterr()
        assert said.err.startswith("keystead-backup: ")
        assert words in said.err, said.err
        assert PRIVATE.hex() not in said.err


def test_what_could_not_be_read_makes_the_status_1(run: Run, tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    assert run("backup", tree) == 1
    assert run("verify") == 0


def test_data_that_the_vault_changed_make_the_status_1(run: Run, tree: Path, tmp_path: Path) -> None:
    run("backup", tree)
    for path in (tmp_path / "vault").rglob("objects/*/*"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    assert run("verify") == 1
    assert run("restore", tmp_path / "out") == 1
