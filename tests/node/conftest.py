"""Nodes for tests of the node as a whole: one throw-away node shared by the tests of a worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.node import creation
from keystead.node.folder import NodeConfig
from keystead.trust.role_tokens import new_role_secret
from tests.node import production as production_node
from tests.support.dev_node import DevNode


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    """A running `keystead dev` node; tests that stop or break one make their own."""
    made = DevNode(tmp_path_factory.mktemp("node"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[DevNode]:
    """A running node of this test alone."""
    made = DevNode(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a production node that nobody serves; do not change it."""
    return production_node.make(tmp_path_factory.mktemp("production"))


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    """A new production node that nobody serves."""
    (tmp_path / "safe").mkdir(mode=0o700)
    made = NodeConfig(tmp_path / "data", tmp_path / "safe" / "node.key")
    secrets = creation.RoleSecrets(new_role_secret(), new_role_secret(), new_role_secret())
    creation.create_node(made, creation.Beginning(secrets))
    return made
