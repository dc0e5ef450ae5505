"""Who used a key, when, by which operation and with what result: read from the activity log of this node.

Clients stand there by user and certificate. What administrators do with keys themselves, such as export, import and
change, is in the audit log, whose entries prove themselves; a line of the activity log proves nothing of the kind.

Laws: it takes both the access to logs and to keys; a request looks at 8 MiB of the log at most and says where to go
on; the files are read on another thread.

Source: requirements KS-LOG-002, 012, 013, 027, 031; KS-ADM-021, 031; docs/adr/0079; chapter Log viewer.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

from keystead.core.errors import Invalid, Unavailable
from keystead.core.fields import Number, Text
from keystead.core.permission import Access
from keystead.core.records import ManagedObject
from keystead.gate.activity_lines import ActivityLine
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.gate.versions import id_of_key, view_of
from keystead.operations.key_use_scan import (
    KEY,
    USER,
    Counted,
    Grouping,
    Listed,
    Wanted,
    count_lines,
    cursor_of,
    list_lines,
    place_of,
)
from keystead.operations.version_records import older_versions

ACTIVITY_LOG = "activity_log"
"""Service of the gate: path of the activity log."""

USES_LISTED_COUNT_MAX = 1_000
KEY_CHARACTERS_MAX = 255
MOMENT_US_MAX = 253_402_214_400_000_000  # the last day of the year 9999, less a day for time zones
US_PER_S = 1_000_000
SUCCESS, UNREADABLE = "success", "unreadable"

KeyCalled = Annotated[str, Text(r"[^\s\[\]]*", KEY_CHARACTERS_MAX, example="payroll-2027")]
Asker = Annotated[str, Text(r"[^\s\[\]]*", 64, example="alice")]
RequestType = Annotated[str, Text(r"[A-Za-z]{0,64}", 64, example="Get")]


class Step(StrEnum):
    """What is counted together."""

    HOUR = "hour"
    DAY = "day"


class Grouped(StrEnum):
    """What is counted apart."""

    ALL = "all"
    KEY = "key"
    USER = "user"


_GROUPS = {Grouped.ALL: 0, Grouped.KEY: KEY, Grouped.USER: USER}


@dataclass(frozen=True, slots=True)
class ListKeyUse:
    """List uses of keys by clients, newest first; what administrators do with keys is in the audit log.

    Attributes:
        key: Name of the key, or its id, for the key with all its versions; id of an older version for that one alone.
            "" = all.
        user: Name of the user; "" = all.
        operation: Request type as in the activity log, such as Get, Encrypt or KeyExport; "" = all.
        from_us: Then or later, UTC.
        until_us: Then or before, UTC.
        after: `next` of the page before, with everything else as it was; "" = from the newest on.
        limit_count: At most so many.
    """

    key: KeyCalled = ""
    user: Asker = ""
    operation: RequestType = ""
    from_us: int | None = None
    until_us: int | None = None
    after: str = ""
    limit_count: Annotated[int, Number(1, USES_LISTED_COUNT_MAX)] = 100


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One request on a key.

    Attributes:
        at_us: When it was answered, to the second; None of a line that cannot be understood.
        key_name: What the key is called now; "" = it is not there any more.
        key: As in the log: its id, or the name that the client gave.
        user: Who; "-" = a client without a user.
        operation: Request type.
        result: "success", the reason of the failure, or "unreadable" for a line that cannot be understood.
        address: Where the client came from.
        common_name: Of the client's certificate.
        detail: Algorithm and the like; "-" = nothing.
        message: In words.
    """

    at_us: int | None
    key_name: str
    key: str
    user: str
    operation: str
    result: str
    address: str
    common_name: str
    detail: str
    message: str


@dataclass(frozen=True, slots=True)
class KeyUses:
    """One page.

    Attributes:
        uses: Newest first; there may be fewer than asked for, even none, before the end.
        next: Where the next page begins, "" = this was the last.
    """

    uses: tuple[KeyUse, ...]
    next: str


@dataclass(frozen=True, slots=True)
class CountKeyUse:
    """Count uses of keys by hour or day of the node's time zone, newest first.

    Attributes:
        per: Hours or days.
        by: All together, or keys or users apart.
        key: Name or id of the key, or id of an older version; "" = all.
        user: Name of the user; "" = all.
        operation: Request type as in the activity log; "" = all.
        from_us: Then or later, UTC.
        until_us: Then or before, UTC.
        after: `next` of the page before; what is counted there again has to be added. "" = from the newest on.
        limit_count: At most so many rows.
    """

    per: Step = Step.HOUR
    by: Grouped = Grouped.ALL
    key: KeyCalled = ""
    user: Asker = ""
    operation: RequestType = ""
    from_us: int | None = None
    until_us: int | None = None
    after: str = ""
    limit_count: Annotated[int, Number(1, USES_LISTED_COUNT_MAX)] = 100


@dataclass(frozen=True, slots=True)
class UseCount:
    """Uses of an hour or a day.

    Attributes:
        begin_us: Of the hour or day.
        name: Id of the key, or name of the user; "" = all together.
        key_name: What the key is called now.
        uses_count: Requests on keys, failed ones among them.
        failed_count: Those that failed.
    """

    begin_us: int
    name: str
    key_name: str
    uses_count: int
    failed_count: int


@dataclass(frozen=True, slots=True)
class UseCounts:
    """One page.

    Attributes:
        counts: Newest first, of one time the most used first.
        next: Where the next page begins, "" = this was the last.
    """

    counts: tuple[UseCount, ...]
    next: str


@operation(ListKeyUse, "key_use.list", "KeyUseList", administrator=Access.LOGGING | Access.KEYS, route="GET /key-uses")
def list_key_use(call: Call, request: ListKeyUse) -> KeyUses:
    """Return one page, read on another thread."""
    _check_limit(request.limit_count)
    path, wanted, place = _log(call), _wanted(call, request), place_of(request.after)
    found: Listed = call.made(partial(list_lines, path, wanted, place, request.limit_count))
    names = _names(call, (line.key for line in found.lines if line is not None))
    return KeyUses(tuple(_use(line, names) for line in found.lines), cursor_of(found.place))


@operation(
    CountKeyUse,
    "key_use.count",
    "KeyUseCount",
    administrator=Access.LOGGING | Access.KEYS,
    route="GET /key-uses/count",
)
def count_key_use(call: Call, request: CountKeyUse) -> UseCounts:
    """Return one page of counts, read on another thread."""
    _check_limit(request.limit_count)
    path, wanted, place = _log(call), _wanted(call, request), place_of(request.after)
    grouping = Grouping(request.per is Step.DAY, _GROUPS[request.by])
    found: Counted = call.made(partial(count_lines, path, wanted, place, grouping, request.limit_count))
    by_key = request.by is Grouped.KEY
    names = _names(call, (name for _, name in found.counts)) if by_key else {}
    rows: dict[tuple[int, str], tuple[int, int]] = {}
    for (begin_s, called), (uses_count, failed_count) in found.counts.items():
        row = begin_s, names[called][0] if by_key else called  # by its name and by its id it is one key
        before = rows.get(row, (0, 0))
        rows[row] = before[0] + uses_count, before[1] + failed_count
    shown = dict(names.values())
    counts = [UseCount(at * US_PER_S, name, shown.get(name, ""), *row) for (at, name), row in rows.items()]
    counts.sort(key=lambda one: (-one.begin_us, -one.uses_count, one.name))
    return UseCounts(tuple(counts), cursor_of(found.place))


def _log(call: Call) -> Path:
    path: Path | None = call.desk.services.get(ACTIVITY_LOG)
    if path is None:
        raise Unavailable("this process reads no activity log", "unavailable.stopping")
    return path


def _check_limit(limit_count: int) -> None:
    if not 1 <= limit_count <= USES_LISTED_COUNT_MAX:
        raise Invalid(f"ask for 1 to {USES_LISTED_COUNT_MAX} at once", "invalid.field")


def _wanted(call: Call, request: ListKeyUse | CountKeyUse) -> Wanted:
    """Return what is wanted, with every word by which the key may stand in the log."""
    keys = frozenset(word.encode() for word in _words(call, request.key)) if request.key else frozenset()
    for word in (request.key, request.user, request.operation):
        if len(word) > KEY_CHARACTERS_MAX or any(character.isspace() for character in word):
            raise Invalid("names have no spaces, and at most 255 characters", "invalid.field")
    moments = [request.from_us, request.until_us]
    if any(moment is not None and not 0 <= moment <= MOMENT_US_MAX for moment in moments):
        raise Invalid("ask for times in the years 1970 to 9999", "invalid.field")
    from_s = None if request.from_us is None else -(-request.from_us // US_PER_S)
    until_s = None if request.until_us is None else request.until_us // US_PER_S
    return Wanted(keys, request.user.encode(), request.operation.encode(), from_s, until_s)


def _words(call: Call, key: str) -> Iterator[str]:
    """Yield how a key stands in the log: as it is asked for, its id and name, and the ids of its older versions."""
    yield key
    desk = call.desk
    if view_of(desk, key) is not None:  # one older version: it alone
        return
    loaded = desk.get(id_of_key(desk, key, call.principal.realm))
    if loaded is None or not isinstance(loaded.record, ManagedObject):
        return
    record = loaded.record
    yield from (record.id, record.handle)
    if record.versioning is not None:
        count = record.versioning.number
        yield from (version.record.id for version in older_versions(call, record, count, count))


def _names(call: Call, called: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return how keys are called -> their id and present name; what is no key any more stands for itself."""
    desk, found = call.desk, {}
    for word in set(called):
        key_id = id_of_key(desk, word, call.principal.realm)
        loaded = desk.get(key_id)
        is_there = loaded is not None and isinstance(loaded.record, ManagedObject)
        found[word] = (key_id, loaded.record.handle) if loaded is not None and is_there else (word, "")
    return found


def _use(line: ActivityLine | None, names: dict[str, tuple[str, str]]) -> KeyUse:
    if line is None:
        return KeyUse(None, "", "", "", "", UNREADABLE, "", "", "", "a line of the log cannot be understood")
    result = line.code if line.is_error else SUCCESS
    return KeyUse(
        line.at_s * US_PER_S,
        names[line.key][1],
        *(line.key, line.user, line.title, result),
        *(line.address, line.common_name, line.detail, line.message),
    )
