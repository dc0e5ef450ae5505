"""A node for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builders import EVERYTHING, PERMISSIVE, Node, a_node


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Clients may configure and export keys; nothing outdated."""
    with a_node(tmp_path, PERMISSIVE) as node:
        yield node


@pytest.fixture
def open_node(tmp_path: Path) -> Iterator[Node]:
    """Every switch on."""
    with a_node(tmp_path, EVERYTHING) as node:
        yield node
