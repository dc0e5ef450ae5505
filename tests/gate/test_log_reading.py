"""Reading a log backwards: whole lines, each once, whatever happens to its files meanwhile."""

import os
import random
from pathlib import Path

import pytest

from keystead.gate import log_reading
from keystead.gate.log_files import LogFile
from keystead.gate.log_reading import Block, Place, walk

BLOCK = 600


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few lines."""
    monkeypatch.setattr(log_reading, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(log_reading, "PROBE_BYTES", 300)


def line(number: int) -> str:
    clock = f"{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
    return f"[2026-11-{1 + number // 86400:02} {clock}] line {number}\n"


def write(path: Path, first: int, last: int, mtime: int = 0) -> None:
    path.write_text("".join(map(line, range(first, last))))
    if mtime:
        os.utime(path, (mtime, mtime))


def numbers(blocks: list[Block]) -> list[int]:
    """Numbers of the lines, in the order of the walk."""
    found = []
    for block in blocks:
        words = [each.rpartition(b" ")[2] for each in block.data.splitlines() if b"] line " in each]
        found += [int(word) for word in reversed(words)]
    return found


@pytest.mark.row("KS-LOG-002")
def test_current_and_rotated_files_are_one_log(tmp_path: Path) -> None:
    write(tmp_path / "activity.log.2", 0, 40, 100)
    write(tmp_path / "activity.log.1", 40, 90, 200)
    write(tmp_path / "activity.log", 90, 131, 300)
    (tmp_path / "activity.log.3.gz").write_bytes(b"\x1f\x8b")
    (tmp_path / "activity.logs").write_text(line(999))
    assert numbers(list(walk(tmp_path / "activity.log", None, ""))) == list(range(130, -1, -1))


def test_no_files_are_an_empty_log(tmp_path: Path) -> None:
    assert list(walk(tmp_path / "activity.log", None, "")) == []
    assert list(walk(tmp_path / "gone" / "activity.log", None, "")) == []
    (tmp_path / "activity.log").touch()
    assert list(walk(tmp_path / "activity.log", None, "")) == []


def test_what_is_no_file_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "activity.log"
    write(path, 0, 5)
    (tmp_path / "activity.log.folder").mkdir()
    os.mkfifo(tmp_path / "activity.log.pipe")
    (tmp_path / "activity.log.link").symlink_to(path)
    assert numbers(list(walk(path, None, ""))) == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("until", [0, 1, 17, 59, 60, 99, 130])
def test_what_is_newer_is_left_out(tmp_path: Path, until: int) -> None:
    write(tmp_path / "activity.log.1", 0, 60, 100)
    write(tmp_path / "activity.log", 60, 100, 200)
    told = numbers(list(walk(tmp_path / "activity.log", None, line(until)[1:20])))
    assert told == list(range(min(until, 99), -1, -1))


def test_a_walk_goes_on_where_another_stopped_though_the_log_was_rotated(tmp_path: Path) -> None:
    path = tmp_path / "activity.log"
    write(path, 0, 100)
    before = next(iter(walk(path, None, "")))
    place = before.place(0, before.first_stamp())
    path.rename(tmp_path / "activity.log.1")
    write(path, 100, 140)
    assert numbers([before]) + numbers(list(walk(path, place, ""))) == list(range(99, -1, -1))


def test_when_the_file_is_gone_it_goes_on_by_time(tmp_path: Path) -> None:
    path = tmp_path / "activity.log"
    write(tmp_path / "activity.log.1", 0, 50, 100)
    write(path, 50, 100, 200)
    before = next(iter(walk(path, None, "")))
    first = numbers([before])[-1]
    place = before.place(0, before.first_stamp())
    copied = path.read_bytes()
    path.rename(tmp_path / "elsewhere")
    (tmp_path / "activity.log.0").write_bytes(copied)  # another inode
    os.utime(tmp_path / "activity.log.0", (200, 200))
    assert numbers(list(walk(path, place, ""))) == list(range(first, -1, -1))  # its own line is told twice
    (tmp_path / "activity.log.0").unlink()
    assert numbers(list(walk(path, place, ""))) == list(range(49, -1, -1))
    assert list(walk(path, Place(1, 5, 5, ""), "")) == []


def test_a_file_of_the_same_inode_that_is_another_is_known(tmp_path: Path) -> None:
    path = tmp_path / "activity.log"
    write(path, 0, 100)
    before = next(iter(walk(path, None, "")))
    place = before.place(0, before.first_stamp())
    with path.open("r+") as file:  # copied away and cut, then written anew
        file.truncate(0)
        file.write("".join(map(line, range(200, 300))))
    assert numbers(list(walk(path, place, ""))) == []  # all of it is newer
    before = next(iter(walk(path, None, "")))
    path.write_text("")
    assert list(walk(path, before.place(0, before.first_stamp()), "")) == []


def test_a_file_that_is_cut_while_it_is_read_ends_there(tmp_path: Path) -> None:
    path = tmp_path / "activity.log"
    write(path, 0, 100)
    blocks = walk(path, None, "")
    next(blocks)
    os.truncate(path, 0)
    assert list(blocks) == []


def test_a_half_written_line_counts_once_it_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "activity.log"
    path.write_text(line(0) + line(1)[:20])
    assert numbers(list(walk(path, None, ""))) == [0]
    log = LogFile(path)  # after a crash: the torn line is ended, the next is whole
    log.write(line(2).encode())
    log.close()
    assert path.read_text().splitlines() == [line(0)[:-1], line(1)[:20], line(2)[:-1]]
    whole = LogFile(path)
    whole.write(line(3).encode())
    whole.close()
    assert path.read_text().endswith(line(2) + line(3))


def test_lines_without_an_end_come_in_pieces_and_hide_nothing(tmp_path: Path) -> None:
    path = tmp_path / "activity.log"
    junk = "x" * (BLOCK * 7) + "\n"
    path.write_text(line(0) + junk + line(1) + junk + line(2))
    blocks = list(walk(path, None, ""))
    assert numbers(blocks) == [2, 1, 0]
    assert all(len(block.data) <= BLOCK for block in blocks)
    assert b"".join(block.data for block in reversed(blocks)) == path.read_bytes()


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_are_told_whole_and_in_order(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    junk = [chance.randbytes(chance.randrange(1, 900)) for _ in range(60)]
    pieces = [line(at).encode() if chance.random() < 0.7 else junk[at] for at in range(60)]
    data = b"".join(pieces) + b"\n"
    path = tmp_path / "activity.log"
    path.write_bytes(data)
    blocks = list(walk(path, None, ""))
    assert b"".join(block.data for block in reversed(blocks)) == data
    for at, block in enumerate(blocks):
        place = block.place(0, block.first_stamp())
        if place.below:
            assert [each.data for each in walk(path, place, "")] == [each.data for each in blocks[at + 1 :]]
