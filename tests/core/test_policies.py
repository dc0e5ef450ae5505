"""Arithmetic of policies against models that walk minute by minute and operation by operation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import Invalid
from keystead.core.policies import (
    DAYS,
    EXCEEDED,
    HOUR_US,
    OUTSIDE,
    WEEK_MINUTES,
    Period,
    Policy,
    Window,
    minute_of,
    period_of,
    policy_of,
    refusal,
    words_of,
)
from keystead.core.policies import fields_of as stored

MINUTES = st.integers(0, WEEK_MINUTES - 1)
PERIODS = st.builds(Period, MINUTES, MINUTES)
HOURLY = st.integers(0, 6)


def walked(period: Period) -> set[int]:
    """Every minute from the first to the last, over the end of the week if it comes between."""
    minutes = {period.first}
    minute = period.first
    while minute != period.last:
        minute = (minute + 1) % WEEK_MINUTES
        minutes.add(minute)
    return minutes


@pytest.mark.row("KS-POL-008", "KS-POL-010")
@given(PERIODS, st.lists(MINUTES, max_size=20))
def test_a_period_is_every_minute_from_its_first_to_its_last(period: Period, minutes: list[int]) -> None:
    within = walked(period)
    edges = [(minute + by) % WEEK_MINUTES for minute in period for by in (-1, 0, 1)]
    for minute in (*minutes, *edges):
        assert period.has(minute) == (minute in within)


@given(st.lists(PERIODS, max_size=5), MINUTES)
def test_a_policy_is_open_in_any_of_its_periods_and_always_without_one(periods: list[Period], minute: int) -> None:
    is_open = any(minute in walked(period) for period in periods) if periods else True
    assert Policy("p", 0, tuple(periods)).is_open(minute) == is_open


@pytest.mark.row("KS-POL-010")
def test_one_that_ends_before_it_begins_on_one_day_is_the_week_without_the_gap() -> None:
    period = period_of("mon 13:00-mon 08:00")
    closed = [minute for minute in range(WEEK_MINUTES) if not period.has(minute)]
    assert closed == list(range(8 * 60 + 1, 13 * 60))


@pytest.mark.row("KS-POL-008")
def test_the_longest_period_is_the_whole_week() -> None:
    week = period_of("mon 00:00-sun 23:59")
    assert all(week.has(minute) for minute in range(WEEK_MINUTES))


@pytest.mark.row("KS-POL-009")
def test_a_daily_period_is_seven() -> None:
    daily = Policy("office", 0, tuple(period_of(f"{day} 09:00-{day} 17:00") for day in DAYS))
    monday = Policy("monday", 0, daily.periods[:1])
    for day in range(7):
        assert [daily.is_open(minute_of(day, *at)) for at in ((8, 59), (9, 0), (17, 0), (17, 1))] == [
            *(False, True, True, False)
        ]
        assert monday.is_open(minute_of(day, 12, 0)) == (day == 0)


@given(PERIODS.filter(lambda period: period.first != period.last))
def test_what_is_written_is_read_again(period: Period) -> None:
    assert period_of(words_of(period)) == period
    policy = Policy("p", 7, (period,))
    assert policy_of("p", stored(policy)) == policy


@pytest.mark.parametrize(
    "text",
    [
        *("", "mon 09:00", "mon 9:00-mon 17:00", "mon 09:00-mon 24:00", "mon 09:60-mon 17:00", "xyz 09:00-mon 17:00"),
        *("mon 09:00-mon 17:00 ", "Mon 09:00-mon 17:00", "mon 09:00-mon 09:00", "mon \u0660\u0669:00-mon 17:00"),
    ],
)
def test_other_words_are_no_period(text: str) -> None:
    with pytest.raises(Invalid):
        period_of(text)


@pytest.mark.row("KS-POL-005")
@given(st.lists(st.integers(0, 2 * HOUR_US), max_size=40))
def test_a_window_is_fixed_and_begins_with_the_first_operation(gaps_us: list[int]) -> None:
    """The model keeps every moment, and the beginning of the hour that each fell into."""
    window: Window | None = None
    now_us, began_us, counted = 0, -HOUR_US, 0
    for gap_us in gaps_us:
        now_us += gap_us
        if now_us >= began_us + HOUR_US:
            began_us, counted = now_us, 0
        assert (0 if window is None else window.used_count(now_us)) == counted
        window = Window(now_us, 1) if window is None else window.counted(now_us)
        counted += 1
        assert (window.began_us, window.operations_count) == (began_us, counted)


@pytest.mark.row("KS-POL-012")
@given(st.lists(st.tuples(HOURLY, st.lists(PERIODS, max_size=2), HOURLY), max_size=4), MINUTES)
def test_the_least_restrictive_of_those_that_are_valid_now_decides(
    applicable: list[tuple[int, list[Period], int]], minute: int
) -> None:
    """The model: whoever would be let through by one of them alone is let through."""
    policies = [(Policy(str(i), hourly, tuple(periods)), used) for i, (hourly, periods, used) in enumerate(applicable)]
    alone = [refusal([one], minute) for one in policies]
    expected = None if None in alone else EXCEEDED if EXCEEDED in alone else OUTSIDE
    assert refusal(policies, minute) == expected


@pytest.mark.row("KS-POL-012")
def test_with_one_count_that_is_the_highest_number_that_is_valid_at_the_moment() -> None:
    low, high = Policy("low", 100), Policy("high", 500, (period_of("mon 09:00-mon 17:00"),))
    noon, night = minute_of(0, 12, 0), minute_of(0, 20, 0)
    for used, at, expected in ((99, night, None), (100, night, EXCEEDED), (499, noon, None), (500, noon, EXCEEDED)):
        assert refusal([(low, used), (high, used)], at) == expected


@pytest.mark.row("KS-POL-006")
@pytest.mark.parametrize(("hourly", "left"), [(100, 50), (150, 100), (75, 25), (50, 0), (40, 0), (0, None)])
def test_a_changed_limit_counts_in_the_running_window(hourly: int, left: int | None) -> None:
    used = 50
    window = Window(0, used)
    while left is not None and Policy("p", hourly).has_left(window.used_count(1)):
        window = window.counted(1)
        assert window.operations_count <= 150
    assert left is None or window.operations_count - used == left
