"""Requests and results as plain values that CBOR takes, and back; one form for every door and for what is kept.

Source: design.md laws 5 and 10; docs/adr/0002.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from keystead.core.errors import Invalid, NotSupported
from keystead.core.secret import Secret
from keystead.gate.operation import REGISTRY, Declaration


def declaration_of(name: object) -> Declaration:
    """Find an operation by its dotted name.

    Raises:
        NotSupported: there is none.
    """
    for declaration in REGISTRY.values():
        if declaration.name == name:
            return declaration
    raise NotSupported("no such operation", "not_supported.operation")


def request_from(declaration: Declaration, given: Mapping[str, Any]) -> Any:
    """Make the request object of an operation from plain fields.

    Raises:
        Invalid: a field is unknown, missing or of another kind.
    """
    hints = typing.get_type_hints(declaration.request)
    unknown = given.keys() - hints.keys()
    if unknown:
        raise Invalid(f"{declaration.name} has no field {min(unknown)}", "invalid.field")
    try:
        return declaration.request(**{name: _value(hints[name], value, name) for name, value in given.items()})
    except TypeError:
        raise Invalid(f"{declaration.name} lacks a field", "invalid.missing") from None


def _value(hint: Any, value: Any, name: str) -> Any:
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        return _value(next(o for o in options if o is not type(None)), value, name)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(typing.get_args(hint)[0], item, name) for item in value)
    if hint is Secret and isinstance(value, bytes):
        return Secret(value)
    if isinstance(hint, type) and issubclass(hint, str) and isinstance(value, str):
        try:
            return hint(value)
        except ValueError:
            raise Invalid(f"{name} cannot be {value!r}", "invalid.field") from None
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise Invalid(f"{name} is of another kind than expected", "invalid.field")


def plain(value: Any) -> Any:
    """Turn a result or request into CBOR-able values; a Secret in it is meant for this caller and is revealed."""
    if isinstance(value, Secret):
        return value.reveal()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return str(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
