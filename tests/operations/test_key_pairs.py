"""Pairs that the server makes: both keys or none, their links, names, masks, formats, and who waits for them."""

from dataclasses import replace
from typing import Any

import pytest

from keystead.core.algorithms import Algorithm, UsageMask
from keystead.core.attribute_table import ObjectType
from keystead.core.attributes import Attribute, Value
from keystead.core.errors import Limited, Refused, TooLarge
from keystead.core.key_pairs import Curve, PairFormat
from keystead.core.permission import Right, Switches
from keystead.core.structures import TAG_RECOMMENDED_CURVE, made, name_value
from keystead.gate.call import Batch, Reply
from keystead.gate.workshop import PREPARED_PER_BATCH_COUNT_MAX, Outcome
from keystead.operations.create import CONDITIONAL_TESTS
from keystead.operations.grants import GrantKey
from keystead.operations.key_pairs import CreateKeyPair, Wishes
from keystead.operations.requests import (
    Activate,
    Condition,
    Destroy,
    Get,
    GetAttributes,
    Locate,
    Register,
    Revoke,
)
from keystead.trust import selftest
from keystead.trust.key_pairs import read_private, read_public, specification_of
from keystead.trust.selftest import ConditionalTests
from tests.support.builders import (
    ALICE,
    BOB,
    GLOBAL,
    PERMISSIVE,
    TEMPLATE,
    Node,
    a_user,
    attribute,
    attributes,
    boolean,
    creation,
    date,
    enumeration,
    integer,
)
from tests.support.key_pairs import HeldWorkshop, a_pair, key_registration, pair_request

PRIVATE, PUBLIC = ObjectType.PRIVATE_KEY, ObjectType.PUBLIC_KEY
RSA, EC = int(Algorithm.RSA), int(Algorithm.EC)
PUBLIC_KEY_LINK, PRIVATE_KEY_LINK = 0x102, 0x103


def curve(number: int) -> Value:
    return made("Cryptographic Domain Parameters", None, int(number))


def wishes(**more: Value) -> Wishes:
    return Wishes(attributes(**more))


def count_of_objects(node: Node) -> int:
    found: int = len(node.ask(ALICE, Locate(())).ids)
    return found


# -- both or none ----------------------------------------------------------------------------------------------------


@pytest.mark.row("KS-KMIP-019", "KS-KMIP-020", "KS-KEY-007")
@pytest.mark.parametrize(
    ("algorithm", "more"),
    [
        (RSA, {"Cryptographic_Length": integer(2048)}),
        (RSA, {}),
        (RSA, {"Cryptographic_Length": integer(4096)}),
        (EC, {}),
        (EC, {"Cryptographic_Length": integer(384)}),
        (Algorithm.ECDSA, {"Cryptographic_Domain_Parameters": curve(Curve.P_521)}),
        (EC, {"Cryptographic_Domain_Parameters": curve(Curve.SECP256K1)}),
        (Algorithm.ECDH, {"Cryptographic_Domain_Parameters": curve(Curve.CURVE25519)}),
        (Algorithm.ED25519, {}),
        (Algorithm.ED448, {}),
    ],
    ids=str,
)
def test_both_keys_are_made_and_fit_each_other(node: Node, algorithm: int, more: dict[str, Value]) -> None:
    made_pair = node.ask(ALICE, pair_request(algorithm, **more))
    private, public = (node.ask(ALICE, Get(key)) for key in (made_pair.private_id, made_pair.public_id))
    assert (private.object_type, public.object_type) == (PRIVATE, PUBLIC)
    key = read_private(private.block.format, private.block.material, private.block.algorithm)
    assert key.public_key() == read_public(public.block.format, public.block.material, public.block.algorithm)
    shape = node.record(made_pair.private_id).shape
    assert specification_of(key, algorithm)[:2] == (shape.algorithm, shape.length_bits)
    for record in map(node.record, (made_pair.private_id, made_pair.public_id)):
        assert (record.shape.algorithm, record.owner) == (algorithm, "alice")
        assert record.original_creation_us == node.clock.us
        assert record.attributes.first("Random Number Generator") is not None


@pytest.mark.row("KS-KMIP-031")
def test_each_key_links_to_the_other(node: Node) -> None:
    private, public = a_pair(node)
    for key, kind, other in ((private, PUBLIC_KEY_LINK, public), (public, PRIVATE_KEY_LINK, private)):
        links = node.record(key).attributes.instances("Link")
        assert [link.value for link in links] == [made("Link", kind, other)]
        assert node.ask(ALICE, Locate((Condition("Link", made("Link", kind, other)),))).ids == (key,)


@pytest.mark.parametrize(
    ("part", "bad"),
    [
        ("private", {"Cryptographic_Length": integer(100)}),
        ("public", {"Cryptographic_Length": integer(384)}),
        ("public", {"Cryptographic_Algorithm": enumeration(RSA)}),
        ("public", {"Cryptographic_Domain_Parameters": curve(Curve.P_384)}),
        ("private", {"Key_Format_Type": enumeration(PairFormat.PKCS_1)}),
        ("public", {"Key_Format_Type": enumeration(PairFormat.PKCS_8)}),
        ("public", {"Key_Format_Type": enumeration(PairFormat.RAW)}),
        ("public", {"State": enumeration(2)}),
        ("public", {"Unheard_Of": integer(1)}),
        ("public", {"Quantum_Safe": boolean(True)}),
        ("public", {"Activation_Date": date(10), "Deactivation_Date": date(5)}),
    ],
    ids=str,
)
def test_what_one_key_cannot_be_leaves_neither(node: Node, part: str, bad: dict[str, Value]) -> None:
    request = pair_request(EC, Cryptographic_Domain_Parameters=curve(Curve.P_256))
    more: dict[str, Any] = {part: wishes(**bad)}
    request = replace(request, **more)
    assert node.reason(ALICE, request) is not None
    assert count_of_objects(node) == 0
    assert node.reason(ALICE, pair_request(EC)) is None
    assert count_of_objects(node) == 2


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (CreateKeyPair(), "invalid.missing"),
        (pair_request(3), "invalid.algorithm"),
        (pair_request(5), "invalid.algorithm"),
        (pair_request(RSA, Cryptographic_Length=integer(1024)), "refused.switched_off"),
        (pair_request(RSA, Cryptographic_Length=integer(512)), "invalid.attribute_value"),
        (pair_request(RSA, Cryptographic_Length=integer(16_384)), "invalid.attribute_value"),
        (pair_request(EC, Cryptographic_Length=integer(192)), "refused.switched_off"),
        (pair_request(EC, Cryptographic_Domain_Parameters=curve(2)), "not_supported.cryptography"),
        (pair_request(Algorithm.ED25519, Cryptographic_Length=integer(448)), "invalid.attribute_value"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pairs_that_are_not_made(node: Node, request_: CreateKeyPair, reason: str) -> None:
    held = node.gate.workshop = HeldWorkshop()
    assert node.reason(ALICE, request_) == reason
    assert not held.held, "nothing is made for what is refused"
    assert count_of_objects(node) == 0


def test_outdated_sizes_are_made_where_legacy_algorithms_are_on(open_node: Node) -> None:
    for request in (
        pair_request(RSA, Cryptographic_Length=integer(1024)),
        pair_request(EC, Cryptographic_Domain_Parameters=curve(Curve.P_192)),
    ):
        assert open_node.reason(ALICE, request) is None


# -- what is said of them --------------------------------------------------------------------------------------------


def test_what_is_said_of_one_key_counts_more_than_what_is_common(node: Node) -> None:
    request = CreateKeyPair(
        wishes(Cryptographic_Algorithm=enumeration(EC), Comment=Value(7, "both"), Extractable=boolean(True)),
        Wishes(attributes("private", Comment=Value(7, "mine"), Extractable=boolean(False))),
        Wishes(attributes("public")),
    )
    created = node.ask(ALICE, request)
    for key, name, comment, extractable in (
        (created.private_id, "private", "mine", False),
        (created.public_id, "public", "both", True),
    ):
        assert attribute(node, ALICE, key, "Comment") == comment
        assert node.record(key).protection.extractable is extractable
        assert node.ask(ALICE, Locate((Condition("Name", name_value(name)),))).ids == (key,)


def test_templates_are_the_weakest_word_and_belong_to_their_part(node: Node) -> None:
    for name, comment in (("common", "of common"), ("private", "of private")):
        given = attributes(name, Comment=Value(7, comment))
        node.ask(ALICE, Register(TEMPLATE, None, given))
    algorithm = Attribute("Cryptographic Algorithm", 0, enumeration(EC))
    comments = []
    for private in (Wishes((), ("private",)), Wishes(attributes(Comment=Value(7, "own")), ("private",)), Wishes()):
        created = node.ask(ALICE, CreateKeyPair(Wishes((algorithm,), ("common",)), private))
        comments.append([attribute(node, ALICE, key, "Comment") for key in (created.private_id, created.public_id)])
    assert comments == [["of private", "of common"], ["own", "of common"], ["of common"] * 2]
    assert node.reason(ALICE, CreateKeyPair(Wishes((algorithm,), ("unknown",)))) == "not_found.item"
    assert node.reason(BOB, CreateKeyPair(Wishes((algorithm,), ("common",)))) == "not_found.item"


@pytest.mark.parametrize(
    ("algorithm", "private", "public"),
    [
        (RSA, UsageMask.SIGN | UsageMask.DECRYPT, UsageMask.VERIFY | UsageMask.ENCRYPT),
        (EC, UsageMask.SIGN, UsageMask.VERIFY),
        (Algorithm.ECDH, UsageMask.KEY_AGREEMENT, UsageMask.KEY_AGREEMENT),
        (Algorithm.ED25519, UsageMask.SIGN, UsageMask.VERIFY),
    ],
)
def test_keys_of_clients_that_give_no_mask_can_be_used(
    node: Node, algorithm: int, private: UsageMask, public: UsageMask
) -> None:
    """Some clients say algorithm and length and nothing else."""
    created = node.ask(ALICE, CreateKeyPair(wishes(Cryptographic_Algorithm=enumeration(algorithm))))
    assert node.record(created.private_id).shape.usage_mask == private
    assert node.record(created.public_id).shape.usage_mask == public


@pytest.mark.parametrize(
    ("algorithm", "form", "private", "public"),
    [
        (RSA, None, PairFormat.PKCS_1, PairFormat.PKCS_1),
        (EC, None, PairFormat.TRANSPARENT_EC_PRIVATE_KEY, PairFormat.TRANSPARENT_EC_PUBLIC_KEY),
        (Algorithm.ED25519, None, PairFormat.PKCS_8, PairFormat.X_509),
        (Algorithm.ED25519, PairFormat.RAW, PairFormat.RAW, PairFormat.RAW),
        (RSA, PairFormat.PKCS_1, PairFormat.PKCS_1, PairFormat.PKCS_1),
    ],
)
def test_formats_are_the_specifications_unless_asked_for(
    node: Node, algorithm: int, form: int | None, private: int, public: int
) -> None:
    more = {} if form is None else {"Key_Format_Type": enumeration(form)}
    created = node.ask(ALICE, pair_request(algorithm, **more))
    assert node.record(created.private_id).shape.format == private
    assert node.record(created.public_id).shape.format == public


def test_both_keys_say_on_which_curve_they_are(node: Node) -> None:
    for key in a_pair(node, Cryptographic_Length=integer(384)):
        domain = node.record(key).attributes.first("Cryptographic Domain Parameters")
        assert domain is not None
        assert domain.field(TAG_RECOMMENDED_CURVE) == Curve.P_384


def test_digests_are_of_the_bytes_that_are_kept(node: Node) -> None:
    from hashlib import sha256

    for key in a_pair(node):
        got = node.ask(ALICE, Get(key))
        assert node.record(key).digest == sha256(got.block.material.reveal()).digest()


# -- who may ---------------------------------------------------------------------------------------------------------


def test_pairs_are_made_only_while_clients_may_configure_keys(node: Node) -> None:
    node.gate.switches = Switches(key_export=True)
    assert node.reason(ALICE, pair_request()) == "refused.switched_off"


@pytest.mark.parametrize("algorithm", [RSA, EC])
def test_nobodys_keys_are_made_only_where_they_may_be_and_nothing_is_made_before(node: Node, algorithm: int) -> None:
    held = node.gate.workshop = HeldWorkshop()
    assert node.reason(GLOBAL, pair_request(algorithm)) == "refused.switched_off"
    assert not held.held
    node.gate.switches = replace(PERMISSIVE, global_keys=True)
    created = node.ask(GLOBAL, pair_request())
    assert node.record(created.private_id).owner is None


@pytest.mark.parametrize("algorithm", [RSA, EC])
def test_while_the_module_is_locked_nothing_is_made(node: Node, algorithm: int) -> None:
    held = node.gate.workshop = HeldWorkshop()
    node.module.deactivate()
    assert node.reason(ALICE, pair_request(algorithm)) == "unavailable.locked"
    assert not held.held


@pytest.mark.row("KS-KEY-022")
@pytest.mark.parametrize(
    ("algorithm", "possible"),
    [
        (RSA, {Right.ENCRYPT, Right.DECRYPT, Right.SIGN, Right.VERIFY}),
        (EC, {Right.SIGN, Right.VERIFY}),
        (Algorithm.ECDH, set()),
        (Algorithm.ED25519, {Right.SIGN, Right.VERIFY}),
    ],
    ids=["RSA", "EC", "ECDH", "Ed25519"],
)
def test_groups_are_granted_what_the_algorithm_can_do(node: Node, algorithm: int, possible: set[Right]) -> None:
    for key in a_pair(node, algorithm=algorithm):
        for right in Right:
            accepted = node.reason(ALICE, GrantKey(key, "staff", int(right))) is None
            assert accepted == (right in possible | {Right.SEE, Right.EXPORT}), right


def test_a_grant_on_one_key_shows_nothing_of_the_other(node: Node) -> None:
    private, public = a_pair(node)
    node.ask(ALICE, GrantKey(public, "staff", int(Right.VERIFY | Right.EXPORT)))
    member = a_user("carol", "staff")
    assert node.reason(member, Get(public)) is None
    assert node.reason(member, Get(private)) == "not_found.item"
    assert node.reason(member, GetAttributes(private)) == "not_found.item"


def test_each_key_has_a_life_of_its_own(node: Node) -> None:
    private, public = a_pair(node)
    node.ask(ALICE, Revoke(6, target=private))
    node.ask(ALICE, Destroy(private))
    assert node.reason(ALICE, Get(private)) == "wrong_state.destroyed"
    assert attribute(node, ALICE, private, "Link") is not None
    assert attribute(node, ALICE, public, "State") == 2
    assert node.reason(ALICE, Get(public)) is None


@pytest.mark.parametrize(
    ("flag", "reason"), [("Sensitive", "refused.sensitive"), ("Extractable", "refused.not_extractable")]
)
def test_a_private_key_may_stay_inside_and_its_public_key_leave(node: Node, flag: str, reason: str) -> None:
    private = wishes(**{flag: boolean(flag == "Sensitive"), "Cryptographic_Usage_Mask": integer(1)})
    created = node.ask(ALICE, replace(pair_request(), private=private))
    for wanted in (None, PairFormat.PKCS_8, PairFormat.TRANSPARENT_EC_PRIVATE_KEY):
        assert node.reason(ALICE, Get(created.private_id, wanted)) == reason
    assert node.reason(ALICE, Get(created.public_id)) is None


@pytest.mark.row("KS-LOG-013")
def test_the_log_names_the_private_key_and_what_was_made(node: Node) -> None:
    private, _ = a_pair(node, active=False, algorithm=RSA, Cryptographic_Length=integer(2048))
    (line,) = node.lines()
    assert f"CreateKeyPair {private} [RSA 2048 Deletable Exportable] 0 [Success]" in line


def test_the_private_key_is_what_the_rest_of_the_batch_means(node: Node) -> None:
    replies = node.batch(ALICE, [pair_request(), Activate(), Get()])
    assert [reply.error for reply in replies] == [None] * 3
    assert replies[2].result.id == replies[0].result.private_id


# -- made on another thread, and the batch run anew ------------------------------------------------------------------


@pytest.fixture
def held(node: Node) -> HeldWorkshop:
    """Keys of RSA are made when the test says so."""
    workshop = node.gate.workshop = HeldWorkshop()
    return workshop


def begun(node: Node, *requests: Any, go_on: bool = False) -> list[list[Reply]]:
    """The answers to a batch as they come."""
    answers: list[list[Reply]] = []
    node.gate.run(Batch(ALICE, requests, go_on, 7), answers.append)
    return answers


A_PAIR = pair_request(RSA, Cryptographic_Length=integer(2048))


def test_others_are_served_while_a_key_is_made(node: Node, held: HeldWorkshop) -> None:
    answers = begun(node, A_PAIR)
    assert (len(held.held), answers) == (1, [])
    other = node.ask(BOB, creation()).id
    assert node.reason(BOB, Get(other)) is None
    assert count_of_objects(node) == 0, "nothing of the batch has happened"
    held.work()
    ((reply,),) = answers
    assert reply.error is None
    assert count_of_objects(node) == 2


def test_a_batch_that_is_run_anew_leaves_nothing_twice(node: Node, held: HeldWorkshop) -> None:
    answers = begun(node, creation(), A_PAIR, creation(), A_PAIR, Get())
    for expected in (1, 1, 0):
        assert len(held.held) == expected
        assert bool(answers) is (expected == 0)
        held.work()
    (replies,) = answers
    assert [reply.error for reply in replies] == [None] * 5
    assert count_of_objects(node) == 6
    assert replies[4].result.id == replies[3].result.private_id
    assert sum("CreateKeyPair" in line for line in node.lines()) == 2
    assert sum(" Create " in line for line in node.lines()) == 2


def test_one_request_object_twice_in_a_batch_gives_two_different_keys(node: Node, held: HeldWorkshop) -> None:
    answers = begun(node, A_PAIR, A_PAIR)
    held.work()
    held.work()
    (replies,) = answers
    first, second = (node.ask(ALICE, Get(reply.result.public_id)).block.material for reply in replies)
    assert not first.matches(second)


def test_an_error_before_the_key_is_made_makes_none(node: Node, held: HeldWorkshop) -> None:
    (replies,) = begun(node, Get("unknown"), A_PAIR)
    assert len(replies) == 1
    assert not held.held


def test_a_batch_makes_so_many_and_no_more(node: Node, held: HeldWorkshop) -> None:
    count = PREPARED_PER_BATCH_COUNT_MAX + 1
    one = pair_request(RSA, Cryptographic_Length=integer(2048))
    answers = begun(node, *[one] * count, creation(), go_on=True)
    for _ in range(PREPARED_PER_BATCH_COUNT_MAX):
        assert not answers
        held.work()
    (replies,) = answers
    assert [reply.error is None for reply in replies] == [True] * (count - 1) + [False, True]
    assert isinstance(replies[count - 1].error, TooLarge)
    assert count_of_objects(node) == 2 * PREPARED_PER_BATCH_COUNT_MAX + 1


def test_when_too_much_is_waiting_the_request_is_told_to_come_again(node: Node) -> None:
    class Full:
        def submit(self, _make: Any, done: Any) -> None:
            done(Outcome(error=Limited("too many keys are being made; try again in a moment", 5.0)))

    node.gate.workshop = Full()
    (replies,) = begun(node, creation(), A_PAIR, creation(), go_on=True)
    assert [reply.error.reason if reply.error else None for reply in replies] == [None, "limited", None]
    assert count_of_objects(node) == 2


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        (lambda node: node.module.deactivate(), "unavailable.locked"),
        (lambda node: setattr(node.gate, "switches", Switches()), "refused.switched_off"),
    ],
    ids=["locked", "switched off"],
)
def test_what_holds_is_what_holds_when_the_key_is_there(
    node: Node, held: HeldWorkshop, meanwhile: Any, reason: str
) -> None:
    answers = begun(node, A_PAIR)
    meanwhile(node)
    held.work()
    ((reply,),) = answers
    assert reply.error is not None
    assert reply.error.reason == reason
    node.unlock()
    node.gate.switches = PERMISSIVE
    assert count_of_objects(node) == 0


def test_a_template_that_is_gone_meanwhile_is_not_found(node: Node, held: HeldWorkshop) -> None:
    template = node.ask(ALICE, Register(TEMPLATE, None, attributes("mould"))).id
    common = Wishes(A_PAIR.common.attributes, ("mould",))
    answers = begun(node, replace(A_PAIR, common=common))
    node.ask(ALICE, Destroy(template))
    held.work()
    ((reply,),) = answers
    assert reply.error is not None
    assert reply.error.reason == "not_found.item"


def test_a_failed_pairwise_test_stops_the_node(node: Node, held: HeldWorkshop, monkeypatch: pytest.MonkeyPatch) -> None:
    node.gate.services[CONDITIONAL_TESTS] = ConditionalTests()
    monkeypatch.setattr(selftest, "_fits", lambda _private, _public: False)
    answers = begun(node, A_PAIR)
    held.work()
    ((reply,),) = answers
    assert reply.error is not None
    assert reply.error.reason == "unavailable.self_test"
    assert node.reason(ALICE, Locate(())) == "unavailable.self_test"
    node.gate.failure = None
    assert count_of_objects(node) == 0


def test_a_mistake_of_ours_on_the_other_thread_is_one_answer(node: Node, held: HeldWorkshop) -> None:
    answers = begun(node, A_PAIR, creation(), go_on=True)
    ((_, done),) = held.held
    done(Outcome(error=MemoryError("no room")))
    (replies,) = answers
    assert [reply.error.reason if reply.error else None for reply in replies] == ["internal", None]


def test_refusals_of_a_batch_that_is_run_anew_are_told_once(node: Node, held: HeldWorkshop) -> None:
    key = node.ask(ALICE, creation()).id
    node.ask(ALICE, GrantKey(key, "staff", int(Right.SEE)))
    answers: list[list[Reply]] = []
    member = a_user("carol", "staff")
    node.gate.run(Batch(member, [Get(key), A_PAIR], True, 8), answers.append)
    held.work()
    (replies,) = answers
    assert isinstance(replies[0].error, Refused)
    assert replies[1].error is None
    assert sum(" Get " in line and "refused.permission" in line for line in node.lines()) == 1


# -- registered ones -------------------------------------------------------------------------------------------------


def test_keys_registered_beside_each_other_may_be_linked_by_the_client(node: Node) -> None:
    private = node.ask(ALICE, key_registration("P_256", private=True)).id
    link = made("Link", PRIVATE_KEY_LINK, private)
    public = node.ask(ALICE, key_registration("P_256", private=False, Link=link)).id
    assert node.record(public).attributes.first("Link") == link
