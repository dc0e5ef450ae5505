"""What a reader makes of rows, the same for every engine: nothing leaves that has not been authenticated.

MAC first, then decoding, then the material against the digest in the document, then the hint that led here against the
document.

Source: design.md law 6.
"""

from collections.abc import Callable, Iterable
from typing import Any

from keystead.core.errors import Invalid, Tampered
from keystead.core.lifecycle import next_transition_at
from keystead.core.records import KIND_OBJECT, ManagedObject, Record
from keystead.storage.documents import decode
from keystead.storage.sealed import Seals, key_of, material_of, text_of
from keystead.storage.statements import LAST_HANDLE, LAST_ID
from keystead.storage.store import CHANGES_COUNT_MAX, Loaded, Scan, Scanned

LOCATE_KEPT_COUNT_MAX = 16
"""Candidates of a search that its asker keeps in memory; one that finds many looks for something else than to use them.
"""


def loaded(seals: Seals, kind: str, record_id: str, row: Any) -> Loaded:
    """Return a record with its material from its row (statements.LOADED). Raises Tampered."""
    key, revision, document, mac, sealed = row
    seals.check_record(kind, key, revision, document, mac)
    record = decode(kind, record_id, revision, document)
    return Loaded(record, material_of(kind, record_id, record.material, sealed))


def loaded_by_handle(seals: Seals, kind: str, realm: str, handle: str, row: Any) -> Loaded:
    """Return a record that was found by its handle. Raises Tampered."""
    found = loaded(seals, kind, text_of(kind, row[0]), row)
    if (found.record.realm, found.record.handle) != (realm, handle):
        raise Tampered(f"{kind} {found.record.id} stands under another name; run `keystead verify`")
    return found


def opened(seals: Seals, key: bytes, revision: int, document: bytes, mac: bytes) -> ManagedObject:
    """Return an object without its material. Raises Tampered."""
    seals.check_record(KIND_OBJECT, key, revision, document, mac)
    record = decode(KIND_OBJECT, text_of(KIND_OBJECT, key), revision, document)
    if isinstance(record, Record):
        raise TypeError("a managed object decodes to one")
    return record


def beginning(scan: Scan) -> str | bytes:
    """Return where a scan begins. Raises Invalid."""
    if not scan.by_id:
        return scan.after or (LAST_HANDLE if scan.backwards else "")
    if not scan.after:
        return LAST_ID if scan.backwards else b""
    key = key_of(KIND_OBJECT, scan.after)
    if key is None:
        raise Invalid("a scan goes on beyond the id of an object")
    return key


def scanned(scan: Scan, rows: list[Any]) -> Scanned:
    """Return which documents contain what is looked for, of rows that say id, handle and document."""
    part = scan.part.lower()
    found = [text_of(KIND_OBJECT, key) for key, _, document in rows if not part or part in document.lower()]
    is_over = len(rows) < scan.limit_count
    if not rows:
        return Scanned(found, "", is_over)
    key, handle, _ = rows[-1]
    return Scanned(found, text_of(KIND_OBJECT, key) if scan.by_id else handle, is_over)


def due(seals: Seals, rows: Iterable[Any], now_us: int) -> list[str]:
    """Return the ids of objects whose stored state is behind their dates, of rows that say so. Raises Tampered."""
    found: list[str] = []
    for key, revision, document, mac, at_us in rows:
        record = opened(seals, key, revision, document, mac)
        due_us = next_transition_at(record.dates, at_us)
        if due_us is not None and due_us <= now_us:
            found.append(record.id)
    return found


def changes(
    sequence: int, rows: list[Any], newest_of_all: Callable[[], int]
) -> tuple[int, list[tuple[str, str, bytes]] | None]:
    """Return what Reader.changes_since does, of the first CHANGES_COUNT_MAX + 1 rows after a sequence."""
    if not rows:
        return sequence, []  # what comes between this look and another one must not be passed over
    newest = rows[-1][0] if len(rows) <= CHANGES_COUNT_MAX else newest_of_all()
    if newest - sequence > CHANGES_COUNT_MAX:
        return newest, None
    changed = dict.fromkeys([row[1:] for row in rows])
    return newest, [(kind, text_of(kind, key), request_id) for kind, key, request_id in changed]
