"""What administrators do with keys of anybody."""

from typing import Any

import pytest

from keystead.core.attributes import Attribute, text
from keystead.core.errors import KeysteadError
from keystead.core.permission import Access, Principal, Right
from keystead.core.structures import made, name_value
from keystead.operations.admin_keys import ChangeKey, EraseKey, Move, RenameKey, SetKeyState, ShowKey
from keystead.operations.grants import GiveRights, SetKeyFlags, SetOwner
from keystead.operations.key_details import KeyDetails
from keystead.operations.key_pairs import CreateKeyPair, Wishes
from keystead.operations.requests import (
    AddAttribute,
    Condition,
    Create,
    Destroy,
    Get,
    Locate,
    ModifyAttribute,
    Revoke,
    Terms,
)
from keystead.operations.users import CreateUser
from tests.operations.test_kept_certificates import a_certificate
from tests.support.builders import (
    ADMINISTRATOR,
    ALICE,
    BOB,
    START_US,
    US_PER_S,
    Node,
    a_key,
    attribute,
    attributes,
    date,
    enumeration,
    integer,
)

EC = 0x1A
PUBLIC_KEY_LINK = 0x102
HOUR_US = 3600 * US_PER_S


def named(node: Node, handle: str = "backup", owner: Principal = ALICE, *, deletable: bool = True) -> str:
    """The id of an active AES key with a handle."""
    given = (*attributes(handle, Activation_Date=date(0)), Attribute("x-site", 0, text("north")))
    created = node.ask(owner, Create(2, given, terms=Terms(handle, deletable)))
    return str(created.id)


def a_pair(node: Node, owner: Principal = ALICE) -> tuple[str, str]:
    wishes = Wishes(attributes(Cryptographic_Algorithm=enumeration(EC), Activation_Date=date(0)))
    pair = node.ask(owner, CreateKeyPair(wishes))
    return pair.private_id, pair.public_id


def show(node: Node, target: str) -> KeyDetails:
    shown: KeyDetails = node.ask(ADMINISTRATOR, ShowKey(target))
    return shown


@pytest.mark.row("KS-KEY-001")
def test_a_key_is_shown_by_id_and_by_name_without_its_bytes(node: Node) -> None:
    node.ask(ADMINISTRATOR, CreateUser("bob"))
    key = named(node, deletable=False)
    node.ask(ALICE, GiveRights(key, int(Right.ENCRYPT), "staff"))
    node.ask(ALICE, GiveRights(key, int(Right.EXPORT), user="bob"))
    shown = show(node, key)
    assert shown == show(node, "backup")
    told = shown.key
    assert (told.id, told.name, told.owner, told.kind, told.names) == (
        key,
        "backup",
        "alice",
        "symmetric-key",
        ("backup",),
    )
    assert (told.algorithm, told.length_bits, told.state, told.created_us) == ("AES-256", 256, "active", START_US)
    assert (shown.deletable, shown.exportable, shown.dates.activation_us) == (False, True, START_US)
    assert [(one.group, one.user, one.rights) for one in shown.grants] == [
        ("staff", "", ("see", "encrypt")),
        ("", "bob", ("see", "export")),
    ]
    assert [(one.name, one.index, one.kind, one.value) for one in shown.attributes] == [
        ("x-site", 0, "text string", "north")
    ]
    assert shown.usage == ("encrypt", "decrypt")
    assert len(shown.digest) == 64
    material = node.ask(ALICE, Get(key)).block.material.reveal()
    assert material.hex() not in repr(shown)


def test_only_administrators_with_the_right_may(node: Node) -> None:
    key = named(node)
    olga = Principal("administrator", "olga", access=Access.USERS)
    for request in (ShowKey(key), RenameKey(key, "x"), ChangeKey(key, description="d"), EraseKey(key, key)):
        assert node.reason(ALICE, request) == "refused.permission"
        assert node.reason(olga, request) == "refused.permission"
    assert node.reason(ADMINISTRATOR, ShowKey("nothing")) == "not_found.item"
    assert node.reason(ADMINISTRATOR, ShowKey("")) == "invalid.missing"


def test_other_operations_take_the_name_too(node: Node) -> None:
    node.ask(ADMINISTRATOR, CreateUser("bob"))
    key = named(node)
    node.ask(ADMINISTRATOR, SetKeyFlags("backup", exportable=False))
    node.ask(ADMINISTRATOR, SetOwner("backup", "bob"))
    assert (show(node, key).exportable, show(node, key).key.owner) == (False, "bob")


def test_users_reach_nothing_by_a_name(node: Node) -> None:
    named(node)
    assert node.reason(ALICE, Get("backup")) == "not_found.item"


@pytest.mark.row("KS-KEY-002")
def test_a_key_is_renamed_and_clients_find_it_under_the_new_name(node: Node) -> None:
    key, other = named(node), named(node, "other")
    assert node.ask(ADMINISTRATOR, RenameKey("backup", "archive")).key.name == "archive"
    assert node.record(key).handle == "archive"
    assert node.ask(ALICE, Locate((Condition("Name", name_value("archive")),))).ids == (key,)
    assert node.ask(ALICE, Locate((Condition("Name", name_value("backup")),))).ids == ()
    assert node.reason(ADMINISTRATOR, ShowKey("backup")) == "not_found.item"
    assert node.reason(ADMINISTRATOR, RenameKey("archive", "other")) == "exists"
    assert node.reason(ADMINISTRATOR, RenameKey("archive", "archive")) == "invalid.field"
    for name in ("", "1a", "a b", f"key-{other}"):
        assert node.reason(ADMINISTRATOR, RenameKey("archive", name)) == "invalid.field"
    node.ask(ADMINISTRATOR, RenameKey("other", "backup"))


def test_a_name_that_a_client_gave_stays_when_a_key_is_renamed(node: Node) -> None:
    key = a_key(node, Name=name_value("the client's"))
    node.ask(ADMINISTRATOR, RenameKey(key, "ours"))
    assert show(node, key).key.names == ("the client's",)


@pytest.mark.row("KS-KEY-027", "KS-KEY-028")
def test_attributes_are_set_and_taken_away(node: Node) -> None:
    key = named(node)
    node.ask(
        ADMINISTRATOR,
        ChangeKey(
            key,
            description="of the vault",
            attributes=("Contact Information=ops@example.org", "Object Group=tapes", "x-site=so=uth\t1"),
        ),
    )
    held = {one.name: one.value for one in show(node, key).attributes}
    assert held == {
        "Contact Information": "ops@example.org",
        "Object Group": "tapes",
        "Description": "of the vault",
        "x-site": "so=uth\t1",
    }
    assert attribute(node, ALICE, key, "x-site") == "so=uth\t1"
    node.ask(ADMINISTRATOR, ChangeKey(key, attributes=("Contact Information=else",)))  # there is one of it only
    node.ask(ADMINISTRATOR, ChangeKey(key, description="", without=("x-site", "Object Group")))
    assert [(one.name, one.value) for one in show(node, key).attributes] == [("Contact Information", "else")]
    node.ask(ADMINISTRATOR, ChangeKey(key, attributes=tuple(f"x-{number}=v" for number in range(100))))
    assert node.reason(ADMINISTRATOR, ChangeKey(key, attributes=("x-more=v",))) == "invalid.attribute_index"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (ChangeKey(""), "invalid.missing"),
        (ChangeKey("backup"), "invalid.missing"),
        (ChangeKey("backup", attributes=("x-a",)), "invalid.field"),
        (ChangeKey("backup", attributes=("site=a",)), "invalid.attribute"),
        (ChangeKey("backup", attributes=("x-a=b",) * 101), "invalid.field"),
        (ChangeKey("backup", attributes=("State=2",)), "invalid.attribute_read_only"),
        (ChangeKey("backup", attributes=("Name=a",)), "invalid.attribute_read_only"),
        (ChangeKey("backup", attributes=("x-size=1",)), "invalid.attribute_value"),
        (ChangeKey("backup", attributes=("Object Group=",)), "invalid.attribute_value"),
        (ChangeKey("backup", without=("Cryptographic Usage Mask",)), "invalid.attribute_read_only"),
        (ChangeKey("backup", without=("x-none",)), "not_found.attribute"),
        (ChangeKey("backup", attributes=("x-a=b",), deactivation_us=1 << 63), "invalid.attribute_value"),
    ],
)
def test_what_cannot_be_changed_is_refused_and_nothing_of_it_happens(
    node: Node, change: ChangeKey, reason: str
) -> None:
    key = named(node)
    node.ask(ALICE, AddAttribute("x-size", integer(7), key))
    before = node.record(key)
    assert node.reason(ADMINISTRATOR, change) == reason
    assert node.record(key) == before


@pytest.mark.row("KS-LIFE-005", "KS-LIFE-006")
def test_dates_are_set_together_and_count_when_they_come(node: Node) -> None:
    key = a_key(node, active=False)
    node.ask(ADMINISTRATOR, ChangeKey(key, activation_us=START_US + HOUR_US, deactivation_us=START_US + 2 * HOUR_US))
    moved = ChangeKey(
        key,
        activation_us=START_US + 3 * HOUR_US,
        process_start_us=START_US + 4 * HOUR_US,
        protect_stop_us=START_US + 5 * HOUR_US,
        deactivation_us=START_US + 6 * HOUR_US,
    )
    node.ask(ADMINISTRATOR, moved)  # one after the other they would be out of order
    states = []
    for _ in range(3):
        states.append(show(node, key).key.state)
        node.clock.pass_s(3 * 3600)
    assert states == ["pre-active", "active", "deactivated"]
    assert node.reason(ADMINISTRATOR, ChangeKey(key, deactivation_us=START_US)) == "wrong_state.object"


@pytest.mark.row("KS-LIFE-005", "KS-LIFE-006")
def test_a_date_that_has_passed_counts_at_once(node: Node) -> None:
    key = a_key(node)
    node.clock.pass_s(60)
    assert node.reason(ADMINISTRATOR, ChangeKey(key, activation_us=START_US)) == "wrong_state.object"
    assert node.reason(ADMINISTRATOR, ChangeKey(key, deactivation_us=START_US - 1)) == "invalid.attribute_value"
    changed = node.ask(ADMINISTRATOR, ChangeKey(key, deactivation_us=START_US + US_PER_S))
    assert (changed.key.state, changed.dates.deactivation_us) == ("deactivated", START_US + US_PER_S)


@pytest.mark.row("KS-LIFE-001", "KS-LIFE-002", "KS-LIFE-004")
def test_states_move_one_way_and_only_possible_moves_are_offered(node: Node) -> None:
    key = a_key(node, active=False)
    seen: list[Any] = [show(node, key).moves]
    for state in (Move.ACTIVE, Move.DEACTIVATED, Move.COMPROMISED):
        node.clock.pass_s(10)
        shown = node.ask(ADMINISTRATOR, SetKeyState(key, state))
        assert shown.key.state == state
        seen.append(shown.moves)
        left = [move for move in Move if move not in shown.moves]
        for move in left:
            assert node.reason(ADMINISTRATOR, SetKeyState(key, move)) == "wrong_state.object"
    assert seen == [("active", "compromised"), ("deactivated", "compromised"), ("compromised",), ()]
    dates = show(node, key).dates
    moments = (dates.activation_us, dates.deactivation_us, dates.compromise_us)
    assert moments == tuple(START_US + seconds * US_PER_S for seconds in (10, 20, 30))


def test_why_and_when_a_key_was_compromised_is_kept(node: Node) -> None:
    key = a_key(node)
    node.clock.pass_s(60)
    node.ask(ADMINISTRATOR, SetKeyState(key, Move.COMPROMISED, "a stolen tape", START_US + 5 * US_PER_S))
    assert node.record(key).revocation == (2, "a stolen tape")
    assert show(node, key).dates.compromise_occurrence_us == START_US + 5 * US_PER_S
    other = a_key(node, active=False)
    assert node.reason(ADMINISTRATOR, SetKeyState(other, Move.ACTIVE, "why")) == "invalid.field"


@pytest.mark.row("KS-LIFE-003")
def test_the_life_of_a_certificate_is_left_to_its_clients(node: Node) -> None:
    kept = a_certificate(node)
    assert show(node, kept).moves == ()
    for request in (SetKeyState(kept, Move.ACTIVE), ChangeKey(kept, activation_us=START_US)):
        assert node.reason(ADMINISTRATOR, request) == "invalid.object_type"


@pytest.mark.row("KS-KEY-010", "KS-KEY-042")
def test_an_administrator_erases_a_key_that_clients_may_not_delete(node: Node) -> None:
    key = named(node, deletable=False)
    for confirm in ("", "other"):
        with pytest.raises(KeysteadError, match=r"lost.*confirm"):
            node.ask(ADMINISTRATOR, EraseKey("backup", confirm))
    assert node.record(key).material is not None
    node.ask(ADMINISTRATOR, EraseKey(key, "backup"))
    shown = show(node, key)
    assert (node.record(key).material, shown.key.state, shown.key.name) == (None, "destroyed", f"key-{key}")
    assert node.reason(ADMINISTRATOR, EraseKey(key, key)) == "wrong_state.destroyed"
    again = named(node)
    node.ask(ADMINISTRATOR, EraseKey("backup", again))


def test_both_halves_of_a_pair_are_erased(node: Node) -> None:
    private, public = a_pair(node)
    assert (show(node, private).other_half, show(node, public).other_half) == (public, private)
    node.ask(ADMINISTRATOR, EraseKey(private, private))
    assert [node.record(half).material for half in (private, public)] == [None, None]
    private, public = a_pair(node)
    node.ask(ALICE, Revoke(1, target=public))
    node.ask(ALICE, Destroy(public))
    node.ask(ADMINISTRATOR, EraseKey(private, private))
    assert node.record(private).material is None


def test_a_link_to_the_key_of_another_user_erases_nothing_of_theirs(node: Node) -> None:
    private, _ = a_pair(node)
    _, theirs = a_pair(node, BOB)
    node.ask(ALICE, ModifyAttribute("Link", made("Link", PUBLIC_KEY_LINK, theirs), 0, target=private))
    assert show(node, private).other_half == theirs
    node.ask(ADMINISTRATOR, EraseKey(private, private))
    assert node.record(private).material is None
    assert node.record(theirs).material is not None


def test_what_was_done_is_in_the_activity_log(node: Node) -> None:
    key = named(node)
    node.ask(ADMINISTRATOR, RenameKey("backup", "archive"))
    assert any("KeyRename" in line and key in line for line in node.lines())
