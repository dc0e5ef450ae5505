"""The servers that are compared, each pinned to the server core and reached over mutual TLS on loopback."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.rig import certificates, machine, native
from keystead.__main__ import main as keystead
from tests.support.dev_node import DevNode
from tests.support.kmip.sessions import Client, Session

START_S_MAX = 30

PYKMIP_CONFIG = """[server]
hostname=127.0.0.1
port={port}
certificate_path={server.certificate}
key_path={server.key}
ca_path={server.authority}
auth_suite=TLS1.2
policy_path={folder}
enable_tls_client_auth=True
logging_level=WARNING
database_path={folder}/pykmip.db
"""


@dataclass(frozen=True)
class Server:
    """Where a load goes.

    Attributes:
        name: as printed in tables.
        port: on loopback.
        pid: of the process whose family's CPU time counts.
        clients: who may ask; load connections take turns.
        tls: "1.3" or "1.2".
    """

    name: str
    port: int
    pid: int
    clients: tuple[Client, ...]
    tls: str = "1.3"

    def session(self, client: int = 0) -> Session:
        return Session(self.port, self.clients[client])


class DidNotStart(Exception):
    """A server to compare with ended or did not listen in time."""


@contextlib.contextmanager
def echo(folder: Path) -> Iterator[Server]:
    """The C echo server: what TLS and the kernel leave possible."""
    folder.mkdir()
    server, client = certificates.issue(folder)
    core, _ = machine.cores()
    command = machine.on_core(core, native.program("echo"), server.certificate, server.key, server.authority)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Server("C echo", int(process.stdout.readline()), process.pid, (client,))
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def pykmip(folder: Path) -> Iterator[Server]:
    """PyKMIP's server with its SQLite database, as its documentation configures it."""
    folder.mkdir()
    server, client = certificates.issue(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    (folder / "server.conf").write_text(PYKMIP_CONFIG.format(port=port, server=server, folder=folder))
    core, _ = machine.cores()
    script = Path(__file__).with_name("pykmip_server.py")
    command = machine.on_core(core, sys.executable, "-P", script, folder / "server.conf", folder / "server.log")
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={"PATH": "/usr/bin:/bin"}, start_new_session=True
        )
    try:
        _wait_for(port, process, folder / "output.txt")
        yield Server("PyKMIP", port, process.pid, (client,), tls="1.2")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it has a process of its own for its policies
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise DidNotStart(f"port {port}: {output.read_text()[-2000:]}")


@contextlib.contextmanager
def node(folder: Path, settings: Sequence[str] = (), *, web: bool = False) -> Iterator[tuple[Server, DevNode]]:
    """A `keystead dev` node, both of its processes on the server core."""
    folder.mkdir()
    core, _ = machine.cores()
    served = DevNode(folder, settings, machine.on_core(core), web=web)
    served.start()
    try:
        users = [str(entry["user"]) for entry in served.ready["clients"]]
        yield Server("keystead", served.port, served.pid, tuple(served.client(user) for user in users)), served
    finally:
        served.stop()


def add_users(served: DevNode, count: int) -> tuple[Client, ...]:
    """Further users of the node, each with a client certificate of its authority, made by the command's own words.

    Raises:
        DidNotStart: the node refused one; the command said why.
    """
    folder = served.folder / "users"
    folder.mkdir()
    authority = Path(served.ready["ca_certificate"])
    return tuple(_add_user(served.data, authority, folder / f"load{number}") for number in range(count))


def _add_user(data: Path, authority: Path, out: Path) -> Client:
    """In this process: a hundred starts of the command would take longer than many a measurement."""
    for words in (["user", "create", out.name], ["client-certificate", out.name, "--out", str(out)]):
        with contextlib.redirect_stdout(io.StringIO()):
            status = keystead([*words, "--data", str(data)])
        if status:
            raise DidNotStart(f"keystead {' '.join(words)} ended with status {status}")
    return Client(out.with_suffix(".pem"), out.with_suffix(".key"), authority)
