"""Counters behind `Writer.reserve`: records of the store's own, planned like every other change.

Source: store.Writer.reserve; docs/adr/0010-journal-chain-and-root.md.
"""

from keystead.core.changes import Change, Put, Transaction
from keystead.core.errors import Internal
from keystead.core.records import Record
from keystead.storage.documents import decode
from keystead.storage.planning import Plan
from keystead.storage.store import KIND_COUNTER, RESERVE_COUNT_MAX


def check_count(count: int) -> None:
    """Refuse a reservation of nothing, or of more than there should ever be. Raises Internal."""
    if not 1 <= count <= RESERVE_COUNT_MAX:
        raise Internal(f"1 to {RESERVE_COUNT_MAX} numbers can be reserved at once")


def take_numbers(plan: Plan, name: str, count: int, at_us: int, request_id: bytes = bytes(16)) -> int:
    """Plan that a counter moves on by `count`; return where it stood. Raises what the plan does."""
    stored = plan.current((KIND_COUNTER, name.encode()))
    counter = Record(KIND_COUNTER, name, name, {"value": 0})
    if stored is not None:
        found = decode(KIND_COUNTER, name, stored.revision, stored.document)
        if isinstance(found, Record):
            counter = found
    first = int(counter.fields["value"])
    after = Record(KIND_COUNTER, name, name, {"value": first + count}, revision=counter.revision)
    steps = (("counter.reserve", Change((Put(after),), None)),)
    error = plan.attempt(Transaction(request_id, "store", "-", at_us, steps), audited=False)
    if error is not None:
        raise error
    return first
