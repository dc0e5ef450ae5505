"""Drives that lie, fail or are put back; every one is named, and nothing is half done (attack class 43)."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from keystead.core.errors import DeviceFault, Exists, Invalid, KeysteadError, NotFound, Refused, Tampered, WrongState
from keystead.core.secret import Secret
from keystead.custody.drives.jobs import Step
from keystead.custody.drives.registry import challenge, register
from keystead.trust.origins import Origin
from tests.support.components import skip_or_fail
from tests.support.drives import Kinds, Room, fill, inventory, make_token, wipe_token
from tests.support.modules import Bench

SETS, KEYS, MANIFEST = "keystead-sets", "keys", "manifest"


def content(paths: list[Path]) -> list[tuple[str, bytes]]:
    """Everything on drives but their visits, which change at each."""
    files = [each for path in paths for each in sorted(path.rglob("*")) if each.is_file()]
    return [(str(each), each.read_bytes()) for each in files if each.name != "keystead-visit"]


def change(path: Path, at: int) -> None:
    """Turn one bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def in_set(drive: Path) -> Path:
    """The folder of the only set of a drive."""
    (folder,) = (drive / SETS).iterdir()
    return folder


@contextmanager
def small_drive(path: Path) -> Iterator[None]:
    """Mount a medium of 64 KiB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)], capture_output=True, check=False
    )
    if mounted.returncode:
        skip_or_fail("mount, as root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def spoil(room: Room, how: str, drive: Path) -> None:
    """Ruin a drive in one way."""
    if how == "empty":
        shutil.rmtree(drive)
        drive.mkdir()
    elif how == "foreign":
        shutil.rmtree(drive)
        drive.mkdir()
        other = replace(room, folder=room.folder.parent / "other-node", origin=Origin.generate())
        register(other.registry, drive, "drive of others", other.origin, 1)
    elif how == "damaged":
        change(drive / "keystead-drive", 100)
    elif how == "pulled":
        drive.rename(drive.with_name("in a pocket"))
    elif how == "unregistered":
        registry = room.registry
        books = registry.load()
        kept = {key: one for key, one in books.drives.items() if one.identity.name != "drive 3"}
        registry.save(replace(books, drives=kept))


@pytest.mark.row("CB-010")
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("empty", "drive-3 has no identity"),
        ("foreign", "drive-3 is foreign or damaged"),
        ("damaged", "drive-3 is foreign or damaged"),
        ("pulled", "drive-3: it was pulled"),
        ("unregistered", "drive 3 is not registered here"),
    ],
)
def test_a_bad_drive_is_named_and_nothing_is_written(
    room: Room, secrets: list[bytes], tmp_path: Path, how: str, told: str
) -> None:
    drives = room.drives(tmp_path, 3)
    room.backup(["payroll"], drives)
    books = room.registry.load()
    spoil(room, how, drives[2])
    before = content(drives)
    with pytest.raises(KeysteadError, match=told):
        room.backup(["payroll"], drives)
    assert content(drives) == before
    assert room.registry.load().newest == books.newest


def test_a_full_drive_is_named_and_nothing_is_half_done(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    full = tmp_path / "drive-3"
    full.mkdir()
    with small_drive(full):
        drives = room.drives(tmp_path, 3)
        with pytest.raises(DeviceFault, match="drive 3: it is full"):
            room.backup(["payroll"], drives)
        assert {Path(name).name for name, _ in content(drives)} == {"keystead-drive"}
    assert room.registry.load().newest == b""


def test_a_drive_pulled_while_it_is_written_is_named(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    drives = room.drives(tmp_path, 3)
    room.backup(["payroll"], drives)
    before = content(drives)

    def pull(what: str, number: int) -> None:
        if (what, number) == ("drives written", 2):
            drives[2].rename(tmp_path / "pocket")

    room.stop_at = pull
    with pytest.raises(DeviceFault, match="drive 3: it was pulled"):
        room.backup(["payroll"], drives)
    (tmp_path / "pocket").rename(drives[2])
    assert content(drives) == before
    room.stop_at = lambda _what, _number: None
    room.backup(["payroll"], drives)
    assert content(drives) != before


def test_a_drive_named_twice_is_refused(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    drives = room.drives(tmp_path, 2)
    with pytest.raises(Invalid, match="named twice"):
        room.backup(["payroll"], [*drives, drives[0]])


@pytest.mark.row("CB-016")
def test_a_copy_of_a_drive_fails_its_challenge(room: Room, tmp_path: Path) -> None:
    (drive,) = room.drives(tmp_path, 1)
    copied = tmp_path / "copy"
    shutil.copytree(drive, copied)
    challenge(room.registry, drive, room.around.origins, room.tick())
    with pytest.raises(Tampered, match="drive 1 is a copy"):
        challenge(room.registry, copied, room.around.origins, room.tick())
    challenge(room.registry, drive, room.around.origins, room.tick())
    with pytest.raises(Exists, match="identity already"):
        register(room.registry, drive, "again", room.origin, room.tick())
    with pytest.raises(NotFound, match="not registered here"):
        challenge(replace(room, folder=tmp_path / "new").registry, drive, room.around.origins, room.tick())


def test_an_interrupted_challenge_holds_either_way(room: Room, tmp_path: Path) -> None:
    (drive,) = room.drives(tmp_path, 1)
    earlier = (drive / "keystead-visit").read_bytes()
    challenge(room.registry, drive, room.around.origins, room.tick())
    kept = room.registry.load()
    (one,) = kept.drives.values()
    (drive / "keystead-visit").unlink()
    with pytest.raises(DeviceFault):
        challenge(room.registry, drive, room.around.origins, room.tick())
    (drive / "keystead-visit").write_bytes(earlier)
    with pytest.raises(Tampered, match="put back"):
        challenge(room.registry, drive, room.around.origins, room.tick())
    assert room.registry.load().drives[one.identity.id].nonce == one.nonce


@pytest.mark.row("CB-014")
@pytest.mark.parametrize("how", ["bit rot", "cut off", "manifest", "another set"])
def test_a_damaged_set_is_named_and_the_next_drive_is_read(
    room: Room, secrets: list[bytes], tmp_path: Path, how: str
) -> None:
    drives = room.drives(tmp_path, 3)
    room.backup(["payroll"], drives)
    for drive in drives[:2]:
        keys = in_set(drive) / KEYS
        if how == "bit rot":
            change(keys, keys.stat().st_size // 2)
        elif how == "cut off":
            os.truncate(keys, keys.stat().st_size - 4_000)
        elif how == "manifest":
            change(in_set(drive) / MANIFEST, 60)
        else:
            in_set(drive).rename(drive / SETS / ("ab" * 16))
    back = room.restore({"payroll": "spare"}, drives)
    assert back.drive == "drive 3"
    assert len(back.wrong) == 2
    before = inventory(room.library, "spare")
    for file in (KEYS, MANIFEST):
        change(in_set(drives[2]) / file, 90)
    wipe_token("spare")
    with pytest.raises(DeviceFault, match="no good drive, so nothing was changed"):
        room.restore({"payroll": "spare"}, drives)
    assert inventory(room.library, "spare") == [] != before


def test_an_older_set_put_back_is_refused_unless_it_is_asked_for(
    room: Room, secrets: list[bytes], tmp_path: Path
) -> None:
    drives = room.drives(tmp_path, 3)
    older = room.backup(["payroll"], drives).manifest
    kept = tmp_path / "kept"
    shutil.copytree(drives[0] / SETS, kept)
    room.backup(["payroll"], drives)
    for drive in drives:
        shutil.rmtree(drive / SETS)
        shutil.copytree(kept, drive / SETS)
    with pytest.raises(Refused, match="an older set than the newest"):
        room.restore({"payroll": "spare"}, drives)
    assert inventory(room.library, "spare") == []
    back = room.restore({"payroll": "spare"}, drives, set_id=older.set_id)
    assert back.restored_count == older.keys_count


def test_a_set_of_other_drives_is_refused(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    drives, others = room.drives(tmp_path, 3), room.drives(tmp_path, 3, start=4)
    room.backup(["payroll"], drives)
    shutil.copytree(drives[0] / SETS, others[0] / SETS)
    with pytest.raises(DeviceFault, match="drive 4 holds a set that was not written to it"):
        room.restore({"payroll": "spare"}, others[:1])


def test_mixed_sets_are_told_apart_where_the_node_does_not_know_the_newest(
    room: Room, secrets: list[bytes], tmp_path: Path
) -> None:
    drives, others = room.drives(tmp_path, 3), room.drives(tmp_path, 3, start=4)
    first = room.backup(["payroll"], drives).manifest
    room.backup(["payroll"], others)
    new_node = replace(room, folder=tmp_path / "new node")
    with pytest.raises(Refused, match="2 different sets; say which"):
        new_node.restore({"payroll": "spare"}, [drives[0], others[0]])
    back = new_node.restore({"payroll": "spare"}, [drives[0], others[0]], set_id=first.set_id)
    assert back.drive == "drive 1"


@pytest.mark.row("CB-015")
def test_another_module_opens_nothing(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    drives = room.drives(tmp_path, 3)
    room.backup(["payroll"], drives)
    thief = replace(room, folder=tmp_path / "thief", root=Bench().unlocked())
    with pytest.raises(DeviceFault, match="sealed under another security module"):
        thief.restore({"payroll": "spare"}, drives)
    stranger = replace(room, origin=Origin.generate(), key=Secret(os.urandom(32)), folder=tmp_path / "stranger")
    with pytest.raises(DeviceFault, match="not trusted here"):
        stranger.restore({"payroll": "spare"}, drives)


@pytest.mark.row("CB-015")
def test_a_new_module_of_the_domain_opens_it_with_the_exported_partition(
    room: Room, secrets: list[bytes], tmp_path: Path
) -> None:
    bench = Bench()
    module = bench.unlocked()
    writer = replace(room, root=module)
    drives = writer.drives(tmp_path, 3)
    manifest = writer.backup(["payroll"], drives).manifest
    other = bench.another(bench.domain)
    successor = other.module()
    successor.initialise(other.security_officer, other.domain)
    successor.create_partition(other.partition_request(module.export_partition()))
    reader = replace(room, root=successor, folder=tmp_path / "new node")
    assert reader.restore({"payroll": "spare"}, drives[1:2]).restored_count == manifest.keys_count


def test_a_token_that_refuses_one_key_is_left_as_it_was(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    drives = room.drives(tmp_path, 3)
    room.backup(["payroll"], drives)

    def cancel(what: str, number: int) -> None:
        if (what, number) == ("keys: put", 4):
            raise WrongState("the restore was cancelled", "wrong_state.module")

    room.stop_at = cancel
    with pytest.raises(WrongState, match="cancelled"):
        room.restore({"payroll": "spare"}, drives)
    assert inventory(room.library, "spare") == []


def test_twins_without_names_all_come_back(room: Room, tmp_path: Path) -> None:
    make_token("twins")
    for _ in range(3):
        fill(room.library, "twins", Kinds(2, 0, 0, 0, 0, 0, 0))
    before = inventory(room.library, "twins")
    drives = room.drives(tmp_path, 3)
    room.backup(["twins"], drives)
    wipe_token("twins")
    room.restore({"twins": "twins"}, drives)
    assert inventory(room.library, "twins") == before
    assert len(before) == 6
    assert Step.WRITTEN in room.told
