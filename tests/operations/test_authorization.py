"""Who may do what with a key: one table, every operation, one right at a time.

Law of the table: the owner may do everything; a member of a group what it was granted and nothing else; for everybody
else the key does not exist. The table is complete: an operation on objects that is not in it fails a test.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from keystead.core.attributes import text
from keystead.core.errors import NotFound
from keystead.core.permission import EVERY_ACCESS, Access, Principal, Right, Switches
from keystead.core.policies import DAYS
from keystead.core.secret import Secret
from keystead.core.structures import name_value
from keystead.gate.operation import REGISTRY
from keystead.operations.admin_keys import ChangeKey, EraseKey, Move, RenameKey, SetKeyState, ShowKey
from keystead.operations.checks import Check
from keystead.operations.derivations import DeriveKey
from keystead.operations.grants import GiveRights, GrantKey, ListGrants, SetKeyFlags, SetOwner, TakeRights
from keystead.operations.key_changes import ModifyKey
from keystead.operations.key_clones import CloneKey
from keystead.operations.key_pairs import CreateKeyPair, Wishes
from keystead.operations.key_versions import CreateVersion, ImportVersion, ListVersions
from keystead.operations.macs import Mac, MacVerify
from keystead.operations.pieces import (
    DecryptPiece,
    EncryptPiece,
    MacPiece,
    MacVerifyPiece,
    SignatureVerifyPiece,
    SignPiece,
)
from keystead.operations.policies import ChangePolicy, CreatePolicy
from keystead.operations.replacements import Rekey, RekeyKeyPair
from keystead.operations.requests import (
    Activate,
    AddAttribute,
    CipherParameters,
    Condition,
    Decrypt,
    Delete,
    DeleteAttribute,
    Destroy,
    Encrypt,
    Get,
    GetAttributeList,
    GetAttributes,
    Locate,
    ModifyAttribute,
    Revoke,
    SetAttribute,
)
from keystead.operations.signatures import Sign, SignatureVerify
from keystead.operations.users import CreateUser
from tests.support import tokens
from tests.support.builders import (
    ADMINISTRATOR,
    ALICE,
    BOB,
    GLOBAL,
    PERMISSIVE,
    Node,
    a_key,
    a_node,
    a_user,
    attributes,
    creation,
    enumeration,
    registration,
)
from tests.support.engines import ENGINES

GCM = CipherParameters(mode=9, random_iv=True)
CMAC, CTR = CipherParameters(mode=7), CipherParameters(mode=6)


@dataclass(frozen=True)
class Row:
    """An operation on one key: the right it needs and a request for it."""

    right: Right
    request: Callable[[str], Any]


MATRIX = {
    "key.get": Row(Right.EXPORT, Get),
    "key.encrypt": Row(Right.ENCRYPT, lambda key: Encrypt(b"data", key, GCM)),
    "key.decrypt": Row(Right.DECRYPT, lambda key: Decrypt(b"data", key, GCM, bytes(12), tag=bytes(16))),
    "key.mac": Row(Right.MAC, lambda key: Mac(b"data", key, CMAC)),
    "key.mac_verify": Row(Right.MAC_VERIFY, lambda key: MacVerify(b"data", bytes(16), key, CMAC)),
    "key.sign": Row(Right.SIGN, lambda key: Sign(b"data", key)),
    "key.verify": Row(Right.VERIFY, lambda key: SignatureVerify(b"data", b"signature", key)),
    "key.encrypt_piece": Row(Right.ENCRYPT, lambda key: EncryptPiece(b"data", key, parameters=CTR, iv=bytes(16))),
    "key.decrypt_piece": Row(Right.DECRYPT, lambda key: DecryptPiece(b"data", key, parameters=CTR, iv=bytes(16))),
    "key.mac_piece": Row(Right.MAC, lambda key: MacPiece(b"data", key, parameters=CMAC)),
    "key.mac_verify_piece": Row(Right.MAC_VERIFY, lambda key: MacVerifyPiece(b"data", key, parameters=CMAC)),
    "key.sign_piece": Row(Right.SIGN, lambda key: SignPiece(b"data", key)),
    "key.verify_piece": Row(Right.VERIFY, lambda key: SignatureVerifyPiece(b"data", key)),
    "key.check": Row(Right.SEE, Check),
    "key.derive": Row(Right.DERIVE, lambda key: DeriveKey(2, key, 2)),
    "key.rekey": Row(Right.MODIFY, Rekey),
    "key.rekey_pair": Row(Right.MODIFY, RekeyKeyPair),
    "attributes.get": Row(Right.SEE, GetAttributes),
    "attributes.list": Row(Right.SEE, GetAttributeList),
    "attributes.add": Row(Right.MODIFY, lambda key: AddAttribute("x-New", text("v"), key)),
    "attributes.modify": Row(Right.MODIFY, lambda key: ModifyAttribute("x-Held", text("v"), target=key)),
    "attributes.delete": Row(Right.MODIFY, lambda key: DeleteAttribute("x-Held", target=key)),
    "attributes.set": Row(Right.MODIFY, lambda key: SetAttribute("x-New", text("v"), key)),
    "key.activate": Row(Right.MODIFY, Activate),
    "key.revoke": Row(Right.MODIFY, lambda key: Revoke(6, target=key)),
    "key.destroy": Row(Right.DELETE, Destroy),
    "key.delete": Row(Right.DELETE, Delete),
    "key.grant": Row(Right.MODIFY, lambda key: GrantKey(key, "others", 1)),
    "key.give": Row(Right.MODIFY, lambda key: GiveRights(key, 1, "others")),
    "key.take": Row(Right.MODIFY, lambda key: TakeRights(key, 1, "others")),
    "key.grants": Row(Right.MODIFY, ListGrants),
    "key.modify": Row(Right.MODIFY, lambda key: ModifyKey(key, deletable=False)),
    "key.clone": Row(Right.MODIFY, lambda key: CloneKey(key, "clone")),
    "key_version.create": Row(Right.MODIFY, CreateVersion),
    "key_version.import": Row(Right.MODIFY, lambda key: ImportVersion(key, Secret(bytes(32)))),
    "key_version.list": Row(Right.SEE, ListVersions),
}
PAST_THE_SWITCH = {None, "wrong_state.object", "refused.usage_mask", "invalid.object_type"}
OF_TWO_KEYS = {"key.get_wrapped"}  # tests/operations/test_wrapping.py
GRANTS = [Right.SEE, Right.ENCRYPT, Right.DECRYPT, Right.EXPORT, Right.DERIVE]
# What may be granted on an AES key; MAC keys have a test of their own.
OF_GRANTS = ("key.grant", "key.give", "key.take", "key.grants")
OF_ADMINISTRATORS_TOO = (*OF_GRANTS, "key.clone", "key_version.create", "key_version.import", "key_version.list")

EVERY_ROW = pytest.mark.parametrize("name", MATRIX)


@pytest.fixture(params=list(ENGINES))
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    """On both stores: clients may configure and export keys; nothing outdated."""
    with a_node(tmp_path, PERMISSIVE, ENGINES[request.param](tmp_path)) as node:
        yield node


@pytest.fixture
def key(node: Node) -> str:
    """Alice's key, active, with an attribute of hers."""
    key = a_key(node)
    node.ask(ALICE, AddAttribute("x-Held", text("v"), key))
    node.ask(ALICE, AddAttribute("Name", name_value("target"), key))
    return key


def outcome(node: Node, principal: Principal, name: str, key: str) -> str:
    reason = node.reason(principal, MATRIX[name].request(key))
    return {"refused.permission": "refused", "not_found.item": "hidden"}.get(reason or "", "let through")


def test_the_table_has_every_operation_on_objects() -> None:
    on_objects = {d.name for d in REGISTRY.values() if d.targets and d.user is not None}
    assert on_objects == set(MATRIX) | OF_TWO_KEYS


@EVERY_ROW
@pytest.mark.row("KS-KEY-005")
def test_the_owner_may_do_everything_also_when_their_group_is_restricted(node: Node, key: str, name: str) -> None:
    node.ask(ALICE, GrantKey(key, "staff", int(Right.SEE)))
    assert outcome(node, replace(ALICE, groups=frozenset({"staff"})), name, key) == "let through"


@EVERY_ROW
@pytest.mark.parametrize("granted", GRANTS, ids=lambda right: right.name)
@pytest.mark.row("KS-KEY-004", "KS-AUTH-013")
def test_a_member_may_do_what_the_group_was_granted_and_nothing_else(
    node: Node, key: str, name: str, granted: Right
) -> None:
    node.ask(ALICE, GrantKey(key, "staff", int(granted)))
    before = node.record(key)
    member = a_user("carol", "staff")
    permitted = MATRIX[name].right in (granted, Right.SEE)
    assert outcome(node, member, name, key) == ("let through" if permitted else "refused")
    assert permitted or node.record(key) == before


@EVERY_ROW
@pytest.mark.parametrize("granted", GRANTS[1:], ids=lambda right: right.name)
@pytest.mark.row("KS-KEY-021", "KS-POL-001", "KS-POL-017")
def test_a_member_may_do_what_the_group_was_granted_under_a_policy_as_far_as_it_goes(
    node: Node, key: str, name: str, granted: Right
) -> None:
    node.ask(ADMINISTRATOR, CreatePolicy("once", 1))
    node.ask(ALICE, GrantKey(key, "staff", int(granted), "once"))
    before = node.record(key)
    member, right, request = a_user("carol", "staff"), MATRIX[name].right, MATRIX[name].request
    assert outcome(node, a_user("dave", "others"), name, key) == "hidden"
    if right == Right.SEE:
        assert [outcome(node, member, name, key) for _ in range(3)] == ["let through"] * 3
    elif right == granted:
        assert outcome(node, member, name, key) == "let through"
        assert node.reason(member, request(key)) == "refused.policy_rate"
        node.ask(ADMINISTRATOR, ChangePolicy("once", 0))
        assert outcome(node, member, name, key) == "let through"
        node.ask(ADMINISTRATOR, ChangePolicy("once", periods=(elsewhen(node),)))
        assert node.reason(member, request(key)) == "refused.policy_period"
    else:
        assert outcome(node, member, name, key) == "refused"
        assert node.record(key) == before


def elsewhen(node: Node) -> str:
    """A minute of the week that is half a week away."""
    local = time.localtime(node.clock.us / 1e6 + 3.5 * 86_400)
    day = DAYS[local.tm_wday]
    return f"{day} {local.tm_hour:02}:00-{day} {local.tm_hour:02}:01"


@EVERY_ROW
@pytest.mark.parametrize("granted", GRANTS, ids=lambda right: right.name)
def test_a_user_may_do_what_they_were_granted_themselves_and_nothing_else(
    node: Node, key: str, name: str, granted: Right
) -> None:
    for user in ("bob", "carol"):
        node.ask(ADMINISTRATOR, CreateUser(user))
    node.ask(ALICE, GiveRights(key, int(granted), user="bob"))
    before = node.record(key)
    permitted = MATRIX[name].right in (granted, Right.SEE)
    assert outcome(node, BOB, name, key) == ("let through" if permitted else "refused")
    assert permitted or node.record(key) == before
    assert outcome(node, a_user("carol", "bob", "user"), name, key) == "hidden"  # groups of such names are others


@EVERY_ROW
@pytest.mark.parametrize(
    "asker",
    [BOB, a_user("carol", "others"), GLOBAL, replace(ALICE, realm="tenant"), replace(ALICE, name="Alice")],
    ids=["stranger", "other group", "global session", "other realm", "other case"],
)
@pytest.mark.row("KS-KEY-004")
def test_for_everybody_else_the_key_does_not_exist(node: Node, key: str, name: str, asker: Principal) -> None:
    node.ask(ALICE, GrantKey(key, "staff", int(Right.SEE | Right.EXPORT | Right.ENCRYPT | Right.DECRYPT)))
    before = node.record(key)
    assert outcome(node, asker, name, key) == "hidden"
    assert node.record(key) == before
    unknown = MATRIX[name].request("018f0000-0000-7000-8000-000000000000")
    with pytest.raises(NotFound) as of_unknown:
        node.ask(asker, unknown)
    with pytest.raises(NotFound) as of_hidden:
        node.ask(asker, MATRIX[name].request(key))
    assert of_hidden.value.message == of_unknown.value.message


@pytest.fixture(scope="module", params=[True, False], ids=["cache on", "cache off"])
def token_node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Keys under a PKCS#11 token instead of the software module."""
    folder = tmp_path_factory.mktemp("token")
    with tokens.softhsm(folder) as bench, a_node(folder, PERMISSIVE, bench=bench) as node:
        node.module.set_key_cache(enabled=request.param)
        yield node


@EVERY_ROW
def test_keys_under_a_token_are_for_nobody_else_either(token_node: Node, name: str) -> None:
    """Attack class 23: what a security module does is judged as what software does, held keys or not."""
    node, right = token_node, MATRIX[name].right
    keys = [a_key(node) for _ in range(3)]
    for key in keys:
        node.ask(ALICE, AddAttribute("x-Held", text("v"), key))
        node.ask(ALICE, GrantKey(key, "staff", int(Right.SEE)))
    assert outcome(node, ALICE, name, keys[0]) == "let through"
    before = node.record(keys[1])
    for asker in (BOB, a_user("carol", "others"), GLOBAL):
        assert outcome(node, asker, name, keys[1]) == "hidden"
    assert outcome(node, a_user("carol", "staff"), name, keys[1]) == (
        "let through" if right == Right.SEE else "refused"
    )
    assert node.record(keys[1]) == before
    node.module.deactivate()
    try:
        assert node.reason(BOB, MATRIX[name].request(keys[2])) in {"not_found.item", "unavailable.locked"}
        assert node.reason(BOB, Get(keys[2])) in {"not_found.item", "unavailable.locked"}
    finally:
        node.unlock()


@EVERY_ROW
def test_everybody_may_use_a_key_of_nobody_while_global_keys_are_on(node: Node, name: str) -> None:
    node.gate.switches = replace(PERMISSIVE, global_keys=True)
    key = a_key(node, GLOBAL)
    node.ask(GLOBAL, AddAttribute("x-Held", text("v"), key))
    askers = (GLOBAL, BOB)
    if name not in OF_GRANTS[:3]:  # nothing is granted on such a key
        assert outcome(node, askers[len(name) % 2], name, key) == "let through"
    node.gate.switches = PERMISSIVE
    assert [outcome(node, asker, name, key) for asker in askers] == ["hidden", "hidden"]


CONFIGURING = (
    "key.create",
    "key.create_pair",
    "key.register",
    *(name for name, row in MATRIX.items() if row.right > Right.EXPORT and name != "key.grants"),
)


@pytest.mark.parametrize("name", CONFIGURING)
@pytest.mark.row("KS-KMIP-007")
def test_clients_configure_keys_only_while_that_is_switched_on(node: Node, key: str, name: str) -> None:
    births = {
        "key.create": creation(),
        "key.create_pair": CreateKeyPair(Wishes(attributes(Cryptographic_Algorithm=enumeration(26)))),
        "key.register": registration(bytes(32)),
    }
    request = births[name] if name in births else MATRIX[name].request(key)
    node.gate.switches = Switches(key_export=True)
    before = node.record(key)
    assert node.reason(ALICE, request) == "refused.switched_off"
    assert node.record(key) == before
    node.gate.switches = PERMISSIVE
    assert node.reason(ALICE, request) in PAST_THE_SWITCH  # it is active: past the switch anyway


@EVERY_ROW
@pytest.mark.row("KS-GEN-012")
def test_administrators_use_no_keys(node: Node, key: str, name: str) -> None:
    expected = "let through" if name in OF_ADMINISTRATORS_TOO else "refused"
    assert outcome(node, ADMINISTRATOR, name, key) == expected
    assert node.reason(ADMINISTRATOR, creation()) == "refused.permission"


FOR_ADMINISTRATORS: dict[str, Callable[[str], Any]] = {
    "key.grant": lambda key: GrantKey(key, "staff", int(Right.SEE)),
    "key.give": lambda key: GiveRights(key, int(Right.SEE), "staff"),
    "key.take": lambda key: TakeRights(key, int(Right.SEE), "staff"),
    "key.grants": ListGrants,
    "key.set_owner": lambda key: SetOwner(key, "bob"),
    "key.set_flags": lambda key: SetKeyFlags(key, exportable=False),
    "key.show": ShowKey,
    "key.rename": lambda key: RenameKey(key, "renamed"),
    "key.change": lambda key: ChangeKey(key, description="changed"),
    "key.set_state": lambda key: SetKeyState(key, Move.DEACTIVATED),
    "key.erase": lambda key: EraseKey(key, key),
    "key.clone": lambda key: CloneKey(key, "clone"),
}
OF_PAIRS = {"key.public_key"}
OF_VERSIONS = {
    "key_version.create",
    "key_version.import",
    "key_version.list",
    "key_version.set_state",
}  # test_version_rights.py


def test_the_table_has_every_operation_of_administrators_on_objects() -> None:
    administrators = {d.name for d in REGISTRY.values() if d.targets and d.administrator is not None}
    assert administrators == set(FOR_ADMINISTRATORS) | OF_PAIRS | OF_VERSIONS


@pytest.mark.parametrize("name", FOR_ADMINISTRATORS)
def test_administrators_change_permissions_only_with_access_to_keys(node: Node, key: str, name: str) -> None:
    node.ask(ADMINISTRATOR, CreateUser("bob"))
    request = FOR_ADMINISTRATORS[name](key)
    without = replace(ADMINISTRATOR, access=EVERY_ACCESS & ~Access.KEYS)
    assert node.reason(without, request) == "refused.permission"
    assert node.reason(replace(ADMINISTRATOR, realm="tenant"), request) == "not_found.item"
    assert node.reason(ADMINISTRATOR, request) is None
    assert node.reason(BOB, request) in {"not_found.item", "refused.permission"}


def test_a_grant_taken_back_hides_the_key_again(node: Node, key: str) -> None:
    member = a_user("carol", "staff")
    name = Condition("Name", name_value("target"))
    node.ask(ALICE, GrantKey(key, "staff", int(Right.ENCRYPT)))
    assert node.ask(member, Locate((name,))).ids == (key,)
    node.ask(ALICE, GrantKey(key, "staff", 0))
    assert node.ask(member, Locate((name,))).ids == ()
    assert outcome(node, member, "key.encrypt", key) == "hidden"
    assert node.record(key).grants == {}


@pytest.mark.row("KS-KEY-006")
def test_groups_are_granted_nothing_on_a_key_of_nobody(node: Node) -> None:
    node.gate.switches = replace(PERMISSIVE, global_keys=True)
    key = a_key(node, GLOBAL)
    request = GrantKey(key, "staff", int(Right.SEE))
    assert [node.reason(asker, request) for asker in (GLOBAL, BOB, ADMINISTRATOR)] == ["refused.permission"] * 3


ENCRYPTING = {Right.SEE, Right.ENCRYPT, Right.DECRYPT, Right.EXPORT, Right.DERIVE}
AUTHENTICATING = {Right.SEE, Right.MAC, Right.MAC_VERIFY, Right.EXPORT, Right.DERIVE}


@pytest.mark.row("KS-KEY-022")
@pytest.mark.parametrize(("algorithm", "possible"), [(3, ENCRYPTING), (9, AUTHENTICATING)], ids=["AES", "HMAC-SHA256"])
def test_only_what_the_algorithm_can_do_is_granted(node: Node, algorithm: int, possible: set[Right]) -> None:
    key = a_key(node, algorithm=algorithm)
    for right in Right:
        accepted = node.reason(ALICE, GrantKey(key, "staff", int(right))) is None
        assert accepted == (right in possible), right
    assert node.reason(ALICE, GrantKey(key, "staff", -1)) == "invalid.field"
    assert node.reason(ALICE, GrantKey(key, "staff", 1 << 40)) == "invalid.field"


def test_groups_of_a_key_are_bounded_and_have_names(node: Node, key: str) -> None:
    node.change(key, grants={f"group-{number}": 1 for number in range(100)})
    assert node.reason(ALICE, GrantKey(key, "one-more", 1)) == "invalid.field"
    assert node.reason(ALICE, GrantKey(key, "group-7", 5)) is None
    assert node.reason(ALICE, GrantKey(key, "no such name", 1)) == "invalid.field"
