"""A client, its vault and a tree."""

from pathlib import Path

import pytest

from tests.clients.backup.rig import Rig, plant


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return plant(tmp_path / "tree")
