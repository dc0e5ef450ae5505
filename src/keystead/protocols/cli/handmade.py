"""Commands with words and questions of their own: the security module, one's own password, remote administration.

Law: a token's text and its PIN are asked for without being shown; what they unmask goes to the module and nowhere else.

Source: requirements KS-CLI-003, 004, 007 to 010; KS-HSM-020, 026, 053.
"""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from keystead.core.errors import Invalid
from keystead.core.secret import Secret
from keystead.protocols.cli.commands import Command
from keystead.protocols.cli.text import printable
from keystead.settings.all import SECTIONS, parse
from keystead.trust.role_tokens import RoleToken, pin, unlock
from keystead.trust.root import Role

REMOTE = ("web", "ssh", "sessions")
"""Sections of the remote administration settings, in the order in which they are edited."""
ROLES = {"crypto": Role.CRYPTO_USER, "security": Role.SECURITY_OFFICER}


class Conversation(Protocol):
    """What a command may do beside printing its result."""

    async def ask(self, operation: str, **fields: Any) -> Any:
        """Run an operation by its name. Raises KeysteadError."""

    async def hidden(self, prompt: str) -> str:
        """Ask for something that is not shown. Raises EOFError when there is no more."""

    async def question(self, prompt: str) -> str:
        """Ask for something that is shown. Raises EOFError when there is no more."""

    async def say(self, line: str) -> None:
        """Print a line."""

    async def change_password(self) -> None:
        """Ask for one's own passwords and set the new one. Raises KeysteadError."""


async def status(with_: Conversation, _command: Command) -> list[str]:
    """Show the three lines of KS-HSM-020."""
    found = await with_.ask("module.show")
    state = "Activated" if found["activated"] else "Initialised, locked" if found["initialised"] else "Uninitialised"
    return [
        f"HSM Status: {state} ({printable(found['kind'])} module)",
        f"Crypto-user logged in: {'yes' if found['crypto_user_logged_in'] else 'no'}",
        f"Secure key cache: {'Enabled' if found['key_cache'] else 'Disabled'}",
    ]


async def health(with_: Conversation, _command: Command) -> list[str]:
    """Show address and port of the server that tells others how the node is (KS-CLI-009)."""
    found = (await with_.ask("settings.read", section="health"))["health"]
    return [
        f"Health check: {'Enabled' if found['enabled'] else 'Disabled'}",
        f"Local IP: {printable(str(found['address']))}",
        f"Local Port: {found['port']}",
    ]


async def log_in(with_: Conversation, command: Command) -> list[str]:
    """Say which token is needed, unmask its secret with the PIN, log the role in; M of N tokens one after the other."""
    role = ROLES[command.words[2]]
    presented: list[tuple[RoleToken, Secret]] = []
    await with_.say(f"Needed: the role token of the {role.value}, as text (base64 -w0 FILE).")
    while not presented or len(presented) < presented[0][0].share.threshold:
        token = _token(await with_.hidden("Role token: "))
        presented.append((token, pin(await with_.hidden(f"PIN of the {token.describe()}: "))))
    secret = await asyncio.to_thread(unlock, role, presented)
    await with_.ask("module.login", role=role.value, secret=secret.reveal())
    return [f"{role.value}: logged in"]


async def log_out(with_: Conversation, command: Command) -> list[str]:
    """Log a role out."""
    role = ROLES[command.words[2]]
    await with_.ask("module.logout", role=role.value)
    return [f"{role.value}: logged out"]


async def switch(with_: Conversation, command: Command) -> list[str]:
    """Switch the partition or the cache; says so when it was so already (KS-HSM-053)."""
    if "secure-key-cache" in command.words:
        is_on = command.words[1] == "enable"
        found = await with_.ask("module.set_key_cache", enabled=is_on)
        done = f"secure key cache {'enabled' if is_on else 'disabled'}"
    else:
        found = await with_.ask(f"module.{command.words[1]}")
        done = f"{command.words[1]}d"
    return [done if found["changed"] else f"already in this state: {done}"]


async def password(with_: Conversation, _command: Command) -> list[str]:
    """Set one's own password."""
    await with_.change_password()
    return ["your password is set"]


async def edit_remote(with_: Conversation, _command: Command) -> list[str]:
    """Go through the fields of remote administration; those of the node itself are shown only."""
    found = await with_.ask("settings.read", section="")
    lines: list[str] = []
    for name in REMOTE:
        for field, value in found[name].items():
            shown = f"{name}.{field} [{printable(str(value).lower() if isinstance(value, bool) else str(value))}]"
            if SECTIONS[name].own:
                await with_.say(f"{shown}: set on the machine, with the node stopped")
                continue
            typed = (await with_.question(f"{shown}: ")).strip()
            if typed:
                told = {"section": name, "field": field, "value": parse(name, field, typed)}
                caution = (await with_.ask("settings.change", **told))["caution"]
                lines += [f"{name}.{field} is now {printable(typed)}", *([printable(caution)] if caution else [])]
    return lines or ["nothing was changed"]


ACTIONS: dict[tuple[str, ...], Callable[[Conversation, Command], Awaitable[list[str]]]] = {
    ("show", "hsm", "status"): status,
    ("show", "health", "server"): health,
    ("hsm", "login"): log_in,
    ("hsm", "logout"): log_out,
    ("hsm", "activate"): switch,
    ("hsm", "deactivate"): switch,
    ("hsm", "enable"): switch,
    ("hsm", "disable"): switch,
    ("password",): password,
    ("edit", "ras", "settings"): edit_remote,
}
"""First words of a command -> what carries it out."""


def action_of(command: Command) -> Callable[[Conversation, Command], Awaitable[list[str]]]:
    """Return what carries out a command that is made by hand."""
    return next(action for words, action in ACTIONS.items() if command.words[: len(words)] == words)


def _token(text: str) -> RoleToken:
    try:
        return RoleToken.from_bytes(base64.b64decode("".join(text.split()), validate=True))
    except (binascii.Error, ValueError):
        raise Invalid("this is no role token: give the whole output of base64 -w0 FILE", "invalid.field") from None
