"""Approvals by further administrators: what needs them, and how many are missing. Pure.

Laws: nobody approves their own request; nobody counts twice; zero or one administrator is never enough.

Source: requirements KS-MC-002, 004 to 007, 013; attacks.md class 41.
"""

from collections.abc import Iterable
from enum import StrEnum

from keystead.core.permission import Access

ADMINISTRATORS_COUNT_MIN = 2


class Approval(StrEnum):
    """What an operation does, for those who have to approve it."""

    CHANGE_KEYS = "change_keys"
    DELETE_KEYS = "delete_keys"
    CHANGE_USERS = "change_users"
    DELETE_USERS = "delete_users"
    POLICIES = "policies"
    LDAP = "ldap"
    ADMINISTRATORS = "administrators"
    MULTIPLE_CREDENTIALS = "multiple_credentials"
    RESTORE = "restore"
    ROLLBACK = "rollback"


GRANTABLE: dict[Approval, Access] = {
    Approval.CHANGE_KEYS: Access.KEYS,
    Approval.DELETE_KEYS: Access.KEYS,
    Approval.CHANGE_USERS: Access.USERS,
    Approval.DELETE_USERS: Access.USERS,
    Approval.POLICIES: Access.KEYS,
    Approval.LDAP: Access.USERS,
}
"""What can be approved in advance for some hours (KS-MC-013), and the access that its giver needs (KS-MC-014)."""


def missing_count(required_count: int, requester: str, approvers: Iterable[str]) -> int:
    """Return how many approvals are missing; 0 = enough.

    Args:
        required_count: Administrators who have to stand behind a request, the requester among them.
        requester: Account of whoever asks.
        approvers: Accounts of those who approve now.
    """
    others = {account for account in approvers if account != requester}
    return max(0, max(required_count, ADMINISTRATORS_COUNT_MIN) - 1 - len(others))
