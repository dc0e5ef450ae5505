"""Simulated power cut: a preloaded library that keeps a second copy of a data folder with only what was flushed.

Usage: start the program with ``PowerCut(data, mirror).environment()``, kill its process group with SIGKILL, then
``cut()``: the data folder then holds what a disk would hold that wrote nothing it was not told to flush. With a seed,
some of what was not flushed survives all the same, in blocks and torn blocks, as on a disk that wrote a part by itself.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import random
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCES = ("shim.c", "mirror.c", "mirror.h")
BLOCK_BYTES = 4096
SECTOR_BYTES = 512
AT_FDCWD, AT_SYMLINK_NOFOLLOW, STATX_BASIC_AND_BIRTH, STATX_BYTES = -100, 0x100, 0xFFF, 256


class PowerCutError(Exception):
    """The library cannot be built or its mirror cannot be read; the message says which and why."""


@dataclass(frozen=True)
class Loss:
    """What a cut took: blocks of 4 KiB that were written but not flushed, and folder entries that differ."""

    blocks: int
    entries: int


@dataclass(frozen=True)
class Entry:
    """One flushed name in a folder; kind is f(ile), d(irectory) or l(ink), target is a link's."""

    kind: str
    key: str
    mode: int
    name: str
    target: str = ""


def library() -> Path:
    """Compile the library once per version of its source, into a private folder under the temporary directory.

    Raises:
        PowerCutError: no C compiler, or it refused the source.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256(b"".join((here / name).read_bytes() for name in SOURCES)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"powercut-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PowerCutError(f"{folder} belongs to another user; remove it")
    built = folder / f"powercut-{digest}.so"
    if not built.exists():
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise PowerCutError("no C compiler: install gcc to simulate power cuts")
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            fresh = Path(scratch) / built.name
            command = [
                compiler,
                "-shared",
                "-fPIC",
                "-O2",
                "-o",
                str(fresh),
                str(here / "shim.c"),
                str(here / "mirror.c"),
            ]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            if done.returncode:
                raise PowerCutError(f"{' '.join(command)} failed:\n{done.stderr}")
            fresh.replace(built)
    return built


def key_of(path: Path) -> str:
    """What the mirror calls a file: inode number and birth time, which os.stat does not tell (statx(2))."""
    facts = ctypes.create_string_buffer(STATX_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.statx(AT_FDCWD, os.fsencode(path), AT_SYMLINK_NOFOLLOW, STATX_BASIC_AND_BIRTH, facts):
        raise PowerCutError(f"{path}: {os.strerror(ctypes.get_errno())}")
    (inode,) = struct.unpack_from("=Q", facts, 32)
    seconds, nanoseconds = struct.unpack_from("=qI", facts, 80)
    return f"{inode}-{seconds}.{nanoseconds:09}"


class PowerCut:
    """One data folder with its simulated disk.

    Args:
        data: folder that the program under test writes; made when missing.
        mirror: empty or missing folder for the state of the simulated disk, outside the data folder.
    """

    def __init__(self, data: Path, mirror: Path) -> None:
        self.data = data
        self.mirror = mirror
        data.mkdir(parents=True, exist_ok=True)
        mirror.mkdir(parents=True, exist_ok=True)

    def environment(self) -> dict[str, str]:
        """Variables for the program under test and its children; what the folder holds at first counts as flushed."""
        return {"LD_PRELOAD": str(library()), "POWERCUT_DIR": str(self.data), "POWERCUT_SHADOW": str(self.mirror)}

    @property
    def has_run(self) -> bool:
        """Whether a program has begun under the library since the last cut."""
        return (self.mirror / "root").exists()

    def cut(self, seed: int | None = None) -> Loss:
        """Make the data folder what the disk would hold now; every process of the program must be dead.

        Args:
            seed: None keeps only what was flushed. A number lets a random part of the rest survive as well.

        Raises:
            PowerCutError: no program ran under the library since the last cut.
        """
        if not self.has_run:
            raise PowerCutError("nothing ran under the library: was its environment passed on?")
        disk = _Disk(self.mirror, self.data)
        loss = Loss(disk.unflushed_blocks(), disk.unflushed_entries())
        if seed is not None:
            disk.write_back(random.Random(seed))
        _empty(self.data)
        disk.restore((self.mirror / "root").read_text(), self.data)
        _empty(self.mirror)
        return loss


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


class _Disk:
    """The mirror beside the data folder as the page cache holds it (formats: mirror.h, mirror.c)."""

    def __init__(self, mirror: Path, data: Path) -> None:
        self.mirror = mirror
        self.data = data
        self.real = {key_of(path): path for path in [data, *data.rglob("*")]}

    def entries(self, key: str) -> list[Entry]:
        """Flushed entries of the folder; none when it was never flushed."""
        listing = self.mirror / f"{key}.list"
        fields = iter(listing.read_bytes().decode().split("\0")[:-1] if listing.exists() else [])
        found = []
        for field in fields:
            kind, inode, mode, name = field.split(" ", 3)
            found.append(Entry(kind, inode, int(mode, 8), name, next(fields) if kind == "l" else ""))
        return found

    def unflushed_blocks(self) -> int:
        return sum(len(self._written(path)[1]) for path in self.mirror.glob("*.marks") if self._path(path) is not None)

    def unflushed_entries(self) -> int:
        return sum(len(self._names(path) ^ {e.name for e in self.entries(key)}) for path, key in self._folders())

    def restore(self, key: str, target: Path) -> None:
        """Rebuild the folder from its flushed entries, downwards."""
        for entry in self.entries(key):
            path = target / entry.name
            if entry.kind == "l":
                path.symlink_to(entry.target)
            elif entry.kind == "d":
                path.mkdir()
                self.restore(entry.key, path)
                path.chmod(entry.mode)
            else:
                content = self.mirror / f"{entry.key}.data"
                path.write_bytes(content.read_bytes() if content.exists() else b"")
                path.chmod(entry.mode)

    def write_back(self, chance: random.Random) -> None:
        """Let some unflushed blocks (whole or torn) and some folders' entries (all or none) reach the disk."""
        for marks in sorted(self.mirror.glob("*.marks")):
            real = self._path(marks)
            if real is not None:
                self._write_back_file(real, marks, chance)
        for path, key in self._folders():
            if chance.random() < 0.5:
                self._write_back_folder(path, key)

    def _write_back_file(self, real: Path, marks: Path, chance: random.Random) -> None:
        lowest_bytes, blocks = self._written(marks)
        flushed = marks.with_suffix(".data")
        content = bytearray(flushed.read_bytes() if flushed.exists() else b"")
        current = real.read_bytes()
        if chance.random() < 0.5:
            del content[min(lowest_bytes, len(content)) :]
        for block in blocks:
            fate = chance.random()
            if fate < 0.5:
                continue
            kept_bytes = BLOCK_BYTES if fate < 0.8 else SECTOR_BYTES * chance.randrange(1, BLOCK_BYTES // SECTOR_BYTES)
            start = block * BLOCK_BYTES
            piece = current[start : start + kept_bytes]
            content.extend(bytes(max(0, start - len(content))))
            content[start : start + len(piece)] = piece
        flushed.write_bytes(content)

    def _write_back_folder(self, path: Path, key: str) -> None:
        records = bytearray()
        for child in sorted(path.iterdir()):
            facts = child.lstat()
            kind = "l" if child.is_symlink() else "d" if child.is_dir() else "f" if child.is_file() else ""
            if kind and child.name in self._names(path):
                records += f"{kind} {key_of(child)} {facts.st_mode & 0o7777:o} {child.name}\0".encode()
                records += f"{child.readlink()}\0".encode() if kind == "l" else b""
        (self.mirror / f"{key}.list").write_bytes(records)

    def _folders(self) -> list[tuple[Path, str]]:
        return [(path, key) for key, path in self.real.items() if path.is_dir() and not path.is_symlink()]

    def _names(self, folder: Path) -> set[str]:
        kinds = (Path.is_symlink, Path.is_dir, Path.is_file)
        return {p.name for p in folder.iterdir() if not p.name.endswith("-shm") and any(kind(p) for kind in kinds)}

    def _path(self, marks: Path) -> Path | None:
        return self.real.get(marks.stem)

    def _written(self, marks: Path) -> tuple[int, list[int]]:
        """Smallest size since the last flush (2**64 - 1 if it never shrank) and the blocks written since."""
        with marks.open("rb") as file:
            lowest_bytes = int.from_bytes(file.read(8), "little")
            file.seek(24)
            words = file.read()
        blocks = []
        for at in range(0, len(words.rstrip(b"\0")), 8):
            word = int.from_bytes(words[at : at + 8], "little")
            blocks += [at * 8 + bit for bit in range(64) if word >> bit & 1]
        return lowest_bytes, blocks
