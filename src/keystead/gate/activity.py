"""Activity log: one line of eleven fields per request, written before the replies leave.

Format: `[yyyy-mm-dd hh:mm:ss] PRIORITY ip [common name] user request-id request-type key [detail] code [message]`,
`-` when empty, local time of completion.

Law: no key material, password or PIN reaches a line (KS-LOG-032); text that a client chose is stripped of control
characters, so that nobody writes lines of their own.

Source: requirements KS-LOG-001, 012, 013, 030, 031.
"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keystead.core.permission import Principal
from keystead.gate.operation import Declaration

if TYPE_CHECKING:
    from keystead.gate.call import Batch, Reply

TEXT_CHARACTERS_MAX = 256
PRINCIPALS_COUNT_MAX = 1_000


def printable(text: str) -> str:
    """Return text safe for one field of a log line: printable characters only, bounded length."""
    if text.isprintable() and len(text) <= TEXT_CHARACTERS_MAX:
        return text
    return "".join(c if c.isprintable() else "?" for c in text[:TEXT_CHARACTERS_MAX])


class ActivityLog:
    """Lines gather in memory and are written by `flush`, once per turn of the serving loop.

    Args:
        path: Log file, opened for appending with mode 0600; None = lines are dropped (one-off commands).
    """

    def __init__(self, path: Path | None) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600) if path else None
        self._lines: list[str] = []
        self._stamp = ""
        self._stamp_ends_s = 0.0
        self._asked_by: dict[int, tuple[Principal, str]] = {}
        self.lost_count = 0

    def add(self, batch: "Batch", declaration: Declaration | None, request: Any, reply: "Reply", key: str) -> None:
        """Add the line of one request."""
        if self._file is None:
            return
        error = reply.error
        detail = "-"
        if error is None and declaration is not None and declaration.detail is not None:
            detail = declaration.detail(request, reply.result) or "-"
        if time.time() >= self._stamp_ends_s:
            self._renew_stamp()
        title = declaration.title if declaration is not None else "-"
        named = key if key.isprintable() else printable(key)
        who = f"{self._who(batch.principal)} {batch.number} {title} {named} [{detail}]"
        if error is None:
            self._lines.append(f"{self._stamp} INFO {who} 0 [Success]\n")
        else:
            self._lines.append(f"{self._stamp} ERROR {who} {error.reason} [{printable(error.message)}]\n")

    def _renew_stamp(self) -> None:
        second = int(time.time())
        self._stamp_ends_s = second + 1.0
        self._stamp = time.strftime("[%Y-%m-%d %H:%M:%S]", time.localtime(second))

    def _who(self, principal: Principal) -> str:
        """Return the fields that tell who asked; they stay the same for all requests of a connection."""
        known = self._asked_by.get(id(principal))
        if known is not None and known[0] is principal:
            return known[1]
        if len(self._asked_by) >= PRINCIPALS_COUNT_MAX:
            self._asked_by.clear()
        words = f"{principal.address} [{printable(principal.common_name) or '-'}] {principal.name or '-'}"
        self._asked_by[id(principal)] = (principal, words)
        return words

    def flush(self) -> None:
        """Write what gathered, in one write; a full disk is counted, not raised (reads go on, loss is stated)."""
        if not self._lines or self._file is None:
            return
        data = "".join(self._lines).encode()
        self._lines.clear()
        try:
            os.write(self._file, data)
        except OSError:
            self.lost_count += data.count(b"\n")

    def close(self) -> None:
        """Write what is left and close the file."""
        self.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None
