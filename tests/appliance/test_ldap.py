"""Asking real LDAP servers: who somebody is, whose a password is, and what comes of servers that fail or are silent."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from keystead.appliance.ldap_client import (
    Directory,
    Person,
    connected,
    find,
    groups,
    members,
    nobodys_dn,
    proves,
    users,
)
from keystead.appliance.ldap_servers import PRIMARY_AGAIN_S, Servers
from keystead.appliance.ldap_transport import Failed
from keystead.core.errors import Unavailable
from keystead.core.secret import Secret
from keystead.settings.user_directory import ONE_LEVEL, PLAIN, STARTTLS, USER_ID, Ldap
from tests.support.ldap import (
    PASSWORDS,
    SEARCHER_PASSWORD,
    STRANGE,
    USERS,
    LdapServer,
    an_authority,
    free_port,
    needed,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LdapServer]:
    needed()
    made = LdapServer(tmp_path_factory.mktemp("slapd"))
    made.make()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def directory(server: LdapServer) -> Directory:
    given: dict[str, Any] = server.settings()
    return Directory(Ldap(trusted_ca="directory", **given), Secret(SEARCHER_PASSWORD.encode()), server.authority)


def changed(directory: Directory, **settings: Any) -> Directory:
    return replace(directory, settings=replace(directory.settings, **settings))


def found(directory: Directory, name: str) -> Person | None:
    with connected(directory, directory.servers[0]) as connection:
        return find(connection, directory.settings, name)


def judged(directory: Directory, name: str, password: str) -> bool:
    person = found(directory, name)
    dn = person.entry.dn if person is not None else nobodys_dn(directory.settings, name)
    return proves(directory, directory.servers[0], dn, Secret(password.encode()))


@pytest.mark.row("KS-LDAP-001", "KS-LDAP-006", "KS-LDAP-007")
def test_a_user_is_found_with_their_groups_in_one_spelling(directory: Directory) -> None:
    person = found(directory, "ALICE")
    assert person is not None
    assert (person.entry.name, person.entry.shown, person.groups) == ("alice", "Alice", ("staff",))
    assert found(changed(directory, user_id_attribute="cn"), "carol") == (("carol", "carol", f"cn=carol,{USERS}"), ())
    assert found(changed(directory, user_object_class="device"), "alice") is None
    assert found(changed(directory, user_filter="(!(uid=alice))"), "alice") is None
    without = found(changed(directory, group_filter="(cn=none)"), "alice")
    assert without is not None
    assert without.groups == ()


@pytest.mark.row("KS-LDAP-007")
def test_members_may_be_listed_by_name(server: LdapServer, directory: Directory) -> None:
    server.change(
        "dn: cn=posix,ou=groups,dc=example,dc=org\nchangetype: add\nobjectClass: device\ncn: posix\nserialNumber: bob\n"
    )
    by_name = changed(
        directory, group_filter="(objectClass=device)", member_attribute="serialNumber", member_format=USER_ID
    )
    person = found(by_name, "bob")
    assert person is not None
    assert person.groups == ("posix",)
    carol = found(by_name, "carol")
    assert carol is not None
    assert carol.groups == ()


@pytest.mark.row("KS-LDAP-008")
def test_the_scope_is_one_level_or_everything_below(directory: Directory) -> None:
    assert found(directory, "dave") is not None
    assert found(changed(directory, scope=ONE_LEVEL), "dave") is None
    assert found(changed(directory, scope=ONE_LEVEL), "bob") is not None


@pytest.mark.row("KS-LDAP-001", "KS-LDAP-005")
def test_a_password_is_judged_by_the_directory(directory: Directory) -> None:
    assert judged(directory, "alice", PASSWORDS["Alice"])
    assert not judged(directory, "alice", PASSWORDS["bob"])
    assert not judged(directory, "nobody", PASSWORDS["bob"])
    with pytest.raises(Failed, match="bind_dn"):
        found(replace(directory, password=Secret(b"wrong")), "alice")
    with pytest.raises(Failed, match="no password is set"):
        found(replace(directory, password=None), "alice")


def test_an_empty_password_proves_nobody_even_where_the_server_takes_it(
    server: LdapServer, directory: Directory
) -> None:
    """Attack class 39: a bind without a password is anonymous, and servers may answer success."""
    person = found(directory, "alice")
    assert person is not None
    for empty in (b"", b"\xff"):
        assert not proves(directory, server_of(directory), person.entry.dn, Secret(empty))
    assert not proves(directory, server_of(directory), "", Secret(b"anything"))


def server_of(directory: Directory) -> Any:
    return directory.servers[0]


INJECTED = ["*", "al*", "alice)(uid=*", "*)(objectClass=*", "alice\x00", STRANGE, "alice))(|(uid=*", "\\2a"]


@pytest.mark.row("KS-LDAP-014")
@pytest.mark.parametrize("name", INJECTED)
def test_what_means_something_in_a_filter_finds_nobody(directory: Directory, name: str) -> None:
    """Attack class 39."""
    assert found(directory, name) is None
    assert not judged(directory, name, PASSWORDS["Alice"])


@pytest.mark.parametrize(
    "alias", [" alice", "alice ", "ali ce", "ａｌｉｃｅ", "alıce", "alice@example.org", "cn=Alice", "erin", "erin2"]
)
def test_what_a_directory_takes_for_the_same_name_is_nobody(directory: Directory, alias: str) -> None:
    """Attack class 9; an entry with two names has none."""
    assert found(directory, alias) is None


def test_a_name_that_two_entries_have_is_nobodys(directory: Directory) -> None:
    assert found(directory, "twin") is None


@pytest.mark.row("KS-LDAP-002", "KS-LDAP-003")
def test_tls_needs_the_trusted_ca(server: LdapServer, directory: Directory) -> None:
    """Attack class 25: TLS that fails does not turn into none."""
    other = replace(directory, authority_pem=another_authority())
    starttls = changed(directory, transport=STARTTLS, port=server.plain_port)
    plain = changed(directory, transport=PLAIN, port=server.plain_port)
    for good in (directory, starttls, plain):
        assert found(good, "bob") is not None
        assert judged(good, "bob", PASSWORDS["bob"])
    for bad in (other, replace(starttls, authority_pem=other.authority_pem), replace(directory, authority_pem="")):
        with pytest.raises(Failed):
            found(bad, "bob")
    assert Ldap().transport == "ldaps"


def another_authority() -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return an_authority("somebody else")[1].public_bytes(Encoding.PEM).decode()


@pytest.mark.row("KS-LDAP-011")
def test_users_groups_and_members_are_listed(directory: Directory) -> None:
    with connected(directory, server_of(directory)) as connection:
        listed = users(connection, directory.settings)
        named = [(entry.name, entry.shown) for entry in listed if entry.name]
        assert ("alice", "Alice") in named
        assert ("", STRANGE) in [(entry.name, entry.shown) for entry in listed]
        assert [entry.name for entry in groups(connection, directory.settings)] == ["", "staff"]
        assert members(connection, directory.settings, "STAFF") == [f"cn=Alice,{USERS}", f"cn=bob,{USERS}"]
        assert members(connection, directory.settings, "*") is None


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield int(listening.getsockname()[1])


@pytest.mark.row("KS-LDAP-004")
@pytest.mark.parametrize("transport", ["ldaps", "starttls", "plain"])
@pytest.mark.timeout(60)
def test_a_silent_server_has_failed_when_the_time_is_up(directory: Directory, silent: int, transport: str) -> None:
    with pytest.raises(Failed):
        found(changed(directory, port=silent, timeout_s=1, transport=transport), "alice")


@pytest.mark.row("KS-LDAP-009")
def test_the_other_server_takes_over_and_the_primary_is_tried_again(directory: Directory) -> None:
    now_s = 0.0
    servers = Servers(lambda: now_s)
    port, gone = directory.settings.port, free_port()
    both = changed(directory, port=gone, failover_host="127.0.0.1", failover_port=port)
    asked: list[int] = []

    def work(connection: Any, server: Any) -> bool:
        asked.append(server.port)
        return find(connection, both.settings, "alice") is not None

    assert servers.run(both, work)
    swapped = changed(both, port=port, failover_port=gone)
    assert servers.run(swapped, work)
    assert asked == [port, port]
    with pytest.raises(Unavailable):
        servers.run(changed(directory, port=gone), work)

    def order(one: Directory) -> list[int]:
        return [each.port for each in servers._order(one.servers)]

    assert order(both) == [port, gone]  # the primary rests
    now_s = PRIMARY_AGAIN_S + 1
    assert order(both) == [gone, port]


@pytest.mark.row("KS-LDAP-004")
def test_who_asks_while_all_servers_are_down_hears_so_at_once(directory: Directory, silent: int) -> None:
    now_s = 0.0
    servers = Servers(lambda: now_s)
    down = changed(directory, port=silent, timeout_s=1)
    with pytest.raises(Unavailable, match="does not answer"):
        servers.run(down, lambda _connection, _server: None)
    assert servers._order(down.servers) == []
    now_s = 10.0
    assert servers._order(down.servers) == list(down.servers)


@pytest.mark.row("KS-LDAP-010")
def test_every_server_is_tested(directory: Directory) -> None:
    both = changed(directory, failover_host="127.0.0.1", failover_port=free_port())
    primary, other = Servers().test(both, lambda _connection, _server: None)
    assert (primary.ok, primary.problem) == (True, "")
    assert (other.ok, bool(other.problem)) == (False, True)
    assert SEARCHER_PASSWORD not in repr((both, other))
