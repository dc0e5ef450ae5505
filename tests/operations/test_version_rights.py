"""Who may do what with an older version of a key, in each of its states: every operation on objects, one by one."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystead.core.attributes import text
from keystead.core.key_versions import PERMITTED, VersionState
from keystead.core.permission import EVERY_ACCESS, Access, Right
from keystead.core.secret import Secret
from keystead.gate.operation import REGISTRY
from keystead.operations.admin_keys_made import GenerateKey
from keystead.operations.grants import GiveRights, GrantKey
from keystead.operations.key_versions import CreateVersion, ImportVersion, ListVersions, SetVersionState
from keystead.operations.policies import CreatePolicy
from keystead.operations.requests import AddAttribute, CipherParameters, Encrypt, Get
from keystead.operations.users import CreateUser
from tests.operations.test_authorization import MATRIX
from tests.support.builders import ADMINISTRATOR, ALICE, BOB, GLOBAL, PERMISSIVE, Node, a_node, a_user

MEMBER = a_user("carol", "staff")
ON_THE_KEY = {
    one.name for one in REGISTRY.values() if one.user is not None and any(target.by_name for target in one.targets)
}
"""Operations that take any version's id for the key."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with a_node(tmp_path, PERMISSIVE) as node:
        for user in ("alice", "bob"):
            node.ask(ADMINISTRATOR, CreateUser(user))
        yield node


@pytest.fixture
def older(node: Node) -> str:
    """The first of two versions of a key of alice."""
    made = node.ask(ADMINISTRATOR, GenerateKey("tape", owner="alice", exportable=True, deletable=True, versioned=True))
    node.ask(ALICE, AddAttribute("x-Held", text("v"), made.key.id))
    node.ask(ADMINISTRATOR, CreateVersion("tape"))
    first: str = made.key.id
    return first


def outcome(node: Node, principal: Any, request: Any) -> str:
    try:
        node.ask(principal, request)
    except Exception as error:  # noqa: BLE001  # all of them are told apart
        message, reason = getattr(error, "message", ""), getattr(error, "reason", "broken")
        if reason == "wrong_state.object" and message.startswith(("version 1 of", "this is version 1 of")):
            return "state"
        return {"refused.permission": "refused", "not_found.item": "hidden"}.get(reason, "let through")
    return "let through"


@pytest.mark.parametrize("name", MATRIX)
@pytest.mark.row("KS-KEY-016", "KS-KEY-018", "KS-KEY-019")
def test_the_owner_may_do_what_the_state_allows(node: Node, older: str, name: str) -> None:
    row = MATRIX[name]
    for state in VersionState:
        node.ask(ADMINISTRATOR, SetVersionState("tape", 1, state))
        is_let = name in ON_THE_KEY or bool(row.right & PERMITTED[state])
        assert outcome(node, ALICE, row.request(older)) == ("let through" if is_let else "state"), state


@pytest.mark.parametrize("granted", [Right.ENCRYPT, Right.DECRYPT, Right.EXPORT], ids=lambda right: right.name)
@pytest.mark.parametrize("name", MATRIX)
@pytest.mark.row("KS-KEY-019")
def test_a_member_may_do_what_grant_and_state_allow(node: Node, older: str, name: str, granted: Right) -> None:
    node.ask(ALICE, GrantKey("tape", "staff", int(granted)))
    row = MATRIX[name]
    for state in VersionState:
        node.ask(ADMINISTRATOR, SetVersionState("tape", 1, state))
        found = outcome(node, MEMBER, row.request(older))
        if row.right not in (granted, Right.SEE):
            assert found == "refused", state
        elif name in ON_THE_KEY or row.right & PERMITTED[state]:
            assert found == "let through", state
        else:
            assert found == "state", state


@pytest.mark.parametrize("name", MATRIX)
def test_for_everybody_else_the_version_does_not_exist(node: Node, older: str, name: str) -> None:
    node.ask(ALICE, GrantKey("tape", "staff", int(Right.ENCRYPT | Right.DECRYPT | Right.EXPORT)))
    key = node.record(node.ask(ALICE, ListVersions("tape")).versions[0].id).versioning
    assert key is not None
    for state in VersionState:
        node.ask(ADMINISTRATOR, SetVersionState("tape", 1, state))
        for asker in (BOB, GLOBAL, a_user("dave", "others"), replace(ALICE, realm="tenant")):
            assert outcome(node, asker, MATRIX[name].request(older)) == "hidden", state
            assert outcome(node, asker, MATRIX[name].request(key.family)) == "hidden"
    assert node.reason(ALICE, Get(key.family)) == "not_found.item"


@pytest.mark.parametrize(
    "request_of",
    [
        CreateVersion,
        ListVersions,
        lambda key: SetVersionState(key, 1, VersionState.RESTRICTED),
        lambda key: ImportVersion(key, Secret(b64encode(bytes(32)))),
    ],
    ids=["create", "list", "set_state", "import"],
)
def test_administrators_need_access_to_keys(node: Node, older: str, request_of: Any) -> None:
    request = request_of(older)
    without = replace(ADMINISTRATOR, access=EVERY_ACCESS & ~Access.KEYS)
    assert node.reason(without, request) == "refused.permission"
    assert node.reason(replace(ADMINISTRATOR, realm="tenant"), request) == "not_found.item"
    assert node.reason(ADMINISTRATOR, request) in {None, "invalid.key"}  # the key was made here
    assert node.reason(BOB, request) in {"not_found.item", "refused.permission"}


@pytest.mark.parametrize("name", [name for name in MATRIX if name not in ON_THE_KEY])
def test_administrators_use_no_versions(node: Node, older: str, name: str) -> None:
    for state in VersionState:
        node.ask(ADMINISTRATOR, SetVersionState("tape", 1, state))
        assert outcome(node, ADMINISTRATOR, MATRIX[name].request(older)) == "refused"


def test_a_policy_counts_all_versions_as_one_key(node: Node, older: str) -> None:
    node.ask(ADMINISTRATOR, CreatePolicy("office", 3))
    node.ask(ADMINISTRATOR, GiveRights("tape", int(Right.ENCRYPT), "staff", policy="office"))
    newest = node.ask(ALICE, ListVersions("tape")).versions[0].id
    node.ask(ADMINISTRATOR, SetVersionState("tape", 1, VersionState.RESTRICTED))
    encrypting = [Encrypt(b"data", key, CipherParameters(mode=9, random_iv=True)) for key in (older, newest)]
    assert outcome(node, MEMBER, encrypting[0]) == "state"  # and counts for nothing
    node.ask(ADMINISTRATOR, SetVersionState("tape", 1, VersionState.ACTIVE))
    assert [node.reason(MEMBER, one) for one in (*encrypting, *encrypting)] == [None] * 3 + ["refused.policy_rate"]
    node.ask(ADMINISTRATOR, CreateVersion("tape"))
    latest = Encrypt(b"data", "", CipherParameters(mode=9, random_iv=True))._replace(
        target=node.ask(ALICE, ListVersions("tape")).versions[0].id
    )
    assert [node.reason(MEMBER, one) for one in (latest, *encrypting)] == ["refused.policy_rate"] * 3
    assert node.reason(MEMBER, Get(older)) == "refused.permission"
    assert node.reason(BOB, encrypting[0]) == "not_found.item"
