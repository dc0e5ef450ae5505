"""The reference of what administrators can ask for, drawn from the declarations: each operation, at every door."""

from collections.abc import Callable, Iterator

import keystead.operations.all  # noqa: F401  # declares them
from keystead.core.approvals import Approval
from keystead.core.permission import ACCESS_CONTROLS, Access
from keystead.gate.forms import Field, fields_of, summary_of
from keystead.gate.operation import Declaration
from keystead.protocols.cli.commands import Command, commands
from keystead.protocols.cli.words import choices_of
from keystead.protocols.console.catalogue import for_people, nouns
from keystead.protocols.console.catalogue import words as spoken
from keystead.protocols.rest.models import json_name
from keystead.protocols.rest.routes import Route, routes

HEAD = """# What administrators can ask for

Drawn by `./dev docs` from the declarations of the operations; not edited by hand. Each is declared once, and REST, the
console and the command line over SSH are drawn from it: the same fields, limits and words, the same access control, the
same entry in the audit log. How the doors are used is said in [rest.md](rest.md), [console.md](console.md) and
[ssh.md](ssh.md), what the access controls are in [administrators.md](administrators.md), and what approvals are in
[approvals.md](approvals.md).
"""
ANYBODY = {Access.ANY: "every administrator", Access.OWN: "every administrator in a session of their own"}


def operations_page() -> str:
    """The whole page."""
    typed = {command.declaration.name: command for command in commands().values() if command.declaration is not None}
    pages = dict(_console_paths())
    found: dict[str, list[str]] = {}
    for route in sorted(routes(), key=lambda one: one.declaration.name):
        if not route.declaration.request.__module__.startswith("keystead."):  # of tests
            continue
        name = route.declaration.name
        noun = name.split(".")[0]
        found.setdefault(noun, []).append(_section(route, typed.get(name), pages.get(name, "")))
    parts = [f"\n## {spoken(noun)}\n\n" + "\n".join(sections) for noun, sections in sorted(found.items())]
    return HEAD + "".join(parts)


def _section(route: Route, command: Command | None, page: str) -> str:
    declaration = route.declaration
    about = for_people(summary_of(declaration.request))
    doors = [f"REST `{route.method} /v1{route.path}`"]
    doors += [f"console `{page}`"] if page else []
    doors += [f"SSH `{command.usage}`"] if command is not None else []
    lines = [
        f"### {declaration.name}\n",
        f"{about}\n",
        f"- {'; '.join(doors)}",
        f"- for {_who(declaration)}{_approved(declaration)}",
    ]
    fields = fields_of(declaration.request)
    if fields:
        lines += ["", "| field | | |", "|---|---|---|", *map(_line, fields)]
    return "\n".join(lines) + "\n"


def _who(declaration: Declaration) -> str:
    access = declaration.administrator or Access.NONE
    if access in ANYBODY:
        return ANYBODY[access]
    names = [f"`{name}`" for name, one in ACCESS_CONTROLS.items() if one & access]
    return "administrators with " + " and ".join(names)


def _approved(declaration: Declaration) -> str:
    kind: Approval | Callable[..., Approval | None] | None = declaration.approval
    if kind is None:
        return ""
    what = f"`{kind}`" if isinstance(kind, Approval) else "by what is changed"
    return f"; where approvals are required: {what}"


def _line(field: Field) -> str:
    kind = ", ".join(f"`{one}`" for one in choices_of(field)[:40]) or _kind(field)
    default = "required" if field.required else "optional"
    return f"| `{json_name(field)}` | {default}, {kind} | {_cell(for_people(field.about))} |"


def _kind(field: Field) -> str:
    if json_name(field) != field.name:
        return "moment"
    if field.number is not None:
        return f"number, {field.number.minimum:,} to {field.number.maximum:,}"
    if field.items is not None:
        return f"list, at most {field.items.count_max:,}"
    if field.text is not None and field.text.characters_max:
        return f"text, at most {field.text.characters_max:,} characters"
    return {"int": "number", "str": "text", "bytes": "bytes", "Secret": "secret", "tuple": "list"}.get(
        getattr(field.type, "__name__", ""), "value"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _console_paths() -> Iterator[tuple[str, str]]:
    for noun in nouns().values():
        if noun.list is not None:
            yield noun.list.route.declaration.name, noun.path
        if noun.show is not None:
            yield noun.show.route.declaration.name, f"{noun.path}/show/…" if noun.list is not None else noun.path
        for verb in noun.verbs:
            yield verb.route.declaration.name, verb.path
