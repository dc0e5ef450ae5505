"""The one public client that is known: a line of shell with openssl s_client and grep, which fetches a key."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dev_node import DevNode
from tests.support.xml.client import FLAG, connect, password_of

SCRIPT = r"""
(echo "<VersionRequest><MessageVersion>1.0</MessageVersion><ID>1</ID><VersionList><Version>2.9</Version></VersionList>\
</VersionRequest><AuthRequest><ID>2</ID><User>"$user"</User><Passwd>"$password"</Passwd></AuthRequest><KeyExportRequest>\
<ID>2</ID><KeyName>"$name"</KeyName></KeyExportRequest>"; sleep 2) | openssl s_client -connect "$place" 2>/dev/null |
    grep -Po "<KeyData>(.*?)<\/KeyData>" | tail -c +10 | head -c -11
"""
"""Everything in one write, without a separator, one line break at the very end, two requests of one ID."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    made = DevNode(tmp_path_factory.mktemp("one-liner"), ("xml_server.client_certificate=none",))
    made.start()
    yield made
    made.stop()


def fetched(node: DevNode, name: str, password: str) -> str:
    place = f"127.0.0.1:{node.ready['xml']['port']}"
    environment = {"PATH": "/usr/bin:/bin", "user": "alice", "password": password, "name": name, "place": place}
    told = subprocess.run(
        ["bash", "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    return told.stdout


@pytest.mark.row("KS-NAE-003", "KS-NAE-011")
def test_the_one_liner_gets_its_key_and_no_other(node: DevNode) -> None:
    data = "000102030405060708090a0b0c0d0e0f" * 2
    password = password_of(node, "alice")
    with connect(node) as alice:
        assert alice.log_in("alice", password).ok
        assert alice.ask("KeyImport", KeyName="backup", Algorithm="AES", KeyData=data, Exportable=FLAG).ok
    assert fetched(node, "backup", password) == data
    assert fetched(node, "nowhere", password) == ""
    assert fetched(node, "backup", "wrong") == ""
    assert data not in Path(node.data / "logs" / "activity.log").read_text()
