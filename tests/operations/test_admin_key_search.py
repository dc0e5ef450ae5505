"""Finding keys of any owner: what is found, in which order, on which page."""

from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import pytest

from keystead.core.key_names import KeyKind, KeyState
from keystead.core.permission import Access, Principal, Right
from keystead.core.structures import name_value
from keystead.operations import admin_key_search
from keystead.operations.admin_key_search import FindKeys, FoundKeys, KeyOrder
from keystead.operations.admin_keys import EraseKey, Move, RenameKey, SetKeyState
from keystead.operations.admin_keys_made import GenerateKey
from keystead.operations.grants import GiveRights
from keystead.operations.users import CreateUser
from tests.support.builders import ADMINISTRATOR, ALICE, EVERYTHING, START_US, US_PER_S, Node, a_key

NAMES = ("delta", "alpha", "echo", "bravo", "golf", "charlie", "foxtrot")
OWNERS = ("bob", None, "alice", "bob", "carol", "alice", None)


@pytest.fixture
def ids(node: Node) -> dict[str, str]:
    """Seven keys of three owners and of nobody, one a second, by name."""
    node.gate.switches = EVERYTHING
    for user in ("alice", "bob", "carol", "dora"):
        node.ask(ADMINISTRATOR, CreateUser(user))
    made = {}
    for name, owner in zip(NAMES, OWNERS, strict=True):
        algorithm = "AES-128" if name in ("alpha", "golf") else "AES-256"
        site = ("x-site=north",) if name in ("delta", "bravo", "foxtrot") else ("x-site=south",)
        made[name] = node.ask(ADMINISTRATOR, GenerateKey(name, algorithm, owner, attributes=site)).key.id
        node.clock.pass_s(1)
    node.ask(ADMINISTRATOR, GiveRights(made["delta"], int(Right.ENCRYPT), "staff"))
    node.ask(ADMINISTRATOR, GiveRights(made["echo"], int(Right.ENCRYPT), user="bob"))
    node.ask(ADMINISTRATOR, SetKeyState(made["golf"], Move.COMPROMISED))
    return made


def pages(node: Node, request: FindKeys) -> list[list[str]]:
    """The names on all pages."""
    told = []
    while True:
        page: FoundKeys = node.ask(ADMINISTRATOR, request)
        told.append([key.name for key in page.keys])
        if not page.next:
            return told
        request = replace(request, after=page.next)


def found(node: Node, **wanted: Any) -> list[str]:
    """The names of what is found, the same whatever it goes by, from either end, and however it is cut into pages."""
    answers = []
    for order in KeyOrder:
        both_ways = []
        for reverse, limit_count in product((False, True), (1, 3, 1000)):
            cut = pages(node, FindKeys(**wanted, order=order, reverse=reverse, limit_count=limit_count))
            assert all(len(page) <= limit_count for page in cut)
            names = [name for page in cut for name in page]
            both_ways.append(names[::-1] if reverse else names)
        assert all(one == other for one, other in pairwise(both_ways))
        answers.append(both_ways[0])
    assert all(sorted(one) == sorted(other) for one, other in pairwise(answers))
    return sorted(answers[0])


@pytest.mark.parametrize("few", [0, 500], ids=["along the order", "sorted in memory"])
@pytest.mark.parametrize("wanted", [{}, {"attribute": "x-site=south"}, {"name_part": "o"}, {"name_part": "é"}])
def test_every_page_leads_back_to_the_one_before_it(
    node: Node, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch, few: int, wanted: dict[str, Any]
) -> None:
    monkeypatch.setattr(admin_key_search, "KEYS_OF_ALL_SORTED_COUNT_MAX", few)
    monkeypatch.setattr(admin_key_search, "FIRST_LOOKS_COUNT", 0)
    for order, reverse in product(KeyOrder, (False, True)):
        lead_back(node, FindKeys(**wanted, order=order, reverse=reverse, limit_count=2))


def lead_back(node: Node, request: FindKeys) -> None:
    before: list[Any] = []
    while True:
        page: FoundKeys = node.ask(ADMINISTRATOR, request)
        assert bool(page.previous) is bool(before)
        if before:
            back = node.ask(ADMINISTRATOR, replace(request, reverse=not request.reverse, after=page.previous))
            assert list(reversed(back.keys)) == before
        if not page.next:
            return
        request, before = replace(request, after=page.next), list(page.keys)


def test_a_page_without_keys_leads_back_too(node: Node, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_key_search, "KEYS_LOOKED_AT_COUNT_MAX", 2)
    asked = FindKeys(name_part="É", order=KeyOrder.CREATION)
    first = node.ask(ADMINISTRATOR, asked)
    second = node.ask(ADMINISTRATOR, replace(asked, after=first.next))
    assert (first.keys, second.keys) == ((), ())
    back = FindKeys(order=KeyOrder.CREATION, reverse=True, after=second.previous)
    assert [key.name for key in node.ask(ADMINISTRATOR, back).keys] == ["golf", "charlie"]


def test_keys_go_by_name_creation_or_owner(node: Node, ids: dict[str, str]) -> None:
    assert pages(node, FindKeys()) == [sorted(NAMES)]
    assert pages(node, FindKeys(order=KeyOrder.CREATION)) == [list(reversed(NAMES))]
    by_owner = ["foxtrot", "alpha", "charlie", "echo", "bravo", "delta", "golf"]
    assert pages(node, FindKeys(order=KeyOrder.OWNER)) == [by_owner]
    assert pages(node, FindKeys(order=KeyOrder.OWNER, limit_count=3)) == [by_owner[:3], by_owner[3:6], by_owner[6:]]
    assert pages(node, FindKeys(limit_count=7)) == [sorted(NAMES)]  # nothing is left, and that is known


def test_a_page_tells_what_keys_are_and_never_their_bytes(node: Node, ids: dict[str, str]) -> None:
    (key,) = node.ask(ADMINISTRATOR, FindKeys(name_part="golf")).keys
    assert (key.id, key.owner, key.algorithm, key.state) == (ids["golf"], "carol", "AES-128", "compromised")
    assert (key.created_us, key.changed_us) == (START_US + 4 * US_PER_S, START_US + 7 * US_PER_S)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, NAMES),
        ({"owner": "bob"}, ("bravo", "delta")),
        ({"owner": ""}, ("alpha", "foxtrot")),
        ({"owner": "nobody"}, ()),
        ({"group": "staff"}, ("delta",)),
        ({"group": "staff", "owner": "alice"}, ()),
        ({"kind": KeyKind.SYMMETRIC_KEY}, NAMES),
        ({"kind": KeyKind.CERTIFICATE}, ()),
        ({"algorithm": "AES-128"}, ("alpha", "golf")),
        ({"algorithm": "AES"}, NAMES),
        ({"algorithm": "RSA"}, ()),
        ({"state": KeyState.COMPROMISED}, ("golf",)),
        ({"state": KeyState.ACTIVE, "owner": "carol"}, ()),
        ({"name_part": "RA"}, ("bravo",)),
        ({"name_part": "a", "algorithm": "AES-256"}, ("bravo", "charlie", "delta")),
        ({"attribute": "x-site=north"}, ("bravo", "delta", "foxtrot")),
        ({"attribute": "x-site=north", "owner": ""}, ("foxtrot",)),
        ({"attribute": "x-site=nor"}, ()),
        ({"created_from_us": START_US + 2 * US_PER_S, "created_until_us": START_US + 3 * US_PER_S}, ("bravo", "echo")),
        ({"created_until_us": START_US}, ("delta",)),
        ({"changed_from_us": START_US + 7 * US_PER_S}, ("delta", "echo", "golf")),
    ],
)
def test_everything_that_is_given_must_hold(
    node: Node, ids: dict[str, str], wanted: dict[str, Any], names: tuple[str, ...]
) -> None:
    assert found(node, **wanted) == sorted(names)


def test_destroyed_keys_are_found_by_their_state(node: Node, ids: dict[str, str]) -> None:
    node.ask(ADMINISTRATOR, EraseKey("golf", "golf"))
    assert "golf" not in found(node)
    assert found(node, state=KeyState.DESTROYED_COMPROMISED) == [f"key-{ids['golf']}"]


def test_names_that_clients_gave_are_found_too(node: Node, ids: dict[str, str]) -> None:
    key = a_key(node, ALICE, Name=name_value("Tape Ω 7"))
    assert found(node, name_part="tape ω") == [f"key-{key}"]


def test_a_search_goes_on_when_keys_come_go_and_are_renamed(node: Node, ids: dict[str, str]) -> None:
    first = node.ask(ADMINISTRATOR, FindKeys(limit_count=3))
    node.ask(ADMINISTRATOR, EraseKey("charlie", "charlie"))  # with which the page ended
    node.ask(ADMINISTRATOR, RenameKey("golf", "hotel"))
    node.ask(ADMINISTRATOR, GenerateKey("able"))
    rest = pages(node, FindKeys(limit_count=3, after=first.next))
    assert rest == [["delta", "echo", "foxtrot"], ["hotel"]]


def test_a_search_in_vain_stops_and_says_where_to_go_on(
    node: Node, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_key_search, "KEYS_LOOKED_AT_COUNT_MAX", 2)
    monkeypatch.setattr(admin_key_search, "SCANNED_AT_ONCE_COUNT", 2)
    monkeypatch.setattr(admin_key_search, "SCANNED_PER_LOOK_COUNT", 1)
    for order in KeyOrder:
        cut = pages(node, FindKeys(name_part="echo", order=order))
        assert [name for page in cut for name in page] == ["echo"]
        assert len(cut) > 2


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"limit_count": 0}, "invalid.field"),
        ({"limit_count": 1001}, "invalid.field"),
        ({"algorithm": "ROT-13"}, "invalid.algorithm"),
        ({"attribute": "x-site"}, "invalid.field"),
        ({"attribute": "State=1"}, "invalid.attribute_read_only"),
        ({"created_from_us": 2, "created_until_us": 1}, "invalid.field"),
        ({"changed_from_us": 1 << 63}, "invalid.field"),
        ({"after": "nonsense"}, "invalid.field"),
        ({"after": "ü"}, "invalid.field"),
        ({"after": "A" * 257}, "invalid.field"),
    ],
)
def test_what_cannot_be_asked_is_refused(node: Node, wanted: dict[str, Any], reason: str) -> None:
    assert node.reason(ADMINISTRATOR, FindKeys(**wanted)) == reason


def test_a_cursor_is_of_one_order(node: Node, ids: dict[str, str]) -> None:
    after = node.ask(ADMINISTRATOR, FindKeys(limit_count=1)).next
    assert node.reason(ADMINISTRATOR, FindKeys(after=after, order=KeyOrder.OWNER)) == "invalid.field"


def test_only_administrators_with_the_right_search(node: Node) -> None:
    assert node.reason(ALICE, FindKeys()) == "refused.permission"
    olga = Principal("administrator", "olga", access=Access.USERS)
    assert node.reason(olga, FindKeys()) == "refused.permission"
