"""A vault that lies: whatever it answers, no file gets its name before its content is proven."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from keystead.clients.backup import restoring, snapshots
from keystead.clients.backup.backing_up import look
from keystead.clients.backup.progress import Progress
from keystead.clients.backup.reading import Reader
from keystead.core.errors import Tampered
from keystead.custody.safeguard.client_keys import ClientIdentity
from keystead.custody.safeguard.depot import Area, Depot, SnapshotRef
from tests.clients.backup.rig import Rig, inside, picture


class Liar:
    """A depot whose answers pass through what a test says."""

    def __init__(self, honest: Depot) -> None:
        self.honest = honest
        self.lie: Callable[[Area, bytes, bytes], bytes] = lambda _area, _id, data: data
        self.shown_head: SnapshotRef | None = honest.head()
        self.shown_snapshot: Callable[[SnapshotRef, bytes], bytes] = lambda _ref, data: data
        self.claims_all = False
        self.got: list[tuple[Area, bytes]] = []

    def missing(self, area: Area, ids: Sequence[bytes]) -> set[bytes]:
        return set() if self.claims_all else self.honest.missing(area, ids)

    def put(self, area: Area, objects: Sequence[tuple[bytes, bytes]]) -> None:
        self.honest.put(area, objects)

    def get(self, area: Area, object_id: bytes) -> bytes:
        self.got.append((area, object_id))
        return self.lie(area, object_id, self.honest.get(area, object_id))

    def head(self) -> SnapshotRef | None:
        return self.shown_head

    def snapshots(self) -> list[SnapshotRef]:
        return [self.shown_head] if self.shown_head else []

    def snapshot(self, ref: SnapshotRef) -> bytes:
        return self.shown_snapshot(ref, self.honest.snapshot(ref))

    def commit(self, snapshot: bytes, parent: SnapshotRef | None) -> SnapshotRef:
        return self.honest.commit(snapshot, parent)


@pytest.fixture
def liar(rig: Rig, tree: Path) -> Liar:
    """A vault with two snapshots, honest until told."""
    rig.back_up(tree)
    (tree / "private").write_bytes(b"second")
    (tree / "also large").write_bytes(os.urandom(3_000_000))
    rig.back_up(tree)
    return Liar(rig.depot())


def data_ids(rig: Rig) -> list[bytes]:
    """Chunks of files, in the order in which a restore needs them."""
    client = rig.client()
    entries = Reader(client.depot, client.keys).entries(rig.newest().content)
    return [*dict.fromkeys(piece.id for entry in entries for piece in entry.pieces)]


def refused(rig: Rig, liar: Liar, tree: Path, target: Path) -> None:
    """A restore ends, and whatever has a name in the target is a file of the snapshot, whole."""
    with pytest.raises(Tampered):
        rig.restore(target, depot=liar)
    true = {name: what for name, (_mode, _time, what) in picture(tree).items()}
    for name, (_mode, _time, what) in picture(inside(target, tree)).items():
        if what is not None and not name.endswith(b"folder"):
            assert what == true[name]
    assert not list(target.rglob(f"{restoring.MARKER}-*"))


def exchange(liar: Liar, area: Area, answers: dict[bytes, bytes]) -> None:
    """For one object answer with another."""
    liar.lie = lambda where, wanted, data: (
        liar.honest.get(area, answers[wanted]) if where is area and wanted in answers else data
    )


def test_the_honest_vault_restores(rig: Rig, liar: Liar, tree: Path, tmp_path: Path) -> None:
    rig.restore(tmp_path / "out", depot=liar)
    assert picture(inside(tmp_path / "out", tree)) == picture(tree)


def test_yesterdays_snapshot_as_todays(rig: Rig, liar: Liar, tmp_path: Path) -> None:
    liar.shown_head = rig.depot().snapshots()[0]
    with pytest.raises(Tampered, match="older state"):
        rig.restore(tmp_path / "out", depot=liar)
    with pytest.raises(Tampered, match="older state"):
        rig.back_up(depot=liar)


def test_an_empty_vault(rig: Rig, liar: Liar, tmp_path: Path) -> None:
    liar.shown_head = None
    with pytest.raises(Tampered, match="older state"):
        rig.back_up(tmp_path, depot=liar)


def test_yesterdays_bytes_under_todays_name(rig: Rig, liar: Liar, tmp_path: Path) -> None:
    first = rig.depot().snapshots()[0]
    liar.shown_snapshot = lambda _ref, _data: liar.honest.snapshot(first)
    with pytest.raises(Tampered):
        rig.restore(tmp_path / "out", depot=liar)


def test_yesterdays_bytes_in_a_new_place_of_the_chain(rig: Rig, liar: Liar, tmp_path: Path) -> None:
    first, second = rig.depot().snapshots()
    liar.shown_head = SnapshotRef(second.sequence + 1, first.id)
    liar.honest = _Renamed(liar.honest, liar.shown_head, first)
    with pytest.raises(Tampered):
        rig.restore(tmp_path / "out", depot=liar)


class _Renamed(Liar):
    def __init__(self, honest: Depot, name: SnapshotRef, real: SnapshotRef) -> None:
        super().__init__(honest)
        self.names = {name: real}

    def snapshot(self, ref: SnapshotRef) -> bytes:
        return self.honest.snapshot(self.names.get(ref, ref))


def test_another_branch_than_the_one_that_was_seen(rig: Rig, tree: Path, tmp_path: Path) -> None:
    """The vault was put back to its first snapshot, and the client's twin made another second and third one."""
    rig.back_up(tree)
    shutil.copytree(rig.vault, tmp_path / "aside")
    shutil.copytree(rig.state, tmp_path / "state aside")
    rig.back_up(tree)
    rig.back_up(tree)
    shutil.rmtree(rig.vault)
    (tmp_path / "aside").rename(rig.vault)
    mine = tmp_path / "my state"
    rig.state.rename(mine)
    (tmp_path / "state aside").rename(rig.state)
    (tree / "private").write_bytes(b"twin")
    for _ in range(3):
        rig.back_up(tree)
    shutil.rmtree(rig.state)
    mine.rename(rig.state)
    with pytest.raises(Tampered, match="another snapshot number 3"):
        rig.restore(tmp_path / "out")


def test_a_snapshot_of_another_client(rig: Rig, liar: Liar, tree: Path, tmp_path: Path) -> None:
    bob = rig.other(who=ClientIdentity("acme", "bob"))
    bob.back_up(tree)
    shutil.rmtree(rig.state)
    with pytest.raises(Tampered):
        rig.restore(tmp_path / "out", depot=bob.depot())


def test_a_chain_with_a_snapshot_missing(rig: Rig, liar: Liar) -> None:
    path = min((rig.vault / "acme" / "clients" / "alice" / "snapshots").iterdir())
    path.unlink()
    client = rig.client()
    newest = look(client)
    assert newest is not None
    with pytest.raises(Tampered, match="number 1 is missing"):
        snapshots.walk(client.keys, client.depot, newest, 1)


def test_swapped_chunks(rig: Rig, liar: Liar, tree: Path, tmp_path: Path) -> None:
    first, second = data_ids(rig)[:2]
    exchange(liar, Area.CLIENT, {first: second, second: first})
    refused(rig, liar, tree, tmp_path / "out")


def test_reordered_chunks(rig: Rig, liar: Liar, tree: Path, tmp_path: Path) -> None:
    ids = data_ids(rig)
    exchange(liar, Area.CLIENT, dict(zip(ids, [*ids[1:], ids[0]], strict=True)))
    refused(rig, liar, tree, tmp_path / "out")


def test_a_repeated_chunk(rig: Rig, liar: Liar, tree: Path, tmp_path: Path) -> None:
    ids = data_ids(rig)
    exchange(liar, Area.CLIENT, dict.fromkeys(ids, ids[0]))
    refused(rig, liar, tree, tmp_path / "out")


@pytest.mark.parametrize("length", [0, 10, 40, -1])
def test_a_truncated_chunk(rig: Rig, liar: Liar, tree: Path, tmp_path: Path, length: int) -> None:
    last = data_ids(rig)[-1]
    liar.lie = lambda _area, wanted, data: data[:length] if wanted == last else data
    refused(rig, liar, tree, tmp_path / "out")


@pytest.mark.parametrize("place", [0, 12, 20, -1])
def test_a_changed_byte(rig: Rig, liar: Liar, tree: Path, tmp_path: Path, place: int) -> None:
    last = data_ids(rig)[-1]

    def changed(_area: Area, wanted: bytes, data: bytes) -> bytes:
        if wanted != last:
            return data
        turned = bytearray(data)
        turned[place] ^= 1
        return bytes(turned)

    liar.lie = changed
    refused(rig, liar, tree, tmp_path / "out")


def test_a_chunk_of_another_file(rig: Rig, liar: Liar, tree: Path, tmp_path: Path) -> None:
    client = rig.client()
    entries = {e.path[-1]: e for e in Reader(client.depot, client.keys).entries(rig.newest().content)}
    one, other = entries[b"large"].pieces, entries[b"also large"].pieces
    exchange(liar, Area.CLIENT, {one[0].id: other[0].id})
    refused(rig, liar, tree, tmp_path / "out")


def test_a_chunk_of_another_position(rig: Rig, liar: Liar, tree: Path, tmp_path: Path) -> None:
    client = rig.client()
    entries = {e.path[-1]: e for e in Reader(client.depot, client.keys).entries(rig.newest().content)}
    pieces = entries[b"large"].pieces
    exchange(liar, Area.CLIENT, {pieces[0].id: pieces[-1].id, pieces[-1].id: pieces[0].id})
    assert len(pieces) > 1
    refused(rig, liar, tree, tmp_path / "out")


def test_a_chunk_of_another_client(rig: Rig, liar: Liar, tree: Path, tmp_path: Path) -> None:
    """Even with the same keys and the same content, another client's chunk has another name and another seal."""
    bob = rig.other(who=ClientIdentity("acme", "bob"))
    bob.back_up(tree)
    mine, his = data_ids(rig), data_ids(bob)
    assert not {*mine} & {*his}
    depot = bob.depot()
    answers = dict(zip(mine, his, strict=False))
    liar.lie = lambda area, wanted, data: depot.get(area, answers[wanted]) if wanted in answers else data
    refused(rig, liar, tree, tmp_path / "out")


def test_a_part_of_the_list_as_data_and_another_list(rig: Rig, liar: Liar, tree: Path, tmp_path: Path) -> None:
    first, second = rig.depot().snapshots()
    client = rig.client()
    old = snapshots.load(client.keys, client.depot, first).content.list_ids
    new = snapshots.load(client.keys, client.depot, second).content.list_ids
    exchange(liar, Area.CLIENT, {new[-1]: old[-1]})
    refused(rig, liar, tree, tmp_path / "out")
    exchange(liar, Area.CLIENT, {data_ids(rig)[0]: new[0]})
    refused(rig, liar, tree, tmp_path / "other")


def test_a_chunk_that_is_withheld(rig: Rig, liar: Liar, tree: Path, tmp_path: Path) -> None:
    digits = data_ids(rig)[-1].hex()
    (rig.vault / "acme" / "clients" / "alice" / "objects" / digits[:2] / digits).unlink()
    refused(rig, liar, tree, tmp_path / "out")


def test_data_that_the_vault_lost_are_sent_again(rig: Rig, liar: Liar, tree: Path, tmp_path: Path) -> None:
    digits = data_ids(rig)[-1].hex()
    (rig.vault / "acme" / "clients" / "alice" / "objects" / digits[:2] / digits).unlink()
    rig.back_up(tree)
    rig.restore(tmp_path / "out")
    assert picture(inside(tmp_path / "out", tree)) == picture(tree)


def test_a_vault_that_claims_to_hold_what_it_does_not_is_found_by_verify(rig: Rig, liar: Liar, tree: Path) -> None:
    (tree / "new").write_bytes(os.urandom(500_000))
    liar.claims_all = True
    rig.back_up(tree, depot=liar)
    with pytest.raises(Tampered, match="does not hold"):
        restoring.prove(rig.client(), rig.newest(), Progress("", quiet=True))


def test_verify_names_the_files_that_cannot_be_restored(rig: Rig, liar: Liar) -> None:
    digits = data_ids(rig)[-1].hex()
    (rig.vault / "acme" / "clients" / "alice" / "objects" / digits[:2] / digits).unlink()
    found = restoring.prove(rig.client(), rig.newest(), Progress("", quiet=True))
    named = [line for line in rig.told if line.startswith("cannot be restored")]
    assert found.failed == len(named) >= 1
