"""`keystead verify` names every row that is not as it was written, and finds nothing wrong with what is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from keystead.core.changes import Put, Transaction
from keystead.core.errors import Tampered
from keystead.core.lifecycle import Dates
from keystead.core.permission import Right
from keystead.core.records import Record
from keystead.storage import verify
from keystead.storage.findings import Finding
from keystead.storage.sealed import key_of
from keystead.storage.store import KIND_COUNTER, Anchor, Writer
from keystead.storage.verify import NO_WITNESS, Report, verify_store
from tests.support.engines import ENGINES, AnyStore, ask, kept, reopened, tamper
from tests.support.stores import (
    NOW_US,
    attributes,
    loaded_object,
    material,
    new_object,
    new_user,
    object_id,
    purge,
    put,
    reference,
    request_id,
    transaction,
    with_material,
)

RECORDS_COUNT, JOURNAL_COUNT, AUDIT_COUNT = 5, 9, 10
ONE, TWO, THREE = (key_of("object", object_id(number)) for number in (1, 2, 3))


def fill(store: AnyStore) -> None:
    """Objects 1 to 4 with material, 1 changed twice, 5 purged, a user, a counter, a refusal."""
    writer, reader = store.writer(), store.reader()
    named = [new_object(n)._replace(attributes=attributes(Name=f"n{n}", x_site="s")) for n in range(1, 5)]
    named[1] = named[1]._replace(grants={"staff": int(Right.SEE)}, dates=Dates(NOW_US + 50))
    put(writer, *(with_material(each, number) for number, each in enumerate(named, 1)), new_object(5))
    for number in (1, 2):
        put(writer, loaded_object(reader, 1).changed(NOW_US + number), at_us=NOW_US + number)
    writer.commit([purge(loaded_object(reader, 5))])
    put(writer, new_user("alice"))
    writer.commit([Transaction(request_id(9), "user:bob", "-", NOW_US, (), (("key.get", "-", "refused"),))])
    reader.close()
    writer.close()


@pytest.fixture(params=list(ENGINES))
def empty_store(request: pytest.FixtureRequest, tmp_path: Path) -> AnyStore:
    return ENGINES[request.param](tmp_path)


@pytest.fixture
def store(empty_store: AnyStore) -> AnyStore:
    fill(empty_store)
    return empty_store


def walked(store: AnyStore, anchor: Anchor | None = None) -> Report:
    return verify_store(reopened(store), anchor=anchor)


def named(report: Report) -> set[tuple[str, str]]:
    return {(finding.kind, finding.id) for finding in report.findings}


def words(report: Report, kind: str, of: str) -> str:
    return " / ".join(finding.what for finding in report.findings if (finding.kind, finding.id) == (kind, of))


def test_an_untouched_store_is_clean(store: AnyStore) -> None:
    steps: list[tuple[int, int]] = []
    report = verify_store(reopened(store), lambda done, total: steps.append((done, total)))
    assert report.findings == ()
    assert report.omitted_count == 0
    assert report.note == NO_WITNESS
    assert report.rows_count >= RECORDS_COUNT + JOURNAL_COUNT + AUDIT_COUNT
    assert steps
    assert all(done <= total for done, total in steps)


def test_an_empty_store_is_clean(empty_store: AnyStore) -> None:
    assert walked(empty_store).findings == ()


def test_counters_are_walked_like_other_records(store: AnyStore) -> None:
    writer = store.writer()
    counter = Record(KIND_COUNTER, "gcm", "gcm", {"value": 5, "recent": []})
    put(writer, counter)
    put(writer, counter._replace(revision=1))
    writer.close()
    assert walked(store).findings == ()
    (old,) = ask(store, "SELECT document, mac FROM journal WHERE kind = 'counter' AND revision = 1")
    tamper(
        store,
        "UPDATE records SET document = ?, mac = ?, revision = 1, at_us = at_us WHERE kind = 'counter'",
        parameters=old,
    )
    assert "rolled back from revision 2 to 1" in words(walked(store), "counter", "gcm")


RECORD_DAMAGE = {
    "document changed": (
        "UPDATE records SET document = CAST(document || x'00' AS BLOB) WHERE id = ?",
        "does not authenticate",
    ),
    "mac changed": ("UPDATE records SET mac = zeroblob(32) WHERE id = ?", "does not authenticate"),
    "revision changed": ("UPDATE records SET revision = revision + 1 WHERE id = ?", "does not authenticate"),
    "deleted": ("DELETE FROM records WHERE id = ?", "was deleted: the journal's last word of it is revision 3"),
    "handle changed": ("UPDATE records SET handle = 'other' WHERE id = ?", "false name"),
    "realm changed": ("UPDATE records SET realm = 'other' WHERE id = ?", "false name or realm"),
    "time changed": ("UPDATE records SET at_us = 0 WHERE id = ?", "false time"),
    "due date added": ("UPDATE records SET next_us = 5 WHERE id = ?", "false date of its next transition"),
    "material changed": (
        "UPDATE records SET sealed = zeroblob(56) WHERE id = ?",
        "sealed material that is not its own",
    ),
    "material deleted": ("UPDATE records SET sealed = NULL WHERE id = ?", "has lost its sealed material"),
    "moved to another id": ("UPDATE records SET id = x'00' WHERE id = ?", "was deleted"),
    "listing row deleted": ("DELETE FROM listing WHERE object = ?", "1 index rows too few"),
    "listing row changed": ("UPDATE listing SET state = 4 WHERE object = ?", "1 index rows too few and 1 that"),
    "index row deleted": ("DELETE FROM attribute_index WHERE object = ?", "2 index rows too few"),
    "index row added": ("INSERT INTO attribute_index VALUES (x'01', ?)", "0 index rows too few and 1 that"),
    "index row changed": (
        "UPDATE attribute_index SET term = CAST(term || x'00' AS BLOB) WHERE object = ?",
        "2 index rows too few",
    ),
}


@pytest.mark.parametrize(("statement", "what"), RECORD_DAMAGE.values(), ids=RECORD_DAMAGE.keys())
def test_damage_to_a_record_is_named(store: AnyStore, statement: str, what: str) -> None:
    tamper(store, statement, parameters=(ONE,))
    report = walked(store)
    assert what in words(report, "object", object_id(1))
    assert (
        {("object", object_id(1))}
        <= named(report)
        <= {
            ("object", object_id(1)),
            ("root", "1"),
            ("object", "00----"),
        }
    )


@pytest.mark.parametrize("column", ["document", "mac", "sealed"])
def test_rows_swapped_between_records_are_named(store: AnyStore, column: str) -> None:
    found = dict(ask(store, f"SELECT id, {column} FROM records WHERE kind = 'object'"))
    for place, other in ((TWO, THREE), (THREE, TWO)):
        tamper(store, f"UPDATE records SET {column} = ? WHERE id = ?", parameters=(found[other], place))
    assert {("object", object_id(2)), ("object", object_id(3))} <= named(walked(store))


def test_whole_records_swapped_between_ids_are_named(store: AnyStore) -> None:
    move = "UPDATE records SET id = ? WHERE id = ?"
    for to, of in ((b"\0", TWO), (TWO, THREE), (THREE, b"\0")):
        tamper(store, move, parameters=(to, of))
    found = walked(store)
    assert "does not authenticate" in words(found, "object", object_id(2))
    assert "does not authenticate" in words(found, "object", object_id(3))


def test_a_record_rolled_back_is_named(store: AnyStore) -> None:
    (old,) = ask(store, "SELECT document, mac, at_us FROM journal WHERE id = ? AND revision = 2", (ONE,))
    tamper(
        store,
        "UPDATE records SET document = ?, mac = ?, at_us = ?, revision = 2 WHERE id = ?",
        parameters=(*old, ONE),
    )
    report = walked(store)
    assert "was rolled back from revision 3 to 2" in words(report, "object", object_id(1))
    assert ("root", "1") in named(report)


def test_a_purged_record_put_back_is_named(store: AnyStore) -> None:
    five = key_of("object", object_id(5))
    tamper(
        store,
        "INSERT INTO records (kind, id, realm, handle, revision, at_us, document, mac)"
        " SELECT kind, id, 'root', 'key-5', revision, at_us, document, mac FROM journal WHERE id = ? AND action = 1",
        parameters=(five,),
    )
    assert "was put back" in words(walked(store), "object", object_id(5))


def test_a_record_that_was_copied_to_another_name_is_named(store: AnyStore) -> None:
    tamper(
        store,
        "INSERT INTO records (kind, id, realm, handle, revision, at_us, document, mac)"
        " SELECT 'user', x'65', realm, 'eve', revision, at_us, document, mac FROM records WHERE kind = 'user'",
    )
    report = walked(store)
    assert "does not authenticate" in words(report, "user", "e")
    assert "was inserted: the journal does not know it" in words(report, "user", "e")


JOURNAL_COLUMNS = ["at_us", "request_id", "principal", "origin", "operation", "action", "kind", "id", "revision"]
JOURNAL_COLUMNS += ["document", "mac", "chain"]


@pytest.mark.parametrize("column", JOURNAL_COLUMNS)
def test_an_edited_journal_row_is_named(store: AnyStore, column: str) -> None:
    is_number, is_text = (
        column in {"at_us", "action", "revision"},
        column in {"principal", "origin", "operation", "kind"},
    )
    grown = f"{column} + 1" if is_number else f"{column} || 'A'" if is_text else f"CAST({column} || x'41' AS BLOB)"
    tamper(store, f"UPDATE journal SET {column} = {grown} WHERE sequence = 3")
    assert "was changed, inserted or moved here" in words(walked(store), "journal", "3")


TRAILS = {"journal": JOURNAL_COUNT, "audit": AUDIT_COUNT}
TRAIL_DAMAGE: dict[str, tuple[tuple[str, ...], str, str]] = {
    "deleted": (("DELETE FROM {table} WHERE sequence = 4",), "4", "is missing"),
    "several deleted": (("DELETE FROM {table} WHERE sequence IN (4, 5)",), "4 to 5", "is missing"),
    "first deleted": (("DELETE FROM {table} WHERE sequence = 1",), "1", "is missing"),
    "last deleted": (("DELETE FROM {table} WHERE sequence = {last}",), "{last}", "cut off or rolled back"),
    "all deleted": (("DELETE FROM {table}",), "1 to {last}", "cut off or rolled back"),
    "renumbered": (("UPDATE {table} SET sequence = 50 WHERE sequence = {last}",), "{last} to 49", "is missing"),
    "swapped": (
        (
            "UPDATE {table} SET sequence = 90 WHERE sequence = 4",
            "UPDATE {table} SET sequence = 4 WHERE sequence = 5",
            "UPDATE {table} SET sequence = 5 WHERE sequence = 90",
        ),
        "4",
        "was changed",
    ),
}
COPY = {
    "journal": "INSERT INTO journal SELECT 10, at_us, request_id, principal, origin, operation, action, kind, id,"
    " revision, document, mac, chain FROM journal WHERE sequence = 9",
    "audit": "INSERT INTO audit SELECT 11, request_id, leaf, digest FROM audit WHERE sequence = 10",
}


@pytest.mark.row("KS-LOG-033")
@pytest.mark.parametrize("table", TRAILS)
@pytest.mark.parametrize(("statements", "where", "what"), TRAIL_DAMAGE.values(), ids=TRAIL_DAMAGE.keys())
def test_damage_to_a_trail_is_named(
    store: AnyStore, table: str, statements: tuple[str, ...], where: str, what: str
) -> None:
    last = TRAILS[table]
    tamper(store, *(statement.format(table=table, last=last) for statement in statements))
    assert what in words(walked(store), table, where.format(last=last))


@pytest.mark.parametrize("table", TRAILS)
def test_a_row_added_at_the_end_of_a_trail_is_named(store: AnyStore, table: str) -> None:
    tamper(store, COPY[table])
    assert "was added at the end" in words(walked(store), table, str(TRAILS[table] + 1))


@pytest.mark.parametrize("column", ["request_id", "leaf", "digest"])
def test_an_edited_audit_leaf_is_named(store: AnyStore, column: str) -> None:
    tamper(store, f"UPDATE audit SET {column} = CAST({column} || x'41' AS BLOB) WHERE sequence = 3")
    assert "was changed" in words(walked(store), "audit", "3")


@pytest.mark.parametrize("damage", ["sealed = zeroblob(176)", "sealed = x''"])
def test_a_changed_root_is_named_and_the_rest_still_walked(store: AnyStore, damage: str) -> None:
    tamper(store, f"UPDATE root SET {damage}", "UPDATE audit SET leaf = x'00' WHERE sequence = 2")
    assert named(walked(store)) == {("root", "1"), ("audit", "2")}


def test_an_older_root_put_back_is_named(store: AnyStore) -> None:
    (old,) = ask(store, "SELECT sealed FROM root")
    writer = store.writer()
    put(writer, new_object(7))
    writer.close()
    tamper(store, "UPDATE root SET sealed = ?", parameters=old)
    assert {("journal", "10"), ("audit", "11"), ("root", "1")} <= named(walked(store))


def rolled_back(store: AnyStore, more: Callable[[Writer], None]) -> tuple[AnyStore, Anchor]:
    """The whole file put back to now, after `more` has happened and a witness has seen where it led."""
    put_back = kept(store)
    writer = store.writer()
    more(writer)
    writer.close()
    anchor = store.anchor()
    put_back()
    return reopened(store), anchor


def test_a_whole_store_put_back_is_seen_only_with_a_witness(store: AnyStore) -> None:
    old, anchor = rolled_back(store, lambda writer: put(writer, new_object(7), new_object(8)))
    alone = verify_store(old)
    assert alone.findings == ()
    assert "not detectable" in alone.note
    with_witness = verify_store(old, anchor=anchor)
    assert "the store was rolled back" in words(with_witness, "journal", "10 to 11")
    assert "the store was rolled back" in words(with_witness, "audit", "11 to 12")
    assert "journal row 11" in with_witness.note


def test_history_rewritten_after_a_rollback_is_seen_with_a_witness(store: AnyStore) -> None:
    old, anchor = rolled_back(store, lambda writer: put(writer, new_object(7)))
    writer = old.writer()
    put(writer, new_object(8), new_object(9))
    writer.close()
    assert verify_store(old).findings == ()
    assert "history was replaced" in words(verify_store(old, anchor=anchor), "journal", "10")


def test_an_honest_store_agrees_with_its_witness(store: AnyStore) -> None:
    anchor = store.anchor()
    assert walked(store, anchor).findings == ()
    writer = store.writer()
    put(writer, new_object(7))
    writer.close()
    assert walked(store, anchor).findings == ()
    another = replace(anchor, store_id=bytes(16))
    assert "is not the store that the witness has seen" in words(walked(store, another), "store", anchor.store_id.hex())


def test_the_count_of_findings_is_bounded(store: AnyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "FINDINGS_COUNT_MAX", 2)
    tamper(store, "UPDATE journal SET origin = 'x'")
    report = walked(store)
    assert len(report.findings) == 2
    assert report.omitted_count == JOURNAL_COUNT - 2
    assert isinstance(report.findings[0], Finding)
    assert report.findings[0].advice


READERS_REFUSE = {
    "document": "UPDATE records SET document = CAST(document || x'00' AS BLOB) WHERE id = ?",
    "mac": "UPDATE records SET mac = zeroblob(32) WHERE id = ?",
    "revision": "UPDATE records SET revision = 9 WHERE id = ?",
    "material": "UPDATE records SET sealed = zeroblob(9) WHERE id = ?",
    "no material": "UPDATE records SET sealed = NULL WHERE id = ?",
}


@pytest.mark.parametrize("statement", READERS_REFUSE.values(), ids=READERS_REFUSE.keys())
def test_nothing_damaged_is_served(store: AnyStore, statement: str) -> None:
    tamper(store, statement, parameters=(ONE,))
    reader, writer = store.reader(), store.writer()
    with pytest.raises(Tampered, match=object_id(1)):
        reader.object(object_id(1))
    with pytest.raises(Tampered):
        reader.by_handle("root", "object", "key-1")
    changed = new_object(1)._replace(revision=3, material=reference(material(1)))
    if "sealed" not in statement:
        assert type(writer.commit([transaction(Put(changed))])[0]).__name__ in {"Tampered", "Conflict"}
    reader.close()
    writer.close()
