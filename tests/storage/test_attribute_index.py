"""What an object leaves in the index: short, in order, for the right eyes. Searches are tested in the contract."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.attributes import NONE, ItemType, Value, text
from keystead.core.errors import Invalid
from keystead.core.lifecycle import Dates
from keystead.core.permission import Right
from keystead.storage.attribute_index import (
    INTEGER_MAX,
    INTEGER_MIN,
    VALUE_BYTES_MAX,
    place_of,
    rows_of,
    term_of,
    values_of,
    wanted_value,
)
from keystead.storage.conditions import value_range
from keystead.storage.store import Match
from tests.support.stores import NOW_US, attributes, kmip_name, new_object

KEY = bytes(16)
NUMBERS = st.integers(INTEGER_MIN, INTEGER_MAX)


@given(NUMBERS, NUMBERS)
def test_numbers_and_dates_stand_in_order(one: int, other: int) -> None:
    for kind in (ItemType.LONG_INTEGER, ItemType.DATE_TIME, ItemType.DATE_TIME_EXTENDED):
        (first,), (second,) = values_of(Value(kind, one)), values_of(Value(kind, other))
        assert (first < second) == (one < other)
        assert len(first) == 9


@given(st.text(max_size=100), st.text(max_size=100))
def test_texts_are_told_apart_and_long_ones_are_short(one: str, other: str) -> None:
    (first,), (second,) = values_of(text(one)), values_of(text(other))
    assert (first == second) == (one == other)
    assert max(len(first), len(second)) <= VALUE_BYTES_MAX


def test_texts_that_differ_at_their_end_are_told_apart() -> None:
    (first,), (second,) = values_of(text("y" * 300 + "a")), values_of(text("y" * 300 + "b"))
    assert first != second


def test_a_name_stands_by_its_text_and_a_structure_by_each_of_its_texts() -> None:
    assert list(values_of(kmip_name("disk"))) == [b"\x42\x00\x55disk"]
    namespace = Value(ItemType.STRUCTURE, ((0x420003, 7, "ssl"), (0x420002, 7, "www"), (0x420001, 5, 1)))
    assert list(values_of(namespace)) == [b"\x42\x00\x03ssl", b"\x42\x00\x02www"]
    assert wanted_value(namespace) == b"\x42\x00\x02www"
    assert wanted_value(Value(ItemType.STRUCTURE, ((0x420011, 5, 1),))) is None


def test_each_scope_that_may_see_it_has_rows() -> None:
    grants = {"staff": int(Right.SEE), "none": 0}
    record = new_object(1, grants=grants, attributes=attributes(Name="n", x_site="s"))
    rows = rows_of(record, KEY, NOW_US)
    places = {place_of("root", scope, 0) for scope in ("u:alice", "g:staff")}
    assert {row.place for row in rows.listing} == places
    assert len(rows.attributes) == 4
    assert rows.attributes >= {(term_of(place, "x-site", b"\x07s"), KEY) for place in places}
    (row,) = rows_of(new_object(1, owner=None), KEY, NOW_US).listing
    assert row.place == place_of("root", "*", 0)


def test_places_and_names_are_told_apart() -> None:
    places = [place_of(realm, scope, gone) for realm in ("a", "ab") for scope in ("b", "bb", "") for gone in (0, 1)]
    terms = {term_of(place, name, b"v") for place in places for name in ("x-a", "x-b")}
    assert len(set(places)) == 12
    assert len(terms) == 24


def test_a_row_says_when_its_state_ends() -> None:
    record = new_object(1, dates=Dates(NOW_US + 5, NOW_US + 9))
    rows = [rows_of(record, KEY, at_us).listing[0] for at_us in (NOW_US, NOW_US + 5, NOW_US + 9)]
    assert [(row.state, row.next_us) for row in rows] == [(1, NOW_US + 5), (2, NOW_US + 9), (3, None)]


@pytest.mark.parametrize("far_us", [1 << 63, -(1 << 63) - 1])
def test_numbers_that_no_engine_holds_are_refused(far_us: int) -> None:
    with pytest.raises(Invalid):
        rows_of(new_object(1, dates=Dates(protect_stop_us=far_us)), KEY, NOW_US)
    large = NONE.added("x-large", Value(ItemType.LONG_INTEGER, far_us))
    assert len(rows_of(new_object(1, attributes=large), KEY, NOW_US).attributes) == 1


def test_conditions_on_ranges_of_one_type_stand_between_their_ends() -> None:
    found = value_range(Match("x-when", Value(ItemType.DATE_TIME, -1), Value(ItemType.DATE_TIME, 5)))
    assert found is not None
    (held,) = values_of(Value(ItemType.DATE_TIME, 0))
    assert found[1] < held < found[2]
