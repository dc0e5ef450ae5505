"""The health check as load balancers ask it."""

import contextlib
import http.client
import socket
import urllib.parse

import pytest

from tests.support.dev_node import DevNode


def place(node: DevNode) -> tuple[str, int]:
    split = urllib.parse.urlsplit(node.ready["health"]["url"])
    return split.hostname or "", split.port or 0


def ask(node: DevNode, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection(*place(node), timeout=10)) as connection:
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
