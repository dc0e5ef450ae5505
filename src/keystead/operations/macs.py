"""MAC, MAC Verify and Hash: codes made and judged with a served key, and hashes without one.

Laws: a key is used only as its usage mask, its dates and the legacy switches allow at that moment; making a code spends
usage limits durably before the answer; a code that does not fit is an answer, not an error.

Source: KMIP 1.4 sections 3.19, 3.21, 4.33, 4.34, 4.37; KMIP 2.1 sections 6.1.19, 6.1.32, 6.1.33; requirements
KS-KEY-004, KS-KMIP-017, KS-LOG-013; LEG-06; attacks.md class 34.
"""

from dataclasses import dataclass, field
from operator import attrgetter

from keystead.core.algorithms import UsageMask
from keystead.core.attribute_table import ObjectType
from keystead.core.changes import Change
from keystead.core.errors import Invalid, Refused, WrongState
from keystead.core.permission import Right
from keystead.core.records import KIND_OBJECT, ManagedObject
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.operation import PLACEHOLDER, Target, operation
from keystead.operations.ciphers import LIMITS, NONE, own_parameters, spent
from keystead.operations.requests import CipherParameters, Judged
from keystead.operations.states_of_use import processes, protects
from keystead.operations.wrapped_keys import check_usable
from keystead.trust.macs import Method, digest, hashing, is_code, method


@dataclass(frozen=True, slots=True)
class Mac:
    """Make an authentication code of data with a managed key (KMIP 1.4 section 4.33)."""

    data: bytes = field(repr=False)
    target: str = PLACEHOLDER
    parameters: CipherParameters | None = None


@dataclass(frozen=True, slots=True)
class MacMade:
    """The code; `detail` for the log."""

    id: str
    code: bytes = field(repr=False)
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MacVerify:
    """Judge an authentication code (KMIP 1.4 section 4.34)."""

    data: bytes = field(repr=False)
    code: bytes = field(repr=False)
    target: str = PLACEHOLDER
    parameters: CipherParameters | None = None


@dataclass(frozen=True, slots=True)
class Hash:
    """Hash data; no key takes part (KMIP 1.4 section 4.37). `number` is the Hashing Algorithm."""

    data: bytes = field(repr=False)
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Hashed:
    """The hash; `detail` for the log."""

    data: bytes = field(repr=False)
    detail: str = ""


@operation(
    Mac,
    "key.mac",
    "MAC",
    user=Right.MAC,
    targets=(Target(Right.MAC),),
    material=True,
    detail=attrgetter("detail"),
)
def mac(call: Call, request: Mac) -> MacMade | Change:
    """Make a code; usage limits, where the key has them, are spent with the answer."""
    record = call.target
    if not record.shape.usage_mask & UsageMask.MAC_GENERATE:
        raise Refused("the key's usage mask does not allow making authentication codes", "refused.usage_mask")
    if not protects(call, record):
        raise WrongState("the key is not active, or its Protect Stop Date has passed")
    found = _method(record, request.parameters)
    if found.legacy and not call.switches.legacy_algorithms:
        raise Refused("this algorithm is outdated; it only verifies here", "refused.switched_off")
    result = MacMade(record.id, found.make(_key(call), request.data), f"1 MAC {found.name}")
    limits = record.attributes.first(LIMITS)
    if limits is None:
        return result
    return Change((spent(call, record, limits, len(request.data)),), result, detail="usage counted")


@operation(
    MacVerify,
    "key.mac_verify",
    "MACVerify",
    user=Right.MAC_VERIFY,
    targets=(Target(Right.MAC_VERIFY),),
    material=True,
    detail=attrgetter("detail"),
)
def mac_verify(call: Call, request: MacVerify) -> Judged:
    """Judge a code; that it does not fit is an answer."""
    record = call.target
    if not record.shape.usage_mask & UsageMask.MAC_VERIFY:
        raise Refused("the key's usage mask does not allow verifying authentication codes", "refused.usage_mask")
    if not processes(call, record):
        raise WrongState("the key is not active, or its Process Start Date is to come")
    found = _method(record, request.parameters)
    is_valid = is_code(found.make(_key(call), request.data), request.code)
    return Judged(record.id, is_valid, f"1 MACVerify {found.name}")


@operation(Hash, "server.hash", "Hash", user=Right.NONE, detail=attrgetter("detail"))
def hash_data(call: Call, request: Hash) -> Hashed:
    """Hash data."""
    if request.number is None:
        raise Invalid("name the hash: Cryptographic Parameters with a Hashing Algorithm", "invalid.missing")
    function = hashing(request.number)
    if function.legacy and not call.switches.legacy_algorithms:
        raise Refused("this hash is outdated; an administrator can set legacy.algorithms", "refused.switched_off")
    return Hashed(digest(function, request.data), f"1 Hash {function.name}")


def _method(record: ManagedObject, parameters: CipherParameters | None) -> Method:
    check_usable(record)
    if record.object_type != ObjectType.SYMMETRIC_KEY:
        raise Invalid("only symmetric keys make and verify authentication codes", "invalid.object_type")
    asked = parameters or own_parameters(record) or NONE
    return method(record.shape.algorithm, asked.mode or 0, asked.hashing, asked.algorithm)


def _key(call: Call) -> Secret:
    record, material = call.target, call.targets[0].material
    secret: Secret = call.desk.keyring.open(record.realm, KIND_OBJECT, record.id, material)
    return secret
