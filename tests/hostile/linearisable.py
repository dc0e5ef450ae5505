"""Whether what many clients saw could have happened one after the other.

Source: Wing and Gong, "Testing and verifying concurrent objects", 1993; Lowe, "Testing for linearizability", 2017.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple


class Seen(NamedTuple):
    """One operation of one client.

    Attributes:
        begun: When it was sent; a clock shared by all clients.
        ended: When its answer was there.
        name: What was asked, with its argument.
        outcome: What was answered.
    """

    begun: float
    ended: float
    name: Any
    outcome: Any


State = Hashable
Step = Callable[[State, Any, Any], State | None]
"""(state, name, outcome) -> the state afterwards, None when the outcome is impossible in that state."""


def is_linearisable(history: Sequence[Seen], first: State, step: Step) -> bool:
    """Look for an order of all operations that each outcome fits and that no client's time contradicts."""
    pending = sorted(history)
    seen: set[tuple[frozenset[int], State]] = set()

    def search(done: frozenset[int], state: State) -> bool:
        if len(done) == len(pending):
            return True
        if (done, state) in seen:
            return False
        seen.add((done, state))
        left = [number for number in range(len(pending)) if number not in done]
        soonest_end = min(pending[number].ended for number in left)
        for number in left:
            if pending[number].begun > soonest_end:  # something else had ended before this one began
                break
            after = step(state, pending[number].name, pending[number].outcome)
            if after is not None and search(done | {number}, after):
                return True
        return False

    return search(frozenset(), first)
