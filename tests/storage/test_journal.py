"""The journal's encodings, byte by byte: they are fixed from the first migration on."""

import hmac
import struct
from dataclasses import replace

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.changes import Change, Put, Transaction
from keystead.storage.journal import (
    PUT,
    TARGETS_NAMED_COUNT_MAX,
    Leaf,
    Origin,
    Root,
    Row,
    leaf_bytes,
    leaf_of,
    leaves_of,
    row_bytes,
    targets_of,
)
from keystead.storage.sealed import Seals
from keystead.trust.sealing import derive
from tests.support.stores import KEYS, NOW_US, new_object, new_user, object_id

BY = Origin(NOW_US, b"r" * 16, "user:alice", "192.0.2.7", "key.create")
ROW = Row(7, BY, PUT, "object", b"k" * 16, 3, b"document", b"m" * 32)


def test_the_bytes_of_a_row() -> None:
    lengths = struct.pack(">HHHHHHHI", 16, 10, 9, 10, 6, 16, 32, 8)
    expected = struct.pack(">QQQB", 7, NOW_US, 3, 1) + lengths
    expected += b"r" * 16 + b"user:alice192.0.2.7key.createobject" + b"k" * 16 + b"m" * 32 + b"document"
    assert row_bytes(ROW) == expected


TEXT = st.text(max_size=3)
ROWS = st.builds(
    Row,
    st.integers(0, 3),
    st.builds(Origin, st.integers(0, 3), st.binary(max_size=3), TEXT, TEXT, TEXT),
    st.integers(0, 3),
    TEXT,
    st.binary(max_size=3),
    st.integers(0, 3),
    st.binary(max_size=3),
    st.binary(max_size=3),
)


@given(ROWS, ROWS)
def test_different_rows_have_different_bytes(one: Row, other: Row) -> None:
    assert (row_bytes(one) == row_bytes(other)) == (one == other)


def test_the_chain_is_plain_hmac_over_the_value_before() -> None:
    seals = Seals(KEYS, bytes(16))
    key = derive(KEYS.chain, "store/chain", bytes(16))
    assert seals.chain(b"b" * 32, row_bytes(ROW)) == hmac.digest(key, b"b" * 32 + row_bytes(ROW), "sha256")


def test_the_bytes_of_a_leaf() -> None:
    leaf = Leaf(5, NOW_US, b"r" * 16, "user:alice", "-", "key.get", "object:x", "refused", "refused.permission")
    expected = bytes.fromhex(f"8a01051b{NOW_US:016x}50") + b"r" * 16 + b"\x6auser:alice\x61-\x67key.get"
    expected += b"\x68object:x\x67refused\x72refused.permission"
    assert leaf_bytes(leaf) == expected
    assert leaf_of(expected) == leaf
    assert cbor2.dumps(cbor2.loads(expected), canonical=True) == expected


def test_every_step_and_every_refusal_has_a_leaf() -> None:
    steps = (
        ("key.create", Change((Put(new_object(1)), Put(new_user("bob"))), None, detail="x" * 5000)),
        ("hsm.login", Change((), None)),
    )
    refusals = (("key.get", "object:y", "refused.permission"),)
    leaves = leaves_of(Transaction(b"r" * 16, "user:alice", "-", NOW_US, steps, refusals), 40)
    assert [leaf.sequence for leaf in leaves] == [41, 42, 43]
    assert [leaf.target for leaf in leaves] == [f"object:{object_id(1)} user:user.bob", "-", "object:y"]
    assert [leaf.outcome for leaf in leaves] == ["done", "done", "refused"]
    assert [len(leaf.detail) for leaf in leaves] == [2000, 0, 18]


def test_a_leaf_of_many_targets_names_the_first_and_counts_the_rest() -> None:
    many = Change(tuple(Put(new_object(number)) for number in range(1, 12)), None, (("user", "user.x", 1),))
    named = targets_of(many).split()
    assert len(named) == TARGETS_NAMED_COUNT_MAX + 1
    assert named[-1] == "+4"


def test_the_root_survives_being_packed() -> None:
    root = Root(2**256 - 1, 2**40, b"h" * 32, 3, b"a" * 32, 9, NOW_US)
    assert Root.unpacked(root.packed()) == root
    assert Root.unpacked(replace(root, total=0).packed()).total == 0
