"""Activity log: one line of eleven fields per request, written before the replies leave.

Format: `[yyyy-mm-dd hh:mm:ss] PRIORITY ip [common name] user request-id request-type key [detail] code [message]`,
`-` when empty, local time of completion.

Law: no key material, password or PIN reaches a line (KS-LOG-032); text that a client chose is stripped of control
characters, so that nobody writes lines of their own, and of what ends a field, so that it cannot pass for another one.

Source: requirements KS-LOG-001, 012, 013, 030, 031.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from keystead.core.permission import Principal
from keystead.gate.log_files import LogFile, asked_by, in_brackets, one_word, printable
from keystead.gate.operation import REGISTRY

if TYPE_CHECKING:
    from keystead.gate.call import Batch, Reply

PRINCIPALS_COUNT_MAX = 1_000
SUCCESS = "success"
FIRST = "1 "
"""Begins the detail of a cryptographic operation: its ordinal number within the request (KS-LOG-013)."""
ORIGINS = {
    "user": "client",
    "global": "client",
    "stranger": "client",
    "administrator": "administrator",
    "local": "local",
    "clock": "clock",
}
"""Kind of a principal -> whose statistics its requests belong to (KS-KMIP-052)."""


class Label(NamedTuple):
    """What a door with names of its own calls a request in the activity log.

    Attributes:
        title: Request type, one of a few.
        number: Request id that the client gave.
        key: What the client calls the key; "" = its id.
        detail: Where the operation says nothing of itself.
        failure: Returns the door's code and text for a reason.
    """

    title: str
    number: str
    key: str
    detail: str
    failure: Callable[[str], tuple[str, str]]


_Entry = tuple[Principal, int | str, str, str, str, tuple[str, str] | None]
"""Of one line: who asked, request id, title, key, detail, reason and message of a failure."""


class ActivityLog:
    """Lines gather in memory and are written by `flush`, once per turn of the serving loop.

    Args:
        path: Log file, opened for appending with mode 0600; None = lines are dropped (one-off commands).
    """

    def __init__(self, path: Path | None) -> None:
        self._file = self._lost = LogFile(path) if path else None
        self._entries: list[_Entry] = []
        self._stamp = ""
        self._stamp_ends_s = 0.0
        self._asked_by: dict[int, tuple[Principal, str]] = {}
        self._succeeded: dict[tuple[str, str], int] = {}
        self._failed: dict[tuple[str, str, str], int] = {}
        self._title = self._origin = ""  # of the latest that succeeded: mostly many of one kind follow each other
        self._alike_count = 0

    def add(self, batch: "Batch", replies: Sequence["Reply"], keys: Sequence[str]) -> None:
        """Add the lines of those requests of a batch that were run.

        Args:
            batch: Whose.
            replies: One for each.
            keys: The object that each fell on, "-" where there is none.
        """
        principal, requests, _, number, _, label, _ = batch
        is_written = self._file is not None
        begin = len(self._entries)
        origin = ORIGINS[principal.kind]
        for request, (result, error), key in zip(requests, replies, keys, strict=False):
            declaration = REGISTRY.get(type(request))
            detail, title, failure = "-", "-", None
            if declaration is not None:
                title = declaration.title
                if error is None and declaration.detail is not None:
                    detail = declaration.detail(result) or "-"
            if label is not None:
                title = label.title
                detail = detail if detail != "-" else printable(label.detail) or "-"
                if detail.startswith(FIRST):
                    detail = f"{len(self._entries) - begin + 1} {detail[len(FIRST) :]}"
            if error is None:
                if title is not self._title or origin is not self._origin:
                    self._settle(origin, title)
                self._alike_count += 1
            else:
                failure = error.reason, error.message  # the error itself holds frames
                outcome = origin, title, error.reason
                self._failed[outcome] = self._failed.get(outcome, 0) + 1
            if is_written:
                shown: int | str = number
                called = key
                if label is not None:
                    shown, called = label.number or "-", label.key or key
                    failure = None if failure is None else label.failure(failure[0])
                self._entries.append((principal, shown, title, called, detail, failure))

    def _settle(self, origin: str, title: str) -> None:
        """Count the latest requests that succeeded; those that follow are of another kind."""
        if self._alike_count:
            kind = self._origin, self._title
            self._succeeded[kind] = self._succeeded.get(kind, 0) + self._alike_count
        self._origin, self._title, self._alike_count = origin, title, 0

    def outcomes(self) -> dict[tuple[str, str, str], int]:
        """Return (one of ORIGINS, request type, "success" or reason) -> how many were answered so since the start."""
        self._settle("", "")
        return {(origin, title, SUCCESS): n for (origin, title), n in self._succeeded.items()} | self._failed

    def _line(self, entry: "_Entry") -> str:
        principal, number, title, key, detail, failure = entry
        asked = self._asked_by.get(id(principal))
        if asked is None or asked[0] is not principal:
            asked = self._who(principal)
        named = key if key.isprintable() and " " not in key else one_word(key)
        if "]" in detail:
            detail = in_brackets(detail)
        if failure is None:
            return f"{self._stamp} INFO {asked[1]} {number} {title} {named} [{detail}] 0 [Success]\n"
        reason, message = failure
        return f"{self._stamp} ERROR {asked[1]} {number} {title} {named} [{detail}] {reason} [{printable(message)}]\n"

    def _renew_stamp(self) -> None:
        second = int(time.time())
        self._stamp_ends_s = second + 1.0
        self._stamp = time.strftime("[%Y-%m-%d %H:%M:%S]", time.localtime(second))

    def _who(self, principal: Principal) -> tuple[Principal, str]:
        """Return the fields that tell who asked; they stay the same for all requests of a connection."""
        if len(self._asked_by) >= PRINCIPALS_COUNT_MAX:
            self._asked_by.clear()
        asked = self._asked_by[id(principal)] = (principal, asked_by(principal))
        return asked

    @property
    def lost_count(self) -> int:
        """Lines that could not be written."""
        return 0 if self._lost is None else self._lost.lost_count

    def flush(self) -> None:
        """Write what gathered, in one write; a full disk is counted, not raised (reads go on, loss is stated)."""
        if not self._entries or self._file is None:
            return
        if time.time() >= self._stamp_ends_s:
            self._renew_stamp()
        data = "".join(map(self._line, self._entries)).encode()
        self._entries.clear()
        self._file.write(data)

    def close(self) -> None:
        """Write what is left and close the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None
