"""Client event log: what clients want written down, one line of seven fields each.

Format: `[yyyy-mm-dd hh:mm:ss] PRIORITY ip [common name] user request-id [message]`, `-` when empty, local time.

Law: a client writes nothing but the message of its own lines: control characters and line breaks become question marks.

Source: requirements KS-LOG-014, KS-NAE-020.
"""

import time
from collections.abc import Callable
from pathlib import Path

from keystead.core.errors import Limited
from keystead.core.permission import Principal
from keystead.gate.log_files import LogFile, asked_by

EVENTS_PER_S_MAX = 200  # of one user
USERS_COUNT_MAX = 1_000  # whose events are counted


class ClientEventLog:
    """Lines gather in memory and are written by `flush`, once per turn of the serving loop.

    Args:
        path: Log file, opened for appending with mode 0600.
        clock: Seconds since the epoch.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = LogFile(path)
        self._clock = clock
        self._lines: list[str] = []
        self._second = 0
        self._counts: dict[str, int] = {}

    def add(self, principal: Principal, number: str, message: str) -> None:
        """Add an event.

        Raises:
            Limited: this user has written too many within the second.
        """
        second = int(self._clock())
        if second != self._second or len(self._counts) >= USERS_COUNT_MAX:
            self._second = second
            self._counts.clear()
        count = self._counts[principal.name] = self._counts.get(principal.name, 0) + 1
        if count > EVENTS_PER_S_MAX:
            raise Limited("too many events; send the next one in a second", 1.0)
        stamp = time.strftime("[%Y-%m-%d %H:%M:%S]", time.localtime(second))
        text = "".join(c if c.isprintable() else "?" for c in message)
        self._lines.append(f"{stamp} INFO {asked_by(principal)} {number or '-'} [{text or '-'}]\n")

    def flush(self) -> None:
        """Write what gathered, in one write; a full disk is counted, not raised."""
        if not self._lines:
            return
        data = "".join(self._lines).encode(errors="replace")
        self._lines.clear()
        self._file.write(data)

    def close(self) -> None:
        """Write what is left and close the file."""
        self.flush()
        self._file.close()
