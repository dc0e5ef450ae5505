"""Check: what an object allows, told before it is used, and nothing after a refusal falls on it."""

from keystead.core.structures import made
from keystead.operations.checks import Check
from keystead.operations.requests import Get
from tests.support.builders import ALICE, BOB, DECRYPT, ENCRYPT, Node, a_key

SIGN = 1


def test_uses_units_and_leases_are_measured(node: Node) -> None:
    key = a_key(node, Usage_Limits=made("Usage Limits", 10, None, 2))
    assert node.ask(ALICE, Check(key)).id == key
    assert node.reason(ALICE, Check(key, usage_mask=ENCRYPT | DECRYPT)) is None
    assert node.reason(ALICE, Check(key, usage_mask=ENCRYPT | SIGN)) == "refused.usage_mask"
    assert node.reason(ALICE, Check(key, limits_count=10)) is None
    assert node.reason(ALICE, Check(key, limits_count=11)) == "refused.usage_limit"
    assert node.reason(ALICE, Check(key, lease_s=3600)) is None
    assert node.reason(ALICE, Check(key, lease_s=3601)) == "refused.permission"
    assert node.reason(BOB, Check(key)) == "not_found.item"


def test_a_key_without_limits_has_as_many_units_as_anybody_wants(node: Node) -> None:
    assert node.reason(ALICE, Check(a_key(node), limits_count=1 << 62)) is None


def test_after_a_refusal_nothing_falls_on_the_object(node: Node) -> None:
    key = a_key(node)
    replies = node.batch(ALICE, [Check(key, usage_mask=SIGN), Get()], go_on=True)
    assert [reply.error.reason for reply in replies if reply.error is not None] == [
        "refused.usage_mask",
        "invalid.missing",
    ]
    replies = node.batch(ALICE, [Check(key, usage_mask=ENCRYPT), Get()])
    assert replies[1].result.id == key
