"""The supervisor: starts the `keys` and `admin` processes, restarts one that crashed, stops both.

It is small on purpose: no store, no key, no socket of its own. Children die with it.

Source: design.md section 4; node-contract.md; requirements KS-SVC (a crashed service is restarted).
"""

import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from keystead.core.errors import Unavailable
from keystead.node.folder import NodeConfig, make_folders

READY_S_MAX = 50.0
STOP_S_MAX = 4.0
RESTART_DELAY_S = (0.1, 0.5, 2.0, 5.0)
STEADY_S = 30.0
POLL_S = 0.2

log = logging.getLogger("keystead.supervisor")


@dataclass(slots=True)
class Child:
    """One process of the node.

    Attributes:
        role: "keys" or "admin".
        words: Arguments, made anew for each start from the ports it had before.
        ports: What it reported when it was ready.
    """

    role: str
    words: Callable[[dict[str, int]], list[str]]
    process: subprocess.Popen[bytes] | None = None
    ports: dict[str, int] = field(default_factory=dict)
    started_s: float = 0.0
    crashes_count: int = 0

    def start(self) -> int:
        """Start the process; return the descriptor on which it reports that it serves."""
        receive, send = os.pipe()
        os.set_inheritable(send, True)  # the standard library's signature
        command = [
            sys.executable,
            "-m",
            "keystead",
            f"_{self.role}",
            *self.words(self.ports),
            str(os.getpid()),
            str(send),
        ]
        self.process = subprocess.Popen(command, pass_fds=(send,), stdin=subprocess.DEVNULL)  # our own
        self.started_s = time.monotonic()
        os.close(send)
        return receive

    def await_ready(self, receive: int, deadline_s: float) -> None:
        """Wait until the process serves.

        Raises:
            Unavailable: it ended or did not get ready in time; the system log says why.
        """
        data = b""
        try:
            while not data.endswith(b"\n"):
                readable, _, _ = select.select([receive], [], [], max(0.0, deadline_s - time.monotonic()))
                part = os.read(receive, 4096) if readable else b""
                if not part:
                    raise Unavailable(
                        f"the {self.role} process did not start; see the system log", "unavailable.stopping"
                    )
                data += part
        finally:
            os.close(receive)
        self.ports.update(json.loads(data))


class Supervisor:
    """Runs a node until it is told to stop.

    Args:
        config: Of the node.
        unlock: Folder with the crypto user's token and PIN, or None.
        serving: Production rules hold in the children.
    """

    def __init__(self, config: NodeConfig, unlock: Path | None, *, serving: bool) -> None:
        self._config = config
        data = str(config.data)
        credentials = str(unlock) if unlock is not None else ""
        rules = "serving" if serving else "dev"
        self._children = [
            Child(
                "keys", lambda ports: [data, str(ports.get("kmip", "")), str(ports.get("xml", "")), credentials, rules]
            ),
            Child("admin", lambda ports: [data, json.dumps(ports)]),
        ]
        self._told, self._tell = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_soon)

    def ports(self) -> dict[str, int]:
        """Return service -> port of everything that serves."""
        return {name: port for child in self._children for name, port in child.ports.items()}

    def start(self) -> None:
        """Start both processes side by side and wait until they serve.

        Raises:
            Unavailable: one of them did not start.
        """
        make_folders(self._config)
        deadline_s = time.monotonic() + READY_S_MAX
        receivers = [child.start() for child in self._children]
        try:
            for child, receive in zip(self._children, receivers, strict=True):
                child.await_ready(receive, deadline_s)
        except Unavailable:
            self.stop()
            raise

    def run(self) -> int:
        """Look after the processes until a signal asks to stop; return the exit status."""
        while not self._is_told(POLL_S):
            for child in self._children:
                if child.process is not None and child.process.poll() is not None and not self._is_told(0):
                    self._restart(child)
        self.stop()
        return 0

    def stop(self) -> None:
        """Stop both processes within a few seconds."""
        running = [c.process for c in self._children if c.process is not None and c.process.poll() is None]
        for process in running:
            process.terminate()
        deadline_s = time.monotonic() + STOP_S_MAX
        for process in running:
            try:
                process.wait(max(0.1, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _restart(self, child: Child) -> None:
        status = child.process.returncode if child.process is not None else "?"
        steady = time.monotonic() - child.started_s > STEADY_S
        child.crashes_count = 0 if steady else child.crashes_count + 1
        delay_s = RESTART_DELAY_S[min(child.crashes_count, len(RESTART_DELAY_S) - 1)]
        log.error("the %s process ended with status %s; it is started again in %.1f s", child.role, status, delay_s)
        if not self._is_told(delay_s):
            try:
                child.await_ready(child.start(), time.monotonic() + READY_S_MAX)
            except Unavailable as error:
                log.error("%s", error.message)

    def _is_told(self, wait_s: float) -> bool:
        """Wait for the word to stop; a pipe, as a signal handler may take no lock."""
        return bool(select.select([self._told], [], [], wait_s)[0])

    def _stop_soon(self, _number: int, _frame: object) -> None:
        os.write(self._tell, b".")
