"""For how long the node has run: what ages by it cannot be hurried or held up by turning the clock.

Source: requirement KS-PWD-010.
"""

from dataclasses import dataclass

from keystead.core.changes import Change, Put
from keystead.core.records import Record
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.storage.store import KIND_COUNTER

RUNNING = "running"
HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True)
class CountRunning:
    """Count one more hour; asked by the clock of one process, by a clock that nobody can set. Result: hours so far."""


@operation(CountRunning, "running.count", "CountRunning")
def count_running(call: Call, _request: CountRunning) -> Change:
    """Store one more hour."""
    held = call.desk.objects.record(KIND_COUNTER, RUNNING) or Record(KIND_COUNTER, RUNNING, RUNNING, {"hours": 0})
    hours = int(held.fields["hours"]) + 1
    return Change((Put(held._replace(fields={"hours": hours})),), hours)


def running_h(call: Call) -> int:
    """Return how many whole hours the nodes on this store have counted."""
    held = call.desk.objects.record(KIND_COUNTER, RUNNING)
    return 0 if held is None else int(held.fields["hours"])
