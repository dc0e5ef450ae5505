"""Get: an object with its key bytes, for those who may have them.

Laws: key bytes are opened for each answer and kept nowhere; what is sensitive or not extractable never leaves here in
clear, whoever asks. The first Get of a fresh object is durable before it is answered (docs/adr/0033).

Source: KMIP 1.4 sections 3.34, 3.48 to 3.51, 4.11, 11.12; requirements KS-KMIP-008, 040; KS-KEY-009, 023.
"""

from dataclasses import replace

from keystead.core.algorithms import KeyFormat
from keystead.core.attribute_rules import template_attributes
from keystead.core.attribute_table import ObjectType
from keystead.core.changes import Change, Put
from keystead.core.errors import NotSupported, Refused
from keystead.core.permission import Right
from keystead.core.records import KIND_OBJECT, ManagedObject
from keystead.gate.call import Call
from keystead.gate.operation import Target, operation
from keystead.operations.requests import Get, Got, KeyBlock

_CONVERTIBLE: dict[int, frozenset[int]] = {
    ObjectType.SYMMETRIC_KEY: frozenset(KeyFormat),
    ObjectType.SECRET_DATA: frozenset({KeyFormat.RAW, KeyFormat.OPAQUE}),
}
"""Formats that differ in how the same bytes are wrapped up, so that each can be given for the other."""


@operation(Get, "key.get", "Get", user=Right.EXPORT, targets=(Target(Right.EXPORT),), material=True)
def get(call: Call, request: Get) -> Got | Change:
    """Return the object in its own format or in the one asked for."""
    loaded = call.targets[0]
    record: ManagedObject = loaded.record
    if record.object_type == ObjectType.TEMPLATE:
        return Got(record.id, record.object_type, None, template_attributes(record))
    _check_release(call, record, request)
    shape = record.shape
    held = shape.format
    if request.format is not None and request.format != held:
        held = _converted(record, request.format)
    secret = call.desk.keyring.open(record.realm, KIND_OBJECT, record.id, loaded.material)
    block = KeyBlock(held, secret, shape.algorithm, shape.length_bits, shape.subtype)
    got = Got(record.id, record.object_type, block)
    if record.protection.fresh:
        return Change((Put(replace(record, protection=replace(record.protection, fresh=False))),), got)
    return got


def _check_release(call: Call, record: ManagedObject, request: Get) -> None:
    protection = record.protection
    if not call.switches.key_export:
        raise Refused(
            "key export is switched off; an administrator can set key_server.allow_key_export", "refused.switched_off"
        )
    if not protection.exportable:
        raise Refused("the key is not exportable", "refused.permission")
    if not protection.extractable:
        raise Refused("the object is not extractable", "refused.not_extractable")
    if protection.sensitive and not request.wrapping:
        raise Refused("the object is sensitive and leaves only wrapped by another key", "refused.sensitive")
    if request.wrapping:
        raise NotSupported("wrapped keys are not offered; ask for the key itself", "not_supported.wrapping")
    if request.compression is not None:
        raise NotSupported("only elliptic curve public keys can be compressed", "not_supported.compression")


def _converted(record: ManagedObject, wanted: int) -> int:
    formats = _CONVERTIBLE.get(record.object_type)
    if formats is None:
        return record.shape.format  # an opaque object has no key block, hence no format
    if wanted not in formats:
        raise NotSupported("the object cannot be given in this format; ask for Raw", "not_supported.key_format")
    return wanted
