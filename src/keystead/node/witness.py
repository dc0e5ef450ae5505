"""The witness: where both stores stood last, kept beside the node key, outside the data folder.

A data folder put back to yesterday is whole and authentic in itself; only something outside can tell that it is old.
The key process writes the witness about once a second while the stores move and when it stops; a start compares.
What was acknowledged after the last write and then rolled back is not noticed: the window is stated, not hidden.

Source: design.md section 6 ("rollback"), section 7 ("epoch"); attacks.md class 43.
"""

import hmac
import os
from dataclasses import astuple
from pathlib import Path

import cbor2

from keystead.core.errors import Tampered
from keystead.node.opening import OWN, SHARED, Parts
from keystead.storage.store import Anchor, Store
from keystead.trust.durable_files import write_private

WITNESS_BYTES_MAX = 4096
_MAC_BYTES = 32
_PURPOSE = "witness"


class Witness:
    """The witness file of a node.

    Args:
        parts: The opened node.
    """

    def __init__(self, parts: Parts) -> None:
        self._path: Path = parts.config.witness
        self._key = parts.node_key.derive(_PURPOSE).reveal()
        self._stores = {SHARED: parts.shared, OWN: parts.own}
        self._written: dict[str, Anchor] = {}

    def read(self) -> dict[str, Anchor]:
        """Return what was witnessed last; empty when nothing ever was.

        Raises:
            Tampered: the file was not written by this node.
        """
        try:
            data = self._path.read_bytes()[:WITNESS_BYTES_MAX]
        except FileNotFoundError:
            return {}
        body, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        if not hmac.compare_digest(hmac.digest(self._key, body, "sha256"), mac):
            raise Tampered(f"the witness file {self._path.name} was not written by this node")
        return {name: Anchor(*fields) for name, fields in cbor2.loads(body).items()}

    def write(self) -> bool:
        """Note where the stores stand; False when they have not moved since the last time."""
        now = {name: store.anchor() for name, store in self._stores.items()}
        if now == self._written:
            return False
        body = cbor2.dumps({name: list(astuple(anchor)) for name, anchor in now.items()}, canonical=True)
        write_private(self._path, body + hmac.digest(self._key, body, "sha256"))
        self._written = now
        return True

    def compare(self) -> None:
        """Make sure that no store is older than, or another than, what was witnessed; constant time.

        Raises:
            Tampered: it is; names the store and says what to do.
        """
        for name, anchor in self.read().items():
            _compare(name, self._stores[name], anchor)

    def forget(self) -> None:
        """Accept the stores as they are, after a backup was restored on purpose."""
        self._path.unlink(missing_ok=True)


def _compare(name: str, store: Store, seen: Anchor) -> None:
    now = store.anchor()
    head = store.chain_at(seen.sequence) or b""
    if now.store_id != seen.store_id or now.sequence < seen.sequence or (seen.sequence and head != seen.head):
        raise Tampered(
            f"the {name} store was put back: its journal ends at {now.sequence}, the witness has seen {seen.sequence}. "
            "If a backup was restored on purpose, start once with `keystead serve --accept-rollback`; "
            "if not, treat it as an attack and restore the newest backup"
        )


def is_witnessed(parts: Parts) -> bool:
    """Tell whether the node keeps a witness: a `dev` node has no outside, and is excused."""
    return not parts.config.dev and os.access(parts.config.witness.parent, os.W_OK)
