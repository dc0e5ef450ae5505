"""Objects at hand: what is held is what is stored, whoever wrote it."""

from pathlib import Path
from typing import Any, cast

import pytest

from keystead.core.attributes import text
from keystead.core.changes import Change, Put, SealedMaterial, Transaction
from keystead.core.errors import Conflict
from keystead.core.records import ManagedObject
from keystead.gate import objects
from keystead.gate.objects import Objects
from keystead.storage.sqlite import SqliteStore, open_store
from keystead.storage.sqlite_creation import create_store
from keystead.storage.store import Loaded, Reader, Writer
from tests.support.stores import (
    KEYS,
    NOW_US,
    loaded_object,
    new_object,
    object_id,
    purge,
    put,
    transaction,
    with_material,
)


class Counting:
    """A reader that counts the objects read through it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.read_count = 0

    def object(self, object_id: str) -> Loaded | None:
        self.read_count += 1
        return self._reader.object(object_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    create_store(tmp_path / "store.db", KEYS, {})
    return open_store(tmp_path / "store.db", KEYS)


@pytest.fixture
def writer(store: SqliteStore) -> Writer:
    return store.writer()


@pytest.fixture
def reads(store: SqliteStore) -> Counting:
    return Counting(store.reader())


@pytest.fixture
def held(reads: Counting) -> Objects:
    return Objects(cast("Reader", reads))


def write(held: Objects, writer: Writer, wanted: Transaction) -> None:
    held.expect(wanted)
    assert writer.commit([wanted]) == [None]


def test_what_this_process_wrote_is_at_hand_and_is_what_is_stored(
    store: SqliteStore, writer: Writer, held: Objects, reads: Counting
) -> None:
    new = with_material(new_object(1), 1)
    write(held, writer, transaction(new, number=1))
    assert object_id(1) not in held.at_hand
    held.refresh()
    made = held.get(object_id(1))
    changed = loaded_object(store.reader(), 1).changed(NOW_US + 1, owner="carol")
    write(held, writer, transaction(Put(changed), number=2))
    held.refresh()
    after = held.get(object_id(1))
    assert reads.read_count == 0
    assert made is not None
    assert after is not None
    assert (made.record.revision, after.record.revision) == (1, 2)
    assert after == store.reader().object(object_id(1))
    assert after.material == new.material


def test_what_was_erased_or_purged_is_not_at_hand(writer: Writer, held: Objects) -> None:
    for number in (1, 2):
        write(held, writer, transaction(with_material(new_object(number), number), number=number))
    held.refresh()
    first, second = (loaded_object(held.reader, number) for number in (1, 2))
    write(held, writer, transaction(Put(first._replace(material=None), erase_material=True), number=3))
    write(held, writer, purge(second, number=4))
    held.refresh()
    assert held.at_hand[object_id(1)].material is None
    assert held.get(object_id(2)) is None


def test_another_process_that_changes_it_afterwards_is_heard(store: SqliteStore, writer: Writer, held: Objects) -> None:
    other = store.writer()
    write(held, writer, transaction(with_material(new_object(1), 1), number=1))
    mine = loaded_object(held.reader, 1)
    assert other.commit([transaction(Put(mine.changed(NOW_US + 5)), number=2)]) == [None]
    held.refresh()
    assert object_id(1) not in held.at_hand
    found = held.get(object_id(1))
    assert found is not None
    assert found.record.revision == 2


def test_who_lost_a_race_holds_what_the_winner_wrote(store: SqliteStore, writer: Writer, held: Objects) -> None:
    other = store.writer()
    put(writer, with_material(new_object(1), 1))
    held.refresh()
    mine = loaded_object(held.reader, 1)
    lost = transaction(Put(mine.changed(NOW_US + 1)), number=2)
    held.expect(lost)
    assert other.commit([transaction(Put(mine.changed(NOW_US + 9)), number=3)]) == [None]
    (outcome,) = writer.commit([lost])
    assert isinstance(outcome, Conflict)
    held.refresh()
    held.expect_nothing(lost.request_id)
    found = held.get(object_id(1))
    assert found is not None
    assert found.record == loaded_object(held.reader, 1)
    assert isinstance(found.record.last_change_us, int)
    assert found.record.last_change_us == NOW_US + 9


def test_a_transaction_that_changes_an_object_twice_leaves_the_last_state(
    writer: Writer, held: Objects, reads: Counting
) -> None:
    new = with_material(new_object(1), 1)
    assert isinstance(new.record, ManagedObject)
    again = Put(new.record.changed(NOW_US + 1, revision=1))
    step = ("key.create", Change((new,), None)), ("attributes.add", Change((again,), None))
    write(held, writer, Transaction(bytes(15) + b"7", "user:alice", "-", NOW_US, step))
    held.refresh()
    found = held.get(object_id(1))
    assert reads.read_count == 0
    assert found is not None
    assert found.record.revision == 2
    assert found == held.reader.object(object_id(1))


def test_material_that_is_not_at_hand_is_read(
    store: SqliteStore, writer: Writer, held: Objects, reads: Counting
) -> None:
    put(writer, with_material(new_object(1), 1))
    held.refresh()
    write(held, writer, transaction(Put(loaded_object(store.reader(), 1).changed(NOW_US + 1)), number=9))
    held.refresh()
    found = held.get(object_id(1))
    assert reads.read_count == 1
    assert found is not None
    assert isinstance(found.material, SealedMaterial)


def test_what_is_on_its_way_is_bounded(held: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "EXPECTED_COUNT_MAX", 3)
    for number in range(1, 20):
        held.expect(transaction(with_material(new_object(number), number), number=number))
    assert len(held._expected) <= 3  # the bound is what is tested


def test_what_clients_attach_counts_as_memory(writer: Writer, held: Objects) -> None:
    new = with_material(new_object(1), 1)
    assert isinstance(new.record, ManagedObject)
    large = new._replace(
        record=new.record._replace(attributes=new.record.attributes.added("x-large", text("x" * 50_000)))
    )
    write(held, writer, transaction(large))
    held.refresh()
    assert held.held_bytes > 50_000
    write(held, writer, purge(loaded_object(held.reader, 1), number=2))
    held.refresh()
    assert held.held_bytes == 0
