"""Approvals: what an administrator asks waits until enough others stand behind exactly that request.

Laws: nothing that is declared with an approval runs while approvals are missing. What runs is the stored request, once,
authorised anew as whoever asked; the requester counts but never approves; who has approved counts only while they could
approve now. The record's revision decides between two who act at once.

Source: requirements KS-MC-001 to 008, 021; design.md section 3 and section 6 ("pending approvals"); attacks.md classes
22 and 41; docs/adr/0070.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from keystead.core.approvals import Approval, missing_count
from keystead.core.changes import Change, Put
from keystead.core.errors import (
    Conflict,
    Exists,
    Invalid,
    KeysteadError,
    Limited,
    NotFound,
    Pending,
    Refused,
    Unavailable,
)
from keystead.core.fields import Text
from keystead.core.permission import Access
from keystead.core.records import KIND_ADMINISTRATOR, KIND_APPROVAL, Record
from keystead.gate.approvals import approval_rule
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import Declaration, operation
from keystead.gate.plain import declaration_of
from keystead.operations.administrators import approvers_count, is_approver
from keystead.operations.approval_records import (
    APPROVE,
    Asked,
    asked_of,
    opened_request,
    principal_of,
    requester_of,
    sealed_request,
    view_of,
)
from keystead.operations.approvers import CANNOT_APPROVE, Proven, acting, check_approver, proven
from keystead.operations.credentials import granted_by
from keystead.operations.settings import section_check
from keystead.operations.users import records_of
from keystead.settings.approvals import MultipleCredentials

PENDING_COUNT_MAX = 200
PENDING_PER_REQUESTER_COUNT_MAX = 20
RECORDS_COUNT_MAX = 1000  # decided ones among them; the oldest of those goes first
KEPT_DAYS = 30
REASON_CHARACTERS_MAX = 1000
ApprovalId = Annotated[str, Text(r"[0-9a-f-]{36}", 36)]
US_PER_HOUR = 3_600_000_000
PENDING = "pending"
_TRANSIENT = (Conflict, Limited, Unavailable)


@dataclass(frozen=True, slots=True)
class ListApprovals:
    """List requests that wait or were decided in the last 30 days, oldest first."""


@dataclass(frozen=True, slots=True)
class ShowApproval:
    """Show one request."""

    id: ApprovalId


@dataclass(frozen=True, slots=True)
class Approve:
    """Stand behind a request; the last approval that was missing runs it.

    Attributes:
        id: Of the request.
        hash: SHA-256 of the stored request in hexadecimal, as it was shown.
    """

    id: ApprovalId
    hash: Annotated[str, Text(r"[0-9A-Fa-f]{64}", 64)]


@dataclass(frozen=True, slots=True)
class RefuseApproval:
    """Refuse a request for good; `reason` is for whoever asked, at most 1000 characters."""

    id: ApprovalId
    reason: Annotated[str, Text(characters_max=REASON_CHARACTERS_MAX)]


@dataclass(frozen=True, slots=True)
class WithdrawApproval:
    """Take one's own request back."""

    id: ApprovalId


@dataclass(frozen=True, slots=True)
class ExpireApprovals:
    """Close requests whose time has passed, forget old ones; asked by the clock. Result: how many were closed."""


@dataclass(frozen=True, slots=True)
class ApprovalShown:
    """A request as people see it.

    Attributes:
        operation: Dotted name of what is asked.
        kind: What is approved.
        requester: "kind:name".
        state: "pending", "done", "failed", "refused", "withdrawn" or "expired".
        missing_count: Approvals that are missing now.
        approved_by: Names, in order.
        view: Field of the request -> its value as text; "(secret)" for secrets.
        hash: SHA-256 of the stored request in hexadecimal.
        outcome: What came of it.
    """

    id: str
    operation: str
    kind: str
    requester: str
    state: str
    created_us: int
    expires_us: int
    missing_count: int
    approved_by: tuple[str, ...]
    view: Mapping[str, str]
    hash: str
    outcome: str


@section_check(MultipleCredentials)
def check_section(call: Call, before: MultipleCredentials, after: MultipleCredentials) -> str:
    """Let the number never exceed those who could approve (KS-MC-002)."""
    count = approvers_count(call)
    if (after.required or after.administrators_count != before.administrators_count) and (
        count < after.administrators_count
    ):
        raise Refused(
            f"there are {count} administrators who could approve, {after.administrators_count} are needed; "
            f"{CANNOT_APPROVE}",
            "refused.feature",
        )
    return ""


@approval_rule
def run_or_wait(call: Call, declaration: Declaration, request: Any, kind: Approval) -> Any:
    """Run the handler if enough administrators stand behind the request now; else have it wait, or refuse it.

    With names and passwords of others it is decided at once, and nothing is kept if they are not enough (KS-MC-008).
    """
    section = call.desk.objects.section(MultipleCredentials)
    if not section.required:
        return declaration.handler(call, request)
    requester = requester_of(call)
    names = dict(granted_by(call, requester.account, declaration, kind))
    shown = Proven((), ())
    if call.credentials:
        judged = proven(call)
        if isinstance(judged, Change):
            return judged
        shown = judged
        names |= {record.id: record.handle for record in shown.records if is_approver(call, record)}
    missing = missing_count(section.administrators_count, requester.account, names)
    if missing and call.credentials:
        error = Pending(f"{missing} approvals are missing; nothing was done. {_sentence(CANNOT_APPROVE)}")
        return Change(shown.puts, error, detail=f"{missing} approvals missing", outcome="refused")
    if missing:
        return _waiting(call, declaration, request, kind, missing)
    names.pop(requester.account, None)
    outcome = declaration.handler(call, request)
    by = f"approved by {', '.join(sorted(names.values()))}"
    if not isinstance(outcome, Change):
        return Change(shown.puts, outcome, detail=by)
    return outcome._replace(puts=(*outcome.puts, *shown.puts), detail=f"{outcome.detail}; {by}".removeprefix("; "))


@operation(ListApprovals, "approval.list", "ApprovalList", administrator=Access.ANY)
def list_approvals(call: Call, _request: ListApprovals) -> tuple[ApprovalShown, ...]:
    """Return those that the asker may see: all with high access, else the own ones."""
    return tuple(_shown(call, record) for record in records_of(call, KIND_APPROVAL) if _may_see(call, record))


@operation(ShowApproval, "approval.show", "ApprovalShow", administrator=Access.ANY)
def show_approval(call: Call, request: ShowApproval) -> ApprovalShown:
    """Return one."""
    return _shown(call, _found(call, request.id))


@operation(Approve, APPROVE, "ApprovalApprove", administrator=Access.ANY | Access.OWN, answer=ApprovalShown)
def approve(call: Call, request: Approve) -> Change:
    """Take down the approval, and run the request with the last one."""
    actor = acting(call)
    if isinstance(actor, Change):
        return actor
    (approver,) = actor.records
    check_approver(call, approver)
    record = _open(_found(call, request.id))
    asked = asked_of(record)
    if asked.expires_us <= call.now_us:
        return _ended(call, record, "expired", "its time has passed", Refused("its time has passed; ask again"))
    if request.hash.lower() != asked.digest().hex():
        raise Refused("this is not the hash of the request as it is stored; look at it again", "refused.permission")
    if approver.id == asked.requester.account:
        raise Refused("nobody approves their own request", "refused.permission")
    if any(account == approver.id for account, *_ in record.fields["approvals"]):
        raise Exists("you approved it already; somebody else has to")
    given = [*record.fields["approvals"], [approver.id, approver.handle, call.now_us, asked.digest()]]
    approved = record._replace(fields={**record.fields, "approvals": given})
    missing = _missing(call, approved, asked)
    if not missing:
        return _run(call, approved, asked, actor)
    detail = f"{approver.handle} approved {asked.operation} of {_who(asked)} ({asked.id}), {missing} missing"
    return Change((Put(approved), *actor.puts), _shown(call, approved), detail=detail)


@operation(
    RefuseApproval, "approval.refuse", "ApprovalRefuse", administrator=Access.ANY | Access.OWN, answer=ApprovalShown
)
def refuse_approval(call: Call, request: RefuseApproval) -> Change:
    """Close the request; one refusal is enough."""
    actor = acting(call)
    if isinstance(actor, Change):
        return actor
    (approver,) = actor.records
    check_approver(call, approver)
    if len(request.reason) > REASON_CHARACTERS_MAX or not request.reason.isprintable():
        raise Invalid("a reason has at most 1000 characters, on one line", "invalid.field")
    ended = _ended(call, _open(_found(call, request.id)), "refused", f"{approver.handle}: {request.reason}")
    return ended._replace(puts=(*ended.puts, *actor.puts))


@operation(WithdrawApproval, "approval.withdraw", "ApprovalWithdraw", administrator=Access.ANY, answer=ApprovalShown)
def withdraw_approval(call: Call, request: WithdrawApproval) -> Change:
    """Close the own request."""
    record = _open(_found(call, request.id))
    if not _is_own(call, record):
        raise Refused("only who asked takes a request back; others can refuse it", "refused.permission")
    return _ended(call, record, "withdrawn", "by who asked")


@operation(ExpireApprovals, "approval.expire", "ApprovalExpire")
def expire_approvals(call: Call, _request: ExpireApprovals) -> Change | int:
    """Close and forget."""
    records = list(records_of(call, KIND_APPROVAL))
    late = [one for one in records if _is_open(one) and one.fields["expires_us"] <= call.now_us]
    ended = tuple(_ended(call, one, "expired", "its time has passed").puts[0] for one in late)
    until_us = call.now_us - KEPT_DAYS * 24 * US_PER_HOUR
    old = [one for one in records if not _is_open(one) and one.fields["decided_us"] < until_us]
    if not late and not old:
        return 0
    detail = f"expired: {' '.join(one.id for one in late) or '-'}; forgotten: {len(old)}"
    return Change(ended, len(late), tuple((KIND_APPROVAL, one.id, one.revision) for one in old), detail)


def _waiting(call: Call, declaration: Declaration, request: Any, kind: Approval, missing: int) -> Change:
    """Return the change that keeps a request until it is approved, and tells so."""
    requester, record_id = requester_of(call), new_id(call.now_us)
    held = list(records_of(call, KIND_APPROVAL))
    waiting = [one for one in held if _is_open(one) and one.fields["expires_us"] > call.now_us]
    own = [one for one in waiting if one.fields["requester"] == list(requester)]
    if len(waiting) >= PENDING_COUNT_MAX or len(own) >= PENDING_PER_REQUESTER_COUNT_MAX:
        raise Refused("too many requests wait for approvals; have some decided or withdraw some", "refused.feature")
    decided = sorted((one for one in held if one not in waiting), key=lambda one: one.id)
    purged = decided[: max(0, len(held) + 1 - RECORDS_COUNT_MAX)]
    expires_us = call.now_us + call.desk.objects.section(MultipleCredentials).pending_hours * US_PER_HOUR
    sealed, realm = sealed_request(call, record_id, declaration, request), call.principal.realm
    view = view_of(request)
    asked = Asked(record_id, realm, declaration.name, kind, requester, call.now_us, expires_us, view, sealed)
    state = {"state": PENDING, "approvals": [], "outcome": "", "decided_us": 0}
    record = Record(KIND_APPROVAL, record_id, record_id, {**asked.fields(), **state}, realm)
    error = Pending(
        f"{missing} more administrators have to approve this. It waits as {record_id}: "
        f"`keystead approval show {record_id}`"
    )
    detail = f"{declaration.name} of {_who(asked)} waits for {missing} approvals, SHA-256 {asked.digest().hex()}"
    purges = tuple((KIND_APPROVAL, one.id, one.revision) for one in purged)
    return Change((Put(record),), error, purges, detail, "pending")


def _run(call: Call, record: Record, asked: Asked, actor: Proven) -> Change:
    """Run the stored request as who asked it, in the change that closes its record."""
    by = ", ".join(sorted(_counted(call, record, asked).values()))
    change = Change((), None)
    try:
        outcome = call.on_behalf(principal_of(call, asked), opened_request(call, asked))
        change = outcome if isinstance(outcome, Change) else change
        error = change.result if isinstance(change.result, KeysteadError) else None
    except _TRANSIENT:
        raise
    except KeysteadError as failed:
        error = failed
    state, words = ("done", change.detail) if error is None else ("failed", f"{error.reason}: {error.message}")
    ended = _ended(call, record, state, words)
    detail = f"{asked.operation} of {_who(asked)} ({asked.id}) {state}, approved by {by}: {words}"
    return Change((*ended.puts, *change.puts, *actor.puts), ended.result, change.purges, detail)


def _ended(call: Call, record: Record, state: str, words: str, error: KeysteadError | None = None) -> Change:
    fields = {**record.fields, "state": state, "outcome": words, "decided_us": call.now_us}
    ended = record._replace(fields=fields)
    detail = f"{fields['operation']} ({record.id}) {state}: {words}"
    return Change((Put(ended),), error or _shown(call, ended), detail=detail, outcome="refused" if error else "done")


def _counted(call: Call, record: Record, asked: Asked) -> dict[str, str]:
    """Return account -> name of those who stand behind a request now."""
    declaration, counted = declaration_of(asked.operation), {}
    for account, name, _, digest in record.fields["approvals"]:
        held = call.desk.objects.record(KIND_ADMINISTRATOR, name)
        if held is not None and held.id == account and digest == asked.digest() and is_approver(call, held):
            counted[account] = name
    counted |= granted_by(call, asked.requester.account, declaration, asked.kind)
    counted.pop(asked.requester.account, None)
    return counted


def _missing(call: Call, record: Record, asked: Asked) -> int:
    count = call.desk.objects.section(MultipleCredentials).administrators_count
    return missing_count(count, asked.requester.account, _counted(call, record, asked))


def _found(call: Call, record_id: str) -> Record:
    record = call.desk.objects.record(KIND_APPROVAL, record_id, call.principal.realm)
    if record is None or not _may_see(call, record):
        raise NotFound("there is no such request; `keystead approval list` shows them")
    return record


def _open(record: Record) -> Record:
    if not _is_open(record):
        raise Refused(f"the request is decided: {record.fields['state']}", "refused.permission")
    return record


def _is_open(record: Record) -> bool:
    return bool(record.fields["state"] == PENDING)


def _is_own(call: Call, record: Record) -> bool:
    return bool(record.fields["requester"] == list(requester_of(call)))


def _may_see(call: Call, record: Record) -> bool:
    return bool(call.principal.access & Access.HIGH_ACCESS) or _is_own(call, record)


def _who(asked: Asked) -> str:
    return f"{asked.requester.kind}:{asked.requester.name}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _shown(call: Call, record: Record) -> ApprovalShown:
    fields, asked = record.fields, asked_of(record)
    return ApprovalShown(
        record.id,
        asked.operation,
        asked.kind,
        _who(asked),
        fields["state"],
        asked.created_us,
        asked.expires_us,
        _missing(call, record, asked) if _is_open(record) else 0,
        tuple(name for _, name, *_ in fields["approvals"]),
        dict(asked.view),
        asked.digest().hex(),
        fields["outcome"],
    )
