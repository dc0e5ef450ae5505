"""Re-key and Re-key Key Pair: what the replacement takes over, what stays, and who may."""

from typing import Any

import pytest

from keystead.core.attributes import Attribute, text
from keystead.core.errors import KeysteadError
from keystead.core.permission import Right
from keystead.core.structures import TAG_USAGE_LIMITS_COUNT, made, name_value
from keystead.operations.grants import GrantKey, SetKeyFlags
from keystead.operations.key_pairs import CreateKeyPair, Wishes
from keystead.operations.links import LinkType, link_of, linked
from keystead.operations.replacements import Rekey, RekeyKeyPair
from keystead.operations.requests import (
    AddAttribute,
    CipherParameters,
    Condition,
    Decrypt,
    Destroy,
    Encrypt,
    Get,
    Locate,
)
from keystead.trust.root import Role
from tests.support.builders import (
    ADMINISTRATOR,
    ALICE,
    BOB,
    START_US,
    Node,
    a_key,
    a_user,
    attribute,
    attributes,
    boolean,
    creation,
    date,
    enumeration,
    integer,
)

EC, P_256, RSA = 26, 7, 4
GCM = CipherParameters(mode=9, random_iv=True)
US_PER_S = 1_000_000


def a_pair(node: Node, **more: Any) -> tuple[str, str]:
    wishes = Wishes(attributes(Cryptographic_Algorithm=enumeration(EC), Cryptographic_Length=integer(256), **more))
    made_pair = node.ask(ALICE, CreateKeyPair(wishes, Wishes(attributes("private")), Wishes(attributes("public"))))
    return made_pair.private_id, made_pair.public_id


def test_the_replacement_takes_names_and_attributes_and_each_names_the_other(node: Node) -> None:
    old = a_key(node, x_Site=text("Ulm"))
    node.ask(ALICE, AddAttribute("Name", name_value("backups"), old))
    new = node.ask(ALICE, Rekey(old)).id
    assert node.ask(ALICE, Locate((Condition("Name", name_value("backups")),))).ids == (new,)
    assert attribute(node, ALICE, old, "Name") is None
    assert attribute(node, ALICE, new, "x-Site") == "Ulm"
    assert link_of(node.record(old).attributes, LinkType.REPLACEMENT_OBJECT) == new
    assert link_of(node.record(new).attributes, LinkType.REPLACED_OBJECT) == old
    shapes = [node.record(key).shape for key in (old, new)]
    assert shapes[0] == shapes[1]
    materials = [node.ask(ALICE, Get(key)).block.material.reveal() for key in (old, new)]
    assert materials[0] != materials[1]


def test_the_old_key_stays_active_and_usable(node: Node) -> None:
    old = a_key(node)
    sealed = node.ask(ALICE, Encrypt(b"before", old, GCM))
    new = node.ask(ALICE, Rekey(old)).id
    assert [attribute(node, ALICE, key, "State") for key in (old, new)] == [2, 2]
    assert node.ask(ALICE, Decrypt(sealed.data, old, GCM, sealed.iv, tag=sealed.tag)).data == b"before"
    assert node.ask(ALICE, Encrypt(b"after", old, GCM)).data


def test_what_the_request_names_is_added_or_taken_instead(node: Node) -> None:
    old = a_key(node)
    node.ask(ALICE, AddAttribute("Name", name_value("first"), old))
    wishes = Wishes((*attributes("second"), Attribute("Cryptographic Usage Mask", 0, integer(4))))
    new = node.ask(ALICE, Rekey(old, wishes=wishes)).id
    names = [a.value for a in node.record(new).attributes.instances("Name")]
    assert names == [name_value("first"), name_value("second")]
    assert node.record(new).shape.usage_mask == 4
    for changed in (attributes(Cryptographic_Length=integer(128)), attributes(Cryptographic_Algorithm=enumeration(28))):
        assert node.reason(ALICE, Rekey(new, wishes=Wishes(changed))) == "invalid.field"


def test_an_offset_moves_every_date_with_the_activation(node: Node) -> None:
    old = node.ask(
        ALICE, creation(Activation_Date=date(-100), Protect_Stop_Date=date(900), Deactivation_Date=date(1900))
    ).id
    new = node.record(node.ask(ALICE, Rekey(old, offset_s=50)).id)
    begun = new.dates.activation_us
    assert begun == START_US + 50 * US_PER_S
    assert (new.dates.protect_stop_us, new.dates.deactivation_us) == (begun + 1000 * US_PER_S, begun + 2000 * US_PER_S)
    assert node.reason(ALICE, Rekey(new.id, 5, Wishes(attributes(Activation_Date=date(9))))) == "invalid.message"
    stopping = node.ask(ALICE, creation(Deactivation_Date=date(1900))).id
    assert node.reason(ALICE, Rekey(stopping, offset_s=5)) == "wrong_state.object"


def test_a_replacement_is_not_born_dead(node: Node) -> None:
    old = node.ask(ALICE, creation(Activation_Date=date(-100), Deactivation_Date=date(-10))).id
    assert attribute(node, ALICE, old, "State") == 3
    assert attribute(node, ALICE, node.ask(ALICE, Rekey(old)).id, "State") == 2


def test_usage_limits_begin_anew(node: Node) -> None:
    old = a_key(node, Usage_Limits=made("Usage Limits", 9, None, 2))
    node.change(old, attributes=node.record(old).attributes.replaced("Usage Limits", 0, made("Usage Limits", 9, 1, 2)))
    new = node.record(node.ask(ALICE, Rekey(old)).id)
    limits = new.attributes.first("Usage Limits")
    assert limits is not None
    assert limits.field(TAG_USAGE_LIMITS_COUNT) == 9


def test_owner_and_groups_stay_what_they_were(node: Node) -> None:
    old = a_key(node)
    node.ask(ALICE, GrantKey(old, "staff", int(Right.EXPORT)))
    new = node.ask(ALICE, Rekey(old)).id
    assert node.record(new).owner == "alice"
    assert node.reason(a_user("carol", "staff"), Get(new)) is None
    assert node.reason(a_user("carol", "staff"), Rekey(new)) == "refused.permission"
    assert node.reason(BOB, Rekey(new)) == "not_found.item"


def test_what_cannot_be_replaced_says_why(node: Node) -> None:
    old = a_key(node)
    node.ask(ALICE, Rekey(old))
    assert node.reason(ALICE, Rekey(old)) == "refused.permission"  # its replacement can be
    gone = a_key(node, active=False)
    node.ask(ALICE, Destroy(gone))
    assert node.reason(ALICE, Rekey(gone)) == "wrong_state.destroyed"
    private, _ = a_pair(node)
    assert node.reason(ALICE, Rekey(private)) == "invalid.object_type"
    assert node.reason(ALICE, RekeyKeyPair(gone)) == "wrong_state.destroyed"
    assert node.reason(ALICE, RekeyKeyPair(a_key(node))) == "invalid.object_type"


def test_nothing_is_replaced_by_halves(node: Node) -> None:
    old = a_key(node)
    replies = node.batch(ALICE, [Rekey(old), Rekey(old)])
    assert [None if reply.error is None else reply.error.reason for reply in replies] == [None, "refused.permission"]
    before = node.record(old)
    node.module.logout(Role.CRYPTO_USER)
    with pytest.raises(KeysteadError):
        node.ask(ALICE, Rekey(replies[0].result.id))
    node.unlock()
    assert node.record(old) == before
    assert link_of(node.record(replies[0].result.id).attributes, LinkType.REPLACEMENT_OBJECT) is None


@pytest.mark.parametrize("algorithm", [EC, RSA])
def test_a_pair_is_replaced_with_both_halves_linked_both_ways(node: Node, algorithm: int) -> None:
    bits = 256 if algorithm == EC else 2048
    wishes = Wishes(
        attributes(
            Cryptographic_Algorithm=enumeration(algorithm), Cryptographic_Length=integer(bits), x_Site=text("Ulm")
        )
    )
    old = node.ask(ALICE, CreateKeyPair(wishes, Wishes(attributes("private")), Wishes(attributes("public"))))
    new = node.ask(ALICE, RekeyKeyPair(old.private_id))
    for before, after, name in (
        (old.private_id, new.private_id, "private"),
        (old.public_id, new.public_id, "public"),
    ):
        assert link_of(node.record(before).attributes, LinkType.REPLACEMENT_OBJECT) == after
        assert link_of(node.record(after).attributes, LinkType.REPLACED_OBJECT) == before
        assert node.record(after).attributes.first("Name") == name_value(name)
        assert node.record(before).attributes.first("Name") is None
        assert attribute(node, ALICE, after, "x-Site") == "Ulm"
    assert link_of(node.record(new.private_id).attributes, LinkType.PUBLIC_KEY) == new.public_id
    assert link_of(node.record(new.public_id).attributes, LinkType.PRIVATE_KEY) == new.private_id


def test_a_pair_without_its_other_half_is_not_replaced(node: Node) -> None:
    private, public = a_pair(node)
    node.ask(ALICE, Destroy(public))
    assert node.reason(ALICE, RekeyKeyPair(private)) == "wrong_state.destroyed"


def test_what_clients_may_not_export_or_delete_they_may_not_after_a_rekey(node: Node) -> None:
    old, (private, _) = a_key(node), a_pair(node)
    for key in (old, private):
        node.ask(ADMINISTRATOR, SetKeyFlags(key, deletable=False, exportable=False))
    for new in (node.ask(ALICE, Rekey(old)).id, node.ask(ALICE, RekeyKeyPair(private)).private_id):
        assert node.reason(ALICE, Get(new)) == "refused.permission"
        assert node.reason(ALICE, Destroy(new)) == "refused.permission"


def test_a_replacement_is_no_more_quantum_safe_than_its_algorithm(node: Node) -> None:
    wishes = Wishes(attributes(Quantum_Safe=boolean(True)))
    assert node.reason(ALICE, Rekey(a_key(node, bits=128), wishes=wishes)) == "invalid.not_quantum_safe"
    assert node.reason(ALICE, Rekey(a_key(node, bits=256), wishes=wishes)) is None


def test_a_pair_is_not_replaced_with_a_public_key_of_another_kind(node: Node) -> None:
    private, _ = a_pair(node)
    wishes = Wishes(attributes(Cryptographic_Algorithm=enumeration(EC), Cryptographic_Length=integer(384)))
    other = node.ask(ALICE, CreateKeyPair(wishes)).public_id
    links = linked(node.record(private).attributes.removed("Link"), LinkType.PUBLIC_KEY, other)
    node.change(private, attributes=links)
    assert node.reason(ALICE, RekeyKeyPair(private)) == "wrong_state.object"


def test_no_rsa_key_is_made_for_a_pair_that_was_replaced_or_while_locked(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes = Wishes(attributes(Cryptographic_Algorithm=enumeration(RSA), Cryptographic_Length=integer(2048)))
    old = node.ask(ALICE, CreateKeyPair(wishes)).private_id
    new = node.ask(ALICE, RekeyKeyPair(old)).private_id
    asked: list[Any] = []
    monkeypatch.setattr(node.gate.workshop, "submit", lambda _, done: asked.append(done))
    assert node.reason(ALICE, RekeyKeyPair(old)) == "refused.permission"
    node.module.logout(Role.CRYPTO_USER)
    assert node.reason(ALICE, RekeyKeyPair(new)) == "unavailable.locked"
    node.unlock()
    assert asked == []


def test_a_key_made_for_another_pair_is_not_taken(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the key for a pair of 2048 bits is made, the name that the batch looks for goes to one of 3072."""
    pairs = []
    for bits, name in ((2048, "in use"), (3072, "to come")):
        wishes = Wishes(attributes(Cryptographic_Algorithm=enumeration(RSA), Cryptographic_Length=integer(bits)))
        pairs.append(node.ask(ALICE, CreateKeyPair(wishes, Wishes(attributes(name)))).private_id)
    inner = node.gate.workshop.submit

    def submit(make: Any, done: Any) -> None:
        def renamed(outcome: Any) -> None:
            for private, name in zip(pairs, ("gone", "in use"), strict=True):
                left = node.record(private).attributes.removed("Name")
                node.change(private, attributes=left.added("Name", name_value(name)))
            done(outcome)

        inner(make, renamed)

    monkeypatch.setattr(node.gate.workshop, "submit", submit)
    (_, reply) = node.batch(ALICE, [Locate((Condition("Name", name_value("in use")),)), RekeyKeyPair()])
    assert reply.error is not None
    assert reply.error.reason == "conflict"


def test_a_replacement_is_guarded_no_less(node: Node) -> None:
    old = node.ask(ALICE, creation(Sensitive=boolean(True), Extractable=boolean(False))).id
    for wish in ({"Sensitive": boolean(False)}, {"Extractable": boolean(True)}):
        assert node.reason(ALICE, Rekey(old, wishes=Wishes(attributes(**wish)))) == "refused.permission"
    guards = node.record(node.ask(ALICE, Rekey(old)).id).protection
    assert (guards.sensitive, guards.extractable, guards.never_extractable) == (True, False, True)
