"""Storing behind the answer which objects are not fresh any more, for those where nobody takes the next fresh one.

Laws: an object that was served is never shown as fresh. A run that ends without having stored all of them has left its
mark in the store, and everything made before the next run then counts as served.

Source: KMIP 1.4 section 3.34 (Fresh); docs/adr/0044.
"""

from dataclasses import dataclass
from itertools import islice

from keystead.core.changes import Change, Put
from keystead.core.records import ManagedObject, Record
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.storage.store import KIND_COUNTER

MARK = "served"
STORED_PER_GROUP_COUNT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class BeginServing:
    """Leave the mark; asked by the clock. Result: objects made before this moment (us) count as served."""


@dataclass(frozen=True, slots=True)
class StoreServed:
    """Store of some objects that they are not fresh any more; asked by the clock. Result: how many there were."""

    limit_count: int = STORED_PER_GROUP_COUNT_MAX


@dataclass(frozen=True, slots=True)
class EndServing:
    """Take the mark away if all is stored; asked by the clock. Result: whether it was."""


@operation(BeginServing, "served.begin", "BeginServing")
def begin_serving(call: Call, _request: BeginServing) -> Change:
    """Leave the mark; one that is there already was left by a run that did not end well."""
    mark = _mark(call)
    void_us = call.now_us if mark.fields["open"] else int(mark.fields["void_before_us"])
    return Change((Put(mark._replace(fields={"open": True, "void_before_us": void_us})),), void_us)


@operation(StoreServed, "served.store", "StoreServed")
def store_served(call: Call, request: StoreServed) -> Change | int:
    """Store a bounded group; its members come from memory as not fresh."""
    objects = call.desk.objects
    puts = []
    for object_id in list(islice(objects.served, min(request.limit_count, STORED_PER_GROUP_COUNT_MAX))):
        loaded = call.desk.get(object_id)
        if loaded is None or not isinstance(loaded.record, ManagedObject):
            objects.served.pop(object_id, None)
        else:
            puts.append(Put(loaded.record))
    return Change(tuple(puts), len(puts)) if puts else 0


@operation(EndServing, "served.end", "EndServing")
def end_serving(call: Call, _request: EndServing) -> Change | bool:
    """Take the mark away."""
    mark = _mark(call)
    if call.desk.objects.served or not mark.fields["open"]:
        return False
    return Change((Put(mark._replace(fields={**mark.fields, "open": False})),), True)


def _mark(call: Call) -> Record:
    held = call.desk.objects.record(KIND_COUNTER, MARK)
    return held if held is not None else Record(KIND_COUNTER, MARK, MARK, {"open": False, "void_before_us": 0})
