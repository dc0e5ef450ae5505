"""What a request looks like to whoever fills it in: its fields with kinds, limits and a sentence on each.

Read from the request's dataclass and its docstring, so that REST, forms, commands and pages say the same.

Source: design.md law 3.
"""

import dataclasses
import re
import types
import typing
from dataclasses import dataclass
from functools import cache
from typing import Any

from keystead.core.fields import Flags, Items, Number, Text

_ATTRIBUTE = re.compile(r"^ {4}(?: {4})?(\w+): (.*)$")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a request or result.

    Attributes:
        name: Of the attribute.
        type: Its type without limits and without None.
        nullable: None is possible; what it means is said in `about`.
        required: There is no default.
        default: What it is when it is left out.
        about: A sentence from the docstring, or "".
        text: Limits of text.
        number: Limits of a number.
        items: Limits of a list.
        flags: What the bits of a number are called.
    """

    name: str
    type: Any
    nullable: bool
    required: bool
    default: Any
    about: str
    text: Text | None = None
    number: Number | None = None
    items: Items | None = None
    flags: Flags | None = None


@cache
def fields_of(kind: type) -> tuple[Field, ...]:
    """Return the fields of a dataclass or named tuple, in order."""
    hints = typing.get_type_hints(kind, include_extras=True)
    said = about_fields(kind)
    defaults = _defaults(kind)
    return tuple(_field(name, hint, defaults, said.get(name, "")) for name, hint in hints.items() if name in defaults)


def summary_of(kind: Any) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join((kind.__doc__ or "").strip().split("\n\n")[0].split())


def about_fields(kind: type) -> dict[str, str]:
    """Return what the section "Attributes:" of a docstring says of each field."""
    _, _, section = (kind.__doc__ or "").partition("Attributes:\n")
    said: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        found = _ATTRIBUTE.match(line)
        if found is not None:
            name = found[1]
            said[name] = found[2].strip()
        elif name and line.strip():
            said[name] += " " + line.strip()
    return said


_NONE = dataclasses.MISSING


def _defaults(kind: type) -> dict[str, Any]:
    if dataclasses.is_dataclass(kind):
        return {
            field.name: field.default_factory() if field.default_factory is not _NONE else field.default
            for field in dataclasses.fields(kind)
            if field.init
        }
    held = getattr(kind, "_field_defaults", {})
    return {name: held.get(name, _NONE) for name in getattr(kind, "_fields", ())}


def _field(name: str, hint: Any, defaults: dict[str, Any], about: str) -> Field:
    hint, limits = _split(hint)
    nullable = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        nullable = type(None) in options
        kept = [option for option in options if option is not type(None)]
        if len(kept) == 1:
            hint, inner = _split(kept[0])
            limits = [*limits, *inner]
    of = {type(limit): limit for limit in limits}
    required = defaults[name] is _NONE
    default = None if required else defaults[name]
    known = (of.get(Text), of.get(Number), of.get(Items), of.get(Flags))
    return Field(name, hint, nullable, required, default, about, *known)


def _split(hint: Any) -> tuple[Any, list[Any]]:
    if typing.get_origin(hint) is typing.Annotated:
        inner, *limits = typing.get_args(hint)
        return inner, list(limits)
    return hint, []
