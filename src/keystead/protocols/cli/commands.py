"""Which commands there are: drawn from the declarations of operations, and those with words of their own. Pure.

What is read over HTTP by GET begins with `show`: `user.list` is `show users`, `user.show` is `show user NAME`. What
changes something is `NOUN VERB` and belongs to the configuration mode: `user create NAME`, `key set-owner`.
Required fields stand in order, others are options; secrets and texts of several lines are asked for.

Source: design.md laws 3 and 6 ("derived or hand-made"); requirements KS-CLI-001 to 009.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from keystead.core.secret import Secret
from keystead.gate.forms import Field, fields_of, summary_of
from keystead.gate.operation import REGISTRY, Declaration
from keystead.protocols.cli.words import option_of
from keystead.protocols.rest.models import json_name
from keystead.protocols.rest.routes import PLURALS, Route, route_of

NOUNS = {"module": "hsm"}
"""What the command line calls a noun, where administrators know another word."""
WORDS = {
    "audit.prove": ("show", "audit", "proof"),
    "key.find": ("show", "keys"),
    "ssh.show": ("show", "ssh", "host-key"),
}
"""Words of commands that do not follow from the operation's name."""
STANDING = {"settings.read": ("section",)}
"""Optional fields that stand in order all the same."""
CONFIRM = "confirm"
"""Field of a request that repeats the name; the command line asks for it."""
REPLACED = frozenset(
    {"module.show", "module.login", "module.logout", "module.activate", "module.deactivate", "module.set_key_cache"}
)
"""Operations whose commands are made by hand."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        words: It begins with.
        about: One sentence.
        changes: Only in the configuration mode.
        declaration: Of the operation; None = made by hand, see `protocols.cli.handmade`.
        standing: Fields in order; those that may be left out are last.
        options: Fields with a name before the value.
        asked: Secrets and texts of several lines.
        answer: Type of the result.
        is_destructive: Asks before it is carried out.
    """

    words: tuple[str, ...]
    about: str
    changes: bool = False
    declaration: Declaration | None = None
    standing: tuple[Field, ...] = ()
    options: tuple[Field, ...] = ()
    asked: tuple[Field, ...] = ()
    answer: Any = None
    is_destructive: bool = False

    @property
    def name(self) -> str:
        """The words with spaces between them."""
        return " ".join(self.words)

    @property
    def usage(self) -> str:
        """Return how the command is typed."""
        parts = [self.name]
        for field in self.standing:
            word = json_name(field).upper().replace("_", "-")
            parts.append(word if field.required else f"[{word}]")
        parts += [f"[{option_of(field)} {_placeholder(field)}]" for field in self.options]
        parts += [f"[{no_option(field)}]" for field in self.asked if field.required and field.nullable]
        parts += [f"[{option_of(field)}]" for field in self.asked if not field.required]
        return " ".join(parts)


def no_option(field: Field) -> str:
    """Return the option that says that an asked field shall be nothing."""
    return f"--no-{option_of(field).removeprefix('--')}"


HANDMADE: tuple[Command, ...] = (
    Command(("show", "health", "server"), "Show where the health check answers load balancers, and whether it does."),
    Command(("show", "hsm", "status"), "Show the state of the security module."),
    Command(("hsm", "login", "crypto", "user"), "Log the crypto user in; says which token is needed."),
    Command(("hsm", "login", "security", "officer"), "Log the security officer in; says which token is needed."),
    Command(("hsm", "logout", "crypto", "user"), "Log the crypto user out, which locks the node.", is_destructive=True),
    Command(("hsm", "logout", "security", "officer"), "Log the security officer out."),
    Command(("hsm", "activate"), "Use the partition again, within the activation window."),
    Command(("hsm", "deactivate"), "Stop using the partition, which locks the node.", is_destructive=True),
    Command(
        ("hsm", "enable", "secure-key-cache"),
        "Let key-encryption keys be held between requests; the same algorithms stay allowed.",
    ),
    Command(("hsm", "disable", "secure-key-cache"), "Let no key-encryption key be held between requests."),
    Command(("password",), "Set your own password."),
    Command(("edit", "ras", "settings"), "Edit remote administration; Enter leaves a field as it is.", changes=True),
)


@cache
def commands() -> dict[tuple[str, ...], Command]:
    """Return every command by its words.

    Raises:
        ValueError: two commands have the same words.
    """
    drawn = [_drawn(route) for declaration in REGISTRY.values() if (route := _route(declaration)) is not None]
    found = {command.words: command for command in sorted((*drawn, *HANDMADE), key=lambda one: one.words)}
    if len(found) != len(drawn) + len(HANDMADE):
        raise ValueError("two commands have the same words")
    return found


def _route(declaration: Declaration) -> Route | None:
    return None if declaration.name in REPLACED else route_of(declaration)


def _drawn(route: Route) -> Command:
    declaration = route.declaration
    fields = fields_of(declaration.request)
    asked = tuple(field for field in fields if is_asked(field))
    named = {field.name for field in route.in_path} | set(STANDING.get(declaration.name, ()))
    told = [field for field in fields if field not in asked and field.name != CONFIRM]
    standing = [field for field in told if field.required or field.name in named]
    return Command(
        words=WORDS.get(declaration.name) or _words(declaration.name, reads=route.method == "GET"),
        about=summary_of(declaration.request),
        changes=route.method != "GET",
        declaration=declaration,
        standing=tuple(sorted(standing, key=lambda field: not field.required)),
        options=tuple(field for field in told if field not in standing),
        asked=asked,
        answer=route.answer,
        is_destructive=route.is_destructive,
    )


def is_asked(field: Field) -> bool:
    """Tell whether a field is asked for: a secret, or a text of several lines."""
    return field.type in (Secret, bytes) or (field.text is not None and field.text.multiline)


def _words(name: str, *, reads: bool) -> tuple[str, ...]:
    first, verb = name.split(".")
    noun = NOUNS.get(first, first).replace("_", "-")
    if not reads:
        return (noun, verb.replace("_", "-"))
    if verb == "list":
        return ("show", PLURALS.get(first, f"{noun}s"))
    return ("show", noun) if verb in ("show", "read") else ("show", noun, verb.replace("_", "-"))


def _placeholder(field: Field) -> str:
    return "yes|no" if field.type is bool else json_name(field).split("_")[-1].upper()
