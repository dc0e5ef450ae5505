"""Cloning a key: the same bytes under another name, and the way from a plain key to a versioned one.

Laws: a clone belongs to whom the key belongs, and clients may no more export or delete it; nobody but the owner, or an
administrator, clones. A clone of a versioned key has all of its versions, each under an id of its own.

Source: requirements KS-KEY-051, 052; KS-NAE-013; chapter Keys (Clone Key).
"""

from dataclasses import dataclass
from typing import Any

from keystead.core.approvals import Approval
from keystead.core.attribute_table import PAIR, ObjectType
from keystead.core.attributes import Attribute, Attributes
from keystead.core.changes import Change, Put, SealedMaterial
from keystead.core.errors import Invalid, WrongState
from keystead.core.handles import made_up
from keystead.core.key_versions import place_of
from keystead.core.peoples_attributes import is_peoples
from keystead.core.permission import Access, Right
from keystead.core.records import KIND_KEY_VERSION, KIND_OBJECT, NO_GRANTS, ManagedObject, Record
from keystead.core.structures import name_value
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import Target, operation
from keystead.gate.versions import DEFAULT, FAMILY
from keystead.operations.admin_keys import NAME, KeyName, other_half
from keystead.operations.admin_keys_made import MadeKey, id_of_key, logged_key, made_key
from keystead.operations.grants import KeyPlace
from keystead.operations.links import LINK, LinkType, linked
from keystead.operations.new_objects import ADMINISTRATORS, owner_of, reference_to, sealed_as, under_terms
from keystead.operations.requests import Terms
from keystead.operations.version_records import first_version, older_versions, versioning_of
from keystead.storage.store import Loaded, as_object


@dataclass(frozen=True, slots=True)
class CloneKey:
    """Make another key with the same bytes; of an RSA or EC key name the private half, the other one comes with it.

    Attributes:
        target: Id or name of the key.
        name: Of the clone: a letter and up to 63 letters, digits, "_", "." and "-".
        versioned: The clone has versions, of which these bytes are the first; of a key without versions.
        copy_grants: Groups and users may do the same with the clone.
        copy_attributes: The clone has the same description, comments, contacts, object groups and custom attributes.
    """

    target: KeyPlace
    name: KeyName
    versioned: bool = False
    copy_grants: bool = True
    copy_attributes: bool = True


@operation(
    CloneKey,
    "key.clone",
    "KeyClone",
    user=Right.CREATE | Right.MODIFY,
    administrator=Access.KEYS,
    targets=(Target(Right.MODIFY, by_name=True),),
    configuration=True,
    material=True,
    detail=logged_key,
    places=id_of_key,
    route="POST /keys/{target}/clones",
    answer=MadeKey,
    approval=Approval.CHANGE_KEYS,
)
def clone_key(call: Call, request: CloneKey) -> Change:
    """Make the clone, its versions and its other half in one change."""
    key = call.target
    if key.object_type != ObjectType.SYMMETRIC_KEY and key.object_type not in PAIR:
        raise Invalid("only keys are cloned", "invalid.object_type")
    if call.principal.kind in ADMINISTRATORS:
        owner_of(call, key.owner)
    copy, sealed = _copy(call, call.targets[0], request)
    protection = key.protection
    copy = under_terms(call, copy, Terms(request.name, protection.deletable, protection.exportable))
    copy = copy._replace(attributes=copy.attributes.added(NAME, name_value(request.name)))
    how = f"cloned from {key.handle}"
    if key.versioning is not None:
        if request.versioned:
            raise Invalid("the key has versions already, and its clone has all of them", "invalid.field")
        return made_key(call, _with_versions(call, copy, sealed), copy, how)
    if request.versioned:
        copy, family = first_version(call, copy)
        return made_key(call, Change((Put(copy, sealed), family), None), copy, f"{how} as a versioned key")
    half = other_half(call, key) if key.object_type == ObjectType.PRIVATE_KEY else None
    if half is None:
        return made_key(call, Change((Put(copy, sealed),), None), copy, how)
    public, public_sealed = _copy(call, call.another(half.id, Right.MODIFY), request)
    public = public._replace(attributes=linked(public.attributes, LinkType.PRIVATE_KEY, copy.id))
    copy = copy._replace(attributes=linked(copy.attributes, LinkType.PUBLIC_KEY, public.id))
    change = Change((Put(copy, sealed), Put(public, public_sealed)), None)
    return made_key(call, change, copy, how, public.id)


def _copy(call: Call, loaded: Loaded, request: CloneKey) -> tuple[ManagedObject, SealedMaterial]:
    """Return a new object with the bytes of another one, without a name and without links."""
    key = as_object(loaded)
    sealed = _sealed_again(call, loaded, key.realm, new_id(call.now_us))
    record = key._replace(
        id=sealed.id,
        handle=made_up(sealed.id),
        initial_us=call.now_us,
        last_change_us=call.now_us,
        protection=key.protection._replace(fresh=True),
        material=reference_to(sealed),
        grants=key.grants if request.copy_grants else NO_GRANTS,
        attributes=Attributes(_kept(key.attributes, with_peoples=request.copy_attributes)),
        revision=0,
        versioning=None,
    )
    return record, sealed


def _sealed_again(call: Call, loaded: Loaded, realm: str, new: str) -> SealedMaterial:
    if loaded.material is None:
        raise WrongState("the key has no material", "wrong_state.object")
    return sealed_as(call, new, call.desk.keyring.open(realm, KIND_OBJECT, loaded.record.id, loaded.material))


def _kept(attributes: Attributes, *, with_peoples: bool) -> list[Attribute]:
    return [one for one in attributes if one.name not in (NAME, LINK) and (with_peoples or not is_peoples(one.name))]


def _with_versions(call: Call, copy: ManagedObject, sealed: SealedMaterial) -> Change:
    """Return the change that makes a copy of a versioned key with all of its versions.

    Their counters of random IVs begin anew: docs/adr/0075.
    """
    key = call.target
    family, versioning = new_id(call.now_us), versioning_of(key)
    puts = [
        Put(copy._replace(versioning=versioning._replace(family=family)), sealed),
        Put(Record(KIND_KEY_VERSION, family, family, {DEFAULT: copy.id}, copy.realm)),
    ]
    for version in older_versions(call, key, versioning.number, versioning.number):
        again = _sealed_again(call, version.loaded, key.realm, new_id(call.now_us))
        fields: dict[str, Any] = {**version.record.fields, FAMILY: family}
        place = place_of(family, version.number)
        puts.append(Put(Record(KIND_KEY_VERSION, again.id, place, fields, key.realm, None, reference_to(again)), again))
    return Change(tuple(puts), None)
