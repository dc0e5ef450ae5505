"""Create Key Pair: the server makes a private and a public key that name each other; and keys of pairs made elsewhere.

Laws: both keys come to be in one change or neither does; an RSA key is made on another thread, so that nobody waits for
it who did not ask for one.

Source: KMIP 1.4 section 4.2; KMIP 2.1 section 6.1.9; FIPS 186-5; requirements KS-KMIP-019, 020, 031; KS-KEY-007;
LEG-06.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from keystead.core.algorithms import Algorithm
from keystead.core.attribute_rules import Birth, birth_of, check_quantum_safe, merged
from keystead.core.attribute_table import ObjectType
from keystead.core.attributes import Attribute, Attributes
from keystead.core.changes import Change, Put
from keystead.core.errors import Conflict, Invalid, Refused
from keystead.core.key_pairs import (
    RSA_SAFE_BITS_MIN,
    PairSpecification,
    default_format,
    default_usage,
    new_pair,
)
from keystead.core.permission import Right, Switches
from keystead.core.records import ManagedObject
from keystead.core.structures import TAG_RECOMMENDED_CURVE, made
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import operation
from keystead.operations.create import tests_of, with_generator
from keystead.operations.links import LinkType, linked
from keystead.operations.new_objects import (
    conceived,
    described_record,
    owner_of,
    under_terms,
    with_shape,
    with_templates,
)
from keystead.operations.requests import USUAL, KeyBlock, Terms
from keystead.trust.key_pairs import (
    RAW_KEYS,
    PrivateKey,
    generate,
    read_private,
    read_public,
    specification_of,
    write_private,
    write_public,
)

DOMAIN = "Cryptographic Domain Parameters"


class Wishes(NamedTuple):
    """What one part of a request says of keys: attributes, and KMIP Names of templates (1.x)."""

    attributes: tuple[Attribute, ...] = ()
    templates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CreateKeyPair:
    """Make a private and a public key (KMIP 1.4 section 4.2); what is said of one counts more than what is common.

    The handle is the private key's, and so is what keeps it from leaving; a public key may always be had.
    """

    common: Wishes = Wishes()
    private: Wishes = Wishes()
    public: Wishes = Wishes()
    terms: Terms = field(default=USUAL, kw_only=True)


class PairCreated(NamedTuple):
    """The two new keys; `record` of the private one for the log."""

    private_id: str
    public_id: str
    record: ManagedObject


@operation(
    CreateKeyPair,
    "key.create_pair",
    "CreateKeyPair",
    user=Right.CREATE,
    configuration=True,
    material=True,
    detail=lambda result: described_record(result.record),
    places=lambda result: result.private_id,
)
def create_key_pair(call: Call, request: CreateKeyPair) -> Change:
    """Make both keys; each has the other as its Link."""
    if request.terms.versioned:
        raise Invalid("only symmetric keys have versions, MAC keys among them", "invalid.object_type")
    wishes = {
        ObjectType.PRIVATE_KEY: _wishes(call, request.common, request.private),
        ObjectType.PUBLIC_KEY: _wishes(call, request.common, request.public),
    }
    births = {kind: birth_of(kind, given)._replace(owner=request.terms.owner) for kind, given in wishes.items()}
    specification = _agreed(births[ObjectType.PRIVATE_KEY], births[ObjectType.PUBLIC_KEY], call.switches)
    owner_of(call, request.terms.owner)  # before anything is made for somebody who may not have it
    key = generated(call, specification)
    ids = {kind: new_id(call.now_us) for kind in wishes}
    puts = []
    records: dict[ObjectType, ManagedObject] = {}
    for kind, other, link in (
        (ObjectType.PRIVATE_KEY, ObjectType.PUBLIC_KEY, LinkType.PUBLIC_KEY),
        (ObjectType.PUBLIC_KEY, ObjectType.PRIVATE_KEY, LinkType.PRIVATE_KEY),
    ):
        is_private = kind is ObjectType.PRIVATE_KEY
        birth = _completed(births[kind], specification, private=is_private)
        birth = birth._replace(attributes=linked(birth.attributes, link, ids[other]), original_creation_us=call.now_us)
        check_quantum_safe(birth.shape, birth.attributes)
        secret = (
            write_private(key, birth.shape.format) if is_private else write_public(key.public_key(), birth.shape.format)
        )
        records[kind], sealed = conceived(call, kind, birth, secret, ids[kind])
        if request.terms is not USUAL:
            terms = request.terms if is_private else request.terms._replace(handle=None, exportable=True)
            records[kind] = under_terms(call, records[kind], terms)
        puts.append(Put(records[kind], sealed))
    pair = PairCreated(ids[ObjectType.PRIVATE_KEY], ids[ObjectType.PUBLIC_KEY], records[ObjectType.PRIVATE_KEY])
    return Change(tuple(puts), pair)


def registered_key(object_type: int, birth: Birth, block: KeyBlock, switches: Switches) -> Birth:
    """Complete the birth of a public or private key that was made elsewhere; its bytes decide what it is.

    Raises:
        Invalid: the bytes are no such key, or contradict what was told of it.
        NotSupported: it is of a kind that is not offered.
        Refused: it is outdated, and legacy algorithms are switched off.
    """
    told = _same(birth.shape.algorithm, block.algorithm, "Cryptographic Algorithm")
    if block.format in _UNREAD and (told, len(block.material)) not in RAW_KEYS:
        return _told(birth, block, told, switches)
    if object_type == ObjectType.PRIVATE_KEY:
        found = specification_of(read_private(block.format, block.material, told), told)
    else:
        found = specification_of(read_public(block.format, block.material, told), told)
    _same(
        _same(birth.shape.length_bits, block.length_bits, "Cryptographic Length"),
        found.length_bits,
        "Cryptographic Length",
    )
    _same(birth.shape.format, block.format, "Key Format Type")
    if found.legacy and not switches.legacy_algorithms:
        raise Refused(
            "keys of this size are outdated; an administrator can set legacy.algorithms", "refused.switched_off"
        )
    shaped = with_shape(birth, algorithm=int(found.algorithm), length_bits=found.length_bits, format=block.format)
    return shaped._replace(attributes=_with_curve(birth.attributes, found))


_UNREAD = frozenset({1, 2})
"""Raw and Opaque: common clients put any encoding there, so that such a key is kept and handed out, nothing more."""


def _told(birth: Birth, block: KeyBlock, algorithm: int, switches: Switches) -> Birth:
    length_bits = _same(birth.shape.length_bits, block.length_bits, "Cryptographic Length")
    _same(birth.shape.format, block.format, "Key Format Type")
    if not algorithm or not length_bits:
        raise Invalid("say the Cryptographic Algorithm and Length of a raw key", "invalid.missing")
    if algorithm == Algorithm.RSA and length_bits < RSA_SAFE_BITS_MIN and not switches.legacy_algorithms:
        raise Refused(
            "keys of this size are outdated; an administrator can set legacy.algorithms", "refused.switched_off"
        )
    return with_shape(birth, algorithm=algorithm, length_bits=length_bits, format=block.format)


def _wishes(call: Call, common: Wishes, own: Wishes) -> tuple[Attribute, ...]:
    shared = with_templates(call, common.templates, common.attributes)
    return merged([shared, with_templates(call, own.templates, ())], own.attributes)


def _agreed(private: Birth, public: Birth, switches: Switches) -> PairSpecification:
    """Return what both keys shall be; only one of the two may say it."""
    algorithm = _same(private.shape.algorithm, public.shape.algorithm, "Cryptographic Algorithm")
    length_bits = _same(private.shape.length_bits, public.shape.length_bits, "Cryptographic Length")
    curve = _same(curve_of(private), curve_of(public), DOMAIN)
    if not algorithm:
        raise Invalid("a key pair needs its Cryptographic Algorithm", "invalid.missing")
    return new_pair(algorithm, length_bits, curve, switches)


def generated(call: Call, specification: PairSpecification) -> PrivateKey:
    """Make a private key, an RSA key on another thread.

    Raises:
        Laborious: it is not there yet.
        Conflict: the request meant another key when it was made, by what was changed meanwhile.
    """
    make = partial(generate, specification, tests_of(call))
    if specification.algorithm != Algorithm.RSA:
        return make()
    call.desk.keyring.check()  # while the module is locked nothing can be kept, so nothing is made
    key: PrivateKey = call.made(make)
    if specification_of(key) != specification:
        raise Conflict("what the request means has changed while its key was made; send it again", "conflict")
    return key


def _completed(birth: Birth, specification: PairSpecification, *, private: bool) -> Birth:
    form = birth.shape.format or default_format(specification, private=private)
    shaped = with_shape(
        birth,
        algorithm=int(specification.algorithm),
        length_bits=specification.length_bits,
        format=int(form),
        usage_mask=birth.shape.usage_mask or int(default_usage(specification, private=private)),
    )
    return with_generator(shaped._replace(attributes=_with_curve(birth.attributes, specification)))


def curve_of(birth: Birth) -> int:
    """Return the Recommended Curve among the attributes of a new key, 0 when there is none."""
    domain = birth.attributes.first(DOMAIN)
    curve = None if domain is None else domain.field(TAG_RECOMMENDED_CURVE)
    return 0 if curve is None else int(curve)


def _with_curve(attributes: Attributes, specification: PairSpecification) -> Attributes:
    """Say on which curve a key is, or check what was said."""
    if not specification.curve:
        return attributes
    said = attributes.first(DOMAIN)
    if said is None:
        return attributes.added(DOMAIN, made(DOMAIN, None, int(specification.curve)))
    _same(int(said.field(TAG_RECOMMENDED_CURVE) or 0), specification.curve, DOMAIN)
    return attributes


def _same(one: int, other: int, name: str) -> int:
    if one and other and one != other:
        raise Invalid(f"the request gives two different values of {name}", "invalid.field")
    return int(one or other)


def converted(object_type: int, block: KeyBlock, wanted: int) -> KeyBlock:
    """Return a public or private key in another Key Format Type.

    Raises:
        NotSupported: it has no such form.
    """
    if object_type == ObjectType.PRIVATE_KEY:
        material = write_private(read_private(block.format, block.material, block.algorithm), wanted)
    else:
        material = write_public(read_public(block.format, block.material, block.algorithm), wanted)
    return block._replace(format=wanted, material=material)
