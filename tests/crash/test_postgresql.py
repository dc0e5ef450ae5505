"""A PostgreSQL store whose process, server or connection ends at any moment: nothing acknowledged is lost, nothing is
half there, what was open is settled, and the chain stays whole.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from keystead.core.changes import Put
from keystead.core.errors import Conflict, Exists, Tampered, Unavailable
from keystead.storage.postgresql import PostgresqlStore, open_store
from keystead.storage.postgresql_connections import Link
from keystead.storage.verify import verify_store
from tests.support import postgresql
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Disconnected, Refused
from tests.support.postgresql import Server
from tests.support.relay import Cut, Relay
from tests.support.stores import KEYS, new_object, object_id, request_id, transaction, with_material

pytestmark = pytest.mark.durability
PATIENCE_S = 30


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of these tests' own, which they may kill."""
    started = postgresql.new_server()
    yield started
    started.stop()


@pytest.fixture
def store(server: Server) -> PostgresqlStore:
    return open_store(server.url(server.new_database()), KEYS)


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    with TemporaryDirectory(prefix="ks-relay-") as folder:
        started = Relay(Path(folder), server.socket)
        yield started
        started.close()
        assert started.cancels_count == 0


def through(relay: Relay, store: PostgresqlStore, server: Server) -> PostgresqlStore:
    """The same store behind the relay."""
    return open_store(server.url(name_of(store), relay.folder), KEYS)


def name_of(store: PostgresqlStore) -> str:
    return store.server.url.partition("@/")[2].partition("?")[0]


def assert_whole(store: PostgresqlStore, journal_count: int) -> None:
    assert verify_store(open_store(store.server.url, KEYS, check=False)).findings == ()
    assert store.anchor().sequence == journal_count


# --------------------------------------------------------------------------------------------------- a connection ends


@pytest.mark.parametrize("cut", Cut)
def test_a_commit_that_was_cut_off_is_settled(server: Server, store: PostgresqlStore, relay: Relay, cut: Cut) -> None:
    behind = through(relay, store, server)
    writer, reader = behind.writer(), store.reader()
    assert writer.commit([transaction(with_material(new_object(1), 1), number=1)]) == [None]
    relay.cut = cut
    group = [transaction(Put(new_object(2)), number=2), transaction(Put(new_object(1, revision=7)), number=3)]
    outcomes = writer.commit([*group, transaction(Put(new_object(3)), number=4)])
    assert [type(outcome) for outcome in outcomes] == [type(None), Conflict, type(None)]
    assert relay.cuts_count == 1
    assert [reader.outcome(request_id(number)) for number in (1, 2, 3, 4)] == [True, True, False, True]
    assert writer.commit([transaction(Put(new_object(5)), number=5)]) == [None]
    writer.close()
    reader.close()
    assert_whole(store, 4)


def test_a_server_that_is_slow_to_commit_is_waited_for(server: Server, store: PostgresqlStore, relay: Relay) -> None:
    writer, reader = through(relay, store, server).writer(), store.reader()
    writer.commit([transaction(Put(new_object(1)), number=1)])
    ((pid,),) = server.execute(
        "SELECT pid FROM pg_stat_activity WHERE query = 'COMMIT' AND datname = %s", [name_of(store)]
    )
    relay.cut, relay.on_cut = Cut.AFTER, lambda: os.kill(pid, signal.SIGSTOP)
    thaw = threading.Timer(1.0, lambda: signal_all([pid], signal.SIGCONT))
    thaw.start()
    assert writer.commit([transaction(Put(new_object(2)), number=2)]) == [None]
    assert relay.cuts_count == 1
    assert reader.outcome(request_id(2))
    thaw.join()
    writer.close()
    reader.close()
    assert_whole(store, 2)


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
def test_what_cannot_be_settled_is_told_and_never_guessed(
    server: Server, store: PostgresqlStore, relay: Relay, monkeypatch: pytest.MonkeyPatch, cut: Cut
) -> None:
    monkeypatch.setattr("keystead.storage.postgresql_writer.SETTLE_S", 0.3)
    writer, reader = through(relay, store, server).writer(), store.reader()
    relay.cut, relay.is_open = cut, False
    with pytest.raises(Unavailable):
        writer.commit([transaction(Put(new_object(1)), number=1)])
    relay.is_open = True
    again = writer.commit([transaction(Put(new_object(1)), number=2)])[0]
    assert reader.outcome(request_id(1)) is (cut is Cut.AFTER)
    assert isinstance(again, Exists) is (cut is Cut.AFTER)
    writer.close()
    reader.close()
    assert_whole(store, 1)


def test_a_server_that_does_not_answer_is_left_and_nothing_is_cancelled(
    server: Server, store: PostgresqlStore, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Link, "patience_s", 0.3)
    writer, reader = through(relay, store, server).writer(), through(relay, store, server).reader()
    with frozen(server):
        with pytest.raises(Unavailable):
            reader.object(object_id(1))
        monkeypatch.setattr("keystead.storage.postgresql_writer.SETTLE_S", 0.5)
        with pytest.raises(Unavailable):
            writer.commit([transaction(Put(new_object(1)), number=1)])
    monkeypatch.undo()
    assert writer.commit([transaction(Put(new_object(2)), number=2)]) == [None]
    assert eventually(lambda: reader.object(object_id(2)) is not None)
    writer.close()
    reader.close()
    assert_whole(store, store.anchor().sequence)


@contextlib.contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Neither the server nor any process of it gets on."""
    pids = [*(row[0] for row in server.execute("SELECT pid FROM pg_stat_activity")), server.pid]
    signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(pids, signal.SIGCONT)


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def eventually(holds: Callable[[], bool]) -> bool:
    """Ask until it holds, for a while."""
    ends_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_s:
        with contextlib.suppress(Unavailable):
            if holds():
                return True
        time.sleep(0.05)
    return False


# ------------------------------------------------------------------------------------------------------ a process ends

# Two objects in each transaction, so that half a transaction would show; the acknowledged number after each commit.
WRITER = """
import sys
from keystead.storage.postgresql import open_store
from tests.support.stores import KEYS, new_object, transaction, with_material
writer = open_store(sys.argv[1], KEYS).writer()
number = int(sys.argv[2])
while True:
    group = [
        transaction(with_material(new_object(first), first), with_material(new_object(first + 1), first + 1))
        for first in range(number, number + 6, 2)
    ]
    assert writer.commit(group) == [None] * 3
    number += 6
    print(number - 1, flush=True)
"""


@pytest.mark.timeout(90)
def test_a_killed_writer_loses_nothing_acknowledged_and_leaves_nothing_half(store: PostgresqlStore) -> None:
    chance = random.Random(20_240_117)
    for round_number in range(1, 5):
        acknowledged = killed_after(store, first=round_number * 1_000_000 + 1, delay_s=chance.random() * 0.2)
        reader = store.reader()
        present = [bool(reader.object(object_id(n))) for n in range(acknowledged - 5, acknowledged + 13)]
        reader.close()
        assert present in ([True] * 6 + [False] * 12, [True] * 12 + [False] * 6)
        assert verify_store(store).findings == ()


def killed_after(store: PostgresqlStore, first: int, delay_s: float) -> int:
    """The last number that a writer acknowledged before it was killed."""
    command = [sys.executable, "-c", WRITER, store.server.url, str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = [child.stdout.readline()]
        time.sleep(delay_s)
        child.kill()
        told += child.stdout.readlines()
    return int(told[-1])


# ------------------------------------------------------------------------------------------------------- a server ends


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT], ids=["as in a crash", "orderly"])
def test_writers_go_on_when_the_server_is_back(server: Server, store: PostgresqlStore, how: signal.Signals) -> None:
    writers_count, ends = 4, threading.Event()
    acknowledged: list[int] = []
    failed: list[BaseException] = []

    def write(first: int) -> None:
        try:
            writer = open_store(store.server.url, KEYS).writer()
            while not ends.is_set():
                assert writer.commit([transaction(with_material(new_object(first), first), number=first)]) == [None]
                acknowledged.append(first)
                first += 1
            writer.close()
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=write, args=(number * 1_000_000 + 1,)) for number in range(writers_count)]
    for thread in threads:
        thread.start()
    reader = store.reader(watching=True)
    for _ in range(2):
        before = len(acknowledged)
        assert eventually(lambda before=before: len(acknowledged) > before + 40)  # type: ignore[misc]  # of a loop
        server.stop(how)
        time.sleep(0.5)
        server.start()
    before, version = len(acknowledged), None
    assert eventually(lambda: len(acknowledged) > before + 40)
    assert eventually(lambda: reader.data_version() != version)
    ends.set()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert all(reader.object(object_id(number)) for number in acknowledged)
    reader.close()
    assert_whole(store, len(acknowledged))


def test_a_store_that_is_damaged_while_an_outcome_is_open_is_not_taken_for_a_refusal(
    server: Server, store: PostgresqlStore, relay: Relay
) -> None:
    writer = through(relay, store, server).writer()
    assert writer.commit([transaction(Put(new_object(1)), number=1)]) == [None]
    ((old,),) = server.execute("SELECT sealed FROM root", (), name_of(store))
    relay.cut, relay.is_open = Cut.AFTER, False
    damaging = threading.Timer(0.5, damage, (server, name_of(store), relay))
    damaging.start()
    with pytest.raises(Unavailable):
        writer.commit([transaction(Put(new_object(2)), number=2)])
    damaging.join()
    assert isinstance(writer.commit([transaction(Put(new_object(3)), number=3)])[0], Tampered)
    server.execute("INSERT INTO root (id, sealed) VALUES (1, %s)", (old,), name_of(store))
    writer.close()
    assert is_there(store, 2)


def damage(server: Server, database: str, relay: Relay) -> None:
    server.execute("DELETE FROM root", (), database)
    relay.is_open = True


# ----------------------------------------------------------------------------------------------- what a server promises

WEAKER = ["fsync = off", "full_page_writes = off", "synchronous_commit = off", "synchronous_commit = local"]


@pytest.mark.parametrize("weaker", WEAKER)
def test_a_server_that_could_lose_what_it_acknowledged_is_refused(
    server: Server, store: PostgresqlStore, weaker: str
) -> None:
    writer = store.writer()
    name = weaker.partition(" ")[0]
    with configured(server, weaker):
        for refused in (lambda: open_store(store.server.url, KEYS), store.writer, store.reader):
            with pytest.raises(Unavailable, match=name):
                refused()
        if name != "synchronous_commit":  # which a connection keeps as it was
            with pytest.raises(Unavailable, match=name):
                writer.commit([transaction(Put(new_object(1)), number=1)])
        insecure = open_store(store.server.url, KEYS, insecure_no_flush=True).writer()
        assert insecure.commit([transaction(Put(new_object(2)), number=2)]) == [None]
        insecure.close()
    assert writer.commit([transaction(Put(new_object(3)), number=3)]) == [None]
    writer.close()
    assert_whole(store, 2)


def test_a_commit_that_waits_for_a_standby_is_not_acknowledged_when_somebody_cancels_the_wait(
    server: Server, store: PostgresqlStore
) -> None:
    writer = store.writer()
    outcomes: list[object] = []
    thread = threading.Thread(
        target=lambda: outcomes.extend(writer.commit([transaction(Put(new_object(1)), number=1)]))
    )
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'keystead'"
    with configured(server, "synchronous_standby_names = '*'"):
        thread.start()
        assert eventually(lambda: bool(server.execute(waiting)))
        assert server.execute(f"SELECT pg_cancel_backend(pid) FROM ({waiting}) AS waiting") == [(True,)]
        assert eventually(lambda: is_there(store, 1))
        assert eventually(lambda: bool(server.execute(waiting)))
        assert outcomes == []
    thread.join(30)
    assert outcomes == [None]
    writer.close()
    assert_whole(store, 1)


def is_there(store: PostgresqlStore, number: int) -> bool:
    reader = store.reader()
    try:
        return reader.object(object_id(number)) is not None
    finally:
        reader.close()


@contextlib.contextmanager
def configured(server: Server, setting: str) -> Iterator[None]:
    """A server with another setting for a while."""
    name, _, value = setting.partition(" = ")
    change(server, f"ALTER SYSTEM SET {setting}", name, value.strip("'"))
    try:
        yield
    finally:
        change(server, f"ALTER SYSTEM RESET {name}", name, None)


def change(server: Server, statement: str, name: str, value: str | None) -> None:
    server.execute(statement)
    server.execute("SELECT pg_reload_conf()")
    assert eventually(lambda: (server.execute(f"SHOW {name}")[0][0] == value) is (value is not None))


# -------------------------------------------------------------------------------------------------------- a whole node


@pytest.mark.timeout(120)
def test_a_node_loses_no_key_that_it_acknowledged_while_server_and_node_are_killed(
    server: Server, tmp_path: Path
) -> None:
    node = DevNode(tmp_path, store=server.url(server.new_database(template="template0")))
    node.start()
    made: dict[str, bytes | None] = {}
    ends = threading.Event()

    def make() -> None:
        while not ends.is_set():
            with contextlib.suppress(OSError, Disconnected, Refused), node.session() as session:
                while not ends.is_set():
                    (key,) = session.identifiers(messages.create())
                    made[key] = None  # acknowledged
                    made[key] = session.key(key)

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    ups_and_downs: list[tuple[Callable[[], object], Callable[[], object]]] = [
        (lambda: server.stop(signal.SIGQUIT), server.start),
        (node.kill, node.start),
    ]
    for kill, start in ups_and_downs:
        before = len(made)
        assert eventually(lambda before=before: len(made) > before + 20)  # type: ignore[misc]  # of a loop
        kill()
        start()
    before = len(made)
    assert eventually(lambda: len(made) > before + 20)
    ends.set()
    for thread in threads:
        thread.join(30)
    with node.session() as session:
        assert all(session.key(key) == material or material is None for key, material in made.items())
    node.stop()
    assert node.verify().returncode == 0
