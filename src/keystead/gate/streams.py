"""Streams: what a client has begun with one request and goes on with in later ones, named by a Correlation Value.

Laws: a stream belongs to who began it, to one operation and one object. It is in the memory of one process only, and
gone when that ends, when nobody has used it for a while, or when the module locks.

Source: KMIP 1.4 sections 4.29 to 4.37, 9.1.3.2 (Correlation Value); attacks.md class 42.
"""

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keystead.core.errors import Invalid, Limited, Unavailable
from keystead.core.permission import Principal

if TYPE_CHECKING:
    from keystead.gate.call import Call

STREAMS_COUNT_MAX = 1024
STREAMS_PER_USER_COUNT_MAX = 64
IDLE_S_MAX = 300
US_PER_S = 1_000_000
CORRELATION_BYTES = 16
RETRY_AFTER_S = 30.0
SERVICE = "streams"


@dataclass(slots=True, eq=False)
class Stream:
    """One stream.

    Attributes:
        who: Began it: kind, realm and name.
        kind: Name of the operation.
        target: Id of the object, "" without one.
        is_keyed: What has come of it holds a key, so the keyring keeps it.
        state: What has come of it, where no key is part of that.
        used_us: When it was last used.
    """

    who: tuple[str, str, str]
    kind: str
    target: str
    is_keyed: bool
    state: Any
    used_us: int


class Streams:
    """All streams of a process; belongs to the serving thread."""

    def __init__(self) -> None:
        self._streams: dict[bytes, Stream] = {}

    def begin(self, call: "Call", kind: str, target: str, state: Any, *, keyed: bool) -> bytes:
        """Begin a stream and return its Correlation Value.

        Raises:
            Limited: there are too many, of this user or in all.
            Unavailable: it would hold a key, and nothing may be held between calls.
        """
        self._sweep(call)
        who = _who(call.principal)
        own = sum(stream.who == who for stream in self._streams.values())
        if own >= STREAMS_PER_USER_COUNT_MAX or len(self._streams) >= STREAMS_COUNT_MAX:
            raise Limited("too many streams are open; finish some of them first", RETRY_AFTER_S)
        correlation = secrets.token_bytes(CORRELATION_BYTES)
        if keyed:
            held = call.desk.keyring.streams
            if held is None:
                raise Unavailable(
                    "data in pieces needs the secure key cache; send all of it in one request", "unavailable.locked"
                )
            held[correlation] = state
        self._streams[correlation] = Stream(who, kind, target, keyed, None if keyed else state, call.now_us)
        return correlation

    def state_of(self, call: "Call", correlation: bytes, kind: str, target: str) -> Any:
        """Return what has come of a stream.

        Raises:
            Invalid: there is no such stream of this asker, operation and object, or what it held of a key is gone.
        """
        self._sweep(call)
        stream = self._streams.get(correlation)
        state = None
        if stream is not None and (stream.who, stream.kind, stream.target) == (_who(call.principal), kind, target):
            held = call.desk.keyring.streams
            state = stream.state if not stream.is_keyed else None if held is None else held.get(correlation)
            stream.used_us = call.now_us
        if state is None:
            raise Invalid("there is no such stream; begin anew, without a Correlation Value", "invalid.field")
        return state

    def end(self, call: "Call", correlation: bytes) -> None:
        """Forget a stream."""
        self._streams.pop(correlation, None)
        held = call.desk.keyring.streams
        if held is not None:
            held.pop(correlation, None)

    def count(self) -> int:
        """Tell how many streams are open."""
        return len(self._streams)

    def _sweep(self, call: "Call") -> None:
        held = call.desk.keyring.streams or {}
        idle = [
            correlation
            for correlation, stream in self._streams.items()
            if call.now_us - stream.used_us > IDLE_S_MAX * US_PER_S or (stream.is_keyed and correlation not in held)
        ]
        for correlation in idle:
            self.end(call, correlation)


def streams_of(call: "Call") -> Streams:
    """Return the streams of this process."""
    streams: Streams = call.desk.services.setdefault(SERVICE, Streams())
    return streams


def _who(principal: Principal) -> tuple[str, str, str]:
    return principal.kind, principal.realm, principal.name
