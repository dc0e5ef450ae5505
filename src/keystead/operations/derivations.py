"""Derive Key: a new key or secret from one or two that are here.

Laws: whoever derives must hold that right on every object that goes into it, and by ENCRYPT, HMAC and NIST800-108-C
from a key that also encrypts or makes codes the right to that too; ENCRYPT takes no data from an object that may not
leave in clear; only objects whose usage mask says so, and
which are not out of use, are derived from: also pre-active ones, as common clients do it (docs/adr/0038). A long
derivation is made on another thread.

Source: KMIP 1.4 sections 4.6, 11.7; KMIP 2.1 section 6.1.12; requirement KS-KMIP-031; attacks.md classes 14 and 17.
"""

from dataclasses import dataclass
from functools import partial

from keystead.core.algorithms import (
    SECRET_BYTES_MAX,
    KeyFormat,
    SecretDataType,
    UsageMask,
    material_bytes,
    new_key_rule,
)
from keystead.core.attribute_rules import Birth, birth_of, check_quantum_safe
from keystead.core.attribute_table import ObjectType
from keystead.core.attributes import Attribute, Attributes
from keystead.core.changes import Change, Put
from keystead.core.errors import Conflict, Invalid, Refused, WrongState
from keystead.core.lifecycle import State
from keystead.core.permission import Right
from keystead.core.records import ManagedObject
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.operation import Target, operation
from keystead.operations.ciphers import LIMITS, less, own_parameters
from keystead.operations.get import released_format
from keystead.operations.links import LinkType, linked
from keystead.operations.new_objects import conceived, described, id_of, with_shape, with_templates
from keystead.operations.requests import CipherParameters, Created, Get
from keystead.operations.wrapped_keys import opened
from keystead.storage.store import Loaded, as_object
from keystead.trust.cipher_modes import Prepared
from keystead.trust.ciphers import prepare, suite
from keystead.trust.derivations import (
    ITERATIONS_AT_ONCE_COUNT_MAX,
    Derivation,
    DerivationMethod,
    agree,
    cut,
    derive,
    is_outdated,
    iterations_count,
)
from keystead.trust.key_pairs import read_private, read_public

_BASES = frozenset({int(ObjectType.SYMMETRIC_KEY), int(ObjectType.SECRET_DATA)})


@dataclass(frozen=True, slots=True)
class DeriveKey:
    """Derive a symmetric key or secret data (KMIP 1.4 section 4.6).

    Attributes:
        base: Id of what is derived from; the ID Placeholder does not count here.
        second: Id of secret data that is the Derivation Data, or of the other side's public key.
        data: Derivation Data.
        iv: Of the method ENCRYPT.
    """

    object_type: int
    base: str
    method: int
    second: str | None = None
    parameters: CipherParameters | None = None
    data: bytes | None = None
    iv: bytes | None = None
    salt: bytes | None = None
    iterations: int | None = None
    attributes: tuple[Attribute, ...] = ()
    templates: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Show what may be shown: not the data."""
        return f"DeriveKey({self.object_type}, {self.base!r}, {self.method})"


@operation(
    DeriveKey,
    "key.derive",
    "DeriveKey",
    user=Right.CREATE | Right.DERIVE,
    targets=(Target(Right.DERIVE, field="base"), Target(Right.DERIVE, field="second", optional=True)),
    configuration=True,
    material=True,
    detail=described,
    places=id_of,
)
def derive_key(call: Call, request: DeriveKey) -> Change:
    """Derive, keep the result as an object of the asker, and let it and its bases name each other."""
    bases = [loaded for loaded in call.targets if loaded is not None]
    if len({loaded.record.id for loaded in bases}) < len(bases):
        raise Invalid("name two different objects to derive from", "invalid.field")  # each is stored with its new link
    for loaded in bases:
        _check_base(call, as_object(loaded))
    given = with_templates(call, request.templates, request.attributes)
    birth = _born_as(call, request.object_type, birth_of(request.object_type, given))
    check_quantum_safe(birth.shape, birth.attributes)
    secret = _derived(call, request, bases, birth)
    attributes = birth.attributes
    for loaded in bases:
        attributes = linked(attributes, LinkType.DERIVATION_BASE_OBJECT, loaded.record.id)
    birth = birth._replace(attributes=attributes)
    new, sealed = conceived(call, request.object_type, birth, secret)
    puts = [Put(new, sealed)]
    for loaded in bases:
        base = as_object(loaded)
        found = _spent(call, request, bases) if loaded is bases[0] else base.attributes
        links = linked(found, LinkType.DERIVED_KEY, new.id)
        if links is not base.attributes and (base.versioning is None or base.versioning.is_default):
            puts.append(Put(base.changed(call.now_us, attributes=links)))
    return Change(tuple(puts), Created(new.id, request.object_type, (), new))


def _check_base(call: Call, base: ManagedObject) -> None:
    if not base.shape.usage_mask & UsageMask.DERIVE:
        raise Refused("the usage mask does not allow deriving from this object", "refused.usage_mask")
    if base.state(call.now_us) not in (State.PRE_ACTIVE, State.ACTIVE):
        raise WrongState("an object that is no longer in use is not derived from")


def _check_right(call: Call, base: ManagedObject, method: int) -> None:
    """Ask for the right to what the method does in all but name, where the key serves that purpose too."""
    uses, right = _SAME_AS.get(method, (0, Right.NONE))
    if base.shape.usage_mask & uses:
        call.another(base.id, right)


def _spent(call: Call, request: DeriveKey, bases: list[Loaded]) -> Attributes:
    """Return the attributes of the first base, with its usage limits spent where it has encrypted."""
    base = as_object(bases[0])
    limits = base.attributes.first(LIMITS) if request.method == DerivationMethod.ENCRYPT else None
    if limits is None:
        return base.attributes
    return less(base.attributes, limits, len(_derivation_data(call, request, bases) or b""))


_CIPHER_USES = UsageMask.ENCRYPT | UsageMask.DECRYPT | UsageMask.WRAP | UsageMask.UNWRAP
_CODE_USES = UsageMask.MAC_GENERATE | UsageMask.MAC_VERIFY
_SAME_AS: dict[int, tuple[int, Right]] = {
    DerivationMethod.ENCRYPT: (_CIPHER_USES, Right.ENCRYPT),
    DerivationMethod.HMAC: (_CODE_USES, Right.MAC),
    DerivationMethod.NIST800_108_C: (_CODE_USES, Right.MAC),
}
"""Derivation Method -> uses of a key for which its result counts, and the right to that: ciphertext of chosen data
(which in a counter mode decrypts as well), or a code of it."""


def _born_as(call: Call, object_type: int, birth: Birth) -> Birth:
    shape = birth.shape
    if object_type == ObjectType.SYMMETRIC_KEY:
        if not shape.algorithm or not shape.length_bits:
            raise Invalid("a derived key needs its Cryptographic Algorithm and Length", "invalid.missing")
        new_key_rule(shape.algorithm, shape.length_bits, call.switches, made_here=False)
        return with_shape(birth, format=shape.format or int(KeyFormat.RAW))
    if object_type != ObjectType.SECRET_DATA:
        raise Invalid("symmetric keys and secret data can be derived", "invalid.object_type")
    if not shape.length_bits or shape.length_bits % 8 or not 0 < shape.length_bits <= 8 * SECRET_BYTES_MAX:
        raise Invalid("derived secret data needs its Cryptographic Length, in whole bytes", "invalid.missing")
    return with_shape(birth, format=shape.format or int(KeyFormat.OPAQUE), subtype=int(SecretDataType.SEED))


def _derived(call: Call, request: DeriveKey, bases: list[Loaded], birth: Birth) -> Secret:
    shape = birth.shape
    length_bytes = material_bytes(shape.algorithm, shape.length_bits)
    base = as_object(bases[0])
    _check_right(call, base, request.method)
    if request.method == DerivationMethod.ASYMMETRIC_KEY:
        return _agreed(call, bases, length_bytes)
    if base.object_type not in _BASES:
        raise Invalid("this method derives from symmetric keys and secret data", "invalid.field")
    data = _derivation_data(call, request, bases)
    parameters = request.parameters or own_parameters(base)
    if request.method == DerivationMethod.ENCRYPT:
        if not data:
            raise Invalid("ENCRYPT needs Derivation Data", "invalid.missing")
        for source in bases[1:]:  # whoever knows the key decrypts again what is derived so
            released_format(call, as_object(call.another(source.record.id, Right.EXPORT)), Get())
        return cut(_cipher(call, bases[0], parameters).encrypt(data, request.iv)[0], length_bytes)
    how = Derivation(
        *(request.method, length_bytes, None if parameters is None else parameters.hashing),
        *(data, request.salt, request.iterations),
    )
    if is_outdated(how, base.shape.algorithm) and not call.switches.legacy_algorithms:
        raise Refused(
            "this hash is outdated and derives nothing new here: name another, such as SHA-256; "
            "an administrator can set legacy.algorithms",
            "refused.switched_off",
        )
    work = partial(derive, how, opened(call, bases[0]), base.shape.algorithm)
    is_long = request.method == DerivationMethod.PBKDF2 and iterations_count(how) > ITERATIONS_AT_ONCE_COUNT_MAX
    secret: Secret = call.made(work) if is_long else work()
    if len(secret) != length_bytes:
        raise Conflict("what the request means has changed while its key was derived; send it again", "conflict")
    return secret


def _derivation_data(call: Call, request: DeriveKey, bases: list[Loaded]) -> bytes | None:
    if len(bases) == 1:
        return request.data
    if request.data is not None:
        raise Invalid("give Derivation Data or a second object with it, not both", "invalid.message")
    if as_object(bases[1]).object_type != ObjectType.SECRET_DATA:
        raise Invalid("Derivation Data in an object is secret data", "invalid.field")
    return opened(call, bases[1]).reveal()


def _cipher(call: Call, base: Loaded, parameters: CipherParameters | None) -> Prepared:
    if parameters is None:
        raise Invalid("ENCRYPT needs Cryptographic Parameters with a mode", "invalid.missing")
    algorithm, mode = as_object(base).shape.algorithm, parameters.mode or 0
    found = suite(algorithm, mode)
    if (found.legacy_mode and not call.switches.legacy_modes) or (
        found.legacy_algorithm and not call.switches.legacy_algorithms
    ):
        raise Refused("this algorithm or mode is outdated here", "refused.switched_off")
    return prepare(algorithm, mode, parameters.padding or 0, opened(call, base))


def _agreed(call: Call, bases: list[Loaded], length_bytes: int) -> Secret:
    kinds = [as_object(loaded).object_type for loaded in bases]
    if kinds != [ObjectType.PRIVATE_KEY, ObjectType.PUBLIC_KEY]:
        raise Invalid("name a private key first and the other side's public key second", "invalid.field")
    ours, theirs = (as_object(loaded).shape for loaded in bases)
    private = read_private(ours.format, opened(call, bases[0]), ours.algorithm)
    public = read_public(theirs.format, opened(call, bases[1]), theirs.algorithm)
    return agree(private, public, length_bytes)
