"""Logging in with passwords, and what failures lead to."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from keystead.core.errors import Unauthenticated
from keystead.core.permission import Principal
from keystead.core.secret import Secret
from keystead.operations.logins import FAILED, AccountKind, Door, LogIn, SetUserPassword
from keystead.operations.settings import ChangeSetting
from keystead.operations.users import CreateUser, DisableUser, ListUsers, ShowUser
from keystead.storage.journal import leaf_of
from keystead.trust import passwords
from tests.support.builders import ADMINISTRATOR, ALICE, Node

STRANGER = Principal("stranger", "", address="192.0.2.9")
GOOD = Secret(b"telescope-dragon-7")


@pytest.fixture
def account(node: Node) -> Node:
    """A node with a user who has a password."""
    node.ask(ADMINISTRATOR, CreateUser("carol"))
    node.ask(ADMINISTRATOR, SetUserPassword("carol", GOOD))
    return node


def log_in(node: Node, password: Secret = GOOD, name: str = "carol", door: Door = Door.KEY_SERVER) -> str:
    """The name of who is let in, "" for nobody."""
    try:
        return str(node.ask(STRANGER, LogIn(name, password, door=door)).name)
    except Unauthenticated as error:
        return "" if error.message == FAILED else error.message


def leaves_in(node: Node) -> list[bytes]:
    with closing(sqlite3.connect(node.path)) as store:
        return [bytes(row[0]) for row in store.execute("select leaf from audit order by sequence")]


def fail(node: Node, times: int) -> None:
    for _ in range(times):
        assert log_in(node, Secret(b"wrong")) == ""


def test_a_user_logs_in_by_name_and_password(account: Node) -> None:
    assert log_in(account) == "carol"
    for wrong in (b"telescope-dragon-", b"Telescope-dragon-7", b"telescope-dragon-7 ", b"", b"\xff\xfe", b"x" * 5000):
        assert log_in(account, Secret(wrong)) == ""
        account.clock.pass_s(61)


def test_one_password_in_two_forms_is_one_password(account: Node) -> None:
    account.ask(ADMINISTRATOR, SetUserPassword("carol", Secret("gr\u00fcner tee 7x".encode())))
    assert log_in(account, Secret("gru\u0308ner\u00a0tee 7x".encode())) == "carol"


@pytest.mark.parametrize("name", ["nobody", "", "CAROL", "carol ", "x" * 100_000, "carol\0", "*"])
def test_who_does_not_exist_hears_what_everybody_hears(account: Node, name: str) -> None:
    assert log_in(account, GOOD, name) == log_in(account, Secret(b"wrong")) == ""


def test_an_unknown_name_costs_one_judgement_like_a_known_one(account: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[str] = []
    real = passwords.is_password

    def counting(password: Secret, phc: str) -> bool:
        judged.append(phc)
        return real(password, phc)

    monkeypatch.setattr("keystead.operations.logins.is_password", counting)
    account.ask(ADMINISTRATOR, CreateUser("dora"))  # without a password
    for name in ("carol", "nobody", "dora"):
        log_in(account, Secret(b"wrong"), name)
    assert len(judged) == 3
    assert len({phc.split("$")[3] for phc in judged}) == 1  # the same work


def test_a_user_without_a_password_does_not_log_in_by_one(account: Node) -> None:
    account.ask(ADMINISTRATOR, CreateUser("dora"))
    assert log_in(account, Secret(b""), "dora") == ""
    account.ask(ADMINISTRATOR, SetUserPassword("carol", None))
    assert log_in(account) == ""


def test_a_disabled_user_is_not_let_in_and_not_locked(account: Node) -> None:
    account.ask(ADMINISTRATOR, DisableUser("carol"))
    for _ in range(6):
        assert log_in(account) == ""
    account.ask(ADMINISTRATOR, DisableUser("carol", disabled=False))
    assert log_in(account) == "carol"


@pytest.mark.row("KS-AUTH-010", "KS-AUTH-011")
def test_five_wrong_passwords_lock_the_account_for_a_minute(account: Node) -> None:
    fail(account, 4)
    assert log_in(account) == "carol"  # which forgets them
    fail(account, 5)
    assert log_in(account) == ""
    account.clock.pass_s(59)
    assert log_in(account) == ""  # ignored: it does not begin the minute anew
    account.clock.pass_s(2)
    fail(account, 4)  # the count began anew
    assert log_in(account) == "carol"


@pytest.mark.row("KS-AUTH-010", "KS-AUTH-011")
def test_number_and_time_are_settings_and_locking_can_be_switched_off(account: Node) -> None:
    for field, value in (("failures_count", 2), ("duration_s", 10)):
        account.ask(ADMINISTRATOR, ChangeSetting("user_lockout", field, value))
    account.objects.refresh()
    fail(account, 2)
    assert log_in(account) == ""
    account.clock.pass_s(11)
    assert log_in(account) == "carol"
    account.ask(ADMINISTRATOR, ChangeSetting("user_lockout", "enabled", False))
    fail(account, 20)
    assert log_in(account) == "carol"


def test_a_lock_is_durable_and_every_failure_is_audited(account: Node) -> None:
    fail(account, 5)
    assert log_in(account) == ""
    lines = [line for line in account.lines() if "LogIn" in line]
    assert len(lines) == 6
    assert all("ERROR" in line for line in lines)
    leaves = [leaf_of(row) for row in leaves_in(account) if b"session.log_in" in row]
    assert [(leaf.outcome, leaf.detail.rpartition(": ")[2]) for leaf in leaves] == [
        *[("refused", "wrong password")] * 4,
        ("refused", "wrong password, locked from now on"),
        ("refused", "locked"),
    ]
    assert {leaf.origin for leaf in leaves} == {STRANGER.address}
    assert not [line for line in account.lines() if GOOD.reveal().decode() in line]


@pytest.mark.row("KS-PWD-007", "KS-USR-002", "KS-NAE-031")
def test_rules_bind_users_and_come_from_the_settings(account: Node) -> None:
    def reason(password: bytes) -> str | None:
        return account.reason(ADMINISTRATOR, SetUserPassword("carol", Secret(password)))

    assert reason(b"abcdefg") == "invalid.field"
    account.ask(ADMINISTRATOR, ChangeSetting("passwords", "length_min", 14))
    account.ask(ADMINISTRATOR, ChangeSetting("passwords", "digit", True))
    assert reason(b"abcd-efgh-1") == "invalid.field"
    assert reason(b"abcd-efgh-ijklm") == "invalid.field"
    assert reason(b"abcd-efgh-ijkl1") is None
    for refused in (b"my-carol-password-1", b"\xff" * 20, b"", b"x<y" * 100, b"0171/234567890123"):
        assert reason(refused) == "invalid.field"
    assert reason(b"abcd<efgh>ijkl1") is None
    account.ask(ADMINISTRATOR, ChangeSetting("passwords", "angle", False))
    assert reason(b"abcd<efgh>ijkl2") == "invalid.field"


@pytest.mark.row("KS-PWD-014")
def test_new_rules_leave_passwords_alone_that_are_set(account: Node) -> None:
    account.ask(ADMINISTRATOR, ChangeSetting("passwords", "length_min", 40))
    assert log_in(account) == "carol"


@pytest.mark.row("KS-GEN-014")
def test_a_new_password_takes_the_place_of_the_former_and_neither_is_shown(account: Node) -> None:
    account.ask(ADMINISTRATOR, SetUserPassword("carol", Secret(b"lantern-orbit-31")))
    assert log_in(account) == ""
    assert log_in(account, Secret(b"lantern-orbit-31")) == "carol"
    shown = repr(account.ask(ADMINISTRATOR, ShowUser("carol")))
    assert "argon2" not in shown
    assert "lantern" not in shown


def test_nobody_else_sets_passwords_and_nothing_shows_them(account: Node) -> None:
    assert account.reason(ALICE, SetUserPassword("carol", GOOD)) == "refused.permission"
    assert account.reason(STRANGER, SetUserPassword("carol", GOOD)) == "unauthenticated"
    assert account.reason(ADMINISTRATOR, SetUserPassword("nobody", GOOD)) == "not_found.item"
    for shown in (account.ask(ADMINISTRATOR, ShowUser("carol")), account.ask(ADMINISTRATOR, ListUsers())):
        assert "argon2" not in repr(shown)
    assert "telescope" not in repr(LogIn("carol", GOOD))


def test_strangers_may_log_in_and_nothing_else(account: Node) -> None:
    for request in (ListUsers(), ShowUser("carol"), CreateUser("eve")):
        assert account.reason(STRANGER, request) == "unauthenticated"
    assert account.reason(replace(ALICE, kind="user"), LogIn("carol", GOOD)) == "refused.permission"


def test_users_are_no_administrators(account: Node) -> None:
    assert account.reason(STRANGER, LogIn("carol", GOOD, AccountKind.ADMINISTRATOR)) == "unauthenticated"


def test_the_audit_log_names_the_account_and_says_who_has_proven_to_be_it(account: Node) -> None:
    fail(account, 1)
    assert log_in(account) == "carol"
    account.ask(ADMINISTRATOR, DisableUser("carol"))
    assert log_in(account) == ""
    leaves = [leaf_of(row) for row in leaves_in(account) if b"session.log_in" in row]
    assert [(leaf.principal, leaf.outcome) for leaf in leaves] == [
        ("stranger:carol", "refused"),
        ("user:carol", "done"),
        ("stranger:carol", "refused"),
    ]


@pytest.mark.row("KS-LOG-032")
def test_a_text_that_is_no_account_stands_nowhere(account: Node) -> None:
    """Whoever types the password where the name belongs."""
    typed = "Plant-this-word-77"
    assert log_in(account, GOOD, typed) == ""
    (leaf,) = [leaf_of(row) for row in leaves_in(account) if b"session.log_in" in row]
    assert (leaf.principal, leaf.detail) == ("stranger:", "no such user via key-server")
    assert typed not in account.log.read_text()
    for file in account.path.parent.glob("store.db*"):
        assert typed.encode() not in file.read_bytes()
