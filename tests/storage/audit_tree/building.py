"""Audit trees made of leaves that a test chooses, by the same steps as the node's."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keystead.core.secret import Secret
from keystead.storage.audit_tree.entries import entry_of
from keystead.storage.audit_tree.heads import Epoch
from keystead.storage.audit_tree.reading import export
from keystead.storage.audit_tree.tree import AuditTree, open_tree
from keystead.storage.journal import Leaf
from keystead.trust.notes import Checkpoint, VerifierKey, sign

PRIVATE = Secret(bytes(range(32)))
PUBLIC = Ed25519PrivateKey.from_private_bytes(PRIVATE.reveal()).public_key().public_bytes_raw()
ORIGIN = "keystead/test"
KEY = VerifierKey(ORIGIN, PUBLIC)
NOW_US = 1_800_000_000_000_000


def leaf(sequence: int, name: str = "alice", operation: str = "key.create", detail: str = "") -> Leaf:
    request = sequence.to_bytes(16, "big")
    words = detail or f"by {name}"
    return Leaf(sequence, NOW_US + sequence, request, f"user:{name}", "192.0.2.7", operation, "-", "done", words)


def extend(tree: AuditTree, leaves: Sequence[Leaf], file: str = "own", private: Secret = PRIVATE) -> None:
    """One batch with its checkpoint, as `node.auditing` does it."""
    epochs = dict(tree.head.epochs) if tree.head is not None else {}
    digest = sha256(leaves[-1].request_id).digest()
    epochs[file] = Epoch(leaves[-1].sequence, digest, leaves[-1].sequence, digest)
    size, root = tree.append([entry_of(file, each) for each in leaves])
    lines = tuple(epoch.line(name) for name, epoch in sorted(epochs.items()))
    tree.publish(sign(Checkpoint(ORIGIN, size, root, lines).text, ORIGIN, private))


def grown(folder: Path, *counts: int, name: str = "alice") -> AuditTree:
    """A tree of the own store's leaves, a checkpoint after each count."""
    tree = open_tree(folder, KEY)
    for count in counts:
        first = tree.size + 1
        extend(tree, [leaf(first + place, name) for place in range(count)])
    return tree


def exported(tree: AuditTree, out: Path) -> Path:
    export(tree.folder, KEY, out)
    return out
