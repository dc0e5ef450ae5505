"""Random keys are tested as they are drawn; a failure ends all service of the process."""

from pathlib import Path

import pytest

from keystead.core.errors import Unavailable
from keystead.operations.create import CONDITIONAL_TESTS
from keystead.operations.requests import Create, Get, Locate
from keystead.trust.selftest import ConditionalTests
from tests.support.builders import ALICE, SYMMETRIC_KEY, a_key, a_node


@pytest.mark.row("KS-FIPS-005")
def test_a_stuck_random_source_makes_no_key_and_everything_is_refused(tmp_path: Path) -> None:
    with a_node(tmp_path) as node:
        key = a_key(node)
        assert node.ask(ALICE, Get(key)).block is not None
        node.gate.services[CONDITIONAL_TESTS] = ConditionalTests(bytes)
        for request in (Create(SYMMETRIC_KEY), Get(key), Locate()):
            assert node.reason(ALICE, request) == "unavailable.self_test"
        node.gate.services[CONDITIONAL_TESTS] = ConditionalTests()
        with pytest.raises(Unavailable, match="restart"):
            node.ask(ALICE, Get(key))
