"""One backup: from folders to a snapshot in the vault. What has not changed since the last one is not read again.

Laws: a snapshot is committed after everything it names is durable in the vault; a backup that is interrupted anywhere
leaves the last snapshot as it was, and what was sent already is not sent again by the next.

Source: requirements DS-001, DS-002, DS-005, DS-006, DS-019; docs/backup-client.md.
"""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from keystead.clients.backup import entries, scanning, snapshots
from keystead.clients.backup.cutting import DATA_SIZES, LIST_SIZES, SMALL_BYTES, Cutter, ends_bundle
from keystead.clients.backup.entries import Entry, Form, Piece
from keystead.clients.backup.progress import Progress
from keystead.clients.backup.reading import Reader
from keystead.clients.backup.scanning import Told
from keystead.clients.backup.sealing import BackupKeys, Kind
from keystead.clients.backup.sending import Sender
from keystead.clients.backup.snapshots import Root, Sealed, Snapshot
from keystead.clients.backup.state import ClientState, Unfinished
from keystead.core.errors import Conflict
from keystead.custody.safeguard.depot import ASKED_IDS_MAX, Area, Depot, SnapshotRef

READ_BYTES = 1024 * 1024
WAITING_ENTRIES_MAX = 2000
_NEVER_NS = 0


@dataclass(frozen=True, slots=True)
class Client:
    """What every job of a client needs: vault, keys, memory, and whom to tell."""

    depot: Depot
    keys: BackupKeys
    state: ClientState
    told: Told
    now_us: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Result:
    """What a backup did.

    Attributes:
        ref: The new snapshot.
        files: Files in it.
        content_bytes: Length of them.
        unchanged: Files that were not read.
        skipped: What could not be read.
        moved_bytes: What went to the vault and came from it.
    """

    ref: SnapshotRef
    files: int
    content_bytes: int
    unchanged: int
    skipped: int
    moved_bytes: int


def back_up(client: Client, roots: tuple[Root, ...], progress: Progress, *, reuse: bool = True) -> Result:
    """Back up folders; see `Result`.

    Args:
        client: The client.
        roots: From scanning.roots_of; none = those of the last backup.
        progress: Counts files and bytes.
        reuse: Take unchanged files from the last backup instead of reading them.

    Raises:
        Conflict: another backup of this client is at work, or was finished meanwhile.
        Tampered: the vault shows an older or another state than before.
        Invalid: no roots, and no backup to take them from.
    """
    with client.state.locked():
        parent = take_newest(client)
        if parent is not None and not roots:
            roots = parent.content.roots
        if not roots:
            roots = scanning.roots_of([], [])
        began_us = client.now_us()
        client.state.begin(Unfinished(1 if parent is None else parent.ref.sequence + 1, began_us))
        work = _Work(client, progress, parent if reuse else None)
        try:
            snapshot = work.run(roots, began_us)
        finally:
            work.sender.close()
        parent_ref = None if parent is None else parent.ref
        sealed = snapshots.seal(client.keys, snapshot, parent_ref)
        ref = client.depot.commit(sealed, parent_ref)
        client.state.remember(ref)
        client.state.end()
        moved = work.sender.sent_bytes + work.reader.got_bytes + len(sealed)
        counts = (snapshot.files, snapshot.content_bytes, work.unchanged, snapshot.skipped)
        return Result(ref, *counts, moved)


def take_newest(client: Client) -> Sealed | None:
    """Return the newest snapshot, proven and remembered, and say how an interrupted backup ended.

    Raises:
        Tampered: the vault shows an older or another state than before.
    """
    newest = snapshots.newest(client.keys, client.depot, client.state.seen())
    if newest is not None:
        client.state.remember(newest.ref)
    unfinished = client.state.unfinished()
    if unfinished is None:
        return newest
    number = 0 if newest is None else newest.ref.sequence
    if number >= unfinished.sequence:
        client.told(f"the backup that was interrupted is complete in the vault as number {unfinished.sequence}")
    else:
        last = f"number {number} is the last complete one" if number else "there is no complete one yet"
        client.told(f"backup number {unfinished.sequence} was interrupted; {last}; what was sent is not sent again")
    client.state.end()
    return newest


def look(client: Client) -> Sealed | None:
    """Return the newest snapshot for somebody who only reads; while a backup is at work, leave its notes alone.

    Raises:
        Tampered: the vault shows an older or another state than before.
    """
    try:
        with client.state.locked():
            return take_newest(client)
    except Conflict:
        client.told("a backup of this client is at work")
        return snapshots.newest(client.keys, client.depot, client.state.seen())


@dataclass(slots=True)
class _Bundle:
    """Small files of one area that will share a chunk."""

    members: list[tuple[Entry, bytes]] = field(default_factory=list)
    length: int = 0


class _Work:
    """One pass over all entries."""

    def __init__(self, client: Client, progress: Progress, parent: Sealed | None) -> None:
        self.sender = Sender(client.depot, client.keys)
        self.reader = Reader(client.depot, client.keys)
        self.unchanged = 0
        self._keys = client.keys
        self._told = client.told
        self._progress = progress
        self._skipped = 0
        self._files = 0
        self._content_bytes = 0
        self._bundles = {area: _Bundle() for area in Area}
        self._open: set[int] = set()
        self._line: deque[Entry] = deque()
        self._list = Cutter(client.keys.of(Area.CLIENT).permutation, LIST_SIZES)
        self._list_ids: list[bytes] = []
        self._parent = parent
        self._ahead: Entry | None = None

    def run(self, roots: tuple[Root, ...], began_us: int) -> Snapshot:
        for area in {root.area for root in roots}:
            self._keys.of(area)  # refuses before anything is sent
        before = self._known_before()
        for entry in scanning.walk(roots, self._skip):
            if entry.form is Form.FILE and not self._reused(entry, before) and not self._read(entry):
                continue
            self._count(entry)
            self._line.append(entry)
            self._advance()
        for area in Area:
            self._end_bundle(area)
        self._advance()
        self._keep_list(self._list.finish())
        self.sender.end()
        self._progress.end()
        counts = (self._files, self._content_bytes, self._skipped)
        return Snapshot(began_us, roots, *counts, tuple(self._list_ids))

    # ------------------------------------------------------------------------------------------ what did not change

    def _known_before(self) -> Iterator[Entry]:
        """Learn which chunks of the parent the vault still holds; give its entries again."""
        if self._parent is None:
            return iter(())
        snapshot = self._parent.content
        self.sender.ask(Area.CLIENT, snapshot.list_ids)
        waiting: dict[Area, set[bytes]] = {area: set() for area in Area}
        for entry in self.reader.entries(snapshot):
            waiting[entry.area].update(piece.id for piece in entry.pieces)
            if len(waiting[entry.area]) >= ASKED_IDS_MAX:
                self.sender.ask(entry.area, waiting[entry.area])
                waiting[entry.area].clear()
        for area, ids in waiting.items():
            self.sender.ask(area, ids)
        return self.reader.entries(snapshot)

    def _reused(self, entry: Entry, before: Iterator[Entry]) -> bool:
        """Take the pieces of the last backup if the file was not touched and the vault holds them all."""
        old = self._of_parent(entry.path, before)
        if old is None or (old.form, old.area, old.stamp) != (entry.form, entry.area, entry.stamp):
            return False
        if not all(self.sender.holds(old.area, piece.id) for piece in old.pieces):
            return False
        entry.pieces, entry.code = old.pieces, old.code
        self.unchanged += 1
        return True

    def _of_parent(self, path: tuple[bytes, ...], before: Iterator[Entry]) -> Entry | None:
        """Both lists rise, hence one pass is enough."""
        if self._parent is None:
            return None
        while self._ahead is None or self._ahead.path < path:
            self._ahead = next(before, None)
            if self._ahead is None:
                self._parent = None
                return None
        return self._ahead if self._ahead.path == path else None

    # ------------------------------------------------------------------------------------------------ reading files

    def _read(self, entry: Entry) -> bool:
        """Read a file into chunks, or into the bundle of its area; False if that is impossible."""
        try:
            descriptor = os.open(scanning.full(entry.path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise OSError(0, "no file any more")
                length = self._take(entry, lambda: file.read(READ_BYTES), status.st_size)
                after = os.fstat(file.fileno())
        except OSError as error:
            self._skip(f"left out, {error.strerror}: {entries.shown(entry.path)}")
            return False
        stamp = entry.stamp._replace(size=length)
        if stamp != (after.st_size, after.st_mtime_ns, after.st_ctime_ns, after.st_ino):
            self._told(f"changed while it was read: {entries.shown(entry.path)}")
            stamp = stamp._replace(ctime_ns=_NEVER_NS)  # the next backup reads it again
        entry.stamp = stamp
        return True

    def _take(self, entry: Entry, read: Callable[[], bytes], size: int) -> int:
        """Read at most `size` bytes; return how many there were."""
        keys = self._keys.of(entry.area)
        code = keys.file_code()
        cutter = Cutter(keys.permutation, DATA_SIZES)
        small = bytearray()
        done = 0
        pieces: list[Piece] = []
        while done < size and (data := read()[: size - done]):
            code.update(data)
            done += len(data)
            if size < SMALL_BYTES:
                small += data
            else:
                self._keep_pieces(entry, cutter.feed(data), pieces)
                self._progress.add(0, len(data))
        self._keep_pieces(entry, cutter.finish(), pieces)
        entry.pieces, entry.code = pieces, code.digest()
        if small:
            self._bundle(entry, bytes(small))
            self._progress.add(0, len(small))
        return done

    def _keep_pieces(self, entry: Entry, chunks: Iterator[bytes], pieces: list[Piece]) -> None:
        pieces.extend(Piece(self.sender.add(entry.area, Kind.DATA, chunk), 0, len(chunk)) for chunk in chunks)

    def _bundle(self, entry: Entry, content: bytes) -> None:
        bundle = self._bundles[entry.area]
        bundle.members.append((entry, content))
        bundle.length += len(content)
        self._open.add(id(entry))
        if ends_bundle(bundle.length, entry.code):
            self._end_bundle(entry.area)

    def _end_bundle(self, area: Area) -> None:
        bundle, self._bundles[area] = self._bundles[area], _Bundle()
        if not bundle.members:
            return
        chunk_id = self.sender.add(area, Kind.DATA, b"".join(content for _, content in bundle.members))
        place = 0
        for entry, content in bundle.members:
            entry.pieces = [Piece(chunk_id, place, len(content))]
            place += len(content)
            self._open.discard(id(entry))

    # ---------------------------------------------------------------------------------------------- list of entries

    def _count(self, entry: Entry) -> None:
        if entry.form is Form.FILE:
            self._files += 1
            self._content_bytes += entry.stamp.size
            self._progress.add(1, 0)

    def _advance(self) -> None:
        """Write the entries whose pieces are known, in order; end bundles that hold up too many."""
        if len(self._line) > WAITING_ENTRIES_MAX:
            for area in Area:
                self._end_bundle(area)
        while self._line and id(self._line[0]) not in self._open:
            for frame in entries.written(self._line.popleft()):
                self._keep_list(self._list.feed(frame))

    def _keep_list(self, chunks: Iterator[bytes]) -> None:
        self._list_ids.extend(self.sender.add(Area.CLIENT, Kind.LIST, chunk) for chunk in chunks)

    def _skip(self, what: str) -> None:
        self._skipped += 1
        self._told(what)
