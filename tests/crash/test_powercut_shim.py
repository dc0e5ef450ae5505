"""The simulated power cut keeps what POSIX promises and nothing else; SQLite's three levels of care are the control."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.support.powercut import Loss, PowerCut

PRELUDE = """
import ctypes, fcntl, mmap, os, sys
os.chdir(sys.argv[1])

def flush(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)

def put(path, content, flags=0):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | flags, 0o600)
    os.write(fd, content)
    return fd
"""


def tree(folder: Path) -> dict[str, bytes]:
    """Every name below the folder with its content; a folder's is b"/"."""
    return {str(p.relative_to(folder)): b"/" if p.is_dir() else p.read_bytes() for p in folder.rglob("*")}


def run(power: PowerCut, script: str) -> None:
    command = [sys.executable, "-E", "-S", "-c", PRELUDE + textwrap.dedent(script), str(power.data)]
    subprocess.run(command, env=os.environ | power.environment(), check=True, timeout=30)


@pytest.fixture
def power(tmp_path: Path) -> PowerCut:
    cut = PowerCut(tmp_path / "data", tmp_path / "mirror")
    (cut.data / "old").write_bytes(b"before")
    return cut


OLD = {"old": b"before"}
CASES: dict[str, tuple[str, dict[str, bytes]]] = {
    "nothing flushed": ("put('new', b'x')", OLD),
    "file flushed, its folder not": ("os.fsync(put('new', b'x'))", OLD),
    "folder flushed, its file not": ("put('new', b'x'); flush('.')", OLD | {"new": b""}),
    "both flushed": ("os.fsync(put('new', b'x')); flush('.')", OLD | {"new": b"x"}),
    "fdatasync": ("os.fdatasync(put('new', b'x')); flush('.')", OLD | {"new": b"x"}),
    "written after the flush": (
        "fd = put('new', b'x'); os.fsync(fd); flush('.'); os.write(fd, b'y')",
        OLD | {"new": b"x"},
    ),
    "overwritten, not flushed": ("fd = os.open('old', os.O_RDWR); os.pwrite(fd, b'AFTER!', 0)", OLD),
    "overwritten, flushed": (
        "fd = os.open('old', os.O_RDWR); os.pwrite(fd, b'AFTER!', 0); os.fsync(fd)",
        {"old": b"AFTER!"},
    ),
    "emptied, not flushed": ("put('old', b'')", OLD),
    "shrunk, not flushed": ("os.truncate('old', 2)", OLD),
    "shrunk, grown, flushed": (
        "fd = os.open('old', os.O_RDWR); os.ftruncate(fd, 2); os.ftruncate(fd, 6); os.fsync(fd)",
        {"old": b"be\0\0\0\0"},
    ),
    "appended through O_DSYNC": (
        "os.write(os.open('old', os.O_WRONLY | os.O_APPEND | os.O_DSYNC), b'+')",
        {"old": b"before+"},
    ),
    "appended, flushed": (
        "fd = os.open('old', os.O_WRONLY | os.O_APPEND); os.write(fd, b'+'); os.fsync(fd)",
        {"old": b"before+"},
    ),
    "vectors": (
        "fd = os.open('old', os.O_RDWR); os.writev(fd, [b'AF', b'T']); os.pwritev(fd, [b'E', b'R!'], 3); os.fsync(fd)",
        {"old": b"AFTER!"},
    ),
    "one durable vector": (
        "fd = os.open('old', os.O_RDWR); os.pwritev(fd, [b'AFTER!'], 0, os.RWF_DSYNC)",
        {"old": b"AFTER!"},
    ),
    "renamed over, folder not flushed": ("os.fsync(put('new', b'x')); os.rename('new', 'old')", OLD),
    "renamed over, flushed": ("os.fsync(put('new', b'x')); os.rename('new', 'old'); flush('.')", {"old": b"x"}),
    "renamed over, content not flushed": ("put('new', b'x'); os.rename('new', 'old'); flush('.')", {"old": b""}),
    "unlinked, not flushed": ("os.unlink('old')", OLD),
    "unlinked, flushed": ("os.unlink('old'); flush('.')", {}),
    "replaced under the same name": ("os.unlink('old'); put('old', b'x'); flush('.')", {"old": b""}),
    "linked, flushed": ("os.link('old', 'new'); flush('.')", OLD | {"new": b"before"}),
    "folder made, not flushed": ("os.mkdir('sub'); os.fsync(put('sub/new', b'x')); flush('sub')", OLD),
    "folder flushed, its entries not": (
        "os.mkdir('sub'); os.fsync(put('sub/new', b'x')); flush('.')",
        OLD | {"sub": b"/"},
    ),
    "folder and entry flushed": (
        "os.mkdir('sub'); os.fsync(put('sub/new', b'x')); flush('sub'); flush('.')",
        OLD | {"sub": b"/", "sub/new": b"x"},
    ),
    "relative to a folder descriptor": (
        """
        d = os.open('.', os.O_RDONLY)
        fd = os.open('new', os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=d)
        os.write(fd, b'x')
        os.fsync(fd)
        os.rename('new', 'newer', src_dir_fd=d, dst_dir_fd=d)
        os.fsync(d)
        """,
        OLD | {"newer": b"x"},
    ),
    "sendfile and copy_file_range": (
        """
        source, target = os.open('old', os.O_RDONLY), put('new', b'>')
        os.sendfile(target, source, 0, 6)
        os.copy_file_range(source, target, 6, 0, 7)
        os.fsync(target)
        flush('.')
        """,
        OLD | {"new": b">beforebefore"},
    ),
    "mapped, not flushed": ("fd = os.open('old', os.O_RDWR); m = mmap.mmap(fd, 6); m[:] = b'AFTER!'", OLD),
    "mapped, msync": (
        "fd = os.open('old', os.O_RDWR); m = mmap.mmap(fd, 6); m[:] = b'AFTER!'; m.flush()",
        {"old": b"AFTER!"},
    ),
    "mapped, fsync": (
        "fd = os.open('old', os.O_RDWR); m = mmap.mmap(fd, 6); m[:] = b'AFTER!'; os.fsync(fd)",
        {"old": b"AFTER!"},
    ),
    "stdio, fsync": (
        """
        c = ctypes.CDLL(None)
        c.fopen.restype = ctypes.c_void_p
        file = ctypes.c_void_p(c.fopen(b'new', b'w'))
        c.fputs(b'x', file)
        c.fflush(file)
        c.fsync(c.fileno(file))
        flush('.')
        """,
        OLD | {"new": b"x"},
    ),
    "system-wide sync is no promise": ("put('new', b'x'); flush('.'); os.sync()", OLD | {"new": b""}),
    "written by a child, flushed by its parent": (
        """
        fd = put('new', b'x')
        if os.fork() == 0:
            os.write(fd, b'y')
            os._exit(0)
        os.wait()
        os.fsync(fd)
        flush('.')
        """,
        OLD | {"new": b"xy"},
    ),
    "a reused inode starts empty": (
        """
        os.fsync(put('new', b'secret'))
        for _ in range(50):
            os.unlink('new')
            fd = put('new', b'')
        os.ftruncate(fd, 6)
        flush('.')
        """,
        OLD | {"new": b""},
    ),
    "larger than one block": (
        "fd = put('new', bytes(range(256)) * 1024); os.fsync(fd); flush('.'); os.pwrite(fd, b'!', 70000)",
        OLD | {"new": bytes(range(256)) * 1024},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_only_what_was_flushed_is_left(power: PowerCut, name: str) -> None:
    script, left = CASES[name]
    run(power, script)
    power.cut()
    assert tree(power.data) == left


def test_cut_reports_what_it_took_and_starts_over(power: PowerCut) -> None:
    run(power, "put('new', bytes(10000))")
    assert power.cut() == Loss(blocks=3, entries=1)
    run(power, "os.fsync(put('later', b'x')); flush('.')")
    assert power.cut() == Loss(blocks=0, entries=0)
    assert tree(power.data) == OLD | {"later": b"x"}


def test_seeded_cut_keeps_a_part_of_what_was_not_flushed(power: PowerCut) -> None:
    script = r"""
        fd = put('new', bytes(40960))
        if os.path.exists('other'): os.unlink('other')
        os.fsync(fd)
        flush('.')
        put('other', b'x')
        os.pwrite(fd, bytes([1]) * 40960, 0)
        """
    seen = set()
    for seed in range(8):
        run(power, script)
        power.cut(seed)
        content = (power.data / "new").read_bytes()
        assert len(content) == 40960
        assert set(content) <= {0, 1}
        seen.add((content.count(1), (power.data / "other").exists()))
    assert len(seen) > 4
    assert any(count % 4096 for count, _ in seen)
    assert {other for _, other in seen} == {True, False}


def test_flush_drops_no_lock_of_the_program(power: PowerCut) -> None:
    run(
        power,
        """
        fd = os.open('old', os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(fd, b'x')
        os.fsync(fd)
        os.ftruncate(fd, 3)
        os.fdatasync(fd)
        if os.fork() == 0:
            try:
                fcntl.lockf(os.open('old', os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os._exit(0)
            os._exit(1)
        assert os.wait()[1] == 0
        """,
    )


WRITER = """
import os, sqlite3, sys
path, level, name = sys.argv[1:]
db = sqlite3.connect(path, isolation_level=None, timeout=20)
db.execute("PRAGMA journal_mode=WAL")
db.execute(f"PRAGMA synchronous={level}")
db.execute("PRAGMA wal_autocheckpoint=%d" % (20 if level == "FULL" else 1_000_000))
db.execute("CREATE TABLE IF NOT EXISTS t(name TEXT, n INTEGER, filler BLOB)")
for n in range(1_000_000):
    db.execute("INSERT INTO t VALUES(?, ?, randomblob(300))", (name, n))
    os.write(1, b"%d\\n" % n)
"""


def write_until_cut(power: PowerCut, level: str, seed: int | None, duration_s: float) -> dict[str, int]:
    """Two processes insert rows until the power fails; returns the last row that each was told is safe."""
    env = os.environ | power.environment()
    writers = {}
    for name in ("a", "b"):
        command = [sys.executable, "-E", "-S", "-c", WRITER, str(power.data / "db"), level, name]
        writers[name] = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, start_new_session=True)
        if name == "a":  # a lone writer makes the database
            assert writers[name].stdout is not None
            writers[name].stdout.readline()  # type: ignore[union-attr]  # PIPE was asked for
    time.sleep(duration_s)
    for writer in writers.values():
        os.killpg(writer.pid, signal.SIGKILL)
    acknowledged = {}
    for name, writer in writers.items():
        output, _ = writer.communicate(timeout=10)
        acknowledged[name] = int(output.rsplit(b"\n", 2)[-2]) if b"\n" in output else -1
    power.cut(seed)
    return acknowledged


def rows_lost(database: Path, acknowledged: dict[str, int]) -> int:
    """Acknowledged rows that are not there; the database itself must be sound."""
    with sqlite3.connect(database) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        has_table = db.execute("SELECT count(*) FROM sqlite_schema WHERE name='t'").fetchone()[0]
        rows = set(db.execute("SELECT name, n FROM t").fetchall()) if has_table else set()
    return sum((name, n) not in rows for name, last in acknowledged.items() for n in range(last + 1))


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_sqlite_full_loses_nothing(power: PowerCut, seed: int | None) -> None:
    acknowledged = write_until_cut(power, "FULL", seed, 1.0)
    assert sum(acknowledged.values()) > 5
    assert rows_lost(power.data / "db", acknowledged) == 0


@pytest.mark.parametrize("level", ["NORMAL", "OFF"])
def test_sqlite_without_flush_loses_rows(power: PowerCut, level: str) -> None:
    acknowledged = write_until_cut(power, level, None, 0.5)
    assert not (power.data / "db").exists() or rows_lost(power.data / "db", acknowledged) > 0
