"""Walks folders in the order of the list of entries. Links are never followed; what is no file is named and left out.

Source: requirement DS-001.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from keystead.clients.backup.entries import PATH_BYTES_MAX, Entry, Form, Stamp, shown
from keystead.clients.backup.snapshots import Root
from keystead.core.errors import Invalid
from keystead.custody.safeguard.depot import Area

Told = Callable[[str], None]
_FORMS = {stat.S_IFDIR: Form.FOLDER, stat.S_IFREG: Form.FILE, stat.S_IFLNK: Form.LINK}


@dataclass(frozen=True, slots=True)
class Count:
    """How much there is: files and their bytes."""

    files: int
    bytes: int


def roots_of(own: list[Path], common: list[Path]) -> tuple[Root, ...]:
    """Return what is to be backed up, sorted; the nearest root above a file decides its area.

    Raises:
        Invalid: nothing is named, a path does not exist, or one is named for both areas.
    """
    found: dict[bytes, Area] = {}
    for area, paths in ((Area.CLIENT, own), (Area.ACCOUNT, common)):
        for path in paths:
            if not path.exists():
                raise Invalid(f"there is no {path}")
            name = os.path.realpath(os.fsencode(path))
            if found.setdefault(name, area) is not area:
                raise Invalid(f"{path} is named both for this client and for the account")
    if not found:
        raise Invalid("name at least one folder to back up")
    return tuple(Root(path, found[path]) for path in sorted(found))


def walk(roots: tuple[Root, ...], told: Told) -> Iterator[Entry]:
    """Give the entries of all roots and of the folders above them, in order.

    Args:
        roots: From `roots_of`.
        told: Called with one sentence for each thing that is left out.
    """
    areas = {_names(root.path): root.area for root in roots}
    yield from _walk_folder((), areas, None, told)


def _walk_folder(
    path: tuple[bytes, ...], areas: dict[tuple[bytes, ...], Area], inside: Area | None, told: Told
) -> Iterator[Entry]:
    """Go through a folder; outside of all roots only what leads to one is looked at."""
    for name in _listed(path, areas, inside, told):
        here = (*path, name)
        area = areas.get(here, inside)
        entry = _entry(here, area, told)
        if entry is None:
            continue
        if len(b"/".join(here)) > PATH_BYTES_MAX:
            told(f"left out, its path is too long: {shown(here)}")
            continue
        yield entry
        if entry.form is Form.FOLDER:
            yield from _walk_folder(here, areas, area, told)


def _listed(
    path: tuple[bytes, ...], areas: dict[tuple[bytes, ...], Area], inside: Area | None, told: Told
) -> list[bytes]:
    if inside is None and path not in areas:
        return sorted({root[len(path)] for root in areas if root[: len(path)] == path and len(root) > len(path)})
    try:
        return sorted(entry.name for entry in os.scandir(full(path)))
    except OSError as error:
        told(f"left out, {error.strerror}: {shown(path)}")
        return []


def _entry(path: tuple[bytes, ...], area: Area | None, told: Told) -> Entry | None:
    try:
        status = os.lstat(full(path))
        form = _FORMS.get(stat.S_IFMT(status.st_mode))
        target = os.readlink(full(path)) if form is Form.LINK else b""  # noqa: PTH115  # paths are bytes
    except OSError as error:
        told(f"left out, {error.strerror}: {shown(path)}")
        return None
    if form is None:
        told(f"left out, neither file, folder nor link: {shown(path)}")
        return None
    size = status.st_size if form is Form.FILE else 0
    stamp = Stamp(size, status.st_mtime_ns, max(0, status.st_ctime_ns), status.st_ino)
    owner = (status.st_uid, status.st_gid)
    entry = Entry(path, form, stat.S_IMODE(status.st_mode), owner, stamp, target)
    entry.area = area or Area.CLIENT
    return entry


def count(roots: tuple[Root, ...]) -> Count:
    """Count what there is, for the time left; what cannot be read is not counted."""
    files = content_bytes = 0
    for entry in walk(roots, lambda _: None):
        if entry.form is Form.FILE:
            files += 1
            content_bytes += entry.stamp.size
    return Count(files, content_bytes)


def full(path: tuple[bytes, ...]) -> bytes:
    """Return the absolute path of names."""
    return b"/" + b"/".join(path)


def _names(path: bytes) -> tuple[bytes, ...]:
    return tuple(name for name in path.split(b"/") if name)
