"""Words of a command line and the values that they mean, within the limits of the declarations. Pure.

Source: design.md law 3; requirement KS-CLI-001.
"""

import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from keystead.core.secret import Secret
from keystead.gate.forms import Field
from keystead.protocols.rest.models import json_name

LINE_CHARACTERS_MAX = 4_096
WHOLE_NUMBER_MAX = 2**53 - 1
NOTHING = "-"
YES = ("yes", "true", "on", "1")
NO = ("no", "false", "off", "0")
_WHOLE = re.compile(r"-?[0-9]{1,16}")


class NotUnderstood(Exception):
    """A line is no command, or its words do not fit.

    Args:
        message: Says what to type instead; it may quote the line.
        command: Words of the command, as far as it is known.
    """

    def __init__(self, message: str, command: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.command = command


def split(line: str) -> list[str]:
    """Return the words of a line, quoted as in a shell.

    Raises:
        NotUnderstood: an open quotation mark, or too long.
    """
    if len(line) > LINE_CHARACTERS_MAX:
        raise NotUnderstood(f"a line has at most {LINE_CHARACTERS_MAX} characters")
    try:
        return shlex.split(line)
    except ValueError:
        raise NotUnderstood("a quotation mark or backslash is left open") from None


def option_of(field: Field) -> str:
    """Return how a field is called on the command line."""
    return "--" + json_name(field).replace("_", "-")


def choices_of(field: Field) -> tuple[str, ...]:
    """Return the words that a field takes, () when there is no list of them."""
    if field.type is bool:
        return (YES[0], NO[0])
    if field.flags is not None:
        return tuple(str(one.name).lower() for one in field.flags.possible)
    if isinstance(field.type, type) and issubclass(field.type, StrEnum):
        return tuple(str(one) for one in field.type)
    if field.items is not None and field.items.choices:
        return field.items.choices
    return tuple(word for word in field.text.choices if word) if field.text is not None else ()


def value_of(field: Field, word: str) -> Any:
    """Return what a word means as the value of a field.

    Raises:
        NotUnderstood: it does not fit.
    """
    if field.nullable and word == NOTHING:
        return None
    if is_list(field):
        names = [] if word in ("", NOTHING) else word.split(",")
        if field.items is not None and len(names) > field.items.count_max:
            raise NotUnderstood(f"{_title(field)} has at most {field.items.count_max} names")
        return [_one(field, name) for name in names]
    return _one(field, word)


def is_list(field: Field) -> bool:
    """Tell whether a field takes several words, with commas between them."""
    return field.flags is not None or getattr(field.type, "__origin__", None) is tuple


def _one(field: Field, word: str) -> Any:
    choices = choices_of(field)
    if field.type is bool:
        if word.lower() not in (*YES, *NO):
            raise NotUnderstood(f"{_title(field)} is yes or no")
        return word.lower() in YES
    if choices and word not in choices:
        raise NotUnderstood(f"{_title(field)} is one of {', '.join(choices)}")
    return word if field.flags is not None else _OF_KIND.get(field.type, _any)(field, word)


def _number(field: Field, word: str) -> int | datetime:
    if json_name(field) != field.name:
        return _moment(field, word)
    low, high = (field.number.minimum, field.number.maximum) if field.number else (-WHOLE_NUMBER_MAX, WHOLE_NUMBER_MAX)
    if not _WHOLE.fullmatch(word) or not low <= int(word) <= high:
        raise NotUnderstood(f"{_title(field)} is a whole number from {low} to {high}")
    return int(word)


def _moment(field: Field, word: str) -> datetime:
    try:
        found = datetime.fromisoformat(word)
    except ValueError:
        raise NotUnderstood(f"{_title(field)} is a time such as 2026-01-31T12:00:00Z") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _text(field: Field, word: str) -> str:
    limits = field.text
    if limits is not None and not limits.choices:
        if not limits.characters_min <= len(word) <= limits.characters_max:
            raise NotUnderstood(f"{_title(field)} has {limits.characters_min} to {limits.characters_max} characters")
        if limits.pattern is not None and not re.fullmatch(limits.pattern, word):
            example = f", such as {limits.example}" if limits.example else ""
            raise NotUnderstood(f"{_title(field)} is not of the right form{example}")
    return word


def _secret(field: Field, _word: str) -> Any:
    raise NotUnderstood(f"{_title(field)} is never typed on the command line: it is asked for")


def _any(_field: Field, word: str) -> str:
    return word


_OF_KIND: dict[Any, Callable[[Field, str], Any]] = {int: _number, str: _text, Secret: _secret}


def _title(field: Field) -> str:
    return json_name(field).replace("_", " ")
