"""Requests that wait for approvals, in words: what is asked, by whom, and who could decide. Pure.

Law: what is shown comes from the stored request alone; every field of it is there, secrets as "(secret)".

Source: requirements KS-MC-004 to 008; docs/adr/0070.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from keystead.core.errors import KeysteadError, NotSupported, Pending
from keystead.gate.forms import Field, fields_of, summary_of
from keystead.gate.operation import Declaration
from keystead.protocols.console.catalogue import ABOUT, for_people, nouns, words
from keystead.protocols.console.values import html_of, visible
from keystead.protocols.local.wire import declaration_of

PATH = "/approvals"
HASH_BLOCK = 8
STATES = {
    "pending": "waits",
    "done": "done",
    "failed": "failed",
    "refused": "refused",
    "withdrawn": "taken back",
    "expired": "its time has passed",
}
_ID = re.compile(r"waits as ([0-9a-f-]{36})")
_EMPTY: tuple[Any, ...] = (None, "", [], {})


class Shown(NamedTuple):
    """One field of a request: its title, its value as HTML, and whether it says anything."""

    title: str
    value: Markup
    is_empty: bool


def page_of(request_id: str) -> str:
    """Return the path of a request's page."""
    return f"{PATH}/show/{request_id}"


def place_of(error: KeysteadError) -> str:
    """Return the page of the request that waits now, "" for any other error."""
    found = _ID.search(error.message) if isinstance(error, Pending) else None
    return page_of(found[1]) if found else ""


def deed(operation: str) -> str:
    """Return what an operation does, in a few words."""
    noun, _, verb = operation.partition(".")
    held = nouns().get(noun)
    known = next((one for one in held.verbs if one.name == verb), None) if held is not None else None
    title = known.title if known is not None else words(verb)
    return f"{held.title if held is not None else words(noun)}: {title.lower()}"


def about(operation: str) -> str:
    """Return a sentence on what an operation does."""
    declaration = _declaration(operation)
    return "" if declaration is None else ABOUT.get(operation) or for_people(summary_of(declaration.request))


def who(requester: str) -> str:
    """Return who asked, without the kind of account."""
    kind, _, name = requester.partition(":")
    return f"{name} on the machine" if kind == "local" else name


def fields(operation: str, view: Mapping[str, str]) -> list[Shown]:
    """Return every field of a request as people read it."""
    declaration = _declaration(operation)
    known = {field.name: field for field in fields_of(declaration.request)} if declaration is not None else {}
    return [_field(known.get(name), name, text) for name, text in view.items()]


def target(view: Mapping[str, str]) -> str:
    """Return what a request is about: the first of its fields that names something."""
    for text in view.values():
        value = _value(text)
        if isinstance(value, str) and value:
            return value
    return ""


def called(key: Mapping[str, Any]) -> str:
    """Return what people call a key: its name, or where that was made up the first one that its clients gave."""
    is_made_up = key["name"] == f"key-{key['id']}"
    return str(key["names"][0] if is_made_up and key["names"] else key["name"])


def blocks(digest: str) -> list[str]:
    """Return a hash in pieces that can be read aloud."""
    return [digest[at : at + HASH_BLOCK] for at in range(0, len(digest), HASH_BLOCK)]


def approvers(administrators: list[Mapping[str, Any]]) -> list[str]:
    """Return the names of those who can approve now."""
    return [str(row["name"]) for row in administrators if can_approve(row)]


def can_approve(row: Mapping[str, Any]) -> bool:
    """Tell whether an administrator, as listed, can approve now."""
    has_password = row["password_status"] not in ("none", "to be changed", "expired")
    return bool("high_access" in row["access"] and not row["disabled"] and has_password)


def _declaration(operation: str) -> Declaration | None:
    try:
        return declaration_of(operation)
    except NotSupported:
        return None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _field(field: Field | None, name: str, text: str) -> Shown:
    value = _value(text)
    shown = visible(value) if isinstance(value, str) else visible(text)
    if field is not None and value != "(secret)":
        try:
            shown = html_of(field, value)
        except (TypeError, ValueError, KeyError, AttributeError):
            shown = visible(text)  # as it is stored
    return Shown(words(name), shown, value in _EMPTY)
