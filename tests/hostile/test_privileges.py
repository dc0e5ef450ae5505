"""Bob against alice's keys, over the wire and at every door.

Attack classes 12 and 15 (confusable and hostile names), 14 (searches that tell more), 16 (ids that lead elsewhere), 17
(the wrong right is checked), 18 (foreign ids on creation), 21 (caches), 29 (forged log lines), 32 and 42 (internal
doors, batches).
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from keystead.protocols.kmip.wire import nodes, ttlv
from keystead.protocols.kmip.wire.names import VERSIONS, enum_value
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version
from keystead.protocols.local.wire import frame
from tests.hostile.corpus import attributes, on_object
from tests.hostile.doors import at_door, change_setting
from tests.hostile.sockets import reply, secure
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Refused, Session
from tests.support.kmip_requests import Answer, answers, attribute, item, message, name_value, text_attribute

SAYS_WHEN = (Tag.TIME_STAMP, Tag.SERVER_CORRELATION_VALUE)
ROUNDS_COUNT = 10
NOBODY_UID = 65534


class Wire:
    """A connection that speaks trees."""

    def __init__(self, node: DevNode, user: str) -> None:
        self._socket = secure(node, node.client(user))

    def ask(self, request: Node) -> Node:
        self._socket.sendall(ttlv.encode(request))
        return ttlv.decode(reply(self._socket))

    def told(self, version: Version, *items: Node, header: Sequence[Node] = ()) -> list[Answer]:
        return answers(self.ask(message(version, *items, header=header)))

    def created(self, version: Version = (1, 4)) -> str:
        (made,) = self.told(version, item("Create", key_type(), attributes(version)))
        return str(made.value(Tag.UNIQUE_IDENTIFIER))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def alice(node: DevNode) -> Iterator[Wire]:
    made = Wire(node, "alice")
    yield made
    made.close()


@pytest.fixture(scope="module")
def bob(node: DevNode) -> Iterator[Wire]:
    made = Wire(node, "bob")
    yield made
    made.close()


@pytest.fixture(scope="module")
def key(alice: Wire) -> str:
    """Alice's key, named "spoiled", active."""
    made = alice.created()
    assert not alice.told((1, 4), item("Activate", target(made)))[0].reason
    return made


def key_type() -> Node:
    return nodes.enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", "SymmetricKey"))


def target(identifier: str) -> Node:
    return nodes.text(Tag.UNIQUE_IDENTIFIER, identifier)


def timeless(node: Node) -> Node:
    """A response without what differs between any two."""
    tag, kind, value = node
    return (tag, kind, [timeless(child) for child in value if child[0] not in SAYS_WHEN]) if kind == 1 else node


# -- what is not yours does not exist --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_a_foreign_key_is_told_apart_from_no_key_in_nothing(alice: Wire, bob: Wire, key: str, version: Version) -> None:
    """Classes 14 and 17: for every operation the answer is the same to the byte, but for the time."""
    before = alice.ask(message((1, 4), item("GetAttributes", target(key))))
    nobodys = f"{key[:-12]}{int(key[-12:], 16) ^ 1:012x}"
    pairs = zip(on_object(version, key, ending=True), on_object(version, nobodys, ending=True), strict=True)
    for foreign, absent in pairs:
        of_foreign, of_absent = bob.ask(message(version, foreign)), bob.ask(message(version, absent))
        assert ttlv.encode(timeless(of_foreign)) == ttlv.encode(timeless(of_absent))
        (told,) = answers(of_foreign)
        assert told.reason in ("ItemNotFound", "ObjectNotFound")
    after = alice.ask(message((1, 4), item("GetAttributes", target(key))))
    assert timeless(after) == timeless(before), "nothing has happened to it"


TITLES = {
    Tag.STATE: "State",
    Tag.UNIQUE_IDENTIFIER: "Unique Identifier",
    Tag.NAME: "Name",
    Tag.OBJECT_TYPE: "Object Type",
}


@pytest.mark.parametrize("version", [(1, 4), (2, 1)])
@pytest.mark.parametrize("most", [None, 0, 1, -1, 2**31 - 1])
def test_searches_show_nothing_foreign(bob: Wire, key: str, version: Version, most: int | None) -> None:
    """Class 14: whatever is asked for and however many at most."""
    limit = [] if most is None else [nodes.integer(Tag.MAXIMUM_ITEMS, most)]
    conditions: list[list[Node]] = [
        [],
        [nodes.enumeration(Tag.STATE, 2)],
        [target(key)],
        [name_value("spoiled")],
        [nodes.enumeration(Tag.OBJECT_TYPE, 2)],
    ]
    for condition in conditions:
        new = [nodes.structure(Tag.ATTRIBUTES, *condition)]
        wanted = [attribute(TITLES[each[0]], each) for each in condition] if version < (2, 0) else new
        (told,) = bob.told(version, item("Locate", *limit, *wanted))
        assert key not in told.values(Tag.UNIQUE_IDENTIFIER)


ODD = (
    *("*", "%", "_", ".", "..", "../key", "%2e%2e", "' OR '1'='1", '" --', "\x00", "a\x00b", "\n", " ", "-", "{}", "+"),
    *("urn:uuid:KEY", "{KEY}", "KEY ", " KEY", "KEY\x00", "KEY/", "KEY*", "KEY,*", "\u202eKEY", "ключ", "x" * 100_000),
)


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_odd_ids_lead_nowhere(alice: Wire, key: str, odd: str) -> None:
    """Classes 15 and 16: an id is one id or none; not even its owner reaches a key by another spelling."""
    for one in on_object((1, 4), odd.replace("KEY", key), ending=True):
        (told,) = alice.told((1, 4), one)
        assert told.reason == "ItemNotFound"


@pytest.mark.parametrize("change", [str.upper, lambda key: key.replace("-", ""), lambda key: f"0{key}"])
def test_an_id_has_one_spelling(alice: Wire, key: str, change: object) -> None:
    assert callable(change)
    (told,) = alice.told((1, 4), item("Get", target(change(key))))
    assert told.reason == "ItemNotFound"


def test_nobody_chooses_an_id(alice: Wire, bob: Wire, key: str) -> None:
    """Class 18: creating something under alice's id, or handing her key over."""
    for name, value in (("Unique Identifier", key), ("Unique Identifier", "*")):
        given = nodes.structure(Tag.TEMPLATE_ATTRIBUTE, *attributes((1, 4))[2], text_attribute(name, value))
        (told,) = bob.told((1, 4), item("Create", key_type(), given))
        assert told.reason
    assert alice.told((1, 4), item("Get", target(key)))[0].reason == ""


LINE = re.compile(
    r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] (INFO|ERROR) \S+ \[[^\]]*\] \S+ \d+ [A-Za-z-]+ \S+ \[.*\] \S+ \[.*\]"
)
FORGED = "\n[2026-01-01 00:00:00] INFO 127.0.0.1 [root] root 1 Get nothing [-] 0 [Success]\r\x1b[2J\u2028"


@pytest.mark.row("KS-LOG-012")
def test_nobody_writes_log_lines_of_their_own(node: DevNode, alice: Wire, key: str) -> None:
    """Class 29: line ends and escapes in whatever a client chooses."""
    forged = nodes.text(Tag.ATTRIBUTE_NAME, f"x-{FORGED}")
    named, custom = attribute("Name", name_value(FORGED)), text_attribute(f"x-{FORGED}", FORGED)
    given = nodes.structure(Tag.TEMPLATE_ATTRIBUTE, *attributes((1, 4))[2], named, custom)
    for one in (
        item("Create", key_type(), given),
        item("Get", target(key + FORGED)),
        item("GetAttributes", target(key), forged),
        item("AddAttribute", target(key), custom),
        item("DeleteAttribute", target(key), forged),
        item("Locate", named),
    ):
        alice.told((1, 4), one)
    lines = (node.data / "logs" / "activity.log").read_bytes().decode().splitlines()
    assert not [line for line in lines if not LINE.fullmatch(line)]
    assert not [line for line in lines if " root 1 Get " in line]


# -- batches ---------------------------------------------------------------------------------------------------------

GO_ON = (nodes.enumeration(Tag.BATCH_ERROR_CONTINUATION_OPTION, 1),)


def batch(wire: Wire, *items: Node, go_on: bool = True) -> list[Answer]:
    with_ids = [
        (tag, kind, [parts[0], nodes.byte_string(Tag.UNIQUE_BATCH_ITEM_ID, bytes([number])), *parts[1:]])
        for number, (tag, kind, parts) in enumerate(items)
    ]
    return wire.told((1, 4), *with_ids, header=GO_ON if go_on else ())


@pytest.mark.parametrize("operation", ["Get", "Destroy", "Activate", "GetAttributes"])
def test_the_placeholder_never_means_what_could_not_be_named(alice: Wire, bob: Wire, key: str, operation: str) -> None:
    """Class 42: a refused or empty-handed item leaves nothing for the ones behind it."""
    created = item("Create", key_type(), attributes((1, 4)))
    lure = item("Locate", attribute("Name", name_value("spoiled")), attribute("Unique Identifier", target(key)))
    *_, found, used = batch(bob, created, lure, item(operation))
    assert found.values(Tag.UNIQUE_IDENTIFIER) == []
    assert used.reason == "InvalidMessage", "neither alice's key nor the one made before"
    *_, refused, used = batch(bob, created, item("Get", target(key)), item("GetAttributes"))
    assert refused.reason == "ItemNotFound"
    assert used.value(Tag.UNIQUE_IDENTIFIER) != key
    assert alice.told((1, 4), item("Get", target(key)))[0].reason == ""


def test_the_placeholder_ends_with_its_message(bob: Wire) -> None:
    bob.created()
    assert bob.told((1, 4), item("Get"))[0].reason == "InvalidMessage"
    assert bob.told((1, 4), item("Destroy"))[0].reason == "InvalidMessage"


def test_a_batch_stops_at_the_first_failure(bob: Wire) -> None:
    created = item("Create", key_type(), attributes((1, 4)))
    told = batch(bob, created, item("Get", target("nothing")), created, go_on=False)
    assert [answer.reason for answer in told] == ["", "ItemNotFound"]


def test_a_batch_that_is_undone_leaves_nothing(bob: Wire) -> None:
    """Not the objects, and not the key bytes that an item before the failure was to tell."""
    undo = [nodes.enumeration(Tag.BATCH_ERROR_CONTINUATION_OPTION, 3)]
    created = item("Create", key_type(), attributes((1, 4)))
    before = len(bob.told((1, 4), item("Locate"))[0].values(Tag.UNIQUE_IDENTIFIER))
    told = bob.told((1, 4), created, item("Get"), item("Get", target("nothing")), created, header=undo)
    assert [answer.reason for answer in told] == ["OperationUndone", "OperationUndone", "ItemNotFound"]
    assert [answer.payload for answer in told[:2]] == [None, None]
    assert len(bob.told((1, 4), item("Locate"))[0].values(Tag.UNIQUE_IDENTIFIER)) == before


@pytest.mark.parametrize("reference", [2, 3, 0x80000001, 0xFFFFFFFF])
def test_only_the_placeholder_can_be_referred_to(bob: Wire, reference: int) -> None:
    """KMIP 2.x names other items of the batch by enumerations."""
    (told,) = bob.told((2, 1), item("Get", nodes.enumeration(Tag.UNIQUE_IDENTIFIER, reference)))
    assert told.reason


# -- the very next request -------------------------------------------------------------------------------------------


def test_a_revoked_or_destroyed_key_is_refused_to_connections_that_just_used_it(node: DevNode) -> None:
    """Class 21."""
    with node.session() as one, node.session() as other:
        for _ in range(ROUNDS_COUNT):
            key = one.identifier(messages.create())
            one.ask(messages.activate(key))
            encrypt = messages.encrypt_gcm(key, b"data")
            other.ask(encrypt)
            assert len(other.key(key)) == 32
            one.ask(messages.revoke(key))
            with pytest.raises(Refused):
                other.ask(encrypt)
            one.ask(messages.destroy(key))
            for message_ in (encrypt, messages.get(key)):
                with pytest.raises(Refused):
                    other.ask(message_)


def test_what_an_administrator_changes_holds_for_the_very_next_request(node: DevNode) -> None:
    """Class 21, across processes: switches, flags and grants."""
    at_door(node, "user.set_groups", name="bob", groups=["staff"])
    with node.session() as owner, node.session("bob") as member:
        key = owner.identifier(messages.create())
        owner.ask(messages.activate(key))
        get = messages.get(key)
        for _ in range(ROUNDS_COUNT):
            at_door(node, "key.grant", target=key, group="staff", rights=128)
            assert len(member.key(key)) == 32
            at_door(node, "key.grant", target=key, group="staff", rights=0)
            assert reason_of(member, get) == messages.ITEM_NOT_FOUND
            change_setting(node, "key_server", "allow_key_export", value=False)
            assert reason_of(owner, get) is not None
            change_setting(node, "key_server", "allow_key_export", value=True)
            assert reason_of(owner, get) is None
            at_door(node, "user.set_groups", name="bob", groups=[])
            at_door(node, "key.grant", target=key, group="staff", rights=128)
            assert reason_of(member, get) == messages.ITEM_NOT_FOUND
            at_door(node, "user.set_groups", name="bob", groups=["staff"])
    at_door(node, "user.set_groups", name="bob", groups=[])


def reason_of(session: Session, message_: bytes) -> int | None:
    """Why it was refused; None when it was done."""
    try:
        session.ask(message_)
    except Refused as refused:
        return refused.reason
    return None


# -- the local door --------------------------------------------------------------------------------------------------

AS_NOBODY = """
import os, socket, sys
folder = os.open(sys.argv[1], os.O_PATH | os.O_DIRECTORY)
os.setgroups([])
os.setgid({uid})
os.setuid({uid})
for name in ("keystead.sock", "keys.sock"):
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(10)
        try:
            door.connect(f"/proc/self/fd/{{folder}}/{{name}}")
            door.sendall(bytes.fromhex(sys.argv[2]))
            print(name, door.recv(100) or "nothing")
        except (BrokenPipeError, ConnectionResetError):
            print(name, "nothing")
        except PermissionError:
            print(name, "no entry")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_the_local_doors_answer_nobody_else(own_node: DevNode) -> None:
    """Class 32: modes keep others out; were they too wide, the kernel's word on who is calling still does."""
    run = own_node.data / "run"
    doors = (run, run / "keystead.sock", run / "keys.sock")
    assert [path.stat().st_mode & 0o777 for path in doors] == [0o700, 0o600, 0o600]
    assert told_to_nobody(run) == ["keystead.sock no entry", "keys.sock no entry"]
    for path in doors:
        path.chmod(0o777)
    assert told_to_nobody(run) == ["keystead.sock nothing", "keys.sock nothing"]
    assert at_door(own_node, "user.list"), "the control"


def told_to_nobody(run: Path) -> list[str]:
    asked = frame({"operation": "user.list", "fields": {}, "as": "root"}).hex()
    command = [sys.executable, "-c", AS_NOBODY.format(uid=NOBODY_UID), str(run), asked]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd="/").stdout.splitlines()
