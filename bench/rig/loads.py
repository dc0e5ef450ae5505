"""Loads of the C client (bench/native/load.c) on a server, with the server's own CPU time."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.rig import machine, native
from bench.rig.servers import Server
from tests.support.kmip import messages

GRACE_S = 60


@dataclass(frozen=True)
class Load:
    """What to put on a server; see load.c for the modes.

    Attributes:
        parts: request lists; connection i sends those of part i modulo their number, as that client of the server.
        options: further options of the load client.
    """

    parts: Sequence[Sequence[bytes]]
    connections: int = 8
    seconds: float = 1.0
    mode: str = "steady"
    busy: bool = True
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """Figures of one load; latencies in microseconds, server CPU time per operation, warm-up included."""

    operations: int
    failed: int
    per_s: float
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    max_us: float
    seconds: float
    server_cpu_us: float

    def as_json(self) -> dict[str, float]:
        return asdict(self)


class LoadFailed(Exception):
    """The load client gave up, or the server refused requests: the figures would mean nothing."""


def run(server: Server, load: Load) -> Measured:
    """Put the load on the server and measure.

    Raises:
        LoadFailed: see the class.
    """
    _, core = machine.cores()
    with tempfile.TemporaryDirectory() as scratch:
        reply = Path(scratch) / "reply"
        command = [
            str(native.program("load")),
            "--port",
            str(server.port),
            "--authority",
            str(server.clients[0].authority),
        ]
        for number, requests in enumerate(load.parts):
            path = Path(scratch) / f"requests-{number}"
            path.write_bytes(b"".join(requests))
            client = server.clients[number % len(server.clients)]
            command += ["--part", f"{client.certificate},{client.key},{path}"]
        command += [
            "--connections",
            str(load.connections),
            "--seconds",
            str(load.seconds),
            "--mode",
            load.mode,
            "--tls",
            server.tls,
        ]
        command += [*(["--busy"] if load.busy else []), "--save", str(reply), *load.options]
        before_s = machine.cpu_s(server.pid)
        done = subprocess.run(
            machine.on_core(core, *command), capture_output=True, text=True, timeout=load.seconds + GRACE_S, check=False
        )
        used_s = machine.cpu_s(server.pid) - before_s
        if done.returncode:
            raise LoadFailed(f"{server.name}, {load.mode}: {done.stderr.strip()}")
        figures = json.loads(done.stdout)
        if figures["failed"]:
            raise LoadFailed(f"{server.name}, {load.mode}: {figures['failed']} requests refused: {_said(reply)}")
    names = set(Measured.__dataclass_fields__) - {"server_cpu_us"}
    return Measured(**{name: figures[name] for name in names}, server_cpu_us=used_s * 1e6 / figures["operations_all"])


def _said(reply: Path) -> str:
    message = messages.parse(reply.read_bytes())
    return "; ".join(str(item.value) for item in message.find(messages.RESULT_MESSAGE))
