"""How many requests wait for somebody: what every page of the console shows beside the way to the approvals."""

from keystead.operations.approval_counts import ApprovalCounts, CountApprovals
from keystead.operations.approvals import Approve, RefuseApproval
from keystead.operations.users import CreateUser
from tests.support.administrators import ROOT, add, change, require, wait
from tests.support.builders import Node


def counts(node: Node, *people: object) -> list[tuple[int, int]]:
    found: list[ApprovalCounts] = [node.ask(one, CountApprovals()) for one in people]  # type: ignore[arg-type]  # principals
    return [(one.to_decide_count, one.own_count) for one in found]


def test_each_sees_what_waits_for_them(node: Node) -> None:
    olga, paul, quinn = (add(node, name) for name in ("olga", "paul", "quinn"))
    clerk = add(node, "clerk", ("users_groups",))
    require(node, 3)
    assert counts(node, olga, paul) == [(0, 0), (0, 0)]
    asked = wait(node, olga, CreateUser("eve"))
    assert counts(node, olga, paul, quinn, clerk, ROOT) == [(0, 1), (1, 0), (1, 0), (0, 0), (0, 0)]
    node.ask(paul, Approve(asked.id, asked.hash))
    assert counts(node, olga, paul, quinn) == [(0, 1), (0, 0), (1, 0)]
    change(node, "quinn", must_change=True)  # an own password first
    assert counts(node, quinn) == [(0, 0)]
    change(node, "quinn", must_change=False)
    node.ask(quinn, RefuseApproval(asked.id, "no"))
    assert counts(node, olga, paul, quinn) == [(0, 0), (0, 0), (0, 0)]


def test_what_is_late_does_not_wait_any_more(node: Node) -> None:
    olga, paul = add(node, "olga"), add(node, "paul")
    require(node, 2)
    wait(node, olga, CreateUser("eve"))
    node.clock.pass_s(25 * 3600)
    assert counts(node, olga, paul) == [(0, 0), (0, 0)]
