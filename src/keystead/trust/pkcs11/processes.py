"""The other end of a token's process: starts it, asks within a time limit, ends it.

Laws: a process that crashed, hung or answered nonsense is never asked again; PINs and keys go through the socket, never
through arguments or the environment.

Source: attacks.md classes 44 and 55; docs/adr/0026.
"""

import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cbor2

from keystead.core import errors
from keystead.core.errors import DeviceFault, KeysteadError
from keystead.trust.pkcs11.worker import receive, send

CALL_S_MAX = 10.0
ERRAND_S_MAX = 60.0
END_S_MAX = 2.0
_OF_TRANSFERS = (errors.Invalid, errors.NotFound, errors.Refused)
_ERRORS: dict[str, type[KeysteadError]] = {
    each.__name__: each
    for each in (errors.Tampered, errors.WrongState, errors.NotSupported, errors.DeviceFault, *_OF_TRANSFERS)
}


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """Where the token is and how its process is started.

    Attributes:
        library: Absolute path of the PKCS#11 library.
        label: Of the token, at most 32 bytes.
        slot: Slot of the blank token to initialise; None = the first. Later the label alone finds it.
        command: What starts the process; the socket's descriptor is added.
        call_s: Time limit of an everyday call.
    """

    library: str
    label: str
    slot: int | None
    command: Sequence[str]
    call_s: float = CALL_S_MAX


class TokenProcess:
    """One running process.

    Raises:
        DeviceFault: it did not start, or the library cannot be used.
    """

    def __init__(self, place: TokenPlace) -> None:
        self._end, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*place.command, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        self.left: dict[str, int | None] = {}
        try:
            self.ask("begin", place.call_s, library=place.library, label=place.label)
        except KeysteadError:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, operation: str, limit_s: float, **fields: Any) -> Any:
        """Ask and wait for the answer.

        Raises:
            DeviceFault: the process crashed or gave no answer in time; it is ended.
            Tampered, WrongState, NotSupported, DeviceFault: as the token says.
        """
        self._end.settimeout(limit_s)
        try:
            send(self._end, {"operation": operation, **fields})
            answer = receive(self._end)
        except TimeoutError:
            self._process.kill()
            self.close()
            raise DeviceFault(f"the security module gave no answer within {limit_s:.0f} s; check the token") from None
        except (OSError, EOFError, cbor2.CBORDecodeError):
            self.close()
            raise DeviceFault("the security module's process ended; check the token and its library") from None
        self.left = answer.get("left", {})
        if "error" in answer:
            name, message, reason = answer["error"]
            raise _ERRORS[name](message, reason)
        return answer["answer"]

    def close(self) -> None:
        """End the process. Idempotent."""
        self._end.close()
        try:
            self._process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
