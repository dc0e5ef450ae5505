"""What is inside a set's envelope: records, each key sealed by a key of its own and bound to where it belongs. Pure.

The content is a row of records, each a length (4 bytes, big-endian) and CBOR: the secrets of the set, one record for
each saved object, and the end, which counts them and names what was not saved.

Source: requirements CB-008, 009; docs/adr/0082.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cbor2

from keystead.core.errors import Tampered
from keystead.core.secret import Secret
from keystead.custody.drives.manifest import Partition
from keystead.trust.sealing import derive, frame, seal, unseal

RECORD_BYTES_MAX = 131_072
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object belongs.

    Attributes:
        number: Of the record in its set, from 0.
        slot: Number of the slot at the time of the backup.
        partition: Label of the token.
        handle: The object's handle at the time of the backup.
    """

    number: int
    slot: int
    partition: str
    handle: int


@dataclass(frozen=True, slots=True)
class Unsaved:
    """An object that stays in its token, and why.

    Attributes:
        partition: Label of the token.
        label: The object's label.
        id: Its id, hexadecimal.
        reason: Why.
    """

    partition: str
    label: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of a set: what its keys are sealed under, and what the tokens wrap them under; 32 bytes each."""

    sealing: Secret
    wrapping: Secret


@dataclass(frozen=True, slots=True)
class Entry:
    """One saved object.

    Attributes:
        place: Where it belongs.
        fields: Its attributes, by number.
        wrapped: A private or secret key, wrapped by the token.
    """

    place: Place
    fields: dict[int, Any]
    wrapped: bytes | None


def head(secrets: Secrets) -> bytes:
    """Return the first record."""
    return _record({"sealing": secrets.sealing.reveal(), "wrapping": secrets.wrapping.reveal()})


def body(secrets: Secrets, entry: Entry) -> bytes:
    """Return the record of one object."""
    place, context = entry.place, _context(entry.place)
    content = Secret(cbor2.dumps([entry.fields, entry.wrapped]))
    sealed = seal(derive(secrets.sealing.reveal(), "drives/entry", context), content, context)
    return _record([place.number, place.slot, place.partition, place.handle, sealed])


def end(saved_count: int, unsaved: Iterable[Unsaved]) -> bytes:
    """Return the last record."""
    rows = [[each.partition, each.label, each.id, each.reason] for each in unsaved]
    return _record({"saved": saved_count, "unsaved_count": len(rows)}) + b"".join(
        _record({"unsaved": row}) for row in rows
    )


class Reader:
    """Reads the content of an envelope; whole and checked once `entries` has ended.

    Attributes:
        unsaved: What stayed in its token.
        secrets: Known once the first entry is asked for.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._records = _records(pieces)
        first = next(self._records, None)
        if not isinstance(first, dict) or set(first) != {"sealing", "wrapping"}:
            raise Tampered("the set does not begin with its secrets")
        self.secrets = Secrets(Secret(first["sealing"]), Secret(first["wrapping"]))
        self.unsaved: list[Unsaved] = []

    def entries(self) -> Iterator[tuple[Entry, bytes]]:
        """Yield each object with its record, which the manifest's digests are over.

        Raises:
            Tampered: an object does not belong to its place, is missing, or stands twice.
        """
        number, counts = 0, None
        for record in self._records:
            if isinstance(record, list):
                entry = self._opened(record)
                if counts is not None or entry.place.number != number:
                    raise Tampered("the objects of the set are not in their order")
                number += 1
                yield entry, _record(record)
            elif "saved" in record:
                counts = record["saved"], record["unsaved_count"]
            else:
                self.unsaved.append(Unsaved(*record["unsaved"]))
        if counts != (number, len(self.unsaved)):
            raise Tampered("the set does not hold as many objects as it says")

    def _opened(self, record: list[Any]) -> Entry:
        number, slot, partition, handle, sealed = record
        place = Place(number, slot, partition, handle)
        key = derive(self.secrets.sealing.reveal(), "drives/entry", _context(place))
        fields, wrapped = cbor2.loads(unseal(key, sealed, _context(place)).reveal())
        return Entry(place, fields, wrapped)


class Digests:
    """Counts and digests of partitions, as a manifest has them."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, int, Any]] = {}

    def add(self, place: Place, record: bytes) -> None:
        """Take one object's record."""
        slot, count, digest = self._found.get(place.partition, (place.slot, 0, hashlib.sha256()))
        digest.update(record)
        self._found[place.partition] = slot, count + 1, digest

    def partitions(self) -> tuple[Partition, ...]:
        """Return what a manifest says."""
        return tuple(
            Partition(slot, label, count, digest.digest()) for label, (slot, count, digest) in self._found.items()
        )


def _context(place: Place) -> bytes:
    numbers = (place.number, place.slot, place.handle)
    return frame(b"keystead/drive-entry/1", place.partition.encode(), *(struct.pack(">Q", each) for each in numbers))


def _record(value: Any) -> bytes:
    data = cbor2.dumps(value, canonical=True)
    return _LENGTH.pack(len(data)) + data


def _records(pieces: Iterator[bytes]) -> Iterator[Any]:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= _LENGTH.size:
            length = _LENGTH.unpack_from(waiting)[0]
            if length > RECORD_BYTES_MAX:
                raise Tampered("a record of the set is longer than allowed")
            if len(waiting) < _LENGTH.size + length:
                break
            yield cbor2.loads(bytes(waiting[_LENGTH.size : _LENGTH.size + length]))
            del waiting[: _LENGTH.size + length]
    if waiting:
        raise Tampered("the set ends within a record")
