"""Key material at rest: AES-256-GCM under a key of its own, bound to where it belongs.

Laws: each material has a subkey, derived from the realm's key-encryption key and the material's id, so that one key
never meets its limit of nonces; the sealed bytes open only as the material they were sealed as (realm, kind, object id,
material id, version). Nothing here holds a key longer than a call.

Source: NIST SP 800-38D; NIST SP 800-108 (KDF in counter mode, one block of HMAC-SHA256); design.md law 6; KS-GEN-006.
"""

from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from keystead.core.changes import SealedMaterial
from keystead.core.errors import Tampered
from keystead.core.secret import Secret
from keystead.trust.random_pool import random_bytes

NONCE_BYTES = 12
TAG_BYTES = 16
_FORMAT = 1
_SUBKEY_LABEL = b"\x00\x00\x00\x01keystead/1/material-key\x00"
_HEAD_BYTES = 1 + NONCE_BYTES
_SHA256 = SHA256()


PlaceFields = tuple[str, str, str, str, int]
"""The fields of a `Place` as a plain tuple, which is quicker to make."""


class Place(NamedTuple):
    """Where a material belongs; everything that its seal binds.

    Attributes:
        realm: Whose key-encryption key seals it.
        kind: Of the record (core.records.KINDS).
        object_id: The record's id.
        material_id: The material's own id.
        version: Of the material.
    """

    realm: str
    kind: str
    object_id: str
    material_id: str
    version: int


def subkey_cipher(realm_key: bytes, material_id: str) -> AESGCM:
    """Make the cipher of one material from its realm's key-encryption key (32 bytes)."""
    keyed = HMAC(realm_key, _SHA256)
    keyed.update(_SUBKEY_LABEL + material_id.encode())
    return AESGCM(keyed.finalize())


def binding(place: PlaceFields) -> bytes:
    """Return the additional authenticated data of a place; different places never give the same bytes."""
    realm, kind, object_id, material_id, version = place
    return (
        f"keystead/1/material|{len(realm)}:{realm}|{len(kind)}:{kind}|{len(object_id)}:{object_id}"
        f"|{len(material_id)}:{material_id}|{version}"
    ).encode()


def seal(cipher: AESGCM, place: Place, secret: Secret) -> SealedMaterial:
    """Seal a secret: format byte, random nonce (12 bytes), ciphertext, tag (16 bytes)."""
    nonce = random_bytes(NONCE_BYTES)
    sealed = cipher.encrypt(nonce, secret.reveal(), binding(place))
    return SealedMaterial(place.material_id, place.version, bytes([_FORMAT]) + nonce + sealed)


class Opener:
    """Sealed material with the cipher that opens it.

    Args:
        cipher: From `subkey_cipher`.
        bound: From `binding`.
        sealed: As stored.

    Attributes:
        sealed: What was given; other bytes need another opener.

    Raises:
        Tampered: the bytes are of no known form.
    """

    __slots__ = ("_arguments", "_decrypt", "sealed")

    def __init__(self, cipher: AESGCM, bound: bytes, sealed: bytes) -> None:
        if not sealed or sealed[0] != _FORMAT:
            raise Tampered("sealed key material has an unknown form; run the verification of the store")
        self.sealed = sealed
        self._decrypt = cipher.decrypt
        self._arguments = sealed[1:_HEAD_BYTES], sealed[_HEAD_BYTES:], bound

    def open(self) -> Secret:
        """Open the material, anew each time.

        Raises:
            Tampered: another key, another place, or changed bytes; says no more.
        """
        try:
            return Secret(self._decrypt(*self._arguments))
        except (InvalidTag, ValueError):  # ValueError: too short for a nonce
            raise Tampered("sealed key material does not authenticate; run the verification of the store") from None


def unseal(cipher: AESGCM, bound: bytes, sealed: bytes) -> Secret:
    """Open sealed bytes once; see `Opener`."""
    return Opener(cipher, bound, sealed).open()
