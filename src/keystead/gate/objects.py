"""Objects at hand: managed objects and users in memory, evicted by what the journal says has changed.

Laws: nothing here is trusted for longer than one turn of the serving loop. `refresh` runs once per turn, before any
request of the turn is looked at; it asks the store whether anything was committed and forgets exactly that. What this
process wrote itself is not read back: `expect` takes it down before the commit, and it is at hand once the journal
names its very transaction.

Source: performance.md section 8 rule 3; design.md section 4; attacks.md class 21.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from keystead.core.changes import Transaction
from keystead.core.eviction import oldest
from keystead.core.records import KIND_KEY_VERSION, KIND_OBJECT, KIND_SETTINGS, KINDS, ROOT_REALM, ManagedObject, Record
from keystead.settings.section import S, read
from keystead.storage.store import KIND_COUNTER, Loaded, Reader, as_object
from keystead.storage.stored_attributes import StoredAttributes

ENTRIES_COUNT_MAX = 50_000
SERVED_COUNT_MAX = 65_536
OBJECT_GROUP = "Object Group"
RECORDS_AT_ONCE_COUNT = 1_000
ENTRIES_BYTES_MAX = 134_217_728  # clients choose how much they attach to an object
ENTRY_BYTES = 1_500  # an object without attributes and material
DECODED_FACTOR = 5  # attributes in memory, once somebody has asked for them, to attributes as stored
GRANT_BYTES = 150
ATTRIBUTE_BYTES = 300  # one that is decoded, without its content
FIELD_BYTES = 100  # of a structure
EXPECTED_COUNT_MAX = 1024  # transactions on their way
_SILENT = frozenset({KIND_OBJECT, KIND_COUNTER, KIND_KEY_VERSION})
_loaded: Callable[[tuple[Any, ...]], Loaded] = partial(tuple.__new__, Loaded)


class Objects:
    """A bounded cache over one reader; belongs to the reader's thread.

    Args:
        reader: Verified reads.
        on_change: Called with the kinds that changed (users, settings, …), but for managed objects and what goes with
            them.

    Attributes:
        at_hand: What is in memory, by id; to look at only.
        held_bytes: About how much memory the objects at hand take.
        served: Objects that were served for the first time in this run, which the store does not know yet.
        serves_ahead: The store knows that there may be such objects (docs/adr/0044).
        others_generation: Raised whenever records of other kinds have changed.
        views: Key and stand-in of older versions of keys, by their ids (gate.versions).
        void_before_us: Objects made before count as served, as nobody knows: a run ended without saying which were.
    """

    def __init__(self, reader: Reader, on_change: Callable[[frozenset[str]], None] | None = None) -> None:
        self.reader = reader
        self.at_hand: dict[str, Loaded] = {}
        self.held_bytes = 0
        self.served: dict[str, None] = {}
        self.views: dict[str, tuple[Loaded, Loaded]] = {}
        self.serves_ahead = False
        self.void_before_us = 0
        self.others_generation = 0
        self._on_change = on_change
        self._expected: dict[bytes, dict[str, Loaded]] = {}
        self._version = reader.data_version()
        self._sequence = reader.changes_since(0)[0]

    def refresh(self) -> None:
        """Forget what anyone changed since the last call; a few microseconds when nothing did."""
        version = self.reader.data_version()
        if version == self._version:
            return
        self._version = version
        self._sequence, changed = self.reader.changes_since(self._sequence)
        if changed is None:
            self.at_hand.clear()
            self.views.clear()
            self._expected.clear()
            self.held_bytes = 0
            kinds = frozenset(KINDS) - _SILENT
        else:
            for kind, record_id, request_id in changed:
                if kind == KIND_OBJECT:
                    self._forget(record_id)
                    own = self._expected.get(request_id)
                    if own is not None and record_id in own:
                        self._keep(record_id, own[record_id])
                elif kind == KIND_KEY_VERSION:
                    self.views.pop(record_id, None)
            for _, _, request_id in changed:
                self._expected.pop(request_id, None)
            kinds = frozenset([kind for kind, _, _ in changed if kind not in _SILENT])
        self.others_generation += bool(kinds)
        if kinds and self._on_change is not None:
            self._on_change(kinds)

    def expect(self, transaction: Transaction) -> None:
        """Take down what a transaction writes, for when it is durable."""
        written: dict[str, Loaded] = {}
        for _, change in transaction.steps:
            for put in change.puts:
                record = put.record
                if not isinstance(record, ManagedObject):
                    continue
                material = put.material
                if material is None and record.material is not None:
                    before = written.get(record.id) or self.at_hand.get(record.id)
                    if before is None or before.record.material != record.material:
                        written.pop(record.id, None)
                        continue
                    material = before.material
                stored = record._replace(revision=record.revision + 1)
                written[record.id] = _loaded((stored, material))
            for _, record_id, _ in change.purges:
                written.pop(record_id, None)
        if written:
            if len(self._expected) >= EXPECTED_COUNT_MAX:
                self._expected.clear()
            self._expected[transaction.request_id] = written

    def expect_nothing(self, request_id: bytes) -> None:
        """Forget what was expected of a transaction: it was not stored, or nobody knows."""
        self._expected.pop(request_id, None)

    def get(self, object_id: str) -> Loaded | None:
        """Return a managed object with its sealed material, or None."""
        entry = self.at_hand.get(object_id)
        if entry is None:
            entry = self.reader.object(object_id)
            if entry is not None:
                entry = self._keep(object_id, entry)
        return entry

    def serve(self, object_id: str) -> Loaded | None:
        """Return an object as it is from now on, not fresh, to be stored later; None when that has to be stored now."""
        entry = self.at_hand.get(object_id)
        if entry is None or not self.serves_ahead or len(self.served) >= SERVED_COUNT_MAX:
            return None
        self.served[object_id] = None
        served = self.at_hand[object_id] = _not_fresh(entry)
        return served

    def _was_served(self, object_id: str, record: ManagedObject) -> bool:
        """Tell whether an object that is fresh by the store was served, or may have been."""
        if not record.protection.fresh:
            self.served.pop(object_id, None)
            return False
        if object_id in self.served:
            return True
        return record.initial_us < self.void_before_us and record.attributes.first(OBJECT_GROUP) is None

    def _keep(self, object_id: str, entry: Loaded) -> Loaded:
        if self._was_served(object_id, as_object(entry)):
            entry = _not_fresh(entry)
        self.at_hand[object_id] = entry
        self.held_bytes += _weight_bytes(entry)
        if len(self.at_hand) > ENTRIES_COUNT_MAX or self.held_bytes > ENTRIES_BYTES_MAX:
            self._make_room()
        return entry

    def _make_room(self) -> None:
        while len(self.at_hand) > ENTRIES_COUNT_MAX or self.held_bytes > ENTRIES_BYTES_MAX:
            for object_id in oldest(self.at_hand):
                self._forget(object_id)

    def _forget(self, object_id: str) -> None:
        entry = self.at_hand.pop(object_id, None)
        if entry is not None:
            self.held_bytes -= _weight_bytes(entry)

    def section(self, declared: type[S]) -> S:
        """Return a section of the shared settings as it stands now."""
        record = self.record(KIND_SETTINGS, declared.name)
        return read(declared, {} if record is None else record.fields)

    def records(self, kind: str, realm: str = ROOT_REALM) -> Iterator[Record]:
        """Yield every record of another kind, by handle, read from the store each time."""
        after = ""
        while loaded := self.reader.list_records(kind, after, RECORDS_AT_ONCE_COUNT, realm):
            for found in loaded:
                if isinstance(found.record, Record):
                    yield found.record
            after = loaded[-1].record.handle

    def record(self, kind: str, handle: str, realm: str = ROOT_REALM) -> Record | None:
        """Return another record by handle, read from the store each time."""
        loaded = self.reader.by_handle(realm, kind, handle)
        return loaded.record if loaded is not None and isinstance(loaded.record, Record) else None


def _not_fresh(entry: Loaded) -> Loaded:
    record = as_object(entry)
    return _loaded((record._replace(protection=record.protection._replace(fresh=False)), entry.material))


def _weight_bytes(entry: Loaded) -> int:
    """Return about how much memory an object takes; the same for as long as it is held."""
    weight_bytes = ENTRY_BYTES + (len(entry.material.sealed) if entry.material is not None else 0)
    record = entry.record
    if isinstance(record, ManagedObject):
        weight_bytes += len(record.grants) * GRANT_BYTES
        attributes = record.attributes
        if isinstance(attributes, StoredAttributes):
            weight_bytes += len(attributes.encoded) * DECODED_FACTOR
        else:
            for attribute in attributes:
                weight_bytes += ATTRIBUTE_BYTES + _content_bytes(attribute.value.content)
    return weight_bytes


def _content_bytes(content: Any) -> int:
    if isinstance(content, (str, bytes)):
        return len(content)
    if isinstance(content, tuple):
        return sum([FIELD_BYTES + _content_bytes(field) for _, _, field in content])
    return 0
