"""Canonical CBOR of fixed shape: what clients, vault and custodians hand one another, and the form of each field.

Law: bytes of another are read once, checked whole, and are canonical, or refused.

Source: RFC 8949 section 4.2.
"""

from collections.abc import Mapping
from typing import Any

import cbor2

from keystead.core.errors import Invalid

Fields = Mapping[str, Any]
Shape = Mapping[str, type | tuple[type, ...]]


def packed(fields: Fields) -> bytes:
    """Return the canonical bytes."""
    return cbor2.dumps(dict(fields), canonical=True)


def unpacked(data: bytes, shape: Shape, what: str) -> dict[str, Any]:
    """Read a map that has exactly the fields of `shape`, each of its type.

    Raises:
        Invalid: anything else.
    """
    try:
        found = cbor2.loads(data)
        canonical = isinstance(found, dict) and cbor2.dumps(found, canonical=True) == data
    except (cbor2.CBORError, ValueError, TypeError, RecursionError, OverflowError):
        canonical, found = False, {}
    if not canonical or set(found) != set(shape):
        raise Invalid(f"this is no {what}, or it was cut off", "invalid.message")
    for name, kind in shape.items():
        if not isinstance(found[name], kind) or (isinstance(found[name], bool) and kind is not bool):
            raise Invalid(f"the field {name} of this {what} breaks its form", "invalid.message")
    return dict(found)
