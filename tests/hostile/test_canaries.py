"""Known secrets go in by every door; afterwards no part of them, in any form, lies where it does not belong.

Attack classes 20 (keys written back in clear), 30 (secrets in logs, errors, audit) and 44 (secrets in files, argv,
environment, cores).
"""

import base64
import contextlib
import os
import signal
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from keystead.protocols.kmip.wire import nodes, ttlv
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag
from tests.hostile.canaries import Canaries
from tests.hostile.certificates import authority_of
from tests.hostile.corpus import on_object, register_key, register_opaque, register_private, register_secret
from tests.hostile.exploration import places
from tests.hostile.sockets import close_all, is_served, process, reply, secure, until
from tests.node import production
from tests.support.dev_node import DevNode
from tests.support.kmip_requests import answers, item, message

SECRETS = {
    "key": os.urandom(32),
    "secret data": b"canary: " + base64.b85encode(os.urandom(24)),
    "opaque data": os.urandom(40),
    "private key": bytes([os.urandom(1)[0] % 127 + 1]) + os.urandom(31),
    "plain text": os.urandom(24).hex().encode(),
    "password": b"Pass" + base64.b32encode(os.urandom(20)),
}
CANARIES = Canaries(SECRETS)
KEPT_BY_DEV = ("data/insecure", "data/clients")
"""Where a throw-away node keeps, and says so, what a real one never has."""


VERSIONS_TEMPTED = ((1, 0), (1, 4), (2, 1))


class Visitors:
    """Connections of alice and bob, made anew when the server has closed one."""

    def __init__(self, node: DevNode) -> None:
        self._node = node
        self._open: dict[str, ssl.SSLSocket] = {}

    def ask(self, data: bytes, user: str = "alice") -> bytes:
        """What comes back to a whole message; nothing when the server closes instead."""
        connection = self._open.get(user) or secure(self._node, self._node.client(user))
        self._open[user] = connection
        answer = b""
        with contextlib.suppress(OSError):
            connection.sendall(data)
            answer = reply(connection)
        if not answer:
            connection.close()
            del self._open[user]
        return answer

    def leave_off(self, data: bytes) -> None:
        """Send the first three quarters of a message and go."""
        with secure(self._node) as connection:
            connection.sendall(data[: len(data) * 3 // 4])

    def close(self) -> None:
        close_all(self._open.values())


class Tempted(NamedTuple):
    """A node that was given all secrets, in good and bad messages.

    Attributes:
        told: What it answered where no secret belongs.
        got: What it answered to its owner's Get.
    """

    node: DevNode
    told: list[bytes]
    got: list[bytes]


@pytest.fixture(scope="module")
def tempted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tempted]:
    node = DevNode(tmp_path_factory.mktemp("canaries"))
    node.start()
    visitors = Visitors(node)
    answered = [each for version in VERSIONS_TEMPTED for each in tempt(visitors, version)]
    visitors.close()
    told = [answer for answer in answered if answer and not is_got(answer)]
    yield Tempted(node, told, [answer for answer in answered if answer and is_got(answer)])
    node.kill()


def is_got(answer: bytes) -> bool:
    return any(each.operation == "Get" and not each.reason for each in answers(ttlv.decode(answer)))


def tempt(visitors: Visitors, version: tuple[int, int]) -> Iterator[bytes]:
    """Bring every secret to the node; yields all answers."""
    registrations = [
        register_key(version, SECRETS["key"]),
        register_secret(version, SECRETS["secret data"]),
        register_opaque(version, SECRETS["opaque data"]),
        register_private(version, SECRETS["private key"]),
    ]
    for registration in registrations:
        good = ttlv.encode(message(version, registration, header=[password("alice")]))
        registered = visitors.ask(good)
        yield registered
        (answer,) = answers(ttlv.decode(registered))
        assert not answer.reason, answer.text
        yield from use(visitors, version, str(answer.value(Tag.UNIQUE_IDENTIFIER)))
        yield visitors.ask(ttlv.encode(message(version, registration, header=[password("bob")])))
        yield from (visitors.ask(spoiled) for spoiled in spoilt(good))
        visitors.leave_off(good)


def password(user: str) -> Node:
    value = (nodes.text(Tag.USERNAME, user), nodes.text(Tag.PASSWORD, SECRETS["password"].decode()))
    kind = nodes.enumeration(Tag.CREDENTIAL_TYPE, 1)
    credential = nodes.structure(Tag.CREDENTIAL, kind, nodes.structure(Tag.CREDENTIAL_VALUE, *value))
    return nodes.structure(Tag.AUTHENTICATION, credential)


def use(visitors: Visitors, version: tuple[int, int], identifier: str) -> Iterator[bytes]:
    """Every operation on an object, good and bad, by a stranger and by its owner."""
    target = nodes.text(Tag.UNIQUE_IDENTIFIER, identifier)
    clear = nodes.byte_string(Tag.DATA, SECRETS["plain text"])
    items = [*on_object(version, identifier), item("Encrypt", target, clear), item("Decrypt", target, clear)]
    items += [item("Sign", target, clear), item("Sign", target, nodes.byte_string(Tag.DIGESTED_DATA, b"short"))]
    items.append(item("Get", target, nodes.structure(Tag.KEY_WRAPPING_SPECIFICATION)))
    items += [
        item("Get", target, nodes.enumeration(Tag.KEY_FORMAT_TYPE, number)) for number in (2, 3, 4, 6, 9, 0xFFFFFFFF)
    ]
    items.append(item("Get", target))
    for one in [*items, *on_object(version, identifier, ending=True)[-2:]]:
        sent = ttlv.encode(message(version, one))
        yield visitors.ask(sent, "bob")
        yield visitors.ask(sent)


def spoilt(good: bytes) -> Iterator[bytes]:
    """The message with one item after the other of a false type, length or tag."""
    for start, _ in list(places(good))[1:]:
        for at, change in ((3, 2), (7, 1), (7, 8), (1, 1)):
            spoiled = bytearray(good)
            spoiled[start + at] ^= change
            yield bytes(spoiled)


def test_the_search_finds_what_is_there(tempted: Tempted, tmp_path: Path) -> None:
    """The control: each form is found, and the node did have the secrets to give away."""
    for name, secret in SECRETS.items():
        part = secret[3:-3]
        forms = [part, part.hex().encode(), base64.b64encode(secret), repr(part).encode(), str(list(part)).encode()]
        for form in forms:
            assert CANARIES.inside(b"before " + form + b" after") == [name]
    (tmp_path / "file").write_bytes(bytes((1 << 20) - 20) + SECRETS["key"] + bytes(1 << 20))
    assert {name for _, name in CANARIES.in_files(tmp_path)} == {"key"}
    given = {name for answer in tempted.got for name in CANARIES.inside(answer)}
    assert given == {"key", "secret data", "opaque data", "private key"}


@pytest.mark.row("KS-LOG-032")
def test_no_file_and_no_log_holds_a_secret(tempted: Tempted) -> None:
    """Classes 20 and 30: stores with journal and audit trail, activity log, all output, the ready file."""
    assert "Register" in (tempted.node.data / "logs" / "activity.log").read_text()
    assert CANARIES.in_files(tempted.node.folder, but=KEPT_BY_DEV) == []


def test_no_answer_but_that_to_its_owners_get_holds_a_secret(tempted: Tempted) -> None:
    """Class 30: errors repeat nothing; a stranger gets nothing."""
    assert len(tempted.told) > 500
    assert [found for answer in tempted.told for found in CANARIES.inside(answer)] == []


def test_no_command_line_and_environment_holds_a_secret(tempted: Tempted) -> None:
    """Class 44."""
    assert CANARIES.in_processes(tempted.node.pid) == []


def test_nobody_else_may_read_what_the_node_writes(tempted: Tempted) -> None:
    """Class 44: while it serves, with its write-ahead logs and sockets; only the CA's certificate is for all."""
    open_to_others = {
        str(path.relative_to(tempted.node.data))
        for path in (tempted.node.data, *tempted.node.data.rglob("*"))
        if path.lstat().st_mode & 0o077
    }
    assert open_to_others <= {"ca.pem"}


def test_keys_of_the_node_itself_lie_only_where_they_belong(tempted: Tempted, tmp_path: Path) -> None:
    """Class 44: the CA's private key, the node key and the clients' private keys."""
    node = tempted.node
    authority = authority_of(node, tmp_path).key
    secrets = {"authority": authority.private_numbers().private_value.to_bytes(32, "big")}
    for name in ("alice", "bob"):
        key = serialization.load_pem_private_key((node.data / "clients" / f"{name}.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        secrets[name] = key.private_numbers().private_value.to_bytes(32, "big")
        secrets[f"{name}'s password"] = (node.data / "clients" / f"{name}.password").read_bytes()
    secrets["node key"] = (node.data / "insecure" / "node.key").read_bytes().split()[-1]
    own = Canaries(secrets)
    assert own.in_files(node.folder, but=KEPT_BY_DEV) == []
    assert own.in_processes(node.pid) == []


@pytest.mark.row("KS-LOG-032")
def test_pins_are_repeated_nowhere(tmp_path: Path) -> None:
    """Classes 30 and 44: right and wrong PINs of a production node, in files and in what every command says."""
    data = production.make(tmp_path)
    wrong_pin = "31415926"
    wrong = tmp_path / "wrong"
    wrong.write_text(f"crypto-user = {wrong_pin}\n")
    wrong.chmod(0o600)
    token = tmp_path / "tokens" / "crypto-user-1.token"
    login = ("hsm", "login", "crypto-user", "--token", token, "--data", data, "--answers")
    with production.serving(data):
        ended = [
            production.keystead(*login, wrong),
            production.unlock(data),
            production.keystead("hsm", "status", "--data", data),
        ]
    assert [each.returncode for each in ended] == [1, 0, 0]
    wrong.unlink()
    (tmp_path / "answers").unlink()
    said = "".join(each.stdout + each.stderr for each in ended).encode()
    pins = Canaries({role: pin.encode() for role, pin in {**production.PINS, "wrong": wrong_pin}.items()})
    assert pins.inside(said) == []
    assert pins.in_files(tmp_path) == []


def test_a_crash_leaves_no_core(tmp_path: Path) -> None:
    """Class 44: even where cores are allowed; the node comes back and serves."""
    here = tmp_path / "here"
    here.mkdir()
    node = DevNode(tmp_path, prefix=("prlimit", "--core=unlimited:unlimited", "env", "-C", str(here)))
    node.start()
    try:
        for number in (signal.SIGSEGV, signal.SIGABRT):
            before = process(node).pid
            os.kill(before, number)
            assert until(partial(is_back, node, before), 20)
        assert list(here.iterdir()) == []
    finally:
        node.kill()


def is_back(node: DevNode, before: int) -> bool:
    with contextlib.suppress(StopIteration, psutil.NoSuchProcess, OSError):
        return process(node).pid != before and is_served(node)
    return False
