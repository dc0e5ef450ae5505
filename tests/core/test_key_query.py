"""The text of a query: what is read, how it is written, and what is refused, with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import Invalid, NotFound
from keystead.core.key_columns import check_columns
from keystead.core.key_query import (
    CONDITIONS_COUNT_MAX,
    FIELDS,
    NESTING_DEPTH_MAX,
    OPERATORS,
    TEXT_CHARACTERS_MAX,
    Condition,
    Either,
    Every,
    Everything,
    Expression,
    Not,
    Operator,
    Reference,
    Sort,
    depth_of,
    written,
)
from keystead.core.key_query_match import (
    CONDITIONS_TOGETHER_COUNT_MAX,
    REFERENCES_DEPTH_MAX,
    Matcher,
    resolved,
)
from keystead.core.key_query_reader import read_query
from keystead.core.moments import moment_from, shown_moment

OWNED = Condition("owner", Operator.EQUAL, "alice")
ACTIVE = Condition("state", Operator.EQUAL, "active")
NAMED = Condition("name", Operator.CONTAINS, "tape")


@pytest.mark.row("KS-KEY-046")
@pytest.mark.parametrize(
    ("text", "expression", "canonical"),
    [
        ("owner=alice", OWNED, "owner = alice"),
        ('  owner  = "alice" ', OWNED, "owner = alice"),
        ("OWNER = alice AND State = active", Every((OWNED, ACTIVE)), "owner = alice and state = active"),
        ("owner=alice or state=active", Either((OWNED, ACTIVE)), "owner = alice or state = active"),
        (
            "owner=alice and state=active or name contains tape",
            Either((Every((OWNED, ACTIVE)), NAMED)),
            "(owner = alice and state = active) or name contains tape",
        ),
        (
            "owner=alice and (state=active or name contains tape)",
            Every((OWNED, Either((ACTIVE, NAMED)))),
            "owner = alice and (state = active or name contains tape)",
        ),
        ("((owner=alice))", OWNED, "owner = alice"),
        ("(owner=alice and state=active) and name contains tape", Every((OWNED, ACTIVE, NAMED)), None),
        ("not not owner=alice", Not(Not(OWNED)), "not not owner = alice"),
        ("not (owner=alice or state=active)", Not(Either((OWNED, ACTIVE))), "not (owner = alice or state = active)"),
        ("all", Everything(), "all"),
        ("query old-tapes", Reference("old-tapes"), "query old-tapes"),
        ('query "[All]"', Reference("[All]"), 'query "[All]"'),
        ("x-site != north", Condition("", Operator.UNEQUAL, "north", "x-site"), "x-site != north"),
        ("attribute x-site=north", Condition("", Operator.EQUAL, "north", "x-site"), "x-site = north"),
        ('attribute "x-my site" = a', Condition("", Operator.EQUAL, "a", "x-my site"), 'attribute "x-my site" = a'),
        (
            r'attribute "Contact Information" begins "O\"Neil \\ 1"',
            Condition("", Operator.BEGINS, 'O"Neil \\ 1', "Contact Information"),
            r'attribute "Contact Information" begins "O\"Neil \\ 1"',
        ),
        ('name = "Tape Ω 7"', Condition("name", Operator.EQUAL, "Tape Ω 7"), 'name = "Tape Ω 7"'),
        ('name = "and"', Condition("name", Operator.EQUAL, "and"), 'name = "and"'),
        ('owner = ""', Condition("owner", Operator.EQUAL, ""), 'owner = ""'),
        ("created>=-30d", Condition("created", Operator.FROM, "-30d"), "created >= -30d"),
        ("algorithm = AES-256", Condition("algorithm", Operator.EQUAL, "AES-256"), "algorithm = AES-256"),
    ],
)
def test_a_query_is_read_and_written(text: str, expression: Expression, canonical: str | None) -> None:
    assert read_query(text) == expression
    assert canonical is None or written(expression) == canonical
    assert read_query(written(expression)) == expression


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", 1, "expected ("),
        ("owner", 6, "expected one of ="),
        ("owner =", 8, "expected a value"),
        ("owner = and", 9, "expected a value"),
        ("owner = alice state = active", 15, "expected and, or, or the end"),
        ("colour = red", 1, "owner group"),
        ('"owner" = alice', 1, "owner group"),
        ("(owner = alice", 15, "expected ) for the ( at character 1"),
        ("owner = alice)", 14, "expected and, or"),
        ("owner < alice", 7, "takes only = != contains begins"),
        ("state contains act", 7, "takes only = !="),
        ("state = Active", 9, "expected one of pre-active"),
        ("algorithm = ROT-13", 13, "expected one of AES-256"),
        ("length = -1", 10, "a whole number"),
        ("length = 99999999999999999999", 10, "a whole number"),
        ("length = ٣", 10, "U+0663"),
        ('length = "٣"', 10, "a whole number"),
        ("created = yesterday", 11, "expected a time"),
        ("created = 2027-02-30", 11, "expected a time"),
        ('name = ""', 8, "every key has this"),
        ('owner contains ""', 16, "= and != only"),
        ("query", 6, "the name of a query"),
        ("query = old", 7, "the name of a query"),
        ("attribute State = active", 11, "Contact Information"),
        ("attribute site = a", 11, "Contact Information"),
        ("x- = a", 1, "owner group"),
        ('name = "open', 8, "left open"),
        (r'name = "a\n"', 10, "after a backslash"),
        ('name = "a\tb"', 10, "U+0009 cannot be seen"),
        ('name = "a\u202eb"', 10, "U+202E cannot be seen"),
        ('name = "a\u200bb"', 10, "U+200B cannot be seen"),
        ('name = "\ud800"', 9, "cannot be seen"),
        ("name = a; DROP TABLE objects", 9, "U+003B"),
        ("name = ' OR 1=1 --", 8, "U+0027"),
        ("name = *)(uid=*", 8, "U+002A"),
        ("оwner = alice", 1, "U+043E"),
        ("owner = аlice", 9, "U+0430"),
        ("owner \u00a0= alice", 7, "U+00A0"),
        ("owner ＝ alice", 7, "U+FF1D"),
        ("owner = alice\0", 14, "U+0000"),
        ("name = (a+)+", 8, "expected a value"),
    ],
)
def test_what_is_no_query_is_refused_with_its_place(text: str, place: int, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_query(text)
    assert f"at character {place} of the query" in refused.value.message
    assert words in refused.value.message


def test_what_is_too_large_is_refused_before_it_costs_anything() -> None:
    for text in (
        "(" * 1_000_000,
        "not " * 250_000,
        '"' + "a" * 1_000_000,
        "x" * 1_000_000,
        "owner = a or " * 80_000,
        "(" * TEXT_CHARACTERS_MAX,
        ("not " * TEXT_CHARACTERS_MAX)[:TEXT_CHARACTERS_MAX],
        ("all or " * TEXT_CHARACTERS_MAX)[: TEXT_CHARACTERS_MAX - 4] + "all",
        '"' * (TEXT_CHARACTERS_MAX - 1),
        "(" * 17 + "all" + ")" * 17,
        " or ".join(["all"] * (CONDITIONS_COUNT_MAX + 1)),
        " and ".join([f"x-{'a' * 300} = b"]),
    ):
        with pytest.raises(Invalid):
            read_query(text)


def test_what_would_not_be_read_again_is_refused() -> None:
    longest = " or ".join(['name="' + "ö" * 32 + '"'] * 95)  # spaces come to it
    assert len(longest) <= TEXT_CHARACTERS_MAX
    with pytest.raises(Invalid, match="written out"):
        read_query(longest)
    deep = "all or all and (" * NESTING_DEPTH_MAX + "all" + ")" * NESTING_DEPTH_MAX
    with pytest.raises(Invalid, match="written out"):
        read_query(deep)


def values_of(field: str, sort: Sort) -> st.SearchStrategy[str]:
    rule = FIELDS.get(field)
    if rule is not None and rule.choices:
        return st.sampled_from(rule.choices)
    if sort is Sort.NUMBER:
        return st.integers(0, 2**31 - 1).map(str)
    if sort is Sort.MOMENT:
        return st.sampled_from(["2027-01-31", "2027-01-31T12:00:00Z", "-30d", "+12h", "2027-01-31T12:00:00.5+02:00"])
    printable = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
    return st.text(printable, min_size=1, max_size=12).filter(str.isprintable)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    field = draw(st.sampled_from([*FIELDS, ""]))
    sort = FIELDS[field].sort if field else Sort.ATTRIBUTE
    operator = draw(st.sampled_from(sorted(OPERATORS[sort])))
    attribute = "" if field else draw(st.sampled_from(["x-site", "x-my site", "Comment", "vendor/é"]))
    return Condition(field, operator, draw(values_of(field, sort)), attribute)


def several(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    some = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        parts.map(Not),
        some.filter(lambda of: not any(isinstance(one, Every) for one in of)).map(Every),
        some.filter(lambda of: not any(isinstance(one, Either) for one in of)).map(Either),
    )


EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    st.one_of(st.just(Everything()), conditions(), st.sampled_from(["old", "[All]", "or"]).map(Reference)),
    several,
    max_leaves=12,
)


@given(EXPRESSIONS)
def test_what_is_written_is_read_again(expression: Expression) -> None:
    if depth_of(expression) <= NESTING_DEPTH_MAX:
        assert read_query(written(expression)) == expression


@given(st.text(st.sampled_from('ao =<>!()"\\nrdt-x1 ownerandortquery')))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = read_query(text)
    except Invalid:
        return
    assert read_query(written(found)) == found


def chain(**texts: str) -> dict[str, Expression]:
    return {name: read_query(text) for name, text in texts.items()}


def looked_up(saved: dict[str, Expression], text: str, name: str = "") -> dict[str, Expression]:
    def look(wanted: str) -> Expression:
        if wanted not in saved:
            raise NotFound(wanted)
        return saved[wanted]

    return resolved(read_query(text), look, name)


@pytest.mark.row("KS-KEY-046")
def test_queries_refer_to_each_other_but_never_in_a_circle() -> None:
    saved = chain(a="query b and query c", b="query c", c="state = active")
    assert set(looked_up(saved, "query a")) == {"a", "b", "c"}
    with pytest.raises(Invalid, match="c -> a -> b -> c"):
        looked_up(saved, "query a", "c")
    with pytest.raises(Invalid, match="a -> a"):
        looked_up(saved, "not query a", "a")
    with pytest.raises(Invalid, match="a -> b -> c -> a"):  # saved past the rule
        looked_up({**saved, **chain(c="query a")}, "query a")
    with pytest.raises(NotFound):
        looked_up(saved, "query d")


def test_chains_of_queries_are_bounded_and_doubling_costs_nothing() -> None:
    doubled = {f"q{n}": read_query(f"query q{n + 1} and query q{n + 1}") for n in range(REFERENCES_DEPTH_MAX - 1)}
    last = {f"q{REFERENCES_DEPTH_MAX - 1}": read_query("all")}
    others = looked_up({**doubled, **last}, "query q0")
    assert Matcher(read_query("query q0"), others, 0).steps_count == 0
    deeper = {**doubled, f"q{REFERENCES_DEPTH_MAX - 1}": read_query("query end"), "end": read_query("all")}
    with pytest.raises(Invalid, match="8 deep"):
        looked_up(deeper, "query q0")
    with pytest.raises(Invalid, match="8 deep"):  # found by a short way first
        looked_up(deeper, "query q4 and query q0")
    many = read_query(" or ".join(["all"] * CONDITIONS_COUNT_MAX))
    with pytest.raises(Invalid, match=f"{CONDITIONS_TOGETHER_COUNT_MAX} conditions"):
        looked_up({"a": many, "b": many}, "query a or query b")


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("1970-01-01", 0, 86_400_000_000 - 1),
        ("1970-01-01T00:00:01Z", 1_000_000, 1_999_999),
        ("1970-01-01T01:00:01+01:00", 1_000_000, 1_999_999),
        ("1970-01-01T00:00:01.5Z", 1_500_000, 1_500_000),
        ("-30d", -30 * 86_400_000_000, -30 * 86_400_000_000),
        ("+90m", 5_400_000_000, 5_400_000_000),
    ],
)
def test_a_moment_is_all_of_what_was_named(text: str, low: int, high: int) -> None:
    found = moment_from(text)
    assert found is not None
    assert found.at(0) == (low, high)
    assert found.at(7) == ((low + 7, high + 7) if text[0] in "+-" else (low, high))


@pytest.mark.parametrize(
    "text", ["", "30d", "-d", "-1y", "-1000000d", "1970", "19700101", "1970-01-01 00:00:01", "١٩٧٠-٠١-٠١"]
)
def test_other_texts_are_no_moments(text: str) -> None:
    assert moment_from(text) is None


def test_moments_are_shown_as_they_are_read() -> None:
    assert shown_moment(1_800_000_000_000_000) == "2027-01-15T08:00:00Z"
    assert shown_moment(1 << 62) == str(1 << 62)


def test_columns_are_fields_and_attributes() -> None:
    check_columns(("name", "names", "x-site", "Contact Information", *(f for f in FIELDS if f != "name"))[:20])
    for wrong in (("colour",), ("name", "name"), ("State",), ("x-" + "a" * 300,), tuple(f"x-{n}" for n in range(21))):
        with pytest.raises(Invalid):
            check_columns(wrong)
