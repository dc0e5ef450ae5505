"""The console's application: the pages by their paths, and what is answered when something goes wrong.

Source: requirements KS-UI-001 to 026; docs/adr/0074-pages-without-a-framework.md.
"""

import logging
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from keystead.core.errors import KeysteadError, Unauthenticated
from keystead.protocols.asking import Asker
from keystead.protocols.console import journeys, waiting
from keystead.protocols.console.approval_pages import ApprovalPages
from keystead.protocols.console.catalogue import TABS, tree
from keystead.protocols.console.drawn_pages import DrawnPages
from keystead.protocols.console.first_pages import BACK_UP, FIRST_STEPS, KEY_MADE, NEW_KEY, FirstPages
from keystead.protocols.console.guard import ENDED, LOG_IN, LOG_OUT, PASSWORD, Guard
from keystead.protocols.console.home_pages import HomePages
from keystead.protocols.console.key_rights_pages import PATH as KEY_RIGHTS
from keystead.protocols.console.key_rights_pages import KeyRightsPages
from keystead.protocols.console.key_use_pages import EXPORT as USES_EXPORT
from keystead.protocols.console.key_use_pages import PATH as KEY_USES
from keystead.protocols.console.key_use_pages import KeyUsePages
from keystead.protocols.console.officer_pages import PATH as LOST
from keystead.protocols.console.officer_pages import OfficerPages
from keystead.protocols.console.own_pages import OwnPages
from keystead.protocols.console.settings_pages import SettingsPages
from keystead.protocols.console.several import Several
from keystead.protocols.console.site import STATIC_FILES, Facts, Site, caller_of, said
from keystead.protocols.rest.entrance import Entrance
from keystead.protocols.rest.problems import status_of

TELLING = {
    404: "There is no such page. Perhaps what it was about is gone.",
    405: "This page cannot be asked for in this way.",
}

log = logging.getLogger("keystead.console")


def application(asker: Asker, entrance: Entrance, facts: Facts) -> Guard:
    """Return the application with every page.

    Args:
        asker: Runs operations.
        entrance: Lets administrators in and out.
        facts: Of the node.
    """
    site = Site(asker, entrance, facts)

    async def failed(request: Request, error: KeysteadError) -> Response:
        if isinstance(error, Unauthenticated):
            return RedirectResponse(f"{LOG_IN}?ended=1", 303)
        if waiting.place_of(error):
            return RedirectResponse(f"{waiting.place_of(error)}?asked=1", 303)
        return site.refusal(request, status_of(error), said(error))

    async def of_http(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 400
        return site.refusal(request, status, TELLING.get(status, "The request cannot be read."))

    async def mistake(request: Request, error: Exception) -> Response:
        log.error("a page failed for a reason of ours", exc_info=error)
        return site.refusal(request, 500, "A mistake of the server; the system log has details.")

    handlers: dict[Any, Any] = {KeysteadError: failed, HTTPException: of_http, Exception: mistake}
    app = Starlette(routes=_routes(site), exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guard(app, entrance, site.refusal, site.waiting_count)


def _routes(site: Site) -> list[Route]:
    home, own, drawn, settings, client = (
        HomePages(site),
        OwnPages(site),
        DrawnPages(site),
        SettingsPages(site),
        journeys.NewClient(site),
    )
    several, approvals = Several(site), ApprovalPages(site)
    first, rights, officer, uses = FirstPages(site), KeyRightsPages(site), OfficerPages(site), KeyUsePages(site)
    get, post = ["GET"], ["POST"]

    async def tab(request: Request) -> Response:
        title = request.url.path.removeprefix("/").capitalize()
        access = caller_of(request).principal.access
        return site.page(request, "tab.html", title=title, tab=title, places=tree(title, access))

    return [
        Route("/", home.home, methods=get),
        Route("/summary", home.dismiss, methods=post),
        Route("/preferences", home.preferences, methods=get),
        Route("/preferences", home.prefer, methods=post),
        Route("/audit", home.audit, methods=get),
        Route(LOG_IN, own.way_in, methods=get),
        Route(LOG_IN, own.log_in, methods=post),
        Route(LOG_OUT, own.log_out, methods=post),
        Route(ENDED, own.ended, methods=get),
        Route(PASSWORD, own.password, methods=get),
        Route(PASSWORD, own.set_password, methods=post),
        *(Route(path, _static, methods=get) for path in STATIC_FILES),
        Route(journeys.PATH, client.form, methods=get),
        Route(journeys.PATH, client.send, methods=post),
        Route(FIRST_STEPS, first.steps, methods=get),
        Route(BACK_UP, first.back_up, methods=get),
        Route(NEW_KEY, first.form, methods=get),
        Route(NEW_KEY, first.send, methods=post),
        Route(KEY_MADE, first.made, methods=get),
        Route(KEY_RIGHTS, rights.show, methods=get),
        Route(KEY_RIGHTS, rights.send, methods=post),
        Route(KEY_USES, uses.show, methods=get),
        Route(USES_EXPORT, uses.export, methods=get),
        Route(LOST, officer.form, methods=get),
        Route(LOST, officer.send, methods=post),
        Route("/settings/{section}", settings.show, methods=get),
        Route("/settings/{section}/edit", settings.form, methods=get),
        Route("/settings/{section}/edit", settings.send, methods=post),
        *(Route(f"/{one.lower()}", tab, methods=get) for one in TABS),
        Route(waiting.PATH, approvals.inbox, methods=get),
        Route(f"{waiting.PATH}/show/{{item}}", approvals.show, methods=get),
        Route(f"{waiting.PATH}/do/{{verb}}", approvals.form, methods=get),
        Route(f"{waiting.PATH}/do/{{verb}}", approvals.send, methods=post),
        Route("/{noun}", drawn.overview, methods=get),
        Route("/{noun}/several", several.form, methods=get),
        Route("/{noun}/several", several.send, methods=post),
        Route("/{noun}/do/{verb}", drawn.form, methods=get),
        Route("/{noun}/do/{verb}", drawn.send, methods=post),
        Route("/{noun}/show/{item:path}", drawn.item, methods=get),
    ]


_KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


async def _static(request: Request) -> Response:
    path = request.url.path
    kind = _KINDS[path.rpartition(".")[2]]
    return Response(STATIC_FILES[path], media_type=kind, headers={"cache-control": "max-age=31536000, immutable"})
