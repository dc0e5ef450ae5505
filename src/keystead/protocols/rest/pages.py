"""Lists page by page: an opaque cursor says where to go on. Pure.

Source: design.md section 6 (lists); RFC 4648 section 5.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

from keystead.core.errors import Invalid
from keystead.gate.forms import Field

LIMIT_COUNT_MAX = 1_000
LIMIT_COUNT = 100
CURSOR_CHARACTERS_MAX = 512
OFFSET_COUNT_MAX = 100_000
PLACES = ("after", "offset", "limit_count")
"""Fields of a list's request that say where to begin and how much to list; `cursor` and `limit` stand for them."""


def place_of(fields: tuple[Field, ...]) -> str:
    """Return by which field an operation is told where to begin, "" when it always returns everything."""
    return next((field.name for field in fields if field.name in PLACES[:2]), "")


def beginning(place: str, cursor: str | None) -> dict[str, Any]:
    """Return the fields that tell an operation where to begin.

    Raises:
        Invalid: not a cursor that this list has given.
    """
    if cursor is None:
        return {}
    try:
        told = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
    except (ValueError, RecursionError):
        told = None
    kind = str if place == "after" else int
    if type(told) is not kind or (isinstance(told, int) and not 0 <= told <= OFFSET_COUNT_MAX):
        raise Invalid("this is no cursor of this list; take the one in `next`", "invalid.field")
    return {place or "offset": told}


def page(
    found: list[Any], limit: int, place: str, begun: dict[str, Any], name_of: Callable[[Any], str]
) -> dict[str, Any]:
    """Return the items of one page with the cursor of the next; `found` begins where the operation was told to."""
    skipped = begun.get("offset", 0) if not place else 0
    items = found[skipped : skipped + limit]
    if len(found) <= skipped + limit:
        return {"items": items, "next": None}
    following = name_of(items[-1]) if place == "after" else begun.get("offset", 0) + limit
    return {"items": items, "next": base64.urlsafe_b64encode(json.dumps(following).encode()).decode()}
