"""Keys come back from any one good drive: fetched, verified, decrypted, placed, and only then given their names.

Law: until every key is in its token under a label of no application's, the old state holds; one durable record then
makes the new one hold, and whatever run comes next finishes the names.

Source: requirements CB-012 to 014, 021; docs/adr/0083.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from keystead.core.errors import DeviceFault, Invalid, KeysteadError, WrongState
from keystead.custody.drives import jobs, sets
from keystead.custody.drives.backup import open_partition
from keystead.custody.drives.entries import Reader, Unsaved
from keystead.custody.drives.jobs import Asker, Job, Pins, RestoreStep, State, Surroundings
from keystead.custody.drives.manifest import Manifest
from keystead.custody.drives.sets import Found
from keystead.trust.envelope import Envelope
from keystead.trust.pkcs11.processes import CALL_S_MAX, TokenProcess
from keystead.trust.recipients import Identity, Module


@dataclass(frozen=True, slots=True)
class RestoreOrder:
    """What is to come back.

    Attributes:
        asker: Who asks.
        targets: Partition in the set -> label of the token that its keys go to; the others stay on the drive.
        pins: Label of a target token -> its PINs.
        drives: Where drives are mounted; one good one is enough.
        set_id: Of an older set, asked for on purpose; empty = the newest.
        identities: Besides the node's security module, such as shares on paper.
    """

    asker: Asker
    targets: Mapping[str, str]
    pins: Mapping[str, Pins]
    drives: Sequence[Path]
    set_id: bytes = b""
    identities: Sequence[Identity] = ()


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What came of it.

    Attributes:
        manifest: Of the set.
        drive: Name of the one it was read from.
        wrong: Drive -> what is wrong with it.
        restored_count: Objects that this run made ready for use.
        present_count: Objects that the tokens had already; left as they are.
        unsaved: What the set does not hold.
    """

    manifest: Manifest
    drive: str
    wrong: Mapping[str, str]
    restored_count: int
    present_count: int
    unsaved: tuple[Unsaved, ...]


def run_restore(around: Surroundings, order: RestoreOrder) -> RestoreReport:
    """Bring keys back; without a good drive nothing is changed.

    Raises:
        DeviceFault: no good drive; names each with what is wrong. Refused: address, persons, PIN, an older set.
        Invalid, NotFound, WrongState: the targets.
    """
    jobs.check_address(order.asker, around.allowed)
    jobs.check_persons(order.asker, two_persons=around.two_persons)
    with jobs.alone(around.folder):
        return _Restore(around, order).run()


def state(around: Surroundings) -> str:
    """Say in plain words how the last restore stands."""
    job = jobs.load(around.folder)
    if job is None or job.kind != "restore" or job.state in {State.DONE, State.FAILED}:
        return "nothing was interrupted"
    if job.state is State.RUNNING:
        return "the restore was interrupted before its keys were valid: the old state holds; run it again"
    return (
        "the restore was interrupted after its keys were valid: the new state holds; run it again to finish the names"
    )


class _Restore:
    def __init__(self, around: Surroundings, order: RestoreOrder) -> None:
        self._around = around
        self._order = order
        self._openers = [Module(around.root), *order.identities]
        asker, labels = order.asker, tuple(sorted(set(order.targets.values())))
        self._job = Job("restore", b"", State.RUNNING, "", asker.user, asker.officer, labels)
        self._placed_count = self._seen_count = 0

    def run(self) -> RestoreReport:
        self._told(RestoreStep.RECEIVED)
        self._told(RestoreStep.ADDRESS)
        found, wrong = sets.look(self._order.drives, self._around.registry, self._around.origins)
        chosen = sets.choose(found, self._around.registry.load().newest, self._order.set_id)
        self._told(RestoreStep.FETCHED)
        good, envelope = self._first_good(chosen, wrong)
        with envelope.source:
            self._check_targets(good.manifest)
            self._told(RestoreStep.VERIFIED)
            self._job = replace(self._job, set_id=good.manifest.set_id, drives=(good.drive.identity.name,))
            unsaved = self._place(envelope)
        return RestoreReport(
            good.manifest,
            good.drive.identity.name,
            wrong,
            self._placed_count,
            self._seen_count - self._placed_count,
            unsaved,
        )

    def _told(self, step: RestoreStep) -> None:
        self._job = replace(self._job, step=step)
        self._around.progress(step, list(RestoreStep).index(step) + 1, len(RestoreStep))

    def _first_good(self, chosen: Sequence[Found], wrong: dict[str, str]) -> tuple[Found, Envelope]:
        for each in chosen:
            try:
                return each, sets.opened(each, self._around.origins, self._openers)
            except KeysteadError as error:
                wrong[each.drive.identity.name] = error.message
        told = "; ".join(wrong.values()) or "no drive was named"
        raise DeviceFault(f"there is no good drive, so nothing was changed: {told}")

    def _check_targets(self, manifest: Manifest) -> None:
        known = {each.label for each in manifest.partitions}
        for source in self._order.targets:
            if source not in known:
                raise Invalid(f"the set holds no partition {source}; it holds {', '.join(sorted(known))}")
        if not self._order.targets:
            raise Invalid("choose at least one partition to restore")
        if set(self._order.pins) != set(self._order.targets.values()):
            raise Invalid("give the PINs of exactly the tokens that keys go to")
        last = jobs.load(self._around.folder)
        if last is None or last.kind != "restore" or last.state is not State.COMMITTED:
            return
        if (last.set_id, last.partitions) != (manifest.set_id, self._job.partitions):
            raise WrongState(f"the restore of the set {last.set_id.hex()} has to be finished first; run it again")

    def _place(self, envelope: Envelope) -> tuple[Unsaved, ...]:
        tokens = self._around.tokens()
        try:
            reader = Reader(envelope.open(self._openers))
            for label, pins in self._order.pins.items():
                jobs.judge_officer(self._around, tokens, label, pins.officer)
            for label, pins in self._order.pins.items():
                open_partition(tokens, label, pins.user, reader.secrets.wrapping)
            self._told(RestoreStep.DETAILS)
            last = jobs.load(self._around.folder)
            if last is None or last.kind != "restore" or last.state is not State.COMMITTED:
                jobs.save(self._around.folder, self._job)
                self._stage(tokens, reader)
                self._told(RestoreStep.PLACED)
                self._job = replace(self._job, state=State.COMMITTED)
                jobs.save(self._around.folder, self._job)
            unsaved = self._settle(tokens, envelope)
            self._job = replace(self._job, state=State.DONE)
            self._told(RestoreStep.SETTLED)
            jobs.save(self._around.folder, self._job)
            return unsaved
        finally:
            tokens.close()

    def _stage(self, tokens: TokenProcess, reader: Reader) -> None:
        """Put everything in under passing labels; on any error take it out again."""
        try:
            for label in self._job.partitions:
                tokens.ask("drop_staged", CALL_S_MAX * 60, label=label)
            self._each(tokens, reader, "put")
        except KeysteadError as error:
            for label in self._job.partitions:
                tokens.ask("drop_staged", CALL_S_MAX * 60, label=label)
            jobs.save(self._around.folder, replace(self._job, state=State.FAILED, message=error.message))
            raise

    def _settle(self, tokens: TokenProcess, envelope: Envelope) -> tuple[Unsaved, ...]:
        reader = Reader(envelope.open(self._openers))
        self._each(tokens, reader, "settle")
        return tuple(reader.unsaved)

    def _each(self, tokens: TokenProcess, reader: Reader, what: str) -> None:
        self._seen_count = self._placed_count = 0
        for entry, _ in reader.entries():
            target = self._order.targets.get(entry.place.partition)
            if target is None:
                continue
            mark = f"{self._job.set_id.hex()}:{entry.place.number}"
            fields = {"label": target, "mark": mark, "fields": entry.fields, "wrapped": entry.wrapped}
            self._placed_count += bool(tokens.ask(what, CALL_S_MAX, **fields))
            self._seen_count += 1
            self._around.progress(f"keys: {what}", self._seen_count, 0)
