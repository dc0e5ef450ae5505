"""Creating and upgrading a store in an SQLite file; imports the schema tools, and is never imported to serve.

Law: a store comes into being whole or not at all: it is made under another name, flushed, and renamed.

Source: design.md section 7; docs/adr/0010-journal-chain-and-root.md.
"""

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from keystead.core.errors import Exists
from keystead.storage import migrations
from keystead.storage.identity import new_identity
from keystead.storage.sqlite_connections import FILE_MODE
from keystead.storage.statements import NEW_ROOT, PUT_MARKS, PUT_META
from keystead.storage.store import StoreKeys


def create_store(path: Path, keys: StoreKeys, marks: Mapping[str, str]) -> None:
    """Create an empty store, flushed together with its folder.

    Args:
        path: File that must not exist yet, in an existing folder.
        keys: Everything in the store will be authenticated with these.
        marks: Permanent marks, such as {"store": "shared", "dev": "yes"}; they can never be changed or removed.

    Raises:
        Exists: there is a file of this name.
    """
    if path.exists():
        raise Exists("there is a store already; open it, or choose another folder")
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
    upgrade_store(unfinished)
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
        _begin(connection, keys, marks)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    _flush(unfinished)
    unfinished.rename(path)
    _flush(path.parent)


def upgrade_store(path: Path) -> None:
    """Bring the tables of a store to this version; records follow when they are next loaded. Nobody may use it."""
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(path), poolclass=NullPool)
    with engine.begin() as bind:
        migrations.upgrade(bind)


def _begin(connection: sqlite3.Connection, keys: StoreKeys, marks: Mapping[str, str]) -> None:
    born = new_identity(keys, marks)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(PUT_META, (born.store_id,))
    connection.execute(PUT_MARKS, (born.marks, born.mac))
    connection.execute(NEW_ROOT, (born.sealed_root,))
    connection.execute("COMMIT")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
