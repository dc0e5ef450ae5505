"""Asking at the local door what may need approvals: names and passwords come from a file or from people.

Source: requirement KS-MC-008.
"""

import argparse
import getpass
import re
import sys
from collections.abc import Mapping
from typing import Any

from keystead.core.errors import Pending
from keystead.core.secret import Secret
from keystead.node.commands.answers import read_answers
from keystead.protocols.local.client import Credentials, ask, ask_with

_WAITS = re.compile(r"It waits as ([0-9a-f-]{36}):")


def ask_approved(words: argparse.Namespace, address: str, operation: str, fields: Mapping[str, Any]) -> Any:
    """Run an operation; where approvals are missing, ask the people at the terminal for them.

    Raises:
        Pending: nobody is there to ask, or nobody gave a name; the request waits. KeysteadError: as the node answered.
    """
    source = getattr(words, "approvers", None)
    if source is not None:
        return ask_with(address, operation, fields, _from_file(source))
    try:
        return ask_with(address, operation, fields)
    except Pending as error:
        typed = _typed(error.message) if sys.stdin.isatty() else ()
        if not typed:
            raise
        if waiting := _WAITS.search(error.message):
            ask(address, "approval.withdraw", id=waiting.group(1))
    return ask_with(address, operation, fields, typed)


def _from_file(source: str) -> Credentials:
    return tuple((name, Secret(password.encode())) for name, password in read_answers(source).items())


def _typed(message: str) -> Credentials:
    """Ask for names and passwords until no name is given."""
    print(message, file=sys.stderr)
    given: list[tuple[str, Secret]] = []
    while name := input("Administrator who approves it now (nothing: go on): ").strip():
        given.append((name, Secret(getpass.getpass(f"Password of {name}: ").encode())))
    return given
