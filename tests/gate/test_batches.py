"""A batch has so much processor time and no more."""

from pathlib import Path

import pytest

from keystead.core.changes import Transaction
from keystead.core.errors import TooLarge
from keystead.gate import call
from keystead.gate.committer import Done
from keystead.operations.requests import Activate, Get
from tests.support.builders import ALICE, a_key, a_node, creation


@pytest.mark.parametrize("go_on", [False, True])
def test_what_comes_after_the_time_of_a_batch_is_told_to_come_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go_on: bool
) -> None:
    monkeypatch.setattr(call, "BATCH_WORK_S_MAX", 0.01)
    with a_node(tmp_path) as node:
        replies = node.batch(ALICE, [creation() for _ in range(1000)], go_on=go_on)
        made = [reply.result.id for reply in replies if reply.error is None]
        assert 0 < len(made) < 1000
        assert all(reply.error is None for reply in replies[: len(made)]), "what was done before is done"
        rest = replies[len(made) :]
        assert {type(reply.error) for reply in rest} == {TooLarge}
        assert len(rest) == (1000 - len(made) if go_on else 1)
        assert all(node.reason(ALICE, Get(key)) is None for key in made)


def test_a_request_alone_is_never_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "BATCH_WORK_S_MAX", -1.0)
    with a_node(tmp_path) as node:
        assert node.reason(ALICE, Get(a_key(node))) is None
        assert [type(reply.error) for reply in node.batch(ALICE, [creation()] * 2)] == [TooLarge]


def test_a_refusal_is_written_even_if_its_batch_loses_a_race(tmp_path: Path) -> None:
    with a_node(tmp_path) as node:
        key, other = a_key(node), a_key(node, active=False)
        node.change(key, protection=node.record(key).protection._replace(exportable=False))
        inner = node.gate.committer
        transactions: list[Transaction] = []

        class LosesOnce:
            """A committer before which somebody else changes the other key, once."""

            def submit(self, transaction: Transaction, done: Done) -> None:
                if not transactions:
                    node.change(other, last_change_us=node.clock.us)
                transactions.append(transaction)
                inner.submit(transaction, done)

        node.gate.committer = LosesOnce()
        replies = node.batch(ALICE, [Get(key), Activate(other)], go_on=True)
        assert [reply.error is None for reply in replies] == [False, True]
        refusal = ("key.get", key, "refused.permission")
        assert [transaction.refusals for transaction in transactions] == [(refusal,), (refusal,)]
