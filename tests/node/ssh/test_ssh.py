"""The command line over SSH, asked by the real OpenSSH client."""

import base64
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from kmip.pie.client import ProxyKmipClient, enums

from tests.node.production import keystead
from tests.support.dev_node import DevNode, NotReady
from tests.support.ssh import Ssh, administrator

FIRST, OWN = "telescope-dragon-7", "lantern-orbit-31"
VIEW = re.compile(r"\r\n?[\w-]+# $|^[\w-]+# $|[\w-]+# ")
CONFIG = re.compile(r"[\w-]+ \(config\)# ")


@pytest.fixture
def window_node(tmp_path: Path) -> Iterator[DevNode]:
    """A node whose module can be activated again without its crypto user."""
    made = DevNode(tmp_path, ("module.activation_window_s=600",), web=True, ssh=True)
    made.start()
    yield made
    made.kill()


def create(node: DevNode, name: str, *access: str) -> Ssh:
    """An administrator who has not set a password of their own yet."""
    words = [word for one in access for word in ("--access", one)]
    done = keystead("administrator", "create", name, *words, "--stdin", "--data", node.data, stdin=f"{FIRST}\n")
    assert done.returncode == 0, done.stderr
    return Ssh(node, FIRST, name)


def audit(node: DevNode, *words: str) -> str:
    return keystead("audit", "show", "--last", "400", *words, "--data", node.data).stdout


def test_scripts_get_results_and_exit_statuses(node: DevNode) -> None:
    admin = administrator(node)
    done = admin.run("show", "users")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == ["NAME   GROUPS  DISABLED", "alice  -       no"]
    unknown = admin.run("show", "user", "nobody")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("error: ")
    misspelt = admin.run("shwo", "users")
    assert (misspelt.returncode, misspelt.stdout) == (2, "")
    assert "type help" in misspelt.stderr


@pytest.mark.row("KS-CLI-001")
def test_what_changes_something_belongs_to_the_configuration_mode(node: DevNode) -> None:
    terminal = administrator(node).spawn()
    terminal.expect(VIEW)
    terminal.sendline("user create frida")
    terminal.expect_exact("type config first")
    terminal.expect(VIEW)
    terminal.sendline("config")
    terminal.expect(CONFIG)
    terminal.sendline("show user frida")
    terminal.expect_exact("error: ")
    terminal.expect(CONFIG)
    terminal.sendline("user create frida")
    terminal.expect_exact("name: frida")
    terminal.expect(CONFIG)
    terminal.sendline("user delete frida")
    terminal.expect_exact("really? Type yes: ")
    terminal.sendline("no")
    terminal.expect_exact("nothing was done")
    terminal.expect(CONFIG)
    terminal.sendline("exit")
    terminal.expect(VIEW)
    terminal.sendline("show user frida")
    terminal.expect_exact("name: frida")
    terminal.expect(VIEW)
    terminal.sendline("exit")
    terminal.expect(pexpect.EOF)
    refused = administrator(node).run("user", "delete", "frida", "--yes")
    assert refused.returncode == 2
    assert administrator(node).run("config", "user", "delete", "frida").returncode == 2, "nobody was asked"
    assert administrator(node).run("config", "user", "delete", "frida", "--yes").returncode == 0


def test_completion_history_help_and_pages(node: DevNode) -> None:
    terminal = administrator(node).spawn(height=10)
    terminal.expect(VIEW)
    terminal.send("show hs\tst\t\r")
    terminal.expect_exact("HSM Status: ")
    terminal.expect(VIEW)
    terminal.send("\x1b[A\r")
    terminal.expect_exact("HSM Status: ")
    terminal.expect(VIEW)
    terminal.sendline("?")
    terminal.expect_exact("--more--")
    terminal.send(" ")
    terminal.expect_exact("--more--")
    terminal.send("q")
    terminal.expect(VIEW)
    terminal.sendline("user create ?")
    terminal.expect_exact("user create NAME")
    terminal.expect(VIEW)
    terminal.send("half a line\x03")
    terminal.send("exit\r")
    terminal.expect(pexpect.EOF)


@pytest.mark.row("KS-ADM-042")
def test_only_whom_it_was_given_comes_in_this_way(node: DevNode) -> None:
    hanna = create(node, "hanna", "users_groups", "admin_web")
    assert hanna.run("show", "users").returncode == 255
    assert "via ssh: no access by this door" in audit(node)
    changed = administrator(node).run(
        "config", "administrator", "change", "hanna", "--access", "users_groups,admin_ssh"
    )
    assert changed.returncode == 0
    assert "set your own password first" in hanna.run("show", "users").stderr


def test_a_password_that_somebody_else_has_set_is_changed_before_anything_else(node: DevNode) -> None:
    ida = create(node, "ida", "users_groups", "admin_ssh")
    refused = ida.run("config", "user", "create", "gustav")
    assert refused.returncode == 1
    terminal = ida.spawn()
    terminal.expect_exact("has to be changed")
    for again in (OWN + "x", OWN):
        terminal.expect_exact("Current password: ")
        terminal.sendline(FIRST)
        terminal.expect_exact("New password: ")
        terminal.sendline(OWN)
        terminal.expect_exact("Once more: ")
        terminal.sendline(again)
    terminal.expect(VIEW)
    terminal.sendline("exit")
    terminal.expect(pexpect.EOF)
    assert OWN not in str(terminal.before)
    assert ida.run("show", "users").returncode == 255, "the first password is gone"
    again_in = Ssh(node, OWN, "ida")
    assert again_in.run("config", "group", "create", "night").returncode == 0
    assert again_in.run("config", "administrator", "create", "x", "--access", "all", stdin=f"{OWN}\n").returncode == 1
    for path in (path for path in node.folder.rglob("*") if path.is_file()):
        assert OWN.encode() not in path.read_bytes()


def test_a_script_may_set_its_first_password(node: DevNode) -> None:
    nora = create(node, "nora", "admin_ssh")
    assert nora.run("password", stdin=f"{FIRST}x\nharbour-tulip-77\n").returncode == 1
    assert nora.run("password", stdin=f"{FIRST}\nshort\n").returncode == 1
    assert nora.run("password", stdin=f"{FIRST}\n").returncode == 1
    done = nora.run("password", stdin=f"{FIRST}\nharbour-tulip-77\n")
    assert (done.returncode, done.stdout) == (0, "your password is set\n")
    assert Ssh(node, "harbour-tulip-77", "nora").run("show", "users").returncode == 0


@pytest.mark.row("KS-ADM-015")
def test_wrong_passwords_count_and_lock(node: DevNode) -> None:
    karl = create(node, "karl", "admin_ssh")
    for _ in range(5):
        assert Ssh(node, "wrong-guess-1", "karl").run("show", "users").returncode == 255
    assert karl.run("show", "users").returncode == 255, "locked"
    assert "wrong password, locked from now on" in audit(node)


@pytest.mark.row("KS-CLI-014")
def test_changes_and_errors_are_audited_but_not_what_was_typed(node: DevNode) -> None:
    admin = administrator(node)
    assert admin.run("config", "user", "create", "lotte").returncode == 0
    assert admin.run("config", "user", "create", "lotte").returncode == 1
    assert admin.run("quarry-violin-58").returncode == 2
    assert admin.run("user", "create", "lotte", "--password", "quarry-violin-58").returncode == 2
    entries = audit(node)
    assert "user lotte created" in entries
    assert "command user create: exists" in entries
    assert "a line that is no command: invalid.message" in entries
    assert "quarry-violin-58" not in entries
    assert b"quarry-violin-58" not in b"".join(path.read_bytes() for path in node.folder.rglob("*") if path.is_file())


@pytest.mark.row("KS-CLI-007", "KS-CLI-008")
def test_the_module_is_shown_and_its_cache_switched_in_the_view_mode(node: DevNode) -> None:
    admin = administrator(node)
    assert admin.run("hsm", "disable", "secure-key-cache").stdout == "secure key cache disabled\n"
    assert admin.run("show", "hsm", "status").stdout.splitlines() == [
        "HSM Status: Activated (software module)",
        "Crypto-user logged in: yes",
        "Secure key cache: Disabled",
    ]
    assert admin.run("hsm", "enable", "secure-key-cache").stdout == "secure key cache enabled\n"
    assert "already in this state" in admin.run("hsm", "enable", "secure-key-cache").stdout
    assert admin.run("show", "hsm", "status").stdout.splitlines()[2] == "Secure key cache: Enabled"


@pytest.mark.row("KS-CLI-003", "KS-CLI-004")
def test_a_role_logs_in_with_its_token(window_node: DevNode) -> None:
    admin = administrator(window_node)
    folder = window_node.data / "insecure"
    token = base64.b64encode((folder / "crypto-user.token").read_bytes()).decode()
    number = (folder / "crypto-user.pin").read_text()
    assert admin.run("hsm", "logout", "crypto", "user").returncode == 2, "nobody was asked"
    assert admin.run("hsm", "logout", "crypto", "user", "--yes").stdout == "crypto-user: logged out\n"
    assert "locked" in admin.run("show", "hsm", "status").stdout
    terminal = admin.spawn()
    terminal.expect(VIEW)
    for typed in ("0" * 8, number):
        terminal.sendline("hsm login crypto user")
        terminal.expect_exact("Needed: the role token of the crypto-user")
        terminal.expect_exact("Role token: ")
        terminal.sendline(token)
        terminal.expect(r"PIN of the crypto-user token \w+ \(1 of 1, 1 needed\): ")
        terminal.sendline(typed)
        terminal.expect_exact("crypto-user: logged in" if typed == number else "error: ")
        assert number not in str(terminal.before)
        assert token not in str(terminal.before)
        terminal.expect(VIEW)
    terminal.sendline("exit")
    terminal.expect(pexpect.EOF)
    assert admin.run("hsm", "deactivate", "--yes").stdout == "deactivated\n"
    assert admin.run("hsm", "activate").stdout == "activated\n"
    assert "Activated" in admin.run("show", "hsm", "status").stdout
    wrong = admin.run("hsm", "login", "security", "officer", stdin=f"{token}\n{number}\n")
    assert wrong.returncode == 1
    assert "the security-officer token is needed" in wrong.stderr


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("-W", "127.0.0.1:22"), id="a connection to elsewhere"),
        pytest.param(("-N", "-R", "0:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes"), id="a port from elsewhere"),
        pytest.param(("-N", "-R", "/tmp/x.sock:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes"), id="a socket"),
        pytest.param(("-s",), id="a subsystem"),
    ],
)
def test_nothing_else_of_ssh_is_offered(node: DevNode, options: tuple[str, ...]) -> None:
    command = ("sftp",) if options == ("-s",) else ()
    done = administrator(node).run(*command, options=options)
    assert done.returncode == 255, done.stdout


def test_no_agent_and_no_display_and_no_environment(node: DevNode) -> None:
    done = administrator(node).run("show", "users", options=("-A", "-X", "-o", "SetEnv=LD_PRELOAD=x"))
    assert done.returncode == 0
    sent = administrator(node).run("scp", "-t", "/tmp")
    assert sent.returncode == 2


def test_names_that_clients_give_do_nothing_to_the_terminal(node: DevNode) -> None:
    alice = node.client("alice")
    with ProxyKmipClient(
        "127.0.0.1", node.port, alice.certificate, alice.key, alice.authority, "PROTOCOL_TLSv1_2"
    ) as client:
        client.create(enums.CryptographicAlgorithm.AES, 128, name="\x1b]0;x\x07\x1b[2J\r\nforged")
    shown = administrator(node).run("show", "keys", "--owner", "alice")
    assert "\\x1b]0;x\\x07\\x1b[2J\\r\\nforged" in shown.stdout
    assert "\x1b" not in shown.stdout + administrator(node).run("\x1b[2J").stderr


def test_hostile_input_ends_only_itself(node: DevNode) -> None:
    admin = administrator(node)
    flood = admin.run(stdin="A" * 3_000_000)
    assert flood.returncode == 2
    assert admin.run("show", "users", "x" * 100_000).returncode == 2
    garbage = admin.run(stdin="".join(map(chr, range(1, 300))) * 20 + "\nexit\n")
    assert garbage.returncode in (0, 2)
    assert admin.run("config", "authority", "install", "x", stdin="y" * 500_000).returncode == 1
    assert admin.run("show", "users").returncode == 0


def test_the_fingerprint_is_told_on_the_machine(node: DevNode) -> None:
    told = keystead("ssh", "fingerprint", "--data", node.data).stdout.strip()
    key = Path(node.ready["ssh"]["host_key"])
    shown = subprocess.run(["ssh-keygen", "-l", "-f", key], capture_output=True, text=True, check=True).stdout
    assert shown.split()[1] == told
    assert told in administrator(node).run("show", "ssh", "host-key").stdout


@pytest.mark.row("KS-RAS-003", "KS-RAS-004")
def test_the_door_listens_where_the_settings_say_with_the_same_key_after_a_start(own_node: DevNode) -> None:
    key = Path(own_node.ready["ssh"]["host_key"]).read_text()
    port = own_node.ready["ssh"]["port"]
    terminal = administrator(own_node).spawn()
    terminal.expect(VIEW)
    own_node.stop()  # raises if somebody who is logged in keeps it from ending
    terminal.expect(pexpect.EOF)
    for setting in ("ssh.address=127.0.0.2", f"ssh.port={port}"):
        assert keystead("settings", "set", setting, "--data", own_node.data).returncode == 0
    own_node.start()
    assert (own_node.ready["ssh"]["port"], Path(own_node.ready["ssh"]["host_key"]).read_text()) == (port, key)
    admin = administrator(own_node)
    assert admin.run("show", "users").returncode == 255, "nobody listens there any more"
    own_node.ready["ssh"]["host"] = "127.0.0.2"
    assert admin.run("show", "users").returncode == 0


def test_remote_administration_is_edited_field_by_field(node: DevNode) -> None:
    admin = administrator(node)
    done = admin.run("config", "edit", "ras", "settings", stdin="30\n")
    assert done.stdout == "sessions.idle_minutes is now 30\n"
    assert "ssh.port [0]: set on the machine, with the node stopped" in done.stderr
    assert admin.run("config", "edit", "ras", "settings", stdin="0\n").returncode == 1
    assert admin.run("config", "edit", "ras", "settings", stdin="\n").stdout == "nothing was changed\n"
    assert admin.run("config", "edit", "ras", "settings", stdin="15\n").returncode == 0


def test_without_the_library_it_is_told_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "asyncssh.py").write_text("raise ImportError('not installed')\n")
    made = DevNode(tmp_path, ssh=True, environment={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(NotReady, match="install keystead with the extra `ssh`"):
        made.start()
    made = DevNode(tmp_path / "without", environment={"PYTHONPATH": str(tmp_path)})
    made.folder.mkdir()
    made.start()
    made.stop()
    assert "ssh" not in made.ready
