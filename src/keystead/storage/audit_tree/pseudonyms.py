"""Replacing a person's name in the personal parts of the audit tree; entries, hashes and checkpoints stay as they are.

What is replaced loses its salt, so that nobody can test guesses against the commitment, and is marked. The act has an
audit leaf of its own that names the pseudonym, how many entries bear it up to where, and a digest over their numbers.

Source: docs/adr/0060-audit-tree.md.
"""

import re
import struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from keystead.storage.audit_tree.entries import Kept, Personal
from keystead.storage.audit_tree.files import WIDTH, Writing, packed_personal, personal_path
from keystead.storage.audit_tree.tree import read_personal

OPERATION = "audit.pseudonymise"
PSEUDONYM = re.compile(r"person-[0-9a-f]{16}")
NO_ORIGIN = "-"
_ACT = re.compile(rf"({PSEUDONYM.pattern}) in (\d{{1,19}}) entries of the first (\d{{1,19}}), digest ([0-9a-f]{{64}})")
_NUMBER = struct.Struct(">Q")


class Act(NamedTuple):
    """What an act of pseudonymising says of itself.

    Attributes:
        pseudonym: Put in place of the name.
        entries_count: That bear it.
        size: Among so many first entries.
        digest: SHA-256 over their numbers, 8 bytes each, in hexadecimal.
    """

    pseudonym: str
    entries_count: int
    size: int
    digest: str

    @property
    def detail(self) -> str:
        """Words for the audit leaf."""
        return f"{self.pseudonym} in {self.entries_count} entries of the first {self.size}, digest {self.digest}"

    @classmethod
    def of(cls, detail: str) -> "Act | None":
        """Read the words of an audit leaf."""
        found = _ACT.fullmatch(detail)
        return None if found is None else cls(found[1], int(found[2]), int(found[3]), found[4])


class Numbers:
    """Digest over the numbers of entries that bear a pseudonym, in order."""

    def __init__(self) -> None:
        self.count = 0
        self._digest = sha256()

    def add(self, number: int) -> None:
        """Take in the next entry."""
        self.count += 1
        self._digest.update(_NUMBER.pack(number))

    def act(self, pseudonym: str, size: int) -> Act:
        """Return what an act over the first `size` entries says."""
        return Act(pseudonym, self.count, size, self._digest.hexdigest())


def pseudonymise(folder: Path, size: int, name: str, pseudonym: str) -> Act:
    """Replace a name; a bundle's file is replaced as a whole, so that what was killed in between is done by the next.

    Args:
        folder: Of the tree; nobody extends it meanwhile.
        size: Entries to look at.
        name: Of the person.
        pseudonym: As `PSEUDONYM`.

    Raises:
        Tampered: a file cannot be understood. OSError: one cannot be written.
    """
    numbers, writing = Numbers(), Writing(folder)
    whole = _whole(name)
    for bundle in range((size + WIDTH - 1) // WIDTH):
        parts = read_personal(folder, bundle)
        changed = list(_changed(parts, name, whole, pseudonym))
        for place, kept in enumerate(changed):
            number = bundle * WIDTH + place
            if number < size and pseudonym in kept.pseudonyms:
                numbers.add(number)
        packed = [kept.packed() for kept in changed]
        if packed != parts:
            writing.replace(personal_path(bundle), packed_personal(packed))
    writing.flush()
    return numbers.act(pseudonym, size)


def _changed(parts: list[bytes], name: str, whole: re.Pattern[str], pseudonym: str) -> Iterator[Kept]:
    for part in parts:
        kept = Kept.unpacked(part)
        before = kept.personal
        after = _without(before, name, whole, pseudonym)
        yield kept if after == before else kept.replaced(after, pseudonym)


def _without(personal: Personal, name: str, whole: re.Pattern[str], pseudonym: str) -> Personal:
    """Return a part without the name, and without the address where it is the person's own."""
    detail = whole.sub(pseudonym, personal.detail)
    if personal.name != name:
        return personal._replace(detail=detail)
    if personal.origin != NO_ORIGIN:
        detail = detail.replace(personal.origin, NO_ORIGIN)
    return Personal(pseudonym, NO_ORIGIN, detail)


def _whole(name: str) -> re.Pattern[str]:
    """Return what finds the name, and not a longer one that it is part of."""
    return re.compile(rf"(?<![A-Za-z0-9_])(?<![A-Za-z0-9_][.-]){re.escape(name)}(?![A-Za-z0-9_]|[.-][A-Za-z0-9_])")
