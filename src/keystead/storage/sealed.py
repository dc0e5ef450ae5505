"""Keyed digests of a store: what makes a document, a material, a mark, the root and an audit leaf believable.

Laws: every digest has a key of its own, derived for this one store, so that nothing can be carried from one store or
one use to another; lengths come first, so that no two lists of parts give the same bytes; comparisons take the same
time whatever they find; an error names what does not authenticate and carries none of it.

Source: NIST SP 800-107 (HMAC-SHA-256), SP 800-38D (GCM); design.md law 6; docs/adr/0010-journal-chain-and-root.md.
"""

import hmac
import struct
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from keystead.core.changes import SealedMaterial
from keystead.core.errors import Tampered
from keystead.core.records import KIND_OBJECT, MaterialReference
from keystead.storage.store import StoreKeys
from keystead.trust.random_pool import random_bytes
from keystead.trust.sealing import derive, frame

DIGEST_BYTES = 32
_SALT_BYTES = 16
_NONCE_BYTES = 12
_RECORD_LENGTHS = struct.Struct(">IIQI")  # kind, id, revision itself, document


class Seals:
    """Digests of one store, under keys derived from the store's keys and its id.

    Args:
        keys: Of the process that opened the store.
        store_id: 16 bytes made when the store was created.
    """

    __slots__ = ("_audit", "_chain", "_mark", "_record", "_root", "_term", "store_id")

    def __init__(self, keys: StoreKeys, store_id: bytes) -> None:
        self.store_id = store_id
        self._record = _keyed(derive(keys.record, "store/record", store_id))
        self._mark = _keyed(derive(keys.record, "store/mark", store_id))
        self._chain = _keyed(derive(keys.chain, "store/chain", store_id))
        self._term = _keyed(derive(keys.chain, "store/root term", store_id))
        self._root = _keyed(derive(keys.chain, "store/root seal", store_id))
        self._audit = _keyed(derive(keys.audit, "store/audit leaf", store_id))

    def record_mac(self, kind: str, key: bytes, revision: int, document: bytes) -> bytes:
        """Return the MAC of a record as stored. The document names its material, its realm and its handle."""
        name = kind.encode()
        lengths = _RECORD_LENGTHS.pack(len(name), len(key), revision, len(document))
        return _digest(self._record, b"%b%b%b%b" % (lengths, name, key, document))

    def check_record(self, kind: str, key: bytes, revision: int, document: bytes, mac: bytes) -> None:
        """Compare a stored MAC.

        Raises:
            Tampered: names kind and id.
        """
        if not hmac.compare_digest(self.record_mac(kind, key, revision, document), mac):
            raise Tampered(f"{kind} {text_of(kind, key)} does not authenticate; run `keystead verify`")

    def root_term(self, kind: str, key: bytes, revision: int, mac: bytes) -> int:
        """Return what a live record adds to the root (an additive multiset hash modulo 2^256)."""
        name = kind.encode()
        lengths = _RECORD_LENGTHS.pack(len(name), len(key), revision, len(mac))
        return int.from_bytes(_digest(self._term, b"%b%b%b%b" % (lengths, name, key, mac)), "big")

    def chain(self, before: bytes, row: bytes) -> bytes:
        """Return the chain value of a journal row: it covers the row and the value before it (32 bytes)."""
        return _digest(self._chain, before + row)

    def leaf(self, before: bytes, leaf: bytes) -> bytes:
        """Return the digest of an audit leaf: it covers the leaf and the digest before it (32 bytes)."""
        return _digest(self._audit, before + leaf)

    @staticmethod
    def same(one: bytes, other: bytes) -> bool:
        """Compare digests in constant time."""
        return hmac.compare_digest(one, other)

    def marks_mac(self, marks: bytes) -> bytes:
        """Return the MAC of the store's marks."""
        return _digest(self._mark, marks)

    def first_chain(self, marks_mac: bytes) -> bytes:
        """Return the chain value before the first journal row; it binds the store's marks for ever."""
        return _digest(self._chain, frame(b"first", marks_mac))

    def first_leaf(self, marks_mac: bytes) -> bytes:
        """Return the digest before the first audit leaf."""
        return _digest(self._audit, frame(b"first", marks_mac))

    def seal_root(self, root: bytes, marks_mac: bytes) -> bytes:
        """Encrypt the root row: its sum must not be readable, or removing records would become solving for them.

        Every sealing has a key of its own from fresh random bytes: a store commits more often than the 2^32 times
        for which one key may be used with random nonces.
        """
        fresh = random_bytes(_SALT_BYTES + _NONCE_BYTES)
        return fresh + self._root_cipher(fresh).encrypt(fresh[_SALT_BYTES:], root, marks_mac)

    def open_root(self, sealed: bytes, marks_mac: bytes) -> bytes:
        """Decrypt the root row.

        Raises:
            Tampered: it was changed, or belongs to another store or to other marks.
        """
        fresh, body = sealed[: _SALT_BYTES + _NONCE_BYTES], sealed[_SALT_BYTES + _NONCE_BYTES :]
        try:
            return self._root_cipher(fresh).decrypt(fresh[_SALT_BYTES:], body, marks_mac)
        except (InvalidTag, ValueError):
            raise Tampered("the store's root does not authenticate; restore the store from a backup") from None

    def _root_cipher(self, fresh: bytes) -> AESGCM:
        return AESGCM(_digest(self._root, fresh[:_SALT_BYTES]))


def _keyed(key: bytes) -> HMAC:
    """Return a context that has taken in its key; copying one is twice as quick as starting anew."""
    return HMAC(key, SHA256())


def _digest(keyed: HMAC, message: bytes) -> bytes:
    context = keyed.copy()
    context.update(message)
    return context.finalize()


def material_of(
    kind: str, record_id: str, named: MaterialReference | None, sealed: bytes | None
) -> SealedMaterial | None:
    """Return the sealed material beside a document, checked against what the document names.

    Raises:
        Tampered: it is missing, another one, or changed; names kind and id.
    """
    if named is None:
        return None
    if sealed is None or not hmac.compare_digest(sha256(sealed).digest(), named.sealed_digest):
        raise Tampered(f"the material of {kind} {record_id} is not the one it was stored with; run `keystead verify`")
    return SealedMaterial(named.id, named.version, sealed)


def key_of(kind: str, record_id: str) -> bytes | None:
    """Return an id as stored: 16 bytes for a managed object, UTF-8 for other records.

    None for text that is no canonical UUID: clients may ask for anything, and nothing of that name can exist.
    """
    if kind != KIND_OBJECT:
        return record_id.encode()
    if len(record_id) != 36 or record_id[8:24:5] != "----" or record_id != record_id.lower():
        return None
    try:
        key = bytes.fromhex(record_id.replace("-", ""))
    except ValueError:
        return None
    return key if len(key) == 16 else None  # fromhex overlooks blanks


def text_of(kind: str, key: bytes) -> str:
    """Return the id of which `key_of` made the stored form; readable also for keys that somebody else put there."""
    if kind != KIND_OBJECT:
        return key.decode(errors="replace")
    digits = key.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
