"""Forms drawn from the fields of a request, and what somebody typed turned back into plain fields. Pure.

Laws: what is wrong is said at its field. Passwords are never filled in again.

Source: requirements KS-UI-024, 026; docs of gate.forms; design.md law 3.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from keystead.core.secret import Secret
from keystead.gate.forms import Field
from keystead.protocols.console.catalogue import for_people, words
from keystead.protocols.console.values import is_moment, moment
from keystead.protocols.rest.models import BASE64_CHARACTERS_MAX, LINE_CHARACTERS_MAX, TEXT_CHARACTERS_MAX

Posted = Mapping[str, list[str]]
SUGGESTED = {
    "user": "user",
    "heir": "user",
    "owner": "user",
    "users": "user",
    "group": "group",
    "groups": "group",
    "authority": "authority",
    "policy": "policy",
    "profile": "trust_profile",
}
"""Fields that name something that exists -> its noun; other names can be typed all the same (KS-UI-026)."""
FREE_PLACES_COUNT = 3
LONG_COUNT = 6
LEADER = "high_access"
"""Choice that ticks every other one; single ones may be unticked before saving (KS-ADM-007)."""
TICK, LED = "tick", "led"
"""Button that ticks all or none of some choices (KS-ADM-009); field that says that the leader has ticked them."""
KEEP = "keep"
_YES, _NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class Input:
    """One field of a form.

    Attributes:
        name: Of the field.
        label: For people.
        kind: "text", "password", "number", "lines", "choice", "choices", "many" or "fixed".
        help: What it means and its limits.
        required: It has to be filled in.
        values: What stands in it; never a password.
        options: (value, label) of choices.
        suggests: Noun whose names are offered; "" = none.
        least: Smallest number, or fewest characters.
        most: Largest number, or most characters.
        error: What is wrong with it; "" = nothing.
    """

    name: str
    label: str
    kind: str
    help: str = ""
    required: bool = False
    values: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    suggests: str = ""
    least: int | None = None
    most: int | None = None
    error: str = ""

    @property
    def is_long(self) -> bool:
        """Whether there are so many choices that buttons tick all or none of them."""
        return self.kind == "choices" and len(self.options) >= LONG_COUNT

    @property
    def leader(self) -> str:
        """The choice that stands for all others, "" = none does."""
        return LEADER if self.kind == "choices" and any(value == LEADER for value, _ in self.options) else ""

    @property
    def value(self) -> str:
        """The first value."""
        return self.values[0] if self.values else ""


def inputs(fields: tuple[Field, ...], current: Mapping[str, Any], posted: Posted | None = None) -> list[Input]:
    """Return the inputs of a form.

    Args:
        fields: To be filled in.
        current: What the thing has now under the same names.
        posted: What somebody has typed already.
    """
    return [_input(field, current, posted) for field in fields]


def read(
    fields: tuple[Field, ...], posted: Posted, current: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return plain fields, and what is wrong by field."""
    plain: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for field in fields:
        try:
            found = _plain(field, posted.get(field.name, []), is_known=current.get(field.name) is not None)
        except ValueError as error:
            wrong[field.name] = str(error)
            continue
        if found is not _ABSENT:
            plain[field.name] = found
    return plain, wrong


def ticked(fields: tuple[Field, ...], posted: Posted, current: Mapping[str, Any]) -> Posted | None:
    """Return the form after a button that ticks choices, or a leader that was ticked; None = it is ready as it is."""
    drawn = {one.name: one for one in inputs(fields, current, posted) if one.is_long or one.leader}
    name, _, word = posted.get(TICK, [""])[-1].partition(":")
    if name in drawn:
        is_all = word == "all"
        return {**posted, name: [value for value, _ in drawn[name].options if is_all], LED: ["1" if is_all else ""]}
    before = {one.name: one.values for one in inputs(fields, current)}
    for one in drawn.values():
        every = [value for value, _ in one.options]
        is_new = one.leader in one.values and one.leader not in before[one.name]
        if one.leader and is_new and posted.get(LED, [""]) == [""] and not {*every} <= {*one.values}:
            return {**posted, one.name: every, LED: ["1"]}
    return None


def with_errors(drawn: list[Input], wrong: Mapping[str, str]) -> list[Input]:
    """Return inputs that say what is wrong with them."""
    return [replace(one, error=wrong.get(one.name, "")) for one in drawn]


def field_of_error(drawn: list[Input], message: str) -> str:
    """Return the only field that a sentence speaks of, "" when that is not clear."""
    said = message.casefold()
    named = {one.name for one in drawn if re.search(rf"\b({one.name}|{re.escape(one.label.casefold())})\b", said)}
    return named.pop() if len(named) == 1 else ""


_ABSENT = object()


def _input(field: Field, current: Mapping[str, Any], posted: Posted | None) -> Input:
    kind, options = _kind(field)
    typed = () if kind == "password" else _values(field, current, posted)
    least, most = limits = _limits(field, kind)
    is_known = current.get(field.name) is not None
    return Input(
        field.name,
        words(field.name),
        kind,
        _help(field, kind, limits, is_known=is_known),
        field.required and not field.nullable and kind not in ("choices", "many"),
        typed,
        options,
        SUGGESTED.get(field.name, ""),
        least,
        most,
    )


def _kind(field: Field) -> tuple[str, tuple[tuple[str, str], ...]]:
    offered = _offered(field)
    if offered:
        return offered
    if field.type is Secret:
        return "password", ()
    if field.type is int:
        return ("text" if is_moment(field) else "number"), ()
    if field.type is bytes or (field.text is not None and field.text.multiline):
        return "lines", ()
    return ("text" if field.type is str else "many"), ()


def _offered(field: Field) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """Return what can be chosen, None where something is typed."""
    kept = ((KEEP, "leave as it is"),) if field.nullable else ()
    if field.flags is not None:
        names = [str(one.name).lower() for one in field.flags.possible]
        return "choices", tuple((name, name.replace("_", " ")) for name in names)
    if field.type is bool:
        return "choice", (*kept, (_YES, "yes"), (_NO, "no"))
    if isinstance(field.type, type) and issubclass(field.type, StrEnum):
        return "choice", (*kept, *((str(one), str(one).replace("-", " ")) for one in field.type))
    if field.items is not None and field.items.choices:
        return "choices", tuple((one, one.replace("_", " ")) for one in field.items.choices)
    if field.text is not None and field.text.choices:
        return "choice", tuple((one, one) for one in field.text.choices)
    return None


def _limits(field: Field, kind: str) -> tuple[int | None, int | None]:
    if kind == "number" and field.number is not None:
        return field.number.minimum, field.number.maximum
    if kind in ("text", "password", "lines", "many") and field.text is not None and field.type is not bytes:
        return field.text.characters_min or None, field.text.characters_max
    return None, {"lines": BASE64_CHARACTERS_MAX, "text": LINE_CHARACTERS_MAX}.get(kind)


def _help(field: Field, kind: str, limits: tuple[int | None, int | None], *, is_known: bool) -> str:
    least, most = limits
    said = [field.about] if field.about else []
    if kind == "number" and least is not None:
        said.append(f"From {least:,} to {most:,}.")
    if kind in ("text", "password") and field.text is not None and str(most) not in field.about:
        said.append(f"At most {most:,} characters.")
    if field.type is bytes:
        said.append("PEM, or DER in Base64.")
    if is_moment(field):
        said.append("UTC, such as 2026-01-31 12:00.")
    if field.nullable and not is_known and kind in ("text", "lines", "password", "number"):
        said.append("Empty = none.")
    if field.text is not None and isinstance(field.text.example, str) and kind == "text":
        said.append(f"Example: {field.text.example}.")
    return for_people(" ".join(said))


def _values(field: Field, current: Mapping[str, Any], posted: Posted | None) -> tuple[str, ...]:
    if posted is not None and (field.name in posted or _kind(field)[0] == "choices"):
        return tuple(posted.get(field.name, ()))
    held = current.get(field.name)
    if held is None:
        held = None if field.required else field.default
    if field.flags is not None:
        return tuple(str(one.name).lower() for one in field.flags.possible if one & (held or 0))
    if held is None:
        return (KEEP,) if field.nullable and _kind(field)[0] == "choice" else ()
    if isinstance(held, bool):
        return (_YES if held else _NO,)
    if is_moment(field):
        return (f"{moment(field, held):%Y-%m-%d %H:%M}",) if held else ()
    return tuple(str(one) for one in held) if isinstance(held, (list, tuple)) else (str(held),)


def _plain(field: Field, typed: list[str], *, is_known: bool) -> Any:
    kind, options = _kind(field)
    if kind in ("choices", "many"):
        return _several(field, typed, dict(options), is_known=is_known)
    word = typed[-1] if typed else ""
    if kind == "password":
        return _password(field, word)
    word = word.replace("\r\n", "\n") if kind == "lines" else word.strip()
    if kind == "choice":
        return _chosen(field, word, dict(options))
    if not word and (not field.required or field.nullable):
        if field.required:
            return None
        return "" if is_known and field.type is str else _ABSENT
    if not word and not (field.type is str and field.text is not None and not field.text.pattern):
        raise ValueError("This has to be filled in.")
    return _one(field, word)


def _one(field: Field, word: str) -> Any:
    if field.type is bytes:
        return _bytes(word)
    if is_moment(field):
        return _moment(field, word)
    if field.type is int:
        return _number(field, word)
    return _text(field, word)


def _several(field: Field, typed: list[str], options: Mapping[str, str], *, is_known: bool) -> Any:
    chosen = [one.strip() for one in typed if one.strip()]
    if options and not set(chosen) <= options.keys():
        raise ValueError("Choose among what is offered.")
    if field.flags is not None:
        return sum({int(one) for one in field.flags.possible if str(one.name).lower() in chosen})
    if field.items is not None and len(chosen) > field.items.count_max:
        raise ValueError(f"At most {field.items.count_max}.")
    if not options:
        chosen = [_text(field, one) for one in chosen]
    return _ABSENT if not chosen and field.nullable and not is_known else chosen


def _password(field: Field, word: str) -> Any:
    if not word:
        if field.nullable:
            return None
        raise ValueError("This has to be filled in.")
    most = field.text.characters_max if field.text is not None else TEXT_CHARACTERS_MAX
    if len(word) > most:
        raise ValueError(f"At most {most} characters.")
    return word.encode()


def _chosen(field: Field, word: str, options: Mapping[str, str]) -> Any:
    if word not in options:
        raise ValueError("Choose among what is offered.")
    if word == KEEP and field.nullable:
        return _ABSENT
    return word == _YES if field.type is bool else word


def _text(field: Field, word: str) -> str:
    limits = field.text
    most = LINE_CHARACTERS_MAX if limits is None else limits.characters_max
    if len(word) > most:
        raise ValueError(f"At most {most:,} characters.")
    if limits is not None and len(word) < limits.characters_min:
        raise ValueError(f"At least {limits.characters_min} characters.")
    if limits is not None and limits.pattern is not None and re.fullmatch(limits.pattern, word) is None:
        raise ValueError(f"This is not as it must be. {field.about}".strip() + _example(limits.example))
    return word


def _example(example: object) -> str:
    return f" Example: {example}" if isinstance(example, str) and len(example) < LINE_CHARACTERS_MAX else ""


def _number(field: Field, word: str) -> int:
    if re.fullmatch(r"-?\d{1,16}", word, re.ASCII) is None:
        raise ValueError("A whole number is wanted.")
    found, limits = int(word), field.number
    if limits is not None and not limits.minimum <= found <= limits.maximum:
        raise ValueError(f"From {limits.minimum:,} to {limits.maximum:,}.")
    return found


def _bytes(word: str) -> bytes:
    if "-----BEGIN" in word:
        return word.encode()
    try:
        return base64.b64decode("".join(word.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("This is neither PEM nor Base64.") from None


def _moment(field: Field, word: str) -> int:
    try:
        at = datetime.fromisoformat(word)
    except ValueError:
        raise ValueError("A time is wanted, such as 2026-01-31 12:00.") from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return int(at.timestamp() * (1_000_000 if field.name.endswith("_us") else 1))
