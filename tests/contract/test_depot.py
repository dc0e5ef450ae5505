"""One suite for every depot. What only one implementation has stands beside its other tests."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from keystead.clients.backup.remote_depot import RemoteDepot
from keystead.core.errors import Conflict, Invalid, NotFound, TooLarge
from keystead.core.secret import Secret
from keystead.custody.safeguard.client_keys import ClientIdentity, ClientKeys, EncryptionType
from keystead.custody.safeguard.deposits import Bundle
from keystead.custody.safeguard.depot import (
    ASKED_IDS_MAX,
    BATCH_OBJECTS_MAX,
    ID_BYTES,
    OBJECT_BYTES_MAX,
    SNAPSHOT_BYTES_MAX,
    Area,
    Depot,
    SnapshotRef,
)
from keystead.custody.safeguard.folder_depot import FolderDepot
from tests.clients.vault.rig import Rig


class Vault(Protocol):
    """Something that gives depots; the same client gets the same one again."""

    def depot(self, who: ClientIdentity) -> Depot: ...


class Folders:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def depot(self, who: ClientIdentity) -> Depot:
        account = self.folder / who.account
        return FolderDepot(account / "clients" / who.client, account / "shared")


@contextmanager
def folders(folder: Path) -> Iterator[Vault]:
    yield Folders(folder)


class Remote:
    """A server over TLS; each client enrols when it is first asked for."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.made: dict[ClientIdentity, RemoteDepot] = {}

    def depot(self, who: ClientIdentity) -> Depot:
        if who not in self.made:
            code = Path(self.rig.enrol(f"{who.account}/{who.client}")).read_bytes()
            shared = Secret(who.account.encode().ljust(32, b"."))
            keys = ClientKeys(EncryptionType.AES_256, Secret(os.urandom(32)), shared)
            bundle = Bundle(who, keys, self.rig.url, (self.rig.state / "ca.pem").read_text())
            self.made[who] = RemoteDepot(bundle, code, lambda _: None, time.time_ns)
        return self.made[who]


@contextmanager
def remote(folder: Path) -> Iterator[Vault]:
    rig = Rig(folder / "rig")
    with rig.serving():
        vault = Remote(rig)
        yield vault
        for depot in vault.made.values():
            depot.line.close()


IMPLEMENTATIONS: dict[str, Callable[[Path], AbstractContextManager[Vault]]] = {
    "folder": folders,
    "remote": remote,
}
ALICE, BOB, OTHER = ClientIdentity("acme", "alice"), ClientIdentity("acme", "bob"), ClientIdentity("other", "alice")
EACH = pytest.mark.parametrize("area", list(Area))


def an_id() -> bytes:
    return os.urandom(ID_BYTES)


@pytest.fixture(params=list(IMPLEMENTATIONS))
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Vault]:
    with IMPLEMENTATIONS[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def depot(vault: Vault) -> Depot:
    return vault.depot(ALICE)


@EACH
def test_objects_come_back_as_they_were_put(depot: Depot, area: Area) -> None:
    objects = [(an_id(), os.urandom(size)) for size in (1, 1000, 300_000)]
    depot.put(area, objects)
    assert [depot.get(area, object_id) for object_id, _ in objects] == [data for _, data in objects]


@EACH
def test_only_what_is_not_there_is_missing(depot: Depot, area: Area) -> None:
    there, absent = an_id(), an_id()
    depot.put(area, [(there, b"x")])
    assert depot.missing(area, [there, absent]) == {absent}
    assert depot.missing(area, []) == set()


@EACH
def test_an_absent_object_is_not_found(depot: Depot, area: Area) -> None:
    with pytest.raises(NotFound):
        depot.get(area, an_id())


@EACH
def test_an_object_is_never_replaced(depot: Depot, area: Area) -> None:
    object_id = an_id()
    depot.put(area, [(object_id, b"first")])
    depot.put(area, [(object_id, b"second")])
    assert depot.get(area, object_id) == b"first"


def test_areas_are_apart_and_only_the_accounts_is_shared(vault: Vault) -> None:
    own, common = an_id(), an_id()
    alice = vault.depot(ALICE)
    alice.put(Area.CLIENT, [(own, b"own")])
    alice.put(Area.ACCOUNT, [(common, b"common")])
    assert alice.missing(Area.ACCOUNT, [own]) == {own}
    assert vault.depot(BOB).get(Area.ACCOUNT, common) == b"common"
    assert vault.depot(BOB).missing(Area.CLIENT, [own, common]) == {own, common}
    assert vault.depot(OTHER).missing(Area.ACCOUNT, [common]) == {common}
    assert vault.depot(OTHER).missing(Area.CLIENT, [own]) == {own}


def test_limits_are_kept_and_nothing_is_half_there(depot: Depot) -> None:
    good = an_id()
    with pytest.raises(TooLarge):
        depot.put(Area.CLIENT, [(good, b"x"), (an_id(), bytes(OBJECT_BYTES_MAX + 1))])
    with pytest.raises(TooLarge):
        depot.put(Area.CLIENT, [(good, b"x")] * (BATCH_OBJECTS_MAX + 1))
    with pytest.raises(Invalid):
        depot.put(Area.CLIENT, [(good, b"x"), (b"short", b"x")])
    with pytest.raises(Invalid):
        depot.put(Area.CLIENT, [(good, b"")])
    assert depot.missing(Area.CLIENT, [good]) == {good}
    with pytest.raises(Invalid):
        depot.missing(Area.CLIENT, [an_id()] * (ASKED_IDS_MAX + 1))
    with pytest.raises(TooLarge):
        depot.commit(bytes(SNAPSHOT_BYTES_MAX + 1), None)
    with pytest.raises(Invalid):
        depot.commit(b"", None)
    assert depot.head() is None


def test_snapshots_form_a_chain(depot: Depot) -> None:
    assert depot.head() is None
    assert depot.snapshots() == []
    first = depot.commit(b"one", None)
    second = depot.commit(b"two", first)
    assert first == SnapshotRef(1, hashlib.sha256(b"one").digest())
    assert depot.snapshots() == [first, second]
    assert depot.head() == second
    assert depot.snapshot(first) == b"one"


def test_a_snapshot_is_appended_to_the_end_only(depot: Depot) -> None:
    first = depot.commit(b"one", None)
    second = depot.commit(b"two", first)
    for parent in (None, first, SnapshotRef(2, first.id), SnapshotRef(7, second.id)):
        with pytest.raises(Conflict):
            depot.commit(b"other", parent)
    assert depot.snapshots() == [first, second]


def test_a_snapshot_is_asked_for_by_sequence_and_id(depot: Depot) -> None:
    first = depot.commit(b"one", None)
    for wrong in (SnapshotRef(2, first.id), SnapshotRef(1, an_id())):
        with pytest.raises(NotFound):
            depot.snapshot(wrong)


def test_what_was_kept_is_there_for_the_next_connection(vault: Vault) -> None:
    object_id = an_id()
    vault.depot(ALICE).put(Area.CLIENT, [(object_id, b"kept")])
    ref = vault.depot(ALICE).commit(b"snapshot", None)
    again = vault.depot(ALICE)
    assert (again.get(Area.CLIENT, object_id), again.head()) == (b"kept", ref)
    assert vault.depot(BOB).head() is None
