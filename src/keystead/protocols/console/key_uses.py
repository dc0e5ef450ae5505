"""Uses of keys as people look at them: counted by day and by user, drawn, and written as CSV. Pure.

Law: no cell of a CSV file begins with what a spreadsheet takes for a formula, whatever a client wrote.

Source: requirements KS-LOG-012, 013; attacks.md class 46; RFC 4180; WAI-ARIA Graphics Module.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from markupsafe import Markup

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a cell of a spreadsheet may not begin with, in both widths."""
COLUMNS = {
    "at_us": "Time (UTC)",
    "key_name": "Key",
    "key": "Key in the log",
    "user": "User",
    "operation": "Operation",
    "result": "Result",
    "address": "Address",
    "common_name": "Common name",
    "detail": "Detail",
    "message": "Message",
}
US_PER_S = 1_000_000
WIDTH, HEIGHT = 420, 150
_TOP, _BOTTOM, _FOOT = 20, 120, 140
LABELS_COUNT_MAX = 5
_SVG = Markup(
    '<svg class="plot uses" viewBox="0 0 {} {}" role="img" aria-labelledby="uses-title">'
    '<title id="uses-title">{}</title>{}<line class="axis" x1="0" y1="{}" x2="{}" y2="{}"></line></svg>'
)
_BAR = Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="2"{}><title>{}</title></rect>')
_FAILED = Markup(' class="failed"')
_TEXT = Markup('<text x="{}" y="{}" class="{}">{}</text>')


@dataclass(slots=True)
class Tally:
    """Requests on keys, those that failed, and when the last one was (UTC microseconds of its day)."""

    count: int = 0
    failed_count: int = 0
    last_us: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Add what was counted of one day."""
        self.count += row["uses_count"]
        self.failed_count += row["failed_count"]
        self.last_us = max(self.last_us, row["begin_us"])


def by_user(counts: Iterable[Mapping[str, Any]]) -> dict[str, Tally]:
    """Return what each user did, who did most first."""
    found: dict[str, Tally] = {}
    for row in counts:
        found.setdefault(row["name"], Tally()).add(row)
    return dict(sorted(found.items(), key=lambda one: (-one[1].count, one[0])))


def by_day(counts: Iterable[Mapping[str, Any]], until: date, days: int) -> dict[date, Tally]:
    """Return what was done each day, oldest first; days without anything are there, too."""
    found = {until - timedelta(days=ago): Tally() for ago in range(days - 1, -1, -1)}
    for row in counts:
        day = day_of(row["begin_us"])
        if day in found:
            found[day].add(row)
    return found


def day_of(at_us: int) -> date:
    """Return the day of a moment in the time zone of the node."""
    return datetime.fromtimestamp(at_us / US_PER_S, UTC).astimezone().date()


def plot(days: Mapping[date, Tally]) -> Markup:
    """Return one bar for each day, the newest on the right, what failed at its foot."""
    most = max([*(one.count for one in days.values()), 1])
    step, every = WIDTH / len(days), -(-len(days) // LABELS_COUNT_MAX)
    drawn = Markup()
    for place, (day, one) in enumerate(days.items()):
        left, width = round(place * step + step * 0.12, 1), round(step * 0.76, 1)
        told = f"{day:%Y-%m-%d}: {one.count:,} requests, {one.failed_count:,} failed"
        for count, kind in ((one.count, Markup()), (one.failed_count, _FAILED)):
            height = round((_BOTTOM - _TOP) * count / most, 1)
            drawn += _BAR.format(left, round(_BOTTOM - height, 1), width, height, kind, told) if count else Markup()
        if (len(days) - 1 - place) % every == 0:
            drawn += _TEXT.format(round(place * step + step / 2, 1), _FOOT, "day", f"{day:%d %b}")
    drawn += _TEXT.format(2, 12, "most", f"{most:,} a day at most")
    count, failed = sum(one.count for one in days.values()), sum(one.failed_count for one in days.values())
    title = f"Requests on keys per day: {count:,} in all, {failed:,} of them failed"
    return _SVG.format(WIDTH, HEIGHT, title, drawn, _BOTTOM, WIDTH, _BOTTOM)


def as_csv(uses: Iterable[Mapping[str, Any]]) -> str:
    """Return uses as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS.values())
    for use in uses:
        writer.writerow([_moment(use["at_us"]), *(harmless(str(use[name])) for name in list(COLUMNS)[1:])])
    return out.getvalue()


def harmless(text: str) -> str:
    """Return a cell that no spreadsheet calculates; the log's "-" for nothing is empty."""
    if text == "-":
        return ""
    shown = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)
    return f"'{shown}" if text.startswith(FORMULA) else shown


def _moment(at_us: int | None) -> str:
    return f"{datetime.fromtimestamp(at_us / US_PER_S, UTC):%Y-%m-%d %H:%M:%S}" if at_us else ""
