"""Accounts of administrators: duties that can be split, passwords, and that somebody is always left."""

from dataclasses import replace

import pytest

from keystead.core.errors import KeysteadError, Unauthenticated
from keystead.core.permission import ACCESS_CONTROLS, CLOCK, EVERY_ACCESS, Access, Principal
from keystead.core.secret import Secret
from keystead.gate.admit import admit_administrator
from keystead.operations.administrators import (
    Administrator,
    ChangeAdministrator,
    ChangeOwnPassword,
    CreateAdministrator,
    DeleteAdministrator,
    ListAdministrators,
    SetAdministratorPassword,
    ShowAdministrator,
)
from keystead.operations.logins import AccountKind, Door, LogIn
from keystead.operations.running_time import CountRunning
from keystead.operations.settings import ChangeSetting
from keystead.operations.users import CreateUser, ListUsers
from tests.operations.test_logins import leaves_in
from tests.support.builders import ADMINISTRATOR, ALICE, Node

STRANGER = Principal("stranger", "", address="192.0.2.9")
FIRST, OWN, NEXT = Secret(b"telescope-dragon-7"), Secret(b"lantern-orbit-31"), Secret(b"quarry-violin-58")


def create(node: Node, name: str = "olga", *access: str, password: Secret = FIRST) -> Administrator:
    found = node.ask(ADMINISTRATOR, CreateAdministrator(name, password, access=access))
    assert isinstance(found, Administrator)
    return found


def log_in(node: Node, name: str = "olga", password: Secret = FIRST, door: Door = Door.WEB) -> Principal:
    """Come in by a door; the principal as a session would have it."""
    found = node.ask(STRANGER, LogIn(name, password, AccountKind.ADMINISTRATOR, door))
    node.objects.refresh()
    return admit_administrator(node.objects, found.name, STRANGER.address, must_change=found.must_change)


def is_let_in(node: Node, *words: object) -> bool:
    try:
        log_in(node, *words)  # type: ignore[arg-type]  # as log_in takes them
    except Unauthenticated:
        return False
    return True


def settled(node: Node, name: str = "olga", *access: str) -> Principal:
    """An administrator who has set a password of their own."""
    create(node, name, "admin_web", *access)
    node.ask(log_in(node, name), ChangeOwnPassword(FIRST, OWN))
    return log_in(node, name, OWN)


@pytest.mark.row("KS-ADM-003")
@pytest.mark.parametrize(
    ("name", "good"),
    [
        *(("a", True), ("olga7", True), ("x" * 30, True), ("x" * 31, False), ("7olga", False), ("ol ga", False)),
        *(("olga.b", False), ("", False), ("о", False), ("olga\n", False), ("<b>", False)),
    ],
    ids=repr,
)
def test_names_are_letters_and_digits(node: Node, name: str, good: bool) -> None:
    assert (node.reason(ADMINISTRATOR, CreateAdministrator(name, FIRST)) is None) is good


@pytest.mark.row("KS-ADM-004")
def test_full_name_and_description_are_texts_with_a_limit(node: Node) -> None:
    create(node)
    for field, most in (("full_name", 256), ("description", 2048)):
        for value, good in (("ö" * most, True), ("x" * (most + 1), False), ("a\x1bb", False), ("\u202e", False)):
            changed = replace(ChangeAdministrator("olga"), **{field: value})  # type: ignore[arg-type]  # texts
            assert (node.reason(ADMINISTRATOR, changed) is None) is good
    found = node.ask(ADMINISTRATOR, ShowAdministrator("olga"))
    assert (len(found.full_name), len(found.description)) == (256, 2048)


@pytest.mark.row("KS-ADM-002")
def test_the_built_in_account_is_there_and_opens_once_it_has_a_password(node: Node) -> None:
    (admin,) = node.ask(ADMINISTRATOR, ListAdministrators())
    assert (admin.name, admin.password_status, set(admin.access)) == ("admin", "none", set(ACCESS_CONTROLS))
    assert not is_let_in(node, "admin", Secret(b""))
    node.ask(ADMINISTRATOR, SetAdministratorPassword("admin", FIRST))
    assert is_let_in(node, "admin")
    assert node.reason(ADMINISTRATOR, CreateAdministrator("admin", FIRST)) == "exists"


@pytest.mark.row("KS-ADM-005", "KS-ADM-006")
def test_a_password_that_another_has_set_only_opens_the_way_to_ones_own(node: Node) -> None:
    create(node, "olga", "all")
    olga = log_in(node)
    assert olga.access == Access.OWN
    for request in (ListUsers(), ListAdministrators(), CreateUser("eve"), ChangeSetting("legacy", "modes", True)):
        assert node.reason(olga, request) == "refused.permission"
    node.ask(olga, ChangeOwnPassword(FIRST, OWN))
    olga = log_in(node, "olga", OWN)
    assert node.reason(olga, CreateUser("eve")) is None
    node.ask(ADMINISTRATOR, SetAdministratorPassword("olga", NEXT))
    assert any(b"administrator olga: password set by another" in leaf for leaf in leaves_in(node))
    assert not is_let_in(node, "olga", OWN)
    assert log_in(node, "olga", NEXT).access == Access.OWN


@pytest.mark.row("KS-ADM-008", "KS-ADM-043")
def test_only_high_access_makes_and_changes_administrators(node: Node) -> None:
    without = replace(ADMINISTRATOR, access=EVERY_ACCESS & ~Access.HIGH_ACCESS)
    create(node)
    for request in (
        CreateAdministrator("paul", FIRST),
        ChangeAdministrator("olga", access=("all",)),
        SetAdministratorPassword("olga", OWN),
        DeleteAdministrator("olga", "olga"),
        ChangeSetting("passwords", "length_min", 5),
    ):
        assert node.reason(without, request) == "refused.permission"
        assert node.reason(ALICE, request) == "refused.permission"
    assert create(node, "paul", "all").access == tuple(ACCESS_CONTROLS)
    kept = [name for name in ACCESS_CONTROLS if name != "snmp"]  # single ones can be withheld
    node.ask(ADMINISTRATOR, ChangeAdministrator("paul", access=tuple(kept)))
    assert node.ask(ADMINISTRATOR, ShowAdministrator("paul")).access == tuple(kept)


@pytest.mark.row("KS-GEN-002", "KS-ADM-020", "KS-ADM-021")
def test_duties_are_split_by_access_controls(node: Node) -> None:
    keys, people = settled(node, "kim", "keys_policies"), settled(node, "uma", "users_groups")
    assert node.reason(people, CreateUser("eve")) is None
    assert node.reason(keys, CreateUser("adam")) == "refused.permission"
    assert keys.access & Access.KEYS
    assert not people.access & Access.KEYS
    assert node.reason(keys, ListUsers()) is None  # looking is for everybody


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("certificates", marks=pytest.mark.row("KS-ADM-022")),
        pytest.param("cas", marks=pytest.mark.row("KS-ADM-023")),
        pytest.param("advanced_security", marks=pytest.mark.row("KS-ADM-024")),
        pytest.param("key_server", marks=pytest.mark.row("KS-ADM-026")),
        pytest.param("hsm", marks=pytest.mark.row("KS-ADM-032")),
        pytest.param("admin_web", marks=pytest.mark.row("KS-ADM-041")),
        pytest.param("admin_ssh", marks=pytest.mark.row("KS-ADM-042")),
    ],
)
def test_each_access_control_is_given_and_withheld_for_itself(node: Node, name: str) -> None:
    create(node, "olga", name)
    node.objects.refresh()
    given = admit_administrator(node.objects, "olga", "-", must_change=False).access
    assert given == ACCESS_CONTROLS[name] | Access.ANY | Access.OWN
    node.ask(ADMINISTRATOR, ChangeAdministrator("olga", access=tuple(n for n in ACCESS_CONTROLS if n != name)))
    node.objects.refresh()
    assert not admit_administrator(node.objects, "olga", "-", must_change=False).access & ACCESS_CONTROLS[name]


def test_unknown_access_controls_are_refused(node: Node) -> None:
    assert node.reason(ADMINISTRATOR, CreateAdministrator("olga", FIRST, access=("root",))) == "invalid.field"


@pytest.mark.row("KS-ADM-010")
def test_without_a_way_in_only_the_machine_itself_is_left(node: Node) -> None:
    create(node, "olga", "keys_policies")
    assert [is_let_in(node, "olga", FIRST, door) for door in (Door.WEB, Door.SSH, Door.LOCAL)] == [False, False, True]
    node.ask(ADMINISTRATOR, ChangeAdministrator("olga", access=("admin_ssh",)))
    assert [is_let_in(node, "olga", FIRST, door) for door in (Door.WEB, Door.SSH)] == [False, True]


@pytest.mark.row("KS-ADM-011", "KS-ADM-012")
def test_deleting_is_confirmed_and_never_takes_the_last_one(node: Node) -> None:
    create(node, "olga")
    assert node.reason(ADMINISTRATOR, DeleteAdministrator("olga", "")) == "invalid.field"
    assert node.reason(ADMINISTRATOR, DeleteAdministrator("olga", "Olga")) == "invalid.field"
    node.ask(ADMINISTRATOR, DeleteAdministrator("olga", "olga"))
    assert node.reason(ADMINISTRATOR, ShowAdministrator("olga")) == "not_found.item"
    for last in (
        DeleteAdministrator("admin", "admin"),
        ChangeAdministrator("admin", disabled=True),
        ChangeAdministrator("admin", access=("keys_policies",)),
    ):
        assert node.reason(ADMINISTRATOR, last) == "refused.permission"
    create(node, "paul", "high_access")
    node.ask(ADMINISTRATOR, ChangeAdministrator("admin", disabled=True))
    assert node.reason(ADMINISTRATOR, DeleteAdministrator("paul", "paul")) == "refused.permission"


def test_who_is_disabled_or_gone_is_not_admitted_any_more(node: Node) -> None:
    settled(node)
    node.ask(ADMINISTRATOR, ChangeAdministrator("olga", disabled=True))
    assert not is_let_in(node, "olga", OWN)
    with pytest.raises(Unauthenticated):
        admit_administrator(node.objects, "olga", "-", must_change=False)


@pytest.mark.row("KS-ADM-015", "KS-ADM-016")
def test_five_wrong_passwords_lock_and_every_attempt_begins_the_time_anew(node: Node) -> None:
    settled(node)
    for door in (Door.WEB, Door.SSH, Door.WEB, Door.SSH, Door.WEB):  # counted together
        assert not is_let_in(node, "olga", NEXT, door)
    assert node.ask(ADMINISTRATOR, ShowAdministrator("olga")).is_locked
    assert not is_let_in(node, "olga", OWN)
    assert is_let_in(node, "olga", OWN, Door.LOCAL)  # counted apart
    node.clock.pass_s(1799)
    assert not is_let_in(node, "olga", OWN)
    node.clock.pass_s(1799)
    assert not is_let_in(node, "olga", OWN)
    node.clock.pass_s(1801)
    assert is_let_in(node, "olga", OWN)


@pytest.mark.row("KS-ADM-015")
def test_on_the_machine_itself_the_lock_lasts_five_minutes(node: Node) -> None:
    settled(node)
    for _ in range(5):
        assert not is_let_in(node, "olga", NEXT, Door.LOCAL)
    assert is_let_in(node, "olga", OWN)
    node.clock.pass_s(301)
    assert is_let_in(node, "olga", OWN, Door.LOCAL)


@pytest.mark.row("KS-PWD-015")
def test_everybody_changes_the_own_password_whatever_the_rights(node: Node) -> None:
    olga = settled(node)
    assert node.reason(olga, ChangeOwnPassword(FIRST, NEXT)) == "unauthenticated"
    node.ask(olga, ChangeOwnPassword(OWN, NEXT))
    assert not is_let_in(node, "olga", OWN)
    assert is_let_in(node, "olga", NEXT)
    assert node.reason(ALICE, ChangeOwnPassword(FIRST, NEXT)) == "refused.permission"


def test_guessing_the_current_password_counts_as_guessing_at_the_door(node: Node) -> None:
    olga = settled(node)
    for _ in range(5):
        assert node.reason(olga, ChangeOwnPassword(NEXT, FIRST)) == "unauthenticated"
    assert node.reason(olga, ChangeOwnPassword(OWN, NEXT)) == "unauthenticated"
    assert not is_let_in(node, "olga", OWN)


@pytest.mark.row("KS-PWD-007")
def test_rules_bind_administrators_too(node: Node) -> None:
    assert node.reason(ADMINISTRATOR, CreateAdministrator("olga", Secret(b"short"))) == "invalid.field"
    olga = settled(node)
    assert node.reason(olga, ChangeOwnPassword(OWN, Secret(b"my-olga-pass-7"))) == "invalid.field"
    assert is_let_in(node, "olga", OWN)


@pytest.mark.row("KS-PWD-011", "KS-PWD-013")
def test_former_passwords_are_remembered_once_that_is_switched_on(node: Node) -> None:
    olga = settled(node)  # OWN was set before
    node.ask(ADMINISTRATOR, ChangeSetting("passwords", "history_count", 2))
    passwords = [Secret(f"lantern-orbit-{number}".encode()) for number in (41, 42, 43, 44)]
    current = OWN
    for new in passwords:
        node.ask(olga, ChangeOwnPassword(current, new))
        current = new
    assert node.reason(olga, ChangeOwnPassword(current, current)) == "invalid.field"
    for former in passwords[1:3]:
        assert node.reason(olga, ChangeOwnPassword(current, former)) == "invalid.field"
    node.ask(olga, ChangeOwnPassword(current, passwords[0]))  # the third but last
    node.ask(olga, ChangeOwnPassword(passwords[0], OWN))  # was set before the history began
    node.ask(ADMINISTRATOR, ChangeSetting("passwords", "history_count", 0))
    node.ask(olga, ChangeOwnPassword(OWN, passwords[0]))  # switching off clears it
    node.ask(ADMINISTRATOR, ChangeSetting("passwords", "history_count", 25))
    node.ask(olga, ChangeOwnPassword(passwords[0], passwords[3]))


@pytest.mark.row("KS-PWD-012")
def test_nobody_learns_from_setting_anothers_password_what_was_used(node: Node) -> None:
    node.ask(ADMINISTRATOR, ChangeSetting("passwords", "history_count", 5))
    olga = settled(node)
    node.ask(olga, ChangeOwnPassword(OWN, NEXT))
    for used in (OWN, NEXT, FIRST):
        assert node.reason(ADMINISTRATOR, SetAdministratorPassword("olga", used)) is None


@pytest.mark.row("KS-PWD-008", "KS-PWD-009", "KS-PWD-010")
def test_passwords_age_by_running_time_and_an_old_one_only_opens_the_way_to_another(node: Node) -> None:
    before = settled(node, "olga", "users_groups")
    node.clock.pass_s(400 * 86_400)  # the clock does not age them
    node.ask(ADMINISTRATOR, ChangeSetting("passwords", "age_days", 1))
    assert log_in(node, "olga", OWN).access & Access.USERS
    for _ in range(24):
        node.ask(CLOCK, CountRunning())
    olga = log_in(node, "olga", OWN)
    assert olga.access == Access.OWN
    assert node.reason(before, CreateUser("eve")) is None  # who was in already goes on
    assert node.ask(ADMINISTRATOR, ShowAdministrator("olga")).password_status == "expired"
    node.ask(olga, ChangeOwnPassword(OWN, NEXT))
    assert log_in(node, "olga", NEXT).access & Access.USERS
    node.ask(ADMINISTRATOR, ChangeSetting("passwords", "age_days", 0))


@pytest.mark.row("KS-ADM-013")
def test_the_list_shows_how_old_passwords_are(node: Node) -> None:
    create(node, "olga")
    settled(node, "paul")
    for _ in range(49):
        node.ask(CLOCK, CountRunning())
    told = {one.name: one.password_status for one in node.ask(ADMINISTRATOR, ListAdministrators())}
    assert told == {"admin": "none", "olga": "to be changed", "paul": "2 days"}


@pytest.mark.row("KS-ADM-018")
def test_logins_are_audited_with_address_and_way_in(node: Node) -> None:
    settled(node)
    assert any(b"administrator olga logged in from 192.0.2.9 via web" in leaf for leaf in leaves_in(node))


def test_no_password_is_shown_or_logged(node: Node) -> None:
    settled(node)
    everything = repr(node.ask(ADMINISTRATOR, ListAdministrators())) + "".join(node.lines())
    for secret in (FIRST, OWN):
        assert secret.reveal().decode() not in everything
    assert "argon2" not in everything


def test_so_many_and_no_more(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keystead.operations.administrators.ADMINISTRATORS_COUNT_MAX", 2)
    create(node)
    with pytest.raises(KeysteadError, match="there can be"):
        create(node, "paul")
