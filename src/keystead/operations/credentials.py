"""Approvals in advance: for some hours an administrator stands behind what another one asks.

Laws: a grant counts as one further approval, its giver's, of its grantee's own requests only, and while its giver
could approve them then. It adds no access and cannot be passed on. Grants are kept in the memory of one process, on a
clock that nobody can set, so that a restart ends them all and no backup holds one.

Any administrator may grant, says KS-MC-012; only who could approve (high access) and has the access for the operation
himself may here, as a grant is an approval.

Source: requirements KS-MC-011 to 021; KS-TIME-009; docs/adr/0070.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from keystead.core.approvals import GRANTABLE, Approval
from keystead.core.changes import Change
from keystead.core.errors import Invalid, NotFound, Refused, Unavailable
from keystead.core.fields import Items, Number, Text
from keystead.core.permission import Access
from keystead.core.records import KIND_ADMINISTRATOR
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import Declaration, operation
from keystead.operations.administrators import AdministratorName, access_of, is_approver
from keystead.operations.approvers import acting, check_approver
from keystead.settings.approvals import MultipleCredentials

GRANTS = "credential_grants"
"""Service of the gate: the grants that stand, in the process that has them."""
GRANTS_COUNT_MAX = 1000
S_PER_HOUR = 3600


def boot_s() -> float:
    """Return the seconds since the machine was started, sleep included; nobody can set them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant as it is kept; accounts are ids, which no namesake has."""

    id: str
    giver: str
    giver_name: str
    grantee: str
    grantee_name: str
    kinds: tuple[Approval, ...]
    until_s: float


class Grants:
    """The grants that stand.

    Args:
        clock_s: Monotonic clock.
    """

    def __init__(self, clock_s: Callable[[], float] = boot_s) -> None:
        self.clock_s = clock_s
        self._held: dict[str, Granted] = {}

    def standing(self) -> list[Granted]:
        """Return those whose time has not passed, oldest first."""
        now_s = self.clock_s()
        self._held = {name: one for name, one in self._held.items() if now_s < one.until_s}
        return list(self._held.values())

    def add(self, granted: Granted) -> None:
        """Keep a grant, in the place of another of the same people for the same."""
        what = granted.giver, granted.grantee, granted.kinds
        held = {one.id: one for one in self.standing() if (one.giver, one.grantee, one.kinds) != what}
        self._held = {**held, granted.id: granted}

    def told(self) -> list[list[Any]]:
        """Return those that stand as plain values, for another process of the node."""
        now_s = self.clock_s()
        return [
            [
                one.id,
                one.giver,
                one.giver_name,
                one.grantee,
                one.grantee_name,
                [*map(str, one.kinds)],
                one.until_s - now_s,
            ]
            for one in self.standing()
        ]

    def take(self, told: Iterable[Sequence[Any]]) -> None:
        """Hold what another process of the node has told, and nothing else."""
        now_s = self.clock_s()
        held = [
            Granted(name, giver, giver_name, grantee, grantee_name, tuple(map(Approval, kinds)), now_s + left_s)
            for name, giver, giver_name, grantee, grantee_name, kinds, left_s in told
        ]
        self._held = {one.id: one for one in held}

    def end(self, grant_id: str) -> None:
        """End a grant."""
        self._held.pop(grant_id, None)


@dataclass(frozen=True, slots=True)
class GrantCredential:
    """Stand behind what another administrator asks, in advance.

    Attributes:
        to: Name of the one grantee.
        hours: For how long; less than `multiple_credentials.grant_hours_max`.
        operations: What, by the names of `core.approvals.GRANTABLE`.
    """

    to: AdministratorName
    hours: Annotated[int, Number(1, 1000)]
    operations: Annotated[tuple[Approval, ...], Items(len(Approval))]


@dataclass(frozen=True, slots=True)
class ListCredentials:
    """List the grants that one has given or received."""


@dataclass(frozen=True, slots=True)
class RevokeCredential:
    """End a grant that one has given or received."""

    id: Annotated[str, Text(r"[0-9a-f-]{1,64}", 64)]


@dataclass(frozen=True, slots=True)
class GrantShown:
    """A grant as its two people see it; `left_s` seconds are left of it."""

    id: str
    by: str
    to: str
    left_s: int
    operations: tuple[str, ...]


@operation(
    GrantCredential,
    "credential.grant",
    "CredentialGrant",
    administrator=Access.ANY | Access.OWN,
    route="POST /credentials",
    answer=GrantShown,
)
def grant_credential(call: Call, request: GrantCredential) -> Change:
    """Keep the grant in memory, durable only in the audit log."""
    actor = acting(call)
    if isinstance(actor, Change):
        return actor
    grants, section = _grants(call), call.desk.objects.section(MultipleCredentials)
    if not section.grants_allowed:
        raise Refused(
            "approving in advance is switched off: multiple_credentials.grants_allowed", "refused.switched_off"
        )
    if not 0 < request.hours < section.grant_hours_max:
        raise Invalid(f"a grant lasts at least 1 and less than {section.grant_hours_max} hours", "invalid.field")
    giver = actor.records[0]
    check_approver(call, giver)
    kinds = tuple(dict.fromkeys(request.operations))
    unknown = [kind for kind in kinds if kind not in GRANTABLE]
    if unknown or not kinds:
        raise Invalid(f"name some of: {', '.join(GRANTABLE)}", "invalid.field")
    if any(GRANTABLE[kind] & ~access_of(giver) for kind in kinds):
        raise Refused("you may not do all of this yourself", "refused.permission")
    grantee = call.desk.objects.record(KIND_ADMINISTRATOR, request.to)
    if grantee is None or grantee.fields.get("disabled"):
        raise NotFound(f"there is no administrator {request.to} who could use it")
    if grantee.id == giver.id:
        raise Refused("nobody approves their own requests; name another administrator", "refused.permission")
    if len(grants.standing()) >= GRANTS_COUNT_MAX:
        raise Refused(f"there can be {GRANTS_COUNT_MAX} grants; revoke some first", "refused.feature")
    until_s = grants.clock_s() + request.hours * S_PER_HOUR
    granted = Granted(new_id(call.now_us), giver.id, giver.handle, grantee.id, grantee.handle, kinds, until_s)
    grants.add(granted)
    call.on_undo(lambda: grants.end(granted.id))
    detail = f"{giver.handle} stands behind {grantee.handle} for {request.hours} hours: {', '.join(kinds)}"
    return Change(actor.puts, _shown(grants, granted), detail=f"{detail} ({granted.id})")


@operation(
    ListCredentials,
    "credential.list",
    "CredentialList",
    administrator=Access.ANY | Access.OWN,
    answer=tuple[GrantShown, ...],
)
def list_credentials(call: Call, _request: ListCredentials) -> tuple[GrantShown, ...] | Change:
    """Return one's own grants, given and received."""
    actor = acting(call)
    if isinstance(actor, Change):
        return actor
    grants, own = _grants(call), actor.records[0].id
    found = tuple(_shown(grants, one) for one in grants.standing() if own in (one.giver, one.grantee))
    return Change(actor.puts, found) if actor.puts else found


@operation(
    RevokeCredential,
    "credential.revoke",
    "CredentialRevoke",
    administrator=Access.ANY | Access.OWN,
    route="DELETE /credentials/{id}",
    answer=GrantShown,
)
def revoke_credential(call: Call, request: RevokeCredential) -> Change:
    """End the grant at once; it stays ended even if nothing of that could be written down."""
    actor = acting(call)
    if isinstance(actor, Change):
        return actor
    grants, own = _grants(call), actor.records[0]
    for one in grants.standing():
        if one.id == request.id and own.id in (one.giver, one.grantee):
            grants.end(one.id)
            detail = f"{own.handle} ended what {one.giver_name} granted {one.grantee_name} ({one.id})"
            return Change((), _shown(grants, one), detail=detail)
    raise NotFound("there is no such grant among those you gave or received")


def granted_by(call: Call, account: str, declaration: Declaration, kind: Approval) -> Iterator[tuple[str, str]]:
    """Yield (account, name) of those who stand behind what an account asks, and could approve it now."""
    grants: Grants | None = call.desk.services.get(GRANTS)
    if grants is None or not call.desk.objects.section(MultipleCredentials).grants_allowed:
        return
    needed = declaration.administrator or Access.NONE
    for one in grants.standing():
        if one.grantee == account and kind in one.kinds:
            giver = call.desk.objects.record(KIND_ADMINISTRATOR, one.giver_name)
            able = giver is not None and giver.id == one.giver and is_approver(call, giver)
            if able and giver is not None and not needed & ~(access_of(giver) | Access.ANY):
                yield one.giver, one.giver_name


def _grants(call: Call) -> Grants:
    grants: Grants | None = call.desk.services.get(GRANTS)
    if grants is None:
        raise Unavailable("grants are kept by another process of the node", "unavailable.stopping")
    return grants


def _shown(grants: Grants, granted: Granted) -> GrantShown:
    left_s = max(0, int(granted.until_s - grants.clock_s()))
    return GrantShown(granted.id, granted.giver_name, granted.grantee_name, left_s, granted.kinds)
