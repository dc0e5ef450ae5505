"""The lines to a first key in README.md work as they stand, but for their folders."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.surface.sources import ROOT

BIN = Path(sys.executable).parent


def test_the_lines_to_a_first_key_print_one(tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text().split("\n## A first key", 1)[1].split("\n## ", 1)[0]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    assert lines[0] == "./dev setup"
    script = "\n".join(lines[1:]).replace("/tmp/", f"{tmp_path}/").replace(".venv/bin/", f"{BIN}/")
    shell = subprocess.Popen(["bash", "-e"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    try:
        said, _ = shell.communicate(f"{script}\nkill %1\n".encode(), timeout=115)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0
    assert re.search(rb"\b[0-9a-f]{64}\b", said), said
