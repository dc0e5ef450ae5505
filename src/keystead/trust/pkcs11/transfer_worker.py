"""The process that keys are read from tokens and put into them in; frames as the token's process has them.

Source: docs/adr/0026, 0082.
"""

import logging
import socket
from collections.abc import Callable
from typing import Any

from keystead.core.errors import DeviceFault, KeysteadError
from keystead.trust.pkcs11.cryptoki import CryptokiError
from keystead.trust.pkcs11.transfers import Transfer
from keystead.trust.pkcs11.worker import receive, send

log = logging.getLogger("keystead.token")
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "partitions": Transfer.partitions,
    "judge_officer": Transfer.judge_officer,
    "open": Transfer.open,
    "handles": Transfer.handles,
    "take": Transfer.take,
    "put": Transfer.put,
    "settle": Transfer.settle,
    "drop_staged": Transfer.drop_staged,
}


class TransferWorker:
    """Answers questions about all tokens of a library.

    Args:
        end: Our end of the socket; the first frame names `library`.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._transfer: Transfer | None = None

    def serve(self) -> None:
        """Answer until the other end closes."""
        while True:
            try:
                question = receive(self._end)
            except EOFError:
                if self._transfer is not None:
                    self._transfer.end()
                return
            send(self._end, self._answer(question))

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        operation = question.pop("operation")
        try:
            return {"answer": self._run(operation, question)}
        except KeysteadError as error:
            return {"error": [type(error).__name__, error.message, error.reason]}
        except CryptokiError as error:
            return _fault(f"the token answered {error}")
        except OSError as error:  # names the path, which no client of ours should learn
            log.error("the PKCS#11 library cannot be loaded: %s", error)
            return _fault("the security module's library cannot be loaded; see the system log")

    def _run(self, operation: str, fields: dict[str, Any]) -> Any:
        if operation == "begin":
            self._transfer = Transfer(fields["library"])
            return None
        if self._transfer is None:
            raise DeviceFault("the token's process was not begun")
        return _OPERATIONS[operation](self._transfer, **fields)


def _fault(message: str) -> dict[str, Any]:
    return {"error": [DeviceFault.__name__, message, DeviceFault.reasons[0]]}
