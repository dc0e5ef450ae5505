"""Codes and hashes through the gate: who may, when, with what, and what it costs."""

from dataclasses import replace
from typing import Any

import pytest

from keystead.core.structures import TAG_USAGE_LIMITS_COUNT, made
from keystead.operations.macs import Hash, Mac, MacVerify
from keystead.operations.requests import Activate, CipherParameters, Destroy, Revoke
from tests.support.builders import (
    ALICE,
    HMAC_SHA256,
    PERMISSIVE,
    SECRET_DATA,
    Node,
    a_key,
    attribute,
    creation,
    date,
    registration,
)

HMAC_SHA1 = 7
MAC_GENERATE, MAC_VERIFY = 128, 256
BOTH = MAC_GENERATE | MAC_VERIFY
CMAC = CipherParameters(mode=7)
SHA_1, SHA_256 = 4, 6
DATA = b"data whose origin somebody wants to know"


def a_mac_key(node: Node, **more: Any) -> str:
    return a_key(node, **{"algorithm": HMAC_SHA256, "mask": BOTH, **more})


@pytest.mark.parametrize(
    ("algorithm", "parameters"),
    [(HMAC_SHA256, None), (HMAC_SHA256, CipherParameters(hashing=SHA_256, algorithm=HMAC_SHA256)), (3, CMAC)],
)
@pytest.mark.row("KS-KMIP-017")
def test_a_code_is_verified_and_a_wrong_one_is_not(
    node: Node, algorithm: int, parameters: CipherParameters | None
) -> None:
    key = a_mac_key(node, algorithm=algorithm)
    code = node.ask(ALICE, Mac(DATA, key, parameters)).code
    assert node.ask(ALICE, MacVerify(DATA, code, key, parameters)).is_valid
    assert not node.ask(ALICE, MacVerify(DATA + b".", code, key, parameters)).is_valid
    assert not node.ask(ALICE, MacVerify(DATA, code[:-1], key, parameters)).is_valid
    assert not node.ask(ALICE, MacVerify(DATA, b"", key, parameters)).is_valid


def test_a_known_key_gives_the_code_that_rfc_4231_gives(node: Node) -> None:
    key = node.ask(ALICE, registration(b"\x0b" * 20, HMAC_SHA256, BOTH)).id
    node.ask(ALICE, Activate(key))
    expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    assert node.ask(ALICE, Mac(b"Hi There", key)).code.hex() == expected


def test_the_keys_own_parameters_count_when_none_are_given(node: Node) -> None:
    key = a_mac_key(node, algorithm=3, Cryptographic_Parameters=made("Cryptographic Parameters", 7))
    assert node.ask(ALICE, Mac(DATA, key)).code == node.ask(ALICE, Mac(DATA, key, CMAC)).code


@pytest.mark.parametrize(
    ("mask", "request_for", "reason"),
    [
        (MAC_VERIFY, lambda key: Mac(DATA, key), "refused.usage_mask"),
        (MAC_GENERATE, lambda key: MacVerify(DATA, b"", key), "refused.usage_mask"),
        (BOTH, lambda key: Mac(DATA, key, CipherParameters(algorithm=3)), "invalid.cryptographic_parameters"),
        (BOTH, lambda key: Mac(DATA, key, CMAC), "invalid.cryptographic_parameters"),
    ],
)
def test_what_the_key_does_not_allow_is_refused(node: Node, mask: int, request_for: Any, reason: str) -> None:
    assert node.reason(ALICE, request_for(a_mac_key(node, mask=mask))) == reason


def test_codes_are_made_by_active_keys_and_verified_also_afterwards(node: Node) -> None:
    key = a_mac_key(node, active=False)
    assert node.reason(ALICE, Mac(DATA, key)) == "wrong_state.object"
    assert node.reason(ALICE, MacVerify(DATA, b"", key)) == "wrong_state.object"
    node.ask(ALICE, Activate(key))
    code = node.ask(ALICE, Mac(DATA, key)).code
    node.ask(ALICE, Revoke(6, target=key))
    assert node.reason(ALICE, Mac(DATA, key)) == "wrong_state.object"
    assert node.ask(ALICE, MacVerify(DATA, code, key)).is_valid
    node.ask(ALICE, Destroy(key))
    assert node.reason(ALICE, MacVerify(DATA, code, key)) == "wrong_state.destroyed"


def test_a_protect_stop_date_ends_making_and_not_verifying(node: Node) -> None:
    key = a_mac_key(node, Protect_Stop_Date=date(10))
    code = node.ask(ALICE, Mac(DATA, key)).code
    node.clock.pass_s(11)
    assert node.reason(ALICE, Mac(DATA, key)) == "wrong_state.object"
    assert node.ask(ALICE, MacVerify(DATA, code, key)).is_valid


def test_outdated_codes_are_verified_and_not_made_while_that_is_switched_off(node: Node) -> None:
    node.gate.switches = replace(PERMISSIVE, legacy_algorithms=True)
    key = a_mac_key(node, algorithm=HMAC_SHA1, bits=160)
    code = node.ask(ALICE, Mac(DATA, key)).code
    node.gate.switches = replace(PERMISSIVE, legacy_algorithms=False)
    assert node.reason(ALICE, Mac(DATA, key)) == "refused.switched_off"
    assert node.ask(ALICE, MacVerify(DATA, code, key)).is_valid


def test_making_a_code_spends_usage_limits(node: Node) -> None:
    limits = made("Usage Limits", 2, 2, 2)
    key = a_mac_key(node, Usage_Limits=limits)
    code = node.ask(ALICE, Mac(DATA, key)).code
    for _ in range(3):
        assert node.ask(ALICE, MacVerify(DATA, code, key)).is_valid
    left = {tag: content for tag, _, content in attribute(node, ALICE, key, "Usage Limits")}
    assert left[TAG_USAGE_LIMITS_COUNT] == 1
    node.ask(ALICE, Mac(DATA, key))
    assert node.reason(ALICE, Mac(DATA, key)) == "refused.usage_limit"


def test_other_objects_make_no_codes(node: Node) -> None:
    secret = node.ask(ALICE, creation()._replace(object_type=SECRET_DATA, attributes=())).id
    node.change(secret, shape=node.record(secret).shape._replace(usage_mask=BOTH))
    node.ask(ALICE, Activate(secret))
    assert node.reason(ALICE, Mac(DATA, secret)) == "invalid.object_type"


@pytest.mark.row("KS-LOG-013")
def test_the_log_says_what_was_done_and_nothing_of_the_data(node: Node) -> None:
    key = a_mac_key(node)
    code = node.ask(ALICE, Mac(DATA, key)).code
    node.ask(ALICE, MacVerify(DATA, code, key))
    node.ask(ALICE, Hash(DATA, SHA_256))
    lines = node.lines()[-3:]
    assert [line.split("[")[3].split("]")[0] for line in lines] == [
        "1 MAC HMAC-SHA256",
        "1 MACVerify HMAC-SHA256",
        "1 Hash sha256",
    ]
    assert not any(DATA.decode() in line or code.hex() in line for line in lines)
    assert DATA.decode() not in repr((Mac(DATA, key), MacVerify(DATA, code, key), Hash(DATA)))


def test_hashes_need_no_key_and_outdated_ones_the_switch(node: Node) -> None:
    digest = node.ask(ALICE, Hash(b"abc", SHA_256)).data
    assert digest.hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    node.gate.switches = replace(PERMISSIVE, legacy_algorithms=False)
    assert node.reason(ALICE, Hash(b"abc", SHA_1)) == "refused.switched_off"
    node.gate.switches = replace(PERMISSIVE, legacy_algorithms=True)
    assert node.ask(ALICE, Hash(b"abc", SHA_1)).data.hex() == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert node.reason(ALICE, Hash(b"abc")) == "invalid.missing"
    assert node.reason(ALICE, Hash(b"abc", 1)) == "not_supported.cryptography"
