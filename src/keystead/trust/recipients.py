"""Recipients of envelopes: who may open one. Wrap and unwrap are the only verbs.

Laws: a recipient wraps the file key and nothing else; what it wraps is bound to its envelope by `context`; an identity
answers None for a stanza that is not its own, and refuses one that is and does not open.

Source: design.md law 7; RFC 9106 (Argon2id), RFC 9180 (HPKE) with ML-KEM-768 and X25519 (FIPS 203, RFC 7748).
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from keystead.core.errors import CryptographicFailure, Invalid, KeysteadError, Refused, Tampered
from keystead.core.secret import Secret
from keystead.trust import shares
from keystead.trust.root import RootOfTrust
from keystead.trust.sealing import KEY_BYTES, frame, seal, unseal

RECIPIENT_KEY_BYTES = 1184 + 32
RECIPIENT_SECRET_BYTES = 64 + 32
PASSPHRASE_BYTES_MAX = 1024
ARGON2_MEMORY_KIB = 65_536  # RFC 9106 section 4, the second recommended set
ARGON2_PASSES_COUNT = 3
ARGON2_LANES_COUNT = 4
ARGON2_MEMORY_KIB_MAX = 1_048_576
ARGON2_PASSES_COUNT_MAX = 16
ARGON2_LANES_COUNT_MAX = 16
SALT_BYTES = 16
_HPKE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

Plain = int | bytes | str | list["Plain"]
"""What a stanza's field may hold; CBOR's own kinds."""


@dataclass(frozen=True, slots=True)
class Stanza:
    """How one recipient gets the file key; public.

    Attributes:
        kind: "passphrase", "hpke", "shares" or "module".
        fields: What the kind needs; see docs/design/envelope.md.
    """

    kind: str
    fields: dict[str, Plain]


class Recipient(Protocol):
    """Somebody an envelope is sealed for."""

    def wrap(self, file_key: Secret, context: bytes) -> Stanza:
        """Wrap a file key (32 bytes) for this recipient, bound to the envelope's context."""


class Identity(Protocol):
    """Somebody who may open an envelope."""

    def unwrap(self, stanza: Stanza, context: bytes) -> Secret | None:
        """Return the file key, or None if the stanza is for somebody else.

        Raises:
            Refused: the stanza is of this identity's kind and does not open (reason refused.wrong_secret).
            Invalid: the stanza breaks its form or its limits.
        """


# ------------------------------------------------------------------------------------------------------- passphrase


class Passphrase:
    """Recipient and identity: a passphrase, through Argon2id."""

    def __init__(self, passphrase: Secret) -> None:
        """Take a passphrase.

        Args:
            passphrase: UTF-8, 1 to 1024 bytes; the caller says how strong it has to be.

        Raises:
            Invalid: empty or too long.
        """
        if not 1 <= len(passphrase) <= PASSPHRASE_BYTES_MAX:
            raise Invalid(f"a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes")
        self._passphrase = passphrase

    def wrap(self, file_key: Secret, context: bytes) -> Stanza:
        """Wrap under a key derived with a fresh salt (about 0.1 s and 64 MiB)."""
        cost = [ARGON2_MEMORY_KIB, ARGON2_PASSES_COUNT, ARGON2_LANES_COUNT]
        salt = os.urandom(SALT_BYTES)
        wrapped = seal(self._key(salt, cost), file_key, context)
        return Stanza("passphrase", {"salt": salt, "cost": list[Plain](cost), "wrapped": wrapped})

    def unwrap(self, stanza: Stanza, context: bytes) -> Secret | None:
        """Open a passphrase's stanza; its cost is limited, so that a forged one cannot exhaust the machine."""
        if stanza.kind != "passphrase":
            return None
        salt, wrapped = bytes_field(stanza, "salt", SALT_BYTES), bytes_field(stanza, "wrapped")
        cost = stanza.fields.get("cost")
        maxima = (ARGON2_MEMORY_KIB_MAX, ARGON2_PASSES_COUNT_MAX, ARGON2_LANES_COUNT_MAX)
        if not isinstance(cost, list) or len(cost) != len(maxima):
            raise Invalid("the stanza of a passphrase lacks its three costs")
        checked = [_checked_cost(value, maximum) for value, maximum in zip(cost, maxima, strict=True)]
        if checked[0] < 8 * checked[2]:
            raise Invalid("the memory of a passphrase's stanza is below eight blocks a lane")
        return _opened(self._key(salt, checked), wrapped, context, "the passphrase is wrong")

    def _key(self, salt: bytes, cost: Sequence[int]) -> bytes:
        memory_kib, passes_count, lanes_count = cost
        derivation = Argon2id(
            salt=salt, length=KEY_BYTES, iterations=passes_count, lanes=lanes_count, memory_cost=memory_kib
        )
        return derivation.derive(self._passphrase.reveal())


def _checked_cost(value: Plain, maximum: int) -> int:
    if not isinstance(value, int) or not 1 <= value <= maximum:
        raise Invalid(f"a cost of a passphrase's stanza is not 1 to {maximum}")
    return value


# ------------------------------------------------------------------------------------------------------------- HPKE


@dataclass(frozen=True)
class RecipientKey:
    """Recipient: a hybrid public key.

    Attributes:
        encoded: 1,216 bytes: ML-KEM-768 encapsulation key (1,184), X25519 public key (32).
    """

    encoded: bytes

    def __post_init__(self) -> None:
        """Check the length and both keys.

        Raises:
            Invalid: not 1,216 bytes, or no public keys.
        """
        try:
            if len(self.encoded) != RECIPIENT_KEY_BYTES:
                raise ValueError
            _ = self._public
        except ValueError:
            raise Invalid(f"the public key of a recipient has {RECIPIENT_KEY_BYTES} bytes of two public keys") from None

    @cached_property
    def _public(self) -> MLKEM768X25519PublicKey:
        return MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(self.encoded[:1184]),
            X25519PublicKey.from_public_bytes(self.encoded[1184:]),
        )

    @cached_property
    def id(self) -> bytes:
        """Return the 32 bytes by which stanzas name this key; in hexadecimal its fingerprint for people."""
        return hashlib.sha256(frame(b"keystead/recipient/1", self.encoded)).digest()

    def encrypt(self, plaintext: Secret, context: bytes) -> bytes:
        """Encrypt a short secret to this key (HPKE base mode, single shot); 1,136 bytes longer than the plaintext."""
        return _HPKE.encrypt(plaintext.reveal(), self._public, context)

    def wrap(self, file_key: Secret, context: bytes) -> Stanza:
        """Wrap by HPKE."""
        return Stanza("hpke", {"key": self.id, "wrapped": self.encrypt(file_key, context)})


class RecipientSecret:
    """Identity: the private half of a `RecipientKey`."""

    def __init__(self, secret: Secret) -> None:
        """Take the 96 bytes that `secret` gave: ML-KEM-768 seed (64), X25519 private key (32).

        Raises:
            Invalid: another length.
        """
        if len(secret) != RECIPIENT_SECRET_BYTES:
            raise Invalid(f"the secret of a recipient has {RECIPIENT_SECRET_BYTES} bytes")
        self.secret = secret
        quantum = MLKEM768PrivateKey.from_seed_bytes(secret.reveal()[:64])
        classical = X25519PrivateKey.from_private_bytes(secret.reveal()[64:])
        self._private = MLKEM768X25519PrivateKey(quantum, classical)
        self.key = RecipientKey(quantum.public_key().public_bytes_raw() + classical.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> "RecipientSecret":
        """Make a new pair."""
        return cls(Secret(os.urandom(RECIPIENT_SECRET_BYTES)))

    def decrypt(self, ciphertext: bytes, context: bytes) -> Secret:
        """Decrypt what `RecipientKey.encrypt` made.

        Raises:
            Refused: for another key or context, or changed (reason refused.wrong_secret).
        """
        try:
            return Secret(_HPKE.decrypt(ciphertext, self._private, context))
        except (InvalidTag, ValueError):
            raise Refused("a wrapped key does not open with this private key", "refused.wrong_secret") from None

    def unwrap(self, stanza: Stanza, context: bytes) -> Secret | None:
        """Open the stanza of this key."""
        if stanza.kind != "hpke" or stanza.fields.get("key") != self.key.id:
            return None
        return self.decrypt(bytes_field(stanza, "wrapped"), context)


# ----------------------------------------------------------------------------------------------------- M-of-N shares


class Quorum:
    """Recipient: custodians, any M of whom open the envelope together, each with a private key of their own."""

    def __init__(self, threshold: int, custodians: Sequence[RecipientKey]) -> None:
        """Take M and the custodians' public keys.

        Raises:
            Invalid: not 1 <= M <= N <= 16, or a key is there twice.
        """
        shares.check_counts(threshold, len(custodians))
        self.threshold = threshold
        self.custodians = tuple(sorted(custodians, key=lambda key: key.id))
        if len({key.id for key in custodians}) != len(custodians):
            raise Invalid("the same custodian's key is named twice")

    @property
    def fingerprint(self) -> bytes:
        """Return 32 bytes that stand for M and all custodians' keys; people compare it in hexadecimal."""
        ids = [key.id for key in self.custodians]
        return hashlib.sha256(frame(b"keystead/quorum/1", bytes([self.threshold]), *ids)).digest()

    def wrap(self, file_key: Secret, context: bytes) -> Stanza:
        """Split a fresh key; encrypt each share to its custodian."""
        stanza, parts = _split(file_key, context, (self.threshold, len(self.custodians)))
        stanza.fields["custodians"] = [
            [key.id, key.encrypt(Secret(part.value), _share_context(stanza, part.index, context))]
            for key, part in zip(self.custodians, parts, strict=True)
        ]
        return stanza


class PaperShares:
    """Recipient: N shares to hand out, any M of which open the envelope; `made` holds them after `wrap`."""

    def __init__(self, threshold: int, count: int) -> None:
        """Take M and N.

        Raises:
            Invalid: not 1 <= M <= N <= 16.
        """
        shares.check_counts(threshold, count)
        self._counts = threshold, count
        self.made: tuple[shares.Share, ...] = ()

    def wrap(self, file_key: Secret, context: bytes) -> Stanza:
        """Split a fresh key; the shares stand in `made`."""
        stanza, self.made = _split(file_key, context, self._counts)
        return stanza


class Shares:
    """Identity: exactly M shares, of custodians or on paper."""

    def __init__(self, presented: Sequence[shares.Share]) -> None:
        """Take shares; they are judged when they are combined."""
        self._presented = tuple(presented)

    def unwrap(self, stanza: Stanza, context: bytes) -> Secret | None:
        """Combine the shares if they are of this stanza's set."""
        if stanza.kind != "shares" or not self._presented:
            return None
        if self._presented[0].set_id != bytes_field(stanza, "set", shares.SET_ID_BYTES):
            return None
        key = shares.combine(self._presented)
        return _opened(key.reveal(), bytes_field(stanza, "wrapped"), context, "the shares do not open this envelope")


def open_share(stanza: Stanza, custodian: RecipientSecret, context: bytes) -> shares.Share:
    """Decrypt one custodian's share.

    Raises:
        Refused: this custodian has no share, or it does not open. Invalid: the stanza breaks its form.
    """
    entries = stanza.fields.get("custodians")
    counts = stanza.fields.get("counts")
    if stanza.kind != "shares" or not isinstance(entries, list) or not isinstance(counts, list):
        raise Invalid("this stanza holds no custodians' shares")
    for index, entry in enumerate(entries, start=1):
        if isinstance(entry, list) and len(entry) == 2 and entry[0] == custodian.key.id:  # id, share
            if not isinstance(entry[1], bytes) or [type(count) for count in counts] != [int, int]:
                raise Invalid("a custodian's share breaks its form")
            value = custodian.decrypt(entry[1], _share_context(stanza, index, context)).reveal()
            set_id = bytes_field(stanza, "set", shares.SET_ID_BYTES)
            threshold, count = (int(part) for part in counts if isinstance(part, int))
            return shares.Share(set_id, index, threshold, count, value)
    raise Refused("this custodian's key is not among those of the envelope", "refused.wrong_secret")


def _split(file_key: Secret, context: bytes, counts: tuple[int, int]) -> tuple[Stanza, tuple[shares.Share, ...]]:
    key, set_id = Secret(os.urandom(KEY_BYTES)), os.urandom(shares.SET_ID_BYTES)
    randomness = os.urandom((counts[0] - 1) * KEY_BYTES)
    parts = shares.split(key, counts, set_id=set_id, randomness=randomness)
    wrapped = seal(key.reveal(), file_key, context)
    return Stanza("shares", {"set": set_id, "counts": list[Plain](counts), "wrapped": wrapped}), parts


def _share_context(stanza: Stanza, index: int, context: bytes) -> bytes:
    return frame(b"keystead/share/1", bytes_field(stanza, "set", shares.SET_ID_BYTES), bytes([index]), context)


# --------------------------------------------------------------------------------------------------- security module


class Module:
    """Recipient and identity: the partition of a security module, by its own wrapping."""

    def __init__(self, root: RootOfTrust) -> None:
        """Take the root of trust; it must be activated when it is used."""
        self._root = root

    def wrap(self, file_key: Secret, context: bytes) -> Stanza:
        """Wrap in the module.

        Raises:
            Unavailable: locked.
        """
        return Stanza("module", {"wrapped": self._root.wrap_key(file_key, context)})

    def unwrap(self, stanza: Stanza, context: bytes) -> Secret | None:
        """Unwrap in the module.

        Raises:
            Unavailable: locked. Refused: of another partition (reason refused.wrong_secret).
        """
        if stanza.kind != "module":
            return None
        try:
            return self._root.unwrap_key(bytes_field(stanza, "wrapped"), context)
        except Tampered:
            raise Refused(
                "the envelope was sealed under another security module; set up its partition in this one first",
                "refused.wrong_secret",
            ) from None


# -------------------------------------------------------------------------------------------------------------- parts


def bytes_field(stanza: Stanza, name: str, length_bytes: int | None = None) -> bytes:
    """Return a field of bytes.

    Raises:
        Invalid: missing, of another kind, or of another length.
    """
    value = stanza.fields.get(name)
    if not isinstance(value, bytes) or (length_bytes is not None and len(value) != length_bytes):
        raise Invalid(f"the {stanza.kind} stanza's field {name!r} breaks its form")
    return value


def file_key_from(stanzas: Sequence[Stanza], identities: Sequence[Identity], context: bytes) -> Secret:
    """Return the file key that the first fitting identity gives.

    Raises:
        Refused: nobody fits, or those who do not open it; says why of the last. Other errors of identities, likewise.
    """
    last: KeysteadError = Refused("none of the keys at hand is a recipient of this envelope", "refused.wrong_secret")
    for identity in identities:
        for stanza in stanzas:
            try:
                found = identity.unwrap(stanza, context)
            except (Refused, Invalid, CryptographicFailure) as error:
                last = error
                continue
            if found is not None:
                return found
    raise last


def _opened(key: bytes, wrapped: bytes, context: bytes, otherwise: str) -> Secret:
    try:
        return unseal(key, wrapped, context)
    except Tampered:
        raise Refused(f"{otherwise}, or the envelope's header was changed", "refused.wrong_secret") from None
