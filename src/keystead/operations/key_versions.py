"""Versions of a key: making the next one, listing them, saying what older ones may be used for.

Laws: a new version is active and becomes the default one in the same change; the name goes with it, and owner, grants
and attributes are those of the key. The default version stays active. No version is deleted alone.

Source: requirements KS-KEY-012 to 019, 056; KS-NAE-006; SM-2; AMB-40; chapter Keys (Key Versions).
"""

from dataclasses import dataclass
from typing import Annotated

from keystead.core.algorithms import new_key_rule
from keystead.core.approvals import Approval
from keystead.core.changes import Change, Put
from keystead.core.errors import Invalid, NotFound, WrongState
from keystead.core.fields import Number, Text
from keystead.core.key_names import KeySort
from keystead.core.key_versions import (
    VERSIONS_PER_KEY_COUNT_MAX,
    Versioning,
    VersionState,
    check_active,
    check_room,
)
from keystead.core.lifecycle import Dates
from keystead.core.permission import Access, Right
from keystead.core.records import KIND_OBJECT, ManagedObject
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import Target, operation
from keystead.gate.versions import DEFAULT
from keystead.operations.admin_keys_made import EXAMPLE_KEY, IMPORT_BYTES_MAX, KeyEncoding, symmetric_secret
from keystead.operations.create import RNG, key_bytes
from keystead.operations.grants import KeyPlace
from keystead.operations.new_objects import kept_digest, reference_to, sealed_as
from keystead.operations.version_records import (
    Version,
    as_older,
    default_iv,
    family_record,
    older_version_of,
    older_versions,
    versioning_of,
    without_name,
)
from keystead.settings.keys import KeyOptions

VERSIONS_LISTED_COUNT_MAX = 1_000
DIGITS_MAX = 4
VersionNumber = Annotated[int, Number(1, VERSIONS_PER_KEY_COUNT_MAX)]
_CHANGED = (Target(Right.MODIFY, by_name=True),)


@dataclass(frozen=True, slots=True)
class CreateVersion:
    """Make the next version of a versioned key; it is active, and what requests without a number mean from now on.

    Attributes:
        target: Name of the key, or id of one of its versions.
    """

    target: KeyPlace


@dataclass(frozen=True, slots=True)
class ImportVersion:
    """Take the next version of a versioned key that was imported; it becomes the default one as one made here does.

    Attributes:
        target: Name of the key, or id of one of its versions.
        material: Bytes of the version as text; as long as those of the key.
        encoding: How they are written.
    """

    target: KeyPlace
    material: Annotated[Secret, Text(characters_max=IMPORT_BYTES_MAX, example=EXAMPLE_KEY)]
    encoding: KeyEncoding = KeyEncoding.BASE64


@dataclass(frozen=True, slots=True)
class ListVersions:
    """List the versions of a versioned key, newest first.

    Attributes:
        target: Name of the key, or id of one of its versions.
        after: `next` of the page before; "" = from the newest on.
        limit_count: At most so many.
    """

    target: KeyPlace
    after: Annotated[str, Text(r"[0-9]{0,4}", 4)] = ""
    limit_count: Annotated[int, Number(1, VERSIONS_LISTED_COUNT_MAX)] = 100


@dataclass(frozen=True, slots=True)
class SetVersionState:
    """Say what an older version may be used for; the default version stays active.

    Attributes:
        target: Name of the key, or id of one of its versions.
        version: Number of the version.
        state: active: everything; restricted: decrypting and verifying; retired: nothing.
    """

    target: KeyPlace
    version: VersionNumber
    state: VersionState


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """A version of a key; times are UTC microseconds.

    Attributes:
        version: Its number, from 1.
        id: For ever; clients use exactly this version by it.
        key: Name of the key.
        state: What it may be used for.
        is_default: What requests without a number mean.
        created_us: When it was made.
        changed_us: When its state was set last, or it ceased to be the default one.
        default_iv: In hexadecimal, "" where the algorithm has none.
    """

    version: int
    id: str
    key: str
    state: VersionState
    is_default: bool
    created_us: int
    changed_us: int
    default_iv: str


@dataclass(frozen=True, slots=True)
class KeyVersions:
    """One page.

    Attributes:
        versions: Newest first.
        next: Where the next page begins, "" = this was the last.
    """

    versions: tuple[KeyVersion, ...]
    next: str


def _id_of(version: KeyVersion) -> str:
    return version.id


def _logged(version: KeyVersion) -> str:
    return f"{version.key} version {version.version}"


@operation(
    CreateVersion,
    "key_version.create",
    "KeyVersionGen",
    user=Right.MODIFY,
    administrator=Access.KEYS,
    targets=_CHANGED,
    configuration=True,
    material=True,
    places=_id_of,
    detail=_logged,
    route="POST /keys/{target}/versions",
    answer=KeyVersion,
    approval=Approval.CHANGE_KEYS,
)
def create_version(call: Call, _request: CreateVersion) -> Change:
    """Make the version, and give it what the default one before it had."""
    versioning_of(call.target)
    return _next_version(call, key_bytes(call, call.target.shape), made_here=True)


@operation(
    ImportVersion,
    "key_version.import",
    "KeyVersionImport",
    user=Right.MODIFY,
    administrator=Access.KEYS,
    targets=_CHANGED,
    configuration=True,
    material=True,
    places=_id_of,
    detail=_logged,
    route="POST /keys/{target}/imported-versions",
    answer=KeyVersion,
    approval=Approval.CHANGE_KEYS,
)
def import_version(call: Call, request: ImportVersion) -> Change:
    """Keep the version, and give it what the default one before it had."""
    versioning_of(call.target)
    return _next_version(call, _brought(call.target, request), made_here=False)


def _next_version(call: Call, secret: Secret, *, made_here: bool) -> Change:
    """Return the change that makes a version and the default one of it.

    Raises:
        WrongState: there are as many versions, or active ones, as there may be.
        Refused: the algorithm is outdated, and legacy algorithms are switched off.
    """
    old = call.target
    before = versioning_of(old)
    check_room(before.number)
    check_active(before.active_count, call.desk.objects.section(KeyOptions).active_versions_max)
    new_key_rule(old.shape.algorithm, old.shape.length_bits, call.switches)
    version_id = new_id(call.now_us)
    sealed = sealed_as(call, version_id, secret)
    new = old._replace(
        id=version_id,
        initial_us=call.now_us,
        last_change_us=call.now_us,
        dates=Dates(activation_us=call.now_us),
        protection=old.protection._replace(fresh=True),
        material=reference_to(sealed),
        digest=kept_digest(old.object_type, secret),
        original_creation_us=call.now_us if made_here else None,
        revision=0,
        versioning=_next(before, default_iv(old.shape.algorithm)),
    )
    family = family_record(call, old)
    puts = (
        Put(without_name(old)),
        Put(new, sealed),
        Put(as_older(old, call.now_us), call.targets[0].material),
        Put(family._replace(fields={**family.fields, DEFAULT: version_id})),
    )
    how = "made" if made_here else "imported"
    detail = f"version {before.number + 1} of {old.handle} {how}: {version_id}"
    return Change(puts, _default_of(new), ((KIND_OBJECT, old.id, old.revision + 1),), detail)


def _next(before: Versioning, iv: bytes) -> Versioning:
    return before.moved(None, VersionState.ACTIVE)._replace(number=before.number + 1, iv=iv)


def _brought(key: ManagedObject, request: ImportVersion) -> Secret:
    """Return the bytes that were brought.

    Raises:
        Invalid: the key was made here, or they are not of its algorithm and length.
    """
    if key.attributes.first(RNG) is not None:
        raise Invalid("the key was made here, and so are its versions", "invalid.key")
    if not 0 < len(request.material) <= IMPORT_BYTES_MAX:
        raise Invalid(f"the text of a key has 1 to {IMPORT_BYTES_MAX} bytes", "invalid.key")
    shape = key.shape
    sort = KeySort(shape.algorithm, shape.length_bits)
    return symmetric_secret(request.material.reveal().strip(), request.encoding, sort, exact=True)


@operation(
    ListVersions,
    "key_version.list",
    "KeyVersionList",
    user=Right.SEE,
    administrator=Access.KEYS,
    targets=(Target(Right.SEE, by_name=True),),
    route="GET /keys/{target}/versions",
)
def list_versions(call: Call, request: ListVersions) -> KeyVersions:
    """Return one page."""
    key = call.target
    versioning = versioning_of(key)
    if request.after and not (request.after.isascii() and request.after.isdigit() and len(request.after) <= DIGITS_MAX):
        raise Invalid("go on with `next` of the page before", "invalid.field")
    if not 1 <= request.limit_count <= VERSIONS_LISTED_COUNT_MAX:
        raise Invalid(f"ask for 1 to {VERSIONS_LISTED_COUNT_MAX} versions", "invalid.field")
    below = int(request.after) if request.after else versioning.number + 1
    found = [_default_of(key)] if below > versioning.number else []
    below = min(below, versioning.number)
    found += [_older_of(key, one) for one in older_versions(call, key, below, request.limit_count - len(found))]
    last = found[-1].version if found else 1
    return KeyVersions(tuple(found), str(last) if last > 1 else "")


@operation(
    SetVersionState,
    "key_version.set_state",
    "KeyVersionSetState",
    administrator=Access.KEYS,
    targets=_CHANGED,
    route="PUT /keys/{target}/versions/{version}/state",
    answer=KeyVersion,
    approval=Approval.CHANGE_KEYS,
)
def set_version_state(call: Call, request: SetVersionState) -> Change:
    """Set the state, from the next request on."""
    key = call.target
    versioning = versioning_of(key)
    if request.version == versioning.number:
        raise WrongState(f"version {request.version} is the default one and stays active; make a new version first")
    version = older_version_of(call, key, request.version)
    if version is None:
        raise NotFound(f"the key has {versioning.number} versions, and none of this number", "not_found.item")
    if request.state is VersionState.ACTIVE and version.state is not VersionState.ACTIVE:
        check_active(versioning.active_count, call.desk.objects.section(KeyOptions).active_versions_max)
    fields = {**version.record.fields, "state": str(request.state), "changed_us": call.now_us}
    changed = version.record._replace(fields=fields)
    counted = key.changed(call.now_us, versioning=versioning.moved(version.state, request.state))
    detail = f"version {request.version} of {key.handle} from {version.state} to {request.state}"
    return Change((Put(changed), Put(counted)), _older_of(key, Version(changed, version.loaded)), detail=detail)


def _default_of(key: ManagedObject) -> KeyVersion:
    versioning = versioning_of(key)
    number, state, made_us = versioning.number, versioning.state, key.initial_us
    return KeyVersion(number, key.id, key.handle, state, True, made_us, made_us, versioning.iv.hex())


def _older_of(key: ManagedObject, version: Version) -> KeyVersion:
    record, fields = version.record, version.record.fields
    made_us, changed_us, iv = int(fields["made_us"]), int(fields["changed_us"]), bytes(fields["iv"]).hex()
    return KeyVersion(version.number, record.id, key.handle, version.state, False, made_us, changed_us, iv)
