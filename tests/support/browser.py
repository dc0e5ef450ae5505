"""The distribution's browser, driven by playwright; nothing is ever downloaded for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

PROGRAM = "chromium"
WIDE, NARROW = (1280, 900), (360, 740)
PICTURES = Path(__file__).resolve().parents[2] / "test-results" / "console"


@contextmanager
def open_browser(**options: Any) -> Iterator[BrowserContext]:
    """A browser that takes any certificate (trust is another test's matter); whatever a page complains of is kept."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which(PROGRAM), args=["--no-sandbox"])
        context = browser.new_context(ignore_https_errors=True, **options)
        yield context
        context.close()
        browser.close()


def picture(page: Page, name: str) -> None:
    """Keep a screenshot of the whole page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
