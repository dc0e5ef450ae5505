"""Keys over the XML interface of a running node: the same ones as KMIP's, under the same rights."""

import itertools
import re
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from keystead.core.permission import Right
from tests.hostile.doors import at_door, change_setting
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.xml.client import FLAG, Client, logged_in

UNKNOWN, TAKEN, NOT_PERMITTED, SWITCHED_OFF, NOT_OFFERED, BAD = 1401, 1402, 1301, 1302, 1008, 1004
_numbers = itertools.count()


def a_name() -> str:
    return f"key.{next(_numbers)}"


def made(client: Client, **more: Any) -> str:
    """The name of a new AES key."""
    name = a_name()
    assert client.ask("KeyGen", KeyName=name, Algorithm="AES", **more).ok
    return name


@pytest.mark.row("KS-NAE-005")
def test_a_key_is_made_and_exported(alice: Client) -> None:
    name = a_name()
    answer = alice.ask("KeyGen", KeyName=name, Algorithm="AES", KeySize=128, Exportable=FLAG)
    assert answer.text("KeyName") == name
    exported = alice.ask("KeyExport", KeyName=name)
    assert re.fullmatch("[0-9a-f]{32}", exported.text("KeyData"))


@pytest.mark.row("KS-NAE-008")
def test_a_key_is_told_of_and_never_what_is_in_it(alice: Client) -> None:
    name = made(alice, KeySize=192, Exportable=FLAG)
    told = alice.ask("KeyInfo", KeyName=name)
    found = {child.name: child.text for child in told.element.children}
    assert found["Algorithm"] == "AES"
    assert (found["KeySize"], found["Owner"], found["State"]) == ("192", "alice", "Active")
    assert (found["Exportable"], found["Deletable"], found["Versioned"]) == ("true", "false", "false")
    assert alice.ask("KeyExport", KeyName=name).text("KeyData") not in str([*told.element.children])


def test_what_is_not_said_to_be_exportable_or_deletable_is_not(alice: Client) -> None:
    name = made(alice)
    assert alice.ask("KeyExport", KeyName=name).number == NOT_PERMITTED
    assert alice.ask("KeyDel", KeyName=name).number == NOT_PERMITTED


@pytest.mark.row("KS-NAE-010")
def test_an_imported_key_comes_out_as_it_came(alice: Client) -> None:
    name, data = a_name(), "00112233445566778899aabbccddeeff"
    answer = alice.ask("KeyImport", KeyName=name, Algorithm="AES", KeyData=data.upper(), Exportable=FLAG)
    assert answer.ok
    assert re.fullmatch("[0-9a-f]{40}", answer.text("Fingerprint"))
    assert alice.ask("KeyExport", KeyName=name).text("KeyData") == data


@pytest.mark.parametrize(("algorithm", "more"), [("RSA", {"KeySize": 2048}), ("EC", {"CurveID": "secp384r1"})])
@pytest.mark.row("KS-NAE-015")
def test_a_pair_has_one_name(alice: Client, algorithm: str, more: dict[str, Any]) -> None:
    name, copy = a_name(), a_name()
    flags: dict[str, Any] = {"Exportable": FLAG, "Deletable": FLAG}
    assert alice.ask("KeyGen", KeyName=name, Algorithm=algorithm, **flags, **more).ok
    pem = alice.ask("KeyExport", KeyName=name).text("KeyData")
    private = load_pem_private_key(pem.encode(), None)
    public = load_pem_public_key(alice.ask("PublicKeyExport", KeyName=name).text("KeyData").encode())
    assert private.public_key() == public
    assert alice.ask("KeyImport", KeyName=copy, Algorithm=algorithm, KeyData=pem, **flags).ok
    assert alice.ask("KeyExport", KeyName=copy).text("KeyData") == pem
    before = len(alice.ask("KeyNames").all("KeyName"))
    assert alice.ask("KeyDel", KeyName=name).ok
    assert len(alice.ask("KeyNames").all("KeyName")) == before - 2


@pytest.mark.row("KS-NAE-007")
def test_a_deleted_key_is_gone_and_its_name_free(alice: Client) -> None:
    name = made(alice, Deletable=FLAG, Exportable=FLAG)
    before = alice.ask("KeyExport", KeyName=name).text("KeyData")
    assert alice.ask("KeyDel", KeyName=name).ok
    for request in ("KeyInfo", "KeyExport", "KeyDel"):
        assert alice.ask(request, KeyName=name).number == UNKNOWN
    assert alice.ask("KeyGen", KeyName=name, Algorithm="AES", Exportable=FLAG).ok
    assert alice.ask("KeyExport", KeyName=name).text("KeyData") != before


@pytest.mark.row("KS-NAE-009")
def test_everyone_sees_their_own_keys_page_by_page(alice: Client, bob: Client) -> None:
    names = [made(bob) for _ in range(3)]
    assert bob.ask("KeyNames").all("KeyName")[:3] == names[::-1]
    assert bob.ask("KeyNames", Offset=1, Maximum=1).all("KeyName") == [names[1]]
    queried = bob.ask("KeyQuery", Maximum=3).element.children
    assert [key.children[0].text for key in queried if key.name == "Key"] == names[::-1]
    assert not {*names} & {*alice.ask("KeyNames").all("KeyName")}


@pytest.mark.parametrize("request_name", ["KeyInfo", "KeyExport", "PublicKeyExport", "KeyDel", "Crypto"])
def test_others_keys_answer_as_unknown_ones(alice: Client, bob: Client, request_name: str) -> None:
    name = made(alice, Exportable=FLAG, Deletable=FLAG)
    more: dict[str, Any] = {}
    if request_name == "Crypto":
        more = {"Action": "ENCRYPT", "Algorithm": "AES/GCM/NoPadding", "Base64DataSingle": "AAAA"}
    there = bob.ask(request_name, KeyName=name, **more)
    nowhere = bob.ask(request_name, KeyName="nowhere", **more)
    assert there == nowhere
    assert there.number == UNKNOWN


@pytest.mark.row("KS-NAE-011")
def test_whoever_is_granted_it_may_export(node: DevNode, alice: Client, bob: Client) -> None:
    name = made(alice, Exportable=FLAG)
    with node.session() as kmip:
        (key,) = kmip.identifiers(messages.locate(messages.name_attribute(name)))
    at_door(node, "key.give", target=key, rights=int(Right.SEE | Right.ENCRYPT), user="bob")
    assert bob.ask("KeyInfo", KeyName=name).ok
    assert bob.ask("KeyExport", KeyName=name).number == NOT_PERMITTED
    assert bob.ask("KeyDel", KeyName=name).number == NOT_PERMITTED
    at_door(node, "key.give", target=key, rights=int(Right.EXPORT), user="bob")
    assert bob.ask("KeyExport", KeyName=name).text("KeyData") == alice.ask("KeyExport", KeyName=name).text("KeyData")


@pytest.mark.row("KS-NAE-019")
def test_random_bytes_as_many_as_asked_for(alice: Client) -> None:
    for size_bytes in (1, 100, 131_072):
        drawn = alice.ask("RandGen", Size=size_bytes).data
        assert drawn is not None
        assert len(drawn) == size_bytes
    assert alice.ask("RandGen", Size=100).data != alice.ask("RandGen", Size=100).data
    for size in ("0", "131073", "-1", "1e3", "", "99999999999"):
        assert alice.ask("RandGen", Size=size).number == BAD


def test_a_name_is_taken_for_everyone(alice: Client, bob: Client) -> None:
    name = made(alice)
    assert alice.ask("KeyGen", KeyName=name, Algorithm="AES").number == TAKEN
    assert bob.ask("KeyImport", KeyName=name, Algorithm="AES", KeyData="00" * 16).number == TAKEN


def test_a_key_without_a_name_gets_one(alice: Client) -> None:
    name = alice.ask("KeyGen", Algorithm="AES", Exportable=FLAG).text("KeyName")
    assert alice.ask("KeyExport", KeyName=name).ok


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *(
            (name, BAD)
            for name in ("", "1a", "-a", "a b", "a/b", "a" * 65, "ä", "a\nb", "../a", "a'--", "%s", "\u202ea")
        ),
        ("key-01a203dc-d70e-7000-a2a0-001636182c4d", BAD),
        ("name#2", NOT_OFFERED),
    ],
)
def test_hostile_names_are_no_names(alice: Client, name: str, number: int) -> None:
    for request in ("KeyGen", "KeyExport", "KeyInfo", "KeyDel"):
        more: dict[str, Any] = {"Algorithm": "AES"} if request == "KeyGen" else {}
        answer = alice.ask(request, KeyName=name, **more)
        expected = UNKNOWN if name.startswith("key-") and request != "KeyGen" else number
        assert answer.number == expected


@pytest.mark.parametrize("element", ["KeyVersionState", "Permissions", "CustomAttributeList"])
def test_what_is_not_offered_is_refused_by_name(alice: Client, element: str) -> None:
    more: dict[str, Any] = {element: FLAG}
    answer = alice.ask("KeyGen", Algorithm="AES", **more)
    assert answer.number == NOT_OFFERED
    assert element in answer.text("ErrorDetail")
    assert not answer.is_fatal


def test_unknown_doubled_and_missing_elements_are_refused(alice: Client) -> None:
    assert alice.ask("KeyGen", Algorithm="AES", Colour="red").number == BAD
    assert alice.ask("KeyGen", Algorithm=["AES", "AES"]).number == BAD
    assert alice.ask("KeyGen").number == 1003
    assert alice.ask("KeyGen", Algorithm="AES", KeySize="-1").number == BAD
    assert alice.ask("KeyGen", Algorithm="AES", KeySize="0x80").number == BAD
    assert alice.ask("KeyGen", Algorithm="AES", Owner="bob").number == NOT_OFFERED
    assert alice.ask("KeyGen", Algorithm="AES", Exportable="yes").number == BAD


def test_both_doors_have_the_same_keys(node: DevNode, alice: Client) -> None:
    name = made(alice, Exportable=FLAG)
    with node.session() as kmip:
        (found,) = kmip.identifiers(messages.locate(messages.name_attribute(name)))
        created = kmip.identifier(messages.create("made over KMIP"))
        assert kmip.key(found).hex() == alice.ask("KeyExport", KeyName=name).text("KeyData")
        theirs = kmip.key(created)
    assert alice.ask("KeyExport", KeyName=f"key-{created}").text("KeyData") == theirs.hex()


@pytest.mark.row("KS-NAE-011")
def test_what_clients_may_do_is_switched_as_for_kmip(node: DevNode, alice: Client) -> None:
    name = made(alice, Exportable=FLAG, Deletable=FLAG)
    try:
        change_setting(node, "key_server", "allow_key_export", False)
        assert alice.ask("KeyExport", KeyName=name).number == SWITCHED_OFF
        change_setting(node, "key_server", "allow_key_configuration", False)
        assert alice.ask("KeyGen", Algorithm="AES").number == SWITCHED_OFF
        assert alice.ask("KeyImport", KeyName="x", Algorithm="AES", KeyData="00" * 16).number == SWITCHED_OFF
        assert alice.ask("KeyDel", KeyName=name).number == SWITCHED_OFF
        assert alice.ask("KeyInfo", KeyName=name).ok
    finally:
        change_setting(node, "key_server", "allow_key_export", True)
        change_setting(node, "key_server", "allow_key_configuration", True)


@pytest.mark.row("KS-NAE-025", "KS-NAE-026", "KS-NAE-028")
def test_the_activity_log_speaks_the_doors_words(node: DevNode, alice: Client) -> None:
    name = a_name()
    alice.ask("KeyGen", ID="gen-7", KeyName=name, Algorithm="AES", Exportable=FLAG)
    alice.ask("KeyExport", ID="a b", KeyName="nowhere")
    alice.ask("RandGen", ID="r", Size=17)
    with logged_in(node, "bob"):
        pass
    log = (node.data / "logs" / "activity.log").read_text()
    assert f"[alice] alice gen-7 KeyGen {name} [AES 256 Exportable] 0 [Success]" in log
    assert "[alice] alice a?b KeyExport nowhere [-] 1401 [Unknown key name or insufficient permissions]" in log
    assert "[alice] alice r RandGen - [17] 0 [Success]" in log
    assert "[bob] - 1 Auth - [bob] 0 [Success]" in log
