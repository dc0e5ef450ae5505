"""Connections to a store in a PostgreSQL database: where it is, how it is reached, and what it must promise.

Laws: no password stands in an address (a password file, a service file or the peer of a Unix socket gives it); a
server on another machine is reached with its certificate verified, or not at all; a server that could lose what it
acknowledged is refused; whoever waits too long drops the socket. Nothing is ever cancelled: a cancelled COMMIT answers
"done" although what it was waiting for has not happened.

Source: postgresql.org/docs/15 (runtime-config-wal, libpq-connect, libpq-pgpass); cluster.md section 3; docs/adr/0015.
"""

import ipaddress
import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo, errors, waiting
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import StrBinaryDumper

from keystead.core.errors import Invalid, Unavailable

CONNECT_S = 2  # per server in the address
ANSWER_S = 5.0  # a server that is frozen keeps its connections alive: only a deadline of ours ends the wait
STALLED_S = 3.0  # a transaction that its writer has abandoned is ended by the server, and lets the next one in
POLL_S = 0.1
PREPARED_COUNT = 256  # statements per connection
SERVER_VERSION_MIN = 150_000

_SCHEMES = ("postgresql://", "postgres://")
_SAFE_MODES = frozenset({"verify-full", "verify-ca"})
_DEFAULTS: Mapping[str, Any] = {
    "application_name": "keystead",
    "connect_timeout": CONNECT_S,
    "target_session_attrs": "read-write",
    "gssencmode": "disable",
    "keepalives_idle": 5,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 3000,
}
# The store knows by which index each of its statements walks; a plan by statistics would be another one every day.
_SESSION = (
    "SET jit = off; SET max_parallel_workers_per_gather = 0; SET plan_cache_mode = force_generic_plan;"
    " SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
    " SET default_transaction_isolation = 'read committed'; SET client_min_messages = warning;"
)
DURABILITY = (
    "current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),"
    " pg_is_in_recovery()"
)
FLUSHED = frozenset({"on", "remote_apply"})

# Of these nothing is lost by trying again on a new connection: broken connections and their deadlines, a server that
# stops or starts, serialisation failures, a server that has become a standby.
PASSING = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)

log = logging.getLogger("keystead.storage")

Result = TypeVar("Result")


class Link(psycopg.Connection[tuple[Any, ...]]):
    """A connection with a deadline for each answer; belongs to one thread at a time.

    Attributes:
        patience_s: How long an answer may take.
        asking: A cursor for statements whose rows are fetched at once; making one takes as long as a third of asking.
    """

    patience_s = ANSWER_S
    asking: "psycopg.Cursor[tuple[Any, ...]]"

    def wait(
        self,
        gen: Any,
        interval: float = POLL_S,
        timeout: float | None = None,
    ) -> Any:
        """Wait for an answer; psycopg calls this for everything that it asks.

        Raises:
            psycopg.OperationalError: it has not come in time; the connection is closed.
        """
        try:
            return waiting.wait(gen, self.pgconn.socket, interval, self.patience_s if timeout is None else timeout)
        except errors._WaitTimeout:  # the class has no other name
            if timeout is not None:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError("the server does not answer") from None
        except KeyboardInterrupt:
            self.pgconn.finish()  # psycopg would cancel what is under way
            raise


@dataclass(frozen=True, slots=True)
class Server:
    """Where a store's database is.

    Attributes:
        url: As `read_url` accepts it.
        insecure_no_flush: Do not wait for flushes, nor ask for a server that flushes.
    """

    url: str
    insecure_no_flush: bool = False

    def connect(self, *, autocommit: bool = True) -> Link:
        """Open a connection.

        Raises:
            psycopg.Error: it cannot be opened.
            Invalid: the address is not acceptable.
            Unavailable: the server is not: too old, or one that loses what it acknowledges.
        """
        words = read_url(self.url)
        link = Link.connect(**{**_DEFAULTS, **words}, autocommit=autocommit)
        try:
            link.adapters.register_dumper(int, Int8BinaryDumper)  # one type each, or every size were a statement of
            link.adapters.register_dumper(str, StrBinaryDumper)  # its own
            link.prepared_max = PREPARED_COUNT
            link.asking = link.cursor(binary=True)
            self._check(link)
            if autocommit:
                link.execute(_SESSION)
                link.execute(f"SET synchronous_commit = {'off' if self.insecure_no_flush else link_mode(link)}")
        except BaseException:
            link.close()
            raise
        return link

    def _check(self, link: Link) -> None:
        if not _is_near(link.info.host) and link.info.get_parameters().get("sslmode") not in _SAFE_MODES:
            raise Invalid(_UNSAFE, "invalid.field")
        if link.info.server_version < SERVER_VERSION_MIN:
            raise Unavailable("the database server is too old; use PostgreSQL 15 or newer", "unavailable.store")
        if not self.insecure_no_flush:
            row = link.execute(f"SELECT {DURABILITY}").fetchone()
            check_durable(*(row or ("", "", "", True)))


def link_mode(link: Link) -> str:
    """Return how the server's commits wait as it is configured: "on" or stronger, once it was checked."""
    row = link.execute("SELECT current_setting('synchronous_commit')").fetchone()
    return str(row[0]) if row is not None and row[0] in FLUSHED else "on"


_UNSAFE = (
    "the address of a database on another machine needs sslmode=verify-full (and sslrootcert=FILE); "
    "otherwise anybody on the way could pose as it"
)


def read_url(url: str) -> dict[str, Any]:
    """Return the parts of a database's address.

    Raises:
        Invalid: it is none, it or the environment holds a password, or it leads to another machine unprotected.
    """
    if not url.startswith(_SCHEMES):
        raise Invalid("the address of a store starts with postgresql://", "invalid.field")
    try:
        words = conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        raise Invalid(
            "the address of the store cannot be understood; see libpq's connection URIs", "invalid.field"
        ) from None
    if {"password", "sslpassword"} & words.keys() or "PGPASSWORD" in os.environ:
        raise Invalid(
            "a password does not belong into an address or the environment; use passfile=FILE, a service file, "
            "a client certificate or a Unix socket",
            "invalid.field",
        )
    hosts = str(words.get("hostaddr") or words.get("host") or "").split(",")
    if "service" not in words and not all(map(_is_near, hosts)) and words.get("sslmode") not in _SAFE_MODES:
        raise Invalid(_UNSAFE, "invalid.field")
    return dict(words)


def _is_near(host: str) -> bool:
    """Tell whether what is sent to a host stays on this machine."""
    if not host or host[0] in "/@" or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_durable(fsync: str, full_page_writes: str, synchronous_commit: str, is_standby: bool) -> None:
    """Refuse a server that could lose what it has acknowledged.

    Raises:
        Unavailable: names the setting.
    """
    wrong = [name for name, value in (("fsync", fsync), ("full_page_writes", full_page_writes)) if value != "on"]
    if synchronous_commit not in FLUSHED:
        wrong.append("synchronous_commit")
    if wrong:
        raise Unavailable(
            f"the database server may lose what it acknowledged: set {' and '.join(wrong)} to on and reload it",
            "unavailable.store",
        )
    if is_standby:
        raise Unavailable("the database server is a standby; give the address of the primary", "unavailable.store")


def unavailable(error: psycopg.Error) -> Unavailable:
    """Return what callers are told when PostgreSQL fails; what it said itself is for the log."""
    log.warning("the store cannot be used: %s", error)
    code = error.sqlstate or "no answer"
    return Unavailable(f"the store cannot be used (PostgreSQL: {code}); see the system log", "unavailable.store")


@lru_cache(1024)
def spelt(sql: str) -> str:
    """Return a statement of statements.py as psycopg writes values."""
    return sql.replace("?", "%s")


class Occasions:
    """A connection for what is asked now and then, by whichever thread; closed with the last reference to this."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._links: list[Link] = []  # one, or none
        weakref.finalize(self, _close, self._links)

    def ask(self, ask: Callable[[Link], Result]) -> Result:
        """Ask something, once more on a new connection if the one at hand fails. Raises Unavailable."""
        with self._lock:
            try:
                if self._links:
                    try:
                        return ask(self._links[0])
                    except PASSING:
                        _close(self._links)
                self._links.append(self._server.connect())
                return ask(self._links[0])
            except psycopg.Error as error:
                _close(self._links)
                raise unavailable(error) from error


def _close(links: list[Link]) -> None:
    while links:
        links.pop().close()


def rows(link: Link, sql: str, parameters: Any = ()) -> list[Any]:
    """Return all rows of a statement, which the server remembers."""
    return link.asking.execute(spelt(sql), parameters, prepare=True).fetchall()


def row(link: Link, sql: str, parameters: Any = ()) -> Any:
    """Return the first row of a statement, which the server remembers."""
    return link.asking.execute(spelt(sql), parameters, prepare=True).fetchone()
