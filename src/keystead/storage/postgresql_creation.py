"""Creating and upgrading a store in a PostgreSQL database; imports the schema tools, and never to serve.

Law: a store comes into being whole or not at all: all of it is one transaction.

Source: design.md section 7; docs/adr/0010-journal-chain-and-root.md, 0015-postgresql-store.md.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from sqlalchemy import Connection, create_engine, exc, inspect
from sqlalchemy.pool import NullPool

from keystead.core.errors import Exists, KeysteadError, Tampered, Unavailable
from keystead.storage import migrations
from keystead.storage.identity import new_identity
from keystead.storage.migrations.versions.v0001_first import MARKS, META, ROOT, SCHEMA
from keystead.storage.postgresql import open_store
from keystead.storage.postgresql_connections import Occasions, Server, unavailable
from keystead.storage.store import StoreKeys

_VERSIONS = "alembic_version"


def check_server(url: str, *, insecure_no_flush: bool = False) -> None:
    """Reach for a database before anything is made. Raises what `Server.connect` does."""
    Occasions(Server(url, insecure_no_flush)).ask(lambda _link: None)


def create_store(url: str, keys: StoreKeys, marks: Mapping[str, str], *, insecure_no_flush: bool = False) -> None:
    """Create an empty store in a database that holds none.

    Args:
        url: Of a database of its own, whose role may create tables.
        keys: Everything in the store will be authenticated with these.
        marks: Permanent marks, such as {"store": "shared", "dev": "yes"}; they can never be changed or removed.
        insecure_no_flush: Accept a server that could lose what it acknowledges.

    Raises:
        Exists: there are tables of a store. Unavailable, Invalid: as `Server.connect` says.
    """
    with _transaction(Server(url, insecure_no_flush)) as bind:
        if inspect(bind).has_table(META.name):
            raise Exists("there is a store in this database already; open it, or make another database")
        migrations.upgrade(bind)
        born = new_identity(keys, marks)
        bind.execute(META.insert(), {"name": "store_id", "value": born.store_id})
        bind.execute(MARKS.insert(), {"id": 1, "marks": born.marks, "mac": born.mac})
        bind.execute(ROOT.insert(), {"id": 1, "sealed": born.sealed_root})


def upgrade_store(url: str) -> None:
    """Bring the tables of a store to this version; records follow when they are next loaded. Nobody may use it."""
    with _transaction(Server(url)) as bind:
        migrations.upgrade(bind)


def discard_store(url: str, keys: StoreKeys, mark: str) -> bool:
    """Drop the tables of a store if it is one of these keys and carries a mark; tell whether it was."""
    try:
        store = open_store(url, keys, insecure_no_flush=True, check=False)
    except (Unavailable, Tampered):
        return False
    if store.mark(mark) is None:
        return False
    with _transaction(store.server) as bind:
        SCHEMA.drop_all(bind)
        bind.exec_driver_sql(f"DROP TABLE {_VERSIONS}")
    return True


@contextmanager
def _transaction(server: Server) -> Iterator[Connection]:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: server.connect(autocommit=False), poolclass=NullPool
    )
    try:
        with engine.begin() as bind:
            yield bind
    except KeysteadError:
        raise
    except psycopg.Error as error:
        raise unavailable(error) from error
    except exc.DBAPIError as error:
        cause = error.orig
        raise (unavailable(cause) if isinstance(cause, psycopg.Error) else error) from error
