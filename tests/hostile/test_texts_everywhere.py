"""Whatever a client calls its key, it comes through every door as it was, does no harm there, and goes away again."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncssh
import pytest

from keystead.protocols.cli.text import printable
from keystead.protocols.console.values import visible
from tests.node.production import keystead
from tests.support.console import Browser
from tests.support.dev_node import DevNode
from tests.support.hostile_texts import HARMLESS, TEXTS
from tests.support.kmip import messages
from tests.support.kmip.sessions import Refused, Session
from tests.support.rest.client import Rest
from tests.support.rest.client import administrator as over_rest
from tests.support.xml.client import Client, logged_in

UNIQUE_IDENTIFIER = 0x420094
CONTROLS = {*map(chr, range(32)), "\x7f", *map(chr, range(0x80, 0xA0)), "\u202e", "\u2066", "\u200b", "\ufeff"} - {"\n"}


@dataclass
class Doors:
    """One node, and everybody who looks at it."""

    node: DevNode
    rest: Rest
    console: Browser
    alice: Session
    loop: asyncio.AbstractEventLoop
    ssh: asyncssh.SSHClientConnection

    def typed(self, *words: str) -> str:
        """What a command prints."""
        said = self.loop.run_until_complete(self.ssh.run(" ".join(words), timeout=20))
        return str(said.stdout) + str(said.stderr)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    node = DevNode(tmp_path_factory.mktemp("texts"), web=True, ssh=True)
    node.start()
    password = Path(node.ready["administrator"]["password_file"]).read_text()
    console = Browser(node.ready["console"]["url"], Path(node.ready["ca_certificate"]))
    assert console.log_in("admin", password).status == 200
    loop = asyncio.new_event_loop()
    at = (node.ready["ssh"]["host"], node.ready["ssh"]["port"])
    ssh = loop.run_until_complete(asyncssh.connect(*at, username="admin", password=password, known_hosts=None))
    with node.session("alice") as alice:
        yield Doors(node, over_rest(node), console, alice, loop, ssh)
    ssh.close()
    loop.run_until_complete(ssh.wait_closed())
    loop.close()
    node.stop()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_name_goes_through_every_door(doors: Doors, text: str) -> None:
    """Attack classes 15, 37 and 38: by KMIP, REST, SSH, the pages and XML, and back to nothing."""
    alice = doors.alice
    key = alice.identifier(messages.create(text, messages.custom_attribute("x-Note", text)))
    assert [key] == located(alice, text), "found by its very name, and no other is"

    told = doors.rest.told("GET", f"/keys/{key}")
    handle = told["key"]["name"]
    assert text in (handle, *told["key"]["names"])
    assert [one["value"] for one in told["attributes"] if one["name"] == "x-Note"] == [text]
    described = doors.rest.ask("PATCH", f"/keys/{key}", {"description": text})
    if described.status == 200:
        assert text in {one["value"] for one in described.body["attributes"] if one["name"] == "Description"}
    else:
        assert described.status in (409, 422)

    shown = doors.typed("show", "key", key)
    assert printable(text) in shown
    assert not CONTROLS & {*shown}

    page = doors.console.get(f"/keys/show/{key}")
    assert (page.status, page.faults) == (200, [])
    assert visible(text) in page.html
    assert not CONTROLS & {*page.html}

    with logged_in(doors.node, "alice") as client:
        assert client.ask("KeyInfo", KeyName=handle).ok
        assert handle in client.ask("KeyNames").all("KeyName")

    doors.rest.told("DELETE", f"/keys/{key}?confirm={quote(handle)}")
    assert located(alice, text) == []
    with pytest.raises(Refused):
        alice.key(key)


def located(alice: Session, text: str) -> list[str]:
    found = alice.ask(messages.locate(messages.name_attribute(text)))
    return [str(one.value) for one in found.find(UNIQUE_IDENTIFIER)]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_in_an_address_leads_nowhere_else(doors: Doors, text: str) -> None:
    """Attack class 16: judged as it will be used, once decoded, whether it is sent once or twice encoded."""
    for word in (quote(text, safe=""), quote(quote(text, safe=""), safe="")):
        for path in ("/users/", "/keys/", "/groups/", "/administrators/", "/certificates/"):
            assert doors.rest.ask("GET", path + word).status in (404, 422), path
            assert doors.rest.as_token("").ask("GET", path + word).status == 401, path
            assert doors.console.get(f"{path.rstrip('/')}/show/{word}").status in (404, 409), path
    stranger = Browser(doors.console.url, Path(doors.node.ready["ca_certificate"]))
    for path in (f"/{quote(text, safe='')}", f"/static/{quote(text, safe='')}", f"/static/../{quote(text, safe='')}"):
        page = stranger.request("GET", path)
        assert page.status in (303, 404), path
        assert (page.status != 303) or page.location.startswith("/log-in"), path


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_is_no_other_users_name(doors: Doors, text: str) -> None:
    """Attack classes 8, 12 and 15: look-alikes, wide letters and wildcards name nobody, at any door."""
    for path, body in (("/users", {"name": text}), ("/groups", {"name": text})):
        assert doors.rest.ask("POST", path, body).status == 422
    assert doors.rest.ask("POST", "/keys", {"owner": text}).status == 422
    assert doors.rest.ask("POST", "/session", {"username": text, "password": "wrong-guess-1"}).status in (401, 422)
    with contextlib.closing(logged_in(doors.node, "alice")) as client:
        assert not other_key(client, text)
    said = doors.typed("show", "user", _quoted(text))
    assert "error: " in said or "usage" in said
    assert not CONTROLS & {*said}


def other_key(client: Client, text: str) -> bool:
    """Whether a text names a key over XML; what XML cannot hold ends the connection."""
    with contextlib.suppress(AssertionError):
        return client.ask("KeyInfo", KeyName=text).ok
    return False


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ").replace("\x00", "") + '"'


@pytest.mark.slow
def test_the_audit_log_keeps_texts_as_they_are_and_harmless(doors: Doors, tmp_path: Path) -> None:
    """Attack class 29: nothing forges a line or moves a terminal; the export is sound."""
    made = {"name": "audited", "password": "Violet-Kettle-93-Harbour"}
    doors.rest.told("POST", "/administrators", made)
    for text in TEXTS.values():
        changed = doors.rest.ask("PATCH", "/administrators/audited", {"full_name": text, "description": text})
        if changed.status == 200:
            assert doors.rest.told("GET", "/administrators/audited")["full_name"] == text
        doors.rest.ask("POST", "/certificate-revocations", {"serial": "00", "reason": text})
        doors.typed("config", "group", "create", _quoted(text))
    for text in (TEXTS["line ends"], TEXTS["escape sequence"], TEXTS["direction"]):
        doors.rest.ask("POST", "/session", {"username": text[:64], "password": "wrong-guess-1"})
    doors.rest.told("POST", "/groups", {"name": HARMLESS})
    while HARMLESS not in json.dumps(doors.rest.told("GET", "/audit/entries?limit=5")):
        time.sleep(0.05)
    entries = doors.rest.told("GET", "/audit/entries?limit=250")["lines"]
    assert not CONTROLS & {*"".join(one["detail"] + one["target"] + one["name"] for one in entries)}
    assert not CONTROLS & {*doors.typed("show", "audit", "--limit", "100")}
    assert not CONTROLS & {*doors.console.get("/audit").html}
    out = tmp_path / "export"
    done = keystead("audit", "export", "--out", out, "--data", doors.node.data)
    assert done.returncode == 0, done.stderr
    verified = keystead("audit", "verify", out)
    assert verified.returncode == 0, verified.stderr
    listed = keystead("audit", "show", "--last", "300", "--data", doors.node.data).stdout
    assert not CONTROLS & {*listed}
