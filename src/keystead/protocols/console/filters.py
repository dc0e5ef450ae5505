"""The form above a list that narrows it down. Pure.

Source: requirements KS-UI-023, 026.
"""

from collections.abc import Mapping
from dataclasses import replace

from keystead.protocols.console.catalogue import Verb
from keystead.protocols.console.forms import KEEP, Input, inputs
from keystead.protocols.console.listing import own_fields

FIRST = {"key.find": ("name_part", "owner", "state")}
"""Operation that lists -> fields that always stand above its list; the others are shown when they are asked for."""
LABELS = {
    "name_part": "Name contains",
    "created_from_us": "Created from",
    "created_until_us": "Created until",
    "changed_from_us": "Changed from",
    "changed_until_us": "Changed until",
}
HELP = {
    "key.find": {
        "owner": "A user; - stands for nobody.",
        "algorithm": "Such as AES or AES-256.",
        "attribute": "NAME=VALUE of a custom attribute.",
        "name_part": "Also of names that clients gave.",
        "group": "That was granted the key.",
    }
}
_MOMENT = "UTC, such as 2026-01-31 12:00."


def filter_inputs(verb: Verb, given: tuple[tuple[str, str], ...]) -> list[Input]:
    """Return the inputs of the form, those that always stand there first."""
    posted = {name: [value] for name, value in given}
    first = FIRST.get(verb.route.declaration.name, ())
    drawn = [_input(verb, one) for one in inputs(own_fields(verb), {}, posted)]
    return sorted(drawn, key=lambda one: first.index(one.name) if one.name in first else len(first))


def first_count(verb: Verb, given: tuple[tuple[str, str], ...], wrong: Mapping[str, str]) -> int:
    """Return how many of them stand there without being asked for."""
    first = FIRST.get(verb.route.declaration.name, ())
    asked = {name for name, _ in given} | wrong.keys()
    return len(first) if first and not asked - {*first, ""} else len(own_fields(verb))


def _input(verb: Verb, one: Input) -> Input:
    told = HELP.get(verb.route.declaration.name, {}).get(one.name, "")
    if one.name.endswith("_us") and one.kind == "text":
        told = _MOMENT
    options = tuple((value, "any" if value == KEEP else label) for value, label in one.options)
    return replace(
        one, label=LABELS.get(one.name, one.label), help=told or one.help, options=options, required=False, least=None
    )
