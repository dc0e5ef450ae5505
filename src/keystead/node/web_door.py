"""The web door of the `admin` process: HTTPS for administrators, with the server certificate of the node.

Source: requirements KS-UI-001, 025; KS-TLS-001; docs/adr/0071.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from keystead.core.permission import CLOCK
from keystead.core.records import KIND_SERVER_KEY
from keystead.gate.call import Batch
from keystead.gate.sessions import Sessions
from keystead.node.opening import Parts, record_of, server_certificate
from keystead.operations.sessions import SessionExpired
from keystead.protocols.asking import Asker
from keystead.protocols.console.application import application as console
from keystead.protocols.console.site import Facts
from keystead.protocols.listener import server_context
from keystead.protocols.rest.application import application
from keystead.protocols.rest.entrance import Entrance
from keystead.protocols.rest.guard import BASE
from keystead.protocols.rest.once import Once
from keystead.settings import web

CONNECTIONS_COUNT_MAX = 256
HANDSHAKES_COUNT_MAX = 64
HANDSHAKE_S_MAX = 10.0
BACKLOG_COUNT = 128
ACCEPT_ANEW_S = 0.5  # when the system has no more open files to give
SWEEP_S = 20.0
KEEP_ALIVE_S = 30
HEAD_BYTES_MAX = 65_536
SHUTDOWN_S = 2

log = logging.getLogger("keystead.web")


class _Server(uvicorn.Server):
    """A server within a process that has signal handlers of its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _protocol(config: uvicorn.Config, server: _Server) -> asyncio.Protocol:
    """Return what talks HTTP on one connection."""
    return H11Protocol(config=config, server_state=server.server_state, app_state={})


class Doors:
    """REST below its base path, the console everywhere else, on one port.

    Args:
        rest: Of programs.
        pages: Of people.
    """

    def __init__(self, rest: ASGIApp, pages: ASGIApp) -> None:
        self._rest = rest
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = str(scope.get("path", ""))
        is_rest = path == BASE or path.startswith(f"{BASE}/")
        await (self._rest if is_rest else self._pages)(scope, receive, send)


class Acceptor:
    """Accepts connections and begins TLS with those whose addresses are listed; the others are closed before it.

    Args:
        listening: Socket that listens.
        lets_in: Tells whether an address may connect, and logs one that may not.
        open_connection: Makes the protocol of one connection.
        context: Of the server.
    """

    def __init__(
        self,
        listening: socket.socket,
        lets_in: Callable[[str], bool],
        open_connection: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
    ) -> None:
        listening.setblocking(False)  # the standard library's signature
        self._listening = listening
        self._lets_in = lets_in
        self._open = open_connection
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._task = asyncio.ensure_future(self._accept())

    def close(self) -> None:
        """Accept no more."""
        for task in (self._task, *self._handshakes):
            task.cancel()
        self._listening.close()

    async def _accept(self) -> None:
        while True:
            try:
                connected, address = await self._loop.sock_accept(self._listening)
            except OSError as error:
                log.warning("no connection can be accepted: %s", error.strerror)
                await asyncio.sleep(ACCEPT_ANEW_S)
                continue
            if not self._lets_in(str(address[0])) or len(self._handshakes) >= HANDSHAKES_COUNT_MAX:
                connected.close()
                continue
            task = asyncio.ensure_future(self._begin(connected, str(address[0])))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _begin(self, connected: socket.socket, address: str) -> None:
        """Let the connection be opened once its handshake is done; one that fails is gone."""
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                self._open, connected, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_S_MAX
            )
        except (OSError, asyncio.CancelledError):  # errors of TLS among them
            connected.close()
            return
        if not self._lets_in(address):  # decided otherwise meanwhile
            transport.abort()


class WebDoor:
    """Serves administrators over HTTPS.

    Args:
        parts: Of the node.
        asker: Runs operations.
        lets_in: Tells whether an address may connect, and logs one that may not.

    Attributes:
        sessions: Who is logged in.
    """

    def __init__(self, parts: Parts, asker: Asker, lets_in: Callable[[str], bool] = lambda _address: True) -> None:
        self._parts = parts
        self._asker = asker
        self._lets_in = lets_in
        self._acceptor: Acceptor | None = None
        objects = asker.gate.objects
        self.sessions = Sessions(time.monotonic, lambda: objects.section(web.Sessions).idle_minutes * 60.0)
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._sweep: asyncio.TimerHandle | None = None

    async def listen(self, address: str, port: int) -> int:
        """Begin to serve; return the port. Raises OSError when the address is taken."""
        entrance = Entrance(self._asker, self.sessions)
        rest = application(self._asker, entrance, Once(time.monotonic))
        app = Doors(rest, console(self._asker, entrance, self._facts()))
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS_COUNT_MAX,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        )
        config.load()
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listening = socket.create_server((address, port), family=family, backlog=BACKLOG_COUNT)
        self._server = server = _Server(config)
        self._task = asyncio.ensure_future(server.serve([]))  # connections are accepted here
        self._acceptor = Acceptor(listening, self._lets_in, lambda: _protocol(config, server), self._context())
        self._sweep_later()
        return int(listening.getsockname()[1])

    def look_again(self) -> None:
        """Close connections whose addresses may not connect any more."""
        for connection in () if self._server is None else tuple(self._server.server_state.connections):
            client = connection.client if isinstance(connection, H11Protocol) else None
            if client is not None and not self._lets_in(str(client[0])):
                connection.transport.abort()

    async def close(self) -> None:
        """Stop serving; requests that are being answered get a moment."""
        if self._sweep is not None:
            self._sweep.cancel()
        if self._acceptor is not None:
            self._acceptor.close()
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task

    def _facts(self) -> Facts:
        record = record_of(self._parts.own, KIND_SERVER_KEY, "kmip")
        certificate = x509.load_pem_x509_certificate(str(record.fields["certificate"]).encode()) if record else None
        return Facts(
            node_id=self._parts.own.anchor().store_id.hex(),
            fingerprint="" if certificate is None else certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
            issuer="" if certificate is None else certificate.issuer.rfc4514_string(),
            started_s=time.monotonic(),
            uptime_s=lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        )

    def _context(self) -> ssl.SSLContext:
        with server_certificate(self._parts) as file:
            context = server_context(file, file, "", asks_certificate=False)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _sweep_later(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep_now)

    def _sweep_now(self) -> None:
        """End sessions that nobody uses any more, and have it audited."""
        self._sweep_later()
        over = self.sessions.expired()
        if over:
            self._asker.refresh()
            requests = tuple(SessionExpired(one.administrator, one.address) for one in over)
            self._asker.gate.run(Batch(CLOCK, requests, go_on=True), lambda _replies: None)
