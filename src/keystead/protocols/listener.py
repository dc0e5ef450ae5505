"""Listening with TLS, and the turns in which connections are served.

TLS runs over memory buffers on plain TCP transports, so that handshakes can be worked off the loop by a small pool of
low-priority threads while steady clients are served (docs/adr/0050). A *turn* is one pass of the event loop: every
connection with data joins it, the gate's view is refreshed once, all complete messages are run, log lines are
written, then replies leave.

Source: performance.md section 8; requirements KS-KMIP-005, 006; attacks.md classes 1, 2, 27.
"""

import asyncio
import hashlib
import logging
import os
import resource
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from operator import attrgetter
from time import perf_counter
from typing import Any

from keystead.core.errors import Unauthenticated
from keystead.gate.histograms import Histogram
from keystead.protocols.connections import Connection, Deadlines, Peer, Session
from keystead.trust.x509 import ClientIdentity

CONNECTIONS_COUNT_MAX = 4_000
HELD_BYTES_MAX = 268_435_456  # of all connections: unfinished messages, replies that nobody takes
OTHER_FILES_COUNT_MAX = 100  # of the process: stores, logs, sockets of its own
HANDSHAKE_THREADS = 1
ALONE_COUNT_MAX = 2  # newcomers at once whose handshakes take no thread: about 2 ms of the loop
SWEEP_S = 1.0
IDENTITIES_COUNT_MAX = 2_000
REFUSALS_LOGGED_PER_S_MAX = 20
HANDSHAKE_NICE = 5
ANSWER_BOUNDS_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
TIMED_EVERY_TURNS = 8  # a look at the clock is dear where a message takes some 25 us
CAUSES_COUNT_MAX = 64
TOO_MANY = "too_many_connections"
NOT_LISTED = "ip_authorization"

log = logging.getLogger("keystead.listener")


class Turn:
    """One pass of the loop over everything that became ready.

    Args:
        before: Called once before any message of the turn (refresh of caches), and before connections begin.
        after: Called once after all messages ran and before replies leave (log lines).

    Attributes:
        latency: How long messages took from the turn that took them up to the end of the one that answered them; of the
            messages that one turn in eight took up.
        began_s: When the turn began; 0 = it is not timed.
        prompt_count: Messages that the turn answers itself.
        late_s: When the timed turns began that took up the messages which are answered only now, after a commit.
        listeners: Whose connections take part.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._loop = loop
        self._before = before
        self._after = after
        self._ready: list[Connection] = []
        self._answered: list[Connection] = []
        self._scheduled = False
        self.latency = Histogram(ANSWER_BOUNDS_S)
        self._turns_count = 0
        self.began_s = 0.0
        self.prompt_count = 0
        self.late_s: list[float] = []
        self.listeners: list[TlsListener] = []

    def look(self) -> None:
        """Refresh caches."""
        self._before()

    def connection_count(self) -> int:
        """Tell how many there are, whoever listens."""
        return sum([len(each._connections) for each in self.listeners])

    def wake(self, connection: "Connection") -> None:
        """Let a connection with received bytes take part, once in each turn."""
        if not connection.is_awake:
            connection.is_awake = True
            self._ready.append(connection)
            if not self._scheduled:
                self._schedule()

    def answered(self, connection: "Connection") -> None:
        """Note a connection that has a reply to send; replies after a commit come outside of `_run`."""
        self._answered.append(connection)
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        self._loop.call_soon(self._run)

    def _run(self) -> None:
        """Take one step of all connections after the other, so that the code of each step stays in the caches.

        For the same reason messages of one kind run together; the order among connections is nobody's.
        """
        self._turns_count += 1
        self.began_s = 0.0 if self._turns_count % TIMED_EVERY_TURNS else perf_counter()
        ready, self._ready = self._ready, []
        if ready:
            try:
                self._before()
            except Exception:
                log.exception("the store cannot be read; closing the connections of this turn")
                for connection in ready:
                    connection.abort()
                ready = []
        _each(ready, Connection.receive)
        ready.sort(key=_kind)
        _each(ready, Connection.serve)
        answered, self._answered = [*ready, *self._answered], []
        self._scheduled = False
        try:
            self._after()
        except Exception:
            log.exception("activity cannot be logged; closing the connections of this turn")
            for connection in answered:
                connection.abort()
        _each(answered, Connection.flush)
        if self.began_s or self.late_s:
            self._measure()
        self.prompt_count = 0
        if self._ready and not self._scheduled:
            self._schedule()

    def _measure(self) -> None:
        """Time what was answered."""
        now_s = perf_counter()
        if self.began_s and self.prompt_count:
            self.latency.add(now_s - self.began_s, self.prompt_count)
        for began_s in self.late_s:
            self.latency.add(now_s - began_s)
        self.late_s.clear()


_kind = attrgetter("kind")


def _each(connections: list[Connection], step: Callable[[Connection], None]) -> None:
    """Take a step of some connections; a mistake of ours costs one connection and no other."""
    for connection in connections:
        try:
            step(connection)
        except Exception:
            log.exception("a connection failed for a reason of ours")
            connection.abort()


class TlsListener:
    """Accepts connections of one protocol on one address.

    Args:
        context: Server context; None = plain TCP, which proves nobody and hides nothing.
        turn: Of the process.
        open_session: Makes the protocol's session for a proven peer.
        identify: Parses a peer certificate, given those of its issuers that TLS has verified just now (DER, from below;
            none when a session is resumed); raises KeysteadError when it may not be used.
        on_refused: Told (address, why) of peers that were turned away; of many at once, how many.

    Attributes:
        deadlines: May be replaced at any time.
        lets_in: Tells of an address whether it may connect at all, and logs one that may not; None = all may.
        accepted_count: Connections since the process started.
        refusals: Cause -> how many peers were turned away because of it.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None,
        turn: Turn,
        open_session: Callable[[Peer], Session],
        identify: Callable[[bytes, Sequence[bytes]], ClientIdentity],
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
        self.lets_in: Callable[[str], bool] | None = None
        self.accepted_count = 0
        self.refusals: dict[str, int] = {}
        self.count_max = _connections_count_max()
        self._connections: set[Connection] = set()
        self._unproven: dict[Connection, None] = {}  # in the order of their arrival
        self._held_bytes: dict[Connection, int] = {}
        self._is_quiet = False  # nobody was served within the last second or so
        self._server: Any = None  # asyncio's or uvloop's, which give lists where the other gives tuples
        self.now = self._loop.time
        self.post = self._loop.call_soon_threadsafe
        self.pool = ThreadPoolExecutor(HANDSHAKE_THREADS, "handshake", initializer=_lower_priority)
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        turn.listeners.append(self)

    async def listen(self, host: str, port: int) -> int:
        """Start accepting; return the port (chosen by the system when 0 was asked for)."""
        self._server = await self._loop.create_server(self._accept, host, port, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop accepting and close every connection."""
        self._sweeper.cancel()
        self.turn.listeners.remove(self)
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _accept(self) -> Connection:
        """Begin a connection with what is trusted now: no turn may have looked for a while."""
        try:
            self.turn.look()
        except Exception:
            log.exception("the store cannot be read; the connection is served once it can")
        return Connection(self)

    def identity(self, certificate: bytes, issuers: Sequence[bytes]) -> tuple[ClientIdentity, float]:
        """Return the identity of a certificate that TLS has verified, and for how many seconds it lasts.

        It is parsed once. A resumed TLS session brings the certificate of its first handshake, which nobody has
        compared with the clock again.

        Raises:
            Unauthenticated: it names nobody, may not be used, or has expired.
        """
        fingerprint = hashlib.sha256(certificate).digest()
        known = self._identities.get(fingerprint)
        if known is None:
            known = self._identify(certificate, issuers)
            if len(self._identities) >= IDENTITIES_COUNT_MAX:
                self._identities.pop(next(iter(self._identities)))
            self._identities[fingerprint] = known
        lasts_s = (known.not_after - datetime.now(UTC)).total_seconds()
        if lasts_s < 0:
            raise Unauthenticated("the client certificate has expired; have a new one issued")
        return known, lasts_s

    def joined(self, connection: Connection) -> bool:
        """Count a connection in; when there are too many, the one that longest has not proven itself makes room."""
        self.accepted_count += 1
        if self.lets_in is not None and not self.lets_in(connection.address):
            self.count_refusal(NOT_LISTED)
            return False
        if len(self._connections) >= self.count_max:
            oldest = next(iter(self._unproven), None)
            if oldest is None:
                self.refused(connection, TOO_MANY, "too many connections")
                return False
            self.refused(oldest, TOO_MANY, "too many connections, and no handshake so far")
            oldest.abort()
            self.left(oldest)
        self._connections.add(connection)
        self._unproven[connection] = None
        return True

    def is_alone(self) -> bool:
        """Tell whether a handshake holds nobody up, so that it need not go to a thread and back."""
        unproven_count = 0
        for each in self.turn.listeners:
            unproven_count += len(each._unproven)
            if not each._is_quiet and len(each._connections) > len(each._unproven):
                return False
        return unproven_count <= ALONE_COUNT_MAX

    def proven(self, connection: Connection) -> None:
        """Note that a connection's peer is known."""
        self._unproven.pop(connection, None)

    def left(self, connection: Connection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        self._unproven.pop(connection, None)
        self._held_bytes.pop(connection, None)

    def weighed(self, connection: Connection, held_bytes: int) -> None:
        """Note how much is held for a peer; when it is too much for all together, who holds most is closed."""
        if not held_bytes:
            self._held_bytes.pop(connection, None)
            return
        self._held_bytes[connection] = held_bytes
        if sum(self._held_bytes.values()) > HELD_BYTES_MAX:
            heaviest = max(self._held_bytes, key=self._held_bytes.__getitem__)
            self.refused(heaviest, "too_much_held", "too much in half messages and answers that nobody reads")
            heaviest.abort()
            self.left(heaviest)

    def counts(self) -> tuple[int, int]:
        """Return how many connections there are, and how many of them have not proven themselves yet."""
        return len(self._connections), len(self._unproven)

    def refused(self, connection: Connection, cause: str, why: str) -> None:
        """Report a peer that was turned away."""
        self.turn_away(connection.address, cause, why)

    def turn_away(self, address: str, cause: str, why: str) -> None:
        """Report a peer that was turned away; strangers must not fill the log.

        Args:
            address: Of the peer.
            cause: A word to count by; of many different ones, the later are counted together.
            why: For people.
        """
        self.count_refusal(cause)
        self._refused_count += 1
        if self._refused_count <= REFUSALS_LOGGED_PER_S_MAX:
            self._on_refused(address, why)

    def count_refusal(self, cause: str) -> None:
        """Count a peer that was turned away, or that ended before it had proven itself."""
        if cause not in self.refusals and len(self.refusals) >= CAUSES_COUNT_MAX:
            cause = "other"
        self.refusals[cause] = self.refusals.get(cause, 0) + 1

    def look_again(self) -> None:
        """Close connections whose addresses may not connect any more."""
        if self.lets_in is not None:
            for connection in [c for c in self._connections if not self.lets_in(c.address)]:
                self.count_refusal(NOT_LISTED)
                connection.abort()
                self.left(connection)

    def forget_identities(self) -> None:
        """Parse certificates anew: what names the user in them may have changed."""
        self._identities.clear()

    def _sweep(self) -> None:
        now = self.now()
        for connection in [c for c in self._connections if c.overdue(now, self.deadlines)]:
            if connection in self._unproven:
                self.count_refusal("handshake_timeout")
            connection.abort()
        proven = self._connections - self._unproven.keys()
        self._is_quiet = not any(connection.since > now - SWEEP_S for connection in proven)
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


def server_context(
    certificate_file: str, key_file: str, trust_pem: str, *, asks_certificate: bool = True
) -> ssl.SSLContext:
    """Make the TLS context of a key-serving port: TLS 1.2 and 1.3, forward secrecy, client certificates as a rule.

    Args:
        certificate_file: PEM chain of the server.
        key_file: PEM private key; a file in memory (memfd), never on disk in clear.
        trust_pem: PEM of the authorities that may have signed client certificates, roots or not; "" = nobody's count.
        asks_certificate: Clients without a certificate that counts are refused; else nobody is asked for one.

    Source: requirements KS-TLS-001, 004, 008; KS-CAU-005; LEG-02, LEG-03.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL")
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 1
    context.load_cert_chain(certificate_file, key_file)
    if trust_pem:
        context.load_verify_locations(cadata=trust_pem)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = ssl.CERT_REQUIRED if asks_certificate else ssl.CERT_NONE
    return context
