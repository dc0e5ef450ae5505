"""Drives as they are: file systems of their own on loop devices; and what the node keeps of them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keystead.core.errors import Conflict, DeviceFault, Tampered
from keystead.custody.drives.jobs import alone
from keystead.custody.drives.registry import due
from keystead.trust.recipients import PaperShares, Shares
from tests.support.components import skip_or_fail
from tests.support.drives import OFFICER_PIN, START_US, USER_PIN, Kinds, Room, fill, has_windows
from tests.support.modules import Bench

DAY_S = 86_400


@contextmanager
def mounted(image: Path, path: Path) -> Iterator[None]:
    """A file system on a loop device."""
    path.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-o", "loop", str(image), str(path)], capture_output=True, check=False)
    if done.returncode:
        skip_or_fail("loop devices, as root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.row("CB-009", "CB-016")
def test_images_of_real_media_show_nothing_and_give_all(room: Room, tmp_path: Path) -> None:
    secrets = fill(room.library, "payroll", Kinds(aes=6, generic=4))
    paths = [tmp_path / f"drive-{number}" for number in (1, 2, 3)]
    images = [path.with_suffix(".img") for path in paths]
    for image in images:
        image.write_bytes(bytes(8 << 20))
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, capture_output=True)
    with mounted(images[0], paths[0]), mounted(images[1], paths[1]), mounted(images[2], paths[2]):
        drives = room.drives(tmp_path, 3)
        count = room.backup(["payroll"], drives).manifest.keys_count
    for image in images:
        seen = image.read_bytes()
        assert not any(has_windows(seen, each) for each in (*secrets, OFFICER_PIN.encode(), USER_PIN.encode()))
    with pytest.raises(DeviceFault, match="drive-2 has no identity: it is empty, or was pulled"):
        room.restore({"payroll": "spare"}, paths[1:2])
    with mounted(images[1], paths[1]):
        assert room.restore({"payroll": "spare"}, paths).restored_count == count


@pytest.mark.row("CB-015")
def test_shares_on_paper_open_a_set_without_its_module(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    drives, paper = room.drives(tmp_path, 3), PaperShares(2, 3)
    count = room.backup(["payroll"], drives, recipients=[paper]).manifest.keys_count
    room.root = Bench().unlocked()
    with pytest.raises(DeviceFault, match="nothing was changed"):
        room.restore({"payroll": "spare"}, drives)
    back = room.restore({"payroll": "spare"}, drives, identities=[Shares(paper.made[1:])])
    assert back.restored_count == count


@pytest.mark.row("CB-019")
def test_what_is_overdue_is_said(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    drives = room.drives(tmp_path, 4)
    assert due(room.registry.load(), START_US + 10, DAY_S) == ["the keys were never backed up"]
    assert due(room.registry.load(), START_US + 2 * DAY_S * 1_000_000, DAY_S)[0] == "the keys were never backed up"
    room.now += 20 * DAY_S * 1_000_000
    room.backup(["payroll"], drives[:3])
    books = room.registry.load()
    assert due(books, room.now, 7 * DAY_S) == ["the drive drive 4 has to be brought and checked"]
    later = due(books, room.now + 8 * DAY_S * 1_000_000, 7 * DAY_S)
    assert later[0] == "the keys have to be backed up anew"
    assert len(later) == 5


def test_the_books_are_sealed_and_one_runs_at_a_time(room: Room, tmp_path: Path) -> None:
    drives = room.drives(tmp_path, 3)
    with alone(room.folder), pytest.raises(Conflict, match="another backup or restore"):
        room.backup(["payroll"], drives)
    file = room.folder / "drives.sealed"
    assert b"drive 1" not in file.read_bytes()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(Tampered):
        room.registry.load()
