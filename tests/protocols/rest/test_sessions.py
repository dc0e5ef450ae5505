"""Logging in and out over HTTP: what a session may, and everything that ends it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.protocols.rest.conftest import FIRST, SECOND
from tests.support.dev_node import DevNode
from tests.support.rest.client import Rest

PATIENCE_S = 20


@pytest.mark.row("KS-ADM-005")
def test_a_first_password_is_good_for_setting_another_one(admin: Rest, nobody: Rest) -> None:
    admin.told(
        "POST", "/administrators", {"name": "novice", "password": FIRST, "access": ["admin_web", "users_groups"]}
    )
    told = nobody.told("POST", "/session", {"username": "novice", "password": FIRST})
    assert told["must_change_password"] is True
    session = nobody.as_token(told["token"])
    assert session.told("GET", "/session")["must_change_password"] is True
    assert session.ask("GET", "/users").status == 403
    assert session.ask("POST", "/users", {"name": "nobody"}).status == 403
    session.told("PUT", "/session/password", {"current": FIRST, "new": SECOND})
    assert session.told("GET", "/session")["must_change_password"] is False
    assert session.ask("GET", "/users").status == 200


def test_whatever_is_wrong_sounds_the_same(admin: Rest, nobody: Rest) -> None:
    admin.told("POST", "/administrators", {"name": "shut", "password": FIRST, "access": ["admin_web"]})
    admin.told("PATCH", "/administrators/shut", {"disabled": True})
    admin.told("POST", "/administrators", {"name": "elsewhere", "password": FIRST})
    replies = [
        nobody.ask("POST", "/session", {"username": name, "password": password})
        for name, password in (("nobody", FIRST), ("admin", "wrong"), ("shut", FIRST), ("elsewhere", FIRST))
    ]
    assert {reply.status for reply in replies} == {401}
    assert len({str(reply.body) for reply in replies}) == 1


def test_logging_out_ends_the_session_and_is_audited(admin: Rest, somebody: Callable[..., Rest]) -> None:
    session = somebody(name="leaver")
    assert session.ask("DELETE", "/session").status == 204
    assert session.ask("GET", "/session").status == 401
    assert_audited(admin, "session.log_out", "administrator leaver logged out")


def assert_audited(admin: Rest, operation: str, detail: str) -> None:
    """Entries are taken over into the tree soon after they were stored."""
    ends_s = time.monotonic() + PATIENCE_S
    while detail not in (
        found := [line["detail"] for line in admin.told("GET", f"/audit/entries?named={operation}")["lines"]]
    ):
        assert time.monotonic() < ends_s, found
        time.sleep(0.1)


def test_another_password_ends_all_other_sessions(somebody: Callable[..., Rest], nobody: Rest) -> None:
    first = somebody(name="careful")
    second = nobody.logged_in("careful", SECOND)
    second.told("PUT", "/session/password", {"current": SECOND, "new": FIRST})
    assert second.ask("GET", "/session").status == 200
    assert first.ask("GET", "/session").status == 401


@pytest.mark.parametrize(
    ("change", "status"),
    [({"disabled": True}, 401), ({"access": []}, 401), ({"access": ["admin_web"]}, 200)],
)
def test_a_session_is_judged_by_the_account_as_it_is_now(
    admin: Rest, somebody: Callable[..., Rest], change: dict[str, object], status: int
) -> None:
    session = somebody("users_groups")
    name = session.told("GET", "/session")["name"]
    assert session.ask("POST", "/groups", {"name": f"made-by-{name}"}).status == 201
    admin.told("PATCH", f"/administrators/{name}", change)
    assert session.ask("GET", "/users").status == status
    assert session.ask("POST", "/groups", {"name": f"more-by-{name}"}).status in (401, 403)


def test_a_namesake_does_not_inherit_a_session(admin: Rest, somebody: Callable[..., Rest]) -> None:
    session = somebody(name="twin")
    token = session.told("POST", "/api-tokens", {"label": "script"})["token"]
    assert session.as_token(token).ask("GET", "/users").status == 200
    admin.told("DELETE", "/administrators/twin?confirm=twin")
    assert (session.ask("GET", "/users").status, session.as_token(token).ask("GET", "/users").status) == (401, 401)
    somebody(name="twin")
    assert (session.ask("GET", "/users").status, session.as_token(token).ask("GET", "/users").status) == (401, 401)


@pytest.mark.row("KS-ADM-041")
def test_without_the_access_control_nobody_gets_in_this_way(admin: Rest, nobody: Rest) -> None:
    admin.told("POST", "/administrators", {"name": "inside", "password": FIRST, "access": ["users_groups"]})
    assert nobody.ask("POST", "/session", {"username": "inside", "password": FIRST}).status == 401
    admin.told("PATCH", "/administrators/inside", {"access": ["users_groups", "admin_web"]})
    assert nobody.ask("POST", "/session", {"username": "inside", "password": FIRST}).status == 201


def test_an_account_is_locked_after_wrong_passwords(admin: Rest, nobody: Rest) -> None:
    admin.told("POST", "/administrators", {"name": "forgetful", "password": FIRST, "access": ["admin_web"]})
    for _ in range(5):
        assert nobody.ask("POST", "/session", {"username": "forgetful", "password": "wrong"}).status == 401
    assert nobody.ask("POST", "/session", {"username": "forgetful", "password": FIRST}).status == 401
    assert admin.told("GET", "/administrators/forgetful")["is_locked"] is True


def _content(path: Path) -> bytes:
    """What a file of a running node holds; one that was renamed meanwhile is read under its other name."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return path.with_suffix("").read_bytes() if path.suffix == ".new" else b""


def test_no_password_and_no_token_is_written_down(node: DevNode, admin: Rest, somebody: Callable[..., Rest]) -> None:
    session = somebody(name="secretive")
    program = session.told("POST", "/api-tokens", {"label": "canary"})["token"]
    session.as_token(program).told("GET", "/users")
    wrong = "Marmalade-Canary-77-Trombone"
    session.ask("POST", "/session", {"username": "secretive", "password": wrong})
    session.ask("POST", "/session", {"username": "secretive", "password": wrong, "more": wrong})
    secrets = [one.encode() for one in (FIRST, SECOND, wrong, session.token, admin.token, program)]
    files = [path for path in Path(node.folder).rglob("*") if path.is_file() and "insecure" not in path.parts]
    found = [(path.name, secret[:6]) for path in files for secret in secrets if secret in _content(path)]
    assert found == []
