"""The process that reads and fills whole tokens: hardened like the token's own, alone with the library.

Source: docs/adr/0026, 0082.
"""

import signal
import socket
import sys

from keystead.appliance.hardening import harden
from keystead.trust.pkcs11.transfer_worker import TransferWorker
from keystead.trust.pkcs11.worker import end_with

COMMAND = (sys.executable, "-m", "keystead", "_transfer")
"""What starts it; the socket's descriptor follows."""


def start(descriptor: str) -> int:
    """Serve until the other end closes; the library finishes its last call."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    harden()
    with socket.socket(fileno=int(descriptor)) as end:
        end_with(end)
        TransferWorker(end).serve()
    return 0
