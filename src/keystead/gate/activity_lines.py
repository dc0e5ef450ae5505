"""Lines of the activity log as they were written, back into their fields. Pure.

Law: a line that is not of the form is nothing; no text that a client chose can pass for another field, as the writer
keeps spaces out of words and closing brackets out of what stands in brackets (gate.activity).

Source: requirement KS-LOG-012.
"""

import re
import time
from functools import lru_cache
from typing import NamedTuple

HOUR_S = 3_600
LINE = re.compile(
    rb"^\[(\d{4}-\d\d-\d\d \d\d):(\d\d):(\d\d)\] (INFO|ERROR) (\S+) \[([^\]\n]*)\] (\S+) (\S+) (\S+) (\S+) "
    rb"\[([^\]\n]*)\] (\S+) \[(.*)\]$",
    re.MULTILINE,
)
"""Groups: hour, minute, second, priority, address, common name, user, number, request type, key, detail, code, text."""


class ActivityLine(NamedTuple):
    """One line.

    Attributes:
        at_s: Seconds since 1970, taken from local time.
        is_error: The request failed.
        key: Id, or the name that the client gave; "-" = it fell on none.
        code: Of the error; "0" = none.
    """

    at_s: int
    is_error: bool
    address: str
    common_name: str
    user: str
    number: str
    title: str
    key: str
    detail: str
    code: str
    message: str


def line_of(found: "re.Match[bytes]") -> ActivityLine | None:
    """Return the line that LINE has found; None when its time is no time."""
    begin_s = hour_s(found[1])
    if begin_s is None:
        return None
    words = [each.decode(errors="replace") for each in found.groups()[4:]]
    at_s = begin_s + int(found[2]) * 60 + int(found[3])
    return ActivityLine(at_s, found[4] == b"ERROR", *words)


@lru_cache(maxsize=1024)
def hour_s(local: bytes) -> int | None:
    """Return when an hour of local time began, as "2006-07-06 09"; None when there is no such hour."""
    try:
        return int(time.mktime(time.strptime(local.decode(), "%Y-%m-%d %H")))
    except (ValueError, OverflowError):
        return None


def local_stamp(at_s: int) -> str:
    """Return local time as a line has it. Raises ValueError, OverflowError, OSError."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_s))
