"""Modes that encrypt and authenticate: GCM, CCM, ChaCha20-Poly1305.

Laws: those of `cipher_modes`.

Source: NIST SP 800-38C, SP 800-38D; RFC 8439; KMIP 1.4 sections 4.29, 4.30.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from keystead.trust.cipher_modes import Encrypted, exactly, failure, needed, parameters

GCM_TAG_BYTES = 16
GCM_TAG_BYTES_MIN = 12
GCM_IV_BYTES_MIN = 8
GCM_IV_BYTES_MAX = 128
CCM_TAG_LENGTHS_BYTES = (8, 10, 12, 14, 16)
CCM_IV_BYTES_MIN = 7
CCM_IV_BYTES_MAX = 13
CHACHA_IV_BYTES = 12


class Gcm:
    """AES-GCM with IVs of 8 to 128 bytes and tags of 12 to 16 (NIST SP 800-38D)."""

    __slots__ = ("_cipher", "_key")

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._key = key

    def encrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag_length_bytes: int | None = None
    ) -> Encrypted:
        """See `Prepared.encrypt`. A shorter tag is the longer one cut off."""
        if iv is None or not GCM_IV_BYTES_MIN <= len(iv) <= GCM_IV_BYTES_MAX:
            self._check_iv(iv)
        sealed = self._cipher.encrypt(iv, data, associated)  # type: ignore[arg-type]  # checked just above
        if tag_length_bytes is None or tag_length_bytes == GCM_TAG_BYTES:
            return sealed[:-GCM_TAG_BYTES], sealed[-GCM_TAG_BYTES:]
        _check_gcm_tag(tag_length_bytes)
        at = len(sealed) - GCM_TAG_BYTES
        return sealed[:at], sealed[at : at + tag_length_bytes]

    def decrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag: bytes | None = None
    ) -> bytes:
        """See `Prepared.decrypt`. The tag's own length counts."""
        iv = self._check_iv(iv)
        tag = _tag(tag)
        try:
            if len(tag) == GCM_TAG_BYTES:
                return self._cipher.decrypt(iv, data + tag, associated)
            _check_gcm_tag(len(tag))
            context = Cipher(
                algorithms.AES(self._key), modes.GCM(iv, tag, min_tag_length=GCM_TAG_BYTES_MIN)
            ).decryptor()
            if associated:
                context.authenticate_additional_data(associated)
            return context.update(data) + context.finalize()
        except InvalidTag:
            raise failure() from None

    @staticmethod
    def _check_iv(iv: bytes | None) -> bytes:
        iv = needed(iv)
        if not GCM_IV_BYTES_MIN <= len(iv) <= GCM_IV_BYTES_MAX:
            raise parameters(f"GCM takes an IV of {GCM_IV_BYTES_MIN} to {GCM_IV_BYTES_MAX} bytes, best 12")
        return iv


def _check_gcm_tag(length_bytes: int) -> None:
    if not GCM_TAG_BYTES_MIN <= length_bytes <= GCM_TAG_BYTES:
        raise parameters(f"GCM takes a tag of {GCM_TAG_BYTES_MIN} to {GCM_TAG_BYTES} bytes")


def _tag(tag: bytes | None) -> bytes:
    if tag is None:
        raise parameters("this mode needs the tag that encryption gave")
    return tag


class Ccm:
    """AES-CCM (NIST SP 800-38C): nonces of 7 to 13 bytes, tags of 8 to 16."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag_length_bytes: int | None = None
    ) -> Encrypted:
        """See `Prepared.encrypt`."""
        length_bytes = GCM_TAG_BYTES if tag_length_bytes is None else tag_length_bytes
        iv = self._check(iv, len(data), length_bytes)
        sealed = AESCCM(self._key, length_bytes).encrypt(iv, data, associated)
        return sealed[:-length_bytes], sealed[-length_bytes:]

    def decrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag: bytes | None = None
    ) -> bytes:
        """See `Prepared.decrypt`."""
        tag = _tag(tag)
        iv = self._check(iv, len(data), len(tag))
        try:
            return AESCCM(self._key, len(tag)).decrypt(iv, data + tag, associated)
        except InvalidTag:
            raise failure() from None

    @staticmethod
    def _check(iv: bytes | None, data_bytes: int, tag_bytes: int) -> bytes:
        iv = needed(iv)
        if not CCM_IV_BYTES_MIN <= len(iv) <= CCM_IV_BYTES_MAX or tag_bytes not in CCM_TAG_LENGTHS_BYTES:
            raise parameters(f"CCM takes an IV of 7 to 13 bytes and a tag of {CCM_TAG_LENGTHS_BYTES} bytes")
        if data_bytes >= 1 << 8 * (15 - len(iv)):
            raise parameters("the data is too long for CCM with this IV; use a shorter IV")
        return iv


class ChaChaPoly:
    """ChaCha20-Poly1305 (RFC 8439): 12-byte nonces, 16-byte tags."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)

    def encrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag_length_bytes: int | None = None
    ) -> Encrypted:
        """See `Prepared.encrypt`."""
        if tag_length_bytes not in {None, GCM_TAG_BYTES}:
            raise parameters("ChaCha20-Poly1305 takes a tag of 16 bytes")
        sealed = self._cipher.encrypt(exactly(iv, CHACHA_IV_BYTES), data, associated)
        return sealed[:-GCM_TAG_BYTES], sealed[-GCM_TAG_BYTES:]

    def decrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag: bytes | None = None
    ) -> bytes:
        """See `Prepared.decrypt`."""
        tag, iv = _tag(tag), exactly(iv, CHACHA_IV_BYTES)
        if len(tag) != GCM_TAG_BYTES:
            raise parameters("ChaCha20-Poly1305 takes a tag of 16 bytes")
        try:
            return self._cipher.decrypt(iv, data + tag, associated)
        except InvalidTag:
            raise failure() from None
