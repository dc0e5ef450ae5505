"""Verifiers: how a client proves at each connection that its keys are still the same, without showing them.

A verifier is an Ed25519 key derived from a master key. The vault keeps the SHA-256 of its public half only, and the
client signs a fresh challenge together with the vault's certificate: nothing can be replayed or passed on to another
vault, and whoever guesses key texts against the hash pays Argon2id for each guess, as against the data.

Source: requirements DS-006, DS-010; docs/adr/0088-verifiers.md; RFC 8032.
"""

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keystead.core.errors import Refused
from keystead.core.secret import Secret
from keystead.custody.safeguard.client_keys import ClientIdentity
from keystead.trust.origins import ORIGIN_SECRET_BYTES, Origin
from keystead.trust.sealing import derive, frame

CHALLENGE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Proof:
    """What a client shows of one key.

    Attributes:
        public: Public half of the verifier, 32 bytes.
        signature: 64 bytes over the statement.
    """

    public: bytes
    signature: bytes

    @property
    def hash(self) -> bytes:
        """Return what the vault keeps, 32 bytes."""
        return hashlib.sha256(frame(b"keystead/verifier/1", self.public)).digest()


def statement(challenge: bytes, certificate: bytes, who: ClientIdentity, facts: bytes) -> bytes:
    """Return what is signed at a connection.

    Args:
        challenge: The vault's, 32 bytes.
        certificate: The vault's TLS certificate in DER, as the client sees it.
        who: The client.
        facts: Everything else that the client says at this connection.
    """
    parts = hashlib.sha256(certificate).digest(), who.account.encode(), who.client.encode(), facts
    return frame(b"keystead/vault/connect/1", challenge, *parts)


def prove_private(master: Secret, who: ClientIdentity, signed: bytes) -> Proof:
    """Sign with the verifier of the client's own key."""
    seed = derive(master.reveal(), "vault/verifier/private", who.account.encode(), who.client.encode())
    return _prove(seed, b"private", signed)


def prove_account(master: Secret, account: str, signed: bytes) -> Proof:
    """Sign with the verifier of the account key, which is the same for all clients of the account."""
    return _prove(derive(master.reveal(), "vault/verifier/account", account.encode()), b"account", signed)


def check(proof: Proof, role: str, signed: bytes) -> None:
    """Check a proof's signature; the caller compares `hash` with what it keeps.

    Raises:
        Refused: it does not hold.
    """
    try:
        Ed25519PublicKey.from_public_bytes(proof.public).verify(proof.signature, frame(role.encode(), signed))
    except (InvalidSignature, ValueError):
        raise Refused(
            "the proof of the client's keys does not hold for this connection", "refused.wrong_secret"
        ) from None


def is_same(kept: bytes, proof: Proof) -> bool:
    """Tell whether a proof is of the key whose hash was kept."""
    return hmac.compare_digest(kept, proof.hash)


def origin_of(private: Secret, who: ClientIdentity) -> Origin:
    """Return the origin by which a client signs envelopes; it follows from its private key."""
    parts = who.account.encode(), who.client.encode()
    return Origin(Secret(derive(private.reveal(), "vault/origin", *parts, length_bytes=ORIGIN_SECRET_BYTES)))


def _prove(seed: bytes, role: bytes, signed: bytes) -> Proof:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return Proof(key.public_key().public_bytes_raw(), key.sign(frame(role, signed)))
