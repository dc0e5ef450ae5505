"""How far a module has come with a long file, for who waits at a terminal."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from keystead.core.translation import tr

LOOK_S = 0.5
_SHOWN_FROM_S = 1.0


@contextmanager
def shown(descriptor: int, expected_bytes: int) -> Iterator[None]:
    """Show, while the body runs, how much of a file has been written, how fast, and how long it will take.

    Args:
        descriptor: Of the file that grows.
        expected_bytes: About how long it will be.
    """
    if not sys.stderr.isatty():
        yield
        return
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(descriptor, expected_bytes, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def line(done_bytes: int, expected_bytes: int, passed_s: float) -> str:
    """Return what is shown: share, rate in MB/s, seconds left."""
    rate = done_bytes / max(passed_s, 0.001)
    left_s = max(0, expected_bytes - done_bytes) / max(rate, 1)
    share = min(100, 100 * done_bytes // max(expected_bytes, 1))
    return tr("{share:3} %, {rate:.0f} MB/s, {left:.0f} s left", share=share, rate=rate / 1e6, left=left_s)


def _watch(descriptor: int, expected_bytes: int, ended: threading.Event) -> None:
    began_s = time.monotonic()
    while not ended.wait(LOOK_S):
        passed_s = time.monotonic() - began_s
        if passed_s >= _SHOWN_FROM_S:
            print(f"\r{line(os.fstat(descriptor).st_size, expected_bytes, passed_s)}  ", end="", file=sys.stderr)
    if time.monotonic() - began_s >= _SHOWN_FROM_S:
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
