"""Restores a snapshot into a folder, or proves that it could be.

Laws: nothing is given its name before its content is proven whole; nothing is written outside of the target, whatever a
snapshot says, because every step goes through an open folder and follows no link; a restore that is interrupted leaves
each file as it was or as it will be, and `.keystead-restore` in the target says so until the next run has ended it.

Source: requirements DS-001, DS-016; attacks.md class 50; docs/backup-client.md.
"""

import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from keystead.clients.backup.backing_up import READ_BYTES, Client
from keystead.clients.backup.entries import Entry, Form, hostile, shown
from keystead.clients.backup.progress import Progress
from keystead.clients.backup.reading import Reader
from keystead.clients.backup.snapshots import Sealed
from keystead.core.errors import Conflict, Tampered
from keystead.custody.safeguard.depot import SnapshotRef

MARKER = ".keystead-restore"
MARKER_BYTES_MAX = 4096
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        files: Files in the selection.
        kept: Files that were there already, equal.
        failed: What could not be written.
        got_bytes: What came from the vault.
    """

    files: int
    kept: int
    failed: int
    got_bytes: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What to restore.

    Attributes:
        paths: Absolute paths as bytes, each with all below it; none = everything.
        replace: Write into a folder that is not empty.
    """

    paths: tuple[bytes, ...] = ()
    replace: bool = False

    def takes(self, entry: Entry) -> bool:
        """Tell whether an entry is selected, or a folder above what is."""
        if not self.paths:
            return True
        here = b"/" + b"/".join(entry.path)
        wanted = [path.rstrip(b"/") for path in self.paths]
        if any(here == path or here.startswith(path + b"/") for path in wanted):
            return True
        return entry.form is Form.FOLDER and any(path.startswith(here + b"/") for path in wanted)


def restore(client: Client, sealed: Sealed, target: Path, selection: Selection, progress: Progress) -> Restored:
    """Restore a proven snapshot (snapshots.newest, snapshots.at) below a folder.

    Raises:
        Conflict: the target is not empty, or holds an interrupted restore of another snapshot.
        Tampered: the vault's data are not what the snapshot names; what was restored before is whole.
    """
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = os.open(target, _FOLDER)
    try:
        temporary = _begin(client, root, sealed.ref, selection)
        reader = Reader(client.depot, client.keys)
        writer = _Writer(client, root, temporary, progress)
        for entry in reader.entries(sealed.content):
            if entry.path[0].startswith(os.fsencode(MARKER)):
                client.told(f"not restored, the name is taken while restoring: {shown(entry.path)}")
                writer.failed += 1
            elif selection.takes(entry):
                writer.take(entry, reader)
        writer.leave(0)
        os.sync()
        os.unlink(MARKER, dir_fd=root)
        os.fsync(root)
    finally:
        os.close(root)
    progress.end()
    return Restored(writer.files, writer.kept, writer.failed, reader.got_bytes)


def prove(client: Client, sealed: Sealed, progress: Progress) -> Restored:
    """Fetch and prove everything that a snapshot names, and write nothing.

    Raises:
        Tampered: the list of entries cannot be read; files that cannot are told and counted.
    """
    reader = Reader(client.depot, client.keys)
    files = failed = 0
    for entry in reader.entries(sealed.content):
        if entry.form is not Form.FILE:
            continue
        files += 1
        try:
            for part in reader.content(entry):
                progress.add(0, len(part))
        except Tampered as error:
            failed += 1
            client.told(f"cannot be restored, {error.message}: {shown(entry.path)}")
        progress.add(1, 0)
    progress.end()
    return Restored(files, 0, failed, reader.got_bytes)


def _begin(client: Client, root: int, ref: SnapshotRef, selection: Selection) -> str:
    """Put the marker into the target, or go on from one; return the name for files that are being written."""
    marker = _marker(root)
    if marker is not None:
        if marker[:2] != [ref.sequence, ref.id.hex()]:
            raise Conflict(
                f"a restore of snapshot number {marker[0]} into this folder was interrupted; each file in it is whole. "
                "Restore that one, or another one into an empty folder"
            )
        client.told(f"the restore of snapshot number {ref.sequence} was interrupted; each file is whole; going on")
        return str(marker[2])
    if os.listdir(root) and not selection.replace:
        raise Conflict("the folder is not empty; restore into an empty one, or say --replace")
    temporary = f"{MARKER}-{secrets.token_hex(8)}"
    descriptor = os.open(temporary, _NEW_FILE, 0o600, dir_fd=root)
    with os.fdopen(descriptor, "w") as file:
        json.dump([ref.sequence, ref.id.hex(), temporary], file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, MARKER, src_dir_fd=root, dst_dir_fd=root)
    os.fsync(root)
    return temporary


def _marker(root: int) -> list[int | str] | None:
    try:
        descriptor = os.open(MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(MARKER_BYTES_MAX)
    try:
        sequence, name, temporary = json.loads(data)
    except ValueError:
        sequence, name, temporary = 0, "", ""
    if not isinstance(temporary, str) or not temporary.startswith(MARKER) or hostile(os.fsencode(temporary)):
        raise Conflict(f"{MARKER} in the target is damaged; restore into an empty folder")
    return [sequence, name, temporary]


class _Writer:
    """Writes entries in the order of the list, with the folders above the current one open."""

    def __init__(self, client: Client, root: int, temporary: str, progress: Progress) -> None:
        self._client = client
        self._temporary = temporary
        self._progress = progress
        self._root = root
        self._open: list[tuple[Entry, int]] = []
        self.files = self.kept = self.failed = 0
        self._clear(root)

    def take(self, entry: Entry, reader: Reader) -> None:
        """Write one entry; what the machine refuses is told and counted, what is not proven ends the restore."""
        self.leave(self._shared(entry.path))
        if len(self._open) < len(entry.path) - 1:
            return  # the folder could not be made, which was told
        folder = self._open[-1][1] if self._open else self._root
        if entry.form is Form.FILE:
            self.files += 1
        try:
            if entry.form is Form.FOLDER:
                self._enter(entry, folder)
            elif entry.form is Form.LINK:
                self._link(entry, folder)
            elif not self._equal(entry, folder, reader):
                self._file(entry, folder, reader)
        except OSError as error:
            self.failed += 1
            self._client.told(f"not restored, {error.strerror}: {shown(entry.path)}")
        if entry.form is Form.FILE:
            self._progress.add(1, entry.stamp.size)

    def leave(self, depth: int) -> None:
        """Close the folders below a depth, and give them their metadata."""
        while len(self._open) > depth:
            entry, descriptor = self._open.pop()
            _dress(descriptor, entry)
            os.close(descriptor)

    def _shared(self, path: tuple[bytes, ...]) -> int:
        depth = 0
        for entry, _ in self._open:
            if entry.path != path[: len(entry.path)] or len(entry.path) >= len(path):
                break
            depth += 1
        return depth

    def _enter(self, entry: Entry, folder: int) -> None:
        name = entry.path[-1]
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=folder)
        descriptor = os.open(name, _FOLDER, dir_fd=folder)
        self._open.append((entry, descriptor))
        self._clear(descriptor)

    def _link(self, entry: Entry, folder: int) -> None:
        with suppress(OSError):
            if os.readlink(entry.path[-1], dir_fd=folder) == entry.target:
                return  # there already; its folder may be finished, hence not writable
        os.symlink(entry.target, self._temporary, dir_fd=folder)
        with suppress(PermissionError):
            os.chown(self._temporary, *entry.owner, dir_fd=folder, follow_symlinks=False)
        times = (entry.stamp.mtime_ns, entry.stamp.mtime_ns)
        os.utime(self._temporary, ns=times, dir_fd=folder, follow_symlinks=False)
        os.rename(self._temporary, entry.path[-1], src_dir_fd=folder, dst_dir_fd=folder)

    def _file(self, entry: Entry, folder: int, reader: Reader) -> None:
        descriptor = os.open(self._temporary, _NEW_FILE, 0o600, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for part in reader.content(entry):
                    file.write(part)
                file.flush()
                _dress(descriptor, entry)
            os.rename(self._temporary, entry.path[-1], src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            self._clear(folder)
            raise

    def _equal(self, entry: Entry, folder: int, reader: Reader) -> bool:
        """Tell whether the file is there already, whole: by its length, its time and the code of its content."""
        try:
            descriptor = os.open(entry.path[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except OSError:
            return False
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if (status.st_size, status.st_mtime_ns) != (entry.stamp.size, entry.stamp.mtime_ns):
                return False
            if not stat.S_ISREG(status.st_mode) or not reader.is_content(entry, _blocks(file)):
                return False
            _dress(descriptor, entry)
        self.kept += 1
        return True

    def _clear(self, folder: int) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._temporary, dir_fd=folder)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while data := file.read(READ_BYTES):
        yield data


def _dress(descriptor: int, entry: Entry) -> None:
    """Give an open file or folder its owner, mode and time; without its owner it runs as nobody else either."""
    mode = entry.mode
    try:
        os.fchown(descriptor, *entry.owner)
    except PermissionError:
        mode &= 0o777
    os.fchmod(descriptor, mode)
    os.utime(descriptor, ns=(entry.stamp.mtime_ns, entry.stamp.mtime_ns))
