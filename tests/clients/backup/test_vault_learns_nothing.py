"""Whoever reads all that a vault keeps finds no name, no content and no key, and no length of a small file."""

import os
from pathlib import Path

import pytest

from keystead.clients.backup.cutting import DATA_SIZES, Cutter
from keystead.clients.backup.sealing import AreaKeys, Kind, padded
from keystead.core.secret import Secret
from keystead.custody.safeguard.client_keys import EncryptionType
from keystead.custody.safeguard.depot import Area
from tests.clients.backup.rig import ACCOUNT, PRIVATE, Rig, plant

WINDOW_BYTES = 8


def windows(secret: bytes) -> set[bytes]:
    return {secret[place : place + WINDOW_BYTES] for place in range(len(secret) - WINDOW_BYTES + 1)}


@pytest.mark.row("DS-002")
def test_the_vaults_folder_holds_no_name_no_content_and_no_key(rig: Rig, tmp_path: Path) -> None:
    tree, common = tmp_path / "the planted tree", tmp_path / "planted common"
    tree.mkdir()
    random = os.urandom(5_000)  # nothing to compress: it would be found as it is
    (tree / "planted-name-of-a-file").write_bytes(b"planted content of a file, readable" + random)
    (tree / "planted-name-of-a-link").symlink_to("planted-target-of-a-link")
    plant(common, files=8)
    large = os.urandom(2_000_000)
    (tree / "planted-large").write_bytes(large)
    rig.back_up(tree, common=(common,))
    rig.back_up(tree, common=(common,))
    planted = set()
    for secret in (
        *(b"planted-name-of-a-file", b"planted-name-of-a-link", b"planted-target-of-a-link", b"planted-large"),
        *(b"the planted tree", b"planted common", b"hard link", b"broken link", b"empty folder"),
        *(b"planted content of a file, readable", random[:64], large[:64], large[1_000_000:1_000_064]),
        *(PRIVATE, ACCOUNT, PRIVATE.hex().encode(), ACCOUNT.hex().encode()),
    ):
        planted |= windows(secret)
    searched = 0
    for path in rig.vault.rglob("*"):
        found = os.fsencode(path.relative_to(rig.vault)) + (path.read_bytes() if path.is_file() else b"")
        searched += len(found)
        here = {found[place : place + WINDOW_BYTES] for place in range(len(found) - WINDOW_BYTES + 1)}
        assert not here & planted, path
    assert searched > 2_000_000


def test_what_the_client_remembers_holds_no_name_and_no_key(rig: Rig, tree: Path) -> None:
    rig.back_up(tree)
    for path in rig.state.rglob("*"):
        here = windows(path.read_bytes())
        assert not here & windows(PRIVATE) | here & windows(PRIVATE.hex().encode()) | here & windows(b"hard link")


def test_small_files_have_no_object_of_their_own(rig: Rig, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(300):
        (tree / str(number)).write_bytes(os.urandom(10_000))
    rig.back_up(tree)
    objects = list((rig.vault / "acme" / "clients" / "alice" / "objects").rglob("*/*"))
    assert len(objects) < 10


def test_lengths_are_rounded_up_by_little() -> None:
    for length in [*range(2, 3000), 65_536, 65_537, 1_000_001, 4_194_304]:
        assert length <= padded(length) <= length * 1.12 + 1
        assert padded(padded(length)) == padded(length)
    assert len({padded(length) for length in range(1_000_000, 1_100_000)}) < 10


def area_keys(master: bytes, *owner: str, kind: EncryptionType = EncryptionType.AES_256) -> AreaKeys:
    return AreaKeys(Secret(master), kind, Area.CLIENT, *owner)


def test_cuts_and_ids_depend_on_the_key_and_the_owner() -> None:
    content = os.urandom(12_000_000)
    cuts, ids = set(), set()
    for keys in (
        area_keys(PRIVATE, "acme", "alice"),
        area_keys(PRIVATE, "acme", "bob"),
        area_keys(bytes(32), "acme", "alice"),
        area_keys(PRIVATE, "acme", "alice", kind=EncryptionType.AES_128),
    ):
        cutter = Cutter(keys.permutation, DATA_SIZES)
        assert sorted(keys.permutation) == list(range(256))
        cuts.add(tuple(len(chunk) for chunk in [*cutter.feed(content), *cutter.finish()]))
        ids.add(keys.chunk_id(Kind.DATA, content))
    assert len(cuts) == len(ids) == 4


@pytest.mark.parametrize("step", [1, 7_919, 1_048_576, 12_000_000])
def test_cuts_do_not_depend_on_how_the_content_arrives(step: int) -> None:
    content = bytes(1_000_000) + b"".join(index.to_bytes(4, "big") * 3 for index in range(800_000))
    content = content[:200_000] if step == 1 else content
    cutter = Cutter(area_keys(PRIVATE, "a", "b").permutation, DATA_SIZES)
    chunks = [chunk for at in range(0, len(content), step) for chunk in cutter.feed(content[at : at + step])]
    chunks += cutter.finish()
    whole = Cutter(area_keys(PRIVATE, "a", "b").permutation, DATA_SIZES)
    assert b"".join(chunks) == content
    assert chunks == [*whole.feed(content), *whole.finish()]
    assert all(len(chunk) <= DATA_SIZES.largest for chunk in chunks)
