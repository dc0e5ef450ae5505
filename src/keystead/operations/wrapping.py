"""Keys that leave wrapped by another key, and that arrive so.

Laws: a key leaves wrapped under the same rules as in clear, except that a sensitive one may; the wrapping key must be
there to wrap, be active, and be one that the asker may encrypt (to unwrap: decrypt) with; only modes that notice
changes wrap. What arrives wrapped is unwrapped at once and kept like any other key if the wrapping key is here; else it
is kept as it came, and can only be handed out so. No key wraps itself.

Source: KMIP 1.4 sections 2.1.5, 2.1.6, 4.11, 11.12; NIST SP 800-38F, SP 800-38D; requirements KS-KMIP-040 and its
modern form; KS-KEY-009; KS-SEC-011; attacks.md class 17.
"""

from collections.abc import Callable
from dataclasses import dataclass

from keystead.core.algorithms import Mode, UsageMask
from keystead.core.attribute_rules import birth_of
from keystead.core.attribute_table import ObjectType
from keystead.core.changes import Change, Put
from keystead.core.errors import Invalid, NotFound, NotSupported, Refused, WrongState
from keystead.core.permission import Right
from keystead.core.records import ManagedObject
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.operation import Target, operation
from keystead.operations.ciphers import LIMITS, NONE, budget_of, leases_of, own_parameters, parameters_of, spent
from keystead.operations.get import clear_block, released_format
from keystead.operations.new_objects import conceived, described, id_of, with_templates
from keystead.operations.register import register, told_shape
from keystead.operations.requests import CipherParameters, Created, Get, GotWrapped, KeyBlock, Register, Wrapping
from keystead.operations.states_of_use import processes, protects
from keystead.operations.wrapped_keys import opened, packed
from keystead.storage.store import Loaded, as_object
from keystead.trust.cipher_modes import Prepared
from keystead.trust.ciphers import GCM_RANDOM_IV_COUNT_MAX, new_iv, prepare

ENCRYPT = 1
NO_ENCODING, TTLV_ENCODING = 1, 2
GCM_TAG_BYTES = 16
_MODES = frozenset({int(Mode.GCM), int(Mode.NIST_KEY_WRAP), int(Mode.AES_KEY_WRAP_PADDING)})

Encode = Callable[[KeyBlock], bytes]
"""How a protocol writes the key value that is wrapped."""
Decode = Callable[[bytes], KeyBlock]


@dataclass(frozen=True, slots=True)
class GetWrapped:
    """Fetch an object with its key bytes wrapped by another key (KMIP 1.4 section 4.11).

    Attributes:
        get: As without wrapping.
        wrapping: How.
        encode: Writes what is wrapped.
    """

    get: Get
    wrapping: Wrapping
    encode: Encode

    @property
    def target(self) -> str:
        """The object."""
        return self.get.target

    @property
    def wrapping_key(self) -> str:
        """The key that wraps."""
        return self.wrapping.key


@dataclass(frozen=True, slots=True)
class RegisterWrapped:
    """Take an object that arrives wrapped by a key which is here (KMIP 1.4 section 4.3).

    Attributes:
        register: As without wrapping; its block's material is what the wrapping gave.
        wrapping: How.
        iv: Where the mode has one.
        decode: Reads what was wrapped.
    """

    register: Register
    wrapping: Wrapping
    iv: bytes | None
    decode: Decode


@operation(
    GetWrapped,
    "key.get_wrapped",
    "Get",
    user=Right.EXPORT,
    targets=(Target(Right.EXPORT), Target(Right.ENCRYPT, field="wrapping_key")),
    material=True,
)
def get_wrapped(call: Call, request: GetWrapped) -> GotWrapped | Change:
    """Wrap the object as asked; the wrapping key is used, and the IV of GCM drawn and counted, as to encrypt data."""
    loaded, wrapper = call.targets
    record, key = as_object(loaded), as_object(wrapper)
    if record.object_type not in _WRAPPABLE:
        raise Invalid("objects of this type have no key block that could be wrapped", "invalid.object_type")
    if record.protection.wrapped:
        raise NotSupported("the object is kept wrapped as it came; get it so", "not_supported.wrapping")
    if record.id == key.id:
        raise Refused("a key does not wrap itself", "refused.permission")
    form = released_format(call, record, request.get, wrapped=True)
    if not key.shape.usage_mask & UsageMask.WRAP:
        raise Refused("the usage mask of the wrapping key does not allow wrapping", "refused.usage_mask")
    mode = _mode(key, request.wrapping)
    if not protects(call, key):
        raise WrongState("the wrapping key is not active")
    block = clear_block(call, loaded, form)
    iv, puts = _fresh_iv(call, key, mode)
    clear = request.encode(block)
    sealed, tag = _cipher(call, wrapper, mode).encrypt(clear, iv)
    limits = key.attributes.first(LIMITS)
    if limits is not None:
        puts += (spent(call, key, limits, len(clear)),)
    wrapped = block._replace(material=Secret(sealed + (tag or b"")))
    result = GotWrapped(record.id, record.object_type, wrapped, request.wrapping, iv)
    if record.protection.fresh:
        puts += (Put(record._replace(protection=record.protection._replace(fresh=False))),)
    return Change(puts, result) if puts else result


@operation(
    RegisterWrapped,
    "key.register_wrapped",
    "Register",
    user=Right.CREATE,
    configuration=True,
    material=True,
    detail=described,
    places=id_of,
)
def register_wrapped(call: Call, request: RegisterWrapped) -> Change:
    """Unwrap the object with a key that is here and may do it; keep it as it came where there is none."""
    plain, block = request.register, request.register.block
    if block is None:
        raise Invalid("there is no object to register", "invalid.missing")
    if not request.wrapping.key:
        raise Invalid("name the wrapping key; the ID Placeholder does not count here", "invalid.field")
    wrapper = _unwrapping_key(call, request.wrapping)
    if wrapper is None:
        return _kept_wrapped(call, request, block)
    mode = _mode(as_object(wrapper), request.wrapping)
    data, tag = block.material.reveal(), None
    if mode == Mode.GCM:
        data, tag = data[:-GCM_TAG_BYTES], data[-GCM_TAG_BYTES:]
    clear = request.decode(_cipher(call, wrapper, mode).decrypt(data, request.iv, None, tag))
    found = block._replace(material=clear.material)
    change: Change = register(call, Register(plain.object_type, found, plain.attributes, plain.templates))
    return change


def _unwrapping_key(call: Call, wrapping: Wrapping) -> Loaded | None:
    """Return the wrapping key if it is here for the asker and may unwrap.

    Raises:
        Refused: the asker sees it and may not decrypt with it.
    """
    try:
        loaded = call.another(wrapping.key, Right.DECRYPT)
    except (NotFound, WrongState):
        return None
    key = as_object(loaded)
    may = key.object_type == ObjectType.SYMMETRIC_KEY and key.shape.usage_mask & UsageMask.UNWRAP
    return loaded if may and processes(call, key) else None


def _kept_wrapped(call: Call, request: RegisterWrapped, block: KeyBlock) -> Change:
    plain = request.register
    if plain.object_type not in _WRAPPABLE:
        raise NotSupported("objects of this type are kept in clear only", "not_supported.wrapping")
    given = with_templates(call, plain.templates, plain.attributes)
    birth = birth_of(plain.object_type, given)
    birth = told_shape(plain.object_type, birth, block, call.switches)
    birth = birth._replace(protection=birth.protection._replace(wrapped=True))
    material = packed(block.material, request.wrapping, request.iv)
    record, sealed = conceived(call, plain.object_type, birth, material)
    record = record._replace(digest=None)  # of the key, which is not known here
    return Change((Put(record, sealed),), Created(record.id, plain.object_type, (), record))


_WRAPPABLE = frozenset(
    int(kind)
    for kind in (ObjectType.SYMMETRIC_KEY, ObjectType.SECRET_DATA, ObjectType.PRIVATE_KEY, ObjectType.PUBLIC_KEY)
)


def _mode(key: ManagedObject, wrapping: Wrapping) -> int:
    """Return the mode that wraps.

    Raises:
        Invalid: the wrapping key is no symmetric key.
        NotFound: the parameters are none of the key's own.
        NotSupported: a method or mode that is not offered.
    """
    if wrapping.method != ENCRYPT:
        raise NotSupported("of the wrapping methods only Encrypt is offered", "not_supported.wrapping")
    if wrapping.names:
        raise NotSupported("attributes are not wrapped with a key; ask for them beside it", "not_supported.wrapping")
    if key.object_type != ObjectType.SYMMETRIC_KEY:
        raise Invalid("a symmetric key wraps; name one", "invalid.object_type")
    own = parameters_of(key)
    parameters = wrapping.parameters or own_parameters(key) or NONE
    if wrapping.parameters is not None and own and not any(_matches(wrapping.parameters, one) for one in own):
        raise NotFound("these are none of the wrapping key's Cryptographic Parameters", "not_found.item")
    mode = int(Mode.NIST_KEY_WRAP) if parameters.mode is None else parameters.mode
    if mode not in _MODES:
        raise NotSupported("keys are wrapped with NIST Key Wrap, AES Key Wrap Padding or GCM", "not_supported.wrapping")
    return mode


def _matches(asked: CipherParameters, own: CipherParameters) -> bool:
    return asked.mode in (None, own.mode)


def _fresh_iv(call: Call, key: ManagedObject, mode: int) -> tuple[bytes | None, tuple[Put, ...]]:
    if mode != Mode.GCM:
        return None, ()
    puts = leases_of(call).take(call.desk, budget_of(key), GCM_RANDOM_IV_COUNT_MAX)
    return new_iv(key.shape.algorithm, mode), puts


def _cipher(call: Call, loaded: Loaded, mode: int) -> Prepared:
    return prepare(as_object(loaded).shape.algorithm, mode, 0, opened(call, loaded))
