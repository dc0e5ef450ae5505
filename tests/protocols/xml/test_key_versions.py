"""Versioned keys, changing and cloning keys over the XML interface of a running node; KMIP clients of the same keys."""

import itertools
from typing import Any

import pytest

from keystead.core.permission import Right
from keystead.protocols.xml.wire.elements import Element
from tests.hostile.doors import at_door
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Refused, Session
from tests.support.xml.client import FLAG, Client

UNKNOWN, TAKEN, NOT_PERMITTED, NOT_OFFERED, BAD = 1401, 1402, 1301, 1008, 1004
GCM = "AES/GCM/NoPadding"
_numbers = itertools.count()


def versioned(client: Client, **more: Any) -> str:
    """The name of a new versioned key of 256 bits."""
    name = f"versioned.{next(_numbers)}"
    assert client.ask("KeyGen", KeyName=name, Algorithm="AES", VersionedKey=FLAG, Exportable=FLAG, **more).ok
    return name


def crypto(client: Client, action: str, name: str, data: bytes, **more: Any) -> Any:
    return client.ask("Crypto", data=data, Action=action, KeyName=name, Algorithm="AES/CBC/PKCS5Padding", **more)


@pytest.mark.row("KS-NAE-006", "KS-NAE-029")
def test_a_new_version_is_what_requests_without_a_number_mean(alice: Client) -> None:
    name = versioned(alice)
    first = crypto(alice, "ENCRYPT", name, b"one")
    assert first.text("KeyVersion") == "1"
    made = alice.ask("KeyVersionGen", KeyName=name)
    assert (made.text("KeyName"), made.text("KeyVersion")) == (name, "2")
    second = crypto(alice, "ENCRYPT", name, b"two")
    assert second.text("KeyVersion") == "2"
    for sealed, number, plain in ((first, "1", b"one"), (second, "2", b"two")):
        opened = crypto(alice, "DECRYPT", name, sealed.data, IV=sealed.text("IV"), KeyVersion=number)
        assert (opened.data, opened.text("KeyVersion")) == (plain, number)
    assert crypto(alice, "DECRYPT", name, second.data, IV=second.text("IV")).data == b"two"
    assert crypto(alice, "DECRYPT", name, first.data, IV=first.text("IV")).data != b"one"
    numbers: list[dict[str, Any]] = [{}, {"KeyVersion": "1"}]
    told = [alice.ask("KeyInfo", KeyName=name, **more).text("KeyVersionNumber") for more in numbers]
    assert told == ["2", "1"]
    exported = [alice.ask("KeyExport", KeyName=name, KeyVersion=number).text("KeyData") for number in ("1", "2")]
    assert alice.ask("KeyExport", KeyName=name).text("KeyData") == exported[1] != exported[0]


@pytest.mark.row("KS-KEY-012", "KS-KEY-056")
def test_information_shows_versions(alice: Client, node: DevNode) -> None:
    name = versioned(alice)
    for _ in range(3):
        assert alice.ask("KeyVersionGen", KeyName=name).ok
    at_door(node, "key_version.set_state", target=name, version=2, state="restricted")
    at_door(node, "key_version.set_state", target=name, version=1, state="retired")
    told = alice.ask("KeyInfo", KeyName=name, Maximum="3", Below="4")
    assert told.get("State") is None
    counts = [told.text(f"Num{word}Versions") for word in ("Key", "Active", "Restricted", "Retired")]
    assert (told.text("Versioned"), counts) == ("true", ["4", "2", "1", "1"])
    listed = [{one.name: one.text for one in child.children} for child in told.element.children if child.children]
    assert [(one["KeyVersion"], one["KeyVersionState"]) for one in listed] == [
        *(("3", "Active"), ("2", "Restricted"), ("1", "Retired")),
    ]
    assert len({one["KeyID"] for one in listed} | {told.text("KeyID")}) == 4
    assert len({one["DefaultIV"] for one in listed} | {told.text("DefaultIV")}) == 4
    assert all(one["CreationDate"].endswith("Z") for one in listed)
    (known,) = [
        one for one in alice.ask("KeyQuery").element.children if one.first("KeyName") == Element("KeyName", name)
    ]
    assert known.first("KeyVersionNumber") == Element("KeyVersionNumber", "4")


@pytest.mark.row("KS-KEY-017", "KS-KEY-018")
def test_states_of_versions_hold_here_too(alice: Client, node: DevNode) -> None:
    name = versioned(alice)
    sealed = crypto(alice, "ENCRYPT", name, b"one")
    assert alice.ask("KeyVersionGen", KeyName=name).ok
    at_door(node, "key_version.set_state", target=name, version=1, state="restricted")
    old: dict[str, Any] = {"KeyVersion": "1"}
    assert crypto(alice, "DECRYPT", name, sealed.data, IV=sealed.text("IV"), **old).data == b"one"
    refused = crypto(alice, "ENCRYPT", name, b"one", **old)
    assert not refused.ok
    assert "version 1 of the key is restricted" in refused.text("ErrorDetail")
    assert alice.ask("KeyInfo", KeyName=name, **old).text("KeyVersionState") == "Restricted"
    assert not alice.ask("KeyExport", KeyName=name, **old).ok
    at_door(node, "key_version.set_state", target=name, version=1, state="retired")
    assert not crypto(alice, "DECRYPT", name, sealed.data, IV=sealed.text("IV"), **old).ok
    assert "retired" in alice.ask("KeyInfo", KeyName=name, **old).text("ErrorDetail")


def test_versions_of_others_and_numbers_that_are_not_there_are_unknown(alice: Client, bob: Client) -> None:
    name, plain = versioned(alice), f"plain.{next(_numbers)}"
    assert alice.ask("KeyGen", KeyName=plain, Algorithm="AES").ok
    for number in ("2", "4000"):
        assert alice.ask("KeyInfo", KeyName=name, KeyVersion=number).number == UNKNOWN
        assert crypto(alice, "ENCRYPT", name, b"", KeyVersion=number).number == UNKNOWN
    assert alice.ask("KeyInfo", KeyName=plain, KeyVersion="1").number == UNKNOWN
    assert bob.ask("KeyInfo", KeyName=name, KeyVersion="1").number == UNKNOWN
    assert bob.ask("KeyVersionGen", KeyName=name).number == UNKNOWN
    assert bob.ask("KeyClone", KeyName=name, NewKeyName="mine").number == UNKNOWN
    assert bob.ask("KeyModify", KeyName=name, NewKeyName="mine").number == UNKNOWN
    assert not alice.ask("KeyVersionGen", KeyName=plain).ok
    for bad in ("0", "4001", "-1", "one", "99999999999"):
        assert alice.ask("KeyInfo", KeyName=name, KeyVersion=bad).number == BAD
    assert alice.ask("KeyInfo", KeyName=f"{name}#1").number == NOT_OFFERED


def test_bytes_of_an_imported_version_are_brought(alice: Client) -> None:
    name, planted = f"brought.{next(_numbers)}", ["11" * 32, "22" * 32]
    flags: dict[str, Any] = {"Exportable": FLAG, "VersionedKey": FLAG}
    assert alice.ask("KeyImport", KeyName=name, Algorithm="AES", KeyData=planted[0], **flags).ok
    assert alice.ask("KeyVersionGen", KeyName=name, KeyData=planted[1]).ok
    for number, data in enumerate(planted, 1):
        assert alice.ask("KeyExport", KeyName=name, KeyVersion=str(number)).text("KeyData") == data
    assert not alice.ask("KeyVersionGen", KeyName=name, KeyData="33" * 16).ok
    assert not alice.ask("KeyVersionGen", KeyName=name, KeyData="ä" * 64).ok


def attribute(name: str, value: str | None = None) -> Element:
    children = [Element("Name", name), *([] if value is None else [Element("Value", value)])]
    return Element("CustomAttribute", "", tuple(children))


@pytest.mark.row("KS-NAE-012")
def test_a_key_is_modified_all_at_once(alice: Client, node: DevNode) -> None:
    name, other = versioned(alice, Deletable=FLAG), f"renamed.{next(_numbers)}"
    assert alice.ask("KeyVersionGen", KeyName=name).ok
    first = (attribute("x-site", "north"), attribute("x-rack", "9"))
    assert alice.ask("KeyModify", KeyName=name, NewKeyName=other, Exportable="false", CustomAttributeList=first).ok
    assert alice.ask("KeyInfo", KeyName=name).number == UNKNOWN
    assert [alice.ask("KeyExport", KeyName=other, KeyVersion=one).number for one in ("1", "2")] == [NOT_PERMITTED] * 2
    shown = at_door(node, "key.show", target=other)
    assert {one["name"]: one["value"] for one in shown["attributes"]} == {"x-site": "north", "x-rack": "9"}
    assert alice.ask("KeyModify", KeyName=other, Exportable="true").number == NOT_PERMITTED
    taken = (attribute("x-rack"), attribute("no such", "1"))
    assert not alice.ask("KeyModify", KeyName=other, NewKeyName=name, CustomAttributeList=taken).ok
    assert at_door(node, "key.show", target=other)["attributes"] == shown["attributes"]
    assert not alice.ask("KeyModify", KeyName=other).ok
    assert alice.ask("KeyModify", KeyName=other, Permissions="x").number == NOT_OFFERED


@pytest.mark.row("KS-NAE-013", "KS-KEY-052")
def test_a_key_is_cloned_also_into_a_versioned_one(alice: Client) -> None:
    name, copy, tapes = (f"{word}.{next(_numbers)}" for word in ("plain", "copy", "tapes"))
    assert alice.ask("KeyGen", KeyName=name, Algorithm="AES", Exportable=FLAG).ok
    assert alice.ask("KeyClone", KeyName=name, NewKeyName=copy).text("KeyName") == copy
    assert alice.ask("KeyClone", KeyName=name, NewKeyName=copy).number == TAKEN
    assert alice.ask("KeyClone", KeyName=name, NewKeyName=tapes, VersionedKey=FLAG).ok
    assert alice.ask("KeyVersionGen", KeyName=tapes).ok
    data = alice.ask("KeyExport", KeyName=name).text("KeyData")
    assert alice.ask("KeyExport", KeyName=copy).text("KeyData") == data
    assert alice.ask("KeyExport", KeyName=tapes, KeyVersion="1").text("KeyData") == data
    assert alice.ask("KeyExport", KeyName=tapes).text("KeyData") != data


def test_a_deleted_key_takes_its_versions_along(alice: Client) -> None:
    name = versioned(alice, Deletable=FLAG)
    assert alice.ask("KeyVersionGen", KeyName=name).ok
    assert alice.ask("KeyDel", KeyName=name).ok
    numbers: list[dict[str, Any]] = [{}, {"KeyVersion": "1"}]
    assert [alice.ask("KeyExport", KeyName=name, **more).number for more in numbers] == [UNKNOWN] * 2
    assert alice.ask("KeyGen", KeyName=name, Algorithm="AES").ok


@pytest.mark.row("KS-KEY-012", "KS-KEY-056")
def test_kmip_clients_get_exactly_the_version_of_an_id(alice: Client, node: DevNode) -> None:
    name = versioned(alice)
    ids = [alice.ask("KeyInfo", KeyName=name).text("KeyID")]
    ids += [alice.ask("KeyVersionGen", KeyName=name).text("KeyID") for _ in range(2)]
    exported = [alice.ask("KeyExport", KeyName=name, KeyVersion=str(number)).text("KeyData") for number in (1, 2, 3)]
    for _ in range(3):  # the first answers teach the server the shape of the others
        with Session(node.port, node.client("alice")) as session:
            assert [session.key(one).hex() for one in ids] == exported
    at_door(node, "key_version.set_state", target=name, version=1, state="restricted")
    with Session(node.port, node.client("alice")) as session:
        with pytest.raises(Refused, match="version 1 of the key is restricted"):
            session.key(ids[0])
        assert session.key(ids[1]).hex() == exported[1]
        assert session.identifiers(messages.locate(messages.name_attribute(name))) == [ids[2]]
        with pytest.raises(Refused, match="version 2"):
            session.ask(messages.destroy(ids[1]))
    with Session(node.port, node.client("bob")) as session, pytest.raises(Refused, match="no such object"):
        session.key(ids[1])


def test_a_grant_holds_for_all_versions(alice: Client, bob: Client, node: DevNode) -> None:
    name = versioned(alice)
    sealed = crypto(alice, "ENCRYPT", name, b"one")
    assert alice.ask("KeyVersionGen", KeyName=name).ok
    at_door(node, "key.give", target=name, user="bob", rights=int(Right.DECRYPT))
    assert crypto(bob, "DECRYPT", name, sealed.data, IV=sealed.text("IV"), KeyVersion="1").data == b"one"
    assert crypto(bob, "ENCRYPT", name, b"one", KeyVersion="1").number == NOT_PERMITTED
