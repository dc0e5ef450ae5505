"""Who used a key: real requests through the gate, read back from the log that they left."""

import os
import time
from base64 import urlsafe_b64encode
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from keystead.core.key_versions import VersionState
from keystead.core.permission import EVERY_ACCESS, Access, Principal
from keystead.gate import log_reading
from keystead.operations import key_use_scan
from keystead.operations.admin_keys import EraseKey, RenameKey
from keystead.operations.admin_keys_made import GenerateKey
from keystead.operations.key_use import (
    ACTIVITY_LOG,
    MOMENT_US_MAX,
    US_PER_S,
    CountKeyUse,
    Grouped,
    KeyUse,
    ListKeyUse,
    Step,
    UseCount,
)
from keystead.operations.key_use_scan import NEEDLES_COUNT
from keystead.operations.key_versions import CreateVersion, SetVersionState
from keystead.operations.requests import Get, GetAttributes
from keystead.operations.users import CreateUser
from tests.support.builders import ADMINISTRATOR, ALICE, Node, a_key, a_user

BOB = replace(a_user("bob"), common_name="bob's array", address="192.0.2.8")
KEYPER = replace(ADMINISTRATOR, access=Access.KEYS | Access.LOGGING | Access.ANY)
HOUR_S = 3600
START_S = 1_700_000_000 // HOUR_S * HOUR_S
_numbers = count(1)


@pytest.fixture
def read(node: Node) -> Node:
    """A node whose process reads the log."""
    node.gate.services[ACTIVITY_LOG] = node.log
    return node


def uses(node: Node, request: ListKeyUse | None = None) -> list[KeyUse]:
    """Everything that is told, page by page; what is in memory is written first."""
    node.gate.activity.flush()
    request = request or ListKeyUse()
    found: list[KeyUse] = []
    while True:
        page = node.ask(KEYPER, request)
        found += page.uses
        if not page.next:
            return found
        request = replace(request, after=page.next)


def counts(node: Node, request: CountKeyUse) -> list[UseCount]:
    node.gate.activity.flush()
    found: list[UseCount] = []
    while True:
        page = node.ask(KEYPER, request)
        found += page.counts
        if not page.next:
            return found
        request = replace(request, after=page.next)


def line(at_s: int, user: str = "alice", key: str = "k1", title: str = "Get", code: str = "0") -> str:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_s))
    priority = "INFO" if code == "0" else "ERROR"
    return (
        f"[{stamp}] {priority} 192.0.2.7 [{user}.example.org] {user} {next(_numbers)} {title} {key} [-] {code} [said]\n"
    )


@pytest.mark.row("KS-LOG-012", "KS-LOG-031")
def test_it_tells_who_used_a_key_by_which_operation_with_what_result(read: Node) -> None:
    key, other = a_key(read), a_key(read)
    read.ask(ALICE, Get(key))
    assert read.reason(BOB, Get(key)) == "not_found.item"
    read.ask(ALICE, GetAttributes(other))
    told = uses(read, ListKeyUse(key=key))
    assert {(use.key, use.key_name) for use in told} == {(key, read.record(key).handle)}
    assert (told[0].user, told[0].operation, told[0].result) == ("alice", "Get", "success")
    assert "Create" in [use.operation for use in told]
    assert [use.operation for use in uses(read, ListKeyUse(user="alice", operation="GetAttributes"))] == [
        "GetAttributes"
    ]
    moments = [use.at_us or 0 for use in uses(read)]
    assert moments == sorted(moments, reverse=True)
    assert all(abs(moment / US_PER_S - time.time()) < 120 for moment in moments)


def test_a_renamed_key_is_found_by_every_name_and_whole(read: Node) -> None:
    key = a_key(read)
    read.ask(ALICE, Get(key))
    read.ask(ADMINISTRATOR, RenameKey(key, "payroll"))
    read.gate.activity.flush()
    with read.log.open("a") as log:
        log.write(line(int(time.time()), user="xml", key="payroll", title="KeyExport"))
        log.write(line(int(time.time()), user="xml", key="payroll2", title="KeyExport"))
    by_name, by_id = (uses(read, ListKeyUse(key=called)) for called in ("payroll", key))
    assert by_name == by_id
    assert {use.operation for use in by_name} >= {"Get", "KeyExport"}
    assert {use.key_name for use in by_name} == {"payroll"}
    read.ask(ADMINISTRATOR, RenameKey(key, "wages"))
    assert "KeyExport" not in {
        use.operation for use in uses(read, ListKeyUse(key="wages"))
    }  # a line over XML has a name
    assert [use.operation for use in uses(read, ListKeyUse(key="payroll"))] == ["KeyExport"]
    together = counts(read, CountKeyUse(by=Grouped.KEY, per=Step.DAY))
    assert {one.key_name for one in together if one.name == key} == {"wages"}


def test_a_versioned_key_is_found_with_all_its_versions_or_one_of_them(read: Node) -> None:
    read.ask(ADMINISTRATOR, CreateUser("alice"))
    made = read.ask(ADMINISTRATOR, GenerateKey(owner="alice", name="ledger", versioned=True, exportable=True))
    ids = [made.key.id]
    for number in range(1, NEEDLES_COUNT + 3):
        read.ask(ALICE, Get(ids[-1]))
        ids.append(read.ask(ADMINISTRATOR, CreateVersion("ledger")).id)
        read.ask(ADMINISTRATOR, SetVersionState("ledger", number, VersionState.RETIRED))
    assert [use.key for use in uses(read, ListKeyUse(key="ledger", operation="Get"))] == ids[-2::-1]
    assert [use.key for use in uses(read, ListKeyUse(key=ids[-1], operation="Get"))] == ids[-2::-1]
    assert [use.key for use in uses(read, ListKeyUse(key=ids[0], operation="Get"))] == ids[:1]
    assert {use.key_name for use in uses(read, ListKeyUse(key=ids[0]))} == {"ledger"}
    (day,) = [one for one in counts(read, CountKeyUse(by=Grouped.KEY, per=Step.DAY, operation="Get")) if one.name]
    assert (day.name, day.key_name, day.uses_count) == (ids[-1], "ledger", len(ids) - 1)


def test_a_key_that_is_gone_is_still_told_of(read: Node) -> None:
    key = a_key(read)
    read.ask(ALICE, Get(key))
    read.ask(ADMINISTRATOR, EraseKey(key, key))
    assert "Get" in {use.operation for use in uses(read, ListKeyUse(key=key))}
    assert uses(read, ListKeyUse(key="never-there")) == []


def test_times_choose_and_both_ends_count(read: Node) -> None:
    read.log.write_text("".join(line(START_S + second) for second in range(0, 5 * HOUR_S, 60)))
    first, last = START_S + HOUR_S, START_S + 2 * HOUR_S
    told = uses(read, ListKeyUse(from_us=first * US_PER_S, until_us=last * US_PER_S, limit_count=7))
    assert [(use.at_us or 0) // US_PER_S for use in told] == list(range(last, first - 1, -60))
    assert uses(read, ListKeyUse(from_us=MOMENT_US_MAX)) == []
    assert uses(read, ListKeyUse(until_us=0)) == []


def test_counts_are_by_hour_or_day_by_key_or_user(read: Node) -> None:
    lines = [line(START_S + n * 600, user="alice" if n % 3 else "bob", key=f"k{n % 2}") for n in range(12)]
    lines += [line(START_S + 7_199, code="refused.permission"), line(START_S, key="-")]
    read.log.write_text("".join(lines))
    begin_us, hour_us = START_S * US_PER_S, HOUR_S * US_PER_S
    assert counts(read, CountKeyUse()) == [
        UseCount(begin_us + hour_us, "", "", 7, 1),
        UseCount(begin_us, "", "", 6, 0),
    ]
    by_user = counts(read, CountKeyUse(by=Grouped.USER))
    assert [(one.begin_us, one.name, one.uses_count) for one in by_user] == [
        (begin_us + hour_us, "alice", 5), (begin_us + hour_us, "bob", 2), (begin_us, "alice", 4), (begin_us, "bob", 2),
    ]  # fmt: skip
    assert [one.uses_count for one in counts(read, CountKeyUse(per=Step.DAY, by=Grouped.KEY, user="bob"))] == [2, 2]
    paged = counts(read, CountKeyUse(by=Grouped.USER, limit_count=1))
    assert sum(one.uses_count for one in paged) == 13
    midnight = time.mktime((*time.localtime(START_S)[:3], 0, 0, 0, 0, 0, -1))
    (day, *_) = counts(read, CountKeyUse(per=Step.DAY))
    assert (day.begin_us - midnight * US_PER_S) % (24 * hour_us) == 0


def test_pages_are_bounded_and_say_where_to_go_on(read: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reading, "BLOCK_BYTES", 2_000)
    monkeypatch.setattr(key_use_scan, "LOOKED_AT_BYTES_MAX", 10_000)
    lines = [line(START_S + n, key=f"k{n}") for n in range(1_000)]
    read.log.write_text("".join(lines))
    for request in (ListKeyUse(key="k3"), ListKeyUse(key="k999"), ListKeyUse(limit_count=30), ListKeyUse(user="alice")):
        expected = [f"k{n}" for n in range(999, -1, -1)] if not request.key else [request.key]
        assert [use.key for use in uses(read, request)] == expected
    empty = read.ask(KEYPER, ListKeyUse(key="k3"))
    assert empty.uses == ()
    assert empty.next
    assert sum(one.uses_count for one in counts(read, CountKeyUse(by=Grouped.KEY, limit_count=40))) == 1_000


def test_rotation_between_two_pages_loses_nothing(read: Node) -> None:
    read.log.write_text("".join(line(START_S + n, key=f"k{n}") for n in range(200)))
    first = read.ask(KEYPER, ListKeyUse(limit_count=50))
    read.log.rename(read.log.with_name("activity.log.1"))
    read.log.write_text("".join(line(START_S + n, key=f"k{n}") for n in range(200, 250)))
    rest = uses(read, ListKeyUse(limit_count=50, after=first.next))
    assert [use.key for use in (*first.uses, *rest)] == [f"k{n}" for n in range(199, -1, -1)]
    for file in read.log.parent.glob("activity.log*"):
        file.unlink()
    assert uses(read, ListKeyUse(after=first.next)) == []


def test_what_was_tampered_with_is_shown_as_such_and_counted_nowhere(read: Node) -> None:
    junk = ["", "nonsense", "[2026-13-77 99:99:99] INFO 1 [x] a 1 Get k1 [-] 0 [Success]", "[2026-01-01 00:00:00] INFO",
            "\x1b[2J", "x" * 10_000, line(START_S, key="k1")[:-12]]  # fmt: skip
    text = line(START_S) + "".join(f"{each}\n" for each in junk) + line(START_S + 1)
    read.log.write_bytes(text.encode() + b"\xff\xfe\x00\xff k1 [\n" + line(START_S + 2).encode() + b"[2026-01-01 half")
    told = uses(read)
    assert [use.result for use in told if use.key] == ["success"] * 3
    assert [use.result for use in told].count("unreadable") == len(junk) + 1
    assert len(uses(read, ListKeyUse(key="k1"))) == len(uses(read, ListKeyUse(from_us=0, key="k1"))) == 3
    assert [one.uses_count for one in counts(read, CountKeyUse(per=Step.DAY))] == [3]


@pytest.mark.parametrize(
    "place", ["", "1", "1\n2\n3", "-1\n2\n3\n", "1\n2\n3\nlong ago", f"{2**63}\n1\n1\n", "a\nb\nc\n"]
)
def test_what_is_no_cursor_is_refused(read: Node, place: str) -> None:
    for after in (f"x{place}", "\u00e9", "A" * 300, urlsafe_b64encode(place.encode()).decode() or "="):
        assert read.reason(KEYPER, ListKeyUse(after=after)) == "invalid.field"
        assert read.reason(KEYPER, CountKeyUse(after=after)) == "invalid.field"


def test_bad_questions_are_refused(read: Node) -> None:
    for request in (
        *(ListKeyUse(limit_count=0), ListKeyUse(limit_count=1001), ListKeyUse(key="a b"), ListKeyUse(user="x\ny")),
        *(ListKeyUse(from_us=-1), CountKeyUse(until_us=MOMENT_US_MAX + 1), ListKeyUse(key="x" * 256)),
    ):
        assert read.reason(KEYPER, request) == "invalid.field"


@pytest.mark.row("KS-ADM-031")
def test_it_takes_the_access_to_logs_and_to_keys(read: Node) -> None:
    for access in (Access.KEYS, Access.LOGGING, EVERY_ACCESS & ~Access.LOGGING, EVERY_ACCESS & ~Access.KEYS):
        person = replace(KEYPER, access=access | Access.ANY)
        assert read.reason(person, ListKeyUse()) == "refused.permission"
        assert read.reason(person, CountKeyUse()) == "refused.permission"
    assert read.reason(ALICE, ListKeyUse()) == "refused.permission"
    assert read.reason(Principal("stranger", ""), ListKeyUse(key="k1")) == "unauthenticated"
    assert read.reason(KEYPER, ListKeyUse()) is None


def test_where_there_is_no_log_it_says_so(node: Node, tmp_path: Path) -> None:
    assert node.reason(KEYPER, ListKeyUse()) == "unavailable.stopping"
    node.gate.services[ACTIVITY_LOG] = tmp_path / "no" / "activity.log"
    assert node.ask(KEYPER, ListKeyUse()).uses == ()
    os.mkfifo(tmp_path / "pipe.log")
    node.gate.services[ACTIVITY_LOG] = tmp_path / "pipe.log"
    assert node.ask(KEYPER, ListKeyUse()).uses == ()
