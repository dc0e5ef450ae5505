"""`keystead policy`: how often and when groups may use keys, asked of a running node at its local door.

Source: requirements KS-POL-001, 003, 008, 014.
"""

import argparse
from typing import Any

from keystead.node.commands.local import ask_node


def policy_create(words: argparse.Namespace) -> int:
    """Create a policy."""
    _print(
        ask_node(
            words,
            "policy.create",
            name=words.name,
            operations_per_hour=words.per_hour or 0,
            periods=words.period or [],
        )
    )
    return 0


def policy_change(words: argparse.Namespace) -> int:
    """Change a policy."""
    periods = [] if words.always else words.period
    _print(ask_node(words, "policy.change", name=words.name, operations_per_hour=words.per_hour, periods=periods))
    return 0


def policy_list(words: argparse.Namespace) -> int:
    """List policies."""
    for policy in ask_node(words, "policy.list"):
        _print(policy)
    return 0


def policy_show(words: argparse.Namespace) -> int:
    """Show a policy and the keys it is used for."""
    policy = ask_node(words, "policy.show", name=words.name)
    _print(policy)
    print(f"  keys: {', '.join(policy['keys']) or '-'}")
    return 0


def policy_delete(words: argparse.Namespace) -> int:
    """Delete a policy that is not used."""
    ask_node(words, "policy.delete", name=words.name)
    print(f"policy {words.name} deleted")
    return 0


def _print(policy: dict[str, Any]) -> None:
    hourly = policy["operations_per_hour"]
    often = f"{hourly} operations an hour" if hourly else "any number of operations"
    print(f"{policy['name']}  {often}  {', '.join(policy['periods']) or 'always'}")
