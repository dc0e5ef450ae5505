"""How long things took, counted by bounds: the cheapest that still shows a slow tail.

Source: Prometheus exposition format, "histogram"; requirement KS-STAT-003 (formulas are fixed).
"""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Durations counted by fixed bounds; belongs to the thread that adds.

    Args:
        bounds_s: Upper bounds, inclusive, rising, in seconds; above the last there is no bound.

    Attributes:
        counts: How many fell between each bound and the one before; one more than there are bounds.
        sum_s: Of all durations.
    """

    __slots__ = ("bounds_s", "counts", "sum_s")

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self.bounds_s = list(bounds_s)
        self.counts = [0] * (len(bounds_s) + 1)
        self.sum_s = 0.0

    def add(self, duration_s: float, count: int = 1) -> None:
        """Count so many that took so long each."""
        self.counts[bisect_left(self.bounds_s, duration_s)] += count
        self.sum_s += duration_s * count
