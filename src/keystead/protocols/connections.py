"""One connection: TLS over memory buffers, then messages in order, one at a time.

A peer that is silent, slow or too talkative is closed without harm to others. What it sends beyond what is being
answered stays in the kernel's buffers: reading stops while a message waits for its turn, for a commit, or for replies
to be taken.

Source: docs/adr/0050; requirements KS-KMIP-006; attacks.md classes 1, 2.
"""

import asyncio
import ssl
from _ssl import ENCODING_DER
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from keystead.core.errors import KeysteadError
from keystead.protocols.plain_pipe import PlainPipe
from keystead.trust.x509 import ClientIdentity

if TYPE_CHECKING:
    from keystead.protocols.listener import TlsListener

BUSY_S_MAX = 60.0  # an answer that takes longer will not come
READ_BYTES = 16_384  # a TLS record; more comes in several reads anyway, and its memory would be fresh each time
MESSAGES_PER_TURN_COUNT_MAX = 16  # of one connection, so that others get their turn
UNSENT_BYTES_MAX = 262_144  # replies of one connection in one turn
UNREAD_BYTES_MAX = 262_144  # received for the next turn


class Send(Protocol):
    """Takes the whole response to a message.

    With `last`, nothing follows: what else has arrived is dropped, and the connection closes once `failure` is said.
    """

    def __call__(self, data: bytes, *, last: bool = False) -> None:
        """Send the response."""


class Session(Protocol):
    """What a connection talks to: one per connection, sans-IO."""

    def messages(self, data: bytes) -> list[bytes]:
        """Take received bytes, return the complete messages; none once `failure` is set."""

    def handle(self, message: bytes, send: Send) -> None:
        """Run one message; `send` is called exactly once with the whole response, now or later."""

    def kind(self, message: bytes) -> bytes:
        """Return what messages of one kind have in common; only compared, and never relied upon."""

    def refuse(self, error: KeysteadError) -> bytes:
        """Return a last response for a peer whose bytes are no messages; empty to close without one."""

    @property
    def pending_bytes(self) -> int:
        """How much of an incomplete message is held."""

    @property
    def owes_login(self) -> bool:
        """The peer has not said who it is, and has no longer for it than for the rest of a message."""

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


class Connection(asyncio.Protocol):
    """One client: TLS over memory buffers, then messages in order, one at a time."""

    __slots__ = (
        "_answered",
        "_asked_s",
        "_busy",
        "_expires",
        "_held",
        "_incoming",
        "_listener",
        "_now",
        "_outgoing",
        "_paused",
        "_pending",
        "_queue",
        "_ragged",
        "_read",
        "_replies",
        "_serving",
        "_session",
        "_tls",
        "_transport",
        "_turn",
        "_unsent_bytes",
        "_wake",
        "_weighed",
        "_write",
        "closing",
        "is_awake",
        "kind",
        "since",
    )

    def __init__(self, listener: "TlsListener") -> None:
        self._listener = listener
        self._turn = listener.turn
        self._wake, self._answered, self._now = self._turn.wake, self._turn.answered, listener.now
        self._asked_s = 0.0  # when the turn began that took up the message which is being run; 0 = it is not timed
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._queue: list[bytes] = []
        self._replies: list[bytes] = []  # of this turn
        self._unsent_bytes = 0
        self._serving = False  # the turn will flush
        self._ragged = False  # what came last does not end with a message: half of one is there, or nonsense
        self._busy = False  # a message waits for its commit
        self._paused = False  # replies wait for the peer to read
        self._held = False  # nothing is read from the socket
        self._weighed = False  # the listener counts what is held for this peer
        self._expires = float("inf")
        self.closing = False
        self.is_awake = False
        self.kind = b""
        """Of the message that comes next."""
        self.since = listener.now()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the listener's connections, or be turned away when there are too many."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        if not self._listener.joined(self):
            self.abort()
            return
        self._tls: Any = _wrapped(self._listener.context, self._incoming, self._outgoing)
        inner: Any = getattr(self._tls, "_sslobj", self._tls)  # spares ssl.py's frames
        self._read, self._write, self._pending = inner.read, inner.write, inner.pending

    def connection_lost(self, _error: Exception | None) -> None:
        """Leave; a request that is being committed goes on, its reply is dropped."""
        if self._session is None and not self.closing:
            self._listener.count_refusal("left_before_handshake")
        self.closing = True
        self._listener.left(self)

    def pause_writing(self) -> None:
        """Stop taking requests from a client that does not read its replies."""
        self._paused = True
        self._hold(True)
        self.since = self._listener.now()
        self._weigh()

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self.since = self._listener.now()
        self._weigh()
        self._listener.turn.wake(self)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the handshake or to the next turn."""
        self._incoming.write(data)
        if self._session is None:
            if not self.closing:
                self._step()
            return
        if self._incoming.pending > UNREAD_BYTES_MAX:
            self._hold(True)
        if not self.is_awake:
            self._wake(self)

    def eof_received(self) -> bool:
        """The peer is done; so are we."""
        return False

    # -- handshake ---------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Take a handshake step: at once while nobody else is served, else on a pool thread, which has the buffers."""
        if self._listener.is_alone():
            self._stepped(*self._shaken())
            return
        self._hold(True)
        self._listener.pool.submit(self._handshake)

    def _handshake(self) -> None:
        self._listener.post(self._stepped, *self._shaken())

    def _shaken(self) -> tuple[bool, Exception | None]:
        """Take a handshake step; return whether it was the last one, and why there will be none."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False, None
        except (ssl.SSLError, OSError) as error:
            return False, error
        return True, None

    def _stepped(self, done: bool, failure: Exception | None) -> None:
        if self.closing or self._transport is None:
            return
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())
        if failure is not None:
            why = getattr(failure, "reason", None) or type(failure).__name__
            self._listener.refused(self, f"tls_{why.lower()}", why)
            self._close()
        elif done:
            self._open()
        else:
            self._hold(False)

    def _open(self) -> None:
        assert self._transport is not None  # noqa: S101  # connection_made came first
        try:
            certificate = self._tls.getpeercert(binary_form=True) or b""
            identity, lasts_s = self._listener.identity(certificate, _issuers(getattr(self._tls, "_sslobj", self._tls)))
            self._session = self._listener.open_session(Peer(identity, self.address))
        except KeysteadError as error:
            self._listener.refused(self, "certificate", error.message)
            self._close()
            return
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

    def receive(self) -> None:
        """Decrypt what has arrived and cut it into messages; the first step of a turn."""
        self.is_awake = False
        session = self._session
        if session is None or self.closing:
            return
        read, pending, incoming, queue = self._read, self._pending, self._incoming, self._queue
        try:
            while not queue and (incoming.pending or pending()):
                data = read(READ_BYTES)
                if not data:
                    self._close()
                    return
                complete = session.messages(data)
                queue += complete
                if complete or not self._ragged:  # dripping bytes into half a message does not prolong its time
                    self.since = self._now()
                if self._ragged or not complete or complete[0] is not data:
                    self._ragged = session.pending_bytes > 0 or session.failure is not None
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLError, OSError):
            self._close()
            return
        self.kind = session.kind(queue[0]) if queue else b""

    def serve(self) -> None:
        """Run queued messages one after the other; a reply that waits for a commit holds back the next message."""
        session, queue = self._session, self._queue
        if session is None:
            return
        self._serving = True
        for _ in range(MESSAGES_PER_TURN_COUNT_MAX):
            if not queue or self._busy or self._paused or self.closing or self._unsent_bytes > UNSENT_BYTES_MAX:
                break
            self._busy = True
            self._asked_s = self._turn.began_s
            session.handle(queue.pop(0), self._reply)
        self._serving = False
        if self._ragged and session.failure is not None and not queue and not self._busy:
            self._last_words(session.refuse(session.failure))
        if queue or self._held:
            self._hold(bool(queue) or self._paused)
        if self._weighed or (self._ragged and session.pending_bytes > READ_BYTES):
            self._weigh()

    def _hold(self, held: bool) -> None:
        """Stop or go on reading from the socket."""
        if self._transport is None or self.closing or held == self._held:
            return
        self._held = held
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _weigh(self) -> None:
        """Tell the listener how much is held of an unfinished message and of replies that are not taken."""
        if self._session is None or self._transport is None or self.closing:
            return
        unsent_bytes = self._transport.get_write_buffer_size() if self._paused else 0
        held_bytes = self._session.pending_bytes + unsent_bytes
        self._weighed = held_bytes > READ_BYTES
        self._listener.weighed(self, held_bytes if self._weighed else 0)

    def _reply(self, data: bytes, *, last: bool = False) -> None:
        self._busy = False
        if last:
            self._queue.clear()
            self._ragged = True
        if self.closing:
            return
        if self._serving:
            self._turn.prompt_count += 1
        else:
            if self._asked_s:
                self._turn.late_s.append(self._asked_s)
            if not self._replies:
                self._answered(self)
        self._replies.append(data)
        self._unsent_bytes += len(data)

    def flush(self) -> None:
        """Encrypt and send what the turn has answered, and take up the next message if one waited."""
        if self._transport is None or self.closing:
            return
        if self._replies:
            for data in self._replies:
                self._write(data)
            self._replies.clear()
            self._unsent_bytes = 0
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())
        has_more = self._queue or self._held or self._incoming.pending or self._pending() or self._is_over()
        if has_more and not self._busy and not self.is_awake:
            self._wake(self)

    def _is_over(self) -> bool:
        """Tell whether last words are due; half a message has to wait for its other half, which will come by itself."""
        return self._ragged and self._session is not None and self._session.failure is not None

    def _last_words(self, data: bytes) -> None:
        if data:
            self._replies.append(data)
        self._close()

    def _close(self) -> None:
        """Close after what is answered has been sent."""
        if self._transport is not None and not self.closing:
            self.flush()
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
        if self.closing or self._paused or self._session.pending_bytes or self._session.owes_login:
            return waited_s > deadlines.message_s
        return waited_s > deadlines.idle_s or now > self._expires


def _wrapped(context: ssl.SSLContext | None, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> object:
    """Put TLS, or nothing where it was switched off, between the peer's bytes and ours."""
    if context is None:
        return PlainPipe(incoming, outgoing)
    return context.wrap_bio(incoming, outgoing, server_side=True)


def _issuers(inner: Any) -> list[bytes]:
    """Return the certificates (DER) over which TLS has verified the peer's; none in a session that was resumed."""
    chain = inner.get_verified_chain()  # public from Python 3.13 on
    return [each.public_bytes(ENCODING_DER) for each in (chain or ())[1:]]
