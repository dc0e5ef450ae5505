"""Only TLS 1.2 and 1.3 with authenticated encryption and forward secrecy, never anything in clear.

Attack classes 25 (security that turns itself off) and 26 (downgrade).
"""

import shutil
import socket
import ssl
import subprocess
import warnings

import pytest

from tests.hostile.sockets import is_message, is_served, plain, reply, secure
from tests.support.components import skip_or_fail
from tests.support.dev_node import DevNode
from tests.support.kmip import messages

DISCOVER_VERSIONS = messages.request(0x1E)
WEAK = (
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-ECDSA-AES128-SHA",
    "AES128-GCM-SHA256",
    "AES128-SHA",
    "ECDHE-ECDSA-NULL-SHA",
    "aNULL",
)
"""CBC, no forward secrecy, no encryption, no authentication."""

IN_CLEAR = (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", DISCOVER_VERSIONS, b"\x80\x2e\x01\x00\x02" + bytes(60))
"""HTTP, KMIP and an SSL 2 greeting."""


def context_of(node: DevNode, version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
    context = node.client().context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the old versions are the point
        context.minimum_version = context.maximum_version = version
    context.set_ciphers(ciphers)
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_current_versions_are_spoken(node: DevNode, version: ssl.TLSVersion) -> None:
    with secure(node, context_of(node, version)) as connection:
        connection.sendall(DISCOVER_VERSIONS)
        assert is_message(reply(connection))
        assert connection.cipher() is not None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused_by_the_server(node: DevNode, version: ssl.TLSVersion) -> None:
    """Class 26: the alert comes from the server, so it was the server that refused."""
    with pytest.raises(ssl.SSLError, match="alert protocol version"):
        secure(node, context_of(node, version))
    assert is_served(node)


@pytest.mark.parametrize("cipher", WEAK)
def test_weak_cipher_suites_are_refused_by_the_server(node: DevNode, cipher: str) -> None:
    with pytest.raises(ssl.SSLError, match="alert handshake failure"):
        secure(node, context_of(node, ssl.TLSVersion.TLSv1_2, f"{cipher}:@SECLEVEL=0"))


@pytest.mark.row("KS-TLS-008")
def test_the_server_chooses_the_first_suite_of_its_own_list(node: DevNode) -> None:
    chosen = []
    for order in ("CHACHA20:AES128-GCM:AES256-GCM", "AES128:CHACHA20:AES256"):
        names = {
            "CHACHA20": "ECDHE-ECDSA-CHACHA20-POLY1305",
            "AES128": "ECDHE-ECDSA-AES128-GCM-SHA256",
            "AES256": "ECDHE-ECDSA-AES256-GCM-SHA384",
        }
        offered = ":".join(names[word.removesuffix("-GCM")] for word in order.split(":"))
        with secure(node, context_of(node, ssl.TLSVersion.TLSv1_2, offered)) as connection:
            cipher = connection.cipher()
            assert cipher is not None
            chosen.append(cipher[0])
    assert chosen == ["ECDHE-ECDSA-AES256-GCM-SHA384"] * 2


@pytest.mark.row("KS-AUTH-015")
def test_a_client_sees_and_can_verify_the_server(node: DevNode) -> None:
    context = node.client().context()
    context.check_hostname = True
    with plain(node) as raw, context.wrap_socket(raw, server_hostname="localhost") as connection:
        assert connection.getpeercert()
    stranger = ssl.create_default_context()
    with plain(node) as raw, pytest.raises(ssl.SSLCertVerificationError):
        stranger.wrap_socket(raw, server_hostname="localhost")


@pytest.mark.row("KS-KMIP-005")
@pytest.mark.parametrize(
    "words", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", DISCOVER_VERSIONS, b"\x80\x2e\x01\x00\x02" + bytes(60)]
)
def test_nothing_is_answered_in_clear(node: DevNode, words: bytes) -> None:
    """Class 25: what is not TLS gets an alert at most."""
    with plain(node) as raw:
        raw.sendall(words)
        told = b""
        try:
            while part := raw.recv(4096):
                told += part
        except ConnectionResetError:
            pass
    assert told == b"" or (told[0] == 21 and len(told) == 7), "a TLS alert record or nothing"


def test_renegotiation_is_refused(node: DevNode) -> None:
    """A peer cannot have the dear part of a handshake done again and again on one connection."""
    client = node.client()
    openssl = shutil.which("openssl") or skip_or_fail("the command openssl")
    command = [openssl, "s_client", "-connect", f"127.0.0.1:{node.port}", "-tls1_2"]
    command += ["-cert", str(client.certificate), "-key", str(client.key), "-CAfile", str(client.authority)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for line in process.stdout:  # the connection stands
        if "Verify return code" in line:
            break
    process.stdin.write("R\n")
    process.stdin.flush()
    told, _ = process.communicate(timeout=20)
    assert "RENEGOTIATING" in told
    assert "no renegotiation" in told
    assert is_served(node)


def test_half_closed_tcp_is_no_way_in(node: DevNode) -> None:
    with plain(node) as raw:
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(1) == b""
