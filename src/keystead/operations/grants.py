"""Permissions of a key: what the members of a group may do with it, and whether it may be deleted and exported at all.

Law: a group is granted only what groups may be granted and what the key's algorithm can do; never anything on a key
that belongs to nobody, which everybody may use anyway.

Source: requirements KS-KEY-004 to 006, 008, 009, 021 to 023; KS-AUTH-013; chapter Keys (Permissions, Properties).
"""

from dataclasses import dataclass

from keystead.core.algorithms import grantable_rights
from keystead.core.attribute_table import PAIR, ObjectType
from keystead.core.changes import Change, Put
from keystead.core.errors import Invalid, Refused
from keystead.core.key_pairs import pair_rights
from keystead.core.permission import GRANTABLE, Access, Right
from keystead.gate.call import Call
from keystead.gate.operation import Target, operation
from keystead.operations.requests import Touched
from keystead.operations.users import check_name

GROUPS_PER_KEY_COUNT_MAX = 100


@dataclass(frozen=True, slots=True)
class GrantKey:
    """Let a group use a key.

    Attributes:
        target: Id of the key.
        group: Name of the group; it need not have members yet.
        rights: Bit mask of permission.Right; 0 takes everything back.
    """

    target: str
    group: str
    rights: int


@dataclass(frozen=True, slots=True)
class SetKeyFlags:
    """Say whether clients may delete and export a key; None leaves a flag as it is."""

    target: str
    deletable: bool | None = None
    exportable: bool | None = None


@operation(
    GrantKey,
    "key.grant",
    "KeyGrant",
    user=Right.MODIFY,
    administrator=Access.KEYS,
    targets=(Target(Right.MODIFY),),
    configuration=True,
)
def grant_key(call: Call, request: GrantKey) -> Change:
    """Replace what the group may do with the key."""
    record = call.target
    check_name(request.group, "group")
    if record.owner is None:
        raise Refused("a key without an owner is everybody's; groups are granted nothing on it", "refused.permission")
    grants = {group: mask for group, mask in record.grants.items() if group != request.group}
    if request.rights:
        grants[request.group] = _checked(request.rights, record.object_type, record.shape.algorithm)
    if len(grants) > GROUPS_PER_KEY_COUNT_MAX:
        raise Invalid("a key is granted to at most 100 groups", "invalid.field")
    detail = f"group {request.group} granted {request.rights:#x}"
    return Change((Put(record.changed(call.now_us, grants=grants)),), Touched(record.id), detail=detail)


@operation(SetKeyFlags, "key.set_flags", "KeySetFlags", administrator=Access.KEYS, targets=(Target(Right.MODIFY),))
def set_key_flags(call: Call, request: SetKeyFlags) -> Change:
    """Change the flags, from the next request on."""
    record = call.target
    given = {"deletable": request.deletable, "exportable": request.exportable}
    flags = {name: value for name, value in given.items() if value is not None}
    changed = record.changed(call.now_us, protection=record.protection._replace(**flags))
    return Change((Put(changed),), Touched(record.id), detail=f"flags {flags}")


def _checked(rights: int, object_type: int, algorithm: int) -> int:
    if rights < 0 or rights & ~int(GRANTABLE):
        raise Invalid("groups are never granted changing or destroying", "invalid.field")
    if rights & ~int(_possible(object_type, algorithm)):
        raise Invalid("the key's algorithm cannot do this; grant only what it can", "invalid.field")
    return rights | int(Right.SEE)


def _possible(object_type: int, algorithm: int) -> Right:
    if object_type == ObjectType.SYMMETRIC_KEY:
        return grantable_rights(algorithm)
    return Right.SEE | Right.EXPORT | (pair_rights(algorithm) if object_type in PAIR else Right.NONE)
