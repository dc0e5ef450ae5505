"""Public and private keys that were made elsewhere: kept, fetched in other formats, encrypting and decrypting."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.core.algorithms import Algorithm, Padding
from keystead.core.attribute_table import ObjectType
from keystead.core.attributes import Value
from keystead.core.key_pairs import Curve, PairFormat
from keystead.core.permission import Right, Switches
from keystead.core.secret import Secret
from keystead.core.structures import TAG_RECOMMENDED_CURVE, TAG_USAGE_LIMITS_COUNT, made
from keystead.operations.grants import GrantKey
from keystead.operations.requests import (
    Activate,
    CipherParameters,
    Decrypt,
    Destroy,
    Encrypt,
    Get,
    KeyBlock,
    ModifyAttribute,
    Register,
    Revoke,
)
from keystead.trust.macs import Hashing
from tests.support.builders import (
    ALICE,
    BOB,
    PERMISSIVE,
    Node,
    a_key,
    a_user,
    attribute,
    attributes,
    boolean,
    enumeration,
    integer,
)
from tests.support.key_pairs import (
    DECRYPT,
    ENCRYPT,
    PRIVATE_FORMS,
    PUBLIC_FORMS,
    SPECIFICATIONS,
    a_pair,
    key_registration,
    private_bytes,
    public_bytes,
    rsa_pair,
)

PRIVATE, PUBLIC = ObjectType.PRIVATE_KEY, ObjectType.PUBLIC_KEY
LEGACY = replace(PERMISSIVE, legacy_algorithms=True)
STORED_PRIVATE = [(form, name) for form, names in PRIVATE_FORMS.items() for name in sorted(names)]
STORED_PUBLIC = [(form, name) for form, names in PUBLIC_FORMS.items() for name in sorted(names)]


def registered(node: Node, name: str, form: int, *, private: bool) -> str:
    node.gate.switches = LEGACY
    created: str = node.ask(ALICE, key_registration(name, private=private, form=form)).id
    return created


def of_other_forms(forms: dict[PairFormat, frozenset[str]], name: str) -> dict[int, bool]:
    """Format -> whether the key can be had in it."""
    return {form: name in names for form, names in forms.items()} | {2: False, 7: False, 22: False, 99: False}


# -- registering -----------------------------------------------------------------------------------------------------


@pytest.mark.row("KS-KMIP-019")
@pytest.mark.parametrize(("form", "name"), STORED_PRIVATE)
def test_a_private_key_comes_back_as_it_was_given_and_in_every_other_form_that_it_has(
    node: Node, form: PairFormat, name: str
) -> None:
    key = registered(node, name, form, private=True)
    got = node.ask(ALICE, Get(key))
    assert (got.object_type, got.block.format) == (PRIVATE, form)
    assert got.block.material.matches(private_bytes(name, form))
    for wanted, is_possible in of_other_forms(PRIVATE_FORMS, name).items():
        if is_possible:
            block = node.ask(ALICE, Get(key, wanted)).block
            assert block.format == wanted
            assert block.material.matches(private_bytes(name, wanted))
        else:
            assert node.reason(ALICE, Get(key, wanted)) == "not_supported.key_format"


@pytest.mark.row("KS-KMIP-020")
@pytest.mark.parametrize(("form", "name"), STORED_PUBLIC)
def test_a_public_key_comes_back_as_it_was_given_and_in_every_other_form_that_it_has(
    node: Node, form: PairFormat, name: str
) -> None:
    key = registered(node, name, form, private=False)
    got = node.ask(ALICE, Get(key))
    assert (got.object_type, got.block.format) == (PUBLIC, form)
    assert got.block.material.matches(public_bytes(name, form))
    for wanted, is_possible in of_other_forms(PUBLIC_FORMS, name).items():
        if is_possible:
            assert node.ask(ALICE, Get(key, wanted)).block.material.matches(public_bytes(name, wanted))
        else:
            assert node.reason(ALICE, Get(key, wanted)) == "not_supported.key_format"


@pytest.mark.parametrize("name", ["RSA", "P_384", "Ed25519", "X448"])
def test_the_bytes_say_what_was_not_told(node: Node, name: str) -> None:
    key = node.ask(ALICE, Register(PRIVATE, KeyBlock(PairFormat.PKCS_8, private_bytes(name)))).id
    shape, found = node.record(key).shape, SPECIFICATIONS[name]
    assert (shape.algorithm, shape.length_bits, shape.format) == (found.algorithm, found.length_bits, 4)
    domain = node.record(key).attributes.first("Cryptographic Domain Parameters")
    assert (domain.field(TAG_RECOMMENDED_CURVE) if domain is not None else 0) == found.curve
    assert node.record(key).digest == sha256(private_bytes(name).reveal()).digest()


@pytest.mark.parametrize(
    ("given", "block", "reason"),
    [
        ({"Cryptographic_Algorithm": enumeration(4)}, {}, "invalid.field"),
        ({"Cryptographic_Algorithm": enumeration(55)}, {}, "invalid.field"),
        ({}, {"algorithm": 4}, "invalid.field"),
        ({"Cryptographic_Algorithm": enumeration(6)}, {"algorithm": 26}, "invalid.field"),
        ({"Cryptographic_Length": integer(384)}, {}, "invalid.field"),
        ({}, {"length_bits": 384}, "invalid.field"),
        ({"Cryptographic_Length": integer(256)}, {"length_bits": 384}, "invalid.field"),
        ({"Key_Format_Type": enumeration(6)}, {}, "invalid.field"),
        (
            {"Cryptographic_Domain_Parameters": made("Cryptographic Domain Parameters", None, int(Curve.P_384))},
            {},
            "invalid.field",
        ),
        ({}, {"format": 6}, None),  # what it is, is seen from the bytes (docs/adr/0038)
        ({}, {"format": 3}, None),
        ({}, {"format": 1, "algorithm": 26, "length_bits": 256}, None),  # kept unread
        ({}, {"format": 2, "algorithm": 26, "length_bits": 256}, None),
        ({}, {"format": 2, "algorithm": 26}, "invalid.missing"),
        ({}, {"format": 2}, "invalid.missing"),
        ({}, {"format": 7}, "not_supported.key_format"),
        ({}, {"format": 8}, "not_supported.key_format"),
        ({}, {"format": 5}, "not_supported.key_format"),
        ({}, {"material": Secret(b"")}, "invalid.key"),
        ({}, {"material": Secret(b"garbage")}, "invalid.key"),
        ({}, {"material": Secret(bytes(65_537))}, "invalid.key"),
        ({"Quantum_Safe": boolean(True)}, {}, "invalid.not_quantum_safe"),
    ],
    ids=str,
)
def test_what_contradicts_the_bytes_or_is_none_of_them_is_refused(
    node: Node, given: dict[str, Value], block: dict[str, Any], reason: str | None
) -> None:
    found = KeyBlock(PairFormat.PKCS_8, private_bytes("P_256"))._replace(**block)
    assert node.reason(ALICE, Register(PRIVATE, found, attributes(**given))) == reason


def test_halves_are_not_kept_as_each_other(node: Node) -> None:
    for name in ("RSA", "P_256", "Ed25519"):
        assert node.reason(ALICE, Register(PUBLIC, KeyBlock(4, private_bytes(name)))) == "not_supported.key_format"
        assert node.reason(ALICE, Register(PUBLIC, KeyBlock(5, private_bytes(name)))) == "invalid.key"
        assert node.reason(ALICE, Register(PRIVATE, KeyBlock(4, public_bytes(name)))) == "invalid.key"


@pytest.mark.parametrize("name", ["P_192", "RSA"])
def test_outdated_keys_are_taken_only_where_legacy_algorithms_are_on(node: Node, name: str) -> None:
    key = rsa_pair(1024) if name == "RSA" else "P_192"
    for private in (True, False):
        request = key_registration(key, private=private)
        node.gate.switches = PERMISSIVE
        assert node.reason(ALICE, request) == "refused.switched_off"
        node.gate.switches = LEGACY
        assert node.reason(ALICE, request) is None


@given(st.binary(min_size=1, max_size=120), st.sampled_from(sorted(PairFormat)), st.sampled_from([PRIVATE, PUBLIC]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_bytes_are_registered_the_answer_is_no_mistake_of_ours(
    node: Node, data: bytes, form: int, object_type: int
) -> None:
    reason = node.reason(ALICE, Register(object_type, KeyBlock(form, Secret(data), int(Algorithm.EC))))
    assert reason != "internal"


# -- fetching --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [None, PairFormat.PKCS_8, PairFormat.EC_PRIVATE_KEY, PairFormat.PKCS_1, 99])
def test_no_format_is_a_way_around_what_keeps_a_key_inside(node: Node, wanted: int | None) -> None:
    flags: dict[str, dict[str, Any]] = {
        "refused.sensitive": {"Sensitive": boolean(True)},
        "refused.not_extractable": {"Extractable": boolean(False)},
    }
    for reason, flag in flags.items():
        key = node.ask(ALICE, key_registration("P_256", private=True, **flag)).id
        assert node.reason(ALICE, Get(key, wanted)) == reason
    key = node.ask(ALICE, key_registration("P_256", private=True)).id
    node.change(key, protection=node.record(key).protection._replace(exportable=False))
    assert node.reason(ALICE, Get(key, wanted)) == "refused.permission"
    node.change(key, protection=node.record(key).protection._replace(exportable=True))
    node.gate.switches = Switches(key_configuration=True)
    assert node.reason(ALICE, Get(key, wanted)) == "refused.switched_off"


@pytest.mark.parametrize("cached", [True, False], ids=["cache on", "cache off"])
def test_a_key_in_another_format_is_as_protected_as_in_its_own(node: Node, cached: bool) -> None:
    node.module.set_key_cache(enabled=cached)
    key = node.ask(ALICE, key_registration("P_256", private=True, Fresh=boolean(False))).id
    request = Get(key, PairFormat.EC_PRIVATE_KEY)
    first, second = (node.ask(ALICE, request).block.material for _ in range(2))
    assert first.matches(second)
    node.module.deactivate()
    assert node.reason(ALICE, request) == "unavailable.locked"
    node.unlock()
    node.ask(ALICE, Revoke(6, target=key))
    node.ask(ALICE, Destroy(key))
    assert node.reason(ALICE, request) == "wrong_state.destroyed"
    assert node.reason(BOB, request) == "not_found.item"


def test_the_first_fetch_in_another_format_ends_freshness_too(node: Node) -> None:
    private, _ = a_pair(node)
    assert attribute(node, ALICE, private, "Fresh") is True
    node.ask(ALICE, Get(private, PairFormat.PKCS_8))
    assert attribute(node, ALICE, private, "Fresh") is False


# -- encrypting ------------------------------------------------------------------------------------------------------

OAEP = CipherParameters(padding=int(Padding.OAEP), hashing=int(Hashing.SHA_256))
PKCS1 = CipherParameters(padding=int(Padding.PKCS1_V1_5))
DATA = b"data that a client wants to have encrypted"


@pytest.fixture
def rsa(node: Node) -> tuple[str, str]:
    """Alice's RSA key, active: decrypts, encrypts."""
    private = node.ask(ALICE, key_registration("RSA", private=True, mask=int(DECRYPT))).id
    public = node.ask(ALICE, key_registration("RSA", private=False, mask=int(ENCRYPT))).id
    return private, public


def test_what_the_public_key_encrypted_the_private_key_decrypts(node: Node, rsa: tuple[str, str]) -> None:
    private, public = rsa
    for parameters in (OAEP, OAEP._replace(mask_hashing=4, mask_generator=1, label=b"label", algorithm=4)):
        sealed = node.ask(ALICE, Encrypt(DATA, public, parameters))
        assert (sealed.iv, sealed.tag, sealed.detail) == (None, None, "1 Encrypt RSA/OAEP")
        opened = node.ask(ALICE, Decrypt(sealed.data, private, parameters))
        assert (opened.data, opened.detail) == (DATA, "1 Decrypt RSA/OAEP")
        assert node.ask(ALICE, Encrypt(DATA, public, parameters)).data != sealed.data


def test_halves_do_only_their_part_whatever_their_mask(node: Node) -> None:
    both = int(ENCRYPT | DECRYPT)
    private = node.ask(ALICE, key_registration("RSA", private=True, mask=both)).id
    public = node.ask(ALICE, key_registration("RSA", private=False, mask=both)).id
    assert node.reason(ALICE, Encrypt(DATA, private, OAEP)) == "invalid.cryptographic_parameters"
    assert node.reason(ALICE, Decrypt(bytes(256), public, OAEP)) == "invalid.cryptographic_parameters"


def test_masks_states_and_rights_decide(node: Node, rsa: tuple[str, str]) -> None:
    private, public = rsa
    sealed = node.ask(ALICE, Encrypt(DATA, public, OAEP)).data
    unmasked = node.ask(ALICE, key_registration("RSA", private=True)).id
    assert node.reason(ALICE, Decrypt(sealed, unmasked, OAEP)) == "refused.usage_mask"
    member = a_user("carol", "staff")
    node.ask(ALICE, GrantKey(private, "staff", int(Right.SIGN)))
    assert node.reason(member, Decrypt(sealed, private, OAEP)) == "refused.permission"
    node.ask(ALICE, GrantKey(private, "staff", int(Right.DECRYPT)))
    assert node.reason(member, Decrypt(sealed, private, OAEP)) is None
    assert node.reason(BOB, Decrypt(sealed, private, OAEP)) == "not_found.item"
    for key in rsa:
        node.ask(ALICE, Revoke(6, target=key))
    assert node.reason(ALICE, Encrypt(DATA, public, OAEP)) == "wrong_state.object"
    assert node.reason(ALICE, Decrypt(sealed, private, OAEP)) is None


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        (None, "invalid.cryptographic_parameters"),
        (CipherParameters(padding=2), "invalid.cryptographic_parameters"),
        (CipherParameters(hashing=6), "invalid.cryptographic_parameters"),
        (OAEP._replace(padding=10), "invalid.cryptographic_parameters"),
        (OAEP._replace(algorithm=3), "invalid.cryptographic_parameters"),
        (OAEP._replace(mode=9), "invalid.cryptographic_parameters"),
        (OAEP._replace(mask_generator=2), "not_supported.cryptography"),
        (OAEP._replace(hashing=9), "not_supported.cryptography"),
        (PKCS1, "refused.switched_off"),
    ],
    ids=str,
)
def test_what_is_not_said_or_not_offered_is_told(
    node: Node, rsa: tuple[str, str], parameters: CipherParameters | None, reason: str
) -> None:
    private, public = rsa
    assert node.reason(ALICE, Encrypt(DATA, public, parameters)) == reason
    assert node.reason(ALICE, Decrypt(bytes(256), private, parameters)) == reason


def test_pkcs1_v1_5_follows_its_switch_and_never_tells_a_wrong_padding(node: Node, rsa: tuple[str, str]) -> None:
    private, public = rsa
    node.gate.switches = replace(PERMISSIVE, legacy_modes=True)
    sealed = node.ask(ALICE, Encrypt(DATA, public, PKCS1)).data
    assert node.ask(ALICE, Decrypt(sealed, private, PKCS1)).data == DATA
    forged = [sealed[:-1] + bytes([sealed[-1] ^ 1]), b"\1" * 256, bytes(255) + b"\2"]
    assert [node.reason(ALICE, Decrypt(one, private, PKCS1)) for one in forged] == [None] * 3
    node.gate.switches = PERMISSIVE
    assert node.reason(ALICE, Decrypt(sealed, private, PKCS1)) == "refused.switched_off"


def test_what_fails_to_decrypt_says_no_more_than_that(node: Node, rsa: tuple[str, str]) -> None:
    private, public = rsa
    sealed = node.ask(ALICE, Encrypt(DATA, public, OAEP)).data
    other = node.ask(ALICE, Encrypt(DATA, public, OAEP._replace(label=b"other"))).data
    wrong = [sealed[:-1] + bytes([sealed[-1] ^ 1]), other, b"", bytes(256), b"\xff" * 256, sealed + b"\0"]
    lines = len(node.lines())
    reasons = {node.reason(ALICE, Decrypt(one, private, OAEP)) for one in wrong}
    assert len(reasons) == 1
    assert reasons != {None}
    assert len({line.split("Decrypt ")[1] for line in node.lines()[lines:]}) == 1


def test_outdated_keys_decrypt_and_encrypt_only_where_they_are_switched_on(node: Node) -> None:
    node.gate.switches = LEGACY
    short = rsa_pair(1024)
    private = node.ask(ALICE, key_registration(short, private=True, mask=int(DECRYPT))).id
    public = node.ask(ALICE, key_registration(short, private=False, mask=int(ENCRYPT))).id
    sealed = node.ask(ALICE, Encrypt(DATA, public, OAEP)).data
    node.gate.switches = PERMISSIVE
    assert node.reason(ALICE, Encrypt(DATA, public, OAEP)) == "refused.switched_off"
    assert node.ask(ALICE, Decrypt(sealed, private, OAEP)).data == DATA


def test_usage_limits_are_spent_by_encrypting(node: Node) -> None:
    limits = made("Usage Limits", 2, None, 2)
    public = node.ask(ALICE, key_registration("RSA", private=False, mask=int(ENCRYPT), Usage_Limits=limits)).id
    assert [node.reason(ALICE, Encrypt(DATA, public, OAEP)) for _ in range(3)] == [None, None, "refused.usage_limit"]
    left = node.record(public).attributes.first("Usage Limits")
    assert left is not None
    assert left.field(TAG_USAGE_LIMITS_COUNT) == 0


def test_what_is_held_of_a_key_follows_its_record(node: Node) -> None:
    own = made("Cryptographic Parameters", None, int(Padding.OAEP), int(Hashing.SHA_1))
    public = node.ask(ALICE, key_registration("RSA", private=False, mask=int(ENCRYPT), Cryptographic_Parameters=own)).id
    private = node.ask(ALICE, key_registration("RSA", private=True, mask=int(DECRYPT))).id
    before = node.ask(ALICE, Encrypt(DATA, public)).data
    changed = made("Cryptographic Parameters", None, int(Padding.OAEP), int(Hashing.SHA_512))
    node.ask(ALICE, ModifyAttribute("Cryptographic Parameters", changed, target=public))
    after = node.ask(ALICE, Encrypt(DATA, public)).data
    for sealed, hashing in ((before, Hashing.SHA_1), (after, Hashing.SHA_512)):
        assert node.ask(ALICE, Decrypt(sealed, private, OAEP._replace(hashing=int(hashing)))).data == DATA


def test_a_symmetric_key_does_not_pad_as_rsa_does(node: Node) -> None:
    assert node.reason(ALICE, Encrypt(DATA, a_key(node), OAEP)) is not None


def test_an_iv_or_a_tag_with_rsa_is_a_mistake(node: Node, rsa: tuple[str, str]) -> None:
    private, public = rsa
    for request in (
        Encrypt(DATA, public, OAEP, bytes(16)),
        Encrypt(DATA, public, OAEP, associated=b"a"),
        Decrypt(bytes(256), private, OAEP, bytes(16)),
        Decrypt(bytes(256), private, OAEP, tag=bytes(16)),
    ):
        assert node.reason(ALICE, request) == "invalid.cryptographic_parameters"


def test_keys_that_are_not_active_do_nothing(node: Node) -> None:
    private, public = a_pair(node, active=False, algorithm=int(Algorithm.RSA))
    node.change(public, shape=node.record(public).shape._replace(usage_mask=int(ENCRYPT)))
    assert node.reason(ALICE, Encrypt(DATA, public, OAEP)) == "wrong_state.object"
    node.ask(ALICE, Activate(public))
    assert node.reason(ALICE, Encrypt(DATA, public, OAEP)) is None
    assert node.reason(ALICE, Decrypt(bytes(256), private, OAEP)) == "refused.usage_mask"
