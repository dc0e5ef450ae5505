"""The contract of a store: authenticated records, sealed materials, journal and audit leaves, in one transaction.

A store is not trusted (design.md law 6): whoever opens one gives it keys (`StoreKeys`) with which every document is
authenticated on the way in and checked on the way out. Readers are cheap and belong to one thread; one writer per
process applies groups of transactions.

Source: design.md sections 5 to 7; cluster.md section 3; requirements KS-GEN-006.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, Protocol

from keystead.core.attributes import Value
from keystead.core.changes import SealedMaterial, Transaction
from keystead.core.errors import KeysteadError
from keystead.core.records import ROOT_REALM, ManagedObject, Record

LOCATE_COUNT_MAX = 1000  # answers without Maximum Items (KS-KMIP-043)
LOCATE_MATCHES_COUNT_MAX = 64  # conditions of one search
LOCATE_OFFSET_MAX = 100_000  # hits that a search may leave out; each is checked like one that counts
LOCATE_MISSES_COUNT_MAX = 10_000  # objects looked at in vain before a search is refused as too wide
CHANGES_COUNT_MAX = 10_000  # more than this since the last look: forget the whole cache

LOCATE_PLACES_COUNT_MAX = 4_000  # owners and groups whose objects one search merges

EVERYWHERE = ("everywhere",)
"""Scopes of a search that looks at the objects of everybody."""

KIND_COUNTER = "counter"
"""Kind of the records that count what is reserved of a budget (gate.leases); every store takes them."""


@dataclass(frozen=True, slots=True)
class StoreKeys:
    """Keys that authenticate a store; derived from the node key, never stored beside it. 32 bytes each.

    Attributes:
        record: HMAC-SHA256 key of documents.
        chain: HMAC-SHA256 key of the journal's chain and of the root.
        audit: HMAC-SHA256 key of audit leaves.
    """

    record: bytes = field(repr=False)
    chain: bytes = field(repr=False)
    audit: bytes = field(repr=False)


class Match(NamedTuple):
    """One condition of a search: an attribute instance equal to a value, or within dates.

    Attributes:
        name: Attribute name as in core.attributes ("Name", "Object Group", "State", "x-Vendor").
        value: Equal to this; for a date attribute with `until`, the start of the range (inclusive).
        until: End of the range (inclusive), only for date attributes.
    """

    name: str
    value: Value
    until: Value | None = None


class Query(NamedTuple):
    """A search for managed objects.

    Attributes:
        scopes: From authorize.scopes_of; nothing outside them is looked at. EVERYWHERE: everybody's objects.
        matches: All must hold; empty = everything in the scopes.
        now_us: Decides the state of objects whose dates have passed.
        offset_count: Hits to leave out at the beginning.
        limit_count: 1 to LOCATE_COUNT_MAX.
        destroyed: Also objects in a destroyed state.
        below: Only objects older than the one of this id, "" = all: where the page before ended. Going by age the other
            way, only newer ones.
        oldest_first: Go by age the other way.
    """

    realm: str
    scopes: tuple[str, ...]
    matches: tuple[Match, ...]
    now_us: int
    offset_count: int = 0
    limit_count: int = LOCATE_COUNT_MAX
    destroyed: bool = False
    below: str = ""
    oldest_first: bool = False


class Scan(NamedTuple):
    """A look for some bytes in the documents of objects, in any case of ASCII letters.

    Attributes:
        part: What is looked for; empty = any document.
        after: Handle or id with which the scan before ended, "" = from the beginning, backwards from the end.
        limit_count: How many to look at.
        by_id: By age instead of by handle.
    """

    part: bytes
    after: str
    limit_count: int
    realm: str = ROOT_REALM
    by_id: bool = False
    backwards: bool = False


class Scanned(NamedTuple):
    """What a scan has come across.

    Attributes:
        ids: Of objects whose document contains what was looked for; hints, which the object itself has to confirm.
        end: Handle or id of the last object that was looked at, "" = there was none.
        is_over: There are no more.
    """

    ids: list[str]
    end: str
    is_over: bool


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a store stands: kept outside its folder, it shows a later rollback of the whole store.

    Attributes:
        store_id: Of the store, 16 bytes.
        sequence: Newest journal row, 0 = none.
        head: Chain value of that row, 32 bytes.
        audit_sequence: Newest audit leaf, 0 = none.
        audit_head: Digest of that leaf, 32 bytes.
        at_us: Latest moment of any commit.
    """

    store_id: bytes
    sequence: int
    head: bytes
    audit_sequence: int
    audit_head: bytes
    at_us: int


class Loaded(NamedTuple):
    """A record as loaded and verified, with the sealed material of a managed object (None when it has none)."""

    record: ManagedObject | Record
    material: SealedMaterial | None


NOTHING: Mapping[str, Loaded] = MappingProxyType({})
Get = Callable[[str], Loaded | None]


def as_object(loaded: Loaded) -> ManagedObject:
    """Narrow a loaded record to a managed object."""
    record = loaded.record
    if not isinstance(record, ManagedObject):
        raise TypeError("not a managed object")
    return record


class Reader(Protocol):
    """Consistent, verified reads. Not thread-safe: one per thread."""

    def data_version(self) -> Hashable:
        """Return what is another whenever anyone committed; asked before each turn of the serving loop."""

    def changes_since(self, sequence: int) -> tuple[int, list[tuple[str, str, bytes]] | None]:
        """Return the newest journal sequence and what was changed after `sequence`, oldest first.

        Returns: (kind, id, request id of the transaction), each once; None = too many to list.
        """

    def object(self, object_id: str) -> Loaded | None:
        """Load a managed object. Raises Tampered when its document does not authenticate."""

    def record(self, kind: str, record_id: str) -> Loaded | None:
        """Load another record by id. Raises Tampered."""

    def by_handle(self, realm: str, kind: str, handle: str) -> Loaded | None:
        """Load by handle (unique per realm and kind). Raises Tampered."""

    def list_records(
        self,
        kind: str,
        after_handle: str = "",
        limit_count: int = 1000,
        realm: str = ROOT_REALM,
        *,
        backwards: bool = False,
    ) -> list[Loaded]:
        """List a realm's records of a kind by handle; backwards, "" is after the last one. Raises Tampered."""

    def scan(self, scan: Scan) -> Scanned:
        """Look along the objects of a realm for some bytes.

        Nothing is authenticated: an object looked at costs a twentieth of one that is loaded. Raises Invalid: by id,
        after what is none.
        """

    def locate(self, query: Query, at_hand: Mapping[str, Loaded] = NOTHING, get: Get | None = None) -> list[str]:
        """Return ids, newest first unless asked otherwise. Candidates from the index are checked first.

        Args:
            query: What is asked.
            at_hand: Objects by id that the asker has from this store and knows to be current; they are not read again.
            get: Reads an object for the asker to keep; asked for the first candidates that are not at hand, since who
                finds a few objects uses them next.

        Raises:
            Tampered: a candidate does not authenticate.
            TooLarge: nothing in the search is indexed and too many objects were looked at in vain.
        """

    def due_transitions(self, now_us: int, limit_count: int) -> list[str]:
        """Return ids of managed objects whose stored state is behind their dates, oldest first."""

    def outcome(self, request_id: bytes) -> bool:
        """Tell whether the transaction with this request id was committed (settles unknown outcomes)."""

    def close(self) -> None:
        """Give the connection back."""


class Staged(NamedTuple):
    """A group that is written down; nobody sees it, and it is gone with the power, until it is finished.

    Attributes:
        outcomes: Per transaction what `Writer.commit` returns, once it is finished.
        finish: Makes the group durable; may be called on another thread. Raises Unavailable as `Writer.commit` does.
    """

    outcomes: list[KeysteadError | None]
    finish: Callable[[], None]


def do_nothing() -> None:
    """Finish a group of which nothing is to be stored."""


class Writer(Protocol):
    """Applies groups of transactions. One thread at a time."""

    def commit(self, group: Sequence[Transaction]) -> list[KeysteadError | None]:
        """Apply transactions in order, each in a savepoint, in one durable commit.

        Returns: per transaction None (durable) or the error that kept it out: Conflict (a revision moved), Exists (a
        handle or id is taken), Tampered (what it would replace, or the root, does not authenticate), Invalid (a
        number does not fit), Internal (a mistake of ours).

        Raises:
            Unavailable: the store failed; nothing of the group is known to be stored; ask `Reader.outcome`.
        """

    def stage(self, group: Sequence[Transaction]) -> Staged | None:
        """Write a group down and leave the flush, which takes as long as the disk does, to another thread.

        Returns: None when even this would have to wait, for another process or for a network: use `commit`. Until
        `finish` of what is returned has come back, nothing else may be asked of the writer.

        Raises:
            Unavailable: the store failed; nothing of the group is stored.
        """

    @property
    def is_untidy(self) -> bool:
        """Tell whether `tidy` has something to do."""

    def tidy(self) -> None:
        """Do housekeeping that is due; called between groups, when nobody waits for an answer. Raises Unavailable."""

    def close(self) -> None:
        """Give the connection back."""


class Store(Protocol):
    """One store: the node's own or the shared one."""

    def reader(self, *, watching: bool = False) -> Reader:
        """Open a reader for the calling thread; a watching one is asked for its data version all the time."""

    def writer(self) -> Writer:
        """Open the writer."""

    def mark(self, name: str) -> str | None:
        """Return a permanent mark of the store ("dev", "id", "format"), or None."""

    def anchor(self) -> Anchor:
        """Return where the store stands. Raises Tampered, Unavailable."""

    def chain_at(self, sequence: int) -> bytes | None:
        """Return the chain value of a journal row as it stands, None when there is no such row. Raises Unavailable."""
