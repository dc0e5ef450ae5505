"""Nodes of the folder's tests with the command line over SSH, and an administrator with a password of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dev_node import DevNode


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    made = DevNode(tmp_path_factory.mktemp("ssh"), web=True, ssh=True)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[DevNode]:
    made = DevNode(tmp_path, web=True, ssh=True)
    made.start()
    yield made
    made.kill()
