"""Authorization policies at the gate: what is granted under one is let through as far as it goes, and counted.

Laws: an operation is let through only after it is counted; it counts in every policy under which the user could do it,
also when it fails afterwards, and once however often its batch has to be run anew. What this process counts, it forgets
when it ends. Nothing that is counted is dropped before its hour is over: when there is no room, nothing more is let
through. Hours are measured by a clock that nobody sets, periods by the moment of the batch in the local time zone.

Source: requirements KS-POL-002 to 017; AMB-10, AMB-42; docs/adr/0076.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keystead.core.authorize import policies_on
from keystead.core.errors import Refused
from keystead.core.policies import EXCEEDED, OUTSIDE, UNLIMITED, Policy, Window, minute_of, policy_of, refusal
from keystead.core.records import KIND_POLICY

if TYPE_CHECKING:
    from keystead.gate.call import Call

COUNTERS_COUNT_MAX = 100_000
COUNTERS_PER_USER_COUNT_MAX = 10_000
SERVICE = "policies"
US_PER_S = 1_000_000
SWEEP_EVERY_US = 60 * US_PER_S
_NEVER = "you may not do this with the object; ask its owner for a grant"
_WHY = {
    EXCEEDED: "the operations that a policy permits in an hour are used up",
    OUTSIDE: "this is outside the periods in which a policy permits the use of the key",
}
_NO_ROOM = "too much is being counted for policies; try again in an hour"

Counter = tuple[str, str, str]
"""What a user's operations are counted for: key, group, policy."""
Counted = tuple[int, Counter, int]
"""What a batch has used: place of the request in it, counter, beginning of the hour."""


class Policies:
    """What users have done under policies; belongs to the serving thread.

    Args:
        clock_us: Microseconds since whenever, which nobody sets.
    """

    def __init__(self, clock_us: Callable[[], int] = lambda: time.monotonic_ns() // 1000) -> None:
        self._clock_us = clock_us
        self._windows: dict[tuple[str, str], dict[Counter, Window]] = {}
        self._count = 0
        self._swept_us = -SWEEP_EVERY_US
        self._zone_us = -US_PER_S
        self._known: dict[tuple[str, str], Policy | None] = {}
        self._generation = -1

    def use(self, call: "Call", object_id: str, pairs: tuple[tuple[str, str], ...]) -> None:
        """Let an operation through and count it.

        Args:
            call: Of a user.
            object_id: Of the key.
            pairs: (group, policy) of each grant that would do.

        Raises:
            Refused: no policy lets it through.
        """
        now_us = self._clock_us()
        applicable = [(group, policy) for group, name in pairs if (policy := self._policy(call, name)) is not None]
        if not applicable:
            raise Refused(_NEVER, "refused.permission")
        windows = self._windows.get(_who(call), {})
        own = {counter for place, counter, _ in call.counted if place == call.place}
        judged: list[tuple[Policy, int]] = []
        due: list[Counter] = []
        for group, policy in applicable:
            counter = (object_id, group, policy.name)
            window = windows.get(counter)
            used_count = 0 if window is None else window.used_count(now_us)
            if counter in own:
                used_count -= 1  # by this very operation, which needs several rights
            elif policy.operations_per_hour != UNLIMITED:
                due.append(counter)
            judged.append((policy, used_count))
        reason = refusal(judged, self._minute(call.now_us, now_us))
        if reason is not None:
            raise Refused(_WHY[reason], reason)
        self._take(call, due, now_us)

    def give_back(self, call: "Call") -> None:
        """Uncount what a batch has used that is to be run anew, and will count again."""
        windows = self._windows.get(_who(call), {})
        for _, counter, began_us in call.counted:
            window = windows.get(counter)
            if window is not None and window.began_us == began_us:  # else another hour has begun
                windows[counter] = window._replace(operations_count=window.operations_count - 1)
        call.counted = ()

    def count(self) -> int:
        """Tell how many counters are kept."""
        return self._count

    def _take(self, call: "Call", due: list[Counter], now_us: int) -> None:
        if not due:
            return
        who = _who(call)
        windows = self._windows.get(who, {})
        new_count = sum([counter not in windows for counter in due])
        if new_count:
            self._make_room(who, new_count, now_us)
            windows = self._windows.setdefault(who, {})
            self._count += sum([counter not in windows for counter in due])
        for counter in due:
            window = windows.get(counter)
            window = windows[counter] = Window(now_us, 1) if window is None else window.counted(now_us)
            call.counted = (*call.counted, (call.place, counter, window.began_us))

    def _make_room(self, who: tuple[str, str], new_count: int, now_us: int) -> None:
        """Have room for further counters of a user.

        Raises:
            Refused: there is none.
        """
        own = self._windows.get(who, {})
        if len(own) + new_count > COUNTERS_PER_USER_COUNT_MAX or self._count + new_count > COUNTERS_COUNT_MAX:
            if now_us - self._swept_us >= SWEEP_EVERY_US:
                self._swept_us = now_us
                self._sweep(now_us)
            own = self._windows.get(who, {})
            if len(own) + new_count > COUNTERS_PER_USER_COUNT_MAX or self._count + new_count > COUNTERS_COUNT_MAX:
                raise Refused(_NO_ROOM, EXCEEDED)

    def _sweep(self, now_us: int) -> None:
        """Drop what is over."""
        for who, windows in list(self._windows.items()):
            left = {counter: window for counter, window in windows.items() if not window.is_over(now_us)}
            self._count -= len(windows) - len(left)
            if left:
                self._windows[who] = left
            else:
                del self._windows[who]

    def _policy(self, call: "Call", name: str) -> Policy | None:
        """Return a policy as it is now; read anew only after something other than keys has changed."""
        objects = call.desk.objects
        if self._generation != objects.others_generation:
            self._generation = objects.others_generation
            self._known.clear()
        place = (call.principal.realm, name)
        if place not in self._known:
            record = objects.record(KIND_POLICY, name, call.principal.realm)
            self._known[place] = None if record is None else policy_of(name, record.fields)
        return self._known[place]

    def _minute(self, at_us: int, now_us: int) -> int:
        """Return the minute of the week of a moment in the local time zone, which may be another one since."""
        if now_us - self._zone_us >= US_PER_S:
            self._zone_us = now_us
            time.tzset()
        local = time.localtime(at_us // US_PER_S)
        return minute_of(local.tm_wday, local.tm_hour, local.tm_min)


def policies_of(call: "Call") -> Policies:
    """Return what this process counts."""
    held: Policies | None = call.desk.services.get(SERVICE)
    if held is None:
        held = call.desk.services[SERVICE] = Policies()
    return held


def pass_by_policy(call: "Call", record: Any, right: int) -> None:
    """Let an operation through that is granted under a policy only.

    Args:
        call: Of the asker.
        record: Of the object.
        right: What the asker has not without a condition.

    Raises:
        Refused: they have it under no policy, or none lets them now.
    """
    pairs = policies_on(call.principal, record, right)
    try:
        if not pairs:
            raise Refused(_NEVER, "refused.permission")
        counted = record.id if record.versioning is None else record.versioning.family  # all versions are one key
        policies_of(call).use(call, counted, pairs)
    except Refused as refused:
        refused.target = record.id
        raise


def give_back(call: "Call") -> None:
    """Uncount what a batch has used that is to be run anew."""
    if call.counted:
        policies_of(call).give_back(call)


def _who(call: "Call") -> tuple[str, str]:
    return call.principal.realm, call.principal.name
