"""Frames and values of the local door; pure.

Source: RFC 8949 (CBOR); design.md law 5.
"""

import struct
from collections.abc import Mapping
from typing import Any

import cbor2

from keystead.core.errors import ERROR_CLASSES, Internal, Invalid, KeysteadError, Limited
from keystead.core.secret import Secret
from keystead.gate.plain import declaration_of, plain, request_from

__all__ = ["credentials_from", "declaration_of", "error_from", "frame", "plain", "read_body", "request_from"]

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


def credentials_from(message: Mapping[str, Any]) -> tuple[tuple[str, Secret], ...]:
    """Return names and passwords of further administrators who approve the request of a message.

    Raises:
        Invalid: not a list of pairs of text and bytes.
    """
    given = message.get("approvals", [])
    if not isinstance(given, list) or not all(
        isinstance(one, list) and [type(part) for part in one] == [str, bytes] for one in given
    ):
        raise Invalid("approvals are pairs of a name and a password", "invalid.message")
    return tuple((name, Secret(password)) for name, password in given)


def error_from(answer: Mapping[str, Any]) -> KeysteadError:
    """Rebuild the error of an answer."""
    reason, message = str(answer.get("error")), str(answer.get("message", ""))
    for cls in ERROR_CLASSES:
        if reason in cls.reasons:
            return Limited(message, 1.0) if issubclass(cls, Limited) else cls(message, reason)
    return Internal(message)
