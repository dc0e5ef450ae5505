"""Frames and values of the local door; pure.

Source: RFC 8949 (CBOR); design.md law 5.
"""

import dataclasses
import struct
import types
import typing
from collections.abc import Mapping
from typing import Any

import cbor2

from keystead.core.errors import ERROR_CLASSES, Internal, Invalid, KeysteadError, Limited, NotSupported
from keystead.core.secret import Secret
from keystead.gate.operation import REGISTRY, Declaration

FRAME_BYTES_MAX = 4 * 1024 * 1024
LENGTH = struct.Struct(">I")


def frame(message: Mapping[str, Any]) -> bytes:
    """Return a message as one frame."""
    body = cbor2.dumps(message)
    if len(body) > FRAME_BYTES_MAX:
        raise Invalid("the message is too large for the local door", "invalid.message")
    return LENGTH.pack(len(body)) + body


def read_body(body: bytes) -> dict[str, Any]:
    """Return the map in a frame's body.

    Raises:
        Invalid: not a CBOR map with text keys.
    """
    try:
        message = cbor2.loads(body)
    except (cbor2.CBORDecodeError, ValueError, RecursionError):
        raise Invalid("the message is not CBOR", "invalid.message") from None
    if not isinstance(message, dict) or not all(isinstance(key, str) for key in message):
        raise Invalid("the message is not a map", "invalid.message")
    return message


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


def error_from(answer: Mapping[str, Any]) -> KeysteadError:
    """Rebuild the error of an answer."""
    reason, message = str(answer.get("error")), str(answer.get("message", ""))
    for cls in ERROR_CLASSES:
        if reason in cls.reasons:
            return Limited(message, 1.0) if issubclass(cls, Limited) else cls(message, reason)
    return Internal(message)
