"""The node key: what a node can read while its security module is locked.

32 random bytes in a file outside the data folder, or from the service manager's credential store. Every other key of
the node itself is derived from it: those that authenticate its stores and its module's state, and those that seal its
TLS key and secret settings. It opens no managed key: material needs the security module as well.

Laws: whoever else may read the file makes it no key; it is never written beside the data it protects.

Source: design.md section 6 ("what is readable while locked", "copied folder"); attacks.md class 44; docs/adr/0023.
"""

import base64
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from keystead.core.errors import Invalid, Refused
from keystead.core.secret import Secret
from keystead.trust.durable_files import flush_folder
from keystead.trust.sealing import derive, seal, unseal

KEY_BYTES = 32
ID_BYTES = 8
FILE_BYTES_MAX = 512
_FORMAT = "keystead-node-key-1"
_CHECKSUM_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class DerivedStoreKeys:
    """The three keys of one store (storage.store.StoreKeys), 32 bytes each."""

    record: bytes = field(repr=False)
    chain: bytes = field(repr=False)
    audit: bytes = field(repr=False)


class NodeKey:
    """A node key in memory.

    Args:
        key_id: 8 bytes that name the key and may be shown.
        key: 32 random bytes.
    """

    __slots__ = ("_key", "id")

    def __init__(self, key_id: bytes, key: Secret) -> None:
        self.id = key_id
        self._key = key

    @classmethod
    def generate(cls) -> "NodeKey":
        """Make a new key."""
        return cls(secrets.token_bytes(ID_BYTES), Secret(secrets.token_bytes(KEY_BYTES)))

    def write(self, path: Path) -> None:
        """Create the key's file, readable by its owner only, and make it durable.

        Raises:
            Refused: the file exists already. OSError: it cannot be written.
        """
        key = base64.b64encode(self._key.reveal()).decode()
        line = f"{_FORMAT} {self.id.hex()} {key}"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise Refused("there is a node key in that place already; it is not overwritten") from None
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{line} {_checksum(line)}\n")
            file.flush()
            os.fsync(file.fileno())
        flush_folder(path.parent)

    @classmethod
    def read(cls, path: Path, data_folder: Path | None = None) -> "NodeKey":
        """Read a key from its file.

        Args:
            path: The file; a credential of the service manager is a file too ($CREDENTIALS_DIRECTORY/name).
            data_folder: Refuse a key that lies in it.

        Raises:
            Refused: others may read the file, somebody else owns it, or it lies in the data folder.
            Invalid: there is no such file, or it holds no node key.
        """
        if data_folder is not None:
            check_outside(path, data_folder)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hang the start
        except OSError as error:
            raise Invalid(f"the node key cannot be read: {error.strerror}; name the file it is in") from None
        try:
            _check_guarded(os.fstat(descriptor))
            return cls.from_text(os.read(descriptor, FILE_BYTES_MAX + 1))
        finally:
            os.close(descriptor)

    @classmethod
    def from_text(cls, text: bytes) -> "NodeKey":
        """Decode the content of a key file.

        Raises:
            Invalid: it is none, or damaged.
        """
        try:
            line, checksum = text.decode("ascii").removesuffix("\n").rsplit(" ", 1)
            form, key_id, key = line.split(" ")
            decoded = bytes.fromhex(key_id), base64.b64decode(key, validate=True)
        except ValueError:
            raise Invalid("the file holds no node key, or a damaged one") from None
        if form != _FORMAT or checksum != _checksum(line) or [len(each) for each in decoded] != [ID_BYTES, KEY_BYTES]:
            raise Invalid("the file holds no node key, or a damaged one")
        return cls(decoded[0], Secret(decoded[1]))

    def derive(self, purpose: str) -> Secret:
        """Derive the key of one purpose: "module", "tls", "settings", "activation"… 32 bytes."""
        return Secret(derive(self._key.reveal(), "node", purpose.encode()))

    def store_keys(self, store: str) -> DerivedStoreKeys:
        """Derive the keys that authenticate a store.

        Args:
            store: Its name ("node", "store"); each has keys of its own.
        """
        key, name = self._key.reveal(), store.encode()
        record, chain, audit = (derive(key, "node/store", name, part) for part in (b"record", b"chain", b"audit"))
        return DerivedStoreKeys(record, chain, audit)

    def seal(self, purpose: str, context: bytes, secret: Secret) -> bytes:
        """Seal a secret of the node (its TLS key, a setting), so that it opens while the module is locked."""
        return seal(self.derive(purpose).reveal(), secret, context)

    def unseal(self, purpose: str, context: bytes, sealed: bytes) -> Secret:
        """Open what `seal` made.

        Raises:
            Tampered: another node's, for another purpose or context, or changed.
        """
        return unseal(self.derive(purpose).reveal(), sealed, context)

    def __repr__(self) -> str:
        return f"NodeKey({self.id.hex()}, redacted)"


def check_outside(path: Path, data_folder: Path) -> None:
    """Check that a secret's file would not be copied together with the data it protects.

    Raises:
        Refused: `path` lies in `data_folder`, links followed.
    """
    if path.resolve().is_relative_to(data_folder.resolve()):
        raise Refused("this file must not lie in the data folder: whoever copies the folder would have both")


def _checksum(line: str) -> str:
    return hashlib.sha256(line.encode("ascii")).hexdigest()[:_CHECKSUM_CHARACTERS]


def _check_guarded(status: os.stat_result) -> None:
    """Refuse a file that others than its owner can read, or that another user owns.

    Group read is let through for root's files alone: so look credentials that the service manager grants by an access
    control list, whose mask stands where the group's bits are.
    """
    if not stat.S_ISREG(status.st_mode):
        raise Invalid("the node key is not a regular file")
    forbidden = stat.S_IRWXG | stat.S_IRWXO
    if status.st_uid == 0 and os.geteuid() != 0:
        forbidden &= ~stat.S_IRGRP
    if status.st_mode & forbidden:
        raise Refused("others than its owner may use the node key's file; set its mode to 0600 and make a new key")
    if status.st_uid not in {0, os.geteuid()}:
        raise Refused("the node key's file belongs to another user")
