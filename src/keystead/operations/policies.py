"""Authorization policies: how often in an hour, and at which times, a group may use a key.

A policy does nothing by itself: rights of a group on a key are granted under it (operations.grants). What is changed
counts from the next operation on.

Source: requirements KS-POL-001, 003, 008 to 010, 014, 015; KS-MC-006; chapter Authorization policies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from keystead.core.approvals import Approval
from keystead.core.authorize import scope_of_policy
from keystead.core.changes import Change, Put
from keystead.core.errors import Exists, Invalid, NotFound, Refused, TooLarge
from keystead.core.fields import Items, Number, Text
from keystead.core.permission import Access
from keystead.core.policies import (
    OPERATIONS_PER_HOUR_MAX,
    PERIOD,
    PERIODS_COUNT_MAX,
    UNLIMITED,
    Policy,
    fields_of,
    period_of,
    policy_of,
    words_of,
)
from keystead.core.records import KIND_POLICY, ManagedObject, Record
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import operation
from keystead.operations.users import NAME, NAME_CHARACTERS_MAX, check_name, records_of
from keystead.storage.store import Query

POLICIES_COUNT_MAX = 1_000
KEYS_SHOWN_COUNT_MAX = 100
PERIOD_CHARACTERS_MAX = 19
PolicyName = Annotated[str, Text(NAME.pattern, NAME_CHARACTERS_MAX, example="office")]
Hourly = Annotated[int, Number(UNLIMITED, OPERATIONS_PER_HOUR_MAX)]
Periods = Annotated[
    tuple[str, ...],
    Items(PERIODS_COUNT_MAX),
    Text(PERIOD.pattern, PERIOD_CHARACTERS_MAX, example="mon 09:00-mon 17:00"),
]


@dataclass(frozen=True, slots=True)
class CreatePolicy:
    """Create a policy, which can then stand with the rights of groups on keys.

    Attributes:
        name: Of the policy; it cannot be changed afterwards.
        operations_per_hour: Of each user with each key; 0 = without limit.
        periods: When keys may be used, in the time zone of this node, such as mon 09:00-mon 17:00; none = always.
    """

    name: PolicyName
    operations_per_hour: Hourly = UNLIMITED
    periods: Periods = ()


@dataclass(frozen=True, slots=True)
class ListPolicies:
    """List policies by name."""


@dataclass(frozen=True, slots=True)
class ShowPolicy:
    """Show a policy and the keys it is used for."""

    name: PolicyName


@dataclass(frozen=True, slots=True)
class ChangePolicy:
    """Change a policy; it counts from the next operation on, also in hours that have begun.

    Attributes:
        name: Of the policy.
        operations_per_hour: Of each user with each key; 0 = without limit, None = as it is.
        periods: When keys may be used, in place of all there were; an empty list = always, None = as they are.
    """

    name: PolicyName
    operations_per_hour: Hourly | None = None
    periods: Periods | None = None


@dataclass(frozen=True, slots=True)
class DeletePolicy:
    """Delete a policy under which nothing is granted any more."""

    name: PolicyName


@dataclass(frozen=True, slots=True)
class KnownPolicy:
    """A policy.

    Attributes:
        operations_per_hour: 0 = without limit.
        periods: When keys may be used; none = always.
    """

    name: str
    operations_per_hour: int
    periods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownPolicy:
    """A policy, with the names of keys on which something is granted under it, at most 100."""

    name: str
    operations_per_hour: int
    periods: tuple[str, ...]
    keys: tuple[str, ...]


@operation(
    CreatePolicy,
    "policy.create",
    "PolicyCreate",
    administrator=Access.KEYS,
    answer=KnownPolicy,
    approval=Approval.POLICIES,
)
def create_policy(call: Call, request: CreatePolicy) -> Change:
    """Create the policy."""
    check_name(request.name, "policy")
    if call.desk.objects.record(KIND_POLICY, request.name, call.principal.realm) is not None:
        raise Exists(f"there is a policy {request.name} already; choose another name")
    if sum(1 for _ in records_of(call, KIND_POLICY)) >= POLICIES_COUNT_MAX:
        raise TooLarge("there are 1000 policies already; delete one first")
    record = Record(KIND_POLICY, new_id(call.now_us), request.name, {}, call.principal.realm)
    return _stored(record, _policy(request.name, request.operations_per_hour, request.periods), "created")


@operation(ListPolicies, "policy.list", "PolicyList", administrator=Access.ANY)
def list_policies(call: Call, _request: ListPolicies) -> tuple[KnownPolicy, ...]:
    """Return the policies."""
    return tuple(_told(policy_of(record.handle, record.fields)) for record in records_of(call, KIND_POLICY))


@operation(ShowPolicy, "policy.show", "PolicyShow", administrator=Access.ANY)
def show_policy(call: Call, request: ShowPolicy) -> ShownPolicy:
    """Return one policy."""
    record = found_policy(call, request.name)
    told = _told(policy_of(record.handle, record.fields))
    keys = tuple(held.handle for held in _keys(call, request.name))
    return ShownPolicy(told.name, told.operations_per_hour, told.periods, keys)


@operation(
    ChangePolicy,
    "policy.change",
    "PolicyChange",
    administrator=Access.KEYS,
    answer=KnownPolicy,
    approval=Approval.POLICIES,
)
def change_policy(call: Call, request: ChangePolicy) -> Change:
    """Change what was named."""
    record = found_policy(call, request.name)
    before = policy_of(record.handle, record.fields)
    hourly = before.operations_per_hour if request.operations_per_hour is None else request.operations_per_hour
    periods = tuple(map(words_of, before.periods)) if request.periods is None else request.periods
    return _stored(record, _policy(record.handle, hourly, periods), "changed")


@operation(
    DeletePolicy,
    "policy.delete",
    "PolicyDelete",
    administrator=Access.KEYS,
    answer=KnownPolicy,
    approval=Approval.POLICIES,
)
def delete_policy(call: Call, request: DeletePolicy) -> Change:
    """Delete the policy, unless a key that still has its bytes needs it."""
    record = found_policy(call, request.name)
    keys = [held.handle for held in _keys(call, request.name)]
    if keys:
        named = ", ".join(keys[:5]) + (" and others" if len(keys) > 5 else "")
        raise Refused(f"rights on {named} are granted under this policy; change these first", "refused.permission")
    told = _told(policy_of(record.handle, record.fields))
    return Change((), told, ((KIND_POLICY, record.id, record.revision),), f"policy {request.name} deleted")


def found_policy(call: Call, name: str) -> Record:
    """Return a policy's record.

    Raises:
        NotFound: there is no such policy.
    """
    record = call.desk.objects.record(KIND_POLICY, name, call.principal.realm)
    if record is None:
        raise NotFound(f"there is no policy {name}; `keystead policy create` makes one")
    return record


def _keys(call: Call, policy: str) -> Iterator[ManagedObject]:
    query = Query(call.principal.realm, (scope_of_policy(policy),), (), call.now_us, limit_count=KEYS_SHOWN_COUNT_MAX)
    for object_id in call.desk.objects.reader.locate(query):
        loaded = call.desk.get(object_id)
        if loaded is not None and isinstance(loaded.record, ManagedObject):
            yield loaded.record


def _policy(name: str, operations_per_hour: int, periods: tuple[str, ...]) -> Policy:
    """Return a policy as people have asked for it.

    Raises:
        Invalid: a number or a period that cannot be.
    """
    if not UNLIMITED <= operations_per_hour <= OPERATIONS_PER_HOUR_MAX:
        raise Invalid("operations per hour are 1 to 500,000,000, or 0 for no limit", "invalid.field")
    if len(periods) > PERIODS_COUNT_MAX:
        raise Invalid("a policy has at most 50 periods", "invalid.field")
    return Policy(name, operations_per_hour, tuple(sorted({period_of(text) for text in periods})))


def _told(policy: Policy) -> KnownPolicy:
    return KnownPolicy(policy.name, policy.operations_per_hour, tuple(map(words_of, policy.periods)))


def _stored(record: Record, policy: Policy, verb: str) -> Change:
    told = _told(policy)
    detail = (
        f"policy {policy.name} {verb}: {policy.operations_per_hour or 'any number of'} operations an hour, "
        f"{len(policy.periods) or 'no'} periods"
    )
    return Change((Put(record._replace(fields=fields_of(policy))),), told, detail=detail)
