"""Plain TCP, for those who want it: who may speak, what it cannot do, and that it is told of."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.node.doctor.examination import examine
from keystead.node.folder import read_config
from tests.hostile.doors import at_door, change_setting
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.xml.client import FLAG, VERSION, Client, password_of, request

FATAL_LOGIN = 1201


@pytest.fixture(scope="module")
def open_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    made = DevNode(
        tmp_path_factory.mktemp("plain"),
        ("xml.use_tls=false", "xml.handshake_timeout_s=2", "xml.message_timeout_s=2"),
    )
    made.start()
    yield made
    made.stop()


@pytest.fixture
def client(open_node: DevNode) -> Iterator[Client]:
    change_setting(open_node, "xml_server", "client_certificate", "none")
    with Client(open_node.ready["xml"]["port"], None) as made:
        yield made


@pytest.mark.row("KS-AUTH-001", "KS-NAE-002")
def test_keys_are_served_over_plain_tcp_to_who_has_logged_in(open_node: DevNode, client: Client) -> None:
    client.send(VERSION)
    assert client.receive() is not None
    assert client.log_in("alice", password_of(open_node, "alice")).ok
    name = client.ask("KeyGen", Algorithm="AES", KeySize=256, Exportable=FLAG, Deletable=FLAG).text("KeyName")
    assert client.ask("KeyInfo", KeyName=name).get("Owner") == "alice"
    assert client.ask("Crypto", b"a" * 70_000, Action="ENCRYPT", KeyName=name, Algorithm="AES/GCM/NoPadding").ok


def test_a_wrong_password_ends_it_as_over_tls(client: Client) -> None:
    answer = client.log_in("alice", "wrong")
    assert answer.number == FATAL_LOGIN
    assert client.is_closed()


@pytest.mark.parametrize("asked", ["tls", "username"])
def test_nobody_comes_in_where_a_certificate_is_wanted(open_node: DevNode, client: Client, asked: str) -> None:
    change_setting(open_node, "xml_server", "client_certificate", asked)
    assert not client.log_in("alice", password_of(open_node, "alice")).ok
    assert client.is_closed()


def test_requests_in_one_packet_and_in_bytes_are_answered_in_order(open_node: DevNode, client: Client) -> None:
    client.log_in("bob", password_of(open_node, "bob"))
    client.send(b"".join(request("RandGen", ID=number, Size=1) for number in range(50)))
    for number in range(50):
        answer = client.receive()
        assert answer is not None
        assert answer.text("ID") == str(number)
    for byte in request("RandGen", ID="x", Size=1):
        client.send(bytes([byte]))
    last = client.receive()
    assert last is not None
    assert last.ok


def test_who_says_nothing_or_speaks_tls_is_closed(open_node: DevNode) -> None:
    port = open_node.ready["xml"]["port"]
    for sent in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), 20) as silent:
            silent.sendall(sent)
            received, deadline = b"", time.monotonic() + 20
            while chunk := silent.recv(10_000):
                received += chunk
                assert time.monotonic() < deadline
            assert b"<Success>true" not in received


def test_kmip_stays_with_tls(open_node: DevNode) -> None:
    with socket.create_connection(("127.0.0.1", open_node.port), 20) as plain:
        plain.sendall(VERSION)
        assert b"Version" not in plain.recv(1000)
    with open_node.session() as session:
        session.ask(messages.locate())


@pytest.mark.row("KS-AUTH-007")
def test_the_recommended_preset_is_set_as_a_whole_and_says_what_it_cannot(open_node: DevNode) -> None:
    for field, value in (("client_certificate", "tls"), ("password_authentication", "optional")):
        change_setting(open_node, "xml_server", field, value)
    change_setting(open_node, "key_server", "allow_global_sessions", True)
    applied = at_door(open_node, "preset.apply", name="recommended_authentication")
    assert sorted(applied["changed"]) == [
        "key_server.allow_global_sessions: True -> False",
        "key_server.check_source_ip: False -> True",
        "xml_server.client_certificate: tls -> username",
        "xml_server.password_authentication: optional -> required",
    ]
    assert "set xml.use_tls" in applied["caution"]
    shown = at_door(open_node, "settings.read")
    assert shown["key_server"]["check_source_ip"]
    assert shown["xml_server"]["client_certificate"] == "username"
    again = at_door(open_node, "preset.apply", name="recommended_authentication")
    assert again["changed"] == []
    change_setting(open_node, "key_server", "check_source_ip", False)


def test_it_is_logged_and_told_by_the_doctor(open_node: DevNode) -> None:
    assert "without TLS" in open_node.output.read_text()
    (finding,) = [one for one in examine(read_config(Path(open_node.data))) if one.check == "cleartext"]
    assert "in clear" in finding.what
