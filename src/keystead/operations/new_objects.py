"""How an object comes to be, whichever operation makes it: owner, handle, sealed material, digest, templates.

Source: KMIP 1.4 sections 4.1, 4.3 and 4 (Template-Attribute); requirements KS-KMIP-029, 030, 034, 035, 037, 048;
KS-KEY-001 to 003; LEG-05; AMB-05.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from keystead.core.algorithms import name_of
from keystead.core.attribute_rules import ASKER, Birth, merged, template_attributes
from keystead.core.attribute_table import PAIR, ObjectType
from keystead.core.attribute_views import instances_of
from keystead.core.attributes import Attribute, ItemType, Value
from keystead.core.authorize import scopes_of
from keystead.core.changes import Change, Put, SealedMaterial
from keystead.core.errors import Exists, Invalid, NotFound, Refused
from keystead.core.handles import check_new, made_up
from keystead.core.records import KIND_OBJECT, NO_GRANTS, ManagedObject, MaterialReference, Protection
from keystead.core.secret import Secret
from keystead.core.structures import TAG_NAME_VALUE
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.operations.requests import USUAL, Created, Terms
from keystead.operations.version_records import first_version
from keystead.storage.store import Match, Query
from keystead.trust.material import Place

TEMPLATES_PER_REQUEST_COUNT_MAX = 10
MATERIAL_VERSION = 1
UNGUESSABLE_BYTES = 14  # 112 bits: a shorter key can be found from its digest

_tuple: Callable[..., Any] = tuple.__new__  # makes a named tuple without a frame of its own
_UNGUESSABLE = frozenset({int(ObjectType.SYMMETRIC_KEY), *PAIR, int(ObjectType.CERTIFICATE)})
ADMINISTRATORS = frozenset({"administrator", "local"})
_IMPLICIT = ("Cryptographic Algorithm", "Cryptographic Length", "Cryptographic Usage Mask")


def born(call: Call, object_type: int, birth: Birth, secret: Secret | None, given: tuple[Attribute, ...]) -> Change:
    """Make the record of a new object and seal its material.

    Args:
        call: Of the operation; its principal will own the object.
        object_type: KMIP's Object Type.
        birth: Parts of the record; its shape is complete.
        secret: The key bytes; None for a template.
        given: What the client gave; the answer names what the server added to it.

    Raises:
        Refused, Unavailable: as `conceived`.
    """
    record, sealed = conceived(call, object_type, birth, secret)
    return Change((Put(record, sealed),), Created(record.id, object_type, _implicit(record, given), record))


def conceived(
    call: Call, object_type: int, birth: Birth, secret: Secret | None, object_id: str = ""
) -> tuple[ManagedObject, SealedMaterial | None]:
    """Make the record of a new object and its sealed material.

    Arguments as of `born`; `object_id` where it was drawn before.

    Raises:
        Refused: it would be global, and global keys are switched off.
        Unavailable: the module is locked.
    """
    owner = owner_of(call, birth.owner)
    object_id = object_id or new_id(call.now_us)
    sealed = None if secret is None else sealed_as(call, object_id, secret)
    record: ManagedObject = _tuple(
        ManagedObject,
        (
            object_id,
            call.principal.realm,
            object_type,
            owner,
            made_up(object_id),
            call.now_us,
            call.now_us,
            birth.shape,
            birth.dates,
            birth.protection,
            None if sealed is None else reference_to(sealed),
            None if secret is None else kept_digest(object_type, secret),
            None,
            None,
            birth.original_creation_us,
            NO_GRANTS,
            birth.attributes,
            0,
            None,
        ),
    )
    return record, sealed


def born_under(call: Call, change: Change, terms: Terms) -> Change:
    """Return what `born` made with the handle and the flags that were asked for, and with versions if they were.

    Raises:
        Invalid, Exists: as `under_terms` and `first_version`.
    """
    if terms is USUAL:
        return change
    (put,), created = change.puts, change.result
    record = under_terms(call, created.record, terms)
    puts: tuple[Put, ...] = ()
    if terms.versioned:
        record, family = first_version(call, record)
        puts = (family,)
    return Change((put._replace(record=record), *puts), created._replace(record=record))


def under_terms(call: Call, record: ManagedObject, terms: Terms) -> ManagedObject:
    """Return a new record with the handle and the flags that were asked for.

    Raises:
        Invalid: nothing can be called so. Exists: something is.
    """
    handle = record.handle
    if terms.handle is not None:
        check_new(terms.handle)
        if call.desk.objects.reader.by_handle(record.realm, KIND_OBJECT, terms.handle) is not None:
            raise Exists("there is a key of this name; choose another")
        handle = terms.handle
    protection = record.protection._replace(deletable=terms.deletable, exportable=terms.exportable)
    return record._replace(handle=handle, protection=protection)


def owner_of(call: Call, wanted: str | None = ASKER) -> str | None:
    """Return who will own what the asker makes, None for nobody; only administrators say who.

    Raises:
        Refused: it would be somebody else's, or global, and global keys are switched off.
    """
    if wanted != ASKER and call.principal.kind not in ADMINISTRATORS:
        raise Refused("a key belongs to who makes it", "refused.permission")
    owner = call.principal.owner if wanted == ASKER else wanted
    if owner is None and not call.switches.global_keys:
        raise Refused(
            "keys without an owner are switched off; connect as a user, or have an administrator set "
            "key_server.allow_global_keys",
            "refused.switched_off",
        )
    return owner


def kept_digest(object_type: int, secret: Secret) -> bytes | None:
    """Return the digest that is kept of key bytes; None where it would let a thief of the file test guesses.

    That is so of passwords, of short keys and of anybody's data.
    """
    is_guessable = object_type not in _UNGUESSABLE or len(secret) < UNGUESSABLE_BYTES
    return None if is_guessable else digest_of(secret)


def digest_of(secret: Secret) -> bytes:
    """Return KMIP's Digest of key bytes: SHA-256 (KS-KMIP-029)."""
    return hashlib.sha256(secret.reveal()).digest()


def sealed_as(call: Call, object_id: str, secret: Secret) -> SealedMaterial:
    """Seal the first key bytes of an object."""
    # An object's first material is called as the object is; whatever replaces it gets a name of its own.
    place = Place(call.principal.realm, KIND_OBJECT, object_id, object_id, MATERIAL_VERSION)
    sealed: SealedMaterial = call.desk.keyring.seal(place, secret)
    return sealed


def reference_to(sealed: SealedMaterial) -> MaterialReference:
    """Return the reference that binds sealed material to a record's document."""
    return MaterialReference(sealed.id, sealed.version, hashlib.sha256(sealed.sealed).digest())


def _implicit(record: ManagedObject, given: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    named = {attribute.name for attribute in given}
    found = (instances_of(record, name, record.initial_us) for name in _IMPLICIT if name not in named)
    return tuple(attribute for instances in found for attribute in instances)


def with_templates(call: Call, names: tuple[str, ...], given: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    """Return the given attributes with those of the named templates that the asker may see.

    Raises:
        NotFound: there is no such template.
        Invalid: too many names.
    """
    if not names:
        return given
    if len(names) > TEMPLATES_PER_REQUEST_COUNT_MAX:
        raise Invalid("a request names at most 10 templates", "invalid.field")
    return merged([template_attributes(_template(call, name)) for name in names], given)


def _template(call: Call, name: str) -> ManagedObject:
    query = Query(
        call.principal.realm,
        scopes_of(call.principal, call.switches),
        (
            Match("Object Type", Value(ItemType.ENUMERATION, int(ObjectType.TEMPLATE))),
            Match("Name", Value(ItemType.STRUCTURE, ((TAG_NAME_VALUE, int(ItemType.TEXT_STRING), name),))),
        ),
        call.now_us,
        limit_count=1,
    )
    for object_id in call.desk.locate(query):
        loaded = call.desk.get(object_id)
        if loaded is not None and isinstance(loaded.record, ManagedObject):
            return loaded.record
    raise NotFound(f"there is no template {name!r} among those you may use", "not_found.item")


def with_shape(birth: Birth, **changes: int) -> Birth:
    """Return a birth whose shape is completed."""
    return birth._replace(shape=birth.shape._replace(**changes))


def described(result: Created) -> str:
    """Return what the activity log says of a new object: algorithm, size, flags (KS-LOG-013)."""
    return described_record(result.record)


def described_record(record: ManagedObject | None) -> str:
    """Return what the activity log says of a record."""
    if record is None or record.object_type == ObjectType.TEMPLATE:
        return ""
    return _described(record.object_type, record.shape.algorithm, record.shape.length_bits, record.protection)


@lru_cache(256)
def _described(object_type: int, algorithm: int, length_bits: int, protection: Protection) -> str:
    kind = name_of(algorithm) if algorithm else ObjectType(object_type).name
    words = [kind, str(length_bits)]
    words += ["Deletable"] if protection.deletable else []
    words += ["Exportable"] if protection.exportable else []
    return " ".join(words)


def id_of(result: Created) -> str:
    """Return the id for the ID Placeholder."""
    return result.id
