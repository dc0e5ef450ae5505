"""Documents: records as canonical CBOR (RFC 8949 section 4.2), compact and quick to read.

Law: the encoding of a format number never changes; a new layout is a new number, and old ones stay readable. Kind, id
and revision are not in the document: its MAC binds them (sealed.py).

An object's attributes are a byte string inside the document and are decoded only when somebody asks for them. Arrays
are flat, because every nested one costs as much to write as three numbers.

Source: design.md sections 5 to 7; docs/adr/0010-journal-chain-and-root.md.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import cbor2

from keystead.core.attributes import NONE, Attribute, Attributes, ItemType, Value
from keystead.core.errors import Unavailable
from keystead.core.key_versions import Versioning
from keystead.core.lifecycle import Dates
from keystead.core.records import KIND_OBJECT, KeyShape, ManagedObject, MaterialReference, Protection, Record
from keystead.storage.stored_attributes import StoredAttributes

FORMAT = 1
FORMAT_VERSIONED = 2  # FORMAT, and what a key knows of its versions behind it
NAME = "Name"
_STRUCTURE = int(ItemType.STRUCTURE)
_TEXTS = frozenset({int(ItemType.TEXT_STRING), int(ItemType.BYTE_STRING)})
_SHAPES_COUNT_MAX = 1024
_ATTRIBUTES_COUNT_MAX = 256
_ATTRIBUTE_ITEMS = 4
_OBJECT_ITEMS = 29
_VERSIONING_ITEMS = 5  # its state is that of the default version: active

_tuple: Callable[..., Any] = tuple.__new__  # makes a named tuple without a frame of its own
Content = Any
"""Content of a Value: int, bool, str, bytes, or a tuple of fields (core.attributes)."""


def kind_of(record: ManagedObject | Record) -> str:
    """Return the kind that a record is stored under."""
    return KIND_OBJECT if isinstance(record, ManagedObject) else record.kind


def encode(record: ManagedObject | Record) -> bytes:
    """Return the document of a record.

    Raises:
        ValueError, TypeError: a field holds what CBOR cannot carry (a mistake of ours).
    """
    material = record.material
    reference = (None, 0, None) if material is None else (material.id, material.version, material.sealed_digest)
    rest = _object_items(record) if isinstance(record, ManagedObject) else (dict(record.fields),)
    form = FORMAT
    if isinstance(record, ManagedObject) and record.versioning is not None:
        form, rest = FORMAT_VERSIONED, (*rest, *_versioning_items(record.versioning))
    return cbor2.dumps((form, record.realm, record.handle, record.owner, *reference, *rest), canonical=True)


def decode(kind: str, record_id: str, revision: int, document: bytes) -> ManagedObject | Record:
    """Return the record of a document that has been authenticated.

    Raises:
        Unavailable: written by a newer version.
    """
    items = cbor2.loads(document)
    if items[0] != FORMAT and items[0] != FORMAT_VERSIONED:
        raise Unavailable(f"{kind} {record_id} was written by a newer version; upgrade this node", "unavailable.store")
    _, realm, handle, owner, material_id, version, sealed_digest = items[:7]
    material = None if material_id is None else MaterialReference(material_id, version, sealed_digest)
    if kind == KIND_OBJECT:
        return _object(record_id, revision, material, items)
    return Record(kind, record_id, handle, items[7], realm, owner, material, revision)


def _object_items(record: ManagedObject) -> tuple[Any, ...]:
    shape, dates = record.shape, record.dates
    code: int | None = None
    message: str | None = None
    if record.revocation is not None:
        code, message = record.revocation
    return (
        int(record.object_type),
        record.initial_us,
        record.last_change_us,
        int(shape.algorithm),
        shape.length_bits,
        int(shape.format),
        int(shape.usage_mask),
        int(shape.subtype),
        dates.activation_us,
        dates.deactivation_us,
        dates.compromise_us,
        dates.destroy_us,
        dates.process_start_us,
        dates.protect_stop_us,
        protection_bits(record.protection),
        record.digest,
        record.compromise_occurrence_us,
        code if code is None else int(code),
        message,
        record.original_creation_us,
        {name: int(mask) for name, mask in record.grants.items()},
        encode_attributes(record.attributes),
    )


def _versioning_items(versioning: Versioning) -> tuple[Any, ...]:
    if not versioning.is_default:
        raise ValueError("what stands for an older version of a key is not stored")
    return versioning[:_VERSIONING_ITEMS]


def _object(record_id: str, revision: int, material: MaterialReference | None, items: Sequence[Any]) -> ManagedObject:
    _, realm, handle, owner = items[:4]
    object_type, initial_us, last_change_us = items[7:10]
    flags, digest, occurrence_us, code, message, original_us, grants, attributes = items[21:_OBJECT_ITEMS]
    activation_us, deactivation_us, compromise_us, destroy_us, process_start_us, protect_stop_us = items[15:21]
    return _tuple(  # type: ignore[no-any-return]  # it makes what it is told
        ManagedObject,
        (
            record_id,
            realm,
            object_type,
            owner,
            handle,
            initial_us,
            last_change_us,
            _shape(*items[10:15]),
            Dates(activation_us, deactivation_us, compromise_us, destroy_us, process_start_us, protect_stop_us),
            protection(flags),
            material,
            digest,
            occurrence_us,
            None if code is None else (code, message),
            original_us,
            grants,
            StoredAttributes(attributes) if attributes else NONE,
            revision,
            Versioning(*items[_OBJECT_ITEMS:]) if len(items) > _OBJECT_ITEMS else None,
        ),
    )


_shape = lru_cache(_SHAPES_COUNT_MAX)(KeyShape)  # few different ones exist


def protection_bits(held: Protection) -> int:
    """Return the flags as a number, in the order of their declaration, lowest bit first."""
    return (
        held.deletable
        | held.exportable << 1
        | held.sensitive << 2
        | held.always_sensitive << 3
        | held.extractable << 4
        | held.never_extractable << 5
        | held.fresh << 6
        | held.wrapped << 7
    )


@lru_cache(1 << 8)
def protection(bits: int) -> Protection:
    """Return what `protection_bits` was made from."""
    return Protection(*(bool(bits >> place & 1) for place in range(8)))


def encode_attributes(attributes: Attributes) -> bytes:
    """Return attributes as one flat CBOR array: name, index, type, content, name, …; empty when there are none."""
    if isinstance(attributes, StoredAttributes):
        return attributes.encoded
    parts: list[bytes] = []
    for attribute in attributes:
        is_repeated = attribute.value.type not in _TEXTS and attribute.name != NAME
        parts.append(_repeated(attribute) if is_repeated else _encoded(attribute))
    if not parts:
        return b""
    return _array_head(_ATTRIBUTE_ITEMS * len(parts)) + b"".join(parts)


def _encoded(attribute: Attribute) -> bytes:
    """Return the items of one attribute, without an array around them."""
    name, index, (item_type, content) = attribute
    written = cbor2.dumps((name, index, int(item_type), _written(int(item_type), content)), canonical=True)
    return written[len(_array_head(_ATTRIBUTE_ITEMS)) :]


_repeated = lru_cache(_ATTRIBUTES_COUNT_MAX)(_encoded)  # what is neither a name nor a text is the same in many objects


@lru_cache(_SHAPES_COUNT_MAX)
def _array_head(count: int) -> bytes:
    """Return what stands before the items of a CBOR array."""
    return cbor2.dumps([0] * count)[:-count]


def _written(item_type: int, content: Content) -> Content:
    if item_type != _STRUCTURE:
        return content
    items: list[Any] = []
    for tag, field_type, value in content:
        items += (int(tag), int(field_type), _written(int(field_type), value))
    return items


def encode_content(value: Value) -> bytes:
    """Return a value's content in canonical form; equal contents give equal bytes."""
    return cbor2.dumps(_written(int(value.type), value.content), canonical=True)
