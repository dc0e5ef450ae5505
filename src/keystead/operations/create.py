"""Create: the server makes a symmetric key, or secret data, from the system's random numbers.

Source: KMIP 1.4 section 4.1; KMIP 2.1 sections 4 (table 28: defaults) and 6.1.8; requirements KS-KMIP-017, 022, 027,
037; KS-KEY-007; LEG-06.
"""

from keystead.core.algorithms import (
    SECRET_BYTES_MAX,
    SYMMETRIC,
    Algorithm,
    KeyFormat,
    SecretDataType,
    UsageMask,
    material_bytes,
    new_key_rule,
    with_odd_parity,
)
from keystead.core.attribute_rules import Birth, birth_of, check_quantum_safe
from keystead.core.attribute_table import ObjectType
from keystead.core.changes import Change
from keystead.core.errors import Invalid, NotSupported
from keystead.core.permission import Right, Switches
from keystead.core.records import KeyShape
from keystead.core.secret import Secret
from keystead.core.structures import RNG_UNSPECIFIED, TAG_RNG_ALGORITHM, made
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.operations.new_objects import born, described, id_of, with_shape, with_templates
from keystead.operations.requests import Create
from keystead.trust.selftest import ConditionalTests

SECRET_DATA_BITS = 256  # of new secret data whose length is not given
FORMATS = frozenset(KeyFormat)

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
    birth = birth_of(request.object_type, given)
    if request.object_type == ObjectType.SYMMETRIC_KEY:
        birth = _key(birth, call.switches)
        secret = _key_bytes(call, birth.shape)
    elif request.object_type == ObjectType.SECRET_DATA:
        birth = _secret_data(birth)
        secret = _tests(call).random_key(birth.shape.length_bits // 8)
    else:
        raise Invalid("Create makes symmetric keys and secret data; register other objects", "invalid.object_type")
    check_quantum_safe(birth.shape, birth.attributes)
    birth = _with_generator(birth)._replace(original_creation_us=call.now_us)
    return born(call, request.object_type, birth, secret, given)


def _key(birth: Birth, switches: Switches) -> Birth:
    shape = birth.shape
    algorithm = shape.algorithm or Algorithm.AES
    known = SYMMETRIC.get(algorithm)
    length_bits = shape.length_bits or (known.default_bits if known is not None else 0)
    rule = new_key_rule(algorithm, length_bits, switches)
    usage = UsageMask.ENCRYPT | UsageMask.DECRYPT
    if not rule.rights & (Right.ENCRYPT | Right.DECRYPT):
        usage = UsageMask.MAC_GENERATE | UsageMask.MAC_VERIFY
    return with_shape(
        birth,
        algorithm=int(algorithm),
        length_bits=length_bits,
        usage_mask=shape.usage_mask or int(usage),
        format=_format(shape.format, KeyFormat.RAW),
    )


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


def _key_bytes(call: Call, shape: KeyShape) -> Secret:
    drawn = _tests(call).random_key(material_bytes(shape.algorithm, shape.length_bits))
    if shape.algorithm in (Algorithm.DES, Algorithm.DES3):
        return Secret(with_odd_parity(drawn.reveal()))
    return drawn


def _tests(call: Call) -> ConditionalTests:
    """Return the process's tests of what is drawn at random (KS-FIPS-004)."""
    tests = call.desk.services.get(CONDITIONAL_TESTS)
    if tests is None:
        tests = call.desk.services[CONDITIONAL_TESTS] = ConditionalTests()
    found: ConditionalTests = tests
    return found


def _with_generator(birth: Birth) -> Birth:
    """Say which random number generator made the key, or refuse when another one was asked for (KMIP 1.4 3.44)."""
    wanted = birth.attributes.first(RNG)
    if wanted is None:
        return birth._replace(attributes=birth.attributes.added(RNG, made(RNG, RNG_UNSPECIFIED)))
    if wanted.field(TAG_RNG_ALGORITHM) != RNG_UNSPECIFIED:
        raise Invalid("keys come from the operating system's generator only", "invalid.attribute_value")
    return birth
