"""Leaves are taken over from a store of every engine in order, and only those that the store's chain holds."""

import random
from pathlib import Path

import pytest

from keystead.core.changes import Transaction
from keystead.core.errors import Tampered
from keystead.storage.audit_tree.heads import Epoch
from keystead.storage.audit_tree.taking import first_epoch, new_leaves, oldest_waiting_us, put_back
from tests.support.engines import ENGINES, AnyStore, kept, reopened, tamper
from tests.support.stores import NOW_US, new_user, put, request_id


@pytest.fixture(params=list(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> AnyStore:
    return ENGINES[request.param](tmp_path)


def work(store: AnyStore, count: int = 1) -> None:
    refusals = tuple(("key.get", "-", f"number {number}") for number in range(count))
    writer = store.writer()
    transaction = Transaction(request_id(random.getrandbits(100)), "user:alice", "-", NOW_US, (), refusals)
    assert writer.commit([transaction]) == [None]
    writer.close()


def taken(store: AnyStore, after: Epoch, count: int = 1000) -> Epoch:
    anchor = store.anchor()
    found = new_leaves("shared", store, after, anchor.audit_sequence, count)
    expected = list(range(after.audit_sequence + 1, min(anchor.audit_sequence, after.audit_sequence + count) + 1))
    assert [leaf.sequence for leaf in found.leaves] == expected
    return Epoch.of(anchor, found.sequence, found.digest)


def test_leaves_come_in_order_and_in_batches_up_to_the_store_s_root(store: AnyStore) -> None:
    work(store, 25)
    epoch = first_epoch(store)
    assert oldest_waiting_us(store, epoch) == NOW_US
    for _ in range(3):
        epoch = taken(store, epoch, 10)
    anchor = store.anchor()
    assert (epoch.audit_sequence, epoch.audit_head) == (anchor.audit_sequence, anchor.audit_head)
    assert oldest_waiting_us(store, epoch) is None
    assert taken(store, epoch) == epoch
    assert put_back("shared", store, epoch) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET leaf = x'81' WHERE sequence = 7",
        "UPDATE audit SET digest = zeroblob(32) WHERE sequence = 7",
        "DELETE FROM audit WHERE sequence = 7",
        "UPDATE audit SET sequence = 70 WHERE sequence = 7",
    ],
)
def test_what_somebody_changed_in_the_database_is_not_taken_over(store: AnyStore, statement: str) -> None:
    work(store, 12)
    tamper(store, statement)
    with pytest.raises(Tampered, match="audit leaf 7 of the shared store"):
        taken(store, first_epoch(store))


def test_a_cut_tail_is_not_taken_for_the_end(store: AnyStore) -> None:
    work(store, 12)
    tamper(store, "DELETE FROM audit WHERE sequence > 9")
    with pytest.raises(Tampered, match="audit leaf 10 of the shared store is missing"):
        taken(store, first_epoch(store))


def test_a_store_that_was_put_back_is_told_from_one_that_went_on(store: AnyStore) -> None:
    work(store, 3)
    put_it_back = kept(store)
    writer = store.writer()
    put(writer, new_user("carol"))
    writer.close()
    epoch = taken(store, first_epoch(store))
    put_it_back()
    again = reopened(store)
    assert "was put back" in (put_back("shared", again, epoch) or "")
    writer = again.writer()
    put(writer, new_user("mallory"), new_user("another"))
    writer.close()
    assert "is not the one the tree has seen" in (put_back("shared", again, epoch) or "")
    with pytest.raises(Tampered, match="does not continue"):
        new_leaves("shared", again, epoch, again.anchor().audit_sequence, 10)
