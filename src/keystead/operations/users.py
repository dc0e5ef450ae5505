"""Key users: creating, listing, groups, disabling.

Source: requirements KS-USR-001, 006, 007; KS-AUTH-013; KS-GEN-012; chapter Local users and groups.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from keystead.core.approvals import Approval
from keystead.core.changes import Change, Put
from keystead.core.errors import Exists, Invalid, NotFound
from keystead.core.fields import Items, Text
from keystead.core.permission import Access
from keystead.core.records import KIND_USER, Record
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import operation

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")  # KS-USR-001
GROUPS_PER_USER_COUNT_MAX = 100
NAME_CHARACTERS_MAX = 64
UserName = Annotated[str, Text(NAME.pattern, NAME_CHARACTERS_MAX, example="alice")]
GroupName = Annotated[str, Text(NAME.pattern, NAME_CHARACTERS_MAX, example="staff")]
GroupNames = Annotated[tuple[str, ...], Items(GROUPS_PER_USER_COUNT_MAX), Text(NAME.pattern, NAME_CHARACTERS_MAX)]
USERS_LISTED_COUNT_MAX = 1000


@dataclass(frozen=True, slots=True)
class CreateUser:
    """Create a key user. The name cannot be changed afterwards."""

    name: UserName
    groups: GroupNames = ()


@dataclass(frozen=True, slots=True)
class ListUsers:
    """List key users by name, at most 1000 after `after`."""

    after: str = ""


@dataclass(frozen=True, slots=True)
class ShowUser:
    """Show one key user."""

    name: UserName


@dataclass(frozen=True, slots=True)
class SetGroups:
    """Put a user into these groups and no others."""

    name: UserName
    groups: GroupNames = ()


@dataclass(frozen=True, slots=True)
class DisableUser:
    """Shut a user out, or let them in again; open connections notice at once."""

    name: UserName
    disabled: bool = True


@dataclass(frozen=True, slots=True)
class User:
    """A key user as administrators see it."""

    name: str
    groups: tuple[str, ...]
    disabled: bool


@operation(
    CreateUser, "user.create", "UserCreate", administrator=Access.USERS, answer=User, approval=Approval.CHANGE_USERS
)
def create_user(call: Call, request: CreateUser) -> Change:
    """Create the user."""
    check_name(request.name, "user")
    if call.desk.objects.record(KIND_USER, request.name, call.principal.realm) is not None:
        raise Exists(f"there is a user {request.name} already; choose another name")
    fields = {"groups": checked_groups(request.groups), "disabled": False}
    record = Record(KIND_USER, new_id(call.now_us), request.name, fields, call.principal.realm)
    return _stored(record, f"user {request.name} created")


@operation(ListUsers, "user.list", "UserList", administrator=Access.ANY)
def list_users(call: Call, request: ListUsers) -> tuple[User, ...]:
    """Return users by name."""
    reader = call.desk.objects.reader
    loaded = reader.list_records(KIND_USER, request.after, USERS_LISTED_COUNT_MAX, call.principal.realm)
    return tuple(user_of(found.record) for found in loaded if isinstance(found.record, Record))


@operation(ShowUser, "user.show", "UserShow", administrator=Access.ANY)
def show_user(call: Call, request: ShowUser) -> User:
    """Return one user."""
    return user_of(found_user(call, request.name))


@operation(
    SetGroups,
    "user.set_groups",
    "UserSetGroups",
    administrator=Access.USERS,
    route="PUT /users/{name}/groups",
    answer=User,
    approval=Approval.CHANGE_USERS,
)
def set_groups(call: Call, request: SetGroups) -> Change:
    """Replace the user's groups."""
    return regrouped_user(found_user(call, request.name), checked_groups(request.groups))


@operation(
    DisableUser, "user.disable", "UserDisable", administrator=Access.USERS, answer=User, approval=Approval.CHANGE_USERS
)
def disable_user(call: Call, request: DisableUser) -> Change:
    """Disable or enable the user."""
    record = found_user(call, request.name)
    word = "disabled" if request.disabled else "enabled"
    return _stored(changed_user(record, {"disabled": request.disabled}), f"user {request.name} {word}")


def check_name(name: str, kind: str) -> None:
    """Check the name of a user or group.

    Raises:
        Invalid: not of the pattern of KS-USR-001.
    """
    if NAME.fullmatch(name) is None:
        raise Invalid(
            f"a {kind}'s name begins with a letter and has up to 64 letters, digits, underscores, periods and hyphens",
            "invalid.field",
        )


def records_of(call: Call, kind: str) -> Iterator[Record]:
    """Return every record of a kind in the asker's realm, by handle."""
    return call.desk.objects.records(kind, call.principal.realm)


def checked_groups(groups: tuple[str, ...]) -> list[str]:
    """Return names of groups as they are kept: each once, in order.

    Raises:
        Invalid: too many, or no names of groups.
    """
    if len(groups) > GROUPS_PER_USER_COUNT_MAX:
        raise Invalid("a user is in at most 100 groups", "invalid.field")
    for group in groups:
        check_name(group, "group")
    return sorted(set(groups))


def found_user(call: Call, name: str) -> Record:
    """Return a user's record.

    Raises:
        NotFound: there is no such user.
    """
    record = call.desk.objects.record(KIND_USER, name, call.principal.realm)
    if record is None:
        raise NotFound(f"there is no user {name}; `keystead user create` makes one")
    return record


def known_user(call: Call, name: str) -> str:
    """Return the name of a user as keys and certificates have it; whom a directory has is not asked here (AMB-72).

    Raises:
        NotFound: there is no such user. Invalid: no user of a directory can be called so.
    """
    if not call.switches.directory:
        return found_user(call, name).handle
    check_name(name, "user")
    return name.lower()


def user_of(record: Record) -> User:
    """Return a user as administrators see it."""
    return User(record.handle, tuple(record.fields.get("groups", ())), bool(record.fields.get("disabled")))


def changed_user(record: Record, changes: Mapping[str, Any]) -> Record:
    """Return a user's record with some fields changed."""
    return record._replace(fields={**record.fields, **changes})


def regrouped_user(record: Record, groups: list[str]) -> Change:
    """Return the change that puts a user into these groups and no others."""
    changed = changed_user(record, {"groups": groups})
    return _stored(changed, f"user {record.handle} in groups {', '.join(groups) or '-'}")


def _stored(record: Record, detail: str) -> Change:
    return Change((Put(record),), user_of(record), detail=detail)
