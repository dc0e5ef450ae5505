"""Reading attributes: those kept in the head, those made from other fields, and those of the multimap.

Source: KMIP 1.4 sections 3 and 4.12; KMIP 2.1 section 4; requirements KS-KMIP-027, 029, 030, 034, 035, 041, 042.
"""

from collections.abc import Callable
from hashlib import sha256

from keystead.core.attribute_table import CRYPTOGRAPHIC, ObjectType
from keystead.core.attribute_values import date
from keystead.core.attributes import Attribute, ItemType, Value
from keystead.core.key_pairs import STORED_PRIVATE, STORED_PUBLIC
from keystead.core.records import ManagedObject
from keystead.core.structures import HASH_SHA_256, made

LEASE_TIME_S = 3600  # how long a client may use what it cached of an object (KMIP 1.4 section 3.20)
STORED_IN_SOFTWARE = 1  # Protection Storage Mask

Reader = Callable[[ManagedObject, int], Value | None]
"""Returns an attribute's value at a moment (UTC microseconds), None when the object has none."""


def _number(kind: ItemType, content: int | None) -> Value | None:
    return Value(kind, int(content)) if content else None


def _date(moment_us: int | None) -> Value | None:
    return None if moment_us is None else date(moment_us)


def _state(record: ManagedObject, now_us: int) -> Value | None:
    if record.object_type == ObjectType.TEMPLATE:
        return None
    return Value(ItemType.ENUMERATION, int(record.state(now_us)))


def _usage_mask(record: ManagedObject, _now_us: int) -> Value | None:
    if record.object_type not in CRYPTOGRAPHIC and not record.shape.usage_mask:
        return None
    return Value(ItemType.INTEGER, int(record.shape.usage_mask))


def _digest(record: ManagedObject, _now_us: int) -> Value | None:
    if record.digest is None:
        return None
    form = int(record.shape.format)  # of a transparent key what is digested is the form that its bytes are kept in
    if record.object_type == ObjectType.PRIVATE_KEY:
        form = int(STORED_PRIVATE.get(form, form))
    elif record.object_type == ObjectType.PUBLIC_KEY:
        form = int(STORED_PUBLIC.get(form, form))
    return made("Digest", HASH_SHA_256, record.digest, form or None)


def _revocation(record: ManagedObject, _now_us: int) -> Value | None:
    if record.revocation is None:
        return None
    code, message = record.revocation
    return made("Revocation Reason", int(code), message or None)


def _lease_time(record: ManagedObject, _now_us: int) -> Value | None:
    return None if record.object_type == ObjectType.TEMPLATE else Value(ItemType.INTERVAL, LEASE_TIME_S)


def _opaque_type(record: ManagedObject, _now_us: int) -> Value | None:
    return Value(ItemType.ENUMERATION, record.shape.subtype) if record.object_type == ObjectType.OPAQUE else None


def _storage_mask(record: ManagedObject, _now_us: int) -> Value | None:
    return None if record.object_type == ObjectType.TEMPLATE else Value(ItemType.INTEGER, STORED_IN_SOFTWARE)


def _flag(field: str) -> Reader:
    def read(record: ManagedObject, _now_us: int) -> Value | None:
        if record.object_type == ObjectType.TEMPLATE:
            return None
        return Value(ItemType.BOOLEAN, getattr(record.protection, field))

    return read


READERS: dict[str, Reader] = {
    "Unique Identifier": lambda o, _: Value(ItemType.TEXT_STRING, o.id),
    "Object Type": lambda o, _: Value(ItemType.ENUMERATION, int(o.object_type)),
    "Cryptographic Algorithm": lambda o, _: _number(ItemType.ENUMERATION, o.shape.algorithm),
    "Cryptographic Length": lambda o, _: _number(ItemType.INTEGER, o.shape.length_bits),
    "Cryptographic Usage Mask": _usage_mask,
    "Digest": _digest,
    "Lease Time": _lease_time,
    "State": _state,
    "Initial Date": lambda o, _: date(o.initial_us),
    "Activation Date": lambda o, _: _date(o.dates.activation_us),
    "Process Start Date": lambda o, _: _date(o.dates.process_start_us),
    "Protect Stop Date": lambda o, _: _date(o.dates.protect_stop_us),
    "Deactivation Date": lambda o, _: _date(o.dates.deactivation_us),
    "Destroy Date": lambda o, _: _date(o.dates.destroy_us),
    "Compromise Occurrence Date": lambda o, _: _date(o.compromise_occurrence_us),
    "Compromise Date": lambda o, _: _date(o.dates.compromise_us),
    "Revocation Reason": _revocation,
    "Fresh": _flag("fresh"),
    "Last Change Date": lambda o, _: date(o.last_change_us),
    "Original Creation Date": lambda o, _: _date(o.original_creation_us),
    "Sensitive": _flag("sensitive"),
    "Always Sensitive": _flag("always_sensitive"),
    "Extractable": _flag("extractable"),
    "Never Extractable": _flag("never_extractable"),
    "Key Format Type": lambda o, _: _number(ItemType.ENUMERATION, o.shape.format),
    "Opaque Data Type": _opaque_type,
    "Protection Storage Mask": _storage_mask,
    "Short Unique Identifier": lambda o, _: Value(ItemType.BYTE_STRING, sha256(o.id.encode()).digest()),
}
"""Attributes that are not in the multimap."""


def instances_of(record: ManagedObject, name: str, now_us: int) -> tuple[Attribute, ...]:
    """Return all instances of one attribute, lowest index first; empty when the object has none."""
    reader = READERS.get(name)
    if reader is None:
        return record.attributes.instances(name)
    value = reader(record, now_us)
    return () if value is None else (Attribute(name, 0, value),)


def attributes_of(record: ManagedObject, now_us: int) -> tuple[Attribute, ...]:
    """Return every attribute of an object; a protocol leaves out what its version does not know."""
    made_here = [Attribute(name, 0, value) for name, read in READERS.items() if (value := read(record, now_us))]
    return (*made_here, *record.attributes)
