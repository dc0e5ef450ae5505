"""Peers that are silent, slow, greedy or gone must not cost an honest client more than a moment.

Attack classes 1 (half-open connections), 2 (slow bodies, lying lengths) and 7 (many at once). No time is asserted but
"before the client's own timeout"; the deadlines of the node under test are seconds (conftest.SETTINGS).
"""

import contextlib
import itertools
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.hostile.conftest import DEADLINE_S
from tests.hostile.doors import change_setting
from tests.hostile.sockets import (
    client_hello,
    close_all,
    converse,
    is_closed,
    is_message,
    is_served,
    plain,
    process,
    reply,
    reset,
    said,
    secure,
    until,
)
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Session

SILENT_COUNT = 500
HALF_COUNT = 100
ONE_ADDRESS_COUNT = 600
FILES_COUNT = 300
RESET_COUNT = 40
CLOSED_WITHIN_S = 4 * DEADLINE_S
MESSAGE_BYTES_MAX = 1 << 20
DISCOVER_VERSIONS = 0x1E
OPAQUE_OBJECT, OPAQUE_DATA_TYPE, OPAQUE_DATA_VALUE = 0x42005B, 0x420059, 0x42005A


@pytest.fixture(autouse=True)
def node_survives(node: DevNode) -> Iterator[None]:
    """No process of the node was replaced, nothing of ours went wrong, and an honest client is served."""
    before = {role: process(node, role).pid for role in ("keys", "admin")}
    yield
    assert is_served(node)
    assert {role: process(node, role).pid for role in ("keys", "admin")} == before
    assert "Traceback" not in said(node)


def test_silent_sockets_and_half_handshakes_hinder_nobody(node: DevNode) -> None:
    """Class 1: 500 peers that connect and say nothing, 100 that stop after their first flight."""
    silent = [plain(node) for _ in range(SILENT_COUNT)]
    half = []
    hello = client_hello(node)
    for _ in range(HALF_COUNT):
        half.append(plain(node))
        half[-1].sendall(hello)
    try:
        with node.session() as session:  # times out after 20 s
            assert session.key(session.identifier(messages.create()))
    finally:
        close_all([*silent, *half])


def test_six_hundred_connections_from_one_address_are_served(node: DevNode) -> None:
    """Class 7, and what docs/node-contract.md promises."""
    context = node.client().context()
    with ThreadPoolExecutor(4) as pool:
        connections = list(pool.map(lambda _: secure(node, context), range(ONE_ADDRESS_COUNT)))
    try:
        for connection in connections:
            connection.sendall(messages.request(DISCOVER_VERSIONS))
        assert all(is_message(reply(connection)) for connection in connections)
    finally:
        close_all(connections)


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit of util-linux")
def test_strangers_make_room_when_there_are_too_many(tmp_path: Path) -> None:
    """Class 1: more silent sockets than the process may have files; those of users stay."""
    crowded = DevNode(tmp_path, prefix=("prlimit", f"--nofile={FILES_COUNT}:{FILES_COUNT}"))
    crowded.start()
    try:
        with crowded.session() as early:
            key = early.identifier(messages.create())
            silent = [plain(crowded) for _ in range(2 * FILES_COUNT)]
            try:
                assert is_served(crowded)
                assert len(early.key(key)) == 32
            finally:
                close_all(silent)
        assert "Traceback" not in said(crowded)
    finally:
        crowded.kill()


# -- slow peers ------------------------------------------------------------------------------------------------------


def is_open_after(connection: socket.socket, drops: Iterator[int]) -> bool:
    """Send the next byte if there is one left; whether the server still keeps the connection."""
    connection.setblocking(False)
    try:
        connection.send(bytes(itertools.islice(drops, 1)))
        return bool(connection.recv(65_536))
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return True
    except OSError:
        return False


def test_whoever_takes_too_long_is_closed(node: DevNode) -> None:
    """Classes 1 and 2: silence, half a handshake, half a message, dripping bytes; all at once, to wait only once."""
    hello, message = client_hello(node), messages.create()
    slow = {
        "silent": (plain(node), b"", b""),
        "half a handshake": (plain(node), hello, b""),
        "dripping handshake": (plain(node), b"", hello),
        "half a message": (secure(node), message[:100], b""),
        "dripping message": (secure(node), b"", message),
    }
    for connection, at_once, _ in slow.values():
        connection.sendall(at_once)
    left = {name: (connection, iter(dripped)) for name, (connection, _, dripped) in slow.items()}
    end_s = time.monotonic() + CLOSED_WITHIN_S
    with node.session() as patient:
        while left and time.monotonic() < end_s:
            left = {name: each for name, each in left.items() if is_open_after(*each)}
            time.sleep(0.1)
        assert not left
        assert patient.identifiers(messages.locate(items_max=1)) is not None, "silence between messages is no crime"
    close_all(connection for connection, _, _ in slow.values())


@pytest.mark.row("KS-KMIP-006")
def test_idle_connections_are_closed_after_the_configured_time(node: DevNode) -> None:
    with secure(node) as idle:
        idle.sendall(messages.request(DISCOVER_VERSIONS))
        assert reply(idle)
        change_setting(node, "key_server", "connection_timeout_s", 1)
        try:
            assert is_closed(idle, CLOSED_WITHIN_S)
        finally:
            change_setting(node, "key_server", "connection_timeout_s", 3600)


# -- greedy peers ----------------------------------------------------------------------------------------------------


def fill(connection: ssl.SSLSocket, message: bytes, bytes_max: int) -> int:
    """Send the message again and again without reading a reply; how many bytes the server took."""
    connection.settimeout(1.0)
    block = message * (65_536 // len(message))
    sent = 0
    with contextlib.suppress(OSError):
        while sent < bytes_max:
            connection.sendall(block)
            sent += len(block)
    return sent


def test_a_client_that_never_reads_cannot_fill_the_memory(node: DevNode) -> None:
    """Class 2: replies are larger than requests; reading stops when replies are not taken, then the peer is closed."""
    rss_bytes = process(node).memory_info().rss
    names = [messages.name_attribute(f"{number} " + 500 * "x") for number in range(20)]
    with node.session() as session:
        key = session.identifier(messages.create(None, *names))
    greedy = secure(node)
    sent = fill(greedy, messages.get_attributes(key), 64 << 20)
    assert sent < 32 << 20, "the server must stop reading"
    assert process(node).memory_info().rss - rss_bytes < 64 << 20
    assert is_served(node)
    # The peer may have sent everything the kernel takes; only the server's own patience ends this.
    assert until(lambda: is_gone(greedy), CLOSED_WITHIN_S)
    greedy.close()


def is_gone(connection: ssl.SSLSocket) -> bool:
    """Whether the other end has closed, seen without reading what it sent before."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return info[0] not in (1, 4)  # ESTABLISHED, FIN_WAIT1


def test_a_flood_of_one_connection_leaves_others_their_turn(node: DevNode) -> None:
    """Class 7: somebody pipelines without end and reads all replies; others are served meanwhile."""
    with node.session() as session:
        key = session.identifier(messages.create())
    greedy = secure(node)
    stop = threading.Event()

    def flood() -> None:
        with contextlib.suppress(OSError):
            for _ in converse(greedy, messages.get(key) * 100_000):
                if stop.is_set():
                    break

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        for _ in range(3):
            assert is_served(node)
        assert flooding.is_alive()
    finally:
        stop.set()
        flooding.join()
        greedy.close()


# -- peers that go away ----------------------------------------------------------------------------------------------


def test_resets_at_every_moment(node: DevNode) -> None:
    """Class 7: gone before, within and after the handshake, within a message, before its reply."""
    hello = client_hello(node)
    context = node.client().context()
    for number in range(RESET_COUNT):
        bare = plain(node)
        bare.sendall(hello[: number * len(hello) // RESET_COUNT])
        reset(bare)
        for sent in (b"", messages.create()[: 1 + number], messages.create(), messages.create() * 20):
            connection = secure(node, context)
            connection.sendall(sent)
            reset(connection)


def test_a_client_that_says_goodbye_at_once(node: DevNode) -> None:
    for data in (b"", messages.create()[:20]):
        connection = secure(node)
        connection.sendall(data)
        with contextlib.suppress(OSError, ValueError):
            connection.unwrap()
        connection.close()


# -- order and size --------------------------------------------------------------------------------------------------


def numbered(number: int, operation: int, *payload: bytes) -> bytes:
    return messages.batch([messages.batch_item(operation, *payload, number=number)])


@pytest.mark.parametrize("piece_bytes", [1 << 16, 97])
def test_pipelined_messages_are_answered_in_order(node: DevNode, piece_bytes: int) -> None:
    """Writes wait for their commit, reads do not: still each reply comes in its turn, however the bytes were cut."""
    with node.session() as session:
        key = session.identifier(messages.create())
    sent = [
        numbered(number, messages.CREATE, *messages.create_payload(None))
        if number % 3 == 0
        else numbered(number, messages.GET, messages.text(messages.UNIQUE_IDENTIFIER, key))
        if number % 3 == 1
        else numbered(number, DISCOVER_VERSIONS)
        for number in range(120)
    ]
    with secure(node) as connection:
        replies = converse(connection, b"".join(sent), piece_bytes)
        told = [messages.parse(next(replies)) for _ in sent]
    order = [next(each.find(messages.UNIQUE_BATCH_ITEM_ID)).value for each in told]
    assert order == [number.to_bytes(4, "big") for number in range(len(sent))]
    assert all(next(each.find(messages.RESULT_STATUS)).value == messages.SUCCESS for each in told)


def test_a_read_sees_the_write_before_it(node: DevNode) -> None:
    with node.session() as session:
        key = session.identifier(messages.create())
    with secure(node) as connection:
        connection.sendall(messages.get(key) + messages.destroy(key) + messages.get(key))
        statuses = [next(messages.parse(reply(connection)).find(messages.RESULT_STATUS)).value for _ in range(3)]
    assert statuses == [messages.SUCCESS, messages.SUCCESS, 1]


def opaque(message_bytes: int) -> bytes:
    """A Register of an opaque object, as long as wanted to the byte."""

    def message(data: bytes) -> bytes:
        kind = messages.enumeration(messages.OBJECT_TYPE, 8)
        data_type = messages.enumeration(OPAQUE_DATA_TYPE, 0x80000001)
        body = messages.structure(OPAQUE_OBJECT, data_type, messages.octets(OPAQUE_DATA_VALUE, data))
        return messages.request(3, kind, messages.structure(messages.TEMPLATE_ATTRIBUTE), body)

    return message(bytes(message_bytes - len(message(b""))))


def test_the_largest_message_is_read_and_a_larger_one_refused(node: DevNode) -> None:
    """Class 2: the length is judged before a byte of the message is kept."""
    with node.session() as session:
        assert session.send(opaque(MESSAGE_BYTES_MAX)), "whatever the answer is, there is one"
        assert session.identifiers(messages.locate(items_max=1)) is not None
    with secure(node) as connection:
        connection.sendall(opaque(MESSAGE_BYTES_MAX + 8)[:4096])
        told = messages.parse(reply(connection))
        assert next(told.find(messages.RESULT_STATUS)).value == 1
        assert is_closed(connection, CLOSED_WITHIN_S)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x80000000, 0x7FFFFFF8, MESSAGE_BYTES_MAX, 3])
def test_lying_lengths_are_told_and_closed(node: DevNode, length: int) -> None:
    """Class 2: a length that no message may have."""
    with secure(node) as connection:
        connection.sendall(messages.REQUEST_MESSAGE.to_bytes(3, "big") + b"\x01" + length.to_bytes(4, "big"))
        assert next(messages.parse(reply(connection)).find(messages.RESULT_STATUS)).value == 1
        assert is_closed(connection, CLOSED_WITHIN_S)


def test_a_good_message_before_a_broken_one_is_answered(node: DevNode) -> None:
    with secure(node) as connection:
        connection.sendall(messages.request(DISCOVER_VERSIONS) + b"GET / HTTP/1.1\r\n\r\n")
        statuses = [next(messages.parse(reply(connection)).find(messages.RESULT_STATUS)).value for _ in range(2)]
        assert statuses == [messages.SUCCESS, 1]
        assert is_closed(connection, CLOSED_WITHIN_S)


def test_an_open_session_outlives_the_attacks(node: DevNode) -> None:
    """Broken neighbours end their own connection only."""
    with Session(node.port, node.client()) as session:
        key = session.identifier(messages.create())
        for junk in (b"\x00" * 64, b"\xff" * 64, bytes(range(256))):
            with secure(node) as neighbour:
                neighbour.sendall(junk)
                is_closed(neighbour, CLOSED_WITHIN_S)
        assert len(session.key(key)) == 32
