"""A real browser at the console: the first login, a new client's certificate, and pages that fit the screen.

Pictures are left in test-results/console/ for people to look at.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Error as PlaywrightError

from tests.protocols.console.conftest import FIRST, OWN
from tests.protocols.console.test_forms import form_at
from tests.protocols.console.test_pages import PAGES
from tests.support.browser import NARROW, PROGRAM, WIDE, open_browser, picture
from tests.support.components import skip_or_fail
from tests.support.console import Browser
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Client, Session

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright"),
]
# What WCAG 2.2 asks of text: 4.5 to 1 between its colour and what is behind it.
CONTRAST_MIN = 4.5
CONTRAST = """() => {
  const rgb = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 && n[3] === 0 ? null : n };
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 }); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const behind = node => { for (; node; node = node.parentElement) {
    const c = rgb(getComputedStyle(node).backgroundColor); if (c) return c } return [255, 255, 255] };
  const found = [];
  for (const node of document.querySelectorAll('main *, header *, nav *, footer')) {
    const own = [...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || node.closest('svg') || !node.checkVisibility() || node.matches('option')) continue;
    const a = light(rgb(getComputedStyle(node).color)), b = light(behind(node));
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.tagName + ' ' + node.textContent.slice(0, 40)]);
  }
  return found.sort((x, y) => x[0] - y[0])[0];
}"""


@pytest.fixture(autouse=True)
def _program() -> None:
    if shutil.which(PROGRAM) is None:
        skip_or_fail(f"{PROGRAM}, the browser that the console is tried with")


@pytest.fixture
def newcomer(admin: Browser) -> Iterator[str]:
    admin.send(
        form_at(admin, "/administrators/do/create"),
        name="newcomer",
        password=FIRST,
        full_name="New Comer",
        access=["all"],
    )
    yield "newcomer"
    admin.send(form_at(admin, "/administrators/do/delete?item=newcomer"), confirm="newcomer")


def fill_in(page: "Page", **typed: str) -> None:
    for name, value in typed.items():
        page.locator(f'[name="{name}"]').first.fill(value)


@pytest.mark.row("KS-UI-001", "KS-UI-024")
@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", NARROW)], ids=["light, wide", "dark, narrow"])
def test_from_the_first_login_to_a_clients_certificate(
    node: DevNode, newcomer: str, tmp_path: Path, scheme: str, size: tuple[int, int]
) -> None:
    user = f"{scheme}-client"
    viewport = {"width": size[0], "height": size[1]}
    with open_browser(
        color_scheme=scheme, viewport=viewport, accept_downloads=True, java_script_enabled=True
    ) as context:
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(node.ready["console"]["url"])
        picture(page, f"{scheme}-1-log-in")
        fill_in(page, name=newcomer, password=FIRST)
        page.get_by_role("button", name="Log in").click()
        assert page.url.endswith("/password")
        picture(page, f"{scheme}-2-own-password")
        fill_in(page, current=FIRST, new=OWN, again=OWN)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="First steps").wait_for()
        page.get_by_role("link", name="Home", exact=True).first.click()
        page.get_by_role("heading", name="Security Summary").wait_for()
        picture(page, f"{scheme}-3-home")
        page.get_by_role("link", name="Security", exact=True).click()
        page.get_by_role("main").get_by_role("link", name="Users").click()
        picture(page, f"{scheme}-4-users")
        page.get_by_role("link", name="New client's certificate").click()
        fill_in(page, user=user, groups="staff")
        picture(page, f"{scheme}-5-new-client")
        page.get_by_role("button", name="Issue certificate").click()
        page.get_by_text("shown once").wait_for()
        picture(page, f"{scheme}-6-certificate")
        files = {}
        for name in (f"{user}.key", f"{user}.pem", "ca.pem"):
            with page.expect_download() as waiting:
                page.get_by_role("link", name=f"Download {name}").click()
            files[name] = tmp_path / name
            waiting.value.save_as(files[name])
        page.locator(".account summary").click()
        page.get_by_role("button", name="Log out").click()
        page.get_by_text("You are logged out").wait_for()
        assert not complaints, complaints
        with pytest.raises(PlaywrightError, match="CACHE_MISS"):  # the page with the key was not kept
            page.go_back()
    files[f"{user}.key"].chmod(0o600)
    with Session(node.port, Client(files[f"{user}.pem"], files[f"{user}.key"], files["ca.pem"])) as session:
        session.ask(messages.locate())


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
            beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
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
