"""Keys of tokens go to a set of drives and come back from any one of them."""

import shutil
from pathlib import Path

import pytest

from keystead.core.errors import Invalid, Refused, WrongState
from keystead.core.secret import Secret
from keystead.custody.drives.jobs import Asker, Pins, Step
from tests.support.drives import OFFICER_PIN, USER_PIN, Room, has_windows, inventory, pictures, wipe_token


@pytest.mark.row("CB-008", "CB-011", "CB-014")
def test_keys_of_every_kind_come_back_and_work(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    before = inventory(room.library, "payroll")
    drives = room.drives(tmp_path, 3)
    report = room.backup(["payroll"], drives)
    assert report.manifest.keys_count == len(before) - 1
    assert [each.label for each in report.unsaved] == ["locked-2"]
    assert "not extractable" in report.unsaved[0].reason
    assert not report.unfinished
    wipe_token("payroll")
    assert inventory(room.library, "payroll") == []
    back = room.restore({"payroll": "payroll"}, drives[2:])
    after = inventory(room.library, "payroll")
    assert back.restored_count == len(after) == len(before) - 1
    assert set(before) - set(after) == {each for each in before if "locked" in each[0]}
    assert set(after) < set(before)
    assert [each.label for each in back.unsaved] == ["locked-2"]


@pytest.mark.row("CB-009", "CB-015")
def test_drives_show_nothing_of_keys_and_pins(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    drives = room.drives(tmp_path, 3)
    room.backup(["payroll"], drives)
    seen = pictures([*drives, room.folder])
    assert len(secrets) == 5
    for each in (*secrets, OFFICER_PIN.encode(), USER_PIN.encode()):
        assert not has_windows(seen, each)


@pytest.mark.row("CB-012")
@pytest.mark.parametrize("size", [3, 5, 7])
def test_one_good_drive_of_each_size_is_enough(room: Room, secrets: list[bytes], tmp_path: Path, size: int) -> None:
    drives = room.drives(tmp_path, size)
    report = room.backup(["payroll"], drives)
    for path in drives[:-1]:
        shutil.rmtree(path / "keystead-sets")
    back = room.restore({"payroll": "spare"}, drives)
    assert back.drive == f"drive {size}"
    assert back.restored_count == report.manifest.keys_count
    assert len(back.wrong) == size - 1


def test_other_sizes_are_refused(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="3, 5 or 7 drives, not 4"):
        room.backup(["payroll"], room.drives(tmp_path, 4))


@pytest.mark.row("CB-007")
def test_the_eight_steps_are_told_in_their_order(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    room.backup(["payroll"], room.drives(tmp_path, 3))
    assert [each for each in room.told if each in set(Step)] == list(Step)
    assert room.told.index(Step.METADATA) < room.told.index("keys")


@pytest.mark.row("CB-004", "CB-006")
def test_a_wrong_pin_of_the_officer_starts_nothing_and_locks(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    drives = room.drives(tmp_path, 3)
    wrong = {"payroll": Pins(Secret(b"wrong-officer-pin"), Secret(USER_PIN.encode()))}
    for _ in range(5):
        with pytest.raises(Refused, match="security officer of payroll is wrong"):
            room.backup_with(drives, wrong)
    with pytest.raises(WrongState, match="locked for 15 minutes"):
        room.backup(["payroll"], drives)
    assert Step.METADATA not in room.told
    assert not list(tmp_path.glob("drive-*/keystead-sets"))
    room.now += 900_000_000
    room.backup(["payroll"], drives)
    with pytest.raises(Refused, match="user of payroll is wrong"):
        room.backup_with(drives, {"payroll": Pins(Secret(OFFICER_PIN.encode()), Secret(b"wrong-user-pin"))})


@pytest.mark.row("CB-005", "CB-020")
def test_an_address_that_is_not_listed_is_refused_before_all_else(room: Room, tmp_path: Path) -> None:
    room.allowed = ("192.0.2.0/24",)
    with pytest.raises(Refused, match="not allowed from this address"):
        room.backup(["no such token"], [], asker=Asker("olga", "", "198.51.100.7"))
    with pytest.raises(Refused, match="not allowed from this address"):
        room.restore({"no such token": "nowhere"}, [], asker=Asker("olga", "", "198.51.100.7"))
    assert not room.told
    with pytest.raises(Invalid, match="3, 5 or 7"):
        room.backup(["payroll"], [], asker=Asker("olga", "sandro", "192.0.2.9"))


@pytest.mark.row("CB-018")
def test_two_different_persons_can_be_demanded(room: Room, secrets: list[bytes], tmp_path: Path) -> None:
    drives = room.drives(tmp_path, 3)
    with pytest.raises(Refused, match="a security officer is needed"):
        room.backup(["payroll"], drives, asker=Asker("olga", ""))
    room.two_persons = True
    with pytest.raises(Refused, match="somebody else"):
        room.backup(["payroll"], drives, asker=Asker("olga", "olga"))
    room.backup(["payroll"], drives)
    with pytest.raises(Refused, match="somebody else"):
        room.restore({"payroll": "spare"}, drives, asker=Asker("olga", "olga"))


@pytest.mark.row("CB-021", "CB-003")
def test_a_restore_takes_the_chosen_partitions_to_the_chosen_tokens(
    room: Room, secrets: list[bytes], tmp_path: Path
) -> None:
    drives = room.drives(tmp_path, 3)
    report = room.backup(["payroll", "spare"], drives)
    assert [each.label for each in report.manifest.partitions] == ["payroll"]
    with pytest.raises(Invalid, match="holds no partition vault; it holds payroll"):
        room.restore({"vault": "spare"}, drives)
    before = inventory(room.library, "payroll")
    room.restore({"payroll": "spare"}, drives)
    assert inventory(room.library, "payroll") == before
    again = room.restore({"payroll": "spare"}, drives)
    assert again.restored_count == 0
    assert again.present_count == report.manifest.keys_count
    assert len(inventory(room.library, "spare")) == report.manifest.keys_count
