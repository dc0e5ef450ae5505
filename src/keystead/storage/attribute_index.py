"""The attribute index: which rows a managed object leaves there, so that a search never walks what it cannot see.

Two tables. `listing` has one row per scope that may see the object, with its whole head beside it: "everything I may
see" is a walk along it, newest first, and conditions on the head (state, type, algorithm, dates, …) are decided on the
row without touching the record. `attribute_index` has one row per scope and indexed value of the multimap. Both keep
destroyed objects apart (`gone`), so that they never stand in the way of a search for living ones.

Realm, scope, gone and attribute name stand in a key as 8 bytes of their digest: comparing one short string instead of
five columns halves the time of an insertion and the size of the index. Two that share a digest only cost a look at a
record in vain.

Laws: rows are hints: every hit is checked against the authenticated record (core.search) before it counts; what an
object leaves here is a function of its record and of the moment it was written, so that `keystead verify` can tell
omitted and added rows.

Source: design.md section 6 ("Locate"); KMIP 1.4 section 4.9; docs/adr/0011-attribute-index.md.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from keystead.core.attributes import ItemType, Value
from keystead.core.authorize import scopes_for
from keystead.core.errors import Invalid
from keystead.core.lifecycle import GONE, State, next_transition_at, state_at
from keystead.core.records import ManagedObject
from keystead.storage.documents import encode_content, protection_bits
from keystead.trust.sealing import frame

PREFIX_BYTES = 8
PLACES_REMEMBERED_COUNT_MAX = 4096
VALUE_BYTES_MAX = 64  # of an index row; a longer value stands there as its SHA-256
INTEGER_MIN, INTEGER_MAX = -(1 << 63), (1 << 63) - 1

# Plain numbers: comparing members of an enumeration costs ten times as much.
_TEXT, _BYTES, _STRUCTURE = int(ItemType.TEXT_STRING), int(ItemType.BYTE_STRING), int(ItemType.STRUCTURE)
_TEXTS = frozenset({_TEXT, _BYTES})
_NUMBERS = frozenset(
    {
        *(int(ItemType.INTEGER), int(ItemType.LONG_INTEGER), int(ItemType.ENUMERATION), int(ItemType.BOOLEAN)),
        *(int(ItemType.DATE_TIME), int(ItemType.INTERVAL), int(ItemType.DATE_TIME_EXTENDED)),
    }
)


class ListingRow(NamedTuple):
    """A row of `listing`; the fields are its columns, the first two its key."""

    place: bytes
    object: bytes
    object_type: int
    state: int
    next_us: int | None
    algorithm: int
    length_bits: int
    format: int
    usage_mask: int
    flags: int
    initial_us: int
    last_change_us: int
    activation_us: int | None
    process_start_us: int | None
    protect_stop_us: int | None
    deactivation_us: int | None
    destroy_us: int | None
    compromise_us: int | None
    compromise_occurrence_us: int | None
    original_creation_us: int | None


_tuple: Callable[..., Any] = tuple.__new__  # makes a named tuple without a frame of its own
AttributeRow = tuple[bytes, bytes]
"""A row of `attribute_index`: term and object, together its key."""


class IndexRows(NamedTuple):
    """All rows of one object."""

    listing: tuple[ListingRow, ...] = ()
    attributes: frozenset[AttributeRow] = frozenset()


NO_ROWS = IndexRows()


def rows_of(record: ManagedObject, key: bytes, at_us: int) -> IndexRows:
    """Return the rows of an object as written at a moment.

    Raises:
        Invalid: a date or number is too far out to be kept (64 bits).
    """
    state = state_at(record.dates, at_us)
    head = _head(record, state, at_us)
    for number in head:
        if number is not None and not INTEGER_MIN <= number <= INTEGER_MAX:
            raise Invalid(
                "a date or number is out of range; give one that fits into 64 bits", "invalid.attribute_value"
            )
    gone = int(state in GONE)
    places = [place_of(record.realm, scope, gone) for scope in scopes_for(record)]
    values = [(name, text) for name, _, value in record.attributes for text in values_of(value)]
    listing = tuple([_tuple(ListingRow, (place, key, *head)) for place in places])
    terms = [(term_of(place, name, value), key) for place in places for name, value in values]
    rows: IndexRows = _tuple(IndexRows, (listing, frozenset(terms)))
    return rows


def next_us_of(rows: IndexRows) -> int | None:
    """Return when the state that the rows were written with ends, None = never."""
    return rows.listing[0].next_us


@lru_cache(PLACES_REMEMBERED_COUNT_MAX)
def place_of(realm: str, scope: str, gone: int) -> bytes:
    """Return where in the index the objects of a scope stand, destroyed ones apart."""
    return sha256(frame(realm.encode(), scope.encode(), bytes((gone,)))).digest()[:PREFIX_BYTES]


def term_of(place: bytes, name: str, value: bytes) -> bytes:
    """Return the key of an attribute's value at a place; terms of one name are in the order of their values."""
    return _name_at(place, name) + value


@lru_cache(PLACES_REMEMBERED_COUNT_MAX)
def _name_at(place: bytes, name: str) -> bytes:
    return sha256(place + name.encode()).digest()[:PREFIX_BYTES]


def _head(record: ManagedObject, state: State, at_us: int) -> tuple[int | None, ...]:
    shape, dates = record.shape, record.dates
    return (
        int(record.object_type),
        int(state),
        next_transition_at(dates, at_us),
        int(shape.algorithm),
        shape.length_bits,
        int(shape.format),
        int(shape.usage_mask),
        protection_bits(record.protection),
        record.initial_us,
        record.last_change_us,
        dates.activation_us,
        dates.process_start_us,
        dates.protect_stop_us,
        dates.deactivation_us,
        dates.destroy_us,
        dates.compromise_us,
        record.compromise_occurrence_us,
        record.original_creation_us,
    )


def values_of(value: Value) -> list[bytes]:
    """Return the index values of an attribute instance.

    A structure has one for each of its text and byte fields, since a search may give only some of the fields (KMIP
    1.4 section 4.9). One that has neither, such as Cryptographic Parameters, is not indexed.
    """
    kind, content = value
    if kind != _STRUCTURE:
        return [_bounded(kind.to_bytes(1, "big") + _content(kind, content))]
    return [
        _bounded(tag.to_bytes(3, "big") + _content(field_kind, field))
        for tag, field_kind, field in content
        if field_kind in _TEXTS
    ]


def wanted_value(value: Value) -> bytes | None:
    """Return the index value to look for, None when the index cannot answer: a structure without texts.

    Of several the last is taken: KMIP puts what tells things apart after what groups them (namespace, then data).
    """
    return next(reversed(values_of(value)), None)


def _content(kind: int, content: Any) -> bytes:
    if kind == _TEXT:
        return str(content).encode()
    if kind == _BYTES:
        return bytes(content)
    if kind in _NUMBERS and INTEGER_MIN <= content <= INTEGER_MAX:
        return int(content - INTEGER_MIN).to_bytes(8, "big")  # in order, negative ones first
    return encode_content(Value(kind, content))


def _bounded(value: bytes) -> bytes:
    return value if len(value) <= VALUE_BYTES_MAX else sha256(value).digest()
