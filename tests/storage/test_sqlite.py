"""What is particular to stores in SQLite files: opening, flushing, erasing, several writers, failing."""

import random
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from keystead.core.attributes import text
from keystead.core.changes import Put, Transaction
from keystead.core.errors import Conflict, Exists, Internal, Tampered, Unavailable
from keystead.core.records import Record
from keystead.storage.sqlite import SqliteStore, open_store
from keystead.storage.sqlite_connections import WriterLock
from keystead.storage.sqlite_creation import create_store, upgrade_store
from keystead.storage.store import KIND_COUNTER, StoreKeys
from keystead.storage.verify import verify_store
from tests.support.stores import (
    KEYS,
    NOW_US,
    attributes,
    equal,
    kmip_name,
    loaded_object,
    material,
    new_object,
    new_store,
    numbers,
    object_id,
    put,
    query,
    request_id,
    transaction,
    with_material,
)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return new_store(tmp_path)


def damage(store: SqliteStore, statement: str) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        assert connection.execute(statement).rowcount


def files(folder: Path) -> Iterator[bytes]:
    yield from (path.read_bytes() for path in sorted(folder.iterdir()))


# ------------------------------------------------------------------------------------------------- creating and opening


def test_a_new_store_is_private_and_complete(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    create_store(path, KEYS, {"dev": "1"})
    assert [each.name for each in tmp_path.iterdir()] == ["store.db"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store = open_store(path, KEYS)
    assert store.mark("dev") == "1"
    with store.connection() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    assert meta == {"format": "1", "min_reader": "1", "min_writer": "1", "store_id": store.mark("id")}
    assert verify_store(store).findings == ()


def test_every_file_of_a_store_in_use_is_private(store: SqliteStore) -> None:
    store.path.chmod(0o600)
    writer, reader = store.writer(), store.reader()
    put(writer, new_object(1))
    assert reader.object(object_id(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()}
    assert modes == dict.fromkeys(["store.db", "store.db-wal", "store.db-shm", "store.db-lock"], 0o600)
    reader.close()
    writer.close()


def test_a_store_is_never_overwritten(store: SqliteStore) -> None:
    before = store.path.read_bytes()
    with pytest.raises(Exists):
        create_store(store.path, KEYS, {})
    assert store.path.read_bytes() == before


def test_what_an_interrupted_creation_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "store.db.new").write_bytes(b"half a store")
    create_store(tmp_path / "store.db", KEYS, {})
    assert open_store(tmp_path / "store.db", KEYS).mark("id")


def test_upgrading_a_store_of_this_version_changes_nothing(store: SqliteStore) -> None:
    writer = store.writer()
    put(writer, new_object(1))
    writer.close()
    upgrade_store(store.path)
    assert verify_store(open_store(store.path, KEYS)).findings == ()


def test_no_store_is_told_apart_from_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="keystead init"):
        open_store(tmp_path / "store.db", KEYS)
    (tmp_path / "store.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(Unavailable) as caught:
        open_store(tmp_path / "store.db", KEYS)
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize("which", ["record", "chain"])
def test_other_keys_do_not_open_a_store(store: SqliteStore, which: str) -> None:
    others = {"record": KEYS.record, "chain": KEYS.chain, "audit": KEYS.audit, which: bytes(32)}
    with pytest.raises(Tampered):
        open_store(store.path, StoreKeys(**others))


def test_a_store_of_a_newer_version_is_refused(store: SqliteStore) -> None:
    damage(store, "UPDATE meta SET value = '2' WHERE name = 'min_reader'")
    with pytest.raises(Unavailable, match="newer version"):
        open_store(store.path, KEYS)


MARKS = {
    "removed": "UPDATE marks SET marks = x'a0'",
    "row deleted": "DELETE FROM marks",
    "another id": "UPDATE meta SET value = '00000000000000000000000000000000' WHERE name = 'store_id'",
    "no id": "DELETE FROM meta WHERE name = 'store_id'",
    "root changed": "UPDATE root SET sealed = zeroblob(100)",
    "root deleted": "DELETE FROM root",
    "journal cut": "DELETE FROM journal WHERE sequence = 2",
    "audit trail cut": "DELETE FROM audit WHERE sequence = 2",
    "journal row added": "INSERT INTO journal SELECT 3, at_us, request_id, principal, origin, operation, action, kind,"
    " id, revision, document, mac, chain FROM journal WHERE sequence = 2",
}


@pytest.mark.parametrize("statement", MARKS.values(), ids=MARKS.keys())
def test_manipulated_marks_and_ends_are_noticed_at_opening(store: SqliteStore, statement: str) -> None:
    writer = store.writer()
    put(writer, new_object(1), new_object(2))
    writer.close()
    open_store(store.path, KEYS)
    damage(store, statement)
    with pytest.raises(Tampered):
        open_store(store.path, KEYS)


def test_marks_of_another_store_with_the_same_keys_do_not_fit(store: SqliteStore, tmp_path: Path) -> None:
    create_store(tmp_path / "plain.db", KEYS, {})
    with closing(sqlite3.connect(tmp_path / "plain.db")) as connection:
        marks, mac = connection.execute("SELECT marks, mac FROM marks").fetchone()
    damage(store, f"UPDATE marks SET marks = x'{marks.hex()}', mac = x'{mac.hex()}'")
    with pytest.raises(Tampered):
        open_store(store.path, KEYS)


def test_serving_needs_no_schema_tools() -> None:
    """The process that serves must not carry them (performance.md): a fresh interpreter tells."""
    program = (
        "import sys, keystead.storage.sqlite, keystead.storage.verify;"
        "sys.exit(', '.join(sorted({'sqlalchemy', 'alembic', 'mako'} & set(sys.modules))) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


# ------------------------------------------------------------------------------------------------ flushing and failing


def synchronous(store: SqliteStore) -> int:
    writer = store.writer()
    level = writer._connection.execute("PRAGMA synchronous").fetchone()[0]
    writer.close()
    return int(level)


def test_commits_are_flushed_unless_insecurely_asked_not_to(store: SqliteStore) -> None:
    assert synchronous(store) == 2
    assert synchronous(open_store(store.path, KEYS, insecure_no_flush=True)) == 0


def test_a_full_disk_is_told_and_leaves_the_store_whole(store: SqliteStore) -> None:
    writer, reader = store.writer(), store.reader()
    put(writer, new_object(1))
    pages = writer._connection.execute("PRAGMA page_count").fetchone()[0]
    writer._connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
    tried = [transaction(with_material(new_object(number), number), number=number) for number in range(2, 200)]
    with pytest.raises(Unavailable):
        writer.commit(tried)
    assert not any(reader.outcome(request_id(number)) for number in range(2, 200))
    assert reader.object(object_id(2)) is None
    writer._connection.execute("PRAGMA max_page_count = 100000").fetchone()
    assert writer.commit(tried) == [None] * len(tried)
    assert verify_store(open_store(store.path, KEYS)).findings == ()
    reader.close()
    writer.close()


def test_a_manipulated_root_stops_writing(store: SqliteStore) -> None:
    writer = store.writer()
    put(writer, new_object(1))
    damage(store, "UPDATE root SET sealed = zeroblob(100)")
    outcomes = writer.commit([transaction(Put(new_object(2))), transaction(Put(new_object(3)))])
    assert [type(outcome) for outcome in outcomes] == [Tampered, Tampered]
    writer.close()


def test_a_record_that_does_not_authenticate_is_not_replaced(store: SqliteStore) -> None:
    writer, reader = store.writer(), store.reader()
    put(writer, new_object(1), new_object(2))
    one, two = loaded_object(reader, 1), loaded_object(reader, 2)
    damage(store, f"UPDATE records SET mac = zeroblob(32) WHERE id = x'{one.id.replace('-', '')}'")
    outcomes = writer.commit([transaction(Put(one)), transaction(Put(two))])
    assert [type(outcome) for outcome in outcomes] == [Tampered, type(None)]
    with pytest.raises(Tampered):
        reader.locate(query())
    reader.close()
    writer.close()


def test_only_bound_kinds_are_written(store: SqliteStore) -> None:
    own = open_store(store.path, KEYS, kinds=["settings", "module"])
    writer = own.writer()
    assert isinstance(writer.commit([transaction(Put(new_object(1)))])[0], Internal)
    put(writer, Record(KIND_COUNTER, "gcm", "gcm", {"value": 0, "recent": []}))
    writer.close()


# ----------------------------------------------------------------------------------------------------- several writers


def test_a_lock_held_too_long_is_told(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keystead.storage.sqlite_writer.BUSY_S", 0.05)
    other, writer = WriterLock(store.path), store.writer()
    assert other.taken()
    with pytest.raises(Unavailable):
        writer.commit([transaction(Put(new_object(1)))])
    assert writer.stage([transaction(Put(new_object(1)))]) is None
    other.release()
    put(writer, new_object(1))
    other.close()
    writer.close()


def test_two_writers_extend_one_chain_and_see_each_other(store: SqliteStore) -> None:
    one, two, reader = store.writer(), store.writer(), store.reader()
    for number in range(1, 21):
        put(one if number % 2 else two, new_object(number))
    taken = two.commit([transaction(Put(new_object(21, handle="key-1"))), transaction(Put(new_object(22)))])
    assert [type(outcome) for outcome in taken] == [Exists, type(None)]
    stale = loaded_object(reader, 1)
    put(one, stale.changed(NOW_US))
    assert isinstance(two.commit([transaction(Put(stale.changed(NOW_US)))])[0], Conflict)
    assert store.anchor().sequence == 22
    assert verify_store(open_store(store.path, KEYS)).findings == ()
    for each in (one, two, reader):
        each.close()


WRITER = """
import sys
from pathlib import Path
from keystead.storage.sqlite import open_store
from tests.support.stores import KEYS, new_object, put, with_material
writer = open_store(Path(sys.argv[1]), KEYS).writer()
first, count = int(sys.argv[2]), int(sys.argv[3])
for number in range(first, first + count):
    put(writer, with_material(new_object(number), number))
    writer.tidy()
writer.close()
"""


def test_two_processes_extend_one_chain(store: SqliteStore) -> None:
    count = 60
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(store.path), str(first), str(count)]) for first in (1, 1001)
    ]
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    opened = open_store(store.path, KEYS)
    assert opened.anchor().sequence == 2 * count
    assert verify_store(opened).findings == ()
    reader = opened.reader()
    assert len(reader.locate(query())) == 2 * count
    reader.close()


def test_readers_read_while_others_write_and_copy_the_wal_back(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keystead.storage.sqlite_writer.ROWS_BETWEEN_CHECKPOINTS", 20)
    failed: list[str] = []
    done = threading.Event()

    def read() -> None:
        reader = store.reader()
        while not done.is_set():
            newest = reader.locate(query(limit_count=1))
            if newest and reader.object(newest[0]) is None:
                failed.append(newest[0])
        reader.close()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    one, two = store.writer(), store.writer()
    for number in range(1, 101):
        writer = one if number % 2 else two
        put(writer, with_material(new_object(number), number))
        writer.tidy()
    done.set()
    for thread in threads:
        thread.join(timeout=30)
    assert failed == []
    assert verify_store(open_store(store.path, KEYS)).findings == ()
    one.close()
    two.close()


# ------------------------------------------------------------------------------------------------------------ searching


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest first", "oldest first"])
@pytest.mark.parametrize("beside_factor", [0, 1, 8], ids=["looked up", "either", "walked beside"])
@pytest.mark.parametrize("bounds", [(), (1,), (2, 3, 5), (7, 1000)])
def test_a_search_finds_everything_in_however_many_windows(
    store: SqliteStore,
    monkeypatch: pytest.MonkeyPatch,
    bounds: tuple[int, ...],
    beside_factor: int,
    oldest_first: bool,
) -> None:
    monkeypatch.setattr("keystead.storage.locate._BOUNDS", bounds)
    monkeypatch.setattr("keystead.storage.locate._BESIDE_FACTOR", beside_factor)
    writer, reader = store.writer(), store.reader()
    put(
        writer,
        *(
            new_object(n, attributes=attributes(Name=f"n{n % 2}", Object_Group=f"g{n % 3}", x_site=f"s{n > 80}"))
            for n in range(1, 91)
        ),
    )
    asked = [equal("Name", kmip_name("n1")), equal("Object Group", text("g2")), equal("x-site", text("sTrue"))]
    for count in (2, 3):
        conditions = asked[:count]
        expected = [n for n in range(90, 0, -1) if n % 2 == 1 and n % 3 == 2 and (count == 2 or n > 80)]
        if oldest_first:
            expected.reverse()
        for order in (conditions, [*conditions[::-1], equal("State", 2)]):
            assert numbers(reader.locate(query(*order, oldest_first=oldest_first))) == expected
    assert reader.locate(query(*asked, equal("x-site", text("sFalse")))) == []
    reader.close()
    writer.close()


# -------------------------------------------------------------------------------------------------------------- erasing


def test_the_wal_is_copied_back_even_when_nobody_pauses(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keystead.storage.sqlite_writer.ROWS_WITHOUT_PAUSE_MAX", 500)
    writer = store.writer()
    before = store.path.stat().st_size
    for number in range(1, 101):
        put(writer, with_material(new_object(number), number))
    assert store.path.stat().st_size > before
    writer.close()


@pytest.mark.row("KS-KEY-054")
@pytest.mark.parametrize("purged", [False, True], ids=["destroyed", "purged"])
def test_erased_material_is_in_no_file_any_more(store: SqliteStore, purged: bool) -> None:
    writer, reader = store.writer(), store.reader()
    put(writer, *(with_material(new_object(number), number) for number in range(1, 60)))
    sealed = material(30).sealed
    assert any(sealed in content for content in files(store.path.parent))
    held = loaded_object(reader, 30)
    gone = Put(held.changed(NOW_US, material=None), erase_material=True)
    change = transaction(gone).steps[0][1]._replace(puts=(), purges=(("object", held.id, held.revision),))
    taken = Transaction(request_id(9), "user:alice", "-", NOW_US, (("key.destroy", change),))
    assert writer.commit([taken if purged else transaction(gone)]) == [None]
    reader.close()
    writer.close()
    assert not any(sealed in content for content in files(store.path.parent))
    assert any(material(31).sealed in content for content in files(store.path.parent))


def test_replaced_material_is_in_no_file_any_more(store: SqliteStore) -> None:
    writer, reader = store.writer(), store.reader()
    put(writer, *(with_material(new_object(number), number) for number in range(1, 60)))
    put(writer, with_material(loaded_object(reader, 30), 1030))
    reader.close()
    writer.close()
    assert not any(material(30).sealed in content for content in files(store.path.parent))
    assert any(material(1030).sealed in content for content in files(store.path.parent))


def test_the_sum_and_terms_of_the_root_are_not_readable(store: SqliteStore) -> None:
    writer = store.writer()
    put(writer, new_object(1, attributes=attributes(Name="n")))
    writer.close()
    with store.connection() as connection:
        root = store.read_root(connection)
        mac = connection.execute("SELECT mac FROM records").fetchone()[0]
    key = bytes.fromhex(object_id(1).replace("-", ""))
    term = store.seals.root_term("object", key, 1, mac)
    assert root.total == term
    assert root.record_count == 1
    content = store.path.read_bytes()
    assert term.to_bytes(32, "big") not in content
    assert term.to_bytes(32, "little") not in content


# ------------------------------------------------------------------------------------------------------------- staging


def test_what_is_staged_is_seen_by_nobody_until_it_is_finished_on_any_thread(store: SqliteStore) -> None:
    writer, reader = store.writer(), store.reader()
    before = reader.data_version()
    staged = writer.stage([transaction(Put(new_object(1))), transaction(Put(new_object(2)))])
    assert staged is not None
    assert staged.outcomes == [None, None]
    assert reader.object(object_id(1)) is None
    assert reader.data_version() == before
    flusher = threading.Thread(target=staged.finish)
    flusher.start()
    flusher.join()
    assert {loaded_object(reader, number).id for number in (1, 2)} == {object_id(1), object_id(2)}
    assert reader.data_version() != before
    assert verify_store(open_store(store.path, KEYS)).findings == ()
    reader.close()
    writer.close()


def test_what_is_staged_and_not_finished_is_gone_and_in_nobodys_way(store: SqliteStore) -> None:
    dying, writer, reader = store.writer(), store.writer(), store.reader()
    assert dying.stage([transaction(Put(new_object(1)))]) is not None
    assert writer.stage([transaction(Put(new_object(2)))]) is None
    dying.close()
    put(writer, new_object(1))
    assert loaded_object(reader, 1).revision == 1
    assert verify_store(open_store(store.path, KEYS)).findings == ()
    reader.close()
    writer.close()


def test_a_group_that_stores_nothing_holds_nobody_up(store: SqliteStore) -> None:
    one, two = store.writer(), store.writer()
    put(one, new_object(1))
    stale = transaction(Put(new_object(1).changed(NOW_US)._replace(revision=7)))
    staged = one.stage([stale])
    assert staged is not None
    assert isinstance(staged.outcomes[0], Conflict)
    put(two, new_object(2))
    staged.finish()
    put(one, new_object(3))
    one.close()
    two.close()


def test_a_program_that_knows_nothing_of_the_lock_is_waited_for(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keystead.storage.sqlite_writer.BUSY_S", 0.05)
    writer = store.writer()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        assert writer.stage([transaction(Put(new_object(1)))]) is None
        with pytest.raises(Unavailable):
            writer.commit([transaction(Put(new_object(1)))])
    put(writer, new_object(1))
    writer.close()


def test_newcomers_that_are_taken_are_told_and_their_neighbours_stored(store: SqliteStore) -> None:
    writer, reader = store.writer(), store.reader()
    put(writer, new_object(1))
    group = [
        transaction(Put(new_object(2))),
        transaction(Put(new_object(1))),
        transaction(Put(new_object(3, handle="key-1"))),
        transaction(Put(new_object(4))),
    ]
    staged = writer.stage(group)
    assert staged is not None
    staged.finish()
    assert [type(outcome) for outcome in staged.outcomes] == [type(None), Exists, Exists, type(None)]
    assert [reader.object(object_id(number)) is not None for number in (1, 2, 3, 4)] == [True, True, False, True]
    assert store.anchor().sequence == 3
    assert verify_store(open_store(store.path, KEYS)).findings == ()
    reader.close()
    writer.close()


# ---------------------------------------------------------------------------------------------- learning of commits


def test_a_watching_reader_does_not_read_back_what_its_own_process_wrote(store: SqliteStore) -> None:
    reader, writer = store.reader(watching=True), store.writer()
    asked: list[str] = []
    reader._connection.set_trace_callback(asked.append)
    put(writer, new_object(1), new_object(2))
    newest, changed = reader.changes_since(0)
    assert (newest, changed) == (2, [("object", object_id(n), request_id(1)) for n in (1, 2)])
    put(writer, new_object(3))
    assert reader.changes_since(newest) == (3, [("object", object_id(3), request_id(1))])
    assert asked == []
    assert reader.changes_since(0)[0] == 3
    assert asked != []  # it asks about what was before


def test_a_watching_reader_learns_of_each_change_once_whoever_makes_them(store: SqliteStore) -> None:
    others = open_store(store.path, KEYS)  # as another process opens it
    reader, writers = store.reader(watching=True), (store.writer(), others.writer())
    rng = random.Random(7)
    seen: list[str] = []
    sequence = 0
    for number in range(1, 201):
        put(rng.choice(writers), new_object(number))
        if rng.random() < 0.5:
            sequence, changed = reader.changes_since(sequence)
            seen += [changed_id for _, changed_id, _ in changed or []]
        if number % 50 == 0:
            writers[0].tidy()
    seen += [changed_id for _, changed_id, _ in reader.changes_since(sequence)[1] or []]
    assert seen == [object_id(number) for number in range(1, 201)]
