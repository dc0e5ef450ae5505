"""People at the console: with a mouse and a wide light screen, or by keyboard alone on a dark one of 360 pixels.

Counts what a person does: clicks (or the key that does the same) and fields that are filled in. Whoever walks by
keyboard has scripts switched off, so that each journey is known to do without.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.browser import NARROW, PICTURES, WIDE, picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

TABS_MAX = 150
# What WCAG 2.2 asks of text: 4.5 to 1 between its colour and what is behind it.
CONTRAST_MIN = 4.5
CONTRAST = """() => {
  const rgb = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 && n[3] === 0 ? null : n };
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 }); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const behind = node => { for (; node; node = node.parentElement) {
    const c = rgb(getComputedStyle(node).backgroundColor); if (c) return c } return [255, 255, 255] };
  const found = [[99, '']];
  for (const node of document.querySelectorAll('main *, header *, nav *, footer')) {
    const own = [...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || node.closest('svg') || !node.checkVisibility() || node.matches('option')) continue;
    const a = light(rgb(getComputedStyle(node).color)), b = light(behind(node));
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.tagName + ' ' + node.textContent.slice(0, 40)]);
  }
  return found.sort((x, y) => x[0] - y[0])[0];
}"""
HARMLESS = ("status of 422", "Autofocus processing was blocked", "Password forms should have")
"""What a browser tells of a form that was refused: its status, and that the script has shown the fault first. And what
it says of a page that it has only half of: `look` holds that who has an own password typed in is named beside it."""
NAMELESS = """[...document.forms].filter(form => form.querySelector('[autocomplete=current-password]')
    && !form.querySelector('[autocomplete=username]')).length"""
SCROLLS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass(frozen=True)
class Way:
    """How somebody uses a browser."""

    name: str
    options: dict[str, Any]
    by_keyboard: bool


def _size(size: tuple[int, int]) -> dict[str, int]:
    return {"width": size[0], "height": size[1]}


MOUSE = Way("light", {"color_scheme": "light", "viewport": _size(WIDE)}, by_keyboard=False)
KEYBOARD = Way(
    "dark", {"color_scheme": "dark", "viewport": _size(NARROW), "java_script_enabled": False}, by_keyboard=True
)
WAYS = (MOUSE, KEYBOARD)


@dataclass
class Person:
    """Somebody in front of a browser of their own."""

    page: Page
    way: Way
    journey: str
    url: str
    clicks_count: int = 0
    fields_count: int = 0
    complaints: list[str] = field(default_factory=list)
    _pictures_count: int = 0

    def open(self, path: str) -> None:
        """Type an address."""
        self.page.goto(self.url + path)

    def click(self, name: str, role: str = "link", within: str = "") -> None:
        """Follow a link or press a button."""
        place: Any = self.page.locator(within) if within else self.page
        self._use(place.get_by_role(role, name=name).first)

    def press(self, name: str, within: str = "") -> None:
        """Press a button."""
        self.click(name, "button", within)

    def unfold(self, text: str) -> None:
        """Open what is folded."""
        self._use(self.page.locator("summary", has_text=text).first, leads_on=False)

    def download(self, name: str, path: Path) -> None:
        """Take a file."""
        with self.page.expect_download() as waiting:
            self._use(self.page.get_by_role("link", name=name).first, leads_on=False)
        waiting.value.save_as(path)

    def tick(self, label: str) -> None:
        """Tick a box, or choose one of several."""
        box = self.page.get_by_label(label).first
        if not self.way.by_keyboard:
            box.check()
        elif box.get_attribute("type") == "radio":
            self._reach_radio(box)
        else:
            self._reach(box)
            self.page.keyboard.press("Space")
        assert box.is_checked(), label
        self.clicks_count += 1

    def type(self, label: str, text: str) -> None:
        """Fill in a field."""
        place = self.page.get_by_label(label).first
        if self.way.by_keyboard:
            self._reach(place)
            self.page.keyboard.press("Control+A")
            self.page.keyboard.type(text)
        else:
            place.fill(text)
        self.fields_count += 1

    def choose(self, label: str, option: str) -> None:
        """Choose from a list that opens."""
        place = self.page.get_by_label(label, exact=True).first
        if self.way.by_keyboard:
            self._reach(place)
            self.page.keyboard.type(option[:12])
        else:
            place.select_option(label=option)
        assert place.evaluate("node => node.selectedOptions[0].label") == option, label
        self.fields_count += 1

    def sees(self, text: str) -> None:
        """Wait until the page says something."""
        self.page.locator("main").get_by_text(text).first.wait_for()

    def text(self) -> str:
        return " ".join(self.page.locator("body").inner_text().split())

    def look(self, name: str) -> None:
        """Keep a picture of the page, which fits the screen and can be read."""
        self._pictures_count += 1
        assert self.page.evaluate(SCROLLS) <= 0, f"{self.page.url} is wider than the screen"
        assert self.page.evaluate(NAMELESS) == 0, f"{self.page.url}: a password is asked for, and not whose"
        ratio, what = self.page.evaluate(CONTRAST)
        assert ratio >= CONTRAST_MIN, f"{self.page.url}: {what}"
        picture(self.page, f"journey-{self.journey}-{self.way.name}-{self._pictures_count}-{name}")

    def log_in(self, name: str, password: str) -> None:
        self.open("/log-in")
        self.type("Name", name)
        self.type("Password", password)
        self.press("Log in")

    def _use(self, place: Locator, *, leads_on: bool = True) -> None:
        place.wait_for()
        with self.page.expect_navigation() if leads_on else nullcontext():
            if self.way.by_keyboard:
                self._reach(place)
                self.page.keyboard.press("Enter")
            else:
                place.click()
        self.clicks_count += 1

    def _reach_radio(self, box: Locator) -> None:
        """Go to the group by the tabulator, within it by arrows."""
        for _ in range(TABS_MAX):
            if box.evaluate("node => document.activeElement.name === node.name"):
                break
            self.page.keyboard.press("Tab")
        self.page.keyboard.press("Space")
        for _ in range(TABS_MAX):
            if box.is_checked():
                return
            self.page.keyboard.press("ArrowDown")

    def _reach(self, place: Locator) -> None:
        """Go there by the tabulator alone; what is reached shows that it is."""
        place.wait_for()
        for _ in range(TABS_MAX):
            if place.evaluate("node => node === document.activeElement"):
                assert place.evaluate("node => getComputedStyle(node).outlineStyle") != "none"
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{place} cannot be reached by keyboard")


@contextmanager
def walked(browser: Browser, way: Way, journey: str, url: str) -> Iterator[Person]:
    """Somebody with a browser of their own, in whose pages nothing complains; tells at the end what it took."""
    context = browser.new_context(ignore_https_errors=True, accept_downloads=True, **way.options)
    context.set_default_timeout(10_000)
    person = Person(context.new_page(), way, journey, url.rstrip("/"))
    person.page.on("console", lambda message: person.complaints.append(message.text))
    person.page.on("pageerror", lambda error: person.complaints.append(str(error)))
    begun_s = time.monotonic()
    try:
        yield person
    except BaseException:
        person.page.screenshot(path=PICTURES / f"journey-{journey}-{way.name}-failed.png", full_page=True)
        raise
    finally:
        took_s = time.monotonic() - begun_s
        context.close()
    complaints = [one for one in person.complaints if not any(known in one for known in HARMLESS)]
    assert not complaints, complaints
    told = f"{journey} ({way.name}): {person.clicks_count} clicks, {person.fields_count} fields, {took_s:.1f} s"
    PICTURES.mkdir(parents=True, exist_ok=True)
    with (PICTURES / "journeys.txt").open("a") as file:
        file.write(told + "\n")
    print(told)
