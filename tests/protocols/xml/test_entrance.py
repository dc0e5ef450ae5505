"""Who may speak: every mode of certificate and password, two factors, what ends a session."""

import itertools
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.protocols.xml.wire.elements import Element
from keystead.settings.xml import Xml
from tests.hostile.doors import at_door, change_setting
from tests.support.dev_node import DevNode
from tests.support.xml.client import FLAG, VERSION, Answer, Client, connect, password_of, request

FAILED = 1201
CERTIFICATES, PASSWORDS = ("none", "tls", "username"), ("required", "optional")
DELIVERED: dict[tuple[str, str], bool | int | str] = {
    ("xml_server", "client_certificate"): "username",
    ("xml_server", "password_authentication"): "required",
    ("key_server", "allow_global_sessions"): False,
    ("key_server", "allow_global_keys"): False,
    ("key_server", "check_source_ip"): False,
    ("user_lockout", "failures_count"): 5,
    ("user_lockout", "duration_s"): 60,
}


@pytest.fixture
def modes(node: DevNode) -> Iterator[DevNode]:
    """The node; its settings are as before in the end."""
    yield node
    for (section, field), value in DELIVERED.items():
        change_setting(node, section, field, value)


def set_mode(node: DevNode, certificate: str, password: str) -> None:
    change_setting(node, "xml_server", "client_certificate", certificate)
    change_setting(node, "xml_server", "password_authentication", password)


def asked(node: DevNode, certificate: str | None, login: str | None, password: str | None = None) -> str:
    """What comes of a connection: "refused" by TLS or before an answer, "fatal", or whose keys it has."""
    try:
        client = connect(node, certificate)
        with client:
            if login is not None:
                answer = client.log_in(login, password or password_of(node, login))
                if not answer.ok:
                    assert answer.number == FAILED
                    assert client.is_closed()
                    return "fatal"
            made: Answer = client.ask("KeyGen", Algorithm="AES", Exportable=FLAG, Deletable=FLAG)
            if not made.ok:
                return "fatal" if made.is_fatal else str(made.number)
            told = client.ask("KeyInfo", KeyName=made.text("KeyName"))
            return told.get("Owner") or "nobody"
    except (AssertionError, ConnectionError, ssl.SSLError):
        return "refused"


Case = tuple[str | None, str | None]
CASES: dict[
    tuple[str, str], dict[Case, str]
] = {  # certificate and password modes -> (certificate of, login as) -> outcome
    ("none", "required"): {(None, None): "fatal", (None, "alice"): "alice", ("bob", "alice"): "alice"},
    ("none", "optional"): {(None, None): "fatal", (None, "alice"): "alice"},
    ("tls", "required"): {
        (None, "alice"): "refused",
        ("bob", None): "fatal",
        ("bob", "alice"): "alice",
    },
    ("tls", "optional"): {(None, None): "refused", ("bob", None): "fatal", ("bob", "alice"): "alice"},
    ("username", "required"): {
        (None, "alice"): "refused",
        ("alice", None): "fatal",
        ("alice", "alice"): "alice",
        ("bob", "alice"): "fatal",
    },
    ("username", "optional"): {
        (None, None): "refused",
        ("alice", None): "alice",
        ("alice", "alice"): "alice",
        ("bob", "alice"): "fatal",
    },
}


@pytest.mark.parametrize(("certificate", "password"), list(itertools.product(CERTIFICATES, PASSWORDS)))
@pytest.mark.row("KS-AUTH-004", "KS-AUTH-005", "KS-NAE-003")
def test_every_mode_lets_in_who_it_should(modes: DevNode, certificate: str, password: str) -> None:
    set_mode(modes, certificate, password)
    expected = CASES[certificate, password]
    assert {case: asked(modes, *case) for case in expected} == expected
    assert asked(modes, "alice", "alice", "wrong") == "fatal"
    assert at_door(modes, "user.list")


@pytest.mark.row("KS-NAE-004", "KS-NAE-007", "KS-AUTH-003")
def test_nobody_in_particular_has_nobodys_keys_where_that_is_allowed(modes: DevNode) -> None:
    set_mode(modes, "none", "optional")
    change_setting(modes, "key_server", "allow_global_sessions", True)
    assert asked(modes, None, None) == "1302"  # keys of nobody are another switch
    change_setting(modes, "key_server", "allow_global_keys", True)
    assert asked(modes, None, None) == "nobody"
    with connect(modes) as client:
        owned = "entrance.owned"
        with connect(modes) as alice:
            assert alice.log_in("alice", password_of(modes, "alice")).ok
            alice.ask("KeyGen", KeyName=owned, Algorithm="AES", Exportable=FLAG)
        assert client.ask("KeyExport", KeyName=owned).number == 1401
        theirs = client.ask("KeyGen", Algorithm="AES", Deletable=FLAG).text("KeyName")
        with connect(modes) as alice:
            assert alice.log_in("alice", password_of(modes, "alice")).ok
            assert alice.ask("KeyDel", KeyName=theirs).ok
    for certificate, password in (("none", "required"), ("username", "optional")):
        set_mode(modes, certificate, password)
        assert asked(modes, None, None) in ("fatal", "refused")


@pytest.mark.row("KS-AUTH-005")
def test_a_password_in_anothers_name_locks_nobody(modes: DevNode) -> None:
    change_setting(modes, "user_lockout", "failures_count", 1)
    assert asked(modes, "bob", "alice", "guess") == "fatal"
    assert asked(modes, "alice", "alice") == "alice"


@pytest.mark.row("KS-AUTH-011")
def test_wrong_passwords_lock_an_account_for_a_while_and_are_audited(modes: DevNode) -> None:
    change_setting(modes, "user_lockout", "failures_count", 2)
    change_setting(modes, "user_lockout", "duration_s", 2)
    for _ in range(2):
        assert asked(modes, "bob", "bob", "guess") == "fatal"
    assert asked(modes, "bob", "bob") == "fatal"
    until_s = time.monotonic() + 20
    while "user 'bob' via key-server: wrong password, locked from now on" not in details(modes):
        assert time.monotonic() < until_s
    while asked(modes, "bob", "bob") != "bob":
        assert time.monotonic() < until_s


def details(node: DevNode) -> list[str]:
    return [line["detail"] for line in at_door(node, "audit.show")["lines"]]


@pytest.mark.row("KS-AUTH-006")
def test_a_certificate_may_have_to_name_the_address(modes: DevNode, tmp_path: Path) -> None:
    issued = at_door(modes, "certificate.issue", user="alice", addresses="127.0.0.1")
    bound = tmp_path / "bound.pem", tmp_path / "bound.key"
    bound[0].write_text(issued["certificate"])
    bound[1].write_bytes(issued["key"])
    change_setting(modes, "key_server", "check_source_ip", True)
    assert asked(modes, "alice", "alice") == "refused"
    with Client(modes.ready["xml"]["port"], Path(modes.ready["ca_certificate"]), bound) as client:
        assert client.log_in("alice", password_of(modes, "alice")).ok
        assert client.ask("RandGen", Size=1).ok


def test_whoever_fails_hears_one_sentence(node: DevNode) -> None:
    told = set()
    for user, password in (("alice", "wrong"), ("nobody", "wrong"), ("bob", password_of(node, "bob"))):
        with connect(node, "alice") as client:
            told.add(tuple((child.name, child.text) for child in client.log_in(user, password).element.children))
    assert len(told) == 1


def test_a_session_ends_with_its_user(node: DevNode) -> None:
    at_door(node, "user.create", name="carol")
    issued = at_door(node, "certificate.issue", user="carol")
    folder = node.folder
    (folder / "carol.pem").write_text(issued["certificate"])
    (folder / "carol.key").write_bytes(issued["key"])
    at_door(node, "user.set_password", name="carol", password=b"a long enough one")
    certificate = folder / "carol.pem", folder / "carol.key"
    with Client(node.ready["xml"]["port"], Path(node.ready["ca_certificate"]), certificate) as carol:
        assert carol.log_in("carol", "a long enough one").ok
        assert carol.ask("RandGen", Size=1).ok
        at_door(node, "user.delete", name="carol")
        answer = carol.ask("RandGen", Size=1)
        assert (answer.number, answer.is_fatal) == (FAILED, True)
        assert carol.is_closed()


def test_a_stricter_setting_reaches_open_sessions(modes: DevNode) -> None:
    set_mode(modes, "username", "optional")
    with connect(modes, "alice") as client:
        assert client.ask("RandGen", Size=1).ok
        set_mode(modes, "username", "required")
        assert client.ask("RandGen", Size=1).number == FAILED


@pytest.mark.parametrize(
    "name",
    [
        "RandGen",
        "DeviceInfo",
        "KeyGen",
        "KeyImport",
        "KeyInfo",
        "KeyNames",
        "KeyQuery",
        "KeyExport",
        "KeyDel",
        "Nonsense",
    ],
)
def test_nothing_is_done_before_the_login(node: DevNode, name: str) -> None:
    with connect(node, "alice") as client:
        client.send(VERSION + request(name, ID="x"))
        version, answer = client.receive(), client.receive()
        assert version is not None
        assert version.text("Version") == "2.9"
        assert answer is not None
        assert answer.number == (1002 if name == "Nonsense" else FAILED)
        assert client.is_closed()


def test_version_and_login_come_first_and_once(node: DevNode) -> None:
    with connect(node, "alice") as client:
        assert (
            client.ask("Version", MessageVersion="1.0", VersionList=(FLAG._replace(name="Version", text="9.9"),)).number
            == 1007
        )
        assert client.log_in("alice", password_of(node, "alice")).ok
        assert client.log_in("alice", password_of(node, "alice")).number == 1004
        client.send(VERSION)
        late = client.receive()
        assert late is not None
        assert late.number == 1004
        assert client.ask("RandGen", Size=1).ok


def test_cleartext_is_not_spoken_where_tls_is_on(node: DevNode) -> None:
    with socket.create_connection(("127.0.0.1", node.ready["xml"]["port"]), 10) as plain:
        plain.sendall(VERSION)
        assert b"VersionResponse" not in plain.recv(1000)


@pytest.mark.row("KS-NAE-001")
def test_it_is_a_request_and_response_interface_on_a_port_of_its_own(node: DevNode) -> None:
    assert (Xml().port, Xml().use_tls) == (9000, True)
    assert node.ready["xml"]["port"] != node.port
    with connect(node, "alice") as client:
        assert client.ask("Version", MessageVersion="1.0", VersionList=(Element("Version", "2.9"),)).ok
