"""Logging in and out, the password that has to be changed first, and the session that ends by itself."""

import asyncio
import hashlib
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from keystead.core.permission import EVERY_ACCESS, Principal
from keystead.core.secret import Secret
from keystead.node import admin as admin_process
from keystead.node import creation, web_door
from keystead.node.folder import NodeConfig
from keystead.node.opening import open_parts
from keystead.operations.administrators import SetAdministratorPassword
from keystead.operations.audit import ShowAudit, ShowAuditState
from keystead.trust.role_tokens import new_role_secret
from tests.protocols.console.conftest import FIRST, OWN, audited, password_of, settled, visitor
from tests.support.console import Browser
from tests.support.dev_node import DevNode

IDLE_S = 15 * 60


@pytest.mark.row("KS-UI-002")
def test_the_way_in_explains_the_certificate(stranger: Browser, node: DevNode) -> None:
    page = stranger.get("/log-in")
    assert "its own certificate authority" in page.text
    assert "warns until you have told it" in page.text
    host, port = page_place(node)
    trust = ssl.create_default_context(cafile=node.ready["ca_certificate"])
    with socket.create_connection((host, port)) as raw, trust.wrap_socket(raw, server_hostname=host) as tls:
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    assert hashlib.sha256(der).hexdigest().upper() in page.text.replace(":", "")


def page_place(node: DevNode) -> tuple[str, int]:
    host, _, port = node.ready["console"]["url"].removeprefix("https://").strip("/").partition(":")
    return host, int(port)


@pytest.mark.row("KS-UI-001", "KS-ADM-005")
def test_a_first_login_leads_to_an_own_password_and_nowhere_else(admin: Browser, node: DevNode) -> None:
    form = admin.get("/administrators/do/create").form("/administrators/do/create")
    admin.send(form, name="nina", password=FIRST, access=["all"])
    browser = visitor(node)
    assert browser.log_in("nina", FIRST).url == "/password"
    for path in ("/", "/users", "/new-client", "/preferences"):
        page = browser.get(path)
        assert page.url == "/password"
        assert "/users" not in page.links
    refusals = [("", OWN, OWN), (FIRST, OWN, "another"), ("wrong-password-1", OWN, OWN), (FIRST, FIRST, FIRST)]
    for current, new, again in [*refusals, (FIRST, "password", "password")]:
        page = browser.send(browser.get("/password").form("/password"), current=current, new=new, again=again)
        assert page.status in (401, 409, 422)
        assert 'role="alert"' in page.html
        for typed in (OWN, FIRST, "wrong-password-1"):
            assert typed not in page.html
    page = browser.send(browser.get("/password").form("/password"), current=FIRST, new=OWN, again=OWN)
    assert page.url == "/first-steps?done=administrator.change_own_password"
    assert browser.get("/users").status == 200
    assert visitor(node).log_in("nina", FIRST).status == 401


def test_whoever_fails_hears_one_sentence_and_no_password_again(stranger: Browser) -> None:
    told = set()
    for name in ("nobody", "alice", "admin", "<b>eve</b>", "é" * 64):
        page = stranger.log_in(name, "Plant-this-word-77")
        assert page.status == 401
        assert not stranger.cookie
        assert "Plant-this-word-77" not in page.html
        assert "<b>eve" not in page.html
        assert dict(page.form("/log-in").values)["name"] == name
        told.add(page.html.partition('role="alert"')[2].partition("</p>")[0])
    assert len(told) == 1
    for name, password in (("", "x"), ("admin", ""), ("a" * 65, "x"), ("admin", "x" * 257)):
        assert stranger.log_in(name, password).status == 422


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_nobody_is_logged_in_from_elsewhere(stranger: Browser, node: DevNode, origin: str) -> None:
    body = f"name=admin&password={password_of(node)}".encode()
    assert stranger.request("POST", "/log-in", body, {"origin": origin}).status == 403
    assert not stranger.cookie


def test_the_cookie_is_for_this_site_alone(node: DevNode) -> None:
    body = f"name=admin&password={password_of(node)}".encode()
    page = visitor(node).request("POST", "/log-in", body)
    words = [word.strip() for word in page.headers["set-cookie"].split(";")]
    assert words[0].startswith("__Host-keystead=")
    assert set(words[1:]) == {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"}


@pytest.mark.parametrize(
    ("wanted", "led"),
    [
        ("/users?per=all", "/users?per=all"),
        ("//evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/log-in?next=/users", "/"),
        ("/users\r\nx: y", "/"),
    ],
)
def test_after_logging_in_one_is_led_on_within_this_site_only(node: DevNode, wanted: str, led: str) -> None:
    browser = visitor(node)
    form = browser.get("/log-in").form("/log-in")
    page = browser.send(form, name="admin", password=password_of(node), next=wanted)
    assert (page.status, page.url) == (200, led)


def test_a_page_that_was_asked_for_is_shown_after_logging_in(node: DevNode) -> None:
    browser = visitor(node)
    page = browser.get("/users?filter=ali&per=50")
    assert page.url == "/log-in?next=/users%3Ffilter%3Dali%26per%3D50"
    page = browser.send(page.form("/log-in"), name="admin", password=password_of(node))
    assert page.url == "/users?filter=ali&per=50"


def test_logging_out_ends_the_session(admin: Browser, node: DevNode) -> None:
    browser = settled(admin, node, "paula")
    kept = browser.cookie
    page = browser.send(browser.get("/").form("/log-out"))
    assert "You are logged out" in page.text
    assert not browser.cookie
    browser.cookie = kept
    assert browser.request("GET", "/").status == 303
    audited(admin, "administrator paula logged out")


def test_an_account_that_is_disabled_or_demoted_is_out_at_once(admin: Browser, node: DevNode) -> None:
    browser = settled(admin, node, "quentin")
    form = admin.get("/administrators/do/change?item=quentin").form("/administrators/do/change")
    admin.send(form, disabled="yes")
    assert browser.get("/").url.startswith("/log-in?ended=1")


@pytest.mark.row("KS-UI-025")
def test_a_session_ends_by_itself_and_that_is_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "safe").mkdir(mode=0o700)
    config = NodeConfig(tmp_path / "data", tmp_path / "safe" / "node.key")
    role_secrets = creation.RoleSecrets(new_role_secret(), new_role_secret(), new_role_secret())
    settings: dict[str, dict[str, Any]] = {
        "web": {"enabled": True, "address": "127.0.0.1", "port": 0},
        "health": {"port": 0},
    }
    creation.create_node(config, creation.Beginning(role_secrets, (), settings))
    monkeypatch.setattr(web_door, "SWEEP_S", 0.01)
    asyncio.run(_idle(config))


async def _idle(config: NodeConfig) -> None:
    process = admin_process.AdminProcess(open_parts(config))
    now_s = [0.0]
    port = (await process.start({}))["web"]
    assert process.web is not None
    process.web.sessions._clock, process.web.sessions._idle_s = lambda: now_s[0], lambda: IDLE_S
    local = Principal("local", "root", access=EVERY_ACCESS)
    await process.asker.run(local, SetAdministratorPassword("admin", Secret(FIRST.encode())))
    browser = Browser(f"https://localhost:{port}", None)
    page = await asyncio.to_thread(browser.log_in, "admin", FIRST)
    page = await asyncio.to_thread(browser.send, page.form("/password"), current=FIRST, new=OWN, again=OWN)
    assert f'http-equiv="refresh" content="{IDLE_S + 5}; url=/ended"' in page.html
    for _ in range(3):  # whoever does something stays
        now_s[0] += IDLE_S - 1
        assert (await asyncio.to_thread(browser.get, "/preferences")).url == "/preferences"
    assert (await asyncio.to_thread(browser.get, "/ended")).status == 200
    now_s[0] += IDLE_S + 1
    page = await asyncio.to_thread(browser.get, "/users")
    assert page.url == "/log-in?ended=1&next=/users"
    assert "Your session has ended" in page.text
    told: list[str] = []
    while not told:
        await asyncio.sleep(0.02)
        told = await _expired(process)
    assert told == ["session of administrator admin from 127.0.0.1 has expired"]
    await process.stop()


async def _expired(process: admin_process.AdminProcess) -> list[str]:
    local = Principal("local", "root", access=EVERY_ACCESS)
    await process.asker.run(local, ShowAuditState())
    page = await process.asker.run(local, ShowAudit())
    return [line["detail"] for line in page["lines"] if line["operation"] == "session.expire"]
