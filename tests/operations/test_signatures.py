"""Signatures through the gate: who may, when, with what, and what it costs."""

from dataclasses import replace
from typing import Any

import pytest

from keystead.core.algorithms import Algorithm, Padding
from keystead.core.permission import Right, Switches
from keystead.core.structures import TAG_USAGE_LIMITS_COUNT, made
from keystead.operations.grants import GrantKey
from keystead.operations.macs import Mac
from keystead.operations.requests import (
    Activate,
    AddAttribute,
    CipherParameters,
    Destroy,
    Encrypt,
    Revoke,
)
from keystead.operations.signatures import Sign, SignatureVerify
from keystead.trust.macs import HASHES, Hashing, digest
from tests.support import key_pairs as support
from tests.support.builders import (
    ALICE,
    BOB,
    GLOBAL,
    PERMISSIVE,
    Node,
    a_key,
    a_user,
    attributes,
    boolean,
    creation,
    date,
    integer,
)
from tests.support.key_pairs import DECRYPT, ENCRYPT, SIGN, VERIFY, a_pair, key_registration, pair_request

PSS = CipherParameters(hashing=int(Hashing.SHA_256), padding=int(Padding.PSS))
PKCS1_SHA_1 = CipherParameters(hashing=int(Hashing.SHA_1), padding=int(Padding.PKCS1_V1_5))
DATA = b"data that somebody answers for"
RSA = int(Algorithm.RSA)


@pytest.fixture
def pair(node: Node) -> tuple[str, str]:
    """Alice's key on P-256, active."""
    return a_pair(node)


def signature_of(node: Node, private: str, parameters: CipherParameters | None = None) -> bytes:
    signed: bytes = node.ask(ALICE, Sign(DATA, private, parameters)).signature
    return signed


@pytest.mark.row("KS-KMIP-019", "KS-KMIP-020")
@pytest.mark.parametrize(
    ("algorithm", "parameters", "words"),
    [
        (RSA, PSS, "RSA/PSS/sha256"),
        (RSA, CipherParameters(signature=5), "RSA/PKCS1/sha256"),
        (Algorithm.EC, None, "ECDSA/sha256"),
        (Algorithm.ED25519, None, "Ed25519"),
        (Algorithm.ED448, None, "Ed448"),
    ],
    ids=str,
)
def test_a_signature_fits_what_was_signed(
    node: Node, algorithm: int, parameters: CipherParameters | None, words: str
) -> None:
    private, public = a_pair(node, algorithm=algorithm)
    signed = node.ask(ALICE, Sign(DATA, private, parameters))
    assert (signed.id, signed.detail) == (private, f"1 Sign {words}")
    for data, fits in ((DATA, True), (DATA + b".", False)):
        judged = node.ask(ALICE, SignatureVerify(data, signed.signature, public, parameters))
        assert (judged.id, judged.is_valid, judged.detail) == (public, fits, f"1 SignatureVerify {words}")


def test_a_signature_that_does_not_fit_is_an_answer(node: Node, pair: tuple[str, str]) -> None:
    for signature in (b"", b"x", bytes(72), bytes(100_000)):
        assert node.ask(ALICE, SignatureVerify(DATA, signature, pair[1])).is_valid is False


def test_a_private_key_verifies_what_it_signed_if_its_mask_says_so(node: Node) -> None:
    private = node.ask(ALICE, key_registration("P_256", private=True, mask=int(SIGN | VERIFY))).id
    signature = signature_of(node, private)
    assert node.ask(ALICE, SignatureVerify(DATA, signature, private)).is_valid


def test_a_digest_is_signed_in_place_of_its_data(node: Node, pair: tuple[str, str]) -> None:
    private, public = pair
    hashed = digest(HASHES[Hashing.SHA_256], DATA)
    signature = node.ask(ALICE, Sign(hashed, private, is_digest=True)).signature
    assert node.ask(ALICE, SignatureVerify(DATA, signature, public)).is_valid
    assert node.ask(ALICE, SignatureVerify(hashed, signature, public, is_digest=True)).is_valid
    assert node.reason(ALICE, Sign(b"short", private, is_digest=True)) == "invalid.cryptographic_parameters"


def test_parameters_of_the_key_count_where_the_request_has_none(node: Node) -> None:
    own = made("Cryptographic Parameters", None, int(Padding.PSS), int(Hashing.SHA_512))
    private, public = a_pair(node, algorithm=RSA, Cryptographic_Parameters=own)
    signed = node.ask(ALICE, Sign(DATA, private))
    assert signed.detail == "1 Sign RSA/PSS/sha512"
    assert node.ask(ALICE, SignatureVerify(DATA, signed.signature, public)).is_valid
    assert node.ask(ALICE, Sign(DATA, private, PSS)).detail == "1 Sign RSA/PSS/sha256"
    assert node.reason(ALICE, Sign(DATA, private, CipherParameters(padding=10))) == "invalid.cryptographic_parameters"


# -- who and when ----------------------------------------------------------------------------------------------------


def test_masks_decide_what_a_key_does(node: Node) -> None:
    private = node.ask(ALICE, key_registration("RSA", private=True, mask=int(DECRYPT))).id
    public = node.ask(ALICE, key_registration("RSA", private=False, mask=int(ENCRYPT))).id
    assert node.reason(ALICE, Sign(DATA, private, PSS)) == "refused.usage_mask"
    assert node.reason(ALICE, SignatureVerify(DATA, b"s", public, PSS)) == "refused.usage_mask"
    assert node.reason(ALICE, SignatureVerify(DATA, b"s", private, PSS)) == "refused.usage_mask"


def test_only_private_keys_sign_and_only_keys_of_pairs_verify(node: Node, pair: tuple[str, str]) -> None:
    symmetric = a_key(node, mask=3)
    assert node.reason(ALICE, Sign(DATA, symmetric)) == "invalid.object_type"
    assert node.reason(ALICE, SignatureVerify(DATA, b"s", symmetric)) == "invalid.object_type"
    public = node.ask(ALICE, key_registration("P_256", private=False, mask=3)).id
    assert node.reason(ALICE, Sign(DATA, public)) == "invalid.object_type"


def test_a_public_key_is_no_secret_of_an_authentication_code(node: Node) -> None:
    """The classical confusion: a code made with bytes that everybody has."""
    for name in ("RSA", "P_256"):
        public = node.ask(ALICE, key_registration(name, private=False, mask=0x183)).id
        hmac = CipherParameters(hashing=int(Hashing.SHA_256), algorithm=int(Algorithm.HMAC_SHA256))
        assert node.reason(ALICE, Mac(DATA, public, hmac)) == "invalid.object_type"
        assert node.reason(ALICE, SignatureVerify(DATA, bytes(32), public, hmac)) == "invalid.cryptographic_parameters"


@pytest.mark.parametrize(
    ("change", "signs", "verifies"),
    [
        (None, None, None),
        (Revoke(6), "wrong_state.object", None),
        (Revoke(2), "wrong_state.object", None),
        ("destroy", "wrong_state.destroyed", "wrong_state.destroyed"),
    ],
    ids=["active", "deactivated", "compromised", "destroyed"],
)
def test_states_allow_what_they_allow(
    node: Node, pair: tuple[str, str], change: Any, signs: str | None, verifies: str | None
) -> None:
    signature = signature_of(node, pair[0])
    for key in pair:
        if change is not None:
            node.ask(ALICE, Revoke(6, target=key) if change == "destroy" else replace(change, target=key))
        if change == "destroy":
            node.ask(ALICE, Destroy(key))
    assert node.reason(ALICE, Sign(DATA, pair[0])) == signs
    assert node.reason(ALICE, SignatureVerify(DATA, signature, pair[1])) == verifies


def test_keys_work_once_they_are_active_and_within_their_dates(node: Node) -> None:
    private, public = a_pair(node, active=False)
    verification = SignatureVerify(DATA, b"s", public)
    assert node.reason(ALICE, Sign(DATA, private)) == "wrong_state.object"
    assert node.reason(ALICE, verification) == "wrong_state.object"
    for key in (private, public):
        node.ask(ALICE, Activate(key))
    assert node.reason(ALICE, Sign(DATA, private)) is None
    node.ask(ALICE, AddAttribute("Protect Stop Date", date(10), private))
    node.ask(ALICE, AddAttribute("Process Start Date", date(10), public))
    assert [node.reason(ALICE, one) for one in (Sign(DATA, private), verification)] == [None, "wrong_state.object"]
    node.clock.pass_s(10)
    assert [node.reason(ALICE, one) for one in (Sign(DATA, private), verification)] == ["wrong_state.object", None]


def test_members_of_a_group_do_what_it_was_granted(node: Node, pair: tuple[str, str]) -> None:
    private, public = pair
    signature = signature_of(node, private)
    member = a_user("carol", "staff")
    requests = (Sign(DATA, private), SignatureVerify(DATA, signature, public))
    assert [node.reason(member, request) for request in requests] == ["not_found.item"] * 2
    node.ask(ALICE, GrantKey(private, "staff", int(Right.VERIFY)))
    node.ask(ALICE, GrantKey(public, "staff", int(Right.SEE)))
    assert [node.reason(member, request) for request in requests] == ["refused.permission"] * 2
    node.ask(ALICE, GrantKey(private, "staff", int(Right.SIGN)))
    node.ask(ALICE, GrantKey(public, "staff", int(Right.VERIFY)))
    assert [node.reason(member, request) for request in requests] == [None] * 2
    assert [node.reason(stranger, requests[0]) for stranger in (BOB, GLOBAL)] == ["not_found.item"] * 2


def test_what_may_not_leave_signs_inside(node: Node) -> None:
    private = attributes(
        Extractable=boolean(False),
        Sensitive=boolean(True),
        Cryptographic_Usage_Mask=integer(int(SIGN)),
        Activation_Date=date(-1),
    )
    request = pair_request()
    created = node.ask(ALICE, replace(request, private=request.private._replace(attributes=private)))
    assert node.reason(ALICE, Sign(DATA, created.private_id)) is None


def test_export_and_configuration_may_be_off_while_keys_sign(node: Node, pair: tuple[str, str]) -> None:
    node.gate.switches = Switches()
    assert node.reason(ALICE, Sign(DATA, pair[0])) is None
    assert node.reason(ALICE, SignatureVerify(DATA, b"s", pair[1])) is None


# -- outdated ones ---------------------------------------------------------------------------------------------------


def test_outdated_hashes_verify_and_sign_only_where_they_are_switched_on(open_node: Node) -> None:
    private, public = a_pair(open_node, algorithm=RSA)
    signature = signature_of(open_node, private, PKCS1_SHA_1)
    open_node.gate.switches = PERMISSIVE
    assert open_node.reason(ALICE, Sign(DATA, private, PKCS1_SHA_1)) == "refused.switched_off"
    assert open_node.ask(ALICE, SignatureVerify(DATA, signature, public, PKCS1_SHA_1)).is_valid
    assert open_node.reason(ALICE, Sign(DATA, private, PSS)) is None


def test_outdated_keys_verify_and_sign_only_where_they_are_switched_on(open_node: Node) -> None:
    on = open_node.gate.switches
    for key, parameters in ((support.pair("P_192"), None), (support.rsa_pair(1024), PSS)):
        private, public = (
            open_node.ask(ALICE, support.key_registration(key, private=private)).id for private in (True, False)
        )
        signature = signature_of(open_node, private, parameters)
        open_node.gate.switches = PERMISSIVE
        assert open_node.reason(ALICE, Sign(DATA, private, parameters)) == "refused.switched_off"
        assert open_node.ask(ALICE, SignatureVerify(DATA, signature, public, parameters)).is_valid
        open_node.gate.switches = on


# -- what it costs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "left"), [(1, [70, 40, 10]), (2, [99, 98, 97])], ids=["bytes", "objects"])
def test_signing_spends_usage_limits_durably_and_verifying_does_not(node: Node, unit: int, left: list[int]) -> None:
    private, public = a_pair(node, Usage_Limits=made("Usage Limits", 100, None, unit))
    signature = b""
    for expected in left:
        signature = signature_of(node, private)
        limits = node.record(private).attributes.first("Usage Limits")
        assert limits is not None
        assert limits.field(TAG_USAGE_LIMITS_COUNT) == expected
    assert node.ask(ALICE, SignatureVerify(DATA, signature, public)).is_valid
    spent = node.record(public).attributes.first("Usage Limits")
    assert spent is not None
    assert spent.field(TAG_USAGE_LIMITS_COUNT) == 100
    if unit == 1:
        assert node.reason(ALICE, Sign(DATA, private)) == "refused.usage_limit"
        assert node.reason(ALICE, Sign(b"10 bytes..", private)) is None


def test_what_was_refused_spends_nothing(node: Node) -> None:
    private, _ = a_pair(node, Usage_Limits=made("Usage Limits", 100, None, 2))
    assert node.reason(ALICE, Sign(DATA, private, PSS)) == "invalid.cryptographic_parameters"
    node.module.deactivate()
    assert node.reason(ALICE, Sign(DATA, private)) == "unavailable.locked"
    node.unlock()
    limits = node.record(private).attributes.first("Usage Limits")
    assert limits is not None
    assert limits.field(TAG_USAGE_LIMITS_COUNT) == 100


@pytest.mark.parametrize("cached", [True, False], ids=["cache on", "cache off"])
def test_the_very_next_request_knows_what_has_changed(node: Node, cached: bool) -> None:
    node.module.set_key_cache(enabled=cached)
    private, public = a_pair(node)
    request = Sign(DATA, private)
    assert [node.reason(ALICE, request) for _ in range(3)] == [None] * 3
    assert bool(node.keyring.ready) is cached
    node.module.deactivate()
    assert node.reason(ALICE, request) == "unavailable.locked"
    assert node.reason(ALICE, SignatureVerify(DATA, b"s", public)) == "unavailable.locked"
    assert not node.keyring.ready
    node.unlock()
    assert node.reason(ALICE, request) is None
    node.change(private, shape=node.record(private).shape._replace(usage_mask=int(VERIFY)))
    assert node.reason(ALICE, request) == "refused.usage_mask"
    node.change(private, shape=node.record(private).shape._replace(usage_mask=int(SIGN)))
    node.ask(ALICE, Revoke(6, target=private))
    assert node.reason(ALICE, request) == "wrong_state.object"


@pytest.mark.row("KS-LOG-013")
def test_each_signature_has_a_line_with_its_scheme(node: Node, pair: tuple[str, str]) -> None:
    private, public = pair
    signature = signature_of(node, private)
    node.ask(ALICE, SignatureVerify(DATA, signature, public))
    lines = node.lines()[-2:]
    assert f"7 Sign {private} [1 Sign ECDSA/sha256] 0 [Success]" in lines[0]
    assert f"7 SignatureVerify {public} [1 SignatureVerify ECDSA/sha256] 0 [Success]" in lines[1]


def test_requests_do_not_show_their_data() -> None:
    shown = repr(Sign(DATA, "key")) + repr(SignatureVerify(DATA, b"signature", "key"))
    assert "somebody" not in shown


def test_keys_of_curves_do_not_encrypt_and_symmetric_ones_do_not_sign(node: Node) -> None:
    oaep = CipherParameters(padding=int(Padding.OAEP), hashing=int(Hashing.SHA_256))
    for algorithm in (Algorithm.EC, Algorithm.ED25519):
        created = node.ask(ALICE, pair_request(algorithm, Activation_Date=date(-1)))
        node.change(created.public_id, shape=node.record(created.public_id).shape._replace(usage_mask=int(ENCRYPT)))
        assert node.reason(ALICE, Encrypt(DATA, created.public_id, oaep)) == "not_supported.cryptography"
    symmetric = node.ask(ALICE, creation(mask=3)).id
    node.ask(ALICE, Activate(symmetric))
    assert node.reason(ALICE, Sign(DATA, symmetric)) == "invalid.object_type"
