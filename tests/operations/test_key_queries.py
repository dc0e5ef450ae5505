"""Queries that are saved, changed, copied, deleted, built upon each other, and run with and without being saved."""

from dataclasses import replace
from typing import Any

import pytest

from keystead.core.changes import Put
from keystead.core.errors import Exists, Invalid, KeysteadError, NotFound, Refused
from keystead.core.key_query import FIELDS
from keystead.core.key_query_reader import read_query
from keystead.core.permission import Access, Principal
from keystead.core.records import KIND_KEY_QUERY, Record
from keystead.operations import key_queries, key_query_run
from keystead.operations.admin_keys import EraseKey, RenameKey
from keystead.operations.admin_keys_made import GenerateKey
from keystead.operations.key_queries import (
    ApplyQuery,
    ChangeQuery,
    CopyQuery,
    CreateQuery,
    DeleteQuery,
    KeyQuery,
    ListQueries,
    RunQuery,
    ShowQuery,
)
from keystead.operations.key_query_plan import ALL, Search, plan
from keystead.operations.key_query_run import QueriedKeys, QueryOrder
from keystead.operations.users import CreateUser
from tests.operations.test_logins import leaves_in
from tests.support.administrators import ROOT, add, remove
from tests.support.builders import ADMINISTRATOR, ALICE, EVERYTHING, Node

NAMES = ("delta", "alpha", "echo", "bravo")


@pytest.fixture
def keys(node: Node) -> None:
    """Four keys, one a second: two of alice, two of nobody."""
    node.gate.switches = EVERYTHING
    node.ask(ADMINISTRATOR, CreateUser("alice"))
    for number, name in enumerate(NAMES):
        owner = "alice" if number % 2 else None
        node.ask(ADMINISTRATOR, GenerateKey(name, owner=owner, attributes=(f"x-site=s{number}",)))
        node.clock.pass_s(1)


def names(page: QueriedKeys) -> list[str]:
    return [key.name for key in page.keys]


def run(node: Node, name: str, **more: Any) -> list[str]:
    return names(node.ask(ADMINISTRATOR, replace(RunQuery(name), **more)))


@pytest.mark.usefixtures("keys")
@pytest.mark.row("KS-KEY-047", "KS-KEY-048")
def test_a_query_is_saved_run_copied_changed_and_deleted(node: Node) -> None:
    saved: KeyQuery = node.ask(ADMINISTRATOR, CreateQuery("hers", "OWNER=alice", "of alice", ("owner", "x-site")))
    assert (saved.text, saved.description, saved.columns) == ("owner = alice", "of alice", ("owner", "x-site"))
    page: QueriedKeys = node.ask(ADMINISTRATOR, RunQuery("hers"))
    assert names(page) == ["bravo", "alpha"]
    assert list(page.keys[0].cells.items()) == [("owner", "alice"), ("x-site", "s3")]
    assert run(node, "hers", order=QueryOrder.NAME) == ["alpha", "bravo"]
    copied = node.ask(ADMINISTRATOR, CopyQuery("hers", "theirs"))
    assert (copied.name, copied.text, copied.columns) == ("theirs", "owner = alice", ("owner", "x-site"))
    node.clock.pass_s(1)
    changed = node.ask(ADMINISTRATOR, ChangeQuery("theirs", "not owner=alice"))
    assert (changed.text, changed.description, changed.changed_us) == ("not owner = alice", "of alice", node.clock.us)
    assert run(node, "theirs") == ["echo", "delta"]
    assert run(node, "hers") == ["bravo", "alpha"]
    node.ask(ADMINISTRATOR, DeleteQuery("hers"))
    assert [one.name for one in node.ask(ADMINISTRATOR, ListQueries())] == ["[All]", "theirs"]
    with pytest.raises(NotFound, match="hers"):
        node.ask(ADMINISTRATOR, RunQuery("hers"))


@pytest.mark.usefixtures("keys")
@pytest.mark.row("KS-KEY-047")
def test_one_query_without_a_name_is_kept_for_each_administrator(node: Node) -> None:
    ada, root = add(node, "ada"), ROOT
    with pytest.raises(NotFound):
        node.ask(ada, RunQuery("Unnamed Query"))
    first = node.ask(ada, ApplyQuery("owner = alice", limit_count=1))
    assert (names(first), first.next != "") == (["bravo"], True)
    assert names(node.ask(ada, RunQuery("Unnamed Query", after=first.next))) == ["alpha"]
    assert names(node.ask(root, ApplyQuery("name = echo"))) == ["echo"]
    assert names(node.ask(ada, RunQuery("Unnamed Query"))) == ["bravo", "alpha"]
    node.ask(ada, ApplyQuery("name = delta", ("id",)))  # only one is kept
    assert names(node.ask(ada, RunQuery("Unnamed Query"))) == ["delta"]
    assert node.ask(ada, ShowQuery("Unnamed Query")).columns == ("id",)
    assert [one.name for one in node.ask(ada, ListQueries())] == ["[All]", "Unnamed Query"]
    assert node.ask(ada, CopyQuery("Unnamed Query", "kept")).text == "name = delta"
    for wrong in (ChangeQuery("Unnamed Query", "all"), DeleteQuery("Unnamed Query")):
        with pytest.raises(Refused):
            node.ask(ada, wrong)
    remove(node, "ada")
    ada = add(node, "ada", account="account-of-a-namesake")
    with pytest.raises(NotFound):
        node.ask(ada, ShowQuery("Unnamed Query"))


@pytest.mark.usefixtures("keys")
def test_the_same_query_again_writes_nothing(node: Node) -> None:
    node.ask(ADMINISTRATOR, ApplyQuery("owner = alice"))
    before = node.objects.reader.changes_since(0)[0]
    node.ask(ADMINISTRATOR, ApplyQuery(' OWNER = "alice"'))
    assert node.objects.reader.changes_since(0)[0] == before
    node.ask(ADMINISTRATOR, ApplyQuery("owner = alice", ("id",)))
    assert node.objects.reader.changes_since(0)[0] > before


@pytest.mark.usefixtures("keys")
@pytest.mark.row("KS-KEY-049")
def test_the_query_of_all_keys_is_always_there(node: Node) -> None:
    assert run(node, "[All]") == ["bravo", "echo", "alpha", "delta"]
    (shown,) = node.ask(ADMINISTRATOR, ListQueries())
    assert (shown.name, shown.text, shown.changed_us) == ("[All]", "all", None)
    changed = node.ask(ADMINISTRATOR, ChangeQuery("[All]", columns=("id", "state")))
    assert (changed.name, changed.columns) == ("[All]", ("id", "state"))
    assert [one.name for one in node.ask(ADMINISTRATOR, ListQueries())] == ["[All]"]
    for wrong in (ChangeQuery("[All]", "owner = alice"), ChangeQuery("[All]", description="x"), DeleteQuery("[All]")):
        with pytest.raises(Refused):
            node.ask(ADMINISTRATOR, wrong)
    with pytest.raises(Invalid):
        node.ask(ADMINISTRATOR, CreateQuery("[All]", "owner = alice"))
    assert node.ask(ADMINISTRATOR, ApplyQuery('query "[All]" and owner = alice')).keys != ()


@pytest.mark.usefixtures("keys")
@pytest.mark.row("KS-KEY-046", "KS-KEY-048")
def test_what_others_need_stays_and_nothing_leads_back_to_itself(node: Node) -> None:
    node.ask(ADMINISTRATOR, CreateQuery("base", "owner = alice"))
    node.ask(ADMINISTRATOR, CreateQuery("above", "query base and name = alpha"))
    node.ask(ADMINISTRATOR, CreateQuery("beside", "name = echo or query base"))
    assert run(node, "above") == ["alpha"]
    shown = node.ask(ADMINISTRATOR, ShowQuery("base"))
    assert (shown.refers_to, shown.referred_by) == ((), ("above", "beside"))
    assert node.ask(ADMINISTRATOR, ListQueries())[1].refers_to == ("base",)
    with pytest.raises(Refused, match="above, beside"):
        node.ask(ADMINISTRATOR, DeleteQuery("base"))
    with pytest.raises(Invalid, match="base -> above -> base"):
        node.ask(ADMINISTRATOR, ChangeQuery("base", "query above"))
    with pytest.raises(Invalid, match="new -> new"):
        node.ask(ADMINISTRATOR, CreateQuery("new", "query new"))
    with pytest.raises(NotFound, match="other"):
        node.ask(ADMINISTRATOR, CreateQuery("new", "query other"))
    with pytest.raises(NotFound, match="Unnamed"):
        node.ask(ADMINISTRATOR, CreateQuery("new", 'query "Unnamed Query"'))
    node.ask(ADMINISTRATOR, ChangeQuery("base", "owner = bob"))
    assert run(node, "beside") == ["echo"]
    node.ask(ADMINISTRATOR, DeleteQuery("above"))
    node.ask(ADMINISTRATOR, ChangeQuery("beside", "all"))
    node.ask(ADMINISTRATOR, DeleteQuery("base"))


@pytest.mark.usefixtures("keys")
def test_a_circle_that_two_saved_at_once_is_refused_when_it_is_run(node: Node) -> None:
    node.ask(ADMINISTRATOR, CreateQuery("one", "all"))
    node.ask(ADMINISTRATOR, CreateQuery("two", "query one"))
    record = node.objects.record(KIND_KEY_QUERY, "one")
    assert isinstance(record, Record)
    fields = {**record.fields, "text": "query two", "refers_to": ["two"]}
    assert node.store(Put(record._replace(fields=fields))) is None
    with pytest.raises(Invalid, match="one -> two -> one"):
        run(node, "two")
    gone = {**record.fields, "text": "query three", "refers_to": ["three"]}
    assert node.store(Put(record._replace(fields=gone, revision=2))) is None
    with pytest.raises(NotFound, match="three"):
        run(node, "two")


@pytest.mark.parametrize(
    "request_",
    [
        CreateQuery("1st", "all"),
        CreateQuery("a" * 65, "all"),
        CreateQuery("~local:root", "all"),
        CreateQuery("a\n", "all"),
        CreateQuery("new", "owner ="),
        CreateQuery("new", "x" * 1_000_000),
        CreateQuery("new", "all", "d" * 1025),
        CreateQuery("new", "all", columns=("colour",)),
        CreateQuery("new", "all", columns=tuple(f"x-{number}" for number in range(21))),
        ChangeQuery("old"),
        RunQuery("old", limit_count=0),
        RunQuery("old", limit_count=1001),
        RunQuery("old", after="!"),
        RunQuery("old", after="bmFtZQ=="),
        RunQuery("old", after="bmFtZQphbHBoYQ=="),
        RunQuery("old", after="Y3JlYXRpb24KeA=="),
        RunQuery("old", after="A" * 300),
    ],
)
def test_what_does_not_fit_is_refused(node: Node, request_: object) -> None:
    node.ask(ADMINISTRATOR, CreateQuery("old", "all"))
    with pytest.raises(Invalid):
        node.ask(ADMINISTRATOR, request_)
    assert [one.name for one in node.ask(ADMINISTRATOR, ListQueries())] == ["[All]", "old"]


def test_names_are_taken_once_and_their_number_is_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.ask(ADMINISTRATOR, CreateQuery("old", "all"))
    with pytest.raises(Exists):
        node.ask(ADMINISTRATOR, CreateQuery("old", "all"))
    monkeypatch.setattr(key_queries, "QUERIES_COUNT_MAX", 1)
    for one_more in (CreateQuery("new", "all"), CopyQuery("old", "new")):
        with pytest.raises(Refused, match="at most 1"):
            node.ask(ADMINISTRATOR, one_more)
    node.ask(ADMINISTRATOR, ApplyQuery("all"))


@pytest.mark.usefixtures("keys")
@pytest.mark.row("KS-KEY-046")
def test_destroyed_keys_are_found_by_what_names_their_state(node: Node) -> None:
    node.ask(ADMINISTRATOR, EraseKey("alpha", "alpha"))
    assert run(node, "[All]") == ["bravo", "echo", "delta"]
    node.ask(ADMINISTRATOR, CreateQuery("gone", "state = destroyed"))
    assert len(run(node, "gone")) == 1
    assert run(node, "[All]") == ["bravo", "echo", "delta"]
    assert len(names(node.ask(ADMINISTRATOR, ApplyQuery("query gone or name = echo")))) == 1  # a query of the living
    both = node.ask(ADMINISTRATOR, ApplyQuery("name = echo or state = destroyed"))
    assert len(names(both)) == 2


@pytest.mark.usefixtures("keys")
def test_a_search_in_vain_stops_and_says_where_to_go_on(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_query_run, "QUERIED_LOOKS_COUNT_MAX", 1)
    for order in QueryOrder:
        node.ask(ADMINISTRATOR, ApplyQuery("name contains alp"))
        found: list[str] = []
        after, pages = "", 0
        while pages == 0 or after:
            page = node.ask(ADMINISTRATOR, RunQuery("Unnamed Query", order, after))
            found, after, pages = [*found, *names(page)], page.next, pages + 1
        assert (found, pages) == (["alpha"], 4)
    monkeypatch.setattr(key_query_run, "QUERIED_LOOKS_COUNT_MAX", 100)
    monkeypatch.setattr(key_query_run, "QUERIED_STEPS_COUNT_MAX", 3)
    page = node.ask(ADMINISTRATOR, ApplyQuery("not (name = a or name = b or name = c)"))
    assert (names(page), page.next != "") == (["bravo"], True)


@pytest.mark.usefixtures("keys")
def test_pages_go_on_when_keys_come_go_and_are_renamed(node: Node) -> None:
    first = node.ask(ADMINISTRATOR, RunQuery("[All]", QueryOrder.NAME, limit_count=2))
    assert names(first) == ["alpha", "bravo"]
    node.ask(ADMINISTRATOR, EraseKey("bravo", "bravo"))
    node.ask(ADMINISTRATOR, RenameKey("delta", "zulu"))
    node.ask(ADMINISTRATOR, GenerateKey("able"))
    assert run(node, "[All]", order=QueryOrder.NAME, after=first.next) == ["echo", "zulu"]


@pytest.mark.parametrize(
    ("text", "scopes", "count"),
    [
        ("owner = alice", ["u:alice"], 1),
        ('owner = ""', ["*"], 1),
        ("group = staff and state = active", ["g:staff"], 1),
        ("owner = alice or owner = bob", ["u:alice", "u:bob"], 2),
        ("x-site = north", [""], 1),
        ("x-site = 5", [""] * 6, 6),
        ("x-site = yes", [""] * 2, 2),
        ("Comment = 5".replace("Comment", "attribute Comment"), [""], 1),
        ("(owner = a or owner = b) and (x-a = m or x-a = n)", ["u:a", "u:a", "u:b", "u:b"], 4),
        ("x-a = 1 and x-b = 2 and owner = alice", ["u:alice"] * 6, 6),
        ("query hers", ["u:alice"], 1),
        ("created > -30d and kind = certificate", [""], 1),
    ],
)
def test_the_index_is_asked_for_what_it_knows(text: str, scopes: list[str], count: int) -> None:
    searches = plan(read_query(text), {"hers": read_query("owner = alice")}, 0)
    assert sorted(search.scope for search in searches) == scopes
    assert len(searches) == count
    assert searches != ALL
    assert Search() not in searches


@pytest.mark.parametrize(
    "text",
    [
        "all",
        "name = alpha",
        "owner != alice",
        "not owner = alice",
        "x-site contains n",
        "x-site = 2027-01-31",
        "owner = alice or name = alpha",
        " or ".join(f"owner = u{number}" for number in range(9)),
        "owner contains a",
        'group = ""',
        "length > 128",
    ],
)
def test_of_what_it_does_not_know_every_key_is_looked_at(text: str) -> None:
    assert plan(read_query(text), {}, 0) == ALL


def test_only_administrators_of_keys_have_queries(node: Node) -> None:
    others = Principal("administrator", "ada", access=Access.USERS | Access.ANY)
    requests = [
        CreateQuery("a", "all"),
        ListQueries(),
        ShowQuery("[All]"),
        ChangeQuery("[All]", columns=("id",)),
        CopyQuery("[All]", "a"),
        DeleteQuery("a"),
        RunQuery("[All]"),
        ApplyQuery("all"),
    ]
    for who in (others, ALICE):
        for request in requests:
            assert node.reason(who, request) == "refused.permission", request


@pytest.mark.usefixtures("keys")
def test_every_field_can_be_a_column(node: Node) -> None:
    fields = [*FIELDS, "names", "Description"]
    for columns in (tuple(fields[:20]), tuple(fields[20:])):
        page = node.ask(ADMINISTRATOR, ApplyQuery("name = alpha", columns))
        assert tuple(page.keys[0].cells) == columns
    page = node.ask(
        ADMINISTRATOR, ApplyQuery("name = alpha", ("name", "owner", "algorithm", "length", "state", "created"))
    )
    told = list(page.keys[0].cells.values())
    assert told == ["alpha", "alice", "AES", "256", "active", "2027-01-15T08:00:01Z"]


def test_hostile_texts_are_only_texts(node: Node) -> None:
    for value in ("'; DROP TABLE objects; --", "*)(uid=*))(|(uid=*", "(a+)+$", "{{7*7}}", "%00", "<script>", "раураl"):
        page = node.ask(
            ADMINISTRATOR, ApplyQuery(f'name contains "{value}" or x-site = "{value}" or owner = "{value}"')
        )
        assert page.keys == ()
        with pytest.raises(KeysteadError):
            node.ask(ADMINISTRATOR, ApplyQuery(f"name contains {value}"))


def test_what_changes_is_audited_in_words(node: Node) -> None:
    node.ask(ADMINISTRATOR, CreateQuery("hers", "OWNER=alice"))
    node.ask(ADMINISTRATOR, ApplyQuery("query hers"))
    node.ask(ADMINISTRATOR, DeleteQuery("hers"))
    saved, run_once, deleted = leaves_in(node)[-3:]
    assert b"query hers saved: owner = alice" in saved
    assert b"query without a name: query hers" in run_once
    assert b"query hers deleted" in deleted
