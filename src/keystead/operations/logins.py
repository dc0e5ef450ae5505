"""Logging in with a name and a password, for users and administrators; and setting users' passwords.

Laws: whoever fails hears one sentence, whatever was wrong; it takes the same time whether or not the account exists;
what is remembered of failures is durable before the answer. The password is judged on another thread. The audit log
names the account that exists; a text that is no account's name stands nowhere, as passwords get typed there.

Source: requirements KS-AUTH-004, 010, 011; KS-ADM-015 to 018; KS-PWD-003 to 007, 016; KS-USR-002; SM-13; AMB-01.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Annotated

from keystead.core.approvals import Approval
from keystead.core.changes import Change, Put
from keystead.core.directory_names import directory_name
from keystead.core.errors import Conflict, Invalid, Unauthenticated
from keystead.core.fields import Text
from keystead.core.passwords import CHARACTERS_MAX, Attempts, Lockout, Rules, check_new, prepared
from keystead.core.permission import Access
from keystead.core.records import KIND_ADMINISTRATOR, KIND_USER, Record
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.directory import Proof
from keystead.gate.operation import operation
from keystead.operations.running_time import HOURS_PER_DAY, running_h
from keystead.operations.users import UserName, changed_user, found_user
from keystead.settings.people import Passwords, UserLockout
from keystead.storage.store import KIND_COUNTER
from keystead.trust.passwords import is_password, is_word, kept, nobodys

Password = Annotated[Secret, Text(characters_max=CHARACTERS_MAX, example="Violet-Kettle-93-Harbour")]
NOBODY = "a"  # asked for in the place of a name that no user can have; with no password it proves nothing
FAILED = "name and password do not belong together, or the account is locked or disabled"
UNPROVEN = "stranger"
"""Kind of who asks before they have proven anything; in the audit log too, where they gave an account's name."""
REMOTE_LOCK = Lockout(5, 1800, prolongs=True)
LOCAL_LOCK = Lockout(5, 300, prolongs=True)


class Door(StrEnum):
    """The way in; attempts at remote doors count together, those on the machine itself apart (KS-ADM-015)."""

    WEB = "web"
    SSH = "ssh"
    LOCAL = "local"
    KEY_SERVER = "key-server"


class AccountKind(StrEnum):
    """Whose account it is."""

    USER = "user"
    ADMINISTRATOR = "administrator"


_DOOR_ACCESS = {Door.WEB: "admin_web", Door.SSH: "admin_ssh"}
"""Ways in for which an administrator needs an access control (KS-ADM-010, 041, 042)."""
_RECORDS = {AccountKind.USER: KIND_USER, AccountKind.ADMINISTRATOR: KIND_ADMINISTRATOR}


@dataclass(frozen=True, slots=True)
class LogIn:
    """Prove who is asking by name and password.

    Attributes:
        name: Of the account.
        password: As it was typed, in UTF-8.
        kind: Of the account.
        door: The way in.
    """

    name: str
    password: Secret
    kind: AccountKind = AccountKind.USER
    door: Door = Door.KEY_SERVER


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who it is.

    Attributes:
        name: Of the account.
        must_change: The password is good for nothing but setting another one.
    """

    name: str
    must_change: bool = False


@dataclass(frozen=True, slots=True)
class SetUserPassword:
    """Set a user's password, or take it away (None): the certificate alone proves the user then."""

    name: UserName
    password: Password | None


@operation(LogIn, "session.log_in", "LogIn", strangers=True, detail=lambda found: found.name)
def log_in(call: Call, request: LogIn) -> Change:
    """Judge the password, count failures, tell who it is."""
    if request.kind is AccountKind.USER and call.switches.directory:
        return _log_in_by_directory(call, request)
    record = call.desk.objects.record(_RECORDS[request.kind], request.name)
    is_right = judged(call, request.password, None if record is None else record.fields.get("password"))
    if record is None:
        detail = f"no such {request.kind} via {request.door}"
        return Change((), Unauthenticated(FAILED), detail=detail, outcome="refused")
    if record.fields.get("disabled"):
        return _refused(call, request, "disabled")
    if not is_right or attempts_at(call, request).is_locked(call.now_us):
        return failed_again(call, request, "wrong password")
    if request.kind is AccountKind.ADMINISTRATOR and _DOOR_ACCESS.get(request.door) not in (None, *_access(record)):
        return _refused(call, request, "no access by this door")
    must_change = bool(record.fields.get("must_change")) or is_expired(call, record)
    detail = f"{request.kind} {record.handle} logged in from {call.principal.address} via {request.door}"
    person = f"{request.kind}:{record.handle}"
    return Change(succeeded(call, request), LoggedIn(record.handle, must_change), detail=detail, person=person)


def _log_in_by_directory(call: Call, request: LogIn) -> Change:
    """Have the directory judge; while an account is locked here it hears nothing of passwords, so locks nothing."""
    name = directory_name(request.name)
    if name is None:
        call.made(Proof(NOBODY, None))
        return Change((), Unauthenticated(FAILED), detail="no such user via key-server", outcome="refused")
    asked = replace(request, name=name)
    is_locked = attempts_at(call, asked).is_locked(call.now_us)
    password = None if is_locked or _form(request.password) is None else request.password
    told = call.made(Proof(name, password))
    if not told["found"]:
        return Change((), Unauthenticated(FAILED), detail="no such user via key-server", outcome="refused")
    if not told["right"] or attempts_at(call, asked).is_locked(call.now_us):
        return failed_again(call, asked, "wrong password")
    detail = f"user {name} of the directory logged in from {call.principal.address} via {request.door}"
    return Change(succeeded(call, asked), LoggedIn(name), detail=detail, person=f"user:{name}")


@operation(
    SetUserPassword,
    "user.set_password",
    "UserSetPassword",
    administrator=Access.USERS,
    route="PUT /users/{name}/password",
    approval=Approval.CHANGE_USERS,
)
def set_user_password(call: Call, request: SetUserPassword) -> Change:
    """Keep the new password; it counts from the next login on."""
    record = found_user(call, request.name)
    if request.password is None:
        changed = changed_user(record, {"password": None})
        return Change((Put(changed),), None, detail=f"user {request.name} has no password any more")
    phc = new_password(call, request.password, request.name)
    detail = f"user {request.name} has a new password"
    return Change((Put(changed_user(record, {"password": phc})),), None, detail=detail)


def judged(call: Call, password: Secret, phc: str | None) -> bool:
    """Tell on another thread whether a password is the one that is kept; None = nobody's.

    Raises:
        Laborious: not yet known. Conflict: another password was set meanwhile.
    """
    judged_phc, is_right = call.made(partial(judge, password, phc))
    if judged_phc != phc:
        raise Conflict("the account was changed while its password was judged; log in again", "conflict")
    return bool(is_right)


def attempts_at(call: Call, request: LogIn) -> Attempts:
    """Return what is remembered of failures of an account on this side."""
    fields = _memory(call, request).fields
    return Attempts(fields.get("failures_count", 0), fields.get("locked_until_us", 0))


def failed_again(call: Call, request: LogIn, why: str) -> Change:
    """Return the change that counts a failure, unless the account is locked already, and its error."""
    attempts = attempts_at(call, request)
    is_locked = attempts.is_locked(call.now_us)
    after = attempts.failed(lockout_of(call, request), call.now_us)
    puts = (Put(_remembered(_memory(call, request), after)),) if after != attempts else ()
    begins = after.is_locked(call.now_us) and not is_locked
    return _refused(call, request, "locked" if is_locked else f"{why}, locked from now on" if begins else why, puts)


def succeeded(call: Call, request: LogIn) -> tuple[Put, ...]:
    """Return what forgets the failures of an account on this side, if there were any."""
    memory = _memory(call, request)
    return (Put(_remembered(memory, Attempts())),) if memory.fields.get("failures_count") else ()


def is_expired(call: Call, record: Record) -> bool:
    """Tell whether an administrator's password is older than they may be; 0 days = they do not age (KS-PWD-008)."""
    days = call.desk.objects.section(Passwords).age_days
    return record.kind == KIND_ADMINISTRATOR and 0 < days * HOURS_PER_DAY <= age_h(call, record)


def age_h(call: Call, record: Record) -> int:
    """Return the age of an administrator's password in hours of running time (KS-PWD-010)."""
    return max(0, running_h(call) - int(record.fields.get("password_since_h", 0)))


def replaced_password(call: Call, current: Secret, new: Secret, record: Record, history: tuple[str, ...]) -> str | None:
    """Return what is kept of a new password after the current one was judged, None when that was wrong.

    Raises:
        Invalid: the new one is too easy, the current one, or among former ones. Laborious: not yet made.
    """
    phc = record.fields.get("password")
    judged_phc, kept_phc, why = call.made(
        partial(_replace, (current, new), (phc, *history), record.handle, _rules(call))
    )
    if judged_phc != phc:
        raise Conflict("the account was changed meanwhile; try again", "conflict")
    if why is not None:
        raise Invalid(why)
    return None if kept_phc is None else str(kept_phc)


def new_password(call: Call, password: Secret, name: str) -> str:
    """Check a password against the rules as they are now, and return what is kept of it, made on another thread.

    Raises:
        Invalid: too easy, or against a rule. Laborious: not yet made.
    """
    return str(call.made(partial(_keep, password, name, _rules(call))))


def lockout_of(call: Call, request: LogIn) -> Lockout:
    """Return after how many failures an account is locked, and for how long."""
    if request.kind is AccountKind.ADMINISTRATOR:
        return LOCAL_LOCK if request.door is Door.LOCAL else REMOTE_LOCK
    section = call.desk.objects.section(UserLockout)
    return Lockout(section.failures_count if section.enabled else 0, section.duration_s)


def judge(password: Secret, phc: str | None) -> tuple[str | None, bool]:
    """Return what was judged by, and whether the password is right; on another thread, in the same time for nobody."""
    form = _form(password)
    is_right = is_password(form or Secret(b""), phc or nobodys())
    return phc, is_right and form is not None and phc is not None


def _refused(call: Call, request: LogIn, why: str, puts: tuple[Put, ...] = ()) -> Change:
    """Return what remembers a failure of an account that exists; a stranger goes by its name, and stays a stranger."""
    detail = f"{request.kind} {request.name!r} via {request.door}: {why}"
    person = f"{UNPROVEN}:{request.name}" if call.principal.kind == UNPROVEN else ""
    return Change(puts, Unauthenticated(FAILED), detail=detail, outcome="refused", person=person)


def _replace(
    passwords: tuple[Secret, Secret], phcs: tuple[str | None, ...], name: str, rules: Rules
) -> tuple[str | None, str | None, str | None]:
    """Return the PHC string that was judged, the new one (None = the current password was wrong), and what is wrong."""
    current, new = passwords
    phc, is_right = judge(current, phcs[0])
    if not is_right:
        return phc, None, None
    form = _form(new)
    if form is not None and any(is_password(form, former) for former in phcs if former is not None):
        return phc, None, "the password is the current one or was used before; choose another"
    try:
        return phc, _keep(new, name, rules), None
    except Invalid as error:
        return phc, None, error.message


def _rules(call: Call) -> Rules:
    section = call.desk.objects.section(Passwords)
    kinds = (section.length_min, section.lower, section.upper, section.digit, section.special)
    return Rules(*kinds, angle=section.angle)


def _access(record: Record) -> Iterable[str]:
    names: Iterable[str] = record.fields.get("access", ())
    return names


def _keep(password: Secret, name: str, rules: Rules) -> str:
    form = _form(password)
    if form is None:
        raise Invalid("a password is text in UTF-8, not empty, without control characters, of at most 256 characters")
    check_new(form.reveal().decode(), name, rules, is_word)
    return kept(form)


def _form(password: Secret) -> Secret | None:
    """Return the one form of what was typed; None when there is none."""
    try:
        return Secret(prepared(password.reveal().decode()).encode())
    except (UnicodeDecodeError, Invalid):
        return None


def _memory(call: Call, request: LogIn) -> Record:
    """Return the record of what is remembered of failures: a counter, which nobody has to look at when it changes."""
    side = "local" if request.door is Door.LOCAL else "remote"
    handle = f"attempts.{request.kind}.{side}.{request.name}"
    held = call.desk.objects.record(KIND_COUNTER, handle)
    return held if held is not None else Record(KIND_COUNTER, handle, handle, {})


def _remembered(memory: Record, attempts: Attempts) -> Record:
    fields = {"failures_count": attempts.failures_count, "locked_until_us": attempts.locked_until_us}
    return memory._replace(fields=fields)
