"""A real browser at the console: pages that fit the screen and can be read; test_journeys.py walks through it.

Pictures are left in test-results/console/ for people to look at.
"""

import shutil

import pytest

from tests.protocols.console.test_pages import PAGES
from tests.support.browser import NARROW, PROGRAM, WIDE, open_browser, picture
from tests.support.components import skip_or_fail
from tests.support.console import Browser
from tests.support.dev_node import DevNode
from tests.support.walking import CONTRAST, CONTRAST_MIN, SCROLLS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright"),
]


@pytest.fixture(autouse=True)
def _program() -> None:
    if shutil.which(PROGRAM) is None:
        skip_or_fail(f"{PROGRAM}, the browser that the console is tried with")


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", NARROW)], ids=["light, wide", "dark, narrow"])
def test_pages_fit_the_screen_and_can_be_read(
    node: DevNode, admin: Browser, scheme: str, size: tuple[int, int]
) -> None:
    cookie = {"name": "__Host-keystead", "value": admin.cookie, "url": node.ready["console"]["url"], "secure": True}
    with open_browser(color_scheme=scheme, viewport={"width": size[0], "height": size[1]}) as context:
        context.add_cookies([cookie])  # type: ignore[list-item]  # as the library reads it
        page = context.new_page()
        for path in [*PAGES, "/users/show/alice", "/users/do/delete?item=alice", "/administrators/do/create"]:
            page.goto(node.ready["console"]["url"].rstrip("/") + path)
            beyond = page.evaluate(SCROLLS)
            assert beyond <= 0, path
            ratio, what = page.evaluate(CONTRAST)
            assert ratio >= CONTRAST_MIN, f"{path}: {what}"
            if path in ("/keys", "/audit", "/security", "/settings/key_server/edit", "/administrators/do/create"):
                picture(page, f"{scheme}-page{path.replace('/', '-')}")


def test_the_keyboard_is_enough(node: DevNode, admin: Browser) -> None:
    with open_browser() as context:
        page = context.new_page()
        page.goto(node.ready["console"]["url"])
        assert page.evaluate("document.activeElement.name") == "name"
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Shift+Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
