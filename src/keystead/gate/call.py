"""The path of every request: admit the asker, load the targets, authorise, run, commit, audit, answer.

Law: the handler gets exactly the objects that were authorised. A reply to a request that changes something leaves
after the commit; a refusal is audited before it is told.

Source: design.md laws 2 and 10; KMIP 1.4 section 6.1 (batches); requirements KS-KEY-004, KS-KMIP-007.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from keystead.core import permission
from keystead.core.authorize import rights_on
from keystead.core.changes import Change, Transaction
from keystead.core.errors import (
    Conflict,
    Exists,
    Internal,
    Invalid,
    KeysteadError,
    NotFound,
    NotSupported,
    Refused,
    WrongState,
)
from keystead.core.lifecycle import GONE, state_at
from keystead.core.permission import Principal, Switches
from keystead.core.records import ManagedObject, Record
from keystead.gate.activity import ActivityLog
from keystead.gate.committer import Committer
from keystead.gate.desk import Desk
from keystead.gate.identifiers import Clock, new_request_id
from keystead.gate.objects import Objects
from keystead.gate.operation import PLACEHOLDER, REGISTRY, Declaration, Target
from keystead.gate.refusals import Refusals
from keystead.storage.store import Loaded

RETRY_COUNT_MAX = 100  # each round of a conflict has a winner, so this many clients may fall upon one object at once
BATCH_COUNT_MAX = 1000
SELF_TEST_FAILED = "unavailable.self_test"

log = logging.getLogger("keystead.gate")


class Reply(NamedTuple):
    """Answer to one request: a result, or the error that took its place."""

    result: Any
    error: KeysteadError | None = None


Deliver = Callable[[list[Reply]], None]


class Batch(NamedTuple):
    """Requests of one message, run in order.

    Attributes:
        principal: Who is asking.
        requests: Request objects; an error in place of a request that could not be read is answered as it is.
        go_on: Run the remaining requests after one has failed (KMIP Batch Error Continuation Option "Continue").
        number: Request id for the activity log.
    """

    principal: Principal
    requests: Sequence[Any]
    go_on: bool = False
    number: int = 0


class Call:
    """What a handler gets beside its request; only the gate makes one.

    Attributes:
        principal: Who is asking, already authorised.
        now_us: The moment that decides states and dates, the same for the whole batch.
        switches: Server-wide switches.
        targets: Loaded objects in the order of the declaration (None for an optional one left out).
        desk: Objects, keyring, identifiers.
    """

    __slots__ = ("desk", "now_us", "principal", "switches", "targets")

    def __init__(
        self, principal: Principal, now_us: int, switches: Switches, targets: tuple[Any, ...], desk: Desk
    ) -> None:
        self.principal = principal
        self.now_us = now_us
        self.switches = switches
        self.targets = targets
        self.desk = desk

    @property
    def target(self) -> ManagedObject:
        """The record of the first target."""
        record: ManagedObject = self.targets[0].record
        return record


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

    def __init__(
        self, objects: Objects, committer: Committer, keyring: Any, activity: ActivityLog, clock: Clock
    ) -> None:
        self.objects = objects
        self.committer = committer
        self.keyring = keyring
        self.activity = activity
        self.clock = clock
        self.switches = Switches()
        self.failure: KeysteadError | None = None
        self.services: dict[str, Any] = {}
        self._refusals = Refusals()
        self._desk = Desk(objects, keyring, self.services, shared=True)

    def run(self, batch: Batch, deliver: Deliver) -> None:
        """Run a batch and deliver one reply per request that was run, after everything is durable.

        `deliver` is called before this returns when nothing had to be written, else later on the same thread.
        """
        self._attempt(batch, deliver, 0)

    def _attempt(self, batch: Batch, deliver: Deliver, attempt: int) -> None:
        alone = len(batch.requests) == 1  # sees no changes before it, so it needs no desk of its own
        desk = self._desk if alone else Desk(self.objects, self.keyring, self.services)
        run = _Run(batch, self.clock.now_us(), desk)
        for request in batch.requests:
            if not self._one(run, request) and not batch.go_on:
                break
        refusals = self._refusals.due(batch.principal, run.refusals, run.now_us) if run.refusals else []
        if not run.steps and not refusals:
            self._answer(run, run.replies, deliver)
            return

        def done(error: KeysteadError | None) -> None:
            if isinstance(error, Conflict | Exists) and attempt < RETRY_COUNT_MAX:  # decide anew on what is there now
                self.objects.refresh()
                self._attempt(batch, deliver, attempt + 1)
                return
            failed = [] if error is None else [Reply(None, error)] * len(run.replies)  # no audit, no answer
            self._answer(run, failed or run.replies, deliver)

        self.committer.submit(_transaction(run, refusals), done)

    def _one(self, run: "_Run", request: Any) -> bool:
        """Run one request of a batch; False when it failed."""
        declaration = REGISTRY.get(type(request))
        principal = run.batch.principal
        key = "-"
        error: KeysteadError | None = None
        outcome: Any = None
        try:
            if declaration is None:
                raise request if isinstance(request, KeysteadError) else NotSupported("no such operation")
            if self.failure is not None:
                raise self.failure
            self._admit(declaration, principal)
            targets: tuple[Any, ...] = ()
            if declaration.targets:
                targets = tuple([self._target(target, request, run) for target in declaration.targets])
                key = targets[0].record.id if targets[0] is not None else key
            outcome = declaration.handler(Call(principal, run.now_us, self.switches, targets, run.desk), request)
            if type(outcome) is Change:
                outcome = run.take(declaration, outcome)
            if declaration.places is not None:
                placed = declaration.places(outcome)
                run.placeholder = run.placeholder if placed is None else placed
                key = run.placeholder or key
        except KeysteadError as refused:
            error = refused
            self._failed(run, declaration, key, refused)
        except Exception:
            log.exception("request %d failed for a reason of ours", run.batch.number)
            error = Internal("internal error; the system log has details")
            run.placeholder = PLACEHOLDER
        run.replies.append(Reply(outcome if error is None else None, error))
        run.keys.append(key)
        return error is None

    def _failed(self, run: "_Run", declaration: Declaration | None, key: str, error: KeysteadError) -> None:
        """Draw the consequences of a failed request for those after it."""
        if error.reason == SELF_TEST_FAILED:
            self.failure = error
        if declaration is not None:
            if isinstance(error, Refused):
                run.refusals.append((declaration.name, key, error.reason))
            if declaration.places is not None:
                run.placeholder = PLACEHOLDER  # what follows must not fall on the object of an item before

    def _admit(self, declaration: Declaration, principal: Principal) -> None:
        """Let pass who may ask for the operation at all."""
        kind = principal.kind
        if kind in ("user", "global"):
            if declaration.user is None:
                raise Refused("this operation is for administrators", "refused.permission")
            if declaration.configuration and not self.switches.key_configuration:
                raise Refused(
                    "key configuration by clients is switched off; an administrator can set "
                    "key_server.allow_key_configuration",
                    "refused.switched_off",
                )
        elif kind != "clock":
            if declaration.administrator is None:
                raise Refused("this operation is for key users, not for administrators", "refused.permission")
            if declaration.administrator & ~principal.access:
                raise Refused("your administrator rights do not cover this operation", "refused.permission")

    def _target(self, target: Target, request: Any, run: "_Run") -> Loaded | None:
        """Load an object that the request names and authorise exactly that."""
        named: str | None = getattr(request, target.field)
        if named is None and target.optional:
            return None
        loaded = run.desk.get(named or run.placeholder)
        held = 0 if loaded is None else self._held(run.batch.principal, loaded.record)
        if loaded is None or not held:
            if not named and not run.placeholder:
                raise Invalid(
                    "name the object: there is no identifier and no earlier one in this batch", "invalid.missing"
                )
            raise NotFound("no such object among those you may use", "not_found.item")
        if target.right & ~held:
            raise Refused("you may not do this with the object; ask its owner for a grant", "refused.permission")
        if loaded.material is None and not target.destroyed and _gone(loaded.record):
            raise WrongState("the object is destroyed", "wrong_state.object")
        return loaded

    def _held(self, principal: Principal, record: ManagedObject | Record) -> int:
        """Return the rights on a target. An administrator has passed by access to the area, which knows no owners."""
        if not isinstance(record, ManagedObject):
            return 0
        if principal.kind in ("administrator", "local"):
            return int(permission.ALL) if principal.realm == record.realm else 0
        return rights_on(principal, record, self.switches)

    def _answer(self, run: "_Run", replies: list[Reply], deliver: Deliver) -> None:
        for request, reply, key in zip(run.batch.requests, replies, run.keys, strict=False):
            self.activity.add(run.batch, REGISTRY.get(type(request)), request, reply, key)
        deliver(replies)


class _Run:
    """A batch while it runs."""

    __slots__ = ("batch", "desk", "keys", "now_us", "placeholder", "refusals", "replies", "steps")

    def __init__(self, batch: Batch, now_us: int, desk: Desk) -> None:
        self.batch = batch
        self.now_us = now_us
        self.desk = desk
        self.replies: list[Reply] = []
        self.keys: list[str] = []
        self.steps: list[tuple[str, Change]] = []
        self.refusals: list[tuple[str, str, str]] = []
        self.placeholder = PLACEHOLDER

    def take(self, declaration: Declaration, change: Change) -> Any:
        """Keep a change for the commit, let later requests of the batch see it; returns its result."""
        self.steps.append((declaration.name, change))
        if len(self.batch.requests) > 1:
            self.desk.note(change)
        return change.result


def _transaction(run: _Run, refusals: Sequence[tuple[str, str, str]]) -> Transaction:
    principal = run.batch.principal
    who = f"{principal.kind}:{principal.name}"
    return Transaction(new_request_id(), who, principal.address, run.now_us, tuple(run.steps), tuple(refusals))


def _gone(record: Any) -> bool:
    return state_at(record.dates, record.last_change_us) in GONE
