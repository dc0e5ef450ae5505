"""Random numbers for clients, and what clients give to the pool."""

from pathlib import Path

import pytest

from keystead.core.errors import Unavailable
from keystead.operations import random_numbers
from keystead.operations.create import CONDITIONAL_TESTS
from keystead.operations.random_numbers import RANDOM_BYTES_MAX, SEED_BYTES_MAX, RngRetrieve, RngSeed
from keystead.trust.selftest import ConditionalTests
from tests.support.builders import ALICE, Node


@pytest.mark.parametrize("length_bytes", [1, 16, 33, RANDOM_BYTES_MAX])
def test_as_many_random_bytes_as_were_asked_for(node: Node, length_bytes: int) -> None:
    drawn = node.ask(ALICE, RngRetrieve(length_bytes)).data
    assert len(drawn) == length_bytes
    if length_bytes >= 16:
        assert drawn.reveal() != node.ask(ALICE, RngRetrieve(length_bytes)).data.reveal()


@pytest.mark.parametrize("length_bytes", [-1, 0, RANDOM_BYTES_MAX + 1])
def test_no_more_than_the_bound(node: Node, length_bytes: int) -> None:
    assert node.reason(ALICE, RngRetrieve(length_bytes)) == "invalid.field"


@pytest.mark.row("KS-FIPS-004")
def test_a_generator_that_repeats_itself_serves_nobody(node: Node) -> None:
    node.gate.services[CONDITIONAL_TESTS] = ConditionalTests(bytes)
    with pytest.raises(Unavailable):
        node.ask(ALICE, RngRetrieve(16))


def test_a_seed_goes_to_the_systems_pool_and_nowhere_else(
    node: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert node.ask(ALICE, RngSeed(b"s" * 32)).length_bytes == 32
    pool = tmp_path / "pool"
    monkeypatch.setattr(random_numbers, "POOL", pool)
    seed = b"canary of a seed"
    assert node.ask(ALICE, RngSeed(seed)).length_bytes == len(seed)
    assert pool.read_bytes() == seed
    assert not any(seed.decode() in line for line in node.lines())
    assert seed.decode() not in repr(RngSeed(seed))


def test_a_long_seed_is_used_in_part(node: Node) -> None:
    assert node.ask(ALICE, RngSeed(bytes(SEED_BYTES_MAX + 1))).length_bytes == SEED_BYTES_MAX


def test_a_pool_that_takes_nothing_is_no_error(node: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(random_numbers, "POOL", tmp_path / "missing" / "pool")
    assert node.ask(ALICE, RngSeed(b"seed")).length_bytes == 0
