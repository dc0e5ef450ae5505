"""The SSH door of the `admin` process: the command line for administrators, and nothing else that SSH can do.

Laws: only passwords let anybody in, judged like everywhere else; no forwarding of ports, agents or displays, no file
transfer, no environment. One login is one connection, and ends with it.

Source: RFC 4251 to 4254, RFC 8709, RFC 9142; requirements KS-CLI-001; KS-ADM-015, 042; KS-UI-025; docs/adr/0073.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable

import asyncssh

from keystead.core.errors import KeysteadError, Unauthenticated
from keystead.core.permission import CLOCK
from keystead.core.secret import Secret
from keystead.gate.call import Batch
from keystead.gate.sessions import Sessions
from keystead.node.opening import Parts
from keystead.node.ssh_host_key import open_host_key
from keystead.node.ssh_terminal import SshTerminal
from keystead.operations.command_line import SSH_HOST_KEY
from keystead.operations.logins import Door
from keystead.operations.sessions import SessionExpired
from keystead.protocols.asking import Asker
from keystead.protocols.cli.shell import FAILED, LOGGED_OUT, Shell
from keystead.protocols.cli.words import LINE_CHARACTERS_MAX
from keystead.protocols.rest.entrance import Caller, Entrance
from keystead.protocols.rest.session_routes import NAME_CHARACTERS_MAX, PASSWORD_CHARACTERS_MAX
from keystead.settings import web

CONNECTIONS_COUNT_MAX = 64
CHANNELS_COUNT_MAX = 4
PASSWORDS_COUNT_MAX = 6
LOGIN_S_MAX = 60
HISTORY_COUNT_MAX = 500
SWEEP_S = 5.0
KEEP_ALIVE_S = 60
KEX = ["mlkem768x25519-sha256", "curve25519-sha256", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384"]
CIPHERS = ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr"]
MACS = ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"]

log = logging.getLogger("keystead.ssh")


class SshDoor:
    """Serves administrators over SSH.

    Args:
        parts: Of the node.
        asker: Runs operations.
        clock: Seconds that nobody can set.
        lets_in: Tells whether an address may connect, and logs one that may not.

    Attributes:
        sessions: Who is logged in.
    """

    def __init__(
        self,
        parts: Parts,
        asker: Asker,
        clock: Callable[[], float] = time.monotonic,
        lets_in: Callable[[str], bool] = lambda _address: True,
    ) -> None:
        objects = asker.gate.objects
        self._parts = parts
        self._asker = asker
        self.lets_in = lets_in
        self.sessions = Sessions(clock, lambda: objects.section(web.Sessions).idle_minutes * 60.0)
        self.entrance = Entrance(asker, self.sessions, Door.SSH)
        self.connections: set[_Connection] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._host = socket.gethostname().partition(".")[0]

    async def listen(self, address: str, port: int) -> int:
        """Begin to serve; return the port. Raises OSError when the address is taken, KeysteadError without host key."""
        key, shown = open_host_key(self._parts)
        self._asker.gate.services[SSH_HOST_KEY] = shown
        logging.getLogger("asyncssh").setLevel(logging.ERROR)
        self._acceptor = await asyncssh.listen(
            address,
            port,
            server_host_keys=[asyncssh.import_private_key(key.reveal())],
            server_factory=lambda: _Connection(self),
            server_version="keystead",
            kex_algs=KEX,
            encryption_algs=CIPHERS,
            mac_algs=MACS,
            compression_algs=["none"],
            password_auth=True,
            public_key_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            gss_kex=False,
            gss_auth=False,
            agent_forwarding=False,
            x11_forwarding=False,
            line_history=HISTORY_COUNT_MAX,
            max_line_length=LINE_CHARACTERS_MAX,
            encoding="utf-8",
            errors="replace",
            login_timeout=LOGIN_S_MAX,
            keepalive_interval=KEEP_ALIVE_S,
        )
        self._sweep_later()
        return int(self._acceptor.get_port())

    async def close(self) -> None:
        """Stop serving; who is logged in is told nothing more."""
        if self._sweep is not None:
            self._sweep.cancel()
        if self._acceptor is not None:
            self._acceptor.close()
            for connection in tuple(self.connections):
                connection.abort()

    def look_again(self) -> None:
        """Close connections whose addresses may not connect any more."""
        for connection in tuple(self.connections):
            if not self.lets_in(connection.visitor.address):
                connection.abort()

    async def serve(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        """Carry out what one channel asks for."""
        connection = process.get_extra_info("connection").get_owner()
        terminal = SshTerminal(process)
        shell = Shell(self._asker, connection.visitor, terminal, self._host)
        status = FAILED
        try:
            if process.command is None:
                status = await shell.converse()
            else:
                status = await shell.execute(process.command)
        except Unauthenticated:
            if process.command is None:
                await terminal.write([LOGGED_OUT], is_error=True)
        except (asyncssh.Error, OSError):
            log.info("the connection of %s broke off", connection.visitor.address)
        finally:
            connection.channels_count -= 1
            process.exit(status)

    def _sweep_later(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(SWEEP_S, self.sweep)

    def sweep(self) -> None:
        """End sessions that nobody uses any more, with their connections, and have it audited."""
        self._sweep_later()
        over = self.sessions.expired()
        for connection in tuple(self.connections):
            connection.end_if_over()
        if over:
            self._asker.refresh()
            requests = tuple(SessionExpired(one.administrator, one.address) for one in over)
            self._asker.gate.run(Batch(CLOCK, requests, go_on=True), lambda _replies: None)


class _Visitor:
    """Who has logged in on a connection (see `protocols.cli.shell.Visitor`).

    Attributes:
        token: Of the session; None before there is one, and when it was ended.
    """

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self.address = "-"
        self.token: Secret | None = None

    def caller(self) -> Caller:
        """Return who it is now. Raises Unauthenticated when the session has ended."""
        self._entrance.refresh()
        if self.token is None:
            raise Unauthenticated(LOGGED_OUT)
        return self._entrance.person(self.token, self.address)

    async def change_password(self, caller: Caller, current: Secret, new: Secret) -> None:
        """Set the caller's own password. Raises KeysteadError."""
        await self._entrance.change_password(caller, current, new)

    async def log_out(self) -> None:
        """Have it written that the connection has ended."""
        try:
            await self._entrance.log_out(self.caller())
        except KeysteadError as error:
            log.info("the logout of a connection from %s is not written: %s", self.address, error.reason)


class _Connection(asyncssh.SSHServer):
    """One connection.

    Attributes:
        visitor: Who has logged in.
        channels_count: Open ones.
    """

    def __init__(self, door: SshDoor) -> None:
        self._door = door
        self._connection: asyncssh.SSHServerConnection | None = None
        self._passwords_count = 0
        self._ending: asyncio.Future[None] | None = None
        self.visitor = _Visitor(door.entrance)
        self.channels_count = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Take the connection, unless there are too many."""
        self._connection = conn
        self.visitor.address = str(conn.get_extra_info("peername", ("-",))[0])
        if not self._door.lets_in(self.visitor.address):
            conn.abort()
            return
        if len(self._door.connections) >= CONNECTIONS_COUNT_MAX:
            log.warning("too many connections; the one from %s is closed", self.visitor.address)
            conn.abort()
            return
        self._door.connections.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Log out with the connection."""
        self._door.connections.discard(self)
        token = self.visitor.token
        if token is not None and self._door.sessions.holds(token):
            self._ending = asyncio.ensure_future(self.visitor.log_out())

    def begin_auth(self, _username: str) -> bool:
        """Let nobody in without asking."""
        return True

    def password_auth_supported(self) -> bool:
        """Passwords are the way in."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Judge a password; every failure is counted and audited by the operation."""
        self._passwords_count += 1
        fits = len(username) <= NAME_CHARACTERS_MAX and 0 < len(password) <= PASSWORD_CHARACTERS_MAX
        if self._passwords_count <= PASSWORDS_COUNT_MAX and fits:
            secret = Secret(password.encode(errors="replace"))
            try:
                self.visitor.token, _ = await self._door.entrance.log_in(username, secret, self.visitor.address)
                return True
            except KeysteadError as error:
                log.info("login from %s failed: %s", self.visitor.address, error.reason)
        if self._passwords_count >= PASSWORDS_COUNT_MAX:
            self.abort()
        return False

    def session_requested(self) -> "asyncssh.SSHServerProcess[str] | bool":
        """Let a channel be opened for commands, but not any number of them; no subsystem is offered on it."""
        if self.channels_count >= CHANNELS_COUNT_MAX:
            return False
        self.channels_count += 1
        return asyncssh.SSHServerProcess(self._door.serve, None, 0, False)  # no SFTP, no SCP

    def abort(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.abort()

    def end_if_over(self) -> None:
        """Close the connection when its session has ended."""
        token = self.visitor.token
        if token is not None and not self._door.sessions.holds(token):
            self.visitor.token = None
            if self._connection is not None:
                self._connection.disconnect(asyncssh.DISC_BY_APPLICATION, LOGGED_OUT)
