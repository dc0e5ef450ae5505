"""Real stores with something in them, for the tests of several folders."""

import uuid
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from keystead.core.attributes import NONE, Attributes, ItemType, Value, text
from keystead.core.changes import Change, Put, SealedMaterial, Transaction
from keystead.core.lifecycle import Dates
from keystead.core.records import KeyShape, ManagedObject, MaterialReference, Record
from keystead.storage.sqlite import SqliteStore, open_store
from keystead.storage.sqlite_creation import create_store
from keystead.storage.store import Match, Query, Reader, StoreKeys, Writer

KEYS = StoreKeys(bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96)))
NOW_US = 1_800_000_000_000_000
AES, CERTIFICATE_TYPE, SYMMETRIC_KEY = 3, 1, 2
TAG_NAME_VALUE, TAG_NAME_TYPE = 0x420055, 0x420054


def object_id(number: int) -> str:
    """Ids in the order of their numbers."""
    return str(uuid.UUID(int=number << 80 | 0x7 << 76 | 0b10 << 62 | 0xABCDEF << 24 | number))


def request_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def kmip_name(value: str, name_type: int = 1) -> Value:
    fields = ((TAG_NAME_VALUE, ItemType.TEXT_STRING, value), (TAG_NAME_TYPE, ItemType.ENUMERATION, name_type))
    return Value(ItemType.STRUCTURE, fields)


def attributes(**named: str) -> Attributes:
    """`Name=…` makes a KMIP Name, `Object_Group=…` a text; a custom one is `x_…`."""
    made = NONE
    for name, value in named.items():
        spelt = name.replace("x_", "x-").replace("_", " ")
        made = made.added(spelt, kmip_name(value) if spelt == "Name" else text(value))
    return made


def material(number: int, filling: bytes = b"sealed") -> SealedMaterial:
    return SealedMaterial(f"material-{number}", 1, filling * 8 + number.to_bytes(8, "big"))


def reference(sealed: SealedMaterial) -> MaterialReference:
    return MaterialReference(sealed.id, sealed.version, sha256(sealed.sealed).digest())


def new_object(number: int, owner: str | None = "alice", **changes: Any) -> ManagedObject:
    """An active AES key that is not stored yet and has no material."""
    plain = ManagedObject(
        object_id(number),
        "root",
        SYMMETRIC_KEY,
        owner,
        f"key-{number}",
        NOW_US,
        NOW_US,
        KeyShape(AES, 256, 1, 12, 0),
        Dates(activation_us=NOW_US),
    )
    return plain._replace(**changes)


def with_material(record: ManagedObject, number: int) -> Put:
    sealed = material(number)
    return Put(record._replace(material=reference(sealed)), sealed)


def new_user(name: str, **fields: Any) -> Record:
    return Record("user", f"user.{name}", name, fields)


def transaction(*puts: Put, number: int = 1, at_us: int = NOW_US, operation: str = "key.create") -> Transaction:
    return Transaction(request_id(number), "user:alice", "192.0.2.7", at_us, ((operation, Change(puts, None)),))


def purge(record: ManagedObject | Record, number: int = 1) -> Transaction:
    kind = "object" if isinstance(record, ManagedObject) else record.kind
    change = Change((), None, ((kind, record.id, record.revision),))
    return Transaction(request_id(number), "clock:clock", "-", NOW_US, (("object.purge", change),))


def put(writer: Writer, *records: ManagedObject | Record | Put, at_us: int = NOW_US) -> None:
    """Store records, each in a transaction of its own, in one commit."""
    puts = [each if isinstance(each, Put) else Put(each) for each in records]
    outcomes = writer.commit([transaction(each, at_us=at_us) for each in puts])
    assert outcomes == [None] * len(puts)


def loaded_object(reader: Reader, number: int) -> ManagedObject:
    loaded = reader.object(object_id(number))
    assert loaded is not None
    assert isinstance(loaded.record, ManagedObject)
    return loaded.record


def query(*matches: Match, scopes: tuple[str, ...] = ("u:alice",), **changes: Any) -> Query:
    return Query("root", scopes, matches, NOW_US)._replace(**changes)


def equal(name: str, content: Any, item_type: ItemType = ItemType.ENUMERATION) -> Match:
    return Match(name, content if isinstance(content, Value) else Value(item_type, content))


def numbers(ids: list[str]) -> list[int]:
    """The numbers that `object_id` made ids of."""
    return [uuid.UUID(each).int >> 80 for each in ids]


@cache
def _template() -> bytes:
    with TemporaryDirectory() as folder:
        create_store(Path(folder) / "store.db", KEYS, {"dev": "1"})
        return (Path(folder) / "store.db").read_bytes()


def new_store(folder: Path, **options: Any) -> SqliteStore:
    """A new store in a folder; all of a run are copies of one, since making the tables takes a while."""
    path = folder / "store.db"
    path.write_bytes(_template())
    return open_store(path, KEYS, **options)
