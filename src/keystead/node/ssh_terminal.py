"""A terminal at the other end of an SSH channel: lines, questions without echo, completion by the tabulator.

Source: RFC 4254 sections 6.2 to 6.7; requirement KS-CLI-001.
"""

from typing import Any, cast

import asyncssh

from keystead.protocols.cli.grammar import completed
from keystead.protocols.cli.shell import Interrupted
from keystead.protocols.cli.text import GAP

HEIGHT_COUNT = 24
ERASE = "\r\x1b[K"


class SshTerminal:
    """See `protocols.cli.shell.Terminal`.

    Args:
        process: The channel with its line editor.
    """

    def __init__(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        self._process = process
        self._channel = cast(Any, process.channel)  # with a line editor, whose methods its type does not tell of
        self.is_interactive = process.get_terminal_type() is not None
        self._completes = False
        if self.is_interactive:
            self._channel.register_key("\t", self._complete)
            self._channel.register_key("\x03", self._give_up)

    @property
    def height(self) -> int:
        """Lines of the terminal as it is now."""
        _, height, _, _ = self._process.get_terminal_size()
        return height if height > 1 else HEIGHT_COUNT

    async def read(self, prompt: str, *, hidden: bool = False) -> str:
        """Return one line; a program is shown no prompt."""
        if not self.is_interactive:
            return await self._line()
        self._completes = not hidden
        self._process.stdout.write(prompt)
        self._channel.set_echo(not hidden)
        try:
            return await self._line()
        finally:
            self._completes = False
            self._channel.set_echo(True)

    async def key(self, prompt: str) -> str:
        """Return one character, which is not shown."""
        self._channel.set_line_mode(False)
        self._process.stdout.write(prompt)
        try:
            told = await self._told(1)
        except Interrupted:
            return "q"
        finally:
            self._channel.set_line_mode(True)
            self._process.stdout.write(ERASE)
        if not told:
            raise EOFError
        return told

    async def write(self, lines: list[str], *, is_error: bool = False) -> None:
        """Print lines; a program gets errors apart from results."""
        if not lines:
            return
        stream = self._process.stderr if is_error and not self.is_interactive else self._process.stdout
        stream.write("\n".join(lines) + "\n")
        await stream.drain()

    async def _line(self) -> str:
        told = await self._told(0)
        if not told:
            raise EOFError
        return told.rstrip("\r\n")

    async def _told(self, count: int) -> str:
        stdin = self._process.stdin
        while True:
            try:
                return await (stdin.read(count) if count else stdin.readline())
            except asyncssh.TerminalSizeChanged:
                continue
            except asyncssh.BreakReceived:
                raise Interrupted from None
            except asyncssh.SignalReceived:
                raise EOFError from None

    def _give_up(self, _line: str, _pos: int) -> tuple[str, int]:
        """Forget the line at once, so that what follows in the same packet is not added to it."""
        self._process.break_received(0)
        return "", 0

    def _complete(self, line: str, pos: int) -> tuple[str, int] | bool:
        if not self._completes or pos != len(line):
            return False
        longer, candidates = completed(line)
        if longer == line and len(candidates) > 1:
            self._process.stdout.write("\n" + GAP.join(candidates) + "\n")
        return longer, len(longer)
