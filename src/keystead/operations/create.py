"""Create: the server makes a symmetric key, or secret data, from the system's random numbers.

Source: KMIP 1.4 section 4.1; KMIP 2.1 sections 4 (table 28: defaults) and 6.1.8; requirements KS-KMIP-017, 022, 027,
037; KS-KEY-007; LEG-06.
"""

from typing import NamedTuple

from keystead.core.algorithms import (
    SECRET_BYTES_MAX,
    SYMMETRIC,
    Algorithm,
    AlgorithmRule,
    KeyFormat,
    SecretDataType,
    UsageMask,
    material_bytes,
    new_key_rule,
    with_odd_parity,
)
from keystead.core.attribute_rules import Birth, birth_of, check_quantum_safe
from keystead.core.attribute_table import ObjectType
from keystead.core.attribute_values import checked
from keystead.core.attributes import Attribute
from keystead.core.changes import Change
from keystead.core.errors import Invalid, NotSupported
from keystead.core.permission import Right, Switches
from keystead.core.records import KeyShape
from keystead.core.secret import Secret
from keystead.core.structures import RNG_UNSPECIFIED, TAG_RNG_ALGORITHM, made
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.operations.new_objects import born, born_under, described, id_of, with_shape, with_templates
from keystead.operations.requests import Create
from keystead.trust.selftest import ConditionalTests

SECRET_DATA_BITS = 256  # of new secret data whose length is not given
FORMATS = frozenset(KeyFormat)

PLANS_COUNT_MAX = 256
PLANS = "create.plans"

NAME = "Name"
RNG = "Random Number Generator"
CONDITIONAL_TESTS = "conditional_tests"


@operation(
    Create,
    "key.create",
    "Create",
    user=Right.CREATE,
    configuration=True,
    material=True,
    detail=described,
    places=id_of,
)
def create(call: Call, request: Create) -> Change:
    """Make the object as asked, with the specification's defaults for what was left out."""
    given = with_templates(call, request.templates, request.attributes)
    if request.is_like_others and not request.templates:
        birth = _planned(call, request)
    else:
        birth = _birth(call, request.object_type, given)
    if request.object_type == ObjectType.SYMMETRIC_KEY:
        secret = key_bytes(call, birth.shape)
    else:
        secret = tests_of(call).random_key(birth.shape.length_bits // 8)
    shape, dates, protection, _, attributes, _ = birth
    birth = Birth(shape, dates, protection, call.now_us, attributes, request.terms.owner)
    return born_under(call, born(call, request.object_type, birth, secret, given), request.terms)


def _birth(call: Call, object_type: int, given: tuple[Attribute, ...]) -> Birth:
    birth = birth_of(object_type, given)
    if object_type == ObjectType.SYMMETRIC_KEY:
        birth = _key(birth, call.switches)
    elif object_type == ObjectType.SECRET_DATA:
        birth = _secret_data(birth)
    else:
        raise Invalid("Create makes symmetric keys and secret data; register other objects", "invalid.object_type")
    check_quantum_safe(birth.shape, birth.attributes)
    return with_generator(birth)


class Plan(NamedTuple):
    """What is decided once for attributes that come again and again, all but a Name.

    Attributes:
        given: Those it was made for; held, so that their identities stay theirs.
        switches: The very switches it was made under.
        birth: Of an object with these attributes.
    """

    given: tuple[Attribute, ...]
    switches: Switches
    birth: Birth


def _planned(call: Call, request: Create) -> Birth:
    """Return the birth of an object whose attributes but the Name are the very objects of other requests."""
    plans: dict[tuple[int, ...], Plan] = call.desk.services.setdefault(PLANS, {})
    given = request.attributes
    key = (request.object_type, *[0 if one.name == NAME else id(one) for one in given])
    plan = plans.get(key)
    if plan is None or plan.switches is not call.switches:
        plan = Plan(given, call.switches, _birth(call, request.object_type, given))
        if len(plans) >= PLANS_COUNT_MAX:
            plans.clear()
        plans[key] = plan
        return plan.birth
    for one in given:
        if one.name == NAME:
            shape, dates, protection, original_us, attributes, _ = plan.birth
            named = attributes.replaced(NAME, 0, checked(NAME, one.value))
            return Birth(shape, dates, protection, original_us, named)
    return plan.birth


def _key(birth: Birth, switches: Switches) -> Birth:
    shape = birth.shape
    algorithm = shape.algorithm or Algorithm.AES
    known = SYMMETRIC.get(algorithm)
    length_bits = shape.length_bits or (known.default_bits if known is not None else 0)
    rule = new_key_rule(algorithm, length_bits, switches)
    return with_shape(
        birth,
        algorithm=int(algorithm),
        length_bits=length_bits,
        usage_mask=shape.usage_mask or _usual_mask(rule),
        format=_format(shape.format, KeyFormat.RAW),
    )


def _usual_mask(rule: AlgorithmRule) -> int:
    """Return what a key is for that does not say so."""
    if rule.rights & (Right.ENCRYPT | Right.DECRYPT):
        return int(UsageMask.ENCRYPT | UsageMask.DECRYPT)
    return int(UsageMask.MAC_GENERATE | UsageMask.MAC_VERIFY)


def _secret_data(birth: Birth) -> Birth:
    length_bits = birth.shape.length_bits or SECRET_DATA_BITS
    if length_bits < 8 or length_bits % 8 or length_bits > 8 * SECRET_BYTES_MAX:
        raise Invalid("secret data has whole bytes, at most 65,536", "invalid.attribute_value")
    return with_shape(
        birth,
        length_bits=length_bits,
        format=_format(birth.shape.format, KeyFormat.OPAQUE),
        subtype=int(SecretDataType.PASSWORD),
    )


def _format(wanted: int, default: KeyFormat) -> int:
    if wanted and wanted not in FORMATS:
        raise NotSupported("a symmetric key cannot have this format; ask for Raw", "not_supported.key_format")
    return wanted or int(default)


def key_bytes(call: Call, shape: KeyShape) -> Secret:
    """Draw the bytes of a new symmetric key; those of DES with the right parity."""
    drawn = tests_of(call).random_key(material_bytes(shape.algorithm, shape.length_bits))
    if shape.algorithm in (Algorithm.DES, Algorithm.DES3):
        return Secret(with_odd_parity(drawn.reveal()))
    return drawn


def tests_of(call: Call) -> ConditionalTests:
    """Return the process's tests of what is drawn at random (KS-FIPS-004)."""
    tests = call.desk.services.get(CONDITIONAL_TESTS)
    if tests is None:
        tests = call.desk.services[CONDITIONAL_TESTS] = ConditionalTests()
    found: ConditionalTests = tests
    return found


def with_generator(birth: Birth) -> Birth:
    """Say which random number generator made the key, or refuse when another one was asked for (KMIP 1.4 3.44)."""
    wanted = birth.attributes.first(RNG)
    if wanted is None:
        return birth._replace(attributes=birth.attributes.added(RNG, made(RNG, RNG_UNSPECIFIED)))
    if wanted.field(TAG_RNG_ALGORITHM) != RNG_UNSPECIFIED:
        raise Invalid("keys come from the operating system's generator only", "invalid.attribute_value")
    return birth
