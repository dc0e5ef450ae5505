"""Permissions of a key: who may do what with it, to whom it belongs, and whether it may be deleted and exported at all.

Law: groups and users are granted only what may be granted and what the key's algorithm can do; never anything on a key
that belongs to nobody, which everybody may use anyway, and nothing to its owner, who may do everything. Under a policy
only groups are granted anything, and nothing on certificates. A policy is stored with the grant that names it, so that
it is not deleted meanwhile.

Source: requirements KS-KEY-003 to 006, 008, 009, 021 to 023, 059; KS-POL-001, 002, 013; KS-AUTH-013;
KS-LIFE-009; chapter Keys (Permissions, Properties).
"""

from dataclasses import dataclass
from typing import Annotated

from keystead.core.algorithms import grantable_rights
from keystead.core.approvals import Approval
from keystead.core.attribute_table import PAIR, ObjectType
from keystead.core.changes import Change, Put
from keystead.core.errors import Invalid, Refused
from keystead.core.fields import Flags, Text
from keystead.core.grants import SEE, Held, conditions, held_by, with_held, without
from keystead.core.key_pairs import pair_rights
from keystead.core.permission import CONDITIONAL, GRANTABLE, PERSONAL, Access, Right, personal
from keystead.core.records import ManagedObject, Record
from keystead.gate.call import Call
from keystead.gate.operation import Target, operation
from keystead.operations.policies import found_policy
from keystead.operations.requests import Touched
from keystead.operations.users import NAME, NAME_CHARACTERS_MAX, GroupName, UserName, check_name, known_user

GROUPS_PER_KEY_COUNT_MAX = 100
POLICY_AND_DATES = "This key has life-cycle dates and a policy. Each of them ends its use for itself: keep to one."
KeyPlace = Annotated[str, Text(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", 64)]
NoName = Annotated[str, Text(f"|{NAME.pattern}", NAME_CHARACTERS_MAX)]
_LIVE = (Target(Right.MODIFY, by_name=True),)
_KEPT = (Target(Right.MODIFY, destroyed=True, by_name=True),)


@dataclass(frozen=True, slots=True)
class GrantKey:
    """Replace what a group may do with a key.

    Attributes:
        target: Id or name of the key.
        group: Name of the group; it need not have members yet.
        rights: Bit mask of permission.Right; 0 takes everything back.
        policy: Name of the policy that narrows these rights; empty = they are given without a condition.
    """

    target: KeyPlace
    group: GroupName
    rights: Annotated[int, Flags(GRANTABLE)]
    policy: NoName = ""


@dataclass(frozen=True, slots=True)
class GiveRights:
    """Let a group, or one user, do more with a key.

    Attributes:
        target: Id or name of the key.
        rights: Bit mask of permission.Right; seeing the key is always among them.
        group: Name of the group, or "".
        user: Name of the user, or "".
        policy: Name of the policy that narrows these rights of the group from now on; empty = no policy does any more.
    """

    target: KeyPlace
    rights: Annotated[int, Flags(GRANTABLE)]
    group: NoName = ""
    user: NoName = ""
    policy: NoName = ""


@dataclass(frozen=True, slots=True)
class TakeRights:
    """Let a group, or one user, do less with a key; fields as of GiveRights. Who keeps nothing does not see it."""

    target: KeyPlace
    rights: Annotated[int, Flags(GRANTABLE)]
    group: NoName = ""
    user: NoName = ""


@dataclass(frozen=True, slots=True)
class ListGrants:
    """Show to whom a key belongs and what others may do with it."""

    target: KeyPlace


@dataclass(frozen=True, slots=True)
class SetOwner:
    """Give a key to another user, with whatever others were granted; None = to nobody, which takes all grants back."""

    target: KeyPlace
    owner: UserName | None


@dataclass(frozen=True, slots=True)
class SetKeyFlags:
    """Say whether clients may delete and export a key; None leaves a flag as it is."""

    target: KeyPlace
    deletable: bool | None = None
    exportable: bool | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a group or a user may do; one of these names is "". `policy` narrows these rights, "" = they are not."""

    group: str
    user: str
    rights: Annotated[int, Flags(GRANTABLE)]
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Grants:
    """Everything that is granted on a key, by name, with what administrators should know of it; "" = nothing."""

    id: str
    owner: str | None
    grants: tuple[Grant, ...]
    caution: str = ""


@operation(
    GrantKey,
    "key.grant",
    "KeyGrant",
    user=Right.MODIFY,
    administrator=Access.KEYS,
    targets=_LIVE,
    approval=Approval.CHANGE_KEYS,
    configuration=True,
    route="PUT /keys/{target}/grants/{group}",
    answer=Grants,
)
def grant_key(call: Call, request: GrantKey) -> Change:
    """Replace what the group may do with the key."""
    group = _grantee(call, request.group, "", taken=not request.rights)
    _check_policy(request)
    held = Held(0, {})
    return _granted(call, group, held.given(request.rights, request.policy) if request.rights else held, request.policy)


@operation(
    GiveRights,
    "key.give",
    "KeyGive",
    user=Right.MODIFY,
    administrator=Access.KEYS,
    targets=_LIVE,
    approval=Approval.CHANGE_KEYS,
    configuration=True,
    route="POST /keys/{target}/grants",
    answer=Grants,
)
def give_rights(call: Call, request: GiveRights) -> Change:
    """Add rights to what the grantee has."""
    grantee = _grantee(call, request.group, request.user)
    if request.user and known_user(call, request.user) == call.target.owner:
        raise Refused("the key belongs to this user, who may do everything with it", "refused.permission")
    if not request.rights:
        raise Invalid("name at least one right to give", "invalid.field")
    _check_policy(request)
    held = held_by(call.target.grants, grantee).given(request.rights, request.policy)
    return _granted(call, grantee, held, request.policy)


@operation(
    TakeRights,
    "key.take",
    "KeyTake",
    user=Right.MODIFY,
    administrator=Access.KEYS,
    targets=_KEPT,
    approval=Approval.CHANGE_KEYS,
    configuration=True,
    route="DELETE /keys/{target}/grants",
    answer=Grants,
)
def take_rights(call: Call, request: TakeRights) -> Change:
    """Take rights from what the grantee has."""
    grantee = _grantee(call, request.group, request.user, taken=True)
    left = held_by(call.target.grants, grantee).taken(request.rights)
    return _granted(call, grantee, Held(0, {}) if left.rights == SEE and request.rights != SEE else left)


@operation(
    ListGrants,
    "key.grants",
    "KeyGrants",
    user=Right.MODIFY,
    administrator=Access.KEYS,
    targets=_KEPT,
    route="GET /keys/{target}/grants",
)
def list_grants(call: Call, _request: ListGrants) -> Grants:
    """Return owner and grants."""
    return grants_of(call.target)


@operation(
    SetOwner,
    "key.set_owner",
    "KeySetOwner",
    administrator=Access.KEYS,
    targets=_KEPT,
    route="PUT /keys/{target}/owner",
    answer=Grants,
    approval=Approval.CHANGE_KEYS,
)
def set_owner(call: Call, request: SetOwner) -> Change:
    """Change the owner, from the next request on; certificates stay whose they are (KS-KEY-059)."""
    record = call.target
    if record.object_type == ObjectType.CERTIFICATE:
        raise Invalid("a certificate does not change hands; let the other user register it too", "invalid.object_type")
    if request.owner is None:
        if not call.switches.global_keys:
            raise Refused(
                "a key of nobody is everybody's: that needs key_server.allow_global_keys", "refused.switched_off"
            )
        given = record.changed(call.now_us, owner=None, grants={})
    else:
        given = given_to(record, known_user(call, request.owner), call.now_us)
    detail = f"owner from {record.owner or 'nobody'} to {request.owner or 'nobody'}"
    return Change((Put(given),), grants_of(given), detail=detail)


@operation(
    SetKeyFlags,
    "key.set_flags",
    "KeySetFlags",
    administrator=Access.KEYS,
    targets=_LIVE,
    route="PATCH /keys/{target}/flags",
    answer=Touched,
    approval=Approval.CHANGE_KEYS,
)
def set_key_flags(call: Call, request: SetKeyFlags) -> Change:
    """Change the flags, from the next request on."""
    record = call.target
    given = {"deletable": request.deletable, "exportable": request.exportable}
    flags = {name: value for name, value in given.items() if value is not None}
    changed = record.changed(call.now_us, protection=record.protection._replace(**flags))
    return Change((Put(changed),), Touched(record.id), detail=f"flags {flags}")


def given_to(record: ManagedObject, owner: str, now_us: int) -> ManagedObject:
    """Return an object as another user's; what that user was granted is among what owners may do."""
    return record.changed(now_us, owner=owner, grants=without(record.grants, personal(owner)))


def grants_of(record: ManagedObject) -> Grants:
    """Return the owner and everything that is granted, groups first; of a group first what no policy narrows."""
    granted = [
        Grant("", name.removeprefix(PERSONAL), mask) if name.startswith(PERSONAL) else Grant(name, "", mask)
        for name, mask in record.grants.items()
        if not name.startswith(CONDITIONAL)
    ]
    granted += [Grant(group, "", mask, policy) for policy, group, mask in conditions(record.grants)]
    granted.sort(key=lambda one: (one.user, one.group, one.policy))
    return Grants(record.id, record.owner, tuple(granted), caution_on(record))


def caution_on(record: ManagedObject) -> str:
    """Return a warning where a key's use is narrowed in two ways, of which one is meant to be chosen (KS-LIFE-009)."""
    dates = record.dates
    ends = (dates.deactivation_us, dates.compromise_us, dates.process_start_us, dates.protect_stop_us)
    has_life_cycle = any(moment_us is not None for moment_us in ends)
    return POLICY_AND_DATES if has_life_cycle and conditions(record.grants) else ""


def _grantee(call: Call, group: str, user: str, *, taken: bool = False) -> str:
    """Return under which name something is granted; what was granted under another spelling can be taken (AMB-72)."""
    if bool(group) == bool(user):
        raise Invalid("name one group or one user", "invalid.field")
    check_name(group or user, "group" if group else "user")
    grantee = group or personal(user)
    is_as_granted = taken and held_by(call.target.grants, grantee).rights
    return grantee.lower() if call.switches.directory and not is_as_granted else grantee


def _granted(call: Call, grantee: str, held: Held, policy: str = "") -> Change:
    record = call.target
    if record.owner is None:
        raise Refused("a key without an owner is everybody's; nothing is granted on it", "refused.permission")
    _check(held.rights, record)
    grants = with_held(record.grants, grantee, held)
    if len(grants) > GROUPS_PER_KEY_COUNT_MAX:
        raise Invalid(
            "a key is granted to at most 100 groups and users; each policy of a group counts", "invalid.field"
        )
    named = grantee.replace(":", " ") if grantee.startswith(PERSONAL) else f"group {grantee}"
    narrowed = "".join(f", {mask:#x} under policy {name}" for name, mask in sorted(held.under.items()))
    changed = record.changed(call.now_us, grants=grants)
    puts = (Put(changed), Put(_named_policy(call, policy))) if policy else (Put(changed),)
    return Change(puts, grants_of(changed), detail=f"{named} granted {grants.get(grantee, 0):#x}{narrowed}")


def _check_policy(request: GrantKey | GiveRights) -> None:
    if request.policy and not request.group:
        raise Invalid("a policy narrows what a group may do; name the group", "invalid.field")
    if request.policy and not request.rights & ~SEE:
        raise Invalid("name the rights that the policy narrows; seeing is none of them", "invalid.field")


def _named_policy(call: Call, name: str) -> Record:
    if call.target.object_type == ObjectType.CERTIFICATE:
        raise Invalid("policies are not for certificates", "invalid.object_type")
    return found_policy(call, name)


def _check(rights: int, record: ManagedObject) -> None:
    if rights < 0 or rights & ~int(GRANTABLE):
        raise Invalid("groups and users are never granted changing or destroying", "invalid.field")
    if rights & ~int(_possible(record.object_type, record.shape.algorithm)):
        raise Invalid("the key's algorithm cannot do this; grant only what it can", "invalid.field")


def _possible(object_type: int, algorithm: int) -> Right:
    if object_type == ObjectType.SYMMETRIC_KEY:
        return grantable_rights(algorithm)
    return Right.SEE | Right.EXPORT | (pair_rights(algorithm) if object_type in PAIR else Right.NONE)
