"""Refusals are durable before they are told, and no flush attack."""

from keystead.core.permission import Principal
from keystead.gate.refusals import TRACKED_COUNT_MAX, WINDOW_US, Refusals

ALICE = Principal("user", "alice")
ONE = ("key.get", "id", "refused.permission")


def test_the_first_of_a_second_is_written_and_its_repeats_are_counted() -> None:
    refusals = Refusals()
    assert refusals.due(ALICE, [ONE], 10 * WINDOW_US) == [ONE]
    assert [refusals.due(ALICE, [ONE], 10 * WINDOW_US + i) for i in range(5)] == [[]] * 5
    (later,) = refusals.due(ALICE, [ONE], 12 * WINDOW_US)
    assert later == ("key.get", "id", "refused.permission (and 5 like it before)")


def test_another_principal_operation_or_reason_counts_for_itself() -> None:
    refusals = Refusals()
    others = [(ALICE, ("key.destroy", "id", ONE[2])), (ALICE, (ONE[0], "id", "refused.sensitive"))]
    for principal, refusal in [(ALICE, ONE), *others, (Principal("user", "bob"), ONE)]:
        assert refusals.due(principal, [refusal], 5 * WINDOW_US) == [refusal]


def test_memory_stays_bounded_whatever_is_asked() -> None:
    refusals = Refusals()
    for number in range(TRACKED_COUNT_MAX + 100):
        refusals.due(Principal("user", f"u{number}"), [ONE], 5 * WINDOW_US)
    assert len(refusals._seen) <= TRACKED_COUNT_MAX


def test_what_was_not_stored_is_written_the_next_time() -> None:
    refusals = Refusals()
    assert refusals.due(ALICE, [ONE], 5 * WINDOW_US) == [ONE]
    refusals.not_written(ALICE, [ONE])
    assert refusals.due(ALICE, [ONE], 5 * WINDOW_US) == [ONE]
    assert refusals.due(ALICE, [ONE], 5 * WINDOW_US) == []
