"""What administrators want to see: each their own, of no weight to anything else."""

import pytest

from keystead.core.permission import Access, Principal
from keystead.operations.administrators import ChangeAdministrator
from keystead.operations.preferences import ChangePreferences, Preferences, ShowPreferences
from tests.operations.test_administrators import settled
from tests.support.builders import ADMINISTRATOR, ALICE, CLOCK, Node

LOCAL = Principal("local", "root", access=~Access.NONE)


@pytest.mark.row("KS-UI-003")
def test_each_administrator_has_their_own(node: Node) -> None:
    olga, paul = settled(node, "olga"), settled(node, "paul")
    assert node.ask(olga, ShowPreferences()) == Preferences(security_summary=True)
    assert node.ask(olga, ChangePreferences(False)) == Preferences(security_summary=False)
    node.ask(ADMINISTRATOR, ChangeAdministrator("olga", full_name="Olga"))
    assert node.ask(olga, ShowPreferences()) == Preferences(security_summary=False)
    assert node.ask(paul, ShowPreferences()) == Preferences(security_summary=True)
    node.ask(olga, ChangePreferences(True))
    assert node.ask(olga, ShowPreferences()) == Preferences(security_summary=True)


def test_whoever_has_no_account_has_none(node: Node) -> None:
    for principal in (LOCAL, ALICE, CLOCK):
        for request in (ShowPreferences(), ChangePreferences(False)):
            assert node.reason(principal, request) == "refused.permission"
