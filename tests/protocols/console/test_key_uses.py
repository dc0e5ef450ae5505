"""Uses of keys as people look at them: counted by day and user, drawn, and as CSV that no spreadsheet calculates."""

import csv
import io
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.protocols.console.key_uses import COLUMNS, FORMULA, US_PER_S, as_csv, by_day, by_user, day_of, plot

DAY_US = 86_400 * US_PER_S
NOON_US = 1_780_000_000 * US_PER_S


def counted(days_ago: int, name: str, count: int, failed_count: int = 0) -> dict[str, Any]:
    return {
        "begin_us": NOON_US - days_ago * DAY_US,
        "name": name,
        "uses_count": count,
        "failed_count": failed_count,
    }


def use(**given: Any) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS, "-") | {"at_us": NOON_US} | given


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_users_come_with_their_sums_the_busiest_first() -> None:
    found = by_user([counted(0, "alice", 3, 1), counted(1, "bob", 9), counted(2, "alice", 4)])
    assert [(name, one.count, one.failed_count) for name, one in found.items()] == [("bob", 9, 0), ("alice", 7, 1)]
    assert found["alice"].last_us == NOON_US


def test_each_day_is_there_and_nothing_else() -> None:
    until = day_of(NOON_US)
    days = by_day(
        [counted(0, "alice", 3, 1), counted(2, "bob", 5), counted(2, "alice", 1), counted(9, "eve", 7)], until, 4
    )
    assert [*days] == [until - timedelta(days=ago) for ago in (3, 2, 1, 0)]
    assert [one.count for one in days.values()] == [0, 6, 0, 3]


def test_the_plot_says_in_words_what_it_shows() -> None:
    days = by_day([counted(0, "alice", 3, 1), counted(1, "bob", 5)], date(2026, 5, 28), 8)
    drawn = str(plot(days))
    assert "Requests on keys per day: 8 in all, 1 of them failed" in drawn
    assert "2026-05-28: 3 requests, 1 failed" in drawn
    assert drawn.count("<rect") == 3
    assert "style=" not in drawn
    assert plot(by_day([], date(2026, 5, 28), 91)).count('class="day"') <= 5


@pytest.mark.parametrize(
    "hostile",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0", "\uff1d1", '=HYPERLINK("x")'],
)
def test_no_cell_is_a_formula(hostile: str) -> None:
    rows = cells(as_csv([use(**dict.fromkeys(list(COLUMNS)[1:], hostile))]))
    assert len(rows) == 2
    for cell in rows[1][1:]:
        assert cell.startswith("'")


@given(st.lists(st.text(), min_size=9, max_size=9))
def test_whatever_clients_wrote_stays_one_harmless_row(texts: list[str]) -> None:
    rows = cells(as_csv([use(**dict(zip(list(COLUMNS)[1:], texts, strict=True)))]))
    assert [len(row) for row in rows] == [len(COLUMNS)] * 2
    for cell, text in zip(rows[1][1:], texts, strict=True):
        assert not cell.startswith(FORMULA)
        assert cell.isprintable()
        if text.isprintable() and not text.startswith(FORMULA):
            assert cell == text


def test_nothing_is_empty_and_a_line_that_cannot_be_read_has_no_time() -> None:
    rows = cells(as_csv([use(at_us=0, result="unreadable")]))
    assert rows[0] == list(COLUMNS.values())
    assert rows[1] == ["", "", "", "", "", "unreadable", "", "", "", ""]
