"""The token's process: one library, one thread, one question after the other, until the other end closes.

A frame is a length (4 bytes, big-endian) and a CBOR map: `operation` and its fields, answered by `answer`, or by
`error` (class, message, reason) and, after a login, `left`. Secrets cross this socket and nothing else.

Source: design.md section 4 (a process of its own for the module); attacks.md classes 44 and 55; docs/adr/0026.
"""

import logging
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import cbor2

from keystead.core.errors import DeviceFault, KeysteadError
from keystead.trust.pkcs11.cryptoki import Cryptoki, CryptokiError
from keystead.trust.pkcs11.names_table import User
from keystead.trust.pkcs11.tokens import Token, WrappedKeys

log = logging.getLogger("keystead.token")

FRAME_BYTES_MAX = 65_536
LAST_CALL_S_MAX = 10.0


def send(end: socket.socket, fields: dict[str, Any]) -> None:
    """Send a frame."""
    data = cbor2.dumps(fields)
    end.sendall(struct.pack(">I", len(data)) + data)


def receive(end: socket.socket) -> dict[str, Any]:
    """Receive a frame.

    Raises:
        EOFError: the other end is closed, or sent something else.
    """
    (length,) = struct.unpack(">I", _exactly(end, 4))
    if length > FRAME_BYTES_MAX:
        raise EOFError("the frame is too long")
    fields: dict[str, Any] = cbor2.loads(_exactly(end, length))
    return fields


def _exactly(end: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = end.recv(count - len(data))
        if not part:
            raise EOFError("the other end is closed")
        data += part
    return data


def end_with(end: socket.socket) -> None:
    """End this process some time after the other end has closed, even if the library hangs.

    It gets time to finish, because some tokens write in place: killed at once with its parent, it might lose the token.
    """
    threading.Thread(target=_end_with, args=(end.fileno(),), daemon=True).start()


def _end_with(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP)
    poll.poll()
    time.sleep(LAST_CALL_S_MAX)
    os._exit(1)


class Worker:
    """Answers questions about one token.

    Args:
        end: Our end of the socket; the first frame names `library` and `label`.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._token: Token | None = None

    def serve(self) -> None:
        """Answer until the other end closes."""
        while True:
            try:
                question = receive(self._end)
            except EOFError:
                if self._token is not None:
                    self._token.end()
                return
            send(self._end, self._answer(question))

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        operation = question.pop("operation")
        try:
            answer = {"answer": self._run(operation, question)}
        except KeysteadError as error:
            answer = {"error": [type(error).__name__, error.message, error.reason]}
        except CryptokiError as error:
            answer = _fault(f"the token answered {error}")
        except OSError as error:  # names the path, which no client of ours should learn
            log.error("the PKCS#11 library cannot be loaded: %s", error)
            answer = _fault("the security module's library cannot be loaded; see the system log")
        if operation in _LOGINS and self._token is not None:
            answer["left"] = self._left(self._token)
        return answer

    def _run(self, operation: str, fields: dict[str, Any]) -> Any:
        if operation == "begin":
            self._token = Token(Cryptoki(fields["library"]), fields["label"])
            return None
        if self._token is None:
            raise DeviceFault("the token's process was not begun")
        return _OPERATIONS[operation](self._token, **fields)

    @staticmethod
    def _left(token: Token) -> dict[str, int | None]:
        try:
            return token.attempts_left()
        except (CryptokiError, KeysteadError):
            return {}


def _fault(message: str) -> dict[str, Any]:
    return {"error": [DeviceFault.__name__, message, DeviceFault.reasons[0]]}


def _initialise(token: Token, officer_pin: str, maker_pin: str | None, slot: int | None) -> None:
    token.initialise(officer_pin, maker_pin, slot)


def _make_partition(token: Token, **fields: Any) -> list[Any]:
    existing = fields.pop("existing")
    made = token.make_partition(existing=None if existing is None else WrappedKeys(*existing), **fields)
    return [made.mechanism, made.cipher, made.mac]


def _judge(token: Token, user: int, pin: str) -> None:
    token.judge(User(user), pin)


def _change_pin(token: Token, user: int, old: str, new: str) -> None:
    token.change_pin(User(user), old, new)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "initialise": _initialise,
    "make_partition": _make_partition,
    "judge": _judge,
    "change_pin": _change_pin,
    "open": Token.open,
    "wrap": Token.wrap,
    "unwrap": Token.unwrap,
}
_LOGINS = {"judge", "change_pin", "open", "make_partition"}
