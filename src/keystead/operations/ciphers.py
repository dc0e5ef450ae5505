"""Encrypt and Decrypt with a served key.

Laws: a key is used only as its usage mask, its dates and the legacy switches allow at that moment; a random IV is fresh
for every use; usage limits are spent durably before the answer (docs/adr/0032). What can be decided once for a record
is a plan, kept only while the secure key cache may hold prepared ciphers, and made anew as soon as the record or the
switches are others.

Source: KMIP 1.4 sections 3.6, 3.19, 3.21, 4.29, 4.30, 11.30, 11.31; KMIP 2.1 sections 6.1.11, 6.1.17; requirements
KS-KEY-004, 022; KS-LOG-013, 030; LEG-06, LEG-07; attacks.md classes 34 and 35.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from operator import attrgetter
from typing import Any, NamedTuple

from keystead.core.algorithms import UsageMask, transformation
from keystead.core.attribute_table import PAIR, ObjectType
from keystead.core.attributes import Attributes, Value
from keystead.core.changes import Change, Put
from keystead.core.errors import Invalid, Refused, WrongState
from keystead.core.lifecycle import process_window, protect_window
from keystead.core.permission import Right, Switches
from keystead.core.records import KIND_OBJECT, ManagedObject, Record
from keystead.core.secret import Secret
from keystead.core.structures import (
    TAG_BLOCK_CIPHER_MODE,
    TAG_CRYPTOGRAPHIC_ALGORITHM,
    TAG_DIGITAL_SIGNATURE_ALGORITHM,
    TAG_HASHING_ALGORITHM,
    TAG_IV_LENGTH,
    TAG_MASK_GENERATOR,
    TAG_MASK_GENERATOR_HASHING_ALGORITHM,
    TAG_P_SOURCE,
    TAG_PADDING_METHOD,
    TAG_RANDOM_IV,
    TAG_SALT_LENGTH,
    TAG_TAG_LENGTH,
    TAG_USAGE_LIMITS_COUNT,
    TAG_USAGE_LIMITS_TOTAL,
    TAG_USAGE_LIMITS_UNIT,
    UNIT_BYTE,
    made,
)
from keystead.gate.call import Call
from keystead.gate.leases import Leases
from keystead.gate.operation import Target, operation
from keystead.operations.requests import CipherParameters, Decrypt, Decrypted, Encrypt, Encrypted
from keystead.operations.states_of_use import is_unbound
from keystead.operations.wrapped_keys import check_usable
from keystead.storage.store import Loaded, as_object
from keystead.trust.asymmetric_ciphers import Asymmetric, MaskParameters, asymmetric_suite
from keystead.trust.cipher_modes import Prepared
from keystead.trust.ciphers import Suite, new_iv, prepare, random_iv, suite
from keystead.trust.key_pairs import read_private, read_public

RANDOM_IV_BITS_MIN = 96  # shorter random ones repeat too soon (SP 800-38D section 8.2.2)
ENCRYPT_BIT, DECRYPT_BIT = int(UsageMask.ENCRYPT), int(UsageMask.DECRYPT)  # plain numbers are quicker than flags
WORDS_COUNT_MAX = 256
LIMITS = "Usage Limits"
PARAMETERS = "Cryptographic Parameters"
LEASES = "leases"

_FIELDS = {
    TAG_BLOCK_CIPHER_MODE: "mode",
    TAG_PADDING_METHOD: "padding",
    TAG_HASHING_ALGORITHM: "hashing",
    TAG_CRYPTOGRAPHIC_ALGORITHM: "algorithm",
    TAG_RANDOM_IV: "random_iv",
    TAG_IV_LENGTH: "iv_length_bits",
    TAG_TAG_LENGTH: "tag_length_bytes",
    TAG_DIGITAL_SIGNATURE_ALGORITHM: "signature",
    TAG_SALT_LENGTH: "salt_bytes",
    TAG_MASK_GENERATOR: "mask_generator",
    TAG_MASK_GENERATOR_HASHING_ALGORITHM: "mask_hashing",
    TAG_P_SOURCE: "label",
}


class Plan(NamedTuple):
    """What is decided once for a record and parameters.

    Attributes:
        loaded: The very object it was made for; another one means another plan.
        switches: Likewise.
        parameters: Those of the request, or the object's own.
        suite: What the algorithm in this mode needs and gives.
        prepared: The key, ready.
        limits: Its usage limits, None when it has none.
        budget: Under which name its random IVs are counted.
        protects: From when on and until when it may encrypt.
        processes: From when on and until when it may decrypt.
        words: What the log says of an encryption and of a decryption: ordinal number within the request, operation,
            algorithm with mode and padding (KS-LOG-013).
    """

    loaded: Any
    switches: Switches
    parameters: CipherParameters
    suite: Suite
    prepared: Prepared
    limits: Value | None
    budget: str
    protects: tuple[int, int]
    processes: tuple[int, int]
    words: tuple[str, str]


NONE = CipherParameters()


_encrypted: Callable[[tuple[Any, ...]], Encrypted] = partial(tuple.__new__, Encrypted)  # without a frame for it
_decrypted: Callable[[tuple[Any, ...]], Decrypted] = partial(tuple.__new__, Decrypted)


@operation(
    Encrypt,
    "key.encrypt",
    "Encrypt",
    user=Right.ENCRYPT,
    targets=(Target(Right.ENCRYPT),),
    material=True,
    detail=attrgetter("detail"),
)
def encrypt(call: Call, request: Encrypt) -> Encrypted | Change:
    """Encrypt; usage limits, where the key has them, are spent with the answer."""
    data, _, asked, iv, associated = request
    loaded = call.targets[0]
    record: ManagedObject = loaded.record
    plan = _ready_plan(call, loaded, asked)
    if not record.shape.usage_mask & ENCRYPT_BIT:
        raise Refused("the key's usage mask does not allow encrypting", "refused.usage_mask")
    begin_us, end_us = protect_window(record.dates) if plan is None else plan.protects
    if not begin_us <= call.now_us < end_us and not is_unbound(call, record):
        raise WrongState("the key is not active, or its Protect Stop Date has passed")
    if plan is None:
        plan = _plan(call, loaded, asked)
    if plan.suite.legacy_algorithm and not call.switches.legacy_algorithms:
        raise Refused("this algorithm is outdated; it only decrypts here", "refused.switched_off")
    parameters = plan.parameters
    made_iv = None
    puts: tuple[Put, ...] = ()
    if iv is None and parameters.random_iv:
        length_bits = parameters.iv_length_bits
        iv = made_iv = random_iv(plan.suite.iv_bytes) if length_bits is None else _random_iv(plan, length_bits)
        if plan.suite.budget_count is not None:
            leases: Leases = call.desk.services.get(LEASES) or leases_of(call)
            puts = leases.take(call.desk, plan.budget, plan.suite.budget_count)
    sealed, tag = plan.prepared.encrypt(data, iv, associated, parameters.tag_length_bytes)
    result = _encrypted((record.id, sealed, made_iv, tag, plan.words[0]))
    if plan.limits is not None:
        puts += (spent(call, record, plan.limits, len(data)),)
    return Change(puts, result, detail="usage counted") if puts else result


@operation(
    Decrypt,
    "key.decrypt",
    "Decrypt",
    user=Right.DECRYPT,
    targets=(Target(Right.DECRYPT),),
    material=True,
    detail=attrgetter("detail"),
)
def decrypt(call: Call, request: Decrypt) -> Decrypted:
    """Decrypt; what fails says no more than that."""
    data, _, asked, iv, associated, tag = request
    loaded = call.targets[0]
    record: ManagedObject = loaded.record
    plan = _ready_plan(call, loaded, asked)
    if not record.shape.usage_mask & DECRYPT_BIT:
        raise Refused("the key's usage mask does not allow decrypting", "refused.usage_mask")
    begin_us, end_us = process_window(record.dates) if plan is None else plan.processes
    if not begin_us <= call.now_us < end_us and not is_unbound(call, record):
        raise WrongState("the key is not active, or its Process Start Date is to come")
    if plan is None:
        plan = _plan(call, loaded, asked)
    return _decrypted((record.id, plan.prepared.decrypt(data, iv, associated, tag), plan.words[1]))


def _ready_plan(call: Call, loaded: Loaded, asked: CipherParameters | None) -> Plan | None:
    """Return the plan for an object as it is now, if the secure key cache may hold one and does."""
    ready: dict[Any, Plan] | None = call.desk.keyring.ready
    if ready is not None:
        plan = ready.get((loaded.record.id, asked))
        if plan is not None and plan.loaded is loaded and plan.switches is call.switches:
            return plan
    return None


def _plan(call: Call, loaded: Loaded, asked: CipherParameters | None) -> Plan:
    """Make a plan, and keep it where it may be kept."""
    plan = _planned(call, loaded, asked)
    call.desk.keyring.keep((loaded.record.id, asked), plan)
    return plan


def _planned(call: Call, loaded: Loaded, parameters: CipherParameters | None) -> Plan:
    record = as_object(loaded)
    check_usable(record)
    if record.object_type != ObjectType.SYMMETRIC_KEY and record.object_type not in PAIR:
        raise Invalid("only keys encrypt and decrypt", "invalid.object_type")
    if parameters is None:
        parameters = own_parameters(record) or NONE
    algorithm, mode, padding = record.shape.algorithm, parameters.mode or 0, parameters.padding or 0
    if parameters.algorithm is not None and parameters.algorithm != algorithm:
        raise Invalid("the key is of another algorithm", "invalid.cryptographic_parameters")
    is_symmetric = record.object_type == ObjectType.SYMMETRIC_KEY
    found = suite(algorithm, mode) if is_symmetric else asymmetric_suite(padding, record.shape.length_bits)
    if found.legacy_mode and not call.switches.legacy_modes:
        raise Refused("this mode is outdated; an administrator can set legacy.modes", "refused.switched_off")
    secret = call.desk.keyring.open(record.realm, KIND_OBJECT, record.id, loaded.material)
    return Plan(
        loaded,
        call.switches,
        parameters,
        found,
        prepare(algorithm, mode, padding, secret) if is_symmetric else _asymmetric(record, parameters, secret),
        record.attributes.first(LIMITS),
        budget_of(record),
        protect_window(record.dates),
        process_window(record.dates),
        _words(algorithm, mode, padding),
    )


def _asymmetric(record: ManagedObject, parameters: CipherParameters, secret: Secret) -> Prepared:
    if parameters.mode is not None:
        raise Invalid("RSA has no Block Cipher Mode; leave it out", "invalid.cryptographic_parameters")
    mask = MaskParameters(parameters.hashing, parameters.mask_hashing, parameters.mask_generator, parameters.label)
    is_private = record.object_type == ObjectType.PRIVATE_KEY
    shape = record.shape
    key = (read_private if is_private else read_public)(shape.format, secret, shape.algorithm)
    return Asymmetric(key, parameters.padding or 0, mask)


@lru_cache(WORDS_COUNT_MAX)
def _words(algorithm: int, mode: int, padding: int) -> tuple[str, str]:
    words = transformation(algorithm, mode, padding)
    return f"1 Encrypt {words}", f"1 Decrypt {words}"


def budget_of(record: ManagedObject | Record) -> str:
    """Return the name under which a key's random IVs are counted: its material's, since other bytes count anew."""
    return f"iv.{record.material.id}" if record.material is not None else ""


def leases_of(call: Call) -> Leases:
    """Return what counts random IVs in this process."""
    leases: Leases = call.desk.services.setdefault(LEASES, Leases())
    return leases


def own_parameters(record: ManagedObject) -> CipherParameters | None:
    """Return the object's own Cryptographic Parameters of the lowest index (KMIP 1.4 section 4.29), if it has any."""
    value = record.attributes.first(PARAMETERS)
    return None if value is None else _parameters(value)


def parameters_of(record: ManagedObject) -> list[CipherParameters]:
    """Return all of the object's own Cryptographic Parameters."""
    return [_parameters(value) for _, _, value in record.attributes.instances(PARAMETERS)]


def _parameters(value: Value) -> CipherParameters:
    return CipherParameters(**{_FIELDS[tag]: content for tag, _, content in value.content if tag in _FIELDS})


def _random_iv(plan: Plan, length_bits: int) -> bytes | None:
    iv = new_iv(plan.loaded.record.shape.algorithm, plan.parameters.mode or 0, length_bits)
    if length_bits < RANDOM_IV_BITS_MIN:
        raise Invalid("a random IV of less than 96 bits repeats too soon", "invalid.cryptographic_parameters")
    return iv


def spent(call: Call, record: ManagedObject, limits: Value, data_bytes: int) -> Put:
    """Take what an encryption protects from the key's usage limits, in the same transaction as the answer."""
    return Put(record.changed(call.now_us, attributes=less(record.attributes, limits, data_bytes)))


def less(attributes: Attributes, limits: Value, data_bytes: int) -> Attributes:
    """Return a key's attributes after it has protected so much.

    Raises:
        Refused: its usage limits are spent.
    """
    total, unit = limits.field(TAG_USAGE_LIMITS_TOTAL), limits.field(TAG_USAGE_LIMITS_UNIT)
    count = limits.field(TAG_USAGE_LIMITS_COUNT) - (data_bytes if unit == UNIT_BYTE else 1)
    if count < 0:
        raise Refused("the key's usage limits are spent", "refused.usage_limit")
    return attributes.replaced(LIMITS, 0, made(LIMITS, total, count, unit))
