"""The connection below: requests without waiting, slow peers, half requests, secrets that stay where they belong."""

import os
import socket
import time
from typing import Any

import psutil
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


def cpu_s(node: DevNode, seconds: float) -> float:
    """Processor time that the key-serving process takes in so many seconds."""
    (served,) = [p for p in psutil.Process(node.pid).children(recursive=True) if "_keys" in p.cmdline()]
    before_s = sum(served.cpu_times()[:2])
    time.sleep(seconds)
    return float(sum(served.cpu_times()[:2]) - before_s)


def test_half_a_message_costs_nothing_while_it_waits(node: DevNode) -> None:
    with logged_in(node, "alice") as client:
        client.send(b"<KeyGenRequest><ID>1</ID>")
        assert cpu_s(node, 1) < 0.3
    plain = socket.create_connection(("127.0.0.1", node.port), 10)
    with node.client().context().wrap_socket(plain, server_hostname="127.0.0.1") as kmip:
        kmip.sendall(bytes.fromhex("42007801000000f8") + bytes(8))
        assert cpu_s(node, 1) < 0.3


def test_who_does_not_log_in_does_not_stay(node: DevNode) -> None:
    with connect(node, "alice") as client:
        client.send(VERSION)
        begun_s = time.monotonic()
        assert client.receive() is not None
        assert client.is_closed()
        assert time.monotonic() - begun_s < DEADLINE_S + SLACK_S
    with logged_in(node, "alice") as client:
        time.sleep(DEADLINE_S + 1.5)
        assert client.ask("RandGen", Size=1).ok


def test_requests_before_a_login_are_counted(node: DevNode) -> None:
    with connect(node, "alice") as client:
        client.send(VERSION * 20)
        numbers = []
        while (answer := client.receive()) is not None:
            numbers.append(answer.number)
        assert numbers == [0, *[1004] * 9, 1201]


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
