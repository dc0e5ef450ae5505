"""`keystead user | group | certificate`: who may connect, asked of a running node at its local door.

Source: requirements KS-USR-001, 006 to 009; KS-CAU-007, 009; design.md section 6 ("first door of the administrator").
"""

import argparse
import getpass
import sys
from pathlib import Path

from keystead.core.errors import Invalid
from keystead.node.commands.local import ask_node, day


def user_create(words: argparse.Namespace) -> int:
    """Create a key user."""
    ask_node(words, "user.create", name=words.name, groups=words.group or [])
    print(f"user {words.name} created")
    return 0


def user_list(words: argparse.Namespace) -> int:
    """List key users."""
    after = ""
    while users := ask_node(words, "user.list", after=after):
        for user in users:
            _print_user(user)
        after = users[-1]["name"]
    return 0


def user_show(words: argparse.Namespace) -> int:
    """Show one key user."""
    _print_user(ask_node(words, "user.show", name=words.name))
    return 0


def user_switch(words: argparse.Namespace) -> int:
    """Shut a user out, or let them in again."""
    ask_node(words, "user.disable", name=words.name, disabled=words.verb == "disable")
    print(f"user {words.name} {words.verb}d")
    return 0


def user_delete(words: argparse.Namespace) -> int:
    """Delete a user, with certificates and grants; keys go to somebody else."""
    ask_node(words, "user.delete", name=words.name, heir=words.keys_to)
    print(f"user {words.name} deleted")
    return 0


def user_set_password(words: argparse.Namespace) -> int:
    """Set a user's password, typed twice or one line of standard input; or take it away."""
    password = None
    if not words.none:
        password = typed_password(words)
    ask_node(words, "user.set_password", name=words.name, password=None if password is None else password.encode())
    print(f"user {words.name} {'has no password any more' if password is None else 'has a new password'}")
    return 0


def group_create(words: argparse.Namespace) -> int:
    """Create a group."""
    ask_node(words, "group.create", name=words.name)
    print(f"group {words.name} created")
    return 0


def group_list(words: argparse.Namespace) -> int:
    """List groups."""
    for group in ask_node(words, "group.list"):
        print(f"{group['name']}  {group['members_count']} members")
    return 0


def group_show(words: argparse.Namespace) -> int:
    """Show who is in a group."""
    group = ask_node(words, "group.show", name=words.name)
    print(f"{group['name']}  {group['members_count']} members: {', '.join(group['members']) or '-'}")
    return 0


def group_member(words: argparse.Namespace) -> int:
    """Put a user into a group, or take them out."""
    operation = "group.add_member" if words.verb == "add" else "group.remove_member"
    _print_user(ask_node(words, operation, group=words.name, user=words.user))
    return 0


def group_delete(words: argparse.Namespace) -> int:
    """Delete a group; what it was granted is taken back."""
    ask_node(words, "group.delete", name=words.name)
    print(f"group {words.name} deleted")
    return 0


def certificate_list(words: argparse.Namespace) -> int:
    """List client certificates."""
    for found in ask_node(words, "certificate.list", user=words.user or ""):
        ended = found["revoked"] is not None
        state = f"revoked {day(found['revoked_s'])}: {found['revoked']}" if ended else "valid"
        print(f"{found['serial']}  {found['user']}  until {day(found['not_after_s'])}  {state}")
    return 0


def certificate_show(words: argparse.Namespace) -> int:
    """Print a client certificate in PEM form."""
    print(ask_node(words, "certificate.show", serial=words.serial)["certificate"], end="")
    return 0


def certificate_revoke(words: argparse.Namespace) -> int:
    """Revoke a client certificate; the next message on every connection made with it is refused."""
    named = {"serial": words.serial} if words.serial else {"certificate": Path(words.file).read_text()}
    ended = ask_node(words, "certificate.revoke", reason=words.reason, **named)
    print(f"certificate {ended['serial']} of {ended['user']} revoked")
    return 0


def typed_password(words: argparse.Namespace) -> str:
    """Return a new password: one line of standard input, or typed twice.

    Raises:
        Invalid: typed differently.
    """
    if words.stdin:
        return sys.stdin.readline().rstrip("\r\n")
    typed = getpass.getpass("New password: ")
    if getpass.getpass("Once more: ") != typed:
        raise Invalid("the two passwords differ; nothing was changed")
    return typed


def _print_user(user: dict[str, object]) -> None:
    groups = user["groups"]
    state = "disabled" if user["disabled"] else "enabled"
    print(f"{user['name']}  {state}  groups: {', '.join(map(str, groups if isinstance(groups, list) else ())) or '-'}")
