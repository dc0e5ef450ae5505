"""One class per kind of cipher mode, made ready for a key: encrypt, decrypt, nothing else. See also `aead_modes`.

Laws: whatever is wrong with data that came encrypted (tag, padding, length, integrity) is one error with one text, so
that nobody can ask us which it was (docs/adr/0024); padding is removed by the library in constant time. What is wrong
with parameters, which the asker knows, is told. An object is thread-safe: no two calls share a context.

Source: NIST SP 800-38A to F; RFC 8439; KMIP 1.4 sections 4.29, 4.30.
"""

from typing import Protocol

from cryptography.hazmat.decrepit.ciphers.modes import CFB, OFB
from cryptography.hazmat.primitives import keywrap, padding
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, CipherContext, algorithms, modes

from keystead.core.errors import CryptographicFailure, Invalid

PADDING_NONE = 1
PADDING_PKCS5 = 3
PADDING_ANSI_X923 = 6

_FAILURE = "the data cannot be decrypted: it was not encrypted with this key and these parameters"


Encrypted = tuple[bytes, bytes | None]
"""What encryption gives: data, and the tag, None where the mode does not authenticate. A plain tuple: it is on the path
of every request."""


class Prepared(Protocol):
    """A mode made ready for one key."""

    def encrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag_length_bytes: int | None = None
    ) -> Encrypted:
        """Encrypt.

        Args:
            data: Clear bytes.
            iv: Initialisation vector, counter or nonce, as the mode needs it.
            associated: Additional data that is authenticated, for modes that do.
            tag_length_bytes: 12 to 16 for GCM; None = 16.

        Raises:
            Invalid: a parameter does not fit the mode, or the data needs padding and has none.
        """

    def decrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag: bytes | None = None
    ) -> bytes:
        """Decrypt.

        Raises:
            Invalid: a parameter does not fit the mode.
            CryptographicFailure: anything wrong with the data; says no more.
        """


def parameters(message: str) -> Invalid:
    """Say what is wrong with cryptographic parameters."""
    return Invalid(message, "invalid.cryptographic_parameters")


def failure() -> CryptographicFailure:
    """Say that data cannot be decrypted, always in the same words."""
    return CryptographicFailure(_FAILURE)


def needed(iv: bytes | None) -> bytes:
    """Return the IV.

    Raises:
        Invalid: there is none.
    """
    if iv is None:
        raise Invalid(
            "this mode needs an initialisation vector; send one or ask for a random one", "invalid.missing_iv"
        )
    return iv


def exactly(iv: bytes | None, length_bytes: int) -> bytes:
    """Return the IV.

    Raises:
        Invalid: there is none of this length.
    """
    iv = needed(iv)
    if len(iv) != length_bytes:
        raise parameters(f"the initialisation vector has {len(iv)} bytes, this mode takes {length_bytes}")
    return iv


def _without(what: str, given: object) -> None:
    if given is not None:
        raise parameters(f"this mode takes no {what}")


def _only_data(associated: bytes | None, tag: object) -> None:
    """Refuse what only authenticated modes take: ignored, it would be believed to have been checked."""
    if associated is not None or tag is not None:
        raise parameters("this mode authenticates nothing; use GCM for additional data or a tag")


_Chained = tuple[CipherContext, int]
"""A context, and the block that it will chain on from as a number (0 in a mode that does not chain)."""


class Block:
    """ECB or CBC, with or without padding.

    A context is kept and used again, because to make one costs ten times as much as a short encryption. A context of
    CBC chains on from what it did before: that is taken back by XOR with the first block (docs/adr/0025). Of several
    calls at a time each takes a context of its own.
    """

    __slots__ = ("_block_bytes", "_chained", "_cipher", "_decryptors", "_encryptors", "_padding")

    def __init__(self, algorithm: CipherAlgorithm, block_bytes: int, padding_method: int, *, chained: bool) -> None:
        mode = modes.CBC(bytes(block_bytes)) if chained else modes.ECB()  # noqa: S305  # behind a switch (LEG-07)
        self._cipher = Cipher(algorithm, mode)
        self._block_bytes = block_bytes
        self._chained = chained
        self._padding = padding_method
        self._encryptors: list[_Chained] = []
        self._decryptors: list[_Chained] = []

    def encrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag_length_bytes: int | None = None
    ) -> Encrypted:
        """See `Prepared.encrypt`."""
        if associated is not None or tag_length_bytes is not None:
            _only_data(associated, tag_length_bytes)
        self._check_iv(iv)
        block_bytes = self._block_bytes
        over_bytes = len(data) % block_bytes
        if self._padding != PADDING_NONE:
            fill = block_bytes - over_bytes
            data += bytes([fill]) * fill if self._padding == PADDING_PKCS5 else bytes(fill - 1) + bytes([fill])
        elif over_bytes:
            raise parameters(f"the data is no multiple of {block_bytes} bytes; ask for padding")
        if not data:
            return b"", None
        try:
            context, chained = self._encryptors.pop()
        except IndexError:
            context, chained = self._cipher.encryptor(), 0
        if iv is not None:
            first = int.from_bytes(data[:block_bytes], "big") ^ int.from_bytes(iv, "big") ^ chained
            data = first.to_bytes(block_bytes, "big") + data[block_bytes:]
        sealed = context.update(data)
        if iv is not None:
            chained = int.from_bytes(sealed[-block_bytes:], "big")
        self._encryptors.append((context, chained))
        return sealed, None

    def decrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag: bytes | None = None
    ) -> bytes:
        """See `Prepared.decrypt`."""
        if associated is not None or tag is not None:
            _only_data(associated, tag)
        self._check_iv(iv)
        block_bytes = self._block_bytes
        if len(data) % block_bytes:
            raise failure()
        if not data:
            return b"" if self._padding == PADDING_NONE else self._unpadded(b"")
        try:
            context, chained = self._decryptors.pop()
        except IndexError:
            context, chained = self._cipher.decryptor(), 0
        clear = context.update(data)
        if iv is not None:
            first = int.from_bytes(clear[:block_bytes], "big") ^ int.from_bytes(iv, "big") ^ chained
            clear = first.to_bytes(block_bytes, "big") + clear[block_bytes:]
            chained = int.from_bytes(data[-block_bytes:], "big")
        self._decryptors.append((context, chained))
        return clear if self._padding == PADDING_NONE else self._unpadded(clear)

    def _check_iv(self, iv: bytes | None) -> None:
        if not self._chained:
            _without("initialisation vector", iv)
        elif iv is None or len(iv) != self._block_bytes:
            exactly(iv, self._block_bytes)

    def _unpadded(self, clear: bytes) -> bytes:
        bits = self._block_bytes * 8
        form = padding.PKCS7(bits) if self._padding == PADDING_PKCS5 else padding.ANSIX923(bits)
        context = form.unpadder()
        try:
            return context.update(clear) + context.finalize()
        except ValueError:
            raise failure() from None


class Stream:
    """CFB (full block), OFB or CTR: no padding, data of any length."""

    __slots__ = ("_algorithm", "_block_bytes", "_mode")

    def __init__(self, algorithm: CipherAlgorithm, block_bytes: int, mode: type[CFB | OFB | modes.CTR]) -> None:
        self._algorithm = algorithm
        self._block_bytes = block_bytes
        self._mode = mode

    def encrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag_length_bytes: int | None = None
    ) -> Encrypted:
        """See `Prepared.encrypt`."""
        _only_data(associated, tag_length_bytes)
        mode = self._mode(exactly(iv, self._block_bytes))
        return Cipher(self._algorithm, mode).encryptor().update(data), None

    def decrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag: bytes | None = None
    ) -> bytes:
        """See `Prepared.decrypt`."""
        _only_data(associated, tag)
        mode = self._mode(exactly(iv, self._block_bytes))
        return Cipher(self._algorithm, mode).decryptor().update(data)


class Xts:
    """AES-XTS (NIST SP 800-38E): the IV is the 16-byte tweak; at least one block of data."""

    __slots__ = ("_algorithm",)

    def __init__(self, key: bytes) -> None:
        half = len(key) // 2
        if key[:half] == key[half:]:
            raise Invalid("the two halves of an XTS key must differ", "invalid.key")
        self._algorithm = algorithms.AES(key)

    def encrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag_length_bytes: int | None = None
    ) -> Encrypted:
        """See `Prepared.encrypt`."""
        _only_data(associated, tag_length_bytes)
        if len(data) < 16:
            raise parameters("XTS takes at least 16 bytes of data")
        return Cipher(self._algorithm, modes.XTS(exactly(iv, 16))).encryptor().update(data), None

    def decrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag: bytes | None = None
    ) -> bytes:
        """See `Prepared.decrypt`."""
        _only_data(associated, tag)
        iv = exactly(iv, 16)
        if len(data) < 16:
            raise failure()
        return Cipher(self._algorithm, modes.XTS(iv)).decryptor().update(data)


class KeyWrap:
    """AES key wrap, without or with padding (NIST SP 800-38F; RFC 3394, RFC 5649). No IV: it is fixed."""

    __slots__ = ("_key", "_padded")

    def __init__(self, key: bytes, *, padded: bool) -> None:
        self._key = key
        self._padded = padded

    def encrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag_length_bytes: int | None = None
    ) -> Encrypted:
        """See `Prepared.encrypt`."""
        _without("initialisation vector", iv)
        _only_data(associated, tag_length_bytes)
        wrap = keywrap.aes_key_wrap_with_padding if self._padded else keywrap.aes_key_wrap
        try:
            return wrap(self._key, data), None
        except ValueError:
            raise parameters("key wrap takes at least 16 bytes, a multiple of 8; with padding at least 1") from None

    def decrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag: bytes | None = None
    ) -> bytes:
        """See `Prepared.decrypt`."""
        _without("initialisation vector", iv)
        _only_data(associated, tag)
        unwrap = keywrap.aes_key_unwrap_with_padding if self._padded else keywrap.aes_key_unwrap
        try:
            return unwrap(self._key, data)
        except (keywrap.InvalidUnwrap, ValueError):
            raise failure() from None


class ChaCha:
    """ChaCha20 from block 0: a nonce of 12 bytes (RFC 8439), or of 8 with a 64-bit counter as KMIP's profiles use it.

    The 16-byte form is the library's own: counter, little-endian, then nonce.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag_length_bytes: int | None = None
    ) -> Encrypted:
        """See `Prepared.encrypt`."""
        _only_data(associated, tag_length_bytes)
        return self._run(data, iv), None

    def decrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag: bytes | None = None
    ) -> bytes:
        """See `Prepared.decrypt`."""
        _only_data(associated, tag)
        return self._run(data, iv)

    def _run(self, data: bytes, iv: bytes | None) -> bytes:
        nonce = needed(iv)
        if len(nonce) not in {8, 12}:
            raise parameters("ChaCha20 takes a nonce of 8 or 12 bytes")
        full = bytes(16 - len(nonce)) + nonce
        return Cipher(algorithms.ChaCha20(self._key, full), None).encryptor().update(data)


class Arc4:
    """RC4: a stream without an IV; the same key gives the same stream every time."""

    __slots__ = ("_algorithm",)

    def __init__(self, algorithm: CipherAlgorithm) -> None:
        self._algorithm = algorithm

    def encrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag_length_bytes: int | None = None
    ) -> Encrypted:
        """See `Prepared.encrypt`."""
        _without("initialisation vector", iv)
        _only_data(associated, tag_length_bytes)
        return Cipher(self._algorithm, None).encryptor().update(data), None

    def decrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag: bytes | None = None
    ) -> bytes:
        """See `Prepared.decrypt`."""
        return self.encrypt(data, iv, associated, None if tag is None else len(tag))[0]
