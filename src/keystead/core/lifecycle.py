"""Life cycle of a managed object: one table of moves, and the state that follows from dates.

Law: everything that decides a state lives in this file. The stored state is a hint for searches; `state_at` decides
every use.

Source: KMIP 1.4 section 3.22 and 3.23 (state, dates); KMIP 2.1 section 4.58; requirements KS-LIFE-001 to 006, SM-1.
"""

from enum import IntEnum
from typing import NamedTuple


class State(IntEnum):
    """State of a managed object; the numbers are those of KMIP's State enumeration."""

    PRE_ACTIVE = 1
    ACTIVE = 2
    DEACTIVATED = 3
    COMPROMISED = 4
    DESTROYED = 5
    DESTROYED_COMPROMISED = 6


class Event(IntEnum):
    """What moves an object from one state to another."""

    ACTIVATE = 1
    DEACTIVATE = 2
    COMPROMISE = 3
    DESTROY = 4


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.PRE_ACTIVE, Event.ACTIVATE): State.ACTIVE,
    (State.PRE_ACTIVE, Event.COMPROMISE): State.COMPROMISED,
    (State.PRE_ACTIVE, Event.DESTROY): State.DESTROYED,
    (State.ACTIVE, Event.DEACTIVATE): State.DEACTIVATED,
    (State.ACTIVE, Event.COMPROMISE): State.COMPROMISED,
    (State.DEACTIVATED, Event.COMPROMISE): State.COMPROMISED,
    (State.DEACTIVATED, Event.DESTROY): State.DESTROYED,
    (State.COMPROMISED, Event.DESTROY): State.DESTROYED_COMPROMISED,
    (State.DESTROYED, Event.COMPROMISE): State.DESTROYED_COMPROMISED,
}
"""Every move there is; a pair that is not listed is refused. There is no way back (KS-LIFE-002)."""

GONE = frozenset({State.DESTROYED, State.DESTROYED_COMPROMISED})
"""States in which no key bytes exist any more."""


class Dates(NamedTuple):
    """The dates that decide a state, in UTC microseconds; None = not set."""

    activation_us: int | None = None
    deactivation_us: int | None = None
    compromise_us: int | None = None
    destroy_us: int | None = None
    process_start_us: int | None = None
    protect_stop_us: int | None = None


def state_at(dates: Dates, now_us: int) -> State:
    """Return the state at a moment; dates in the future do not count yet."""
    compromised = dates.compromise_us is not None and dates.compromise_us <= now_us
    if dates.destroy_us is not None and dates.destroy_us <= now_us:
        return State.DESTROYED_COMPROMISED if compromised else State.DESTROYED
    if compromised:
        return State.COMPROMISED
    if dates.activation_us is None or dates.activation_us > now_us:
        return State.PRE_ACTIVE
    if dates.deactivation_us is not None and dates.deactivation_us <= now_us:
        return State.DEACTIVATED
    return State.ACTIVE


def next_transition_at(dates: Dates, now_us: int) -> int | None:
    """Return the earliest moment after now at which `state_at` changes by itself, or None."""
    state = state_at(dates, now_us)
    coming: int | None = None
    for moment in (dates.activation_us, dates.deactivation_us, dates.compromise_us, dates.destroy_us):
        if moment is None or moment <= now_us or (coming is not None and moment >= coming):
            continue
        if state_at(dates, moment) is not state:
            coming = moment
    return coming


NEVER_US = 1 << 62
"""Later than any moment a clock or a date can name."""


def protect_window(dates: Dates) -> tuple[int, int]:
    """Return the moments from which on and before which the object may encrypt, sign, wrap or MAC."""
    ends = (dates.deactivation_us, dates.compromise_us, dates.destroy_us, dates.protect_stop_us)
    if dates.activation_us is None:
        return NEVER_US, NEVER_US
    return dates.activation_us, min((end for end in ends if end is not None), default=NEVER_US)


def process_window(dates: Dates) -> tuple[int, int]:
    """Return the moments from which on and before which the object may decrypt, verify or unwrap.

    Deactivated and compromised objects may still process what they once protected (KMIP 1.4 section 3.22).
    """
    active_us = [moment for moment in (dates.activation_us, dates.compromise_us) if moment is not None]
    begin_us = max(min(active_us, default=NEVER_US), dates.process_start_us or 0)
    return begin_us, NEVER_US if dates.destroy_us is None else dates.destroy_us


def may_protect(dates: Dates, now_us: int) -> bool:
    """Tell whether the object may encrypt, sign, wrap or MAC at this moment (active, before Protect Stop Date)."""
    begin_us, end_us = protect_window(dates)
    return begin_us <= now_us < end_us


def may_process(dates: Dates, now_us: int) -> bool:
    """Tell whether the object may decrypt, verify or unwrap (not before Process Start Date)."""
    begin_us, end_us = process_window(dates)
    return begin_us <= now_us < end_us
