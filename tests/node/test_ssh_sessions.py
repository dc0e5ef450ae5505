"""How long a login over SSH lasts, and what one connection may do; in this process, on a clock of the test's own."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

from keystead.node.folder import NodeConfig
from keystead.node.opening import open_parts
from keystead.node.ssh_door import CHANNELS_COUNT_MAX, CONNECTIONS_COUNT_MAX, PASSWORDS_COUNT_MAX, SshDoor
from keystead.operations.administrators import ChangeAdministrator, SetAdministratorPassword
from keystead.protocols.asking import Asker
from tests.operations.test_administrators import FIRST, OWN, settled
from tests.operations.test_logins import leaves_in
from tests.support.builders import ADMINISTRATOR, Node, a_node

IDLE_S = 15 * 60


@dataclass
class Bench:
    """A door on a gate of its own.

    Attributes:
        now_s: What its clock shows.
    """

    node: Node
    door: SshDoor
    port: int = 0
    now_s: float = 1000.0

    async def connect(self, password: str = OWN.reveal().decode(), user: str = "olga") -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            "127.0.0.1", self.port, username=user, password=password, known_hosts=None, config=[], client_keys=None
        )

    def last_leaf(self) -> bytes:
        """What the audit trail says last."""
        return leaves_in(self.node)[-1]


@asynccontextmanager
async def opened(config: NodeConfig, folder: Path) -> AsyncIterator[Bench]:
    with a_node(folder) as node:
        settled(node, "olga", "admin_ssh", "users_groups")
        asker = Asker(node.gate, (node.objects.refresh, lambda: None))
        clocks: list[Bench] = []
        door = SshDoor(open_parts(config), asker, lambda: clocks[0].now_s)
        clocks.append(bench := Bench(node, door))
        bench.port = await door.listen("127.0.0.1", 0)
        try:
            yield bench
        finally:
            await door.close()


@pytest.fixture
def tried(config: NodeConfig, tmp_path: Path) -> Callable[[Callable[[Bench], Awaitable[None]]], None]:
    """Runs a coroutine against a door."""

    def run(work: Callable[[Bench], Awaitable[None]]) -> None:
        async def main() -> None:
            async with opened(config, tmp_path) as bench:
                await work(bench)

        asyncio.run(main())

    return run


Tried = Callable[[Callable[[Bench], Awaitable[None]]], None]


@pytest.mark.row("KS-UI-025")
def test_a_session_that_nobody_uses_ends_and_the_audit_log_says_so(tried: Tried) -> None:
    async def work(bench: Bench) -> None:
        connection = await bench.connect()
        shell = await connection.create_process()
        shell.stdin.write("show users\n")
        await shell.stdout.readuntil("(none)\n")
        bench.now_s += IDLE_S - 1
        bench.door.sweep()
        shell.stdin.write("show groups\n")
        await shell.stdout.readuntil("(none)\n")
        bench.now_s += IDLE_S - 1
        bench.door.sweep()
        assert len(bench.door.sessions) == 1
        bench.now_s += 2
        bench.door.sweep()
        assert len(bench.door.sessions) == 0
        await connection.wait_closed()
        assert b"session of administrator olga from 127.0.0.1 has expired" in bench.last_leaf()

    tried(work)


def test_a_command_after_the_end_is_not_carried_out(tried: Tried) -> None:
    async def work(bench: Bench) -> None:
        connection = await bench.connect()
        shell = await connection.create_process()
        bench.now_s += IDLE_S + 1
        shell.stdin.write("config\nuser create frida\n")
        shell.stdin.write_eof()
        await shell.wait_closed()
        assert shell.exit_status == 1
        assert not [leaf for leaf in leaves_in(bench.node) if b"user frida" in leaf]

    tried(work)


@pytest.mark.parametrize("what", ["another password", "disabled", "no access this way"])
def test_a_session_ends_with_what_it_was_made_of(tried: Tried, what: str) -> None:
    changes = {
        "another password": SetAdministratorPassword("olga", FIRST),
        "disabled": ChangeAdministrator("olga", disabled=True),
        "no access this way": ChangeAdministrator("olga", access=("users_groups", "admin_web")),
    }

    async def work(bench: Bench) -> None:
        connection = await bench.connect()
        assert (await connection.run("show users")).exit_status == 0
        bench.node.ask(ADMINISTRATOR, changes[what])
        done = await connection.run("show users")
        assert (done.exit_status, done.stdout) == (1, "")
        with pytest.raises(asyncssh.PermissionDenied):
            await bench.connect(user="olga", password="never-" + OWN.reveal().decode())

    tried(work)


def test_the_logout_is_audited_however_the_connection_ends(tried: Tried) -> None:
    async def work(bench: Bench) -> None:
        connection = await bench.connect()
        connection.abort()
        while len(bench.door.sessions):  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.01)
        assert b"administrator olga logged out" in bench.last_leaf()

    tried(work)


def test_what_one_connection_may_do_is_bounded(tried: Tried) -> None:
    async def work(bench: Bench) -> None:
        connection = await bench.connect()
        for _ in range(CHANNELS_COUNT_MAX + 2):
            assert (await connection.run("show users")).exit_status == 0
        for _ in range(CHANNELS_COUNT_MAX):
            await connection.create_process()
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process()
        with pytest.raises(asyncssh.Error):
            await connection.start_sftp_client()
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", bench.port)

    tried(work)


def test_one_connection_may_not_guess_for_ever(tried: Tried) -> None:
    class Guesser(asyncssh.SSHClient):
        def __init__(self) -> None:
            self.count = 0

        def password_auth_requested(self) -> str:
            self.count += 1
            return f"guess-{self.count}"

    async def work(bench: Bench) -> None:
        guesser = Guesser()
        with pytest.raises((asyncssh.Error, OSError)):
            await asyncssh.connect(
                "127.0.0.1", bench.port, username="x" * 10, known_hosts=None, config=[], client_keys=None,
                client_factory=lambda: guesser,
            )  # fmt: skip
        assert guesser.count == PASSWORDS_COUNT_MAX

    tried(work)


def test_garbage_ends_only_its_own_connection(tried: Tried) -> None:
    chance = random.Random(7)

    async def work(bench: Bench) -> None:
        for number in range(40):
            reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
            writer.write(b"" if number % 4 == 0 else b"SSH-2.0-x\r\n")
            writer.write(chance.randbytes(chance.choice([1, 5, 16, 40_000])))
            with contextlib.suppress(ConnectionError):
                writer.write_eof()
                await asyncio.wait_for(reader.read(), 20)
            writer.close()
        assert (await (await bench.connect()).run("show users")).exit_status == 0

    tried(work)


def test_strangers_are_only_so_many(tried: Tried) -> None:
    async def work(bench: Bench) -> None:
        strangers = [await asyncio.open_connection("127.0.0.1", bench.port) for _ in range(CONNECTIONS_COUNT_MAX)]
        for reader, _ in strangers:
            assert await reader.readline() == b"SSH-2.0-keystead\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
        with contextlib.suppress(ConnectionError):
            assert not (await asyncio.wait_for(reader.read(), 20)).removeprefix(b"SSH-2.0-keystead\r\n")
        for _, one in [*strangers, (reader, writer)]:
            one.close()

    tried(work)
