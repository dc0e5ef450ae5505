"""Each test hardens a child process: hardening cannot be taken back."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keystead.appliance.hardening import may_lock_all_memory

TIMEOUT_S = 30
CANARY = "canary key bytes"
HARDEN = "from keystead.appliance.hardening import *\nimport ctypes, os, resource, signal, sys\nreport = harden()\n"
# Changing the user makes a process undumpable; the last line takes that back, so that the control is one.
UNPRIVILEGED = "import ctypes, os\nos.setgid(65534)\nos.setuid(65534)\nctypes.CDLL(None).prctl(4, 1, 0, 0, 0)\n"
SMALL_LIMIT = "import resource\nresource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 20, 1 << 20))\n"
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def run(code: str, folder: Path, limit_core_bytes: int = resource.RLIM_INFINITY) -> subprocess.CompletedProcess[str]:
    """Run Python in a child that would be allowed a core."""
    code = f"import resource\nresource.setrlimit(resource.RLIMIT_CORE, ({limit_core_bytes},) * 2)\n" + code
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def dumps_core(code: str, folder: Path) -> bool:
    """Abort a child that holds a secret; whether the kernel dumped it."""
    abort = f"import os, resource\n{code}\nsecret = '{CANARY}'\nos.abort()"
    raise_limit = "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)\n"
    process = subprocess.Popen([sys.executable, "-c", raise_limit + abort], cwd=folder, stderr=subprocess.DEVNULL)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = 0
    assert os.WTERMSIG(status) == signal.SIGABRT
    return os.WCOREDUMP(status)


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY, reason="cores not allowed")
def test_an_aborted_process_leaves_no_core(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    if not dumps_core("", tmp_path / "plain"):
        pytest.skip("this system writes no cores at all")
    (tmp_path / "hardened").mkdir()
    assert not dumps_core(HARDEN, tmp_path / "hardened")
    assert not list((tmp_path / "hardened").iterdir())


def test_the_report_is_what_the_kernel_says(tmp_path: Path) -> None:
    code = HARDEN + (
        "limits = resource.getrlimit(resource.RLIMIT_CORE)\n"
        "dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)\n"
        "print(limits, dumpable, report.core_dumps_off, report.undumpable, report.dies_with_parent)\n"
        "print(report)"
    )
    lines = run(code, tmp_path).stdout.splitlines()
    assert lines[0] == "(0, 0) 0 True True False"
    assert lines[1].startswith("no cores; ")


@is_root
def test_an_undumpable_process_is_closed_to_its_own_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    look = (
        "reader = os.fork()\n"
        "if reader == 0:\n"
        "    try:\n"
        "        open(f'/proc/{os.getppid()}/environ').read()\n"
        "    except PermissionError:\n"
        "        os._exit(7)\n"
        "    os._exit(0)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]))"
    )
    imports = "import os, keystead.appliance.hardening\n"
    assert run(imports + UNPRIVILEGED + look, tmp_path).stdout == "0\n"
    assert run(imports + UNPRIVILEGED + HARDEN + look, tmp_path).stdout == "7\n"


LOCKED = (
    "print(next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmLck')), report.memory.name)"
)


@pytest.mark.row("KS-HSM-050")
@pytest.mark.skipif(not may_lock_all_memory(), reason="locked memory is limited here")
def test_memory_is_locked_where_that_is_allowed(tmp_path: Path) -> None:
    locked_kib, memory = run(HARDEN + LOCKED, tmp_path).stdout.split()
    assert memory == "ALL"
    assert int(locked_kib) > 1_000


@pytest.mark.row("KS-HSM-050")
@is_root
def test_with_a_small_limit_only_the_pages_of_held_keys_are_locked(tmp_path: Path) -> None:
    hold = (
        "from keystead.core.secret import Secret\n"
        "from keystead.trust.locked_memory import LockedSecret\n"
        "held = LockedSecret(Secret(b'key'))\n"
    )
    imports = "import keystead.appliance.hardening, keystead.trust.locked_memory, cryptography\n"
    code = (
        imports
        + SMALL_LIMIT
        + UNPRIVILEGED
        + HARDEN
        + hold
        + LOCKED
        + "\nbig = bytearray(50_000_000); print(held.locked)"
    )
    done = run(code, tmp_path)
    page_kib = resource.getpagesize() // 1024
    assert done.stdout.split() == [str(2 * page_kib), "HELD_KEYS", "True"], done.stderr


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    child = HARDEN.replace("harden()", "harden(parent_pid=os.getppid())") + (
        "print(os.getpid(), report.dies_with_parent, flush=True)\nsignal.pause()"
    )
    parent = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {child!r}]).wait()"
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid, dies = process.stdout.readline().split()
    assert dies == "True"
    process.kill()
    process.wait(TIMEOUT_S)
    assert process.stdout.read() == ""  # the child held the other end of this pipe
    process.stdout.close()
    assert is_gone(int(pid))


def is_gone(pid: int) -> bool:
    for _ in range(100):
        try:
            if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_a_child_whose_parent_is_gone_already_does_not_stay(tmp_path: Path) -> None:
    code = HARDEN.replace("harden()", "harden(parent_pid=1 << 22)") + "print('still here')"
    done = run(code, tmp_path)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == ""
