"""What the demos share: telling the story, running the command, starting and killing nodes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

KEYSTEAD = [sys.executable, "-m", "keystead"]
READY_S_MAX = 60.0


class Failure(Exception):
    """Something of the story did not work."""


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def say(text: str) -> None:
    """Print a line of the story."""
    print(f"  {text}", flush=True)


def check(truth: bool, text: str) -> None:
    """Print a line that holds, or end the story."""
    if not truth:
        raise Failure(text)
    say(text)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `keystead` with the words."""
    return subprocess.run([*KEYSTEAD, *words], capture_output=True, text=True, timeout=120, check=False)


@dataclass
class DevNode:
    """A node made by `keystead dev` in a folder.

    Attributes:
        data: Its folder.
        clients: User -> "certificate" and "key" paths.
    """

    data: Path
    kmip_port: int = 0
    xml_port: int = 0
    ca: str = ""
    rest_url: str = ""
    administrator: dict[str, str] = field(default_factory=dict)
    clients: dict[str, dict[str, str]] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def connected(cls, port: int, ca: Path, clients: dict[str, Path]) -> "DevNode":
        """Describe a node that somebody else started."""
        known = {
            name: {"certificate": str(path.with_suffix(".pem")), "key": str(path.with_suffix(".key"))}
            for name, path in clients.items()
        }
        return cls(Path(), port, ca=str(ca), clients=known)

    def start(self) -> None:
        """Start it in a process group of its own and wait until every service answers."""
        ready = self.data.with_name(self.data.name + ".ready.json")
        ready.unlink(missing_ok=True)
        command = [*KEYSTEAD, "dev", "--data", str(self.data), "--ready-file", str(ready)]
        log = self.data.with_name(self.data.name + ".log").open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + READY_S_MAX
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"the node did not start; its words:\n{Path(log.name).read_text()}")
            time.sleep(0.05)
        told = json.loads(ready.read_text())
        self.kmip_port, self.xml_port, self.ca = told["kmip"]["port"], told["xml"]["port"], told["ca_certificate"]
        self.clients = {each["user"]: each for each in told["clients"]}
        self.rest_url, self.administrator = told["rest"]["url"], told["administrator"]

    def kill(self) -> None:
        """End the whole process group at once, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it cleanly."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            self.process.wait(15)


@contextlib.contextmanager
def serve(data: Path) -> Iterator[dict[str, int]]:
    """Run `keystead serve`; yields service -> port."""
    process = subprocess.Popen(
        [*KEYSTEAD, "serve", "--data", str(data)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line.startswith("keystead serves: "):
            raise Failure("keystead serve did not start")
        words = line.removeprefix("keystead serves: ").strip().split(", ")
        yield {word.split(" on port ")[0]: int(word.split(" on port ")[1]) for word in words}
    finally:
        process.terminate()
        process.wait(15)
