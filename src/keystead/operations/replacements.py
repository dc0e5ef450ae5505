"""Re-key and Re-key Key Pair: another key takes the place, the names and the attributes of one that grows old.

Laws: the old key keeps its bytes, its state and its id, and each names the other; both are stored in one change. The
replacement belongs to the owner of what it replaces, the same groups may use it, and clients may no more export or
delete it than the old key. Dates that have passed already are
not taken over, but for the activation: a replacement is not born dead (docs/adr/0038).

Source: KMIP 1.4 sections 4.4, 4.5, 11.5, 11.6; KMIP 2.1 sections 6.1.41, 6.1.42; requirement KS-KMIP-031.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from keystead.core.algorithms import Algorithm, new_key_rule
from keystead.core.attribute_rules import (
    DATE_FIELDS,
    Birth,
    birth_of,
    check_quantum_safe,
    merged,
    template_attributes,
)
from keystead.core.attribute_table import Client, ObjectType, rule_of
from keystead.core.attribute_values import date
from keystead.core.attributes import Attribute
from keystead.core.changes import Change, Put
from keystead.core.errors import Invalid, NotFound, Refused, WrongState
from keystead.core.key_pairs import ELLIPTIC, PairSpecification, new_pair
from keystead.core.permission import Right
from keystead.core.records import ManagedObject
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import PLACEHOLDER, Target, operation
from keystead.operations.create import key_bytes, with_generator
from keystead.operations.key_pairs import DOMAIN, PairCreated, Wishes, curve_of, generated
from keystead.operations.links import LINK, LinkType, link_of, linked
from keystead.operations.new_objects import conceived, described, described_record, id_of, with_templates
from keystead.operations.requests import Created
from keystead.storage.store import as_object
from keystead.trust.key_pairs import write_private, write_public

US_PER_S = 1_000_000
NOT_TAKEN_OVER = frozenset({LINK, "Random Number Generator", "Fresh", "Original Creation Date", *DATE_FIELDS})
FIXED = frozenset({"Cryptographic Algorithm", "Cryptographic Length", DOMAIN})
NAME = "Name"


@dataclass(frozen=True, slots=True)
class Rekey:
    """Replace a symmetric key (KMIP 1.4 section 4.4).

    Attributes:
        offset_s: From now to the activation of the replacement; its other dates move with it. None = not given.
        wishes: Attributes that the replacement has besides, or instead of, those of the old key.
    """

    target: str = PLACEHOLDER
    offset_s: int | None = None
    wishes: Wishes = Wishes()


@dataclass(frozen=True, slots=True)
class RekeyKeyPair:
    """Replace a key pair, named by its private key (KMIP 1.4 section 4.5)."""

    target: str = PLACEHOLDER
    offset_s: int | None = None
    common: Wishes = Wishes()
    private: Wishes = Wishes()
    public: Wishes = Wishes()


class _Heir(NamedTuple):
    """What a replacement is to be."""

    old: ManagedObject
    birth: Birth
    id: str


@operation(
    Rekey,
    "key.rekey",
    "ReKey",
    user=Right.CREATE | Right.MODIFY,
    targets=(Target(Right.MODIFY),),
    configuration=True,
    material=True,
    detail=described,
    places=id_of,
)
def rekey(call: Call, request: Rekey) -> Change:
    """Make the replacement, and give it what the old key had."""
    old = call.target
    if old.versioning is not None:
        raise WrongState("a versioned key is not replaced; make a new version of it")
    if old.object_type != ObjectType.SYMMETRIC_KEY:
        raise Invalid("Re-key replaces symmetric keys; for pairs there is Re-key Key Pair", "invalid.object_type")
    wishes = with_templates(call, request.wishes.templates, request.wishes.attributes)
    heir = _heir(call, old, wishes, request.offset_s)
    new_key_rule(heir.birth.shape.algorithm, heir.birth.shape.length_bits, call.switches)
    new, puts = _replaced(call, heir, key_bytes(call, heir.birth.shape))
    return Change(puts, Created(new.id, int(old.object_type), (), new))


@operation(
    RekeyKeyPair,
    "key.rekey_pair",
    "ReKeyKeyPair",
    user=Right.CREATE | Right.MODIFY,
    targets=(Target(Right.MODIFY),),
    configuration=True,
    material=True,
    detail=lambda result: described_record(result.record),
    places=lambda result: result.private_id,
)
def rekey_key_pair(call: Call, request: RekeyKeyPair) -> Change:
    """Make both replacements; each takes over from its own half."""
    private, public = call.target, _public_half(call)
    shared = with_templates(call, request.common.templates, request.common.attributes)
    heirs = []
    for old, own in ((private, request.private), (public, request.public)):
        wishes = merged([shared, with_templates(call, own.templates, ())], own.attributes)
        heirs.append(_heir(call, old, wishes, request.offset_s))
    specification, linked_one = (_specification(call, heir.birth) for heir in heirs)
    if _kind(specification) != _kind(linked_one):
        raise WrongState("the public key that is linked is not of the private key's kind", "wrong_state.object")
    key = generated(call, specification)
    links = ((LinkType.PUBLIC_KEY, heirs[1].id), (LinkType.PRIVATE_KEY, heirs[0].id))
    secrets = (
        write_private(key, heirs[0].birth.shape.format),
        write_public(key.public_key(), heirs[1].birth.shape.format),
    )
    puts: tuple[Put, ...] = ()
    made: list[ManagedObject] = []
    for heir, (kind, other), secret in zip(heirs, links, secrets, strict=True):
        birth = heir.birth._replace(attributes=linked(heir.birth.attributes, kind, other))
        new, both = _replaced(call, heir._replace(birth=birth), secret)
        puts += both
        made.append(new)
    return Change(puts, PairCreated(heirs[0].id, heirs[1].id, made[0]))


def _specification(call: Call, birth: Birth) -> PairSpecification:
    return new_pair(birth.shape.algorithm, birth.shape.length_bits, curve_of(birth), call.switches)


def _kind(found: PairSpecification) -> PairSpecification:
    """Return a specification under one name of the several that a key on a curve may have."""
    return found._replace(algorithm=Algorithm.EC) if found.algorithm in ELLIPTIC else found


def _public_half(call: Call) -> ManagedObject:
    private = call.target
    if private.object_type != ObjectType.PRIVATE_KEY:
        raise Invalid("name the pair by its private key", "invalid.object_type")
    other = link_of(private.attributes, LinkType.PUBLIC_KEY)
    if other is not None:
        with suppress(NotFound):
            public = as_object(call.another(other, Right.MODIFY))
            if public.object_type == ObjectType.PUBLIC_KEY:
                return public
    raise WrongState("the public half of the pair is not here; register it and link it", "wrong_state.object")


def _heir(call: Call, old: ManagedObject, wishes: tuple[Attribute, ...], offset_s: int | None) -> _Heir:
    """Decide what a replacement is, from what is replaced and what is wished."""
    if offset_s is not None and any(wish.name in DATE_FIELDS for wish in wishes):
        raise Invalid("give an Offset or dates, not both", "invalid.message")
    held = [a for a in template_attributes(old) if a.name not in NOT_TAKEN_OVER and _may_be_given(a.name)]
    held += [Attribute(NAME, 0, value) for _, _, value in old.attributes.instances(NAME)]
    held += _dates(call.now_us, old, offset_s)
    fixed = {a.name: a.value for a in held if a.name in FIXED}
    if any(wish.name in fixed and wish.value != fixed[wish.name] for wish in wishes):
        raise Invalid("a replacement is of the same algorithm and length; create another key", "invalid.field")
    if link_of(old.attributes, LinkType.REPLACEMENT_OBJECT) is not None:
        raise Refused("the key has been replaced already; re-key its replacement", "refused.permission")
    birth = birth_of(old.object_type, merged([held], wishes))
    check_quantum_safe(birth.shape, birth.attributes)
    guards, held_by_old = birth.protection, old.protection
    if (held_by_old.sensitive and not guards.sensitive) or (guards.extractable and not held_by_old.extractable):
        raise Refused("a replacement is guarded no less than the key it replaces", "refused.permission")
    birth = birth._replace(shape=birth.shape._replace(subtype=old.shape.subtype, format=old.shape.format))
    return _Heir(old, with_generator(birth), new_id(call.now_us))


def _may_be_given(name: str) -> bool:
    rule = rule_of(name)
    return rule is not None and bool(rule.client & Client.CREATE)


def _dates(now_us: int, old: ManagedObject, offset_s: int | None) -> list[Attribute]:
    found = {name: getattr(old.dates, field_name) for name, field_name in DATE_FIELDS.items()}
    activation_us = old.dates.activation_us
    moved_us = 0
    if offset_s is not None:
        if activation_us is None:
            if any(moment_us is not None for moment_us in found.values()):
                raise WrongState("an Offset moves dates from the Activation Date, and the old key has none")
            found["Activation Date"] = now_us
            activation_us = now_us
        moved_us = now_us + offset_s * US_PER_S - activation_us
    dates = []
    for name, moment_us in found.items():
        if moment_us is not None and (name == "Activation Date" or moment_us + moved_us > now_us):
            dates.append(Attribute(name, 0, date(moment_us + moved_us)))
    return dates


def _replaced(call: Call, heir: _Heir, secret: Secret) -> tuple[ManagedObject, tuple[Put, Put]]:
    """Store the replacement under the owner of the old key, take the names off that, and let each name the other."""
    old, birth, object_id = heir
    birth = birth._replace(attributes=linked(birth.attributes, LinkType.REPLACED_OBJECT, old.id))
    new, sealed = conceived(call, old.object_type, birth, secret, object_id)
    flags = new.protection._replace(deletable=old.protection.deletable, exportable=old.protection.exportable)
    new = new._replace(owner=old.owner, grants=old.grants, protection=flags)
    left = linked(old.attributes.removed(NAME), LinkType.REPLACEMENT_OBJECT, object_id)
    return new, (Put(new, sealed), Put(old.changed(call.now_us, attributes=left)))
