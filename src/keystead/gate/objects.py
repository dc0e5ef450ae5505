"""Objects at hand: managed objects and users in memory, evicted by what the journal says has changed.

Law: nothing here is trusted for longer than one turn of the serving loop. `refresh` runs once per turn, before any
request of the turn is looked at; it asks the store whether anything was committed and forgets exactly that.

Source: performance.md section 8 rule 3; design.md section 4; attacks.md class 21.
"""

from collections.abc import Callable

from keystead.core.records import KIND_OBJECT, ManagedObject, Record
from keystead.storage.store import Loaded, Reader
from keystead.storage.stored_attributes import StoredAttributes

ENTRIES_COUNT_MAX = 50_000
ENTRIES_BYTES_MAX = 134_217_728  # clients choose how much they attach to an object
ENTRY_BYTES = 1_500  # an object without attributes and material
DECODED_FACTOR = 5  # attributes in memory, once somebody has asked for them, to attributes as stored
GRANT_BYTES = 150


class Objects:
    """A bounded cache over one reader; belongs to the reader's thread.

    Args:
        reader: Verified reads.
        on_change: Called with the kinds other than managed objects that changed (users, settings, …).

    Attributes:
        at_hand: What is in memory, by id; to look at only.
        held_bytes: About how much memory the objects at hand take.
    """

    def __init__(self, reader: Reader, on_change: Callable[[frozenset[str]], None] | None = None) -> None:
        self.reader = reader
        self.at_hand: dict[str, Loaded] = {}
        self.held_bytes = 0
        self._on_change = on_change
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
            self.held_bytes = 0
            kinds = frozenset({"user", "group", "settings", "realm", "authority"})
        else:
            for kind, record_id in changed:
                if kind == KIND_OBJECT:
                    self._forget(record_id)
            kinds = frozenset(kind for kind, _ in changed if kind != KIND_OBJECT)
        if kinds and self._on_change is not None:
            self._on_change(kinds)

    def get(self, object_id: str) -> Loaded | None:
        """Return a managed object with its sealed material, or None."""
        entry = self.at_hand.get(object_id)
        if entry is None:
            entry = self.reader.object(object_id)
            if entry is not None:
                self._keep(object_id, entry)
        return entry

    def _keep(self, object_id: str, entry: Loaded) -> None:
        self.at_hand[object_id] = entry
        self.held_bytes += _weight_bytes(entry)
        while len(self.at_hand) > ENTRIES_COUNT_MAX or self.held_bytes > ENTRIES_BYTES_MAX:
            self._forget(next(iter(self.at_hand)))

    def _forget(self, object_id: str) -> None:
        entry = self.at_hand.pop(object_id, None)
        if entry is not None:
            self.held_bytes -= _weight_bytes(entry)

    def record(self, kind: str, handle: str, realm: str = "root") -> Record | None:
        """Return another record by handle, read from the store each time."""
        loaded = self.reader.by_handle(realm, kind, handle)
        return loaded.record if loaded is not None and isinstance(loaded.record, Record) else None


def _weight_bytes(entry: Loaded) -> int:
    """Return about how much memory an object takes; the same for as long as it is held."""
    weight_bytes = ENTRY_BYTES + (len(entry.material.sealed) if entry.material is not None else 0)
    record = entry.record
    if isinstance(record, ManagedObject):
        weight_bytes += len(record.grants) * GRANT_BYTES
        if isinstance(record.attributes, StoredAttributes):
            weight_bytes += len(record.attributes.encoded) * DECODED_FACTOR
    return weight_bytes
