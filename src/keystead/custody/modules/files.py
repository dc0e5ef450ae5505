"""Files under a secure module: AES-XTS, or AES-ECB where somebody insists, with integrity of their own.

Laws: neither mode tells whether bytes were changed, so every file ends with an HMAC over all of it; nothing of a
decrypted file is released before that holds (the caller writes beside the place and renames); each file has keys of
its own, so that XTS tweaks and ECB blocks never meet those of another file.

Source: requirements CA-023, 028; LEG-20; NIST SP 800-38E (XTS), RFC 2104 (HMAC); docs/cloning.md section 3.
"""

import hmac
import os
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import cbor2
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB, XTS

from keystead.core.errors import Invalid, Refused, Tampered
from keystead.core.secret import Secret
from keystead.core.translation import tr
from keystead.custody.modules.state import LINEAGE_BYTES, Mode
from keystead.trust.sealing import derive

MAGIC = b"keystead-file-1\n"
UNIT_BYTES = 65_536
BLOCK_BYTES = 16
MAC_BYTES = 32
SALT_BYTES = 16
HEADER_BYTES_MAX = 1024
_XTS_KEY_BYTES = 64
_ECB_KEY_BYTES = 32
_LENGTH = struct.Struct(">H")


class FileKeys:
    """The keys of one file, from the module's key and the file's salt."""

    def __init__(self, key: Secret, mode: Mode, salt: bytes) -> None:
        length_bytes = _XTS_KEY_BYTES if mode is Mode.XTS else _ECB_KEY_BYTES
        self._mode = mode
        self._cipher_key = derive(
            key.reveal(), "module-token/file/cipher", mode.encode(), salt, length_bytes=length_bytes
        )
        self.mac_key = derive(key.reveal(), "module-token/file/mac", mode.encode(), salt)

    def cipher(self, unit: int) -> Cipher[Any]:
        """Return the cipher of one unit of 65,536 bytes."""
        if self._mode is Mode.XTS:
            return Cipher(AES(self._cipher_key), XTS(unit.to_bytes(BLOCK_BYTES, "little")))
        return Cipher(AES(self._cipher_key), ECB())  # noqa: S305  # legacy, by the module's own switch


def encrypt(source: BinaryIO, target: BinaryIO, key: Secret, mode: Mode, lineage: bytes) -> int:
    """Encrypt a stream; memory stays bounded.

    Args:
        source: Read to its end.
        target: Gets header, ciphertext and the authentication code; the caller flushes it.
        key: The module's.
        mode: See `Mode`.
        lineage: Tells a module that cannot open the file that it cannot.

    Returns: bytes read.
    """
    salt = os.urandom(SALT_BYTES)
    keys = FileKeys(key, mode, salt)
    header = cbor2.dumps({"mode": str(mode), "lineage": lineage, "salt": salt}, canonical=True)
    mac = hmac.new(keys.mac_key, digestmod="sha256")
    length = 0

    def put(data: bytes) -> None:
        mac.update(data)
        target.write(data)

    put(MAGIC + _LENGTH.pack(len(header)) + header)
    for unit, (piece, is_last) in enumerate(_units(source, UNIT_BYTES)):
        length += len(piece)
        encryptor = keys.cipher(unit).encryptor()
        put(encryptor.update(_padded(piece) if is_last else piece) + encryptor.finalize())
    target.write(mac.digest())
    return length


def decrypt(source: BinaryIO, target: BinaryIO, key: Secret, lineage: bytes) -> int:
    """Decrypt a stream; the caller releases what was written only if this returns.

    Returns: bytes written.

    Raises:
        Invalid: no file of this form. Refused: of another key (reason refused.wrong_secret).
        Tampered: changed, cut off or appended to.
    """
    head, mode, salt = _read_header(source, lineage)
    keys = FileKeys(key, mode, salt)
    mac = hmac.new(keys.mac_key, head, "sha256")
    length = 0
    for unit, (piece, is_last) in enumerate(_units(source, UNIT_BYTES, held_back_bytes=MAC_BYTES)):
        data = piece[:-MAC_BYTES] if is_last else piece
        mac.update(data)
        if is_last and not (data and hmac.compare_digest(mac.digest(), piece[-MAC_BYTES:])):
            raise Tampered(tr("the file was changed, cut off or appended to; nothing of it is released"))
        if len(data) % BLOCK_BYTES:
            raise Tampered(tr("the file was changed, cut off or appended to; nothing of it is released"))
        decryptor = keys.cipher(unit).decryptor()
        clear = decryptor.update(data) + decryptor.finalize()
        clear = _unpadded(clear) if is_last else clear
        target.write(clear)
        length += len(clear)
    return length


def _read_header(source: BinaryIO, lineage: bytes) -> tuple[bytes, Mode, bytes]:
    start = source.read(len(MAGIC) + _LENGTH.size)
    if not start.startswith(MAGIC) or len(start) != len(MAGIC) + _LENGTH.size:
        raise Invalid(tr("this file was not encrypted by a secure module"))
    length = _LENGTH.unpack(start[len(MAGIC) :])[0]
    encoded = source.read(min(length, HEADER_BYTES_MAX))
    try:
        fields: Any = cbor2.loads(encoded)
        found, mode, salt = fields["lineage"], Mode(fields["mode"]), fields["salt"]
        if len(encoded) != length or len(found) != LINEAGE_BYTES or len(salt) != SALT_BYTES:
            raise ValueError
        if not isinstance(found, bytes) or not isinstance(salt, bytes):
            raise TypeError
    except (cbor2.CBORError, ValueError, KeyError, TypeError):
        raise Tampered(tr("the head of this file was changed")) from None
    if not hmac.compare_digest(found, lineage):
        raise Refused(tr("this file was encrypted under another key than this module's"), "refused.wrong_secret")
    return start + encoded, mode, salt


def _units(source: BinaryIO, length_bytes: int, *, held_back_bytes: int = 0) -> Iterator[tuple[bytes, bool]]:
    """Yield units, each with whether it is the last; the last has up to `held_back_bytes` more.

    Encrypting, the last may be empty, and is never whole: padding always has room in it.
    """
    waiting = bytearray()
    ended = False
    while not ended:
        piece = source.read(length_bytes)
        ended = not piece
        waiting += piece
        while len(waiting) > length_bytes + held_back_bytes or (not held_back_bytes and len(waiting) == length_bytes):
            yield bytes(waiting[:length_bytes]), False
            del waiting[:length_bytes]
    yield bytes(waiting), True


def _padded(piece: bytes) -> bytes:
    """ISO/IEC 7816-4 padding: 0x80 and zeros up to a whole block."""
    return (piece + b"\x80").ljust(-(-(len(piece) + 1) // BLOCK_BYTES) * BLOCK_BYTES, b"\0")


def _unpadded(piece: bytes) -> bytes:
    stripped = piece.rstrip(b"\0")
    if not stripped.endswith(b"\x80") or len(piece) - len(stripped) >= BLOCK_BYTES:
        raise Tampered(tr("the file was changed"))
    return stripped[:-1]
