"""States and the operations that change them."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from keystead.core.lifecycle import GONE, TRANSITIONS, Dates, Event, State
from keystead.core.permission import Principal
from keystead.operations.grants import SetKeyFlags
from keystead.operations.lifecycle import PURGE, ApplyTransitions
from keystead.operations.requests import (
    Activate,
    AddAttribute,
    Destroy,
    Get,
    GetAttributes,
    Locate,
    ModifyAttribute,
    Register,
    Revoke,
)
from tests.support.builders import (
    ADMINISTRATOR,
    ALICE,
    BOB,
    CLOCK,
    GLOBAL,
    PERMISSIVE,
    START_US,
    TEMPLATE,
    Node,
    a_key,
    attribute,
    attributes,
    date,
    registration,
)

CANARY = b"canary key bytes, 32 of them...."

EVENTS: dict[Event, Any] = {
    Event.ACTIVATE: Activate,
    Event.DEACTIVATE: lambda key: Revoke(6, "no longer used", target=key),
    Event.COMPROMISE: lambda key: Revoke(2, "laptop stolen", target=key),
    Event.DESTROY: Destroy,
}
WAYS: dict[State, tuple[Event, ...]] = {
    State.PRE_ACTIVE: (),
    State.ACTIVE: (Event.ACTIVATE,),
    State.DEACTIVATED: (Event.ACTIVATE, Event.DEACTIVATE),
    State.COMPROMISED: (Event.COMPROMISE,),
    State.DESTROYED: (Event.DESTROY,),
    State.DESTROYED_COMPROMISED: (Event.COMPROMISE, Event.DESTROY),
}


def in_state(node: Node, state: State) -> str:
    key = a_key(node, active=False)
    for event in WAYS[state]:
        node.ask(ALICE, EVENTS[event](key))
    assert node.record(key).state(node.clock.us) is state
    return key


@pytest.mark.row("KS-LIFE-001", "KS-LIFE-002", "KS-LIFE-004")
@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_state_allows_the_moves_of_the_table_and_no_other(node: Node, state: State, event: Event) -> None:
    key = in_state(node, state)
    reason = node.reason(ALICE, EVENTS[event](key))
    after = node.record(key).state(node.clock.us)
    if (state, event) in TRANSITIONS:
        assert (reason, after) == (None, TRANSITIONS[state, event])
    else:
        assert reason in {"wrong_state.object", "wrong_state.destroyed"}
        assert after is state


@pytest.mark.row("KS-LIFE-001", "KS-LIFE-005", "KS-KMIP-051")
def test_each_state_has_the_date_of_its_entry(node: Node) -> None:
    key = a_key(node, active=False)
    expected = {}
    for event, name in (
        (Event.ACTIVATE, "Activation Date"),
        (Event.DEACTIVATE, "Deactivation Date"),
        (Event.COMPROMISE, "Compromise Date"),
        (Event.DESTROY, "Destroy Date"),
    ):
        node.clock.pass_s(10)
        node.ask(ALICE, EVENTS[event](key))
        expected[name] = node.clock.us // 1_000_000
    assert {name: attribute(node, ALICE, key, name) for name in expected} == expected


@pytest.mark.row("KS-LIFE-005", "KS-KMIP-051")
def test_dates_of_the_future_count_when_they_come(node: Node) -> None:
    key = a_key(node, active=False)
    node.ask(ALICE, AddAttribute("Activation Date", date(60), key))
    node.ask(ALICE, AddAttribute("Deactivation Date", date(120), key))
    states = []
    for _ in range(3):
        states.append(attribute(node, ALICE, key, "State"))
        node.clock.pass_s(60)
    assert states == [State.PRE_ACTIVE, State.ACTIVE, State.DEACTIVATED]


@pytest.mark.row("KS-LIFE-005")
def test_a_deactivation_date_of_the_past_deactivates_at_once(node: Node) -> None:
    key = a_key(node)
    node.clock.pass_s(100)
    node.ask(ALICE, AddAttribute("Deactivation Date", date(50), key))
    assert attribute(node, ALICE, key, "State") == State.DEACTIVATED
    assert node.reason(ALICE, ModifyAttribute("Deactivation Date", date(500), target=key)) == "wrong_state.object"


def test_a_compromise_keeps_its_reason_and_when_it_occurred(node: Node) -> None:
    key = a_key(node)
    node.clock.pass_s(10)
    node.ask(ALICE, Revoke(2, "laptop stolen", START_US + 3_000_000, key))
    record = node.record(key)
    assert record.revocation == (2, "laptop stolen")
    assert record.compromise_occurrence_us == START_US + 3_000_000
    unknown = a_key(node)
    node.ask(ALICE, Revoke(3, target=unknown))
    assert node.record(unknown).compromise_occurrence_us == node.record(unknown).initial_us


@pytest.mark.parametrize(
    "request_",
    [
        Revoke(0),
        Revoke(8),
        Revoke(1, occurrence_us=START_US),
        Revoke(2, occurrence_us=START_US + 1),
        Revoke(1, "m" * 4097),
    ],
)
def test_revocations_that_contradict_themselves_are_refused(node: Node, request_: Revoke) -> None:
    key = a_key(node)
    assert node.reason(ALICE, replace(request_, target=key)) == "invalid.field"
    assert node.record(key).state(node.clock.us) is State.ACTIVE


@pytest.mark.row("KS-KMIP-039", "KS-KEY-054")
def test_destroy_erases_the_bytes_and_keeps_the_metadata(node: Node) -> None:
    """The old product erased both in any state; the specification wins (AMB-04), the switch brings the old way back."""
    key = node.ask(ALICE, registration(CANARY)).id
    sealed = node.objects.get(key)
    assert sealed is not None
    assert sealed.material is not None
    node.ask(ALICE, Destroy(key))
    node.objects.refresh()
    gone = node.objects.get(key)
    assert gone is not None
    assert gone.material is None
    assert (node.record(key).material, node.record(key).state(node.clock.us)) == (None, State.DESTROYED)
    with closing(sqlite3.connect(node.path)) as connection:
        cells = [
            cell
            for table in _tables(connection)
            for row in connection.execute(f'SELECT * FROM "{table}"')
            for cell in row
        ]
    assert not any(isinstance(cell, bytes) and sealed.material.sealed in cell for cell in cells)
    assert {"Digest", "Destroy Date", "Cryptographic Algorithm"} <= {
        a.name for a in node.ask(ALICE, GetAttributes(key)).attributes
    }


def _tables(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


@pytest.mark.row("KS-KMIP-039")
def test_destroy_removes_the_metadata_too_where_the_server_is_set_so(node: Node) -> None:
    node.gate.switches = replace(PERMISSIVE, extras=frozenset({PURGE}))
    key = a_key(node, active=False)
    node.ask(ALICE, Destroy(key))
    assert node.reason(ALICE, GetAttributes(key)) == "not_found.item"


@pytest.mark.row("KS-KEY-008")
@pytest.mark.parametrize(("owner", "asker"), [(ALICE, ALICE), (GLOBAL, BOB)], ids=["owned", "global"])
def test_a_key_that_is_not_deletable_is_not_destroyed_by_clients(
    node: Node, owner: Principal, asker: Principal
) -> None:
    node.gate.switches = replace(PERMISSIVE, global_keys=True)
    key = a_key(node, owner, active=False)
    node.ask(ADMINISTRATOR, SetKeyFlags(key, deletable=False))
    assert node.reason(asker, Destroy(key)) == "refused.permission"
    node.ask(ADMINISTRATOR, SetKeyFlags(key, deletable=True))
    assert node.reason(asker, Destroy(key)) is None


@pytest.mark.row("KS-KMIP-023")
def test_templates_have_no_state_and_go_as_a_whole(node: Node) -> None:
    template = node.ask(ALICE, Register(TEMPLATE, None, attributes("t", Activation_Date=date(-5)))).id
    assert attribute(node, ALICE, template, "State") is None
    assert node.reason(ALICE, Activate(template)) == "invalid.object_type"
    assert node.reason(ALICE, Revoke(1, target=template)) == "invalid.object_type"
    node.ask(ALICE, Destroy(template))
    assert node.reason(ALICE, GetAttributes(template)) == "not_found.item"


def test_a_revoked_key_is_refused_by_the_next_item_of_the_same_message(node: Node) -> None:
    key = a_key(node, active=False)
    replies = node.batch(ALICE, [Destroy(key), Get(key)], go_on=True)
    assert replies[0].error is None
    assert replies[1].error is not None
    assert replies[1].error.reason == "wrong_state.destroyed"


def test_the_clock_stores_due_states_in_bounded_groups(node: Node) -> None:
    keys = [a_key(node, active=False) for _ in range(5)]
    for key in keys:
        node.ask(ALICE, AddAttribute("Activation Date", date(30), key))
    assert node.ask(CLOCK, ApplyTransitions()) == 0
    before = node.record(keys[0]).revision
    node.clock.pass_s(31)
    assert [node.ask(CLOCK, ApplyTransitions(3)) for _ in range(3)] == [3, 2, 0]
    assert node.record(keys[0]).revision == before + 1
    assert node.record(keys[0]).state(node.clock.us) is State.ACTIVE


def test_only_the_clock_applies_transitions(node: Node) -> None:
    assert node.reason(ALICE, ApplyTransitions()) == "refused.permission"


def test_what_is_stored_is_never_needed_to_know_a_state(node: Node) -> None:
    key = a_key(node, active=False)
    node.change(key, dates=Dates(activation_us=START_US, deactivation_us=START_US + 1))
    node.clock.pass_s(1)
    assert attribute(node, ALICE, key, "State") == State.DEACTIVATED
    assert node.ask(ALICE, Locate()).ids == (key,)
    assert State.DEACTIVATED not in GONE
