"""The health check as load balancers ask it."""

import contextlib
import http.client
import signal
import socket
import urllib.parse
from pathlib import Path

import pytest

from tests.node.test_processes import child
from tests.support.dev_node import DevNode

PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"


def place(node: DevNode) -> tuple[str, int]:
    split = urllib.parse.urlsplit(node.ready["health"]["url"])
    return split.hostname or "", split.port or 0


def ask(node: DevNode, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    return ask_at(place(node), method, path, body)


def ask_at(at: tuple[str, int], method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection(*at, timeout=10)) as connection:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.row("KS-HCK-001")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_it_answers_once_the_whole_request_was_read(node: DevNode, method: str) -> None:
    status, body = ask(node, method, "/", b"x" * 5000 if method == "POST" else None)
    assert status == 200
    assert bool(body) is (method != "HEAD")


def test_ready_reports_each_part(node: DevNode) -> None:
    status, body = ask(node, "GET", "/ready")
    assert status == 200
    assert b'"security_module": true' in body


@pytest.mark.row("KS-HCK-005")
@pytest.mark.parametrize("sent", [b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"GET / " + b"a" * 20_000])
def test_size_is_limited(node: DevNode, sent: bytes) -> None:
    with socket.create_connection(place(node), 10) as raw:
        raw.sendall(sent)
        raw.settimeout(15)
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_other_paths_are_not_found(node: DevNode) -> None:
    assert ask(node, "GET", "/etc/passwd")[0] == 404


@pytest.mark.row("KS-HCK-002")
def test_it_is_switched_on_and_bound_to_an_address_and_a_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.2", 0)) as reserved:
        port = reserved.getsockname()[1]
    node = DevNode(tmp_path, settings=("health.address=127.0.0.2", f"health.port={port}"))
    try:
        node.start()
        assert ask_at(("127.0.0.2", port), "GET", "/")[0] == 200
        with pytest.raises(ConnectionRefusedError):
            ask_at(("127.0.0.1", port), "GET", "/")
    finally:
        node.kill()
    silent = DevNode(tmp_path / "silent", settings=("health.enabled=false",))
    silent.folder.mkdir()
    try:
        silent.start()
        assert "health" not in silent.ready
    finally:
        silent.kill()


@pytest.mark.row("KS-HCK-003", "KS-HCK-004")
def test_it_succeeds_while_the_key_server_is_stopped_and_the_documentation_says_so(own_node: DevNode) -> None:
    page = " ".join(PAGE.read_text().split())
    assert "even when every key server is stopped" in page
    assert "No connection, or no answer in time, means down" in page
    keys = child(own_node, "keys")
    keys.send_signal(signal.SIGSTOP)
    try:
        assert ask(own_node, "GET", "/")[0] == 200
        status, parts = ask(own_node, "GET", "/ready")
        assert status == 500
        assert b'"key_server": false' in parts
    finally:
        keys.send_signal(signal.SIGCONT)
    assert ask(own_node, "GET", "/")[0] == 200
