"""Small secrets at rest: derive a key for one purpose, seal bytes under it, open them again.

Laws: a key serves one purpose, named in the derivation; everything that a sealed text belongs to is in its context,
framed so that no two lists of parts give the same bytes; nonces are random and a sealing key is used rarely (far below
the 2^32 invocations of NIST SP 800-38D section 8.3).

Source: RFC 5869 (HKDF), NIST SP 800-38D (GCM); design.md section 6 ("random IVs").
"""

import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from keystead.core.errors import Tampered
from keystead.core.secret import Secret

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
_FORMAT = b"\x01"
_SEALED_BYTES_MIN = len(_FORMAT) + NONCE_BYTES + TAG_BYTES


def frame(*parts: bytes) -> bytes:
    """Join parts so that the result tells them apart: each is preceded by its length, 4 bytes big-endian."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def derive(key: bytes, purpose: str, *context: bytes, length_bytes: int = KEY_BYTES) -> bytes:
    """Derive a key for one purpose from a uniformly random key (HKDF-Expand with SHA-256).

    Args:
        key: 32 random bytes.
        purpose: What the result is for, such as "node/tls"; names are used once in the program.
        context: What it belongs to.
        length_bytes: 1 to 8160.
    """
    return HKDFExpand(SHA256(), length_bytes, frame(b"keystead/1", purpose.encode(), *context)).derive(key)


def derive_from_text(text: bytes, salt: bytes, purpose: str) -> bytes:
    """Derive 32 bytes from a generated text of at least 90 bits of entropy (HKDF). Not for passwords people choose."""
    return HKDF(SHA256(), KEY_BYTES, salt, frame(b"keystead/1", purpose.encode())).derive(text)


def seal(key: bytes, secret: Secret, context: bytes) -> bytes:
    """Encrypt and authenticate a secret under a derived key, bound to a context.

    Returns: format byte, nonce (12 bytes), ciphertext, tag (16 bytes).
    """
    nonce = os.urandom(NONCE_BYTES)
    return _FORMAT + nonce + AESGCM(key).encrypt(nonce, secret.reveal(), _FORMAT + context)


def is_sealed(data: bytes) -> bool:
    """Tell whether bytes have the form that `seal` makes."""
    return len(data) >= _SEALED_BYTES_MIN and data.startswith(_FORMAT)


def unseal(key: bytes, sealed: bytes, context: bytes) -> Secret:
    """Open what `seal` made.

    Raises:
        Tampered: another key, another context, or changed bytes; says no more.
    """
    if not is_sealed(sealed):
        raise Tampered("a sealed secret has an unknown form; restore it from a backup")
    nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    try:
        return Secret(AESGCM(key).decrypt(nonce, body, _FORMAT + context))
    except InvalidTag:
        raise Tampered("a sealed secret does not open: wrong key, wrong place or changed bytes") from None
