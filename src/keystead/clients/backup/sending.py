"""Sends chunks in batches, and only those that the vault does not hold; seals one batch while the next is read.

Laws: a chunk counts as held only after the vault said that it is, or took it durably; the vault is asked by one thread.

Source: requirement DS-001; docs/adr/0086-chunks-that-tell-little.md.
"""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from keystead.clients.backup.sealing import BackupKeys, Kind
from keystead.custody.safeguard.depot import ASKED_IDS_MAX, ID_BYTES, Area, Depot

BATCH_CONTENT_BYTES = 8 * 1024 * 1024
BATCH_COUNT = 256
SEALING_THREADS = 2
Place = tuple[Area, bytes]


class Sender:
    """Takes chunks of both areas; `end` makes all of them durable, `close` gives its threads back.

    Attributes:
        sent_bytes: What went to the vault, with ids that were asked for.
        sent_chunks: How many chunks were not there before.
    """

    def __init__(self, depot: Depot, keys: BackupKeys) -> None:
        self._depot = depot
        self._keys = keys
        self._held: set[Place] = set()
        self._waiting: dict[Place, tuple[Kind, bytes]] = {}
        self._waiting_bytes = 0
        self._sealing: dict[Place, Future[bytes]] = {}
        self._pool = ThreadPoolExecutor(SEALING_THREADS)
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
        if place not in self._held and place not in self._waiting and place not in self._sealing:
            self._waiting[place] = (kind, content)
            self._waiting_bytes += len(content)
            if self._waiting_bytes >= BATCH_CONTENT_BYTES or len(self._waiting) >= BATCH_COUNT:
                self._turn()
        return chunk_id

    def end(self) -> None:
        """Send all that was taken; return when it is durable."""
        self._turn()
        self._turn()

    def close(self) -> None:
        """Give the threads back; what was not sent is forgotten."""
        self._pool.shutdown(cancel_futures=True)

    def _turn(self) -> None:
        """Begin to seal what waits, and send what was sealed meanwhile."""
        waiting, sealed = self._waiting, self._sealing
        self._waiting, self._waiting_bytes = {}, 0
        self._sealing = {}
        for area in Area:
            self.ask(area, [chunk_id for where, chunk_id in waiting if where is area])
        for place, (kind, content) in waiting.items():
            if place not in self._held:
                area, chunk_id = place
                self._sealing[place] = self._pool.submit(self._keys.of(area).seal, kind, chunk_id, content)
        for area in Area:
            self._put(area, [(place[1], ready.result()) for place, ready in sealed.items() if place[0] is area])

    def _put(self, area: Area, objects: list[tuple[bytes, bytes]]) -> None:
        if not objects:
            return
        self._depot.put(area, objects)
        self.sent_bytes += sum(ID_BYTES + len(data) for _, data in objects)
        self.sent_chunks += len(objects)
        self._held.update((area, chunk_id) for chunk_id, _ in objects)
