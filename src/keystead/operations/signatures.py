"""Sign and Signature Verify with a served key.

Laws: a key is used only as its usage mask, its dates and the legacy switches allow at that moment; signing spends usage
limits durably before the answer; a signature that does not fit is an answer, not an error.

Source: KMIP 1.4 sections 3.19, 3.21, 4.31, 4.32; KMIP 2.1 sections 6.1.55, 6.1.56; requirements KS-KEY-004, 022;
KS-LOG-013; LEG-06; attacks.md class 34.
"""

from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

from keystead.core.algorithms import UsageMask
from keystead.core.attribute_table import ObjectType
from keystead.core.changes import Change
from keystead.core.errors import Invalid, Refused, WrongState
from keystead.core.permission import Right
from keystead.gate.call import Call
from keystead.gate.operation import PLACEHOLDER, Target, operation
from keystead.operations.ciphers import LIMITS, NONE, own_parameters, spent
from keystead.operations.requests import CipherParameters, Judged
from keystead.operations.states_of_use import processes, protects
from keystead.operations.wrapped_keys import opened
from keystead.trust.key_pairs import PrivateKey, PublicKey, read_private, read_public, specification_of
from keystead.trust.signatures import Wanted, is_signature, scheme, sign

_READY = "signature"


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign data, or a digest of it (KMIP 1.4 section 4.31)."""

    data: bytes = field(repr=False)
    target: str = PLACEHOLDER
    parameters: CipherParameters | None = None
    is_digest: bool = False


@dataclass(frozen=True, slots=True)
class Signed:
    """The signature; `detail` for the log."""

    id: str
    signature: bytes
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SignatureVerify:
    """Judge a signature (KMIP 1.4 section 4.32)."""

    data: bytes = field(repr=False)
    signature: bytes
    target: str = PLACEHOLDER
    parameters: CipherParameters | None = None
    is_digest: bool = False


@operation(
    Sign,
    "key.sign",
    "Sign",
    user=Right.SIGN,
    targets=(Target(Right.SIGN),),
    material=True,
    detail=attrgetter("detail"),
)
def sign_data(call: Call, request: Sign) -> Signed | Change:
    """Sign; usage limits, where the key has them, are spent with the answer."""
    record = call.target
    if record.object_type != ObjectType.PRIVATE_KEY:
        raise Invalid("only private keys sign", "invalid.object_type")
    if not record.shape.usage_mask & UsageMask.SIGN:
        raise Refused("the key's usage mask does not allow signing", "refused.usage_mask")
    if not protects(call, record):
        raise WrongState("the key is not active, or its Protect Stop Date has passed")
    ready = ready_key(call)
    how = scheme(ready.key, wanted_of(call, request.parameters))
    if (how.legacy or ready.legacy) and not call.switches.legacy_algorithms:
        raise Refused("this algorithm is outdated; it only verifies here", "refused.switched_off")
    signature = sign(ready.key, how, request.data, is_digest=request.is_digest)
    result = Signed(record.id, signature, f"1 Sign {how.name}")
    limits = record.attributes.first(LIMITS)
    if limits is None:
        return result
    return Change((spent(call, record, limits, len(request.data)),), result, detail="usage counted")


@operation(
    SignatureVerify,
    "key.verify",
    "SignatureVerify",
    user=Right.VERIFY,
    targets=(Target(Right.VERIFY),),
    material=True,
    detail=attrgetter("detail"),
)
def verify_signature(call: Call, request: SignatureVerify) -> Judged:
    """Judge a signature; that it does not fit is an answer. A private key verifies with its public half."""
    record = call.target
    if record.object_type not in (ObjectType.PUBLIC_KEY, ObjectType.PRIVATE_KEY):
        raise Invalid("only public and private keys verify signatures", "invalid.object_type")
    if not record.shape.usage_mask & UsageMask.VERIFY:
        raise Refused("the key's usage mask does not allow verifying", "refused.usage_mask")
    if not processes(call, record):
        raise WrongState("the key is not active, or its Process Start Date is to come")
    ready = ready_key(call)
    how = scheme(ready.key, wanted_of(call, request.parameters))
    is_valid = is_signature(ready.public, how, request.data, request.signature, is_digest=request.is_digest)
    return Judged(record.id, is_valid, f"1 SignatureVerify {how.name}")


class Ready(NamedTuple):
    """A key as the library has it, kept only while the secure key cache may hold prepared keys."""

    loaded: Any
    key: Any
    public: PublicKey
    legacy: bool


def ready_key(call: Call) -> Ready:
    """Return the target as the library has it."""
    loaded = call.targets[0]
    record = call.target
    held: dict[Any, Ready] | None = call.desk.keyring.ready
    found = held.get((record.id, _READY)) if held is not None else None
    if found is not None and found.loaded is loaded:
        return found
    secret = opened(call, loaded)
    shape = record.shape
    key: PrivateKey | PublicKey
    if record.object_type == ObjectType.PRIVATE_KEY:
        key = read_private(shape.format, secret, shape.algorithm)
        public = key.public_key()
    else:
        key = public = read_public(shape.format, secret, shape.algorithm)
    ready = Ready(loaded, key, public, specification_of(key).legacy)
    call.desk.keyring.keep((record.id, _READY), ready)
    return ready


def wanted_of(call: Call, asked: CipherParameters | None) -> Wanted:
    """Return what the request, or else the key, says of a signature."""
    given = asked or own_parameters(call.target) or NONE
    return Wanted(
        *(given.signature, given.algorithm, given.hashing, given.padding),
        *(given.salt_bytes, given.mask_hashing, given.mask_generator),
    )
