"""docs/rest.md as it stands: every command is run, in order, in one folder."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.node.test_users_page import commands_of
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Client, Session


def test_every_command_of_the_page_works(node: DevNode, tmp_path: Path) -> None:
    missing = [name for name in ("curl", "jq") if shutil.which(name) is None]
    if missing:
        pytest.fail(f"install {' and '.join(missing)}: requirements/debian.txt")
    entry = node.ready["administrator"]
    password = Path(entry["password_file"]).read_text()
    (tmp_path / "admin.json").write_text(json.dumps({"username": entry["username"], "password": password}))
    shutil.copy(node.ready["ca_certificate"], tmp_path / "ca.pem")
    environment = {"PATH": os.environ["PATH"], "URL": node.ready["rest"]["url"]}
    said = []
    for command in commands_of("rest.md"):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        said.append(done.stdout)
    assert json.loads(said[1])["name"] == "admin"
    assert json.loads(said[3])["name"] == "storage7"
    page = json.loads(said[5])
    assert (len(page["items"]), page["next"] is not None) == (2, True)
    issued = json.loads((tmp_path / "storage7.json").read_text())
    (tmp_path / "s7.pem").write_text(issued["certificate"])
    (tmp_path / "s7.key").write_text(issued["key"])
    with Session(node.port, Client(tmp_path / "s7.pem", tmp_path / "s7.key", tmp_path / "ca.pem")) as session:
        assert session.identifier(messages.create())
