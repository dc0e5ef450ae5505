"""Documents: every record survives being written down, and the bytes of format 1 never change."""

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.attributes import Attribute, Attributes, ItemType, Value
from keystead.core.errors import Unavailable
from keystead.core.key_versions import Versioning, VersionState
from keystead.core.lifecycle import Dates
from keystead.core.records import KeyShape, ManagedObject, MaterialReference, Protection, Record
from keystead.storage.documents import decode, encode, encode_attributes, protection, protection_bits
from tests.support.stores import NOW_US, attributes, new_object

ACTIVE = VersionState.ACTIVE
MOMENTS = st.none() | st.integers(-(1 << 62), 1 << 62)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = {
    ItemType.INTEGER: st.integers(-(1 << 31), (1 << 31) - 1),
    ItemType.LONG_INTEGER: st.integers(-(1 << 63), (1 << 63) - 1),
    ItemType.BIG_INTEGER: st.integers(-(1 << 200), 1 << 200),
    ItemType.ENUMERATION: st.integers(0, (1 << 32) - 1),
    ItemType.BOOLEAN: st.booleans(),
    ItemType.TEXT_STRING: TEXTS,
    ItemType.BYTE_STRING: st.binary(max_size=12),
    ItemType.DATE_TIME: st.integers(-(1 << 63), (1 << 63) - 1),
    ItemType.INTERVAL: st.integers(0, (1 << 32) - 1),
    ItemType.DATE_TIME_EXTENDED: st.integers(-(1 << 63), (1 << 63) - 1),
}
TAGS = st.integers(0x420000, 0x42FFFF)
FIELDS: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(list(SCALARS)).flatmap(lambda kind: st.tuples(TAGS, st.just(int(kind)), SCALARS[kind])),
    lambda inner: st.tuples(TAGS, st.just(1), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=6,
)
VALUES = st.one_of(
    st.sampled_from(list(SCALARS)).flatmap(lambda kind: st.builds(Value, st.just(kind), SCALARS[kind])),
    st.builds(Value, st.just(ItemType.STRUCTURE), st.lists(FIELDS, max_size=3).map(tuple)),
)
MULTIMAPS = st.lists(st.tuples(TEXTS, VALUES), max_size=5).map(
    lambda pairs: Attributes(Attribute(name, index, value) for index, (name, value) in enumerate(pairs))
)
REFERENCES = st.none() | st.builds(
    MaterialReference, TEXTS, st.integers(0, 1 << 40), st.binary(min_size=32, max_size=32)
)
NUMBERS = st.integers(0, (1 << 32) - 1)
OBJECTS = st.builds(
    ManagedObject,
    st.just("0190aaaa-0000-7000-8000-00000000abcd"),
    TEXTS,
    NUMBERS,
    st.none() | TEXTS,
    TEXTS,
    st.integers(0, 1 << 62),
    st.integers(0, 1 << 62),
    st.builds(KeyShape, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    st.builds(Dates, MOMENTS, MOMENTS, MOMENTS, MOMENTS, MOMENTS, MOMENTS),
    st.builds(Protection, *[st.booleans()] * 7),
    REFERENCES,
    st.none() | st.binary(min_size=32, max_size=32),
    MOMENTS,
    st.none() | st.tuples(NUMBERS, TEXTS),
    MOMENTS,
    st.dictionaries(TEXTS, st.integers(0, 4095), max_size=3),
    MULTIMAPS,
    st.just(0),
    st.none()
    | st.builds(Versioning, TEXTS, NUMBERS, st.binary(max_size=16), st.integers(1, 4000), NUMBERS, st.just(ACTIVE)),
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | TEXTS | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.builds(
    Record,
    st.just("user"),
    st.just("user.x"),
    TEXTS,
    st.dictionaries(TEXTS, PLAIN, max_size=4),
    TEXTS,
    st.none() | TEXTS,
    REFERENCES,
)


@given(OBJECTS, st.integers(1, 1 << 40))
def test_an_object_survives(record: ManagedObject, revision: int) -> None:
    document = encode(record)
    decoded = decode("object", record.id, revision, document)
    assert decoded == record._replace(revision=revision)
    assert type(decoded) is ManagedObject
    assert type(decoded.dates) is Dates
    assert repr(decoded.attributes) == repr(record.attributes)
    assert encode(decoded) == document
    assert cbor2.dumps(cbor2.loads(document), canonical=True) == document


@given(RECORDS, st.integers(1, 1 << 40))
def test_another_record_survives(record: Record, revision: int) -> None:
    document = encode(record)
    assert decode("user", record.id, revision, document) == record._replace(revision=revision)
    assert encode(record._replace(fields=dict(reversed(list(record.fields.items()))))) == document


@given(MULTIMAPS)
def test_attributes_read_from_a_document_behave_like_others(made: Attributes) -> None:
    stored = decode("object", "x", 1, encode(new_object(1)._replace(attributes=made)))
    assert isinstance(stored, ManagedObject)
    assert stored.attributes == made
    assert made == stored.attributes
    assert hash(stored.attributes) == hash(made)
    assert list(stored.attributes) == list(made)
    assert len(stored.attributes) == len(made)
    assert stored.attributes.names() == made.names()
    assert stored.attributes.removed("no such name") == made


def test_attributes_are_decoded_only_when_asked_for() -> None:
    record = new_object(1)._replace(attributes=attributes(Name="n"))
    items = cbor2.loads(encode(record))
    items[-1] = b"\xff not CBOR"
    broken = decode("object", record.id, 1, cbor2.dumps(items))
    assert isinstance(broken, ManagedObject)
    assert broken.handle == record.handle
    with pytest.raises(cbor2.CBORDecodeError):
        broken.attributes.names()
    with pytest.raises(AttributeError):
        _ = broken.attributes.nothing  # type: ignore[attr-defined]  # what is asked for must not exist


def test_a_frozen_record_stays_frozen() -> None:
    decoded = decode("object", "x", 1, encode(new_object(1)))
    with pytest.raises(AttributeError):
        decoded.handle = "other"  # type: ignore[misc]  # that it cannot be assigned is the point
    assert isinstance(decoded, ManagedObject)
    with pytest.raises(AttributeError):
        decoded.dates.destroy_us = 1  # type: ignore[misc]  # likewise


def test_a_newer_format_is_refused() -> None:
    items = cbor2.loads(encode(new_object(1)))
    with pytest.raises(Unavailable):
        decode("object", "x", 1, cbor2.dumps([3, *items[1:]]))


@given(st.integers(0, 127))
def test_flags_survive(bits: int) -> None:
    assert protection_bits(protection(bits)) == bits


def test_the_bytes_of_format_1() -> None:
    """Written by hand from docs/adr/0010: a store of any later version must still read them."""
    record = new_object(1, grants={"g": 3})._replace(
        digest=b"\x01" * 2,
        material=MaterialReference("m", 1, b"\x02" * 2),
        attributes=attributes(Name="n", x_a="b"),
    )
    moment = f"1b{NOW_US:016x}"
    inner = "88" + "644e616d65" + "00" + "01" + "86" + "1a00420055" + "07" + "616e" + "1a00420054" + "05" + "01"
    inner += "63782d61" + "00" + "07" + "6162"
    assert encode_attributes(record.attributes).hex() == inner
    expected = "981d" + "01" + "64726f6f74" + "656b65792d31" + "65616c696365" + "616d" + "01" + "420202"
    expected += "02" + moment * 2 + "03" + "190100" + "01" + "0c" + "00" + moment + "f6" * 5
    expected += "1853" + "420101" + "f6" * 4 + "a1616703" + f"58{len(inner) // 2:02x}" + inner
    assert encode(record).hex() == expected
