"""The backup client beside two others on the same tree: ./dev bench vault [--files 10000] [--mib 1000] [--rounds 1]

Backs up, backs up again unchanged, and restores; prints a table and ratios, all from one run on one disk; writes
bench-results/vault.json. Ours keeps its data in a folder, as the vault's server does; the others in a folder of theirs,
both with encryption and compression. A tool that is not installed is skipped, loudly.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.rig import machine, reports

MIB = 2**20
LARGE_MIB = 100
MOVED_PERCENT_LIMIT = 1.0
MEMORY_MIB_LIMIT = 300.0
STEPS = ("backup", "unchanged", "restore")
MEASURED = (  # in a process of its own: seconds and the most memory of its only child, in KiB
    "import resource, subprocess, sys, time; began = time.monotonic(); "
    "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
    "print(time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


@dataclass
class Figure:
    """One step of one tool."""

    tool: str
    step: str
    seconds: float
    memory_mib: float
    stored_mib: float


@dataclass
class Tool:
    """A backup program: its command for each step, where it keeps data, its environment."""

    name: str
    place: Path
    backup: list[str]
    restore: list[str]
    environment: dict[str, str]
    out: Path

    def measured(self, step: str, stored_before: float) -> Figure:
        command = self.restore if step == "restore" else self.backup
        self.out.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, *command],
            check=True,
            cwd=self.out,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        seconds, memory_kib = done.stdout.split()[-2:]
        return Figure(self.name, step, float(seconds), float(memory_kib) / 1024, size_mib(self.place) - stored_before)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000, help="small files")
    parser.add_argument("--mib", type=int, default=1000, help="size of the whole tree")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="ks-vault-") as folder:
        tree = grow(Path(folder) / "tree", options.files, options.mib)
        total_mib = size_mib(tree)
        print(f"{options.files} files and some large ones, {total_mib:.0f} MiB, half of it random, half of it text")
        for number in range(options.rounds):
            figures += one_round(Path(folder) / f"round {number}", tree)
    print(reports.table(["tool", "step", "s", "MiB/s", "MiB memory", "MiB stored more"], lines(figures, total_mib)))
    good = told(figures, total_mib)
    results: dict[str, Any] = {"machine": machine.description(), "tree_mib": total_mib, "good": good}
    results["figures"] = [asdict(figure) for figure in figures]
    print(f"written: {reports.write('vault', results)}")
    return 0 if good else 1


def grow(root: Path, files: int, mib: int) -> Path:
    """Small files of 1 to 99 KiB in a hundred folders, then large ones until the size is reached."""
    chance = random.Random(1)
    words = [chance.randbytes(4).hex() for _ in range(2000)]
    left = mib * MIB

    def content(size: int) -> bytes:
        if chance.random() < 0.5:
            return chance.randbytes(size)
        return " ".join(chance.choices(words, k=size // 9 + 1)).encode()[:size]

    for number in range(files):
        path = root / f"{number % 100:02}" / f"file {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        left -= path.write_bytes(content(min(chance.randrange(1024, 100 * 1024), max(left, 0))))
    number = 0
    while left > 0:
        with (root / f"large {number}").open("wb") as file:
            for _ in range(min(LARGE_MIB, -(-left // MIB))):
                left -= file.write(content(MIB))
        number += 1
    return root


def one_round(folder: Path, tree: Path) -> list[Figure]:
    """Every tool that is there, one after the other, and what each restored compared with the tree."""
    figures = []
    for make in (ours, restic, borg):
        place = folder / make.__name__
        place.mkdir(parents=True)
        tool = make(place, tree)
        if tool is None:
            print(f"SKIPPED: {make.__name__} is not installed (apt-get install {make.__name__}): no figures beside it")
            continue
        stored = size_mib(tool.place)
        for step in STEPS:
            figures.append(tool.measured(step, stored))
            stored = size_mib(tool.place)
        back = place / "out" / tree.relative_to("/")
        subprocess.run(["diff", "-r", tree, back], check=True)
        shutil.rmtree(place)
    return figures


def ours(place: Path, tree: Path) -> Tool:
    keys = place / "keys"
    keys.touch(mode=0o600)
    keys.write_text(f'private = "{os.urandom(32).hex()}"\n')
    store = place / "store"
    store.mkdir()
    at = ["--folder", str(store), "--keys", str(keys), "--client", str(place / "client"), "--quiet"]
    program = [sys.executable, "-m", "keystead.clients.backup"]
    out = place / "out"
    backup, restore = [*program, "backup", *at, str(tree)], [*program, "restore", *at, str(out)]
    return Tool("keystead-backup", store, backup, restore, {}, out)


def restic(place: Path, tree: Path) -> Tool | None:
    if shutil.which("restic") is None:
        return None
    store = place / "store"
    environment = {
        "RESTIC_PASSWORD": "bench",
        "RESTIC_REPOSITORY": str(store),
        "RESTIC_CACHE_DIR": str(place / "cache"),
    }
    prepare(["restic", "init", "--repository-version", "2", "--quiet"], environment)
    backup = ["restic", "backup", "--quiet", str(tree)]
    restore = ["restic", "restore", "latest", "--quiet", "--target", str(place / "out")]
    return Tool("restic", store, backup, restore, environment, place / "out")


def borg(place: Path, tree: Path) -> Tool | None:
    if shutil.which("borg") is None:
        return None
    store = place / "store"
    environment = {"BORG_PASSPHRASE": "bench", "BORG_REPO": str(store), "BORG_BASE_DIR": str(place / "base")}
    prepare(["borg", "--critical", "init", "--encryption", "repokey"], environment)
    name = "::{now:%H%M%S%f}"
    backup = ["borg", "create", "--compression", "zstd,3", name, str(tree)]
    script = 'borg extract "::$(borg list --short --last 1)"'
    return Tool("borg", store, backup, ["sh", "-c", script], environment, place / "out")


def prepare(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, check=True, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)


def size_mib(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / MIB


def lines(figures: list[Figure], total_mib: float) -> list[list[str]]:
    return [
        [
            f.tool,
            f.step,
            f"{f.seconds:.2f}",
            f"{total_mib / f.seconds:.0f}",
            f"{f.memory_mib:.0f}",
            f"{f.stored_mib:.2f}",
        ]
        for f in figures
    ]


def told(figures: list[Figure], total_mib: float) -> bool:
    """Print our figures beside each other tool's, and judge what has a limit."""
    mine = {figure.step: figure for figure in figures if figure.tool == "keystead-backup"}
    for figure in figures:
        if figure.tool != "keystead-backup":
            ratio = mine[figure.step].seconds / figure.seconds
            print(f"{figure.step}: ours takes {ratio:.2f} times as long as {figure.tool}")
    moved = 100 * mine["unchanged"].stored_mib / total_mib
    memory = max(figure.memory_mib for figure in mine.values())
    print(f"unchanged data: {moved:.3f} % stored again (limit {MOVED_PERCENT_LIMIT:g} %)")
    print(f"most memory: {memory:.0f} MiB (limit {MEMORY_MIB_LIMIT:g} MiB)")
    return moved < MOVED_PERCENT_LIMIT and memory < MEMORY_MIB_LIMIT


if __name__ == "__main__":
    began = time.monotonic()
    status = main()
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(status)
