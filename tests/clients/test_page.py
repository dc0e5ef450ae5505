import http.client
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from keystead.clients.coordinator import relay
from keystead.clients.coordinator.page import FORM_BYTES_MAX, Page
from keystead.clients.coordinator.registry import Desk, Registry
from keystead.core.secret import Secret
from tests.support.modules import SetClock
from tests.support.secure_modules import Fleet, fleet

NEW_PIN = "52718093"


class Browser:
    """Follows links and sends forms with the page's cookie."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.cookie = ""

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str, dict[str, str]]:
        """Return status, text and headers."""
        connection = http.client.HTTPConnection(self.page.host, timeout=20)
        sent = {"Cookie": self.cookie, "Content-Type": "application/x-www-form-urlencoded", **headers}
        connection.request(method, path, body.encode() if body else None, sent)
        answer = connection.getresponse()
        text, told = answer.read().decode(), dict(answer.getheaders())
        connection.close()
        return answer.status, text, told

    def follow_link(self) -> None:
        """Follow the link that the program printed."""
        _, _, headers = self.ask("GET", urlsplit(self.page.link).path)
        self.cookie = headers["Set-Cookie"].split(";")[0]

    def send(self, path: str, **fields: str) -> tuple[int, str]:
        """Send a form as the page has it."""
        status, text, _ = self.ask("POST", path, urlencode({"form": self.page.form, **fields}))
        return status, text


@pytest.fixture
def enrolled(tmp_path: Path) -> tuple[Registry, Secret]:
    desk = Desk(tmp_path / "desk", SetClock())
    issued = desk.issue()
    desk.confirm(issued.token)
    registry = Registry(tmp_path / "coordinator")
    registry.register(desk, issued.number, issued.pin)
    return registry, issued.pin


@pytest.fixture
def browser(enrolled: tuple[Registry, Secret], tmp_path: Path) -> Iterator[Browser]:
    (tmp_path / "hub").mkdir()
    page = Page(enrolled[0], relay.Hub(tmp_path / "hub"), 0)
    thread = threading.Thread(target=page.serve)
    thread.start()
    yield Browser(page)
    page.end()
    thread.join()


@pytest.fixture
def inside(browser: Browser, enrolled: tuple[Registry, Secret]) -> Browser:
    browser.follow_link()
    assert browser.send("/login", pin=enrolled[1].reveal().decode())[0] == 303
    return browser


@pytest.mark.row("CA-011")
def test_the_page_asks_for_the_pin_at_each_start(browser: Browser, enrolled: tuple[Registry, Secret]) -> None:
    browser.follow_link()
    status, text, _ = browser.ask("GET", "/")
    assert (status, 'type="password"' in text, "Set as source" in text) == (200, True, False)
    for path in ("/source", "/start", "/pin", "/import"):
        assert browser.send(path, source="SOURCE")[0] == 404
    status, text = browser.send("/login", pin="11111111")
    assert (status, "PIN is wrong" in text) == (409, True)
    browser.send("/login", pin=enrolled[1].reveal().decode())
    assert "Set as source" in browser.ask("GET", "/")[1]


@pytest.mark.row("CA-012", "CA-031")
def test_the_pin_is_changed_with_characters_shown_or_hidden(inside: Browser, enrolled: tuple[Registry, Secret]) -> None:
    registry, pin = enrolled
    hidden, shown = inside.ask("GET", "/pin")[1], inside.ask("GET", "/pin?show=1")[1]
    assert (hidden.count('type="password"'), hidden.count('type="text"')) == (3, 0)
    assert (shown.count('type="password"'), shown.count('type="text"')) == (0, 3)
    assert registry.number in hidden
    current = pin.reveal().decode()
    status, text = inside.send("/pin", current=current, new=NEW_PIN, confirmed="52718094")
    assert (status, "differ" in text) == (409, True)
    assert current not in text
    status, text = inside.send("/pin", current=current, new=NEW_PIN, confirmed=NEW_PIN)
    assert (status, "from the next start" in text) == (200, True)
    registry.open(Secret(NEW_PIN.encode()))


@pytest.mark.row("CA-020")
def test_settings_go_out_and_in_at_the_page(inside: Browser, enrolled: tuple[Registry, Secret]) -> None:
    enrolled[0].choose({"auto_lock": False, "policy": True})
    exported = inside.ask("GET", "/settings.json")[1]
    enrolled[0].choose({"auto_lock": True, "policy": True})
    assert inside.send("/import", settings=exported)[0] == 303
    assert enrolled[0].settings()["auto_lock"] is False
    assert inside.send("/import", settings="{")[0] == 409


# ---------------------------------------------------------------------------------------------------------- strangers


def test_the_link_works_once(browser: Browser) -> None:
    path = urlsplit(browser.page.link).path
    browser.follow_link()
    for link in (path, "/open/", "/open/x"):
        assert browser.ask("GET", link)[0] == 403


@pytest.mark.parametrize("path", ["/", "/pin", "/settings.json", "/open/guess", "/nothing"])
def test_without_the_cookie_nothing_is_shown(browser: Browser, path: str) -> None:
    assert browser.ask("GET", path)[0] == 403


def test_forms_made_elsewhere_are_refused(inside: Browser) -> None:
    for body in ("source=SOURCE", urlencode({"form": "guess", "source": "SOURCE"}), "x" * (FORM_BYTES_MAX + 1), "%ff"):
        assert inside.ask("POST", "/source", body)[0] == 403
    inside.cookie = ""
    assert inside.send("/source", source="SOURCE")[0] == 403


def test_another_name_for_this_machine_is_refused(inside: Browser) -> None:
    for host in ("evil.example", "localhost", f"localhost:{inside.page.host.split(':')[1]}"):
        assert inside.ask("GET", "/", Host=host)[0] == 421


def test_no_script_runs_and_nothing_is_kept(inside: Browser) -> None:
    _, text, headers = inside.ask("GET", "/")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Cache-Control"] == "no-store"
    assert "<script" not in text
    assert re.search(r'<html lang="en">', text)


# ------------------------------------------------------------------------------------------------------------ cloning


@pytest.fixture
def modules(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path / "fleet") as made:
        made.source("SOURCE")
        made.make("TARGET")
        yield made


@pytest.mark.row("CA-014", "CA-015", "CA-018")
def test_a_source_is_set_and_cloned_at_the_page(inside: Browser, modules: Fleet) -> None:
    inside.page.hub = relay.Hub(modules.hub)
    text = inside.ask("GET", "/")[1]
    assert "SOURCE" in text
    assert text.count("unassigned") == 2
    status, told = inside.send("/source", source="TARGET")
    assert (status, "unlock the source" in told) == (409, True)
    assert inside.send("/start", source="SOURCE")[0] == 409  # not set as source yet
    assert inside.send("/source", source="SOURCE")[0] == 303
    assert "– active" in inside.ask("GET", "/")[1]
    assert inside.send("/start", source="SOURCE", auto_lock="on", disable_source="on")[0] == 303
    deadline_s = time.monotonic() + 30
    while 'http-equiv="refresh"' in (text := inside.ask("GET", "/")[1]) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert "✓ Target TARGET - cloned" in text
    assert "1 of 1 cloned." in text
    assert modules.status("TARGET")["copied_from"] == "SOURCE"
    assert modules.status("SOURCE")["cloning"] is False


def test_a_state_that_is_no_text_breaks_no_page(browser: Browser) -> None:
    """Whatever listens in the hub's folder says what it likes."""
    odd = {"serial": "ODD", "state": ["<b>", 1], "cloning": False}
    settings = {"auto_lock": True, "policy": True}
    drawn = browser.page.drawn("main", "Cloning", modules=[odd], source="", settings=settings, lines=[], refresh=False)
    assert "ODD" in drawn
    assert "<b>" not in drawn
