"""Virtual environments of their own for real clients that need much and agree with little.

Made from requirements/NAME.txt the first time that a test asks, kept below .venv, which git ignores. Only wheels whose
hashes the list names are installed; nothing is built.
"""

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

from tests.support.components import ROOT, skip_or_fail

INSTALL_S_MAX = 300
"""For about 100 packages; tests that may be the first to ask need a timeout above this."""


def client_python(name: str) -> Path:
    """The interpreter of the environment for requirements/NAME.txt; ends the test where it cannot be made."""
    lock = ROOT / "requirements" / f"{name}.txt"
    folder = ROOT / ".venv" / "clients" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    stamp = folder / "installed.sha256"
    python = folder / "bin" / "python"
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    with folder.with_suffix(".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            _install(folder, python, lock)
            stamp.write_text(wanted)
    return python


def _install(folder: Path, python: Path, lock: Path) -> None:
    install = [
        *(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"),
        *("--only-binary", ":all:", "--require-hashes", "--requirement", str(lock)),
    ]
    try:
        for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], install):
            subprocess.run(command, capture_output=True, check=True, timeout=INSTALL_S_MAX)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        skip_or_fail(f"the packages of requirements/{lock.name}, from the package index")
