"""Approvals in one step: whoever stands beside the person at the terminal gives name and password, and it runs at once.

Law: passwords are asked for without being shown, judged by the gate like at a login, and kept by nobody here.

Source: requirements KS-CLI-015, KS-MC-008; docs/approvals.md.
"""

import re
from typing import Any, Protocol

from keystead.core.errors import Limited, Pending
from keystead.core.passwords import CHARACTERS_MAX
from keystead.core.secret import Secret
from keystead.operations.approvers import CREDENTIALS_COUNT_MAX
from keystead.protocols.asking import Credentials
from keystead.protocols.cli.text import printable

WAITS = re.compile(r"It waits as ([0-9a-f-]{36}):")
QUESTION = "Administrator who approves it now (nothing: let it wait): "
SIGHT = re.compile(r"`keystead approval show ([0-9a-f-]{36})`")


class Desk(Protocol):
    """Where approvals are asked for."""

    async def question(self, prompt: str) -> str:
        """Ask for something that is shown. Raises EOFError when there is no more."""

    async def hidden(self, prompt: str) -> str:
        """Ask for something that is not shown. Raises EOFError when there is no more."""

    async def say(self, line: str) -> None:
        """Print a line."""

    async def request(self, operation: str, fields: dict[str, Any], credentials: Credentials = ()) -> Any:
        """Run an operation. Raises KeysteadError."""


async def approved(desk: Desk, operation: str, fields: dict[str, Any], waits: Pending) -> Any:
    """Ask for approvers; run with them what waits, or let it wait.

    Raises:
        Pending: nobody gave a name; the request waits. KeysteadError: as the gate answered; then nothing waits.
    """
    await desk.say(SIGHT.sub(r"`show approval \1`", waits.message))
    credentials = await _typed(desk)
    found = WAITS.search(waits.message)
    if not credentials:
        raise Pending(f"not done yet: it waits as {found[1]}" if found else waits.message)
    if found:
        await desk.request("approval.withdraw", {"id": found[1]})
    return await desk.request(operation, fields, credentials)


async def _typed(desk: Desk) -> Credentials:
    given: list[tuple[str, Secret]] = []
    while name := (await desk.question(QUESTION)).strip():
        password = await desk.hidden(f"Password of {printable(name)}: ")
        if len(given) == CREDENTIALS_COUNT_MAX or len(password) > CHARACTERS_MAX:
            raise Limited(
                f"at most {CREDENTIALS_COUNT_MAX} approve, with passwords of {CHARACTERS_MAX} characters", 1.0
            )
        given.append((name, Secret(password.encode(errors="replace"))))
    return tuple(given)
