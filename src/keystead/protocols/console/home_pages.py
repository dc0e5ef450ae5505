"""Home: Security Summary, System Summary, Recent Actions; and the audit log.

Source: requirements KS-UI-003 to 005, 014.
"""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from keystead import __version__
from keystead.core.errors import KeysteadError, Unauthenticated
from keystead.gate.forms import fields_of
from keystead.operations.audit import LISTED_COUNT_MAX, AuditLine
from keystead.protocols.console.catalogue import nouns
from keystead.protocols.console.plot import HOUR_US, HOURS_COUNT, bars, plot
from keystead.protocols.console.site import Site, caller_of, done, form_of

RECENT_COUNT = 10
PLOTTED_STEPS_COUNT_MAX = 4
AUDIT_PER_PAGE_COUNT = 50
NUMBER_DIGITS_MAX = 15
PLOTTED_OPERATIONS_COUNT = 6
CLIENTS_ORIGIN = "client"
UNLOCKED = "The security module is unlocked."
LOCKED = "The security module is locked: keys cannot be used until its crypto user logs in."


class HomePages:
    """The pages.

    Args:
        site: Makes them.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    async def home(self, request: Request) -> Response:
        """Show what an administrator sees first."""
        wants = await self._site.ask(request, "preferences.show", {})
        now_us = self._site.asker.gate.clock.now_us()
        lines, is_whole = await self._day(request, now_us)
        recent = lines[:RECENT_COUNT] or (await self._site.ask(request, "audit.show", {"limit": RECENT_COUNT}))["lines"]
        families = await self._known(request, "node.measure", {}) or []
        counts = Counter((now_us - line["at_us"]) // HOUR_US for line in lines)
        return self._site.page(
            request,
            "home.html",
            title="Home",
            tab="Home",
            security=await self._security(request) if wants["security_summary"] else None,
            system=self._system(families),
            requests=requests_of(families),
            recent=recent,
            fields={field.name: field for field in fields_of(AuditLine)},
            plot=plot(
                [counts[hour] for hour in range(HOURS_COUNT - 1, -1, -1)], datetime.fromtimestamp(now_us / 1e6, UTC)
            ),
            plotted_count=len(lines),
            is_whole=is_whole,
            message=done(request.query_params.get("done", "")),
        )

    async def dismiss(self, request: Request) -> Response:
        """Show the Security Summary no more, if the box was ticked."""
        if form_of(request).get("dismiss") != ["1"]:
            return RedirectResponse("/", 303)
        await self._site.ask(request, "preferences.change", {"security_summary": False})
        return RedirectResponse("/?done=preferences.change", 303)

    async def preferences(self, request: Request) -> Response:
        """Show one's own preferences."""
        wants = await self._site.ask(request, "preferences.show", {})
        message = done(request.query_params.get("done", ""))
        return self._site.page(request, "preferences.html", title="Preferences", wants=wants, message=message)

    async def prefer(self, request: Request) -> Response:
        """Keep one's own preferences."""
        wanted = form_of(request).get("security_summary") == ["1"]
        await self._site.ask(request, "preferences.change", {"security_summary": wanted})
        return RedirectResponse("/preferences?done=preferences.change", 303)

    async def audit(self, request: Request) -> Response:
        """Show the audit log, newest first, narrowed down as the address says."""
        query = request.query_params
        before = query.get("before", "")
        is_number = before.isascii() and before.isdigit() and len(before) <= NUMBER_DIGITS_MAX
        fields: dict[str, Any] = {"limit": AUDIT_PER_PAGE_COUNT, "before": int(before) if is_number else -1}
        given = {name: query.get(name, "")[:256] for name in ("named", "user")}
        state = await self._site.ask(request, "audit.state", {})
        page = await self._site.ask(request, "audit.show", {**fields, **given})
        verbs = [verb for verb in nouns()["audit"].verbs if verb.is_open(caller_of(request).principal.access)]
        return self._site.page(
            request,
            "audit.html",
            title="Audit log",
            page=page,
            state=state,
            given=given,
            is_newest=not is_number,
            newer=_newer(fields["before"], state["size"]) if not any(given.values()) else None,
            oldest=AUDIT_PER_PAGE_COUNT,
            fields={field.name: field for field in fields_of(AuditLine)},
            verbs=verbs,
        )

    async def _day(self, request: Request, now_us: int) -> tuple[list[dict[str, Any]], bool]:
        """Return what was audited in the last day, newest first, and whether that is all of it."""
        since_us, before = now_us - HOURS_COUNT * HOUR_US, -1
        lines: list[dict[str, Any]] = []
        for _ in range(PLOTTED_STEPS_COUNT_MAX):
            fields = {"since_us": since_us, "before": before, "limit": LISTED_COUNT_MAX}
            page = await self._site.ask(request, "audit.show", fields)
            lines += page["lines"]
            before = page["before"]
            if not before or len(page["lines"]) < LISTED_COUNT_MAX:
                return lines, True
        return lines, False

    async def _security(self, request: Request) -> list[tuple[bool, str, str]]:
        """Return what to look at: (as it should be, what, where)."""
        module = await self._known(request, "module.show", {})
        settings = await self._site.ask(request, "settings.read", {})
        found = []
        if module is not None:
            is_open = bool(module["activated"])
            found.append((is_open, UNLOCKED if is_open else LOCKED, "/module"))
            if module["kind"] == "software":
                found.append((False, "The root of trust is the built-in software module, not hardware.", "/module"))
        else:
            found.append((False, "The process that serves keys does not answer.", "/node"))
        for section, field, text in _SWITCHES:
            if settings[section][field]:
                found.append((False, text, f"/settings/{section}"))
        if settings["passwords"]["length_min"] < 12:
            found.append((False, "Passwords may be shorter than 12 characters.", "/settings/passwords"))
        return found

    def _system(self, families: list[dict[str, Any]]) -> list[tuple[str, str]]:
        facts = self._site.facts
        now = datetime.now().astimezone()
        found = [
            ("Product", "keystead"),
            ("Node ID", facts.node_id),
            ("Software version", __version__),
            ("Date", f"{now:%Y-%m-%d}"),
            ("Time", f"{now:%H:%M:%S}"),
            ("Time zone", f"{now:%Z} (UTC{now:%z})"),
            ("System uptime", duration(facts.uptime_s())),
            ("Administration uptime", duration(time.monotonic() - facts.started_s)),
        ]
        connections = next((one for one in families if one["name"] == "keystead_connections"), None)
        if connections is not None:
            proven = sum(int(one["value"]) for one in connections["samples"] if ["state", "proven"] in one["labels"])
            found.append(("KMIP clients connected", str(proven)))
        return found

    async def _known(self, request: Request, name: str, fields: Mapping[str, Any]) -> Any:
        """Return an answer, None where the other process does not give one: Home is shown all the same."""
        try:
            return await self._site.ask(request, name, fields)
        except Unauthenticated:
            raise
        except KeysteadError:
            return None


def _newer(before: int, size: int) -> int | None:
    """Return before which entry the page of newer ones begins; None = there are none."""
    return min(before + AUDIT_PER_PAGE_COUNT, size) if 0 <= before < size else None


def requests_of(families: list[dict[str, Any]]) -> Markup | None:
    """Return a plot of what clients have asked for, most first, None before there was anything."""
    counted: Counter[str] = Counter()
    for family in families:
        for sample in family["samples"] if family["name"] == "keystead_requests_total" else ():
            labels = dict(sample["labels"])
            if labels["origin"] == CLIENTS_ORIGIN:
                counted[labels["operation"]] += int(sample["value"])
    if not counted:
        return None
    shown = counted.most_common(PLOTTED_OPERATIONS_COUNT)
    others_count = counted.total() - sum(count for _, count in shown)
    return bars(
        f"Requests of clients since the start: {counted.total():,} in all",
        [*shown, *([("others", others_count)] if others_count else [])],
    )


def duration(seconds: float) -> str:
    """Return how long something has lasted, in words."""
    minutes = int(seconds) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    parts = [f"{days} d"] if days else []
    return " ".join([*parts, f"{hours} h", f"{minutes % 60} min"])


_SWITCHES = (
    ("legacy", "algorithms", "Outdated algorithms are allowed."),
    ("legacy", "modes", "Outdated modes are allowed."),
    ("key_server", "allow_key_export", "Clients may fetch key material."),
    ("key_server", "allow_global_keys", "Keys without an owner may be made and used."),
    ("key_server", "allow_global_sessions", "Clients without a user may connect."),
)
