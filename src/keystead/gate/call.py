"""The path of every request: admit the asker, load the targets, authorise, run, commit, audit, answer.

Law: the handler gets exactly the objects that were authorised. A reply to a request that changes something leaves
after the commit; a refusal is audited before it is told.

Source: design.md laws 2 and 10; KMIP 1.4 section 6.1 (batches); requirements KS-KEY-004, KS-KMIP-007.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from time import thread_time
from typing import Any

from keystead.core.authorize import rights_on
from keystead.core.changes import Change
from keystead.core.errors import (
    Conflict,
    Exists,
    Internal,
    Invalid,
    KeysteadError,
    NotSupported,
    Refused,
    TooLarge,
    Undone,
    WrongState,
)
from keystead.core.lifecycle import GONE, state_at
from keystead.core.permission import Principal, Switches
from keystead.core.records import ManagedObject
from keystead.core.secret import Secret
from keystead.gate.activity import ActivityLog
from keystead.gate.admit import check_access
from keystead.gate.approvals import run_bound
from keystead.gate.batch import Batch, Reply
from keystead.gate.committer import Committer
from keystead.gate.desk import Desk
from keystead.gate.identifiers import Now
from keystead.gate.objects import Objects
from keystead.gate.operation import PLACEHOLDER, REGISTRY, Declaration, Target
from keystead.gate.policies import Counted, give_back, pass_by_policy
from keystead.gate.refusals import Refusals
from keystead.gate.transactions import transaction_of
from keystead.gate.versions import id_of_key, older_version
from keystead.gate.workshop import (
    PREPARED_PER_BATCH_COUNT_MAX,
    InlineWorkshop,
    Laborious,
    Make,
    Outcome,
    Prepared,
    Workshop,
)
from keystead.storage.store import Loaded

__all__ = ["Batch", "Call", "Gate", "Reply"]

RETRY_COUNT_MAX = 100  # each round of a conflict has a winner, so this many clients may fall upon one object
BATCH_COUNT_MAX = 1000
BATCH_WORK_S_MAX = 2.0  # processor time: a thousand signatures of a long key would hold up everybody else for longer
TOO_LONG = "the batch takes too long; send the rest of it in another"
SELF_TEST_FAILED = "unavailable.self_test"

log = logging.getLogger("keystead.gate")


_reply: Callable[[tuple[Any, KeysteadError | None]], Reply] = partial(tuple.__new__, Reply)  # without a frame for it
Deliver = Callable[[list[Reply]], None]


class Call:
    """What a handler gets beside its request; only the gate makes one, for all requests of a batch.

    Attributes:
        principal: Who is asking, already authorised.
        now_us: The moment that decides states and dates, the same for the whole batch.
        switches: Server-wide switches.
        targets: Loaded objects in the order of the declaration (None for an optional one left out).
        desk: Objects, keyring, identifiers.
        counted: What counts under authorization policies.
    """

    __slots__ = ("counted", "desk", "now_us", "prepared", "principal", "stage", "switches", "targets", "undoing")

    principal: Principal
    now_us: int
    switches: Switches
    targets: tuple[Any, ...]
    desk: Desk
    prepared: Prepared | None
    stage: int
    undoing: tuple[Callable[[], None], ...]
    counted: tuple[Counted, ...]

    @property
    def target(self) -> ManagedObject:
        """The record of the first target."""
        record: ManagedObject = self.targets[0].record
        return record

    def another(self, object_id: str, right: int) -> Loaded:
        """Return a further object that only the first ones lead to, authorised like those.

        Raises:
            NotFound, Refused, WrongState: as for a target.
        """
        return _authorised(self, object_id, right, destroyed=False)

    def on_undo(self, forget: Callable[[], None]) -> None:
        """Have something in memory forgotten if what the call has done is taken back."""
        self.undoing = (*self.undoing, forget)

    @property
    def place(self) -> int:
        """Place of the request in its batch, from 0."""
        raise NotImplementedError

    @property
    def credentials(self) -> tuple[tuple[str, Secret], ...]:
        """Names and passwords of further administrators, not judged yet."""
        raise NotImplementedError

    def on_behalf(self, principal: Principal, request: Any) -> Any:
        """Return what the handler of another request returns, after its principal was authorised; raises as it does."""
        raise NotImplementedError

    def made_before(self, make: Make) -> Any:
        """Return what `make` makes for what precedes the request itself, such as judging who approves it."""
        self.stage = BATCH_COUNT_MAX
        try:
            value = self.made(make)
        except KeysteadError:
            self.stage = 0
            raise
        self.stage = 0
        return value

    def made(self, make: Make) -> Any:
        """Return what `make` makes for the request; it is made on another thread, and the batch runs anew after it.

        Raises:
            Laborious: it is not there yet.
        """
        outcome = None if self.prepared is None else self.prepared.get(self.place)
        if outcome is None:
            raise Laborious(make)
        if outcome.error is not None:
            raise outcome.error
        return outcome.value


class Gate:
    """The one door of a process. Belongs to the thread that serves; commits happen on the committer's.

    Args:
        objects: Cache over the shared store.
        committer: Applies transactions, answers on this thread.
        keyring: Seals and opens material; in `admin` one that refuses.
        activity: Activity log of this process.
        clock: One source of time.

    Attributes:
        failure: A self-test failed: everything is refused until the process is started anew (KS-FIPS-005).
    """

    def __init__(self, objects: Objects, committer: Committer, keyring: Any, activity: ActivityLog, clock: Now) -> None:
        self.objects = objects
        self.committer = committer
        self.keyring = keyring
        self.activity = activity
        self.clock = clock
        self.switches = Switches()
        self.failure: KeysteadError | None = None
        self.services: dict[str, Any] = {}
        self.workshop: Workshop = InlineWorkshop()
        self._refusals = Refusals()
        self._desk = Desk(objects, keyring, self.services, shared=True)

    def run(self, batch: Batch, deliver: Deliver, attempt: int = 0, prepared: Prepared | None = None) -> None:
        """Run a batch and deliver one reply per request that was run, after everything is durable.

        `deliver` is called before this returns when nothing had to be written, else later on the same thread.

        Args:
            batch: Of one message.
            deliver: Takes the replies.
            attempt: How often it has lost a race.
            prepared: What was made for its requests on another thread.
        """
        requests = batch.requests
        alone = len(requests) == 1  # sees no changes before it, so it needs no desk of its own
        desk = self._desk if alone else Desk(self.objects, self.keyring, self.services)
        run = _Run(batch, self.clock.now_us(), self.switches, desk, prepared)
        begun_s = 0.0 if alone else thread_time()
        try:
            for request in requests:
                is_in_time = alone or thread_time() - begun_s <= BATCH_WORK_S_MAX
                asked = request if is_in_time else TooLarge(TOO_LONG, "too_large.request")
                if not self._one(run, asked) and not batch.go_on:
                    if batch.undo and not alone:
                        run.undo()
                    break
        except Laborious as work:
            self._prepare(run, work, deliver, attempt)
            return
        if run.steps or run.refusals:
            self._commit(run, deliver, attempt)
        else:
            self._answer(run, run.replies, deliver)

    def _prepare(self, run: "_Run", work: Laborious, deliver: Deliver, attempt: int) -> None:
        """Have something made on another thread, then run the whole batch anew; nothing of it has happened yet."""

        def done(outcome: Outcome) -> None:
            self.objects.refresh()
            give_back(run)
            self.run(run.batch, deliver, attempt, {**(run.prepared or {}), run.place: outcome})

        self.workshop.submit(work.make, done)

    def _commit(self, run: "_Run", deliver: Deliver, attempt: int) -> None:
        """Make a batch durable, then answer it; one that lost a race decides anew on what is there now."""
        refusals = self._refusals.due(run.principal, run.refusals, run.now_us) if run.refusals else []
        if not run.steps and not refusals:
            self._answer(run, run.replies, deliver)
            return
        transaction = transaction_of(run.batch.principal, run.now_us, run.steps, refusals)

        def done(error: KeysteadError | None) -> None:
            if error is not None:
                self.objects.expect_nothing(transaction.request_id)
                self._refusals.not_written(run.principal, run.refusals)
            if isinstance(error, (Conflict, Exists)) and attempt < RETRY_COUNT_MAX:
                self.objects.refresh()
                give_back(run)
                self.run(run.batch, deliver, attempt + 1, run.prepared)
                return
            if error is not None:
                run.forget()  # no audit, no answer
            self._answer(run, run.replies if error is None else [Reply(None, error)] * len(run.replies), deliver)

        self.objects.expect(transaction)
        self.committer.submit(transaction, done)

    def _one(self, run: "_Run", request: Any) -> bool:
        """Run one request of a batch; False when it failed."""
        declaration = REGISTRY.get(type(request))
        key = "-"
        error: KeysteadError | None = None
        outcome: Any = None
        try:
            if declaration is None:
                raise request if isinstance(request, KeysteadError) else NotSupported("no such operation")
            if self.failure is not None:
                raise self.failure
            if run.principal.kind not in declaration.open_to:
                check_access(declaration, run.principal, self.switches)
            targets = declaration.targets
            if targets:
                first = _target(targets[0], request, run)
                run.targets = (first,) if len(targets) == 1 else _targets(first, targets, request, run)
                key = first.record.id if first is not None else key
            else:
                run.targets = ()
            if declaration.approval is None:
                outcome = declaration.handler(run, request)
            else:
                outcome = run_bound(declaration, run, request)
            if type(outcome) is Change:
                outcome = run.take(declaration, outcome)
                error = outcome if isinstance(outcome, KeysteadError) else None  # stored, then told
            if declaration.places is not None and error is None:
                placed = declaration.places(outcome)
                run.placeholder = run.placeholder if placed is None else placed
                key = run.placeholder or key
        except Laborious:
            if run.prepared is None or len(run.prepared) < PREPARED_PER_BATCH_COUNT_MAX:
                raise
            error = TooLarge(
                "a batch makes at most 8 keys of this kind; send the others in another", "too_large.request"
            )
            self._failed(run, declaration, key, error)
        except KeysteadError as refused:
            error, key = refused, refused.target or key
            self._failed(run, declaration, key, refused)
        except Exception:
            log.exception("request %d failed for a reason of ours", run.batch.number)
            error, run.placeholder = Internal("internal error; the system log has details"), PLACEHOLDER
        run.keys.append(key)
        run.replies.append(_reply((outcome if error is None else None, error)))
        return error is None

    def _failed(self, run: "_Run", declaration: Declaration | None, key: str, error: KeysteadError) -> None:
        """Draw the consequences of a failed request for those after it."""
        if error.reason == SELF_TEST_FAILED:
            self.failure = error
        if declaration is not None:
            if isinstance(error, Refused):
                run.refusals += ((declaration.name, key, error.reason),)
            if declaration.places is not None:
                run.placeholder = PLACEHOLDER  # what follows must not fall on the object of an item before

    def _answer(self, run: "_Run", replies: list[Reply], deliver: Deliver) -> None:
        self.activity.add(run.batch, replies, run.keys)
        deliver(replies)


class _Run(Call):
    """A batch while it runs; to handlers it shows as their call."""

    __slots__ = ("batch", "keys", "placeholder", "refusals", "replies", "steps")

    def __init__(self, batch: Batch, now_us: int, switches: Switches, desk: Desk, prepared: Prepared | None) -> None:
        self.batch = batch
        self.principal = batch.principal
        self.now_us = now_us
        self.switches = switches
        self.desk = desk
        self.targets = ()
        self.replies: list[Reply] = []
        self.keys: list[str] = []
        self.steps: tuple[tuple[str, Change], ...] = ()
        self.refusals: tuple[tuple[str, str, str], ...] = ()
        self.placeholder = PLACEHOLDER
        self.prepared = prepared
        self.undoing = ()
        self.counted = ()
        self.stage = 0

    def forget(self) -> None:
        """Let go of what is in memory of a batch that has not happened."""
        for forget in self.undoing:
            forget()

    def undo(self) -> None:
        """Take back what was to be written, and tell so instead of what came of it; the failure stays."""
        self.steps = ()
        self.forget()
        undone = Reply(None, Undone("taken back, as another item of the batch failed"))
        self.replies[:-1] = [undone] * (len(self.replies) - 1)

    @property
    def place(self) -> int:
        """See `Call.place`: every request before this one has its reply."""
        return len(self.replies) + self.stage

    @property
    def credentials(self) -> tuple[tuple[str, Secret], ...]:
        """See `Call.credentials`."""
        return self.batch.credentials

    def on_behalf(self, principal: Principal, request: Any) -> Any:
        """See `Call.on_behalf`."""
        declaration, asker = REGISTRY[type(request)], self.principal
        self.principal = principal
        try:
            check_access(declaration, principal, self.switches)
            self.targets = tuple([_target(target, request, self) for target in declaration.targets])
            return declaration.handler(self, request)
        finally:
            self.principal = asker

    def take(self, declaration: Declaration, change: Change) -> Any:
        """Keep a change for the commit, let later requests of the batch see it; returns its result."""
        self.steps += ((declaration.name, change),)
        if len(self.batch.requests) > 1:
            self.desk.note(change)
        return change.result


def _targets(first: Loaded | None, targets: Sequence[Target], request: Any, run: _Run) -> tuple[Loaded | None, ...]:
    """Load the objects after the first one."""
    return (first, *(_target(target, request, run) for target in targets[1:]))


def _target(target: Target, request: Any, run: _Run) -> Loaded | None:
    """Load an object that the request names and authorise exactly that."""
    named: str | None = getattr(request, target.field)
    if named is None and target.optional:
        return None
    named = named or run.placeholder
    if not named:
        raise Invalid("name the object: there is none before it in this batch", "invalid.missing")
    named = id_of_key(run.desk, named, run.principal.realm) if target.by_name else named
    return _authorised(run, named, target.right, target.destroyed)


def _authorised(call: Call, object_id: str, right: int, destroyed: bool) -> Loaded:
    desk = call.desk
    loaded = desk.at_hand.get(object_id) or desk.get(object_id)
    held = 0 if loaded is None else rights_on(call.principal, loaded.record, call.switches)
    if loaded is None or not held:
        return older_version(call, object_id, right)
    if right & ~held:
        pass_by_policy(call, loaded.record, right & ~held)
    record: Any = loaded.record
    if loaded.material is None and not destroyed and state_at(record.dates, record.last_change_us) in GONE:
        raise WrongState("the object is destroyed", "wrong_state.destroyed")
    return loaded
