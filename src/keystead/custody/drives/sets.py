"""Sets on drives: staged on every drive and read back, then valid everywhere at once, by one change of the books.

Law: until the books name the set, the old one holds and what was staged is thrown away; from then on the new one holds,
and whatever drive has it staged still gets it in place at its next visit.

Source: requirements CB-010 to 012; docs/adr/0083.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keystead.core.errors import DeviceFault, KeysteadError, Refused, Tampered
from keystead.custody.drives import files
from keystead.custody.drives.entries import Digests, Reader
from keystead.custody.drives.manifest import SIGNED_BYTES_MAX, Identity, Manifest, read_manifest
from keystead.custody.drives.registry import IDENTITY_FILE, SETS_FOLDER, Registry, check_visit, identify
from keystead.trust.envelope import Envelope, verify
from keystead.trust.origins import OriginKey
from keystead.trust.recipients import Identity as Opener

KIND = "drive-set"
ENVELOPE_FILE, MANIFEST_FILE = "keys", "manifest"
STAGED = ".staged"
SETS_PER_DRIVE_COUNT_MAX = 16
_SPARE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive that is attached.

    Attributes:
        identity: Who it is.
        path: Where it is mounted.
    """

    identity: Identity
    path: Path

    @property
    def sets(self) -> Path:
        """Return the folder of its sets."""
        return self.path / SETS_FOLDER


# -------------------------------------------------------------------------------------------------------------- write


def stage(drive: Drive, source: Path, manifest: Manifest, signed: bytes) -> None:
    """Write a set aside on a drive and read it back.

    Raises:
        DeviceFault: full, pulled, damaged; names the drive.
    """
    folder = drive.sets / (manifest.set_id.hex() + STAGED)
    try:
        if not drive.path.is_dir() or identify_quietly(drive) != drive.identity.id:
            raise DeviceFault(f"the drive {drive.identity.name}: it was pulled, or another is in its place")
        drive.sets.mkdir(exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        room = os.statvfs(drive.path)
        if room.f_bavail * room.f_frsize < manifest.envelope_bytes + _SPARE_BYTES:
            raise DeviceFault(f"the drive {drive.identity.name}: it is full")
        folder.mkdir()
        files.copy(source, folder / ENVELOPE_FILE)
        files.replace(folder / MANIFEST_FILE, signed)
        files.flush_folder(drive.sets)
        told = files.digest_from_medium(folder / ENVELOPE_FILE)
        is_same = files.read_small(folder / MANIFEST_FILE, SIGNED_BYTES_MAX) == signed
    except OSError as error:
        raise DeviceFault(f"the drive {drive.identity.name}: {files.why(error)}") from None
    if told != (manifest.envelope_bytes, manifest.envelope_digest) or not is_same:
        raise DeviceFault(f"the drive {drive.identity.name}: what was written reads back differently; do not use it")


def identify_quietly(drive: Drive) -> bytes:
    """Return the id that the drive's file holds now; empty if there is none. Its signature was checked before."""
    try:
        data = (drive.path / IDENTITY_FILE).read_bytes()
    except OSError:
        return b""
    return drive.identity.id if drive.identity.id in data else b""


def tidy(drive: Drive, newest: bytes) -> bool:
    """Put a staged set in its place if the books name it, and throw away any other.

    Returns: True = the drive holds the newest set.

    Raises:
        DeviceFault: it cannot be written; names the drive.
    """
    try:
        if not drive.sets.is_dir():
            return False
        for folder in sorted(drive.sets.iterdir()):
            if not folder.name.endswith(STAGED):
                continue
            if newest and folder.name == newest.hex() + STAGED:
                folder.rename(drive.sets / newest.hex())
            else:
                shutil.rmtree(folder)
        files.flush_folder(drive.sets)
        return bool(newest) and (drive.sets / newest.hex()).is_dir()
    except OSError as error:
        raise DeviceFault(f"the drive {drive.identity.name}: {files.why(error)}") from None


def drop_older(drive: Drive, newest: bytes) -> None:
    """Remove every other set of a drive that has the newest one."""
    try:
        if (drive.sets / newest.hex()).is_dir():
            for folder in drive.sets.iterdir():
                if folder.name != newest.hex():
                    shutil.rmtree(folder)
            files.flush_folder(drive.sets)
    except OSError as error:
        raise DeviceFault(f"the drive {drive.identity.name}: {files.why(error)}") from None


# --------------------------------------------------------------------------------------------------------------- read


@dataclass(frozen=True, slots=True)
class Found:
    """A set on a drive.

    Attributes:
        drive: Which.
        folder: Of the set.
        manifest: Its signature holds, and it names the drive.
    """

    drive: Drive
    folder: Path
    manifest: Manifest


def look(
    paths: Sequence[Path], registry: Registry, origins: Mapping[bytes, OriginKey]
) -> tuple[list[Found], dict[str, str]]:
    """Look through drives; nothing is written to them.

    Returns: sets that can be tried, and drive -> what is wrong with it.
    """
    found: list[Found] = []
    wrong: dict[str, str] = {}
    for path in paths:
        try:
            identity = identify(path, origins)
            check_visit(registry, path, identity)
            sets = list(_sets(Drive(identity, path), origins))
            if not sets:
                wrong[identity.name] = f"the drive {identity.name}: no set is on it"
            found += sets
        except KeysteadError as error:
            wrong[path.name] = error.message
        except OSError as error:
            wrong[path.name] = f"the drive at {path.name}: {files.why(error)}"
    return found, wrong


def _sets(drive: Drive, origins: Mapping[bytes, OriginKey]) -> Iterator[Found]:
    if not drive.sets.is_dir():
        return
    folders = sorted(each for each in drive.sets.iterdir() if not each.name.endswith(STAGED))
    for folder in folders[:SETS_PER_DRIVE_COUNT_MAX]:
        try:
            manifest = read_manifest(files.read_small(folder / MANIFEST_FILE, SIGNED_BYTES_MAX), origins)
        except (KeysteadError, OSError) as error:
            told = error.message if isinstance(error, KeysteadError) else files.why(error)
            raise Tampered(f"the drive {drive.identity.name} is damaged: {told}") from None
        if drive.identity.id not in manifest.drives or folder.name != manifest.set_id.hex():
            raise Tampered(f"the drive {drive.identity.name} holds a set that was not written to it")
        yield Found(drive, folder, manifest)


def choose(found: Sequence[Found], newest: bytes, wanted: bytes) -> list[Found]:
    """Return the drives to try: those with the wanted set, else with the newest that the node made.

    Raises:
        Refused: the newest is on none of them, or, where the node does not know, they hold different sets.
    """
    target = wanted or newest
    ids = sorted({each.manifest.set_id for each in found})
    if not target and len(ids) > 1:
        raise Refused(f"the drives hold {len(ids)} different sets; say which: {', '.join(one.hex() for one in ids)}")
    fitting = [each for each in found if not target or each.manifest.set_id == target]
    if fitting or not found:
        return fitting
    names = ", ".join(sorted({each.drive.identity.name for each in found}))
    raise Refused(f"{names}: an older set than the newest that was made; name its id to restore it all the same")


def opened(found: Found, origins: Mapping[bytes, OriginKey], openers: Sequence[Opener]) -> Envelope:
    """Check a set whole: digest, signature, every object, counts; nothing is used before.

    Raises:
        Tampered: damaged; names the drive. Others: it does not open here.
    """
    name, manifest = found.drive.identity.name, found.manifest
    try:
        if files.digest_from_medium(found.folder / ENVELOPE_FILE) != (
            manifest.envelope_bytes,
            manifest.envelope_digest,
        ):
            raise Tampered("its set was changed or cut off")
        return _checked(found, origins, openers)
    except OSError as error:
        raise DeviceFault(f"the drive {name}: {files.why(error)}") from None
    except Tampered as error:
        raise Tampered(f"the drive {name} is damaged: {error.message}") from None


def _checked(found: Found, origins: Mapping[bytes, OriginKey], openers: Sequence[Opener]) -> Envelope:
    source = (found.folder / ENVELOPE_FILE).open("rb")
    try:
        envelope = verify(source, origins, KIND)
        if envelope.header.about.get("set") != found.manifest.set_id:
            raise Tampered("its keys are of another set than its manifest")
        _check_content(envelope, openers, found.manifest)
    except BaseException:
        source.close()
        raise
    return envelope


def _check_content(envelope: Envelope, openers: Sequence[Opener], manifest: Manifest) -> None:
    reader, digests = Reader(envelope.open(openers)), Digests()
    for entry, record in reader.entries():
        digests.add(entry.place, record)
    if digests.partitions() != manifest.partitions or len(reader.unsaved) != manifest.unsaved_count:
        raise Tampered("its keys are not those that its manifest counts")
