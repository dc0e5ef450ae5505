"""States that follow from dates, and the windows in which a key may be used."""

from hypothesis import given
from hypothesis import strategies as st

from keystead.core.lifecycle import Dates, State, may_process, may_protect, state_at

MOMENTS = st.none() | st.integers(0, 20)


@given(st.builds(Dates, *[MOMENTS] * 6), st.integers(0, 21))
def test_the_windows_say_what_the_states_say(dates: Dates, now: int) -> None:
    state = state_at(dates, now)
    before_stop = dates.protect_stop_us is None or now < dates.protect_stop_us
    assert may_protect(dates, now) == (state is State.ACTIVE and before_stop)
    started = dates.process_start_us is None or now >= dates.process_start_us
    usable = state in (State.ACTIVE, State.DEACTIVATED, State.COMPROMISED)
    assert may_process(dates, now) == (usable and started)
