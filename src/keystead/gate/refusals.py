"""Refusals that must be durable before they are told, without letting an attacker buy one disk flush per request.

The first refusal per (principal, operation, reason) and second is written before the answer; repeats within the
second are counted and the count is written with the next one.

Source: design.md section 6 ("what is durable when"); attacks.md class 31.
"""

from collections.abc import Sequence

from keystead.core.permission import Principal

TRACKED_COUNT_MAX = 10_000
WINDOW_US = 1_000_000


class Refusals:
    """Decides which refusals of a batch are written now."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str], tuple[int, int]] = {}

    def due(
        self, principal: Principal, refusals: Sequence[tuple[str, str, str]], now_us: int
    ) -> list[tuple[str, str, str]]:
        """Return the (operation, target, reason) to write before answering; a repeat count is added to the reason."""
        written: list[tuple[str, str, str]] = []
        for operation, target, reason in refusals:
            key = (principal.name, operation, reason)
            since_us, count = self._seen.get(key, (-WINDOW_US, 0))
            if now_us - since_us < WINDOW_US:
                self._seen[key] = (since_us, count + 1)
                continue
            if len(self._seen) >= TRACKED_COUNT_MAX:
                self._seen.pop(next(iter(self._seen)))
            self._seen[key] = (now_us, 0)
            written.append((operation, target, f"{reason} (and {count} like it before)" if count else reason))
        return written

    def not_written(self, principal: Principal, refusals: Sequence[tuple[str, str, str]]) -> None:
        """Have refusals written the next time, as the transaction that they were part of is not stored."""
        for operation, _, reason in refusals:
            key = (principal.name, operation, reason)
            if key in self._seen:
                self._seen[key] = (-WINDOW_US, self._seen[key][1])
