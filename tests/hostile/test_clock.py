"""The time of day is not ours: whoever sets it back brings nothing back to life (attack class 53)."""

from pathlib import Path

import pytest

from keystead.core.permission import CLOCK
from keystead.gate.identifiers import Clock
from keystead.operations.lifecycle import ApplyTransitions
from keystead.operations.requests import AddAttribute, CipherParameters, Encrypt
from keystead.storage.sqlite import open_store
from tests.support.builders import ALICE, KEYS, PERMISSIVE, START_US, US_PER_S, Node, a_key, a_node, date

YEAR_2096_US, DAY_S = 4_000_000_000_000_000, 86_400
GCM = CipherParameters(mode=9, random_iv=True)


def after_setting_it_back(node: Node) -> None:
    """Restart the writer's clock, which knows the store's last commit, on a system whose time is years behind."""
    newest_us = open_store(node.path, KEYS).anchor().at_us
    clock = Clock(not_before_us=newest_us)
    node.clock.us = clock.now_us()
    assert clock.set_back
    assert newest_us < node.clock.us < newest_us + US_PER_S


@pytest.mark.parametrize("days", [1, 7000])
def test_a_key_whose_time_has_passed_stays_deactivated(tmp_path: Path, days: int) -> None:
    with a_node(tmp_path, PERMISSIVE) as node:
        node.clock.us = YEAR_2096_US
        key = a_key(node)
        node.ask(
            ALICE, AddAttribute("Deactivation Date", date((YEAR_2096_US - START_US) / US_PER_S + days * DAY_S), key)
        )
        request = Encrypt(b"data", key, GCM)
        assert node.reason(ALICE, request) is None
        node.clock.pass_s(days * DAY_S + 1)
        assert node.reason(ALICE, request) == "wrong_state.object"
        node.ask(CLOCK, ApplyTransitions())
        after_setting_it_back(node)
        assert node.reason(ALICE, request) == "wrong_state.object"
