"""Keys of tokens on drives, through a node's doors: commands, REST and console, with refusals and the audit log."""

import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keystead.core.errors import Invalid
from tests.hostile.doors import at_door
from tests.node.production import keystead
from tests.node.test_people import ran
from tests.support.console import Browser
from tests.support.dev_node import DevNode
from tests.support.drives import (
    OFFICER_PIN,
    USER_PIN,
    Kinds,
    fill,
    has_windows,
    inventory,
    make_token,
    pictures,
    wipe_token,
)
from tests.support.rest.client import administrator
from tests.support.tokens import softhsm_folder, softhsm_library

STEPS = (
    *("request received", "address checked", "details verified", "metadata fetched"),
    *("keys backed up", "collected", "drives verified", "written"),
)
RESTORE_STEPS = ("request received", "address checked", "drives fetched", "set verified and decrypted")
FIRST, LATER = "Violet-Kettle-93-Harbour", "Copper-Lantern-58-Meadow"
NAMES = ("d1", "d2", "d3")
PAGE = Path(__file__).parents[2] / "docs" / "drives.md"
ENDS_S_MAX = 60
PINS = {"officer_pins": OFFICER_PIN, "user_pins": USER_PIN}


@dataclass
class House:
    """A node, the folder below which drives are mounted, and what the token `payroll` holds."""

    node: DevNode
    media: Path
    library: str
    secrets: list[bytes]
    answers: Path

    def run(self, *words: str) -> Any:
        return keystead(*words, "--data", str(self.node.data))

    def backup(self, *more: str) -> Any:
        drives = [word for name in NAMES for word in ("--drive", name)]
        common = ["--officer", "sandro", "--answers", str(self.answers)]
        return self.run("hsm-backup", "--partition", "payroll", *drives, *common, *more)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    yield from _house(tmp_path, monkeypatch)


def _house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *settings: str) -> Iterator[House]:
    library = softhsm_library()
    monkeypatch.setenv("SOFTHSM2_CONF", str(softhsm_folder(tmp_path)))
    for label in ("payroll", "spare"):
        make_token(label)
    media = tmp_path / "media"
    for name in (*NAMES, "empty"):
        (media / name).mkdir(parents=True)
    answers = tmp_path / "answers"
    answers.write_text(f"officer = {OFFICER_PIN}\nuser payroll = {USER_PIN}\nuser spare = {USER_PIN}\n")
    answers.chmod(0o600)
    places = (f"key_backups.library={library}", f"key_backups.folder={media}")
    (tmp_path / "node").mkdir()
    node = DevNode(tmp_path / "node", settings=(*places, *settings), web=True)
    secrets = fill(library, "payroll", Kinds())
    node.start()
    try:
        yield House(node, media, library, secrets, answers)
    finally:
        node.stop()


def registered(house: House) -> None:
    for name in NAMES:
        assert "is registered as" in ran(house.node, "drives", "register", name, f"drive {name}")


def ended(admin: Any) -> dict[str, Any]:
    """Look until the job is over, as a page or a script does."""
    deadline = time.monotonic() + ENDS_S_MAX
    while (shown := admin.told("GET", "/key-backup"))["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return dict(shown)


def audited(house: House, words: str) -> list[str]:
    """Wait until the audit log, which takes entries over a moment later, tells this; returns its entries."""
    admin = administrator(house.node)
    deadline = time.monotonic() + ENDS_S_MAX
    while True:
        lines = [json.dumps(line) for line in admin.told("GET", "/audit/entries")["lines"]]
        if any(re.search(words, line) for line in lines):
            return lines
        assert time.monotonic() < deadline, lines
        time.sleep(0.1)


@pytest.mark.row("CB-017", "CB-022", "CB-013")
def test_keys_go_to_drives_and_come_back_by_commands(house: House) -> None:
    before = inventory(house.library, "payroll")
    registered(house)
    done = house.backup()
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^\[\d\] (.*)$", done.stdout, re.MULTILINE) == list(STEPS)
    assert "NOT saved: " in done.stdout
    assert "drive d1, drive d2, drive d3" in done.stdout
    listed = ran(house.node, "drives", "list")
    (set_id,) = set(re.findall(r"set ([0-9a-f]{32})", listed))
    for name in NAMES:
        assert set_id in ran(house.node, "drives", "challenge", name)
    wipe_token("payroll")
    for name in NAMES[:2]:
        shutil.rmtree(house.media / name / "keystead-sets")
    words = ["--partition", "payroll", "--partition", "payroll=spare"]
    twice = house.run("hsm-restore", *words, "--drive", "d3", "--officer", "sandro", "--answers", str(house.answers))
    assert twice.returncode != 0
    assert "each partition once" in twice.stderr
    drives = [word for name in NAMES for word in ("--drive", name)]
    common = ["--officer", "sandro", "--answers", str(house.answers)]
    back = house.run("hsm-restore", "--partition", "payroll", *drives, *common)
    assert back.returncode == 0, back.stderr
    assert set(RESTORE_STEPS) <= set(re.findall(r"^\[\d\] (.*)$", back.stdout, re.MULTILINE))
    assert f"set {set_id} on drive d3" in back.stdout
    after = inventory(house.library, "payroll")
    assert after
    assert set(after) < set(before)
    for kind, drive in (("backup", "drive d1, drive d2, drive d3"), ("restore", "drive d3")):
        audited(house, f"{kind} of payroll by .* with security officer sandro, drives {drive}: done")
    everything = pictures([house.media, house.node.folder])
    assert not any(
        has_windows(everything, secret) for secret in [*house.secrets, OFFICER_PIN.encode(), USER_PIN.encode()]
    )


def test_every_command_of_the_page_works(house: House) -> None:
    """As docs/drives.md has them, but for the places of the library and the drives, and PINs that nobody types."""
    blocks = re.findall(r"```\n(keystead .*?)\n```", PAGE.read_text(), re.DOTALL)
    settings, commands = ([shlex.split(line)[1:-2] for line in block.splitlines()] for block in blocks)
    assert [words[0] for words in commands] == ["drives"] * 3 + ["hsm-backup"] + ["drives"] * 2 + ["hsm-restore"]
    house.node.stop()
    placed = {"/usr/lib/softhsm/libsofthsm2.so": house.library, "/media/keystead": str(house.media)}
    for words in settings:
        name, _, value = words[-1].partition("=")
        set_so = house.run(*words[:-1], f"{name}={placed.get(value, value)}")
        assert set_so.returncode == 0, set_so.stderr
    house.node.start()
    for words in commands:
        done = house.run(*words, *(["--answers", str(house.answers)] if words[0].startswith("hsm-") else []))
        assert done.returncode == 0, (words, done.stderr)
    assert inventory(house.library, "spare")


@pytest.mark.row("CB-004", "CB-018")
def test_the_login_alone_starts_nothing(house: House) -> None:
    admin = administrator(house.node)
    registered(house)
    wanted = {"partitions": ["payroll"], "drives": list(NAMES), "officer": "sandro", **PINS}
    asked = [
        ({key: value for key, value in wanted.items() if key != "officer"}, 422),
        ({key: value for key, value in wanted.items() if key != "officer_pins"}, 422),
        ({**wanted, "officer": "admin"}, 403),
        ({**wanted, "user_pins": f"{USER_PIN}\n{USER_PIN}"}, 409),
    ]
    for body, status in asked:
        reply = admin.ask("POST", "/key-backup", body)
        assert reply.status == status, (body.keys(), reply.body)
        assert OFFICER_PIN not in json.dumps(reply.body)
    assert admin.told("GET", "/key-backup")["kind"] == ""
    admin.told("POST", "/key-backup", {**wanted, "officer_pins": "wrong-pin-of-nobody"})
    shown = ended(admin)
    assert (shown["state"], shown["officer"]) == ("failed", "sandro")
    assert "PIN" in shown["message"]
    admin.told("POST", "/key-backup", {**wanted, "drives": ["d1", "d1", "d1"]})
    assert (failed := ended(admin))["state"] == "failed", failed
    assert "named twice" in failed["message"]
    with pytest.raises(Invalid, match="give one PIN"):
        at_door(house.node, "key_backup.start", **{**wanted, "officer_pins": b"\xff\xfe", "user_pins": b"1234"})
    assert not any((house.media / name / "keystead-sets").exists() for name in NAMES)
    audited(house, "backup of payroll by admin with security officer sandro, drives d1, d2, d3: FAILED")


@pytest.mark.row("CB-001", "CB-002")
def test_the_console_has_backup_and_restore_as_modules_of_their_own(house: House) -> None:
    url, authority = house.node.ready["rest"]["url"], Path(house.node.ready["ca_certificate"])
    browser = Browser(url.removesuffix("/v1"), authority)
    browser.log_in("admin", Path(house.node.ready["administrator"]["password_file"]).read_text().strip())
    first = browser.get("/device")
    assert {"/key-backup", "/key-restore"} <= set(first.links)
    registered(house)
    form = browser.get("/key-backup/do/start").form("/key-backup/do/start")
    begun = browser.send(
        form,
        partitions="payroll",
        drives=list(NAMES),
        officer="sandro",
        officer_pins=OFFICER_PIN,
        user_pins=USER_PIN,
    )
    assert begun.status == 200, begun.text[-1500:]
    assert ended(administrator(house.node))["state"] == "done"
    shown = browser.get("/key-backup")
    assert all(step in shown.text for step in STEPS)
    assert "NOT saved" in shown.text
    assert browser.get("/key-restore/do/start").form("/key-restore/do/start").names >= {"targets", "officer_pins"}


def test_a_restore_over_rest_goes_to_another_token(house: House) -> None:
    admin = administrator(house.node)
    for name in NAMES:
        drive = admin.told("POST", "/drives", {"place": name, "name": f"drive {name}"})
        assert "nothing is mounted" in drive["caution"]  # a folder of the test's
        assert admin.told("POST", "/drives/challenge", {"place": name})["id"] == drive["id"]
    assert [drive["name"] for drive in admin.told("GET", "/drives")["items"]] == [f"drive {name}" for name in NAMES]
    assert admin.told("GET", "/key-backup")["due"] == ["the keys were never backed up"]
    wanted = {"drives": list(NAMES), "officer": "sandro", **PINS}
    begun = admin.told("POST", "/key-backup", {"partitions": ["payroll"], **wanted})
    assert [begun[word] for word in ("state", "user", "partitions")] == ["running", "admin", ["payroll"]]
    assert ended(admin)["state"] == "done"
    admin.told("POST", "/key-restore", {"targets": ["payroll=spare"], **wanted})
    shown = ended(admin)
    assert (shown["kind"], shown["state"], shown["due"]) == ("restore", "done", [])
    assert inventory(house.library, "spare")
    house.node.stop()
    house.node.start()
    later = administrator(house.node).told("GET", "/key-backup")
    assert (later["kind"], later["state"], later["user"]) == ("restore", "done", "admin")


def test_a_new_node_of_the_same_module_reads_sets_of_an_origin_it_was_told_to_trust(house: House) -> None:
    registered(house)
    assert house.backup().returncode == 0
    public = house.node.folder / "origin"
    assert re.search("[0-9a-f]{64}", ran(house.node, "drives", "origin", "--out", str(public)))
    house.node.stop()
    kept = house.node.data / "key-backups"
    shutil.rmtree(kept)
    house.node.start()
    common = ["--officer", "sandro", "--answers", str(house.answers)]
    words = ["--partition", "payroll=spare", "--drive", "d2", *common]
    stranger = house.run("hsm-restore", *words)
    assert stranger.returncode == 1
    assert "restore failed" in stranger.stdout
    (kept / "origins").mkdir()
    (kept / "origins" / "notes.txt").write_text("no key")
    confused = house.run("hsm-restore", *words)
    assert confused.returncode == 1
    assert "notes.txt is no public key" in confused.stdout
    assert "\nset " not in confused.stdout
    (kept / "origins" / "notes.txt").unlink()
    shutil.copy(public, kept / "origins" / "old-node")
    told = house.run("hsm-restore", *words)
    assert told.returncode == 0, told.stdout + told.stderr
    assert inventory(house.library, "spare")


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_node_that_ends_in_the_middle_gives_up_and_the_next_backup_goes_on(house: House, is_killed: bool) -> None:
    fill(house.library, "spare", Kinds(aes=600))
    registered(house)
    wanted = {"partitions": ["spare"], "drives": list(NAMES), "officer": "sandro", **PINS}
    admin = administrator(house.node)
    admin.told("POST", "/key-backup", wanted)
    while (shown := admin.told("GET", "/key-backup"))["doing"] != "keys":
        assert shown["state"] == "running"
    house.node.kill() if is_killed else house.node.stop()
    house.node.start()
    shown = administrator(house.node).told("GET", "/key-backup")
    assert shown["state"] in ("failed", "interrupted")
    assert shown["partitions"] == ["spare"]
    assert "the keys were never backed up" in shown["due"]
    assert house.backup().returncode == 0
    assert [len(list((house.media / name / "keystead-sets").iterdir())) for name in NAMES] == [1, 1, 1]


@pytest.mark.parametrize("place", ["..", "a/b", "/etc", "", "-x", "x\n", "link"])
def test_drives_are_folders_below_the_one_that_is_set(house: House, place: str) -> None:
    (house.media / "link").symlink_to(house.node.folder)
    reply = administrator(house.node).ask("POST", "/drives", {"place": place, "name": "one"})
    assert reply.status in (403, 422), reply.body
    assert not list(house.node.folder.glob("keystead-*"))


def test_a_list_of_addresses_that_cannot_be_read_lets_nobody_in_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for house in _house(tmp_path, monkeypatch, "key_backups.allowed_addresses=192.0.2.7/24"):
        reply = administrator(house.node).ask("POST", "/drives", {"place": "d1", "name": "one"})
        assert reply.status == 403
        assert "192.0.2.7/24" in reply.body["detail"]
        done = house.run("drives", "register", "d1", "one")
        assert done.returncode != 0
        assert "mend the setting" in done.stderr


@pytest.mark.row("CB-005", "CB-020")
def test_the_address_is_judged_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for house in _house(tmp_path, monkeypatch, "key_backups.allowed_addresses=192.0.2.0/24, 2001:db8::/32"):
        admin = administrator(house.node)
        wrong = {"partitions": ["payroll", "payroll"], "drives": ["nowhere"], "officer": "admin", **PINS}
        for path, body in (("/key-backup", wrong), ("/drives", {"place": "d1", "name": "one"})):
            reply = admin.ask("POST", path, body)
            assert reply.status == 403
            assert "not allowed from this address" in json.dumps(reply.body)
        assert "is registered as" in ran(house.node, "drives", "register", "d1", "one")  # the local door is no network


@pytest.mark.parametrize(
    ("access", "statuses"), [("backup_keys_certs", (202, 403)), ("restore_keys_certs", (403, 202))]
)
def test_backups_and_restores_need_an_access_of_their_own(house: House, access: str, statuses: tuple[int, int]) -> None:
    admin = administrator(house.node)
    admin.told("POST", "/administrators", {"name": "olga", "password": FIRST, "access": ["admin_web", access]})
    olga = admin.logged_in("olga", FIRST)
    olga.told("PUT", "/session/password", {"current": FIRST, "new": LATER})
    olga = admin.logged_in("olga", LATER)
    common = {"drives": list(NAMES), "officer": "sandro", **PINS}
    found = [
        olga.ask("POST", path, {what: ["payroll"], **common}).status
        for path, what in (("/key-backup", "partitions"), ("/key-restore", "targets"))
    ]
    assert [status == 403 for status in found] == [status == 403 for status in statuses]
    assert (olga.ask("POST", "/drives", {"place": "d1", "name": "one"}).status == 403) is (statuses[0] == 403)
