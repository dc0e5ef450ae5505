"""Attacks on the doors of administrators, and the XML interface beside them: REST, the pages, SSH.

Attack classes 3 (complexity), 4 (document types, entities, inclusions), 8 (locks evaded by another spelling), 11
(telling who exists), 12 (names in another case), 13 (what belongs to others), 14 (lists that tell more), 36 (forged
sessions), 47 (long and composed passwords) and 52 (shells). Classes 15, 16, 29, 37 and 38 are in
test_texts_everywhere.py, 24 and 46 in test_every_door.py. Times are not measured: that a name that nobody has costs
one judgement, too, is shown in tests/operations/test_logins.py.
"""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.hostile.sockets import process
from tests.support.console import Browser
from tests.support.dev_node import DevNode
from tests.support.rest.client import Rest, stranger
from tests.support.rest.client import administrator as over_rest
from tests.support.rest.world import FIRST, OWN, person
from tests.support.ssh import Ssh, administrator
from tests.support.xml.client import logged_in

WRONG = "wrong-guess-1"
GROWTH_BYTES_MAX = 256 << 20
SHELLS = (
    *("; id", "| id", "&& id", "$(id)", "`id`", "\nid", "!id", "~", "*", ">/tmp/x", "--help; id", "%0aid", "\\;id"),
    *("sh -c id", "../../../bin/sh", "-oProxyCommand=id", "$IFS", "${PATH}", "{a,b}", "'\"; id #"),
)


@dataclass(frozen=True)
class Place:
    """A node with all doors, and its administrator."""

    node: DevNode
    admin: Rest
    nobody: Rest

    def browser(self) -> Browser:
        return Browser(self.node.ready["console"]["url"], Path(self.node.ready["ca_certificate"]))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    node = DevNode(tmp_path_factory.mktemp("doors"), web=True, ssh=True)
    node.start()
    yield Place(node, over_rest(node), stranger(node))
    node.stop()


def held_bytes(node: DevNode) -> int:
    return sum(psutil.Process(process(node, role).pid).memory_info().rss for role in ("admin", "keys"))


BOMBS = {
    "arrays": b"[" * 500_000 + b"]" * 500_000,
    "objects": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "many": b'{"name": [' + b"0," * 400_000 + b"0]}",
    "members": b"{" + b",".join(b'"%d":0' % number for number in range(80_000)) + b"}",
    "digits": b'{"name": ' + b"9" * 1_000_000 + b"}",
    "text": b'{"name": "' + b"\\u0041" * 160_000 + b'"}',
}


def test_complex_documents_cost_little(place: Place) -> None:
    """Class 3: a megabyte of anything is refused, and what it needed is given back or bounded."""
    before = held_bytes(place.node)
    for raw in BOMBS.values():
        assert place.nobody.ask("POST", "/session", raw=raw).status in (400, 413, 422)
        for method, path in (("POST", "/groups"), ("POST", "/imported-keys"), ("PUT", "/users/alice/groups")):
            assert place.admin.ask(method, path, raw=raw).status in (400, 413, 422)
    form = b"&".join(b"name=%d" % number for number in range(100_000))
    browser = place.browser()
    assert browser.request("POST", "/log-in", form).status == 413
    assert held_bytes(place.node) - before < GROWTH_BYTES_MAX
    assert place.admin.ask("GET", "/users").status == 200


@pytest.mark.parametrize(
    "document",
    [
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><KeyNamesRequest><ID>&b;</ID></KeyNamesRequest>',
        b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><KeyNamesRequest><ID>&c;</ID></KeyNamesRequest>',
        b'<!DOCTYPE KeyNamesRequest SYSTEM "http://127.0.0.1:1/x.dtd"><KeyNamesRequest><ID>1</ID></KeyNamesRequest>',
        b'<?xml version="1.0"?><!DOCTYPE a PUBLIC "-//x" "file:///etc/passwd"><KeyNamesRequest/>',
        b'<KeyNamesRequest xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="/etc/group"/></KeyNamesRequest>',
        b"<KeyNamesRequest><ID>&undefined;</ID></KeyNamesRequest>",
        b"<a>" * 5_000,
    ],
    ids=["file", "laughs", "remote", "public", "inclusion", "undefined", "deep"],
)
def test_documents_define_nothing(place: Place, document: bytes) -> None:
    """Class 4: no document type, no entity of one's own, no inclusion; the node goes on."""
    with logged_in(place.node, "alice") as client:
        client.send(document)
        answer = client.receive()
        assert answer is None or not answer.ok
        told = "" if answer is None else str(answer.element)
    assert Path("/etc/hostname").read_text().strip() not in told
    with logged_in(place.node, "alice") as client:
        assert client.ask("KeyNames").ok


SPELLINGS = (
    "Karl",
    "KARL",
    "karl ",
    " karl",
    "karl\x00",
    "kar\u0131",
    "ｋarl",
    "ka\u0155l",
    "k\u0430rl",
    "karl@x",
    "karl/",
)


@pytest.mark.row("KS-ADM-015")
def test_a_lock_is_one_lock_by_whatever_name_and_door(place: Place) -> None:
    """Class 8: another spelling neither logs in, nor counts, nor unlocks; a lock at one door is one at all of them."""
    person(place.admin, place.nobody, "karl")
    for name in SPELLINGS:
        assert place.nobody.ask("POST", "/session", {"username": name, "password": OWN}).status in (401, 422), name
    assert place.nobody.ask("POST", "/session", {"username": "karl", "password": OWN}).status == 201
    doors = [
        lambda: place.nobody.ask("POST", "/session", {"username": "karl", "password": WRONG}).status,
        lambda: place.browser().log_in("karl", WRONG).status,
        lambda: Ssh(place.node, WRONG, "karl").run("show", "users").returncode,
    ]
    assert [doors[number % 3]() for number in range(5)] == [401, 401, 255, 401, 401]
    assert place.nobody.ask("POST", "/session", {"username": "karl", "password": OWN}).status == 401
    assert Ssh(place.node, OWN, "karl").run("show", "users").returncode == 255
    assert place.browser().log_in("karl", OWN).status == 401
    assert place.admin.told("GET", "/administrators/karl")["is_locked"] is True


def test_nobody_is_told_who_exists(place: Place) -> None:
    """Class 11: unknown, wrong, disabled and without a way in are answered alike, to the byte."""
    person(place.admin, place.nobody, "lena")
    person(place.admin, place.nobody, "mona")
    place.admin.told("PATCH", "/administrators/mona", {"disabled": True})
    made = {"name": "nora", "password": FIRST, "access": ["users_groups"]}
    place.admin.told("POST", "/administrators", made)
    tries = {"nobody1": WRONG, "lena": WRONG, "mona": WRONG, "nora": WRONG, "alice": WRONG}
    answers = {json.dumps(place.nobody.ask("POST", "/session", told(*one)).body) for one in tries.items()}
    assert len(answers) == 1
    heads = {tuple(sorted(place.nobody.ask("POST", "/session", told(*one)).headers)) for one in tries.items()}
    assert len(heads) == 1
    pages = {place.browser().log_in(name, WRONG).html.replace(name, "") for name in tries}
    assert len(pages) == 1
    errors = {Ssh(place.node, WRONG, name).run("show", "users").stderr.replace(name, "") for name in tries}
    assert len(errors) == 1
    for path in ("/users/alice", "/users/nobody1", "/administrators/lena", "/nothing"):
        reply = place.nobody.ask("GET", path)
        assert (reply.status, reply.body) == (401, place.nobody.ask("GET", "/users/x").body)


def told(name: str, password: str) -> dict[str, str]:
    return {"username": name, "password": password}


def test_names_differ_by_their_case(place: Place) -> None:
    """Class 12: what is called almost the same is something else, and no name of a right has a second spelling."""
    place.admin.told("POST", "/groups", {"name": "writers"})
    for name in ("Writers", "WRITERS"):
        place.admin.told("POST", "/groups", {"name": name})
    place.admin.told("POST", "/users", {"name": "writer1", "groups": ["Writers"]})
    place.admin.told("POST", "/keys", {"name": "cased", "owner": "alice"})
    place.admin.told("POST", "/keys/cased/grants", {"group": "writers", "rights": ["encrypt"]})
    assert place.admin.told("GET", "/groups/writers")["members"] == []
    assert place.admin.ask("GET", "/keys/Cased").status == 404
    for word in ("High_Access", "HIGH_ACCESS", "high_access ", "h\u0456gh_access", "ALL", "All"):
        made = {"name": "cased1", "password": FIRST, "access": [word]}
        assert place.admin.ask("POST", "/administrators", made).status in (409, 422), word
    for name in ("Admin", "ADMIN"):
        made = {"name": name, "password": FIRST, "access": []}
        if place.admin.ask("POST", "/administrators", made).status == 201:
            assert place.admin.told("GET", f"/administrators/{name}")["access"] == []
    assert "high_access" in place.admin.told("GET", "/administrators/admin")["access"]


def test_what_belongs_to_others_is_theirs(place: Place) -> None:
    """Classes 13 and 14: tokens and requests of others are neither listed nor ended, whatever names them."""
    other = person(place.admin, place.nobody, "otto")
    theirs = other.told("POST", "/api-tokens", {"label": "theirs", "scopes": ["users_groups"]})["token"]
    small = person(place.admin, place.nobody, "pia")
    place.admin.told("PATCH", "/administrators/pia", {"access": ["users_groups", "admin_web"]})
    assert [one["label"] for one in small.told("GET", "/api-tokens")["items"]] == []
    for word in (theirs.split("_")[1], theirs.split("_")[1].upper(), "*", "%25"):
        assert small.ask("DELETE", f"/api-tokens/{word}").status in (403, 404, 422), word
    assert place.nobody.as_token(theirs).ask("GET", "/users").status == 200
    scopes = ["high_access", "hsm", "users_groups"]
    grown = small.ask("POST", "/api-tokens", {"label": "grown", "scopes": scopes})
    if grown.status == 201:
        program = place.nobody.as_token(grown.body["token"])
        assert program.ask("POST", "/administrators", {"name": "eve1", "password": FIRST}).status == 403
    for query in ("limit=0", "limit=-1", "limit=1001", "limit=1e3", "limit=", "cursor=%00", "limit=1&limit=2"):
        assert small.ask("GET", f"/users?{query}").status in (200, 409, 422), query
    assert small.ask("GET", "/users?limit=0").status == 422
    assert small.ask("GET", "/keys").status == 403
    assert small.ask("GET", "/keys?limit=-1").status == 403


def test_sessions_are_not_guessed_or_carried_elsewhere(place: Place) -> None:
    """Class 36: tokens have nothing in common; one character less, more or other opens nothing."""
    tokens = [person(place.admin, place.nobody, f"quentin{number}").token for number in range(3)]
    tokens += [place.nobody.logged_in("quentin0", OWN).token for _ in range(3)]
    assert len({*tokens}) == len(tokens)
    assert min(map(len, tokens)) >= 43
    assert len({token[:6] for token in tokens}) == len(tokens)
    token = tokens[-1]
    for forged in (token[:-1], token + "A", token.swapcase(), token[::-1], token[1:] + token[0], f"kst_{token}"):
        assert place.nobody.as_token(forged).ask("GET", "/session").status == 401
    browser = place.browser()
    browser.cookie = tokens[-1].swapcase()
    assert browser.request("GET", "/users").status == 303
    place.nobody.as_token(token).told("DELETE", "/session")
    assert place.nobody.as_token(token).ask("GET", "/session").status == 401


@pytest.mark.row("KS-ADM-005")
def test_all_of_a_password_counts_in_one_form(place: Place) -> None:
    """Class 47: nothing after 72 bytes is forgotten; what looks the same is the same."""
    long = "Violet-Kettle-93-" + "x1y2z3-" * 30
    looks = "Zoe\u0308-\u212bngstr\u00f6m-Harbour-93"
    for name, own in (("rosa", long), ("sven", looks)):
        place.admin.told("POST", "/administrators", {"name": name, "password": FIRST, "access": ["admin_web"]})
        first = place.nobody.logged_in(name, FIRST)
        first.told("PUT", "/session/password", {"current": FIRST, "new": own})
    for password in (long[:72], long[:-1], long + "x", long[:-1] + "_"):
        assert place.nobody.ask("POST", "/session", told("rosa", password)).status == 401
    assert place.nobody.ask("POST", "/session", told("rosa", long)).status == 201
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        typed: Any = unicodedata.normalize(form, looks)
        assert place.nobody.ask("POST", "/session", told("sven", typed)).status == 201, form


@pytest.mark.parametrize("word", SHELLS)
def test_no_shell_is_behind_a_command(place: Place, word: str) -> None:
    """Class 52: a line is words of commands that there are, and nothing expands them."""
    admin = administrator(place.node)
    alone = admin.run("--", word)
    assert (alone.returncode, alone.stdout) == (2, ""), alone
    behind = admin.run(f"show users {word}")
    assert behind.returncode == 2, behind
    assert "uid=" not in alone.stdout + alone.stderr + behind.stdout + behind.stderr
