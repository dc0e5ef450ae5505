"""From a line to a command with its values; help and completion. Pure.

Source: requirement KS-CLI-001.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from keystead.gate.forms import Field
from keystead.protocols.cli.commands import Command, commands, no_option
from keystead.protocols.cli.text import printable
from keystead.protocols.cli.words import NotUnderstood, choices_of, is_list, option_of, split, value_of

CONFIG = "config"
ASSENT = "--yes"
BUILT_IN = {
    CONFIG: "Enter the configuration mode; before a command: carry it out there.",
    "exit": "Leave the configuration mode, or log out.",
    "help": "Show commands; with words, those that begin so. `?` is the same.",
}
CANDIDATES_COUNT_MAX = 100


@dataclass(frozen=True, slots=True)
class Told:
    """A line that was understood.

    Attributes:
        command: Which one.
        values: Of fields, by name.
        asked: Fields that are to be asked for.
        assents: The line says that nobody needs to ask.
    """

    command: Command
    values: dict[str, Any]
    asked: tuple[Field, ...]
    assents: bool


def parse(words: Sequence[str]) -> Told:
    """Return which command the words are.

    Raises:
        NotUnderstood: none, or its values do not fit.
    """
    command = _found(words)
    rest = list(words[len(command.words) :])
    try:
        return _told(command, rest)
    except NotUnderstood as error:
        error.command = command.name
        raise


def _found(words: Sequence[str]) -> Command:
    known = commands()
    for count in range(min(len(words), 4), 0, -1):
        command = known.get(tuple(words[:count]))
        if command is not None:
            return command
    begun = [command.name for command in known.values() if command.words[: len(words)] == tuple(words)]
    if begun:
        raise NotUnderstood(f"the command goes on: {', '.join(begun[:8])}")
    said = printable(" ".join(words)[:40])
    raise NotUnderstood(f"there is no command {said!r}; type help to see what there is")


def _told(command: Command, rest: list[str]) -> Told:
    values: dict[str, Any] = {}
    asked = [field for field in command.asked if field.required]
    standing = list(command.standing)
    assents = False
    while rest:
        word = rest.pop(0)
        if word == ASSENT and command.is_destructive:
            assents = True
        elif word.startswith("--"):
            _option(command, (word, rest), values, asked)
        elif standing:
            field = standing.pop(0)
            values[field.name] = value_of(field, word)
        else:
            raise NotUnderstood(f"{printable(word[:40])!r} is one word too many; usage: {command.usage}")
    missing = next((field for field in standing if field.required), None)
    if missing is not None:
        raise NotUnderstood(f"{missing.name.replace('_', ' ')} is missing; usage: {command.usage}")
    return Told(command, values, tuple(asked), assents)


def _option(command: Command, told: tuple[str, list[str]], values: dict[str, Any], asked: list[Field]) -> None:
    word, rest = told
    name, equals, value = word.partition("=")
    for field in command.asked:
        if name == no_option(field) and field.nullable and field.required and not equals:
            values[field.name] = None
            asked.remove(field)
            return
        if name == option_of(field) and not field.required and not equals:
            asked.append(field)
            return
        if name == option_of(field):
            raise NotUnderstood(f"{field.name.replace('_', ' ')} is never typed on the command line: it is asked for")
    found = next((field for field in command.options if option_of(field) == name), None)
    if found is None:
        raise NotUnderstood(f"{printable(name[:40])!r} is no option; usage: {command.usage}")
    if found.name in values:
        raise NotUnderstood(f"{name} stands twice")
    if not equals and not rest:
        raise NotUnderstood(f"{name} needs a value; usage: {command.usage}")
    values[found.name] = value_of(found, value if equals else rest.pop(0))


def help_lines(words: Sequence[str]) -> list[str]:
    """Return what help says on commands that begin with these words."""
    found = [one for one in commands().values() if one.words[: len(words)] == tuple(words)]
    if not words:
        return _columns([*BUILT_IN.items(), *((one.name, one.about) for one in found)])
    if words[0] in BUILT_IN and len(words) == 1:
        return [BUILT_IN[words[0]]]
    if not found:
        return [f"there is no command {printable(' '.join(words)[:40])!r}; type help to see what there is"]
    return _columns([(one.name, one.about) for one in found]) if len(found) > 1 else _page(found[0])


def _page(command: Command) -> list[str]:
    mode = "In the configuration mode only." if command.changes else "In both modes."
    lines = [command.usage, f"  {command.about} {mode}"]
    for field in (*command.standing, *command.options, *command.asked):
        choices = choices_of(field)
        about = field.about or ("one of " if not is_list(field) else "of ") * bool(choices) + ", ".join(choices)
        if about:
            lines.append(f"  {field.name.replace('_', '-')}: {about}")
    return lines


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows)
    return [f"{name.ljust(width)}  {about}" for name, about in rows]


def completed(line: str) -> tuple[str, list[str]]:
    """Return a line that was completed as far as there is one way to go on, and the words that are possible."""
    begun = "" if not line or line[-1].isspace() else line.rsplit(maxsplit=1)[-1]
    try:
        words = split(line)
    except NotUnderstood:
        return line, []
    before = words if not begun else words[:-1]
    candidates = sorted({word for word in _next_words(before, begun) if word.startswith(begun)})[:CANDIDATES_COUNT_MAX]
    if not candidates:
        return line, []
    common = _common(candidates)
    added = common[len(begun) :] + (" " if len(candidates) == 1 else "")
    return line + added, candidates


def _next_words(before: Sequence[str], begun: str) -> Iterator[str]:
    if before[:1] in (["help"], [CONFIG]):
        before = before[1:]
    elif not before:
        yield from BUILT_IN
    for command in commands().values():
        count = len(before)
        if command.words[:count] == tuple(before) and len(command.words) > count:
            yield command.words[count]
        elif tuple(before[: len(command.words)]) == command.words:
            yield from _arguments(command, before[len(command.words) :], begun)


def _arguments(command: Command, given: Sequence[str], begun: str) -> Iterator[str]:
    named = {option_of(field): field for field in command.options}
    if given and given[-1] in named:
        yield from choices_of(named[given[-1]])
        return
    place = sum(
        1 for at, word in enumerate(given) if not word.startswith("--") and (at == 0 or given[at - 1] not in named)
    )
    if place < len(command.standing):
        yield from choices_of(command.standing[place])
    if begun.startswith("-") or place >= len(command.standing):
        yield from (name for name in named if name not in given)


def _common(words: Sequence[str]) -> str:
    first, last = words[0], words[-1]
    count = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:count]
