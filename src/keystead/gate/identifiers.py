"""Identifiers and time, made by the writer: UUID version 7 and one clock that never runs backwards.

Source: RFC 9562 section 5.7; design.md sections 6 ("state") and 7 (ids).
"""

import time
from typing import Protocol

from keystead.trust.random_pool import random_bytes

REQUEST_ID_BYTES = 16
CLOCK_BACK_ALARM_US = 2_000_000


class Now(Protocol):
    """What tells the time."""

    def now_us(self) -> int:
        """Return UTC microseconds."""


class Clock:
    """UTC microseconds that never precede what was returned before or the store's last commit.

    Attributes:
        last_us: What was returned last.
        set_back: The system clock was seen well behind that.
    """

    def __init__(self, not_before_us: int = 0) -> None:
        self.last_us = not_before_us
        self.set_back = False

    def now_us(self) -> int:
        """Return now; while the system clock stands before the last value, that value plus one is returned."""
        now = time.time_ns() // 1000
        if now <= self.last_us:
            self.set_back = self.set_back or self.last_us - now > CLOCK_BACK_ALARM_US
            now = self.last_us + 1
        self.last_us = now
        return now


def new_id(now_us: int) -> str:
    """Return a UUID version 7 as text; ids of one process rise in the order in which they are made.

    48 bits of milliseconds, 12 bits for a cell number (0), 10 bits of microseconds, a counter of 16 bits, 36 random
    bits. Searches answer in the order of ids, newest first, also for objects made by one message (KMIP 2.1 section
    6.1.28, RFC 9562 section 6.2).
    """
    milliseconds, microseconds = divmod(now_us, 1000)
    value = (milliseconds & ((1 << 48) - 1)) << 80 | 0x7 << 76 | 0b10 << 62
    value |= microseconds << 52 | _made.rank(now_us) << 36
    value |= int.from_bytes(random_bytes(5), "big") & ((1 << 36) - 1)
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class _Made:
    """Counts the ids of one moment. Two threads may get the same number: the random bits keep their ids apart."""

    def __init__(self) -> None:
        self._at_us = 0
        self._count = 0

    def rank(self, now_us: int) -> int:
        """Return how many ids this moment had before, modulo 2 ** 16."""
        self._count = self._count + 1 if now_us == self._at_us else 0
        self._at_us = now_us
        return self._count & 0xFFFF


_made = _Made()


def new_request_id() -> bytes:
    """Return 16 bytes that name one transaction for ever.

    They begin with the time, so that a store's index of them grows at one end, and end in 72 random bits.
    """
    return (time.time_ns() // 1000).to_bytes(REQUEST_ID_BYTES - 9, "big") + random_bytes(9)
