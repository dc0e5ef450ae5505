"""Keeping the audit tree: a thread of the `admin` process takes leaves over from both stores, about once a second.

Leaves are safe in the stores, which write them with each change: whatever stops the taking over loses nothing, and it
goes on by itself. A tree that contradicts what the own store remembers of it is not continued: two checkpoints that
contradict each other must never be signed.

Source: design.md sections 6 and 7 ("rollback", "epoch"); docs/adr/0060-audit-tree.md; requirements KS-LOG-011, 033.
"""

import heapq
import hmac
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from keystead.core.changes import Change, Put, Transaction
from keystead.core.errors import KeysteadError, Tampered, Unavailable
from keystead.core.records import KIND_AUDIT_KEY, KIND_AUDIT_TREE, Record
from keystead.core.secret import Secret
from keystead.gate.identifiers import Clock, new_request_id
from keystead.node.folder import NodeConfig
from keystead.node.opening import OWN, SHARED, Parts, record_of
from keystead.operations.audit import AuditState
from keystead.storage.audit_tree.entries import entry_of
from keystead.storage.audit_tree.heads import Epoch, Head
from keystead.storage.audit_tree.pseudonyms import Act, pseudonymise
from keystead.storage.audit_tree.taking import Source, Taken, first_epoch, new_leaves, put_back
from keystead.storage.audit_tree.tiles import Tiles
from keystead.storage.audit_tree.tree import BATCH_COUNT_MAX, AuditTree, open_tree
from keystead.storage.store import Store
from keystead.trust.notes import Checkpoint, VerifierKey, new_signing_key, sign

PERIOD_S = 1.0
STORE_COUNT_MAX = BATCH_COUNT_MAX // 2  # leaves of one store in a batch; there are two stores
REMEMBERED_ANEW_S = 60.0
COMPLAINED_ANEW_S = 60.0
STOP_S_MAX = 3.0
SHARE_MAX = 0.05  # of a core; clients who write more than this can take over go first, and their leaves wait
BEHIND_COUNT_MAX = 100_000  # leaves; from then on there is no rest between batches
KEY_ID, KEY_HANDLE = "audit-key", "audit"
TREE_ID, TREE_HANDLE = "audit-tree", "tree"
KEY_PURPOSE = "audit-key"
PSEUDONYM_PURPOSE = "audit-pseudonyms"
REMEMBER = "audit.remember"
_BY = "clock:clock"
_PSEUDONYM_CHARACTERS = 16

log = logging.getLogger("keystead.audit")


def audit_folder(config: NodeConfig) -> Path:
    """Return where the tree lies."""
    return config.data / "audit"


def sources(parts: Parts) -> dict[str, Source]:
    """Return the stores whose leaves are taken over, by their names in entries."""
    return {OWN: parts.own, SHARED: parts.shared}


def verifier_key(own: Store) -> VerifierKey | None:
    """Return the key that verifies the node's checkpoints, None before the tree was begun. Raises Tampered."""
    record = record_of(own, KIND_AUDIT_KEY, KEY_HANDLE)
    return None if record is None else VerifierKey.from_text(str(record.fields["verifier_key"]))


class Remembered:
    """What the own store remembers of the tree, so that a missing or shortened folder is found."""

    def __init__(self, record: Record | None) -> None:
        self.record = record or Record(KIND_AUDIT_TREE, TREE_ID, TREE_HANDLE, {"size": 0, "root": b""})
        self.size = int(self.record.fields["size"])
        self.root = bytes(self.record.fields["root"])

    def compare(self, folder: Path, head: Head | None) -> None:
        """Make sure that a tree goes on from what is remembered.

        Raises:
            Tampered: it is shorter, or another.
        """
        size = 0 if head is None else head.size
        if size < self.size:
            raise Tampered(f"the audit tree was cut or put back: it has {size} entries, {self.size} are remembered")
        if self.size and not hmac.compare_digest(Tiles(folder, size).root(self.size), self.root):
            raise Tampered("the audit tree is another than the one that is remembered")

    def updated(self, head: Head) -> Record:
        """Return the record for another head."""
        return self.record._replace(fields={"size": head.size, "root": head.checkpoint.root})


class Auditing:
    """Keeps the tree of a node (operations.audit.KeptAudit).

    Args:
        parts: The opened node.
    """

    def __init__(self, parts: Parts) -> None:
        self.folder = audit_folder(parts.config)
        self._parts = parts
        self._sources = sources(parts)
        self._clock = Clock(parts.own.anchor().at_us)
        self._lock = threading.Lock()  # around everything that writes in the folder
        self._tree: AuditTree | None = None
        self._head: Head | None = None
        self._key: VerifierKey | None = None
        self._private = Secret(b"")
        self._refused: dict[str, str] = {}  # stores that contradict the tree: found when it is opened
        self._troubles: dict[str, str] = {}
        self._complained_s = -COMPLAINED_ANEW_S
        self._remembered_s = time.monotonic()
        self._behind_count = 0  # leaves that the last batch left
        self._news_count = 0  # entries since the tree was remembered, but for the remembering itself
        self._wanted, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="audit-tree", daemon=True)

    def start(self) -> None:
        """Begin to take leaves over."""
        self._thread.start()

    def stop(self) -> None:
        """Take over what is there and remember where the tree stands; gives up after some seconds."""
        self._stopping.set()
        self._wanted.set()
        self._thread.join(STOP_S_MAX)

    @property
    def key(self) -> VerifierKey | None:
        """See `KeptAudit.key`."""
        return self._key

    @property
    def size(self) -> int:
        """See `KeptAudit.size`."""
        return 0 if self._head is None else self._head.size

    def state(self) -> AuditState:
        """See `KeptAudit.state`."""
        self._wanted.set()
        epochs = self._head.epochs if self._head is not None else {}
        behind_count = 0
        for name, source in self._sources.items():
            taken_count = epochs[name].audit_sequence if name in epochs else 0
            behind_count += max(0, source.anchor().audit_sequence - taken_count)
        key = self._key.text if self._key is not None else ""
        return AuditState(key, self.size, behind_count, "; ".join(self._troubles.values()))

    def pseudonymise(self, name: str) -> Act:
        """See `KeptAudit.pseudonymise`."""
        key = self._parts.node_key.derive(PSEUDONYM_PURPOSE).reveal()
        digits = hmac.digest(key, name.encode(), "sha256").hex()[:_PSEUDONYM_CHARACTERS]
        try:
            with self._lock:
                act = pseudonymise(self.folder, self.size, name, f"person-{digits}")
                if self._tree is not None:
                    self._tree.replaced_personal()
        except OSError as error:
            raise Unavailable(f"the audit tree cannot be written: {error.strerror}", "unavailable.store") from error
        return act

    def take_over(self) -> bool:
        """Take over one batch of leaves and publish a checkpoint; tells whether there may be more at once.

        What goes wrong is remembered, logged at most once a minute, and tried again the next time.
        """
        self._troubles.pop("tree", None)
        try:
            with self._lock:
                return self._taken_over()
        except (OSError, KeysteadError) as error:
            self._tree = None  # what it holds in memory may be ahead of the files
            self._troubles["tree"] = str(error)
        finally:
            self._complain()
        return False

    def remember(self) -> None:
        """Have the own store remember where the tree stands, when there is anything new. Raises KeysteadError."""
        if self._tree is None or self._tree.head is None or not self._news_count:
            return
        remembered = Remembered(record_of(self._parts.own, KIND_AUDIT_TREE, TREE_HANDLE))
        self._store(remembered.updated(self._tree.head), REMEMBER, f"{self._tree.size} entries")
        self._remembered_s, self._news_count = time.monotonic(), 0

    def _work(self) -> None:
        while not self._stopping.is_set():
            began_s = time.thread_time()
            is_more = self.take_over()
            self._wanted.wait(self._rest_s(time.thread_time() - began_s, is_more=is_more))
            self._wanted.clear()
        while self.take_over():
            pass
        with suppress(KeysteadError), self._lock:
            self.remember()

    def _rest_s(self, used_s: float, *, is_more: bool) -> float:
        """Return how long clients go first, after a batch that took so much processor time."""
        if self._behind_count > BEHIND_COUNT_MAX:
            return 0.0
        return max(0.0 if is_more else PERIOD_S, used_s / SHARE_MAX - used_s)

    def _taken_over(self) -> bool:
        tree = self._opened()
        epochs = dict(tree.head.epochs) if tree.head is not None else {}
        taken = self._new_leaves(epochs)
        if not taken:
            return False
        lists = [[(name, leaf) for leaf in one.leaves] for name, one in taken.items()]
        merged = lists[0] if len(lists) == 1 else list(heapq.merge(*lists, key=lambda found: found[1].at_us))
        size, root = tree.append([entry_of(name, leaf) for name, leaf in merged])
        origin = self._key.name if self._key is not None else ""
        lines = tuple(epoch.line(name) for name, epoch in sorted(epochs.items()))
        tree.publish(sign(Checkpoint(origin, size, root, lines).text, origin, self._private))
        self._head = tree.head
        self._news_count += sum(leaf.operation != REMEMBER for _, leaf in merged)
        if time.monotonic() - self._remembered_s > REMEMBERED_ANEW_S:
            self.remember()
        return any(len(one.leaves) == STORE_COUNT_MAX for one in taken.values())

    def _new_leaves(self, epochs: dict[str, Epoch]) -> Mapping[str, Taken]:
        """Return what is new in each store, and move its epoch; one that fails does not keep the other back."""
        taken = {}
        self._behind_count = 0
        for name, source in self._sources.items():
            before = epochs.get(name) or first_epoch(source)
            self._troubles.pop(name, None)
            try:
                if name in self._refused:
                    raise Tampered(self._refused[name])
                anchor = source.anchor()
                if anchor.audit_sequence == before.audit_sequence:
                    continue
                found = new_leaves(name, source, before, anchor.audit_sequence, STORE_COUNT_MAX)
            except KeysteadError as error:
                self._troubles[name] = error.message
                continue
            self._behind_count += anchor.audit_sequence - found.sequence
            if found.leaves:
                taken[name] = found
                epochs[name] = Epoch.of(anchor, found.sequence, found.digest)
        return taken

    def _opened(self) -> AuditTree:
        """Return the tree, opening it first when that was not done yet, or when something went wrong."""
        if self._tree is not None:
            return self._tree
        self._key, self._private = self._signing_key()
        tree = open_tree(self.folder, self._key)
        Remembered(record_of(self._parts.own, KIND_AUDIT_TREE, TREE_HANDLE)).compare(self.folder, tree.head)
        for name, epoch in tree.head.epochs.items() if tree.head is not None else ():
            found = put_back(name, self._sources[name], epoch) if name in self._sources else None
            if found is not None:
                self._refused[name] = found
        self._tree, self._head = tree, tree.head
        return tree

    def _signing_key(self) -> tuple[VerifierKey, Secret]:
        """Return both halves of the key, made at first use and sealed by the node key."""
        own = self._parts.own
        record = record_of(own, KIND_AUDIT_KEY, KEY_HANDLE)
        if record is None:
            public, private = new_signing_key()
            key = VerifierKey(f"keystead/{own.identity.seals.store_id.hex()}", public)
            sealed = self._parts.node_key.seal(KEY_PURPOSE, KEY_ID.encode(), private)
            fields = {"verifier_key": key.text, "sealed_key": sealed}
            self._store(Record(KIND_AUDIT_KEY, KEY_ID, KEY_HANDLE, fields), "audit.make_key", key.text)
            return key, private
        private = self._parts.node_key.unseal(KEY_PURPOSE, KEY_ID.encode(), bytes(record.fields["sealed_key"]))
        return VerifierKey.from_text(str(record.fields["verifier_key"])), private

    def _store(self, record: Record, operation: str, detail: str) -> None:
        """Write a record of the node's own; where the node itself acts, the clock is who did it."""
        step = (operation, Change((Put(record),), None, detail=detail))
        transaction = Transaction(new_request_id(), _BY, "-", self._clock.now_us(), (step,))
        writer = self._parts.own.writer()
        try:
            outcome = writer.commit([transaction])[0]
        finally:
            writer.close()
        if outcome is not None:
            raise outcome

    def _complain(self) -> None:
        """Log what keeps leaves from being taken over, at most once a minute."""
        now_s = time.monotonic()
        if self._troubles and now_s - self._complained_s >= COMPLAINED_ANEW_S:
            self._complained_s = now_s
            log.error(
                "audit leaves are not taken over (they are safe in the stores): %s", "; ".join(self._troubles.values())
            )
