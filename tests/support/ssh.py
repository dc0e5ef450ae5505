"""The real OpenSSH client against a node: one command, or a person at a terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from tests.support.dev_node import DevNode

ANSWER_S_MAX = 30
PASSWORD_PROMPT = "password: "


@dataclass(frozen=True)
class Ssh:
    """Somebody who comes over SSH.

    Attributes:
        node: has the door.
        password: of the account.
        user: its name.
    """

    node: DevNode
    password: str
    user: str = "admin"

    def words(self, *options: str) -> list[str]:
        """The client's command up to the host; it knows no other host key than the node's."""
        door = self.node.ready["ssh"]
        known = self.node.folder / "known_hosts"
        known.write_text(f"[{door['host']}]:{door['port']} {Path(door['host_key']).read_text()}")
        given = ["UserKnownHostsFile=" + str(known), "StrictHostKeyChecking=yes", "PreferredAuthentications=password",
                 "NumberOfPasswordPrompts=1", "LogLevel=ERROR"]  # fmt: skip
        told = [word for option in given for word in ("-o", option)]
        return ["ssh", "-F", "none", *told, *options, "-p", str(door["port"]), f"{self.user}@{door['host']}"]

    def run(self, *command: str, stdin: str = "", options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Have one command carried out, as a script does."""
        if shutil.which("sshpass") is None:
            pytest.skip("sshpass is not installed")
        return subprocess.run(
            ["sshpass", "-e", *self.words(*options), *command],
            input=stdin,
            env=os.environ | {"SSHPASS": self.password},
            capture_output=True,
            text=True,
            timeout=ANSWER_S_MAX,
            check=False,
        )

    def spawn(self, height: int = 50) -> pexpect.spawn[str]:
        """Sit down at a terminal and log in."""
        client, *words = self.words("-t")
        terminal = pexpect.spawn(client, words, encoding="utf-8", timeout=ANSWER_S_MAX, dimensions=(height, 200))
        terminal.expect_exact(PASSWORD_PROMPT)
        terminal.sendline(self.password)
        return terminal


def administrator(node: DevNode) -> Ssh:
    """The built-in account of a throw-away node."""
    return Ssh(node, Path(node.ready["administrator"]["password_file"]).read_text())
