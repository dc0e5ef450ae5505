"""What becomes impossible, or waits for others, when an administrator cannot act any more. Pure.

Law: it is said before anything is done, from what the lists tell; the gate decides again.

Source: requirements KS-ADM-007 to 009; KS-MC-002, 004 to 008; attacks.md class 41.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from keystead.core.permission import ACCESS_CONTROLS
from keystead.protocols.console.waiting import approvers

Row = Mapping[str, Any]


class Deed(StrEnum):
    """What is done with the account."""

    RESET = "reset"
    DISABLE = "disable"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Rule:
    """How many administrators have to stand behind a change.

    Attributes:
        required: More than one.
        count: How many, whoever asks included.
    """

    required: bool
    count: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know beforehand.

    Attributes:
        is_bad: Something would not be possible any more.
        text: A sentence.
    """

    is_bad: bool
    text: str


def findings(rows: list[Row], name: str, me: str, rule: Rule, waits: list[Row]) -> list[Finding]:
    """Return what would be different without an administrator.

    Args:
        rows: All administrators, as listed.
        name: Of the one who is lost.
        me: Who looks.
        rule: Of approvals.
        waits: Requests that wait, as listed.
    """
    found = _approving(rows, name, me, rule) if rule.required else []
    alone = held_alone(rows, name)
    if "high_access" in alone:
        found.append(Finding(True, "Nobody else has high access: the account cannot be disabled or deleted."))
    others = [one.replace("_", " ") for one in alone if one != "high_access"]
    if others:
        found.append(Finding(True, f"Nobody else may do what needs: {', '.join(others)}. Give it to somebody first."))
    given = sum(name in one["approved_by"] for one in waits)
    if given:
        word = "approval" if given == 1 else "approvals"
        text = f"{given} {word} that {name} gave for waiting requests will not count until {name} can approve again."
        found.append(Finding(True, text))
    if not found:
        found.append(Finding(False, f"Everything stays possible without {name}."))
    return found


def held_alone(rows: list[Row], name: str) -> list[str]:
    """Return the access controls that only one administrator has who can log in."""
    own = next((row["access"] for row in rows if row["name"] == name and not row["disabled"]), ())
    others = {one for row in rows if row["name"] != name and _is_usable(row) for one in row["access"]}
    return [one for one in ACCESS_CONTROLS if one in own and one not in others]


def of_name(waits: list[Row], name: str) -> list[Row]:
    """Return the requests that an administrator has asked and that wait."""
    return [one for one in waits if one["requester"] == f"administrator:{name}"]


def _approving(rows: list[Row], name: str, me: str, rule: Rule) -> list[Finding]:
    left = [one for one in approvers(rows) if one != name]
    helpers = [one for one in left if one != me]
    found = []
    if len(left) < rule.count:
        found.append(
            Finding(
                True,
                f"Without {name} {_people(len(left))} could approve, and {rule.count} are needed: nothing that needs "
                f"approvals can be done then. Appoint somebody with high access first.",
            )
        )
    missing = rule.count - 1 - len(helpers)
    if missing > 0:
        text = f"This itself cannot be approved now: {missing} more administrators would be needed for that."
        found.append(Finding(True, text))
    else:
        names = ", ".join(helpers)
        found.append(Finding(False, f"This itself needs {rule.count - 1} more: it waits for one of {names}."))
    return found


def _is_usable(row: Row) -> bool:
    return not row["disabled"] and row["password_status"] != "none"  # noqa: S105  # a word


def _people(count: int) -> str:
    return {0: "nobody", 1: "only one administrator"}.get(count, f"only {count} administrators")
