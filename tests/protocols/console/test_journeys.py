"""Six journeys through the console as people walk them, in a real browser.

Each is walked with a mouse on a wide light screen, and by keyboard alone, without scripts, on a dark one of 360 pixels.

Pictures and what each journey took (journeys.txt) are left in test-results/console/ for people to look at.
"""

import csv
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright

from tests.protocols.console.conftest import FIRST, OWN, password_of, settled, visitor
from tests.protocols.console.test_forms import form_at
from tests.protocols.console.test_pages import check
from tests.support.browser import PICTURES, PROGRAM
from tests.support.components import skip_or_fail
from tests.support.console import Browser, Page
from tests.support.dev_node import DevNode, keystead
from tests.support.kmip import messages
from tests.support.kmip.sessions import Client, Refused, Session
from tests.support.walking import MOUSE, WAYS, Person, Way, walked

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Chromium

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright"),
]
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


@dataclass(frozen=True)
class Place:
    """A node, and a browser for everybody who walks there."""

    node: DevNode
    chromium: "Chromium"

    def walked(self, way: Way, journey: str) -> AbstractContextManager[Person]:
        return walked(self.chromium, way, journey, str(self.node.ready["console"]["url"]))

    def session(self, files: dict[str, Path], user: str) -> Session:
        """The client to whom the files were handed."""
        files[f"{user}.key"].chmod(0o600)
        return Session(self.node.port, Client(files[f"{user}.pem"], files[f"{user}.key"], files["ca.pem"]))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if shutil.which(PROGRAM) is None:
        skip_or_fail(f"{PROGRAM}, the browser that the console is tried with")
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / "journeys.txt").unlink(missing_ok=True)
    node = DevNode(tmp_path_factory.mktemp("journeys"), web=True)
    node.start()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which(PROGRAM), args=["--no-sandbox"])
        yield Place(node, browser)
        browser.close()
    node.stop()


@pytest.fixture(scope="module")
def chief(place: Place) -> Browser:
    """The administrator of the node, in a browser without scripts, for what the journeys find prepared."""
    browser = visitor(place.node)
    browser.log_in("admin", password_of(place.node))
    return browser


@pytest.fixture(scope="module")
def people(chief: Browser, place: Place) -> dict[str, Browser]:
    """Further administrators, logged in."""
    return {name: settled(chief, place.node, name, "all") for name in ("paul", "lostlight", "lostdark")}


@pytest.fixture(scope="module")
def approvals(chief: Browser, people: dict[str, Browser]) -> dict[str, Browser]:
    """Two administrators are needed from here on."""
    page = chief.send(form_at(chief, "/settings/multiple_credentials/edit"), required="yes")
    assert page.url == "/settings/multiple_credentials?done=1", page.text
    return people


@each_way
@pytest.mark.row("KS-UI-001", "KS-ADM-005")
def test_first_login_to_first_key(place: Place, chief: Browser, way: Way, tmp_path: Path) -> None:
    name, key, user = f"olga{way.name}", f"payroll-{way.name}", f"storage-{way.name}"
    chief.send(form_at(chief, "/administrators/do/create"), name=name, password=FIRST, access=["all"])
    files = {}
    with place.walked(way, "1-first-key") as olga:
        olga.log_in(name, FIRST)
        olga.look("own-password")
        olga.type("Current password", FIRST)
        olga.type("New password", OWN)
        olga.type("New password again", OWN)
        olga.press("Set password")
        olga.sees("First steps")
        olga.look("first-steps")
        olga.click("New key")
        olga.type("Name", "2026 payroll")
        olga.type("User who will own it", user)
        olga.choose("May its clients fetch the key itself?", "yes")
        olga.press("Make the key")
        olga.sees("Look at the fields that are marked")  # and what was typed is still there
        assert olga.page.get_by_label("User who will own it").input_value() == user
        olga.look("refused")
        olga.type("Name", key)
        olga.press("Make the key")
        olga.sees("The key is made.")
        olga.look("made")
        olga.click("How to back up")
        olga.sees("lost with this node")
        olga.look("back-up")
        olga.page.go_back()
        olga.click(f"Certificate for {user}")
        olga.look("client")
        olga.press("Issue certificate")
        olga.sees("shown once")
        olga.look("files")
        assert key in olga.text()
        for file in (f"{user}.key", f"{user}.pem", "ca.pem"):
            files[file] = tmp_path / file
            olga.download(f"Download {file}", files[file])
        olga.click("Done")
    with place.session(files, user) as session:
        (found,) = session.identifiers(messages.locate(messages.name_attribute(key)))
        assert len(session.key(found)) == 32


@each_way
@pytest.mark.row("KS-UI-001", "KS-UI-024")
def test_a_new_clients_certificate(place: Place, way: Way, tmp_path: Path) -> None:
    user = f"array-{way.name}"
    files = {}
    with place.walked(way, "2-new-client") as admin:
        admin.log_in("admin", password_of(place.node))
        admin.click("Security", within="header")
        admin.click("Users", within="main")
        admin.click("New client's certificate")
        admin.type("User", "1 bad name")
        admin.type("Days until it ends", "30")
        admin.press("Issue certificate")
        admin.sees("Look at the fields that are marked")
        assert admin.page.get_by_label("Days until it ends").input_value() == "30"
        admin.type("User", user)
        admin.unfold("The client has a request of its own")
        admin.look("form")
        admin.press("Issue certificate")
        admin.sees("The user was made, and the certificate is issued.")
        admin.look("files")
        for file in (f"{user}.key", f"{user}.pem", "ca.pem"):
            files[file] = tmp_path / file
            admin.download(f"Download {file}", files[file])
        admin.unfold("admin")
        admin.press("Log out")
        admin.sees("You are logged out")
        with pytest.raises(PlaywrightError, match="CACHE_MISS"):  # the page with the key was not kept
            admin.page.go_back()
    with place.session(files, user) as session:
        session.ask(messages.locate())


@each_way
@pytest.mark.row("KS-KEY-021", "KS-KEY-022")
def test_a_group_is_given_a_right(place: Place, chief: Browser, way: Way) -> None:
    group = f"readers-{way.name}"
    policy = f"thousand-an-hour-{way.name}"
    chief.send(form_at(chief, "/users/do/set-groups?item=bob"), groups=[group])
    chief.send(form_at(chief, "/policies/do/create"), name=policy, operations_per_hour="1000")
    with place.node.session("alice") as alice, place.node.session("bob") as bob:
        key = alice.identifier(messages.create(f"shared-{way.name}"))
        alice.ask(messages.activate(key))
        with pytest.raises(Refused):
            bob.ask(messages.encrypt_cbc(key, bytes(16)))
        with place.walked(way, "3-group-right") as admin:
            admin.log_in("admin", password_of(place.node))
            admin.open(f"/keys/show/{key}")
            admin.click("Who may use it")
            admin.look("nobody-else")
            admin.type("Give a group a right", group)
            admin.press("Go on")
            admin.choose("Encrypt", policy)
            admin.choose("Decrypt", "Always")
            admin.look("rights")
            admin.press("Save")
            admin.sees("It counts for 1 user")
            admin.look("saved")
            for _ in range(2):
                bob.ask(messages.encrypt_cbc(key, bytes(16)))
            admin.click(f"Change what {group} may do")
            assert admin.page.get_by_label("Encrypt", exact=True).input_value() == f"policy:{policy}"
            for right in ("Encrypt", "Decrypt", "See that it is there"):
                admin.choose(right, "Never")
            admin.press("Save")
            admin.sees("may do nothing with this key any more")
        with pytest.raises(Refused):
            bob.ask(messages.encrypt_cbc(key, bytes(16)))


@each_way
def test_who_used_a_key_last_week(place: Place, chief: Browser, way: Way, tmp_path: Path) -> None:
    name = f"ledger-{way.name}"
    with place.node.session("alice") as alice, place.node.session("bob") as bob:
        key = alice.identifier(messages.create(name))
        alice.ask(messages.activate(key))
        for _ in range(3):
            alice.ask(messages.encrypt_cbc(key, bytes(16)))
        chief.send(form_at(chief, f"/keys/do/give?item={key}"), rights=["encrypt"], user="bob")
        bob.ask(messages.encrypt_cbc(key, bytes(16)))
        with pytest.raises(Refused):
            alice.ask(messages.destroy(key))  # it is active
        with place.walked(way, "5-who-used-it") as admin:
            admin.log_in("admin", password_of(place.node))
            admin.open(f"/keys/show/{key}")
            admin.click("Who used it")
            admin.sees("2 users made")
            assert "1 of them failed" in admin.text()  # looking at the key's page was no failure of anybody's
            admin.look("who")
            assert {"alice", "bob", "Encrypt"} <= set(admin.text().split())
            admin.download("Export as CSV", tmp_path / "uses.csv")
            admin.click("alice", within="main")
            admin.sees("1 user made")
            admin.look("alice")
            admin.page.go_back()
            admin.click("Device", within="header")
            admin.click("Use of keys", within="main")
            admin.look("search")
            admin.type("Key, name or id", key)
            admin.type("Operation", "Encrypt")
            admin.choose("In the last", "1 day")
            admin.press("Show")
            admin.sees("2 users made 4 requests")
            admin.look("found")
    rows = list(csv.reader((tmp_path / "uses.csv").read_text().splitlines()))
    assert {row[3] for row in rows[1:]} == {"alice", "bob"}
    assert sum(row[4] == "Encrypt" for row in rows) == 4


@each_way
@pytest.mark.row("KS-UI-024")
def test_a_key_is_destroyed_with_a_second_persons_approval(
    place: Place, chief: Browser, approvals: dict[str, Browser], way: Way
) -> None:
    with place.node.session("alice") as alice:
        key = alice.identifier(messages.create(f"old-tapes-{way.name}"))
        assert alice.key(key)
        with place.walked(way, "4-erase-first") as admin, place.walked(way, "4-erase-second") as paul:
            admin.log_in("admin", password_of(place.node))
            admin.open(f"/keys/show/{key}")
            admin.click("Erase")
            admin.look("erase")
            admin.type("Confirm", key)
            admin.press("Erase")
            admin.sees("Nothing has been done yet.")
            admin.look("waits")
            assert "paul" in admin.text()
            assert not admin.page.get_by_role("button", name="Approve").count()
            check_that_nobody_approves_alone(chief, admin.page.url.rpartition("/")[2].partition("?")[0])
            paul.log_in("paul", OWN)
            paul.look("home-with-badge")
            paul.click("Approvals", within="header")
            paul.look("inbox")
            paul.click("Look at")
            paul.sees("asks you to stand behind this")
            paul.look("safe-view")
            shown = [one.page.locator(".hash").inner_text() for one in (admin, paul)]
            assert shown[0] == shown[1]
            assert f"old-tapes-{way.name}" in paul.text()
            assert alice.key(key)
            paul.press("Approve")
            paul.sees("It is done.")
            paul.look("approved")
            with pytest.raises(Refused):
                alice.key(key)
            admin.click("Look again")
            admin.sees("It is done.")
            admin.look("done")
            admin.click("Approvals", within="header")
            admin.look("decided")


def check_that_nobody_approves_alone(chief: Browser, request: str) -> None:
    """The form that no page offers is refused as well."""
    page = chief.get(f"/approvals/show/{request}")
    digest = page.html.partition('class="print hash"')[2].partition("<code>")[2].partition("</code>")[0]
    token = dict(page.form("/approvals/do/withdraw").values)["form-token"]
    values = [("form-token", token), ("item", request), ("hash", digest.replace(" ", ""))]
    refused = chief.post("/approvals/do/approve", values)
    assert refused.status == 403
    assert "Nobody approves their own request." in refused.text


@pytest.mark.row("KS-MC-008")
def test_whoever_stands_beside_approves_at_once(chief: Browser, approvals: dict[str, Browser]) -> None:
    def sent(path: str, approver: str, password: str, **typed: str) -> Page:
        values = [one for one in form_at(chief, path).filled(**typed) if not one[0].startswith("approver-")]
        return chief.post(path, [*values, ("approver-name", approver), ("approver-password", password)])

    for approver, password, status in (("paul", "Plant-this-word-77", 401), ("paul", "", 409), ("admin", OWN, 401)):
        page = sent("/users/do/create", approver, password, name="adam")
        assert page.status == status, page.text
        check(page)
        assert "Plant-this-word-77" not in page.html
        assert chief.get("/users/show/adam").status == 404
    assert "adam" not in chief.get("/approvals").text
    assert sent("/users/do/create", "paul", OWN, name="adam").url.startswith("/users/show/adam?done=")
    made = sent("/new-key", "paul", OWN, name="beside", owner="brought-along")
    assert made.url.startswith("/new-key/made?"), made.text
    assert approvals["paul"].get("/users/show/brought-along").status == 200


@each_way
def test_an_administrator_is_lost(place: Place, approvals: dict[str, Browser], way: Way) -> None:
    name = f"lost{way.name}"
    lost = approvals[name]
    lost.send(form_at(lost, "/api-tokens/do/create"), label="nightly job", scopes=["users_groups"])
    waits = lost.send(form_at(lost, "/users/do/create"), name=f"eve-{way.name}")
    assert waits.url.startswith("/approvals/show/")
    stays = way is MOUSE
    with place.walked(way, "6-lost-first") as admin, place.walked(way, "6-lost-second") as paul:
        admin.log_in("admin", password_of(place.node))
        admin.click("Device", within="header")
        admin.click("Administrators", within="main")
        admin.click("Lost password, or gone")
        admin.look("who")
        admin.click(name, within="main")
        admin.look("what-there-is")
        assert "nightly job" in admin.text()
        assert f"eve-{way.name}" in admin.text()
        if stays:
            admin.tick("The password is lost")
        else:
            admin.tick(f"{name} has left for good")
            admin.type("To delete: the name once more", name)
        admin.tick("Refuse the 1 waiting request")
        admin.press("Do it")
        admin.sees("waits until somebody else has approved it")
        admin.look("what-was-done")
        secret = admin.page.locator(".secret").inner_text() if stays else ""
        assert lost.get(waits.url).text.count("refused") >= 1  # the account is as it was
        assert "nightly job" not in lost.get("/api-tokens").text
        paul.log_in("paul", OWN)
        paul.click("Approvals", within="header")
        paul.click("Look at")
        paul.look("safe-view")
        assert not secret or secret not in paul.text()
        paul.press("Approve")
        paul.sees("It is done.")
    assert lost.get("/").url.startswith("/log-in")  # the session has ended
    assert visitor(place.node).log_in(name, OWN).status == 401
    if stays:
        with place.walked(way, "6-lost-back") as back:
            back.log_in(name, secret)
            back.sees("Choose another one")
            back.type("Current password", secret)
            back.type("New password", "harbour-violet-94")
            back.type("New password again", "harbour-violet-94")
            back.press("Set password")
            back.sees("First steps")


def test_the_audit_log_of_all_this_verifies(place: Place, tmp_path: Path) -> None:
    export = [*keystead(), "audit", "export", "--data", str(place.node.data), "--out", str(tmp_path / "audit")]
    done = subprocess.run(export, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    verify = [*keystead(), "audit", "verify", str(tmp_path / "audit")]
    done = subprocess.run(verify, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
