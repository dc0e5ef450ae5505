"""docs/key-use.md as it stands: clients use a key, root asks who did; and REST and SSH say the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.production import keystead
from tests.node.test_people import ran
from tests.node.test_users_page import commands_of
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Refused, Session
from tests.support.rest.client import administrator, stranger
from tests.support.ssh import Ssh

FIRST = "Violet-Kettle-93-Harbour"


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    """A node with a key of alice's, which she fetched twice and bob could not."""
    node = DevNode(tmp_path_factory.mktemp("use"), web=True, ssh=True)
    node.start()
    with Session(node.port, node.client("alice")) as session:
        key = session.identifier(messages.create("of payroll"))
        for _ in range(2):
            session.ask(messages.get(key))
    with Session(node.port, node.client("bob")) as session, pytest.raises(Refused):
        session.ask(messages.get(key))
    ran(node, "key", "rename", key, "payroll-2027")
    yield node
    node.stop()


def test_every_command_of_the_page_works(used: DevNode) -> None:
    said = []
    for command in commands_of("key-use.md"):
        words = command.replace("/srv/keystead/data", str(used.data)).replace("storage1", "alice").split()[1:]
        words = [word if not word.startswith("2026-") else "2026-01-01T00:00:00" for word in words]
        done = keystead(*words)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        said.append(done.stdout)
    listed, of_alice, by_day, by_hour = said
    assert [line.split("  ")[1:4] for line in listed.splitlines()][:3] == [
        ["alice from 127.0.0.1", "Create (AES 256 Deletable Exportable)", "payroll-2027"],
        ["alice from 127.0.0.1", "Get", "payroll-2027"],
        ["alice from 127.0.0.1", "Get", "payroll-2027"],
    ]
    assert of_alice.count("Get") == 2
    assert any("alice  3 uses" in line for line in by_day.splitlines())
    assert by_hour.splitlines()


def test_the_doors_tell_the_same(used: DevNode) -> None:
    admin = administrator(used)
    page = admin.told("GET", "/key-uses?key=payroll-2027&operation=Get&limit=1")
    assert (page["items"][0]["user"], page["items"][0]["result"]) == ("alice", "success")
    rest = admin.told("GET", f"/key-uses?key=payroll-2027&operation=Get&cursor={page['next']}")["items"]
    assert [use["key_name"] for use in rest] == ["payroll-2027"]
    counted = admin.told("GET", "/key-uses/count?by=user&per=day")["items"]
    assert {one["name"] for one in counted} >= {"alice"}
    client = Ssh(used, Path(used.ready["administrator"]["password_file"]).read_text())
    assert "payroll-2027" in client.run("show", "key-uses", "--user", "alice").stdout
    assert "alice" in client.run("show", "key-use", "count", "--by", "user").stdout


def test_strangers_and_those_without_access_learn_nothing(used: DevNode) -> None:
    admin = administrator(used)
    told = {"name": "nina", "password": FIRST, "access": ["logging", "admin_web"]}
    admin.told("POST", "/administrators", told)
    nina = stranger(used).logged_in("nina", FIRST)
    nina.told("PUT", "/session/password", {"current": FIRST, "new": "Copper-Meadow-41-Lantern"})
    for path in ("/key-uses", "/key-uses/count", "/key-uses?key=payroll-2027", "/key-uses?key=never-there"):
        assert nina.ask("GET", path).status == 403
        assert stranger(used).ask("GET", path).status == 401
    assert len({str(nina.ask("GET", f"/key-uses?key={key}").body["detail"]) for key in ("payroll-2027", "none")}) == 1
