"""Connections to a store in an SQLite file, and the lock that writers take turns by.

Every commit is flushed before it returns (WAL, synchronous FULL). Writers hold a lock on a file beside the store from
BEGIN to COMMIT and while they copy the WAL back: copying while another process commits can damage a store with SQLite
up to 3.51.2 (the "WAL-reset bug"), and waiting in line at a lock costs less than SQLite's sleeping and trying again.

Source: sqlite.org/wal.html, sqlite.org/pragma.html; performance.md section 5; docs/adr/0010-journal-chain-and-root.md.
"""

import fcntl
import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from keystead.core.errors import Unavailable

BUSY_S = 5.0
CACHE_KIB = 16_384  # of pages per connection, taken as it fills
STATEMENTS_COUNT_MAX = 256  # prepared ones kept per connection
LOCK_POLL_S = 0.0003
FILE_MODE = 0o600

_PRAGMAS = (
    "PRAGMA mmap_size = 0",
    f"PRAGMA cache_size = -{CACHE_KIB}",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA secure_delete = ON",  # erased material leaves zeroes, not free pages full of it
    "PRAGMA wal_autocheckpoint = 0",  # the writer does it, under the lock
    f"PRAGMA journal_size_limit = {64 * 1024 * 1024}",
)

_NOTHING: dict[None, None] = {}

# Python looks for an adapter of every bytes and None that it binds, and writes an error message each time that it finds
# none: a fifth of the instructions of an insertion. These are found at once and change nothing.
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(type(None), _NOTHING.get)


def connect(path: Path, *, flush: bool = True, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection; it belongs to one thread at a time.

    Args:
        path: An existing store.
        flush: False = commits are not flushed and are lost with the power; `dev` may ask for it, `serve` never.
        read_only: Refuse statements that write.

    Raises:
        Unavailable: there is no store, or it cannot be opened.
    """
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=STATEMENTS_COUNT_MAX,
        )
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        connection.execute(f"PRAGMA synchronous = {'FULL' if flush else 'OFF'}")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise unavailable(error) from error
    return connection


def unavailable(error: sqlite3.Error) -> Unavailable:
    """Return what callers are told when SQLite fails; its own words name no data."""
    return Unavailable(f"the store cannot be used ({error}); see the system log", "unavailable.store")


class WriterLock:
    """An exclusive lock between the writers of one store, whatever their processes; freed by the kernel with them."""

    def __init__(self, store: Path) -> None:
        self._descriptor = os.open(f"{store}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)

    def taken(self) -> bool:
        """Take the lock if nobody has it; tells whether it did."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let the next one in."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)
