"""One KMIP connection, without its socket: bytes in, answers out, in order, each exactly once.

Source: KMIP 1.4 sections 6 and 7; requirements KS-KMIP-011, 018, 048.
"""

import itertools
import os
from collections.abc import Callable
from functools import partial
from time import time
from typing import Any

from keystead.core.errors import LAST_WORDS, KeysteadError
from keystead.core.permission import Principal
from keystead.gate.call import Batch, Gate, Reply
from keystead.gate.directory import Unsettled
from keystead.protocols.kmip.messages import Incoming, guess_version, read_message, refused, write_message
from keystead.protocols.kmip.quick_paths import QuickPath, QuickPaths
from keystead.protocols.kmip.wire.framing import REQUEST, Framer
from keystead.protocols.kmip.wire.names import VERSIONS

Send = Callable[..., None]
"""Takes the whole answer to a message; with `last=True` nothing follows (protocols.connections.Send)."""
_batch: Callable[[tuple[Any, ...]], Batch] = partial(tuple.__new__, Batch)  # without a frame for it


class Endpoint:
    """What all sessions of a server share: the gate, learned quick paths, request numbers.

    Args:
        gate: The door of this process.

    Attributes:
        quick_paths: What messages of known shapes mean.
        run: What makes correlation values of this run differ from those of others.
        next_number: Returns the request id of the next message, as the activity log shows it.
    """

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.quick_paths = QuickPaths()
        self.next_number = itertools.count(1).__next__
        self.run = os.urandom(4).hex().encode()

    def correlation(self, number: int) -> bytes:
        """Return the Server Correlation Value of a request: unique among all runs of all servers, ends in its id."""
        return b"%b-%d" % (self.run, number)


class Session:
    """One connection.

    Args:
        endpoint: Of the server that was connected to.
        admit: Returns who is asking, called for each message; raises Unauthenticated when nobody may ask any more.
    """

    __slots__ = ("_admit", "_asked", "_endpoint", "_framer", "_over", "_version", "messages")

    def __init__(self, endpoint: Endpoint, admit: Callable[[], Principal]) -> None:
        self._endpoint = endpoint
        self._admit = admit
        self._framer = Framer(REQUEST)
        self._over: KeysteadError | None = None
        self._version = VERSIONS[0]
        self._asked: tuple[QuickPath, list[Any], int, Send]
        self.messages: Callable[[bytes], list[bytes]] = self._framer.feed
        """Take received bytes, return the messages that they complete; none once `failure` is set."""

    @property
    def owes_login(self) -> bool:
        """TLS has proven who the peer is."""
        return False

    @property
    def pending_bytes(self) -> int:
        """How much of an incomplete message is held."""
        return self._framer.pending_bytes

    @property
    def failure(self) -> KeysteadError | None:
        """Why no message can follow: answer those before, send `refuse(failure)`, close. None while all is well."""
        return self._over or self._framer.failure

    @staticmethod
    def kind(message: bytes) -> bytes:
        """Return the item with the first operation of a well-formed message (some other bytes of another)."""
        operation = 24 + int.from_bytes(message[14:16], "big")
        return message[operation : operation + 16]

    def refuse(self, error: KeysteadError) -> bytes:
        """Return a last answer for a peer whose bytes are no messages, in its version; nothing when it had one."""
        if self._over is not None:
            return b""
        return self._written(refused(self._version, error), [Reply(None, error)], self._endpoint.next_number())

    def handle(self, message: bytes, send: Send) -> None:
        """Run one message; `send` is called exactly once with the whole answer, now or after a commit.

        The next message comes after that: a session has one at a time.
        """
        endpoint = self._endpoint
        number = endpoint.next_number()
        try:
            principal = self._admit()
        except Unsettled as unsettled:
            unsettled.when_settled(lambda: self._handle_again(message, send))
            return
        except KeysteadError as error:
            send(self._written(refused(guess_version(message), error), [Reply(None, error)], number))
            return
        known = endpoint.quick_paths.match(message)
        if known is not None:
            path, values = known
            self._asked = path, values, number, send
            endpoint.gate.run(
                _batch((principal, (path.request(values),), False, number, False, None, ())), self._answer_quickly
            )
            return
        gate = endpoint.gate
        incoming = read_message(message, gate.switches, principal.name)
        self._version = incoming.dialect.version
        endpoint.quick_paths.learn(message, incoming)
        requests = [item.request for item in incoming.items]
        gate.run(
            Batch(principal, requests, incoming.go_on, number, incoming.undo),
            lambda replies: self._answer(incoming, replies, number, send),
        )

    def _handle_again(self, message: bytes, send: Send) -> None:
        """Run a message now that it is known who is asking."""
        self._endpoint.gate.objects.refresh()
        self.handle(message, send)

    def _answer(self, incoming: Incoming, replies: list[Reply], number: int, send: Send) -> None:
        """Answer a message; nothing follows what ends the connection (KS-POL-007, 011)."""
        answer = self._written(incoming, replies, number)
        self._over = next((reply.error for reply in replies if reply.error and reply.error.reason in LAST_WORDS), None)
        if self._over is None:
            send(answer)
            return
        self.messages = _none
        send(answer, last=True)

    def _written(self, incoming: Incoming, replies: list[Reply], number: int) -> bytes:
        endpoint = self._endpoint
        return write_message(incoming, replies, int(time()), endpoint.correlation(number).decode())

    def _answer_quickly(self, replies: list[Reply]) -> None:
        """Answer a message of a known shape from a template, or in the generic way where none serves."""
        path, values, number, send = self._asked
        result, error = replies[0]
        if error is None:
            endpoint = self._endpoint
            correlation = b"%b-%d" % (endpoint.run, number) if path.is_correlated else b""
            answer = path.answer(values, result, int(time()), correlation)
            if answer is not None:
                send(answer)
                return
        self._answer(path.incoming(values), replies, number, send)


def _none(_data: bytes) -> list[bytes]:
    """Return no messages, whatever comes."""
    return []
