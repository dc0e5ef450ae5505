"""Depot: what a backup client asks of its vault. Everything that passes is opaque to the vault.

There are two areas of objects: the client's own, and one that all clients of an account share. An object never changes
once it is there. Snapshots are the client's own and form a chain, which only grows at its end.

Laws: what returned from `put` or `commit` is durable; `commit` either makes the whole snapshot the head, or nothing.
A depot is not trusted: whoever asks it checks every answer.

Source: docs/adr/0086-chunks-that-tell-little.md; docs/design/backup-format.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

ID_BYTES = 32
OBJECT_BYTES_MAX = 8 * 1024 * 1024
BATCH_BYTES_MAX = 16 * 1024 * 1024
BATCH_OBJECTS_MAX = 1024
ASKED_IDS_MAX = 4096
SNAPSHOT_BYTES_MAX = 8 * 1024 * 1024
SNAPSHOTS_MAX = 100_000


class Area(StrEnum):
    """Where an object lies: with one client, or with all clients of its account."""

    CLIENT = "client"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True, order=True)
class SnapshotRef:
    """Names a snapshot.

    Attributes:
        sequence: Its place in the client's chain, from 1.
        id: SHA-256 of its bytes as stored, which are ciphertext; 32 bytes.
    """

    sequence: int
    id: bytes


class Depot(Protocol):
    """A client's view of its vault. Every method may raise Unavailable (no vault) and Limited (too much at once)."""

    def missing(self, area: Area, ids: Sequence[bytes]) -> set[bytes]:
        """Return those of at most ASKED_IDS_MAX ids that the area does not hold.

        Raises:
            Invalid: an id has not 32 bytes, or there are too many.
        """

    def put(self, area: Area, objects: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep objects, each an id and its bytes, durably. One whose id is there already is left as it is.

        Raises:
            TooLarge: an object, their sum or their number is over the limit; nothing was kept.
            Invalid: an id has not 32 bytes, or an object is empty.
        """

    def get(self, area: Area, object_id: bytes) -> bytes:
        """Return the bytes of an object.

        Raises:
            NotFound: the area does not hold it.
        """

    def head(self) -> SnapshotRef | None:
        """Return the newest snapshot; None when there is none yet."""

    def snapshots(self) -> list[SnapshotRef]:
        """Return all snapshots, oldest first."""

    def snapshot(self, ref: SnapshotRef) -> bytes:
        """Return the bytes of a snapshot.

        Raises:
            NotFound: there is none with this sequence and id.
        """

    def commit(self, snapshot: bytes, parent: SnapshotRef | None) -> SnapshotRef:
        """Append a snapshot to the chain, durably, if `parent` is still its end; return its name.

        Raises:
            Conflict: the end is another one; nothing was changed.
            TooLarge: the snapshot is over SNAPSHOT_BYTES_MAX, or there are SNAPSHOTS_MAX.
        """
