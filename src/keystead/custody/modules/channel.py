"""TLS 1.3 between two modules, over bytes that somebody else carries. Sans-IO: bytes in, messages out.

Laws: both sides prove a certificate of the manufacturing root; nothing below TLS 1.3 and no resumption; a private key
reaches the library through a file in memory, never through one on disk.

Source: RFC 8446; requirements CA-004, 006, 033; docs/cloning.md section 5.
"""

import os
import ssl

from keystead.core.errors import Refused, TooLarge
from keystead.core.translation import tr
from keystead.custody.modules.manufacture import Device, Root
from keystead.custody.modules.messages import MESSAGE_BYTES

INCOMING_BYTES_MAX = 262_144
_READ_BYTES = 65_536


class Channel:
    """One side of a connection between modules.

    Args:
        device: This side.
        root: Both sides' manufacturing root.
        is_target: The target is TLS's client and speaks first.
    """

    def __init__(self, device: Device, root: Root, *, is_target: bool) -> None:
        protocol = ssl.PROTOCOL_TLS_CLIENT if is_target else ssl.PROTOCOL_TLS_SERVER
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # modules have serials, which the caller judges
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=root.certificate)
        if not is_target:
            context.num_tickets = 0
        _load(context, device)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=not is_target)
        self._waiting = bytearray()
        self._is_open = False

    def start(self) -> bytes:
        """Return the first bytes to carry to the other side; none from the source."""
        self._shake()
        return self._outgoing.read()

    def receive(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Take bytes from the other side.

        Returns: messages of 24,576 bytes that are complete now, and bytes to carry back.

        Raises:
            Refused: the other side is not genuine, or somebody changed what was carried.
            TooLarge: more than a cloning needs.
        """
        if len(data) + self._incoming.pending > INCOMING_BYTES_MAX:
            raise TooLarge(tr("the other side sends more than a cloning needs"))
        self._incoming.write(data)
        if not self._is_open:
            self._shake()
        messages = self._messages() if self._is_open else []
        return messages, self._outgoing.read()

    def send(self, message: bytes) -> bytes:
        """Return the bytes that carry a message.

        Raises:
            Refused: the connection is not open.
        """
        try:
            self._tls.write(message)
        except ssl.SSLError:
            raise Refused(tr("the connection between the modules is not open")) from None
        return self._outgoing.read()

    @property
    def is_open(self) -> bool:
        """Tell whether both sides have proven their certificates, as far as this one can know."""
        return self._is_open

    @property
    def peer_certificate(self) -> bytes:
        """Return the other side's certificate (DER).

        Raises:
            Refused: not proven yet.
        """
        certificate = self._tls.getpeercert(binary_form=True) if self._is_open else None
        if certificate is None:
            raise Refused(tr("the other module has not proven itself"))
        return certificate

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
            self._is_open = True
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise Refused(
                tr("the other module is not genuine, or its messages were changed ({why})", why=_why(error))
            ) from None

    def _messages(self) -> list[bytes]:
        try:
            while True:
                piece = self._tls.read(_READ_BYTES)
                if not piece:
                    break
                self._waiting += piece
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise Refused(tr("the other module ended the connection, or it was cut ({why})", why=_why(error))) from None
        whole = len(self._waiting) // MESSAGE_BYTES
        messages = [bytes(self._waiting[i * MESSAGE_BYTES : (i + 1) * MESSAGE_BYTES]) for i in range(whole)]
        del self._waiting[: whole * MESSAGE_BYTES]
        return messages


def _why(error: ssl.SSLError) -> str:
    verdict = getattr(error, "verify_message", None)
    return str(verdict or error.reason or "unknown").replace("_", " ").lower()


def _load(context: ssl.SSLContext, device: Device) -> None:
    descriptor = os.memfd_create("module-key", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, device.tls_key.reveal() + b"\n" + device.certificate.encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
