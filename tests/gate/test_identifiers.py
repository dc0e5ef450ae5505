"""Identifiers and the clock of the writer."""

import uuid

from keystead.gate.identifiers import Clock, new_id, new_request_id


def test_ids_are_version_7_and_follow_time() -> None:
    ids = [new_id(1_700_000_000_000_000 + number * 1000) for number in range(200)]
    assert {uuid.UUID(each).version for each in ids} == {7}
    assert {uuid.UUID(each).variant for each in ids} == {uuid.RFC_4122}
    assert ids == sorted(ids)
    assert uuid.UUID(ids[0]).int >> 80 == 1_700_000_000_000


def test_ids_of_one_moment_follow_the_order_in_which_they_are_made() -> None:
    ids = [new_id(1_700_000_000_000_999) for _ in range(2000)]
    assert ids == sorted(ids)
    assert new_id(1_700_000_000_001_000) > ids[-1]
    assert {uuid.UUID(each).variant for each in ids} == {uuid.RFC_4122}


def test_ids_of_one_moment_differ() -> None:
    assert len({new_id(0) for _ in range(1000)}) == 1000
    assert len({new_request_id() for _ in range(1000)}) == 1000


def test_the_clock_never_runs_backwards_and_says_when_it_was_set_back() -> None:
    """Attack class 53; what that means for a key: tests/hostile/test_clock.py."""
    far = 4_000_000_000_000_000
    clock = Clock(not_before_us=far)
    assert [clock.now_us() for _ in range(3)] == [far + 1, far + 2, far + 3]
    assert clock.set_back
    steady = Clock()
    moments = [steady.now_us() for _ in range(1000)]
    assert moments == sorted(set(moments))
    assert not steady.set_back
