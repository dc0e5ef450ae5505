"""Keeping a process's memory to itself: no core, no debugger, no swap; and an end together with its parent.

Law: what the system does not allow is reported, never silently left out. With a small limit for locked memory nothing
is locked as a whole, or allocations would fail later: then only the pages of held keys are (trust.locked_memory).

Source: prctl(2), mlockall(2), core(5); design.md section 6 ("cores and swap"); attacks.md class 44; KS-HSM-050.
"""

import ctypes
import os
import resource
import signal
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from keystead.core.translation import mark, tr

_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MCL_ONFAULT = 4  # without it the stacks of idle threads alone cost 100 MB
_CAP_IPC_LOCK = 1 << 14
_libc = ctypes.CDLL(None, use_errno=True)


class Memory(StrEnum):
    """What is kept out of swap."""

    ALL = mark("all memory is locked")
    HELD_KEYS = mark("only the pages of held keys are locked; raise the limit of locked memory (LimitMEMLOCK=infinity)")


@dataclass(frozen=True, slots=True)
class HardeningReport:
    """What the system allowed.

    Attributes:
        core_dumps_off: A crash writes no core.
        undumpable: No core, and no other process of the same user may read the memory or attach a debugger.
        memory: What is kept out of swap.
        dies_with_parent: The process is killed when its parent ends.
    """

    core_dumps_off: bool
    undumpable: bool
    memory: Memory
    dies_with_parent: bool

    def __str__(self) -> str:
        """Say it in a line for the log."""
        core = tr("no cores") if self.core_dumps_off and self.undumpable else tr("CORES ARE POSSIBLE")
        return f"{core}; {tr(self.memory.value)}"


def harden(*, parent_pid: int | None = None) -> HardeningReport:
    """Harden the calling process; call it before the first secret is read.

    Args:
        parent_pid: Be killed when this parent ends, also if it has ended already; None = live on.
    """
    dies_with_parent = parent_pid is not None and _die_with(parent_pid)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return HardeningReport(
        core_dumps_off=resource.getrlimit(resource.RLIMIT_CORE) == (0, 0),
        undumpable=_libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 0,
        memory=_lock_memory(),
        dies_with_parent=dies_with_parent,
    )


def may_lock_all_memory() -> bool:
    """Tell whether locked memory is unlimited for this process: by its limit or by CAP_IPC_LOCK."""
    _, hard_bytes = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if hard_bytes == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard_bytes, hard_bytes))
        return True
    return bool(_effective_capabilities() & _CAP_IPC_LOCK)


def _lock_memory() -> Memory:
    if may_lock_all_memory() and _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0:
        return Memory.ALL
    return Memory.HELD_KEYS


def _die_with(parent_pid: int) -> bool:
    is_asked: bool = _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0
    if os.getppid() != parent_pid:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGKILL)
    return is_asked


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16)
    return 0
