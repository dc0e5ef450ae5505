"""Sockets and TLS of the key-serving protocols: the only file that owns them.

TLS runs over memory buffers on plain TCP transports, so that handshakes can be worked off the loop by a small pool of
low-priority threads while steady clients are served (docs/adr/0050). A *turn* is one pass of the event loop: every
connection with data joins it, the gate's view is refreshed once, all complete messages are run, log lines are
written, then replies leave.

Limits are named here; a peer that is silent, slow or too talkative is closed without harm to others. What a peer sends
beyond what is being answered stays in the kernel's buffers: reading stops while a message waits for its turn, for a
commit, or for replies to be taken.

Source: performance.md section 8; requirements KS-KMIP-005, 006; attacks.md classes 1, 2, 27.
"""

import asyncio
import hashlib
import logging
import os
import resource
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, cast

from keystead.core.errors import KeysteadError, Unauthenticated
from keystead.trust.x509 import ClientIdentity

CONNECTIONS_COUNT_MAX = 4_000
OTHER_FILES_COUNT_MAX = 100  # of the process: stores, logs, sockets of its own
HANDSHAKE_THREADS = 1
BUSY_S_MAX = 300.0  # a commit that takes longer is a fault of ours
SWEEP_S = 1.0
READ_BYTES = 65_536
MESSAGES_PER_TURN_COUNT_MAX = 16  # of one connection, so that others get their turn
UNSENT_BYTES_MAX = 262_144  # replies of one connection encrypted in one turn
IDENTITIES_COUNT_MAX = 2_000
REFUSALS_LOGGED_PER_S_MAX = 20
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


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a peer may keep the server waiting, in seconds; looked at once a second.

    Attributes:
        handshake_s: From connecting to a proven identity.
        message_s: From a message's first byte to its last, for taking replies, and for closing.
        idle_s: Between messages (KS-KMIP-006).
    """

    handshake_s: float = 10.0
    message_s: float = 30.0
    idle_s: float = 3600.0


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
        """Let a connection with received bytes take part, once in each turn."""
        if not connection.is_awake:
            connection.is_awake = True
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
            self._guarded(connection, connection.process)
        answered, self._answered = self._answered, []
        self._scheduled = False
        try:
            self._after()
        except Exception:
            log.exception("activity cannot be logged; closing the connections of this turn")
            for connection in answered:
                connection.abort()
        for connection in answered:
            self._guarded(connection, connection.flush)
        if self._ready:
            self._schedule()

    @staticmethod
    def _guarded(connection: "Connection", step: Callable[[], None]) -> None:
        """Take a step of one connection; a mistake of ours costs this connection and no other."""
        try:
            step()
        except Exception:
            log.exception("a connection failed for a reason of ours")
            connection.abort()


class Connection(asyncio.Protocol):
    """One client: TLS over memory buffers, then messages in order, one at a time."""

    __slots__ = (
        "_busy",
        "_expires",
        "_held",
        "_incoming",
        "_listener",
        "_outgoing",
        "_paused",
        "_queue",
        "_session",
        "_tls",
        "_transport",
        "closing",
        "is_awake",
        "since",
    )

    def __init__(self, listener: "TlsListener") -> None:
        self._listener = listener
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = listener.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._queue: list[bytes] = []
        self._busy = False  # a message waits for its commit
        self._paused = False  # replies wait for the peer to read
        self._held = False  # nothing is read from the socket
        self._expires = float("inf")
        self.closing = False
        self.is_awake = False
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
        self._hold(True)
        self.since = self._listener.now()

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self.since = self._listener.now()
        self._listener.turn.wake(self)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the handshake or to the next turn."""
        self._incoming.write(data)
        if self._session is None:
            self._step()
        else:
            self._listener.turn.wake(self)

    def eof_received(self) -> bool:
        """The peer is done; so are we."""
        return False

    # -- handshake ---------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Let a pool thread take one handshake step; nothing is read meanwhile, as the buffers are its own."""
        self._hold(True)
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
        if self.closing or self._transport is None:
            return
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())
        if failure is not None:
            self._listener.refused(self, getattr(failure, "reason", None) or type(failure).__name__)
            self._close()
        elif done:
            self._open()
        else:
            self._hold(False)

    def _open(self) -> None:
        assert self._transport is not None  # noqa: S101  # connection_made came first
        try:
            identity, lasts_s = self._listener.identity(self._tls.getpeercert(binary_form=True) or b"")
        except KeysteadError as error:
            self._listener.refused(self, error.message)
            self._close()
            return
        self._session = self._listener.open_session(Peer(identity, self.address))
        self._listener.proven(self)
        self.since = self._listener.now()
        self._expires = self.since + lasts_s
        self._hold(False)
        self._listener.turn.wake(self)

    @property
    def address(self) -> str:
        """IP address of the peer, "-" once it is gone."""
        name = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(name[0]) if name else "-"

    # -- messages ----------------------------------------------------------------------------------------------

    def process(self) -> None:
        """Decrypt what has arrived and run what is complete; called within a turn."""
        self.is_awake = False
        session = self._session
        if session is None or self.closing:
            return
        tls, incoming, queue = self._tls, self._incoming, self._queue
        try:
            while not queue and (incoming.pending or tls.pending()):
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
        if self._outgoing.pending:  # TLS itself has something to say: an alert, new keys
            self._listener.turn.answered(self)
        self._pump(session)
        if queue or self._held:
            self._hold(bool(queue) or self._paused)

    def _pump(self, session: Session) -> None:
        """Run queued messages one after the other; a reply that waits for a commit holds back the next message."""
        queue, outgoing = self._queue, self._outgoing
        for _ in range(MESSAGES_PER_TURN_COUNT_MAX):
            if not queue or self._busy or self._paused or self.closing or outgoing.pending > UNSENT_BYTES_MAX:
                break
            self._busy = True
            session.handle(queue.pop(0), self._reply)
        if session.failure is not None and not queue and not self._busy:
            self._last_words(session.refuse(session.failure))

    def _hold(self, held: bool) -> None:
        """Stop or go on reading from the socket."""
        if self._transport is None or self.closing or held == self._held:
            return
        self._held = held
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

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
        if not self._busy and self._has_more():
            self._listener.turn.wake(self)

    def _has_more(self) -> bool:
        """Tell whether something that has arrived is left to do."""
        is_failed = self._session is not None and self._session.failure is not None
        return bool(self._queue or self._held or self._incoming.pending or self._tls.pending() or is_failed)

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
            self.since = self._listener.now()
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.closing = True
        if self._transport is not None:
            self._transport.abort()

    def overdue(self, now: float, deadlines: Deadlines) -> bool:
        """Tell whether the peer has kept us waiting too long, or its certificate has expired meanwhile."""
        waited_s = now - self.since
        if self._session is None:
            return waited_s > deadlines.handshake_s
        if self._busy:
            return waited_s > BUSY_S_MAX
        if self.closing or self._paused or self._session.pending_bytes:
            return waited_s > deadlines.message_s
        return waited_s > deadlines.idle_s or now > self._expires


class TlsListener:
    """Accepts connections of one protocol on one address.

    Args:
        context: Server context with client certificates required.
        turn: Of the process.
        open_session: Makes the protocol's session for a proven peer.
        identify: Parses a peer certificate; raises KeysteadError when it may not be used.
        on_refused: Told (address, why) of peers that were turned away; of many at once, how many.

    Attributes:
        deadlines: May be replaced at any time.
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
        self.deadlines = Deadlines()
        self._identify = identify
        self._identities: dict[bytes, ClientIdentity] = {}
        self._on_refused = on_refused
        self._loop = asyncio.get_running_loop()
        self._refused_count = 0
        self._count_max = _connections_count_max()
        self._connections: set[Connection] = set()
        self._unproven: dict[Connection, None] = {}  # in the order of their arrival
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

    def identity(self, certificate: bytes) -> tuple[ClientIdentity, float]:
        """Return the identity of a certificate that TLS has verified, and for how many seconds it lasts.

        It is parsed once. A resumed TLS session brings the certificate of its first handshake, which nobody has
        compared with the clock again.

        Raises:
            Unauthenticated: it names nobody, may not be used, or has expired.
        """
        fingerprint = hashlib.sha256(certificate).digest()
        known = self._identities.get(fingerprint)
        if known is None:
            known = self._identify(certificate)
            if len(self._identities) >= IDENTITIES_COUNT_MAX:
                self._identities.pop(next(iter(self._identities)))
            self._identities[fingerprint] = known
        lasts_s = (known.not_after - datetime.now(UTC)).total_seconds()
        if lasts_s < 0:
            raise Unauthenticated("the client certificate has expired; have a new one issued")
        return known, lasts_s

    def joined(self, connection: Connection) -> bool:
        """Count a connection in; when there are too many, the one that longest has not proven itself makes room."""
        if len(self._connections) >= self._count_max:
            oldest = next(iter(self._unproven), None)
            if oldest is None:
                self.refused(connection, "too many connections")
                return False
            self.refused(oldest, "too many connections, and no handshake so far")
            oldest.abort()
            self.left(oldest)
        self._connections.add(connection)
        self._unproven[connection] = None
        return True

    def proven(self, connection: Connection) -> None:
        """Note that a connection's peer is known."""
        self._unproven.pop(connection, None)

    def left(self, connection: Connection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        self._unproven.pop(connection, None)

    def refused(self, connection: Connection, why: str) -> None:
        """Report a peer that was turned away; strangers must not fill the log."""
        self._refused_count += 1
        if self._refused_count <= REFUSALS_LOGGED_PER_S_MAX:
            self._on_refused(connection.address, why)

    def _sweep(self) -> None:
        now = self.now()
        for connection in [c for c in self._connections if c.overdue(now, self.deadlines)]:
            connection.abort()
        unlogged_count = self._refused_count - REFUSALS_LOGGED_PER_S_MAX
        if unlogged_count > 0:
            self._on_refused("-", f"{unlogged_count} more within a second")
        self._refused_count = 0
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)


def _connections_count_max() -> int:
    """Return how many connections there may be, after asking the system for as many open files as that takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_COUNT_MAX + OTHER_FILES_COUNT_MAX
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return soft - OTHER_FILES_COUNT_MAX
    return CONNECTIONS_COUNT_MAX


def _lower_priority() -> None:
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + HANDSHAKE_NICE)


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
