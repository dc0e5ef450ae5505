"""Keys of PKCS#11 tokens on sets of drives: register and challenge drives, back tokens up, bring keys back, look on.

Everything runs in the `keys` process, since sets are sealed under the node's security module. A backup or restore is
started and then goes on by itself; its end is audited by the clock (docs/adr/0093).

Source: requirements CB-001, 002, 004, 005, 013, 017 to 020, 022; docs/drives.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Protocol

from keystead.core.changes import Change
from keystead.core.errors import Invalid, NotFound
from keystead.core.fields import Items, Text
from keystead.core.permission import Access
from keystead.core.secret import Secret
from keystead.custody.drives.jobs import PARTITIONS_COUNT_MAX, Asker, Job, Pins, RestoreStep, State, Step
from keystead.custody.drives.manifest import DRIVE_NAME_CHARACTERS_MAX, ID_BYTES
from keystead.custody.drives.registry import Books, Registered
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.trust.origins import OriginKey

KEY_BACKUPS = "key_backups"
"""Service of the gate, in the `keys` process: a `Service`."""
DRIVES_PER_SET_COUNT_MAX = 7
PLACE_CHARACTERS_MAX = 64
DETAIL_CHARACTERS_MAX = 1_000
LABEL_CHARACTERS_MAX = 32
OFFICER_CHARACTERS_MAX = 64
PINS_CHARACTERS_MAX = 16_384  # one for each partition

Place = Annotated[str, Text("[A-Za-z0-9][A-Za-z0-9._-]*", PLACE_CHARACTERS_MAX, characters_min=1, example="drive-1")]
Places = Annotated[
    tuple[str, ...],
    Items(DRIVES_PER_SET_COUNT_MAX),
    Text("[A-Za-z0-9][A-Za-z0-9._-]*", PLACE_CHARACTERS_MAX, example="drive-1"),
]
Officer = Annotated[str, Text(characters_max=OFFICER_CHARACTERS_MAX, characters_min=1, example="sandro")]
PinLines = Annotated[Secret, Text(characters_max=PINS_CHARACTERS_MAX, characters_min=1, multiline=True)]


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a job.

    Attributes:
        kind: "backup" or "restore".
        asker: Who asked, and who was the security officer.
        partitions: Labels of the tokens.
        drives: Names of those that hold the set, or of the one it was read from; before it is done, and of a job that
            failed, the folders that were asked for.
        ok: It worked.
        message: In plain words.
        count: Objects saved, or made ready for use.
        unsaved: Objects that stay in their tokens.
        hints: Drives with which something is wrong.
        set_id: Hexadecimal.
    """

    kind: str
    asker: Asker
    partitions: tuple[str, ...]
    drives: tuple[str, ...]
    ok: bool = False
    message: str = ""
    count: int = 0
    unsaved: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    set_id: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How a job is.

    Attributes:
        kind: "backup", "restore", or "" = none since the process started.
        running: It has not ended.
        steps: Those that were done, in order.
        doing: What is done now.
        number: Of `total`: steps, or objects.
        ended: What came of it; while it runs, who asked for what.
    """

    kind: str = ""
    running: bool = False
    steps: tuple[str, ...] = ()
    doing: str = ""
    number: int = 0
    total: int = 0
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class WantedBackup:
    """What a backup is started with: who asks, PINs by partition, and folders of drives."""

    asker: Asker
    pins: Mapping[str, Pins]
    drives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WantedRestore:
    """What a restore is started with: who asks, partition in the set -> token, PINs by token, drives, an older set."""

    asker: Asker
    targets: Mapping[str, str]
    pins: Mapping[str, Pins]
    drives: tuple[str, ...]
    set_id: bytes


class Service(Protocol):
    """What the `keys` process offers; the first three look at memory alone, the others wait for drives."""

    def check_address(self, address: str) -> None:
        """Judge where a request comes from. Raises Refused."""

    def check(self, user: str, officer: str, address: str) -> None:
        """Judge address and persons. Raises Refused."""

    def progress(self) -> Progress:
        """Return how the job is."""

    def last(self) -> Job | None:
        """Return the record of the last job."""

    def books(self) -> Books:
        """Return what is known of drives."""

    def due(self) -> tuple[str, ...]:
        """Say what has to be redone."""

    def origin(self) -> OriginKey:
        """Return the public half of what signs sets."""

    def register(self, place: str, name: str) -> tuple[Registered, str]:
        """Register a drive; returns it with what people should know of its folder, "" = nothing."""

    def challenge(self, place: str) -> Registered:
        """Have a drive prove itself."""

    def back_up(self, wanted: WantedBackup) -> Progress:
        """Start a backup."""

    def restore(self, wanted: WantedRestore) -> Progress:
        """Start a restore."""


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
class BackUpKeys:
    """Start a backup of tokens' keys to a set of 3, 5 or 7 registered drives; show it to see the steps.

    Attributes:
        partitions: Labels of the tokens.
        drives: Folders where the drives are mounted.
        officer: Who the security officer is.
        officer_pins: The security officer's PIN of every token, a line for each in the order of the partitions, or one
            for all.
        user_pins: Likewise the user's PINs.
    """

    partitions: Annotated[
        tuple[str, ...], Items(PARTITIONS_COUNT_MAX), Text(characters_max=LABEL_CHARACTERS_MAX, example="payroll")
    ]
    drives: Places
    officer: Officer
    officer_pins: PinLines
    user_pins: PinLines


@dataclass(frozen=True, slots=True)
class RestoreKeys:
    """Start a restore of keys from the drives of a set; one good drive is enough.

    Attributes:
        targets: What comes back, and where: partition in the set=label of the token; a label alone goes to the token of
            that label.
        drives: Folders where the drives are mounted.
        officer: Who the security officer is.
        officer_pins: The security officer's PIN of every token, a line for each in the order of the targets, or one for
            all.
        user_pins: Likewise the user's PINs.
        set_id: Of an older set, hexadecimal; "" = the newest.
    """

    targets: Annotated[
        tuple[str, ...],
        Items(PARTITIONS_COUNT_MAX),
        Text(characters_max=2 * LABEL_CHARACTERS_MAX + 1, example="payroll"),
    ]
    drives: Places
    officer: Officer
    officer_pins: PinLines
    user_pins: PinLines
    set_id: Annotated[str, Text("[0-9a-f]*", 2 * ID_BYTES)] = ""


@dataclass(frozen=True, slots=True)
class ShowKeyBackup:
    """Show the running backup or restore step by step, or what came of the last one, and what is due."""


@dataclass(frozen=True, slots=True)
class KeyBackupShown:
    """How a backup or restore is.

    Attributes:
        kind: "backup" or "restore"; "" = there was none yet.
        state: running, done, failed, or interrupted: the node was stopped meanwhile; the next run cleans up.
        steps: Those that were done, in order.
        doing: What is done now.
        number: Of `total`: steps, or objects.
        total: See there.
        user: Who asked.
        officer: The security officer.
        partitions: Labels of the tokens.
        drives: Names of the drives that hold the set, or of the one it was read from; unless it is done, the folders
            that were asked for.
        message: What came of it.
        unsaved: Objects that stay in their tokens, with the reason; they are not saved.
        hints: Drives with which something is wrong.
        set_id: Of the set, hexadecimal.
        due: What has to be redone.
    """

    kind: str
    state: str
    steps: tuple[str, ...]
    doing: str
    number: int
    total: int
    user: str
    officer: str
    partitions: tuple[str, ...]
    drives: tuple[str, ...]
    message: str
    unsaved: tuple[str, ...]
    hints: tuple[str, ...]
    set_id: str
    due: tuple[str, ...]


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


@dataclass(frozen=True, slots=True)
class RecordKeyBackup:
    """Write the end of a backup or restore into the audit log; asked by the clock.

    Attributes:
        ended: What came of it.
    """

    ended: Ended


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
    service = _service(call)
    drive, caution = call.made(partial(service.register, request.place, request.name))
    return Change(
        (),
        replace(_shown(drive), caution=caution),
        detail=f"drive {drive.identity.name} ({drive.identity.id.hex()}) registered",
    )


@operation(ListDrives, "drive.list", "DriveList", administrator=Access.ANY, material=True)
def list_drives(call: Call, _request: ListDrives) -> tuple[DriveShown, ...]:
    """Return them by name."""
    books: Books = call.made(_service(call).books)
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
    service = _service(call)
    drive = call.made(partial(service.challenge, request.place))
    return Change((), _shown(drive), detail=f"drive {drive.identity.name} ({drive.identity.id.hex()}) proved itself")


@operation(
    BackUpKeys,
    "key_backup.start",
    "KeyBackup",
    administrator=Access.BACKUP_KEYS,
    material=True,
    route="POST /key-backup",
    answer=KeyBackupShown,
)
def back_up_keys(call: Call, request: BackUpKeys) -> Change:
    """Start it; address first, then persons, then the rest (CB-020)."""
    service, asker = _asked(call, request.officer)
    pins = _pins(request.partitions, request.officer_pins, request.user_pins)
    wanted = WantedBackup(asker, pins, request.drives)
    call.made(partial(service.back_up, wanted))
    return _begun(call, "backup", asker, request.partitions, request.drives)


@operation(
    RestoreKeys,
    "key_restore.start",
    "KeyRestore",
    administrator=Access.RESTORE_KEYS,
    material=True,
    route="POST /key-restore",
    answer=KeyBackupShown,
)
def restore_keys(call: Call, request: RestoreKeys) -> Change:
    """Start it; address first, then persons, then the rest (CB-013, 020, 021)."""
    service, asker = _asked(call, request.officer)
    pairs = [word.partition("=") for word in request.targets]
    targets = {source: target or source for source, _, target in pairs}
    if len(targets) < len(pairs) or "" in targets:
        raise Invalid("name each partition once, as PARTITION or PARTITION=TOKEN", "invalid.field")
    labels = tuple(dict.fromkeys(targets.values()))
    pins = _pins(labels, request.officer_pins, request.user_pins)
    try:
        set_id = bytes.fromhex(request.set_id)
    except ValueError:
        raise Invalid("set_id is hexadecimal, as a backup shows it", "invalid.field") from None
    call.made(partial(service.restore, WantedRestore(asker, targets, pins, request.drives, set_id)))
    return _begun(call, "restore", asker, labels, request.drives)


@operation(
    ShowKeyBackup,
    "key_backup.show",
    "KeyBackupShow",
    administrator=Access.ANY,
    material=True,
    route="GET /key-backup",
)
def show_key_backup(call: Call, _request: ShowKeyBackup) -> KeyBackupShown:
    """Return it; what is due is looked up in the books."""
    service = _service(call)
    last, due = call.made(lambda: (service.last(), service.due()))
    return _how(service.progress(), last, due)


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
    key: OriginKey = call.made(_service(call).origin)
    return OriginShown(key.id.hex(), key.encoded)


@operation(RecordKeyBackup, "key_backup.record", "KeyBackupRecord")
def record_key_backup(_call: Call, request: RecordKeyBackup) -> Change:
    """Audit user, security officer, slots, drives and result (CB-022)."""
    ended = request.ended
    result = "done" if ended.ok else "FAILED"
    told = _said(ended.kind, ended.asker, ended.partitions, ended.drives)
    return Change((), None, detail=f"{told}: {result}, {ended.message}"[:DETAIL_CHARACTERS_MAX])


def _service(call: Call) -> Service:
    service: Service | None = call.desk.services.get(KEY_BACKUPS)
    if service is None:
        raise NotFound("this process has no drives")
    service.check_address(_address(call))
    return service


def _asked(call: Call, officer: str) -> tuple[Service, Asker]:
    service = _service(call)
    address = _address(call)
    service.check(call.principal.name, officer, address)
    return service, Asker(call.principal.name, officer, address)


def _address(call: Call) -> str:
    """Return where the asker is; empty = the local door."""
    return "" if call.principal.kind == "local" else call.principal.address


def _pins(labels: tuple[str, ...], officers: Secret, users: Secret) -> dict[str, Pins]:
    if not labels or len(set(labels)) < len(labels):
        raise Invalid("name at least one partition, and each once", "invalid.field")
    both = [_lines(each, len(labels)) for each in (officers, users)]
    return {label: Pins(officer, user) for label, officer, user in zip(labels, *both, strict=True)}


def _lines(given: Secret, count: int) -> list[Secret]:
    lines = [Secret(line.removesuffix(b"\r")) for line in given.reveal().removesuffix(b"\n").split(b"\n")]
    if len(lines) not in (1, count) or not all(map(_is_text, lines)):
        raise Invalid(f"give one PIN for all, or {count} of them, a line for each partition", "invalid.field")
    return lines * count if len(lines) == 1 else lines


def _is_text(pin: Secret) -> bool:
    try:
        return bool(pin.reveal().decode())
    except UnicodeDecodeError:
        return False


def _begun(call: Call, kind: str, asker: Asker, labels: tuple[str, ...], drives: tuple[str, ...]) -> Change:
    shown = _how(_service(call).progress(), None, ())
    return Change((), shown, detail=f"{_said(kind, asker, labels, drives)}: begun"[:DETAIL_CHARACTERS_MAX])


def _said(kind: str, asker: Asker, labels: tuple[str, ...], drives: tuple[str, ...]) -> str:
    named = f", drives {', '.join(drives)}" if drives else ""
    return f"{kind} of {', '.join(labels)} by {asker.user} with security officer {asker.officer}{named}"


def _shown(drive: Registered) -> DriveShown:
    identity = drive.identity
    return DriveShown(identity.name, identity.id.hex(), identity.registered_at, drive.visited_at, drive.set_id.hex())


def _up_to(job: Job) -> tuple[str, ...]:
    """Return the steps that a job's record says were done."""
    steps: list[str] = [*(RestoreStep if job.kind == "restore" else Step)]
    return tuple(steps[: steps.index(job.step) + 1]) if job.step in steps else ()


def _how(progress: Progress, last: Job | None, due: tuple[str, ...]) -> KeyBackupShown:
    """Return what is known: of this process's job, else of the record that the last one left."""
    if not progress.kind and last is not None:
        is_over = last.state in (State.DONE, State.FAILED)
        message = (
            last.message
            if is_over
            else "it was interrupted; the next run brings everything to one state and says which"
        )
        asker = Asker(last.user, last.officer)
        ended = Ended(last.kind, asker, last.partitions, last.drives, last.state is State.DONE, message)
        progress = Progress(last.kind, steps=_up_to(last), ended=replace(ended, set_id=last.set_id.hex()))
        state = str(last.state) if is_over else "interrupted"
    else:
        ended = progress.ended or Ended(progress.kind, Asker("", ""), (), ())
        state = "running" if progress.running else "done" if ended.ok else "failed" if progress.kind else ""
    return KeyBackupShown(
        progress.kind,
        state,
        progress.steps,
        progress.doing,
        progress.number,
        progress.total,
        ended.asker.user,
        ended.asker.officer,
        ended.partitions,
        ended.drives,
        ended.message,
        ended.unsaved,
        ended.hints,
        ended.set_id,
        due,
    )
