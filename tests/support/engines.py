"""Stores of both engines, and what somebody does to them who has the database and none of the keys."""

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from keystead.storage import postgresql as postgresql_stores
from keystead.storage import sqlite as sqlite_stores
from keystead.storage.postgresql import PostgresqlStore
from keystead.storage.sqlite import SqliteStore
from tests.support import postgresql, stores
from tests.support.stores import KEYS

AnyStore = SqliteStore | PostgresqlStore
ENGINES: dict[str, Callable[[Path], AnyStore]] = {"sqlite": stores.new_store, "postgresql": postgresql.new_store}

_SPELLINGS = [
    (re.compile(r"x'([0-9a-fA-F]*)'"), r"'\\x\1'::bytea"),
    (re.compile(r"zeroblob\((\d+)\)"), r"decode(repeat('00', \1), 'hex')"),
    (re.compile(r"AS BLOB\)"), "AS bytea)"),
    (re.compile(r"AS INTEGER\)"), "AS bigint)"),
    (re.compile(r"\?"), "%s"),
]


def reopened(store: AnyStore, **options: Any) -> AnyStore:
    """Another look at a store, unchecked unless asked for."""
    options = {"check": False} | options
    if isinstance(store, SqliteStore):
        return sqlite_stores.open_store(store.path, KEYS, **options)
    return postgresql_stores.open_store(store.server.url, KEYS, **options)


def ask(store: AnyStore, statement: str, parameters: tuple[object, ...] = ()) -> list[Any]:
    """Rows that a statement in SQLite's spelling finds, or the number of rows that it changed."""
    if isinstance(store, SqliteStore):
        with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]
    for pattern, spelling in _SPELLINGS:
        statement = pattern.sub(spelling, statement)
    return postgresql.shared_server().execute(statement, parameters, database_of(store))


def tamper(store: AnyStore, *statements: str, parameters: tuple[object, ...] = ()) -> None:
    """Change rows past keystead."""
    for statement in statements:
        ((changed,),) = ask(store, statement, parameters if "?" in statement else ())
        assert changed != 0, "a manipulation that changes nothing proves nothing"


def kept(store: AnyStore) -> Callable[[], None]:
    """Copy a whole store that nobody uses; what is returned puts it back."""
    if isinstance(store, SqliteStore):
        path, copy = store.path, store.path.with_suffix(".kept")
        shutil.copy(path, copy)

        def put_file_back() -> None:
            copy.replace(path)

        return put_file_back
    server, name = postgresql.shared_server(), database_of(store)
    server.end_connections(name)
    server.execute(f"CREATE DATABASE {name}_kept TEMPLATE {name}")

    def put_back() -> None:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        server.execute(f"ALTER DATABASE {name}_kept RENAME TO {name}")

    return put_back


def database_of(store: PostgresqlStore) -> str:
    """The name of the database in a store's address."""
    return store.server.url.partition("@/")[2].partition("?")[0]
