"""The desk: what a handler may reach for while its batch runs, and how the batch sees its own uncommitted changes.

Source: design.md section 6 ("transaction": each item sees the Changes before it as an overlay).
"""

from collections.abc import Mapping
from typing import Any

from keystead.core.changes import Change
from keystead.core.records import KIND_OBJECT, ManagedObject
from keystead.core.search import matches
from keystead.gate.objects import Objects
from keystead.storage.store import Loaded, Query


class Desk:
    """What a handler may reach for: objects as this batch sees them, sealing, fresh identifiers.

    Args:
        objects: Cache over the store.
        keyring: Seals and opens key material (trust.keyring.Keyring).
        services: Things of the node that few operations need, by name.
        shared: Serves many batches of one request each, which see no changes before them.
    """

    __slots__ = ("_changed", "at_hand", "get", "keyring", "objects", "services", "shared")

    def __init__(self, objects: Objects, keyring: Any, services: dict[str, Any], *, shared: bool = False) -> None:
        self.shared = shared
        self.objects = objects
        self.keyring = keyring
        self.services = services
        self._changed: dict[str, Loaded | None] = {}
        self.at_hand: Mapping[str, Loaded] = objects.at_hand if shared else {}
        """What `get` would return without a look at the store, of some objects."""
        self.get = objects.get if shared else self._get
        """Return an object as the requests before this one in the batch left it."""

    def _get(self, object_id: str) -> Loaded | None:
        return self._changed[object_id] if object_id in self._changed else self.objects.get(object_id)

    def id_of(self, name: str, realm: str) -> str:
        """Return the id of the object that an id or a handle names; what names nothing comes back as it is."""
        if self.get(name) is not None:
            return name
        loaded = self.objects.reader.by_handle(realm, KIND_OBJECT, name)
        return name if loaded is None else loaded.record.id

    def locate(self, query: Query) -> list[str]:
        """Search the store, then correct the answer by what this batch has changed."""
        found = self.objects.reader.locate(query, self.objects.at_hand, self.objects.get)
        if not self._changed:
            return found
        kept = [i for i in found if i not in self._changed]
        new = [
            i
            for i, loaded in self._changed.items()
            if loaded is not None and isinstance(loaded.record, ManagedObject) and matches(loaded.record, query)
        ]
        return sorted({*kept, *new}, reverse=not query.oldest_first)[: query.limit_count]

    def note(self, change: Change) -> None:
        """Let the following requests of the batch see a change that is not committed yet."""
        for put in change.puts:
            if isinstance(put.record, ManagedObject):
                before = self.get(put.record.id)
                material = put.material
                if material is None and not put.erase_material and before is not None:
                    material = before.material
                self._changed[put.record.id] = Loaded(_stored(put.record), material)
        for _, record_id, _ in change.purges:
            self._changed[record_id] = None


def _stored(record: ManagedObject) -> ManagedObject:
    return record.changed(record.last_change_us, revision=record.revision + 1)
