"""Values as people see them: safe whatever a stranger wrote, and honest about characters that deceive the eye. Pure.

Law: everything becomes text here or in a template that escapes; nothing else makes HTML of what comes from outside.

Source: requirement KS-UI-023; attacks.md class 46; Unicode Technical Report 36.
"""

import json
import typing
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

from keystead.gate.forms import Field, fields_of
from keystead.protocols.console.catalogue import words
from keystead.protocols.rest.models import moment_unit

LINE_CHARACTERS = 96
VISIBLE_KEPT_COUNT_MAX = 4_096
_UNITS = {"_us": 1_000_000, "_s": 1}
_NONE = Markup('<span class="none">–</span>')


def html_of(field: Field, value: Any) -> Markup:
    """Return the HTML of a field's value."""
    if type(value) is str and "\n" not in value and value:
        return visible(value)
    if field.flags is not None:
        return _listed([str(one.name).lower().replace("_", " ") for one in field.flags.possible if one & value])
    if value is not None and is_moment(field):
        return when(field, value, " UTC")
    item = typing.get_args(field.type)[0] if typing.get_origin(field.type) is tuple else None
    if isinstance(item, type) and hasattr(item, "__dataclass_fields__") and value:
        return table(fields_of(item), value)
    if isinstance(value, Mapping) and isinstance(field.type, type) and hasattr(field.type, "__dataclass_fields__"):
        return _within(fields_of(field.type), value)
    return _html(value)


def when(field: Field, value: int, zone: str = "") -> Markup:
    """Return the HTML of a moment; the zone may be said elsewhere."""
    at = moment(field, value)
    shown = at.isoformat(" ", "seconds")[:19]
    return Markup(f'<time datetime="{at.isoformat()}">{shown}{escape(zone)}</time>')  # noqa: S704  # digits of ours


def text_of(field: Field, value: Any) -> str:
    """Return the text of a value, for filters."""
    if value is not None and is_moment(field):
        return f"{moment(field, value):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, list):
        return " ".join(str(one) for one in value)
    return {None: "", True: "yes", False: "no"}.get(value, str(value)) if not isinstance(value, Mapping) else ""


def sort_key(value: Any) -> tuple[int, int | float, str]:
    """Return by what a value is sorted: numbers, then texts, then what is not there."""
    if value is None:
        return (2, 0, "")
    if isinstance(value, (int, float)):
        return (0, value, "")
    return (1, 0, (" ".join(map(str, value)) if isinstance(value, list) else str(value)).casefold())


def table(fields: tuple[Field, ...], rows: list[Mapping[str, Any]]) -> Markup:
    """Return a small table of items within an item."""
    head = Markup().join(Markup('<th scope="col">{}</th>').format(words(field.name)) for field in fields)
    body = Markup().join(
        Markup("<tr>{}</tr>").format(
            Markup().join(Markup("<td>{}</td>").format(html_of(field, row[field.name])) for field in fields)
        )
        for row in rows
    )
    return Markup('<div class="scroll"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>').format(
        head, body
    )


def _within(fields: tuple[Field, ...], held: Mapping[str, Any]) -> Markup:
    """Return what a thing has that is a part of another one."""
    pairs = Markup().join(
        Markup("<dt>{}</dt><dd>{}</dd>").format(words(field.name), html_of(field, held[field.name])) for field in fields
    )
    return Markup('<dl class="details within">{}</dl>').format(pairs)


@lru_cache(VISIBLE_KEPT_COUNT_MAX)
def visible(text: str) -> Markup:
    """Return text whose direction stays its own, with what cannot be seen made visible.

    A name of letters from several alphabets is said to be one: it may look like another.
    """
    shown = escape(text) if text.isprintable() else Markup().join(_character(one) for one in text)
    hint = Markup(' <span class="odd">mixed alphabets</span>') if _is_mixed(text) else Markup()
    return Markup("<bdi>{}</bdi>{}").format(shown, hint)


def spelled(text: str) -> str:
    """Return text for places that take no markup, such as titles: what cannot be seen stands as its number."""
    return text if text.isprintable() else "".join(one if one.isprintable() else f"U+{ord(one):04X}" for one in text)


def is_moment(field: Field) -> bool:
    """Tell whether a number is a point in time."""
    return bool(moment_unit(field))


def moment(field: Field, value: int) -> datetime:
    """Return the point in time."""
    try:
        return datetime.fromtimestamp(value / _UNITS[moment_unit(field)], UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=UTC)


def _html(value: Any) -> Markup:
    if value is None or value in ("", [], {}):
        return _NONE
    if isinstance(value, bool):
        return Markup("yes") if value else Markup("no")
    if isinstance(value, bytes):
        return _html(value.decode(errors="replace"))
    if isinstance(value, list):
        return _listed([one if isinstance(one, str) else json.dumps(one, default=str) for one in value])
    if isinstance(value, Mapping):
        pairs = [Markup("{}: {}").format(words(str(name)), _html(held)) for name, held in value.items()]
        return Markup(", ").join(pairs)
    if isinstance(value, str) and "\n" in value:
        return Markup('<pre tabindex="0">{}</pre>').format(Markup("\n").join(map(visible, value.split("\n"))))
    return visible(str(value))


def _listed(texts: list[str]) -> Markup:
    if not texts:
        return _NONE
    return Markup('<ul class="words">{}</ul>').format(
        Markup().join(Markup("<li>{}</li>").format(visible(text)) for text in texts)
    )


def _character(one: str) -> Markup:
    if one.isprintable() or one == "\t":
        return escape(one)
    return Markup('<span class="odd" title="{}">U+{:04X}</span>').format(unicodedata.name(one, "control"), ord(one))


def _is_mixed(text: str) -> bool:
    if text.isascii():
        return False
    alphabets = {unicodedata.name(one, "?").split()[0] for one in text if one.isalpha()}
    return len(alphabets & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "FULLWIDTH"}) > 1
