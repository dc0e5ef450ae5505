"""Checks of the audit log: is it whole, does it keep up, and was a store put back behind what it has anchored?"""

from collections.abc import Iterator

from keystead.core.errors import KeysteadError
from keystead.core.records import KIND_AUDIT_TREE
from keystead.node.auditing import TREE_HANDLE, Remembered, audit_folder, sources, verifier_key
from keystead.node.doctor.findings import Examined, Finding, Severity
from keystead.node.opening import Parts, record_of
from keystead.storage.audit_tree.heads import Head, published
from keystead.storage.audit_tree.taking import first_epoch, oldest_waiting_us, put_back
from keystead.storage.audit_tree.tiles import read_edge

BEHIND_S = 60.0
_RESTORE = (
    "Find out who can write to the data folder; `keystead audit verify` of an older export tells what was signed. "
    "Restore stores and folder from the same backup."
)


def audit_log(node: Examined) -> Iterator[Finding]:
    """The audit log proves itself only while it is whole and goes on."""
    parts = node.parts
    if parts is None:
        return
    key = verifier_key(parts.own)
    if key is None:
        if node.state is not None:
            what = "The audit log was not begun."
            yield Finding(Severity.WARNING, "audit_log", what, "Look into the system log why; it begins by itself.")
        return
    folder = audit_folder(node.config)
    try:
        remembered = Remembered(record_of(parts.own, KIND_AUDIT_TREE, TREE_HANDLE))  # first: the tree goes on meanwhile
        head = published(folder, key)
        remembered.compare(folder, head)
        if head is not None and read_edge(folder, head.size).root() != head.checkpoint.root:
            what = "The audit log's tiles do not give the root of its latest checkpoint."
            yield Finding(Severity.ERROR, "audit_log", what, _RESTORE)
    except KeysteadError as error:
        yield Finding(Severity.ERROR, "audit_log", f"The audit log is not whole: {error.message}.", _RESTORE)
        return
    yield from _stores(node, parts, head)


def _stores(node: Examined, parts: Parts, head: Head | None) -> Iterator[Finding]:
    for name, source in sources(parts).items():
        epoch = head.epochs.get(name) if head is not None else None
        found = put_back(name, source, epoch) if epoch is not None else None
        if found is not None:
            what = f"The audit log contradicts a store: {found}."
            yield Finding(Severity.ERROR, "audit_log", what, _RESTORE)
            continue
        waiting_us = oldest_waiting_us(source, epoch or first_epoch(source))
        if node.state is not None and waiting_us is not None and node.now_s - waiting_us / 1e6 > BEHIND_S:
            minutes = int((node.now_s - waiting_us / 1e6) / 60)
            what = f"The audit log has not taken over what the {name} store wrote {minutes} minutes ago."
            advice = (
                "Nothing is lost. Make room on the disk and let the node's account write to the folder `audit`; "
                "it goes on by itself. The system log says what keeps it."
            )
            yield Finding(Severity.ERROR, "audit_log", what, advice)
