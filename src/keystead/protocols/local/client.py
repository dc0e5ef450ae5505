"""Asking the local door from a command: blocking, one request at a time."""

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from keystead.core.errors import Unavailable
from keystead.core.secret import Secret
from keystead.protocols.local.wire import FRAME_BYTES_MAX, LENGTH, error_from, frame, read_body

ANSWER_S_MAX = 120.0
Credentials = Sequence[tuple[str, Secret]]


def ask(address: str, operation: str, **fields: Any) -> Any:
    """Run one operation at a node's local door and return its plain result; see `ask_with`."""
    return ask_with(address, operation, fields)


def ask_with(address: str, operation: str, fields: Mapping[str, Any], credentials: Credentials = ()) -> Any:
    """Run one operation at a node's local door and return its plain result.

    Args:
        address: Of the door.
        operation: Dotted name.
        fields: Of the request.
        credentials: Names and passwords of administrators who approve it.

    Raises:
        Unavailable: no node answers there.
        KeysteadError: what the node answered.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connected:
            connected.settimeout(ANSWER_S_MAX)
            connected.connect(address)
            connected.sendall(frame(_message(operation, fields, credentials)))
            (length,) = LENGTH.unpack(_exactly(connected, LENGTH.size))
            if length > FRAME_BYTES_MAX:
                raise Unavailable("the node answered nonsense", "unavailable.stopping")
            answer = read_body(_exactly(connected, length))
    except PermissionError:
        raise Unavailable(
            "only root and the node's own account may use the local door", "unavailable.stopping"
        ) from None
    except OSError:
        raise Unavailable("the node is not running; start it with `keystead serve`", "unavailable.stopping") from None
    if "error" in answer:
        raise error_from(answer)
    return answer.get("result")


def _message(operation: str, fields: Mapping[str, Any], credentials: Credentials) -> dict[str, Any]:
    message: dict[str, Any] = {"operation": operation, "fields": dict(fields)}
    if credentials:
        message["approvals"] = [[name, password.reveal()] for name, password in credentials]
    return message


def _exactly(connected: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connected.recv(count - len(data))
        if not part:
            raise ConnectionResetError
        data += part
    return data
