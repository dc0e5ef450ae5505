"""Kills a backup, then a restore, before each of its steps on disk; judges what is left; lets the next run go on.

python -m tests.clients.backup.killing FOLDER: prints one JSON object; ends with a traceback at the first wrong thing.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from keystead.clients.backup import restoring
from keystead.clients.backup.backing_up import look
from tests.clients.backup.rig import Rig, inside, picture

STEPS = frozenset({"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.symlink", "os.chmod", "os.utime"})


def main(folder: Path) -> None:
    rig = Rig(folder / "base")
    tree = small_tree(folder / "tree")
    rig.back_up(tree)
    first = picture(tree)
    old = folder / "old"
    shutil.copytree(tree, old, symlinks=True)
    change(tree)
    backups = kill_backups(rig, tree, first, folder / "work")
    rig.back_up(tree)
    restores = kill_restores(rig, tree, old, folder / "work")
    print(json.dumps({"backup": backups, "restore": restores}))


def small_tree(root: Path) -> Path:
    for number in range(6):
        path = root / f"folder {number % 2}" / f"file {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"old " * (number + 1))
    (root / "large").write_bytes(os.urandom(600_000))
    (root / "link").symlink_to("large")
    return root


def change(tree: Path) -> None:
    (tree / "folder 0" / "file 0").write_bytes(b"new and longer")
    (tree / "folder 1" / "file 1").unlink()
    (tree / "large").write_bytes(os.urandom(700_000))
    (tree / "another").write_bytes(os.urandom(400_000))
    (tree / "link").unlink()
    (tree / "link").symlink_to("another")


def killed_at(step: int, job: Callable[[], object]) -> bool:
    """Run a job in a child that is killed before its step of this number; False if it ended before."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str) -> None:
            nonlocal left
            if event in STEPS:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        flush = os.fsync

        def counted_flush(fd: Any) -> None:
            count("open")
            flush(fd)

        os.fsync = counted_flush  # not audited by Python
        sys.addaudithook(lambda event, _arguments: count(event))
        try:
            job()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0, f"failed at step {step}"
    return False


def fresh(rig: Rig, work: Path) -> Rig:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(rig.folder, work)
    return rig.other(folder=work)


def restored(rig: Rig, tree: Path, target: Path) -> dict[bytes, tuple[object, ...]]:
    shutil.rmtree(target, ignore_errors=True)
    rig.restore(target)
    return picture(inside(target, tree))


def kill_backups(base: Rig, tree: Path, first: dict[bytes, tuple[object, ...]], work: Path) -> dict[str, int]:
    """After each kill the vault shows the old snapshot or the new one, says which, and the next backup goes on."""
    seen: Counter[str] = Counter()
    new = picture(tree)
    step = 0
    while True:
        rig = fresh(base, work)
        killed = killed_at(step, partial(rig.back_up, tree))
        newest = look(rig.client())
        assert newest is not None
        number = newest.ref.sequence
        assert restored(rig, tree, work / "out") == {1: first, 2: new}[number], f"mixture at step {step}"
        said = ["interrupted; number 1 is the last complete", "complete in the vault as number 2"]
        told = [word for word in said if any(word in line for line in rig.told)]
        assert told in ([], [said[number - 1]]), (step, number, rig.told)
        seen[f"number {number}, {'told' if told else 'nothing to tell'}"] += 1
        done = rig.back_up(tree)
        assert done.ref.sequence == number + 1
        assert restored(rig, tree, work / "out") == new
        if not killed:
            return dict(seen)
        step += 1


def kill_restores(base: Rig, tree: Path, old: Path, work: Path) -> dict[str, int]:
    """After each kill every file is the old or the new one, the marker says so, and the next restore goes on."""
    seen: Counter[str] = Counter()
    new = picture(tree)
    before = picture(old)
    step = 0
    while True:
        rig = fresh(base, work)
        target = work / "target"
        shutil.copytree(old, inside(target, tree), symlinks=True)
        killed = killed_at(step, partial(rig.restore, target, replace=True))
        now = {
            name: what
            for name, (_mode, _time, what) in picture(inside(target, tree)).items()
            if what is not None and restoring.MARKER.encode() not in name
        }
        for name, what in now.items():
            assert what in {pictured[name][2] for pictured in (before, new) if name in pictured}, (step, name)
        marked = (target / restoring.MARKER).exists()
        complete = all(now.get(name) == what for name, (_mode, _time, what) in new.items() if what is not None)
        untouched = now == {name: what for name, (_mode, _time, what) in before.items() if what is not None}
        assert marked or complete or untouched, f"nothing says that step {step} was interrupted"
        rig.restore(target, replace=True)
        assert any("was interrupted" in line for line in rig.told) == marked
        seen["interrupted" if marked else "whole"] += 1
        after = picture(inside(target, tree))
        assert {name: after[name] for name in new} == new
        assert not [path for path in target.rglob(f"{restoring.MARKER}*") if marked]
        if not killed:
            return dict(seen)
        step += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
