"""The conversation with one administrator: prompt, modes, questions, results; one command after the other.

Laws: every command is a request at the gate, by an asker who is looked up anew for it. Secrets are asked for without
being shown and never read from a command line. Errors are audited, what was typed is not.

Source: requirements KS-CLI-001, 014, 015; KS-ADM-042; KS-UI-025; docs/adr/0073.
"""

from typing import Any, Protocol

from keystead.core.errors import Invalid, KeysteadError, Pending, Refused, Unauthenticated
from keystead.core.passwords import CHARACTERS_MAX
from keystead.core.secret import Secret
from keystead.gate.forms import Field, fields_of
from keystead.gate.operation import Declaration
from keystead.operations.command_line import NoteCommandError
from keystead.protocols.asking import Asker, Credentials
from keystead.protocols.cli.approvers import approved
from keystead.protocols.cli.commands import CONFIRM, Command
from keystead.protocols.cli.grammar import ASSENT, CONFIG, Told, help_lines, parse
from keystead.protocols.cli.handmade import action_of
from keystead.protocols.cli.text import lines_of, printable, rendered
from keystead.protocols.cli.words import LINE_CHARACTERS_MAX, NotUnderstood, split
from keystead.protocols.local.wire import declaration_of
from keystead.protocols.rest import models, pages
from keystead.protocols.rest.entrance import Caller
from keystead.settings.all import parse as setting_of

DONE, FAILED, NOT_UNDERSTOOD = 0, 1, 2
TEXT_CHARACTERS_MAX = 65_536
LISTED_COUNT_MAX = 10_000
PASSWORD_TRIES_COUNT_MAX = 3
END = "."
LOGGED_OUT = "you are logged out"


class Interrupted(Exception):
    """The person has given up what was asked."""


class Terminal(Protocol):
    """Where the person sits.

    Attributes:
        is_interactive: A person at a terminal; else a program, which is shown no prompts and no pages.
    """

    is_interactive: bool

    @property
    def height(self) -> int:
        """Lines of the terminal."""

    async def read(self, prompt: str, *, hidden: bool = False) -> str:
        """Return one line. Raises EOFError at the end, Interrupted."""

    async def key(self, prompt: str) -> str:
        """Return one character. Raises EOFError at the end."""

    async def write(self, lines: list[str], *, is_error: bool = False) -> None:
        """Print lines that are printable already."""


class Visitor(Protocol):
    """Who has logged in at the door."""

    def caller(self) -> Caller:
        """Return who it is now. Raises Unauthenticated when the session has ended."""

    async def change_password(self, caller: Caller, current: Secret, new: Secret) -> None:
        """Set the caller's own password. Raises KeysteadError."""


class Shell:
    """Carries out one administrator's commands.

    Args:
        asker: Runs operations.
        visitor: Who asks.
        terminal: Where they sit.
        host: For the prompt.
    """

    def __init__(self, asker: Asker, visitor: Visitor, terminal: Terminal, host: str) -> None:
        self._asker = asker
        self._visitor = visitor
        self._terminal = terminal
        self._host = printable(host)
        self._configures = False

    @property
    def prompt(self) -> str:
        """What stands before a line (KS-CLI-001)."""
        return f"{self._host} (config)# " if self._configures else f"{self._host}# "

    async def converse(self) -> int:
        """Carry out lines until the person leaves; returns the status of the last."""
        status = DONE
        if self._visitor.caller().must_change and not await self._first_password():
            return FAILED
        while True:
            try:
                line = await self._terminal.read(self.prompt)
            except Interrupted:
                continue
            except EOFError:
                return status
            words = line.split()
            if words[:1] in (["exit"], ["logout"], ["quit"]) and len(words) == 1:
                if not self._configures:
                    return status
                self._configures = False
            elif words == [CONFIG]:
                self._configures = True
            elif words:
                try:
                    status = await self.execute(line)
                except Unauthenticated:
                    return FAILED

    async def execute(self, line: str) -> int:
        """Carry out one line, print its result; returns its exit status.

        Raises:
            Unauthenticated: the session has ended; that is printed.
        """
        command = ""
        try:
            self._visitor.caller()
            words = split(line)
            if words[-1:] == ["?"] or words[:1] == ["help"]:
                await self._show(help_lines([word for word in words if word not in ("?", "help")]))
                return DONE
            told, configures = self._understood(words)
            command = told.command.name
            if told.command.changes and not configures:
                raise NotUnderstood(f"`{command}` changes something: type config first", command)
            await self._show(await self._run(told))
            return DONE
        except NotUnderstood as error:
            return await self._failed(error.command, "invalid.message", error.message, NOT_UNDERSTOOD)
        except (Interrupted, EOFError):
            return await self._failed(command, "invalid.missing", "given up: nothing was done", FAILED)
        except Unauthenticated as error:
            told_why = error.message if error.message and self._is_in() else LOGGED_OUT
            await self._terminal.write([printable(told_why)], is_error=True)
            if told_why == LOGGED_OUT:
                raise
            return FAILED
        except KeysteadError as error:
            is_noted = isinstance(error, Refused) and error.reason == "refused.permission"
            return await self._failed(None if is_noted else command, error.reason, error.message, FAILED)

    def _understood(self, words: list[str]) -> tuple[Told, bool]:
        if words[:1] == [CONFIG]:
            return parse(words[1:]), True
        return parse(words), self._configures

    def _is_in(self) -> bool:
        try:
            self._visitor.caller()
        except Unauthenticated:
            return False
        return True

    async def _failed(self, command: str | None, reason: str, message: str, status: int) -> int:
        """Print and write down an error (KS-CLI-014); what the gate has refused it has written down itself."""
        await self._terminal.write([f"error: {printable(message)}"], is_error=True)
        if command is not None:
            noted = printable(message) if status == FAILED else ""
            caller = self._visitor.caller()
            await self._asker.run(caller.principal, NoteCommandError(command, reason, noted))
        return status

    async def _run(self, told: Told) -> list[str]:
        command = told.command
        caller = self._visitor.caller()
        if caller.must_change and command.name != "password":
            raise Invalid("set your own password first: log in at a terminal, or type password", "invalid.missing")
        values = {**told.values, **await self._confirmed(told)}
        if command.declaration is None:
            return await action_of(command)(self, command)
        for field in told.asked:
            values[field.name] = await self._asked(field)
        result = await self._result(command, command.declaration, values)
        if command.answer is None:
            return ["done"]
        return rendered(models.shown(command.answer, result))

    async def _result(self, command: Command, declaration: Declaration, values: dict[str, Any]) -> Any:
        if declaration.name == "settings.change":
            values["value"] = setting_of(values["section"], values["field"], values["value"])
        fields = (*command.standing, *command.options, *command.asked)
        plain = models.plain_fields(fields, _by_json_name(fields, values))
        plain |= {CONFIRM: values[CONFIRM]} if CONFIRM in values else {}
        place = pages.place_of(command.options)
        found = await self.ask(declaration.name, **plain)
        if not place or place in values or not isinstance(found, list):
            return found
        return await self._pages(declaration.name, plain, place, found)

    async def _pages(self, operation: str, plain: dict[str, Any], place: str, found: list[Any]) -> list[Any]:
        """Return a list that is answered page by page, to the end or as much as anybody reads."""
        more = found
        while more and len(found) < LISTED_COUNT_MAX:
            following = next(iter(found[-1].values())) if place == "after" else len(found)
            more = await self.ask(operation, **plain, **{place: following})
            found = [*found, *more]
        if more:
            await self.say(f"the first {len(found)} only; go on with --{place}")
        return found

    async def _confirmed(self, told: Told) -> dict[str, Any]:
        """Have the person confirm what cannot be taken back; returns the field that repeats the name, if any."""
        command = told.command
        if not command.is_destructive:
            return {}
        name = str(next(iter(told.values.values()), ""))
        declaration = command.declaration
        repeats = declaration is not None and any(one.name == CONFIRM for one in fields_of(declaration.request))
        if told.assents:
            return {CONFIRM: name} if repeats else {}
        if not self._terminal.is_interactive:
            raise NotUnderstood(f"`{command.name}` cannot be taken back: add {ASSENT}", command.name)
        if repeats:
            return {CONFIRM: await self._terminal.read(f"Type {printable(name)} again to go on: ")}
        answer = await self._terminal.read(f"{command.name} {printable(name)}".rstrip() + ": really? Type yes: ")
        if answer.strip() != "yes":
            raise Interrupted
        return {}

    async def _asked(self, field: Field) -> Any:
        title = field.name.replace("_", " ")
        if field.type is Secret:
            return (await self._new_secret(title)).encode(errors="replace")
        if self._terminal.is_interactive:
            await self.say(f"Paste the {title}, then a line with a single dot:")
        lines: list[str] = []
        try:
            while (line := await self._terminal.read("")) != END:
                lines.append(line)
                if sum(map(len, lines)) > TEXT_CHARACTERS_MAX:
                    raise Invalid(f"the {title} has at most {TEXT_CHARACTERS_MAX} characters", "invalid.field")
        except EOFError:
            if self._terminal.is_interactive or not lines:
                raise
        text = "\n".join(lines) + "\n"
        return "".join(text.split()) if field.type is bytes else text

    async def _new_secret(self, title: str) -> str:
        """Ask for something new, of a person twice."""
        first = await self.hidden(f"New {title}: ")
        if self._terminal.is_interactive and await self.hidden("Once more: ") != first:
            raise Invalid(f"the two differ; no {title} was set", "invalid.field")
        return first

    async def _first_password(self) -> bool:
        """Have a password set that somebody else has set before; nothing else is possible until then."""
        if self._terminal.is_interactive:
            await self.say("Your password has to be changed before anything else.")
        for _ in range(PASSWORD_TRIES_COUNT_MAX):
            try:
                await self.change_password()
            except (Interrupted, EOFError):
                return False
            except Unauthenticated as error:
                await self._terminal.write([f"error: {printable(error.message)}"], is_error=True)
                return False
            except KeysteadError as error:
                await self._failed("password", error.reason, error.message, FAILED)
            else:
                return True
        return False

    async def _show(self, lines: list[str]) -> None:
        """Print lines, page by page where somebody reads them."""
        if not self._terminal.is_interactive:
            await self._terminal.write(lines)
            return
        while lines:
            count = max(1, self._terminal.height - 1)
            await self._terminal.write(lines[:count])
            lines = lines[count:]
            if lines and (await self._terminal.key("--more--")).lower() in ("q", "\x03"):
                return

    # What commands made by hand use (handmade.Conversation)

    async def ask(self, operation: str, **fields: Any) -> Any:
        """Run an operation by its name for whoever asks now; at a terminal, with approvals in one step (KS-CLI-015).

        Raises:
            KeysteadError: why not.
        """
        try:
            return await self.request(operation, fields)
        except Pending as error:
            if not self._terminal.is_interactive or operation.startswith("approval."):
                raise
            return await approved(self, operation, fields, error)

    async def request(self, operation: str, fields: dict[str, Any], credentials: Credentials = ()) -> Any:
        """Run an operation by its name for whoever asks now, with approvals that are given at once."""
        principal = self._visitor.caller().principal
        return await self._asker.ask(principal, declaration_of(operation), fields, credentials)

    async def hidden(self, prompt: str) -> str:
        """Ask for something that is not shown."""
        told = await self._terminal.read(prompt, hidden=True)
        if len(told) > LINE_CHARACTERS_MAX:
            raise Invalid("this is too long", "invalid.field")
        return told

    async def question(self, prompt: str) -> str:
        """Ask for something that is shown."""
        return await self._terminal.read(prompt)

    async def say(self, line: str) -> None:
        """Print a line."""
        await self._terminal.write(lines_of(line), is_error=not self._terminal.is_interactive)

    async def change_password(self) -> None:
        """Ask for the current and the new password, and set it."""
        caller = self._visitor.caller()
        current = await self.hidden("Current password: ")
        new = await self._new_secret("password")
        if max(len(current), len(new)) > CHARACTERS_MAX:
            raise Invalid(f"a password has at most {CHARACTERS_MAX} characters", "invalid.field")
        secrets = (Secret(typed.encode(errors="replace")) for typed in (current, new))
        await self._visitor.change_password(caller, *secrets)


def _by_json_name(fields: tuple[Field, ...], values: dict[str, Any]) -> dict[str, Any]:
    return {models.json_name(field): values[field.name] for field in fields if field.name in values}
