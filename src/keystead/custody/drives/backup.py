"""A backup of tokens' keys to a set of drives, in eight steps that are told and recorded.

Source: requirements CB-003 to 011, 017, 018, 020; SM-16; docs/adr/0082, 0083.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from keystead.core.errors import Invalid, KeysteadError, WrongState
from keystead.core.secret import Secret
from keystead.custody.drives import entries, files, jobs, sets
from keystead.custody.drives.entries import Digests, Entry, Place, Secrets, Unsaved
from keystead.custody.drives.jobs import Asker, Job, Pins, State, Step, Surroundings
from keystead.custody.drives.manifest import ID_BYTES, Manifest, check_size, sign_manifest
from keystead.custody.drives.registry import Books, challenge, identify
from keystead.custody.drives.sets import KIND, Drive
from keystead.trust.envelope import Sealing, seal
from keystead.trust.pkcs11.processes import CALL_S_MAX, ERRAND_S_MAX, TokenProcess
from keystead.trust.recipients import Module, Recipient
from keystead.trust.sealing import KEY_BYTES

WORKING_FILE = "set.new"
OBJECTS_COUNT_MAX = 1_000_000
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class BackupOrder:
    """What is to be saved.

    Attributes:
        asker: Who asks.
        partitions: Label of the token -> its PINs.
        drives: Where they are mounted: 3, 5 or 7.
        recipients: Besides the node's security module, such as shares on paper.
    """

    asker: Asker
    partitions: Mapping[str, Pins]
    drives: Sequence[Path]
    recipients: Sequence[Recipient] = ()


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What came of it.

    Attributes:
        manifest: Of the set.
        unsaved: Objects that stay in their tokens; never counted as saved.
        drives: Names of those that hold the set.
        unfinished: Drive -> what has to be done, although the set is valid.
    """

    manifest: Manifest
    unsaved: tuple[Unsaved, ...]
    drives: tuple[str, ...]
    unfinished: Mapping[str, str] = field(default_factory=dict)


def recover(around: Surroundings, paths: Sequence[Path]) -> str:
    """Bring drives and job to the old state or to the new one after an interruption; say which in plain words."""
    with jobs.alone(around.folder):
        return _recover(around, paths)


def run_backup(around: Surroundings, order: BackupOrder) -> BackupReport:
    """Back keys up; on any error the drives and the books are as before.

    Raises:
        Refused, WrongState, Invalid, NotFound, DeviceFault, Tampered: says at which step, and names the drive.
    """
    jobs.check_address(order.asker, around.allowed)
    jobs.check_persons(order.asker, two_persons=around.two_persons)
    with jobs.alone(around.folder):
        _recover(around, order.drives)
        last = jobs.load(around.folder)
        if last is not None and last.kind == "restore" and last.state in {State.RUNNING, State.COMMITTED}:
            raise WrongState("a restore of keys is unfinished; run it again first")
        return _Backup(around, order).run()


class _Backup:
    def __init__(self, around: Surroundings, order: BackupOrder) -> None:
        self._around = around
        self._order = order
        labels = tuple(order.partitions)
        asker = order.asker
        self._job = Job("backup", os.urandom(ID_BYTES), State.RUNNING, "", asker.user, asker.officer, labels)
        self._work = around.folder / WORKING_FILE
        self._digests = Digests()
        self._unsaved: list[Unsaved] = []
        self._attached: list[Drive] = []

    def run(self) -> BackupReport:
        tokens: TokenProcess | None = None
        try:
            self._did(Step.RECEIVED)
            self._did(Step.ADDRESS)
            tokens = self._around.tokens()
            secrets = Secrets(Secret(os.urandom(KEY_BYTES)), Secret(os.urandom(KEY_BYTES)))
            slots = self._verify_details(tokens, secrets)
            self._did(Step.DETAILS)
            handles = {label: list(_listed(tokens, label)) for label in slots}
            self._did(Step.METADATA)
            self._seal(tokens, secrets, slots, handles)
            self._did(Step.KEYS)
            manifest = self._manifest()
            signed = sign_manifest(manifest, self._around.origin)
            self._did(Step.COLLECTED)
            self._attached = attach(self._around, self._order.drives)
            self._job = replace(self._job, drives=tuple(each.identity.name for each in self._attached))
            manifest = replace(manifest, drives=tuple(each.identity.id for each in self._attached))
            signed = sign_manifest(manifest, self._around.origin)
            self._did(Step.DRIVES)
            for number, drive in enumerate(self._attached, start=1):
                sets.stage(drive, self._work, manifest, signed)
                self._around.progress("drives written", number, len(self._attached))
        except BaseException as error:
            self._undo(error)
            raise
        finally:
            if tokens is not None:
                tokens.close()
        return self._commit(manifest)

    def _did(self, step: Step) -> None:
        self._job = replace(self._job, step=step)
        jobs.save(self._around.folder, self._job)
        number = list(Step).index(step) + 1
        self._around.progress(step, number, len(Step))

    def _verify_details(self, tokens: TokenProcess, secrets: Secrets) -> dict[str, int]:
        """Check slots, drives' number and all PINs; leave every token open."""
        check_size(len(self._order.drives))
        if not 1 <= len(self._order.partitions) <= jobs.PARTITIONS_COUNT_MAX:
            raise Invalid(f"choose 1 to {jobs.PARTITIONS_COUNT_MAX} partitions")
        known = {label: slot for slot, label in tokens.ask("partitions", CALL_S_MAX)}
        for label, pins in self._order.partitions.items():
            jobs.judge_officer(self._around, tokens, label, pins.officer)
        for label, pins in self._order.partitions.items():
            open_partition(tokens, label, pins.user, secrets.wrapping)
        return {label: known[label] for label in self._order.partitions}

    def _seal(
        self, tokens: TokenProcess, secrets: Secrets, slots: dict[str, int], handles: dict[str, list[list[object]]]
    ) -> None:
        recipients = [Module(self._around.root), *self._order.recipients]
        about = {"set": self._job.set_id}
        sealing = Sealing(KIND, recipients, self._around.origin, self._around.clock(), dict(about))
        with self._work.open("wb") as target:
            os.fchmod(target.fileno(), 0o600)
            seal(self._content(tokens, secrets, slots, handles), target, sealing)
            target.flush()
            os.fsync(target.fileno())

    def _content(
        self, tokens: TokenProcess, secrets: Secrets, slots: dict[str, int], handles: dict[str, list[list[object]]]
    ) -> Iterator[bytes]:
        yield entries.head(secrets)
        total, done, number = sum(len(each) for each in handles.values()), 0, 0
        for label, rows in handles.items():
            for handle, _, name, key_id in rows:
                taken = tokens.ask("take", CALL_S_MAX, label=label, handle=handle)
                done += 1
                if "reason" in taken:
                    self._unsaved.append(Unsaved(label, _text(name), _hex(key_id), taken["reason"]))
                else:
                    place = Place(number, slots[label], label, int(str(handle)))
                    record = entries.body(secrets, Entry(place, taken["fields"], taken["wrapped"]))
                    self._digests.add(place, record)
                    number += 1
                    yield record
                self._around.progress("keys", done, total)
        yield entries.end(number, self._unsaved)

    def _manifest(self) -> Manifest:
        length, digest = files.digest_from_medium(self._work)
        return Manifest(
            set_id=self._job.set_id,
            made_at=self._around.clock(),
            number=self._around.registry.load().number + 1,
            drives=(),
            envelope_bytes=length,
            envelope_digest=digest,
            partitions=self._digests.partitions(),
            unsaved_count=len(self._unsaved),
        )

    def _undo(self, error: BaseException) -> None:
        self._work.unlink(missing_ok=True)
        for drive in self._attached:
            try:
                sets.tidy(drive, self._around.registry.load().newest)
            except KeysteadError:
                continue  # failed or pulled: what is staged on it is dropped at its next visit
        message = error.message if isinstance(error, KeysteadError) else type(error).__name__
        jobs.save(self._around.folder, replace(self._job, state=State.FAILED, message=message))

    def _commit(self, manifest: Manifest) -> BackupReport:
        """Make the set valid by one change of the books; then put it in place everywhere."""
        books = self._around.registry.load()
        drives = dict(books.drives)
        for drive in self._attached:
            drives[drive.identity.id] = replace(drives[drive.identity.id], set_id=manifest.set_id)
        self._around.registry.save(Books(drives, manifest.number, manifest.set_id, manifest.made_at))
        self._job = replace(self._job, state=State.COMMITTED)
        self._around.progress("set valid", 1, 1)
        unfinished = _settle(self._attached, manifest.set_id)
        self._work.unlink(missing_ok=True)
        if not unfinished:
            self._job = replace(self._job, state=State.DONE)
        self._did(Step.WRITTEN)
        return BackupReport(manifest, tuple(self._unsaved), self._job.drives, unfinished)


def attach(around: Surroundings, paths: Sequence[Path]) -> list[Drive]:
    """Challenge every drive of a set (CB-010).

    Raises:
        Invalid: one stands twice. DeviceFault, Tampered, NotFound: names the drive.
    """
    drives = [Drive(challenge(around.registry, path, around.origins, around.clock()).identity, path) for path in paths]
    if len({drive.identity.id for drive in drives}) != len(drives):
        raise Invalid("the same drive is named twice; a set needs different ones")
    return drives


def open_partition(tokens: TokenProcess, label: str, pin: Secret, wrapping: Secret) -> int:
    """Log a token's user in; return how many objects it holds."""
    fields = {"label": label, "pin": pin.reveal().decode(), "wrapping_key": wrapping.reveal()}
    return int(tokens.ask("open", ERRAND_S_MAX, **fields))


def _recover(around: Surroundings, paths: Sequence[Path]) -> str:
    job, newest = jobs.load(around.folder), around.registry.load().newest
    drives = []
    for path in paths:
        try:
            drives.append(Drive(identify(path, around.origins), path))
        except KeysteadError:
            continue  # the backup itself names it
    unfinished = _settle(drives, newest)
    (around.folder / WORKING_FILE).unlink(missing_ok=True)
    if job is None or job.kind != "backup" or job.state not in {State.RUNNING, State.COMMITTED}:
        return "nothing was interrupted"
    if job.set_id != newest:
        told = (
            f"the backup was interrupted after the step '{job.step}': the old set holds, nothing of the new one is left"
        )
        jobs.save(around.folder, replace(job, state=State.FAILED, message=told))
        return told
    if not unfinished:
        jobs.save(around.folder, replace(job, state=State.DONE))
    return "the backup was interrupted after its set became valid: the new set holds on every drive that is attached"


def _settle(drives: Sequence[Drive], newest: bytes) -> dict[str, str]:
    """Put a valid set in place on all drives, then drop older ones; return drive -> what went wrong."""
    wrong = {}
    holding = []
    for drive in drives:
        try:
            if sets.tidy(drive, newest):
                holding.append(drive)
        except KeysteadError as error:
            wrong[drive.identity.name] = error.message
    for drive in holding if not wrong else []:
        try:
            sets.drop_older(drive, newest)
        except KeysteadError as error:
            wrong[drive.identity.name] = error.message
    return wrong


def _listed(tokens: TokenProcess, label: str) -> Iterator[list[object]]:
    """Yield handle, class, label and id of every object."""
    start = 0
    while rows := tokens.ask("handles", ERRAND_S_MAX, label=label, start=start):
        yield from rows
        start += len(rows)
        if start > OBJECTS_COUNT_MAX:
            raise Invalid(f"a partition has more than {OBJECTS_COUNT_MAX} objects")


def _text(name: object) -> str:
    return bytes(name)[:_SHOWN_CHARACTERS].decode(errors="replace") if isinstance(name, bytes) else ""


def _hex(key_id: object) -> str:
    return key_id.hex() if isinstance(key_id, bytes) else ""
