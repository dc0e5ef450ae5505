"""What stands in for TLS on a port that an administrator has opened to plain TCP.

It has the methods of `ssl.SSLObject` that a connection uses, proves nobody, and hides nothing.

Source: requirement KS-AUTH-001.
"""

import ssl
from collections.abc import Sequence


class PlainPipe:
    """Passes bytes on as they are.

    Args:
        incoming: What the peer sent.
        outgoing: What it shall get.
    """

    def __init__(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self._incoming = incoming
        self.write = outgoing.write

    def do_handshake(self) -> None:
        """There is none."""

    def read(self, bytes_max: int) -> bytes:
        """Return what has arrived, at most so many bytes.

        Raises:
            ssl.SSLWantReadError: nothing has; as TLS says it.
        """
        if not self._incoming.pending:
            raise ssl.SSLWantReadError
        return self._incoming.read(bytes_max)

    @staticmethod
    def pending() -> int:
        """Nothing is held back."""
        return 0

    @staticmethod
    def getpeercert(*, binary_form: bool) -> bytes | None:  # noqa: ARG004  # as TLS has it
        """Nobody shows a certificate here."""
        return None

    @staticmethod
    def get_verified_chain() -> Sequence[object]:
        """Nor those of its issuers."""
        return ()
