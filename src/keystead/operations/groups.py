"""Groups of key users, and deleting users: whoever goes leaves nothing behind that a namesake would inherit.

A group is there once it was created or a user was put into it; one that was never created ends with its last member,
unless that one was taken out of it. Who is in it stands with the users. Deleting a group takes back what it was
granted, deleting a user revokes the certificates, so that neither comes back with the name.

Source: requirements KS-USR-006 to 009; KS-AUTH-013; chapter Local users and groups.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from keystead.core.approvals import Approval
from keystead.core.changes import Change, Put
from keystead.core.errors import Exists, NotFound, Refused, TooLarge
from keystead.core.grants import without
from keystead.core.permission import Access, personal
from keystead.core.records import KIND_GROUP, KIND_USER, ManagedObject, Record
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import operation
from keystead.operations.certificates import certificates_of, revoked
from keystead.operations.grants import given_to
from keystead.operations.users import (
    USERS_LISTED_COUNT_MAX,
    GroupName,
    User,
    UserName,
    changed_user,
    check_name,
    checked_groups,
    found_user,
    records_of,
    regrouped_user,
    user_of,
)
from keystead.storage.store import LOCATE_COUNT_MAX, Query

MEMBERS_PER_CHANGE_COUNT_MAX = 1000


@dataclass(frozen=True, slots=True)
class CreateGroup:
    """Create a group without members."""

    name: GroupName


@dataclass(frozen=True, slots=True)
class DeleteGroup:
    """Delete a group: nobody is in it any more, and what it was granted is taken back."""

    name: GroupName


@dataclass(frozen=True, slots=True)
class ListGroups:
    """List groups by name."""


@dataclass(frozen=True, slots=True)
class ShowGroup:
    """Show who is in a group."""

    name: GroupName


@dataclass(frozen=True, slots=True)
class AddMember:
    """Put a user into a group."""

    group: GroupName
    user: UserName


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Take a user out of a group."""

    group: GroupName
    user: UserName


@dataclass(frozen=True, slots=True)
class DeleteUser:
    """Delete a user, with certificates and grants.

    Attributes:
        name: Of the user.
        heir: User who gets the keys; without one a user who owns keys is not deleted (KS-USR-008).
    """

    name: UserName
    heir: UserName | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A group; `members` are names of users, at most 1000 of `members_count`."""

    name: str
    members_count: int
    members: tuple[str, ...] = ()


@operation(
    CreateGroup, "group.create", "GroupCreate", administrator=Access.USERS, answer=Group, approval=Approval.CHANGE_USERS
)
def create_group(call: Call, request: CreateGroup) -> Change:
    """Create the group."""
    check_name(request.name, "group")
    if _exists(call, request.name):
        raise Exists(f"there is a group {request.name} already; choose another name")
    record = Record(KIND_GROUP, new_id(call.now_us), request.name, {}, call.principal.realm)
    return Change((Put(record),), Group(request.name, 0), detail=f"group {request.name} created")


@operation(ListGroups, "group.list", "GroupList", administrator=Access.ANY)
def list_groups(call: Call, _request: ListGroups) -> tuple[Group, ...]:
    """Return groups by name, with how many are in each."""
    counts = Counter({record.handle: 0 for record in records_of(call, KIND_GROUP)})
    for user in records_of(call, KIND_USER):
        counts.update(user.fields.get("groups", ()))
    return tuple(Group(name, counts[name]) for name in sorted(counts))


@operation(ShowGroup, "group.show", "GroupShow", administrator=Access.ANY)
def show_group(call: Call, request: ShowGroup) -> Group:
    """Return one group."""
    names = [user.handle for user in _members(call, request.name)]
    _check_exists(call, request.name)
    return Group(request.name, len(names), tuple(names[:USERS_LISTED_COUNT_MAX]))


@operation(
    AddMember,
    "group.add_member",
    "GroupAddMember",
    administrator=Access.USERS,
    route="PUT /groups/{group}/members/{user}",
    answer=User,
    approval=Approval.CHANGE_USERS,
)
def add_member(call: Call, request: AddMember) -> Change:
    """Put the user into the group."""
    _check_exists(call, request.group)
    record = found_user(call, request.user)
    return regrouped_user(record, checked_groups((*record.fields.get("groups", ()), request.group)))


@operation(
    RemoveMember,
    "group.remove_member",
    "GroupRemoveMember",
    administrator=Access.USERS,
    route="DELETE /groups/{group}/members/{user}",
    answer=User,
    approval=Approval.CHANGE_USERS,
)
def remove_member(call: Call, request: RemoveMember) -> Change:
    """Take the user out of the group, which stays."""
    record = found_user(call, request.user)
    groups = list(record.fields.get("groups", ()))
    if request.group not in groups:
        raise NotFound(f"{request.user} is not in a group {request.group}")
    groups.remove(request.group)
    change = regrouped_user(record, groups)
    return change._replace(puts=(*change.puts, *kept_groups(call, (request.group,))))


@operation(
    DeleteGroup,
    "group.delete",
    "GroupDelete",
    administrator=Access.USERS | Access.KEYS,
    answer=Group,
    approval=Approval.DELETE_USERS,
)
def delete_group(call: Call, request: DeleteGroup) -> Change:
    """Delete the group in one change."""
    _check_exists(call, request.name)
    members = list(_members(call, request.name))
    if len(members) > MEMBERS_PER_CHANGE_COUNT_MAX:
        raise TooLarge("the group has more than 1000 members; remove some first", "too_large.request")
    changed = [_left(user, request.name) for user in members]
    changed += [
        Put(record.changed(call.now_us, grants=without(record.grants, request.name)))
        for record in _objects(call, f"g:{request.name}")
    ]
    held = call.desk.objects.record(KIND_GROUP, request.name, call.principal.realm)
    purges = () if held is None else ((KIND_GROUP, held.id, held.revision),)
    detail = f"group {request.name} deleted, {len(members)} members, {len(changed) - len(members)} grants"
    return Change(tuple(changed), Group(request.name, 0), purges, detail)


@operation(
    DeleteUser,
    "user.delete",
    "UserDelete",
    administrator=Access.USERS | Access.KEYS | Access.CERTIFICATES,
    answer=User,
    approval=Approval.DELETE_USERS,
)
def delete_user(call: Call, request: DeleteUser) -> Change:
    """Delete the user in one change."""
    record = found_user(call, request.name)
    if request.heir is not None:
        found_user(call, request.heir)
        if request.heir == request.name:
            raise Refused("a user who is deleted inherits nothing; name another", "refused.permission")
    puts = [_passed_on(held, request, call.now_us) for held in _objects(call, f"u:{request.name}")]
    puts += [Put(revoked(one, call.now_us, "cessation-of-operation")) for one in certificates_of(call, request.name)]
    detail = f"user {request.name} deleted, keys to {request.heir or 'nobody'}"
    return Change(tuple(puts), user_of(record), ((KIND_USER, record.id, record.revision),), detail)


def kept_groups(call: Call, names: tuple[str, ...]) -> tuple[Put, ...]:
    """Return the records that groups known by their members alone need to outlast them."""
    return tuple(
        Put(Record(KIND_GROUP, new_id(call.now_us), name, {}, call.principal.realm))
        for name in names
        if call.desk.objects.record(KIND_GROUP, name, call.principal.realm) is None
    )


def _passed_on(held: ManagedObject, request: DeleteUser, now_us: int) -> Put:
    if held.owner != request.name:
        return Put(held.changed(now_us, grants=without(held.grants, personal(request.name))))
    if request.heir is None:
        raise Refused(
            f"{request.name} owns keys: give them to somebody (`keystead key owner`, `keystead user delete --keys-to`)",
            "refused.permission",
        )
    return Put(given_to(held, request.heir, now_us))


def _objects(call: Call, scope: str) -> Iterator[ManagedObject]:
    """Yield what is listed under a scope, destroyed or not; more than one change holds is refused."""
    query = Query(call.principal.realm, (scope,), (), call.now_us, destroyed=True)
    ids = call.desk.objects.reader.locate(query)
    if len(ids) == LOCATE_COUNT_MAX:
        raise TooLarge("this concerns 1000 keys or more; change the owner or the grants of some first")
    for object_id in ids:
        loaded = call.desk.get(object_id)
        if loaded is not None and isinstance(loaded.record, ManagedObject):
            yield loaded.record


def _members(call: Call, group: str) -> Iterator[Record]:
    return (user for user in records_of(call, KIND_USER) if group in user.fields.get("groups", ()))


def _exists(call: Call, name: str) -> bool:
    known = call.desk.objects.record(KIND_GROUP, name, call.principal.realm) is not None
    return known or next(_members(call, name), None) is not None


def _check_exists(call: Call, name: str) -> None:
    if not _exists(call, name):
        raise NotFound(f"there is no group {name}; create it first (`keystead group create`)")


def _left(user: Record, group: str) -> Put:
    groups = [name for name in user.fields.get("groups", ()) if name != group]
    return Put(changed_user(user, {"groups": groups}))
