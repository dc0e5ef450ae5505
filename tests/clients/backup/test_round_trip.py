"""What was backed up comes back as it was, for the client that may have it, and moves only once."""

import os
import shutil
from pathlib import Path

import pytest

from keystead.clients.backup import restoring, snapshots
from keystead.clients.backup.entries import Entry
from keystead.clients.backup.progress import Progress
from keystead.clients.backup.reading import Reader
from keystead.clients.backup.sealing import BackupKeys
from keystead.core.errors import Conflict, Invalid, NotFound, NotSupported, Refused, Tampered
from keystead.core.secret import Secret
from keystead.custody.safeguard.client_keys import ClientIdentity, ClientKeys, EncryptionType
from keystead.custody.safeguard.depot import Area
from keystead.custody.safeguard.folder_depot import FolderDepot
from tests.clients.backup.rig import PRIVATE, Rig, inside, picture, plant

AES = [kind for kind in EncryptionType if kind.protects]


@pytest.mark.row("DS-001")
@pytest.mark.row("DS-003")
@pytest.mark.parametrize("kind", AES)
def test_a_tree_comes_back_as_it_was(rig: Rig, tree: Path, tmp_path: Path, kind: EncryptionType) -> None:
    rig = rig.other(kind=kind)
    done = rig.back_up(tree)
    restored = rig.restore(tmp_path / "out")
    assert picture(inside(tmp_path / "out", tree)) == picture(tree)
    assert (done.skipped, restored.failed, rig.told) == (0, 0, [])
    assert not (tmp_path / "out" / restoring.MARKER).exists()


@pytest.mark.row("DS-001")
@pytest.mark.row("DS-016")
def test_a_client_set_up_anew_with_the_same_type_and_keys_restores(rig: Rig, tree: Path, tmp_path: Path) -> None:
    rig.back_up(tree)
    shutil.rmtree(rig.state)
    rig.other().restore(tmp_path / "out")
    assert picture(inside(tmp_path / "out", tree)) == picture(tree)


@pytest.mark.row("DS-001")
@pytest.mark.parametrize(
    "changes",
    [
        {"private": bytes(32)},
        {"kind": EncryptionType.AES_128},
        {"who": ClientIdentity("acme", "bob")},
        {"who": ClientIdentity("other", "alice")},
    ],
    ids=["other key", "other type", "other client", "other account"],
)
def test_no_other_client_restores(rig: Rig, tree: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    rig.back_up(tree)
    shutil.rmtree(rig.state)
    stranger = rig.other(**changes)
    with pytest.raises(Tampered):
        stranger.restore(tmp_path / "out", depot=rig.depot())
    assert not (tmp_path / "out").exists()


def test_des_makes_no_backups() -> None:
    with pytest.raises(NotSupported):
        BackupKeys(ClientKeys(EncryptionType.DES, Secret(PRIVATE)), ClientIdentity("acme", "alice"))


def test_unchanged_data_is_not_moved_again(rig: Rig, tree: Path) -> None:
    first = rig.back_up(tree)
    again = rig.back_up()
    assert again.unchanged == again.files == first.files
    assert again.moved_bytes < first.moved_bytes / 100


def test_unchanged_data_is_not_moved_again_by_a_client_that_forgot_all(rig: Rig, tree: Path) -> None:
    first = rig.back_up(tree)
    shutil.rmtree(rig.state)
    again = rig.back_up(reuse=False)
    assert again.unchanged == 0
    assert again.moved_bytes < first.moved_bytes / 100


def test_a_byte_in_the_middle_moves_the_chunks_around_it(rig: Rig, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    content = os.urandom(40_000_000)
    (tree / "large").write_bytes(content)
    first = rig.back_up(tree)
    (tree / "large").write_bytes(content[:20_000_000] + b"inserted" + content[20_000_000:])
    again = rig.back_up(tree)
    assert again.moved_bytes < first.moved_bytes / 5


def test_each_snapshot_stays_as_it_was(rig: Rig, tree: Path, tmp_path: Path) -> None:
    before = picture(tree)
    rig.back_up(tree)
    (tree / "large").unlink()
    (tree / "private").write_bytes(b"changed")
    (tree / "new").write_bytes(b"new")
    rig.back_up(tree)
    client = rig.client()
    rig.restore(tmp_path / "first", sealed=snapshots.at(client.keys, client.depot, client.state.seen(), 1))
    rig.restore(tmp_path / "second")
    assert picture(inside(tmp_path / "first", tree)) == before
    assert picture(inside(tmp_path / "second", tree)) == picture(tree)
    with pytest.raises(NotFound):
        snapshots.at(client.keys, client.depot, client.state.seen(), 3)


@pytest.mark.row("DS-005")
@pytest.mark.row("DS-019")
def test_the_private_key_serves_all_but_what_is_common(rig: Rig, tree: Path) -> None:
    common = plant(tree.parent / "common")
    rig.back_up(tree, common=(common,))
    areas = (
        {entry.area for entry in _entries(rig) if entry.pieces and b"/".join(entry.path).startswith(_path(common))},
        {entry.area for entry in _entries(rig) if entry.pieces and b"/".join(entry.path).startswith(_path(tree))},
    )
    assert areas == ({Area.ACCOUNT}, {Area.CLIENT})


@pytest.mark.row("DS-006")
@pytest.mark.row("DS-019")
def test_files_common_to_the_account_are_kept_once_for_all_clients(rig: Rig, tree: Path, tmp_path: Path) -> None:
    first = rig.back_up(common=(tree,))
    bob = rig.other(who=ClientIdentity("acme", "bob"), private=bytes(range(32)))
    second = bob.back_up(common=(tree,))
    assert second.moved_bytes < first.moved_bytes / 100
    bob.restore(tmp_path / "out")
    assert picture(inside(tmp_path / "out", tree)) == picture(tree)


@pytest.mark.row("DS-006")
def test_files_common_to_the_account_need_the_account_key(rig: Rig, tree: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="account key"):
        rig.other(account=None).back_up(common=(tree,))
    rig.back_up(common=(tree,))
    with pytest.raises(Refused, match="account key"):
        rig.other(account=None).restore(tmp_path / "out")
    with pytest.raises(Tampered):
        rig.other(account=bytes(32)).restore(tmp_path / "other")


def test_only_what_is_selected_is_restored(rig: Rig, tree: Path, tmp_path: Path) -> None:
    rig.back_up(tree)
    rig.restore(tmp_path / "out", tree / "folder 1", tree / "link")
    restored = picture(inside(tmp_path / "out", tree))
    assert {name.split(b"/")[0] for name in restored} == {b"folder 1", b"link"}


def test_a_folder_with_content_is_written_into_only_when_told(rig: Rig, tree: Path, tmp_path: Path) -> None:
    rig.back_up(tree)
    out = inside(tmp_path / "out", tree)
    out.mkdir(parents=True)
    (out / "private").write_bytes(b"older")
    (out / "mine").write_bytes(b"mine")
    with pytest.raises(Conflict, match="not empty"):
        rig.restore(tmp_path / "out")
    assert (out / "private").read_bytes() == b"older"
    rig.restore(tmp_path / "out", replace=True)
    assert (out / "mine").read_bytes() == b"mine"
    (out / "mine").unlink()
    assert picture(out) == {**picture(tree)}


def test_folders_that_are_there_stay_open_to_others_meanwhile(rig: Rig, tree: Path, tmp_path: Path) -> None:
    """The vault is asked for content in the middle of a restore: no folder was closed for it."""
    rig.back_up(tree)
    out = inside(tmp_path / "out", tree)
    (out / "folder 0").mkdir(parents=True)
    modes: set[int] = set()

    class Watching(FolderDepot):
        def get(self, area: Area, object_id: bytes) -> bytes:
            modes.update(path.stat().st_mode & 0o777 for path in (out, out / "folder 0"))
            return super().get(area, object_id)

    account = rig.vault / "acme"
    rig.restore(tmp_path / "out", depot=Watching(account / "clients" / "alice", account / "shared"), replace=True)
    assert modes == {0o755}


def test_what_cannot_be_read_is_told_and_the_rest_is_kept(rig: Rig, tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tree / "pipe")
    done = rig.back_up(tree)
    assert done.skipped == 1
    assert any("pipe" in line for line in rig.told)
    rig.restore(tmp_path / "out")
    (tree / "pipe").unlink()
    assert {*picture(inside(tmp_path / "out", tree))} == {*picture(tree)}


def test_two_backups_of_one_client_at_once_are_refused(rig: Rig, tree: Path) -> None:
    with rig.client().state.locked(), pytest.raises(Conflict, match="at work"):
        rig.back_up(tree)


def test_a_backup_without_folders_takes_those_of_the_last(rig: Rig, tree: Path) -> None:
    with pytest.raises(Invalid, match="at least one"):
        rig.back_up()
    rig.back_up(tree)
    (tree / "later").write_bytes(b"later")
    rig.back_up()
    assert any(entry.path[-1] == b"later" for entry in _entries(rig))


def test_progress_tells_rate_and_time_left() -> None:
    now = iter([0.0, 2.0, 2.0, 2.0])
    progress = Progress("backing up", quiet=True, total_files=10, total_bytes=40 * 2**20, clock=lambda: next(now))
    progress.add(3, 10 * 2**20)
    assert progress.line() == "backing up: 3 files, 10.0 MiB of 40.0 MiB (25 %), 5.0 MiB/s, 6 s left"


def _path(root: Path) -> bytes:
    return os.fsencode(root.resolve())[1:] + b"/"


def _entries(rig: Rig) -> list[Entry]:
    client = rig.client()
    return list(Reader(client.depot, client.keys).entries(rig.newest().content))
