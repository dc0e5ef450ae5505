"""Nodes under attack: one shared by the tests of a worker, and the means to forge what its clients bring."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.certificates import Authority, authority_of
from tests.support.dev_node import DevNode

DEADLINE_S = 3
SETTINGS = (f"kmip.handshake_timeout_s={DEADLINE_S}", f"kmip.message_timeout_s={DEADLINE_S}")


@pytest.fixture(scope="package")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    """A running node with short deadlines; tests that stop or break one make their own."""
    made = DevNode(tmp_path_factory.mktemp("hostile"), SETTINGS)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[DevNode]:
    """A running node of this test alone."""
    made = DevNode(tmp_path, SETTINGS)
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="package")
def authority(node: DevNode, tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The node's own CA with its private key: the worst forger there is."""
    return authority_of(node, tmp_path_factory.mktemp("authority"))
