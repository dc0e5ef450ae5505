"""Moments as people type them in queries and attributes: a day, a second, or so long before or after now. Pure.

Source: requirements KS-KEY-026, 046; RFC 3339.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

US_PER_S = 1_000_000
UNITS_S = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DIGITS_MAX = 6
CHARACTERS_MAX = 35
_DAY_CHARACTERS = len("2027-01-31")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = "dddd-dd-ddTdd:dd:dd"


class Moment(NamedTuple):
    """From the first microsecond to the last one.

    Attributes:
        low: First microsecond, UTC; of a relative one from now.
        high: Last microsecond, likewise.
        is_relative: It counts from now.
    """

    low: int
    high: int
    is_relative: bool = False

    def at(self, now_us: int) -> tuple[int, int]:
        """Return both ends as they are at a moment."""
        return (self.low + now_us, self.high + now_us) if self.is_relative else (self.low, self.high)


def moment_from(text: str) -> Moment | None:
    """Return what a text means: 2027-01-31 (all of the day, UTC), 2027-01-31T12:00:00Z, -30d, +12h; None = no moment.

    Without a zone it is UTC. Without a fraction all of the second is meant.
    """
    if not text.isascii() or not 2 < len(text) <= CHARACTERS_MAX:
        return None
    if text[0] in "+-":
        digits, unit = text[1:-1], text[-1]
        if unit not in UNITS_S or not digits.isdigit() or len(digits) > DIGITS_MAX:
            return None
        offset_us = int(digits) * UNITS_S[unit] * US_PER_S * (-1 if text[0] == "-" else 1)
        return Moment(offset_us, offset_us, is_relative=True)
    if not _is_formed(text):
        return None
    try:
        found = datetime.fromisoformat(text)
        found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        low = (found - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None
    if len(text) == _DAY_CHARACTERS:
        return Moment(low, low + 86_400 * US_PER_S - 1)
    return Moment(low, low if "." in text else low + US_PER_S - 1)


def _is_formed(text: str) -> bool:
    """Tell whether a text begins as RFC 3339 has it; the library takes other forms too, which look alike."""
    if len(text) != _DAY_CHARACTERS and len(text) < len(_FORM):
        return False
    return all(
        character.isdigit() if form == "d" else character == form for character, form in zip(text, _FORM, strict=False)
    )


def shown_moment(moment_us: int) -> str:
    """Return a moment as text, to the second; one outside of the years 1 to 9999 as its microseconds."""
    try:
        return (_EPOCH + timedelta(microseconds=moment_us)).isoformat(timespec="seconds").replace("+00:00", "Z")
    except OverflowError:
        return str(moment_us)
