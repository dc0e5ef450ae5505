"""`keystead verify`: walk a whole store and name every row that is not as it was written.

Time is linear in the size of the store, memory is bounded, nothing is written. What it cannot see alone is a whole file
put back to an earlier state, which agrees with itself: for that it needs an anchor from outside the store's folder.

Source: design.md law 6, section 6 ("rollback"); requirements KS-LOG-033; attacks.md class 43.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Protocol

from keystead.core.errors import Tampered
from keystead.storage.findings import Finding
from keystead.storage.identity import Identity
from keystead.storage.journal import Root
from keystead.storage.statements import ROOT, Statements
from keystead.storage.store import Anchor
from keystead.storage.verify_records import Asked, RecordWalk
from keystead.storage.verify_trails import Known, Link, Trail, audit_links, journal_links

FINDINGS_COUNT_MAX = 10_000
PROGRESS_ROWS_COUNT = 1000  # between two calls of `progress`

NO_WITNESS = "without a witness outside this folder, a rollback of the whole store is not detectable"

Progress = Callable[[int, int], None]
"""Called with rows walked so far and about how many there are."""


class Walkable(Protocol):
    """A store of any engine, as verification needs it."""

    @property
    def identity(self) -> Identity:
        """Return which store it is."""

    @property
    def statements(self) -> Statements:
        """Return what its engine spells in its own way."""

    def walk(self) -> AbstractContextManager[Asked]:
        """Open something to ask that sees one state of the store for as long as it takes. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a walk has found.

    Attributes:
        findings: What is wrong, at most FINDINGS_COUNT_MAX of it.
        omitted_count: Findings beyond that.
        rows_count: Rows walked: journal, audit, records.
        note: What the walk could or could not judge, in one sentence.
    """

    findings: tuple[Finding, ...]
    omitted_count: int
    rows_count: int
    note: str


def verify_store(store: Walkable, progress: Progress | None = None, anchor: Anchor | None = None) -> Report:
    """Walk a store that was opened with `check=False`.

    Args:
        store: Of any size; others may go on writing to it, the walk sees it as it stands at its start.
        progress: Called now and then.
        anchor: Where the store stood when a witness last saw it (`Store.anchor`).

    Raises:
        Unavailable: the file cannot be read.
    """
    with store.walk() as asked:
        return _report(_Walk(store, asked, anchor), progress)


def _report(walk: "_Walk", progress: Progress | None) -> Report:
    findings: list[Finding] = []
    found_count = 0
    for row_number, step in enumerate(walk.steps()):
        if step is not None:
            found_count += 1
            if found_count <= FINDINGS_COUNT_MAX:
                findings.append(step)
        if progress is not None and row_number % PROGRESS_ROWS_COUNT == 0:
            progress(row_number, max(row_number, walk.expected_count))
    return Report(tuple(findings), found_count - len(findings), walk.rows_count, walk.note)


class _Walk:
    """One walk in a read transaction."""

    def __init__(self, store: Walkable, asked: Asked, anchor: Anchor | None) -> None:
        self._store = store
        self._asked = asked
        self._anchor = anchor
        self._records = RecordWalk(asked, store.identity.seals, store.statements)
        self._trails_count = 0
        self._root: Root | None = None
        with suppress(Tampered):
            self._root = store.identity.root(asked.execute(ROOT).fetchone())

    @property
    def expected_count(self) -> int:
        """Return about how many rows there are to walk."""
        root = self._root
        return 0 if root is None else root.sequence + root.audit_sequence + root.record_count

    @property
    def rows_count(self) -> int:
        """Return how many rows have been walked, those of the index included."""
        return self._trails_count + self._records.rows_count

    @property
    def note(self) -> str:
        """Return what could be judged about a rollback of the whole store."""
        if self._anchor is None:
            return NO_WITNESS
        return f"compared with a witness that has seen journal row {self._anchor.sequence}"

    def steps(self) -> Iterator[Finding | None]:
        """Yield what is wrong, and None for each row that is right."""
        if self._root is None:
            yield Finding("root", "1", "does not authenticate: changed, deleted, or another store's")
        if self._anchor is not None and self._anchor.store_id != self._store.identity.seals.store_id:
            yield Finding(
                "store", self._store.identity.seals.store_id.hex(), "is not the store that the witness has seen"
            )
            self._anchor = None
        for trail, links in self._trails():
            for step in trail.walk(links):
                self._trails_count += 1
                yield step
        yield from self._records.walk()
        yield from self._sum()

    def _trails(self) -> Iterator[tuple[Trail, Iterator[Link]]]:
        seals, root, seen = self._store.identity.seals, self._root, self._anchor
        first = Root.first(seals, self._store.identity.marks_mac)
        ends = (None, None) if root is None else _ends(root)
        witnesses = (None, None) if seen is None else _ends(seen)
        journal = Trail("journal", seals.chain, first.head, ends[0], witnesses[0])
        audit = Trail("audit", seals.leaf, first.audit_head, ends[1], witnesses[1])
        yield journal, journal_links(self._asked)
        yield audit, audit_links(self._asked)

    def _sum(self) -> Iterator[Finding]:
        root = self._root
        if root is not None and (root.total, root.record_count) != (self._records.total, self._records.record_count):
            what = (
                f"stands for {root.record_count} records as they were last written; the {self._records.record_count} "
                "that are stored are others"
            )
            yield Finding("root", "1", what)


def _ends(of: Root | Anchor) -> tuple[Known, Known]:
    return Known(of.sequence, of.head), Known(of.audit_sequence, of.audit_head)
