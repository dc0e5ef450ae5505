"""Which entries of a full dictionary go first."""

import pytest

from keystead.core.eviction import oldest


@pytest.mark.parametrize(("held_count", "going_count"), [(0, 0), (1, 1), (63, 1), (64, 2), (50_000, 782)])
def test_the_oldest_go_first_and_few_at_a_time(held_count: int, going_count: int) -> None:
    held = dict.fromkeys(range(1000, 1000 + held_count))
    assert oldest(held) == list(range(1000, 1000 + going_count))
    if held_count > 1:
        del held[1000]
        held[1000] = None  # the youngest now
        assert oldest(held)[0] == 1001
