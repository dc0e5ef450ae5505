"""What our own script adds in a real browser; everything else is tried without it."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import PROGRAM, open_browser
from tests.support.components import skip_or_fail
from tests.support.console import COOKIE, Browser
from tests.support.dev_node import DevNode

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright")]


@pytest.fixture
def page(node: DevNode, admin: Browser) -> "Iterator[Page]":
    """A page of somebody who has logged in; what the browser complains of fails the test."""
    if shutil.which(PROGRAM) is None:
        skip_or_fail(f"{PROGRAM}, the browser that the console is tried with")
    url = node.ready["console"]["url"]
    with open_browser(base_url=url) as context:
        context.add_cookies([{"name": COOKIE, "value": admin.cookie, "url": url, "secure": True}])
        opened = context.new_page()
        complaints: list[str] = []
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        yield opened
        assert not [one for one in complaints if "status of 422" not in one], complaints


def ticked(page: "Page") -> list[str]:
    boxes = page.locator('input[name="access"]:checked').all()
    return [str(box.get_attribute("value")) for box in boxes]


@pytest.mark.row("KS-ADM-007", "KS-ADM-009")
def test_choices_are_ticked_at_once(page: "Page") -> None:
    page.goto("/administrators/do/create")
    count = page.locator('input[name="access"]').count()
    page.fill("#in-password", "kept as typed")
    page.get_by_role("button", name="Select all").click()
    assert len(ticked(page)) == count
    page.get_by_role("button", name="Select none").click()
    assert not ticked(page)
    page.get_by_label("high access", exact=True).check()
    assert len(ticked(page)) == count
    page.get_by_label("snmp", exact=True).uncheck()
    assert len(ticked(page)) == count - 1
    assert page.locator('input[name="led"]').input_value() == "1"  # so that saving does not tick it again
    assert page.input_value("#in-password") == "kept as typed"


def test_all_of_a_page_are_chosen_with_one_box(page: "Page") -> None:
    page.goto("/users")
    page.get_by_label("Choose all on this page").check()
    assert page.locator("td.choose input:checked").count() == page.locator("td.choose input").count() > 0


def test_what_is_wrong_has_the_focus(page: "Page") -> None:
    page.goto("/users/do/create")
    page.fill("#in-name", "1 wrong")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").first.wait_for()
    assert page.evaluate("document.activeElement.id") == "in-name"


def test_a_changed_form_is_not_left_by_mistake_and_sent_without_asking(page: "Page") -> None:
    asked: list[str] = []

    def accept(dialog: "Dialog") -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    page.goto("/administrators/do/change?item=admin")
    page.get_by_role("link", name="Cancel").click()
    assert not asked  # nothing was typed
    page.goto("/administrators/do/change?item=admin")
    page.locator("#in-description").press_sequentially("hm")
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/administrators/show/admin")
    assert asked == ["beforeunload"]
    page.goto("/preferences")
    page.get_by_role("checkbox").click()
    page.get_by_role("checkbox").click()
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/preferences?done=*")
    assert asked == ["beforeunload"]
