"""Merkle trees against known answers, and against the recursion that the RFC writes down."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.trust import merkle
from keystead.trust.merkle import consistency_proof, inclusion_proof, is_consistent, is_included, leaf_hash, root_of

# Inputs and roots of the reference implementation of Certificate Transparency.
INPUTS = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
GROWTHS = {
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
SIZES = st.integers(1, 70)


def tree(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = split(len(leaves))
    return sha256(b"\x01" + tree(leaves[:k]) + tree(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), tree(leaves[k:])]
    return [*path(m - k, leaves[k:]), tree(leaves[:k])]


def growth(m: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF of section 2.1.4.1."""
    if m == len(leaves):
        return [] if whole else [tree(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*growth(m, leaves[:k], whole), tree(leaves[k:])]
    return [*growth(m - k, leaves[k:], False), tree(leaves[:k])]


def split(count: int) -> int:
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def some(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


def subtrees(leaves: list[bytes]) -> merkle.Subtree:
    return lambda level, index: tree(leaves[index << level : index + 1 << level])


def test_roots_of_the_reference_implementation() -> None:
    for size, root in enumerate(ROOTS):
        assert root_of([leaf_hash(each) for each in INPUTS[:size]]).hex() == root


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_inclusion_proofs_of_the_reference_implementation(index: int, size: int) -> None:
    steps = inclusion_proof(index, size, subtrees(INPUTS[:size]))
    assert [step.hex() for step in steps] == PATHS[index, size]


@pytest.mark.parametrize(("old", "new"), GROWTHS)
def test_consistency_proofs_of_the_reference_implementation(old: int, new: int) -> None:
    steps = consistency_proof(old, new, subtrees(INPUTS[:new]))
    assert [step.hex() for step in steps] == GROWTHS[old, new]


@given(SIZES)
def test_the_root_is_that_of_the_recursion(size: int) -> None:
    leaves = some(size)
    assert root_of([leaf_hash(each) for each in leaves]) == tree(leaves)
    assert merkle.range_hash(0, size, subtrees(leaves)) == tree(leaves)


@given(SIZES, st.data())
def test_every_entry_is_proven_and_no_other(size: int, data: st.DataObject) -> None:
    leaves, index = some(size), data.draw(st.integers(0, size - 1))
    steps = inclusion_proof(index, size, subtrees(leaves))
    assert steps == path(index, leaves)
    root, entry = tree(leaves), leaf_hash(leaves[index])
    assert is_included(entry, index, size, steps, root)
    other = data.draw(st.integers(0, size + 2).filter(lambda number: number != index))
    assert not is_included(entry, other, size, steps, root)
    assert not is_included(leaf_hash(b"another"), index, size, steps, root)
    assert not is_included(entry, index, size, [*steps, root], root)
    if steps:
        assert not is_included(entry, index, size, steps[:-1], root)
        assert not is_included(entry, index, size, [root, *steps[1:]], root)


@given(SIZES, st.data())
def test_every_prefix_is_proven_and_no_fork(size: int, data: st.DataObject) -> None:
    leaves, old = some(size), data.draw(st.integers(1, size))
    steps = consistency_proof(old, size, subtrees(leaves))
    assert steps == growth(old, leaves)
    before, after = tree(leaves[:old]), tree(leaves)
    assert is_consistent(old, before, size, after, steps)
    changed = [*leaves]
    changed[data.draw(st.integers(0, old - 1))] = b"another"
    forked = tree(changed)
    assert not is_consistent(old, before, size, forked, consistency_proof(old, size, subtrees(changed)))
    assert not is_consistent(old, tree(changed[:old]), size, after, steps)
    assert not is_consistent(old, before, size, after, [*steps, after])
    if old < size:
        assert not is_consistent(old, before, size, after, steps[:-1])


def test_every_tree_begins_with_the_empty_one() -> None:
    assert is_consistent(0, merkle.EMPTY_ROOT, 3, tree(some(3)), [])
    assert not is_consistent(0, tree(some(1)), 3, tree(some(3)), [])
    assert not is_consistent(3, tree(some(3)), 2, tree(some(2)), [])


def test_what_is_not_in_the_tree_has_no_proof() -> None:
    with pytest.raises(ValueError, match="no such entry"):
        inclusion_proof(3, 3, subtrees(some(3)))
    with pytest.raises(ValueError, match="larger"):
        consistency_proof(4, 3, subtrees(some(3)))
    assert not is_included(leaf_hash(b""), 0, 0, [], merkle.EMPTY_ROOT)
