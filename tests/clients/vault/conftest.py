"""A vault that serves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.vault.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "rig")
    with made.serving():
        yield made
