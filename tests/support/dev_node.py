"""A `keystead dev` node as a process of its own, driven only through what docs/node-contract.md promises."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.kmip.sessions import Client, Session

READY_S_MAX = 60
STOP_S_MAX = 5


class NotReady(Exception):
    """The node ended, or wrote no ready file in time; the message holds the end of what it said."""


@dataclass
class DevNode:
    """One data folder and the process that serves it; start and kill it as often as wanted.

    Attributes:
        folder: holds `data`, the ready file and the node's output.
        settings: SECTION.FIELD=VALUE for --set.
        prefix: command that runs the node's command (taskset …).
        environment: further variables.
        store: address of a database for --store.
        web: with the web door, which takes a second of processor time to start.
        ssh: with the command line over SSH; without `web` its administrator has to set another password first.
    """

    folder: Path
    settings: Sequence[str] = ()
    prefix: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    store: str = ""
    web: bool = False
    ssh: bool = False
    ready: dict[str, Any] = field(default_factory=dict, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def _ready_file(self) -> Path:
        return self.folder / "ready.json"

    @property
    def output(self) -> Path:
        return self.folder / "output.txt"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        """Of the KMIP server."""
        return int(self.ready["kmip"]["port"])

    def client(self, user: str = "alice") -> Client:
        entry = next(entry for entry in self.ready["clients"] if entry["user"] == user)
        return Client(Path(entry["certificate"]), Path(entry["key"]), Path(self.ready["ca_certificate"]))

    def session(self, user: str = "alice") -> Session:
        return Session(self.port, self.client(user))

    def start(self) -> float:
        """Serve; returns the seconds from exec to ready.

        Raises:
            NotReady: see the class.
        """
        begun = time.monotonic()
        process = self.begin()
        while not self._ready_file.exists():
            if process.poll() is not None or time.monotonic() > begun + READY_S_MAX:
                status = process.returncode
                self.kill()
                raise NotReady(f"exit status {status}; it said:\n{self.output.read_text()[-4000:]}")
            time.sleep(0.01)
        self.ready = json.loads(self._ready_file.read_text())
        return time.monotonic() - begun

    def begin(self) -> subprocess.Popen[bytes]:
        """Start the process without waiting until it serves."""
        self._ready_file.unlink(missing_ok=True)
        left_out = [f"{name}.enabled=false" for name in ("web", "ssh") if not getattr(self, name)]
        settings = [*self.settings, *left_out]
        options = [word for setting in settings for word in ("--set", setting)]
        options += ["--store", self.store] if self.store else []
        place = ["--data", str(self.data), "--ready-file", str(self._ready_file)]
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*self.prefix, *keystead(), "dev", *place, *options],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,  # no session of its own, which Linux would schedule as a rival group (bench)
            )
        return self._process

    def stop(self) -> None:
        """End it as a service manager would; killed if it takes longer than promised.

        Raises:
            subprocess.TimeoutExpired: it had to be killed.
        """
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(STOP_S_MAX)
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole process group; returns when none of it is left."""
        if self._process is None:
            return
        group = self._process.pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self._process.wait()
        while _is_alive(group):
            time.sleep(0.002)
        self._process = None

    def verify(self) -> subprocess.CompletedProcess[str]:
        """`keystead verify` of the data folder, which no process may be serving."""
        command = [*keystead(), "verify", "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def keystead() -> list[str]:
    """The command beside the interpreter that runs this."""
    return [str(Path(sys.executable).with_name("keystead"))]


def _is_alive(group: int) -> bool:
    """Whether a process of the group still runs; a dead orphan that init has not reaped yet does not count."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, member_of, *_ = stat.read_text().rpartition(")")[2].split()
            if int(member_of) == group and state not in "ZX":
                return True
    return False
