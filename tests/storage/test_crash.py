"""A writer killed at any moment: what it acknowledged is there, nothing is half there, the next one goes on.

Simulated power cuts are in tests/crash; this is the store alone.
"""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keystead.storage.sqlite import open_store
from keystead.storage.verify import verify_store
from tests.support.stores import KEYS, new_object, new_store, object_id, put, query

# Two objects in each transaction, so that half a transaction would show; the acknowledged number after each commit.
WRITER = """
import sys
from pathlib import Path
from keystead.core.changes import Put
from keystead.storage.sqlite import open_store
from tests.support.stores import KEYS, new_object, transaction, with_material
writer = open_store(Path(sys.argv[1]), KEYS).writer()
number = int(sys.argv[2])
while True:
    group = [
        transaction(with_material(new_object(first), first), with_material(new_object(first + 1), first + 1))
        for first in range(number, number + 6, 2)
    ]
    assert writer.commit(group) == [None] * 3
    number += 6
    print(number - 1, flush=True)
    writer.tidy()
"""
ROUNDS = 4


@pytest.mark.timeout(90)
def test_a_killed_writer_loses_nothing_acknowledged_and_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(tmp_path)
    chance = random.Random(20_240_117)
    for round_number in range(1, ROUNDS + 1):
        acknowledged = killed_after(store.path, first=round_number * 1_000_000 + 1, delay_s=chance.random() * 0.2)
        assert_whole(store.path, acknowledged)
    writer = open_store(store.path, KEYS).writer()
    put(writer, new_object(1))
    writer.close()


def killed_after(path: Path, first: int, delay_s: float) -> int:
    """The last number that a writer acknowledged before it was killed."""
    command = [sys.executable, "-c", WRITER, str(path), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = [child.stdout.readline()]
        time.sleep(delay_s)
        child.kill()
        told += child.stdout.readlines()
    return int(told[-1])


def assert_whole(path: Path, acknowledged: int) -> None:
    store = open_store(path, KEYS)
    report = verify_store(store)
    assert report.findings == ()
    reader = store.reader()
    newest = reader.locate(query(limit_count=1))[0]
    for number in range(acknowledged - 5, acknowledged + 1):
        loaded = reader.object(object_id(number))
        assert loaded is not None
        assert loaded.material is not None
    beyond = [number for number in range(acknowledged + 1, acknowledged + 7) if reader.object(object_id(number))]
    assert len(beyond) in {0, 6}
    assert newest == object_id(acknowledged + len(beyond))
    reader.close()
