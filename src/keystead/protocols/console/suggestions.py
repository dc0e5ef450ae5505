"""Names that fields offer: of users, groups and whatever else is listed by name.

Law: what was listed for an administrator is offered again to the same one only while nobody has changed anything.

Source: requirement KS-UI-026.
"""

from collections.abc import Hashable, Iterable

from starlette.requests import Request

from keystead.protocols.console.catalogue import nouns
from keystead.protocols.console.forms import Input
from keystead.protocols.console.site import Site, caller_of

SUGGESTIONS_COUNT_MAX = 1_000
KEPT_COUNT_MAX = 16


class Suggestions:
    """Lists names.

    Args:
        site: Asks for them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._kept: dict[tuple[str, str], list[str]] = {}
        self._version: Hashable = None

    async def of(self, request: Request, drawn: Iterable[Input]) -> dict[str, list[str]]:
        """Return the names that fields offer, by noun."""
        found = {}
        principal = caller_of(request).principal
        for name in dict.fromkeys(one.suggests for one in drawn if one.suggests):
            noun = nouns().get(name)
            if noun is not None and noun.list is not None and noun.is_open(principal.access):
                found[name] = await self._names(request, name)
        return found

    async def _names(self, request: Request, name: str) -> list[str]:
        version = self._site.asker.gate.objects.reader.data_version()
        if version != self._version or len(self._kept) >= KEPT_COUNT_MAX:
            self._kept, self._version = {}, version
        place = (name, caller_of(request).principal.name)
        if place not in self._kept:
            noun = nouns()[name]
            rows = [] if noun.list is None else await self._site.ask(request, noun.list, {})
            self._kept[place] = [str(row[noun.key]) for row in rows[:SUGGESTIONS_COUNT_MAX]]
        return self._kept[place]
