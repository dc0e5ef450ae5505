"""openCryptoki's software token for tests, in a world of its own: its daemon, its folders and its shared memory.

Its paths are compiled in, so the calling thread and what it starts move into mount and IPC namespaces of their own,
where empty folders lie over the real ones; a token in real use on this machine is never seen. That takes root.
"""

import ctypes
import grp
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keystead.core.secret import Secret
from tests.support.components import skip_or_fail
from tests.support.tokens import TokenBench

LIBRARY_PLACES = (
    "/usr/lib/x86_64-linux-gnu/pkcs11/libopencryptoki.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/libopencryptoki.so",
    "/usr/lib64/pkcs11/libopencryptoki.so",
)
MAKER_PIN = "87654321"  # of every new token, as its manual says
SOCKET = Path("/run/pkcsslotd.socket")
TOKENS = ("first", "second", "third")
START_S_MAX = 5.0
_NEW = {"mnt": 0x00020000, "ipc": 0x08000000}
_PRIVATE = 0x4000 | 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def opencryptoki(_folder: Path) -> Iterator[TokenBench]:
    """An openCryptoki token that was never used."""
    found = [place for place in LIBRARY_PLACES if Path(place).exists()]
    daemon = shutil.which("pkcsslotd", path="/usr/sbin:/usr/bin")
    if not found or daemon is None:
        skip_or_fail("opencryptoki")
    if os.geteuid() != 0:
        skip_or_fail("root, to run opencryptoki apart from the machine's own")
    with _apart():
        _furnish()
        slots = subprocess.Popen([daemon, "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _await(SOCKET)
        bench = TokenBench(library=found[0], maker_pin=Secret(MAKER_PIN.encode()), user_countdown=(9, 1, 0))
        try:
            yield bench
        finally:
            for each in (bench, *bench.others):
                each.close()
            slots.kill()
            slots.wait()


@contextmanager
def _apart() -> Iterator[None]:
    """Be in namespaces of our own."""
    here = Path.cwd()
    former = {kind: os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in _NEW}
    try:
        if _libc.unshare(sum(_NEW.values())) != 0:
            skip_or_fail("the right to make namespaces (CAP_SYS_ADMIN), for opencryptoki")
        try:
            _done(_libc.mount(b"none", b"/", None, _PRIVATE, None))
            for folder in ("/etc/opencryptoki", "/var/lib/opencryptoki", "/run", "/dev/shm"):
                _done(_libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, None))
            yield
        finally:
            for kind, descriptor in former.items():
                _done(_libc.setns(descriptor, _NEW[kind]))
            os.chdir(here)
    finally:
        for descriptor in former.values():
            os.close(descriptor)


def _furnish() -> None:
    group = grp.getgrnam("pkcs11").gr_gid
    slots = "".join(
        f"slot {number}\n{{\nstdll = libpkcs11_sw.so\ntokname = {name}\n}}\n" for number, name in enumerate(TOKENS)
    )
    Path("/etc/opencryptoki/opencryptoki.conf").write_text("version opencryptoki-3.1\n" + slots)
    for name in TOKENS:
        for folder in (f"/var/lib/opencryptoki/{name}/TOK_OBJ", f"/run/lock/opencryptoki/{name}"):
            Path(folder).mkdir(parents=True)
            os.chown(folder, 0, group)
            os.chown(Path(folder).parent, 0, group)
    Path("/run/lock/opencryptoki/swtok").mkdir()


def _await(file: Path) -> None:
    deadline_s = time.monotonic() + START_S_MAX
    while not file.exists():
        assert time.monotonic() < deadline_s, "pkcsslotd did not start"
        time.sleep(0.02)


def _done(status: int) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
