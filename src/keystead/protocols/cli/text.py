"""How results look on a terminal: tables and lines. Pure.

Law: nothing that others have named reaches a terminal raw: what is not printable (control characters, escape
sequences, marks that turn the direction of writing) is shown as its code.

Source: requirement KS-CLI-001; attacks.md class 41 (terminal injection); ECMA-48.
"""

from collections.abc import Mapping, Sequence
from typing import Any

GAP = "  "
PEM = "-----BEGIN "


def printable(text: str) -> str:
    """Return text of one line with everything shown as its code that a terminal would act upon."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def lines_of(text: str) -> list[str]:
    """Return text of several lines, each of them printable."""
    return [printable(line) for line in text.replace("\r\n", "\n").split("\n")]


def rendered(result: Any) -> list[str]:
    """Return the lines that show a result: plain values as JSON has them (`protocols.rest.models.shown`)."""
    if isinstance(result, Mapping):
        return _fields(result)
    if isinstance(result, list):
        return _table(result)
    return lines_of(result.rstrip("\n")) if isinstance(result, str) else [_cell(result)]


def _fields(values: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for name, value in values.items():
        title = printable(str(name))
        if isinstance(value, Mapping) and value:
            lines += [f"{title}.{line}" for line in _fields(value)]
        elif _is_table(value):
            lines += [f"{title}:", *(GAP + line for line in _table(value))]
        elif isinstance(value, str) and value.startswith(PEM):
            lines += [f"{title}:", *lines_of(value.rstrip("\n"))]
        else:
            lines.append(f"{title}: {_cell(value)}")
    return lines


def _table(rows: Sequence[Any]) -> list[str]:
    if not _is_table(rows):
        return [_cell(row) for row in rows] or ["(none)"]
    names = list(rows[0])
    table = [
        [printable(str(name)).upper() for name in names],
        *([_cell(row.get(name)) for name in names] for row in rows),
    ]
    widths = [max(len(line[place]) for line in table) for place in range(len(names))]
    return [GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _cell(value: Any) -> str:
    if value is None or value in ("", []):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_cell(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{printable(str(name))}={_cell(one)}" for name, one in value.items())
    return printable(str(value))
