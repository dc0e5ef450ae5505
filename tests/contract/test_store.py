"""What every store does, whatever the engine. A new one adds a line to `engines.ENGINES` and passes all of it."""

import threading
from typing import Any

import pytest

from keystead.core.attributes import NONE, ItemType, Value, text
from keystead.core.changes import Change, Put, SealedMaterial, Transaction
from keystead.core.errors import Conflict, Exists, Internal, Invalid, KeysteadError, TooLarge
from keystead.core.lifecycle import Dates
from keystead.core.permission import Right
from keystead.core.records import (
    KIND_AUTHORITY,
    KIND_KEY_VERSION,
    KIND_USER,
    KeyShape,
    ManagedObject,
    Protection,
    Record,
)
from keystead.storage.store import (
    CHANGES_COUNT_MAX,
    LOCATE_COUNT_MAX,
    LOCATE_MATCHES_COUNT_MAX,
    LOCATE_OFFSET_MAX,
    Match,
    Reader,
    Store,
    Writer,
)
from tests.support import stores
from tests.support.stores import (
    NOW_US,
    attributes,
    equal,
    kmip_name,
    loaded_object,
    material,
    new_object,
    new_user,
    numbers,
    object_id,
    put,
    query,
    transaction,
    with_material,
)

SECOND_US = 1_000_000


def outcome_classes(outcomes: list[KeysteadError | None]) -> list[type[KeysteadError] | None]:
    return [None if outcome is None else type(outcome) for outcome in outcomes]


FULL = new_object(1)._replace(
    shape=KeyShape(AES := 3, 256, 1, 12, 2),
    dates=Dates(NOW_US, NOW_US + 5, None, None, NOW_US - 1, NOW_US + 2),
    protection=Protection(deletable=False, sensitive=True, always_sensitive=True, fresh=False),
    digest=bytes(32),
    compromise_occurrence_us=7,
    revocation=(2, "lost on the way"),
    original_creation_us=-5,
    grants={"readers": int(Right.SEE | Right.DECRYPT), "a": int(Right.EXPORT)},
    attributes=attributes(Name="düne", Object_Group="sand", x_note="1")
    .added("x-note", Value(ItemType.BIG_INTEGER, 1 << 100))
    .added("x-when", Value(ItemType.DATE_TIME, -3))
    .added("x-raw", Value(ItemType.BYTE_STRING, b"\x00\xff"))
    .added("x-flag", Value(ItemType.BOOLEAN, True))
    .added("Link", Value(ItemType.STRUCTURE, ((0x42004B, 5, 0x101), (0x42004C, 1, ((0x420001, 7, "deep"),))))),
)


def test_an_object_comes_back_as_it_was_put(reader: Reader, writer: Writer) -> None:
    complete = with_material(FULL, 1)
    put(writer, complete)
    loaded = reader.object(FULL.id)
    assert loaded is not None
    assert loaded.record == complete.record._replace(revision=1)
    assert type(loaded.record) is ManagedObject
    assert loaded.material == material(1)
    assert list(loaded.record.attributes) == list(FULL.attributes)


def test_another_record_comes_back_as_it_was_put(reader: Reader, writer: Writer) -> None:
    sealed = material(9)
    fields = {"names": ["a", "b"], "nested": {"z": None, "a": b"\x01", "n": -7}, "on": True}
    record = Record(
        KIND_AUTHORITY, "authority.clients", "clients", fields, owner="ops", material=stores.reference(sealed)
    )
    put(writer, Put(record, sealed))
    loaded = reader.record(KIND_AUTHORITY, "authority.clients")
    assert loaded is not None
    assert loaded.record == record._replace(revision=1)
    assert loaded.material == sealed


@pytest.mark.parametrize(
    "asked",
    ["", "-", "x" * 36, object_id(2), object_id(1).upper(), object_id(1)[:-1] + " ", "é" * 36, object_id(1) + "\x00"],
)
def test_what_is_not_there_is_not_found(reader: Reader, writer: Writer, asked: str) -> None:
    put(writer, new_object(1))
    assert reader.object(asked) is None
    assert reader.record(KIND_USER, asked) is None
    assert reader.by_handle("root", "object", asked) is None


def test_a_change_needs_the_revision_it_was_made_from(reader: Reader, writer: Writer) -> None:
    put(writer, new_object(1))
    first = loaded_object(reader, 1)
    put(writer, first.changed(NOW_US + 1, owner="bob"))
    late, early = first.changed(NOW_US + 2, owner="eve"), first._replace(revision=2, owner="eve", handle="other")
    outcomes = writer.commit([transaction(Put(late)), transaction(Put(early._replace(revision=7)))])
    assert outcome_classes(outcomes) == [Conflict, Conflict]
    assert loaded_object(reader, 1).owner == "bob"
    assert loaded_object(reader, 1).revision == 2


def test_a_new_record_needs_a_free_id_and_a_free_handle(reader: Reader, writer: Writer) -> None:
    put(writer, new_object(1), new_user("alice"))
    tried: list[ManagedObject | Record] = [
        new_object(1, handle="free"),
        new_object(2, handle="key-1"),
        new_user("alice"),
        new_user("alice")._replace(handle="carol"),
    ]
    outcomes = writer.commit([transaction(Put(each)) for each in tried])
    assert outcome_classes(outcomes) == [Exists] * 4
    assert reader.object(object_id(2)) is None


def test_handles_are_unique_per_realm_and_kind_only(reader: Reader, writer: Writer) -> None:
    put(writer, new_object(1), new_object(2, realm="other", handle="key-1"), new_user("key-1"))
    for realm, kind in (("root", "object"), ("other", "object"), ("root", "user")):
        loaded = reader.by_handle(realm, kind, "key-1")
        assert loaded is not None
        assert loaded.record.realm == realm
    assert reader.by_handle("other", "user", "key-1") is None


def test_handles_can_be_passed_on_within_one_group(reader: Reader, writer: Writer) -> None:
    put(writer, new_object(1, handle="a"), new_object(2, handle="b"))
    one, two = loaded_object(reader, 1), loaded_object(reader, 2)
    moves = [
        one._replace(handle="c"),
        two._replace(handle="a"),
        one._replace(handle="b", revision=2),
        new_object(3, handle="c"),
    ]
    assert writer.commit([transaction(Put(each)) for each in moves]) == [None] * 4
    holders = {}
    for handle in "abc":
        loaded = reader.by_handle("root", "object", handle)
        assert loaded is not None
        holders[handle] = loaded.record.id
    assert holders == {"a": object_id(2), "b": object_id(1), "c": object_id(3)}


def test_a_transaction_is_applied_as_a_whole_or_not_at_all(reader: Reader, writer: Writer) -> None:
    put(writer, new_object(1))
    broken = transaction(Put(new_object(2)), Put(new_object(3)), Put(new_object(1, handle="free")))
    fine = transaction(Put(new_object(3, handle="key-2")))
    assert outcome_classes(writer.commit([broken, fine])) == [Exists, None]
    assert reader.object(object_id(2)) is None
    assert loaded_object(reader, 3).handle == "key-2"


def test_transactions_of_a_group_see_the_ones_before(reader: Reader, writer: Writer) -> None:
    record = new_object(1)
    steps = [record._replace(owner=f"owner{number}", revision=number) for number in range(5)]
    assert writer.commit([transaction(Put(each)) for each in steps]) == [None] * 5
    assert loaded_object(reader, 1).owner == "owner4"
    assert loaded_object(reader, 1).revision == 5
    assert reader.changes_since(0)[0] == 5


def test_material_is_kept_replaced_and_erased(reader: Reader, writer: Writer) -> None:
    put(writer, with_material(new_object(1), 1))
    put(writer, loaded_object(reader, 1).changed(NOW_US, owner="bob"))
    loaded = reader.object(object_id(1))
    assert loaded is not None
    assert loaded.material == material(1)
    put(writer, with_material(loaded_object(reader, 1), 2))
    loaded = reader.object(object_id(1))
    assert loaded is not None
    assert loaded.material == material(2)
    put(writer, Put(loaded_object(reader, 1).changed(NOW_US, material=None), erase_material=True))
    loaded = reader.object(object_id(1))
    assert loaded is not None
    assert loaded.material is None


@pytest.mark.parametrize("wrong", ["another's", "lost", "unnamed", "named and erased", "brought and erased"])
def test_record_and_material_belong_together(reader: Reader, writer: Writer, wrong: str) -> None:
    put(writer, with_material(new_object(1), 1))
    held = loaded_object(reader, 1)
    tried = {
        "another's": Put(held._replace(material=stores.reference(material(2))), material(3)),
        "lost": Put(held._replace(material=None)),
        "unnamed": Put(held._replace(material=None), material(2)),
        "named and erased": Put(held, erase_material=True),
        "brought and erased": Put(held._replace(material=None), material(2), erase_material=True),
    }[wrong]
    assert outcome_classes(writer.commit([transaction(tried)])) == [Internal]
    loaded = reader.object(object_id(1))
    assert loaded is not None
    assert loaded.material == material(1)


def test_a_purged_record_is_gone_and_its_handle_free(reader: Reader, writer: Writer) -> None:
    put(writer, with_material(new_object(1, attributes=attributes(Name="n")), 1))
    stale = new_object(1)._replace(revision=3)
    assert outcome_classes(writer.commit([stores.purge(stale)])) == [Conflict]
    assert writer.commit([stores.purge(loaded_object(reader, 1)), transaction(Put(new_object(2, handle="key-1")))]) == [
        None,
        None,
    ]
    assert reader.object(object_id(1)) is None
    assert numbers(reader.locate(query())) == [2]
    assert reader.locate(query(equal("Name", kmip_name("n")))) == []


def test_a_change_passes_a_handle_and_material_on_and_removes_what_had_them(reader: Reader, writer: Writer) -> None:
    """As a new version of a key does: everything in one change, or nothing."""
    put(writer, with_material(new_object(1, attributes=attributes(Name="n")), 1))
    old = loaded_object(reader, 1)
    kept = Record(KIND_KEY_VERSION, old.id, "family.9999", {"number": 1}, old.realm, None, old.material)
    new = with_material(new_object(2, handle=old.handle, attributes=old.attributes), 2)
    puts = (Put(old._replace(handle="away")), new, Put(kept, material(1)))

    def passing(revision: int) -> Transaction:
        purges = (("object", old.id, revision),)
        return Transaction(bytes(16), "user:alice", "-", NOW_US, (("key_version.create", Change(puts, None, purges)),))

    assert outcome_classes(writer.commit([passing(old.revision)])) == [Conflict]
    assert loaded_object(reader, 1) == old
    assert outcome_classes(writer.commit([passing(old.revision + 1), passing(old.revision + 1)])) == [None, Conflict]
    assert reader.object(old.id) is None
    found, version = reader.by_handle("root", "object", old.handle), reader.record(KIND_KEY_VERSION, old.id)
    assert found is not None
    assert version is not None
    assert (found.record.id, found.material, version.material) == (object_id(2), material(2), material(1))
    assert numbers(reader.locate(query(equal("Name", kmip_name("n"))))) == [2]


def test_what_cannot_be_stored_is_refused_without_harm_to_others(reader: Reader, writer: Writer) -> None:
    far = new_object(2, dates=Dates(activation_us=1 << 70))
    odd = Record(KIND_USER, "user.odd", "odd", {"what": object()})
    wrong_id = new_object(3)._replace(id="not-a-uuid")
    unbound = Record("elsewhere", "e", "e", {})
    records: list[ManagedObject | Record] = [new_object(1), far, odd, wrong_id, unbound, new_object(4)]
    group = [transaction(Put(each)) for each in records]
    short = transaction(Put(new_object(5)))._replace(request_id=b"short")
    assert outcome_classes(writer.commit([*group, short])) == [
        None,
        Invalid,
        Internal,
        Internal,
        Internal,
        None,
        Internal,
    ]
    assert numbers(reader.locate(query())) == [4, 1]


@pytest.mark.parametrize("watching", [False, True])
def test_changes_are_seen_and_named(store: Store, writer: Writer, watching: bool) -> None:
    reader = store.reader(watching=watching)
    try:
        _changes_are_seen_and_named(reader, writer)
    finally:
        reader.close()


def _changes_are_seen_and_named(reader: Reader, writer: Writer) -> None:
    version = reader.data_version()
    assert reader.data_version() == version
    newest, changed = reader.changes_since(0)
    assert (newest, changed) == (0, [])
    put(writer, new_object(1), new_user("alice"), new_object(2))
    assert reader.data_version() != version
    newest, changed = reader.changes_since(newest)
    assert newest == 3
    assert changed is not None
    assert [row[:2] for row in changed] == [("object", object_id(1)), ("user", "user.alice"), ("object", object_id(2))]
    assert all(reader.outcome(request_id) for _, _, request_id in changed)
    assert reader.changes_since(newest) == (3, [])
    assert reader.changes_since(-CHANGES_COUNT_MAX) == (3, None)


def test_an_unknown_outcome_is_settled_by_reading(reader: Reader, writer: Writer) -> None:
    fine = transaction(Put(new_object(1)), number=1)
    broken = transaction(Put(new_object(1)), number=2)
    refused = Transaction(stores.request_id(3), "user:bob", "-", NOW_US, (), (("key.get", "-", "refused.permission"),))
    writer.commit([fine, broken, refused])
    assert [reader.outcome(stores.request_id(number)) for number in (1, 2, 3, 4)] == [True, False, True, False]


def test_records_are_listed_by_handle_in_pages(reader: Reader, writer: Writer) -> None:
    put(writer, *(new_user(name) for name in ("carol", "alice", "bob")), new_user("dora")._replace(realm="other"))
    put(writer, new_object(1, handle="user"))
    assert [loaded.record.handle for loaded in reader.list_records(KIND_USER)] == ["alice", "bob", "carol"]
    assert [loaded.record.handle for loaded in reader.list_records(KIND_USER, "alice", 1)] == ["bob"]
    back = reader.list_records(KIND_USER, backwards=True)
    assert [loaded.record.handle for loaded in back] == ["carol", "bob", "alice"]
    assert [one.record.handle for one in reader.list_records(KIND_USER, "carol", 1, backwards=True)] == ["bob"]
    assert [loaded.record.handle for loaded in reader.list_records(KIND_USER, realm="other")] == ["dora"]


def test_marks_are_permanent(store: Store) -> None:
    assert store.mark("dev") == "1"
    assert store.mark("format") == "1"
    assert len(store.mark("id") or "") == 32
    assert store.mark("never") is None


def test_the_anchor_moves_with_every_commit(store: Store, writer: Writer) -> None:
    before = store.anchor()
    put(writer, new_object(1), at_us=NOW_US + 3)
    after = store.anchor()
    assert (before.sequence, after.sequence) == (0, 1)
    assert before.head != after.head
    assert before.audit_head != after.audit_head
    assert after.at_us == NOW_US + 3
    assert after.store_id.hex() == store.mark("id")


# ------------------------------------------------------------------------------------------------------------- locate


def test_locate_finds_the_newest_first_and_only_what_the_scopes_allow(reader: Reader, writer: Writer) -> None:
    put(
        writer,
        *(new_object(number, owner="alice" if number % 2 else "bob") for number in (3, 1, 2, 5, 4)),
        new_object(6, owner=None),
        new_object(7, owner="bob", grants={"staff": int(Right.DECRYPT)}),
        new_object(8, realm="other"),
    )
    assert numbers(reader.locate(query())) == [5, 3, 1]
    assert numbers(reader.locate(query(scopes=("u:bob",)))) == [7, 4, 2]
    assert numbers(reader.locate(query(scopes=("u:alice", "g:staff", "*")))) == [7, 6, 5, 3, 1]
    assert numbers(reader.locate(query(scopes=("u:bob", "g:staff")))) == [7, 4, 2]
    assert numbers(reader.locate(query(scopes=("u:nobody",)))) == []
    assert numbers(reader.locate(query(realm="other"))) == [8]


def test_locate_pages(reader: Reader, writer: Writer) -> None:
    put(writer, *(new_object(number) for number in range(1, 10)))
    assert numbers(reader.locate(query(offset_count=2, limit_count=3))) == [7, 6, 5]
    assert numbers(reader.locate(query(offset_count=8, limit_count=3))) == [1]
    assert numbers(reader.locate(query(offset_count=9))) == []


@pytest.mark.parametrize("wrong", [{"limit_count": 0}, {"limit_count": LOCATE_COUNT_MAX + 1}, {"offset_count": -1}])
def test_locate_has_limits(reader: Reader, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        reader.locate(query(**wrong))
    with pytest.raises(Invalid):
        reader.locate(query(offset_count=LOCATE_OFFSET_MAX + 1))
    many = [equal("x-site", text(str(number))) for number in range(LOCATE_MATCHES_COUNT_MAX + 1)]
    assert reader.locate(query(*many[1:])) == []
    with pytest.raises(Invalid):
        reader.locate(query(*many))


SEARCHED = new_object(
    2,
    shape=KeyShape(3, 128, 1, 0b1100, 0),
    protection=Protection(sensitive=True, extractable=False),
    dates=Dates(NOW_US - 10 * SECOND_US, NOW_US + 10 * SECOND_US, None, None, 5, 7),
    initial_us=NOW_US - 20 * SECOND_US + 300_000,
    compromise_occurrence_us=9,
    original_creation_us=11,
    attributes=attributes(Name="disk-1", Object_Group="tape", x_site="north")
    .added("Name", kmip_name("second"))
    .added("Application Specific Information", Value(1, ((0x420003, 7, "ssl"), (0x420002, 7, "www.example.org"))))
    .added("Link", Value(1, ((0x42004B, 5, 0x101), (0x42004C, 7, "0190"))))
    .added("Cryptographic Parameters", Value(1, ((0x420011, 5, 1), (0x42005F, 5, 2))))
    .added("x-when", Value(ItemType.DATE_TIME, 100))
    .added("x-count", Value(ItemType.LONG_INTEGER, -3))
    .added("x-long", text("y" * 300)),
)
PLAIN = new_object(1, shape=KeyShape(3, 256, 1, 0b0100, 0), dates=Dates(), initial_us=NOW_US)


def seconds(moment_us: int) -> Value:
    return Value(ItemType.DATE_TIME, moment_us // SECOND_US)


FOUND = {
    "name": equal("Name", kmip_name("disk-1")),
    "second name": equal("Name", kmip_name("second")),
    "name without its type": equal("Name", Value(1, ((0x420055, 7, "disk-1"),))),
    "group": equal("Object Group", text("tape")),
    "custom": equal("x-site", text("north")),
    "long text": equal("x-long", text("y" * 300)),
    "custom number": equal("x-count", -3, ItemType.LONG_INTEGER),
    "custom date": equal("x-when", 100, ItemType.DATE_TIME),
    "custom dates": Match("x-when", Value(ItemType.DATE_TIME, 99), Value(ItemType.DATE_TIME, 100)),
    "all of a structure": equal(
        "Application Specific Information", SEARCHED.attributes.first("Application Specific Information")
    ),
    "part of a structure": equal("Application Specific Information", Value(1, ((0x420003, 7, "ssl"),))),
    "linked object whatever the type": equal("Link", Value(1, ((0x42004C, 7, "0190"),))),
    "structure without texts": equal("Cryptographic Parameters", Value(1, ((0x42005F, 5, 2),))),
    "id": equal("Unique Identifier", object_id(2), ItemType.TEXT_STRING),
    "length": equal("Cryptographic Length", 128, ItemType.INTEGER),
    "some bits of the usage mask": equal("Cryptographic Usage Mask", 0b1000, ItemType.INTEGER),
    "state": equal("State", 2),
    "sensitive": equal("Sensitive", True, ItemType.BOOLEAN),
    "not extractable": equal("Extractable", False, ItemType.BOOLEAN),
    "initial date to the second": equal("Initial Date", seconds(SEARCHED.initial_us)),
    "initial date to the microsecond": equal("Initial Date", SEARCHED.initial_us, ItemType.DATE_TIME_EXTENDED),
    "initial dates": Match("Initial Date", seconds(0), seconds(NOW_US - SECOND_US)),
    "activation": equal("Activation Date", seconds(NOW_US - 10 * SECOND_US)),
    "activation in a range": Match("Activation Date", seconds(0), seconds(NOW_US)),
    "process start": equal("Process Start Date", 5, ItemType.DATE_TIME_EXTENDED),
    "protect stop": equal("Protect Stop Date", 7, ItemType.DATE_TIME_EXTENDED),
    "deactivation": Match("Deactivation Date", seconds(NOW_US), seconds(NOW_US + 20 * SECOND_US)),
    "compromise occurrence": equal("Compromise Occurrence Date", 9, ItemType.DATE_TIME_EXTENDED),
    "original creation": equal("Original Creation Date", 11, ItemType.DATE_TIME_EXTENDED),
}


@pytest.mark.row("KS-KMIP-043")
@pytest.mark.parametrize("match", FOUND.values(), ids=FOUND.keys())
def test_locate_finds_by_each_kind_of_attribute(reader: Reader, writer: Writer, match: Match) -> None:
    put(writer, PLAIN, SEARCHED, SEARCHED._replace(id=object_id(3), handle="bobs", owner="bob"))
    wanted = [match] if match.name != "Unique Identifier" else [match, equal("Object Type", 2)]
    assert numbers(reader.locate(query(*wanted))) == [2]
    assert numbers(reader.locate(query(*wanted, equal("Object Group", text("tape"))))) == [2]


NOT_FOUND = {
    "another name": equal("Name", kmip_name("disk-2")),
    "another type of name": equal("Name", kmip_name("disk-1", 2)),
    "beginning of a name": equal("Name", kmip_name("disk")),
    "wildcard": equal("Name", kmip_name("disk*")),
    "another case": equal("Name", kmip_name("DISK-1")),
    "text as bytes": equal("x-site", b"north", ItemType.BYTE_STRING),
    "value of another attribute": equal("Object Group", text("north")),
    "no such attribute": equal("x-none", text("north")),
    "more bits than it has": equal("Cryptographic Usage Mask", 0b1110, ItemType.INTEGER),
    "no such state": equal("State", 99),
    "a second later": equal("Initial Date", seconds(SEARCHED.initial_us + SECOND_US)),
    "after the range": Match("x-when", Value(ItemType.DATE_TIME, 101), Value(ItemType.DATE_TIME, 200)),
    "date it has not": equal("Destroy Date", seconds(0)),
    "last moment of all": equal("Initial Date", (1 << 63) - 1, ItemType.DATE_TIME),
    "id in capitals": equal("Unique Identifier", object_id(2).upper(), ItemType.TEXT_STRING),
    "bob's id": equal("Unique Identifier", object_id(3), ItemType.TEXT_STRING),
}


@pytest.mark.parametrize("match", NOT_FOUND.values(), ids=NOT_FOUND.keys())
def test_locate_finds_nothing_else(reader: Reader, writer: Writer, match: Match) -> None:
    put(writer, PLAIN, SEARCHED, SEARCHED._replace(id=object_id(3), handle="bobs", owner="bob"))
    assert reader.locate(query(match)) == []
    assert reader.locate(query(equal("Object Group", text("tape")), match)) == []


def test_all_conditions_must_hold(reader: Reader, writer: Writer) -> None:
    for number in range(1, 60):
        group, site = f"g{number % 3}", f"s{number % 5}"
        put(writer, new_object(number, attributes=attributes(Object_Group=group, x_site=site)))
    both = (equal("Object Group", text("g1")), equal("x-site", text("s2")))
    expected = [number for number in range(59, 0, -1) if number % 3 == 1 and number % 5 == 2]
    assert numbers(reader.locate(query(*both))) == expected
    assert numbers(reader.locate(query(*reversed(both), equal("State", 2), limit_count=2))) == expected[:2]
    assert reader.locate(query(*both, equal("State", 1))) == []


def test_an_object_is_found_by_what_it_is_now_and_no_longer_by_what_it_was(reader: Reader, writer: Writer) -> None:
    put(writer, new_object(1, attributes=attributes(Name="old", x_site="north")))
    held = loaded_object(reader, 1)
    renamed = held.attributes.replaced("Name", 0, kmip_name("new")).removed("x-site")
    put(writer, held.changed(NOW_US, attributes=renamed, owner="bob", grants={"staff": int(Right.SEE)}))
    assert reader.locate(query()) == []
    assert reader.locate(query(equal("Name", kmip_name("old")), scopes=("u:bob",))) == []
    assert reader.locate(query(equal("x-site", text("north")), scopes=("u:bob",))) == []
    for scope in ("u:bob", "g:staff"):
        assert numbers(reader.locate(query(equal("Name", kmip_name("new")), scopes=(scope,)))) == [1]
    put(writer, loaded_object(reader, 1).changed(NOW_US, grants={}))
    assert reader.locate(query(scopes=("g:staff",))) == []


def test_destroyed_objects_are_found_only_when_asked_for(reader: Reader, writer: Writer) -> None:
    named = attributes(Name="n")
    gone = Dates(activation_us=NOW_US - 9, deactivation_us=NOW_US - 8, destroy_us=NOW_US - 7)
    put(writer, new_object(1, attributes=named), new_object(2, attributes=named, dates=gone), new_object(3))
    by_name = equal("Name", kmip_name("n"))
    assert numbers(reader.locate(query(by_name))) == [1]
    assert numbers(reader.locate(query(by_name, destroyed=True))) == [2, 1]
    assert numbers(reader.locate(query(by_name, equal("State", 5)))) == [2]
    assert numbers(reader.locate(query(equal("State", 2), destroyed=True))) == [3, 1]
    assert numbers(reader.locate(query(destroyed=True))) == [3, 2, 1]


def test_destroyed_objects_do_not_stand_in_the_way(
    reader: Reader, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keystead.storage.locate.LOCATE_MISSES_COUNT_MAX", 0)
    named, gone = attributes(Name="n"), Dates(NOW_US - 9, NOW_US - 8, None, NOW_US - 7)
    put(writer, *(new_object(number, attributes=named) for number in range(1, 6)))
    for number in range(2, 6):
        put(writer, loaded_object(reader, number).changed(NOW_US, dates=gone))
    assert numbers(reader.locate(query(equal("Name", kmip_name("n"))))) == [1]
    assert numbers(reader.locate(query())) == [1]


def test_states_are_right_before_the_clock_has_applied_what_is_due(reader: Reader, writer: Writer) -> None:
    later = Dates(activation_us=NOW_US + 10, deactivation_us=NOW_US + 20)
    put(writer, new_object(1, dates=later), new_object(2, dates=Dates()), new_object(3))
    for moment_us, state, found in (
        (NOW_US, 1, [2, 1]),
        (NOW_US, 2, [3]),
        (NOW_US + 10, 1, [2]),
        (NOW_US + 10, 2, [3, 1]),
        (NOW_US + 20, 2, [3]),
        (NOW_US + 20, 3, [1]),
    ):
        assert numbers(reader.locate(query(equal("State", state), now_us=moment_us))) == found
    assert reader.changes_since(0)[0] == 3


def test_due_transitions_are_listed_until_they_are_applied(reader: Reader, writer: Writer) -> None:
    later = Dates(activation_us=NOW_US + 10, deactivation_us=NOW_US + 20)
    put(writer, new_object(1, dates=later), new_object(2, dates=Dates(NOW_US + 5)), new_object(3))
    assert reader.due_transitions(NOW_US + 4, 10) == []
    assert numbers(reader.due_transitions(NOW_US + 30, 10)) == [2, 1]
    assert numbers(reader.due_transitions(NOW_US + 30, 1)) == [2]
    put(writer, loaded_object(reader, 1).changed(NOW_US + 12), at_us=NOW_US + 12)
    assert numbers(reader.due_transitions(NOW_US + 15, 10)) == [2]
    assert numbers(reader.due_transitions(NOW_US + 20, 10)) == [2, 1]


def test_a_search_that_no_index_can_answer_is_bounded(
    reader: Reader, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keystead.storage.locate.LOCATE_MISSES_COUNT_MAX", 3)
    unindexed = Value(1, ((0x420011, 5, 1),))
    put(writer, *(new_object(number) for number in range(1, 5)))
    with pytest.raises(TooLarge):
        reader.locate(query(equal("Cryptographic Parameters", unindexed)))
    put(writer, *(new_object(n, attributes=NONE.added("Cryptographic Parameters", unindexed)) for n in range(5, 9)))
    assert len(reader.locate(query(equal("Cryptographic Parameters", unindexed), limit_count=4))) == 4


def test_a_change_without_records_leaves_only_an_audit_leaf(store: Store, writer: Writer) -> None:
    login = Transaction(stores.request_id(1), "local:root", "-", NOW_US, (("hsm.login", Change((), None)),))
    assert writer.commit([login]) == [None]
    anchor = store.anchor()
    assert (anchor.sequence, anchor.audit_sequence) == (0, 1)


def test_sealed_material_of_any_size_is_kept(reader: Reader, writer: Writer) -> None:
    large = SealedMaterial("large", 3, bytes(range(256)) * 400)
    put(writer, Put(new_object(1, material=stores.reference(large)), large))
    loaded = reader.object(object_id(1))
    assert loaded is not None
    assert loaded.material == large


@pytest.mark.parametrize("watching", [False, True])
def test_no_change_is_passed_over_however_often_somebody_looks(store: Store, watching: bool) -> None:
    reader = store.reader(watching=watching)
    count, done = 300, threading.Event()

    def write() -> None:
        writer = store.writer()
        for number in range(1, count + 1):
            assert writer.commit([transaction(Put(new_object(number)), number=number)]) == [None]
        writer.close()
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    sequence = 0
    seen: list[str] = []
    while not done.is_set() or len(seen) < count:
        is_last = done.is_set()
        sequence, changed = reader.changes_since(sequence)
        seen += [changed_id for _, changed_id, _ in changed or []]
        if is_last:
            break
    thread.join()
    reader.close()
    assert seen == [object_id(number) for number in range(1, count + 1)]


def test_a_search_that_stops_early_leaves_nothing_open(store: Store, reader: Reader, writer: Writer) -> None:
    put(writer, *[new_object(number) for number in range(1, 6)])
    newest, _ = reader.changes_since(0)
    assert len(reader.locate(query(limit_count=1))) == 1
    other = store.writer()
    put(other, new_object(6))
    assert [changed_id for _, changed_id, _ in reader.changes_since(newest)[1] or []] == [object_id(6)]
    other.close()
