"""Keys that leave and arrive wrapped by other keys."""

from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystead.core.permission import Right, Switches
from keystead.core.secret import Secret
from keystead.core.structures import made
from keystead.operations.grants import GrantKey
from keystead.operations.requests import (
    Activate,
    CipherParameters,
    Encrypt,
    Get,
    GotWrapped,
    KeyBlock,
    Register,
    Revoke,
    SetAttribute,
    Wrapping,
)
from keystead.operations.wrapping import GetWrapped, RegisterWrapped
from tests.support.builders import (
    ALICE,
    BOB,
    DECRYPT,
    ENCRYPT,
    SYMMETRIC_KEY,
    Node,
    a_key,
    a_user,
    attributes,
    boolean,
    creation,
    integer,
    registration,
)

WRAP, UNWRAP = 0x10, 0x20
KEK = bytes(range(32))
GCM, KEY_WRAP, PADDED, CBC = (CipherParameters(mode=mode) for mode in (9, 13, 12, 1))
NO_ENCODING = 1


def raw(block: KeyBlock) -> bytes:
    return block.material.reveal()


def a_wrapper(node: Node, mask: int = WRAP | UNWRAP, **more: Any) -> str:
    key = node.ask(ALICE, registration(KEK, mask=mask, **more)).id
    node.ask(ALICE, Activate(key))
    return str(key)


def leaving(key: str, wrapper: str, parameters: CipherParameters | None = KEY_WRAP, **more: Any) -> GetWrapped:
    return GetWrapped(Get(key), Wrapping(wrapper, parameters, encoding=NO_ENCODING, **more), raw)


def arriving(data: bytes, wrapper: str, parameters: CipherParameters, iv: bytes | None = None) -> RegisterWrapped:
    block = KeyBlock(1, Secret(data), 3, 256)
    register = Register(SYMMETRIC_KEY, block, attributes(Cryptographic_Usage_Mask=integer(ENCRYPT | DECRYPT)))
    read = partial(lambda block, clear: block._replace(material=Secret(clear)), block)
    return RegisterWrapped(register, Wrapping(wrapper, parameters, encoding=NO_ENCODING), iv, read)


@pytest.mark.parametrize("parameters", [None, KEY_WRAP, PADDED, GCM])
def test_a_wrapped_key_is_the_key_for_who_has_the_other(node: Node, parameters: CipherParameters | None) -> None:
    key, wrapper = a_key(node), a_wrapper(node)
    clear = node.ask(ALICE, Get(key)).block.material.reveal()
    got = node.ask(ALICE, leaving(key, wrapper, parameters))
    data = got.block.material.reveal()
    if parameters is GCM:
        assert AESGCM(KEK).decrypt(got.iv, data, None) == clear
        assert node.ask(ALICE, leaving(key, wrapper, GCM)).iv != got.iv
    else:
        unwrap = keywrap.aes_key_unwrap_with_padding if parameters is PADDED else keywrap.aes_key_unwrap
        assert unwrap(KEK, data) == clear
    again = node.ask(ALICE, arriving(data, wrapper, parameters or KEY_WRAP, got.iv)).id
    assert node.ask(ALICE, Get(again)).block.material.reveal() == clear


def test_a_sensitive_key_leaves_wrapped_only_and_one_that_must_stay_does_not(node: Node) -> None:
    wrapper = a_wrapper(node)
    sensitive = a_key(node)
    node.ask(ALICE, SetAttribute("Sensitive", boolean(True), sensitive))
    assert node.reason(ALICE, Get(sensitive)) == "refused.sensitive"
    assert node.reason(ALICE, leaving(sensitive, wrapper)) is None
    inside = node.ask(ALICE, creation(Extractable=boolean(False))).id
    assert node.reason(ALICE, leaving(inside, wrapper)) == "refused.not_extractable"
    node.gate.switches = Switches(key_configuration=True)
    assert node.reason(ALICE, leaving(sensitive, wrapper)) == "refused.switched_off"


def test_the_wrapping_key_must_allow_it(node: Node) -> None:
    key = a_key(node)
    data = keywrap.aes_key_wrap(KEK, bytes(range(32)))
    assert node.reason(ALICE, leaving(key, a_wrapper(node, UNWRAP))) == "refused.usage_mask"
    old = a_wrapper(node)
    node.ask(ALICE, Revoke(1, target=old))
    assert node.reason(ALICE, leaving(key, old)) == "wrong_state.object"
    unwrapped = node.ask(ALICE, arriving(data, old, KEY_WRAP)).id  # what it wrapped stays readable
    assert node.ask(ALICE, Get(unwrapped)).block.material.reveal() == bytes(range(32))
    assert node.reason(ALICE, leaving(old, old)) == "refused.permission"


def test_nobody_wraps_or_unwraps_with_a_key_that_is_not_theirs(node: Node) -> None:
    wrapper = a_wrapper(node)
    bobs = a_key(node, BOB)
    data = keywrap.aes_key_wrap(KEK, bytes(range(32)))
    assert node.reason(BOB, leaving(bobs, wrapper)) == "not_found.item"
    assert node.reason(ALICE, leaving(bobs, wrapper)) == "not_found.item"
    assert isinstance(node.ask(BOB, Get(node.ask(BOB, arriving(data, wrapper, KEY_WRAP)).id)), GotWrapped)
    node.ask(ALICE, GrantKey(wrapper, "staff", int(Right.SEE)))
    assert node.reason(a_user("carol", "staff"), arriving(data, wrapper, KEY_WRAP)) == "refused.permission"
    node.ask(ALICE, GrantKey(wrapper, "staff", int(Right.DECRYPT)))
    member = a_user("carol", "staff")
    assert node.reason(member, leaving(a_key(node, member), wrapper)) == "refused.permission"
    assert node.reason(member, arriving(data, wrapper, KEY_WRAP)) is None


def test_changed_data_is_refused_and_nothing_is_kept(node: Node) -> None:
    wrapper = a_wrapper(node)
    wrapped = keywrap.aes_key_wrap(KEK, bytes(range(32)))
    sealed = AESGCM(KEK).encrypt(bytes(12), bytes(range(32)), None)
    before = len(node.objects.reader.changes_since(0)[1] or ())
    for data, parameters, iv in (
        (bytes(40), KEY_WRAP, None),
        (wrapped[:-8], KEY_WRAP, None),
        (b"", KEY_WRAP, None),
        (bytes([sealed[0] ^ 1]) + sealed[1:], GCM, bytes(12)),
        (sealed, GCM, bytes(11) + b"\1"),
    ):
        assert node.reason(ALICE, arriving(data, wrapper, parameters, iv)) in {"cryptography", "invalid.field"}
    assert node.reason(ALICE, arriving(sealed, wrapper, GCM)) == "invalid.missing_iv"
    assert node.reason(ALICE, arriving(sealed[:8], wrapper, GCM, bytes(12))) is not None
    assert len(node.objects.reader.changes_since(0)[1] or ()) == before


def test_what_is_not_offered_says_so(node: Node) -> None:
    key, wrapper = a_key(node), a_wrapper(node)
    assert node.reason(ALICE, leaving(key, wrapper, CBC)) == "not_supported.wrapping"
    assert node.reason(ALICE, leaving(key, wrapper, method=2)) == "not_supported.wrapping"
    assert node.reason(ALICE, leaving(key, wrapper, names=("Name",))) == "not_supported.wrapping"
    mac_key = node.ask(ALICE, creation(9, 256, WRAP)).id
    node.ask(ALICE, Activate(mac_key))
    assert node.reason(ALICE, leaving(key, mac_key)) == "not_supported.cryptography"
    opaque = node.ask(ALICE, Register(8, KeyBlock(2, Secret(b"bytes"), subtype=1), ())).id
    assert node.reason(ALICE, leaving(opaque, wrapper)) == "invalid.object_type"


def test_parameters_must_be_the_wrapping_keys_own_if_it_has_any(node: Node) -> None:
    wrapper = a_wrapper(node, Cryptographic_Parameters=made("Cryptographic Parameters", 13))
    key = a_key(node)
    assert node.reason(ALICE, leaving(key, wrapper, KEY_WRAP)) is None
    assert node.reason(ALICE, leaving(key, wrapper, None)) is None
    assert node.reason(ALICE, leaving(key, wrapper, GCM)) == "not_found.item"


def test_the_first_wrapped_get_makes_an_object_no_longer_fresh(node: Node) -> None:
    key, wrapper = a_key(node), a_wrapper(node)
    assert node.record(key).protection.fresh
    node.ask(ALICE, leaving(key, wrapper))
    assert not node.record(key).protection.fresh


@pytest.mark.parametrize("mask", [None, WRAP], ids=["unknown key", "key that only wraps"])
def test_what_nobody_here_can_unwrap_is_kept_as_it_came(node: Node, mask: int | None) -> None:
    wrapper = "42" if mask is None else a_wrapper(node, mask)
    data = keywrap.aes_key_wrap(KEK, bytes(range(32)))
    kept = node.ask(ALICE, arriving(data, wrapper, KEY_WRAP)).id
    got = node.ask(ALICE, Get(kept))
    assert isinstance(got, GotWrapped)
    assert (got.block.material.reveal(), got.wrapping, got.iv) == (data, Wrapping(wrapper, KEY_WRAP, 1, 1), None)
    assert node.reason(ALICE, Get(kept, wrap_type=1)) == "not_supported.wrapping"
    assert node.reason(ALICE, Get(kept, 2)) == "not_supported.key_format"
    assert node.reason(ALICE, leaving(kept, a_wrapper(node))) == "not_supported.wrapping"
    node.ask(ALICE, Activate(kept))
    assert node.reason(ALICE, Encrypt(b"data", kept, GCM, bytes(12))) == "wrong_state.object"
    assert node.record(kept).digest is None
    assert node.reason(BOB, Get(kept)) == "not_found.item"


@pytest.mark.parametrize("parameters", [KEY_WRAP, GCM])
def test_wrapping_spends_the_limits_of_the_wrapping_key(node: Node, parameters: CipherParameters) -> None:
    key, wrapper = a_key(node), a_wrapper(node, Usage_Limits=made("Usage Limits", 2, None, 2))
    reasons = [node.reason(ALICE, leaving(key, wrapper, parameters)) for _ in range(3)]
    assert reasons == [None, None, "refused.usage_limit"]


def test_the_first_get_of_what_is_kept_wrapped_makes_it_no_longer_fresh(node: Node) -> None:
    kept = node.ask(ALICE, arriving(keywrap.aes_key_wrap(KEK, bytes(range(32))), "42", KEY_WRAP)).id
    assert node.record(kept).protection.fresh
    node.ask(ALICE, Get(kept))
    assert not node.record(kept).protection.fresh


def test_what_arrives_wrapped_names_its_wrapping_key(node: Node) -> None:
    """The ID Placeholder does not count there; kept with an empty name nobody could ever unwrap it."""
    data = keywrap.aes_key_wrap(KEK, bytes(range(32)))
    assert node.reason(ALICE, arriving(data, "", KEY_WRAP)) == "invalid.field"
