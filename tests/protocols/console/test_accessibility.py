"""Rules of accessibility, tried in a real browser: no page breaks one, light or dark."""

import shutil

import pytest

from tests.support.browser import NARROW, PROGRAM, WIDE, open_browser
from tests.support.components import skip_or_fail
from tests.support.console import COOKIE, Browser
from tests.support.dev_node import DevNode

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright")]
KINDS = [
    *("/", "/preferences", "/password", "/device", "/security", "/new-client", "/nowhere"),
    *("/audit", "/users", "/keys", "/keys?state=lost", "/keys?kind=certificate&attribute=x-a%3Db", "/administrators"),
    *("/users/show/alice", "/administrators/show/admin", "/users/do/create", "/users/do/delete?item=alice"),
    *("/users/several?item=alice", "/administrators/do/create", "/keys/do/generate", "/module", "/node"),
    *("/settings/key_server", "/settings/key_server/edit", "/settings/web"),
]
"""A page of every kind."""
ENDS = ["/log-in", "/ended"]
"""Those of people who have not logged in."""


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", NARROW)], ids=["light, wide", "dark, narrow"])
def test_no_page_breaks_a_rule(node: DevNode, admin: Browser, scheme: str, size: tuple[int, int]) -> None:
    from axe_playwright_python.sync_playwright import Axe  # as everything that drives the browser

    if shutil.which(PROGRAM) is None:
        skip_or_fail(f"{PROGRAM}, the browser that the console is tried with")
    url = node.ready["console"]["url"]
    cookie = {"name": COOKIE, "value": admin.cookie, "url": url, "secure": True}
    found = []
    with open_browser(color_scheme=scheme, viewport={"width": size[0], "height": size[1]}) as context:
        page = context.new_page()
        for path in [*ENDS, *KINDS]:
            if path == KINDS[0]:
                context.add_cookies([cookie])  # type: ignore[list-item]  # as the library reads it
            page.goto(url.rstrip("/") + path)
            for rule in Axe().run(page).response["violations"]:
                found += [f"{path}: {rule['id']}: {node['html'][:120]}" for node in rule["nodes"]]
    assert not found, "\n".join(found)
