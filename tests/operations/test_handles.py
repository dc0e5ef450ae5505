"""Names that are unique, flags given at birth, and deleting in one step."""

import pytest

from keystead.core.attributes import Attribute
from keystead.core.lifecycle import State
from keystead.operations.requests import Create, Created, Delete, Get, Locate, Terms
from tests.support.builders import ALICE, BOB, Node, a_key, date


def named(node: Node, handle: str | None, *, deletable: bool = True, exportable: bool = True) -> str:
    """The id of alice's new active key."""
    given = (Attribute("Activation Date", 0, date(0)),)
    created: Created = node.ask(ALICE, Create(2, given, terms=Terms(handle, deletable, exportable)))
    return created.id


@pytest.mark.row("KS-KEY-002")
def test_a_handle_names_one_key(node: Node) -> None:
    key = named(node, "backup")
    assert node.record(key).handle == "backup"
    for principal in (ALICE, BOB):
        assert node.reason(principal, Create(2, terms=Terms("backup"))) == "exists"
    assert node.record(named(node, None)).handle.startswith("key-")


@pytest.mark.parametrize(
    "handle", ["", "1a", "a b", "a" * 65, "a#", "ü", "a\n", "key-01a203dc-d70e-7000-a2a0-001636182c4d"]
)
def test_what_is_no_handle_is_refused(node: Node, handle: str) -> None:
    assert node.reason(ALICE, Create(2, terms=Terms(handle))) == "invalid.field"


@pytest.mark.row("KS-KEY-008", "KS-KEY-009")
def test_flags_hold_from_birth(node: Node) -> None:
    key = named(node, "kept", deletable=False, exportable=False)
    assert node.reason(ALICE, Get(key)) == "refused.permission"
    assert node.reason(ALICE, Delete(key)) == "refused.permission"
    assert node.record(key).state(node.clock.us) is State.ACTIVE


def test_deleting_erases_an_active_key_and_frees_its_name(node: Node) -> None:
    key = named(node, "backup")
    node.ask(ALICE, Delete(key))
    record = node.record(key)
    assert record.state(node.clock.us) is State.DESTROYED
    assert (record.material, record.handle) == (None, f"key-{key}")
    assert node.reason(ALICE, Get(key)) == "wrong_state.destroyed"
    assert node.reason(ALICE, Delete(key)) == "wrong_state.destroyed"
    assert key not in node.ask(ALICE, Locate()).ids
    assert named(node, "backup") != key


def test_both_halves_go_or_none_does(node: Node) -> None:
    mine, theirs = named(node, "mine"), a_key(node, BOB)
    assert node.reason(ALICE, Delete(mine, theirs)) == "not_found.item"
    kept = named(node, "kept", deletable=False)
    assert node.reason(ALICE, Delete(mine, kept)) == "refused.permission"
    assert node.record(mine).material is not None
    other = named(node, "other")
    node.ask(ALICE, Delete(mine, other))
    assert node.record(mine).material is None
    assert node.record(other).material is None
