"""Envelope: the one form in which keys and secrets leave and return. Sealed for recipients, signed by its origin.

Laws: nothing of an envelope is interpreted before its origin's signature over all of it holds; the header is bound to
every chunk through the key that encrypts them; chunks cannot be reordered, repeated, cut off or appended, as each
nonce holds the chunk's place and whether it is the last; a suite is accepted by its number only, and there is one.

Source: design.md law 7; docs/design/envelope.md (the bytes); NIST SP 800-38D (GCM), RFC 5869 (HKDF);
V. T. Hoang, R. Reyhanitabar, P. Rogaway, D. Vizár (2015): STREAM, the nonces of the chunks.
"""

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keystead.core.errors import Invalid, NotSupported, Tampered, TooLarge
from keystead.core.secret import Secret
from keystead.trust.origins import ORIGIN_ID_BYTES, SIGNATURE_BYTES, Origin, OriginKey
from keystead.trust.recipients import Identity, Plain, Recipient, Stanza, file_key_from
from keystead.trust.sealing import KEY_BYTES, TAG_BYTES, frame

MAGIC = b"keystead-env-1\r\n"
SUITE = 1  # AES-256-GCM, HKDF-SHA-256, SHA-512; Ed25519 with ML-DSA-65; HPKE ML-KEM-768 with X25519; Argon2id
CHUNK_BYTES = 65_536
HEADER_BYTES_MAX = 131_072
RECIPIENTS_COUNT_MAX = 16
CHUNKS_COUNT_MAX = 2**32 - 1
ENVELOPE_ID_BYTES = 16
TRAILER_BYTES = 2 + ORIGIN_ID_BYTES + SIGNATURE_BYTES
_PREFIX_BYTES = 7
_LENGTH = struct.Struct(">I")
_SUITE = struct.Struct(">H")
_READ_BYTES = 1_048_576
_FIELDS = {"suite", "kind", "id", "made", "about", "prefix", "recipients"}


@dataclass(frozen=True, slots=True)
class Header:
    """What everybody may read of an envelope, and its origin vouches for.

    Attributes:
        kind: What is inside, such as "drive-set"; a reader names the kind that it expects.
        id: 16 random bytes.
        made_at: Microseconds since 1970, UTC, by the origin's clock.
        about: Public facts that the kind defines; text, numbers, bytes and lists of them.
        stanzas: One for each recipient.
        encoded: The header's bytes as they stand in the envelope.
        prefix: 7 random bytes, the first of every chunk's nonce.
    """

    kind: str
    id: bytes
    made_at: int
    about: Mapping[str, Plain]
    stanzas: tuple[Stanza, ...]
    encoded: bytes
    prefix: bytes

    @property
    def context(self) -> bytes:
        """Return what recipients' wrapped keys are bound to."""
        return context_of(self.kind, self.id)


@dataclass(frozen=True, slots=True)
class Sealing:
    """How to seal an envelope.

    Attributes:
        kind: See `Header`; 1 to 64 characters.
        recipients: 1 to 16.
        origin: Who signs.
        now: Microseconds since 1970, UTC.
        about: See `Header`; public.
    """

    kind: str
    recipients: Sequence[Recipient]
    origin: Origin
    now: int
    about: Mapping[str, Plain]


def context_of(kind: str, envelope_id: bytes) -> bytes:
    """Return what recipients' wrapped keys are bound to: suite, kind and id."""
    return frame(b"keystead/envelope/1", _SUITE.pack(SUITE), kind.encode(), envelope_id)


# -------------------------------------------------------------------------------------------------------------- write


def seal(content: Iterable[bytes], target: BinaryIO, sealing: Sealing) -> Header:
    """Write an envelope; memory stays bounded whatever the length.

    Args:
        content: Pieces of any length.
        target: Takes the bytes; the caller flushes it to disk.
        sealing: What is inside, for whom, by whom.

    Raises:
        Invalid: no recipient or too many. TooLarge: the header or the content is beyond its limit.
    """
    if not 1 <= len(sealing.recipients) <= RECIPIENTS_COUNT_MAX:
        raise Invalid(f"an envelope has 1 to {RECIPIENTS_COUNT_MAX} recipients")
    file_key = Secret(os.urandom(KEY_BYTES))
    header = _new_header(sealing, file_key)
    digest = hashlib.sha512()
    for part in (MAGIC, _LENGTH.pack(len(header.encoded)), header.encoded):
        digest.update(part)
        target.write(part)
    for chunk in _encrypted(content, _content_key(file_key, header), header.prefix):
        digest.update(chunk)
        target.write(chunk)
    origin = _SUITE.pack(SUITE) + sealing.origin.key.id
    digest.update(origin)
    target.write(origin + sealing.origin.sign(digest.digest(), "envelope"))
    return header


def _new_header(sealing: Sealing, file_key: Secret) -> Header:
    envelope_id, prefix = os.urandom(ENVELOPE_ID_BYTES), os.urandom(_PREFIX_BYTES)
    context = context_of(sealing.kind, envelope_id)
    stanzas = tuple(recipient.wrap(file_key, context) for recipient in sealing.recipients)
    fields = {
        "suite": SUITE,
        "kind": sealing.kind,
        "id": envelope_id,
        "made": sealing.now,
        "about": dict(sealing.about),
        "prefix": prefix,
        "recipients": [[stanza.kind, stanza.fields] for stanza in stanzas],
    }
    encoded = cbor2.dumps(fields, canonical=True)
    if len(encoded) > HEADER_BYTES_MAX:
        raise TooLarge(f"the header of an envelope has more than {HEADER_BYTES_MAX} bytes; say less about its content")
    return Header(sealing.kind, envelope_id, sealing.now, sealing.about, stanzas, encoded, prefix)


def _content_key(file_key: Secret, header: Header) -> AESGCM:
    salt = hashlib.sha256(header.encoded).digest()
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, b"keystead/envelope/content/1").derive(file_key.reveal()))


def _encrypted(content: Iterable[bytes], key: AESGCM, prefix: bytes) -> Iterator[bytes]:
    """Yield encrypted chunks; one is held back, as the last has a nonce of its own."""
    held: bytes | None = None
    index = 0
    for chunk in _cut(content):
        if held is not None:
            yield key.encrypt(_nonce(prefix, index, last=False), held, None)
            index += 1
        held = chunk
    yield key.encrypt(_nonce(prefix, index, last=True), held or b"", None)


def _cut(content: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for piece in content:
        waiting += piece
        whole = len(waiting) // CHUNK_BYTES * CHUNK_BYTES
        for start in range(0, whole, CHUNK_BYTES):
            yield bytes(waiting[start : start + CHUNK_BYTES])
        del waiting[:whole]
    if waiting:
        yield bytes(waiting)


def _nonce(prefix: bytes, index: int, *, last: bool) -> bytes:
    if index > CHUNKS_COUNT_MAX:
        raise TooLarge("the content of an envelope is beyond 256 TiB; make several")
    return prefix + _LENGTH.pack(index) + bytes([last])


# --------------------------------------------------------------------------------------------------------------- read


@dataclass(frozen=True)
class Envelope:
    """An envelope whose origin's signature holds; its content can be opened now.

    Attributes:
        header: See `Header`.
        origin: Who signed it.
        source: Where it is read from; must stay open, and nobody else may move its position.
        content_at: Where the chunks start, bytes.
        content_bytes: How long they are with their tags, bytes.
    """

    header: Header
    origin: OriginKey
    source: BinaryIO
    content_at: int
    content_bytes: int

    @property
    def length_bytes(self) -> int:
        """Return how long the content is in clear, bytes."""
        return self.content_bytes - self._chunks_count * TAG_BYTES

    @property
    def _chunks_count(self) -> int:
        return max(1, -(-self.content_bytes // (CHUNK_BYTES + TAG_BYTES)))

    def open(self, identities: Sequence[Identity]) -> Iterator[bytes]:
        """Yield the content in pieces of up to 65,536 bytes; it is whole only once the iterator ends.

        Raises:
            Refused: none of the identities opens it. Unavailable: a security module is locked.
            Tampered: the content was changed after its signature was checked.
        """
        file_key = file_key_from(self.header.stanzas, identities, self.header.context)
        return self._decrypted(_content_key(file_key, self.header))

    def read(self, identities: Sequence[Identity], length_bytes_max: int) -> Secret:
        """Return a short content whole.

        Raises:
            TooLarge: longer than allowed. Others: see `open`.
        """
        if self.length_bytes > length_bytes_max:
            raise TooLarge(f"the content of this envelope has more than {length_bytes_max} bytes")
        return Secret(b"".join(self.open(identities)))

    def _decrypted(self, key: AESGCM) -> Iterator[bytes]:
        self.source.seek(self.content_at)
        left = self.content_bytes
        for index in range(self._chunks_count):
            chunk = self.source.read(min(left, CHUNK_BYTES + TAG_BYTES))
            left -= len(chunk)
            if index and len(chunk) <= TAG_BYTES:
                raise Tampered("the content of an envelope ends in a chunk that is empty")
            try:
                yield key.decrypt(_nonce(self.header.prefix, index, last=left == 0), chunk, None)
            except (InvalidTag, ValueError):
                raise Tampered("the content of an envelope was changed; use another copy of it") from None


def verify(source: BinaryIO, origins: Mapping[bytes, OriginKey], kind: str) -> Envelope:
    """Check an envelope's signature, then read its header.

    Args:
        source: Seekable; the envelope is everything in it.
        origins: Those that are trusted here, by their ids; empty = nobody.
        kind: What must be inside.

    Raises:
        Tampered: no envelope, cut off, changed, or signed by nobody trusted.
        NotSupported: of another suite or format. Invalid: of another kind, or its header breaks the form.
    """
    length = source.seek(0, os.SEEK_END)
    head_bytes = len(MAGIC) + _LENGTH.size
    if length < head_bytes + TAG_BYTES + TRAILER_BYTES:
        raise Tampered("this is no envelope, or it was cut off; use another copy of it")
    source.seek(0)
    if source.read(len(MAGIC)) != MAGIC:
        raise NotSupported("this is no envelope of format 1; read it with the version that made it")
    origin, digest = _signed_digest(source, length, origins)
    source.seek(length - SIGNATURE_BYTES)
    origin.verify(source.read(SIGNATURE_BYTES), digest, "envelope")
    source.seek(len(MAGIC))
    header_bytes = _LENGTH.unpack(source.read(_LENGTH.size))[0]
    content_at = head_bytes + header_bytes
    content_bytes = length - TRAILER_BYTES - content_at
    if header_bytes > HEADER_BYTES_MAX or content_bytes < TAG_BYTES:
        raise Invalid("the header of an envelope is longer than allowed")
    header = _read_header(source.read(header_bytes))
    if header.kind != kind:
        raise Invalid(f"this envelope holds {header.kind!r}, not {kind!r}")
    return Envelope(header, origin, source, content_at, content_bytes)


def _signed_digest(source: BinaryIO, length: int, origins: Mapping[bytes, OriginKey]) -> tuple[OriginKey, bytes]:
    """Return the trusted origin that the trailer names and the digest that it must have signed."""
    source.seek(length - TRAILER_BYTES)
    suite = _SUITE.unpack(source.read(_SUITE.size))[0]
    origin = origins.get(source.read(ORIGIN_ID_BYTES))
    if origin is None:
        raise Tampered("the envelope was signed by nobody who is trusted here, or it was cut off or appended to")
    if suite != SUITE:
        raise NotSupported(f"the envelope is of suite {suite}; only suite {SUITE} is accepted here")
    source.seek(0)
    digest = hashlib.sha512()
    left = length - SIGNATURE_BYTES
    while left:
        piece = source.read(min(left, _READ_BYTES))
        if not piece:
            raise Tampered("the envelope became shorter while it was read")
        digest.update(piece)
        left -= len(piece)
    return origin, digest.digest()


def _read_header(encoded: bytes) -> Header:
    try:
        fields: Any = cbor2.loads(encoded)
        if cbor2.dumps(fields, canonical=True) != encoded or set(fields) != _FIELDS or fields["suite"] != SUITE:
            raise ValueError
        stanzas = tuple(Stanza(str(kind), dict(values)) for kind, values in fields["recipients"])
        header = Header(
            str(fields["kind"]), fields["id"], int(fields["made"]), fields["about"], stanzas, encoded, fields["prefix"]
        )
        if not 1 <= len(stanzas) <= RECIPIENTS_COUNT_MAX or len(header.id) != ENVELOPE_ID_BYTES:
            raise ValueError
        if len(header.prefix) != _PREFIX_BYTES or not isinstance(header.about, dict):
            raise ValueError
    except (cbor2.CBORError, ValueError, TypeError, KeyError, AttributeError):
        raise Invalid("the header of an envelope breaks its form, though its origin signed it") from None
    return header
