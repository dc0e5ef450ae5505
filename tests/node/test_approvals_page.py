"""docs/approvals.md as it stands: every command is run at a node, in order; passwords come from a pipe."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

from tests.node.production import keystead
from tests.node.test_users_page import commands_of
from tests.support.dev_node import DevNode

GIVEN, OWN = "telescope-dragon-7", "lantern-orbit-31"
NAMES = ("olga", "paul", "quinn")


class Page:
    """Runs commands at a node's folder, as root does."""

    def __init__(self, node: DevNode) -> None:
        self.node = node
        self.waits: list[str] = []
        self.granted = ""

    def run(self, command: str, piped: str = "") -> subprocess.CompletedProcess[str]:
        words = command.replace("/srv/keystead/data", str(self.node.data)).split()[1:]
        return subprocess.run(
            [sys.executable, "-m", "keystead", *words],
            cwd=self.node.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            input=piped,
        )

    def said(self, command: str, piped: str = "") -> str:
        done = self.run(command, piped)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def hash_of(self, request: str) -> str:
        return self.said(f"keystead approval show {request} --data /srv/keystead/data").splitlines()[-1].split()[-1]

    def ask(self, name: str) -> str:
        """Ask for a user; the id of the request that waits."""
        done = self.run(f"keystead user create {name} --data /srv/keystead/data")
        assert done.returncode == 1
        assert "1 more administrators have to approve this" in done.stderr
        return done.stderr.split("It waits as ")[1].split(":")[0]

    def filled(self, command: str) -> str:
        verb = " ".join(command.split()[1:3])
        if verb == "credential revoke":
            return command.replace("ID", self.granted)
        if verb in ("approval refuse", "approval withdraw"):
            return command.replace("ID", self.ask(verb.split()[1]))
        request = self.waits[-1] if self.waits else ""
        return command.replace("ID", request).replace("HASH", self.hash_of(request) if "HASH" in command else "")

    def users(self) -> str:
        return self.said("keystead user list --data /srv/keystead/data")


@pytest.fixture
def page(own_node: DevNode) -> Iterator[Page]:
    """Three administrators with passwords of their own."""
    data = ("--stdin", "--data", own_node.data)
    for name in NAMES:
        assert keystead("administrator", "create", name, "--access", "all", *data, stdin=f"{GIVEN}\n").returncode == 0
        changed = keystead("administrator", "change-password", name, *data, stdin=f"{GIVEN}\n{OWN}\n")
        assert changed.returncode == 0, changed.stderr
    file = own_node.folder / "approvers"
    file.write_text(f"paul = {OWN}\n")
    file.chmod(0o600)
    yield Page(own_node)
    file.unlink(missing_ok=True)


@pytest.mark.row("KS-MC-001", "KS-MC-008")
def test_every_command_of_the_page_works(page: Page) -> None:
    said: dict[str, str] = {}
    for command in commands_of("approvals.md"):
        verb = " ".join(command.split()[1:3])
        if command.startswith("keystead user create eve"):
            page.waits.append(page.ask("eve"))
            continue
        piped = " --stdin" if " --as " in command else ""
        said[verb] = page.said(page.filled(command) + piped, f"{OWN}\n")
        page.granted = said[verb].split()[0] if verb == "credential grant" else page.granted
    assert f"{page.waits[0]}  pending  user.create  by local:" in said["approval list"]
    assert '    name: "eve"\n' in said["approval show"]
    assert said["approval approve"].startswith(f"{page.waits[0]}  done  user eve created")
    assert said["approval refuse"].endswith("refused\n")
    assert said["approval withdraw"].endswith("withdrawn\n")
    assert said["credential list"] == said["credential grant"]
    assert "paul for olga, 3 h 59 min left: change_users" in said["credential grant"]
    listed = page.users()
    assert all(name in listed for name in ("eve", "adam"))
    assert "refuse" not in listed
    assert "withdraw" not in listed
    audit = page.said("keystead audit show --data /srv/keystead/data")
    for part in ("waits for 1 approvals", "done, approved by paul", "user adam created; approved by paul"):
        assert part in audit
    (page.node.folder / "approvers").unlink()
    for path in (path for path in page.node.folder.rglob("*") if path.is_file()):
        assert OWN.encode() not in path.read_bytes()


@pytest.mark.row("KS-MC-008")
def test_without_enough_of_them_nothing_happens(page: Page) -> None:
    page.said("keystead settings set multiple_credentials.required=true --data /srv/keystead/data")
    for lines in ("", "paul = wrong-lantern-1\n", f"nobody = {OWN}\n", f"paul = {OWN}\nquinn = wrong-lantern-1\n"):
        done = page.run("keystead user create eve --approvers - --data /srv/keystead/data", lines)
        assert done.returncode == 1
        assert done.stderr.startswith("keystead: ")
    waits = page.said("keystead approval list --data /srv/keystead/data").splitlines()
    assert len(waits) <= 1  # of those without any names
    assert "eve" not in page.users()


@pytest.mark.row("KS-MC-017", "KS-TIME-009")
def test_a_restart_ends_grants_and_keeps_what_waits(page: Page) -> None:
    page.said("keystead settings set multiple_credentials.grants_allowed=true --data /srv/keystead/data")
    page.said("keystead settings set multiple_credentials.required=true --data /srv/keystead/data")
    grant = (
        "keystead credential grant olga --hours 7 --operation change_users --as paul --stdin --data /srv/keystead/data"
    )
    assert "paul for olga" in page.said(grant, f"{OWN}\n")
    waits = page.ask("eve")
    page.node.stop()
    page.node.start()
    listing = "keystead credential list --as olga --stdin --data /srv/keystead/data"
    assert page.said(listing, f"{OWN}\n") == ""
    approve = f"keystead approval approve {waits} {page.hash_of(waits)} --as quinn --stdin --data /srv/keystead/data"
    assert "done" in page.said(approve, f"{OWN}\n")
    assert "eve" in page.users()


@pytest.mark.row("KS-MC-008")
def test_at_a_terminal_names_and_passwords_are_asked_for(page: Page) -> None:
    """Nothing is left waiting when people approve at once; without a name the request waits."""
    page.said("keystead settings set multiple_credentials.required=true --data /srv/keystead/data")
    words = ("user", "create", "eve", "--data", str(page.node.data))
    assert typed(words, ["paul", OWN, ""]) == 0
    assert "eve" in page.users()
    assert typed((*words[:2], "adam", *words[3:]), ["paul", "wrong-lantern-1", ""]) == 1
    assert typed((*words[:2], "adam", *words[3:]), [""]) == 1
    states = [line.split()[1] for line in page.said("keystead approval list --data /srv/keystead/data").splitlines()]
    assert states == ["withdrawn", "withdrawn", "pending"]
    assert "adam" not in page.users()


def typed(words: Sequence[str], lines: Sequence[str]) -> int:
    """Run the command at a terminal of its own, with somebody who answers each question; its status."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", sys.executable, "-m", "keystead", *words],  # its controlling terminal
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    left = list(lines)
    with contextlib.suppress(OSError):  # the other side is closed
        while part := os.read(ours, 4096):
            shown += part
            if left and shown.rstrip(b"\r\n").endswith((b": ",)):
                os.write(ours, left.pop(0).encode() + b"\n")
                shown = b""
    os.close(ours)
    assert OWN.encode() not in shown
    return process.wait(timeout=20)
