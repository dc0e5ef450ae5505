"""Erasing what a page shows: at most fifty keys, each for itself."""

import logging
from typing import Any

import pytest

from keystead.core.errors import Invalid, NotFound
from keystead.operations import erase_several
from keystead.operations.admin_keys import EraseKey, Move, SetKeyState
from keystead.operations.admin_keys_made import GenerateKey
from keystead.operations.approvals import Approve
from keystead.operations.erase_several import ERASED_COUNT_MAX, ErasedKeys, EraseSeveral
from keystead.operations.key_queries import ApplyQuery, CreateQuery, RunQuery
from keystead.operations.key_versions import CreateVersion
from keystead.operations.users import CreateUser
from tests.operations.test_logins import leaves_in
from tests.support.administrators import add, require, wait
from tests.support.builders import ADMINISTRATOR, ALICE, EVERYTHING, Node


@pytest.fixture
def keys(node: Node) -> list[str]:
    """Six keys of alice, named k0 to k5."""
    node.gate.switches = EVERYTHING
    node.ask(ADMINISTRATOR, CreateUser("alice"))
    return [node.ask(ADMINISTRATOR, GenerateKey(f"k{number}", owner="alice")).key.id for number in range(6)]


def erased(node: Node, *keys: str, **more: Any) -> ErasedKeys:
    told: ErasedKeys = node.ask(ADMINISTRATOR, EraseSeveral(keys, len(keys), **more))
    return told


def states(node: Node, keys: list[str]) -> list[str]:
    return [node.record(key).state(node.clock.us).name for key in keys]


@pytest.mark.row("KS-KEY-043")
def test_the_keys_of_a_page_are_erased_at_once(node: Node, keys: list[str]) -> None:
    node.ask(ADMINISTRATOR, CreateQuery("some", "name = k0 or name = k1 or name = k2"))
    page = node.ask(ADMINISTRATOR, RunQuery("some", limit_count=ERASED_COUNT_MAX))
    told = erased(node, *[key.id for key in page.keys], query="some")
    assert (sorted(told.erased), told.failed) == (sorted(keys[:3]), ())
    assert states(node, keys) == ["DESTROYED"] * 3 + ["ACTIVE"] * 3
    assert node.record(keys[0]).material is None
    assert node.ask(ADMINISTRATOR, RunQuery("some")).keys == ()


@pytest.mark.row("KS-KEY-044")
def test_a_key_that_cannot_be_erased_keeps_none_of_the_others(
    node: Node, keys: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    node.ask(ADMINISTRATOR, EraseKey("k1", "k1"))
    node.ask(ADMINISTRATOR, SetKeyState("k3", Move.COMPROMISED))
    with caplog.at_level(logging.WARNING, "keystead.operations"):
        told = erased(node, keys[0], keys[1], "no-such-key\n", keys[3])
    assert told.erased == (keys[0], keys[3])
    assert [(one.id, one.reason) for one in told.failed] == [
        (keys[1], "wrong_state.destroyed"),
        ("no-such-key\n", "not_found.item"),
    ]
    assert states(node, keys) == [
        *("DESTROYED", "DESTROYED", "ACTIVE"),
        *("DESTROYED_COMPROMISED", "ACTIVE", "ACTIVE"),
    ]
    assert [line.getMessage() for line in caplog.records] == [
        f"key {keys[1]} was not erased: wrong_state.destroyed",
        "key no-such-key\\n was not erased: not_found.item",
    ]
    leaf = leaves_in(node)[-1]
    assert b"2 of 4 keys erased" in leaf
    assert keys[1].encode() in leaf
    assert b"key.erase_several" in leaf


def test_when_none_can_be_erased_that_is_told_and_audited(node: Node, keys: list[str]) -> None:
    told = erased(node, "nothing", "nowhere")
    assert (told.erased, [one.id for one in told.failed]) == ((), ["nothing", "nowhere"])
    assert b"0 of 2 keys erased" in leaves_in(node)[-1]
    assert states(node, keys) == ["ACTIVE"] * 6


def test_what_the_query_does_not_find_any_more_stays(node: Node, keys: list[str]) -> None:
    node.ask(ADMINISTRATOR, CreateQuery("active", "state = active"))
    node.ask(ADMINISTRATOR, SetKeyState("k1", Move.DEACTIVATED))
    told = erased(node, keys[0], keys[1], query="active")
    assert (told.erased, [one.reason for one in told.failed]) == ((keys[0],), ["wrong_state.object"])
    assert states(node, keys)[:2] == ["DESTROYED", "DEACTIVATED"]
    with pytest.raises(NotFound):
        erased(node, keys[2], query="gone")


def test_both_halves_of_a_pair_go_together(node: Node, keys: list[str]) -> None:
    made = node.ask(ADMINISTRATOR, GenerateKey("signing", "EC-P256", "alice"))
    told = erased(node, made.key.id, made.public_id, keys[0])
    assert told == ErasedKeys((made.key.id, made.public_id, keys[0]), ())
    assert states(node, [made.key.id, made.public_id]) == ["DESTROYED"] * 2
    other = node.ask(ADMINISTRATOR, GenerateKey("other", "EC-P256", "alice"))
    node.ask(ADMINISTRATOR, CreateQuery("private", "kind = private-key"))
    assert erased(node, other.public_id, other.key.id, query="private").failed == ()


def test_a_key_goes_with_all_its_versions_and_never_by_an_older_one(
    node: Node, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    older = [node.ask(ADMINISTRATOR, GenerateKey(f"v{n}", owner="alice", versioned=True)).key.id for n in range(2)]
    newest = [node.ask(ADMINISTRATOR, CreateVersion(f"v{n}")).id for n in range(2)]
    monkeypatch.setattr(erase_several, "VERSIONS_ERASED_COUNT_MAX", 3)
    told = erased(node, *newest, older[0], keys[0])
    assert told.erased == (newest[0], keys[0])
    assert [(one.id, one.reason) for one in told.failed] == [
        (newest[1], "too_large.request"),
        (older[0], "wrong_state.object"),
    ]
    assert node.objects.get(older[0]) is None
    assert node.record(newest[0]).material is None
    page = node.ask(ADMINISTRATOR, ApplyQuery("versioned = yes", ("name", "versioned", "state")))
    assert [dict(key.cells) for key in page.keys] == [{"name": "v1", "versioned": "yes", "state": ""}]


@pytest.mark.row("KS-KEY-043")
def test_more_than_fifty_or_another_number_is_refused(node: Node, keys: list[str]) -> None:
    many = tuple(f"key-{number}" for number in range(ERASED_COUNT_MAX + 1))
    for wrong in (
        EraseSeveral(many, len(many)),
        EraseSeveral((), 0),
        EraseSeveral((keys[0], keys[0]), 2),
        EraseSeveral((keys[0], keys[1]), 1),
        EraseSeveral((keys[0], "k" * 37), 2),
    ):
        with pytest.raises(Invalid):
            node.ask(ADMINISTRATOR, wrong)
    assert states(node, keys) == ["ACTIVE"] * 6
    assert len(erased(node, *many[:ERASED_COUNT_MAX]).failed) == ERASED_COUNT_MAX


def test_names_are_not_taken_for_ids_and_users_may_not(node: Node, keys: list[str]) -> None:
    assert erased(node, "k0").erased == ()
    assert node.reason(ALICE, EraseSeveral((keys[0],), 1)) == "refused.permission"


@pytest.mark.row("KS-MC-004")
def test_others_approve_exactly_these_keys(node: Node, keys: list[str]) -> None:
    ada, bea = add(node, "ada"), add(node, "bea")
    require(node)
    asked = wait(node, ada, EraseSeveral((keys[0], keys[1]), 2))
    assert states(node, keys) == ["ACTIVE"] * 6
    assert keys[1] in asked.view["keys"]
    node.ask(bea, Approve(asked.id, asked.hash))
    assert states(node, keys) == ["DESTROYED"] * 2 + ["ACTIVE"] * 4
