"""A real PostgreSQL server of the test run's own: a throw-away cluster, one database for each store.

It listens on a Unix socket only, in a folder that only its user enters. As PostgreSQL refuses to run as root, it runs
as another user then.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from keystead.storage.postgresql import PostgresqlStore, open_store
from keystead.storage.postgresql_creation import create_store
from tests.support.components import skip_or_fail
from tests.support.stores import KEYS

PORT = 5432
ROLE = "keystead"
TEMPLATE = "empty_store"
START_S_MAX = 30
VERSION_MIN = 15
MISSING = f"PostgreSQL {VERSION_MIN} or newer (on Debian: apt-get install postgresql)"

_SETTINGS = {
    "listen_addresses": "''",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "autovacuum": "off",  # a database cannot be copied while somebody cleans in it
    "log_min_messages": "log",
    "max_wal_size": "1GB",
}
STORES_KEPT_COUNT = 10
_numbers = itertools.count(1)
_stores: deque[str] = deque()


@dataclass
class Server:
    """A cluster and the process that serves it."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def port(self) -> int:
        """Of TCP, if it listens there; also part of the socket's name."""
        return int(self.settings.get("port", PORT))

    @property
    def socket(self) -> Path:
        return self.folder / f".s.PGSQL.{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres", host: Path | None = None) -> str:
        return f"postgresql://{ROLE}@/{database}?host={host or self.folder}&port={self.port}"

    @property
    def version(self) -> str:
        ((version,),) = self.execute("SHOW server_version")
        return f"PostgreSQL {version}"

    def create(self) -> None:
        """Make the cluster."""
        if os.geteuid() == 0:
            os.chown(self.folder, _account().pw_uid, _account().pw_gid)
        options = ["--auth=trust", f"--username={ROLE}", "--encoding=UTF8", "--locale=C", "--no-sync"]
        done = self._run([str(_programs() / "initdb"), f"--pgdata={self.data}", *options])
        assert done.returncode == 0, done.stdout.decode()

    def start(self) -> None:
        """Serve; returns once a connection is accepted."""
        settings = [f"-c{name}={value.strip(chr(39))}" for name, value in (_SETTINGS | self.settings).items()]
        dying = ["setpriv", "--pdeathsig", "QUIT"]  # with the test run, however that ends
        command = [*dying, str(_programs() / "postgres"), "-D", str(self.data), "-k", str(self.folder), *settings]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **_as_account())
        ends_s = time.monotonic() + START_S_MAX
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < ends_s, "PostgreSQL does not start"
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT = at once and orderly, SIGQUIT = at once, as a crash; returns when it has ended."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_S_MAX)
            self._process = None

    def execute(self, statement: str, parameters: Sequence[Any] = (), database: str = "postgres") -> list[Any]:
        """Run a statement as the owner of everything."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement, parameters or None, binary=True)
            return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]

    def new_database(self, template: str = TEMPLATE) -> str:
        """A database with an empty store, or a copy of another one."""
        name = f"store_{os.getpid()}_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def end_connections(self, database: str) -> None:
        """What a restart does to those who are connected to a database."""
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
        while self.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", [database]):
            time.sleep(0.005)

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=60, **_as_account()
        )

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True


def new_server(*, on_disk: bool = False, **settings: str) -> Server:
    """A server that a test may stop, kill and start; removed when the run ends."""
    memory = Path("/dev/shm")  # what is flushed there is quick; nothing here cuts the power
    is_quick = os.access(memory, os.W_OK) and not on_disk
    folder = Path(tempfile.mkdtemp(prefix="ks-pg-", dir=memory if is_quick else None))
    server = Server(folder, settings)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.stop, signal.SIGQUIT)
    _programs()
    server.create()
    server.start()
    server.execute(f"CREATE DATABASE {TEMPLATE}")
    create_store(server.url(TEMPLATE), KEYS, {"dev": "1"}, insecure_no_flush=True)
    return server


@cache
def shared_server() -> Server:
    """The server of this test process, for tests that leave it alone."""
    return new_server()


def new_store(_folder: Path | None = None, **options: Any) -> PostgresqlStore:
    """A new store in a database of its own, which is there until this has made some more."""
    server = shared_server()
    _forget_some(server)
    name = server.new_database()
    _stores.append(name)
    return open_store(server.url(name), KEYS, **options)


def _forget_some(server: Server) -> None:
    """Drop what tests of long ago have left: thousands of databases would fill the memory."""
    for name in [_stores.popleft() for _ in range(len(_stores) - STORES_KEPT_COUNT)]:
        with contextlib.suppress(psycopg.errors.ObjectInUse):  # a fixture of many tests has it open
            server.execute(f"DROP DATABASE {name}")


def installed() -> list[Path]:
    """Folders with the programs of versions that will do, the newest last."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    found = [path for path in found if int(path.parent.name) >= VERSION_MIN]
    return sorted(found, key=lambda path: int(path.parent.name))


@cache
def _programs() -> Path:
    """The newest version that is installed; without one the test is skipped, or fails when CI=true."""
    return (installed() or [skip_or_fail(MISSING)])[-1]


@cache
def _account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return skip_or_fail("an account other than root, for PostgreSQL to run as")


def _as_account() -> dict[str, Any]:
    """Who runs the server's programs, where they run, and that they end with nobody else's Ctrl-C."""
    own: dict[str, Any] = {"cwd": "/", "process_group": 0}
    if os.geteuid() != 0:
        return own
    return own | {"user": _account().pw_uid, "group": _account().pw_gid, "extra_groups": []}
