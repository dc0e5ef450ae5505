"""The audit tree in its folder: it grows, it is opened after a kill at any point, and what was signed stays."""

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import Tampered
from keystead.storage.audit_tree.entries import Kept, Personal, entry_of, read_entry
from keystead.storage.audit_tree.files import (
    WIDTH,
    number_path,
    read_bundle,
    tile_path,
    unpacked_entries,
    unpacked_personal,
)
from keystead.storage.audit_tree.heads import published
from keystead.storage.audit_tree.tiles import Tiles
from keystead.storage.audit_tree.tree import BATCH_COUNT_MAX, open_tree
from keystead.storage.audit_tree.verify import verify
from keystead.storage.journal import Leaf
from keystead.trust.merkle import is_consistent, leaf_hash, root_of
from keystead.trust.notes import Checkpoint
from tests.storage.audit_tree.building import KEY, exported, extend, grown, leaf

KILLS_COUNT = 25


def all_entries(folder: Path, size: int) -> list[bytes]:
    found: list[bytes] = []
    for number in range((size + WIDTH - 1) // WIDTH):
        found += read_bundle(folder, number, min(WIDTH, size - number * WIDTH)) or []
    return found


def test_places_of_the_specification() -> None:
    assert number_path(1234067) == "x001/x234/067"
    assert tile_path(0, 273, 112) == "tile/0/273.p/112"
    assert tile_path("entries", 5) == "tile/entries/005"


@pytest.mark.parametrize("counts", [(1,), (255, 1, 1), (256,), (257, 300), (1, 2, 3, 700), (512, 512)])
def test_it_grows_by_batches_and_each_checkpoint_has_the_root_of_its_entries(
    tmp_path: Path, counts: tuple[int, ...]
) -> None:
    tree = grown(tmp_path / "audit", *counts)
    hashes = [leaf_hash(entry) for entry in all_entries(tree.folder, sum(counts))]
    assert tree.size == len(hashes) == sum(counts)
    assert tree.head is not None
    assert tree.head.checkpoint.root == root_of(hashes)
    assert Tiles(tree.folder, tree.size).root(counts[0]) == root_of(hashes[: counts[0]])
    assert verify(exported(tree, tmp_path / "export"), KEY).findings == []


def test_the_tiles_of_the_specification_s_example(tmp_path: Path) -> None:
    tree = open_tree(tmp_path / "audit", KEY)
    for first in range(0, 70_000, BATCH_COUNT_MAX):
        extend(tree, [leaf(first + place + 1) for place in range(min(BATCH_COUNT_MAX, 70_000 - first))])
    found = {path.relative_to(tree.folder / "tile").as_posix() for path in tree.folder.glob("tile/[0-9]/**/*[0-9]")}
    files = {name for name in found if (tree.folder / "tile" / name).is_file()}
    assert len([name for name in files if name.startswith("0/") and ".p" not in name]) == 273
    assert {name for name in files if not name.startswith("0/")} >= {"1/000", "1/001.p/17", "2/000.p/1"}
    assert "0/273.p/112" in files
    assert (tree.folder / "tile/0/272").stat().st_size == 8192
    assert not list(tree.folder.glob("tile/0/272.p/*"))


def test_an_entry_holds_nothing_personal_and_its_commitment_fits_only_its_own_part() -> None:
    stored, kept = entry_of("own", leaf(7, "alice"))
    assert b"alice" not in stored
    assert b"192.0.2.7" not in stored
    assert read_entry(stored).principal_kind == "user"
    assert kept.personal == ("alice", "192.0.2.7", "by alice")
    assert kept.fits(read_entry(stored).commitment)
    assert not kept._replace(part=kept.part + b"\x00").fits(read_entry(stored).commitment)
    assert entry_of("own", leaf(7, "alice"))[0] != stored  # another salt: equal parts cannot be told
    assert Kept.unpacked(kept.packed()) == kept


def test_a_target_that_is_too_long_for_a_bundle_is_named_by_its_digest() -> None:
    long: Leaf = leaf(1)._replace(target="object:" + "x" * 100_000)
    stored, _ = entry_of("own", long)
    assert read_entry(stored).target == f"sha256:{sha256(long.target.encode()).hexdigest()}"


def test_modes_keep_others_out(tmp_path: Path) -> None:
    tree = grown(tmp_path / "audit", 300)
    assert all(path.stat().st_mode & 0o077 == 0 for path in [tree.folder, *tree.folder.rglob("*")])


def test_what_lies_beyond_the_last_checkpoint_is_cut_and_written_anew(tmp_path: Path) -> None:
    tree = grown(tmp_path / "audit", 200)
    before = all_entries(tree.folder, 200)
    tree.append([entry_of("own", leaf(201 + place)) for place in range(700)])  # and then killed
    (tree.folder / "personal/002.new").write_bytes(b"half")
    (tree.folder / "checkpoint.new").write_bytes(b"half")
    again = open_tree(tree.folder, KEY)
    assert again.size == 200
    assert not list(tree.folder.rglob("*.new"))
    assert [path.name for path in (tree.folder / "personal").iterdir()] == ["000"]
    assert not (tree.folder / tile_path("entries", 0)).exists()
    extend(again, [leaf(201 + place) for place in range(400)])
    assert all_entries(tree.folder, 600)[:200] == before
    assert verify(exported(again, tmp_path / "export"), KEY).findings == []


def test_a_signed_checkpoint_that_was_not_published_is_kept(tmp_path: Path) -> None:
    tree = grown(tmp_path / "audit", 10)
    old = (tree.folder / "checkpoint").read_bytes()
    extend(tree, [leaf(11)])
    (tree.folder / "checkpoint").write_bytes(old)  # killed between the two files
    again = open_tree(tree.folder, KEY)
    assert again.size == 11
    head = published(tree.folder, KEY)
    assert head is not None
    assert head.size == 11


def test_a_torn_checkpoint_is_cut(tmp_path: Path) -> None:
    tree = grown(tmp_path / "audit", 10, 5)
    data = (tree.folder / "checkpoints").read_bytes()
    for more in (b"keystead/test\n16\nAAA", b"keystead/test\n16\nAAA\n\n\xe2\x80"):
        (tree.folder / "checkpoints").write_bytes(data + more)
        assert open_tree(tree.folder, KEY).size == 15
        assert (tree.folder / "checkpoints").read_bytes() == data


def test_a_tree_that_contradicts_its_checkpoint_is_not_continued(tmp_path: Path) -> None:
    tree = grown(tmp_path / "audit", 300)
    tile = tree.folder / tile_path(0, 1, 44)
    tile.write_bytes(bytes(len(tile.read_bytes())))
    with pytest.raises(Tampered, match="root"):
        open_tree(tree.folder, KEY)
    tile.unlink()
    with pytest.raises(Tampered, match="missing"):
        open_tree(tree.folder, KEY)


def test_checkpoints_that_were_cut_are_not_followed_by_others(tmp_path: Path) -> None:
    tree = grown(tmp_path / "audit", 10, 10)
    data = (tree.folder / "checkpoints").read_bytes()
    (tree.folder / "checkpoints").write_bytes(data[: len(data) // 2])
    with pytest.raises(Tampered, match="cut off"):
        open_tree(tree.folder, KEY)
    (tree.folder / "checkpoints").unlink()
    with pytest.raises(Tampered, match="missing"):
        open_tree(tree.folder, KEY)


@pytest.mark.parametrize("room_bytes", [0, 1, 100, 300])
def test_a_disk_that_fills_up_loses_nothing_published(tmp_path: Path, room_bytes: int) -> None:
    tree = grown(tmp_path / "audit", *([1] * 40))
    before = tree.size
    checkpoints = tree.folder / "checkpoints"
    assert checkpoints.stat().st_size > 8192  # so that it is what meets the limit
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (checkpoints.stat().st_size + room_bytes, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            extend(tree, [leaf(before + 1), leaf(before + 2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    again = open_tree(tree.folder, KEY)
    assert again.size == before
    extend(again, [leaf(before + 1)])
    assert verify(exported(again, tmp_path / "export"), KEY).findings == []


def personal_of(data: bytes) -> Personal:
    return Kept(b"salt", data).personal


@given(st.binary(max_size=200))
def test_bytes_of_anybody_are_refused_in_one_way(data: bytes) -> None:
    for read in (read_entry, Kept.unpacked, unpacked_entries, unpacked_personal, personal_of):
        with contextlib.suppress(Tampered):
            read(data)


GROWER = """
import sys
from pathlib import Path
from tests.storage.audit_tree.building import KEY, extend, leaf
from keystead.storage.audit_tree.tree import open_tree
tree = open_tree(Path(sys.argv[1]), KEY)
print("open", flush=True)
while True:
    extend(tree, [leaf(tree.size + 1 + place) for place in range(173)])
"""


def test_what_a_checkpoint_covers_is_not_written_again(tmp_path: Path) -> None:
    tree = open_tree(tmp_path / "audit", KEY)
    extend(tree, [leaf(1 + place) for place in range(300)])
    covered = {path: path.stat().st_mtime_ns for path in (tmp_path / "audit" / "tile").glob("**/*") if path.is_file()}
    assert tmp_path / "audit" / "tile/1/000.p/1" in covered
    extend(tree, [leaf(301 + place) for place in range(10)])  # the second level stays as wide as it is
    assert {path: path.stat().st_mtime_ns for path in covered} == covered


@pytest.mark.timeout(300)
def test_a_killed_writer_loses_nothing_published_and_signs_no_fork(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    root = Path(__file__).parents[3]
    seen: list[Checkpoint] = []
    dice = random.Random(60)
    for _ in range(KILLS_COUNT):
        process = subprocess.Popen([sys.executable, "-c", GROWER, str(folder)], cwd=root, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        time.sleep(dice.random() * 0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        head = published(folder, KEY)
        if head is not None:
            seen.append(head.checkpoint)
    tree = open_tree(folder, KEY)
    assert tree.head is not None
    assert tree.size >= max(each.size for each in seen)
    tiles = Tiles(folder, tree.size)
    assert [each for each in seen if each.root != tiles.root(each.size)] == []
    told = verify(exported(tree, tmp_path / "export"), KEY)
    assert (told.findings, told.entries_count) == ([], tree.size)
    sequences = [read_entry(entry).sequence for entry in all_entries(folder, tree.size)]
    assert sequences == list(range(1, tree.size + 1))


def test_an_older_tree_is_a_prefix_of_every_later_one(tmp_path: Path) -> None:
    from keystead.trust.merkle import consistency_proof

    tree = open_tree(tmp_path / "audit", KEY)
    heads: list[Checkpoint] = []
    for count in (1, 5, 250, 1, 300, 256):
        extend(tree, [leaf(tree.size + 1 + place) for place in range(count)])
        assert tree.head is not None
        heads.append(tree.head.checkpoint)
    new = heads[-1]
    for old in heads:
        steps = consistency_proof(old.size, new.size, Tiles(tree.folder, tree.size).subtree)
        assert is_consistent(old.size, old.root, new.size, new.root, steps)


def test_a_bundle_that_is_cut_off_is_not_read(tmp_path: Path) -> None:
    tree = grown(tmp_path / "audit", 3)
    data = (tree.folder / tile_path("entries", 0, 3)).read_bytes()
    with pytest.raises(Tampered, match="cut off"):
        unpacked_entries(data[:-1])
    shutil.rmtree(tree.folder / "personal")
    with pytest.raises(Tampered, match="personal"):
        open_tree(tree.folder, KEY)
