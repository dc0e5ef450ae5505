"""Users, groups, grants and certificates by the commands, and what clients on open connections notice of it."""

import subprocess
from pathlib import Path

import pytest

from tests.node.production import keystead
from tests.node.test_metrics import number, seen
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Client, Disconnected, Refused, Session


def ran(node: DevNode, *words: str | Path) -> str:
    done = keystead(*words, "--data", node.data)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(node: DevNode, *words: str | Path) -> str:
    done = keystead(*words, "--data", node.data)
    assert done.returncode == 1
    return done.stderr


def certified(node: DevNode, folder: Path, user: str, name: str) -> Client:
    """A further certificate of a user, who is made if need be."""
    if user not in ran(node, "user", "list"):
        ran(node, "user", "create", user)
    ran(node, "client-certificate", user, "--out", folder / name)
    return Client(folder / f"{name}.pem", folder / f"{name}.key", Path(node.ready["ca_certificate"]))


def serial_of(certificate: Path) -> str:
    words = ["openssl", "x509", "-noout", "-serial", "-in", str(certificate)]
    told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout
    return told.strip().removeprefix("serial=").lower().lstrip("0")


def asks(session: Session) -> bool:
    try:
        session.ask(messages.locate())
    except Refused:
        return False
    return True


@pytest.mark.row("KS-USR-006", "KS-USR-007")
def test_groups_by_commands(node: DevNode) -> None:
    ran(node, "group", "create", "night-shift")
    ran(node, "user", "create", "gina")
    assert "gina  enabled  groups: night-shift" in ran(node, "group", "add", "night-shift", "gina")
    assert "night-shift  1 members" in ran(node, "group", "list")
    assert "1 members: gina" in ran(node, "group", "show", "night-shift")
    ran(node, "group", "remove", "night-shift", "gina")
    assert "0 members: -" in ran(node, "group", "show", "night-shift")
    ran(node, "group", "delete", "night-shift")
    assert "no group night-shift" in refused(node, "group", "show", "night-shift")
    ran(node, "user", "delete", "gina")
    assert "no user gina" in refused(node, "user", "show", "gina")


def test_grants_and_owners_count_from_the_next_request_of_an_open_connection(node: DevNode) -> None:
    with node.session("alice") as alice, node.session("bob") as bob:
        key = alice.identifier(messages.create("to share"))
        value = alice.key(key)
        assert "to share" in ran(node, "key", "list", "--user", "alice")
        assert key not in bob.identifiers(messages.locate())
        told = ran(node, "key", "give", key, "--user", "bob", "--right", "export", "--right", "encrypt")
        assert "user bob: see, encrypt, export" in told
        assert key in bob.identifiers(messages.locate())
        assert bob.key(key) == value
        ran(node, "key", "take", key, "--user", "bob", "--right", "export")
        with pytest.raises(Refused):
            bob.key(key)
        assert f"{key}  owner: bob" in ran(node, "key", "owner", key, "--to", "bob")
        assert bob.key(key) == value
        with pytest.raises(Refused):
            alice.key(key)
        assert ran(node, "key", "grants", key) == f"{key}  owner: bob\n"
    assert "no right fly" in refused(node, "key", "give", key, "--user", "alice", "--right", "fly")
    assert "allow_global_keys" in refused(node, "key", "owner", key, "--nobody")


def test_a_disabled_user_is_shut_out_of_open_connections(node: DevNode, tmp_path: Path) -> None:
    with Session(node.port, certified(node, tmp_path, "dora", "dora")) as session:
        assert asks(session)
        ran(node, "user", "disable", "dora")
        assert not asks(session)
        ran(node, "user", "enable", "dora")
        assert asks(session)


def test_a_revoked_certificate_is_refused_at_the_next_message_and_after_a_restart(
    own_node: DevNode, tmp_path: Path
) -> None:
    first, second = (certified(own_node, tmp_path, "erik", name) for name in ("first", "second"))
    serial = serial_of(first.certificate)
    assert f"{serial}  erik  until" in ran(own_node, "certificate", "list", "--user", "erik")
    assert ran(own_node, "certificate", "show", serial) == first.certificate.read_text()
    with Session(own_node.port, first) as open_before, Session(own_node.port, second) as of_another:
        assert asks(open_before)
        ran(own_node, "certificate", "revoke", serial, "--reason", "key-compromise")
        assert not asks(open_before)
        assert asks(of_another)
    with Session(own_node.port, first) as opened_after:
        assert not asks(opened_after)
    assert "certificate was revoked" in own_node.output.read_text()
    assert number(seen(own_node), "keystead_connections_refused_total", cause="revoked") == 2
    (line,) = [line for line in ran(own_node, "certificate", "list").splitlines() if line.startswith(serial)]
    assert line.endswith(": key-compromise")
    assert "revoked already" in refused(own_node, "certificate", "revoke", serial)
    own_node.kill()
    own_node.start()
    with Session(own_node.port, first) as restarted, Session(own_node.port, second) as of_another:
        assert not asks(restarted)
        assert asks(of_another)
    own_node.stop()
    assert own_node.verify().returncode == 0


def test_a_certificate_can_be_given_instead_of_its_number(node: DevNode, tmp_path: Path) -> None:
    client = certified(node, tmp_path, "fred", "fred")
    ran(node, "certificate", "revoke", "--file", client.certificate)
    with Session(node.port, client) as session:
        assert not asks(session)
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=fred"]
    foreign = tmp_path / "foreign.pem"
    subprocess.run(
        ["openssl", *words, "-keyout", "/dev/null", "-out", foreign], check=True, timeout=30, capture_output=True
    )
    for file in (foreign, client.key):
        assert "no certificate in PEM form that the CA" in refused(node, "certificate", "revoke", "--file", file)
    authority = Path(node.ready["ca_certificate"])
    assert "not for client authentication" in refused(node, "certificate", "revoke", "--file", authority)
    assert "no certificate with this serial" in refused(node, "certificate", "revoke", "00ff")


def test_a_user_of_the_same_name_does_not_get_old_certificates_back(node: DevNode, tmp_path: Path) -> None:
    client = certified(node, tmp_path, "hugo", "hugo")
    ran(node, "user", "delete", "hugo")
    ran(node, "user", "create", "hugo")
    with Session(node.port, client) as session:
        assert not asks(session)
    with Session(node.port, certified(node, tmp_path, "hugo", "anew")) as session:
        assert asks(session)


def test_passwords_are_set_by_command_and_shown_nowhere(node: DevNode) -> None:
    secret = "telescope-dragon-7"
    ran(node, "user", "create", "pia")
    words: list[str | Path] = ["user", "set-password", "pia", "--stdin", "--data", node.data]
    done = keystead(*words, stdin=f"{secret}\n")
    assert (done.returncode, done.stdout) == (0, "user pia has a new password\n")
    easy = keystead(*words, stdin="password1\n")
    assert easy.returncode == 1
    assert "many people use" in easy.stderr
    assert ran(node, "user", "show", "pia") == "pia  enabled  groups: -\n"
    ran(node, "user", "set-password", "pia", "--none")
    for path in (path for path in node.folder.rglob("*") if path.is_file()):
        assert secret.encode() not in path.read_bytes()


@pytest.mark.row("KS-USR-008")
def test_keys_of_a_deleted_user_go_to_somebody(node: DevNode, tmp_path: Path) -> None:
    with Session(node.port, certified(node, tmp_path, "ida", "ida")) as ida:
        key = ida.identifier(messages.create("inherited"))
        value = ida.key(key)
        assert "owns keys" in refused(node, "user", "delete", "ida")
        ran(node, "user", "delete", "ida", "--keys-to", "bob")
        assert not asks(ida)
    with node.session("bob") as bob:
        assert bob.key(key) == value


@pytest.mark.row("KS-KMIP-015")
def test_a_certificate_may_have_to_name_the_address_that_its_client_comes_from(node: DevNode, tmp_path: Path) -> None:
    anywhere = certified(node, tmp_path, "ivan", "anywhere")
    words = (
        "client-certificate",
        "ivan",
        "--out",
        tmp_path / "here",
        "--address",
        "192.0.2.1",
        "--address",
        "127.0.0.1",
    )
    ran(node, *words)
    here = Client(tmp_path / "here.pem", tmp_path / "here.key", anywhere.authority)
    ran(node, "client-certificate", "ivan", "--out", tmp_path / "there", "--address", "192.0.2.1")
    there = Client(tmp_path / "there.pem", tmp_path / "there.key", anywhere.authority)
    ran(node, "settings", "set", "key_server.check_source_ip=true")
    try:
        assert is_served(node, here)
        for client in (there, anywhere):
            with pytest.raises((OSError, Disconnected)), Session(node.port, client) as session:  # the connection ends
                session.ask(messages.locate())
    finally:
        ran(node, "settings", "set", "key_server.check_source_ip=false")
    assert is_served(node, there)
    assert "no IP address" in refused(node, "client-certificate", "ivan", "--out", tmp_path / "x", "--address", "here")


def is_served(node: DevNode, client: Client) -> bool:
    try:
        with Session(node.port, client) as session:
            return asks(session)
    except (OSError, Disconnected):
        return False


@pytest.mark.row("KS-KMIP-010", "KS-AUTH-002")
def test_certificates_name_a_user_or_serve_tls_only(node: DevNode, tmp_path: Path) -> None:
    client = certified(node, tmp_path, "judy", "judy")
    with Session(node.port, client) as judy:
        owned = judy.identifier(messages.create("of judy"))
    ran(node, "settings", "set", "key_server.username_field=none")
    try:
        assert not is_served(node, client)  # nobody without a user is served unless that is switched on
        ran(node, "settings", "set", "key_server.allow_global_sessions=true")
        with Session(node.port, client) as nobody, pytest.raises(Refused, match="without an owner"):
            nobody.ask(messages.create("of nobody"))
        ran(node, "settings", "set", "key_server.allow_global_keys=true")
        with Session(node.port, client) as nobody:
            common = nobody.identifier(messages.create("of nobody"))
            assert common in nobody.identifiers(messages.locate())
            with pytest.raises(Refused, match="no such object"):
                nobody.ask(messages.get(owned))
    finally:
        ran(node, "settings", "set", "key_server.allow_global_keys=false")
        ran(node, "settings", "set", "key_server.allow_global_sessions=false")
        ran(node, "settings", "set", "key_server.username_field=CN")
    with Session(node.port, client) as judy:
        judy.ask(messages.get(owned))


@pytest.mark.row("KS-AUTH-003")
def test_where_certificates_must_name_a_user_nobody_is_served_without_one(node: DevNode, tmp_path: Path) -> None:
    client = certified(node, tmp_path, "karl", "karl")
    ran(node, "settings", "set", "key_server.allow_global_sessions=true")
    try:
        assert is_served(node, client)
        ran(node, "user", "disable", "karl")
        assert not is_served(node, client)  # the name is still one of a user: no way round the account
        ran(node, "user", "enable", "karl")
        ran(node, "settings", "set", "key_server.username_field=E")
        assert not is_served(node, client)  # its certificate has no such field
    finally:
        ran(node, "settings", "set", "key_server.username_field=CN")
        ran(node, "settings", "set", "key_server.allow_global_sessions=false")
    assert is_served(node, client)
