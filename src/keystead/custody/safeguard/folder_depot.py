"""Depot in a folder: one file for an object, one for a snapshot; what a vault keeps its clients' data in.

Layout: `objects/ab/<64 hex digits>`, `snapshots/<12 digits>`, `new/` for files that are being written. A file comes
into being under `new/`, is flushed, and gets its name in one step; its folder is flushed before anything is answered.

Laws: a file with a name is whole; two who append a snapshot at once cannot both win, because a name is given only once.

Source: docs/design/backup-format.md section 1.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from keystead.core.errors import Conflict, Invalid, NotFound, TooLarge, Unavailable
from keystead.custody.safeguard.depot import (
    ASKED_IDS_MAX,
    BATCH_BYTES_MAX,
    BATCH_OBJECTS_MAX,
    ID_BYTES,
    OBJECT_BYTES_MAX,
    SNAPSHOT_BYTES_MAX,
    SNAPSHOTS_MAX,
    Area,
    SnapshotRef,
)
from keystead.trust.durable_files import flush_folder

_SEQUENCE_DIGITS = 12


class FolderDepot:
    """What one client sees of a vault's folders.

    Args:
        client: Folder of the client's own objects and snapshots.
        account: Folder of the objects that the account's clients share.
    """

    def __init__(self, client: Path, account: Path) -> None:
        self._folders = {Area.CLIENT: client, Area.ACCOUNT: account}
        self._snapshots = client / "snapshots"
        for folder in (client, account):
            for part in ("objects", "new"):
                _make_folder(folder / part)
        _make_folder(self._snapshots)

    def clear_unfinished(self) -> int:
        """Remove files that were being written when a process died; return how many. Only while nobody writes."""
        left = [path for folder in self._folders.values() for path in (folder / "new").iterdir()]
        for path in left:
            path.unlink()
        return len(left)

    def missing(self, area: Area, ids: Sequence[bytes]) -> set[bytes]:
        """See Depot."""
        if len(ids) > ASKED_IDS_MAX:
            raise Invalid(f"at most {ASKED_IDS_MAX} ids are asked for at once")
        return {wanted for wanted in ids if not self._path(area, wanted).is_file()}

    def put(self, area: Area, objects: Sequence[tuple[bytes, bytes]]) -> None:
        """See Depot."""
        check_batch(objects)
        touched: set[Path] = set()
        try:
            for object_id, data in objects:
                path = self._path(area, object_id)
                if path.is_file():
                    touched.add(path.parent)  # another writer may have named it and not flushed the name yet
                    continue
                _make_folder(path.parent)
                self._write_new(self._folders[area], path, data)
                touched.add(path.parent)
            for folder in touched:
                flush_folder(folder)
        except OSError as error:
            raise _unavailable(error) from None

    def get(self, area: Area, object_id: bytes) -> bytes:
        """See Depot."""
        try:
            return self._path(area, object_id).read_bytes()
        except FileNotFoundError:
            raise NotFound("the vault does not hold this object") from None
        except OSError as error:
            raise _unavailable(error) from None

    def head(self) -> SnapshotRef | None:
        """See Depot."""
        newest = max(self._sequences(), default=0)
        return self._ref(newest) if newest else None

    def snapshots(self) -> list[SnapshotRef]:
        """See Depot."""
        return [self._ref(sequence) for sequence in sorted(self._sequences())]

    def snapshot(self, ref: SnapshotRef) -> bytes:
        """See Depot."""
        try:
            data = self._snapshot_path(ref.sequence).read_bytes()
        except FileNotFoundError:
            data = b""
        if hashlib.sha256(data).digest() != ref.id:
            raise NotFound("the vault does not hold this snapshot")
        return data

    def commit(self, snapshot: bytes, parent: SnapshotRef | None) -> SnapshotRef:
        """See Depot."""
        if not snapshot:
            raise Invalid("a snapshot is not empty")
        sequence = 1 if parent is None else parent.sequence + 1
        if len(snapshot) > SNAPSHOT_BYTES_MAX or sequence > SNAPSHOTS_MAX:
            raise TooLarge("the snapshot is too large, or there are too many", "too_large.request")
        if self.head() != parent:
            raise Conflict("another backup of this client was finished first; run the backup again")
        try:
            if not self._write_new(self._folders[Area.CLIENT], self._snapshot_path(sequence), snapshot):
                raise Conflict("another backup of this client was finished first; run the backup again")
            flush_folder(self._snapshots)
        except OSError as error:
            raise _unavailable(error) from None
        return SnapshotRef(sequence, hashlib.sha256(snapshot).digest())

    def _write_new(self, folder: Path, path: Path, data: bytes) -> bool:
        """Give `path` these bytes, whole and flushed; False if there is a file of this name."""
        unfinished = folder / "new" / os.urandom(16).hex()
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(unfinished, path)
        except FileExistsError:
            return False
        finally:
            unfinished.unlink()
        return True

    def _path(self, area: Area, object_id: bytes) -> Path:
        if len(object_id) != ID_BYTES:
            raise Invalid(f"an id has {ID_BYTES} bytes")
        digits = object_id.hex()
        return self._folders[area] / "objects" / digits[:2] / digits

    def _snapshot_path(self, sequence: int) -> Path:
        return self._snapshots / f"{sequence:0{_SEQUENCE_DIGITS}d}"

    def _sequences(self) -> list[int]:
        return [int(path.name) for path in self._snapshots.iterdir() if path.name.isdigit()]

    def _ref(self, sequence: int) -> SnapshotRef:
        return SnapshotRef(sequence, hashlib.sha256(self._snapshot_path(sequence).read_bytes()).digest())


def check_batch(objects: Sequence[tuple[bytes, bytes]]) -> None:
    """Judge what is to be put by the limits.

    Raises:
        TooLarge, Invalid: see Depot.put.
    """
    if len(objects) > BATCH_OBJECTS_MAX or sum(len(data) for _, data in objects) > BATCH_BYTES_MAX:
        raise TooLarge("too many objects or bytes at once; send smaller batches", "too_large.request")
    for object_id, data in objects:
        if len(object_id) != ID_BYTES or not data:
            raise Invalid(f"an id has {ID_BYTES} bytes, and an object is not empty")
        if len(data) > OBJECT_BYTES_MAX:
            raise TooLarge(f"an object has at most {OBJECT_BYTES_MAX} bytes", "too_large.request")


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, with their names flushed."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    flush_folder(folder.parent)


def _unavailable(error: OSError) -> Unavailable:
    return Unavailable(f"the vault's folder cannot be used: {error.strerror}", "unavailable.store")
