"""Declaring an operation: what it is called, who may ask it, on which objects, what it logs.

Law: decorators declare, they never wrap. A handler is a plain function `(Call, Request) -> result | Change`.

Source: design.md section 3.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack

from keystead.core.approvals import Approval
from keystead.core.permission import Access, Right

PLACEHOLDER = ""
"""Target of a request that means "the object of the item before" (KMIP's ID Placeholder, KMIP 1.4 section 4)."""

Handler = Callable[[Any, Any], Any]
ApprovalRule = Approval | Callable[[Any], Approval | None]


@dataclass(frozen=True, slots=True)
class Target:
    """An object that an operation works on.

    Attributes:
        right: What the asker must hold on it; kept as a plain mask, as every request is measured by it.
        field: Attribute of the request with its id.
        destroyed: Also objects whose material is gone (reading their attributes).
        optional: The request may leave it out (None).
        by_name: The request may give the handle instead of the id.
    """

    right: int
    field: str = "target"
    destroyed: bool = False
    optional: bool = False
    by_name: bool = False

    def __post_init__(self) -> None:
        """Turn the flag into a plain number."""
        object.__setattr__(self, "right", int(self.right))


@dataclass(frozen=True, slots=True)
class Declaration:
    """One operation.

    Attributes:
        name: Stable dotted name, e.g. "key.create".
        title: Request type in the activity log; KMIP's operation name where there is one (KS-LOG-031).
        handler: Runs it.
        user: Right that a user needs to ask at all; NONE = any user; None = not for users.
        administrator: Access that an administrator needs; None = not for administrators.
        strangers: For whoever has not proven yet who they are.
        targets: Objects, in the order they are loaded and authorised.
        configuration: Only while clients may configure keys (KS-KMIP-007).
        material: Needs the unlocked module, so runs in the `keys` process.
        detail: Detail field of the activity line from the result (KS-LOG-013).
        places: Id for the ID Placeholder from the result; None leaves it, PLACEHOLDER empties it.
        route: Where administrators find it over HTTP, e.g. "PUT /users/{name}/groups", fields of the request in
            braces; "" = as its name says (protocols.rest.routes), None = nowhere.
        answer: Type of the result where the handler returns a Change; None = there is none.
        approval: What further administrators approve before an administrator's request runs, or what tells that of a
            request (None = nothing); users and the clock are never bound (KS-MC-004 to 007).
        open_to: Kinds of principals who may ask without a further look.
    """

    request: type
    name: str
    title: str
    handler: Handler
    user: Right | None = None
    administrator: Access | None = None
    strangers: bool = False
    targets: tuple[Target, ...] = ()
    configuration: bool = False
    material: bool = False
    detail: Callable[[Any], str] | None = None
    places: Callable[[Any], str | None] | None = None
    route: str | None = ""
    answer: Any = None
    approval: ApprovalRule | None = None
    open_to: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Decide once what every request asks."""
        users = ("user", "global") if self.user is not None and not self.configuration else ()
        strangers = ("stranger",) if self.strangers else ()
        object.__setattr__(self, "open_to", frozenset({"clock", *users, *strangers}))


REGISTRY: dict[type, Declaration] = {}
"""Every declared operation by its request type; filled when `keystead.operations` is imported."""


class Rules(TypedDict, total=False):
    """The rules of a declaration, by keyword; meanings and defaults as in `Declaration`."""

    user: Right | None
    administrator: Access | None
    strangers: bool
    targets: tuple[Target, ...]
    configuration: bool
    material: bool
    detail: Callable[[Any], str] | None
    places: Callable[[Any], str | None] | None
    route: str | None
    answer: Any
    approval: ApprovalRule | None


def operation(request: type, name: str, title: str, **rules: Unpack[Rules]) -> Callable[[Handler], Handler]:
    """Declare the decorated function as the handler of `request`; returns it unchanged.

    Raises:
        ValueError: the request type or the name is taken.
    """

    def declare(handler: Handler) -> Handler:
        if request in REGISTRY or any(d.name == name for d in REGISTRY.values()):
            raise ValueError(f"operation {name} is declared twice")
        REGISTRY[request] = Declaration(request, name, title, handler, **rules)
        return handler

    return declare
