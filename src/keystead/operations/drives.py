"""Drives for backups of tokens' keys: register them, have them prove themselves, and show who signs what is on them.

Source: requirements CB-001, 017, 019; docs/drives.md.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

from keystead.core.changes import Change
from keystead.core.fields import Text
from keystead.core.permission import Access
from keystead.custody.drives.manifest import DRIVE_NAME_CHARACTERS_MAX
from keystead.custody.drives.registry import Books, Registered
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.operations.key_backup_service import Place, service_of
from keystead.trust.origins import OriginKey


@dataclass(frozen=True, slots=True)
class RegisterDrive:
    """Register the drive that is mounted in a folder: it gets an identity that this node signs.

    Attributes:
        place: Folder where it is mounted, below key_backups.folder.
        name: What it is called from now on, as on its label.
    """

    place: Place
    name: Annotated[str, Text(characters_max=DRIVE_NAME_CHARACTERS_MAX, characters_min=1, example="vault A, drive 1")]


@dataclass(frozen=True, slots=True)
class ListDrives:
    """List the registered drives by name, with the set that each holds."""


@dataclass(frozen=True, slots=True)
class ChallengeDrive:
    """Have a mounted drive prove that it is the one that was here last, and no copy of it.

    Attributes:
        place: Folder where it is mounted, below key_backups.folder.
    """

    place: Place


@dataclass(frozen=True, slots=True)
class DriveShown:
    """A registered drive.

    Attributes:
        name: As given when it was registered.
        id: Hexadecimal.
        registered_us: When it was registered.
        visited_us: When it was here last.
        set_id: Of the newest set that was written to it, hexadecimal; "" = none.
        caution: What is odd about the folder where it was registered; "" = nothing.
    """

    name: str
    id: str
    registered_us: int
    visited_us: int
    set_id: str
    caution: str = ""


@dataclass(frozen=True, slots=True)
class ShowOrigin:
    """Show by which key this node signs sets; a new node has to trust it to read them."""


@dataclass(frozen=True, slots=True)
class OriginShown:
    """The public half of the node's origin.

    Attributes:
        fingerprint: Hexadecimal, for people.
        key: Both public keys, 1,984 bytes.
    """

    fingerprint: str
    key: bytes


@operation(
    RegisterDrive,
    "drive.register",
    "DriveRegister",
    administrator=Access.BACKUP_KEYS,
    material=True,
    route="POST /drives",
    answer=DriveShown,
)
def register_drive(call: Call, request: RegisterDrive) -> Change:
    """Register it on both sides."""
    service = service_of(call)
    drive, caution = call.made(partial(service.register, request.place, request.name))
    return Change(
        (),
        replace(_shown(drive), caution=caution),
        detail=f"drive {drive.identity.name} ({drive.identity.id.hex()}) registered",
    )


@operation(ListDrives, "drive.list", "DriveList", administrator=Access.ANY, material=True)
def list_drives(call: Call, _request: ListDrives) -> tuple[DriveShown, ...]:
    """Return them by name."""
    books: Books = call.made(service_of(call).books)
    return tuple(sorted(map(_shown, books.drives.values()), key=lambda drive: drive.name))


@operation(
    ChallengeDrive,
    "drive.challenge",
    "DriveChallenge",
    administrator=Access.BACKUP_KEYS,
    material=True,
    route="POST /drives/challenge",
    answer=DriveShown,
)
def challenge_drive(call: Call, request: ChallengeDrive) -> Change:
    """Check it, and leave it the next token."""
    service = service_of(call)
    drive = call.made(partial(service.challenge, request.place))
    return Change((), _shown(drive), detail=f"drive {drive.identity.name} ({drive.identity.id.hex()}) proved itself")


@operation(
    ShowOrigin,
    "key_backup.show_origin",
    "KeyBackupOrigin",
    administrator=Access.ANY,
    material=True,
    route="GET /key-backup/origin",
)
def show_origin(call: Call, _request: ShowOrigin) -> OriginShown:
    """Return it; it is made when it is first needed."""
    key: OriginKey = call.made(service_of(call).origin)
    return OriginShown(key.id.hex(), key.encoded)


def _shown(drive: Registered) -> DriveShown:
    identity = drive.identity
    return DriveShown(identity.name, identity.id.hex(), identity.registered_at, drive.visited_at, drive.set_id.hex())
