"""Administrators who prove by name and password, within another's request, that they stand behind it.

Laws: they are judged as at a login, all of them before anything is said; one that fails fails them all, and which one
it was is not told; failures count towards locking. Root is no administrator: at the local door it names one.

Source: requirements KS-MC-008, 021; KS-ADM-015 to 018; attacks.md classes 41 and 47; docs/adr/0070.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from keystead.core.changes import Change, Put
from keystead.core.errors import Conflict, Invalid, Refused, Unauthenticated
from keystead.core.permission import Access
from keystead.core.records import KIND_ADMINISTRATOR, Record
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.operations.administrators import is_approver
from keystead.operations.logins import (
    FAILED,
    AccountKind,
    Door,
    LogIn,
    attempts_at,
    failed_again,
    judge,
    succeeded,
)

CREDENTIALS_COUNT_MAX = 16
CANNOT_APPROVE = "only administrators with high access and a password of their own can approve"


@dataclass(frozen=True, slots=True)
class Proven:
    """Accounts whose passwords were right, and what is written because of that."""

    records: tuple[Record, ...]
    puts: tuple[Put, ...]


def proven(call: Call) -> Proven | Change:
    """Judge every credential of the message; a change when one fails, which counts the failures and is its error.

    Raises:
        Invalid: too many, or a name twice. Laborious: not yet judged. Conflict: an account was changed meanwhile.
    """
    given = call.credentials
    names = [name for name, _ in given]
    if len(given) > CREDENTIALS_COUNT_MAX or len(set(names)) < len(names):
        raise Invalid(f"name each administrator once, and at most {CREDENTIALS_COUNT_MAX}", "invalid.field")
    records = [call.desk.objects.record(KIND_ADMINISTRATOR, name) for name in names]
    kept = tuple(None if record is None else record.fields.get("password") for record in records)
    judged = call.made_before(partial(_judge_all, tuple(password for _, password in given), kept))
    if tuple(phc for phc, _ in judged) != kept:
        raise Conflict("an account was changed while its password was judged; send the request again", "conflict")
    side = Door.LOCAL if call.principal.kind == "local" else Door.WEB
    logins = [LogIn(name, password, AccountKind.ADMINISTRATOR, side) for name, password in given]
    failures = [
        failure
        for login, record, (_, is_right) in zip(logins, records, judged, strict=True)
        if (failure := _failure(call, login, record, is_right=is_right)) is not None
    ]
    if failures:
        puts = tuple(put for failure in failures for put in failure.puts)
        detail = "approvals: " + "; ".join(failure.detail for failure in failures)
        return Change(puts, Unauthenticated(FAILED), detail=detail, outcome="refused")
    puts = tuple(put for login in logins for put in succeeded(call, login))
    return Proven(tuple(record for record in records if record is not None), puts)


def acting(call: Call) -> Proven | Change:
    """Return the one administrator who acts: the asker, or at the local door whom the message names; or a failure.

    Raises:
        Refused: the asker is no administrator, or has no account any more. Invalid: nobody is named, or several.
    """
    principal = call.principal
    if principal.kind == "administrator":
        if not principal.access & Access.OWN:
            raise Refused("approving is for people: log in, a token does not do", "refused.permission")
        record = call.desk.objects.record(KIND_ADMINISTRATOR, principal.name)
        if record is None or record.fields.get("disabled"):
            raise Refused("this account cannot be used any more", "refused.permission")
        return Proven((record,), ())
    if principal.kind != "local":
        raise Refused("this is for administrators", "refused.permission")
    if len(call.credentials) != 1:
        raise Invalid("root is no administrator: name the one who acts, with the password", "invalid.missing")
    return proven(call)


def check_approver(call: Call, record: Record) -> None:
    """Check that an account can approve now.

    Raises:
        Refused: it cannot.
    """
    if not is_approver(call, record):
        raise Refused(CANNOT_APPROVE, "refused.permission")


def _judge_all(passwords: Sequence[Secret], phcs: Sequence[str | None]) -> tuple[tuple[str | None, bool], ...]:
    return tuple(judge(password, phc) for password, phc in zip(passwords, phcs, strict=True))


def _failure(call: Call, login: LogIn, record: Record | None, *, is_right: bool) -> Change | None:
    if record is None:
        return Change((), None, detail="no such administrator")
    if record.fields.get("disabled"):
        return Change((), None, detail=f"administrator {login.name!r}: disabled")
    if not is_right or attempts_at(call, login).is_locked(call.now_us):
        return failed_again(call, login, "wrong password")
    return None
