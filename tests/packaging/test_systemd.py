"""The systemd unit: it is understood, it is hardened, and the node does with what it is left."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.components import ROOT, skip_or_fail
from tests.support.dev_node import DevNode, keystead
from tests.support.kmip import messages

FOLDER = ROOT / "packaging" / "systemd"
UNIT = FOLDER / "keystead.service"
EXPOSURE_MAX = 20
"""Tenths, as systemd counts what a service could reach: 100 is everything, 20 calls itself OK."""
REFUSE_NEW_CODE = """
import ctypes, os, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1  # what MemoryDenyWriteExecute= asks of newer kernels
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit("this kernel is older")
os.execv(sys.argv[1], sys.argv[1:])
"""


def tool(name: str) -> str:
    found = shutil.which(name)
    return found if found is not None else skip_or_fail(name)


def told(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as it would be installed here."""
    placed = tmp_path / UNIT.name
    placed.write_text(UNIT.read_text().replace("/opt/keystead/bin/keystead", keystead()[0]))
    return placed


@pytest.mark.parametrize("is_unlocking", [False, True])
def test_systemd_understands_every_line(unit: Path, is_unlocking: bool) -> None:
    if is_unlocking:
        folder = unit.with_name(unit.name + ".d")
        folder.mkdir()
        drop_in = (FOLDER / "unlocking.conf").read_text().replace("/opt/keystead/bin/keystead", keystead()[0])
        (folder / "unlocking.conf").write_text(drop_in)
    assert not told(tool("systemd-analyze"), "verify", str(unit))


def test_little_is_left_to_a_service_that_was_taken_over(unit: Path) -> None:
    judge = [tool("systemd-analyze"), "security", "--no-pager", "--offline=yes", f"--threshold={EXPOSURE_MAX}"]
    assert "exposure level" in told(*judge, str(unit))


def test_the_command_line_is_one_that_keystead_takes() -> None:
    """With a folder that holds no node, of which it complains, and not of its words."""
    text = UNIT.read_text() + (FOLDER / "unlocking.conf").read_text()
    lines = re.findall(r"^ExecStart=(\S+ .*)$", text, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        words = line.replace("/var/lib/keystead/data", "/nowhere").replace("%d", "/nowhere-else").split()[1:]
        done = subprocess.run([*keystead(), *words], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, "holds no keystead node" in done.stderr) == (1, True), done.stderr


def serves(node: DevNode) -> None:
    try:
        node.start()
        with node.session() as session:
            session.ask(messages.create("first"))
            session.ask(messages.locate())
        assert node.ready["metrics"]
    finally:
        node.stop()


def test_it_serves_where_memory_is_never_writable_and_executable(tmp_path: Path) -> None:
    probe = subprocess.run([sys.executable, "-c", REFUSE_NEW_CODE, "/bin/true"], check=False, timeout=30)
    if probe.returncode:
        skip_or_fail("a kernel with PR_SET_MDWE (6.3)")
    serves(DevNode(tmp_path, prefix=[sys.executable, "-c", REFUSE_NEW_CODE]))


def test_it_asks_the_kernel_for_nothing_that_the_unit_filters(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    serves(DevNode(tmp_path, prefix=[tool("strace"), "-f", "-qq", "-e", "signal=none", "-o", str(trace)]))
    lines = trace.read_text(errors="replace").splitlines()
    asked = {found[1] for line in lines if (found := re.match(r"\d+ +([a-z_0-9]+)\(", line))}
    assert {"mlockall", "accept4", "fdatasync"} <= asked
    assert not asked - (allowed("@system-service") | allowed("@default"))
    as_root = {"fchown"} if os.geteuid() == 0 else set()  # SQLite gives its files to the database's owner, as root only
    assert not asked & allowed("@privileged") - as_root


def allowed(name: str) -> set[str]:
    """System calls of a set of systemd's, sets within it resolved."""
    calls: set[str] = set()
    for line in told(tool("systemd-analyze"), "syscall-filter", "--no-pager", name).splitlines()[1:]:
        word = line.strip()
        if word and not word.startswith("#"):
            calls |= allowed(word) if word.startswith("@") else {word}
    return calls
