"""A node loses nothing it acknowledged when it is killed or its power fails, and serves again by itself.

Longer runs of the same rig: ./dev bench durability.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.rig import Blow, Rig
from tests.crash.writers import creation
from tests.support.dev_node import DevNode

ROUNDS = 25
CONTROL_ROUNDS_MAX = 5
NO_FLUSH = "store.insecure_no_flush=true"

pytestmark = [pytest.mark.durability, pytest.mark.timeout(300)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, since the node makes Unix sockets below it."""
    with tempfile.TemporaryDirectory(prefix="ks-") as path:
        yield Path(path)


@pytest.mark.parametrize(("blow", "seed"), [("kill", 1), ("cut", 2)])
def test_nothing_acknowledged_is_lost(folder: Path, blow: Blow, seed: int) -> None:
    rig = Rig(folder, seed)
    rig.start()
    try:
        for number in range(ROUNDS):
            struck = rig.strike(blow)
            assert not struck.found, f"round {number}"
        assert not rig.judge_all()
        assert sum(k.acknowledged for k in rig.knowledge) > ROUNDS
    finally:
        rig.node.kill()


def test_without_flush_a_cut_takes_something(folder: Path) -> None:
    """The control: if this node lost nothing, the test above would prove nothing."""
    rig = Rig(folder, 3, settings=(NO_FLUSH,))
    rig.start()
    try:
        assert any(rig.strike("cut").found for _ in range(CONTROL_ROUNDS_MAX))
    finally:
        rig.node.kill()


@pytest.mark.parametrize(
    ("blow", "seconds"), [("cut", 0.6), ("kill", 0.9), ("cut", 1.2), ("kill", 1.5), ("cut", 1.8), ("kill", 2.1)]
)
def test_a_node_struck_while_it_is_made_is_made_anew(folder: Path, blow: Blow, seconds: float) -> None:
    rig = Rig(folder, 4)
    try:
        rig.node.begin()
        time.sleep(seconds)
        rig.node.kill()
        if blow == "cut":
            rig.power.cut()
        rig.start()
        with rig.node.session() as session:
            assert session.key(session.identifier(creation("first")))
        assert rig.node.verify().returncode == 0
    finally:
        rig.node.kill()


def test_a_restored_folder_may_lack_logs_and_sockets(folder: Path) -> None:
    """Copies often leave out empty folders and sockets."""
    node = DevNode(folder)
    node.start()
    node.stop()
    for name in ("logs", "run"):
        shutil.rmtree(node.data / name)
    try:
        node.start()
        with node.session() as session:
            assert session.identifier(creation("first"))
    finally:
        node.kill()
