"""Chunks as the vault sees them: named by a keyed code, compressed, padded, sealed to one owner and one name.

Laws: a chunk's id is an HMAC of its content under a secret key, so that nobody without the key can tell which content a
vault holds; each chunk has a key of its own, derived from its id; what is sealed opens only under the same owner, kind
and id; lengths are rounded up (Padmé), so that they tell little.

Sealed chunk: nonce (12 bytes), AES-GCM of [form (1), length of the rest (4), content or zstandard frame, zero bytes],
tag (16).

Source: requirements DS-001, DS-002, DS-003; docs/adr/0086-chunks-that-tell-little.md; Nikitin and others, Reducing
Metadata Leakage from Encrypted Files and Communication with PURBs, 2019 (Padmé).
"""

import hmac
import os
import struct
import threading
from enum import StrEnum
from functools import cached_property

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystead.core.errors import NotSupported, Refused, Tampered
from keystead.core.secret import Secret
from keystead.custody.safeguard.client_keys import ClientIdentity, ClientKeys, EncryptionType
from keystead.custody.safeguard.depot import Area
from keystead.trust.sealing import NONCE_BYTES, TAG_BYTES, derive, frame

CHUNK_BYTES_MAX = 4 * 1024 * 1024
COMPRESSION_LEVEL = 3
_PLAIN, _COMPRESSED = 0, 1
_HEAD = struct.Struct(">BI")
_PERMUTATION_ITEM_BYTES = 8
_DIFFERS = "the vault's data do not authenticate: changed, swapped, of another place or another client"


class Kind(StrEnum):
    """What a chunk is part of; one never passes for the other."""

    DATA = "data"
    LIST = "list"
    SNAPSHOT = "snapshot"


class AreaKeys:
    """All keys for one area of a vault.

    Args:
        master: The client's private key or its account key, 32 bytes.
        kind: Encryption type.
        area: Which area.
        owner: Name of the account, and of the client if the area is its own.
    """

    def __init__(self, master: Secret, kind: EncryptionType, area: Area, *owner: str) -> None:
        self._key_bytes = kind.key_bytes
        self._context = frame(b"backup/1", kind.encode(), area.encode(), *(part.encode() for part in owner))
        root = derive(master.reveal(), "backup/area", self._context)
        self._seal_key = derive(root, "backup/seal")
        self._id_key = derive(root, "backup/id")
        self._file_key = derive(root, "backup/file")
        self._cut_key = derive(root, "backup/cut", length_bytes=256 * _PERMUTATION_ITEM_BYTES)
        self._of_thread = threading.local()  # a compressor serves one thread
        self._decompressor = zstandard.ZstdDecompressor()

    @cached_property
    def permutation(self) -> bytes:
        """A secret order of the 256 values of a byte, which decides where content is cut."""
        size = _PERMUTATION_ITEM_BYTES
        draws = [self._cut_key[place : place + size] for place in range(0, 256 * size, size)]
        return bytes(sorted(range(256), key=draws.__getitem__))

    def chunk_id(self, kind: Kind, content: bytes) -> bytes:
        """Return the id of a chunk: HMAC-SHA-256 of its kind and content, 32 bytes."""
        code = hmac.new(self._id_key, frame(kind.encode()), "sha256")
        code.update(content)
        return code.digest()

    def file_code(self) -> hmac.HMAC:
        """Return a fresh keyed code (HMAC-SHA-256) for a whole file's content."""
        return hmac.new(self._file_key, digestmod="sha256")

    def seal(self, kind: Kind, chunk_id: bytes, content: bytes) -> bytes:
        """Compress, pad and seal a chunk."""
        packed, form = self._compressor().compress(content), _COMPRESSED
        if len(packed) >= len(content):
            packed, form = content, _PLAIN
        length = _HEAD.size + len(packed)
        body = b"".join((_HEAD.pack(form, len(packed)), packed, bytes(padded(length) - length)))
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher(chunk_id).encrypt(nonce, body, self._bound(kind, chunk_id))

    def open(self, kind: Kind, chunk_id: bytes, sealed: bytes) -> bytes:
        """Return the content of a chunk.

        Raises:
            Tampered: it is not the chunk of this owner, kind and id.
        """
        if len(sealed) < NONCE_BYTES + TAG_BYTES + _HEAD.size:
            raise Tampered(_DIFFERS)
        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            body = self._cipher(chunk_id).decrypt(nonce, rest, self._bound(kind, chunk_id))
        except InvalidTag:
            raise Tampered(_DIFFERS) from None
        form, length = _HEAD.unpack_from(body)
        packed = body[_HEAD.size : _HEAD.size + length]
        return self._unpacked(packed) if form == _COMPRESSED else packed

    def checked(self, kind: Kind, chunk_id: bytes, sealed: bytes) -> bytes:
        """Open a chunk and see that its content is what its id names.

        Raises:
            Tampered: it is not.
        """
        content = self.open(kind, chunk_id, sealed)
        if not hmac.compare_digest(self.chunk_id(kind, content), chunk_id):
            raise Tampered(_DIFFERS)
        return content

    def _compressor(self) -> zstandard.ZstdCompressor:
        if not hasattr(self._of_thread, "compressor"):
            self._of_thread.compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
        compressor: zstandard.ZstdCompressor = self._of_thread.compressor
        return compressor

    def _cipher(self, chunk_id: bytes) -> AESGCM:
        return AESGCM(derive(self._seal_key, "backup/chunk", chunk_id, length_bytes=self._key_bytes))

    def _bound(self, kind: Kind, chunk_id: bytes) -> bytes:
        return frame(self._context, kind.encode(), chunk_id)

    def _unpacked(self, packed: bytes) -> bytes:
        try:
            if not 0 < zstandard.get_frame_parameters(packed).content_size <= CHUNK_BYTES_MAX:
                raise Tampered(_DIFFERS)
            return self._decompressor.decompress(packed)
        except zstandard.ZstdError:
            raise Tampered(_DIFFERS) from None


def padded(length: int) -> int:
    """Round a length up so that only some of its leading bits tell (Padmé); adds at most 12 %."""
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    free_bits = exponent - exponent.bit_length()
    mask = (1 << max(0, free_bits)) - 1
    return (length + mask) & ~mask


class BackupKeys:
    """Keys of both areas.

    Args:
        keys: The client's master keys.
        who: The client; another client's data never open.

    Raises:
        NotSupported: the type is DES, which only reads what is old.
    """

    def __init__(self, keys: ClientKeys, who: ClientIdentity) -> None:
        if not keys.kind.protects:
            raise NotSupported(
                "backups are not made with DES; set the client up with AES-256", "not_supported.cryptography"
            )
        self.kind = keys.kind
        self.who = who
        self._areas = {Area.CLIENT: AreaKeys(keys.private, keys.kind, Area.CLIENT, who.account, who.client)}
        if keys.account is not None:
            self._areas[Area.ACCOUNT] = AreaKeys(keys.account, keys.kind, Area.ACCOUNT, who.account)

    def of(self, area: Area) -> AreaKeys:
        """Return the keys of an area.

        Raises:
            Refused: the area is the account's, and the client has no account key.
        """
        if area not in self._areas:
            raise Refused(
                "files common to the account need the account key; add it to this client first", "refused.feature"
            )
        return self._areas[area]
