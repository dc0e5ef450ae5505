"""A node that was put back from a copy, or runs twice: nothing that must be used once is used again.

Attack class 35: nonces after a restart, a restore and beside a running twin.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.dev_node import DevNode
from tests.support.kmip import messages

IV_COUNTER_NONCE = 0x42003D
ENCRYPTED_COUNT, CREATED_COUNT = 150, 40
NONCE = slice(1, 13)  # of a sealed secret (docs/design/bytes-at-rest.md)


def work(node: DevNode, key: str) -> tuple[list[bytes], list[bytes]]:
    """Encrypt under one key and make others; return the IVs, and the nonces under which new keys are sealed."""
    with node.session() as session:
        replies = [session.ask(messages.encrypt_gcm(key, b"the same text")) for _ in range(ENCRYPTED_COUNT)]
        for _ in range(CREATED_COUNT):
            session.identifier(messages.create())
    ivs = [next(reply.find(IV_COUNTER_NONCE)).value for reply in replies]
    return [bytes(iv) for iv in ivs if isinstance(iv, bytes)], nonces(node)


def nonces(node: DevNode) -> list[bytes]:
    with closing(sqlite3.connect(node.data / "store.db")) as connection:
        return [
            bytes(sealed)[NONCE]
            for (sealed,) in connection.execute("SELECT sealed FROM records WHERE sealed IS NOT NULL")
        ]


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[tuple[DevNode, DevNode, str]]:
    """A node with a key, and another one that was put back from its copy; both serve."""
    (tmp_path / "one").mkdir()
    one = DevNode(tmp_path / "one")
    one.start()
    with one.session() as session:
        key = session.identifier(messages.create())
        session.ask(messages.activate(key))
    one.stop()
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    other = DevNode(tmp_path / "other")
    try:
        one.start()
        other.start()
        yield one, other, key
    finally:
        one.stop()
        other.stop()


def test_a_copy_that_serves_uses_no_nonce_of_its_twin(twins: tuple[DevNode, DevNode, str]) -> None:
    one, other, key = twins
    before = {*nonces(one)}
    ivs, sealed = work(one, key)
    ivs_of_other, sealed_of_other = work(other, key)
    one.stop()
    one.start()
    ivs_after, _ = work(one, key)
    used = [*ivs, *ivs_of_other, *ivs_after]
    assert len(used) == 3 * ENCRYPTED_COUNT
    assert len(set(used)) == len(used)
    new, new_of_other = {*sealed} - before, {*sealed_of_other} - before
    assert len(new) >= CREATED_COUNT
    assert len(new_of_other) >= CREATED_COUNT
    assert new.isdisjoint(new_of_other)
