"""The audit log through the gate: who may read it and who may take a name out of it, page by page."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from keystead.core.errors import Tampered
from keystead.core.permission import EVERY_ACCESS, Access, Principal
from keystead.operations.audit import (
    AUDIT,
    AuditState,
    ProveAuditEntry,
    Pseudonymise,
    Pseudonymised,
    ShowAudit,
    ShowAuditState,
)
from keystead.storage.audit_tree.pseudonyms import OPERATION, Act, pseudonymise
from keystead.storage.audit_tree.reading import proven
from keystead.storage.audit_tree.tree import AuditTree
from keystead.storage.journal import leaf_of
from keystead.trust.notes import Proof, VerifierKey, new_signing_key
from tests.storage.audit_tree.building import KEY, grown
from tests.support.builders import ADMINISTRATOR, ALICE, GLOBAL, Node

PSEUDONYM = "person-0123456789abcdef"
READER = Principal("administrator", "reader", access=Access.ANY)
REQUESTS = (ShowAuditState(), ShowAudit(), ProveAuditEntry(0), Pseudonymise("alice"))


class OneTree:
    """A tree that nobody extends (operations.audit.KeptAudit)."""

    def __init__(self, tree: AuditTree) -> None:
        self.folder = tree.folder
        self.key: VerifierKey | None = KEY
        self.size = tree.size

    def state(self) -> AuditState:
        return AuditState(KEY.text, self.size, 0, "")

    def pseudonymise(self, name: str) -> Act:
        return pseudonymise(self.folder, self.size, name, PSEUDONYM)


@pytest.fixture
def audited(node: Node, tmp_path: Path) -> Node:
    """A node whose audit tree has 3,000 entries."""
    node.gate.services[AUDIT] = OneTree(grown(tmp_path / "audit", 3000))
    return node


@pytest.mark.parametrize("who", [ALICE, GLOBAL], ids=lambda who: who.kind)
def test_the_log_is_not_for_key_users(audited: Node, who: Principal) -> None:
    for request in REQUESTS:
        assert audited.reason(who, request) == "refused.permission"


def test_every_administrator_reads_and_one_with_high_access_takes_names_out(audited: Node) -> None:
    assert audited.ask(READER, ShowAuditState()).size == 3000
    assert audited.ask(READER, ShowAudit(limit=1)).lines[0].number == 2999
    assert audited.reason(READER, Pseudonymise("alice")) == "refused.permission"
    without = Principal("administrator", "most", access=EVERY_ACCESS & ~Access.HIGH_ACCESS)
    assert audited.reason(without, Pseudonymise("alice")) == "refused.permission"
    assert audited.ask(ADMINISTRATOR, Pseudonymise("alice")) == Pseudonymised(PSEUDONYM, 3000, 3000)


def test_the_act_is_audited_without_the_name(audited: Node) -> None:
    audited.ask(ADMINISTRATOR, Pseudonymise("alice"))
    with closing(sqlite3.connect(audited.path)) as connection:
        (stored,) = connection.execute("SELECT leaf FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
    leaf = leaf_of(stored)
    assert (leaf.operation, leaf.outcome) == (OPERATION, "done")
    act = Act.of(leaf.detail)
    assert act is not None
    assert (act.pseudonym, act.entries_count, act.size) == (PSEUDONYM, 3000, 3000)
    assert b"alice" not in stored


def test_pages_go_on_where_the_one_before_has_stopped(audited: Node) -> None:
    numbers: list[int] = []
    before = -1
    while before:
        page = audited.ask(READER, ShowAudit(before=before, limit=170))
        numbers += [line.number for line in page.lines]
        before = page.before
    assert numbers == list(reversed(range(3000)))


def test_a_request_looks_through_some_bundles_only(audited: Node) -> None:
    page = audited.ask(READER, ShowAudit(user="nobody"))
    assert page.lines == ()
    assert 0 < page.before < 1000
    assert audited.ask(READER, ShowAudit(before=page.before, user="nobody")).before == 0


def test_limits_and_names(audited: Node) -> None:
    for request in (ShowAudit(limit=0), ShowAudit(limit=251), Pseudonymise(""), Pseudonymise("x" * 257)):
        assert audited.reason(ADMINISTRATOR, request) == "invalid.field"
    assert audited.reason(ADMINISTRATOR, Pseudonymise("nobody")) == "not_found.item"
    assert audited.reason(ADMINISTRATOR, ProveAuditEntry(3000)) == "not_found.item"
    assert audited.reason(ADMINISTRATOR, ProveAuditEntry(-1)) == "not_found.item"


@pytest.mark.parametrize("number", [0, 255, 256, 2815, 2999])
def test_a_proof_shows_its_entry_and_no_other(audited: Node, number: int) -> None:
    proof = Proof.from_text(audited.ask(READER, ProveAuditEntry(number)))
    found = proven(proof, KEY)
    assert (found.number, found.size, found.entry.sequence) == (number, 3000, number + 1)
    assert proven(proof, None) == found


def test_a_forged_proof_shows_nothing(audited: Node) -> None:
    proof = Proof.from_text(audited.ask(READER, ProveAuditEntry(7)))
    other = Proof.from_text(audited.ask(READER, ProveAuditEntry(8)))
    for forged in (
        replace(proof, extra=other.extra),
        replace(proof, index=8),
        replace(proof, steps=proof.steps[:-1]),
        replace(proof, steps=other.steps),
        replace(proof, extra=b""),
        replace(proof, note=proof.note.replace("\n3000\n", "\n3001\n")),
    ):
        with pytest.raises(Tampered):
            proven(forged, KEY)
    with pytest.raises(Tampered, match="not signed by"):
        proven(proof, VerifierKey(KEY.name, new_signing_key()[0]))


def test_a_process_without_the_tree_says_so(node: Node) -> None:
    assert node.reason(ADMINISTRATOR, ShowAuditState()) == "unavailable.stopping"
