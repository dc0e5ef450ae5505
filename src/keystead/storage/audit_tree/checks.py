"""What every entry of the audit tree must be in itself: of its form, next in its store, with its own personal part.

Source: docs/adr/0060-audit-tree.md; requirements KS-LOG-033.
"""

from collections.abc import Callable

from keystead.core.errors import Tampered
from keystead.storage.audit_tree.entries import Entry, Kept, read_entry
from keystead.storage.audit_tree.pseudonyms import OPERATION, Act, Numbers


class EntryChecks:
    """Looks at entries one after the other.

    Args:
        add: Takes findings.
        has_personal: There are personal parts at all.

    Attributes:
        acts: Acts of pseudonymising, in order.
        notes: What was not looked at, or was replaced.
    """

    def __init__(self, add: Callable[[str], None], *, has_personal: bool) -> None:
        self.acts: list[Act] = []
        self.notes: list[str] = [] if has_personal else ["there are no personal parts: names cannot be judged"]
        self._add = add
        self._has_personal = has_personal
        self._sequences: dict[str, int] = {}
        self._borne: dict[str, tuple[int, Numbers]] = {}

    def entry(self, number: int, stored: bytes, part: bytes | None) -> None:
        """Look at the next entry and its personal part."""
        try:
            entry = read_entry(stored)
        except Tampered:
            self._add(f"entry {number}: cannot be understood")
            return
        expected = self._sequences.get(entry.file, 0) + 1
        if entry.sequence != expected:
            what = f"leaf {entry.sequence} of the {entry.file} store, where leaf {expected} belongs"
            self._add(f"entry {number}: {what}: missing or out of order")
        self._sequences[entry.file] = entry.sequence
        if self._has_personal:
            self._personal(number, entry, part)

    def finish(self, *, is_whole: bool) -> None:
        """Compare what was replaced with the acts that say so."""
        last = {act.pseudonym: act for act in self.acts}
        for pseudonym, (first, numbers) in sorted(self._borne.items()):
            act = last.get(pseudonym)
            if act is None:
                what = f"{numbers.count} personal parts were replaced by {pseudonym}, and no audited act says so"
                self._add(f"entry {first}: {what}")
                continue
            self.notes.append(f"pseudonymised as {pseudonym} by an audited act: {numbers.count} of the entries")
            if is_whole and numbers.act(pseudonym, act.size) != act:
                what = (
                    f"the act that replaced a name by {pseudonym} speaks of {act.entries_count} entries, not of these"
                )
                self._add(f"entry {first}: {what} {numbers.count}")

    def _personal(self, number: int, entry: Entry, part: bytes | None) -> None:
        try:
            kept = None if part is None else Kept.unpacked(part)
            detail = "" if kept is None else kept.personal.detail
        except Tampered:
            self._add(f"entry {number}: its personal part cannot be understood")
            return
        if kept is None:
            self._add(f"entry {number}: its personal part is missing")
        elif kept.pseudonyms:
            for pseudonym in kept.pseudonyms:
                self._borne.setdefault(pseudonym, (number, Numbers()))[1].add(number)
        elif not kept.fits(entry.commitment):
            self._add(f"entry {number}: its personal part was altered")
        elif (entry.operation, entry.outcome) == (OPERATION, "done"):
            act = Act.of(detail)
            if act is not None:
                self.acts.append(act)
