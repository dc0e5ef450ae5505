"""Keys of PKCS#11 tokens on sets of drives: back tokens up, bring keys back, look on.

Everything runs in the `keys` process, since sets are sealed under the node's security module. A backup or restore is
started and then goes on by itself; its end is audited by the clock (docs/adr/0093).

Source: requirements CB-001, 002, 004, 005, 013, 018 to 020, 022; docs/drives.md.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

from keystead.core.changes import Change
from keystead.core.errors import Invalid
from keystead.core.fields import Items, Text
from keystead.core.permission import Access
from keystead.core.secret import Secret
from keystead.custody.drives.jobs import PARTITIONS_COUNT_MAX, Asker, Job, Pins, RestoreStep, State, Step
from keystead.custody.drives.manifest import ID_BYTES
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.operations.key_backup_service import (
    PLACE_CHARACTERS_MAX,
    PLACE_PATTERN,
    Ended,
    Progress,
    Service,
    WantedBackup,
    WantedRestore,
    address_of,
    service_of,
)

DRIVES_PER_SET_COUNT_MAX = 7
DETAIL_CHARACTERS_MAX = 1_000
LABEL_CHARACTERS_MAX = 32
OFFICER_CHARACTERS_MAX = 64
PINS_CHARACTERS_MAX = 16_384  # one for each partition

Places = Annotated[
    tuple[str, ...],
    Items(DRIVES_PER_SET_COUNT_MAX),
    Text(PLACE_PATTERN, PLACE_CHARACTERS_MAX, example="drive-1"),
]
Officer = Annotated[str, Text(characters_max=OFFICER_CHARACTERS_MAX, characters_min=1, example="sandro")]
PinLines = Annotated[Secret, Text(characters_max=PINS_CHARACTERS_MAX, characters_min=1, multiline=True)]


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
class RecordKeyBackup:
    """Write the end of a backup or restore into the audit log; asked by the clock.

    Attributes:
        ended: What came of it.
    """

    ended: Ended


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
    service = service_of(call)
    last, due = call.made(lambda: (service.last(), service.due()))
    return _how(service.progress(), last, due)


@operation(RecordKeyBackup, "key_backup.record", "KeyBackupRecord")
def record_key_backup(_call: Call, request: RecordKeyBackup) -> Change:
    """Audit user, security officer, slots, drives and result (CB-022)."""
    ended = request.ended
    result = "done" if ended.ok else "FAILED"
    told = _said(ended.kind, ended.asker, ended.partitions, ended.drives)
    return Change((), None, detail=f"{told}: {result}, {ended.message}"[:DETAIL_CHARACTERS_MAX])


def _asked(call: Call, officer: str) -> tuple[Service, Asker]:
    service = service_of(call)
    address = address_of(call)
    service.check(call.principal.name, officer, address)
    return service, Asker(call.principal.name, officer, address)


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
    shown = _how(service_of(call).progress(), None, ())
    return Change((), shown, detail=f"{_said(kind, asker, labels, drives)}: begun"[:DETAIL_CHARACTERS_MAX])


def _said(kind: str, asker: Asker, labels: tuple[str, ...], drives: tuple[str, ...]) -> str:
    named = f", drives {', '.join(drives)}" if drives else ""
    return f"{kind} of {', '.join(labels)} by {asker.user} with security officer {asker.officer}{named}"


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
