"""Sends chunks in batches, and only those that the vault does not hold.

Law: a chunk counts as held only after the vault said that it is, or took it durably.

Source: requirement DS-001; docs/adr/0086-chunks-that-tell-little.md.
"""

from collections.abc import Iterable

from keystead.clients.backup.sealing import BackupKeys, Kind
from keystead.custody.safeguard.depot import ASKED_IDS_MAX, ID_BYTES, Area, Depot

BATCH_CONTENT_BYTES = 8 * 1024 * 1024
BATCH_COUNT = 256


class Sender:
    """Takes chunks of both areas; `flush` makes all of them durable.

    Attributes:
        sent_bytes: What went to the vault, with ids that were asked for.
        sent_chunks: How many chunks were not there before.
    """

    def __init__(self, depot: Depot, keys: BackupKeys) -> None:
        self._depot = depot
        self._keys = keys
        self._held: set[tuple[Area, bytes]] = set()
        self._waiting: dict[tuple[Area, bytes], tuple[Kind, bytes]] = {}
        self._waiting_bytes = 0
        self.sent_bytes = 0
        self.sent_chunks = 0

    def ask(self, area: Area, ids: Iterable[bytes]) -> None:
        """Learn which of these chunks the vault holds."""
        unknown = sorted({wanted for wanted in ids if (area, wanted) not in self._held})
        for start in range(0, len(unknown), ASKED_IDS_MAX):
            some = unknown[start : start + ASKED_IDS_MAX]
            missing = self._depot.missing(area, some)
            self.sent_bytes += len(some) * ID_BYTES
            self._held.update((area, wanted) for wanted in some if wanted not in missing)

    def holds(self, area: Area, chunk_id: bytes) -> bool:
        """Tell whether the vault is known to hold a chunk."""
        return (area, chunk_id) in self._held

    def add(self, area: Area, kind: Kind, content: bytes) -> bytes:
        """Take a chunk; return its id."""
        chunk_id = self._keys.of(area).chunk_id(kind, content)
        place = (area, chunk_id)
        if place not in self._held and place not in self._waiting:
            self._waiting[place] = (kind, content)
            self._waiting_bytes += len(content)
            if self._waiting_bytes >= BATCH_CONTENT_BYTES or len(self._waiting) >= BATCH_COUNT:
                self.flush()
        return chunk_id

    def flush(self) -> None:
        """Send what waits."""
        for area in Area:
            waiting = {chunk_id: chunk for (where, chunk_id), chunk in self._waiting.items() if where is area}
            if waiting:
                self._send(area, waiting)
        self._waiting.clear()
        self._waiting_bytes = 0

    def _send(self, area: Area, waiting: dict[bytes, tuple[Kind, bytes]]) -> None:
        self.ask(area, waiting)
        keys = self._keys.of(area)
        sealed = [
            (chunk_id, keys.seal(kind, chunk_id, content))
            for chunk_id, (kind, content) in waiting.items()
            if not self.holds(area, chunk_id)
        ]
        if sealed:
            self._depot.put(area, sealed)
            self.sent_bytes += sum(ID_BYTES + len(data) for _, data in sealed)
            self.sent_chunks += len(sealed)
        self._held.update((area, chunk_id) for chunk_id in waiting)
