"""Origins: who made an envelope, a drive's identity or a statement; every signature is two, classical and post-quantum.

Laws: a signature holds only if both of its halves hold; every signature names its purpose, so that one made for one
thing never passes for another; the id of an origin is the digest of both of its public keys.

Source: RFC 8032 (Ed25519), FIPS 204 (ML-DSA-65); design.md law 7.
"""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from keystead.core.errors import Invalid, Tampered
from keystead.core.secret import Secret
from keystead.trust.sealing import frame

ORIGIN_ID_BYTES = 32
ORIGIN_KEY_BYTES = 32 + 1952
ORIGIN_SECRET_BYTES = 32 + 32
SIGNATURE_BYTES = 64 + 3309
_ED25519_BYTES = 64


@dataclass(frozen=True)
class OriginKey:
    """The public half of an origin.

    Attributes:
        encoded: 1,984 bytes: Ed25519 public key (32), ML-DSA-65 public key (1,952).
    """

    encoded: bytes

    def __post_init__(self) -> None:
        """Check the length and both keys.

        Raises:
            Invalid: not 1,984 bytes, or no public keys.
        """
        try:
            if len(self.encoded) != ORIGIN_KEY_BYTES:
                raise ValueError
            _ = self._classical, self._quantum
        except ValueError:
            raise Invalid(f"the public key of an origin has {ORIGIN_KEY_BYTES} bytes of two public keys") from None

    @cached_property
    def _classical(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.encoded[:32])

    @cached_property
    def _quantum(self) -> MLDSA65PublicKey:
        return MLDSA65PublicKey.from_public_bytes(self.encoded[32:])

    @cached_property
    def id(self) -> bytes:
        """Return the 32 bytes by which signatures name this origin; in hexadecimal its fingerprint for people."""
        return hashlib.sha256(frame(b"keystead/origin/1", self.encoded)).digest()

    def verify(self, signature: bytes, message: bytes, purpose: str) -> None:
        """Check a signature over a message.

        Args:
            signature: 3,373 bytes: Ed25519 (64), ML-DSA-65 (3,309).
            message: What was signed; a digest where it is long.
            purpose: As at signing, such as "envelope".

        Raises:
            Tampered: one of the halves does not hold, or the length is another.
        """
        signed = _signed(message, purpose)
        try:
            if len(signature) != SIGNATURE_BYTES:
                raise InvalidSignature
            self._classical.verify(signature[:_ED25519_BYTES], signed)
            self._quantum.verify(signature[_ED25519_BYTES:], signed)
        except InvalidSignature:
            raise Tampered("the signature does not hold: changed bytes, or not of the origin that it names") from None


class Origin:
    """The signing half of an origin."""

    def __init__(self, secret: Secret) -> None:
        """Take the 64 bytes that `secret` gave.

        Raises:
            Invalid: another length.
        """
        if len(secret) != ORIGIN_SECRET_BYTES:
            raise Invalid(f"the secret of an origin has {ORIGIN_SECRET_BYTES} bytes")
        self.secret = secret
        self._classical = Ed25519PrivateKey.from_private_bytes(secret.reveal()[:32])
        self._quantum = MLDSA65PrivateKey.from_seed_bytes(secret.reveal()[32:])
        self.key = OriginKey(
            self._classical.public_key().public_bytes_raw() + self._quantum.public_key().public_bytes_raw()
        )

    @classmethod
    def generate(cls) -> "Origin":
        """Make a new origin."""
        return cls(Secret(os.urandom(ORIGIN_SECRET_BYTES)))

    def sign(self, message: bytes, purpose: str) -> bytes:
        """Return the 3,373 bytes of a signature over a message for one purpose."""
        signed = _signed(message, purpose)
        return self._classical.sign(signed) + self._quantum.sign(signed)


def _signed(message: bytes, purpose: str) -> bytes:
    return frame(b"keystead/signature/1", purpose.encode(), message)
