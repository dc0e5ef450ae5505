"""Limits of a request's fields, declared beside the field: `name: Annotated[str, Text(pattern=…)]`.

Doors that describe themselves (REST, forms, commands) read them; what decides stays with the operation.

Source: design.md law 3.
"""

from dataclasses import dataclass
from enum import IntFlag


@dataclass(frozen=True, slots=True)
class Text:
    """Limits of text.

    Attributes:
        pattern: Regular expression that all of it matches, in the syntax that Python and ECMA 262 share.
        characters_max: At most so many.
        characters_min: At least so many.
        example: One that fits.
        multiline: Of several lines (PEM).
        choices: It is one of these.
    """

    pattern: str | None = None
    characters_max: int = 256
    characters_min: int = 0
    example: str | int | None = None
    multiline: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Number:
    """Limits of a whole number, both included."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Flags:
    """A number that is a bit mask: what its bits are called, in lower case, and which of them are possible."""

    possible: IntFlag


@dataclass(frozen=True, slots=True)
class Items:
    """How many items a list has at most, and what each may be."""

    count_max: int
    choices: tuple[str, ...] = ()
