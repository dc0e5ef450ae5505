"""Get: an object with its key bytes, for those who may have them.

Laws: key bytes are opened for each answer and kept nowhere; what is sensitive or not extractable never leaves here in
clear, whoever asks. The first Get of a member of an object group is durable before it is
answered; of other objects it is stored later (docs/adr/0044).

Source: KMIP 1.4 sections 3.34, 3.48 to 3.51, 4.11, 11.12; requirements KS-KMIP-008, 040; KS-KEY-009, 023.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from keystead.core import split_keys
from keystead.core.algorithms import KeyFormat
from keystead.core.attribute_rules import template_attributes
from keystead.core.attribute_table import PAIR, ObjectType
from keystead.core.changes import Change, Put
from keystead.core.errors import NotSupported, Refused, WrongState
from keystead.core.key_pairs import PairFormat
from keystead.core.permission import Right, Switches
from keystead.core.records import KIND_OBJECT, ManagedObject
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.objects import OBJECT_GROUP
from keystead.gate.operation import Target, operation
from keystead.operations.key_pairs import converted
from keystead.operations.requests import Get, Got, GotWrapped, KeyBlock
from keystead.operations.wrapped_keys import unpacked
from keystead.storage.store import Loaded, as_object
from keystead.trust.material import Opener

_CONVERTIBLE: dict[int, frozenset[int]] = {
    ObjectType.SYMMETRIC_KEY: frozenset(KeyFormat),
    ObjectType.SECRET_DATA: frozenset({KeyFormat.RAW, KeyFormat.OPAQUE}),
    ObjectType.SPLIT_KEY: frozenset(KeyFormat),
    ObjectType.PGP_KEY: frozenset({KeyFormat.RAW, KeyFormat.OPAQUE}),
    ObjectType.CERTIFICATE: frozenset({KeyFormat.RAW, KeyFormat.OPAQUE, PairFormat.X_509}),
}
"""Formats that differ in how the same bytes are wrapped up, so that each can be given for the other."""

_SPLIT_KEY = int(ObjectType.SPLIT_KEY)  # a plain number is quicker to compare, and every Get does


NOT_WRAPPED = 1  # Key Wrap Type


class Plan(NamedTuple):
    """What is decided once for a record: that it may leave, and in which form.

    Attributes:
        loaded: The very object it was made for; another one means another plan.
        switches: Likewise.
        opener: Opens its material, anew for each answer.
        format: Of the answer.
    """

    loaded: Any
    switches: Switches
    opener: Opener
    format: int


@operation(Get, "key.get", "Get", user=Right.EXPORT, targets=(Target(Right.EXPORT),), material=True)
def get(call: Call, request: Get) -> Got | GotWrapped | Change:
    """Return the object in its own format or in the one asked for."""
    loaded = call.targets[0]
    record: ManagedObject = loaded.record
    ready: dict[Any, Plan] | None = call.desk.keyring.ready
    plan = ready.get((record.id, request)) if ready is not None else None
    if plan is None or plan.loaded is not loaded or plan.switches is not call.switches:
        if record.object_type == ObjectType.TEMPLATE:
            return Got(record.id, record.object_type, None, template_attributes(record))
        if record.protection.wrapped:
            kept = _as_registered(call, loaded, request)
            is_told = not record.protection.fresh or _served(call, record) is not None
            return kept if is_told else _no_longer_fresh(record, kept)
        plan = _plan(call, loaded, request)
    block = _block(record, plan.format, plan.opener.open())
    got = _got((record.id, record.object_type, block, ()))
    if not record.protection.fresh:
        return got
    served = _served(call, record)
    if served is None:
        return _no_longer_fresh(record, got)
    call.desk.keyring.keep((record.id, request), plan._replace(loaded=served))
    return got


def _served(call: Call, record: ManagedObject) -> Loaded | None:
    """Return an object as one that was served; None when that has to be stored before the answer.

    Whoever takes the next fresh member of a group must never get the same one (KMIP 1.4 section 3.34).
    """
    return call.desk.objects.serve(record.id) if record.attributes.first(OBJECT_GROUP) is None else None


def _no_longer_fresh(record: ManagedObject, got: Got | GotWrapped) -> Change:
    return Change((Put(record._replace(protection=record.protection._replace(fresh=False))),), got)


def _as_registered(call: Call, loaded: Loaded, request: Get) -> GotWrapped:
    """Return an object that is kept wrapped as it came; it was never in clear here."""
    record = as_object(loaded)
    if request.wrap_type == NOT_WRAPPED:
        raise NotSupported("the object is kept as it was registered, wrapped", "not_supported.wrapping")
    form = released_format(call, record, request, wrapped=True)
    if form != record.shape.format:
        raise NotSupported("a wrapped key cannot be given in another format", "not_supported.key_format")
    material = call.desk.keyring.open(record.realm, KIND_OBJECT, record.id, loaded.material)
    data, wrapping, iv = unpacked(material)
    return GotWrapped(record.id, record.object_type, _block(record, form, data), wrapping, iv)


def clear_block(call: Call, loaded: Loaded, form: int) -> KeyBlock:
    """Return an object's key block in a format that `released_format` has permitted."""
    record = as_object(loaded)
    return _block(record, form, call.desk.keyring.open(record.realm, KIND_OBJECT, record.id, loaded.material))


def _block(record: ManagedObject, form: int, material: Secret) -> KeyBlock:
    shape = record.shape
    if form != shape.format and record.object_type in PAIR:
        held = KeyBlock(shape.format, material, shape.algorithm, shape.length_bits)
        return converted(record.object_type, held, form)
    if record.object_type == _SPLIT_KEY:
        split, material = split_keys.unpacked(material)
        return KeyBlock(form, material, shape.algorithm, shape.length_bits, shape.subtype, split)
    return _key_block((form, material, shape.algorithm, shape.length_bits, shape.subtype, None))


_key_block: Callable[[tuple[Any, ...]], KeyBlock] = partial(tuple.__new__, KeyBlock)  # without a frame for it
_got: Callable[[tuple[Any, ...]], Got] = partial(tuple.__new__, Got)


def _plan(call: Call, loaded: Loaded, request: Get) -> Plan:
    record, material = as_object(loaded), loaded.material
    form = released_format(call, record, request)
    if material is None:
        raise WrongState("the object has no material", "wrong_state.object")
    keyring = call.desk.keyring
    opener = keyring.opener((record.realm, KIND_OBJECT, record.id, material.id, material.version), material.sealed)
    plan = Plan(loaded, call.switches, opener, form)
    if not record.protection.fresh:
        keyring.keep((record.id, request), plan)
    return plan


def released_format(call: Call, record: ManagedObject, request: Get, *, wrapped: bool = False) -> int:
    """Return the format in which an object may leave.

    Raises:
        Refused: it may not leave, or not in clear.
        NotSupported: it has no such form.
    """
    protection = record.protection
    if not call.switches.key_export:
        raise Refused(
            "key export is switched off; an administrator can set key_server.allow_key_export", "refused.switched_off"
        )
    if not protection.exportable:
        raise Refused("the key is not exportable", "refused.permission")
    if not protection.extractable:
        raise Refused("the object is not extractable", "refused.not_extractable")
    if protection.sensitive and not wrapped:
        raise Refused("the object is sensitive and leaves only wrapped by another key", "refused.sensitive")
    if request.compression is not None:
        raise NotSupported("only elliptic curve public keys can be compressed", "not_supported.compression")
    held = record.shape.format
    return held if request.format is None or request.format == held else _converted(record, request.format)


def _converted(record: ManagedObject, wanted: int) -> int:
    formats = _CONVERTIBLE.get(record.object_type)
    if record.object_type in PAIR:
        return wanted  # its bytes tell whether it has this form
    if formats is None:
        return record.shape.format  # an opaque object has no key block, hence no format
    if wanted not in formats:
        raise NotSupported("the object cannot be given in this format; ask for Raw", "not_supported.key_format")
    return wanted
