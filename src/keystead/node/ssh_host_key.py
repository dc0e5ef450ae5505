"""The host key of the SSH door: made at the first start, sealed under the node key, kept in the node's own store.

Source: RFC 8709 (Ed25519 in SSH); RFC 4253 section 6.6; requirement KS-RAS-011; docs/adr/0073.
"""

import base64
import hashlib
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keystead.core.changes import Put
from keystead.core.records import KIND_SERVER_KEY, Record
from keystead.core.secret import Secret
from keystead.node.opening import SERVER_KEY_PURPOSE, Parts, record_of
from keystead.operations.command_line import SshHostKey

HANDLE = "ssh"
RECORD_ID = "server-key.ssh"


def open_host_key(parts: Parts) -> tuple[Secret, SshHostKey]:
    """Return the private key in OpenSSH's format and what others see of it; made when there is none yet.

    Raises:
        KeysteadError: what the store says.
    """
    record = record_of(parts.own, KIND_SERVER_KEY, HANDLE)
    if record is None:
        record = _made(parts)
    key = parts.node_key.unseal(SERVER_KEY_PURPOSE, record.id.encode(), bytes(record.fields["sealed_key"]))
    line = str(record.fields["public_key"])
    return key, SshHostKey(fingerprint_of(line), line)


def fingerprint_of(public_key: str) -> str:
    """Return the fingerprint of a public key in OpenSSH's format, as clients show it."""
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _made(parts: Parts) -> Record:
    from keystead.node.creation import store  # noqa: PLC0415  # schema tools are slow to import, and needed once

    private = Ed25519PrivateKey.generate()
    encoded = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    sealed = parts.node_key.seal(SERVER_KEY_PURPOSE, RECORD_ID.encode(), Secret(encoded))
    fields = {"public_key": public.decode(), "sealed_key": sealed}
    record = Record(KIND_SERVER_KEY, RECORD_ID, HANDLE, fields)
    store(parts.own, [Put(record)], time.time_ns() // 1000, "ssh.make_host_key")
    return record
