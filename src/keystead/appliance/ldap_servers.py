"""Which server of a directory is asked: the primary, and while that is down the other one.

Law: a server that was down is asked again after a while, the primary before the other; who asks while all are down
hears so at once.

Source: requirements KS-LDAP-004, 009; design.md section 6.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from keystead.appliance.ldap_client import Directory, connected
from keystead.appliance.ldap_transport import Failed, Server
from keystead.core.errors import Unavailable

T = TypeVar("T")
Work = Callable[[Any, Server], T]
PRIMARY_AGAIN_S = 60.0
ALL_AGAIN_S = 3.0
DOWN = "the user directory does not answer; nobody of it can be let in until it does"

log = logging.getLogger("keystead.directory")


class Tested(NamedTuple):
    """How one server fared: its address, whether all is well, and what is not."""

    server: str
    ok: bool
    problem: str


class Servers:
    """Remembers which servers have failed; used by several threads.

    Args:
        clock_s: Monotonic clock.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._failed_s: dict[Server, float] = {}

    def run(self, directory: Directory, work: Work[T]) -> T:
        """Return what comes of the work on a connection to the first server that does its part.

        Raises:
            Unavailable: none does, or the library is not installed.
        """
        for server in self._order(directory.servers):
            try:
                with connected(directory, server) as connection:
                    result = work(connection, server)
            except Failed as failure:
                self._note_failure(server, str(failure))
                continue
            self._note_success(server)
            return result
        raise Unavailable(DOWN, "unavailable.directory")

    def test(self, directory: Directory, work: Work[None]) -> tuple[Tested, ...]:
        """Return how every server does the work, whatever is remembered of them. Raises Unavailable as `run` does."""
        return tuple(self._tested(directory, server, work) for server in directory.servers)

    def _tested(self, directory: Directory, server: Server, work: Work[None]) -> Tested:
        try:
            with connected(directory, server) as connection:
                work(connection, server)
        except Failed as failure:
            return Tested(server.address, ok=False, problem=str(failure))
        self._note_success(server)
        return Tested(server.address, ok=True, problem="")

    def _order(self, servers: tuple[Server, ...]) -> list[Server]:
        """Return whom to ask in which order: none when all have failed a moment ago."""
        now_s = self._clock_s()
        with self._lock:
            ages_s = {server: now_s - self._failed_s.get(server, float("-inf")) for server in servers}
        if all(age_s < ALL_AGAIN_S for age_s in ages_s.values()):
            return []
        return sorted(servers, key=lambda server: ages_s[server] < PRIMARY_AGAIN_S)

    def _note_failure(self, server: Server, why: str) -> None:
        with self._lock:
            is_news = server not in self._failed_s
            self._failed_s[server] = self._clock_s()
        if is_news:
            log.warning("directory server %s has failed: %s", server.address, why)

    def _note_success(self, server: Server) -> None:
        with self._lock:
            is_news = self._failed_s.pop(server, None) is not None
        if is_news:
            log.warning("directory server %s answers again", server.address)
