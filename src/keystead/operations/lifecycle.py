"""Activate, Revoke, Destroy, and the clock's own transitions; the moves are in core.lifecycle's table.

Laws: a state changes only along the table; a destroyed object keeps its metadata and loses its key bytes (AMB-04,
docs/adr/0031), unless the server is set to purge both.

Source: KMIP 1.4 sections 3.22, 4.19 to 4.21, 11.20 to 11.22; requirements KS-KMIP-039, 051; KS-KEY-008, 054;
KS-LIFE-001 to 006; SM-1; AMB-04, AMB-41.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from keystead.core.attribute_table import ObjectType
from keystead.core.changes import Change, Put
from keystead.core.errors import Invalid, Refused, WrongState
from keystead.core.handles import made_up
from keystead.core.lifecycle import GONE, TRANSITIONS, Event
from keystead.core.permission import Right
from keystead.core.records import KIND_KEY_VERSION, KIND_OBJECT, ManagedObject, Record
from keystead.gate.call import Call
from keystead.gate.operation import Target, operation
from keystead.operations.ciphers import budget_of
from keystead.operations.requests import Activate, Delete, Destroy, Revoke, Touched
from keystead.operations.version_records import family_record, older_versions
from keystead.storage.store import KIND_COUNTER

KEY_COMPROMISE = 2
CA_COMPROMISE = 3
REASON_CODES = range(1, 8)
VENDOR_REASON_CODES = range(0x8000_0000, 0x1_0000_0000)
MESSAGE_CHARACTERS_MAX = 4096
TRANSITIONS_PER_GROUP_COUNT_MAX = 200

PURGE = "destroy_purges_metadata"
"""Name among the switches' extras: Destroy removes the whole record (AMB-04)."""


@dataclass(frozen=True, slots=True)
class ApplyTransitions:
    """Store the states of objects whose dates have passed; asked by the clock. Result: how many there were."""

    limit_count: int = TRANSITIONS_PER_GROUP_COUNT_MAX


def check_move(record: ManagedObject, event: Event, now_us: int) -> None:
    """Check that an object may make a move.

    Raises:
        Invalid: it is a template, which has no state.
        WrongState: the table has no such move from its state, or it is a versioned key.
    """
    if record.object_type == ObjectType.TEMPLATE:
        raise Invalid("a template has no state", "invalid.object_type")
    if record.versioning is not None:
        raise WrongState("a versioned key is active; an administrator sets the states of its versions, or erases it")
    state = record.state(now_us)
    if (state, event) not in TRANSITIONS:
        reason = "wrong_state.destroyed" if state in GONE else "wrong_state.object"
        raise WrongState(f"the object is {state.name.lower().replace('_', '-')}; this needs another state", reason)


@operation(Activate, "key.activate", "Activate", user=Right.MODIFY, targets=(Target(Right.MODIFY),), configuration=True)
def activate(call: Call, _request: Activate) -> Change:
    """Make a pre-active object active from now on."""
    record = call.target
    check_move(record, Event.ACTIVATE, call.now_us)
    return _touched(record.changed(call.now_us, dates=record.dates._replace(activation_us=call.now_us)))


@operation(
    Revoke,
    "key.revoke",
    "Revoke",
    user=Right.MODIFY,
    targets=(Target(Right.MODIFY, destroyed=True),),
    configuration=True,
)
def revoke(call: Call, request: Revoke) -> Change:
    """Mark an object compromised, or deactivate it, as the reason says."""
    record = call.target
    if request.code not in REASON_CODES and request.code not in VENDOR_REASON_CODES:
        raise Invalid("there is no such Revocation Reason Code", "invalid.field")
    if len(request.message) > MESSAGE_CHARACTERS_MAX:
        raise Invalid("a revocation message has at most 4096 characters", "invalid.field")
    revocation = (request.code, request.message)
    if request.code in (KEY_COMPROMISE, CA_COMPROMISE):
        check_move(record, Event.COMPROMISE, call.now_us)
        dates = record.dates._replace(compromise_us=call.now_us)
        occurred = _occurrence(call, record, request)
        return _touched(
            record.changed(call.now_us, dates=dates, revocation=revocation, compromise_occurrence_us=occurred)
        )
    if request.occurrence_us is not None:
        raise Invalid("a Compromise Occurrence Date goes with a compromise only", "invalid.field")
    check_move(record, Event.DEACTIVATE, call.now_us)
    dates = record.dates._replace(deactivation_us=call.now_us)
    return _touched(record.changed(call.now_us, dates=dates, revocation=revocation))


def _occurrence(call: Call, record: ManagedObject, request: Revoke) -> int:
    if request.occurrence_us is None:
        return record.initial_us
    if request.occurrence_us > call.now_us:
        raise Invalid("a compromise cannot have occurred in the future", "invalid.field")
    return request.occurrence_us


@operation(
    Destroy,
    "key.destroy",
    "Destroy",
    user=Right.DELETE,
    targets=(Target(Right.DELETE, destroyed=True),),
    configuration=True,
)
def destroy(call: Call, _request: Destroy) -> Change:
    """Erase the key bytes; the metadata stays, except that of templates."""
    record = call.target
    if not record.protection.deletable:
        raise Refused("the key is not deletable", "refused.permission")
    if record.object_type == ObjectType.TEMPLATE:
        return _purged(call, record)
    check_move(record, Event.DESTROY, call.now_us)
    if PURGE in call.switches.extras:
        return _purged(call, record)
    dates = record.dates._replace(destroy_us=call.now_us)
    gone = record.changed(call.now_us, dates=dates, material=None)
    return Change((Put(gone, erase_material=True),), Touched(record.id), _counter(call, record), "key bytes erased")


@operation(
    Delete,
    "key.delete",
    "Delete",
    user=Right.DELETE,
    targets=(Target(Right.DELETE), Target(Right.DELETE, field="other", optional=True)),
    configuration=True,
)
def delete(call: Call, _request: Delete) -> Change:
    """Erase the key bytes of an object and of the other half of its pair; an active one is deactivated by it."""
    records: list[ManagedObject] = [loaded.record for loaded in call.targets if loaded is not None]
    if not all(record.protection.deletable for record in records):
        raise Refused("the key is not deletable", "refused.permission")
    return deletion(call, records)


def deletion(call: Call, records: Sequence[ManagedObject]) -> Change:
    """Return the change that takes objects out of use and erases their key bytes, whatever their flags say.

    Raises:
        WrongState: one is destroyed already.
    """
    changes = [_deleted(call, record) for record in records]
    puts = tuple(put for change in changes for put in change.puts)
    purges = [purge for change in changes for purge in change.purges]
    purges += [purge for record in records for purge in _older_versions(call, record)]
    return Change(puts, Touched(records[0].id), tuple(purges), "deleted, its name is free again")


def _deleted(call: Call, record: ManagedObject) -> Change:
    if record.object_type == ObjectType.TEMPLATE or PURGE in call.switches.extras:
        return _purged(call, record)
    dates = record.dates
    if (record.state(call.now_us), Event.DEACTIVATE) in TRANSITIONS:
        dates = dates._replace(deactivation_us=call.now_us)
    ended = record._replace(dates=dates, versioning=None)
    check_move(ended, Event.DESTROY, call.now_us)
    dates = dates._replace(destroy_us=call.now_us)
    gone = ended.changed(call.now_us, dates=dates, material=None, handle=made_up(record.id))
    return Change((Put(gone, erase_material=True),), None, _counter(call, record))


def _purged(call: Call, record: ManagedObject) -> Change:
    purges = ((KIND_OBJECT, record.id, record.revision), *_counter(call, record))
    return Change((), Touched(record.id), purges, "removed with its metadata")


def _older_versions(call: Call, record: ManagedObject) -> Iterator[tuple[str, str, int]]:
    """Yield the purges of all older versions of a key, and of what belongs to them."""
    versioning = record.versioning
    if versioning is None:
        return
    family = family_record(call, record)
    yield KIND_KEY_VERSION, family.id, family.revision
    for version in older_versions(call, record, versioning.number, versioning.number):
        yield KIND_KEY_VERSION, version.record.id, version.record.revision
        yield from _counter(call, version.record)


def _counter(call: Call, record: ManagedObject | Record) -> tuple[tuple[str, str, int], ...]:
    """Return the purge of what counted the key's random IVs, if anything did."""
    name = budget_of(record)
    loaded = call.desk.objects.reader.record(KIND_COUNTER, name) if name else None
    return () if loaded is None else ((KIND_COUNTER, name, loaded.record.revision),)


def _touched(record: ManagedObject) -> Change:
    return Change((Put(record),), Touched(record.id))


@operation(ApplyTransitions, "transitions.apply", "ApplyTransitions")
def apply_transitions(call: Call, request: ApplyTransitions) -> Change | int:
    """Store a bounded group of objects anew, so that searches find them by the state they are in."""
    limit_count = min(request.limit_count, TRANSITIONS_PER_GROUP_COUNT_MAX)
    puts = []
    for object_id in call.desk.objects.reader.due_transitions(call.now_us, limit_count):
        loaded = call.desk.get(object_id)
        if loaded is not None and isinstance(loaded.record, ManagedObject):
            puts.append(Put(loaded.record.changed(call.now_us)))
    return Change(tuple(puts), len(puts)) if puts else 0
