"""kill -9 at every step of writing and of restoring: the old state or the new one, and the next run continues."""

import os
import signal
from pathlib import Path

import pytest

from keystead.custody.drives import restore
from keystead.custody.drives.backup import recover
from keystead.custody.drives.jobs import RestoreStep, Step
from tests.support.drives import Room, inventory

BACKUP = (
    [(str(step), None) for step in Step] + [("drives written", n) for n in (1, 2, 3)] + [("keys", 3), ("set valid", 1)]
)
RESTORE = [(str(step), None) for step in RestoreStep] + [
    (f"keys: {what}", n) for what in ("put", "settle") for n in (1, 5)
]


def killed_at(room: Room, point: tuple[str, int | None], run: str, arguments: tuple[object, ...]) -> None:
    """Run in a process of its own that kills itself at a point."""

    def kill(what: str, number: int) -> None:
        if what == point[0] and point[1] in {None, number}:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            child_room = room.restarted()
            child_room.stop_at = kill
            getattr(child_room, run)(*arguments)
        finally:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, point


@pytest.mark.durability
@pytest.mark.row("CB-011")
@pytest.mark.parametrize("point", BACKUP, ids=str)
def test_a_killed_backup_leaves_the_old_set_or_the_new_one(
    room: Room, secrets: list[bytes], tmp_path: Path, point: tuple[str, int | None]
) -> None:
    drives = room.drives(tmp_path, 3)
    old = room.backup(["payroll"], drives).manifest.set_id
    killed_at(room, point, "backup", (["payroll"], drives))
    newest = room.registry.load().newest
    told = recover(room.around, drives)
    names = [[each.name for each in (drive / "keystead-sets").iterdir()] for drive in drives]
    assert names == [[newest.hex()]] * 3
    is_valid = point[0] in {"set valid", Step.WRITTEN}
    assert (newest != old) is is_valid
    assert ("new set holds" in told or told == "nothing was interrupted") if is_valid else "old set holds" in told
    back = room.restore({"payroll": "spare"}, drives[:1])
    assert back.manifest.set_id == newest
    assert room.backup(["payroll"], drives).manifest.set_id == room.registry.load().newest != newest


@pytest.mark.durability
@pytest.mark.row("CB-014")
@pytest.mark.parametrize("point", RESTORE, ids=str)
def test_a_killed_restore_leaves_the_old_state_or_the_new_one(
    room: Room, secrets: list[bytes], tmp_path: Path, point: tuple[str, int | None]
) -> None:
    drives = room.drives(tmp_path, 3)
    keys_count = room.backup(["payroll"], drives).manifest.keys_count
    killed_at(room, point, "restore", ({"payroll": "spare"}, drives))
    told = restore.state(room.around)
    seen = [each for each in inventory(room.library, "spare") if "keystead-restoring" not in each[0]]
    is_new = "new state holds" in told or point[0] == RestoreStep.SETTLED
    assert is_new or seen == []
    assert is_new is (point[0] in {"keys: settle", RestoreStep.SETTLED})
    room.restore({"payroll": "spare"}, drives)
    after = inventory(room.library, "spare")
    assert len(after) == keys_count
    assert set(after) < set(inventory(room.library, "payroll"))
    assert restore.state(room.around) == "nothing was interrupted"
