"""What every page is made with: the asker, the templates, and what stands on all of them.

Source: requirements KS-UI-001 to 026; ASVS 5.0 chapter 3.
"""

import hashlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from keystead import __version__
from keystead.core.errors import KeysteadError
from keystead.core.permission import Access
from keystead.gate.operation import REGISTRY, Declaration
from keystead.protocols.asking import Asker
from keystead.protocols.console import values
from keystead.protocols.console.approvers import credentials_of
from keystead.protocols.console.catalogue import TABS, Verb, tab_of, tree, words
from keystead.protocols.local.wire import declaration_of
from keystead.protocols.rest.entrance import Caller, Entrance
from keystead.settings import web
from keystead.settings.approvals import MultipleCredentials

FOLDER = Path(__file__).parent
_FILES = {name: (FOLDER / "static" / name).read_bytes() for name in ("console.css", "console.js", "icon.svg")}
PATHS = {name: f"/static/{hashlib.sha256(held).hexdigest()[:16]}-{name}" for name, held in _FILES.items()}
"""File -> where it is found: under its digest, so that browsers may keep it."""
STATIC_FILES = {PATHS[name]: held for name, held in _FILES.items()}
COUNTED_COUNT_MAX = 100
TITLES = {
    401: "Not logged in",
    403: "Not permitted",
    404: "Not found",
    405: "Not possible here",
    409: "Refused as things are",
    413: "Too large",
    415: "Not a form",
    429: "Too much at once",
    500: "Mistake of the server",
    503: "Not available now",
}


NEW_KEYS = frozenset({"key.clone", "key.generate", "key.import", "key_version.create"})
BACK_UP = "Back up now: a key that is in no backup cannot be recovered when this node is lost."
"""What is said after one of these (KS-KEY-053)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the pages tell of the node that no operation does.

    Attributes:
        node_id: Which node this is.
        fingerprint: SHA-256 of the certificate of this door, in hexadecimal with colons.
        issuer: Whose certificate it is said to be.
        started_s: When the process began, on the clock of `uptime_s`.
        uptime_s: Seconds since the machine was started.
    """

    node_id: str
    fingerprint: str
    issuer: str
    started_s: float
    uptime_s: Callable[[], float]


class Site:
    """Makes pages.

    Args:
        asker: Runs operations.
        entrance: Lets administrators in and out.
        facts: Of the node.
    """

    def __init__(self, asker: Asker, entrance: Entrance, facts: Facts) -> None:
        self.asker = asker
        self.entrance = entrance
        self.facts = facts
        self._counted: dict[str, int] = {}
        self._counted_at: Hashable = None
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {"visible": values.visible, "spelled": values.spelled, "words": words}
        self._environment.globals |= {
            "show": values.html_of,
            "when": values.when,
            "paths": PATHS,
            "version": __version__,
        }

    async def ask(self, request: Request, asked: Declaration | Verb | str, fields: Mapping[str, Any]) -> Any:
        """Run an operation for whoever sends the request and return its result as plain values.

        Administrators who have typed name and password beside the form stand behind it, where it needs that.

        Raises:
            KeysteadError: why not.
        """
        declaration = asked.route.declaration if isinstance(asked, Verb) else asked
        found = declaration if isinstance(declaration, Declaration) else declaration_of(declaration)
        beside = credentials_of(form_of(request)) if found.approval is not None else ()
        return await self.asker.ask(caller_of(request).principal, found, fields, beside)

    async def check(self, request: Request, declaration: Declaration) -> None:
        """Have the gate refuse, and audit, what the caller may not ask for; a request without content is enough.

        Raises:
            Refused: the caller may not.
        """
        principal = caller_of(request).principal
        if declaration.administrator is not None and declaration.administrator & ~principal.access:
            await self.asker.run(principal, object.__new__(declaration.request))

    async def waiting_count(self, caller: Caller) -> int:
        """Return how many requests of others wait for somebody, counted anew once anything has changed.

        0 while nothing needs approvals.

        Raises:
            KeysteadError: why not.
        """
        if not self.others_count or not caller.principal.access & Access.ANY:
            return 0
        version = self.asker.gate.objects.reader.data_version()
        if version != self._counted_at or len(self._counted) >= COUNTED_COUNT_MAX:
            self._counted, self._counted_at = {}, version
        name = caller.principal.name
        if name not in self._counted:
            counts = await self.asker.ask(caller.principal, declaration_of("approval.count"), {})
            self._counted[name] = int(counts["to_decide_count"])
        return self._counted[name]

    @property
    def others_count(self) -> int:
        """How many further administrators have to approve what is bound to approvals."""
        section = self.asker.gate.objects.section(MultipleCredentials)
        return section.administrators_count - 1 if section.required else 0

    def page(self, request: Request | Scope, template: str, status: int = 200, **given: Any) -> Response:
        """Return a page."""
        scope = request.scope if isinstance(request, Request) else request
        state, path = scope.get("state", {}), scope["path"]
        caller: Caller | None = state.get("caller")
        access = caller.principal.access if caller is not None and not caller.must_change else Access.NONE
        tab = given.pop("tab", None) or tab_of(path)
        idle_s = self.asker.gate.objects.section(web.Sessions).idle_minutes * 60
        html = self._environment.get_template(template).render(
            caller=caller,
            has_menu=bool(access),
            form_token=state.get("form_token", ""),
            path=path,
            tab=tab,
            tabs=TABS,
            menu=tree(tab, access) if tab in TABS and access else [],
            idle_s=idle_s,
            others_count=self.others_count,
            waiting_count=state.get("waiting_count", 0),
            **given,
        )
        return HTMLResponse(html, status, {"cache-control": "no-store"})

    def refusal(self, request: Request | Scope, status: int, why: str) -> Response:
        """Return the page for whoever cannot have what they asked for."""
        return self.page(request, "refusal.html", status, title=TITLES.get(status, "Not understood"), why=why)


def caller_of(request: Request) -> Caller:
    """Return who sends a request."""
    caller: Caller = request.state.caller
    return caller


def form_of(request: Request) -> dict[str, list[str]]:
    """Return the fields of a form that the guard has let through."""
    form: dict[str, list[str]] = request.state.form
    return form


def done(declaration_name: str) -> str:
    """Return the sentence that says what was done, "" for anything that is not the name of an operation."""
    found = next((one for one in REGISTRY.values() if one.name == declaration_name), None)
    if found is None:
        return ""
    told = f"Done: {words(found.name.replace('.', ': ')).lower()}."
    return f"{told} {BACK_UP}" if found.name in NEW_KEYS else told


def said(error: KeysteadError) -> str:
    """Return an error as a sentence: with a capital letter and a full stop."""
    message = error.message
    return message[:1].upper() + message[1:] + ("" if message.endswith((".", "!", "?")) else ".")
