"""Finding a secret wherever a part of it went, in whatever form."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

WINDOW_BYTES = 8
READ_BYTES = 1 << 20
OVERLAP_BYTES = 256  # more than any needle


def needles(secret: bytes) -> frozenset[bytes]:
    """Every form of every eight bytes in a row: as they are, hexadecimal, base64 anywhere, as Python shows it."""
    found: set[bytes] = set()
    for at in range(max(1, len(secret) - WINDOW_BYTES + 1)):
        window = secret[at : at + WINDOW_BYTES]
        found |= {window, window.hex().encode(), window.hex().upper().encode(), window.hex(" ").encode()}
        found |= {repr(window)[2:-1].encode(), str(list(window))[1:-1].encode(), window[::-1]}
    for at in range(3):
        whole = secret[at : at + (len(secret) - at) // 3 * 3]
        for encoded in (base64.b64encode(whole), base64.urlsafe_b64encode(whole)):
            found |= {encoded[start : start + 12] for start in range(0, max(1, len(encoded) - 11), 4)}
    return frozenset(found)


class Canaries:
    """Secrets by name, and where they were found."""

    def __init__(self, secrets: dict[str, bytes]) -> None:
        self._needles = {name: needles(secret) for name, secret in secrets.items()}

    def inside(self, data: bytes) -> list[str]:
        """The names of secrets of which a part is in these bytes."""
        return [name for name, each in self._needles.items() if any(needle in data for needle in each)]

    def in_files(self, folder: Path, *, but: Iterable[str] = ()) -> list[tuple[str, str]]:
        """(file, secret) for every file below a folder, apart from some below it."""
        left_out = tuple(folder / name for name in but)
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        kept = [path for path in files if not any(path.is_relative_to(other) for other in left_out)]
        assert kept, "there is something to look at"
        return [(str(path), name) for path in kept for piece in _pieces(path) for name in self.inside(piece)]

    def in_processes(self, pid: int) -> list[tuple[int, str]]:
        """(process, secret) for command line and environment of a process and its children."""
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        shown = {
            each.pid: Path(f"/proc/{each.pid}/cmdline").read_bytes() + _environment(each.pid) for each in processes
        }
        return [(number, name) for number, data in shown.items() for name in self.inside(data)]


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except PermissionError:  # hardened, and we are not root
        return b""


def _pieces(path: Path) -> Iterator[bytes]:
    """The file in overlapping pieces."""
    with path.open("rb") as file:
        before = b""
        while part := file.read(READ_BYTES):
            yield before + part
            before = (before + part)[-OVERLAP_BYTES:]
