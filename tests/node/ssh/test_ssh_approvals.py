"""Approvals in one step over SSH: who stands beside the terminal gives name and password, which nobody sees."""

import json
import re
from collections.abc import Iterator

import pexpect
import pytest

from tests.support.dev_node import DevNode
from tests.support.rest.client import Rest, stranger
from tests.support.rest.client import administrator as over_rest
from tests.support.rest.world import OWN, person
from tests.support.ssh import Ssh, administrator

CONFIG = re.compile(r"[\w-]+ \(config\)# ")
QUESTION = "Administrator who approves it now"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DevNode, Rest]]:
    """A node where two have to stand behind changes: admin, and paul, whose session comes with it."""
    node = DevNode(tmp_path_factory.mktemp("guarded"), web=True, ssh=True)
    node.start()
    admin = over_rest(node)
    paul = person(admin, stranger(node), "paul")
    admin.told("PUT", "/settings/multiple_credentials/required", {"value": True})
    yield node, paul
    node.stop()


def at_config(who: Ssh) -> "pexpect.spawn[str]":
    terminal = who.spawn()
    terminal.expect("# ")
    terminal.sendline("config")
    terminal.expect(CONFIG)
    return terminal


def states(rest: Rest) -> list[str]:
    return [one["state"] for one in rest.told("GET", "/approvals")["items"]]


@pytest.mark.row("KS-CLI-015", "KS-MC-008")
def test_an_approver_at_the_terminal_is_enough(guarded: tuple[DevNode, Rest]) -> None:
    node, paul = guarded
    terminal = at_config(administrator(node))
    terminal.sendline("user create dora")
    terminal.expect_exact("1 more administrators have to approve this")
    terminal.expect_exact(QUESTION)
    terminal.sendline("paul")
    terminal.expect_exact("Password of paul: ")
    terminal.sendline(OWN)
    terminal.expect_exact(QUESTION)
    assert OWN not in str(terminal.before)
    terminal.sendline("")
    terminal.expect_exact("name: dora")
    terminal.expect(CONFIG)
    terminal.send("\x1b[A\x1b[A\x1b[A\x1b[A")
    terminal.send("\x03exit\r")
    terminal.expect("# ")
    assert OWN not in str(terminal.before), "the history keeps no password"
    terminal.sendline("exit")
    terminal.expect(pexpect.EOF)
    assert paul.ask("GET", "/users/dora").status == 200
    assert "pending" not in states(paul), "what waited for a moment was taken back"
    entries = json.dumps(paul.told("GET", "/audit/entries")["lines"])
    while "user dora created; approved by paul" not in entries:
        entries = json.dumps(paul.told("GET", "/audit/entries")["lines"])
    assert OWN.encode() not in b"".join(path.read_bytes() for path in node.folder.rglob("*") if path.is_file())


@pytest.mark.row("KS-CLI-015")
def test_wrong_passwords_and_the_asker_alone_do_nothing(guarded: tuple[DevNode, Rest]) -> None:
    node, paul = guarded
    admin = administrator(node)
    terminal = at_config(admin)
    for name, password in (("paul", "wrong-guess-1"), ("admin", admin.password), ("nobody", "wrong-guess-1")):
        terminal.sendline("user create emil")
        terminal.expect_exact(QUESTION)
        terminal.sendline(name)
        terminal.expect_exact("Password of ")
        terminal.sendline(password)
        terminal.expect_exact(QUESTION)
        terminal.sendline("")
        terminal.expect(r"error: |do not belong together|locked")
        terminal.expect(CONFIG)
    terminal.sendline("exit")
    terminal.expect("# ")
    terminal.sendline("exit")
    terminal.expect(pexpect.EOF)
    assert paul.ask("GET", "/users/emil").status == 404
    assert "pending" not in states(paul)


def test_without_a_name_and_without_a_terminal_it_waits(guarded: tuple[DevNode, Rest]) -> None:
    node, paul = guarded
    done = administrator(node).run("config", "user", "create", "gustav")
    assert done.returncode == 1
    assert "It waits as" in done.stderr
    terminal = at_config(administrator(node))
    terminal.sendline("group create late")
    terminal.expect_exact(QUESTION)
    terminal.sendline("")
    terminal.expect(r"it waits as ([0-9a-f-]{36})")
    assert isinstance(terminal.match, re.Match)
    waiting = paul.told("GET", f"/approvals/{terminal.match[1]}")
    paul.told("POST", f"/approvals/{waiting['id']}/approve", {"hash": waiting["hash"]})
    terminal.expect(CONFIG)
    terminal.sendline("show group late")
    terminal.expect_exact("name: late")
    terminal.close()


@pytest.mark.row("KS-CLI-009")
def test_where_the_health_check_answers(guarded: tuple[DevNode, Rest]) -> None:
    node, _ = guarded
    shown = administrator(node).run("show", "health", "server").stdout
    assert re.fullmatch(r"Health check: (En|Dis)abled\nLocal IP: 127\.0\.0\.1\nLocal Port: \d+\n", shown), shown
