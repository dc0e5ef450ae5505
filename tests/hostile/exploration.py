"""Coverage-guided fuzzing in a hundred lines: what reaches new code is kept and spoiled further.

tools/fuzz_wire.py does the same with atheris, a thousand times faster; this needs nothing but Python and runs in every
`./dev test`.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, NamedTuple

from keystead.protocols.kmip.wire import nodes

HEAD_BYTES = 8
Edge = tuple[str, int, int]
NUMBERS = (0, 1, 2, 3, 4, 7, 8, 255, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class Place(NamedTuple):
    """Where an item stands in an encoded message."""

    start: int
    stop: int


def places(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[Place]:
    """Every item of an encoded message, outer before inner, as far as its lengths make sense."""
    stop = len(data) if stop is None else stop
    while start + HEAD_BYTES <= stop:
        length = int.from_bytes(data[start + 4 : start + 8], "big")
        end = start + HEAD_BYTES + length + -length % 8
        if end > stop:
            return
        yield Place(start, end)
        if data[start + 3] == nodes.STRUCTURE:
            yield from places(data, start + HEAD_BYTES, start + HEAD_BYTES + length)
        start = end


def framed(data: bytes) -> bytes:
    """The message with the true length in its outermost head."""
    data = data + bytes(-len(data) % 8)
    return data[:4] + (len(data) - HEAD_BYTES).to_bytes(4, "big") + data[HEAD_BYTES:]


def lengths_put_right(data: bytes, at: int, difference: int) -> bytes:
    """The message after bytes came or went at a place: the structures around it are as long as they say again."""
    spoiled = bytearray(data)
    for start, stop in places(data):
        if start < at < stop and data[start + 3] == nodes.STRUCTURE:
            length = int.from_bytes(data[start + 4 : start + 8], "big") + difference
            spoiled[start + 4 : start + 8] = max(length, 0).to_bytes(4, "big")
    return bytes(spoiled)


def spoil(random: Random, data: bytes, other: bytes) -> bytes:
    """One change: a number, a type, a tag, bytes; an item taken away, doubled, or brought from another message."""
    inner = [place for place in places(data) if place.start]
    if not inner:
        return data
    start, stop = random.choice(inner)
    kind = random.randrange(6)
    if kind == 0:
        return data[: start + 3] + bytes([random.randrange(13)]) + data[start + 4 :]
    if kind == 1:
        return data[: start + 1] + random.randbytes(2) + data[start + 3 :]
    if kind == 2 and stop - start == 16:
        value = random.choice(NUMBERS).to_bytes(4, "big")
        return data[: start + 8] + random.choice((value + bytes(4), bytes(4) + value, value * 2)) + data[stop:]
    if kind == 3:
        at = random.randrange(start, stop)
        return data[:at] + random.randbytes(1) + data[at + 1 :]
    strangers = list(places(other))
    brought = {4: b"", 5: data[start:stop] * 2}.get(kind)
    if brought is None:
        come = random.choice(strangers)
        brought = other[come.start : come.stop]
    difference = len(brought) - (stop - start)
    right = lengths_put_right(data, start, difference)
    return right[:start] + brought + right[stop:]


def edges(run: Callable[[bytes], None], data: bytes, folder: Path) -> set[Edge]:
    """Run with an input; from which line to which the code below a folder went."""
    prefix = str(folder)
    seen: set[Edge] = set()

    def enter(frame: FrameType, _event: str, _argument: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(prefix):
            return None
        before = frame.f_code.co_firstlineno

        def step(inside: FrameType, _event: str, _argument: Any) -> Any:
            nonlocal before
            seen.add((name, before, inside.f_lineno))
            before = inside.f_lineno
            return step

        return step

    known = sys.gettrace()
    sys.settrace(enter)
    try:
        run(data)
    finally:
        sys.settrace(known)
    return seen


def explore(
    run: Callable[[bytes], None], seeds: Iterable[bytes], folder: Path, *, runs_count: int, random: Random
) -> tuple[int, int]:
    """Spoil what is interesting again and again.

    Args:
        run: Raises when an input breaks a rule.
        seeds: Good inputs.
        folder: Of the code that is to be covered.
        runs_count: How often to run.
        random: Source of all choices, so that a finding can be repeated.

    Returns: edges that the seeds cover, edges covered in the end.
    """
    corpus = list(seeds)
    seen: set[Edge] = set().union(*(edges(run, seed, folder) for seed in corpus))
    by_seeds_count = len(seen)
    for _ in range(runs_count):
        data = random.choice(corpus)
        for _ in range(random.randrange(1, 4)):
            data = spoil(random, data, random.choice(corpus))
        new = edges(run, framed(data), folder) - seen
        if new:
            seen |= new
            corpus.append(framed(data))
    return by_seeds_count, len(seen)
