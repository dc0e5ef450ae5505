"""Files that are whole or not there: written aside, flushed, renamed; and read back from the medium, not from memory.

Source: docs/adr/0082.
"""

import errno
import hashlib
import os
from pathlib import Path

from keystead.core.errors import DeviceFault

COPY_BYTES = 1_048_576


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes) -> None:
    """Put a file in the place of what was there, durably and at once."""
    aside = path.with_name(path.name + ".new")
    with aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    flush_folder(path.parent)


def copy(source: Path, target: Path) -> None:
    """Copy a file and flush it."""
    with source.open("rb") as reading, target.open("wb") as writing:
        while piece := reading.read(COPY_BYTES):
            writing.write(piece)
        writing.flush()
        os.fsync(writing.fileno())


def digest_from_medium(path: Path) -> tuple[int, bytes]:
    """Return length and SHA-512 of a file, after the system was asked to forget what it holds of it in memory."""
    digest, length = hashlib.sha512(), 0
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while piece := file.read(COPY_BYTES):
            digest.update(piece)
            length += len(piece)
    return length, digest.digest()


def read_small(path: Path, bytes_max: int) -> bytes:
    """Read a file that must be short.

    Raises:
        DeviceFault: it is longer. OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise DeviceFault("a file on the drive is longer than allowed")
    return data


def why(error: OSError) -> str:
    """Say in plain words what the system reported of a drive."""
    told = {
        errno.ENOSPC: "it is full",
        errno.EDQUOT: "it is full",
        errno.ENOENT: "it was pulled, or is not mounted",
        errno.ENODEV: "it was pulled",
        errno.EIO: "it cannot be read or written",
        errno.EROFS: "it is write-protected",
        errno.EACCES: "it may not be written",
    }
    return told.get(error.errno or 0, f"the system says: {os.strerror(error.errno or 0)}")
