"""One throw-away node for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.support.dev_node import DevNode


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    made = DevNode(tmp_path_factory.mktemp("node"))
    made.start()
    yield made
    made.stop()
