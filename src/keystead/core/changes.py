"""Change: everything one request wants to write, decided by a handler, applied by the committer in one transaction.

Source: design.md sections 2 and 6 ("transaction").
"""

from typing import Any, NamedTuple

from keystead.core.records import ManagedObject, Record

KEEP = None
"""Material of a Put that leaves what is stored as it is."""


class SealedMaterial(NamedTuple):
    """Key material as it is stored: AEAD-sealed above the store, which never sees it in clear.

    Attributes:
        id: Identifier of the material.
        version: Bound by the AEAD together with the id.
        sealed: Nonce, ciphertext and tag.
    """

    id: str
    version: int
    sealed: bytes


class Put(NamedTuple):
    """One record as it shall be stored.

    Attributes:
        record: The whole new record; its `revision` is the one it was read with (0 = must not exist yet), and is
            stored as `revision + 1`. A mismatch at commit is a Conflict and the request is run again.
        material: New sealed material, or KEEP.
        erase_material: Remove the stored material (Destroy); `record.material` must be None then.
    """

    record: ManagedObject | Record
    material: SealedMaterial | None = KEEP
    erase_material: bool = False


class Change(NamedTuple):
    """What a handler returns when it wants something written.

    Attributes:
        puts: Records to store, in order.
        purges: (kind, id, revision) of records to remove together with their metadata.
        result: The answer to give once the change is durable; an error when the change remembers a failure.
        detail: Words for the audit leaf: what changed, never a secret.
        outcome: Of the audit leaf: "done", "refused" for an attempt that failed and is remembered, or "pending".
        person: "kind:name" that the audit leaf names instead of who asked, who was a stranger so far; "" = who asked.
    """

    puts: tuple[Put, ...]
    result: Any
    purges: tuple[tuple[str, str, int], ...] = ()
    detail: str = ""
    outcome: str = "done"
    person: str = ""


class Transaction(NamedTuple):
    """Changes of one batch, applied together or not at all (a savepoint in the group's transaction).

    Attributes:
        request_id: 16 bytes made by the writer; settles unknown outcomes by reading.
        principal: "kind:name" of who did it.
        origin: Peer address, "-" for local.
        at_us: When, UTC microseconds, from one source per write.
        steps: (operation name, change) in order.
        refusals: (operation, target id or "-", reason) audit-only entries that are durable without a change.
    """

    request_id: bytes
    principal: str
    origin: str
    at_us: int
    steps: tuple[tuple[str, Change], ...]
    refusals: tuple[tuple[str, str, str], ...] = ()
