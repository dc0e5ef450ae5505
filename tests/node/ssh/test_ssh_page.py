"""docs/ssh.md as it stands: its commands are run, its transcript is typed and compared."""

import io
import re

import pexpect

from tests.node.production import keystead
from tests.node.test_users_page import DOCS, commands_of
from tests.support.dev_node import DevNode
from tests.support.ssh import Ssh, administrator

FIRST = "telescope-dragon-7"
PROMPT = re.compile(r"^host( \(config\))?# (?P<typed>.*)$")
QUESTION = re.compile(r"^.* Type yes: (?P<typed>yes)$")
NODE = re.compile(r"^[\w-]+(?=( \(config\))?# )", re.MULTILINE)
AT_PROMPT = re.compile(r"[\w-]+( \(config\))?# $")


def transcript() -> list[str]:
    (found,) = re.findall(r"```transcript\n(.*?)\n```", (DOCS / "ssh.md").read_text(), re.DOTALL)
    return str(found).splitlines()


def test_every_command_of_the_page_works(own_node: DevNode) -> None:
    switch, fingerprint, create = (
        one.replace("/srv/keystead/data", str(own_node.data)) for one in commands_of("ssh.md")
    )
    own_node.stop()
    assert keystead(*switch.split()[1:]).returncode == 0
    own_node.start()
    assert keystead(*fingerprint.split()[1:]).stdout.startswith("SHA256:")
    assert keystead(*create.split()[1:], "--stdin", stdin=f"{FIRST}\n").returncode == 0
    terminal = Ssh(own_node, FIRST, "frida").spawn()
    terminal.expect_exact("Your password has to be changed before anything else.")
    terminal.close()


def test_the_transcript_is_what_happens(own_node: DevNode) -> None:
    terminal = administrator(own_node).spawn(height=60)
    terminal.logfile_read = shown = io.StringIO()
    for line in transcript():
        found = PROMPT.match(line) or QUESTION.match(line)
        if found is not None:
            terminal.expect(AT_PROMPT if line.startswith("host") else "Type yes: $")
            terminal.sendline(found["typed"])
    terminal.expect(pexpect.EOF)
    text = NODE.sub("host", shown.getvalue().replace("\r", "").strip())
    assert text.splitlines() == transcript()


def test_scripts_of_the_page(own_node: DevNode) -> None:
    admin = administrator(own_node)
    lines = re.findall(r"^    ssh -p 9022 frida@kms\.example\.org (.*)$", (DOCS / "ssh.md").read_text(), re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        words, _, file = line.partition(" < ")
        done = admin.run(*words.split(), stdin=f"{FIRST}\n" if file else "")
        assert done.returncode == 0, done.stderr
