"""A throw-away Ceph of Debian on loopback: one monitor, one OSD in memory, one object gateway."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.components import skip_or_fail

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "rados", "radosgw", "radosgw-admin")
COMMAND_S_MAX = 60
START_S_MAX = 90
STOP_S_MAX = 10
RIGHTS = {
    "mon.": ("mon", "allow *"),
    "client.admin": ("mon", "allow *", "osd", "allow *"),
    "client.rgw": ("mon", "allow rw", "osd", "allow rwx"),
    "osd.0": ("mon", "allow profile osd", "osd", "allow *"),
}
ALL = """[global]
fsid = 6f0c1f0e-9d0c-4b43-8b51-2f0c3f7e2b11
mon_host = {monitor}
public_addr = 127.0.0.1
keyring = {folder}/keyring
run_dir = {folder}
log_file = {folder}/$name.log
admin_socket =
mon_data = {folder}/mon
osd_data = {folder}/osd
osd_objectstore = memstore
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
rgw_data = {folder}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{gateway_port}
rgw_crypt_require_ssl = false
"""
"""The last line: the gateway speaks clear HTTP, on loopback only."""


@dataclass(frozen=True)
class Cluster:
    """It runs; `folder` holds ceph.conf and what the daemons say."""

    folder: Path
    gateway_port: int

    @property
    def environment(self) -> dict[str, str]:
        """What Ceph's commands need to find it."""
        return {"CEPH_CONF": str(self.folder / "ceph.conf")}

    def run(self, *command: str) -> bytes:
        """Output of one of its commands, which must end with status 0."""
        environment = os.environ | self.environment
        done = subprocess.run(command, capture_output=True, timeout=COMMAND_S_MAX, check=False, env=environment)
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
        return done.stdout

    def said(self) -> str:
        """The end of the gateway's log."""
        return (self.folder / "client.rgw.log").read_text()[-4000:]


def needs_ceph() -> None:
    """End the test where Ceph's programs are missing."""
    if not all(shutil.which(program) for program in PROGRAMS):
        skip_or_fail("radosgw, ceph-mon and ceph-osd, of Debian's packages with these names")


@contextmanager
def ceph(folder: Path, gateway: str) -> Iterator[Cluster]:
    """Start one in `folder`; `gateway` is the section of ceph.conf that a page shows."""
    first, second, gateway_port = _free_ports(3)
    monitor = f"[v2:127.0.0.1:{first},v1:127.0.0.1:{second}]"
    cluster = Cluster(folder, gateway_port)
    (folder / "ceph.conf").write_text(ALL.format(folder=folder, monitor=monitor, gateway_port=gateway_port) + gateway)
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir()
    keys, monitors = str(folder / "keyring"), str(folder / "monmap")
    cluster.run("ceph-authtool", "--create-keyring", keys)
    for name, rights in RIGHTS.items():
        caps = [word for kind, right in zip(rights[::2], rights[1::2], strict=True) for word in ("--cap", kind, right)]
        cluster.run("ceph-authtool", keys, "--gen-key", "-n", name, *caps)
    cluster.run("monmaptool", "--create", "--addv", "a", monitor, monitors)
    cluster.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors, "--keyring", keys)
    with ExitStack() as running:
        running.enter_context(_daemon(cluster, "ceph-mon", "-i", "a"))
        cluster.run("ceph", "--connect-timeout", "30", "osd", "create")
        cluster.run("ceph-osd", "--mkfs", "-i", "0")
        running.enter_context(_daemon(cluster, "ceph-osd", "-i", "0"))
        running.enter_context(_daemon(cluster, "radosgw", "-n", "client.rgw"))
        _await(gateway_port, cluster)
        yield cluster


@contextmanager
def _daemon(cluster: Cluster, *command: str) -> Iterator[None]:
    with (cluster.folder / f"{command[0]}.txt").open("wb") as output:
        environment = os.environ | cluster.environment
        process = subprocess.Popen([*command, "-f"], stdout=output, stderr=output, env=environment)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(port: int, cluster: Cluster) -> None:
    end = time.monotonic() + START_S_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < end, cluster.said()
            time.sleep(0.1)
        else:
            return


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
