"""Values, inputs and the plot, apart from any page."""

from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.fields import Flags, Items, Number, Text
from keystead.core.permission import GRANTABLE, Right
from keystead.core.secret import Secret
from keystead.gate.forms import fields_of
from keystead.protocols.console import forms
from keystead.protocols.console.catalogue import nouns, words
from keystead.protocols.console.guard import own_path
from keystead.protocols.console.home_pages import requests_of
from keystead.protocols.console.plot import plot
from keystead.protocols.console.values import html_of, visible


@dataclass(frozen=True, slots=True)
class Sample:
    """A request.

    Attributes:
        name: Of it.
    """

    name: Annotated[str, Text(r"[a-z]+", 8, example="abc")]
    secret: Annotated[Secret, Text(characters_max=20)]
    count: Annotated[int, Number(1, 9)] = 3
    note: Annotated[str, Text(characters_max=5)] | None = None
    heir: Annotated[str, Text(r"[a-z]+", 8)] | None = None
    is_on: bool = True
    is_told: bool | None = None
    rights: Annotated[int, Flags(GRANTABLE)] = 0
    access: Annotated[tuple[str, ...], Items(2, ("a", "b", "c"))] | None = None
    groups: Annotated[tuple[str, ...], Items(2), Text(r"[a-z]+", 8)] = ()
    since_us: int = 0
    data: bytes = b""


FIELDS = fields_of(Sample)


def read(current: dict[str, object] | None = None, **posted: str | list[str]) -> tuple[dict[str, object], set[str]]:
    given = {name: [value] if isinstance(value, str) else value for name, value in posted.items()}
    plain, wrong = forms.read(
        FIELDS, {"name": ["abc"], "secret": ["x"], "is_on": ["yes"], "is_told": ["keep"]} | given, current or {}
    )
    return plain, set(wrong)


def test_what_is_typed_becomes_plain_fields() -> None:
    told = {"rights": ["see", "encrypt"], "groups": ["", " x ", "y"], "since_us": "2026-01-01 00:00", "data": "AAE="}
    plain, wrong = read(**told, count="4", access=["a"])  # type: ignore[arg-type]  # lists and texts
    assert not wrong
    assert plain == {
        "name": "abc",
        "secret": b"x",
        "count": 4,
        "is_on": True,
        "rights": int(Right.SEE | Right.ENCRYPT),
        "access": ["a"],
        "groups": ["x", "y"],
        "since_us": 1_767_225_600_000_000,
        "data": b"\x00\x01",
    }


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        *(("name", "ABC"), ("name", "a" * 9), ("name", ""), ("name", "abc\n!"), ("secret", ""), ("secret", "x" * 21)),
        *(("count", "0"), ("count", "10"), ("count", "1e1"), ("count", "9" * 40), ("count", "٣"), ("note", "longer")),
        *(("is_on", "keep"), ("is_on", ""), ("is_told", "maybe"), ("rights", "destroy"), ("rights", "all")),
        *(("access", ["a", "b", "c"]), ("access", "d"), ("groups", ["x", "y", "z"]), ("groups", "X"), ("data", "!")),
        *(("since_us", "yesterday"), ("since_us", "9999999-01-01"), ("heir", "A")),
    ],
)
def test_what_is_wrong_is_wrong_at_its_field(field: str, typed: str | list[str]) -> None:
    plain, wrong = read(**{field: typed})  # type: ignore[arg-type]  # as typed
    assert wrong == {field}
    assert field not in plain


def test_what_is_left_empty_stays_as_it_is_unless_it_was_shown_filled() -> None:
    assert {"note", "heir", "access", "is_told"}.isdisjoint(read(note="", heir="")[0])
    assert read({"note": "old"}, note="")[0]["note"] == ""
    assert read({"access": ["a"]})[0]["access"] == []


def test_passwords_are_in_no_input() -> None:
    drawn = forms.inputs(FIELDS, {"secret": b"planted"}, {"secret": ["planted"], "name": ["typed"]})
    assert "planted" not in repr(drawn)
    assert next(one for one in drawn if one.name == "name").value == "typed"


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text())
def test_any_text_is_text(text: str) -> None:
    reader = _Tags()
    reader.feed(str(visible(text)))
    reader.close()
    assert reader.tags <= {"bdi", "span"}
    if text.isprintable() and text.isascii():
        assert reader.text == text
    assert not any(ord(one) in range(0x202A, 0x202F) or one == "\x00" for one in reader.text)


@given(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.text()), st.dictionaries(st.text(), st.text())
    )
)
def test_any_value_is_shown(value: object) -> None:
    reader = _Tags()
    reader.feed(str(html_of(next(field for field in FIELDS if field.name == "note"), value)))
    assert reader.tags <= {"bdi", "span", "ul", "li", "pre"}


@given(st.integers(-(2**62), 2**62))
def test_any_moment_is_shown(value: int) -> None:
    assert "UTC" in html_of(next(field for field in FIELDS if field.name == "since_us"), value)


@given(st.text())
def test_one_is_never_led_elsewhere(word: str) -> None:
    led = own_path(word)
    assert led.startswith("/")
    assert not led.startswith("//")
    assert "\\" not in led


def test_a_plot_has_a_bar_for_each_hour_and_says_in_words_what_it_shows() -> None:
    drawn = str(plot([0] * 22 + [5, 10], datetime(2026, 1, 31, 12, 30, tzinfo=UTC)))
    assert drawn.count("<rect") == 24
    assert "15 in all" in drawn
    assert "10 until 12:30" in drawn
    assert "style=" not in drawn
    assert 'role="img"' in drawn
    assert plot([0] * 24, datetime(2026, 1, 31, tzinfo=UTC))


def test_names_of_the_code_become_words() -> None:
    told = {"revoked_s": "Revoked", "is_local": "Local", "members_count": "Members", "request_pem": "Request PEM"}
    assert {name: words(name) for name in told} == told
    titles = [verb.title for noun in nouns().values() for verb in noun.verbs]
    assert all(title[0].isupper() and "_" not in title for title in titles)
    assert not [
        verb.about for noun in nouns().values() for verb in noun.verbs if "`" in verb.about or "KS-" in verb.about
    ]


def test_requests_of_clients_are_drawn_with_a_text_beside_them() -> None:
    def sample(origin: str, operation: str, value: int) -> dict[str, object]:
        return {"labels": [["process", "keys"], ["origin", origin], ["operation", operation]], "value": value}

    samples = [sample("client", f"op{number}", number) for number in range(1, 9)]
    samples += [sample("local", "user.create", 50), sample("client", "op8", 2), sample("client", "<b>", 100)]
    drawn = requests_of([{"name": "keystead_requests_total", "samples": samples}])
    assert drawn is not None
    assert "Requests of clients since the start: 138 in all" in drawn
    assert "&lt;b&gt; 100, op8 10, op7 7, op6 6, op5 5, op4 4, others 6" in drawn
    assert "user.create" not in drawn
    assert "<b>" not in drawn
    assert requests_of([]) is None
