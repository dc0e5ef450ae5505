"""Every kind of tampering with an exported audit log is named (attack class 31)."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cbor2
import pytest

from keystead.storage.audit_tree.files import (
    WIDTH,
    packed_entries,
    packed_personal,
    personal_path,
    tile_path,
    unpacked_entries,
    unpacked_personal,
)
from keystead.storage.audit_tree.reading import export
from keystead.storage.audit_tree.tiles import Edge
from keystead.storage.audit_tree.verify import verify
from keystead.trust.merkle import leaf_hash
from keystead.trust.notes import Checkpoint, checkpoint_of, new_signing_key, sign, split_notes
from tests.storage.audit_tree.building import KEY, ORIGIN, PRIVATE, exported, extend, grown, leaf

SIZE, LAST = 600, 88  # entries, and those in the last bundle
BEFORE_LAST = 500  # what the checkpoint before the last one covers


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """An export of 600 entries with checkpoints at 100, 300, 500 and 600."""
    return exported(grown(tmp_path / "audit", 100, 200, 200, 100), tmp_path / "export")


def findings(copy: Path, older: Checkpoint | None = None) -> list[str]:
    return verify(copy, KEY, older).findings


def bundle_of(number: int) -> str:
    bundle = number // WIDTH
    return tile_path("entries", bundle, LAST if bundle == SIZE // WIDTH else WIDTH)


def edit(copy: Path, bundle: str, change: Callable[[list[bytes]], None]) -> None:
    path = copy / bundle
    entries = unpacked_entries(path.read_bytes())
    change(entries)
    path.write_bytes(packed_entries(entries))


def edit_all(copy: Path, change: Callable[[list[bytes]], None], *, personal: bool = True) -> None:
    """Change the list of all entries, and that of the personal parts in the same way."""
    entries: list[bytes] = []
    parts: list[bytes] = []
    for number in (0, 256, 512):
        entries += unpacked_entries((copy / bundle_of(number)).read_bytes())
        parts += unpacked_personal((copy / personal_path(number // WIDTH)).read_bytes())
    change(entries)
    if personal:
        change(parts)
    for bundle in range(3):
        span = slice(bundle * WIDTH, (bundle + 1) * WIDTH)
        (copy / bundle_of(bundle * WIDTH)).write_bytes(packed_entries(entries[span]))
        (copy / personal_path(bundle)).write_bytes(packed_personal(parts[span]))


def forge_tiles(copy: Path) -> None:
    """Compute all tiles anew from the entries, as a forger would."""
    shutil.rmtree(copy / "tile/0")
    edge = Edge()
    tiles = []
    for number in (0, 256, 512):
        for entry in unpacked_entries((copy / bundle_of(number)).read_bytes()):
            tiles += edge.append(leaf_hash(entry))
    for tile in [*tiles, *edge.partial()]:
        path = copy / tile_path(tile.level, tile.number, len(tile.hashes))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(tile.hashes))


def altered(entry: bytes) -> bytes:
    items = cbor2.loads(entry)
    items[5] = "key.destroy"
    return bytes(cbor2.dumps(items, canonical=True))


def test_what_nobody_touched_is_sound(copy: Path) -> None:
    told = verify(copy, KEY)
    assert (told.findings, told.entries_count, told.checkpoints_count) == ([], SIZE, 4)


@pytest.mark.row("KS-LOG-033")
@pytest.mark.parametrize("number", [0, 99, 100, 255, 256, 599])
def test_an_altered_entry_is_named(copy: Path, number: int) -> None:
    def change(entries: list[bytes]) -> None:
        entries[number % WIDTH] = altered(entries[number % WIDTH])

    edit(copy, bundle_of(number), change)
    assert findings(copy) == [f"entry {number}: altered"]


@pytest.mark.parametrize("number", [0, 150, 254, 560])
def test_a_deleted_entry_is_named(copy: Path, number: int) -> None:
    edit_all(copy, lambda entries: entries.__delitem__(number))
    assert findings(copy)[0] == f"entry {number}: missing; the entry after it stands in its place"


def test_two_entries_that_changed_places_are_named(copy: Path) -> None:
    def change(entries: list[bytes]) -> None:
        entries[300], entries[310] = entries[310], entries[300]

    edit_all(copy, change)
    assert findings(copy) == ["entry 300: out of order; it has changed places with entry 310"]


def test_an_inserted_entry_is_named(copy: Path) -> None:
    edit_all(
        copy, lambda entries: entries.insert(300, altered(entries[300]) if len(entries[300]) > 150 else entries[0])
    )
    assert findings(copy)[0] == "entry 300: inserted; the entry that was there comes after it"


@pytest.mark.parametrize("left", [0, 1, 87])
def test_a_cut_tail_is_named(copy: Path, left: int) -> None:
    edit(copy, bundle_of(599), lambda entries: entries.__delitem__(slice(left, None)))
    (finding,) = findings(copy)
    span = f"entries {512 + left} to 599" if left < 87 else "entry 599"
    assert finding.startswith(f"{span}: missing or cut off")


def test_a_missing_bundle_is_named(copy: Path) -> None:
    (copy / bundle_of(256)).unlink()
    assert findings(copy)[0].startswith("entries 256 to 511: missing or cut off")


def test_entries_added_beyond_the_last_checkpoint_are_named(copy: Path) -> None:
    entries = unpacked_entries((copy / bundle_of(512)).read_bytes())
    (copy / tile_path("entries", 2, LAST + 1)).write_bytes(packed_entries([*entries, entries[0]]))
    assert findings(copy) == ["entry 600 and what follows: added beyond the last signed checkpoint"]


def test_an_altered_hash_in_a_tile_is_told_from_an_altered_entry(copy: Path) -> None:
    path = copy / tile_path(0, 1)
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    assert findings(copy) == ["entry 257: its hash in the tile was altered; the entries are sound"]


def test_tiles_that_are_altered_cut_or_missing_are_named(copy: Path) -> None:
    above = copy / tile_path(1, 0, 2)
    above.write_bytes(above.read_bytes()[::-1])
    assert findings(copy) == ["tile 1/0 does not hold the hashes of the tiles below it"]
    path = copy / tile_path(0, 0)
    path.write_bytes(path.read_bytes()[:-1])
    above.unlink()
    assert findings(copy) == ["tile 0/0 is damaged", "tile 1/0 is missing"]


@pytest.mark.parametrize(("number", "first", "last"), [(0, 0, 99), (299, 100, 299), (520, 500, 599)])
def test_of_forged_entries_and_tiles_the_range_between_checkpoints_is_named(
    copy: Path, number: int, first: int, last: int
) -> None:
    edit(copy, bundle_of(number), lambda entries: entries.__setitem__(number % WIDTH, altered(entries[number % WIDTH])))
    forge_tiles(copy)
    (finding,) = findings(copy)
    assert finding.startswith(f"entries {first} to {last}: not those that checkpoint")


def test_a_deletion_with_forged_tiles_shows_by_the_sequence(copy: Path) -> None:
    edit_all(copy, lambda entries: entries.__delitem__(150))
    forge_tiles(copy)
    assert findings(copy)[0] == (
        "entry 150: leaf 152 of the own store, where leaf 151 belongs: missing or out of order"
    )


def test_an_altered_personal_part_is_named(copy: Path) -> None:
    path = copy / personal_path(1)
    parts = unpacked_personal(path.read_bytes())
    form, salt, _ = cbor2.loads(parts[3])
    parts[3] = cbor2.dumps([form, salt, cbor2.dumps(["mallory", "192.0.2.7", "by mallory"])], canonical=True)
    parts[4] = b"\xff"
    path.write_bytes(packed_personal(parts[:-1]))
    assert findings(copy) == [
        "entry 259: its personal part was altered",
        "entry 260: its personal part cannot be understood",
        "entry 511: its personal part is missing",
    ]


def test_a_name_replaced_without_an_audited_act_is_named(copy: Path) -> None:
    path = copy / personal_path(0)
    parts = unpacked_personal(path.read_bytes())
    part = cbor2.dumps(["person-0123456789abcdef", "-", ""], canonical=True)
    parts[7] = cbor2.dumps([1, b"", part, ["person-0123456789abcdef"]], canonical=True)
    path.write_bytes(packed_personal(parts))
    assert findings(copy) == [
        "entry 7: 1 personal parts were replaced by person-0123456789abcdef, and no audited act says so"
    ]


def test_without_personal_parts_it_says_so(tmp_path: Path) -> None:
    tree = grown(tmp_path / "audit", 10)
    export(tree.folder, KEY, tmp_path / "export", with_personal=False)
    told = verify(tmp_path / "export", KEY)
    assert told.findings == []
    assert told.notes == ["there are no personal parts: names cannot be judged"]
    assert not any(b"alice" in path.read_bytes() for path in (tmp_path / "export").rglob("*") if path.is_file())


def test_a_checkpoint_that_another_key_signed_is_named(copy: Path) -> None:
    notes, _ = split_notes((copy / "checkpoints").read_text())
    notes[1] = sign(checkpoint_of(notes[1], KEY).text, ORIGIN, new_signing_key()[1])
    (copy / "checkpoints").write_text("".join(notes))
    assert findings(copy) == [f"checkpoint 2: the note is not signed by {ORIGIN}"]


def test_a_changed_checkpoint_is_named(copy: Path) -> None:
    text = (copy / "checkpoints").read_text()
    (copy / "checkpoints").write_text(text.replace("\n300\n", "\n301\n", 1))
    assert findings(copy) == [f"checkpoint 2: the signature of {ORIGIN} does not fit the text"]


def test_checkpoints_that_were_cut_off_are_named(copy: Path) -> None:
    notes, _ = split_notes((copy / "checkpoints").read_text())
    (copy / "checkpoints").write_text("".join(notes[:-1]))
    assert findings(copy) == [
        "the latest checkpoint, of 600 entries, is not the last of all of them: some were cut off"
    ]
    (copy / "checkpoints").write_text("".join(notes)[:-9])
    assert "the last checkpoint of all of them is cut off" in findings(copy)
    (copy / "checkpoints").unlink()
    assert "the file `checkpoints` with all checkpoints is missing" in findings(copy)


def test_a_fork_signed_by_the_node_s_own_key_is_named_by_its_older_checkpoint(tmp_path: Path) -> None:
    """Whoever has the node key can sign another history; a checkpoint kept elsewhere tells."""
    honest = exported(grown(tmp_path / "audit", 100, 200), tmp_path / "honest")
    forged = exported(grown(tmp_path / "other", 100, 250, name="mallory"), tmp_path / "forged")
    older = checkpoint_of((honest / "checkpoint").read_text(), KEY)
    assert findings(forged) == []
    (finding,) = findings(forged, older)
    assert finding.startswith("entries 100 to 299: not those that the older checkpoint of 300 entries was signed over")


def test_a_log_that_was_rolled_back_is_named_by_an_older_checkpoint(tmp_path: Path) -> None:
    tree = grown(tmp_path / "audit", 100)
    old = exported(tree, tmp_path / "old")
    extend(tree, [leaf(101)])
    newer = checkpoint_of((tree.folder / "checkpoint").read_text(), KEY)
    assert findings(old, newer) == ["the log was rolled back: it has 100 entries, the older checkpoint covers 101"]
    assert findings(exported(tree, tmp_path / "new"), checkpoint_of((old / "checkpoint").read_text(), KEY)) == []


def test_two_histories_in_one_file_of_checkpoints_are_named(copy: Path, tmp_path: Path) -> None:
    notes, _ = split_notes((copy / "checkpoints").read_text())
    forked = sign(Checkpoint(ORIGIN, 600, bytes(32)).text, ORIGIN, PRIVATE)
    (copy / "checkpoints").write_text("".join([*notes, forked]))
    assert "checkpoint 5: another root for the same 600 entries: the log was forked" in findings(copy)
    (copy / "checkpoints").write_text("".join([*notes, notes[0], notes[3]]))
    assert findings(copy)[0] == "checkpoint 5: of 100 entries, after one of 600: the log was rolled back"


def test_an_epoch_that_goes_back_is_named(copy: Path) -> None:
    notes, _ = split_notes((copy / "checkpoints").read_text())
    last = checkpoint_of(notes[-1], KEY)
    back = tuple(line.replace("epoch own 600 ", "epoch own 12 ") for line in last.extensions)
    note = sign(Checkpoint(ORIGIN, last.size, last.root, back).text, ORIGIN, PRIVATE)
    (copy / "checkpoints").write_text("".join([*notes, note]))
    (copy / "checkpoint").write_text(note)
    assert findings(copy) == ["checkpoint 5: the own store stands before where it stood already"]


def test_garbage_in_any_file_is_a_finding_and_no_crash(copy: Path, tmp_path: Path) -> None:
    for path in sorted(each for each in copy.rglob("*") if each.is_file() and each.name != "key"):
        for garbage in (b"", b"\x00", b"\xff" * 5000, b"\x9f" * 400):
            other = tmp_path / "other"
            shutil.copytree(copy, other)
            (other / path.relative_to(copy)).write_bytes(garbage)
            assert findings(other), path
            shutil.rmtree(other)
