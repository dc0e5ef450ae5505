"""The way to an LDAP server: a socket for the library, with TLS by OpenSSL where that is wanted.

The library's own TLS waits for ever for a server that takes the connection and says nothing; so it gets one end of a
pair of sockets, and a thread carries what is said between the other end and TLS. Every wait is bounded.

Source: docs/adr/0090; requirements KS-LDAP-003, 004; RFC 4511 section 4.14; attacks.md classes 25, 28.
"""

import ipaddress
import select
import socket
import ssl
from contextlib import suppress
from threading import Thread
from typing import NamedTuple

from keystead.settings.user_directory import PLAIN, STARTTLS

READ_BYTES = 65_536
STARTTLS_ANSWER_BYTES_MAX = 4096
STARTTLS_REQUEST = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
STARTTLS_FIRST = b"\x02\x01\x01\x78"  # answer to message 1, an ExtendedResponse


class Failed(Exception):
    """A server did not do its part; the message says what, and holds nothing that a peer or the server has sent."""


class Server(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    @property
    def address(self) -> str:
        """Host and port, as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def descriptor_to(server: Server, transport: str, authority_pem: str, timeout_s: float) -> int:
    """Return a descriptor on which a server speaks LDAP; whoever gets it closes it.

    Args:
        server: Where it is.
        transport: As `ldap.transport`.
        authority_pem: Of the CA that has signed its certificate.
        timeout_s: For each step.

    Raises:
        Failed: it is not there, or not who it should be.
    """
    if transport != PLAIN and not authority_pem:
        raise Failed("ldap.trusted_ca names no CA that is installed")
    try:
        connected = socket.create_connection(server, timeout_s)
    except OSError:
        raise Failed("it does not take connections") from None
    try:
        _check_place(connected)
        if transport == PLAIN:
            connected.settimeout(None)
            return connected.detach()
        if transport == STARTTLS:
            _ask_for_tls(connected)
        secured = _context(authority_pem).wrap_socket(connected, server_hostname=server.host)
    except ssl.SSLCertVerificationError:
        raise Failed("its certificate is not signed by the trusted CA, has ended, or is not for this host") from None
    except (OSError, ValueError):
        raise Failed("TLS failed, or took too long") from None
    finally:
        connected.close()  # whatever was taken over is not in it any more
    inner, outer = socket.socketpair()
    Thread(target=_carry, args=(inner, secured, timeout_s), name="ldap-tls", daemon=True).start()
    return outer.detach()


def _check_place(connected: socket.socket) -> None:
    """Keep away from what machines of a cloud ask for their credentials, whatever a name stands for."""
    address = ipaddress.ip_address(str(connected.getpeername()[0]).partition("%")[0])
    if address.is_link_local or address.is_multicast:
        raise Failed("no directory is at such an address")


def _context(authority_pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_TRUSTED_FIRST
    context.load_verify_locations(cadata=authority_pem)
    return context


def _ask_for_tls(connected: socket.socket) -> None:
    """Ask in clear for TLS to begin; nothing else is ever said before it has."""
    connected.sendall(STARTTLS_REQUEST)
    head = _exactly(connected, 2)
    length = head[1]
    if length > 0x80:
        length = int.from_bytes(_exactly(connected, length & 0x7F if length <= 0x84 else 0), "big")
    if head[0] != 0x30 or not 7 <= length <= STARTTLS_ANSWER_BYTES_MAX:
        raise Failed("it does not speak LDAP")
    answer = _exactly(connected, length)
    size = answer[4]
    result = answer[5 + (size & 0x7F if size > 0x80 else 0) :][:3]
    if not answer.startswith(STARTTLS_FIRST) or result != b"\x0a\x01\x00":
        raise Failed("it does not begin TLS when asked to")


def _exactly(connected: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connected.recv(count - len(data))
        if not more:
            raise Failed("it does not speak LDAP")
        data += more
    return data


def _carry(inner: socket.socket, secured: ssl.SSLSocket, timeout_s: float) -> None:
    """Carry bytes both ways until one side closes; the library looks after the time that answers may take."""
    inner.settimeout(timeout_s)
    with inner, secured, suppress(OSError, ValueError):
        while True:
            readable = [secured] if secured.pending() else select.select([inner, secured], [], [])[0]
            if inner in readable:
                said = inner.recv(READ_BYTES)
                if not said:
                    return
                secured.settimeout(timeout_s)
                secured.sendall(said)
            if secured in readable:
                secured.settimeout(0)
                with suppress(ssl.SSLWantReadError):
                    heard = secured.recv(READ_BYTES)
                    if not heard:
                        return
                    inner.sendall(heard)
