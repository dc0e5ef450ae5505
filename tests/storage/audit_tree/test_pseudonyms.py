"""A person's name goes from the personal parts; entries, tiles and checkpoints stay as they were."""

from pathlib import Path

import cbor2

from keystead.storage.audit_tree.files import personal_path, unpacked_personal
from keystead.storage.audit_tree.pseudonyms import OPERATION, Act, pseudonymise
from keystead.storage.audit_tree.reading import shown
from keystead.storage.audit_tree.tree import AuditTree, open_tree
from keystead.storage.audit_tree.verify import verify
from tests.storage.audit_tree.building import KEY, exported, extend, leaf

ALICE, BOB = "person-aaaaaaaaaaaaaaaa", "person-bbbbbbbbbbbbbbbb"


def busy(folder: Path) -> AuditTree:
    """300 entries: alice's, bob's, and the administrator's about both."""
    tree = open_tree(folder, KEY)
    leaves = [leaf(1 + number, ("alice", "bob")[number % 2]) for number in range(298)]
    about = [
        leaf(299, "root", detail="user alice created, not alice.smith"),
        leaf(300, "root", detail="alice, bob in team"),
    ]
    extend(tree, [*leaves, *about])
    return tree


def details(tree: AuditTree) -> list[tuple[str, str, str]]:
    found = [each.kept for number in (0, 1) for each in shown(tree.folder, tree.size, number)]
    return [(kept.personal.name, kept.personal.origin, kept.personal.detail) for kept in found if kept is not None]


def audited(tree: AuditTree, act: Act) -> None:
    extend(tree, [leaf(tree.size + 1, "root", OPERATION, act.detail)])


def test_the_name_goes_and_everything_signed_stays(tmp_path: Path) -> None:
    tree = busy(tmp_path / "audit")
    before = {path: path.read_bytes() for path in tree.folder.rglob("*") if path.is_file()}
    act = pseudonymise(tree.folder, tree.size, "alice", ALICE)
    tree.replaced_personal()
    changed = {path.relative_to(tree.folder).parts[0] for path, data in before.items() if path.read_bytes() != data}
    assert changed == {"personal"}
    assert act.entries_count == 151
    assert details(tree)[0] == (ALICE, "-", f"by {ALICE}")
    assert details(tree)[1] == ("bob", "192.0.2.7", "by bob")
    assert details(tree)[298] == ("root", "192.0.2.7", f"user {ALICE} created, not alice.smith")
    audited(tree, act)
    told = verify(exported(tree, tmp_path / "export"), KEY)
    assert told.findings == []
    assert told.notes == [f"pseudonymised as {ALICE} by an audited act: 151 of the entries"]
    assert told.acts == [act]


def test_a_guess_of_the_name_cannot_be_tested(tmp_path: Path) -> None:
    tree = busy(tmp_path / "audit")
    pseudonymise(tree.folder, tree.size, "alice", ALICE)
    stored = (tree.folder / personal_path(0)).read_bytes()
    assert cbor2.loads(unpacked_personal(stored)[0])[1] == b""
    assert len(cbor2.loads(unpacked_personal(stored)[1])[1]) == 32


def test_two_persons_in_one_entry_and_the_same_one_again(tmp_path: Path) -> None:
    tree = busy(tmp_path / "audit")
    for name, pseudonym, count in (("alice", ALICE, 151), ("bob", BOB, 150), ("alice", ALICE, 151)):
        act = pseudonymise(tree.folder, tree.size, name, pseudonym)
        tree.replaced_personal()
        assert act.entries_count == count
        audited(tree, act)
    assert details(tree)[299][2] == f"{ALICE}, {BOB} in team"
    assert verify(exported(tree, tmp_path / "export"), KEY).findings == []


def test_another_entry_marked_later_contradicts_the_act(tmp_path: Path) -> None:
    tree = busy(tmp_path / "audit")
    act = pseudonymise(tree.folder, tree.size, "alice", ALICE)
    tree.replaced_personal()
    audited(tree, act)
    out = exported(tree, tmp_path / "export")
    pseudonymise(out, 2, "bob", ALICE)  # somebody hides what bob did behind the other's pseudonym
    (finding,) = verify(out, KEY).findings
    assert finding.startswith(f"entry 0: the act that replaced a name by {ALICE} speaks of 151 entries, not of these ")


def test_an_act_is_read_as_it_was_written() -> None:
    act = Act(ALICE, 3, 10, "ab" * 32)
    assert Act.of(act.detail) == act
    assert Act.of("user alice created") is None
