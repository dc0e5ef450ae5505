"""docs/clients/: every command and program of a page is run as it stands, with another folder and port."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.components import ROOT
from tests.support.dev_node import DevNode

SAYS = {
    "pykmip": (r"^fetched: 32 bytes$", r"^kept: of the database$"),
    "mongodb": (r"^normal works with [0-9a-f-]{36}$", r"^delegated works with [0-9a-f-]{36}$"),
}
"""What the programs of a page print when they have done what the page says."""

PAGES = [ROOT / "docs" / "clients" / f"{name}.md" for name in SAYS]
BLOCK = re.compile(r"```(sh|ini|python)\n(.*?)\n```", re.DOTALL)
WITHOUT_WARNINGS_OF_OTHERS = ["-W", "ignore"]


@dataclass(frozen=True)
class Reader:
    """Somebody who does what a page says, in a folder of their own."""

    node: DevNode
    folder: Path

    def placed(self, text: str) -> str:
        return text.replace("/srv/keystead/data", str(self.node.data)).replace("5696", str(self.node.port))

    def run(self, kind: str, text: str) -> str:
        """Run a command or program; a configuration is written where the page says that it is read."""
        if kind == "ini":
            (self.folder / "pykmip.conf").write_text(self.placed(text))
            return ""
        if kind == "python":
            command = [sys.executable, *WITHOUT_WARNINGS_OF_OTHERS, "-c", self.placed(text)]
        else:
            ours = f'"{sys.executable}" -m keystead '
            command = ["sh", "-ec", re.sub(r"^keystead ", lambda _: ours, self.placed(text))]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_works_from_its_first_line_to_its_last(node: DevNode, tmp_path: Path, page: Path) -> None:
    reader = Reader(node, tmp_path)
    blocks = BLOCK.findall(page.read_text())
    said = [reader.run(kind, text) for kind, text in blocks]
    assert {kind for kind, _ in blocks} >= {"sh", "python"}
    told = SAYS[page.stem]
    assert [line for line in told if not re.search(line, "".join(said), re.MULTILINE)] == []


def test_delegated_keys_never_leave_so_fetching_may_stay_off(node: DevNode, tmp_path: Path) -> None:
    reader = Reader(node, tmp_path)
    blocks = BLOCK.findall((ROOT / "docs" / "clients" / "mongodb.md").read_text().replace("shop", "other-shop"))
    program = blocks[-1][1]
    ways = '({}, {"delegated": True})'
    assert ways in program
    for kind, text in blocks[:-2]:
        reader.run(kind, text.replace("allow_key_export=true", "allow_key_export=false"))
    try:
        assert "delegated works" in reader.run("python", program.replace(ways, '({"delegated": True},)'))
        with pytest.raises(AssertionError, match="MongoCryptError"):
            reader.run("python", program.replace(ways, "({},)"))
    finally:
        reader.run("sh", "keystead settings set key_server.allow_key_export=true --data /srv/keystead/data")
