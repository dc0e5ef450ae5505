"""One throw-away node, as `dev` delivers it: certificate and password; with short deadlines."""

from collections.abc import Iterator

import pytest

from tests.support.dev_node import DevNode
from tests.support.xml.client import Client, logged_in

SETTINGS = ("xml.handshake_timeout_s=2", "xml.message_timeout_s=2")


@pytest.fixture(scope="package")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    made = DevNode(tmp_path_factory.mktemp("xml"), SETTINGS)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def alice(node: DevNode) -> Iterator[Client]:
    with logged_in(node, "alice") as client:
        yield client


@pytest.fixture
def bob(node: DevNode) -> Iterator[Client]:
    with logged_in(node, "bob") as client:
        yield client
