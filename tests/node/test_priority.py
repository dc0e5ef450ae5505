"""Commands that walk everything there is let the node go first."""

import subprocess
import sys
from pathlib import Path

import pytest

from keystead.node.priority import NICENESS

COMMAND = "import os, sys; from keystead.__main__ import main; before = os.nice(0); main(); print(os.nice(0) - before)"


@pytest.mark.parametrize(
    ("words", "niceness"),
    [
        (["verify", "--data", "{}"], NICENESS),
        (["audit", "export", "--out", "{}", "--data", "{}"], NICENESS),
        (["audit", "verify", "{}/export"], NICENESS),
        (["audit", "key", "--data", "{}"], 0),
    ],
)
def test_commands_that_walk_everything_yield(words: list[str], niceness: int, tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", COMMAND, *(word.format(tmp_path) for word in words)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split()[-1] == str(niceness), said
