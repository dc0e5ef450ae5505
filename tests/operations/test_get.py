"""Fetching objects with their key bytes."""

from dataclasses import replace

import pytest

from keystead.core.permission import Switches
from keystead.core.records import Protection
from keystead.operations.grants import GrantKey, SetKeyFlags
from keystead.operations.requests import Destroy, Get, GetAttributes, Revoke, SetAttribute
from tests.support.builders import (
    ADMINISTRATOR,
    ALICE,
    BOB,
    GLOBAL,
    PERMISSIVE,
    Node,
    a_key,
    a_user,
    attribute,
    boolean,
    creation,
)

EXPORT = 128


@pytest.mark.row("KS-KMIP-008")
def test_key_export_is_off_unless_switched_on(node: Node) -> None:
    key = a_key(node)
    assert node.reason(ALICE, Get(key)) is None
    node.gate.switches = Switches(key_configuration=True)
    assert node.reason(ALICE, Get(key)) == "refused.switched_off"


@pytest.mark.row("KS-KMIP-040")
def test_get_gives_one_object_with_its_identifier_and_does_not_compress(node: Node) -> None:
    key = a_key(node)
    got = node.ask(ALICE, Get(key))
    assert (got.id, got.object_type) == (key, 2)
    assert node.reason(ALICE, Get(key, compression=1)) == "not_supported.compression"


@pytest.mark.parametrize(("wanted", "given"), [(None, 1), (1, 1), (2, 2), (7, 7), (3, None), (22, None)], ids=str)
def test_symmetric_keys_come_raw_opaque_or_transparent(node: Node, wanted: int | None, given: int | None) -> None:
    key = a_key(node)
    if given is None:
        assert node.reason(ALICE, Get(key, wanted)) == "not_supported.key_format"
    else:
        assert node.ask(ALICE, Get(key, wanted)).block.format == given


@pytest.mark.row("KS-KEY-009", "KS-KEY-023")
def test_a_key_that_is_not_exportable_leaves_for_nobody(node: Node) -> None:
    node.gate.switches = replace(PERMISSIVE, global_keys=True)
    key = a_key(node)
    member = a_user("carol", "staff")
    node.ask(ALICE, GrantKey(key, "staff", EXPORT))
    assert node.reason(member, Get(key)) is None
    for exportable, reason in ((False, "refused.permission"), (True, None)):
        node.ask(ADMINISTRATOR, SetKeyFlags(key, exportable=exportable))
        assert [node.reason(asker, Get(key)) for asker in (ALICE, member)] == [reason, reason]
    everybodys = a_key(node, GLOBAL)
    assert node.reason(BOB, Get(everybodys)) is None
    node.ask(ADMINISTRATOR, SetKeyFlags(everybodys, exportable=False))
    assert node.reason(BOB, Get(everybodys)) == "refused.permission"


def test_what_is_not_extractable_or_sensitive_stays_inside(node: Node) -> None:
    inside = node.ask(ALICE, creation(Extractable=boolean(False))).id
    assert node.reason(ALICE, Get(inside)) == "refused.not_extractable"
    secret = a_key(node)
    node.ask(ALICE, SetAttribute("Sensitive", boolean(True), secret))
    assert node.reason(ALICE, Get(secret)) == "refused.sensitive"
    assert node.reason(ALICE, SetAttribute("Sensitive", boolean(False), secret)) == "refused.permission"
    assert node.reason(ALICE, Get(secret)) == "refused.sensitive"


def test_a_key_is_fresh_until_it_was_first_given_out(node: Node) -> None:
    key = a_key(node)
    assert attribute(node, ALICE, key, "Fresh") is True
    before = node.record(key)
    node.ask(ALICE, Get(key))
    after = node.record(key)
    assert attribute(node, ALICE, key, "Fresh") is False
    assert (after.revision, after.last_change_us) == (before.revision + 1, before.last_change_us)
    node.ask(ALICE, Get(key))
    assert node.record(key).revision == after.revision


def test_keys_can_be_fetched_in_every_state_but_destroyed(node: Node) -> None:
    key = a_key(node, active=False)
    assert node.reason(ALICE, Get(key)) is None
    node.ask(ALICE, Revoke(2, target=key))
    assert node.reason(ALICE, Get(key)) is None
    node.ask(ALICE, Destroy(key))
    assert node.reason(ALICE, Get(key)) == "wrong_state.destroyed"
    assert node.reason(ALICE, GetAttributes(key)) is None


def test_while_the_module_is_locked_no_key_leaves(node: Node) -> None:
    key = a_key(node)
    node.ask(ALICE, Get(key))
    node.module.deactivate()
    assert node.reason(ALICE, Get(key)) == "unavailable.locked"
    node.unlock()
    assert node.reason(ALICE, Get(key)) is None


@pytest.mark.parametrize("target", ["", "not-a-uuid", "*", "018f0000-0000-7000-8000-000000000000", "ä" * 300])
def test_what_does_not_exist_is_not_found(node: Node, target: str) -> None:
    assert node.reason(ALICE, Get(target)) == ("invalid.missing" if not target else "not_found.item")


def test_all_protection_is_kept_when_freshness_goes(node: Node) -> None:
    key = a_key(node)
    node.change(key, protection=Protection(deletable=False, fresh=True))
    node.ask(ALICE, Get(key))
    assert node.record(key).protection == Protection(deletable=False, fresh=False)
