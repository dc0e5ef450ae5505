"""`keystead administrator`: accounts of administrators, asked of a running node at its local door.

Source: requirements KS-ADM-002 to 013; KS-PWD-005 to 015.
"""

import argparse
import getpass
import sys
from typing import Any

from keystead.core.errors import Invalid
from keystead.core.permission import ACCESS_CONTROLS
from keystead.node.commands.local import ask_node
from keystead.node.commands.people import typed_password


def administrator_create(words: argparse.Namespace) -> int:
    """Create an administrator, who sets another password at the first login."""
    told = {"full_name": words.full_name or "", "description": words.description or "", "access": words.access or []}
    password = typed_password(words).encode()
    _print(ask_node(words, "administrator.create", name=words.name, password=password, **told))
    return 0


def administrator_list(words: argparse.Namespace) -> int:
    """List administrators."""
    for found in ask_node(words, "administrator.list"):
        _print(found)
    return 0


def administrator_show(words: argparse.Namespace) -> int:
    """Show an administrator with full name and description."""
    found = ask_node(words, "administrator.show", name=words.name)
    _print(found)
    for title, text in (("full name", found["full_name"]), ("description", found["description"])):
        if text:
            print(f"  {title}: {text}")
    return 0


def administrator_change(words: argparse.Namespace) -> int:
    """Change what is given."""
    told: dict[str, Any] = {"full_name": words.full_name, "description": words.description}
    if words.access is not None:
        told["access"] = [name for name in words.access if name != "none"]
    if words.disable or words.enable:
        told["disabled"] = words.disable
    _print(ask_node(words, "administrator.change", name=words.name, **told))
    return 0


def administrator_set_password(words: argparse.Namespace) -> int:
    """Set a password, which has to be changed at the next login."""
    _print(ask_node(words, "administrator.set_password", name=words.name, password=typed_password(words).encode()))
    return 0


def administrator_change_password(words: argparse.Namespace) -> int:
    """Let somebody replace the password that was set for them: the current one, then the new one twice."""
    if words.stdin:
        current, new = (sys.stdin.readline().rstrip("\r\n") for _ in range(2))
    else:
        current, new = getpass.getpass(f"Current password of {words.name}: "), typed_password(words)
    passwords = {"current": current.encode(), "new": new.encode()}
    _print(ask_node(words, "administrator.change_own_password", name=words.name, **passwords))
    return 0


def administrator_delete(words: argparse.Namespace) -> int:
    """Delete an administrator, after the name was typed again."""
    confirm = words.confirm or _asked(words.name)
    ask_node(words, "administrator.delete", name=words.name, confirm=confirm)
    print(f"administrator {words.name} deleted")
    return 0


def _asked(name: str) -> str:
    typed = input(f"Type the name of the administrator again to delete {name}: ")
    if typed != name:
        raise Invalid("that is another name; nothing was deleted")
    return typed


def _print(found: dict[str, Any]) -> None:
    given = found["access"]
    access = "everything" if len(given) == len(ACCESS_CONTROLS) else ", ".join(given) or "nothing"
    state = "disabled" if found["disabled"] else "locked" if found["is_locked"] else "enabled"
    print(f"{found['name']}  {state}  password: {found['password_status']}  may: {access}")
