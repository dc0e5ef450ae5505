"""JSON models of requests and results, drawn from their dataclasses; and values between JSON and plain.

Times: a field that means a moment is an RFC 3339 time, `created_us` as `created_at`.
Bytes are Base64, passwords are text, sets of rights are lists of names.

Source: RFC 8259, RFC 3339, RFC 4648 section 4; design.md section 6 ("declarations": models are derived at this edge).
"""

import base64
import binascii
import dataclasses
import re
import types
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, Union

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, SecretStr, StringConstraints, create_model
from pydantic import Field as Constraints

from keystead.core.errors import Invalid
from keystead.core.fields import Flags
from keystead.core.secret import Secret
from keystead.gate.forms import Field, fields_of, summary_of

TEXT_CHARACTERS_MAX = 32_768
LINE_CHARACTERS_MAX = 512
BASE64_CHARACTERS_MAX = 524_288
ITEMS_COUNT_MAX = 1_000
INTEGER_MAX = 2**53 - 1  # what every JSON reader can tell apart (RFC 7493 section 2.2)
SECONDS = frozenset({"not_after_s", "revoked_s", "list_due_s"})
"""Fields in seconds that are moments; all others are durations. Microseconds are always moments."""
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_WHENS = frozenset({"at", "since", "until", "not_after", "not_before"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"_us": 1_000_000, "_s": 1}


def json_name(field: Field) -> str:
    """Return a field's name in JSON: a moment's ends in `_at` instead of its unit, unless it says "when" already."""
    unit = moment_unit(field)
    if not unit:
        return field.name
    stem = field.name.removesuffix(unit)
    return stem if stem in _WHENS else f"{stem}_at"


@cache
def model_of(kind: type, *, is_request: bool = False) -> type[BaseModel]:
    """Return the model of a dataclass or named tuple; a request's refuses fields it does not know."""
    return request_model(kind.__name__, kind, fields_of(kind)) if is_request else _result_model(kind)


def source_of(parameter: str, answer: type) -> str:
    """Return where in an answer the parameter of a path stands: itself, or the id or name of what was made; "" nowhere.

    Parts are separated by "/", as in a JSON Pointer.
    """
    members = {json_name(field): field for field in fields_of(answer)}
    own = next((name for name in (parameter, "id", "name") if name in members), "")
    if own:
        return own
    within = [
        f"{name}/{source_of(parameter, field.type)}" for name, field in members.items() if _has_fields(field.type)
    ]
    return next((path for path in within if not path.endswith("/")), "")


def request_model(name: str, kind: type, fields: tuple[Field, ...]) -> type[BaseModel]:
    """Return the model of a body with these fields."""
    drawn: dict[str, Any] = {json_name(field): json_field(field) for field in fields}
    config = ConfigDict(extra="forbid", strict=True, title=name)
    return create_model(name, __config__=config, __doc__=summary_of(kind), **drawn)


def json_field(field: Field) -> tuple[Any, Any]:
    """Return (annotation, default with description) of a field of a request."""
    annotated = _annotation(field)
    if field.nullable:
        annotated = annotated | None if not isinstance(annotated, str) else annotated
    default = ... if field.required else _json_default(field)
    return annotated, Constraints(default, description=field.about or None)


def plain_fields(fields: tuple[Field, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `local.wire.request_from` takes, from the values of a model or of path and query.

    Raises:
        Invalid: not Base64.
    """
    found = {}
    for field in fields:
        name = json_name(field)
        if name in given:
            found[field.name] = _plain(field, given[name])
    return found


def shown(hint: Any, value: Any) -> Any:
    """Return a plain result as JSON has it."""
    hint = _bare(hint)
    origin = typing.get_origin(hint)
    if value is None:
        return None
    if _has_fields(hint):
        return {json_name(one): _shown_field(one, value[one.name]) for one in fields_of(hint)}
    if origin in (tuple, list):
        item = typing.get_args(hint)[0]
        return [shown(item, one) for one in value]
    if hint is Secret:
        return bytes(value).decode()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _shown_field(field: Field, value: Any) -> Any:
    unit = moment_unit(field)
    if field.flags is not None:
        return [str(one.name).lower() for one in field.flags.possible if one & value]
    if value is None or not unit:
        return shown(field.type, value)
    return _moment_of(value, unit).isoformat().replace("+00:00", "Z")


def _plain(field: Field, value: Any) -> Any:
    unit = moment_unit(field)
    if isinstance(value, SecretStr):
        return value.get_secret_value().encode()
    if isinstance(value, datetime):
        return (value - _EPOCH) // (timedelta(seconds=1) / _UNITS[unit])
    if field.type is bytes and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise Invalid(f"{field.name} is not Base64", "invalid.field") from None
    if field.flags is not None:
        return sum({int(one) for one in field.flags.possible if str(one.name).lower() in value})
    if isinstance(value, StrEnum):
        return str(value)
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else value


def _moment_of(value: int, unit: str) -> datetime:
    return _EPOCH + value * (timedelta(seconds=1) / _UNITS[unit])


def moment_unit(field: Field) -> str:
    """Return the unit at the end of the name of a field that is a moment, else ""."""
    if field.type is not int:
        return ""
    if field.name.endswith("_us"):
        return "_us"
    return "_s" if field.name in SECONDS else ""


def _annotation(field: Field) -> Any:
    kind = field.type
    if moment_unit(field):
        return Annotated[AwareDatetime, Constraints(strict=False), BeforeValidator(_moment)]
    if field.flags is not None:
        return Annotated[list_of(_names(field.flags)), Constraints(max_length=64)]
    if kind in _SIMPLE:
        return _SIMPLE[kind](field)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return Annotated[kind, Constraints(strict=False)]
    if typing.get_origin(kind) is tuple:
        return _list(field)
    return kind


def _secret(field: Field) -> Any:
    most = field.text.characters_max if field.text else TEXT_CHARACTERS_MAX
    return Annotated[SecretStr, Constraints(min_length=1, max_length=most, examples=_examples(field))]


def _bytes(field: Field) -> Any:
    extra: dict[str, Any] = {"contentEncoding": "base64"}
    encoded = Constraints(max_length=BASE64_CHARACTERS_MAX, json_schema_extra=extra, examples=_examples(field))
    return Annotated[str, encoded]


def _whole(field: Field) -> Any:
    number = field.number
    low, high = (number.minimum, number.maximum) if number else (-INTEGER_MAX, INTEGER_MAX)
    return Annotated[int, Constraints(ge=low, le=high), BeforeValidator(_whole_number)]


def _moment(value: Any) -> Any:
    """Take RFC 3339 only: the library would take numbers for times, too."""
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError("a time is written as in RFC 3339, e.g. 2026-01-31T12:00:00Z")
    return value


def _whole_number(value: Any) -> Any:
    """Take 3.0 for 3: to JSON they are the same number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _any(field: Field) -> Any:
    number = Annotated[int, Constraints(ge=-INTEGER_MAX, le=INTEGER_MAX), BeforeValidator(_whole_number)]
    text = Annotated[str, StringConstraints(max_length=LINE_CHARACTERS_MAX)]
    return Annotated[bool | number | text, Constraints(examples=_examples(field))]


def _text(field: Field) -> Any:
    limits = field.text
    if limits is None:
        return Annotated[str, StringConstraints(max_length=LINE_CHARACTERS_MAX)]
    if limits.choices:
        return Annotated[_one_of(limits.choices), Constraints(examples=_examples(field))]
    pattern = None if limits.pattern is None else f"^(?:{limits.pattern})$"
    constraints = StringConstraints(
        min_length=limits.characters_min or None, max_length=limits.characters_max, pattern=pattern
    )
    return Annotated[str, constraints, Constraints(examples=_examples(field))]


def _examples(field: Field) -> list[Any] | None:
    return None if field.text is None or field.text.example is None else [field.text.example]


_SIMPLE: dict[Any, Callable[[Field], Any]] = {Secret: _secret, bytes: _bytes, str: _text, int: _whole, Any: _any}


def _list(field: Field) -> Any:
    most, item = ITEMS_COUNT_MAX, typing.get_args(field.type)[0]
    if field.items is not None:
        most = field.items.count_max
        if field.items.choices:
            return Annotated[list_of(_one_of(field.items.choices)), Constraints(max_length=most)]
    if item is str:
        item = _text(dataclasses.replace(field, type=str))
    elif isinstance(item, type) and issubclass(item, StrEnum):
        item = Annotated[item, Constraints(strict=False)]
    return Annotated[list_of(item), Constraints(max_length=most)]


def _names(flags: Flags) -> Any:
    return _one_of(tuple(str(one.name).lower() for one in flags.possible))


def _one_of(choices: tuple[str, ...]) -> Any:
    return Literal[choices]


def list_of(item: Any) -> Any:
    """Return the type of a list of items of a type that is drawn."""
    return types.GenericAlias(list, (item,))


def _json_default(field: Field) -> Any:
    if moment_unit(field) and field.default is not None:
        return _moment_of(field.default, moment_unit(field))
    return list(field.default) if isinstance(field.default, tuple) else field.default


def _result_model(kind: type) -> type[BaseModel]:
    drawn: dict[str, Any] = {}
    for field in fields_of(kind):
        annotation: Any = AwareDatetime if moment_unit(field) else _result_type(field.type)
        if field.flags is not None:
            annotation = list_of(_names(field.flags))
        nullable = annotation | None if field.nullable else annotation
        drawn[json_name(field)] = (nullable, Constraints(description=field.about or None))
    return create_model(kind.__name__, __doc__=summary_of(kind), **drawn)


def result_type(hint: Any) -> Any:
    """Return the type that JSON shows of a result."""
    return _result_type(_bare(hint))


def _result_type(hint: Any) -> Any:
    if _has_fields(hint):
        return model_of(hint)
    if typing.get_origin(hint) in (tuple, list):
        return list_of(_result_type(typing.get_args(hint)[0]))
    return str if hint in (Secret, bytes) else hint


def _has_fields(hint: Any) -> bool:
    return isinstance(hint, type) and (dataclasses.is_dataclass(hint) or hasattr(hint, "_fields"))


def _bare(hint: Any) -> Any:
    if typing.get_origin(hint) is Annotated:
        return _bare(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (Union, types.UnionType):
        return _bare(next(one for one in typing.get_args(hint) if one is not type(None)))
    return hint
