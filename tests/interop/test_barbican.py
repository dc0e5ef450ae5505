"""docs/clients/barbican.md: Barbican's own plugin, found through its own configuration, keeps secrets in a node."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.client_environments import INSTALL_S_MAX, client_python
from tests.support.dev_node import DevNode
from tests.support.recipes import Reader, blocks

KINDS = ("symmetric", "private", "public", "passphrase", "certificate", "opaque")


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S_MAX + 120)
def test_the_page_works_from_its_first_line_to_its_last(node: DevNode, tmp_path: Path) -> None:
    python = client_python("clients-barbican")
    folder = tmp_path / ".barbican"  # where Barbican looks before /etc/barbican
    folder.mkdir()
    reader = Reader(node, folder, python, {"/etc/barbican": str(folder)}, {"HOME": str(tmp_path)})
    page = blocks("barbican")
    told = ["generated: 32 bytes", "generated: -----BEGIN PRIVATE KEY----- 2048"]
    told += [f"kept: {kind}" for kind in KINDS] + ["deleted: 9"]
    said = "".join(reader.do(block) for block in page)
    assert said.splitlines()[-len(told) :] == told
    assert (folder / "kmip.key").stat().st_mode & 0o777 == 0o400

    *_, configuration, program = page
    reader.do(replace(configuration, text=configuration.text + "\npkcs1_only = true"))
    assert reader.do(program).splitlines() == told
