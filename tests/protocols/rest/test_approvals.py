"""Two people guard what the other changes, over HTTP and at the key server: requests wait, and run once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.protocols.rest.conftest import FIRST, SECOND
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Refused
from tests.support.rest.client import Reply, Rest, administrator, stranger


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DevNode, Rest, Rest]]:
    """A node where two administrators with high access have to stand behind changes, and both of them."""
    node = DevNode(tmp_path_factory.mktemp("guarded"), web=True)
    node.start()
    first = administrator(node)
    first.told("POST", "/administrators", {"name": "second", "password": FIRST, "access": ["all"]})
    second = stranger(node).logged_in("second", FIRST)
    second.told("PUT", "/session/password", {"current": FIRST, "new": SECOND})
    first.told("PUT", "/settings/multiple_credentials/required", {"value": True})
    yield node, first, second
    node.stop()


def waiting(reply: Reply, inbox: Rest) -> dict[str, str]:
    """The request that an answer says is waiting, as others see it."""
    assert (reply.status, reply.reason) == (409, "pending.approval"), reply.body
    (found,) = [one for one in inbox.told("GET", "/approvals")["items"] if one["id"] in reply.body["detail"]]
    return dict(inbox.told("GET", f"/approvals/{found['id']}"))


@pytest.mark.row("KS-MC-004")
def test_a_key_is_made_by_two_and_erased_by_two(guarded: tuple[DevNode, Rest, Rest]) -> None:
    node, first, second = guarded
    asked = waiting(first.ask("POST", "/keys", {"name": "guarded", "owner": "alice", "exportable": True}), second)
    assert first.ask("GET", "/keys/guarded").status == 404
    done = second.told("POST", f"/approvals/{asked['id']}/approve", {"hash": asked["hash"]})
    assert (done["state"], done["approved_by"]) == ("done", ["second"])
    key = first.told("GET", "/keys/guarded")["key"]["id"]
    with node.session("alice") as session:
        assert len(session.key(key)) == 32
        erasing = waiting(first.ask("DELETE", "/keys/guarded?confirm=guarded"), second)
        assert len(session.key(key)) == 32
        second.told("POST", f"/approvals/{erasing['id']}/approve", {"hash": erasing["hash"]})
        with pytest.raises(Refused):
            session.key(key)
    assert second.ask("POST", f"/approvals/{erasing['id']}/approve", {"hash": erasing["hash"]}).status in (403, 409)


@pytest.mark.row("KS-MC-005")
def test_nobody_approves_alone_or_something_else(guarded: tuple[DevNode, Rest, Rest]) -> None:
    _, first, second = guarded
    asked = waiting(first.ask("POST", "/users", {"name": "lonely"}), second)
    place = f"/approvals/{asked['id']}/approve"
    assert first.ask("POST", place, {"hash": asked["hash"]}).status == 403
    assert second.ask("POST", place, {"hash": "0" * 64}).status == 403
    program = second.as_token(second.told("POST", "/api-tokens", {"label": "p", "scopes": ["high_access"]})["token"])
    assert program.ask("POST", place, {"hash": asked["hash"]}).status == 403
    assert first.ask("GET", "/users/lonely").status == 404
    second.told("POST", f"/approvals/{asked['id']}/refuse", {"reason": "not needed"})
    assert second.ask("POST", place, {"hash": asked["hash"]}).status in (403, 409)
    assert first.told("GET", f"/approvals/{asked['id']}")["state"] == "refused"
    assert first.ask("GET", "/users/lonely").status == 404


def test_an_imported_keys_bytes_are_not_shown_to_approvers_or_kept_in_clear(
    guarded: tuple[DevNode, Rest, Rest],
) -> None:
    node, first, second = guarded
    material = "Q2FuYXJ5LTc3LVRyb21ib25lLUNhbmFyeS03Ny1Ucm8="
    asked = waiting(first.ask("POST", "/imported-keys", {"name": "brought", "material": material}), second)
    assert material not in str(asked)
    files = [path for path in Path(node.data).rglob("*") if path.is_file()]
    assert [path.name for path in files if material.encode() in path.read_bytes()] == []
    done = second.told("POST", f"/approvals/{asked['id']}/approve", {"hash": asked["hash"]})
    assert done["state"] in ("done", "failed")
    assert (first.ask("GET", "/keys/brought").status == 200) is (done["state"] == "done")


def test_users_are_not_bound(guarded: tuple[DevNode, Rest, Rest]) -> None:
    node, _, _ = guarded
    with node.session("alice") as session:
        assert session.key(session.identifier(messages.create()))


@pytest.mark.row("KS-MC-021")
def test_who_was_granted_it_makes_keys_without_asking_until_the_grant_is_revoked(
    guarded: tuple[DevNode, Rest, Rest],
) -> None:
    _, first, second = guarded
    asked = waiting(first.ask("PUT", "/settings/multiple_credentials/grants_allowed", {"value": True}), second)
    second.told("POST", f"/approvals/{asked['id']}/approve", {"hash": asked["hash"]})
    granted = second.told("POST", "/credentials", {"to": "admin", "hours": 1, "operations": ["change_keys"]})
    for number in range(3):
        assert first.ask("POST", "/keys", {"name": f"granted-{number}", "owner": "alice"}).status == 201
    assert first.ask("POST", "/users", {"name": "ungranted"}).reason == "pending.approval"
    assert second.ask("POST", "/keys", {"name": "not-the-grantee", "owner": "alice"}).reason == "pending.approval"
    assert [one["id"] for one in first.told("GET", "/credentials")["items"]] == [granted["id"]]
    second.told("DELETE", f"/credentials/{granted['id']}")
    assert first.ask("POST", "/keys", {"name": "granted-4", "owner": "alice"}).reason == "pending.approval"
