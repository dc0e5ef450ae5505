"""A snapshot that an enemy wrote with the right keys still writes nothing outside of the target."""

import os
from pathlib import Path

import cbor2
import pytest

from keystead.clients.backup import entries, snapshots
from keystead.clients.backup.entries import Entry, Form, Piece, Stamp
from keystead.clients.backup.sealing import Kind
from keystead.clients.backup.snapshots import Root, Snapshot
from keystead.core.errors import Invalid, Tampered
from keystead.custody.safeguard.client_keys import ClientIdentity
from keystead.custody.safeguard.depot import Area
from tests.clients.backup.rig import NOW_US, Rig


def forge(rig: Rig, *listed: Entry) -> None:
    """Commit a snapshot with these entries, whatever they are."""
    client = rig.client()
    keys = client.keys.of(Area.CLIENT)
    body = b"".join(frame for entry in listed for frame in entries.written(entry))
    chunk_id = keys.chunk_id(Kind.LIST, body)
    client.depot.put(Area.CLIENT, [(chunk_id, keys.seal(Kind.LIST, chunk_id, body))])
    snapshot = Snapshot(NOW_US, (Root(b"/tree", Area.CLIENT),), 1, 1, 0, (chunk_id,))
    client.depot.commit(snapshots.seal(client.keys, snapshot, None), None)


def folder(*path: bytes) -> Entry:
    return Entry(path, Form.FOLDER, 0o755, (0, 0), Stamp(0, 0, 0, 0))


def link(target: bytes, *path: bytes) -> Entry:
    return Entry(path, Form.LINK, 0o777, (0, 0), Stamp(0, 0, 0, 0), target=target)


def empty_file(rig: Rig, *path: bytes) -> Entry:
    code = rig.client().keys.of(Area.CLIENT).file_code().digest()
    return Entry(path, Form.FILE, 0o644, (0, 0), Stamp(0, 0, 0, 0), code=code)


@pytest.mark.parametrize(
    "names",
    [(b"..", b"x"), (b"a", b"..", b"..", b"x"), (b".",), (b"",), (b"", b"etc", b"x"), (b"a\0b",), (b"n" * 256,)],
)
def test_names_that_lead_elsewhere(rig: Rig, tmp_path: Path, names: tuple[bytes, ...]) -> None:
    forge(rig, *[folder(*names[:depth]) for depth in range(1, len(names))], empty_file(rig, *names))
    with pytest.raises(Tampered):
        rig.restore(tmp_path / "out")
    assert not (tmp_path / "x").exists()


def test_a_file_below_a_link(rig: Rig, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    forge(rig, link(os.fsencode(outside), b"a"), empty_file(rig, b"a", b"x"))
    with pytest.raises(Tampered, match="not lie in a folder"):
        rig.restore(tmp_path / "out")
    assert not list(outside.iterdir())


def test_the_same_path_as_link_and_as_folder(rig: Rig, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    forge(rig, link(os.fsencode(outside), b"a"), folder(b"a"), empty_file(rig, b"a", b"x"))
    with pytest.raises(Tampered, match="not in order"):
        rig.restore(tmp_path / "out")
    assert not list(outside.iterdir())


def test_a_link_that_waits_in_the_target(rig: Rig, tmp_path: Path) -> None:
    """Somebody else put a link where a folder belongs: it is not followed, the loss is told."""
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    out.mkdir()
    (out / "a").symlink_to(outside)
    forge(rig, folder(b"a"), empty_file(rig, b"a", b"x"))
    done = rig.restore(out, replace=True)
    assert done.failed == 1
    assert not list(outside.iterdir())


def test_a_link_that_waits_for_a_file(rig: Rig, tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.write_bytes(b"not touched")
    out.mkdir()
    (out / "x").symlink_to(outside)
    forge(rig, empty_file(rig, b"x"))
    rig.restore(out, replace=True)
    assert outside.read_bytes() == b"not touched"
    assert not (out / "x").is_symlink()


def test_the_name_of_the_marker(rig: Rig, tmp_path: Path) -> None:
    forge(rig, empty_file(rig, b".keystead-restore"))
    assert rig.restore(tmp_path / "out").failed == 1


def test_pieces_that_do_not_add_up(rig: Rig, tmp_path: Path) -> None:
    wrong = empty_file(rig, b"x")
    wrong.pieces = [Piece(bytes(32), 0, 5)]
    forge(rig, wrong)
    with pytest.raises(Tampered, match="add up"):
        rig.restore(tmp_path / "out")


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\x05\x80",
        b"\0\0\0\x01\xff",
        b"\0\0\0\x01\x00",
        b"\0\0\0\x01\x80",
        b"\0\0\0\x03\x82\xf6\x80",
    ],
)
def test_a_list_that_is_none(body: bytes) -> None:
    with pytest.raises(Tampered):
        list(entries.read([body]))


@pytest.mark.parametrize("place", range(12))
@pytest.mark.parametrize("value", [None, -1, "x", b"", 2**70, [1]])
def test_an_entry_with_a_wrong_item(place: int, value: object) -> None:
    items: list[object] = [b"a", "f", 0o644, 0, 0, 0, 0, 0, 0, b"", 0, []]
    items[place] = value
    body = cbor2.dumps(items)
    try:
        found = list(entries.read([len(body).to_bytes(4, "big") + body]))
    except Tampered:
        return
    assert [entry.path for entry in found] == [(b"a",)]


def test_many_pieces_take_several_frames() -> None:
    pieces = [Piece(bytes([number % 251]) * 32, number, 1) for number in range(2_500)]
    entry = Entry((b"large",), Form.FILE, 0o600, (1, 2), Stamp(2_500, -5, 6, 7), code=bytes(32), pieces=pieces)
    frames = b"".join(entries.written(entry))
    blocks = [frames[place : place + 1000] for place in range(0, len(frames), 1000)]
    assert list(entries.read(blocks)) == [entry]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "x" * 65, "-a", "ä"])
def test_names_of_accounts_and_clients_are_no_paths(name: str) -> None:
    with pytest.raises(Invalid):
        ClientIdentity("acme", name)
    with pytest.raises(Invalid):
        ClientIdentity(name, "alice")
