"""How many requests wait: for the asker to decide, and the asker's own.

Source: requirements KS-MC-004 to 008; docs/adr/0070.
"""

from dataclasses import dataclass

from keystead.core.permission import Access
from keystead.core.records import KIND_ADMINISTRATOR, KIND_APPROVAL, Record
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.operations.administrators import is_approver
from keystead.operations.approvals import PENDING
from keystead.operations.users import records_of


@dataclass(frozen=True, slots=True)
class CountApprovals:
    """Count the requests that wait for approvals."""


@dataclass(frozen=True, slots=True)
class ApprovalCounts:
    """How many requests wait.

    Attributes:
        to_decide_count: Of others, which the asker can approve and has not.
        own_count: Which the asker has made.
    """

    to_decide_count: int
    own_count: int


@operation(CountApprovals, "approval.count", "ApprovalCount", administrator=Access.ANY, route="GET /approval-counts")
def count_approvals(call: Call, _request: CountApprovals) -> ApprovalCounts:
    """Return the numbers; root has no account and can decide nothing by itself."""
    account = call.desk.objects.record(KIND_ADMINISTRATOR, call.principal.name)
    if call.principal.kind != "administrator" or account is None:
        return ApprovalCounts(0, 0)
    waiting = [one for one in records_of(call, KIND_APPROVAL) if _waits(one, call.now_us)]
    own = [one for one in waiting if one.fields["requester"][2] == account.id]
    others = [one for one in waiting if one not in own and not _has_approved(one, account.id)]
    return ApprovalCounts(len(others) if is_approver(call, account) else 0, len(own))


def _waits(record: Record, now_us: int) -> bool:
    return bool(record.fields["state"] == PENDING and record.fields["expires_us"] > now_us)


def _has_approved(record: Record, account: str) -> bool:
    return any(approver == account for approver, *_ in record.fields["approvals"])
