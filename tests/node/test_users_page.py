"""docs/users.md as it stands: every command is run, in order, with another folder and the id of a key."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Client, Session

DOCS = Path(__file__).parents[2] / "docs"


def commands_of(page: str) -> list[str]:
    """Every command of a page of the documentation."""
    return re.findall(r"```sh\n(.*?)\n```", (DOCS / page).read_text(), re.DOTALL)


def ran(command: str, node: DevNode, key: str) -> str:
    words = command.replace("/srv/keystead/data", str(node.data)).replace("KEY", key).split()
    assert words[0] == "keystead"
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=node.folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def test_every_command_of_the_page_works(own_node: DevNode) -> None:
    key = ""
    said: dict[str, str] = {}
    for command in commands_of("users.md"):
        verb = " ".join(command.split()[1:3])
        said[verb] = ran(command, own_node, key)
        if verb == "client-certificate storage1":
            made = own_node.folder / "storage1"
            authority = Path(own_node.ready["ca_certificate"])
            client = Client(made.with_suffix(".pem"), made.with_suffix(".key"), authority)
            with Session(own_node.port, client) as session:
                key = session.identifier(messages.create("of the page"))
    assert "storage1  until" in said["certificate list"]
    assert "1 members: storage2" in said["group show"]
    assert "of the page" in said["key list"]
    granted = ["  group backup: see, export", "  user storage2: see, encrypt, decrypt"]
    assert said["key grants"].splitlines()[1:] == granted
    assert said["key take"].splitlines()[1:] == granted[:1]
    assert f"{key}  owner: storage2" in said["key owner"]
