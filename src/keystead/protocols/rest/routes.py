"""Which HTTP method and path an operation has: said by its declaration, or made from its name. Pure.

`user.create` is POST /users, `user.list` GET /users, `user.show` GET /users/{name}, `user.change` PATCH /users/{name},
`user.delete` DELETE /users/{name}; any other verb hangs below: POST /users/{name}/disable.

Source: design.md law 3; RFC 9110 section 9.
"""

import re
import typing
from dataclasses import dataclass
from typing import Any

from keystead.core.changes import Change
from keystead.gate.forms import Field, fields_of
from keystead.gate.operation import REGISTRY, Declaration

PLURALS = {
    "authority": "authorities",
    "approval": "approvals",
    "ip_entry": "ip-entries",
    "policy": "policies",
    "query": "queries",
}
SINGLE = frozenset(
    {"audit", "ip_authorization", "key_backup", "key_restore", "module", "node", "server", "session", "settings"}
)
COLLECTION = {"create": "POST", "generate": "POST", "list": "GET", "find": "GET"}
ITEM = {"show": "GET", "change": "PATCH", "delete": "DELETE", "remove": "DELETE"}
READING = frozenset({"show", "state", "prove", "check", "read", "measure"})
DESTRUCTIVE = frozenset({"deactivate", "delete", "erase", "logout", "pseudonymise", "remove", "revoke", "take"})
"""First words of verbs before which people are asked once more, by whatever door."""
IN_BRACES = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """Where an operation is found.

    Attributes:
        method: GET, POST, PUT, PATCH or DELETE.
        path: Below /v1, with fields in braces.
        declaration: Of the operation.
        in_path: Fields in the path.
        others: Fields in the query (GET, DELETE) or the body.
        answer: Type of the result; None = nothing.
    """

    method: str
    path: str
    declaration: Declaration
    in_path: tuple[Field, ...]
    others: tuple[Field, ...]
    answer: Any

    @property
    def has_body(self) -> bool:
        """Whether the other fields stand in a body."""
        return self.method in ("POST", "PUT", "PATCH")

    @property
    def is_destructive(self) -> bool:
        """Whether people are asked once more before it is carried out."""
        return self.declaration.name.split(".")[1].split("_")[0] in DESTRUCTIVE

    @property
    def makes(self) -> bool:
        """Whether it makes something new at a path of its own."""
        return self.method == "POST" and "{" not in self.path and self.path.count("/") == 1

    @property
    def is_list(self) -> bool:
        """Whether the result is a list, which is answered page by page."""
        return self.method == "GET" and (typing.get_origin(self.answer) is tuple or self.has_pages)

    @property
    def has_pages(self) -> bool:
        """Whether the operation itself answers page by page: items, and where the next page begins."""
        hints = typing.get_type_hints(self.answer) if isinstance(self.answer, type) else {}
        return [*hints][1:2] == ["next"] and any(field.name == "limit_count" for field in self.others)

    @property
    def item(self) -> Any:
        """Type of a list's items."""
        listed = next(iter(typing.get_type_hints(self.answer).values())) if self.has_pages else self.answer
        return typing.get_args(listed)[0]


def routes() -> tuple[Route, ...]:
    """Return every route, by path and method.

    Raises:
        ValueError: two operations have the same one.
    """
    found = [route for declaration in REGISTRY.values() if (route := route_of(declaration)) is not None]
    places = [(route.method, IN_BRACES.sub("{}", route.path)) for route in found]
    twice = {place for place in places if places.count(place) > 1}
    if twice:
        raise ValueError(f"declared twice: {sorted(twice)}")
    return tuple(sorted(found, key=lambda route: (route.path.count("{"), route.path, route.method)))


def route_of(declaration: Declaration) -> Route | None:
    """Return where administrators find an operation; None = nowhere."""
    if declaration.administrator is None or declaration.route is None:
        return None
    fields = fields_of(declaration.request)
    method, path = declaration.route.split(" ") if declaration.route else _derived(declaration.name, fields)
    names = IN_BRACES.findall(path)
    in_path = tuple(field for field in fields if field.name in names)
    others = tuple(field for field in fields if field.name not in names)
    return Route(method, path, declaration, in_path, others, answer_of(declaration))


def answer_of(declaration: Declaration) -> Any:
    """Return the type of an operation's result, None when it has none."""
    returned = typing.get_type_hints(declaration.handler).get("return")
    is_told = declaration.answer is not None or returned is Change or returned is type(None)
    return declaration.answer if is_told else returned


def _derived(name: str, fields: tuple[Field, ...]) -> tuple[str, str]:
    noun, verb = name.split(".")
    base = "/" + (noun if noun in SINGLE else PLURALS.get(noun, f"{noun}s")).replace("_", "-")
    if verb in COLLECTION:
        return COLLECTION[verb], base
    first = next((field.name for field in fields if field.required and field.type is str), None)
    item = base if noun in SINGLE or first is None else f"{base}/{{{first}}}"
    if verb in ITEM:
        return ITEM[verb], item
    return "GET" if verb in READING else "POST", f"{item}/{verb.replace('_', '-')}"
