"""Leases: budgets that many requests spend in memory, from reservations that are durable beforehand.

A name (one key's random IVs) may be spent so often in all, by all processes that ever were. What is reserved for it
stands in a counter of the store; whoever reserves, adds to it. A process may spend a little of any name without a
reservation, its allowance: therefore every process adds itself to a counter of starts before it spends anything, and
each start counts as one whole allowance of every name. So most keys cost no write, and the sum is never too low.

Laws: nothing is spent that is not covered by what is durable, or becomes durable in the same transaction as the answer;
what a process forgets or a crash loses counts as spent.

Source: design.md section 6 ("usage, rate and GCM limits"); NIST SP 800-38D section 8.3; attacks.md classes 22 and 35.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keystead.core.changes import Put
from keystead.core.errors import Refused
from keystead.core.records import Record
from keystead.storage.store import KIND_COUNTER

if TYPE_CHECKING:
    from keystead.gate.desk import Desk

ALLOWANCE_COUNT = 1024
LEASE_COUNT = 65_536
LEASE_WHEN_CROWDED_COUNT = 1024
NAMES_COUNT_MAX = 131_072
CLAIMS_COUNT_MAX = 1024
RECENT_COUNT_MAX = 16
"""Reservations that a counter remembers, for those who made them to see that they arrived."""
STARTS = "lease.starts"


@dataclass(slots=True)
class _Claim:
    """A reservation on its way into the store.

    Attributes:
        revision: Of the counter that it makes; of several claims for one revision only one can arrive.
        count: How many it reserves.
        desk: Of the batch whose transaction carries it.
        spent_count: What is spent of it, by that batch and by ones before it whose fate was open.
    """

    revision: int
    count: int
    desk: "Desk"
    spent_count: int


class Leases:
    """What one process may still spend; belongs to the serving thread."""

    def __init__(self) -> None:
        self._token = os.urandom(16)
        self._left: dict[str, int] = {}
        self._claims: dict[str, _Claim] = {}
        self._allowance_count = ALLOWANCE_COUNT
        self._is_counted = False

    def take(self, desk: "Desk", name: str, limit_count: int) -> tuple[Put, ...]:
        """Spend one of a name.

        Args:
            desk: Of the batch.
            name: What is spent; at most as long as a record's id.
            limit_count: How many there are in all.

        Returns: what must be stored together with the answer; mostly nothing.

        Raises:
            Refused: the budget is spent.
        """
        if self._is_counted:
            left = self._left.get(name, 0)
            if left > 0:
                self._left[name] = left - 1
                return ()
            if name not in self._left and self._allowance_count:
                self._keep(name, self._allowance_count - 1)
                return ()
        return self._reserved(desk, name, limit_count)

    def _keep(self, name: str, left: int) -> None:
        if name not in self._left and len(self._left) >= NAMES_COUNT_MAX:
            del self._left[next(iter(self._left))]
            self._allowance_count = 0  # a forgotten name must not be taken for a new one
        self._left[name] = left

    def _reserved(self, desk: "Desk", name: str, limit_count: int) -> tuple[Put, ...]:
        starts = _counter(desk, STARTS)
        if not self._is_counted:
            self._keep(name, self._left.get(name, self._allowance_count) - 1)
            if self._is_carried_by(desk, STARTS):
                return ()
            if not self._has_arrived(STARTS, starts):
                return (self._claimed(desk, starts, 1),)
            self._arrived(STARTS)
            self._is_counted = True
            return ()
        if self._is_carried_by(desk, name):
            self._claims[name].spent_count += 1
            return ()
        counter = _counter(desk, name)
        if self._has_arrived(name, counter):
            self._keep(name, self._arrived(name) - 1)
            return ()
        count = LEASE_COUNT if self._allowance_count else LEASE_WHEN_CROWDED_COUNT
        if counter.fields["value"] + count + starts.fields["value"] * ALLOWANCE_COUNT > limit_count:
            raise Refused(
                "the key has been used as often as is safe; make a new key and use that one", "refused.usage_limit"
            )
        return (self._claimed(desk, counter, count),)

    def _claimed(self, desk: "Desk", counter: Record, count: int) -> Put:
        before = self._claims.pop(counter.id, None)
        if len(self._claims) >= CLAIMS_COUNT_MAX:
            del self._claims[next(iter(self._claims))]
        spent_count = 1 if before is None else before.spent_count + 1
        revision = counter.revision + 1
        self._claims[counter.id] = _Claim(revision, count, desk, spent_count)
        recent = [*counter.fields["recent"], [self._token, revision]][-RECENT_COUNT_MAX:]
        return Put(counter._replace(fields={"value": counter.fields["value"] + count, "recent": recent}))

    def _is_carried_by(self, desk: "Desk", name: str) -> bool:
        """Tell whether an earlier request of the same batch reserves already."""
        claim = self._claims.get(name)
        return claim is not None and claim.desk is desk and not desk.shared

    def _has_arrived(self, name: str, counter: Record) -> bool:
        claim = self._claims.get(name)
        return claim is not None and [self._token, claim.revision] in counter.fields["recent"]

    def _arrived(self, name: str) -> int:
        claim = self._claims.pop(name)
        return claim.count - claim.spent_count


def _counter(desk: "Desk", name: str) -> Record:
    loaded = desk.objects.reader.record(KIND_COUNTER, name)
    if loaded is not None and isinstance(loaded.record, Record):
        return loaded.record
    return Record(KIND_COUNTER, name, name, {"value": 0, "recent": []})
