"""Reading, adding, modifying, deleting and setting attributes; the rules are in core.attribute_changes.

Source: KMIP 1.4 sections 4.12 to 4.16; KMIP 2.1 sections 6.1.2, 6.1.13, 6.1.20, 6.1.21, 6.1.34, 6.1.51; requirements
KS-KMIP-036, 038, 041, 042, 045, 049 to 051; KS-KEY-020, 028.
"""

from keystead.core.attribute_changes import Changed, Instance, added, assigned, deleted, modified
from keystead.core.attribute_table import ObjectType
from keystead.core.attribute_views import attributes_of, instances_of
from keystead.core.changes import Change, Put
from keystead.core.errors import Invalid
from keystead.core.permission import Right
from keystead.core.records import KIND_OBJECT, ManagedObject
from keystead.core.split_keys import unpacked
from keystead.gate.call import Call
from keystead.gate.operation import Target, operation
from keystead.operations.new_objects import digest_of
from keystead.operations.requests import (
    AddAttribute,
    AttributeChanged,
    AttributesRead,
    DeleteAttribute,
    GetAttributeList,
    GetAttributes,
    ModifyAttribute,
    SetAttribute,
)

_SEEN = (Target(Right.SEE, destroyed=True),)
_CHANGED = (Target(Right.MODIFY),)


@operation(GetAttributes, "attributes.get", "GetAttributes", user=Right.SEE, targets=_SEEN, material=True)
def get_attributes(call: Call, request: GetAttributes) -> AttributesRead:
    """Return all instances of the named attributes; what the object does not have is left out."""
    record = _with_digest(call) if not request.names or "Digest" in request.names else call.target
    if not request.names:
        return AttributesRead(record.id, attributes_of(record, call.now_us), record)
    if len(set(request.names)) != len(request.names):
        raise Invalid("an attribute is named twice; name each once", "invalid.message")
    found = (instances_of(record, name, call.now_us) for name in request.names)
    return AttributesRead(record.id, tuple(instance for instances in found for instance in instances), record)


@operation(GetAttributeList, "attributes.list", "GetAttributeList", user=Right.SEE, targets=_SEEN, material=True)
def get_attribute_list(call: Call, _request: GetAttributeList) -> AttributesRead:
    """Return all attributes; the protocol gives their names."""
    record = _with_digest(call)
    return AttributesRead(record.id, attributes_of(record, call.now_us), record)


def _with_digest(call: Call) -> ManagedObject:
    """Return the target with its Digest, made from the material when it is not kept (see ManagedObject.digest)."""
    record, material = call.target, call.targets[0].material
    if record.digest is not None or material is None or record.protection.wrapped:
        return record
    secret = call.desk.keyring.open(record.realm, KIND_OBJECT, record.id, material)
    if record.object_type == ObjectType.SPLIT_KEY:
        _, secret = unpacked(secret)
    return record._replace(digest=digest_of(secret))


@operation(AddAttribute, "attributes.add", "AddAttribute", user=Right.MODIFY, targets=_CHANGED, configuration=True)
def add_attribute(call: Call, request: AddAttribute) -> Change:
    """Add one instance; the answer tells its index."""
    return _change(added(call.target, request.name, request.value, call.now_us), request.name)


@operation(
    ModifyAttribute, "attributes.modify", "ModifyAttribute", user=Right.MODIFY, targets=_CHANGED, configuration=True
)
def modify_attribute(call: Call, request: ModifyAttribute) -> Change:
    """Change one existing instance."""
    instance = Instance(request.name, request.index, request.current, request.only)
    changed = modified(call.target, instance, request.value, call.now_us)
    return _change(changed, request.name, indexed=request.index is not None)


@operation(
    DeleteAttribute, "attributes.delete", "DeleteAttribute", user=Right.MODIFY, targets=_CHANGED, configuration=True
)
def delete_attribute(call: Call, request: DeleteAttribute) -> Change:
    """Delete one instance, or all of the name."""
    instance = Instance(request.name, request.index, request.current)
    changed = deleted(call.target, instance, call.now_us, every=request.every)
    return _change(changed, request.name, indexed=request.index is not None)


@operation(SetAttribute, "attributes.set", "SetAttribute", user=Right.MODIFY, targets=_CHANGED, configuration=True)
def set_attribute(call: Call, request: SetAttribute) -> Change:
    """Give an attribute its only value, whether or not it had one."""
    return _change(assigned(call.target, request.name, request.value, call.now_us), request.name)


def _change(changed: Changed, name: str, *, indexed: bool = False) -> Change:
    answer = AttributeChanged(changed.record.id, changed.attribute, indexed)
    return Change((Put(changed.record),), answer, detail=f"{name} index {changed.attribute.index}")
