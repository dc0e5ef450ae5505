"""IP authorization of a node: what peers from listed and from other addresses of this machine see of it."""

import contextlib
import socket
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.production import keystead
from tests.node.test_people import ran, refused
from tests.node.test_users_page import commands_of
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Disconnected, Session
from tests.support.rest.client import administrator, stranger
from tests.support.ssh import Ssh

LISTED, OTHER = "127.0.0.1", "127.0.0.2"
QUIET_S = 0.3
CLOSED_S_MAX = 15


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    made = DevNode(
        tmp_path_factory.mktemp("ip"), settings=("xml.enabled=true", "health.enabled=true"), web=True, ssh=True
    )
    made.start()
    yield made
    made.stop()


@pytest.fixture
def open_again(node: DevNode) -> Iterator[None]:
    """Everybody may connect again when the test is over."""
    yield
    change(node, "set", "--key-server", "all", "--web", "all", "--ssh", "all")
    for line in change(node, "show").splitlines()[3:]:
        change(node, "remove", line.split()[0])


def change(node: DevNode, *words: str) -> str:
    return ran(node, "ip-authorization", *words)


def port_of(node: DevNode, service: str) -> int:
    """`rest` and `health` are told by their URLs."""
    entry = node.ready[service]
    return int(entry.get("port") or urllib.parse.urlsplit(entry["url"]).port)


def connected(port: int, source: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=CLOSED_S_MAX, source_address=(source, 0))


def is_turned_away(port: int, source: str) -> bool:
    """Whether the node closes a connection before anybody has sent a byte."""
    with connected(port, source) as peer:
        peer.settimeout(QUIET_S)
        try:
            return peer.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def is_closed(peer: socket.socket) -> bool:
    """Whether an open connection ends within some seconds."""
    peer.settimeout(CLOSED_S_MAX)
    with contextlib.suppress(ConnectionResetError):
        while True:
            try:
                if not peer.recv(4096):
                    break
            except TimeoutError:
                return False
    return True


@pytest.mark.usefixtures("open_again")
@pytest.mark.row("KS-IPA-001", "KS-IPA-004")
def test_each_service_is_closed_to_others_before_a_byte_is_said(node: DevNode) -> None:
    change(node, "add", LISTED, "--key-server", "--web", "--ssh")
    for services, option in ((("kmip", "xml"), "--key-server"), (("rest",), "--web"), (("ssh",), "--ssh")):
        ports = [port_of(node, service) for service in services]
        is_silent = "ssh" not in services  # SSH begins with a word of the server
        assert not is_silent or not any(is_turned_away(port, OTHER) for port in ports)
        change(node, "set", option, "listed")
        for port in ports:
            assert is_turned_away(port, OTHER), services
            assert not is_turned_away(port, LISTED), services
    with Session(node.port, node.client()) as session:
        session.ask(messages.locate())
    assert administrator(node).told("GET", "/ip-authorization")["web"] == "listed"
    told = node.output.read_text()
    for title in ("the key server", "web administration", "SSH administration"):
        assert f"connection from {OTHER} to {title} closed: the address is not listed" in told
    with socket.create_connection(("127.0.0.1", port_of(node, "health")), source_address=(OTHER, 0)) as peer:
        peer.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert peer.recv(100).startswith(b"HTTP/1.1 ")  # health is never bound


@pytest.mark.usefixtures("open_again")
def test_open_connections_end_when_their_address_is_not_listed_any_more(node: DevNode) -> None:
    number = change(node, "add", "127.0.0.0/8", "--key-server", "--web", "--ssh").split()[0]
    change(node, "set", "--key-server", "listed", "--web", "listed", "--ssh", "listed")
    held = [connected(port_of(node, service), OTHER) for service in ("kmip", "xml", "ssh")]
    client = Ssh(node, Path(node.ready["administrator"]["password_file"]).read_text())
    with Session(node.port, node.client()) as session:
        session.ask(messages.locate())
        change(node, "remove", number)
        with pytest.raises((Disconnected, OSError)):
            session.ask(messages.locate())
    assert [is_closed(peer) for peer in held] == [True] * 3
    for peer in held:
        peer.close()
    with pytest.raises(OSError, match=r".*"):
        stranger(node).ask("GET", "/health")
    assert client.run("show", "users").returncode != 0
    assert "alice" in ran(node, "user", "list")  # the local socket is bound by no list


@pytest.mark.usefixtures("open_again")
@pytest.mark.row("KS-IPA-005", "KS-CLI-013")
def test_whoever_asks_from_afar_keeps_their_own_way_in(node: DevNode) -> None:
    admin = administrator(node)
    reply = admin.ask("PATCH", "/ip-authorization", {"web": "listed"})
    assert reply.status == 403
    assert LISTED in reply.body["detail"]
    assert admin.told("POST", "/ip-entries", {"addresses": LISTED, "web": True})["number"] > 0
    assert admin.told("PATCH", "/ip-authorization", {"web": "listed"})["web"] == "listed"
    client = Ssh(node, Path(node.ready["administrator"]["password_file"]).read_text())
    done = client.run("config", "ip-authorization", "set", "--ssh", "listed")
    assert done.returncode == 1
    assert f"your own address {LISTED} could not reach SSH administration" in done.stderr
    assert client.run("config", "ip-entry", "create", "127.0.0.0/24", "--ssh", "yes").returncode == 0
    assert client.run("config", "ip-authorization", "set", "--ssh", "listed").returncode == 0
    assert "ssh: listed" in client.run("show", "ip-authorization").stdout
    number = change(node, "show").splitlines()[3].split()[0]
    assert admin.ask("DELETE", f"/ip-entries/{number}").status == 403
    token = admin.told("POST", "/api-tokens", {"label": "ip", "scopes": ["network_time"]})["token"]
    assert admin.as_token(token).ask("DELETE", f"/ip-entries/{number}").status == 403


def test_it_outlasts_a_restart_and_the_page_is_true(tmp_path: Path) -> None:
    own = DevNode(tmp_path)
    own.start()
    try:
        said = {}
        for command in commands_of("ip-authorization.md"):
            words = command.replace("/srv/keystead/data", str(own.data)).split()[1:]
            done = keystead(*words)
            assert done.returncode == 0, f"{command}: {done.stderr}"
            said[words[1]] = done.stdout
        assert said["show"].splitlines() == [
            *("key-server: listed", "web: all", "ssh: all"),
            *(
                "1  192.0.2.0/24  key-server",
                "2  198.51.100.10-198.51.100.20  web, ssh",
                "3  2001:db8::/32  key-server",
            ),
        ]
        assert said["change"] == "1  192.0.2.0/25  key-server, ssh\n"
        assert "no entry 9" in refused(own, "ip-authorization", "remove", "9")
        change(own, "set", "--key-server", "listed")
        own.stop()
        own.start()
        assert is_turned_away(own.port, LISTED)
        change(own, "add", LISTED, "--key-server")
        with Session(own.port, own.client()) as session:
            session.ask(messages.locate())
    finally:
        own.kill()
