"""Who used a key: a plot for each day, users with their numbers, the requests themselves, and all of it as CSV.

Laws: everything comes from `key_use.list` and `key_use.count`; where those would look at more than a page may wait for,
it is said that there is more.

Source: requirements KS-LOG-002, 012, 013; KS-UI-014.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from keystead.core.errors import KeysteadError, NotFound
from keystead.gate.forms import Field, fields_of
from keystead.operations.key_use import KeyUse, ListKeyUse
from keystead.protocols.console import forms, key_uses
from keystead.protocols.console.site import Site, said
from keystead.protocols.console.suggestions import Suggestions
from keystead.protocols.console.waiting import called
from keystead.protocols.local.wire import declaration_of
from keystead.protocols.rest.problems import status_of

PATH, EXPORT = "/key-uses", "/key-uses/export.csv"
DAYS = (1, 7, 30, 90)
DAYS_COUNT = 7
DAY_US = 86_400_000_000
PER_PAGE_COUNT = 50
STEPS_COUNT_MAX = 4
EXPORTED_COUNT_MAX = 10_000
EXPORT_STEPS_COUNT_MAX = 40
COUNTED_COUNT = LISTED_COUNT = 1_000
PLACE_CHARACTERS_MAX = 256
NUMBER_DIGITS_MAX = 17
_FIELDS: tuple[Field, ...] = tuple(one for one in fields_of(ListKeyUse) if one.name in ("key", "user", "operation"))
_SHOWN = {field.name: field for field in fields_of(KeyUse)}
_LABELS = {"key": "Key, name or id", "user": "User", "operation": "Operation"}


class KeyUsePages:
    """The pages.

    Args:
        site: Makes them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._suggestions = Suggestions(site)

    async def show(self, request: Request) -> Response:
        """Show what was done in some days, as the address says."""
        await self._site.check(request, declaration_of("key_use.list"))
        told, wrong = _asked(request)
        days, until_us = _days(request), _until(request, self._site.asker.gate.clock.now_us())
        if wrong:
            return await self._page(request, told, days, until_us, wrong=wrong, status=422)
        window = {"from_us": max(0, until_us - days * DAY_US), "until_us": until_us}
        try:
            after = request.query_params.get("after", "")[:PLACE_CHARACTERS_MAX]
            found = await self._uses(request, {**told, **window}, after, PER_PAGE_COUNT, STEPS_COUNT_MAX)
            counts, is_whole = await self._counts(request, {**told, **window})
        except KeysteadError as error:
            return await self._page(request, told, days, until_us, wrong=said(error), status=status_of(error))
        return await self._page(request, told, days, until_us, found=found, counts=counts, is_whole=is_whole)

    async def export(self, request: Request) -> Response:
        """Return the same as CSV, the newest first."""
        await self._site.check(request, declaration_of("key_use.list"))
        told, wrong = _asked(request)
        if wrong:
            raise NotFound("the search is not as it must be; begin at the page that shows it")
        days, until_us = _days(request), _until(request, self._site.asker.gate.clock.now_us())
        window = {"from_us": max(0, until_us - days * DAY_US), "until_us": until_us}
        uses, _ = await self._uses(request, {**told, **window}, "", EXPORTED_COUNT_MAX, EXPORT_STEPS_COUNT_MAX)
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", told["key"])[:64]
        heads = {
            "content-disposition": f'attachment; filename="key-use{f"-{name}" if name else ""}.csv"',
            "cache-control": "no-store",
        }
        return Response(key_uses.as_csv(uses).encode(), media_type="text/csv; charset=utf-8", headers=heads)

    async def _page(self, request: Request, told: Mapping[str, str], days: int, until_us: int, **more: Any) -> Response:
        wrong, status = more.get("wrong", ""), more.get("status", 200)
        uses, following = more.get("found", ([], ""))
        users = key_uses.by_user(more.get("counts", []))
        each_day = key_uses.by_day(more.get("counts", []), key_uses.day_of(until_us), days + 1)
        key = await self._key(request, told["key"])
        query = {**told, "days": str(days), "until": str(until_us)}
        name = "" if key is None else called(key)
        return self._site.page(
            request,
            "key_uses.html",
            status,
            title=f"Who used {name or told['key'] or 'keys'}",
            tab="Security" if told["key"] else "Device",
            given=told,
            labels=_LABELS,
            key=key,
            name=name or told["key"],
            days=days,
            offered=DAYS,
            uses=uses,
            users=users,
            plot=key_uses.plot(each_day),
            each_day=each_day,
            count=sum(one.count for one in users.values()),
            failed_count=sum(one.failed_count for one in users.values()),
            is_whole=more.get("is_whole", True),
            fields=_SHOWN,
            query=urlencode(query),
            following=urlencode({**query, "after": following}) if following else "",
            is_newest=not request.query_params.get("after"),
            suggestions=await self._suggestions.of(request, forms.inputs(_FIELDS, {})),
            exported_count_max=EXPORTED_COUNT_MAX,
            wrong=wrong,
            page_path=PATH,
            export=EXPORT,
        )

    async def _uses(
        self, request: Request, fields: Mapping[str, Any], after: str, count: int, steps: int
    ) -> tuple[list[Mapping[str, Any]], str]:
        """Return at most so many uses, and where to go on."""
        found: list[Mapping[str, Any]] = []
        for _ in range(steps):
            limit = min(count - len(found), LISTED_COUNT)
            page = await self._site.ask(request, "key_use.list", {**fields, "after": after, "limit_count": limit})
            found += page["uses"]
            after = page["next"]
            if not after or len(found) >= count:
                break
        return found, after

    async def _counts(self, request: Request, fields: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], bool]:
        """Return counts by day and user, and whether those are all."""
        found: list[Mapping[str, Any]] = []
        after = ""
        for _ in range(STEPS_COUNT_MAX):
            asked = {**fields, "per": "day", "by": "user", "after": after, "limit_count": COUNTED_COUNT}
            page = await self._site.ask(request, "key_use.count", asked)
            found += page["counts"]
            after = page["next"]
            if not after:
                return found, True
        return found, False

    async def _key(self, request: Request, item: str) -> Mapping[str, Any] | None:
        """Return the key as it is listed; None where it is gone, which its uses are not."""
        if not item:
            return None
        try:
            found: Mapping[str, Any] = (await self._site.ask(request, "key.show", {"target": item}))["key"]
        except KeysteadError:
            return None
        return found


def _asked(request: Request) -> tuple[dict[str, str], str]:
    """Return what to look for, and what is wrong with it."""
    typed = {one.name: request.query_params.get(one.name, "").strip()[:256] for one in _FIELDS}
    plain, wrong = forms.read(_FIELDS, {name: [word] for name, word in typed.items() if word}, {})
    told = typed | {name: str(value) for name, value in plain.items()}
    return told, " ".join(f"{_LABELS[name]}: {why}" for name, why in wrong.items())


def _days(request: Request) -> int:
    word = request.query_params.get("days", "")
    return int(word) if word in {str(one) for one in DAYS} else DAYS_COUNT


def _until(request: Request, now_us: int) -> int:
    """Return until when is looked: as the first page of a walk has it, so that all pages fit together."""
    word = request.query_params.get("until", "")
    is_number = word.isascii() and word.isdigit() and len(word) <= NUMBER_DIGITS_MAX
    return min(int(word), now_us) if is_number else now_us
