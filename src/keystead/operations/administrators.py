"""Administrators: accounts with duties that can be split, and their passwords.

The account `admin` is always there: before it was given a password nobody can log in with it. What the others may do is
said by access controls, each given or withheld for itself; only who has high access gives them.

Laws: one local administrator with high access is always left, and as many as have to approve requests. A password that
somebody else has set is good for nothing but setting another one.

Source: requirements KS-ADM-002 to 009, 011, 012, 020 to 043; KS-PWD-008 to 015; KS-GEN-002; chapter Administrators.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from keystead.core.approvals import Approval
from keystead.core.changes import Change, Put
from keystead.core.errors import Exists, Invalid, NotFound, Refused
from keystead.core.fields import Items, Text
from keystead.core.permission import ACCESS_CONTROLS, Access
from keystead.core.records import KIND_ADMINISTRATOR, Record
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import operation
from keystead.operations.logins import (
    AccountKind,
    Door,
    LogIn,
    Password,
    age_h,
    attempts_at,
    failed_again,
    is_expired,
    new_password,
    replaced_password,
)
from keystead.operations.running_time import HOURS_PER_DAY, running_h
from keystead.operations.users import records_of
from keystead.settings.approvals import MultipleCredentials
from keystead.settings.people import Passwords

BUILT_IN = "admin"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,29}")  # KS-ADM-003
FULL_NAME_CHARACTERS_MAX = 256
DESCRIPTION_CHARACTERS_MAX = 2048
ADMINISTRATORS_COUNT_MAX = 1000
AdministratorName = Annotated[str, Text(NAME.pattern, 30, example="auditor")]
AccessControls = Annotated[tuple[str, ...], Items(len(ACCESS_CONTROLS) + 1, ("all", *ACCESS_CONTROLS))]
_NO_PASSWORD = Secret(b"")


@dataclass(frozen=True, slots=True)
class CreateAdministrator:
    """Create an administrator, who must set another password at the first login.

    Attributes:
        name: Letters and digits, a letter first, at most 30; it cannot be changed.
        password: The first one.
        full_name: Of the person, at most 256 characters.
        description: At most 2048 characters.
        access: Access controls; "all" = every one.
    """

    name: AdministratorName
    password: Password
    full_name: Annotated[str, Text(characters_max=FULL_NAME_CHARACTERS_MAX)] = ""
    description: Annotated[str, Text(characters_max=DESCRIPTION_CHARACTERS_MAX)] = ""
    access: AccessControls = ()


@dataclass(frozen=True, slots=True)
class ListAdministrators:
    """List administrators by name."""


@dataclass(frozen=True, slots=True)
class ShowAdministrator:
    """Show one administrator."""

    name: AdministratorName


@dataclass(frozen=True, slots=True)
class ChangeAdministrator:
    """Change what is given; None leaves it as it is."""

    name: AdministratorName
    full_name: Annotated[str, Text(characters_max=FULL_NAME_CHARACTERS_MAX)] | None = None
    description: Annotated[str, Text(characters_max=DESCRIPTION_CHARACTERS_MAX)] | None = None
    access: AccessControls | None = None
    disabled: bool | None = None


@dataclass(frozen=True, slots=True)
class SetAdministratorPassword:
    """Set somebody's password, who must set another one right after the next login."""

    name: AdministratorName
    password: Password


@dataclass(frozen=True, slots=True)
class ChangeOwnPassword:
    """Set one's own password.

    Attributes:
        name: Of the account, at the local door, where the current password proves who it is; "" = the asker.
    """

    current: Secret
    new: Secret
    name: str = ""


@dataclass(frozen=True, slots=True)
class DeleteAdministrator:
    """Delete an administrator; `confirm` repeats the name."""

    name: AdministratorName
    confirm: AdministratorName


@dataclass(frozen=True, slots=True)
class Administrator:
    """An administrator as others see it.

    Attributes:
        name: Of the account.
        full_name: Of the person.
        description: As it was given.
        access: Access controls that are given, by name.
        disabled: Nobody can log in.
        password_status: "none", "to be changed", "expired", or its age in days of running time.
        is_locked: After wrong passwords, at the remote doors.
    """

    name: str
    full_name: str
    description: str
    access: tuple[str, ...]
    disabled: bool
    password_status: str
    is_locked: bool


@operation(
    CreateAdministrator,
    "administrator.create",
    "AdministratorCreate",
    administrator=Access.HIGH_ACCESS,
    answer=Administrator,
    approval=Approval.ADMINISTRATORS,
)
def create_administrator(call: Call, request: CreateAdministrator) -> Change:
    """Create the account."""
    if NAME.fullmatch(request.name) is None:
        raise Invalid("an administrator's name begins with a letter and has up to 30 letters and digits")
    held = _all(call)
    if request.name in held:
        raise Exists(f"there is an administrator {request.name} already; choose another name")
    if len(held) >= ADMINISTRATORS_COUNT_MAX:
        raise Refused(f"there can be {ADMINISTRATORS_COUNT_MAX} administrators; delete one who is gone")
    fields = _texts(request.full_name, request.description) | {"access": _access(request.access), "disabled": False}
    fields |= _password(call, new_password(call, request.password, request.name), must_change=True)
    record = Record(KIND_ADMINISTRATOR, new_id(call.now_us), request.name, fields)
    return _stored(call, record, f"administrator {request.name} created, may: {_told(fields)}")


@operation(ListAdministrators, "administrator.list", "AdministratorList", administrator=Access.ANY)
def list_administrators(call: Call, _request: ListAdministrators) -> tuple[Administrator, ...]:
    """Return administrators by name."""
    return tuple(_shown(call, record) for _, record in sorted(_all(call).items()))


@operation(ShowAdministrator, "administrator.show", "AdministratorShow", administrator=Access.ANY)
def show_administrator(call: Call, request: ShowAdministrator) -> Administrator:
    """Return one administrator."""
    return _shown(call, _found(call, request.name))


@operation(
    ChangeAdministrator,
    "administrator.change",
    "AdministratorChange",
    administrator=Access.HIGH_ACCESS,
    answer=Administrator,
    approval=Approval.ADMINISTRATORS,
)
def change_administrator(call: Call, request: ChangeAdministrator) -> Change:
    """Change texts, access controls, or whether the account can be used; it counts from the next request on."""
    record = _found(call, request.name)
    fields = {**record.fields, **_texts(request.full_name, request.description)}
    if request.access is not None:
        fields["access"] = _access(request.access)
    if request.disabled is not None:
        fields["disabled"] = request.disabled
    changed = record._replace(fields=fields)
    _check_somebody_is_left(call, changed)
    named = [name for name in ("full_name", "description", "access", "disabled") if getattr(request, name) is not None]
    detail = f"administrator {request.name} changed: {', '.join(named) or 'nothing'}; may: {_told(fields)}"
    return _stored(call, changed, detail)


@operation(
    SetAdministratorPassword,
    "administrator.set_password",
    "AdministratorSetPassword",
    administrator=Access.HIGH_ACCESS,
    route="PUT /administrators/{name}/password",
    answer=Administrator,
    approval=Approval.ADMINISTRATORS,
)
def set_administrator_password(call: Call, request: SetAdministratorPassword) -> Change:
    """Keep the password; the history is not asked, so that nobody learns what others used (KS-PWD-012)."""
    record = _found(call, request.name)
    phc = new_password(call, request.password, request.name)
    fields = {**record.fields, **_password(call, phc, must_change=True)}
    return _stored(call, record._replace(fields=fields), f"administrator {request.name}: password set by another")


@operation(
    ChangeOwnPassword,
    "administrator.change_own_password",
    "ChangeOwnPassword",
    administrator=Access.OWN,
    route=None,
    answer=Administrator,
)
def change_own_password(call: Call, request: ChangeOwnPassword) -> Change:
    """Judge the current password as at a login, then keep the new one, unless it was used before."""
    is_local = call.principal.kind == "local" and bool(request.name)
    if not is_local and (call.principal.kind != "administrator" or request.name):
        raise Refused("only administrators have a password here; root sets one for them", "refused.permission")
    record = _found(call, request.name or call.principal.name)
    if record.fields.get("disabled"):
        raise Refused("this account is disabled", "refused.permission")
    side = Door.LOCAL if is_local else Door.WEB
    login = LogIn(record.handle, request.current, AccountKind.ADMINISTRATOR, side)
    count = call.desk.objects.section(Passwords).history_count
    history = tuple(record.fields.get("history", ()))[-count:] if count else ()
    phc = replaced_password(call, request.current, request.new, record, history)
    if phc is None or attempts_at(call, login).is_locked(call.now_us):
        return failed_again(call, login, "wrong password at changing it")
    if count and record.fields.get("is_remembered"):
        history = (*history, str(record.fields["password"]))[-count:]
    fields = {**record.fields, **_password(call, phc, must_change=False)}
    fields |= {"history": list(history), "is_remembered": bool(count)}
    return _stored(call, record._replace(fields=fields), f"administrator {record.handle} changed the own password")


@operation(
    DeleteAdministrator,
    "administrator.delete",
    "AdministratorDelete",
    administrator=Access.HIGH_ACCESS,
    answer=Administrator,
    approval=Approval.ADMINISTRATORS,
)
def delete_administrator(call: Call, request: DeleteAdministrator) -> Change:
    """Delete the account."""
    record = _found(call, request.name)
    if request.confirm != request.name:
        raise Invalid(f"confirm by repeating the name: {request.name} would be deleted")
    _check_somebody_is_left(call, record._replace(fields={**record.fields, "disabled": True}))
    purges = ((KIND_ADMINISTRATOR, record.id, record.revision),) if record.revision else ()
    return Change((), _shown(call, record), purges, f"administrator {request.name} deleted")


def access_of(record: Record) -> Access:
    """Return what an administrator may do besides what everybody may."""
    return _sum(record.fields.get("access", ()))


def is_approver(call: Call, record: Record) -> bool:
    """Tell whether an account can approve now: high access, enabled, with an own password that is not too old."""
    return _has_high_access(record) and not record.fields.get("must_change") and not is_expired(call, record)


def approvers_count(call: Call) -> int:
    """Return how many accounts can approve now."""
    return sum(is_approver(call, record) for record in _all(call).values())


def _password(call: Call, phc: str, *, must_change: bool) -> dict[str, Any]:
    return {
        "password": phc,
        "password_since_h": running_h(call),
        "must_change": must_change,
        "is_remembered": False,
    }


def _texts(full_name: str | None, description: str | None) -> dict[str, str]:
    texts = {}
    for name, value, most in (
        ("full_name", full_name, FULL_NAME_CHARACTERS_MAX),
        ("description", description, DESCRIPTION_CHARACTERS_MAX),
    ):
        if value is not None:
            if len(value) > most or any(not one.isprintable() and one not in "\n\t" for one in value):
                raise Invalid(f"{name} has at most {most} characters, and none that cannot be seen")
            texts[name] = value
    return texts


def _access(names: Iterable[str]) -> list[str]:
    wanted = set(ACCESS_CONTROLS) if "all" in names else set(names)
    unknown = wanted - set(ACCESS_CONTROLS)
    if unknown:
        raise Invalid(f"there is no access control {min(unknown)!r}; there are: all, {', '.join(ACCESS_CONTROLS)}")
    return [name for name in ACCESS_CONTROLS if name in wanted]


def _sum(names: Iterable[str]) -> Access:
    found = Access.NONE
    for name in names:
        found |= ACCESS_CONTROLS.get(name, Access.NONE)
    return found


def _all(call: Call) -> dict[str, Record]:
    built_in = Record(
        KIND_ADMINISTRATOR, f"administrator.{BUILT_IN}", BUILT_IN, {"access": list(ACCESS_CONTROLS), "disabled": False}
    )
    return {BUILT_IN: built_in} | {record.handle: record for record in records_of(call, KIND_ADMINISTRATOR)}


def _found(call: Call, name: str) -> Record:
    record = _all(call).get(name)
    if record is None:
        raise NotFound(f"there is no administrator {name}; `keystead administrator list` shows them")
    return record


def _check_somebody_is_left(call: Call, changed: Record) -> None:
    held = _all(call)
    left = tuple({**held, changed.handle: changed}.values())
    if not any(Access.HIGH_ACCESS & access_of(one) and not one.fields.get("disabled") for one in left):
        raise Refused("one administrator with high access has to be left; give it to somebody else first")
    section = call.desk.objects.section(MultipleCredentials)
    is_lost = is_approver(call, held[changed.handle]) and not is_approver(call, changed)
    able_count = sum(is_approver(call, one) if is_lost else _has_high_access(one) for one in left)
    if section.required and able_count < section.administrators_count:
        raise Refused(f"{section.administrators_count} administrators with high access are needed to approve requests")


def _has_high_access(record: Record) -> bool:
    able = record.fields.get("password") and not record.fields.get("disabled")
    return bool(able and Access.HIGH_ACCESS & access_of(record))


def _told(fields: dict[str, Any]) -> str:
    given = fields["access"]
    return "everything" if len(given) == len(ACCESS_CONTROLS) else ", ".join(given) or "nothing"


def _shown(call: Call, record: Record) -> Administrator:
    fields = record.fields
    login = LogIn(record.handle, _NO_PASSWORD, AccountKind.ADMINISTRATOR, Door.WEB)
    return Administrator(
        record.handle,
        str(fields.get("full_name", "")),
        str(fields.get("description", "")),
        tuple(fields.get("access", ())),
        bool(fields.get("disabled")),
        _password_status(call, record),
        attempts_at(call, login).is_locked(call.now_us),
    )


def _password_status(call: Call, record: Record) -> str:
    if not record.fields.get("password"):
        return "none"
    if record.fields.get("must_change"):
        return "to be changed"
    return "expired" if is_expired(call, record) else f"{age_h(call, record) // HOURS_PER_DAY} days"


def _stored(call: Call, record: Record, detail: str) -> Change:
    return Change((Put(record),), _shown(call, record), detail=detail)
