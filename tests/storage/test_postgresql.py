"""What is peculiar to a store in a PostgreSQL database: its address, its watch, its texts; kills are in tests/crash."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keystead.core.changes import Put
from keystead.core.errors import Conflict, Exists, Invalid, Tampered, Unavailable
from keystead.core.records import KIND_USER, Record
from keystead.storage.postgresql import PostgresqlStore, open_store
from keystead.storage.postgresql_connections import read_url
from keystead.storage.postgresql_creation import create_store, discard_store, upgrade_store
from keystead.storage.postgresql_writer import KEY_BYTES_MAX
from keystead.storage.store import Loaded, Reader, StoreKeys
from keystead.storage.verify import verify_store
from keystead.trust import x509
from tests.support import postgresql
from tests.support.engines import ask, database_of, kept, reopened, tamper
from tests.support.stores import (
    KEYS,
    NOW_US,
    attributes,
    equal,
    kmip_name,
    loaded_object,
    new_object,
    new_user,
    numbers,
    purge,
    put,
    query,
    transaction,
)

PATIENCE_S = 20


@pytest.fixture
def store() -> PostgresqlStore:
    return postgresql.new_store()


def eventually(holds: Callable[[], bool]) -> bool:
    """Ask until it holds, for a while."""
    ends_s = time.monotonic() + PATIENCE_S
    while not (held := holds()) and time.monotonic() < ends_s:
        time.sleep(0.01)
    return held


# ------------------------------------------------------------------------------------------------------------- address


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://keystead@/keystead?host=/run/postgresql",
        "postgresql:///keystead?service=keys",
        "postgres://keystead@127.0.0.1:5433/keystead",
        "postgresql://keystead@[::1]/keystead",
        "postgresql://keystead@db.example.org/keystead?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql://a.example.org,b.example.org/keystead?sslmode=verify-ca",
    ],
)
def test_an_address_that_gives_nothing_away_is_accepted(url: str) -> None:
    assert read_url(url)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("store.db", "starts with postgresql://"),
        ("postgresql://keystead@/x?nonsense=1", "cannot be understood"),
        ("postgresql://keystead:secret@/keystead", "password"),
        ("postgresql://keystead@/keystead?password=secret", "password"),
        ("postgresql://keystead@/keystead?sslkey=a&sslpassword=secret", "password"),
        ("postgresql://keystead@db.example.org/keystead", "sslmode=verify-full"),
        ("postgresql://keystead@db.example.org/keystead?sslmode=require", "sslmode=verify-full"),
        ("postgresql://keystead@localhost,db.example.org/keystead", "sslmode=verify-full"),
        ("postgresql://keystead@localhost/keystead?hostaddr=192.0.2.1", "sslmode=verify-full"),
    ],
)
def test_an_address_that_gives_something_away_is_refused(url: str, what: str) -> None:
    with pytest.raises(Invalid, match=what) as refused:
        read_url(url)
    assert "secret" not in str(refused.value)


def test_a_password_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    with pytest.raises(Invalid, match="password"):
        read_url("postgresql:///keystead")


def test_a_service_that_leads_to_another_machine_unprotected_is_refused(
    store: PostgresqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = postgresql.shared_server()
    words = f"[keys]\nhost={server.folder}\nport={server.port}\nuser=keystead\ndbname={database_of(store)}\n"
    (tmp_path / "services").write_text(words)
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    assert open_store("postgresql:///?service=keys", KEYS).mark("id") == store.mark("id")
    monkeypatch.setattr("keystead.storage.postgresql_connections._is_near", lambda _host: False)
    with pytest.raises(Invalid, match="sslmode=verify-full"):
        open_store("postgresql:///?service=keys", KEYS)


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[postgresql.Server, int, Path, Path]]:
    """A server that takes connections over TLS only; with its port, its CA's certificate and a stranger's."""
    folder = tmp_path_factory.mktemp("tls")
    key, authority = x509.make_authority("databases")
    server_key, certificate = x509.issue_server(key, authority, ["127.0.0.1"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = postgresql.new_server(listen_addresses="127.0.0.1", port=str(port))
    files = {"server.crt": certificate.encode(), "server.key": server_key.reveal()}
    for name, content in files.items():
        path = server.data / name
        path.write_bytes(content)
        path.chmod(0o600)
        owner = server.data.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
    with (server.data / "pg_hba.conf").open("a") as rules:
        rules.write("hostssl all all 127.0.0.1/32 trust\n")
    server.execute("ALTER SYSTEM SET ssl = on")
    server.execute("SELECT pg_reload_conf()")
    (folder / "ca.pem").write_text(authority)
    (folder / "stranger.pem").write_text(x509.make_authority("strangers")[1])
    yield server, port, folder / "ca.pem", folder / "stranger.pem"
    server.stop()


def test_a_server_is_reached_over_tls_when_its_certificate_is_right(
    tls_server: tuple[postgresql.Server, int, Path, Path],
) -> None:
    server, port, authority, stranger = tls_server
    database = server.new_database()
    url = f"postgresql://keystead@127.0.0.1:{port}/{database}?sslmode=verify-full&sslrootcert="
    assert eventually(lambda: server.execute("SHOW ssl") == [("on",)])
    store = open_store(url + str(authority), KEYS)
    writer = store.writer()
    put(writer, new_object(1))
    ((version,),) = server.execute("SELECT DISTINCT version FROM pg_stat_ssl WHERE ssl")
    assert version == "TLSv1.3"
    writer.close()
    with pytest.raises(Unavailable):
        open_store(url + str(stranger), KEYS)


# ------------------------------------------------------------------------------------------------ creation and opening


def test_a_store_is_created_once_and_opened_with_its_keys_only(store: PostgresqlStore) -> None:
    url = store.server.url
    with pytest.raises(Exists):
        create_store(url, KEYS, {})
    with pytest.raises(Tampered):
        open_store(url, StoreKeys(bytes(32), KEYS.chain, KEYS.audit))
    tamper(store, "UPDATE meta SET value = '2' WHERE name = 'min_writer'")
    with pytest.raises(Unavailable, match="newer version"):
        open_store(url, KEYS)


def test_a_database_without_a_store_and_one_that_is_not_there_are_told() -> None:
    server = postgresql.shared_server()
    with pytest.raises(Unavailable, match="no store"):
        open_store(server.url(), KEYS)
    with pytest.raises(Unavailable):
        open_store(server.url("nowhere"), KEYS)
    with pytest.raises(Unavailable):
        create_store(server.url("nowhere"), KEYS, {})


def test_upgrading_a_store_of_this_version_changes_nothing(store: PostgresqlStore) -> None:
    writer = store.writer()
    put(writer, new_object(1))
    writer.close()
    upgrade_store(store.server.url)
    assert verify_store(reopened(store)).findings == ()


def test_a_store_that_was_not_finished_is_dropped_only_by_its_own_keys_and_mark(store: PostgresqlStore) -> None:
    others = StoreKeys(bytes(32), bytes(32), bytes(32))
    assert not discard_store(store.server.url, others, "dev")
    assert not discard_store(store.server.url, KEYS, "production")
    assert discard_store(store.server.url, KEYS, "dev")
    create_store(store.server.url, others, {})
    assert open_store(store.server.url, others).anchor().sequence == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE marks SET marks = x'a0'",
        "DELETE FROM root",
        "UPDATE root SET sealed = zeroblob(176)",
        "DELETE FROM journal WHERE sequence = 1",
        "DELETE FROM audit WHERE sequence = 1",
    ],
)
def test_manipulated_marks_and_ends_are_noticed_at_opening(store: PostgresqlStore, statement: str) -> None:
    writer = store.writer()
    put(writer, new_object(1))
    writer.close()
    tamper(store, statement)
    with pytest.raises(Tampered):
        reopened(store, check=True)


@pytest.mark.parametrize("statement", ["DELETE FROM root", "UPDATE root SET sealed = zeroblob(176)"])
def test_a_manipulated_root_stops_writing(store: PostgresqlStore, statement: str) -> None:
    writer = store.writer()
    tamper(store, statement)
    assert isinstance(writer.commit([transaction(Put(new_object(1)))])[0], Tampered)
    writer.close()
    assert ask(store, "SELECT count(*) FROM records") == [(0,)]


# ------------------------------------------------------------------------------------------------------------- writing


def test_texts_that_no_table_can_hold_are_refused_without_harm_to_others(store: PostgresqlStore) -> None:
    writer, reader = store.writer(), store.reader()
    long = "x" * KEY_BYTES_MAX
    tried = [
        Put(new_user("a\0b")),
        Put(Record(KIND_USER, "user.long", long, {})),
        Put(Record(KIND_USER, long, "long", {})),
        Put(new_object(1, handle="ü" * (KEY_BYTES_MAX // 2))),
        Put(new_object(2)),
    ]
    outcomes = writer.commit([transaction(each) for each in tried])
    assert [type(outcome) for outcome in outcomes] == [Invalid, Invalid, Invalid, Invalid, type(None)]
    assert reader.by_handle("root", KIND_USER, "a\0b") is None
    put(writer, Record(KIND_USER, "user.just", "x" * (KEY_BYTES_MAX - 30), {}))
    writer.close()
    reader.close()


def test_newcomers_that_are_taken_are_told_and_their_neighbours_stored(store: PostgresqlStore) -> None:
    writer, reader = store.writer(), store.reader()
    put(writer, new_object(1))
    group = [new_object(2), new_object(1, handle="other"), new_object(3, handle="key-1"), new_object(4)]
    outcomes = writer.commit([transaction(Put(each)) for each in group])
    assert [type(outcome) for outcome in outcomes] == [type(None), Exists, Exists, type(None)]
    assert numbers(reader.locate(query())) == [4, 2, 1]
    writer.close()
    reader.close()
    assert verify_store(reopened(store)).findings == ()


def test_what_a_group_replaces_is_read_in_one_go(store: PostgresqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = store.writer(), store.reader()
    put(writer, *(new_object(number) for number in range(1, 21)))
    held = [loaded_object(reader, number) for number in range(1, 21)]
    monkeypatch.setattr("keystead.storage.postgresql_writer.STORED", "SELECT one by one")
    assert writer.commit([transaction(Put(each.changed(NOW_US))) for each in held[:-1]]) == [None] * 19
    removed = writer.commit([purge(held[-1]), transaction(Put(held[0].changed(NOW_US)))])
    assert [type(outcome) for outcome in removed] == [type(None), Conflict]
    writer.close()
    reader.close()


WRITER = """
import sys
from keystead.storage.postgresql import open_store
from tests.support.stores import KEYS, new_object, put, with_material
writer = open_store(sys.argv[1], KEYS).writer()
first, count = int(sys.argv[2]), int(sys.argv[3])
for number in range(first, first + count):
    put(writer, with_material(new_object(number), number))
writer.close()
"""


def test_several_processes_extend_one_chain(store: PostgresqlStore) -> None:
    count = 40
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, store.server.url, str(first), str(count)])
        for first in (1, 1001, 2001)
    ]
    assert [child.wait(timeout=60) for child in children] == [0, 0, 0]
    assert store.anchor().sequence == 3 * count
    assert verify_store(reopened(store)).findings == ()


# ------------------------------------------------------------------------------------------------------------- reading


@pytest.fixture
def watching(store: PostgresqlStore) -> Iterator[Reader]:
    opened = store.reader(watching=True)
    yield opened
    opened.close()


def end_connections(store: PostgresqlStore) -> None:
    postgresql.shared_server().end_connections(database_of(store))


def test_what_others_commit_is_noticed(store: PostgresqlStore, watching: Reader) -> None:
    writer = open_store(store.server.url, KEYS).writer()
    for number in range(1, 4):
        version = watching.data_version()
        put(writer, new_object(number))
        assert eventually(lambda version=version: watching.data_version() != version)  # type: ignore[misc]  # of a loop
    writer.close()


def test_an_own_commit_is_noticed_at_once_and_only_once(store: PostgresqlStore, watching: Reader) -> None:
    writer = store.writer()
    version = watching.data_version()
    put(writer, new_object(1))
    assert watching.data_version() != version
    version = watching.data_version()
    put(writer, new_object(2))
    put(writer, new_object(3))
    after = watching.data_version()
    assert after != version
    time.sleep(1.0)  # two looks of the watch and all that was announced
    assert watching.data_version() == after
    writer.close()


def test_a_watch_that_hears_nothing_looks_itself(
    store: PostgresqlStore, watching: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keystead.storage.postgresql_writer._ANNOUNCE", "SELECT length(?)")
    writer = open_store(store.server.url, KEYS).writer()
    version = watching.data_version()
    put(writer, new_object(1))
    assert eventually(lambda: watching.data_version() != version)
    writer.close()


def test_a_watch_that_has_not_looked_for_long_is_not_trusted(
    store: PostgresqlStore, watching: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keystead.storage.postgresql_watch.LOOKED_S_MAX", -1.0)
    writer = open_store(store.server.url, KEYS).writer()
    version = watching.data_version()
    put(writer, new_object(1))
    assert watching.data_version() != version
    writer.close()


def test_after_a_lost_connection_reading_goes_on_and_everything_counts_as_changed(
    store: PostgresqlStore, watching: Reader
) -> None:
    writer = store.writer()
    put(writer, new_object(1))
    version, (sequence, _) = watching.data_version(), watching.changes_since(0)
    end_connections(store)
    put(writer, new_object(2))
    assert eventually(lambda: watching.data_version() != version)
    assert watching.changes_since(sequence) == (2, None)
    assert watching.changes_since(2) == (2, [])
    writer.close()


def test_a_server_that_stands_further_back_after_a_lost_connection_is_believed(store: PostgresqlStore) -> None:
    """As after a failover that has lost something: what others write from there on is news."""
    writer, reader = store.writer(), store.reader(watching=True)
    writer.close()
    reader.close()
    put_back = kept(store)
    writer = store.writer()
    put(writer, *(new_object(number) for number in range(1, 6)))
    reader = store.reader(watching=True)
    other = open_store(store.server.url, KEYS)
    end_connections(store)
    put_back()
    behind = other.writer()
    assert eventually(lambda: answers(reader))
    version = reader.data_version()
    put(behind, new_object(7))
    assert eventually(lambda: reader.data_version() != version)
    for each in (writer, behind, reader):
        each.close()


def answers(reader: Reader) -> bool:
    """Whether the watch is back, and what it says stays the same."""
    try:
        return isinstance(reader.data_version(), tuple) and reader.changes_since(0)[0] == 0
    except Unavailable:
        return False


def test_where_a_store_stands_is_told_again_after_a_lost_connection(store: PostgresqlStore) -> None:
    before = store.anchor()
    end_connections(store)
    assert store.anchor() == before
    store.check()


def test_a_search_survives_a_lost_connection(store: PostgresqlStore) -> None:
    writer, reader = store.writer(), store.reader()
    put(writer, *(new_object(number) for number in range(1, 4)))
    end_connections(store)
    assert numbers(reader.locate(query())) == [3, 2, 1]
    reader.close()
    writer.close()


@pytest.mark.parametrize("limit_count", [1, 7, 1000])
def test_a_search_goes_on_over_pages_and_batches(
    store: PostgresqlStore, monkeypatch: pytest.MonkeyPatch, limit_count: int
) -> None:
    monkeypatch.setattr("keystead.storage.postgresql_locate.FIRST_PAGE_COUNT", 4)
    monkeypatch.setattr("keystead.storage.postgresql_locate.PAGE_FACTOR", 2)
    monkeypatch.setattr("keystead.storage.postgresql_locate.BATCH_COUNT_MAX", 5)
    writer, reader = store.writer(), store.reader()
    group = [transaction(Put(new_object(n, owner=None if n % 3 else "alice", attributes=attributes(Name="n"))))
             for n in range(1, 91)]  # fmt: skip
    assert writer.commit(group) == [None] * 90
    both, expected = ("u:alice", "*"), list(range(90, 0, -1))
    for matches in ((), (equal("Name", kmip_name("n")),), (equal("Name", kmip_name("n")), equal("State", 2))):
        found = reader.locate(query(*matches, scopes=both, limit_count=limit_count))
        assert numbers(found) == expected[:limit_count]
        found = reader.locate(query(*matches, scopes=both, offset_count=3, limit_count=limit_count))
        assert numbers(found) == expected[3 : 3 + limit_count]
    got: list[str] = []

    def get(object_id: str) -> Loaded | None:
        got.append(object_id)
        return reader.object(object_id)

    reader.locate(query(limit_count=limit_count), get=get)
    assert numbers(got) == list(range(90, 0, -3))[: min(limit_count, 16)]
    writer.close()
    reader.close()
