"""`keystead ip-authorization`: from where services take connections, asked of a running node at its local door.

The local door is bound by no list: whoever shut out everybody puts it right here.

Source: requirements KS-IPA-001 to 003, KS-CLI-013; docs/ip-authorization.md.
"""

import argparse
import sys
from typing import Any

from keystead.node.commands.local import ask_node

SERVICES = ("key_server", "web", "ssh")


def ip_show(words: argparse.Namespace) -> int:
    """Print what is decided for each service, then the list."""
    _print_modes(ask_node(words, "ip_authorization.show"))
    for entry in ask_node(words, "ip_entry.list"):
        _print_entry(entry)
    return 0


def ip_set(words: argparse.Namespace) -> int:
    """Say from where services take connections."""
    _print_modes(ask_node(words, "ip_authorization.set", **{service: getattr(words, service) for service in SERVICES}))
    return 0


def ip_add(words: argparse.Namespace) -> int:
    """List addresses."""
    ticks = {service: getattr(words, service) for service in SERVICES}
    _print_entry(ask_node(words, "ip_entry.create", addresses=words.addresses, **ticks))
    return 0


def ip_change(words: argparse.Namespace) -> int:
    """Change an entry."""
    told = {service: getattr(words, service) for service in SERVICES}
    ticks = {service: None if word is None else word == "yes" for service, word in told.items()}
    _print_entry(ask_node(words, "ip_entry.change", number=words.number, addresses=words.addresses, **ticks))
    return 0


def ip_remove(words: argparse.Namespace) -> int:
    """Delete an entry."""
    entry = ask_node(words, "ip_entry.delete", number=words.number)
    print(f"entry {entry['number']} ({entry['addresses']}) deleted")
    return 0


def _print_modes(shown: dict[str, Any]) -> None:
    for service in SERVICES:
        print(f"{service.replace('_', '-')}: {shown[service]}")
    if shown["caution"]:
        print(f"Note: {shown['caution']}", file=sys.stderr)


def _print_entry(entry: dict[str, Any]) -> None:
    ticks = [service.replace("_", "-") for service in SERVICES if entry[service]]
    print(f"{entry['number']}  {entry['addresses']}  {', '.join(ticks) or '-'}")
