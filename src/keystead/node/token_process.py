"""The process that a PKCS#11 library runs in: hardened like the others, alone with the library.

Source: design.md section 4; attacks.md classes 44 and 55; docs/adr/0026.
"""

import signal
import socket
import sys

from keystead.appliance.hardening import harden
from keystead.trust.pkcs11.worker import Worker, end_with

COMMAND = (sys.executable, "-m", "keystead", "_token")
"""What starts it; the socket's descriptor follows."""


def start(descriptor: str) -> int:
    """Serve until the other end closes, whatever signal goes to the whole group: the library finishes its last call."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    harden()
    with socket.socket(fileno=int(descriptor)) as end:
        end_with(end)
        Worker(end).serve()
    return 0
