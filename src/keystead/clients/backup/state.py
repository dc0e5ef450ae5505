"""What a client remembers between runs: the newest snapshot it has seen, and whether a backup was interrupted.

Files in the state folder (mode 0700): `seen.json`, `unfinished.json`, `lock`. Each is replaced whole. None holds a
name or content of a file, or a key.

Source: requirement DS-001; docs/design/backup-format.md section 5.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keystead.core.errors import Conflict, Tampered
from keystead.custody.safeguard.depot import ID_BYTES, SnapshotRef

STATE_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A backup that began and was not seen to end.

    Attributes:
        sequence: The number it would get.
        began_us: UTC microseconds.
    """

    sequence: int
    began_us: int


class ClientState:
    """The state folder of one client."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one run.

        Raises:
            Conflict: another run of this client holds it.
        """
        with (self._folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict("another run of this client is at work; wait until it has ended") from None
            yield

    def seen(self) -> SnapshotRef | None:
        """Return the newest snapshot that this client has made or taken.

        Raises:
            Tampered: the file cannot be read.
        """
        read = self._read("seen.json", "sequence", "id")
        if read is None:
            return None
        sequence, name = read
        if not isinstance(name, str) or len(name) != 2 * ID_BYTES:
            raise _damaged("seen.json")
        return SnapshotRef(sequence, bytes.fromhex(name))

    def remember(self, ref: SnapshotRef) -> None:
        """Take a snapshot as the newest seen."""
        self._write("seen.json", {"sequence": ref.sequence, "id": ref.id.hex()})

    def unfinished(self) -> Unfinished | None:
        """Return the backup that was interrupted, if one was."""
        read = self._read("unfinished.json", "sequence", "began_us")
        return None if read is None else Unfinished(read[0], int(read[1]))

    def begin(self, unfinished: Unfinished) -> None:
        """Note that a backup begins."""
        self._write("unfinished.json", {"sequence": unfinished.sequence, "began_us": unfinished.began_us})

    def end(self) -> None:
        """Note that no backup is under way."""
        (self._folder / "unfinished.json").unlink(missing_ok=True)

    def _read(self, name: str, first: str, second: str) -> tuple[int, int | str] | None:
        try:
            data = (self._folder / name).read_bytes()[:STATE_BYTES_MAX]
        except FileNotFoundError:
            return None
        try:
            found = json.loads(data)
            return int(found[first]), found[second]
        except (ValueError, KeyError, TypeError):
            raise _damaged(name) from None

    def _write(self, name: str, content: dict[str, int | str]) -> None:
        path = self._folder / name
        fresh = path.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _damaged(name: str) -> Tampered:
    return Tampered(f"{name} in the state folder is damaged; remove it only if you trust what the vault shows now")
