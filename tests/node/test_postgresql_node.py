"""A node whose shared store is a PostgreSQL database, made and driven by its commands."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.node import production
from tests.node.test_processes import first_key, serves
from tests.support import postgresql
from tests.support.dev_node import DevNode, NotReady
from tests.support.kmip import messages
from tests.support.kmip.sessions import Disconnected, Refused


def empty_database(server: postgresql.Server) -> str:
    return server.url(server.new_database(template="template0"))


def test_a_dev_node_keeps_its_keys_in_the_database(tmp_path: Path) -> None:
    server = postgresql.shared_server()
    node = DevNode(tmp_path, store=empty_database(server))
    node.start()
    with node.session() as session:
        (key,) = session.identifiers(messages.create("disk-1"))
        material = session.key(key)
    node.kill()
    node.store = ""  # it knows where its store is
    node.start()
    with node.session() as session:
        assert session.identifiers(messages.locate(messages.name_attribute("disk-1"))) == [key]
        assert session.key(key) == material
    node.stop()
    assert not list(node.data.glob("store.db*"))
    verified = node.verify()
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "shared store: " in verified.stdout
    server.execute("UPDATE records SET handle = 'other' WHERE kind = 'object'", (), node_database(node))
    verified = node.verify()
    assert verified.returncode == 1
    assert f"object {key}" in verified.stdout


def node_database(node: DevNode) -> str:
    """The name of the database that a node's configuration file names."""
    return (node.data / "keystead.toml").read_text().partition("@/")[2].partition("?")[0]


def test_a_database_that_goes_and_comes_back_is_survived(tmp_path: Path) -> None:
    server = postgresql.new_server()
    node = DevNode(tmp_path, store=empty_database(server))
    node.start()
    key = first_key(node)
    for _ in range(2):
        server.stop()
        with pytest.raises((Disconnected, Refused)):
            first_key(node)
        server.start()
        assert goes_on(node, key)
    node.stop()
    assert node.verify().returncode == 0
    server.stop()


def goes_on(node: DevNode, key: str) -> bool:
    """Whether, after a while, an old key is found and a new one is made."""
    ends_s = time.monotonic() + 20
    while time.monotonic() < ends_s:
        with contextlib.suppress(Disconnected, Refused), node.session() as session:
            return len(session.key(key)) == 32 and bool(session.identifiers(messages.create()))
        time.sleep(0.1)
    return False


def test_a_run_that_was_killed_while_it_made_the_node_is_made_anew(tmp_path: Path) -> None:
    node = DevNode(tmp_path, store=empty_database(postgresql.shared_server()))
    node.start()
    node.kill()
    (node.data / "unfinished").touch()
    node.start()
    assert serves(node, first_key(node))
    node.stop()
    assert node.verify().returncode == 0


def test_the_store_of_another_node_is_refused(tmp_path: Path) -> None:
    server = postgresql.shared_server()
    node = DevNode(tmp_path / "one", store=server.url(server.new_database()))
    node.folder.mkdir()
    with pytest.raises(NotReady, match="there is a store in this database already"):
        node.start()


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("postgresql://keystead:hunter2@/keystead", "a password does not belong into an address"),
        ("postgresql://keystead@db.example.org/keystead", "needs sslmode=verify-full"),
        ("postgresql:///keystead?host=/nowhere", "the store cannot be used"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_before_anything_is_made(tmp_path: Path, url: str, what: str) -> None:
    places = ("--data", tmp_path / "data", "--node-key", tmp_path / "key", "--tokens", tmp_path / "tokens")
    made = production.keystead("init", *places, "--store", url)
    assert made.returncode == 1
    assert what in made.stderr
    assert "hunter2" not in made.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_production_node_keeps_its_keys_in_the_database(tmp_path: Path) -> None:
    url = empty_database(postgresql.shared_server())
    data = production.make(tmp_path, "--store", url)
    with production.serving(data):
        assert production.unlock(data).returncode == 0
        made = production.keystead("user", "create", "alice", "--data", data)
        assert made.returncode == 0, made.stderr
    verified = production.keystead("verify", "--data", data)
    assert verified.returncode == 0, verified.stdout
    assert "compared with a witness" in verified.stdout


WITHOUT_DRIVER = "import sys; sys.modules['psycopg'] = None; "
MAIN = "from keystead.__main__ import main; sys.exit(main(sys.argv[1:]))"


def test_without_the_driver_a_file_is_still_a_store_and_a_database_is_told_what_is_missing(tmp_path: Path) -> None:
    places = ["--data", str(tmp_path / "data"), "--ready-file", str(tmp_path / "ready")]
    words = [sys.executable, "-c", WITHOUT_DRIVER + MAIN, "dev", *places, "--store", "postgresql:///keystead"]
    told = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 1
    assert "install keystead with the extra `postgresql`" in told.stderr
    loads = WITHOUT_DRIVER + "import keystead.node.keys, keystead.node.admin, keystead.node.creation"
    assert subprocess.run([sys.executable, "-c", loads], timeout=60, check=False).returncode == 0
