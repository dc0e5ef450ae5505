"""Entries of the audit tree and the personal parts that stand beside it.

An entry is canonical CBOR: 1, file, sequence, at, request id, operation, outcome, target, kind of principal,
commitment. The commitment is SHA-256 over a random salt and the personal part (principal's name, origin, detail), so
that the part can be replaced later without the entry telling what it was.

Source: docs/adr/0060-audit-tree.md; RFC 8949 section 4.2.
"""

import hmac
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import cbor2

from keystead.core.errors import Tampered
from keystead.storage.journal import Leaf
from keystead.trust.random_pool import random_bytes

FORMAT = 1
ENTRY_BYTES_MAX = 65_535  # the length before an entry in a bundle has 16 bits
TARGET_CHARACTERS_MAX = 8_192
SALT_BYTES = 32
_ITEMS = (int, str, int, int, bytes, str, str, str, str, bytes)
_DIGEST_BYTES = 32
_PARTS_COUNT_MAX = 1024
_EMPTY = cbor2.dumps(b"")
_PACKED_HEAD = cbor2.dumps([FORMAT, bytes(SALT_BYTES), b""])[: -SALT_BYTES - len(_EMPTY)]


class Entry(NamedTuple):
    """What the tree says of one audit leaf.

    Attributes:
        file: "own" or "shared".
        sequence: Of the leaf in that store, from 1.
        at_us: When, UTC microseconds.
        target: As in the leaf.
        principal_kind: "local", "user", "administrator"…
        commitment: To the personal part, 32 bytes.
    """

    file: str
    sequence: int
    at_us: int
    request_id: bytes
    operation: str
    outcome: str
    target: str
    principal_kind: str
    commitment: bytes


class Personal(NamedTuple):
    """What is personal of an entry.

    Attributes:
        name: Of the principal.
        origin: Address, "-" for local.
        detail: What changed, or why it was refused.
    """

    name: str
    origin: str
    detail: str


class Kept(NamedTuple):
    """A personal part as it is kept.

    Attributes:
        salt: 32 random bytes; empty once the part was replaced.
        part: Canonical CBOR of `Personal`.
        pseudonyms: What names in it were replaced by; empty = as it was written.
    """

    salt: bytes
    part: bytes
    pseudonyms: tuple[str, ...] = ()

    @property
    def personal(self) -> Personal:
        """The part, read. Raises Tampered."""
        try:
            name, origin, detail = cbor2.loads(self.part)
        except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError):
            raise Tampered("a personal part of the audit tree cannot be understood") from None
        return Personal(str(name), str(origin), str(detail))

    def fits(self, commitment: bytes) -> bool:
        """Tell whether an entry was written for exactly this."""
        return hmac.compare_digest(_commitment(self.salt, self.part), commitment)

    def replaced(self, personal: Personal, pseudonym: str) -> "Kept":
        """Return what is kept instead: without salt, so that nobody can test guesses of the name."""
        return Kept(b"", cbor2.dumps(list(personal), canonical=True), (*self.pseudonyms, pseudonym))

    def packed(self) -> bytes:
        """Return the form in a file."""
        if not self.pseudonyms and len(self.salt) == SALT_BYTES:
            return b"%b%b%b" % (_PACKED_HEAD, self.salt, _packed_part(self.part))
        more = [list(self.pseudonyms)] if self.pseudonyms else []
        return cbor2.dumps([FORMAT, self.salt, self.part, *more], canonical=True)

    @classmethod
    def unpacked(cls, packed: bytes) -> "Kept":
        """Read the form in a file. Raises Tampered."""
        try:
            form, salt, part, *more = cbor2.loads(packed)
            pseudonyms = tuple(map(str, more[0])) if more else ()
        except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError):
            raise Tampered("a personal part of the audit tree cannot be understood") from None
        if form != FORMAT or type(salt) is not bytes or type(part) is not bytes or bool(salt) is bool(pseudonyms):
            raise Tampered("a personal part of the audit tree is not of its form")
        return cls(salt, part, pseudonyms)


def entry_of(file: str, leaf: Leaf) -> tuple[bytes, Kept]:
    """Return the entry of a leaf and the personal part beside it; another salt each time."""
    kind, _, name = leaf.principal.partition(":")
    part = _part(name, leaf.origin, leaf.detail)
    kept = Kept(random_bytes(SALT_BYTES), part)
    target = leaf.target
    if len(target) > TARGET_CHARACTERS_MAX:
        target = f"sha256:{sha256(target.encode()).hexdigest()}"
    head = [FORMAT, file, leaf.sequence, leaf.at_us, leaf.request_id, leaf.operation, leaf.outcome, target, kind]
    return cbor2.dumps([*head, _commitment(kept.salt, part)], canonical=True), kept


def read_entry(stored: bytes) -> Entry:
    """Read an entry; one that was changed but not authenticated yet may be anything.

    Raises:
        Tampered: it is not of the form.
    """
    try:
        items = cbor2.loads(stored)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError):
        raise Tampered("an entry of the audit tree cannot be understood") from None
    is_formed = isinstance(items, list) and len(items) == len(_ITEMS)
    if not is_formed or not all(type(item) is kind for item, kind in zip(items, _ITEMS, strict=True)):
        raise Tampered("an entry of the audit tree is not of its form")
    if items[0] != FORMAT or len(items[-1]) != _DIGEST_BYTES:
        raise Tampered("an entry of the audit tree is not of its form")
    return Entry(*items[1:])


@lru_cache(_PARTS_COUNT_MAX)
def _part(name: str, origin: str, detail: str) -> bytes:
    """Return what is personal of an entry, as it is kept; the same for most of what somebody does."""
    return cbor2.dumps([name, origin, detail], canonical=True)


@lru_cache(_PARTS_COUNT_MAX)
def _packed_part(part: bytes) -> bytes:
    return cbor2.dumps(part)


def _commitment(salt: bytes, part: bytes) -> bytes:
    return sha256(salt + part).digest()
