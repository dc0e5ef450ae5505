"""Has anyone committed? A thread that listens for what writers announce, and looks for itself as well.

Every commit announces in its transaction how far the store has come. An announcement can be lost with its connection,
so the thread looks at the root twice a second, and a reader that has not been told for a second that all is as it was
looks itself: nothing older than that second is taken for new, whatever happens to the network.

Source: design.md section 4 (change detection); cluster.md section 3 rule 5; postgresql.org/docs/15/sql-notify.html.
"""

import os
import socket
import threading
import time
from collections.abc import Hashable

import psycopg

from keystead.core.errors import KeysteadError
from keystead.storage.identity import Identity
from keystead.storage.journal import Root
from keystead.storage.postgresql_connections import Link, Server, row, unavailable
from keystead.storage.statements import ROOT

CHANNEL = "keystead"
LOOK_EVERY_S = 0.4
LOOKED_S_MAX = 1.0  # longer ago than this, a look is not trusted any more
REST_S = 0.2  # after a connection that failed
END_S = 2.0


def position_of(root: Root) -> int:
    """Return how far a store has come: every commit adds a row to its journal or its audit trail."""
    return root.sequence + root.audit_sequence


class Own:
    """How far the writers of this process have brought a store; told to its readers without any network."""

    def __init__(self) -> None:
        self.position = 0

    def moved(self, root: Root) -> None:
        """Note a commit of this process."""
        self.position = max(self.position, position_of(root))

    def found(self, position: int) -> None:
        """Note where the server stands after its connection was lost: another one may have taken over further back."""
        self.position = min(self.position, position)


class Watch:
    """A thread that knows how far a store has come.

    Args:
        server: Where the store is.
        identity: Which store it is.
        own: Commits of this process, which are no news.

    Raises:
        Unavailable, Invalid: the server cannot be reached.
    """

    def __init__(self, server: Server, identity: Identity, own: Own) -> None:
        self._server = server
        self._identity = identity
        self._own = own
        self._position = 0
        self._connections_count = 0
        self._looked_s = 0.0
        self._is_closed = False
        try:
            self._link = self._connected()
        except psycopg.Error as error:
            raise unavailable(error) from error
        self._thread = threading.Thread(target=self._run, name="store watch", daemon=True)
        self._thread.start()

    @property
    def version(self) -> Hashable | None:
        """Return what changes with every commit of anybody, None when nothing is known for sure."""
        if time.monotonic() - self._looked_s > LOOKED_S_MAX:
            return None
        return self._connections_count, self._position, self._own.position

    def close(self) -> None:
        """End the thread."""
        self._is_closed = True
        descriptor = self._link.pgconn.socket if not self._link.closed else -1
        if descriptor >= 0:
            with socket.socket(fileno=os.dup(descriptor)) as waking:
                waking.shutdown(socket.SHUT_RDWR)
        self._thread.join(END_S)

    def _connected(self) -> Link:
        link = self._server.connect()
        try:
            link.execute(f"LISTEN {CHANNEL}")
            now_s, position = time.monotonic(), self._seen(link)
            self._own.found(position)
            self._position = position
            self._connections_count += 1
            self._looked_s = now_s
        except BaseException:
            link.close()
            raise
        return link

    def _look(self, link: Link) -> None:
        now_s = time.monotonic()
        self._told(self._seen(link))
        self._looked_s = now_s

    def _seen(self, link: Link) -> int:
        return position_of(self._identity.root(row(link, ROOT)))

    def _told(self, position: int) -> None:
        if position > max(self._position, self._own.position):
            self._position = position

    def _run(self) -> None:
        while not self._is_closed:
            try:
                if self._link.closed:
                    self._link = self._connected()
                for announced in self._link.notifies(timeout=LOOK_EVERY_S):
                    self._told(int(announced.payload))
                self._look(self._link)
            except (psycopg.Error, KeysteadError, ValueError, OSError) as error:
                self._link.close()
                if not self._is_closed:
                    self._rest(error)
        self._link.close()

    def _rest(self, error: Exception) -> None:
        if isinstance(error, psycopg.Error):
            unavailable(error)
        time.sleep(REST_S)
