"""Columns of a list of keys: what they are called and what they show of a key. Pure.

Source: requirements KS-KEY-046, 049 (Columns Shown); docs/adr/0077-key-queries.md.
"""

from collections.abc import Callable

from keystead.core.algorithms import name_of
from keystead.core.errors import Invalid
from keystead.core.key_names import kind_word, state_word
from keystead.core.key_query import FIELDS, USES
from keystead.core.key_query_match import MOMENTS, TEXTS, names_of
from keystead.core.moments import shown_moment
from keystead.core.peoples_attributes import can_be_asked, shown
from keystead.core.records import ManagedObject

COLUMNS_COUNT_MAX = 20
CELL_CHARACTERS_MAX = 256
USUAL = ("name", "owner", "algorithm", "state", "created")

Shows = Callable[[ManagedObject, int], str]


def check_columns(names: tuple[str, ...]) -> None:
    """Check names of columns: fields of queries, "names" for what clients call the key, and attributes.

    Raises:
        Invalid: too many, twice, or no column has this name.
    """
    if len(names) > COLUMNS_COUNT_MAX or len(set(names)) < len(names):
        raise Invalid(f"a query shows at most {COLUMNS_COUNT_MAX} columns, each once", "invalid.field")
    for name in names:
        if name not in _SHOWS and not can_be_asked(name):
            raise Invalid(
                f"there is no column {name[:40]!r}; there are {', '.join(_SHOWS)} and attributes", "invalid.field"
            )


def cell(record: ManagedObject, column: str, now_us: int) -> str:
    """Return what a column shows of a key, "" = nothing; of much text the beginning."""
    show = _SHOWS.get(column)
    if show is not None:
        text = show(record, now_us)
    else:
        text = ", ".join(shown(instance.value) for instance in record.attributes.instances(column))
    return text if len(text) <= CELL_CHARACTERS_MAX else text[: CELL_CHARACTERS_MAX - 1] + "…"


def _texts(field: str) -> Shows:
    return lambda record, _now_us: ", ".join(TEXTS[field](record))


def _moment(field: str) -> Shows:
    def show(record: ManagedObject, _now_us: int) -> str:
        moment_us = MOMENTS[field](record)
        return "" if moment_us is None else shown_moment(moment_us)

    return show


def _flag(field: str) -> Shows:
    return lambda record, _now_us: "yes" if getattr(record.protection, field) else "no"


def _algorithm(record: ManagedObject, _now_us: int) -> str:
    return name_of(record.shape.algorithm) if record.shape.algorithm else ""


def _usage(record: ManagedObject, _now_us: int) -> str:
    return ", ".join(word for word, use in USES.items() if record.shape.usage_mask & use)


_MADE: dict[str, Shows] = {
    "name": lambda record, _now_us: record.handle,
    "kind": lambda record, _now_us: kind_word(record.object_type),
    "algorithm": _algorithm,
    "length": lambda record, _now_us: str(record.shape.length_bits or ""),
    "state": lambda record, now_us: "" if record.versioning is not None else str(state_word(record.state(now_us))),
    "versioned": lambda record, _now_us: "no" if record.versioning is None else "yes",
    "usage": _usage,
    **{field: _flag(field) for field in ("deletable", "exportable", "sensitive", "extractable")},
    **{field: _moment(field) for field in MOMENTS},
}
_SHOWS: dict[str, Shows] = {
    **{field: _MADE.get(field) or _texts(field) for field in FIELDS},
    "names": lambda record, _now_us: ", ".join(names_of(record)[1:]),
}
