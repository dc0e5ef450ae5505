"""docs/console.md as it stands: its commands open the console of a production node, at the port that it says."""

from pathlib import Path

import pytest

from keystead.settings.web import Web
from tests.node import production
from tests.node.production import keystead
from tests.node.test_users_page import commands_of
from tests.support.console import Browser

FIRST, OWN = "telescope-dragon-7", "lantern-orbit-31"


@pytest.mark.row("KS-UI-001")
def test_the_commands_of_the_page_open_the_console(tmp_path: Path) -> None:
    assert (Web().enabled, Web().address, Web().port) == (False, "0.0.0.0", 9443)
    data = production.make(tmp_path)
    opening, first_password = (
        command.replace("/srv/keystead/data", str(data)).split()[1:] for command in commands_of("console.md")
    )
    for setting in ("web.port=0", "web.address=127.0.0.1"):
        assert keystead("settings", "set", setting, "--data", data).returncode == 0
    with production.serving(data) as ports:
        assert "web" not in ports
    done = keystead(*opening)
    assert done.returncode == 0, done.stderr
    with production.serving(data) as ports:
        done = keystead(*first_password, "--stdin", stdin=f"{FIRST}\n")
        assert done.returncode == 0, done.stderr
        browser = Browser(f"https://127.0.0.1:{ports['web']}/", None)
        page = browser.log_in("admin", FIRST)
        assert page.url == "/password"
        page = browser.send(page.form("/password"), current=FIRST, new=OWN, again=OWN)
        assert page.url.startswith("/first-steps")
        assert "The security module is locked" in browser.get("/").text
        page = browser.send(browser.get("/new-client").form("/new-client"), user="early")
        assert page.status == 409
        assert "The user early was made and stays." in page.text
