"""Fresh: who was served for the first time, stored with the answer or behind it, and never forgotten."""

from pathlib import Path

import pytest

from keystead.core.attributes import text
from keystead.core.permission import CLOCK
from keystead.operations.requests import AddAttribute, Condition, Destroy, Get, GetAttributes, Locate
from keystead.operations.served import BeginServing, EndServing, StoreServed
from keystead.storage.store import as_object
from tests.support.builders import ADMINISTRATOR, ALICE, PERMISSIVE, Node, a_key, a_node


def begin(node: Node) -> None:
    """As a process does when it starts: with nothing in memory."""
    node.objects.at_hand.clear()
    node.objects.held_bytes = 0
    node.objects.served.clear()
    node.objects.void_before_us = node.ask(CLOCK, BeginServing())
    node.objects.serves_ahead = True


def end(node: Node) -> bool:
    node.ask(CLOCK, StoreServed())
    return bool(node.ask(CLOCK, EndServing()))


def is_fresh(node: Node, key: str) -> bool:
    (found,) = node.ask(ALICE, GetAttributes(key, ("Fresh",))).attributes
    return bool(found.value.content)


def is_fresh_in_store(node: Node, key: str) -> bool:
    loaded = node.objects.reader.object(key)
    assert loaded is not None
    return as_object(loaded).protection.fresh


@pytest.fixture
def serving(node: Node) -> Node:
    begin(node)
    return node


def test_the_first_get_is_answered_without_a_commit_and_shows_at_once(serving: Node) -> None:
    key = a_key(serving)
    assert is_fresh(serving, key)
    revision = serving.record(key).revision
    serving.ask(ALICE, Get(key))
    assert not is_fresh(serving, key)
    assert is_fresh_in_store(serving, key)
    assert serving.record(key).revision == revision


def test_what_was_served_is_stored_behind_the_answer_in_groups(serving: Node) -> None:
    keys = [a_key(serving) for _ in range(5)]
    for key in keys:
        serving.ask(ALICE, Get(key))
    assert [serving.ask(CLOCK, StoreServed(2)) for _ in range(4)] == [2, 2, 1, 0]
    assert not any(is_fresh_in_store(serving, key) for key in keys)
    assert serving.objects.served == {}


def test_it_outlasts_eviction_and_changes_by_others(serving: Node) -> None:
    first, second = a_key(serving), a_key(serving)
    for key in (first, second):
        serving.ask(ALICE, Get(key))
    serving.objects.at_hand.clear()
    assert not is_fresh(serving, first)
    serving.ask(ALICE, AddAttribute("x-site", text("north"), second))
    assert not is_fresh_in_store(serving, second)  # stored on the way
    assert serving.ask(CLOCK, StoreServed()) == 1


def test_a_member_of_a_group_is_stored_before_its_answer(serving: Node) -> None:
    """Tape libraries take the next fresh member; a crash must not give a key to two drives."""
    key = a_key(serving)
    serving.ask(ALICE, AddAttribute("Object Group", text("tapes"), key))
    fresh = Locate((Condition("Object Group", text("tapes")),), group_member=1)
    assert serving.ask(ALICE, fresh).ids == (key,)
    serving.ask(ALICE, Get(key))
    assert not is_fresh_in_store(serving, key)
    assert serving.ask(ALICE, fresh).ids == ()


def test_after_a_good_end_all_is_known(serving: Node) -> None:
    served, other = a_key(serving), a_key(serving)
    serving.ask(ALICE, Get(served))
    assert end(serving)
    serving.clock.pass_s(1)
    begin(serving)
    assert not is_fresh(serving, served)
    assert is_fresh(serving, other)


def test_after_a_crash_what_was_made_before_counts_as_served_but_members_of_groups(serving: Node) -> None:
    served, other, member = (a_key(serving) for _ in range(3))
    serving.ask(ALICE, AddAttribute("Object Group", text("tapes"), member))
    serving.ask(ALICE, Get(served))
    serving.clock.pass_s(1)
    begin(serving)  # without an end
    assert not is_fresh(serving, served)
    assert not is_fresh(serving, other)
    assert is_fresh(serving, member)
    assert is_fresh(serving, a_key(serving))
    assert end(serving)
    serving.clock.pass_s(1)
    begin(serving)
    assert not is_fresh(serving, other)  # nobody knows more than before


def test_the_mark_stays_while_something_is_not_stored(serving: Node) -> None:
    serving.ask(ALICE, Get(a_key(serving)))
    assert serving.ask(CLOCK, EndServing()) is False
    assert end(serving)
    assert serving.ask(CLOCK, EndServing()) is False


def test_what_is_gone_is_not_stored(serving: Node) -> None:
    key = a_key(serving)
    serving.ask(ALICE, Get(key))
    serving.objects.served["no such object"] = None
    serving.change(key, dates=serving.record(key).dates._replace(deactivation_us=1))
    serving.ask(ALICE, Destroy(key))
    serving.ask(CLOCK, StoreServed())
    assert serving.objects.served == {}


def test_so_many_wait_and_no_more(serving: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keystead.gate.objects.SERVED_COUNT_MAX", 1)
    first, second = a_key(serving), a_key(serving)
    for key in (first, second):
        serving.ask(ALICE, Get(key))
    assert is_fresh_in_store(serving, first)
    assert not is_fresh_in_store(serving, second)


def test_without_the_mark_every_first_get_is_stored_with_its_answer(tmp_path: Path) -> None:
    with a_node(tmp_path, PERMISSIVE) as node:
        key = a_key(node)
        node.ask(ALICE, Get(key))
        assert not is_fresh_in_store(node, key)


@pytest.mark.parametrize("request_", [BeginServing(), StoreServed(), EndServing()], ids=repr)
def test_only_the_clock_asks(node: Node, request_: object) -> None:
    for asker in (ALICE, ADMINISTRATOR):
        assert node.reason(asker, request_) == "refused.permission"
