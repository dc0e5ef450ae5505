"""One node for all tests of the console, an administrator who may do everything, and one who may only look."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import keystead.operations.all  # noqa: F401  # what pages are drawn of
from tests.support.console import Browser
from tests.support.dev_node import DevNode

FIRST, OWN = "telescope-dragon-7", "lantern-orbit-31"
Visitor = Callable[[], Browser]


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    made = DevNode(tmp_path_factory.mktemp("console"), web=True)
    made.start()
    yield made
    made.stop()


def visitor(node: DevNode) -> Browser:
    """Somebody who has not logged in."""
    return Browser(node.ready["console"]["url"], Path(node.ready["ca_certificate"]))


def password_of(node: DevNode) -> str:
    return Path(node.ready["administrator"]["password_file"]).read_text()


@pytest.fixture
def stranger(node: DevNode) -> Browser:
    return visitor(node)


@pytest.fixture(scope="session")
def admin(node: DevNode) -> Browser:
    browser = visitor(node)
    assert browser.log_in("admin", password_of(node)).url == "/"
    return browser


def settled(admin: Browser, node: DevNode, name: str, *access: str) -> Browser:
    """A new administrator who has set a password of their own."""
    form = admin.get("/administrators/do/create").form("/administrators/do/create")
    made = admin.send(form, name=name, password=FIRST, access=["admin_web", *access])
    assert made.url == f"/administrators/show/{name}?done=administrator.create", made.text
    browser = visitor(node)
    page = browser.log_in(name, FIRST)
    assert page.url == "/password"
    page = browser.send(page.form("/password"), current=FIRST, new=OWN, again=OWN)
    assert page.url == "/first-steps?done=administrator.change_own_password", page.text
    return browser


def audited(browser: Browser, words: str) -> None:
    """Wait until the audit log shows this: entries reach the tree a moment after they are durable."""
    while words not in browser.get("/audit").text:
        time.sleep(0.05)


@pytest.fixture(scope="session")
def watcher(admin: Browser, node: DevNode) -> Browser:
    """May look at lists, and nothing else."""
    return settled(admin, node, "watcher")
