"""docs/clients/swift.md: Swift's own filters encrypt objects under root secrets that a node hands out."""

import json
from pathlib import Path

import pytest

from tests.support.client_environments import INSTALL_S_MAX, client_python
from tests.support.dev_node import DevNode
from tests.support.recipes import Block, Reader, blocks

CLEAR = b"of value"


def made(reader: Reader, program: Block) -> str:
    return reader.do(program).removeprefix("root secret: ").strip()


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S_MAX + 120)
def test_the_page_works_from_its_first_line_to_its_last(node: DevNode, tmp_path: Path) -> None:
    python = client_python("clients-swift")
    reader = Reader(node, tmp_path, python, {"/etc/swift": str(tmp_path)})
    *commands, root_secret, pipeline, one, program, two = blocks("swift")
    for command in commands:
        reader.do(command)
    reader.places["ROOT-SECRET"] = made(reader, root_secret)
    for block in (pipeline, one, program):
        reader.do(block)

    def tried(verb: str, name: str) -> list[str]:
        return reader.run([str(python), "-W", "ignore", program.name, verb, name]).splitlines()

    assert tried("put", "first") == ["root secrets: 1 active: None", "201 Created"]
    assert tried("get", "first") == ["root secrets: 1 active: None", CLEAR.decode()]

    reader.places["OTHER-SECRET"] = made(reader, root_secret)
    reader.do(two)
    assert tried("put", "second") == ["root secrets: 2 active: second", "201 Created"]
    for name in ("first", "second"):
        assert tried("get", name)[1] == CLEAR.decode()
        assert (tmp_path / "objects" / name).read_bytes() != CLEAR
    headers = json.loads((tmp_path / "objects" / "second.json").read_text())
    assert "second" in headers["X-Object-Sysmeta-Crypto-Body-Meta"]
