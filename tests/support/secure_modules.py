"""Secure modules for tests: in this process with a clock that is set, or each in a process of its own."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from keystead.clients.secure_module import frames
from keystead.core.secret import Secret
from keystead.custody.modules.cloning import Source, Target
from keystead.custody.modules.manufacture import RootSecret, manufacture, new_root
from keystead.custody.modules.messages import Options
from keystead.custody.modules.module import SecureModule
from keystead.custody.modules.store import ModuleStore
from keystead.trust.node_key import NodeKey
from tests.support.modules import SetClock

ADMINISTRATOR, USER, DESTROY = Secret(b"7340182659"), Secret(b"40917356"), Secret(b"958203174650321")
WAIT_S = 30


@dataclass
class Workshop:
    """Makes modules in this process.

    Attributes:
        folder: Of everything.
        clock: Of all modules.
        root: Manufacturing root.
    """

    folder: Path
    clock: SetClock = field(default_factory=SetClock)
    root: RootSecret = field(init=False)

    def __post_init__(self) -> None:
        self.clock.now_us = time.time_ns() // 1000  # TLS looks at the machine's own
        self.root = new_root("Test root", self.clock())

    def module(self, serial: str, root: RootSecret | None = None, place: str | None = None) -> SecureModule:
        """Manufacture a module; `place` names its folder when the serial is taken on purpose."""
        folder, key = self._places(place or serial)
        folder.mkdir()
        NodeKey.generate().write(key)
        maker = root or self.root
        device = manufacture(maker, serial, self.clock())
        return SecureModule(device, maker.root, ModuleStore(folder, key, serial), self.clock)

    def again(self, module: SecureModule, place: str | None = None) -> SecureModule:
        """Start a module anew on what it left."""
        return SecureModule(
            module.device, module.root, ModuleStore(*self._places(place or module.serial), module.serial), self.clock
        )

    def source(self, serial: str = "SOURCE") -> SecureModule:
        """A module that is set up whole and may be cloned."""
        module = self.module(serial)
        module.set_up(ADMINISTRATOR)
        module.set_user_pin(USER)
        module.set_self_destruct_pin(DESTROY)
        module.set_auto_lock(15)
        module.set_cloning(enabled=True)
        return module

    def _places(self, name: str) -> tuple[Path, Path]:
        return self.folder / name, self.folder / f"{name}.key"


Change = Callable[[int, bytes], bytes]
ALL = Options()


def carried(source: Source, target: Target, change: Change = lambda _step, data: data) -> list[bytes]:
    """Carry a cloning to its end, as an honest coordinator; `change` may do something to each carriage."""
    seen = []
    sides: tuple[Source | Target, ...] = (source, target)
    data = target.start()
    for step in range(12):
        data = change(step, data)
        seen.append(data)
        data = sides[step % 2].receive(data)
        if source.is_finished and target.is_finished:
            break
    return seen


def cloned(source: SecureModule, target: SecureModule, options: Options = ALL, *, replace: bool = False) -> None:
    """Clone honestly."""
    carried(Source(source, options), Target(target, replace=replace))


# ------------------------------------------------------------------------------------------------------ in processes


class Fleet:
    """Modules in processes of their own, driven by the programs as people drive them.

    Args:
        folder: Of everything; the hub is in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.hub, self.root = folder, folder / "hub", folder / "root"
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.folder.mkdir(exist_ok=True)
        self.module("found", str(self.root))

    def run(self, program: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program."""
        command = [sys.executable, "-m", f"keystead.clients.{program}", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    def python(self, code: str, *words: str, **environment: str) -> str:
        """Run a piece of Python in a process of its own, and return what it prints."""
        command = [sys.executable, "-c", code, *words]
        environment = {**os.environ, **environment}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
        return done.stdout

    def module(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `keystead-module`."""
        return self.run("secure_module", *words, check=check)

    def coordinator(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `keystead-coordinator`."""
        return self.run("coordinator", *words, check=check)

    def pin_file(self, pin: Secret) -> str:
        """Return a file of mode 0600 with a PIN."""
        path = self.folder / f"pin-{len(list(self.folder.glob('pin-*')))}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pin.reveal() + b"\n")
        return str(path)

    def make(self, serial: str, *words: str) -> None:
        """Manufacture a module and plug it in."""
        root, key = ("--root", str(self.root)), ("--device-key", str(self.folder / f"{serial}.key"))
        self.module("manufacture", str(self.folder / serial), "--serial", serial, *root, *key, *words)
        self.plug(serial)

    def plug(self, serial: str) -> None:
        """Plug a module in and wait until it answers."""
        key = ("--device-key", str(self.folder / f"{serial}.key"))
        words = ["plug", str(self.folder / serial), *key, "--hub", str(self.hub)]
        command = [sys.executable, "-m", "keystead.clients.secure_module", *words]
        with (self.folder / f"{serial}.log").open("a") as log:
            self.processes[serial] = subprocess.Popen(command, stdout=log, stderr=log, text=True)
        deadline_s = time.monotonic() + WAIT_S
        while not (self.hub / f"{serial}.sock").exists():
            assert self.processes[serial].poll() is None, (self.folder / f"{serial}.log").read_text()
            assert time.monotonic() < deadline_s, "the module did not start"
            time.sleep(0.05)

    def own(self, serial: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of a module's owner: `own("A", "unlock", "--pin-file", …)`."""
        return self.module(words[0], str(self.folder / serial), *words[1:], check=check)

    def status(self, serial: str) -> dict[str, object]:
        """Return what a module says of itself."""
        with frames.connect(self.hub / f"{serial}.sock") as connection:
            return frames.ask(connection, {"do": "status"})

    def source(self, serial: str) -> None:
        """Make a module that is set up whole and may be cloned."""
        self.make(serial)
        self.own(serial, "set-up", "--pin-file", self.pin_file(ADMINISTRATOR))
        self.own(serial, "set-pin", "user", "--pin-file", self.pin_file(USER))
        self.own(serial, "cloning", "on")

    def kill(self, serial: str) -> None:
        """End a module's process at once."""
        process = self.processes.pop(serial)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        (self.hub / f"{serial}.sock").unlink(missing_ok=True)

    def enrol(self) -> str:
        """Enrol a coordinator; returns its folder."""
        desk, state = str(self.folder / "desk"), str(self.folder / "coordinator")
        issued = self.coordinator("issue", desk).stdout
        number, pin = re.findall(r"\d{4}-\d{4}-\d{4}", issued)[0], re.findall(r"PIN (\d{8})\n", issued)[0]
        token = issued.split()[-1]
        self.coordinator("confirm", desk, token)
        self.coordinator_pin = self.pin_file(Secret(pin.encode()))
        self.coordinator("register", state, "--desk", desk, "--number", number, "--pin-file", self.coordinator_pin)
        return state

    def end(self) -> None:
        """End all processes."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(10)


@contextlib.contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """Give a fleet, and end its processes."""
    made = Fleet(folder)
    try:
        yield made
    finally:
        made.end()
