"""Merkle trees of transparency logs: roots, proofs that an entry is in a tree, proofs that a tree only grew.

Laws: leaves and nodes are hashed apart (0x00, 0x01), so that no node passes for an entry; a proof is taken only if all
of it is used. Everything here is a function of its arguments.

Source: RFC 9162 section 2.1 (the same trees as RFC 6962 section 2.1).
"""

import hmac
from collections.abc import Callable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
PROOF_STEPS_MAX = 64

Subtree = Callable[[int, int], bytes]
"""Returns the hash of the complete subtree over the leaves `index * 2**level` to `(index + 1) * 2**level - 1`."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry as a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two others."""
    return sha256(b"\x01" + left + right).digest()


def peaks(hashes: Sequence[bytes]) -> list[bytes]:
    """Return the roots of the complete subtrees, largest first, that hashes of one height make."""
    found: list[bytes] = []
    start = 0
    for bit in reversed(range(len(hashes).bit_length())):
        if len(hashes) >> bit & 1:
            found.append(_complete(hashes[start : start + (1 << bit)]))
            start += 1 << bit
    return found


def fold(complete: Sequence[bytes]) -> bytes:
    """Return the root of a tree from the roots of its complete subtrees, largest first."""
    if not complete:
        return EMPTY_ROOT
    root = complete[-1]
    for left in reversed(complete[:-1]):
        root = node_hash(left, root)
    return root


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    return fold(peaks(hashes))


def range_hash(start: int, end: int, subtree: Subtree) -> bytes:
    """Return the hash over the leaves from `start` to before `end`; `start` is where a subtree of that size begins."""
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return subtree(level, start >> level)
    split = _split(count)
    return node_hash(range_hash(start, start + split, subtree), range_hash(start + split, end, subtree))


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Return the way from an entry to the root of a tree, lowest sibling first.

    Raises:
        ValueError: the tree has no such entry.
    """
    if not 0 <= index < size:
        raise ValueError("no such entry in the tree")
    steps: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            steps.append(range_hash(middle, end, subtree))
            end = middle
        else:
            steps.append(range_hash(start, middle, subtree))
            start = middle
    return steps[::-1]


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """Return what shows that the tree of `new` entries begins with the tree of `old`.

    Raises:
        ValueError: the older tree is empty or larger.
    """
    if not 0 < old <= new:
        raise ValueError("the older tree is empty or larger than the newer one")
    steps: list[bytes] = []
    start, end = 0, new
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            steps.append(range_hash(middle, end, subtree))
            end = middle
        else:
            steps.append(range_hash(start, middle, subtree))
            start = middle
    if start:
        steps.append(range_hash(start, end, subtree))
    return steps[::-1]


def is_included(entry_hash: bytes, index: int, size: int, steps: Sequence[bytes], root: bytes) -> bool:
    """Judge an inclusion proof (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size or len(steps) > PROOF_STEPS_MAX:
        return False
    place, last, found = index, size - 1, entry_hash
    for step in steps:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(step, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, step)
        place, last = place >> 1, last >> 1
    return last == 0 and hmac.compare_digest(found, root)


def is_consistent(old: int, old_root: bytes, new: int, new_root: bytes, steps: Sequence[bytes]) -> bool:
    """Judge a consistency proof (RFC 9162 section 2.1.4.2); every tree begins with the empty one."""
    if not 0 <= old <= new or len(steps) > PROOF_STEPS_MAX:
        return False
    if old in {0, new}:
        wanted = EMPTY_ROOT if old == 0 else new_root
        return not steps and hmac.compare_digest(old_root, wanted)
    path = [old_root, *steps] if old & (old - 1) == 0 else list(steps)
    if not path:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    found_old = found_new = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            found_old, found_new = node_hash(step, found_old), node_hash(step, found_new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found_new = node_hash(found_new, step)
        place, last = place >> 1, last >> 1
    return last == 0 and hmac.compare_digest(found_old, old_root) and hmac.compare_digest(found_new, new_root)


def _complete(hashes: Sequence[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def _split(count: int) -> int:
    """Return the largest power of two below `count`, which is 2 or more."""
    return 1 << (count - 1).bit_length() - 1
