"""Versions of keys under hands that do not wait for each other, and under somebody who edits the store.

Attack classes 14 (others' objects), 21 (stale caches) and 22 (time of check, time of use).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keystead.core.changes import Put
from keystead.core.errors import KeysteadError, Tampered
from keystead.core.key_versions import VersionState
from keystead.core.records import KIND_KEY_VERSION, Record
from keystead.gate.call import Batch, Reply
from keystead.operations.admin_keys import EraseKey
from keystead.operations.admin_keys_made import GenerateKey
from keystead.operations.key_versions import CreateVersion, ListVersions, SetVersionState
from keystead.operations.requests import CipherParameters, Encrypt, Get
from keystead.operations.users import CreateUser
from keystead.storage.verify import verify_store
from tests.hostile.doors import at_door
from tests.support.builders import ADMINISTRATOR, ALICE, PERMISSIVE, Node, a_node
from tests.support.dev_node import DevNode
from tests.support.engines import ENGINES, AnyStore
from tests.support.kmip import messages
from tests.support.kmip.sessions import Refused, Session

GCM = CipherParameters(mode=9, random_iv=True)
THREADS_COUNT, EACH_COUNT = 6, 4


@pytest.fixture(params=list(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> AnyStore:
    return ENGINES[request.param](tmp_path)


@pytest.fixture
def two(tmp_path: Path, store: AnyStore) -> Iterator[tuple[Node, Node]]:
    """Two gates on one store, as two processes have them; one keyring."""
    with a_node(tmp_path, PERMISSIVE, store) as one, a_node(tmp_path, PERMISSIVE, store) as other:
        other.keyring = one.keyring
        other.gate = type(one.gate)(other.objects, other.gate.committer, one.keyring, other.gate.activity, other.clock)
        other.gate.switches = PERMISSIVE
        one.ask(ADMINISTRATOR, CreateUser("alice"))
        one.ask(ADMINISTRATOR, GenerateKey("tape", owner="alice", exportable=True, versioned=True))
        yield one, other


@pytest.mark.row("KS-KEY-018")
def test_a_state_that_another_process_sets_counts_at_once(two: tuple[Node, Node]) -> None:
    one, other = two
    first = one.ask(ADMINISTRATOR, ListVersions("tape")).versions[0].id
    assert other.reason(ALICE, Encrypt(b"data", first, GCM)) is None
    one.ask(ADMINISTRATOR, CreateVersion("tape"))
    for state, outcome in ((VersionState.RETIRED, "wrong_state.object"), (VersionState.ACTIVE, None)) * 3:
        one.ask(ADMINISTRATOR, SetVersionState("tape", 1, state))
        assert [node.reason(ALICE, Encrypt(b"data", first, GCM)) for node in (other, one)] == [outcome] * 2
    other.ask(ADMINISTRATOR, EraseKey("tape", "tape"))
    assert [node.reason(ALICE, Get(first)) for node in two] == ["not_found.item"] * 2


def test_versions_of_two_processes_are_numbered_one_after_the_other(two: tuple[Node, Node]) -> None:
    one, other = two
    for _ in range(3):
        first = one.ask(ADMINISTRATOR, CreateVersion("tape")).version
        assert other.ask(ADMINISTRATOR, CreateVersion("tape")).version == first + 1
    listed = one.ask(ADMINISTRATOR, ListVersions("tape")).versions
    assert [version.version for version in listed] == [7, 6, 5, 4, 3, 2, 1]
    assert len({one.ask(ALICE, Get(version.id)).block.material.reveal() for version in listed}) == 7


def test_a_version_that_was_decided_on_an_old_key_is_decided_anew(two: tuple[Node, Node]) -> None:
    """The other process makes a version between this one's look and its commit: neither is lost."""
    one, other = two
    other.objects.refresh()
    other.objects.get(one.ask(ADMINISTRATOR, ListVersions("tape")).versions[0].id)
    one.ask(ADMINISTRATOR, CreateVersion("tape"))
    made: list[list[Reply]] = []

    other.gate.run(Batch(ADMINISTRATOR, (CreateVersion("tape"),), number=7), made.append)  # without a refresh before
    ((reply,),) = made
    assert (reply.error, reply.result.version) == (None, 3)


def test_a_store_with_versions_verifies_and_names_what_was_taken(two: tuple[Node, Node], store: AnyStore) -> None:
    one, _ = two
    for _ in range(3):
        one.ask(ADMINISTRATOR, CreateVersion("tape"))
    report = verify_store(store)
    assert not report.findings
    gone = one.ask(ADMINISTRATOR, ListVersions("tape")).versions[2]
    record = one.objects.reader.record(KIND_KEY_VERSION, gone.id)
    assert record is not None
    one.purge(KIND_KEY_VERSION, gone.id, record.record.revision)
    for request in (ListVersions("tape"), EraseKey("tape", "tape")):
        with pytest.raises(Tampered):
            one.ask(ADMINISTRATOR, request)


def test_a_version_whose_record_names_another_key_shows_no_foreign_bytes(two: tuple[Node, Node]) -> None:
    """Sealed bytes open as the version that they are, whatever a record says."""
    one, _ = two
    one.ask(ADMINISTRATOR, CreateVersion("tape"))
    one.ask(ADMINISTRATOR, GenerateKey("other", owner="alice", exportable=True, versioned=True))
    one.ask(ADMINISTRATOR, CreateVersion("other"))
    mine, others = (one.ask(ADMINISTRATOR, ListVersions(name)).versions[1].id for name in ("tape", "other"))
    foreign, own = (one.objects.reader.record(KIND_KEY_VERSION, each) for each in (others, mine))
    assert foreign is not None
    assert own is not None
    assert isinstance(own.record, Record)
    swapped = own.record._replace(material=foreign.record.material)
    assert one.store(Put(swapped, foreign.material)) is None
    with pytest.raises(KeysteadError) as refused:
        one.ask(ALICE, Get(mine))
    assert refused.value.reason in {"tampered", "cryptography"}


def test_many_at_once_make_versions_and_none_is_lost(node: DevNode) -> None:
    """Over the local door, while a client fetches by name and by id."""
    name = "hostile-versions"
    at_door(node, "settings.change", section="keys", field="active_versions_max", value=1000)
    at_door(node, "key.generate", name=name, owner="alice", exportable=True, versioned=True)

    def making(_: int) -> list[int]:
        return [int(at_door(node, "key_version.create", target=name)["version"]) for _ in range(EACH_COUNT)]

    def fetching(_: int) -> int:
        seen: dict[str, bytes] = {}
        with Session(node.port, node.client("alice")) as session:
            for _ in range(30):
                found = session.identifiers(messages.locate(messages.name_attribute(name)))
                assert len(found) == 1
                for one in {*found, *seen}:
                    data = session.key(one)
                    assert seen.setdefault(one, data) == data
        return len(seen)

    with ThreadPoolExecutor(THREADS_COUNT + 1) as pool:
        reader = pool.submit(fetching, 0)
        numbers = [number for made in pool.map(making, range(THREADS_COUNT)) for number in made]
        assert reader.result() >= 1
    assert sorted(numbers) == list(range(2, THREADS_COUNT * EACH_COUNT + 2))
    listed = at_door(node, "key_version.list", target=name, limit_count=1000)["versions"]
    assert [one["version"] for one in listed] == list(range(THREADS_COUNT * EACH_COUNT + 1, 0, -1))
    with Session(node.port, node.client("bob")) as session:
        for one in listed[:3]:
            with pytest.raises(Refused):
                session.key(one["id"])
