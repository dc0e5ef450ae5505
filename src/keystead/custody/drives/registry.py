"""Drives that are registered, on both sides: the node's sealed list, and identity and visit on the drive (AMB-54).

A drive cannot compute, so that its challenge is this: at each visit the node leaves a token that only it can make, and
asks for it at the next. A copy of a drive shows an old token as soon as the drive itself was here again.

Source: requirements CB-010, CB-016; AMB-54; docs/adr/0082.
"""

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cbor2

from keystead.core.errors import DeviceFault, Exists, KeysteadError, NotFound, Refused, Tampered
from keystead.core.secret import Secret
from keystead.custody.drives import files
from keystead.custody.drives.manifest import (
    ID_BYTES,
    SIGNED_BYTES_MAX,
    Identity,
    check_name,
    read_identity,
    sign_identity,
    visit_of,
)
from keystead.trust.origins import Origin, OriginKey
from keystead.trust.sealing import KEY_BYTES, seal, unseal

DRIVES_COUNT_MAX = 1_000
IDENTITY_FILE = "keystead-drive"
VISIT_FILE = "keystead-visit"
SETS_FOLDER = "keystead-sets"
_US_PER_S = 1_000_000
_CONTEXT = b"keystead/drive-registry/1"


@dataclass(frozen=True, slots=True)
class Registered:
    """What the node remembers of a drive.

    Attributes:
        identity: As it stands on the drive.
        mac_key: 32 bytes that visits are made with.
        nonce: Of the last visit.
        coming: Of a visit that may or may not have reached the drive.
        visited_at: Microseconds since 1970, UTC.
        set_id: Of the newest set written to it; empty = none.
    """

    identity: Identity
    mac_key: bytes
    nonce: bytes
    coming: bytes
    visited_at: int
    set_id: bytes = b""


@dataclass(frozen=True, slots=True)
class Books:
    """Everything the node remembers.

    Attributes:
        drives: By id.
        number: Of the newest set; 0 = none yet.
        newest: Id of the newest set.
        newest_at: When it was made, microseconds since 1970, UTC.
    """

    drives: Mapping[bytes, Registered]
    number: int = 0
    newest: bytes = b""
    newest_at: int = 0


class Registry(Protocol):
    """Keeps the books; `save` has made them durable when it returns."""

    def load(self) -> Books:
        """Return the books, empty ones at first."""

    def save(self, books: Books) -> None:
        """Keep the books."""


class FileRegistry:
    """Books in one sealed file.

    Args:
        path: Of the file; its folder exists.
        key: 32 bytes, the node's own.
    """

    def __init__(self, path: Path, key: Secret) -> None:
        self._path = path
        self._key = key

    def load(self) -> Books:
        """Return the books.

        Raises:
            Tampered: the file was changed.
        """
        try:
            sealed = self._path.read_bytes()
        except FileNotFoundError:
            return Books({})
        fields: dict[str, Any] = cbor2.loads(unseal(self._key.reveal(), sealed, _CONTEXT).reveal())
        drives = {row[0]: Registered(Identity(*row[:3]), *row[3:]) for row in fields["drives"]}
        return Books(drives, fields["number"], fields["newest"], fields["newest_at"])

    def save(self, books: Books) -> None:
        """Keep the books."""
        rows = [_row(each) for each in books.drives.values()]
        fields = {"drives": rows, "number": books.number, "newest": books.newest, "newest_at": books.newest_at}
        files.replace(self._path, seal(self._key.reveal(), Secret(cbor2.dumps(fields)), _CONTEXT))


def _row(drive: Registered) -> list[Any]:
    identity = drive.identity
    kept = (drive.mac_key, drive.nonce, drive.coming, drive.visited_at, drive.set_id)
    return [identity.id, identity.name, identity.registered_at, *kept]


def register(registry: Registry, path: Path, name: str, origin: Origin, now: int) -> Identity:
    """Make a drive known on both sides.

    Raises:
        Exists: the drive is registered, here or elsewhere, or the name is taken. Invalid: the name.
        DeviceFault: the drive cannot be written. Refused: too many drives.
    """
    check_name(name)
    books = registry.load()
    if any(each.identity.name == name for each in books.drives.values()):
        raise Exists(f"there is a drive {name} already; choose another name")
    if len(books.drives) >= DRIVES_COUNT_MAX:
        raise Refused(f"at most {DRIVES_COUNT_MAX} drives can be registered")
    if not path.is_dir():
        raise DeviceFault(f"there is no drive to register as {name}: it is not mounted")
    if (path / IDENTITY_FILE).exists():
        raise Exists("the drive has an identity already; erase it first if it shall get another")
    identity = Identity(os.urandom(ID_BYTES), name, now)
    nonce = os.urandom(KEY_BYTES)
    drive = Registered(identity, os.urandom(KEY_BYTES), nonce, nonce, now)
    registry.save(replace(books, drives={**books.drives, identity.id: drive}))
    try:
        files.replace(path / VISIT_FILE, visit_of(drive.mac_key, identity.id, nonce))
        files.replace(path / IDENTITY_FILE, sign_identity(identity, origin))
    except OSError as error:
        registry.save(books)
        raise DeviceFault(f"the drive {name} could not be registered: {files.why(error)}") from None
    return identity


def identify(path: Path, origins: Mapping[bytes, OriginKey]) -> Identity:
    """Read who a drive says it is.

    Raises:
        DeviceFault: no drive, or an empty one. Tampered: foreign or damaged.
    """
    try:
        data = files.read_small(path / IDENTITY_FILE, SIGNED_BYTES_MAX)
    except OSError as error:
        if path.is_dir() and isinstance(error, FileNotFoundError):
            raise DeviceFault(f"the drive at {path.name} has no identity: it is empty, or was pulled") from None
        raise DeviceFault(f"the drive at {path.name}: {files.why(error)}") from None
    try:
        return read_identity(data, origins)
    except KeysteadError as error:
        raise Tampered(f"the drive at {path.name} is foreign or damaged: {error.message}") from None


def challenge(registry: Registry, path: Path, origins: Mapping[bytes, OriginKey], now: int) -> Registered:
    """Have a drive prove that it is the one that was here last, and leave it the next token.

    Raises:
        DeviceFault: no drive, an empty one, or one that cannot be written. Tampered: foreign, damaged, or a copy.
        NotFound: not registered here.
    """
    identity = identify(path, origins)
    drive = registry.load().drives.get(identity.id)
    if drive is None or drive.identity != identity:
        raise NotFound(f"the drive {identity.name} is not registered here")
    try:
        coming = os.urandom(KEY_BYTES)
        drive = replace(drive, nonce=_shown(drive, path), coming=coming, visited_at=now)
        _keep(registry, drive)
        files.replace(path / VISIT_FILE, visit_of(drive.mac_key, identity.id, coming))
    except OSError as error:
        raise DeviceFault(f"the drive {identity.name}: {files.why(error)}") from None
    drive = replace(drive, nonce=coming)
    _keep(registry, drive)
    return drive


def check_visit(registry: Registry, path: Path, identity: Identity) -> None:
    """Check a drive's token without leaving another; a drive that is known elsewhere only has none for this node.

    Raises:
        DeviceFault: it cannot be read. Tampered: a copy.
    """
    drive = registry.load().drives.get(identity.id)
    if drive is None:
        return
    try:
        _shown(drive, path)
    except OSError as error:
        raise DeviceFault(f"the drive {identity.name}: {files.why(error)}") from None


def _shown(drive: Registered, path: Path) -> bytes:
    """Return the nonce of the visit whose token the drive shows."""
    shown = files.read_small(path / VISIT_FILE, KEY_BYTES)
    for nonce in (drive.coming, drive.nonce):
        if hmac.compare_digest(shown, visit_of(drive.mac_key, drive.identity.id, nonce)):
            return nonce
    raise Tampered(f"the drive {drive.identity.name} is a copy, or was put back to an earlier state")


def due(books: Books, now: int, after_s: int) -> list[str]:
    """Say in plain words what has to be redone: the backup, and each drive that was not here for so long (CB-019).

    Args:
        books: Of the node.
        now: Microseconds since 1970, UTC.
        after_s: How old a backup may be, and how long a drive may stay away.
    """
    oldest = now - after_s * _US_PER_S
    told = []
    if books.newest_at < oldest:
        told.append("the keys have to be backed up anew" if books.number else "the keys were never backed up")
    late = sorted(each.identity.name for each in books.drives.values() if each.visited_at < oldest)
    return told + [f"the drive {name} has to be brought and checked" for name in late]


def _keep(registry: Registry, drive: Registered) -> None:
    books = registry.load()
    registry.save(replace(books, drives={**books.drives, drive.identity.id: drive}))
