"""kill -9 at every step of backing up and restoring: the old state or the new one, never a mixture."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.components import ROOT


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.timeout(300)
@pytest.mark.row("DS-001")
def test_a_kill_at_any_step_leaves_the_old_state_or_the_new_one(tmp_path: Path) -> None:
    script = [sys.executable, "-m", "tests.clients.backup.killing", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(script, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["backup"]["number 1, told"] > 20
    assert counts["backup"]["number 2, told"] > 1
    assert counts["restore"]["interrupted"] > 20
