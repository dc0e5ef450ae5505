"""Pages that are drawn from the declarations: a list, an item, and a form for every operation.

Laws: an item is read-only until somebody asks for a form. What destroys has a page of its own that says so. A form that
was refused comes back as it was filled in, without passwords. What is shown once is never behind a redirect.

Source: requirements KS-UI-006 to 026; design.md law 3.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from keystead.core.errors import Invalid, KeysteadError, NotFound, Unauthenticated, WrongState
from keystead.gate.forms import Field, fields_of
from keystead.protocols.console import forms
from keystead.protocols.console.catalogue import MAKING, Noun, Verb, by_path, verb_of
from keystead.protocols.console.filters import filter_inputs, first_count
from keystead.protocols.console.listing import (
    ALL,
    PER_PAGE_COUNTS,
    Shown,
    cut,
    given_in,
    listed,
    narrowed,
    own_fields,
    view_of,
)
from keystead.protocols.console.long_lists import is_long, long_list, long_view_of, nothing
from keystead.protocols.console.several import ITEMS_COUNT_MAX
from keystead.protocols.console.site import Site, caller_of, done, form_of, said
from keystead.protocols.console.suggestions import Suggestions
from keystead.protocols.console.waiting import called, place_of
from keystead.protocols.console.ways import ways_of_item, ways_of_list
from keystead.protocols.rest.problems import status_of


class DrawnPages:
    """The pages.

    Args:
        site: Makes them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._suggestions = Suggestions(site)

    async def overview(self, request: Request) -> Response:
        """Show a noun: its list, or the one thing there is."""
        noun = _noun(request)
        if noun.list is None:
            return await self._single(request, noun)
        await self._site.check(request, noun.list.route.declaration)
        fields = own_fields(noun.list)
        given = given_in(request.query_params, fields)
        shown, wrong = await self._shown(request, noun, given)
        drawn = filter_inputs(noun.list, given)
        place = forms.field_of_error(drawn, wrong.get("", ""))
        if place:
            wrong[place] = wrong.pop("")
        return self._site.page(
            request,
            "list.html",
            422 if wrong else 200,
            title=noun.plural,
            noun=noun,
            cut=shown,
            per_page=(*map(str, PER_PAGE_COUNTS), ALL),
            narrowing=forms.with_errors(drawn, wrong),
            first_count=first_count(noun.list, given, wrong),
            wrong=wrong.get("", "Look at the fields that are marked." if wrong else ""),
            at_once_count=ITEMS_COUNT_MAX,
            suggestions=await self._suggestions.of(request, drawn),
            verbs=self._open(request, noun.of_all),
            ways=ways_of_list(noun.name, caller_of(request).principal.access),
            ending=next(iter(self._open(request, (noun.ending,) if noun.ending else ())), None),
            message=done(request.query_params.get("done", "")),
            link=_link,
        )

    async def _shown(
        self, request: Request, noun: Noun, given: tuple[tuple[str, str], ...]
    ) -> tuple[Shown, dict[str, str]]:
        """Return the page of a list, and what is wrong by field, "" = of none in particular."""
        if noun.list is None:
            raise HTTPException(404)
        fields = own_fields(noun.list)
        told, wrong = narrowed(fields, given)
        if is_long(noun.list):
            view = long_view_of(request.query_params, noun.list, given)
            if wrong:
                return nothing(noun, view), wrong
            try:
                return await long_list(self._site, request, noun, view, told), {}
            except Invalid as error:
                return nothing(noun, view), {"": said(error)}
        found, is_cut = ([], False) if wrong else await listed(self._site, request, noun, told)
        return cut(noun, found, view_of(request.query_params, noun.columns, fields), is_cut=is_cut), wrong

    async def item(self, request: Request) -> Response:
        """Show one thing, read-only."""
        noun, name = _noun(request), request.path_params["item"]
        if noun.list is None:
            raise HTTPException(404)
        await self._site.check(request, (noun.show or noun.list).route.declaration)
        current = await self._current(request, noun, name)
        told = []
        for verb in self._open(request, noun.told_with_item):
            if _is_without(verb, current):
                continue
            with suppress(Invalid, WrongState, NotFound):  # not every thing has everything: a key without a public half
                told.append((verb, await self._site.ask(request, verb, {verb.item_field: name})))
        if current is None and not told:
            raise NotFound(f"there is nothing of this name; the list of {noun.plural.lower()} shows what there is")
        verbs = [verb for verb in self._open(request, noun.of_item) if verb not in noun.told_with_item]
        return self._site.page(
            request,
            "item.html",
            title=f"{noun.title} {_called(current, name)}",
            noun=noun,
            name=name,
            called=_called(current, name),
            fields=noun.columns if noun.show is None else fields_of(noun.show.route.answer),
            current=current,
            told=[(verb, *_answer(verb, found)) for verb, found in told],
            verbs=verbs,
            ways=ways_of_item(noun.name, name, caller_of(request).principal.access),
            form_of=lambda verb: _form_path(request, verb, name),
            message=done(request.query_params.get("done", "")),
        )

    async def form(self, request: Request) -> Response:
        """Show the form of an operation."""
        noun, verb = self._verb(request)
        await self._site.check(request, verb.route.declaration)
        name = request.query_params.get("item", "")
        current = await self._of_form(request, noun, verb, name)
        drawn = forms.inputs(verb.asked, current)
        return await self._form_page(request, (noun, verb, name), drawn)

    async def send(self, request: Request) -> Response:
        """Carry out what a form says."""
        noun, verb = self._verb(request)
        await self._site.check(request, verb.route.declaration)
        posted = form_of(request)
        name = posted.get("item", [""])[0]
        current = await self._of_form(request, noun, verb, name)
        again = forms.ticked(verb.asked, posted, current)
        if again is not None:
            form_of(request)[forms.LED] = again.get(forms.LED, [""])
            return await self._form_page(request, (noun, verb, name), forms.inputs(verb.asked, current, again))
        plain, wrong = forms.read(verb.asked, posted, current)
        drawn = forms.with_errors(forms.inputs(verb.asked, current, posted), wrong)
        if wrong:
            return await self._form_page(request, (noun, verb, name), drawn, "Look at the fields that are marked.", 422)
        told = {verb.item_field: name} if verb.item_field else {}
        try:
            answer = await self._site.ask(request, verb, {**told, **plain})
        except KeysteadError as error:
            if place_of(error) or (isinstance(error, Unauthenticated) and caller_of(request).session is None):
                raise
            place = forms.field_of_error(drawn, error.message)
            drawn = forms.with_errors(drawn, {place: said(error)} if place else {})
            return await self._form_page(request, (noun, verb, name), drawn, said(error), status_of(error))
        return self._after(request, noun, verb, (name, answer))

    def _after(self, request: Request, noun: Noun, verb: Verb, what: tuple[str, Any]) -> Response:
        name, answer = what
        made = _made(noun, verb, answer) if not name else ""
        if verb.shows_secret or (not made and _is_for_reading(noun, verb)):
            fields, value = _answer(verb, answer)
            back = _item_path(noun, name) if name else noun.path
            return self._site.page(
                request,
                "result.html",
                title=f"{noun.title}: {verb.title.lower()}",
                fields=fields,
                value=value,
                is_secret=verb.shows_secret,
                back=back,
            )
        query = urlencode({"done": verb.route.declaration.name})
        there = "" if verb.ends_item or noun.list is None else made or name
        return RedirectResponse(f"{_item_path(noun, there) if there else noun.path}?{query}", 303)

    async def _single(self, request: Request, noun: Noun) -> Response:
        current = {}
        fields: tuple[Field, ...] = ()
        if noun.show is not None:
            await self._site.check(request, noun.show.route.declaration)
            current = await self._site.ask(request, noun.show, {})
            fields = fields_of(noun.show.route.answer)
        return self._site.page(
            request,
            "item.html",
            title=noun.title,
            noun=noun,
            name="",
            called="",
            fields=fields,
            current=current,
            told=[],
            verbs=self._open(request, noun.verbs),
            ways=[],
            form_of=lambda verb: verb.path,
            message=done(request.query_params.get("done", "")),
        )

    async def _form_page(
        self,
        request: Request,
        what: tuple[Noun, Verb, str],
        drawn: list[forms.Input],
        wrong: str = "",
        status: int = 200,
    ) -> Response:
        noun, verb, name = what
        named = _called(await self._current(request, noun, name), name) if noun.name == "key" and name else name
        return self._site.page(
            request,
            "form.html",
            status,
            title=f"{noun.title} {named}: {verb.title.lower()}" if name else f"{noun.title}: {verb.title.lower()}",
            noun=noun,
            verb=verb,
            name=name,
            called=named,
            inputs=drawn,
            suggestions=await self._suggestions.of(request, drawn),
            wrong=wrong,
            led=form_of(request).get(forms.LED, [""])[0],
            back=_item_path(noun, name) if name else noun.path,
        )

    async def _of_form(self, request: Request, noun: Noun, verb: Verb, name: str) -> Mapping[str, Any]:
        if not verb.item_field:
            return {} if noun.list is not None or noun.show is None else await self._site.ask(request, noun.show, {})
        if not name:
            raise NotFound(f"name one of the {noun.plural.lower()}; the list shows them")
        current = await self._current(request, noun, name) or {}
        return {} if verb.is_destructive else current  # nothing stands in such a form that nobody has typed

    async def _current(self, request: Request, noun: Noun, name: str) -> Mapping[str, Any] | None:
        if noun.show is not None:
            found: Mapping[str, Any] = await self._site.ask(request, noun.show, {noun.show.item_field: name})
            return found
        if noun.list is None:
            return None
        fields = own_fields(noun.list)
        told, _ = narrowed(fields, given_in(request.query_params, fields))
        rows, _ = await listed(self._site, request, noun, told)
        return next((row for row in rows if row[noun.key] == name), None)

    def _open(self, request: Request, verbs: tuple[Verb, ...]) -> list[Verb]:
        access = caller_of(request).principal.access
        return [verb for verb in verbs if verb.is_open(access)]

    def _verb(self, request: Request) -> tuple[Noun, Verb]:
        noun = _noun(request)
        verb = verb_of(noun, request.path_params["verb"])
        if verb is None:
            raise HTTPException(404)
        return noun, verb


def _noun(request: Request) -> Noun:
    noun = by_path(request.path_params["noun"])
    if noun is None:
        raise HTTPException(404)
    return noun


def _answer(verb: Verb, found: Any) -> tuple[tuple[Field, ...], Any]:
    answer = verb.route.answer
    has_fields = isinstance(answer, type) and answer not in (str, bool, int)
    return (fields_of(answer) if has_fields else ()), found


def _made(noun: Noun, verb: Verb, answer: Any) -> str:
    """Return the item that an answer tells of, by itself or as its first part, "" = none."""
    if noun.list is None or not isinstance(answer, dict):
        return ""
    if verb.name in MAKING and (parts := [one for one in _answer(verb, answer)[0] if one.type is noun.list.route.item]):
        answer = answer[parts[0].name]
    found = answer.get(noun.key)
    return found if isinstance(found, str) else ""


def _is_without(verb: Verb, current: Mapping[str, Any] | None) -> bool:
    """Tell whether an item cannot have what a verb tells: asking would be a failure in the log of its uses."""
    kind = str(((current or {}).get("key") or {}).get("kind", ""))
    return verb.route.declaration.name == "key.public_key" and kind not in ("private-key", "public-key")


def _called(current: Mapping[str, Any] | None, name: str) -> str:
    """Return what people call an item: a key by its name, all others as their lists do."""
    key = (current or {}).get("key")
    return called(key) if isinstance(key, Mapping) and "names" in key else name


def _is_for_reading(noun: Noun, verb: Verb) -> bool:
    """Tell whether the answer itself is what was asked for, and stands on no other page."""
    if verb.is_reading:
        return True
    is_known = noun.list is None or verb.item_field or verb.route.answer in (None, noun.list.route.item)
    return not is_known or (noun.list is None and noun.name == "audit")


def _link(noun: Noun, row: Mapping[str, Any], given: tuple[tuple[str, str], ...]) -> str:
    return _item_path(noun, str(row[noun.key])) + (f"?{urlencode(given)}" if given else "")


def _item_path(noun: Noun, name: str) -> str:
    return f"{noun.path}/show/{quote(name, safe='')}"


def _form_path(request: Request, verb: Verb, name: str) -> str:
    given = {key: value for key, value in request.query_params.items() if key != "done"}
    return f"{verb.path}?{urlencode({**given, 'item': name})}"
