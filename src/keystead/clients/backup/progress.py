"""Progress of a long run: how much is done, how fast, and how long it will still take."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

SHOWN_EVERY_S = 1.0
_MIB = 1024 * 1024


@dataclass(slots=True)
class Progress:
    """Counts what is done and shows it on standard error, at most once a second.

    Attributes:
        what: Word for what is going on, such as "backing up".
        quiet: Show nothing.
        total_files: Files that there are to do; 0 while that is unknown.
        total_bytes: Bytes of them.
        clock: Seconds that never go back.
    """

    what: str
    quiet: bool = False
    total_files: int = 0
    total_bytes: int = 0
    files: int = 0
    bytes: int = 0
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _shown: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self._shown = self.clock()

    def add(self, files: int, content_bytes: int) -> None:
        """Count, and show a line when it is time."""
        self.files += files
        self.bytes += content_bytes
        if not self.quiet and self.clock() - self._shown >= SHOWN_EVERY_S:
            self._shown = self.clock()
            self._show(self.line())

    def line(self) -> str:
        """Return what is done, the rate and the time left."""
        spent = max(self.clock() - self._began, 1e-6)
        rate = self.bytes / spent
        done = f"{self.what}: {self.files} files, {self.bytes / _MIB:.1f} MiB"
        if self.total_bytes:
            done += f" of {self.total_bytes / _MIB:.1f} MiB ({min(100, 100 * self.bytes // self.total_bytes)} %)"
        done += f", {rate / _MIB:.1f} MiB/s"
        if self.total_bytes and rate:
            done += f", {duration(max(0, self.total_bytes - self.bytes) / rate)} left"
        return done

    def end(self) -> None:
        """Show where it ended, unless nothing was shown."""
        if not self.quiet and self._shown > self._began:
            self._show(self.line())
            if sys.stderr.isatty():
                sys.stderr.write("\n")

    def _show(self, line: str) -> None:
        sys.stderr.write(f"\r{line}\033[K" if sys.stderr.isatty() else f"{line}\n")
        sys.stderr.flush()


def duration(seconds: float) -> str:
    """Return a time span as people say it."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
