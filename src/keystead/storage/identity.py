"""Which store this is: its id, its permanent marks, and whether its root fits what stands in it, for every engine.

Source: design.md law 6, sections 5 to 7; docs/adr/0010-journal-chain-and-root.md.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import cbor2

from keystead.core.errors import Tampered, Unavailable
from keystead.storage.journal import Root
from keystead.storage.sealed import Seals
from keystead.storage.store import Anchor, StoreKeys

FORMAT = 1
STORE_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Identity:
    """A store whose marks have been authenticated.

    Attributes:
        seals: Digests of this store.
        marks: Permanent marks.
        marks_mac: Binds root and trails to the marks.
    """

    seals: Seals
    marks: Mapping[str, str]
    marks_mac: bytes

    def mark(self, name: str) -> str | None:
        """Return a permanent mark (store.Store.mark)."""
        return str(FORMAT) if name == "format" else self.marks.get(name)

    def root(self, row: Any) -> Root:
        """Return the root of its row, None for a row that is missing. Raises Tampered."""
        return Root.unpacked(self.seals.open_root(row[0] if row else b"", self.marks_mac))

    def anchor(self, root: Root) -> Anchor:
        """Return where a store with this root stands."""
        return Anchor(self.seals.store_id, root.sequence, root.head, root.audit_sequence, root.audit_head, root.at_us)

    def check(self, root: Root, row: Any, leaf: Any) -> None:
        """Compare the root with the newest journal row (sequence, chain) and audit leaf (sequence, digest).

        Raises:
            Tampered: the trails do not end where the root says.
        """
        first = Root.first(self.seals, self.marks_mac)
        if (row or (0, first.head)) != (root.sequence, root.head):
            raise Tampered("the journal does not end where the store's root says; run `keystead verify`")
        if (leaf or (0, first.audit_head)) != (root.audit_sequence, root.audit_head):
            raise Tampered("the audit trail does not end where the store's root says; run `keystead verify`")


def identify(meta: Mapping[str, str], row: Any, keys: StoreKeys) -> Identity:
    """Authenticate a store's marks.

    Args:
        meta: Rows of the table.
        row: Marks and their MAC, None when there are none.
        keys: Those that the store was created with.

    Raises:
        Unavailable: it was written by a newer version. Tampered: it does not authenticate.
    """
    if int(meta.get("min_reader", 0)) > FORMAT or int(meta.get("min_writer", 0)) > FORMAT:
        raise Unavailable("the store was written by a newer version; upgrade this node", "unavailable.store")
    try:
        seals = Seals(keys, bytes.fromhex(meta["store_id"]))
    except (KeyError, ValueError):
        raise Tampered("the store has lost its id; restore it from a backup") from None
    if row is None or not seals.same(seals.marks_mac(row[0]), row[1]):
        raise Tampered("the store's marks do not authenticate: changed, or another node's store")
    return Identity(seals, cbor2.loads(row[0]), seals.marks_mac(row[0]))


class Birth(NamedTuple):
    """What a new store's rows of `meta`, `marks` and `root` hold."""

    store_id: str
    marks: bytes
    mac: bytes
    sealed_root: bytes


def new_identity(keys: StoreKeys, marks: Mapping[str, str]) -> Birth:
    """Make the id of a new store, and seal its marks and its first root."""
    seals = Seals(keys, os.urandom(STORE_ID_BYTES))
    encoded = cbor2.dumps({**marks, "id": seals.store_id.hex()}, canonical=True)
    mac = seals.marks_mac(encoded)
    return Birth(seals.store_id.hex(), encoded, mac, seals.seal_root(Root.first(seals, mac).packed(), mac))
