"""A certificate zoo at the KMIP port: only what the CA issued to a client of today, for a user of today, is served.

Attack classes 12 (confusable names), 25 (authentication that turns itself off) and 27 (certificate authentication).
"""

import contextlib
import ssl
import time
from pathlib import Path

import pytest

from tests.hostile.certificates import CLIENT_AUTH, SERVER_AUTH, Authority, Leaf, stranger
from tests.hostile.doors import at_door
from tests.hostile.sockets import close_all, is_closed, is_message, is_served, plain, reply, secure
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Client, Refused, Session

AUTHENTICATION_NOT_SUCCESSFUL = 0x03
EXPIRES_IN_S = 4

FORGED = {
    "expired": Leaf(lasts=(-7200, -3600)),
    "not yet valid": Leaf(lasts=(3600, 7200)),
    "for servers only": Leaf(usage=(SERVER_AUTH,)),
    "for nothing in particular": Leaf(usage=None),
    "no name": Leaf(names=()),
    "two names, the first good": Leaf(names=("alice", "bob")),
    "twice the same name": Leaf(names=("alice", "alice")),
    "a name with a tail": Leaf(names=("alice ",)),
    "a name with a zero byte": Leaf(names=("alice\x00",)),
    "a name with a line end": Leaf(names=("alice\nbob",)),
    "a name in two directions": Leaf(names=("\u202ealice",)),
}
NOBODY = ("mallory", "Alice", "ALICE", "аlice", "alice*", "*", "admin", "root", "clock", "alice,CN=bob", "../alice")


def authority_file(node: DevNode) -> Path:
    return Path(node.ready["ca_certificate"])


def answer(node: DevNode, client: Client) -> bytes:
    """What the server says to a Create; nothing when it closes or TLS fails."""
    with contextlib.suppress(OSError), secure(node, client) as connection:
        connection.sendall(messages.create())
        return reply(connection)
    return b""


def test_an_honest_copy_of_a_certificate_is_served(node: DevNode, authority: Authority, tmp_path: Path) -> None:
    """The control: what the forger below leaves alone is good."""
    client = authority.client(tmp_path, Leaf(usage=(CLIENT_AUTH, SERVER_AUTH)), authority_file(node))
    assert is_message(answer(node, client))


@pytest.mark.parametrize("name", FORGED)
def test_what_the_ca_must_not_have_signed_is_closed(
    node: DevNode, authority: Authority, tmp_path: Path, name: str
) -> None:
    """Class 27: dates, use and number of names, signed by the right CA."""
    assert answer(node, authority.client(tmp_path, FORGED[name], authority_file(node))) == b""
    assert is_served(node)


def test_a_foreign_ca_is_not_trusted(node: DevNode, authority: Authority, tmp_path: Path) -> None:
    """Class 27: the right name at the top of the chain is not enough."""
    forger = stranger(authority)
    assert answer(node, forger.client(tmp_path, Leaf(), authority_file(node))) == b""
    assert answer(node, forger.client(tmp_path, Leaf(), authority_file(node), forger.certificate)) == b""


def test_a_user_cannot_certify_others(node: DevNode, authority: Authority, tmp_path: Path) -> None:
    """Class 27: neither an honest certificate nor one that calls itself a CA issues further ones."""
    for is_authority in (False, True):
        key, certificate = authority.issue(Leaf(is_authority=is_authority))
        below = Authority(key, certificate)
        assert answer(node, below.client(tmp_path, Leaf(names=("bob",)), authority_file(node), certificate)) == b""


def test_without_a_certificate_nothing_is_answered(node: DevNode) -> None:
    """Class 25, in both versions of TLS."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=str(authority_file(node)))
        context.check_hostname = False
        context.minimum_version = context.maximum_version = version
        with contextlib.suppress(OSError), context.wrap_socket(plain(node)) as connection:
            connection.sendall(messages.create())
            assert connection.recv(1) == b""


@pytest.mark.parametrize("name", NOBODY)
def test_a_certificate_of_nobody_is_told_so(node: DevNode, authority: Authority, tmp_path: Path, name: str) -> None:
    """Class 12: only the very name of a user is that user; the answer never says who exists."""
    client = authority.client(tmp_path, Leaf(names=(name,)), authority_file(node))
    with Session(node.port, client) as session, pytest.raises(Refused) as refused:
        session.ask(messages.create())
    assert refused.value.reason == AUTHENTICATION_NOT_SUCCESSFUL
    assert name not in str(refused.value).split()


def test_a_disabled_user_is_refused_also_on_an_open_connection(
    node: DevNode, authority: Authority, tmp_path: Path
) -> None:
    """Classes 21 and 27: the certificate is good, the account is not; both ways, at the very next request."""
    at_door(node, "user.create", name="dora")
    client = authority.client(tmp_path, Leaf(names=("dora",)), authority_file(node))
    with Session(node.port, client) as session:
        key = session.identifier(messages.create())
        at_door(node, "user.disable", name="dora", disabled=True)
        for message in (messages.get(key), messages.create(), messages.destroy(key)):
            with pytest.raises(Refused) as refused:
                session.ask(message)
            assert refused.value.reason == AUTHENTICATION_NOT_SUCCESSFUL
        with Session(node.port, client) as another, pytest.raises(Refused):
            another.ask(messages.create())
        at_door(node, "user.disable", name="dora", disabled=False)
        assert len(session.key(key)) == 32


def test_a_certificate_that_expires_ends_open_connections_and_resumption(
    node: DevNode, authority: Authority, tmp_path: Path
) -> None:
    """Class 27: a resumed TLS session repeats no check of dates, so the server must."""
    client = authority.client(tmp_path, Leaf(lasts=(-60, EXPIRES_IN_S)), authority_file(node))
    contexts = []
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client.context()
        context.minimum_version = context.maximum_version = version
        contexts.append(context)
    connections = [secure(node, context) for context in contexts]
    for connection in connections:
        connection.sendall(messages.create())
        assert is_message(reply(connection))
    sessions = [connection.session for connection in connections]
    for context, session in zip(contexts, sessions, strict=True):
        with context.wrap_socket(plain(node), session=session) as resumed:  # the control
            resumed.sendall(messages.create())
            assert is_message(reply(resumed))
            assert resumed.session_reused
    assert all(is_closed(connection, 4 * EXPIRES_IN_S) for connection in connections)
    close_all(connections)
    time.sleep(1)  # the last second of a certificate is a whole one
    for context, session in zip(contexts, sessions, strict=True):
        with contextlib.suppress(OSError), context.wrap_socket(plain(node), session=session) as resumed:
            resumed.sendall(messages.create())
            assert resumed.recv(1) == b""
