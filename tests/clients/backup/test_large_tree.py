"""10,000 files and 1 GB go round in bounded memory, and the second backup moves next to nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.backup.rig import PRIVATE, inside

FILES = 10_000
LARGE_FILES = 6
LARGE_BYTES = 100 * 2**20
MEMORY_KIB_MAX = 300 * 1024
MEASURED = (  # a parent of its own, so that no other child of this one is measured
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def grow(root: Path) -> int:
    """A tree of small and large files that nothing compresses; returns its bytes."""
    total = 0
    for number in range(FILES):
        path = root / f"{number % 100}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        total += path.write_bytes(os.urandom(30_000 + number * 7_919 % 40_000))
    for number in range(LARGE_FILES):
        with (root / f"large {number}").open("wb") as file:
            for _ in range(LARGE_BYTES // 2**20):
                total += file.write(os.urandom(2**20))
    return total


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.timeout(600)
@pytest.mark.row("DS-001")
def test_a_gigabyte_of_ten_thousand_files_goes_round_in_bounded_memory(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    total = grow(tree)
    assert total > 1_000_000_000
    keys = tmp_path / "keys"
    keys.touch(mode=0o600)
    keys.write_text(f'private = "{PRIVATE.hex()}"')

    def run(command: str, *arguments: object) -> str:
        place = ["--folder", tmp_path / "vault", "--keys", keys, "--client", tmp_path / "client", "--quiet"]
        called = [sys.executable, "-m", "keystead.clients.backup", command, *map(str, [*place, *arguments])]
        measured = [sys.executable, "-c", MEASURED, *called]
        said = subprocess.run(measured, check=True, capture_output=True, text=True, timeout=500).stdout
        assert int(said.splitlines()[-1]) < MEMORY_KIB_MAX, command
        return said

    run("backup", tree)
    second = run("backup", tree)
    assert f"{FILES + LARGE_FILES} files unchanged" in second
    moved_mib = float(second.rsplit(" MiB moved", 1)[0].rsplit(" ", 1)[1])
    assert moved_mib * 2**20 < total / 100
    run("verify")
    run("restore", tmp_path / "out")
    subprocess.run(["diff", "-r", str(tree), str(inside(tmp_path / "out", tree))], check=True)
