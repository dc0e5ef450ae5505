"""Spoiled requests at the local door: understood or refused, never a mistake of ours, and the door stays open.

Attack classes 24, 29 and 42. Only root and the node's own account get here (test_privileges); a program of theirs that
goes astray must not take the node's administration with it.
"""

import contextlib
import importlib
import socket
import struct
import typing
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.core.errors import KeysteadError
from keystead.gate.operation import REGISTRY
from keystead.node.folder import read_config, unix_address
from keystead.protocols.local.wire import FRAME_BYTES_MAX, declaration_of, read_body, request_from
from tests.hostile.doors import at_door
from tests.hostile.sockets import process, said
from tests.support.dev_node import DevNode

importlib.import_module("keystead.operations.all")
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from([declaration.name for declaration in REGISTRY.values()])


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A request for an operation that there is, with fields of any kind."""
    name = draw(NAMES)
    fields = list(typing.get_type_hints(declaration_of(name).request))
    known = st.sampled_from(fields) if fields else st.nothing()
    return {"operation": name, "fields": draw(st.dictionaries(known | st.text(max_size=8), PLAIN, max_size=5))}


@settings(max_examples=150)
@given(st.binary(max_size=200) | PLAIN.map(cbor2.dumps))
def test_any_bytes_are_a_map_or_refused(body: bytes) -> None:
    with contextlib.suppress(KeysteadError):
        assert isinstance(read_body(body), dict)


@settings(max_examples=150)
@given(requests())
def test_any_fields_are_a_request_or_refused(message: dict[str, Any]) -> None:
    declaration = declaration_of(message["operation"])
    with contextlib.suppress(KeysteadError):
        assert isinstance(request_from(declaration, message["fields"]), declaration.request)


@pytest.fixture
def door(node: DevNode) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(20)
        made.connect(unix_address(read_config(node.data).local_socket))
        yield made


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def answer(door: socket.socket) -> dict[str, Any]:
    """One frame; {} when the door closed instead."""
    head = door.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        return {}
    body = door.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
    found = cbor2.loads(body)
    assert isinstance(found, dict)
    return found


SPOILED = {
    "no CBOR": b"\xff" * 20,
    "cut short": cbor2.dumps({"operation": "user.list"})[:-3],
    "no map": cbor2.dumps([1, 2]),
    "numbers for names": cbor2.dumps({1: 2}),
    "nested": b"\x81" * 100_000 + b"\x00",
    "nested maps": b"\xa1\x61a" * 30_000 + b"\x00",
    "refers to itself": bytes.fromhex("d81c81d81d00"),
    "a list that says it is huge": b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    "a text that says it is huge": b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "a pattern": b"\xa1\x69operation\xd8\x23\x6f(a+)+$(a+)+$(a+",
    "a tag": b"\xc0\x61x",
    "no operation": cbor2.dumps({"fields": {}}),
    "unknown operation": cbor2.dumps({"operation": "../../etc/passwd"}),
    "fields of another kind": cbor2.dumps({"operation": "user.create", "fields": [1]}),
    "a name that is a map": cbor2.dumps({"operation": "user.create", "fields": {"name": {"a": 1}}}),
    "a name with line ends": cbor2.dumps({"operation": "user.create", "fields": {"name": "a\nb"}}),
    "somebody else's word": cbor2.dumps({"operation": "transitions.apply", "fields": {}, "as": "clock"}),
    "a key user's operation": cbor2.dumps({"operation": "key.get", "fields": {"target": "x"}, "as": "alice"}),
    "a secret of another length": cbor2.dumps(
        {"operation": "module.login", "fields": {"role": "crypto-user", "secret": b"short"}}
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_requests_are_refused(node: DevNode, door: socket.socket, name: str) -> None:
    door.sendall(framed(SPOILED[name]))
    told = answer(door)
    assert "error" in told, told
    assert told["error"] != "internal"
    door.sendall(framed(cbor2.dumps({"operation": "user.list", "fields": {}})))
    assert "result" in answer(door), "the connection goes on"


@pytest.mark.parametrize("length", [FRAME_BYTES_MAX + 1, 0xFFFFFFFF])
def test_frames_that_are_too_long_end_the_connection(node: DevNode, door: socket.socket, length: int) -> None:
    door.sendall(struct.pack(">I", length))
    assert answer(door) == {}


def test_the_node_is_as_it_was(node: DevNode, door: socket.socket) -> None:
    """After half a frame and a goodbye."""
    before = (process(node).pid, process(node, "admin").pid)
    door.sendall(framed(SPOILED["no map"])[:6])
    door.close()
    assert {user["name"] for user in at_door(node, "user.list")} >= {"alice", "bob"}
    assert (process(node).pid, process(node, "admin").pid) == before
    assert "Traceback" not in said(node)
