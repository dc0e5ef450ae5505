"""docs/policies.md as it stands: every command is run, in order, with another folder and the id of a key."""

import shlex
import subprocess
import sys

from tests.node.test_users_page import commands_of
from tests.support.dev_node import DevNode
from tests.support.kmip import messages


def ran(command: str, node: DevNode, key: str) -> str:
    words = shlex.split(command.replace("/srv/keystead/data", str(node.data)).replace("KEY", key))
    assert words[0] == "keystead"
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=node.folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def test_every_command_of_the_page_works(own_node: DevNode) -> None:
    with own_node.session() as session:
        key = session.identifier(messages.create())
    said: dict[str, str] = {}
    for command in commands_of("policies.md"):
        said[" ".join(command.split()[1:3])] = ran(command, own_node, key)
    assert said["policy list"].splitlines() == [
        "nights  any number of operations  mon 22:00-tue 06:00, fri 18:00-mon 06:00",
        "office  500 operations an hour  always",
    ]
    assert said["key grants"].splitlines()[1:] == [
        "  group backup: see, decrypt",
        "  group backup: encrypt, export under policy office",
    ]
    assert said["key show"].splitlines()[-1] == "  group backup may: encrypt, export under policy office"
    assert said["policy change"] == "office  750 operations an hour  always\n"
    assert f"keys: key-{key}" in said["policy show"]
    assert said["key take"].splitlines()[1:] == ["  group backup: see, decrypt"]
    assert said["policy delete"] == "policy office deleted\n"
