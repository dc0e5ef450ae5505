"""What goes over the sockets of a secure module: CBOR maps, each after its length in four bytes; and files with them.

Law: a peer that sends more than a named limit, or something else than a map, is hung up on.

Source: docs/cloning.md section 6.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cbor2

from keystead.core.errors import ERROR_CLASSES, DeviceFault, Internal, KeysteadError
from keystead.core.translation import tr

FRAME_BYTES_MAX = 524_288
FILES_COUNT_MAX = 2
TIMEOUT_S = 60
_LENGTH_BYTES = 4


def send(connection: socket.socket, message: dict[str, Any], files: Sequence[int] = ()) -> None:
    """Send a message, perhaps with open files (descriptors)."""
    encoded = cbor2.dumps(message)
    head = len(encoded).to_bytes(_LENGTH_BYTES, "big")
    if files:
        socket.send_fds(connection, [head], list(files))
    else:
        connection.sendall(head)
    connection.sendall(encoded)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return a message and the files that came with it, which the caller closes; None = the peer has gone.

    Raises:
        DeviceFault: it is longer than allowed or no message.
    """
    head, files, _, _ = socket.recv_fds(connection, _LENGTH_BYTES, FILES_COUNT_MAX)
    try:
        if not head:
            return None
        head += _exactly(connection, _LENGTH_BYTES - len(head))
        length = int.from_bytes(head, "big")
        if length > FRAME_BYTES_MAX:
            raise DeviceFault(tr("a message to or from a secure module is longer than allowed"))
        message = cbor2.loads(_exactly(connection, length))
        if not isinstance(message, dict):
            raise DeviceFault(tr("a message to or from a secure module breaks its form"))
    except (cbor2.CBORError, ValueError, KeysteadError) as error:
        for descriptor in files:
            os.close(descriptor)
        raise DeviceFault(tr("a message to or from a secure module breaks its form, or it was cut off")) from error
    return message, list(files)


def ask(connection: socket.socket, message: dict[str, Any], files: Sequence[int] = ()) -> dict[str, Any]:
    """Send a question and return the answer.

    Raises:
        KeysteadError: whatever the module refused with. DeviceFault: it has gone.
    """
    try:
        send(connection, message, files)
        answer = receive(connection)
    except OSError:
        answer = None
    if answer is None:
        raise DeviceFault(tr("the module has gone; plug it in again"))
    raise_error(answer[0])
    return answer[0]


def connect(path: Path) -> socket.socket:
    """Connect to a module's socket.

    Raises:
        DeviceFault: nobody answers there.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(TIMEOUT_S)
    try:
        with _short(path) as name:
            connection.connect(name)
    except OSError:
        connection.close()
        raise DeviceFault(tr("no module is running in {folder}; plug it in first", folder=path.parent.name)) from None
    return connection


def listen(path: Path) -> socket.socket:
    """Return a listening socket of mode 0600 in a folder; a dead one of the same name is replaced.

    Raises:
        DeviceFault: another process answers there.
    """
    try:
        connect(path).close()
    except DeviceFault:
        path.unlink(missing_ok=True)
    else:
        raise DeviceFault(tr("this module is plugged in already"))
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with _short(path) as name:
            listening.bind(name)
    finally:
        os.umask(before)
    listening.listen()
    return listening


def error_of(error: KeysteadError) -> dict[str, Any]:
    """Return the answer that tells an error."""
    return {"error": tr(error.message), "reason": error.reason}


def raise_error(answer: dict[str, Any]) -> None:
    """Raise the error that an answer tells, if it does."""
    if "error" not in answer:
        return
    reason = str(answer.get("reason"))
    for known in ERROR_CLASSES:
        if reason in known.reasons and known.__init__ is KeysteadError.__init__:
            raise known(str(answer["error"]), reason)
    raise Internal(str(answer["error"]))


def _exactly(connection: socket.socket, length_bytes: int) -> bytes:
    data = bytearray()
    while len(data) < length_bytes:
        piece = connection.recv(length_bytes - len(data))
        if not piece:
            raise DeviceFault(tr("a message to or from a secure module was cut off"))
        data += piece
    return bytes(data)


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Name a socket by its folder's descriptor: a path in a deep folder is longer than a socket's address can be."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
