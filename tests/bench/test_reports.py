"""What a benchmark says is what it measured."""

import pytest

from bench.rig.reports import HEADINGS, Comparison, table


def line(limit: float | None, *, is_cost: bool) -> Comparison:
    made = Comparison("Get", "C echo", limit, is_cost=is_cost)
    for ours, theirs in ((1.0, 2.0), (30.0, 10.0), (40.0, 100.0)):  # ratios 0.5, 3 and 0.4
        made.add(ours, theirs)
    return made


@pytest.mark.parametrize(
    ("limit", "is_cost", "is_met"),
    [(0.5, False, True), (0.51, False, False), (0.5, True, True), (0.49, True, False), (None, True, True)],
)
def test_the_median_of_the_rounds_ratios_decides(limit: float | None, is_cost: bool, is_met: bool) -> None:
    assert line(limit, is_cost=is_cost).ratio == 0.5
    assert line(limit, is_cost=is_cost).is_met is is_met


def test_the_table_names_what_was_missed() -> None:
    text = table(HEADINGS, [line(0.3, is_cost=False).row(), line(0.9, is_cost=False).row()])
    _, _, met, missed = text.splitlines()
    assert "0.4 to 3" in met
    assert met.rstrip().endswith("met")
    assert missed.endswith("MISSED")
