"""The activity log: eleven fields a line, nothing a client can forge."""

import random
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from keystead.core.errors import NotFound
from keystead.core.permission import Principal
from keystead.gate import activity_lines
from keystead.gate.activity import ActivityLog, Label
from keystead.gate.call import Batch, Reply
from keystead.gate.log_files import in_brackets, one_word, printable
from keystead.gate.operation import REGISTRY, Declaration

ALICE = Principal("user", "alice", common_name="alice's array", address="192.0.2.7")
LINE = re.compile(
    r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] (INFO|ERROR) (\S+) \[([^\]]*)\] "
    r"(\S+) (\d+) (\S+) (\S+) \[([^\]]*)\] (\S+) \[([^\]]*)\]\n"
)


@dataclass(frozen=True)
class Asked:
    """A request of its own, so that no real operation is needed."""


REGISTRY[Asked] = Declaration(Asked, "test.asked", "Asked", lambda _c, _r: None, detail=lambda _result: "AES 256")


def written(path: Path, reply: Reply, key: str = "0198-id") -> str:
    log = ActivityLog(path)
    log.add(Batch(ALICE, (Asked(),), number=42), [reply], [key])
    log.close()
    return path.read_text()


@pytest.mark.row("KS-LOG-012", "KS-LOG-031")
def test_a_line_has_the_eleven_fields(tmp_path: Path) -> None:
    match = LINE.fullmatch(written(tmp_path / "activity.log", Reply("done")))
    assert match is not None
    assert match.groups() == (
        "INFO", "192.0.2.7", "alice's array", "alice", "42", "Asked", "0198-id", "AES 256", "0", "Success",
    )  # fmt: skip


@pytest.mark.row("KS-LOG-012")
def test_an_error_says_so_and_empty_fields_are_dashes(tmp_path: Path) -> None:
    match = LINE.fullmatch(written(tmp_path / "activity.log", Reply(None, NotFound("no such object")), "-"))
    assert match is not None
    assert match.groups()[0] == "ERROR"
    assert match.groups()[6:] == ("-", "-", "not_found.item", "no such object")


def test_a_client_writes_no_lines_of_its_own(tmp_path: Path) -> None:
    text = written(tmp_path / "activity.log", Reply("done"), "id\n[2026-01-01 00:00:00] INFO forged\x1b[2J")
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert printable("a\r\nb\x00c\u202ed") == "a??b?c?d"
    assert len(printable("\x07" * 5000)) <= 256


@pytest.mark.row("KS-LOG-012")
def test_no_text_passes_for_another_field(tmp_path: Path) -> None:
    """Whoever may choose names and texts of their own writes them so that they look like fields."""
    forged = "x] bob 9 Get 0198-other [-] 0 [Success] ["
    path = tmp_path / "activity.log"
    log = ActivityLog(path)
    eve = Principal("user", "eve", common_name=f"eve{forged}", address="192.0.2.66")
    label = Label("KeyExport", "1", f"key{forged}", forged, lambda reason: (reason, f"no such key{forged}"))
    log.add(Batch(eve, (Asked(),), label=label), [Reply(None, NotFound("no"))], ["-"])
    log.add(Batch(eve, (Asked(),), label=label), [Reply("done")], ["-"])
    log.add(Batch(eve, (Asked(),), number=3), [Reply(None, NotFound(forged))], [f"key {forged}"])
    log.close()
    lines = [activity_lines.line_of(found) for found in activity_lines.LINE.finditer(path.read_bytes())]
    assert len(lines) == 3
    for line in lines:
        assert line is not None
        assert (line.user, line.address) == ("eve", "192.0.2.66")
        assert line.key.startswith("key")
        assert line.title in ("KeyExport", "Asked")
    assert [line.is_error for line in lines if line] == [True, False, True]


@pytest.mark.parametrize("seed", range(200))
def test_whatever_is_in_a_line_it_comes_apart_as_it_was_put_together(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)

    def text() -> str:
        return "".join(chance.choice("ab] [-0\n\u202e\x1b\u00e9\U0001f511%\\") for _ in range(chance.randrange(0, 40)))

    common_name, key, message = text(), text() or "-", text()
    path = tmp_path / "activity.log"
    log = ActivityLog(path)
    log.add(Batch(Principal("user", "eve", common_name=common_name), (Asked(),), number=5), [Reply("done")], [key])
    log.add(Batch(Principal("user", "eve"), (Asked(),), number=6), [Reply(None, NotFound(message))], [key])
    log.close()
    first, second = [activity_lines.line_of(found) for found in activity_lines.LINE.finditer(path.read_bytes())]
    assert first is not None
    assert second is not None
    assert (first.common_name, first.user, first.number) == (in_brackets(common_name) or "-", "eve", "5")
    assert (first.key, first.detail, first.code) == (one_word(key), "AES 256", "0")
    assert (second.key, second.code, second.message) == (one_word(key), "not_found.item", printable(message))


def test_the_log_is_private_and_a_full_disk_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "activity.log"
    written(path, Reply("done"))
    assert path.stat().st_mode & 0o777 == 0o600
    log = ActivityLog(Path("/dev/full"))
    log.add(Batch(ALICE, (Asked(),)), [Reply("done")], ["-"])
    log.flush()
    assert log.lost_count == 1


@pytest.mark.parametrize("path", [None, Path("/dev/null")])
def test_outcomes_are_counted_also_where_no_line_is_written(path: Path | None) -> None:
    log = ActivityLog(path)
    good, bad = Reply("done"), Reply(None, NotFound("no such object"))
    for requests, replies in ((2, [good, bad]), (1, [good]), (1, [bad])):
        log.add(Batch(ALICE, (Asked(),) * requests), replies, ["-"] * requests)
    log.add(Batch(ALICE, (object(),)), [good], ["-"])  # of no operation that is declared
    log.add(Batch(Principal("local", "root"), (Asked(),)), [good], ["-"])
    log.add(Batch(ALICE, (Asked(),)), [good], ["-"])
    counted = {
        ("client", "Asked", "success"): 3,
        ("client", "Asked", "not_found.item"): 2,
        ("client", "-", "success"): 1,
        ("local", "Asked", "success"): 1,
    }
    assert log.outcomes() == counted
    assert log.outcomes() == counted
