"""docs/transcripts-rest.md and docs/transcripts-ssh.md as they stand; KMIP clients see each deed at once."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.node.production import keystead
from tests.node.test_users_page import DOCS
from tests.support.dev_node import DevNode
from tests.support.kmip.sessions import Client, Disconnected, Refused, Session
from tests.support.ssh import administrator

FIRST = {"olga": "Violet-Kettle-93-Harbour", "paul": "Amber-Ladder-17-Meadow"}
OWN = {"olga": "Copper-Meadow-41-Lantern", "paul": "Saffron-Quarry-58-Violin"}
RESET = "Marble-Anchor-26-Willow"
OUTCOMES = ["done", "Not logged in", "Not logged in", "refused", "failed", "olga", "done", "Not found"]
"""Of the officer's section: reset, his sessions and programs, his request, Olga stays, he goes."""
OUTCOMES_SSH = ["done", "Not logged in", "refused", "failed", "done", "Not found"]
"""The same, without programs; that Olga stays is seen by what she does next."""
END = "-- end of the section --"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[DevNode]:
    made = DevNode(tmp_path / "node", web=True, ssh=True)
    made.folder.mkdir()
    made.start()
    yield made
    made.kill()


def sections(page: str) -> dict[str, str]:
    """Heading -> its commands, one after the other."""
    found: dict[str, str] = {}
    for part in (DOCS / page).read_text().split("\n## ")[1:]:
        heading, _, body = part.partition("\n")
        found[heading] = "\n".join(block.split("\n```")[0] for block in body.split("```sh\n")[1:])
    return found


class Shell:
    """One shell in a folder, which runs a page section by section."""

    def __init__(self, folder: Path, page: str, change: Callable[[str], str] = str, **more: str) -> None:
        for tool in ("curl", "jq", "ssh", "sshpass"):
            if shutil.which(tool) is None:
                pytest.fail(f"install {tool}: requirements/debian.txt")
        self._folder = folder
        self._sections = sections(page)
        self._change = change
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **more}
        self._process = subprocess.Popen(
            ["bash", "-u"],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, heading: str) -> str:
        """Run the next section; what it said."""
        assert heading == next(iter(self._sections))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        (self._folder / "section").write_text(self._change(self._sections.pop(heading)) + "\n")
        self._process.stdin.write(f". ./section < /dev/null; echo; echo '{END}'\n")
        self._process.stdin.flush()
        said = ""
        for line in self._process.stdout:
            if line == f"{END}\n":
                return said
            said += line
        pytest.fail(f"the shell has ended: {said}")

    def close(self) -> None:
        assert not self._sections, "every section is run"
        self._process.communicate("exit\n", timeout=20)


def client(node: DevNode, folder: Path, user: str) -> Client:
    return Client(folder / f"{user}.pem", folder / f"{user}.key", Path(node.ready["ca_certificate"]))


def journeys(shell: Shell, node: DevNode, folder: Path, outcomes: list[str]) -> None:
    """Run a page, and look in between."""
    shell.run("From the first login to the first key")
    shell.run("A client's certificate")
    key = (folder / "backups.id").read_text().strip()
    with Session(node.port, client(node, folder, "storage1")) as storage:
        material = storage.key(key)
        assert len(material) == 32
        shell.run("A right for a group")
        with Session(node.port, client(node, folder, "reader1")) as reader:
            assert reader.key(key) == material
            said = shell.run("What one alone must not do")
            assert "1 more administrators have to approve this" in said
            for session in (storage, reader):
                with pytest.raises((Refused, Disconnected)):
                    session.key(key)
    lost = shell.run("An officer is lost")
    assert re.findall("^(done|failed|refused|Not logged in|Not found|olga)$", lost, re.MULTILINE) == outcomes
    while "administrator paul deleted" not in keystead("audit", "show", "--last", "5", "--data", node.data).stdout:
        pass  # entries reach the tree a moment after they are durable
    told = shell.run("What is left of it")
    assert {"approval.approve", "approval.refuse"} <= {*told.split()}
    shell.close()
    audited(node, folder)


def audited(node: DevNode, folder: Path) -> None:
    """The whole log verifies, and keeps no password."""
    out = folder / "export"
    assert keystead("audit", "export", "--out", out, "--data", node.data).returncode == 0
    verified = keystead("audit", "verify", out)
    assert verified.returncode == 0, verified.stderr
    kept = b"".join(path.read_bytes() for path in node.folder.rglob("*") if path.is_file())
    assert not [word for word in (*FIRST.values(), *OWN.values(), RESET) if word.encode() in kept]


def folder_of(tmp_path: Path, node: DevNode) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    shutil.copy(node.ready["ca_certificate"], folder / "ca.pem")
    return folder


@pytest.mark.slow
@pytest.mark.row("KS-MC-004", "KS-MC-007", "KS-ADM-005")
def test_the_transcript_of_rest(node: DevNode, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, node)
    password = Path(node.ready["administrator"]["password_file"]).read_text()
    (folder / "admin.json").write_text(json.dumps({"username": "admin", "password": password}))
    for name, first in FIRST.items():
        made = {"name": name, "password": first, "access": ["all"]}
        (folder / f"{name}.json").write_text(json.dumps(made))
        (folder / f"{name}-own.json").write_text(json.dumps({"current": first, "new": OWN[name]}))
    journeys(Shell(folder, "transcripts-rest.md", URL=node.ready["rest"]["url"]), node, folder, OUTCOMES)


@pytest.mark.slow
@pytest.mark.row("KS-MC-004", "KS-CLI-001", "KS-ADM-042")
def test_the_transcript_of_ssh(node: DevNode, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, node)
    (folder / "olga.first").write_text(f"{FIRST['olga']}\n")
    (folder / "paul.first").write_text(f"{FIRST['paul']}\n")
    for name, first in FIRST.items():
        (folder / f"{name}.own").write_text(f"{first}\n{OWN[name]}\n")
    (folder / "paul.reset").write_text(f"{RESET}\n")
    journeys(Shell(folder, "transcripts-ssh.md", at_the_node(node, folder)), node, folder, OUTCOMES_SSH)


def at_the_node(node: DevNode, folder: Path) -> Callable[[str], str]:
    """What makes lines for a real client of the lines of a page: it types the password that somebody has by then."""
    admin = administrator(node)
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "admin").write_text(admin.password)
    for name, first in FIRST.items():
        (secrets / name).write_text(OWN[name])
        (secrets / f"{name}.first").write_text(first)
    client = shlex.join(admin.words()[:-1])

    def line(match: re.Match[str]) -> str:
        name, rest = match[1], match[2]
        secret = f"{name}.first" if rest.startswith("password") else name
        return f"sshpass -f secrets/{secret} {client} {name}@127.0.0.1 {rest}"

    return lambda text: re.sub(r"ssh -p 9022 (\w+)@kms\.example\.org (.*)", line, text)
