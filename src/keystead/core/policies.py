"""Authorization policies: how often and when a group may use a key. Pure.

Laws: a policy takes away and never gives; of several that apply, the least restrictive counts; a policy that cannot be
found permits nothing. The window of an hour is fixed and begins with the first operation that is counted. A period ends
with its last minute, so that Monday 00:00 to Sunday 23:59 is the whole week.

Source: requirements KS-POL-003 to 012, 015; KS-NAE-027; chapter Authorization policies.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from keystead.core.errors import Invalid

OPERATIONS_PER_HOUR_MAX = 500_000_000
PERIODS_COUNT_MAX = 50
UNLIMITED = 0
HOUR_US = 3_600_000_000
WEEK_MINUTES = 10_080
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MOMENT = rf"({'|'.join(DAYS)}) ([01][0-9]|2[0-3]):([0-5][0-9])"
PERIOD = re.compile(f"{_MOMENT}-{_MOMENT}")
EXCEEDED = "refused.policy_rate"
OUTSIDE = "refused.policy_period"


class Period(NamedTuple):
    """A part of the week.

    Attributes:
        first: Its first minute, from Monday 00:00 in local time.
        last: Its last minute, which belongs to it; less than `first` = it goes on through the end of the week.
    """

    first: int
    last: int

    def has(self, minute: int) -> bool:
        """Tell whether a minute of the week is in it."""
        if self.first <= self.last:
            return self.first <= minute <= self.last
        return minute >= self.first or minute <= self.last


class Policy(NamedTuple):
    """What a policy says.

    Attributes:
        name: Unique in its realm.
        operations_per_hour: Of each user; UNLIMITED = as many as they like.
        periods: When keys may be used; none = always.
    """

    name: str
    operations_per_hour: int = UNLIMITED
    periods: tuple[Period, ...] = ()

    def is_open(self, minute: int) -> bool:
        """Tell whether keys may be used in a minute of the week."""
        return not self.periods or any(period.has(minute) for period in self.periods)

    def has_left(self, used_count: int) -> bool:
        """Tell whether a user who has done so much in the running hour may do more."""
        return self.operations_per_hour == UNLIMITED or used_count < self.operations_per_hour


class Window(NamedTuple):
    """What was counted, and since when.

    Attributes:
        began_us: First operation that was counted, by a clock that nobody sets.
        operations_count: How many.
    """

    began_us: int
    operations_count: int

    def used_count(self, now_us: int) -> int:
        """Return what counts now: nothing once the hour is over."""
        return 0 if self.is_over(now_us) else self.operations_count

    def is_over(self, now_us: int) -> bool:
        """Tell whether the hour has passed."""
        return now_us - self.began_us >= HOUR_US

    def counted(self, now_us: int) -> "Window":
        """Return it with one more; another one begins when the hour is over."""
        return Window(now_us, 1) if self.is_over(now_us) else Window(self.began_us, self.operations_count + 1)


def refusal(applicable: Iterable[tuple[Policy, int]], minute: int) -> str | None:
    """Return why an operation is refused, None when it is permitted.

    Args:
        applicable: Policies of which each alone would do, with what the user has done in its running hour.
        minute: Of the week, local time.
    """
    valid = [(policy, used_count) for policy, used_count in applicable if policy.is_open(minute)]
    if not valid:
        return OUTSIDE
    return None if any(policy.has_left(used) for policy, used in valid) else EXCEEDED


def minute_of(weekday: int, hour: int, minute: int) -> int:
    """Return the minute of the week; `weekday` 0 = Monday."""
    return weekday * 1440 + hour * 60 + minute


def period_of(text: str) -> Period:
    """Return the period that words such as "mon 09:00-mon 17:00" mean.

    Raises:
        Invalid: not of this form, or it begins and ends in the same minute.
    """
    found = PERIOD.fullmatch(text)
    if found is None:
        raise Invalid("a period is a day and time twice, such as `mon 09:00-mon 17:00`", "invalid.field")
    first, last = (
        minute_of(DAYS.index(day), int(hour), int(minute))
        for day, hour, minute in (found.group(1, 2, 3), found.group(4, 5, 6))
    )
    if first == last:
        raise Invalid("a period ends later than it begins; the week is `mon 00:00-sun 23:59`", "invalid.field")
    return Period(first, last)


def words_of(period: Period) -> str:
    """Return a period as people write it."""
    return f"{_moment(period.first)}-{_moment(period.last)}"


def policy_of(name: str, fields: Mapping[str, Any]) -> Policy:
    """Return the policy of a record's fields."""
    periods = tuple([Period(first, last) for first, last in fields["periods"]])
    return Policy(name, fields["operations_per_hour"], periods)


def fields_of(policy: Policy) -> dict[str, Any]:
    """Return what is stored of a policy."""
    periods = [[period.first, period.last] for period in policy.periods]
    return {"operations_per_hour": policy.operations_per_hour, "periods": periods}


def _moment(minute: int) -> str:
    day, rest = divmod(minute, 1440)
    return f"{DAYS[day]} {rest // 60:02}:{rest % 60:02}"
