"""The connection below: requests without waiting, slow peers, half requests, secrets that stay where they belong."""

import os
import time
from typing import Any

import pytest

from tests.support.dev_node import DevNode
from tests.support.xml.client import FLAG, VERSION, Client, connect, logged_in, password_of, request

DEADLINE_S = 2
SLACK_S = 4


@pytest.mark.row("KS-NAE-025")
def test_requests_without_waiting_are_answered_in_order(node: DevNode) -> None:
    with connect(node, "alice") as client:
        asked = [request("RandGen", ID=f"r{at}", Size=at + 1) for at in range(200)]
        login = request("Auth", ID="login", User="alice", Passwd=password_of(node, "alice"))
        made = request("KeyGen", ID="made", Algorithm="RSA", KeySize=2048)  # made on another thread, and waited for
        client.send(VERSION + login + b"".join(asked[:100]) + made + b"\n ".join(asked[100:]) + b"\n")
        got = [client.receive() for _ in range(203)]
    ids = [answer.text("ID") for answer in got if answer is not None]
    assert ids == ["1", "login", *(f"r{at}" for at in range(100)), "made", *(f"r{at}" for at in range(100, 200))]
    sizes = [len(answer.data) for answer in got if answer is not None and answer.data is not None]
    assert sizes == list(range(1, 201))


def test_nothing_is_run_after_a_failed_login(node: DevNode, alice: Client) -> None:
    with connect(node, "alice") as client:
        login = request("Auth", User="alice", Passwd="wrong")
        client.send(login + request("KeyGen", KeyName="after.failure", Algorithm="AES"))
        answer = client.receive()
        assert answer is not None
        assert answer.is_fatal
        assert client.is_closed()
    assert "after.failure" not in alice.ask("KeyNames").all("KeyName")


@pytest.mark.parametrize(
    "half",
    [b"<KeyGenRequest><ID>1</ID>", b"<", request("Crypto", Action="MAC", KeyName="a") + b"<Data><Size>9</Size>12"],
    ids=["element", "tag", "data"],
)
def test_half_a_request_is_not_waited_for(node: DevNode, half: bytes) -> None:
    with logged_in(node, "alice") as client:
        client.send(half)
        begun_s = time.monotonic()
        assert client.is_closed()
        assert time.monotonic() - begun_s < DEADLINE_S + SLACK_S


def test_drips_do_not_prolong_it(node: DevNode) -> None:
    with logged_in(node, "alice") as client:
        begun_s, drip = time.monotonic(), b"<KeyGenRequest>"
        try:
            while time.monotonic() - begun_s < DEADLINE_S + SLACK_S:
                client.send(drip)
                drip = b"a"
                time.sleep(0.2)
        except OSError:
            pass
        assert time.monotonic() - begun_s < DEADLINE_S + SLACK_S


def test_no_secret_lies_where_it_does_not_belong(node: DevNode) -> None:
    key, wrong, plain = os.urandom(32), "wrong-" + os.urandom(12).hex(), os.urandom(24).hex()
    right = password_of(node, "alice")
    with logged_in(node, "alice") as client:
        name = "canary." + os.urandom(4).hex()
        assert client.ask("KeyImport", KeyName=name, Algorithm="AES", KeyData=key.hex(), Exportable=FLAG).ok
        assert client.ask("KeyExport", KeyName=name).ok
        assert client.ask("KeyImport", KeyName="bad", Algorithm="AES", KeyData=key.hex() + "0").number == 1404
        assert client.ask("KeyImport", KeyName="bad", Algorithm="RSA", KeyData=key.hex()).number == 1404
        more: dict[str, Any] = {"Action": "ENCRYPT", "KeyName": name, "Algorithm": "AES/GCM/NoPadding"}
        assert client.ask("Crypto", plain.encode(), **more).ok
        client.send(f"<KeyImportRequest><ID>1</ID><KeyData>{key.hex()}</Key></KeyImportRequest>".encode())
        assert client.receive() is not None
    with connect(node, "alice") as client:
        assert not client.log_in("alice", wrong).ok
    files = [path for folder in ("logs", "run") for path in (node.data / folder).rglob("*") if path.is_file()]
    files += [node.output, *node.data.glob("*.db*")]
    for secret in (key, key.hex().encode(), wrong.encode(), right.encode(), plain.encode()):
        assert [path.name for path in files if secret in path.read_bytes()] == []
