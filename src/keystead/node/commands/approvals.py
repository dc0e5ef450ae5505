"""`keystead approval | credential`: standing behind what another administrator asks.

Root is no administrator: who approves, refuses or grants at the local door gives name and password of an account.

Source: requirements KS-MC-008, 012, 013, 019, 020; docs/approvals.md.
"""

import argparse
import getpass
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keystead.core.secret import Secret
from keystead.node.commands.local import ask_node
from keystead.node.folder import read_config, unix_address
from keystead.protocols.local.client import ask_with


def approval_list(words: argparse.Namespace) -> int:
    """List requests that wait, and those that were decided lately."""
    for found in ask_node(words, "approval.list"):
        print(f"{found['id']}  {found['state']}  {found['operation']}  by {found['requester']}{_missing(found)}")
    return 0


def approval_show(words: argparse.Namespace) -> int:
    """Show one request with all of its fields, and the hash that approving it needs."""
    _print(ask_node(words, "approval.show", id=words.id))
    return 0


def approval_approve(words: argparse.Namespace) -> int:
    """Stand behind a request."""
    found = _ask_as(words, "approval.approve", id=words.id, hash=words.hash)
    print(f"{found['id']}  {found['state']}{_missing(found)}  {found['outcome']}".rstrip())
    return 0 if found["state"] in ("pending", "done") else 1


def approval_refuse(words: argparse.Namespace) -> int:
    """Refuse a request for good."""
    found = _ask_as(words, "approval.refuse", id=words.id, reason=words.reason)
    print(f"{found['id']}  {found['state']}")
    return 0


def approval_withdraw(words: argparse.Namespace) -> int:
    """Take back a request that was asked at the local door."""
    print(f"{ask_node(words, 'approval.withdraw', id=words.id)['id']}  withdrawn")
    return 0


def credential_grant(words: argparse.Namespace) -> int:
    """Approve in advance what one other administrator asks."""
    operations = list(words.operation)
    _print_grant(_ask_as(words, "credential.grant", to=words.to, hours=words.hours, operations=operations))
    return 0


def credential_list(words: argparse.Namespace) -> int:
    """List the grants that an administrator gave or received."""
    for granted in _ask_as(words, "credential.list"):
        _print_grant(granted)
    return 0


def credential_revoke(words: argparse.Namespace) -> int:
    """End a grant."""
    print(f"{_ask_as(words, 'credential.revoke', id=words.id)['id']}  revoked")
    return 0


def _ask_as(words: argparse.Namespace, operation: str, **fields: Any) -> Any:
    name = words.administrator
    typed = sys.stdin.readline().rstrip("\r\n") if words.stdin else getpass.getpass(f"Password of {name}: ")
    address = unix_address(read_config(Path(words.data).absolute()).local_socket)
    return ask_with(address, operation, fields, ((name, Secret(typed.encode())),))


def _missing(found: dict[str, Any]) -> str:
    return f"  {found['missing_count']} missing" if found["state"] == "pending" else ""


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _print(found: dict[str, Any]) -> None:
    print(f"{found['id']}  {found['state']}{_missing(found)}")
    print(f"  {found['operation']} ({found['kind']}), asked by {found['requester']} at {_time(found['created_us'])}")
    print(f"  waits until {_time(found['expires_us'])}")
    for name, value in found["view"].items():
        print(f"    {name}: {value}")
    print(f"  approved by: {', '.join(found['approved_by']) or '-'}")
    if found["outcome"]:
        print(f"  outcome: {found['outcome']}")
    print(f"  SHA-256: {found['hash']}")


def _print_grant(granted: dict[str, Any]) -> None:
    hours, minutes = divmod(granted["left_s"] // 60, 60)
    told = f"{granted['by']} for {granted['to']}, {hours} h {minutes:02} min left: {', '.join(granted['operations'])}"
    print(f"{granted['id']}  {told}")
