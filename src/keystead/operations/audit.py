"""The audit log: showing it, proving an entry of it, and taking a person's name out of it.

Law: nothing here clears, shortens or rotates it; no operation does (KS-LOG-011).

Source: requirements KS-LOG-010, 011, 033; docs/adr/0060-audit-tree.md; attacks.md class 31.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

from keystead.core.changes import Change
from keystead.core.errors import Invalid, NotFound, Unavailable
from keystead.core.fields import Number, Text
from keystead.core.permission import Access
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.storage.audit_tree.files import WIDTH
from keystead.storage.audit_tree.pseudonyms import OPERATION, Act
from keystead.storage.audit_tree.reading import Shown, proof_of, shown
from keystead.trust.notes import VerifierKey

AUDIT = "audit"
"""Service of the gate: the node's audit tree (`KeptAudit`)."""

LISTED_COUNT_MAX = 250
WALKED_BUNDLES_COUNT_MAX = 10  # so that one request does not hold others up
NAME_CHARACTERS_MAX = 256
ENTRIES_COUNT_MAX = 2**53 - 1


class KeptAudit(Protocol):
    """The audit tree as the process that keeps it shows it to operations."""

    @property
    def folder(self) -> Path:
        """Return where it lies."""

    @property
    def key(self) -> VerifierKey | None:
        """Return the key that verifies it, None before it was begun."""

    @property
    def size(self) -> int:
        """Return how many entries the latest checkpoint covers."""

    def state(self) -> "AuditState":
        """Return how it stands, and have what is new taken over soon. Raises Unavailable."""

    def pseudonymise(self, name: str) -> Act:
        """Replace a person's name; may take seconds. Raises Tampered, Unavailable."""


@dataclass(frozen=True, slots=True)
class ShowAuditState:
    """Show how far the audit tree is."""


@dataclass(frozen=True, slots=True)
class AuditState:
    """How the audit tree stands.

    Attributes:
        key: Verifier key, as text; "" before it was begun.
        size: Entries that the latest checkpoint covers.
        behind_count: Leaves in the stores that are not taken over yet.
        trouble: Why taking over has stopped, "" when it has not.
    """

    key: str
    size: int
    behind_count: int
    trouble: str


@dataclass(frozen=True, slots=True)
class ShowAudit:
    """List entries, newest first, at most 250.

    Attributes:
        before: Only entries with a smaller number; -1 = from the newest on.
        limit: At most so many.
        since_us: Only what happened then or later, UTC microseconds.
        named: Only of the operation of this name; "" = all.
        user: Only by this principal; "" = all.
    """

    before: Annotated[int, Number(-1, ENTRIES_COUNT_MAX)] = -1
    limit: Annotated[int, Number(1, LISTED_COUNT_MAX)] = LISTED_COUNT_MAX
    since_us: int = 0
    named: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One entry as people read it.

    Attributes:
        number: In the tree, from 0.
        pseudonymised: A name in it was replaced.
    """

    number: int
    at_us: int
    kind: str
    name: str
    origin: str
    operation: str
    outcome: str
    target: str
    detail: str
    pseudonymised: bool


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A part of the list.

    Attributes:
        lines: Newest first.
        before: Where to go on; 0 = there is no more.
    """

    lines: tuple[AuditLine, ...]
    before: int


@dataclass(frozen=True, slots=True)
class ProveAuditEntry:
    """Prove that an entry is in the tree; `number` counts from 0."""

    number: Annotated[int, Number(0, ENTRIES_COUNT_MAX)]


@dataclass(frozen=True, slots=True)
class Pseudonymise:
    """Replace a person's name in the personal parts of all entries by a pseudonym that is always the same."""

    name: Annotated[str, Text(characters_min=1, characters_max=NAME_CHARACTERS_MAX)]


@dataclass(frozen=True, slots=True)
class Pseudonymised:
    """What was replaced.

    Attributes:
        pseudonym: In place of the name.
        entries_count: Entries that bear it now.
        size: Entries that were looked at.
    """

    pseudonym: str
    entries_count: int
    size: int


@operation(ShowAuditState, "audit.state", "AuditState", administrator=Access.ANY, route="GET /audit")
def show_state(call: Call, _request: ShowAuditState) -> AuditState:
    """Return how the tree stands."""
    return _kept(call).state()


@operation(ShowAudit, "audit.show", "AuditShow", administrator=Access.ANY, route="GET /audit/entries")
def show(call: Call, request: ShowAudit) -> AuditPage:
    """Return entries, newest first, from some bundles; the asker goes on where this has stopped."""
    kept = _kept(call)
    if not 0 < request.limit <= LISTED_COUNT_MAX:
        raise Invalid(f"list 1 to {LISTED_COUNT_MAX} entries at once", "invalid.field")
    before = kept.size if request.before < 0 else min(request.before, kept.size)
    lines: list[AuditLine] = []
    for _ in range(WALKED_BUNDLES_COUNT_MAX):
        if not before:
            break
        bundle = (before - 1) // WIDTH
        for each in reversed(list(shown(kept.folder, kept.size, bundle))):
            if each.number >= before:
                continue
            before = each.number
            line = _line(each)
            if _is_wanted(line, request):
                lines.append(line)
                if len(lines) == request.limit:
                    return AuditPage(tuple(lines), before)
    return AuditPage(tuple(lines), before)


@operation(
    ProveAuditEntry, "audit.prove", "AuditProve", administrator=Access.ANY, route="GET /audit/entries/{number}/proof"
)
def prove(call: Call, request: ProveAuditEntry) -> str:
    """Return the proof as the text of a file."""
    kept = _kept(call)
    if kept.key is None:
        raise NotFound("the audit tree has no entries yet")
    return proof_of(kept.folder, kept.key, request.number).text


@operation(
    Pseudonymise,
    OPERATION,
    "AuditPseudonymise",
    administrator=Access.HIGH_ACCESS,
    route="POST /audit/pseudonyms",
    answer=Pseudonymised,
)
def pseudonymise(call: Call, request: Pseudonymise) -> Change:
    """Replace the name in the files, then have it audited; done again, it replaces what has come since."""
    kept = _kept(call)
    if not request.name or len(request.name) > NAME_CHARACTERS_MAX:
        raise Invalid("name the person whose name is to be replaced", "invalid.field")
    name = request.name
    act: Act = call.made(lambda: kept.pseudonymise(name))
    if not act.entries_count:
        raise NotFound("no entry of the audit log bears this name")
    return Change((), Pseudonymised(act.pseudonym, act.entries_count, act.size), detail=act.detail)


def _kept(call: Call) -> KeptAudit:
    kept: KeptAudit | None = call.desk.services.get(AUDIT)
    if kept is None:
        raise Unavailable("this process keeps no audit log", "unavailable.stopping")
    return kept


def _line(each: Shown) -> AuditLine:
    entry, personal = each.entry, each.kept.personal if each.kept is not None else None
    name, origin, detail = personal or ("?", "?", "")
    return AuditLine(
        *(each.number, entry.at_us, entry.principal_kind, name, origin),
        *(entry.operation, entry.outcome, entry.target, detail),
        pseudonymised=each.kept is not None and bool(each.kept.pseudonyms),
    )


def _is_wanted(line: AuditLine, request: ShowAudit) -> bool:
    if line.at_us < request.since_us or request.named not in {"", line.operation}:
        return False
    return request.user in {"", line.name}
