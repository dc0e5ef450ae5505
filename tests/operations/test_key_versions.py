"""Versioned keys: several bytes under one name."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keystead.core.attributes import text
from keystead.core.changes import Put
from keystead.core.errors import WrongState
from keystead.core.key_versions import VersionState
from keystead.core.permission import Right
from keystead.core.records import KIND_KEY_VERSION, KIND_SETTINGS, Record
from keystead.core.secret import Secret
from keystead.core.structures import name_value
from keystead.gate.call import Batch
from keystead.operations.admin_key_search import FindKeys
from keystead.operations.admin_keys import ChangeKey, EraseKey, Move, RenameKey, SetKeyState, ShowKey
from keystead.operations.admin_keys_made import GenerateKey, ImportKey, KeyEncoding
from keystead.operations.derivations import DeriveKey
from keystead.operations.grants import GiveRights, SetKeyFlags, SetOwner
from keystead.operations.key_versions import CreateVersion, ImportVersion, KeyVersion, ListVersions, SetVersionState
from keystead.operations.macs import Mac, MacVerify
from keystead.operations.replacements import Rekey
from keystead.operations.requests import (
    AddAttribute,
    CipherParameters,
    Condition,
    Decrypt,
    Delete,
    Destroy,
    Encrypt,
    Get,
    GetAttributes,
    Locate,
    Revoke,
)
from keystead.operations.users import CreateUser
from keystead.storage.store import KIND_COUNTER
from tests.support.builders import ADMINISTRATOR, ALICE, BOB, PERMISSIVE, Node, a_node, a_user, attribute
from tests.support.engines import ENGINES

ACTIVE, RESTRICTED, RETIRED = VersionState
GCM = CipherParameters(mode=9, random_iv=True)
HEXADECIMAL = KeyEncoding.HEXADECIMAL


@pytest.fixture(params=list(ENGINES))
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    """On both stores, with a user."""
    with a_node(tmp_path, PERMISSIVE, ENGINES[request.param](tmp_path)) as node:
        node.ask(ADMINISTRATOR, CreateUser("alice"))
        node.ask(ADMINISTRATOR, CreateUser("bob"))
        yield node


def of_alice(node: Node, name: str = "tape", algorithm: str = "AES-256", **more: Any) -> str:
    """The id of the first version of a new versioned key."""
    request = GenerateKey(name, algorithm, "alice", exportable=True, versioned=True, **more)
    made: str = node.ask(ADMINISTRATOR, request).key.id
    return made


def next_version(node: Node, key: str = "tape") -> str:
    made: KeyVersion = node.ask(ADMINISTRATOR, CreateVersion(key))
    return made.id


def versions(node: Node, key: str = "tape") -> list[KeyVersion]:
    return list(node.ask(ADMINISTRATOR, ListVersions(key, limit_count=1000)).versions)


def bytes_of(node: Node, key: str) -> bytes:
    found: bytes = node.ask(ALICE, Get(key)).block.material.reveal()
    return found


def set_state(node: Node, number: int, state: VersionState, key: str = "tape") -> None:
    node.ask(ADMINISTRATOR, SetVersionState(key, number, state))


def allow_active(node: Node, count: int) -> None:
    assert node.store(Put(Record(KIND_SETTINGS, "settings.keys", "keys", {"active_versions_max": count}))) is None


@pytest.mark.row("KS-KEY-012", "KS-KEY-014", "KS-KEY-056")
def test_each_version_has_its_own_bytes_id_iv_state_and_date(node: Node) -> None:
    first = of_alice(node)
    bytes_1 = bytes_of(node, first)
    node.clock.pass_s(5)
    second = next_version(node)
    node.clock.pass_s(5)
    third = next_version(node, first)  # the id of any version names its key
    found = versions(node)
    assert [(one.version, one.id, one.is_default, one.state) for one in found] == [
        (3, third, True, ACTIVE),
        (2, second, False, ACTIVE),
        (1, first, False, ACTIVE),
    ]
    assert len({one.default_iv for one in found}) == 3
    assert {len(bytes.fromhex(one.default_iv)) for one in found} == {16}
    assert [found[1].created_us - found[2].created_us, found[0].created_us - found[1].created_us] == [5_000_000] * 2
    everything = [bytes_of(node, each) for each in (first, second, third)]
    assert everything[0] == bytes_1
    assert len(set(everything)) == 3
    assert attribute(node, ALICE, first, "Initial Date") < attribute(node, ALICE, third, "Initial Date")


@pytest.mark.row("KS-KEY-014", "KS-NAE-029")
def test_a_name_means_the_newest_version_and_a_search_finds_the_key_once(node: Node) -> None:
    of_alice(node)
    for _ in range(3):
        newest = next_version(node)
        assert node.ask(ALICE, Locate((Condition("Name", name_value("tape")),))).ids == (newest,)
        assert node.ask(ALICE, Locate()).ids == (newest,)
        (found,) = node.ask(ADMINISTRATOR, FindKeys()).keys
        assert (found.id, found.name, found.versions_count) == (newest, "tape", len(versions(node)))


def test_what_was_encrypted_with_a_version_is_decrypted_by_its_id(node: Node) -> None:
    first = of_alice(node)
    sealed = node.ask(ALICE, Encrypt(b"data", first, GCM))
    second = next_version(node)
    assert node.ask(ALICE, Decrypt(sealed.data, first, GCM, sealed.iv, tag=sealed.tag)).data == b"data"
    assert node.reason(ALICE, Decrypt(sealed.data, second, GCM, sealed.iv, tag=sealed.tag)) == "cryptography"
    again = node.ask(ALICE, Encrypt(b"more", first, GCM))  # an active version does everything
    assert node.ask(ALICE, Decrypt(again.data, first, GCM, again.iv, tag=again.tag)).data == b"more"


@pytest.mark.row("KS-KEY-012")
def test_all_versions_share_what_is_changed_of_the_key_at_once(node: Node) -> None:
    first = of_alice(node, attributes=("x-site=north",))
    second = next_version(node)
    third = next_version(node)
    member = a_user("carol", "staff")
    changes = (
        RenameKey("tape", "band"),
        ChangeKey("band", description="d", attributes=("x-site=south",)),
        GiveRights("band", int(Right.DECRYPT), "staff"),
        SetKeyFlags("band", exportable=False),
    )
    assert [node.reason(member, GetAttributes(each)) for each in (first, second, third)] == ["not_found.item"] * 3
    for change in changes:
        node.ask(ADMINISTRATOR, change)
    for each in (first, second, third):
        assert attribute(node, ALICE, each, "x-site") == "south"
        assert node.reason(ALICE, Get(each)) == "refused.permission"
        assert node.reason(member, GetAttributes(each)) is None
        assert node.reason(member, Encrypt(b"", each, GCM)) == "refused.permission"
        assert node.ask(ADMINISTRATOR, ShowKey(each)).key.name == "band"
    node.ask(ADMINISTRATOR, SetOwner("band", "bob"))
    assert [node.reason(ALICE, GetAttributes(each)) for each in (first, third)] == ["not_found.item"] * 2
    assert [node.reason(BOB, GetAttributes(each)) for each in (first, third)] == [None] * 2


@pytest.mark.row("KS-KEY-015", "KS-KEY-017", "KS-KEY-019")
def test_use_needs_the_grant_the_state_and_the_group_at_once(node: Node) -> None:
    first = of_alice(node)
    sealed = node.ask(ALICE, Encrypt(b"data", first, GCM))
    next_version(node)
    node.ask(ADMINISTRATOR, GiveRights("tape", int(Right.ENCRYPT | Right.DECRYPT), "staff"))
    member, other = a_user("carol", "staff"), a_user("dave", "elsewhere")
    decrypting = Decrypt(sealed.data, first, GCM, sealed.iv, tag=sealed.tag)
    encrypting = Encrypt(b"data", first, GCM)
    assert [node.reason(member, one) for one in (encrypting, decrypting)] == [None, None]
    set_state(node, 1, RESTRICTED)
    assert [node.reason(member, one) for one in (encrypting, decrypting)] == ["wrong_state.object", None]
    assert node.reason(member, GetAttributes(first)) is None
    assert node.reason(member, Get(first)) == "refused.permission"
    assert node.reason(ALICE, Get(first)) == "wrong_state.object"
    set_state(node, 1, RETIRED)
    for one in (encrypting, decrypting, GetAttributes(first)):
        with pytest.raises(WrongState, match="version 1 of the key is retired"):
            node.ask(member, one)
    assert node.reason(other, decrypting) == "not_found.item"
    set_state(node, 1, ACTIVE)
    assert [node.reason(member, one) for one in (encrypting, decrypting)] == [None, None]
    node.ask(ADMINISTRATOR, SetVersionState("tape", 1, RESTRICTED))
    node.ask(ADMINISTRATOR, GiveRights("tape", int(Right.EXPORT), "staff"))
    assert node.reason(member, Get(first)) == "wrong_state.object"


def test_kmip_tells_the_state_of_a_version(node: Node) -> None:
    first = of_alice(node)
    next_version(node)
    assert attribute(node, ALICE, first, "State") == 2
    set_state(node, 1, RESTRICTED)
    assert attribute(node, ALICE, first, "State") == 3
    assert attribute(node, ALICE, node.ask(ALICE, Locate()).ids[0], "State") == 2


@pytest.mark.row("KS-KEY-017")
def test_a_restricted_version_of_a_mac_key_still_verifies(node: Node) -> None:
    first = of_alice(node, algorithm="HmacSHA256")
    code = node.ask(ALICE, Mac(b"data", first)).code
    next_version(node)
    set_state(node, 1, RESTRICTED)
    assert node.ask(ALICE, MacVerify(b"data", code, first)).is_valid
    assert node.reason(ALICE, Mac(b"data", first)) == "wrong_state.object"
    assert versions(node)[0].default_iv == ""


@pytest.mark.row("KS-KEY-015")
def test_the_default_version_stays_active(node: Node) -> None:
    of_alice(node)
    request = SetVersionState("tape", 1, RETIRED)
    with pytest.raises(WrongState, match="version 1 is the default one"):
        node.ask(ADMINISTRATOR, request)
    next_version(node)
    for before in VersionState:
        for after in VersionState:
            set_state(node, 1, before)
            set_state(node, 1, after)
            assert versions(node)[1].state is after
    assert node.reason(ADMINISTRATOR, SetVersionState("tape", 3, RETIRED)) == "not_found.item"
    assert node.reason(ALICE, request) == "refused.permission"


@pytest.mark.row("KS-KEY-013")
def test_active_versions_are_bounded(node: Node) -> None:
    of_alice(node)
    for _ in range(7):
        next_version(node)
    assert node.reason(ADMINISTRATOR, CreateVersion("tape")) == "wrong_state.object"
    assert node.reason(ALICE, CreateVersion("tape")) == "wrong_state.object"
    set_state(node, 3, RESTRICTED)
    next_version(node)
    assert node.reason(ADMINISTRATOR, SetVersionState("tape", 3, ACTIVE)) == "wrong_state.object"
    set_state(node, 3, RETIRED)
    set_state(node, 4, RETIRED)
    set_state(node, 3, ACTIVE)
    allow_active(node, 9)
    next_version(node)
    assert node.reason(ADMINISTRATOR, CreateVersion("tape")) == "wrong_state.object"


def test_owners_make_versions_where_clients_may_configure(node: Node) -> None:
    of_alice(node)
    made = node.ask(ALICE, CreateVersion("tape"))
    assert (made.version, made.is_default) == (2, True)
    assert [one.version for one in node.ask(ALICE, ListVersions("tape")).versions] == [2, 1]
    assert [node.reason(BOB, one) for one in (CreateVersion("tape"), ListVersions("tape"))] == ["not_found.item"] * 2


def test_a_key_without_versions_gets_none(node: Node) -> None:
    node.ask(ADMINISTRATOR, GenerateKey("plain", owner="alice"))
    for request in (CreateVersion("plain"), ListVersions("plain"), SetVersionState("plain", 1, RETIRED)):
        assert node.reason(ADMINISTRATOR, request) == "invalid.object_type"
    assert node.ask(ADMINISTRATOR, ShowKey("plain")).key.versions_count == 0


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: GenerateKey("k", "EC-P256", "alice", versioned=True),
        lambda: GenerateKey("k", owner="alice", versioned=True, active=False),
        lambda: GenerateKey("k", owner="alice", versioned=True, activation_us=1_900_000_000_000_000),
    ],
    ids=["pair", "pre-active", "active later"],
)
def test_what_cannot_have_versions(node: Node, request_of: Any) -> None:
    assert (node.reason(ADMINISTRATOR, request_of()) or "").startswith("invalid.")


def test_bytes_of_an_imported_key_are_imported(node: Node) -> None:
    planted = [bytes([number]) * 32 for number in (1, 2)]
    first = Secret(b64encode(planted[0]))
    node.ask(ADMINISTRATOR, ImportKey(first, "brought", "AES-256", owner="alice", exportable=True, versioned=True))
    made = node.ask(ADMINISTRATOR, ImportVersion("brought", Secret(planted[1].hex().encode()), HEXADECIMAL))
    assert bytes_of(node, made.id) == planted[1]
    assert bytes_of(node, node.ask(ADMINISTRATOR, ListVersions("brought")).versions[1].id) == planted[0]
    for wrong in (b"00" * 16, b"zz" * 32, b""):
        assert node.reason(ADMINISTRATOR, ImportVersion("brought", Secret(wrong), HEXADECIMAL)) == "invalid.key"
    of_alice(node)
    assert node.reason(ADMINISTRATOR, ImportVersion("tape", Secret(b"00" * 32), HEXADECIMAL)) == "invalid.key"
    assert node.reason(ADMINISTRATOR, CreateVersion("brought")) is None  # made here after all


@pytest.mark.row("KS-KEY-035")
def test_a_versioned_key_has_no_life_cycle(node: Node) -> None:
    first = of_alice(node, deletable=True)
    newest = next_version(node)
    told = node.ask(ADMINISTRATOR, ShowKey("tape"))
    assert (told.key.state, told.moves, told.dates.activation_us) == ("-", (), None)
    assert node.ask(ADMINISTRATOR, FindKeys()).keys[0].state == "-"
    for request in (
        *(SetKeyState("tape", move) for move in Move),
        ChangeKey("tape", deactivation_us=1_900_000_000_000_000),
    ):
        assert node.reason(ADMINISTRATOR, request) == "wrong_state.object"
    for target in (first, newest):
        for request in (Revoke(1, target=target), Revoke(2, target=target), Destroy(target), Rekey(target)):
            assert node.reason(ALICE, request) == "wrong_state.object"
    limits = name_value("no matter")
    assert node.reason(ALICE, AddAttribute("Usage Limits", limits, newest)) is not None
    assert [one.state for one in versions(node)] == [ACTIVE, ACTIVE]


def test_an_older_version_is_not_changed_alone(node: Node) -> None:
    first = of_alice(node, deletable=True)
    next_version(node)
    before = [(one.id, bytes_of(node, one.id)) for one in versions(node)]
    for request in (AddAttribute("x-New", text("v"), first), Delete(first), Destroy(first)):
        with pytest.raises(WrongState, match="version 1"):
            node.ask(ALICE, request)
    assert node.reason(ADMINISTRATOR, EraseKey(first, first)) == "invalid.field"  # the key is named, not one version
    assert [(one.id, bytes_of(node, one.id)) for one in versions(node)] == before


def test_deriving_from_an_older_version_leaves_it_as_it_is(node: Node) -> None:
    first = of_alice(node)
    next_version(node)
    key = node.record(node.ask(ALICE, Locate()).ids[0])
    shape = key.shape._replace(usage_mask=key.shape.usage_mask | 0x200)
    node.change(key.id, shape=shape)
    assert node.reason(ALICE, DeriveKey(2, first, 2)) not in {"internal", "conflict"}
    assert len(versions(node)) == 2


@pytest.mark.parametrize("by", ["administrator", "owner"])
def test_erasing_a_key_erases_every_version(node: Node, by: str) -> None:
    ids = [of_alice(node, deletable=True), *(next_version(node) for _ in range(4))]
    set_state(node, 2, RETIRED)
    for each in (ids[0], ids[-1]):
        node.ask(ALICE, Encrypt(b"data", each, GCM))  # counts random IVs
    if by == "owner":
        node.ask(ALICE, Delete(ids[-1]))
    else:
        node.ask(ADMINISTRATOR, EraseKey("tape", "tape"))
    node.objects.refresh()
    reader = node.objects.reader
    assert reader.list_records(KIND_KEY_VERSION) == []
    assert [one for one in reader.list_records(KIND_COUNTER) if one.record.id.startswith("iv.")] == []
    assert [node.reason(ALICE, Get(each)) for each in ids] == ["not_found.item"] * 4 + ["wrong_state.destroyed"]
    gone = reader.object(ids[-1])
    assert gone is not None
    assert (gone.material, node.record(ids[-1]).versioning) == (None, None)
    of_alice(node)  # the name is free


@pytest.mark.row("KS-KEY-012")
def test_there_are_at_most_4000_versions(node: Node) -> None:
    of_alice(node)
    newest = next_version(node)
    versioning = node.record(newest).versioning
    assert versioning is not None
    node.change(newest, versioning=versioning._replace(number=3999))
    assert node.ask(ADMINISTRATOR, CreateVersion("tape")).version == 4000
    with pytest.raises(WrongState, match="4,000"):
        node.ask(ADMINISTRATOR, CreateVersion("tape"))


def test_versions_are_listed_page_by_page(node: Node) -> None:
    allow_active(node, 4000)
    of_alice(node, "other")
    of_alice(node)
    for _ in range(6):
        next_version(node)
        next_version(node, "other")
    found, after = [], ""
    while True:
        page = node.ask(ADMINISTRATOR, ListVersions("tape", after, 3))
        found.append([one.version for one in page.versions])
        assert {one.key for one in page.versions} == {"tape"}
        after = page.next
        if not after:
            break
    assert found == [[7, 6, 5], [4, 3, 2], [1]]
    for place, numbers in (("1", []), ("0", []), ("9999", [7, 6, 5]), ("7", [6, 5, 4])):
        assert [one.version for one in node.ask(ADMINISTRATOR, ListVersions("tape", place, 3)).versions] == numbers
    for wrong in (ListVersions("tape", "", 1001), ListVersions("tape", "-1"), ListVersions("tape", "²")):
        assert node.reason(ADMINISTRATOR, wrong) == "invalid.field"


def test_a_version_that_was_used_is_used_anew_after_its_state_changed(node: Node) -> None:
    """What is kept ready of an older version goes with its state, and with the key's."""
    first = of_alice(node)
    newest = next_version(node)
    for _ in range(3):
        assert node.reason(ALICE, Encrypt(b"data", first, GCM)) is None
    set_state(node, 1, RESTRICTED)
    assert node.reason(ALICE, Encrypt(b"data", first, GCM)) == "wrong_state.object"
    set_state(node, 1, ACTIVE)
    assert node.reason(ALICE, Encrypt(b"data", first, GCM)) is None
    shape = node.record(newest).shape
    node.change(newest, shape=shape._replace(usage_mask=8))
    assert node.reason(ALICE, Encrypt(b"data", first, GCM)) == "refused.usage_mask"


def test_nothing_of_a_version_is_stored_as_an_object(node: Node) -> None:
    first = of_alice(node)
    next_version(node)
    loaded = node.batch(ALICE, [GetAttributes(first)])[0]
    assert loaded.error is None
    assert node.objects.reader.object(first) is None
    assert first not in node.objects.at_hand
    assert "versions" not in "".join(node.lines())


def test_several_requests_of_a_batch_use_versions(node: Node) -> None:
    first = of_alice(node)
    second = next_version(node)
    answers: list[Any] = []
    node.gate.run(Batch(ALICE, (Get(first), Get(second), Get(first)), True, 7), answers.append)
    found = [reply.result.block.material.reveal() for reply in answers[0]]
    assert found[0] == found[2] != found[1]
