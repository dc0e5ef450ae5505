"""Clients with certificates of foreign CAs at a running node: profiles, chains and revocation lists."""

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.node.doctor.findings import DAY_S, Severity
from keystead.node.folder import read_config
from tests.hostile.sockets import is_message, plain, reply, secure
from tests.node.production import keystead
from tests.node.test_doctor import found
from tests.node.test_metrics import number, seen
from tests.node.test_people import asks, is_served, ran, refused
from tests.support.authorities import Foreign, a_root, serial_of
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Client, Session


@pytest.fixture(scope="module")
def partner(node: DevNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    """A foreign CA that the node knows and trusts."""
    root = a_root("Partner root")
    install(node, tmp_path_factory.mktemp("partner"), "partner", root)
    ran(node, "ca-profile", "add", "default", "partner")
    yield root
    ran(node, "ca-profile", "remove", "default", "partner")
    ran(node, "ca", "remove", "partner")


def install(node: DevNode, folder: Path, name: str, authority: Foreign) -> str:
    (folder / f"{name}.ca").write_text(authority.pem)
    return ran(node, "ca", "install", name, "--file", folder / f"{name}.ca")


def install_list(node: DevNode, folder: Path, data: bytes) -> str:
    (folder / "list.crl").write_bytes(data)
    return ran(node, "ca", "install-crl", folder / "list.crl")


def of(authority: Foreign, node: DevNode, folder: Path, *chain: Foreign, user: str = "alice") -> Client:
    return authority.client(folder, user, Path(node.ready["ca_certificate"]), *chain)


@pytest.mark.row("KS-KMIP-013")
def test_clients_are_served_by_the_cas_of_the_profile_and_no_others(node: DevNode, tmp_path: Path) -> None:
    stranger = a_root("Stranger")
    foreign, own = of(stranger, node, tmp_path), node.client("alice")
    assert not is_served(node, foreign)
    assert "known" in install(node, tmp_path, "stranger", stranger)
    assert not is_served(node, foreign)  # known is not trusted
    assert "stranger" in ran(node, "ca-profile", "add", "default", "stranger")
    assert is_served(node, foreign)
    ran(node, "ca-profile", "create", "partners")
    with Session(node.port, foreign) as open_foreign, Session(node.port, own) as open_own:
        ran(node, "settings", "set", "key_server.trusted_ca_profile=partners")
        try:
            assert not is_served(node, foreign)  # an empty profile trusts nobody
            assert not is_served(node, own)
            assert not asks(open_foreign)
            ran(node, "ca-profile", "add", "partners", "stranger")
            assert is_served(node, foreign)
            assert asks(open_foreign)
            assert not is_served(node, own)
            assert not asks(open_own)
        finally:
            ran(node, "settings", "set", "key_server.trusted_ca_profile=default")
        assert asks(open_own)
        ran(node, "ca-profile", "remove", "default", "stranger")
        assert not asks(open_foreign)
        assert number(seen(node), "keystead_connections_refused_total", cause="issuer") > 0
    ran(node, "ca-profile", "delete", "partners")
    ran(node, "ca", "remove", "stranger")


def test_changing_the_profile_warns_when_nobody_could_connect(node: DevNode) -> None:

    ran(node, "ca-profile", "create", "nobodys")
    done = keystead("settings", "set", "key_server.trusted_ca_profile=nobodys", "--data", node.data)
    try:
        assert done.returncode == 0
        assert "nobody can connect" in done.stderr
        assert "every node on this store" in done.stderr
        (finding,) = found(read_config(node.data), "trusted_authorities")
        assert finding.severity is Severity.ERROR
    finally:
        ran(node, "settings", "set", "key_server.trusted_ca_profile=default")
        ran(node, "ca-profile", "delete", "nobodys")
    assert "no trust profile nowhere" in refused(node, "settings", "set", "key_server.trusted_ca_profile=nowhere")


@pytest.mark.row("KS-AUTH-014")
def test_what_a_foreign_ca_has_revoked_is_refused_on_every_connection(
    node: DevNode, partner: Foreign, tmp_path: Path
) -> None:
    first, second = (of(partner, node, tmp_path / name) for name in ("first", "second"))
    before = number(seen(node), "keystead_connections_refused_total", cause="revoked")
    with Session(node.port, first) as open_first, Session(node.port, second) as open_second:
        assert asks(open_first)
        assert "1 revoked" in install_list(node, tmp_path, partner.revocation_list([serial_of(first)], number=1))
        assert not asks(open_first)
        assert asks(open_second)
    assert not is_served(node, first)
    assert is_served(node, second)
    assert "revoked by its CA" in node.output.read_text()
    assert number(seen(node), "keystead_connections_refused_total", cause="revoked") == before + 2
    assert "newer list" in failed(node, tmp_path, partner.revocation_list([], number=0))
    assert not is_served(node, first)
    install_list(node, tmp_path, partner.revocation_list([], number=2))  # a hold that was lifted
    assert is_served(node, first)


def failed(node: DevNode, folder: Path, data: bytes) -> str:
    (folder / "list.crl").write_bytes(data)
    return refused(node, "ca", "install-crl", folder / "list.crl")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.row("KS-AUTH-014")
def test_a_chain_is_judged_as_a_whole_also_when_a_session_is_resumed(
    node: DevNode, partner: Foreign, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    below = partner.below(f"Partner issuer {version.name}")
    client = of(below, node, tmp_path, below)
    context = client.context()
    context.maximum_version = version
    with secure(node, context) as connection:
        connection.sendall(messages.locate())
        assert is_message(reply(connection))
        session = connection.session
    ran(node, "settings", "set", "key_server.connection_timeout_s=3000")  # identities are looked up anew
    with context.wrap_socket(plain(node), session=session) as resumed:
        resumed.sendall(messages.locate())
        assert is_message(reply(resumed))
        assert resumed.session_reused
        assert succeeded(resumed)
        revoked = [below.certificate.serial_number]
        install_list(node, tmp_path, partner.revocation_list(revoked, number=int(time.time())))
        assert not succeeded(resumed)
    with context.wrap_socket(plain(node), session=session) as resumed:
        assert not succeeded(resumed)
        assert resumed.session_reused
    assert not is_served(node, client)


def succeeded(connection: ssl.SSLSocket) -> bool:
    connection.sendall(messages.locate())
    answer = messages.parse(reply(connection))
    return next(answer.find(messages.RESULT_STATUS)).value == messages.SUCCESS


def test_an_intermediate_can_be_trusted_without_its_root(node: DevNode, tmp_path: Path) -> None:
    root = a_root("Elsewhere")
    below, beside = root.below("Elsewhere A"), root.below("Elsewhere B")
    install(node, tmp_path, "elsewhere", below)
    ran(node, "ca-profile", "add", "default", "elsewhere")
    try:
        assert is_served(node, of(below, node, tmp_path / "a"))
        assert not is_served(node, of(beside, node, tmp_path / "b", beside))
        assert not is_served(node, of(root, node, tmp_path / "c"))
    finally:
        ran(node, "ca-profile", "remove", "default", "elsewhere")
        ran(node, "ca", "remove", "elsewhere")


def test_a_foreign_ca_names_users_like_our_own(node: DevNode, partner: Foreign, tmp_path: Path) -> None:
    with node.session("bob") as session:
        key = session.identifier(messages.create("of bob"))
    with Session(node.port, of(partner, node, tmp_path / "bob", user="bob")) as bob:
        assert len(bob.key(key)) == 32
    assert not is_served(node, of(partner, node, tmp_path / "stranger", user="mallory"))


def test_trust_and_revocation_outlast_a_restart(own_node: DevNode, tmp_path: Path) -> None:
    root = a_root()
    install(own_node, tmp_path, "root", root)
    ran(own_node, "ca-profile", "add", "default", "root")
    good, bad = (of(root, own_node, tmp_path / name) for name in ("good", "bad"))
    install_list(own_node, tmp_path, root.revocation_list([serial_of(bad)]))
    own_node.kill()
    own_node.start()
    assert is_served(own_node, good)
    assert not is_served(own_node, bad)
    told = ran(own_node, "ca", "list")
    assert "clients  local  until" in told
    assert "root  known  until" in told
    assert "1 revoked, next list" in told
    assert ran(own_node, "ca", "show", "root").strip() == root.pem.strip()
    assert ran(own_node, "ca", "show") == Path(own_node.ready["ca_certificate"]).read_text()
    own_node.stop()
    assert own_node.verify().returncode == 0


def test_a_long_list_is_taken_and_a_longer_one_refused(node: DevNode, partner: Foreign, tmp_path: Path) -> None:
    client = of(partner, node, tmp_path / "client")
    many = [serial_of(client), *range(1 << 150, (1 << 150) + 40_000)]
    number_ = int(time.time()) + 1000
    assert "40001 revoked" in install_list(node, tmp_path, partner.revocation_list(many, number=number_))
    assert not is_served(node, client)
    assert "more than" in failed(node, tmp_path, bytes(3 << 20))
    install_list(node, tmp_path, partner.revocation_list([], number=number_ + 1))
    assert is_served(node, client)


def test_doctor_tells_of_lists_and_cas_that_fall_due(node: DevNode, partner: Foreign, tmp_path: Path) -> None:
    config = read_config(node.data)
    install_list(node, tmp_path, partner.revocation_list([], number=int(time.time()) + 5000, days=(0, 3)))
    assert not found(config, "trusted_authorities")
    (overdue,) = found(config, "trusted_authorities", time.time() + 4 * DAY_S)
    assert "revocation list of the CA partner" in overdue.what
    told = [one.what for one in found(config, "trusted_authorities", time.time() + 80 * DAY_S)]
    assert any("CA partner expires on" in what for what in told)


def test_what_is_no_file_is_said_so(node: DevNode, tmp_path: Path) -> None:
    assert "No such file" in refused(node, "ca", "install", "x", "--file", tmp_path / "missing")
    (tmp_path / "der").write_bytes(a_root().der)
    assert "PEM form" in refused(node, "ca", "install", "x", "--file", tmp_path / "der")
    assert "PEM or DER" in failed(node, tmp_path, b"no list")
