"""The health check as load balancers ask it."""

import http.client
import socket
import urllib.parse

import pytest

from tests.support.dev_node import DevNode


def connection(node: DevNode) -> http.client.HTTPConnection:
    place = urllib.parse.urlsplit(node.ready["health"]["url"])
    return http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)


@pytest.mark.row("KS-HCK-001")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_it_answers_once_the_whole_request_was_read(node: DevNode, method: str) -> None:
    asked = connection(node)
    asked.request(method, "/", body=b"x" * 5000 if method == "POST" else None)
    answer = asked.getresponse()
    assert answer.status == 200
    assert bool(answer.read()) is (method != "HEAD")


@pytest.mark.row("KS-HCK-004")
def test_ready_reports_each_part(node: DevNode) -> None:
    asked = connection(node)
    asked.request("GET", "/ready")
    answer = asked.getresponse()
    assert answer.status == 200
    assert b'"security_module": true' in answer.read()


@pytest.mark.row("KS-HCK-005")
def test_size_is_limited(node: DevNode) -> None:
    asked = connection(node)
    asked.request("POST", "/", headers={"Content-Length": "99999999"})
    assert asked.getresponse().status == 413
    place = urllib.parse.urlsplit(node.ready["health"]["url"])
    with socket.create_connection((place.hostname or "", place.port or 0), 10) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000)
        raw.settimeout(15)
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_other_paths_are_not_found(node: DevNode) -> None:
    asked = connection(node)
    asked.request("GET", "/etc/passwd")
    assert asked.getresponse().status == 404
