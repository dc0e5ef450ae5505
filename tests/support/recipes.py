"""docs/clients/ as something to do: a page's commands, files and programs, run as they stand in a folder of the test.

A block of ```sh is a command, ```ini NAME or ```python NAME is a file of that name that the page says to write.
```python without a name is a program to run.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.components import ROOT
from tests.support.dev_node import DevNode

BLOCK = re.compile(r"```(sh|ini|python)(?: (\S+))?\n(.*?)\n```", re.DOTALL)
COMMAND_S_MAX = 90


@dataclass(frozen=True)
class Block:
    """One fenced block; `name` is empty for what is run."""

    kind: str
    name: str
    text: str


def blocks(page: str) -> list[Block]:
    """Of docs/clients/PAGE.md, in order."""
    text = (ROOT / "docs" / "clients" / f"{page}.md").read_text()
    return [Block(*found) for found in BLOCK.findall(text)]


@dataclass
class Reader:
    """Somebody who does what a page says.

    Attributes:
        node: serves on another port than the page's, from another folder.
        folder: where this reader's files go.
        python: interpreter for the page's programs.
        places: further text of the page -> what it is here.
    """

    node: DevNode
    folder: Path
    python: Path = Path(sys.executable)
    places: dict[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def placed(self, text: str) -> str:
        text = text.replace("5696", str(self.node.port)).replace("/srv/keystead/data", str(self.node.data))
        for there, here in self.places.items():
            text = text.replace(there, here)
        return text

    def do(self, block: Block) -> str:
        """Write the block's file, or run it; returns what it printed."""
        text = self.placed(block.text)
        if block.name:
            (self.folder / block.name).write_text(text + "\n")
            return ""
        if block.kind == "python":
            return self.run([str(self.python), "-W", "ignore", "-c", text])
        ours = f'"{sys.executable}" -m keystead '
        return self.run(["sh", "-ec", re.sub(r"^keystead ", lambda _: ours, text, flags=re.MULTILINE)])

    def run(self, command: list[str]) -> str:
        """What it printed; it must end with status 0."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
        return done.stdout
