"""Cryptography on data that comes in pieces: contexts that are begun, fed and finished.

Laws: what authenticates is not given out before it is authenticated: GCM decrypts at the end. A mode that the library
computes in one go gathers its data up to a bound. A context belongs to one stream and one thread.

Source: NIST SP 800-38A, SP 800-38B, SP 800-38D; FIPS 198-1; KMIP 1.4 sections 4.29 to 4.34, 4.37 (Correlation Value).
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Protocol

from cryptography.hazmat.decrepit.ciphers.modes import CFB, OFB
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from keystead.core.algorithms import Algorithm, Mode, Padding
from keystead.core.errors import Invalid, TooLarge
from keystead.core.secret import Secret
from keystead.trust.aead_modes import GCM_IV_BYTES_MAX, GCM_IV_BYTES_MIN, GCM_TAG_BYTES, GCM_TAG_BYTES_MIN
from keystead.trust.cipher_modes import exactly, failure, needed, parameters
from keystead.trust.ciphers import triple_des
from keystead.trust.macs import HASHES

GATHERED_BYTES_MAX = 1 << 20
"""What a stream may gather whose mode cannot be fed."""

_BLOCK_BYTES = {Algorithm.AES: 16, Algorithm.DES3: 8, Algorithm.DES: 8}
_CHAINED: dict[int, Callable[[bytes], Any]] = {Mode.CBC: modes.CBC, Mode.CFB: CFB, Mode.OFB: OFB, Mode.CTR: modes.CTR}


class Pieces(Protocol):
    """Something that is fed piece by piece."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece and return what can be given out already.

        Raises:
            TooLarge: more has come than can be gathered.
        """

    def finish(self) -> bytes:
        """Return the rest: the last of the data, the code or the digest.

        Raises:
            Invalid: the data does not end where the mode needs it to.
            CryptographicFailure: anything wrong with encrypted data.
        """


class Gathered:
    """Keeps everything until the end, for what can only be computed in one go."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> bytes:
        """See `Pieces.feed`: nothing comes out."""
        if len(self._data) + len(data) > GATHERED_BYTES_MAX:
            raise TooLarge(
                "more data has come in pieces than this can gather; begin anew with less", "too_large.request"
            )
        self._data += data
        return b""

    def finish(self) -> bytes:
        """Return everything."""
        return bytes(self._data)


class Digest:
    """A hash (FIPS 180-4, FIPS 202), by its Hashing Algorithm."""

    def __init__(self, number: int) -> None:
        function = HASHES[number]
        self._context = hashlib.new(function.name, usedforsecurity=not function.legacy)

    def feed(self, data: bytes) -> bytes:
        """See `Pieces.feed`."""
        self._context.update(data)
        return b""

    def finish(self) -> bytes:
        """Return the digest."""
        return self._context.digest()


class Hmac:
    """An HMAC with a hash."""

    def __init__(self, key: Secret, number: int) -> None:
        self._context = hmac.new(key.reveal(), digestmod=HASHES[number].name)

    def feed(self, data: bytes) -> bytes:
        """See `Pieces.feed`."""
        self._context.update(data)
        return b""

    def finish(self) -> bytes:
        """Return the code."""
        return self._context.digest()


class Cmac:
    """AES-CMAC."""

    def __init__(self, key: Secret) -> None:
        self._context = CMAC(algorithms.AES(key.reveal()))

    def feed(self, data: bytes) -> bytes:
        """See `Pieces.feed`."""
        self._context.update(data)
        return b""

    def finish(self) -> bytes:
        """Return the code."""
        return self._context.finalize()


class Encryption:
    """Encrypts in a mode that can be fed. `tag` is there after `finish` where the mode authenticates."""

    def __init__(self, cipher: "Begun") -> None:
        self._context: Any = cipher.context
        self._padder = None if cipher.padding is None else cipher.padding.padder()
        self._tag_bytes = cipher.tag_bytes
        self.tag: bytes | None = None

    def feed(self, data: bytes) -> bytes:
        """See `Pieces.feed`."""
        return bytes(self._context.update(data if self._padder is None else self._padder.update(data)))

    def finish(self) -> bytes:
        """See `Pieces.finish`."""
        rest = b"" if self._padder is None else bytes(self._context.update(self._padder.finalize()))
        try:
            rest += self._context.finalize()
        except ValueError:
            raise parameters("the data is not whole blocks, and no padding was asked for") from None
        if self._tag_bytes:
            self.tag = self._context.tag[: self._tag_bytes]
        return bytes(rest)


class Decryption:
    """Decrypts in a mode that can be fed and does not authenticate."""

    def __init__(self, cipher: "Begun") -> None:
        self._context = cipher.context
        self._unpadder = None if cipher.padding is None else cipher.padding.unpadder()

    def feed(self, data: bytes) -> bytes:
        """See `Pieces.feed`; with padding the last block stays inside."""
        clear = self._context.update(data)
        return bytes(clear if self._unpadder is None else self._unpadder.update(clear))

    def finish(self) -> bytes:
        """See `Pieces.finish`."""
        try:
            clear = self._context.finalize()
            return bytes(clear if self._unpadder is None else self._unpadder.update(clear) + self._unpadder.finalize())
        except ValueError:
            raise failure() from None


class Begun:
    """A cipher at the beginning of a stream.

    Args:
        algorithm: Cryptographic Algorithm.
        mode: Block Cipher Mode.
        method: Padding Method; 0 or None = none.
        key: Key bytes, of a length that was checked.
        iv: As the mode needs it.

    Raises:
        Invalid: the IV or the padding does not fit the mode.
    """

    def __init__(self, algorithm: int, mode: int, method: int, key: Secret, iv: bytes | None) -> None:
        self._cipher = Cipher(_algorithm(algorithm, key), _mode(mode, _BLOCK_BYTES[Algorithm(algorithm)], iv))
        self.padding = _padding(mode, method, _BLOCK_BYTES[Algorithm(algorithm)])
        self.tag_bytes = 0
        self.context: Any = None

    def encryption(self, associated: bytes | None, tag_bytes: int | None) -> Encryption:
        """Begin to encrypt; only GCM takes associated data and a length of its tag."""
        self.context = self._cipher.encryptor()
        if isinstance(self._cipher.mode, modes.GCM):
            self.tag_bytes = GCM_TAG_BYTES if tag_bytes is None else tag_bytes
            if not GCM_TAG_BYTES_MIN <= self.tag_bytes <= GCM_TAG_BYTES:
                raise parameters("a tag of GCM has 12 to 16 bytes")
            self.context.authenticate_additional_data(associated or b"")
        elif associated is not None or tag_bytes is not None:
            raise parameters("this mode does not authenticate: leave additional data and tag out")
        return Encryption(self)

    def decryption(self) -> Decryption:
        """Begin to decrypt."""
        self.context = self._cipher.decryptor()
        return Decryption(self)


def can_be_fed(algorithm: int, mode: int, *, decrypt: bool) -> bool:
    """Tell whether a mode gives out data before its end; else it is gathered and computed in one go."""
    if algorithm not in _BLOCK_BYTES:
        return False
    return mode in _CHAINED or mode == Mode.ECB or (mode == Mode.GCM and not decrypt)


def _algorithm(number: int, key: Secret) -> Any:
    return algorithms.AES(key.reveal()) if number == Algorithm.AES else triple_des(key.reveal())


def _mode(number: int, block_bytes: int, iv: bytes | None) -> Any:
    if number == Mode.ECB:
        if iv is not None:
            raise parameters("this mode takes no initialisation vector")
        return modes.ECB()  # noqa: S305  # behind legacy.modes
    if number == Mode.GCM:
        given = needed(iv)
        if not GCM_IV_BYTES_MIN <= len(given) <= GCM_IV_BYTES_MAX:
            raise parameters(f"GCM takes an IV of {GCM_IV_BYTES_MIN} to {GCM_IV_BYTES_MAX} bytes")
        return modes.GCM(given)
    return _CHAINED[number](exactly(iv, block_bytes))


def _padding(mode: int, method: int, block_bytes: int) -> Any:
    if method in (0, Padding.NONE):
        return None
    if mode not in (Mode.CBC, Mode.ECB):
        raise parameters("this mode takes no padding")
    if method == Padding.PKCS5:
        return padding.PKCS7(8 * block_bytes)
    if method == Padding.ANSI_X923:
        return padding.ANSIX923(8 * block_bytes)
    raise Invalid("this padding method is not offered", "invalid.cryptographic_parameters")
