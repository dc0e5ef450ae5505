"""Sockets and TLS of the key-serving protocols: the only file that owns them.

TLS runs over memory buffers on plain TCP transports, so that handshakes can be worked off the loop by a small pool of
low-priority threads while steady clients are served (docs/adr/0050). A *turn* is one pass of the event loop: every
connection with data joins it, the gate's view is refreshed once, all complete messages are run, log lines are
written, then replies leave.

Limits are named here; a peer that is silent, slow or too talkative is closed without harm to others.

Source: performance.md section 8; requirements KS-KMIP-005, 006; attacks.md classes 1, 2, 27.
"""

import asyncio
import hashlib
import logging
import os
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, cast

from keystead.core.errors import KeysteadError
from keystead.trust.x509 import ClientIdentity

CONNECTIONS_COUNT_MAX = 4_000
HANDSHAKE_S_MAX = 10.0
HANDSHAKE_THREADS = 1
HALF_MESSAGE_S_MAX = 30.0
SWEEP_S = 1.0
READ_BYTES = 65_536
IDENTITIES_COUNT_MAX = 2_000
HANDSHAKE_NICE = 5

log = logging.getLogger("keystead.listener")


class Session(Protocol):
    """What a connection talks to: one per connection, sans-IO."""

    def messages(self, data: bytes) -> list[bytes]:
        """Take received bytes, return the complete messages; none once `failure` is set."""

    def handle(self, message: bytes, send: Callable[[bytes], None]) -> None:
        """Run one message; `send` is called exactly once with the whole response, now or later."""

    def refuse(self, error: KeysteadError) -> bytes:
        """Return a last response for a peer whose bytes are no messages; empty to close without one."""

    @property
    def pending_bytes(self) -> int:
        """How much of an incomplete message is held."""

    @property
    def failure(self) -> KeysteadError | None:
        """Why no message can follow those returned so far: answer these, say so, close. None while all is well."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is on the other end: proven identity and address."""

    identity: ClientIdentity
    address: str


class Turn:
    """One pass of the loop over everything that became ready.

    Args:
        before: Called once before any message of the turn (refresh of caches).
        after: Called once after all messages ran and before replies leave (log lines).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._loop = loop
        self._before = before
        self._after = after
        self._ready: list[Connection] = []
        self._answered: list[Connection] = []
        self._scheduled = False

    def wake(self, connection: "Connection") -> None:
        """Let a connection with received bytes take part."""
        self._ready.append(connection)
        self._schedule()

    def answered(self, connection: "Connection") -> None:
        """Note a connection that has a reply to send; replies after a commit come outside of `_run`."""
        self._answered.append(connection)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        ready, self._ready = self._ready, []
        if ready:
            try:
                self._before()
            except Exception:
                log.exception("the store cannot be read; closing the connections of this turn")
                for connection in ready:
                    connection.abort()
                ready = []
        for connection in ready:
            try:
                connection.process()
            except Exception:
                log.exception("a connection failed for a reason of ours")
                connection.abort()
        self._after()
        answered, self._answered = self._answered, []
        self._scheduled = False
        for connection in answered:
            connection.flush()
        if self._ready:
            self._schedule()


class Connection(asyncio.Protocol):
    """One client: TLS over memory buffers, then messages in order, one at a time."""

    __slots__ = (
        "_busy",
        "_early",
        "_incoming",
        "_listener",
        "_outgoing",
        "_paused",
        "_queue",
        "_session",
        "_stepping",
        "_tls",
        "_transport",
        "closing",
        "since",
    )

    def __init__(self, listener: "TlsListener") -> None:
        self._listener = listener
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = listener.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._early: list[bytes] = []
        self._queue: list[bytes] = []
        self._stepping = False
        self._busy = False
        self._paused = False
        self.closing = False
        self.since = listener.now()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the listener's connections, or be turned away when there are too many."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        if not self._listener.joined(self):
            self.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """Leave; a request that is being committed goes on, its reply is dropped."""
        self.closing = True
        self._listener.left(self)

    def pause_writing(self) -> None:
        """Stop taking requests from a client that does not read its replies."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._listener.turn.wake(self)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the handshake or to the next turn."""
        if self._session is None:
            self._early.append(data)
            if not self._stepping:
                self._step()
        else:
            self._incoming.write(data)
            self._listener.turn.wake(self)

    def eof_received(self) -> bool:
        """The peer is done; so are we."""
        return False

    # -- handshake ---------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Let a pool thread take one handshake step; bytes that arrive meanwhile wait, as the buffers are its own."""
        self._stepping = True
        self._incoming.write(b"".join(self._early))
        self._early.clear()
        self._listener.pool.submit(self._handshake)

    def _handshake(self) -> None:
        failure: Exception | None = None
        done = False
        try:
            self._tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLError, OSError) as error:
            failure = error
        self._listener.post(lambda: self._stepped(done=done, failure=failure))

    def _stepped(self, *, done: bool, failure: Exception | None) -> None:
        self._stepping = False
        if self.closing or self._transport is None:
            return
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())
        if failure is not None:
            self._listener.refused(self, getattr(failure, "reason", None) or type(failure).__name__)
            self._close()
        elif done:
            self._open()
        elif self._early:
            self._step()

    def _open(self) -> None:
        assert self._transport is not None  # noqa: S101  # connection_made came first
        try:
            peer = Peer(self._listener.identity(self._tls.getpeercert(binary_form=True) or b""), self.address)
        except KeysteadError as error:
            self._listener.refused(self, error.message)
            self._close()
            return
        self._session = self._listener.open_session(peer)
        self.since = self._listener.now()
        if self._early:
            self._incoming.write(b"".join(self._early))
            self._early.clear()
        self._listener.turn.wake(self)

    @property
    def address(self) -> str:
        """IP address of the peer, "-" once it is gone."""
        name = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(name[0]) if name else "-"

    # -- messages ----------------------------------------------------------------------------------------------

    def process(self) -> None:
        """Decrypt what has arrived and run what is complete; called within a turn."""
        session = self._session
        if session is None or self.closing:
            return
        tls, incoming, queue = self._tls, self._incoming, self._queue
        try:
            while incoming.pending or tls.pending():
                data = tls.read(READ_BYTES)
                if not data:
                    self._close()
                    return
                whole = not session.pending_bytes
                complete = session.messages(data)
                queue.extend(complete)
                if whole or complete:  # dripping bytes into half a message does not prolong its time
                    self.since = self._listener.now()
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLError, OSError):
            self._close()
            return
        self._pump(session)

    def _pump(self, session: Session) -> None:
        """Run queued messages one after the other; a reply that waits for a commit holds back the next message."""
        while self._queue and not self._busy and not self._paused and not self.closing:
            self._busy = True
            session.handle(self._queue.pop(0), self._reply)
        if session.failure is not None and not self._queue and not self._busy:
            self._last_words(session.refuse(session.failure))

    def _reply(self, data: bytes) -> None:
        self._busy = False
        if self.closing:
            return
        self._tls.write(data)
        self._listener.turn.answered(self)

    def flush(self) -> None:
        """Send what the turn has encrypted, and take up the next message if one waited."""
        if self._transport is None or self.closing:
            return
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())
        is_failed = self._session is not None and self._session.failure is not None
        if (self._queue or is_failed) and not self._busy:
            self._listener.turn.wake(self)

    def _last_words(self, data: bytes) -> None:
        if data:
            self._tls.write(data)
        self._close()

    def _close(self) -> None:
        """Close after what is buffered has been sent."""
        if self._transport is not None and not self.closing:
            if self._outgoing.pending:
                self._transport.write(self._outgoing.read())
            self.closing = True
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.closing = True
        if self._transport is not None:
            self._transport.abort()

    def overdue(self, now: float, idle_s: float) -> bool:
        """Tell whether the peer has kept us waiting too long: handshake, half a message, or idle (KS-KMIP-006)."""
        if self._session is None:
            return now - self.since > HANDSHAKE_S_MAX
        if self._busy:
            return False
        return now - self.since > (HALF_MESSAGE_S_MAX if self._session.pending_bytes else idle_s)


class TlsListener:
    """Accepts connections of one protocol on one address.

    Args:
        context: Server context with client certificates required.
        turn: Of the process.
        open_session: Makes the protocol's session for a proven peer.
        identify: Parses a peer certificate; raises KeysteadError when it may not be used.
        on_refused: Told (address, why) of every peer that was turned away.
        idle_s: Close a silent connection after this time.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        turn: Turn,
        open_session: Callable[[Peer], Session],
        identify: Callable[[bytes], ClientIdentity],
        on_refused: Callable[[str, str], None],
    ) -> None:
        self.context = context
        self.turn = turn
        self.open_session = open_session
        self.idle_s = 3600.0
        self._identify = identify
        self._identities: dict[bytes, ClientIdentity] = {}
        self._on_refused = on_refused
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self.now = self._loop.time
        self.post = self._loop.call_soon_threadsafe
        self.pool = ThreadPoolExecutor(HANDSHAKE_THREADS, "handshake", initializer=_lower_priority)
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    async def listen(self, host: str, port: int) -> int:
        """Start accepting; return the port (chosen by the system when 0 was asked for)."""
        self._server = await self._loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop accepting and close every connection."""
        self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()
        self.pool.shutdown(wait=False, cancel_futures=True)

    def identity(self, certificate: bytes) -> ClientIdentity:
        """Return the identity of a certificate that TLS has verified; parsed once per certificate."""
        fingerprint = hashlib.sha256(certificate).digest()
        known = self._identities.get(fingerprint)
        if known is None:
            known = self._identify(certificate)
            if len(self._identities) >= IDENTITIES_COUNT_MAX:
                self._identities.pop(next(iter(self._identities)))
            self._identities[fingerprint] = known
        return known

    def joined(self, connection: Connection) -> bool:
        """Count a connection in; False when there are too many."""
        if len(self._connections) >= CONNECTIONS_COUNT_MAX:
            self._on_refused(connection.address, "too many connections")
            return False
        self._connections.add(connection)
        return True

    def left(self, connection: Connection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)

    def refused(self, connection: Connection, why: str) -> None:
        """Report a peer that was turned away."""
        self._on_refused(connection.address, why)

    def _sweep(self) -> None:
        now = self.now()
        for connection in [c for c in self._connections if c.overdue(now, self.idle_s)]:
            connection.abort()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)


def _lower_priority() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), HANDSHAKE_NICE)


def server_context(certificate_file: str, key_file: str, trust_pem: str) -> ssl.SSLContext:
    """Make the TLS context of a key-serving port: TLS 1.2 and 1.3, forward secrecy, client certificates required.

    Args:
        certificate_file: PEM chain of the server.
        key_file: PEM private key; a file in memory (memfd), never on disk in clear.
        trust_pem: PEM of the authorities that may have signed client certificates.

    Source: requirements KS-TLS-001, 004, 008; LEG-02, LEG-03.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL")
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 1
    context.load_cert_chain(certificate_file, key_file)
    context.load_verify_locations(cadata=trust_pem)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
