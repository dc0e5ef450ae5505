"""The machine under the measurements: which core runs what, what a process used, what the disk can do."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PROCESS_CPU_CLOCK = 2  # CPUCLOCK_SCHED in clock_getcpuclockid(3)'s numbering of other processes' clocks
PRIORITY = -10  # of servers, clients and the neighbour alike
BUSY_LOOP = "while True: pass"
LATENCY_REQUESTS = Path("/dev/cpu_dma_latency")  # microseconds as 32 bits (kernel documentation, PM QoS)


def cores() -> tuple[int, int]:
    """Server core and client core; the same one twice where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def on_core(core: int, *command: str | Path) -> list[str]:
    """The command, pinned, and ahead of other work on this machine where that is allowed."""
    first = ["nice", "-n", str(PRIORITY)] if os.geteuid() == 0 else []
    return ["taskset", "--cpu-list", str(core), *first, *map(str, command)]


@contextlib.contextmanager
def ahead() -> Iterator[None]:
    """Let this session go before other sessions where that is allowed; priorities alone do not (autogroup)."""
    group = Path("/proc/self/autogroup")
    if os.geteuid() != 0 or not group.exists():
        yield
        return
    before = group.read_text().split()[-1]
    group.write_text(str(PRIORITY))
    try:
        yield
    finally:
        group.write_text(before)


def family(pid: int) -> list[int]:
    """The process and all its descendants that are alive."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    return found


def cpu_s(pid: int) -> float:
    """Seconds that the process and its living descendants ran, threads that ended included (their CPU clocks)."""
    total_s = 0.0
    for member in family(pid):
        with contextlib.suppress(OSError):
            total_s += time.clock_gettime(~member << 3 | PROCESS_CPU_CLOCK)
    return total_s


def resident_bytes(pid: int) -> int:
    """What the process holds in memory, shared libraries included."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024


@contextlib.contextmanager
def burning(core: int, *, like: int) -> Iterator[None]:
    """A Python loop that burns the core meanwhile, in the session of servers and clients.

    Where the kernel groups sessions (autogroup), priorities count within a session only: a loop in one of its own takes
    a tenth of the core, 4 ms at a time, from whatever it should yield to.

    Args:
        core: to burn.
        like: process whose priority the loop takes.
    """
    nice = os.getpriority(os.PRIO_PROCESS, like) - os.getpriority(os.PRIO_PROCESS, 0)
    command = ["taskset", "--cpu-list", str(core), "nice", "-n", str(nice), sys.executable, "-S", "-c", BUSY_LOOP]
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """Both cores kept from halting where that is allowed: in a virtual machine, waking one costs more than a request.

    Asked of the kernel, whose idle loop then polls. A process of lowest priority that burns the core is no substitute:
    the kernel's own threads, that pass on what a disk has flushed, wait for the next tick before they take its place,
    and each flush then takes 4 or 8 ms. Where the kernel cannot be asked, cores halt as they do for everybody.
    """
    with ahead(), contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            request = stack.enter_context(LATENCY_REQUESTS.open("wb", buffering=0))  # holds for as long as it is open
            request.write(bytes(4))
        yield


def flushes_per_s(folder: Path, seconds: float = 1.0) -> float:
    """How often a second one thread can append 4 KiB to a file and have it flushed by fdatasync."""
    path = folder / "flush-rate"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        begun, count = time.monotonic(), 0
        while time.monotonic() < begun + seconds:
            os.write(fd, bytes(4096))
            os.fdatasync(fd)
            count += 1
        return count / (time.monotonic() - begun)
    finally:
        os.close(fd)
        path.unlink()


def description() -> dict[str, str | int | float]:
    """What a reader needs to judge the figures."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average_1_min": round(os.getloadavg()[0], 2),
    }
