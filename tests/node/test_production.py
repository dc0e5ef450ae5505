"""A production node: locked at start, unlocked by its crypto user, useless as a copy, strict by default."""

import contextlib
import http.client
import os
import pty
import select
import shutil
import socket
import sqlite3
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from tests.node.production import KEYSTEAD, PINS, client_of, keystead, make, serving, unlock
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Disconnected, Session


def health(port: int, path: str) -> int:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


def ready(port: int) -> int:
    return health(port, "/ready")


def alive(port: int) -> int:
    return health(port, "/")


@pytest.mark.row("KS-HSM-005", "KS-HSM-020")
def test_it_starts_locked_and_the_crypto_user_unlocks_it(tmp_path: Path) -> None:
    data = make(tmp_path)
    with serving(data) as ports:
        assert (alive(ports["health"]), ready(ports["health"])) == (200, 500)
        assert "Crypto-user logged in: no" in keystead("hsm", "status", "--data", data).stdout
        assert keystead("user", "create", "carol", "--data", data).returncode == 0
        refused = keystead("client-certificate", "carol", "--out", tmp_path / "carol", "--data", data)
        assert refused.returncode == 1
        assert "locked" in refused.stderr
        assert unlock(data).stdout == "crypto-user: logged in\n"
        assert ready(ports["health"]) == 200
        status = keystead("hsm", "status", "--data", data).stdout
        assert status.splitlines()[1:] == ["Crypto-user logged in: yes", "Secure key cache: Disabled"]
        assert keystead("hsm", "logout", "crypto-user", "--data", data).returncode == 0
        assert ready(ports["health"]) == 500


@pytest.mark.row("KS-HSM-026")
def test_a_login_asks_for_the_pin_of_the_token_it_needs_and_waits(tmp_path: Path) -> None:
    data = make(tmp_path)
    token = data.parent / "tokens" / "crypto-user-1.token"
    with serving(data) as ports:
        ours, theirs = pty.openpty()
        words = ["hsm", "login", "crypto-user", "--token", str(token), "--data", str(data)]
        login = subprocess.Popen(
            [*KEYSTEAD, *words], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        try:
            assert "crypto-user" in said_until(ours, "PIN of the")
            time.sleep(0.5)
            assert login.poll() is None
            assert ready(ports["health"]) == 500
            os.write(ours, PINS["crypto-user"].encode() + b"\n")
            after = said_until(ours, "logged in")
            assert PINS["crypto-user"] not in after
            assert login.wait(30) == 0
        finally:
            login.kill()
            os.close(ours)
        assert ready(ports["health"]) == 200


def said_until(terminal: int, words: str) -> str:
    """What a command printed on its terminal, up to the end of the line or prompt that has these words."""
    said, deadline_s = "", time.monotonic() + 30
    while words not in said or not said.endswith((": ", "\n")):
        assert time.monotonic() < deadline_s, said
        if select.select([terminal], [], [], 1)[0]:
            said += os.read(terminal, 4096).decode()
    return said


@pytest.mark.row("KS-HSM-017")
def test_an_activation_outlasts_a_restart_where_a_window_is_set(tmp_path: Path) -> None:
    data = make(tmp_path)
    setting = ("settings", "set", "module.activation_window_s=600", "--data", data)
    with serving(data) as ports:
        assert keystead(*setting).returncode == 1, "it is read when the node starts"
        unlock(data)
    with serving(data) as ports:
        assert ready(ports["health"]) == 500, "delivered without a window"
    assert keystead(*setting).returncode == 0
    with serving(data) as ports:
        unlock(data)
        assert keystead("hsm", "deactivate", "--data", data).returncode == 0
        assert ready(ports["health"]) == 500
        assert keystead("hsm", "activate", "--data", data).returncode == 0
    with serving(data) as ports:
        assert ready(ports["health"]) == 200, "by itself"
        assert keystead("hsm", "logout", "crypto-user", "--data", data).returncode == 0
    with serving(data) as ports:
        assert ready(ports["health"]) == 500, "a logout is meant"


@pytest.mark.row("KS-HSM-011")
def test_a_wrong_pin_is_a_wrong_token_and_counts(tmp_path: Path) -> None:
    data = make(tmp_path)
    wrong = tmp_path / "wrong"
    wrong.write_text("crypto-user = 11112222\n")
    wrong.chmod(0o600)
    token = tmp_path / "tokens" / "crypto-user-1.token"
    with serving(data):
        for _ in range(10):
            ended = keystead("hsm", "login", "crypto-user", "--token", token, "--answers", wrong, "--data", data)
            assert ended.returncode == 1
        assert unlock(data).returncode == 1
    with serving(data):
        assert unlock(data).returncode == 1, "the counter is durable"


@pytest.mark.row("KS-HSM-050", "KS-HSM-053")
def test_the_secure_key_cache_is_off_until_switched_on(tmp_path: Path) -> None:
    data = make(tmp_path)
    with serving(data):
        unlock(data)
        words = [
            keystead("hsm", verb, "--data", data).stdout.strip()
            for verb in ("enable-key-cache", "enable-key-cache", "disable-key-cache", "disable-key-cache")
        ]
    assert words == [
        "secure key cache enabled",
        "already in this state: secure key cache enabled",
        "secure key cache disabled",
        "already in this state: secure key cache disabled",
    ]


@pytest.mark.row("KS-HSM-025", "KS-HSM-054")
def test_people_are_told_who_could_see_their_pin_and_what_the_cache_leaves_as_it_is() -> None:
    def told(*words: str) -> str:
        return " ".join(keystead("hsm", *words, "--help").stdout.split())

    assert "who administers this machine could observe them" in told("login")
    assert "the same algorithms stay allowed" in told()
    assert "the same algorithms stay allowed" in told("enable-key-cache")


@pytest.mark.row("KS-KMIP-007", "KS-KMIP-008")
def test_clients_may_neither_make_nor_fetch_keys_until_switched_on(tmp_path: Path) -> None:
    data = make(tmp_path)
    with serving(data) as ports:
        unlock(data)
        with Session(ports["kmip"], client_of(data, "carol")) as carol:
            with pytest.raises(Exception, match=r"(?i)permission|switched|refused|denied"):
                carol.identifiers(messages.create())
            keystead("settings", "set", "key_server.allow_key_configuration=true", "--data", data)
            (key,) = carol.identifiers(messages.create())
            with pytest.raises(Exception, match=r"(?i)permission|switched|refused|denied"):
                carol.key(key)
            keystead("settings", "set", "key_server.allow_key_export=true", "--data", data)
            assert len(carol.key(key)) == 32


def test_a_copied_folder_serves_nobody(tmp_path: Path) -> None:
    data = make(tmp_path)
    copy = tmp_path / "elsewhere" / "data"
    shutil.copytree(data, copy)
    (tmp_path / "safe").rename(tmp_path / "gone")
    ended = keystead("serve", "--data", copy)
    assert ended.returncode == 1
    assert "node key" in ended.stderr


@pytest.mark.parametrize("inside", ["node-key", "tokens"])
def test_init_keeps_the_secrets_out_of_the_data_folder(tmp_path: Path, inside: str) -> None:
    data = tmp_path / "data"
    places = {"node-key": tmp_path / "node.key", "tokens": tmp_path / "tokens"} | {inside: data / "x"}
    ended = keystead("init", "--data", data, "--node-key", places["node-key"], "--tokens", places["tokens"])
    assert ended.returncode == 1
    assert "inside the data folder" in ended.stderr
    assert not data.exists()


def test_serve_refuses_what_dev_made(tmp_path: Path) -> None:
    node = DevNode(tmp_path)
    node.start()
    node.stop()
    ended = keystead("serve", "--data", node.data)
    assert ended.returncode == 1
    assert "keystead dev" in ended.stderr


def test_stores_put_back_to_yesterday_are_noticed_at_start(tmp_path: Path) -> None:
    data = make(tmp_path)
    with serving(data):
        keystead("user", "create", "early", "--data", data)
    yesterday = tmp_path / "yesterday"
    shutil.copytree(data, yesterday)
    with serving(data):
        keystead("user", "create", "late", "--data", data)
    shutil.rmtree(data)
    shutil.copytree(yesterday, data)
    ended = keystead("serve", "--data", data)
    assert ended.returncode == 1
    assert "put back" in ended.stderr
    assert keystead("verify", "--data", data).returncode == 1
    with serving(data, "--accept-rollback"):
        assert "early" in keystead("user", "list", "--data", data).stdout


def test_pins_and_passwords_are_written_nowhere(tmp_path: Path) -> None:
    data = make(tmp_path)
    with serving(data):
        unlock(data)
    (tmp_path / "answers").unlink()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [role for role, pin in PINS.items() if pin.encode() in content], file


@pytest.mark.row("KS-KMIP-005", "KS-KMIP-010")
def test_kmip_speaks_only_tls_with_a_client_certificate(tmp_path: Path) -> None:
    data = make(tmp_path)
    with serving(data) as ports:
        unlock(data)
        client = client_of(data, "carol")
        context = ssl.create_default_context(cafile=str(client.authority))
        with pytest.raises(OSError, match=r"(?i)certificate|reset|closed"):
            first_answer(context, ports["kmip"])


def first_answer(context: ssl.SSLContext, port: int) -> bytes:
    """Ask without a client certificate; TLS 1.3 tells of the refusal with the first read."""
    with (
        socket.create_connection(("127.0.0.1", port), 10) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as wrapped,
    ):
        wrapped.sendall(messages.create())
        answer = wrapped.recv(10)
    if not answer:
        raise ConnectionResetError("closed")
    return answer


def test_a_whole_walk_finds_nothing_amiss_and_names_what_was_edited(tmp_path: Path) -> None:
    data = make(tmp_path)
    assert keystead("verify", "--data", data).returncode == 0
    with sqlite3.connect(data / "store.db") as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        (table,) = [name for name in tables if name.startswith("record")]
        connection.execute(f"UPDATE {table} SET handle = 'mallory' WHERE handle = 'root'")
    ended = keystead("verify", "--data", data)
    assert ended.returncode == 1
    assert "realm" in ended.stdout


def test_the_nodes_own_settings_are_shown_as_they_are_and_changed_while_it_is_stopped(tmp_path: Path) -> None:
    data = make(tmp_path)
    with serving(data):
        assert "kmip.address=127.0.0.1" in keystead("settings", "show", "kmip", "--data", data).stdout
        refused = keystead("settings", "set", "health.enabled=false", "--data", data)
        assert (refused.returncode, "stop the node" in refused.stderr) == (1, True)
    assert keystead("settings", "set", "health.enabled=false", "--data", data).returncode == 0
    with serving(data) as ports:
        assert set(ports) == {"kmip"}
        assert "health.enabled=false" in keystead("settings", "show", "health", "--data", data).stdout


@pytest.mark.row("KS-KMIP-011")
def test_only_fields_of_the_catalogue_can_name_the_user(tmp_path: Path) -> None:
    data = make(tmp_path)
    with serving(data):
        assert keystead("settings", "set", "key_server.username_field=UID", "--data", data).returncode == 0
        refused = keystead("settings", "set", "key_server.username_field=C N", "--data", data)
        assert "UID, CN, SN, E, E_ND, OU, none" in refused.stderr


def test_a_clean_stop_leaves_no_write_ahead_log(tmp_path: Path) -> None:
    data = make(tmp_path)
    with serving(data):
        keystead("user", "create", "carol", "--data", data)
    assert not list(data.glob("*.db-wal"))


def test_a_certificate_whose_user_is_gone_leaves_a_line(tmp_path: Path) -> None:
    data = make(tmp_path)
    with serving(data) as ports:
        unlock(data)
        client = client_of(data, "carol")
        keystead("settings", "set", "key_server.username_field=OU", "--data", data)
        with pytest.raises(Disconnected), Session(ports["kmip"], client) as carol:
            carol.identifiers(messages.create())
    assert "refused" in (tmp_path / "serve.log").read_text()
