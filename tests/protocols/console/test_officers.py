"""What is said before an administrator's account is changed: what would not be possible any more."""

from typing import Any

import pytest

from keystead.core.permission import ACCESS_CONTROLS
from keystead.protocols.console.officers import Rule, findings, held_alone, of_name

EVERYTHING = tuple(ACCESS_CONTROLS)


def row(name: str, *access: str, disabled: bool = False, password: str = "3 days") -> dict[str, Any]:
    return {"name": name, "access": access or EVERYTHING, "disabled": disabled, "password_status": password}


def said(rows: list[dict[str, Any]], rule: Rule, waits: tuple[dict[str, Any], ...] = ()) -> tuple[list[str], list[str]]:
    """What is bad, what is good to know, about losing olga as admin sees it."""
    found = findings(list(rows), "olga", "admin", rule, list(waits))
    return [one.text for one in found if one.is_bad], [one.text for one in found if not one.is_bad]


ALONE = Rule(required=False, count=2)
TWO = Rule(required=True, count=2)
THREE = Rule(required=True, count=3)


def test_where_others_can_do_the_same_nothing_is_lost() -> None:
    assert said([row("admin"), row("olga")], ALONE) == ([], ["Everything stays possible without olga."])


@pytest.mark.parametrize(
    "other",
    [row("paul", disabled=True), row("paul", password="none"), row("paul", "keys_policies")],
    ids=["disabled", "no password", "less"],
)
def test_what_nobody_else_may_is_named(other: dict[str, Any]) -> None:
    rows = [row("admin", "keys_policies", "admin_web"), row("olga"), other]
    bad, _ = said(rows, ALONE)
    assert any("Nobody else has high access" in text for text in bad)
    assert any("users groups" in text and "keys policies" not in text for text in bad)
    assert set(held_alone(list(rows), "olga")) == {*EVERYTHING} - {"keys_policies", "admin_web"}


@pytest.mark.row("KS-MC-002")
def test_too_few_to_approve_is_said_beforehand() -> None:
    bad, good = said([row("admin"), row("olga"), row("paul")], TWO)
    assert (bad, good) == ([], ["This itself needs 1 more: it waits for one of paul."])
    bad, good = said([row("admin"), row("olga"), row("paul", password="to be changed")], TWO)
    assert any("only one administrator could approve, and 2 are needed" in text for text in bad)
    assert any("This itself cannot be approved" in text for text in bad)
    bad, good = said([row("admin"), row("olga"), row("paul")], THREE)
    assert any("only 2 administrators could approve, and 3 are needed" in text for text in bad)
    assert any("This itself cannot be approved" in text for text in bad)


def test_approvals_that_were_given_are_named() -> None:
    waits = ({"requester": "administrator:paul", "approved_by": ["olga"]},)
    bad, _ = said([row("admin"), row("olga"), row("paul")], TWO, waits)
    assert any("1 approval that olga gave" in text for text in bad)


def test_requests_are_found_by_who_asked() -> None:
    mine = {"requester": "administrator:olga", "approved_by": []}
    waits = [
        mine,
        {"requester": "local:olga", "approved_by": []},
        {"requester": "administrator:olga2", "approved_by": []},
    ]
    assert of_name(list(waits), "olga") == [mine]
