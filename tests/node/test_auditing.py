"""Keeping the audit tree of a node: over both stores, after kills, put-back stores and missing folders (class 31)."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keystead.core.changes import Change, Transaction
from keystead.core.errors import KeysteadError
from keystead.core.records import KIND_AUDIT_KEY
from keystead.gate.operation import REGISTRY
from keystead.node.auditing import (
    KEY_HANDLE,
    KEY_ID,
    KEY_PURPOSE,
    PERIOD_S,
    REMEMBER,
    STORE_COUNT_MAX,
    Auditing,
    audit_folder,
    verifier_key,
)
from keystead.node.doctor.examination import examine
from keystead.node.doctor.findings import Finding
from keystead.node.folder import NodeConfig
from keystead.node.opening import Parts, open_parts, record_of
from keystead.storage.audit_tree.entries import Entry
from keystead.storage.audit_tree.heads import Head, published
from keystead.storage.audit_tree.reading import export, shown
from keystead.storage.audit_tree.verify import verify
from keystead.storage.store import Store
from keystead.trust.notes import VerifierKey
from tests.support.stores import NOW_US, request_id

KILLS_COUNT = 6
MANY_COUNT = 100_000
MANY_S_MAX = 45.0


def work(store: Store, count: int = 1, name: str = "alice", at: int = 0) -> None:
    """Have a store write audit leaves: refusals, as they need no record."""
    refusals = tuple(("key.destroy", "-", f"number {number}") for number in range(count))
    who = f"user:{name}"
    transaction = Transaction(request_id(random.getrandbits(100)), who, "192.0.2.7", NOW_US + at, (), refusals)
    writer = store.writer()
    assert writer.commit([transaction]) == [None]
    writer.close()


def key_of(parts: Parts) -> VerifierKey:
    key = verifier_key(parts.own)
    assert key is not None
    return key


def head_of(parts: Parts) -> Head:
    head = published(audit_folder(parts.config), key_of(parts))
    assert head is not None
    return head


def entries(parts: Parts) -> list[Entry]:
    head = head_of(parts)
    bundles = range((head.size + 255) // 256)
    return [each.entry for bundle in bundles for each in shown(audit_folder(parts.config), head.size, bundle)]


def findings(parts: Parts, out: Path) -> list[str]:
    export(audit_folder(parts.config), key_of(parts), out)
    return verify(out, key_of(parts)).findings


def audit_findings(config: NodeConfig) -> list[Finding]:
    return [finding for finding in examine(config) if finding.check == "audit_log"]


def taken(parts: Parts) -> Auditing:
    """Take over all there is."""
    auditing = Auditing(parts)
    while auditing.take_over():
        pass
    return auditing


def trouble(auditing: Auditing) -> str:
    auditing.take_over()
    return auditing.state().trouble


@pytest.mark.row("KS-LOG-033", "KS-LOG-011")
def test_leaves_of_both_stores_become_one_tree(config: NodeConfig, tmp_path: Path) -> None:
    parts = open_parts(config)
    work(parts.shared, 3)
    taken(parts)
    work(parts.own, 2)
    taken(parts)
    found = entries(parts)
    for name, store in (("own", parts.own), ("shared", parts.shared)):
        sequences = [entry.sequence for entry in found if entry.file == name]
        assert sequences == list(range(1, store.anchor().audit_sequence + 1))
    assert [entry.operation for entry in found].count("audit.make_key") == 1
    assert findings(parts, tmp_path / "export") == []
    epoch = head_of(parts).epochs["shared"]
    anchor = parts.shared.anchor()
    assert (epoch.sequence, epoch.head) == (anchor.sequence, anchor.head)
    assert (epoch.audit_sequence, epoch.audit_head) == (anchor.audit_sequence, anchor.audit_head)
    assert audit_findings(config) == []


def test_under_load_leaves_wait_for_the_next_second_unless_they_fill_a_batch(config: NodeConfig) -> None:
    parts = open_parts(config)
    auditing = taken(parts)
    work(parts.shared, 3)
    assert not auditing.take_over()  # whoever comes meanwhile is part of the next checkpoint
    work(parts.shared, STORE_COUNT_MAX + 1)
    assert auditing.take_over()
    assert not auditing.take_over()
    assert auditing.state().behind_count == 0


def test_clients_go_first_until_too_much_waits(config: NodeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = open_parts(config)
    auditing = taken(parts)
    assert auditing._rest_s(0.0, is_more=False) == PERIOD_S
    assert auditing._rest_s(0.035, is_more=True) == pytest.approx(0.665)  # a twentieth of the time is taken
    monkeypatch.setattr("keystead.node.auditing.BEHIND_COUNT_MAX", 2)
    work(parts.shared, STORE_COUNT_MAX + 3)
    assert auditing.take_over()
    assert auditing._rest_s(0.035, is_more=True) == 0.0
    auditing.take_over()
    assert auditing._rest_s(0.0, is_more=False) == PERIOD_S


def test_taking_over_again_changes_nothing(config: NodeConfig) -> None:
    parts = open_parts(config)
    taken(parts)
    before = head_of(parts)
    taken(parts)
    taken(open_parts(config))
    assert head_of(parts) == before


def test_remembering_is_not_news_to_remember(config: NodeConfig) -> None:
    parts = open_parts(config)
    auditing = taken(parts)
    auditing.remember()
    auditing.take_over()
    assert entries(parts)[-1].operation == REMEMBER
    before = parts.own.anchor()
    auditing.remember()
    assert parts.own.anchor() == before
    again = taken(open_parts(config))
    again.remember()
    assert parts.own.anchor() == before


def test_the_thread_takes_over_and_remembers_when_it_stops(config: NodeConfig) -> None:
    parts = open_parts(config)
    auditing = Auditing(parts)
    auditing.start()
    work(parts.shared, 5)
    deadline_s = time.monotonic() + 20
    while auditing.state().behind_count and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert auditing.state().behind_count == 0
    work(parts.shared, 1)
    auditing.stop()
    assert entries(parts)[-1].sequence == parts.shared.anchor().audit_sequence
    assert auditing.state().behind_count == 1  # of the remembering itself, which the next start takes over


@pytest.mark.row("KS-LOG-032")
def test_the_signing_key_lies_nowhere_in_clear(config: NodeConfig) -> None:
    parts = open_parts(config)
    taken(parts)
    record = record_of(parts.own, KIND_AUDIT_KEY, KEY_HANDLE)
    assert record is not None
    secret = parts.node_key.unseal(KEY_PURPOSE, KEY_ID.encode(), record.fields["sealed_key"]).reveal()
    for path in config.data.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert secret not in data, path
            assert secret.hex().encode() not in data, path


@pytest.mark.row("KS-LOG-011")
def test_no_operation_clears_or_rotates_the_log() -> None:
    import keystead.operations.all  # noqa: F401  # declares every operation

    named = {declaration.name for declaration in REGISTRY.values() if declaration.name.startswith("audit.")}
    assert named == {"audit.state", "audit.show", "audit.prove", "audit.pseudonymise"}


@pytest.mark.parametrize("name", ["node.db", "store.db"])
def test_a_store_that_was_put_back_is_found_and_the_other_goes_on(
    config: NodeConfig, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    taken(open_parts(config)).remember()
    shutil.copy(config.data / name, tmp_path / name)
    parts = open_parts(config)
    work(parts.own, 3)
    work(parts.shared, 3)
    taken(parts)
    for path in config.data.glob(f"{name}*"):
        path.unlink()
    shutil.copy(tmp_path / name, config.data / name)
    parts = open_parts(config)
    put_back, other, store = ("own", "shared", parts.shared) if name == "node.db" else ("shared", "own", parts.own)
    work(store, 2, name="bob")
    auditing = taken(parts)
    assert f"the {put_back} store was put back" in trouble(auditing)
    assert f"the {put_back} store was put back" in caplog.text
    assert entries(parts)[-1].file == other
    assert entries(parts)[-1].sequence == store.anchor().audit_sequence
    (finding,) = audit_findings(config)
    assert finding.severity == "error"
    assert f"the {put_back} store was put back" in finding.what
    assert findings(parts, tmp_path / "export") == []


def test_a_store_put_back_and_grown_again_is_told_by_the_chain(config: NodeConfig, tmp_path: Path) -> None:
    taken(open_parts(config))
    shutil.copy(config.shared_store, tmp_path / "store.db")
    parts = open_parts(config)
    work(parts.shared, 3)
    taken(parts)
    for path in config.data.glob("store.db*"):
        path.unlink()
    shutil.copy(tmp_path / "store.db", config.shared_store)
    parts = open_parts(config)
    work(parts.shared, 10, name="mallory")
    auditing = taken(parts)
    assert "does not continue those taken over" in trouble(auditing)
    assert all(entry.sequence <= 10 for entry in entries(parts) if entry.file == "shared")


@pytest.mark.row("KS-LOG-011")
def test_a_folder_that_was_removed_is_found_and_not_begun_anew(config: NodeConfig) -> None:
    parts = open_parts(config)
    taken(parts).remember()
    shutil.rmtree(audit_folder(config))
    assert "was cut or put back: it has 0 entries" in trouble(Auditing(parts))
    assert not (audit_folder(config) / "checkpoint").exists()
    (finding,) = audit_findings(config)
    assert finding.severity == "error"
    assert "was cut or put back" in finding.what


@pytest.mark.row("KS-LOG-011")
def test_an_older_folder_put_back_is_found_and_not_continued(config: NodeConfig, tmp_path: Path) -> None:
    parts = open_parts(config)
    taken(parts)
    shutil.copytree(audit_folder(config), tmp_path / "older")
    work(parts.shared, 4)
    taken(parts).remember()
    shutil.rmtree(audit_folder(config))
    shutil.copytree(tmp_path / "older", audit_folder(config))
    assert "was cut or put back" in trouble(Auditing(parts))
    assert [finding.severity for finding in audit_findings(config)] == ["error"]


def test_an_altered_folder_is_found(config: NodeConfig) -> None:
    parts = open_parts(config)
    taken(parts)
    (tile,) = (audit_folder(config) / "tile" / "0").rglob(str(head_of(parts).size))
    tile.write_bytes(tile.read_bytes()[::-1])
    assert "do not give the root" in trouble(Auditing(parts))
    (finding,) = audit_findings(config)
    assert finding.severity == "error"


def test_what_cannot_be_written_waits_in_the_stores_and_goes_on_by_itself(
    config: NodeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = open_parts(config)
    auditing = taken(parts)
    before = head_of(parts)
    bundles = audit_folder(config) / "tile" / "entries"
    bundles.rename(tmp_path / "entries")
    bundles.write_text("no folder")
    work(parts.shared, 3)
    for _ in range(3):
        assert "entries" in trouble(auditing)
    assert caplog.text.count("are not taken over") == 1
    assert auditing.state().behind_count == 3
    assert head_of(parts) == before
    bundles.unlink()
    (tmp_path / "entries").rename(bundles)
    assert trouble(auditing) == ""
    assert head_of(parts).size == before.size + 3
    assert findings(parts, tmp_path / "export") == []


def test_a_leaf_that_the_store_s_chain_does_not_hold_is_not_taken_over(config: NodeConfig) -> None:
    import sqlite3

    parts = open_parts(config)
    taken(parts)
    work(parts.shared, 1)
    with sqlite3.connect(config.shared_store) as connection:
        connection.execute(
            "UPDATE audit SET leaf = CAST(leaf || x'00' AS BLOB) WHERE sequence = (SELECT max(sequence) FROM audit)"
        )
    connection.close()
    before = head_of(parts)
    assert "does not continue those taken over" in trouble(Auditing(parts))
    assert head_of(parts) == before


def test_doctor_says_when_taking_over_has_stopped(config: NodeConfig) -> None:
    from keystead.node.doctor.audit import audit_log
    from keystead.node.doctor.findings import Examined, Thresholds

    parts = open_parts(config)
    taken(parts)
    work(parts.shared, 1)
    later_s = NOW_US / 1e6 + 600
    running: dict[str, object] = {"version": "1"}
    (finding,) = audit_log(Examined(config, Thresholds(), later_s, parts, None, running))
    assert finding.severity == "error"
    assert "the shared store wrote 10 minutes ago" in finding.what
    assert [*audit_log(Examined(config, Thresholds(), later_s, parts, None, None))] == []


TAKER = """
import sys
from pathlib import Path
from keystead.node.auditing import Auditing
from keystead.node.folder import NodeConfig
from keystead.node.opening import open_parts
auditing = Auditing(open_parts(NodeConfig(Path(sys.argv[1]), Path(sys.argv[2]))))
print("open", flush=True)
while True:
    auditing.take_over()
    auditing.remember()
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.row("KS-LOG-033")
def test_killed_while_taking_over_again_and_again(config: NodeConfig, tmp_path: Path) -> None:
    parts = open_parts(config)
    root = Path(__file__).parents[2]
    dice = random.Random(31)
    seen: list[Head] = []
    for _ in range(KILLS_COUNT):
        command = [sys.executable, "-c", TAKER, str(config.data), str(config.node_key)]
        process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        for _ in range(6):
            work(parts.shared, dice.randrange(1, 400))
            work(parts.own, dice.randrange(1, 90))
            time.sleep(dice.random() * 0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        key = verifier_key(parts.own)
        head = published(audit_folder(config), key) if key is not None else None
        seen += [head] if head is not None else []
    auditing = taken(parts)
    assert auditing.state().trouble == ""
    found = entries(parts)
    for name, store in (("own", parts.own), ("shared", parts.shared)):
        sequences = [entry.sequence for entry in found if entry.file == name]
        assert sequences == list(range(1, store.anchor().audit_sequence + 1))
    export(audit_folder(config), key_of(parts), tmp_path / "export")
    for head in seen:
        assert verify(tmp_path / "export", key_of(parts), head.checkpoint).findings == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hundred_thousand_leaves_are_taken_over_quickly_in_bounded_batches(
    config: NodeConfig, tmp_path: Path
) -> None:
    parts = open_parts(config)
    for first in range(0, MANY_COUNT, 1000):
        work(parts.shared, 1000, at=first)
    begun_s = time.monotonic()
    taken(parts)
    assert time.monotonic() - begun_s < MANY_S_MAX
    assert head_of(parts).size > MANY_COUNT
    notes = (audit_folder(config) / "checkpoints").read_text().count("\n\n")
    assert notes >= MANY_COUNT // 5_000
    assert findings(parts, tmp_path / "export") == []


def test_a_change_that_names_the_outcome_keeps_it(config: NodeConfig) -> None:
    parts = open_parts(config)
    step = ("session.log_in", Change((), None, detail="wrong password", outcome="refused"))
    writer = parts.shared.writer()
    assert writer.commit([Transaction(request_id(77), "stranger:", "192.0.2.9", NOW_US, (step,))]) == [None]
    writer.close()
    taken(parts)
    assert (entries(parts)[-1].operation, entries(parts)[-1].outcome) == ("session.log_in", "refused")


def test_pseudonyms_are_the_same_each_time_and_of_this_node(config: NodeConfig) -> None:
    parts = open_parts(config)
    work(parts.shared, 1)
    auditing = taken(parts)
    first = auditing.pseudonymise("alice")
    assert first.entries_count == 1
    assert auditing.pseudonymise("alice") == first
    work(parts.shared, 1)
    auditing.take_over()
    again = auditing.pseudonymise("alice")
    assert (again.pseudonym, again.entries_count) == (first.pseudonym, 2)
    assert auditing.pseudonymise("bob").entries_count == 0
    (audit_folder(config) / "personal" / "000").write_bytes(b"\xff\xff")
    with pytest.raises(KeysteadError):
        auditing.pseudonymise("alice")
