"""Handles: what an object is called uniquely within its realm.

Source: requirement KS-KEY-002; docs/adr/0034.
"""

import re

from keystead.core.errors import Invalid

HANDLE_CHARACTERS_MAX = 64
PREFIX = "key-"
_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_MADE_UP = re.compile(r"key-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def made_up(object_id: str) -> str:
    """Return the handle of an object to which nobody gave one."""
    return PREFIX + object_id


def is_handle(text: str) -> bool:
    """Tell whether an object may be called so."""
    return _PATTERN.fullmatch(text) is not None


def check_new(handle: str) -> None:
    """Check a handle that somebody chose for a new object.

    Raises:
        Invalid: not of the pattern, or of the form that only the server gives.
    """
    if not is_handle(handle):
        raise Invalid("a key's name is a letter and up to 63 letters, digits, '_', '.' and '-'", "invalid.field")
    if _MADE_UP.fullmatch(handle) is not None:
        raise Invalid("names of this form are the server's own; choose another", "invalid.field")
