"""A node whose users are those of a real LDAP server: over KMIP and XML, with groups, after a switch, in a failure."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keystead.core.errors import Invalid, NotFound, Refused
from keystead.settings.user_directory import Ldap
from tests.hostile.doors import at_door, change_setting
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Client as KmipClient
from tests.support.kmip.sessions import Disconnected, Session
from tests.support.kmip.sessions import Refused as KmipRefused
from tests.support.ldap import GROUPS, PASSWORDS, SEARCHER_PASSWORD, USERS, LdapServer, needed
from tests.support.xml.client import FLAG, Answer, connect

FORGOTTEN_S_MAX = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LdapServer]:
    needed()
    made = LdapServer(tmp_path_factory.mktemp("slapd"))
    made.make()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def node(server: LdapServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    """Knows the directory; local users are in use."""
    made = DevNode(tmp_path_factory.mktemp("node"))
    made.start()
    at_door(made, "authority.install", name="directory", certificate=server.authority)
    for field, value in {**server.settings(), "trusted_ca": "directory", "remembered_s": 1}.items():
        change_setting(made, "ldap", field, value)
    at_door(made, "directory.set_password", password=SEARCHER_PASSWORD.encode())
    yield made
    made.stop()


@pytest.fixture
def directory(node: DevNode, server: LdapServer) -> Iterator[DevNode]:
    """The node with the directory in use."""
    change_setting(node, "user_directory", "kind", "ldap")
    yield node
    for field, value in server.settings().items():
        change_setting(node, "ldap", field, value)
    change_setting(node, "user_directory", "kind", "local")


def client_of(node: DevNode, folder: Path, user: str) -> KmipClient:
    """A certificate of the local CA in this name, which need not be a user's."""
    issued = at_door(node, "certificate.issue", user=user)
    (folder / f"{user}.pem").write_text(issued["certificate"])
    (folder / f"{user}.key").write_bytes(issued["key"])
    return KmipClient(folder / f"{user}.pem", folder / f"{user}.key", Path(node.ready["ca_certificate"]))


def made_key(node: DevNode, user: KmipClient) -> str:
    with Session(node.port, user) as session:
        return session.identifier(messages.create())


def may_get(node: DevNode, user: KmipClient, key: str) -> bool:
    try:
        with Session(node.port, user) as session:
            session.ask(messages.get(key))
    except (KmipRefused, Disconnected):
        return False
    return True


def until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + FORGOTTEN_S_MAX
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.1)


def login(node: DevNode, certificate: str | None, user: str, password: str) -> Answer:
    with connect(node, certificate) as client:
        return client.log_in(user, password)


@pytest.mark.row("KS-AUTH-008", "KS-LDAP-001", "KS-KEY-024")
def test_users_and_groups_are_those_of_the_directory(directory: DevNode, server: LdapServer, tmp_path: Path) -> None:
    alice = client_of(directory, tmp_path, "ALICE")
    key = made_key(directory, alice)
    assert at_door(directory, "key.grants", target=key)["owner"] == "alice"
    assert may_get(directory, directory.client("alice"), key)  # the same user, by another spelling
    assert not may_get(directory, directory.client("bob"), key)
    at_door(directory, "key.grant", target=key, group="Staff", rights=1 | 128)
    assert may_get(directory, directory.client("bob"), key)
    assert not may_get(directory, client_of(directory, tmp_path, "carol"), key)
    assert not may_get(directory, client_of(directory, tmp_path, "nobody"), key)
    with Session(directory.port, directory.client("bob")) as session:  # an open connection notices, too
        session.ask(messages.get(key))
        out, back = (
            (f"dn: cn=Staff,{GROUPS}\nchangetype: modify\n{word}: member\nmember: cn=bob,{USERS}\n")
            for word in ("delete", "add")
        )
        server.change(out)
        until(lambda: is_refused(session, key))
        server.change(back)
        until(lambda: not is_refused(session, key))


def is_refused(session: Session, key: str) -> bool:
    try:
        session.ask(messages.get(key))
    except KmipRefused:
        return True
    return False


@pytest.mark.row("KS-AUTH-009")
def test_a_switch_keeps_what_belongs_to_names_that_both_have(node: DevNode, server: LdapServer, tmp_path: Path) -> None:
    at_door(node, "user.create", name="zoe")
    zoe, bob = client_of(node, tmp_path, "zoe"), node.client("bob")
    of_zoe, of_bob = made_key(node, zoe), made_key(node, bob)
    at_door(node, "key.give", target=of_zoe, user="bob", rights=1 | 128)
    told = at_door(node, "settings.change", section="user_directory", field="kind", value="ldap")
    try:
        assert "only in the other directory" in told["caution"]
        with Session(node.port, bob) as session:
            session.ask(messages.get(of_bob))
            session.ask(messages.get(of_zoe))
        assert not may_get(node, zoe, of_zoe)
        assert at_door(node, "key.grants", target=of_zoe)["owner"] == "zoe"  # kept, and nobody's for now
    finally:
        change_setting(node, "user_directory", "kind", "local")
    assert may_get(node, zoe, of_zoe)


@pytest.mark.row("KS-LDAP-001", "KS-GEN-013")
def test_names_and_passwords_are_judged_by_the_directory(directory: DevNode, server: LdapServer) -> None:
    assert login(directory, "alice", "Alice", PASSWORDS["Alice"]).ok
    with connect(directory, "alice") as client:
        assert client.log_in("aLICE", PASSWORDS["Alice"]).ok
        made = client.ask("KeyGen", Algorithm="AES", Exportable=FLAG, Deletable=FLAG)
        assert client.ask("KeyInfo", KeyName=made.text("KeyName")).get("Owner") == "alice"
        until(lambda: client.ask("KeyInfo", KeyName=made.text("KeyName")).ok)
        time.sleep(1.5)  # forgotten and asked for again meanwhile
        assert client.ask("KeyInfo", KeyName=made.text("KeyName")).ok
    change_setting(directory, "xml_server", "client_certificate", "none")
    try:
        for name, password in WRONG:
            assert not login(directory, None, name, password).ok, name
        assert login(directory, None, "carol", PASSWORDS["carol"]).ok
    finally:
        change_setting(directory, "xml_server", "client_certificate", "username")
    assert PASSWORDS["Alice"] not in directory.output.read_text()


WRONG = [
    ("alice", PASSWORDS["bob"]),
    ("alice", ""),
    ("*", PASSWORDS["Alice"]),
    ("al*", PASSWORDS["Alice"]),
    ("alice)(uid=*", PASSWORDS["Alice"]),
    ("ali ce", PASSWORDS["Alice"]),
    ("cn=Alice," + USERS, PASSWORDS["Alice"]),
    ("twin", "Twin-Harbour-96"),
    ("nobody", "Nobody-Anchor-10"),
]


def test_wrong_passwords_lock_an_account_here(directory: DevNode) -> None:
    """A locked account hears nothing of a right password; the directory is not asked to judge it (attack class 39)."""
    try:
        for _ in range(5):
            assert not login(directory, "bob", "bob", "Wrong-Basket-11").ok
        assert not login(directory, "bob", "BOB", PASSWORDS["bob"]).ok
    finally:
        change_setting(directory, "user_lockout", "enabled", False)
        change_setting(directory, "user_lockout", "enabled", True)


@pytest.mark.row("KS-LDAP-004")
def test_a_directory_that_is_gone_lets_nobody_in_and_holds_nobody_else_up(
    directory: DevNode, server: LdapServer, tmp_path: Path
) -> None:
    """Attack class 25."""
    alice, key = directory.client("alice"), ""
    key = made_key(directory, alice)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        change_setting(directory, "ldap", "port", silent.getsockname()[1])
        with Session(directory.port, alice) as session, pytest.raises(KmipRefused, match="directory does not answer"):
            session.ask(messages.get(key))
        assert not login(directory, "alice", "alice", PASSWORDS["Alice"]).ok
        assert at_door(directory, "module.check") is True
    change_setting(directory, "ldap", "port", server.port)
    until(lambda: may_get(directory, alice, key))


@pytest.mark.row("KS-LDAP-010", "KS-LDAP-011")
def test_administrators_test_and_browse_the_directory(directory: DevNode, server: LdapServer) -> None:
    tested = at_door(directory, "directory.test")
    assert tested == [{"server": f"127.0.0.1:{server.port}", "ok": True, "problem": ""}]
    listed = at_door(directory, "directory_user.list")
    assert {"name": "alice", "shown": "Alice", "distinguished_name": f"cn=Alice,{USERS}"} in listed
    assert [one["name"] for one in at_door(directory, "directory_user.list", after="bob")] == [
        "carol",
        "dave",
        "twin",
        "twin",
    ]
    assert "staff" in [one["name"] for one in at_door(directory, "directory_group.list")]
    shown = at_door(directory, "directory_group.show", name="Staff")
    assert shown == {"name": "staff", "members": [f"cn=Alice,{USERS}", f"cn=bob,{USERS}"]}
    with pytest.raises(NotFound):
        at_door(directory, "directory_group.show", name="none")


@pytest.mark.row("KS-LDAP-002", "KS-LDAP-003", "KS-LDAP-005")
def test_settings_that_cannot_be_are_refused(directory: DevNode) -> None:
    for field, value in (
        ("host", "169.254.169.254"),
        ("host", "directory:636"),
        ("host", "ldap://directory"),
        ("user_filter", "(uid=a)(uid=b)"),
        ("user_filter", "uid=a"),
        ("group_filter", ""),
        ("user_id_attribute", "uid)(cn"),
        ("bind_dn", "x" * 1025),
    ):
        with pytest.raises(Invalid):
            change_setting(directory, "ldap", field, value)
    for field in ("host", "trusted_ca", "user_base_dn"):
        with pytest.raises(Refused, match=f"ldap.{field}"):
            change_setting(directory, "ldap", field, "")
    told = at_door(directory, "settings.change", section="ldap", field="transport", value="plain")
    assert "in clear" in told["caution"]
    change_setting(directory, "ldap", "transport", "ldaps")
    assert Ldap().transport == "ldaps"


def test_the_password_of_searches_rests_sealed(directory: DevNode) -> None:
    found = b"".join(file.read_bytes() for file in directory.data.glob("*.db*"))
    assert b"ldap.password" in found
    assert SEARCHER_PASSWORD.encode() not in found
    assert "password" not in at_door(directory, "settings.read", section="ldap")["ldap"]
