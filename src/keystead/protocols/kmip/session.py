"""One KMIP connection, without its socket: bytes in, answers out, in order, each exactly once.

Source: KMIP 1.4 sections 6 and 7; requirements KS-KMIP-011, 018, 048.
"""

import itertools
import os
from collections.abc import Callable
from time import time
from typing import Any

from keystead.core.errors import KeysteadError
from keystead.core.permission import Principal
from keystead.gate.call import Batch, Gate, Reply
from keystead.protocols.kmip.messages import Incoming, guess_version, read_message, refused, write_message
from keystead.protocols.kmip.quick_paths import QuickPath, QuickPaths
from keystead.protocols.kmip.wire.framing import REQUEST, Framer
from keystead.protocols.kmip.wire.names import VERSIONS

Send = Callable[[bytes], None]


class Endpoint:
    """What all sessions of a server share: the gate, learned quick paths, request numbers.

    Args:
        gate: The door of this process.
    """

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.quick_paths = QuickPaths()
        self._numbers = itertools.count(1)
        self._run = os.urandom(4).hex().encode()

    def next_number(self) -> int:
        """Return the request id of the next message, as the activity log shows it."""
        return next(self._numbers)

    def correlation(self, number: int) -> bytes:
        """Return the Server Correlation Value of a request: unique among all runs of all servers, ends in its id."""
        return b"%b-%d" % (self._run, number)

    def now_s(self) -> int:
        """Return the time for a header, in seconds since 1970; nothing is decided by it."""
        return int(time())


class Session:
    """One connection.

    Args:
        endpoint: Of the server that was connected to.
        admit: Returns who is asking, called for each message; raises Unauthenticated when nobody may ask any more.
    """

    __slots__ = ("_admit", "_endpoint", "_framer", "_version")

    def __init__(self, endpoint: Endpoint, admit: Callable[[], Principal]) -> None:
        self._endpoint = endpoint
        self._admit = admit
        self._framer = Framer(REQUEST)
        self._version = VERSIONS[0]

    @property
    def pending_bytes(self) -> int:
        """How much of an incomplete message is held."""
        return self._framer.pending_bytes

    @property
    def failure(self) -> KeysteadError | None:
        """Why no message can follow: answer those before, send `refuse(failure)`, close. None while all is well."""
        return self._framer.failure

    def messages(self, data: bytes) -> list[bytes]:
        """Take received bytes, return the messages that they complete; none once `failure` is set."""
        return self._framer.feed(data)

    def refuse(self, error: KeysteadError) -> bytes:
        """Return a last answer for a peer whose bytes are no messages, in the version that it spoke before."""
        return self._written(refused(self._version, error), [Reply(None, error)], self._endpoint.next_number())

    def handle(self, message: bytes, send: Send) -> None:
        """Run one message; `send` is called exactly once with the whole answer, now or after a commit."""
        endpoint = self._endpoint
        number = endpoint.next_number()
        try:
            principal = self._admit()
        except KeysteadError as error:
            send(self._written(refused(guess_version(message), error), [Reply(None, error)], number))
            return
        known = endpoint.quick_paths.match(message)
        if known is not None:
            self._run_quickly(known, Batch(principal, (known[0].request(known[1]),), number=number), send)
            return
        gate = endpoint.gate
        incoming = read_message(message, gate.switches, principal.name)
        self._version = incoming.dialect.version
        endpoint.quick_paths.learn(message, incoming)
        requests = [item.request for item in incoming.items]
        gate.run(
            Batch(principal, requests, incoming.go_on, number),
            lambda replies: send(self._written(incoming, replies, number)),
        )

    def _written(self, incoming: Incoming, replies: list[Reply], number: int) -> bytes:
        endpoint = self._endpoint
        return write_message(incoming, replies, endpoint.now_s(), endpoint.correlation(number).decode())

    def _run_quickly(self, known: tuple[QuickPath, list[Any]], batch: Batch, send: Send) -> None:
        """Run a message of a known shape and answer it from a template, or in the generic way where none serves."""
        path, values = known
        endpoint = self._endpoint

        def deliver(replies: list[Reply]) -> None:
            reply = replies[0]
            if reply.error is None:
                answer = path.answer(values, reply.result, endpoint.now_s(), endpoint.correlation(batch.number))
                if answer is not None:
                    send(answer)
                    return
            send(self._written(path.incoming(values), replies, batch.number))

        endpoint.gate.run(batch, deliver)
