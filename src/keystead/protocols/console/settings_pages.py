"""Pages of the settings: each section read-only, and a form for those that can be changed while the node runs.

Source: requirements KS-UI-006 to 024; docs/design/limits.md.
"""

import dataclasses
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from keystead.core.errors import KeysteadError, Refused
from keystead.core.fields import Number, Text
from keystead.gate.forms import Field
from keystead.protocols.console import forms
from keystead.protocols.console.catalogue import for_people
from keystead.protocols.console.site import Site, caller_of, form_of, said
from keystead.protocols.console.waiting import PATH as APPROVALS
from keystead.protocols.console.waiting import place_of
from keystead.protocols.rest.models import LINE_CHARACTERS_MAX
from keystead.protocols.rest.problems import status_of
from keystead.settings.all import SECTIONS
from keystead.settings.section import Section

NUMBER_MAX = 2**53 - 1


class SettingsPages:
    """The pages.

    Args:
        site: Makes them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    async def show(self, request: Request) -> Response:
        """Show a section."""
        name, declared = _section(request)
        values = (await self._site.ask(request, "settings.read", {"section": name}))[name]
        return self._site.page(
            request,
            "section.html",
            title=declared.title,
            name=name,
            declared=declared,
            fields=fields_of_section(declared),
            labels=labels(declared),
            values=values,
            may_edit=not declared.access & ~caller_of(request).principal.access,
            message="Done: settings saved." if request.query_params.get("done") else "",
        )

    async def form(self, request: Request) -> Response:
        """Show the form of a section."""
        name, declared = self._open(request)
        values = (await self._site.ask(request, "settings.read", {"section": name}))[name]
        return self._form(request, (name, declared), forms.inputs(fields_of_section(declared), values))

    async def send(self, request: Request) -> Response:
        """Save what has changed, one field after the other; each is an entry of the audit log."""
        name, declared = _section(request)
        fields, posted = fields_of_section(declared), form_of(request)
        before = (await self._site.ask(request, "settings.read", {"section": name}))[name]
        plain, wrong = forms.read(fields, posted, before)
        drawn = forms.with_errors(forms.inputs(fields, before, posted), wrong)
        if wrong:
            return self._form(request, (name, declared), drawn, "Look at the fields that are marked.", 422)
        waits: list[str] = []
        for field, value in plain.items():
            if value == before[field]:
                continue
            try:
                await self._site.ask(request, "settings.change", {"section": name, "field": field, "value": value})
            except KeysteadError as error:
                if place_of(error):
                    waits.append(place_of(error))
                    continue
                drawn = forms.with_errors(drawn, {field: said(error)})
                return self._form(request, (name, declared), drawn, said(error), status_of(error))
        if waits:
            return RedirectResponse(f"{waits[0]}?asked=1" if len(waits) == 1 else APPROVALS, 303)
        return RedirectResponse(f"/settings/{name}?done=1", 303)

    def _form(
        self,
        request: Request,
        what: tuple[str, type[Section]],
        drawn: list[forms.Input],
        wrong: str = "",
        status: int = 200,
    ) -> Response:
        name, declared = what
        told = labels(declared)
        drawn = [dataclasses.replace(one, label=told[one.name]) for one in drawn]
        title = f"Edit: {declared.title}"
        return self._site.page(
            request, "section_form.html", status, title=title, name=name, declared=declared, inputs=drawn, wrong=wrong
        )

    def _open(self, request: Request) -> tuple[str, type[Section]]:
        """Spare people a form that the gate would refuse."""
        name, declared = _section(request)
        if declared.own:
            raise Refused(f"{declared.title} belongs to this node and is changed while it is stopped, on the machine")
        if declared.access & ~caller_of(request).principal.access:
            raise Refused(f"changing {declared.title} needs an access control that this account does not have")
        return name, declared


def fields_of_section(declared: type[Section]) -> tuple[Field, ...]:
    """Return the fields of a section as forms have them."""
    return tuple(_field(field) for field in dataclasses.fields(declared))


def labels(declared: type[Section]) -> dict[str, str]:
    """Return titles by field."""
    return {field.name: for_people(str(field.metadata["title"])) for field in dataclasses.fields(declared)}


def _field(field: "dataclasses.Field[Any]") -> Field:
    told, default = field.metadata, field.default
    number = text = None
    if type(default) is int:
        low, high = told["minimum"], told["maximum"]
        number = Number(-NUMBER_MAX if low is None else low, NUMBER_MAX if high is None else high)
    elif isinstance(default, str):
        text = Text(characters_max=LINE_CHARACTERS_MAX, choices=told["choices"])
    return Field(
        field.name, type(default), nullable=False, required=True, default=default, about="", text=text, number=number
    )


def _section(request: Request) -> tuple[str, type[Section]]:
    name = request.path_params["section"]
    if name not in SECTIONS:
        raise HTTPException(404)
    return name, SECTIONS[name]
