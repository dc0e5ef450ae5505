"""Which entries of a full dictionary go first: the oldest, several at a time.

A dictionary finds its first entry by going past all those that have gone before it: taking them out one by one costs
tens of microseconds each where there are tens of thousands.
"""

from collections.abc import Mapping
from itertools import islice
from typing import TypeVar

SHIFT = 6

K = TypeVar("K")


def oldest(held: Mapping[K, object]) -> list[K]:
    """Return the keys of the oldest 64th, at least one; empty only where nothing is held."""
    return list(islice(held, (len(held) >> SHIFT) + 1))
