"""Clones of keys, and the way from a plain key to a versioned one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keystead.core.key_versions import VersionState
from keystead.core.permission import Right
from keystead.core.structures import name_value
from keystead.operations.admin_keys import EraseKey, Move, SetKeyState, ShowKey
from keystead.operations.admin_keys_made import GenerateKey, MadeKey, ShowPublicKey
from keystead.operations.grants import GiveRights, GrantKey
from keystead.operations.key_changes import ModifyKey
from keystead.operations.key_clones import CloneKey
from keystead.operations.key_versions import CreateVersion, ListVersions, SetVersionState
from keystead.operations.requests import CipherParameters, Condition, Decrypt, Encrypt, Get, Locate
from keystead.operations.signatures import Sign, SignatureVerify
from keystead.operations.users import CreateUser
from tests.support.builders import (
    ADMINISTRATOR,
    ALICE,
    BOB,
    EVERYTHING,
    GLOBAL,
    PERMISSIVE,
    Node,
    a_key,
    a_node,
    attribute,
)
from tests.support.engines import ENGINES

GCM = CipherParameters(mode=9, random_iv=True)


@pytest.fixture(params=list(ENGINES))
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    with a_node(tmp_path, PERMISSIVE, ENGINES[request.param](tmp_path)) as node:
        node.ask(ADMINISTRATOR, CreateUser("alice"))
        yield node


def generated(node: Node, name: str = "tape", algorithm: str = "AES-256", **more: Any) -> MadeKey:
    request = GenerateKey(name, algorithm, "alice", exportable=True, **more)
    made: MadeKey = node.ask(ADMINISTRATOR, request)
    return made


def bytes_of(node: Node, key: str) -> bytes:
    found: bytes = node.ask(ALICE, Get(key)).block.material.reveal()
    return found


@pytest.mark.row("KS-KEY-051")
def test_a_clone_has_the_same_bytes_and_metadata(node: Node) -> None:
    key = generated(node, attributes=("x-site=north",), description="d").key
    node.ask(ADMINISTRATOR, GiveRights("tape", int(Right.DECRYPT), "staff"))
    clone = node.ask(ADMINISTRATOR, CloneKey("tape", "copy"))
    assert clone.key.id != key.id
    assert bytes_of(node, clone.key.id) == bytes_of(node, key.id)
    first, second = (node.ask(ADMINISTRATOR, ShowKey(name)) for name in ("tape", "copy"))
    assert (second.grants, second.attributes, second.usage, second.digest) == (
        *(first.grants, first.attributes, first.usage, first.digest),
    )
    assert (second.key.owner, second.key.state, second.key.names) == ("alice", "active", ("copy",))
    assert (second.exportable, second.deletable) == (True, False)
    bare = node.ask(ADMINISTRATOR, CloneKey("tape", "bare", copy_grants=False, copy_attributes=False)).key.id
    told = node.ask(ADMINISTRATOR, ShowKey(bare))
    assert (told.grants, told.attributes, bytes_of(node, bare)) == ((), (), bytes_of(node, key.id))
    node.ask(ADMINISTRATOR, EraseKey("tape", "tape"))
    assert len(bytes_of(node, clone.key.id)) == 32


@pytest.mark.row("KS-KEY-052", "KS-KEY-051")
def test_a_plain_key_becomes_a_versioned_one_by_cloning(node: Node) -> None:
    key = generated(node).key
    sealed = node.ask(ALICE, Encrypt(b"data", key.id, GCM))
    clone = node.ask(ADMINISTRATOR, CloneKey("tape", "tapes", versioned=True)).key
    assert (clone.versions_count, clone.state) == (1, "-")
    node.ask(ADMINISTRATOR, CreateVersion("tapes"))
    assert node.ask(ALICE, Decrypt(sealed.data, clone.id, GCM, sealed.iv, tag=sealed.tag)).data == b"data"
    assert bytes_of(node, clone.id) == bytes_of(node, key.id)
    assert node.ask(ALICE, Locate((Condition("Name", name_value("tapes")),))).ids != (clone.id,)
    node.ask(ADMINISTRATOR, SetKeyState("tape", Move.DEACTIVATED))
    assert node.reason(ADMINISTRATOR, CloneKey("tape", "late", versioned=True)) == "invalid.field"


def test_a_clone_of_a_versioned_key_has_all_of_its_versions(node: Node) -> None:
    generated(node, versioned=True)
    for _ in range(3):
        node.clock.pass_s(1)
        node.ask(ADMINISTRATOR, CreateVersion("tape"))
    node.ask(ADMINISTRATOR, SetVersionState("tape", 2, VersionState.RESTRICTED))
    assert node.reason(ADMINISTRATOR, CloneKey("tape", "copy", versioned=True)) == "invalid.field"
    node.ask(ADMINISTRATOR, CloneKey("tape", "copy"))
    ours, theirs = (node.ask(ADMINISTRATOR, ListVersions(name)).versions for name in ("tape", "copy"))
    assert [(one.version, one.state, one.default_iv, one.is_default) for one in theirs] == [
        (one.version, one.state, one.default_iv, one.is_default) for one in ours
    ]
    assert not {one.id for one in ours} & {one.id for one in theirs}
    for one, other in zip(ours, theirs, strict=True):
        if one.state is VersionState.ACTIVE:
            assert bytes_of(node, one.id) == bytes_of(node, other.id)
    node.ask(ADMINISTRATOR, EraseKey("tape", "tape"))
    assert [one.version for one in node.ask(ADMINISTRATOR, ListVersions("copy")).versions] == [4, 3, 2, 1]
    assert node.ask(ADMINISTRATOR, CreateVersion("copy")).version == 5


def test_a_clone_of_a_pair_is_a_pair(node: Node) -> None:
    pair = generated(node, "pair", "EC-P256")
    clone = node.ask(ADMINISTRATOR, CloneKey("pair", "twin"))
    assert clone.public_id not in {"", pair.public_id}
    signature = node.ask(ALICE, Sign(b"data", clone.key.id, CipherParameters(hashing=6))).signature
    for public in (pair.public_id, clone.public_id):
        assert node.ask(ALICE, SignatureVerify(b"data", signature, public, CipherParameters(hashing=6))).is_valid
    assert node.ask(ADMINISTRATOR, ShowPublicKey("twin")).pem == node.ask(ADMINISTRATOR, ShowPublicKey("pair")).pem
    node.ask(ADMINISTRATOR, EraseKey("twin", "twin"))
    assert node.reason(ALICE, Get(clone.public_id)) == "wrong_state.destroyed"
    assert node.reason(ALICE, Get(pair.public_id)) is None
    assert node.reason(ADMINISTRATOR, CloneKey("pair", "more", versioned=True)) == "invalid.object_type"


@pytest.mark.row("KS-NAE-013")
def test_only_owners_clone_and_gain_nothing_by_it(node: Node) -> None:
    node.ask(ADMINISTRATOR, GenerateKey("kept", owner="alice"))
    node.ask(ADMINISTRATOR, GrantKey("kept", "staff", int(Right.EXPORT | Right.ENCRYPT)))
    clone = node.ask(ALICE, CloneKey("kept", "copy")).key
    assert clone.owner == "alice"
    assert node.reason(ALICE, Get(clone.id)) == "refused.permission"
    member = BOB.__class__("user", "bob", groups=frozenset({"staff"}))
    assert node.reason(member, CloneKey("kept", "mine")) == "refused.permission"
    assert node.reason(BOB, CloneKey("kept", "mine")) == "not_found.item"
    assert node.reason(ALICE, CloneKey("kept", "copy")) == "exists"
    assert node.reason(ALICE, CloneKey("kept", "no name")) == "invalid.field"
    node.gate.switches = type(PERMISSIVE)(key_export=True)
    assert node.reason(ALICE, CloneKey("kept", "late")) == "refused.switched_off"


def test_a_clone_of_a_key_of_nobody_is_nobodys(node: Node) -> None:
    node.gate.switches = EVERYTHING
    key = a_key(node, GLOBAL)
    assert node.ask(BOB, CloneKey(key, "copy")).key.owner is None
    node.gate.switches = PERMISSIVE
    assert node.reason(ADMINISTRATOR, CloneKey(key, "more")) == "refused.switched_off"


@pytest.mark.row("KS-NAE-012")
def test_an_owner_changes_metadata_and_only_gives_flags_away(node: Node) -> None:
    key = generated(node, attributes=("x-a=1", "x-b=2")).key.id
    changing = ModifyKey("tape", "band", exportable=False, attributes=("x-a=3",), without=("x-b",))
    node.ask(ALICE, changing)
    told = node.ask(ADMINISTRATOR, ShowKey("band"))
    assert [(one.name, one.value) for one in told.attributes] == [("x-a", "3")]
    assert (told.key.id, told.key.names, told.exportable) == (key, ("band",), False)
    assert node.reason(ALICE, ModifyKey("band", exportable=True)) == "refused.permission"
    assert node.reason(ALICE, ModifyKey("band", deletable=True)) == "refused.permission"
    assert node.reason(ALICE, ModifyKey("band")) == "invalid.missing"
    assert node.reason(ALICE, ModifyKey("band", "next", attributes=("State=1",))) is not None
    assert attribute(node, ALICE, key, "x-a") == "3"
    assert node.ask(ADMINISTRATOR, ShowKey(key)).key.name == "band"
    assert node.reason(BOB, ModifyKey("band", "mine")) == "not_found.item"
    assert node.reason(ADMINISTRATOR, ModifyKey("band", "mine")) == "refused.permission"
