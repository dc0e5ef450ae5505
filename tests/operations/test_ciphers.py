"""Encrypting and decrypting with served keys."""

from dataclasses import replace
from typing import Any

import pytest

from keystead.core.attributes import Attribute, text
from keystead.core.errors import KeysteadError
from keystead.core.permission import Switches
from keystead.core.secret import Secret
from keystead.core.structures import TAG_USAGE_LIMITS_COUNT, made
from keystead.gate import leases
from keystead.operations.ciphers import budget_of
from keystead.operations.requests import (
    Activate,
    AddAttribute,
    CipherParameters,
    Create,
    Decrypt,
    Destroy,
    Encrypt,
    KeyBlock,
    ModifyAttribute,
    Register,
    Revoke,
)
from keystead.storage.store import KIND_COUNTER
from keystead.trust.ciphers import SUITES
from keystead.trust.keyring import READY_COUNT_MAX
from tests.support.builders import (
    ALICE,
    CBC,
    CTR,
    DECRYPT,
    DES3,
    ECB,
    ENCRYPT,
    EVERYTHING,
    GCM,
    HMAC_SHA256,
    PERMISSIVE,
    PKCS5,
    SECRET_DATA,
    Node,
    a_key,
    attribute,
    date,
    integer,
    registration,
)

CHACHA20, CHACHA20_POLY1305, RC4, DES = 28, 30, 22, 1
RANDOM_GCM = CipherParameters(mode=GCM, random_iv=True)
RANDOM_CBC = CipherParameters(mode=CBC, padding=PKCS5, random_iv=True)
DATA = b"sixty-four bytes of data that a client wants to have encrypted.."


def back(node: Node, key: str, encrypted: Any, parameters: CipherParameters | None) -> bytes:
    iv = encrypted.iv
    decrypted = node.ask(ALICE, Decrypt(encrypted.data, key, parameters, iv, tag=encrypted.tag))
    data: bytes = decrypted.data
    return data


@pytest.mark.parametrize(
    ("algorithm", "bits", "parameters"),
    [
        (3, 128, RANDOM_GCM),
        (3, 256, RANDOM_GCM),
        (3, 256, RANDOM_GCM._replace(tag_length_bytes=12)),
        (3, 192, RANDOM_CBC),
        (3, 256, CipherParameters(mode=CTR, random_iv=True)),
        (3, 256, CipherParameters(mode=ECB, padding=PKCS5)),
        (CHACHA20_POLY1305, 256, CipherParameters(random_iv=True)),
        (CHACHA20, 256, CipherParameters(random_iv=True)),
        (DES3, 168, RANDOM_CBC),
        (DES3, 112, RANDOM_CBC),
        (DES, 56, RANDOM_CBC),
        (RC4, 128, CipherParameters()),
    ],
)
@pytest.mark.parametrize("size_bytes", [0, 1, 64, 1000])
def test_what_was_encrypted_comes_back(
    open_node: Node, algorithm: int, bits: int, parameters: CipherParameters, size_bytes: int
) -> None:
    key = a_key(open_node, algorithm=algorithm, bits=bits)
    data = (DATA * 20)[:size_bytes]
    encrypted = open_node.ask(ALICE, Encrypt(data, key, parameters))
    assert not size_bytes > 16 or data[:16] not in encrypted.data
    assert back(open_node, key, encrypted, parameters) == data


def test_a_known_answer(open_node: Node) -> None:
    """FIPS 197 appendix C.1, in ECB."""
    key = open_node.ask(ALICE, registration(bytes(range(16)), Activation_Date=date(-1))).id
    clear = bytes.fromhex("00112233445566778899aabbccddeeff")
    encrypted = open_node.ask(ALICE, Encrypt(clear, key, CipherParameters(mode=ECB)))
    assert encrypted.data.hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


@pytest.mark.parametrize("parameters", [RANDOM_GCM, RANDOM_CBC], ids=["gcm", "cbc"])
def test_random_ivs_are_fresh_for_every_use(node: Node, parameters: CipherParameters) -> None:
    key = a_key(node)
    answers = [node.ask(ALICE, Encrypt(DATA, key, parameters)) for _ in range(50)]
    assert len({answer.iv for answer in answers}) == len({answer.data for answer in answers}) == 50


def test_an_iv_of_the_asker_is_used_and_not_repeated_to_them(node: Node) -> None:
    key = a_key(node)
    answer = node.ask(ALICE, Encrypt(DATA, key, RANDOM_GCM, bytes(12)))
    assert answer.iv is None
    assert node.ask(ALICE, Decrypt(answer.data, key, RANDOM_GCM, bytes(12), tag=answer.tag)).data == DATA


@pytest.mark.parametrize("parameters", [CipherParameters(mode=GCM), CipherParameters(mode=CBC, padding=PKCS5)])
def test_without_an_iv_nothing_is_done(node: Node, parameters: CipherParameters) -> None:
    key = a_key(node)
    assert node.reason(ALICE, Encrypt(DATA, key, parameters)) == "invalid.missing_iv"
    request = Decrypt(DATA, key, parameters, tag=bytes(16) if parameters.mode == GCM else None)
    assert node.reason(ALICE, request) == "invalid.missing_iv"


@pytest.mark.parametrize("length_bits", [64, 88, 4, 2000])
def test_a_random_iv_is_not_too_short(node: Node, length_bits: int) -> None:
    parameters = RANDOM_GCM._replace(iv_length_bits=length_bits)
    assert node.reason(ALICE, Encrypt(DATA, a_key(node), parameters)) == "invalid.cryptographic_parameters"


@pytest.mark.parametrize("length", [0, 1, 11, 17, 32])
def test_tags_have_a_sensible_length(node: Node, length: int) -> None:
    parameters = RANDOM_GCM._replace(tag_length_bytes=length)
    assert node.reason(ALICE, Encrypt(DATA, a_key(node), parameters)) == "invalid.cryptographic_parameters"


def test_every_failure_to_decrypt_reads_the_same(node: Node) -> None:
    key, other = a_key(node), a_key(node)
    gcm = node.ask(ALICE, Encrypt(DATA, key, RANDOM_GCM))
    cbc = node.ask(ALICE, Encrypt(DATA, key, RANDOM_CBC))
    requests = [
        Decrypt(gcm.data, key, RANDOM_GCM, gcm.iv, tag=bytes(16)),
        Decrypt(gcm.data[:-1], key, RANDOM_GCM, gcm.iv, tag=gcm.tag),
        Decrypt(gcm.data, key, RANDOM_GCM, bytes(12), tag=gcm.tag),
        Decrypt(gcm.data, key, RANDOM_GCM, gcm.iv, b"associated", gcm.tag),
        Decrypt(gcm.data, other, RANDOM_GCM, gcm.iv, tag=gcm.tag),
        Decrypt(cbc.data[:-1], key, RANDOM_CBC, cbc.iv),
        Decrypt(cbc.data[:-16], key, RANDOM_CBC, cbc.iv),
        Decrypt(b"", key, RANDOM_CBC, cbc.iv),
    ]
    errors = set()
    for request in requests:
        with pytest.raises(KeysteadError) as raised:
            node.ask(ALICE, request)
        errors.add((raised.value.reason, raised.value.message))
    assert len(errors) == 1
    assert errors.pop()[0] == "cryptography"


def test_the_objects_own_parameters_count_when_none_are_given(node: Node) -> None:
    own = made("Cryptographic Parameters", CBC, PKCS5, None, None, None, None, True)
    key = a_key(node, Cryptographic_Parameters=own)
    encrypted = node.ask(ALICE, Encrypt(DATA, key))
    assert (encrypted.detail, len(encrypted.iv)) == ("1 Encrypt AES/CBC/PKCS5", 16)
    assert node.ask(ALICE, Decrypt(encrypted.data, key, iv=encrypted.iv)).data == DATA


def test_without_any_parameters_a_block_cipher_does_nothing(node: Node) -> None:
    assert node.reason(ALICE, Encrypt(DATA, a_key(node))) == "not_supported.cryptography"


def test_parameters_of_another_algorithm_are_refused(node: Node) -> None:
    parameters = RANDOM_GCM._replace(algorithm=DES3)
    assert node.reason(ALICE, Encrypt(DATA, a_key(node), parameters)) == "invalid.cryptographic_parameters"


@pytest.mark.parametrize(
    ("mask", "encrypts", "decrypts"), [(ENCRYPT, True, False), (DECRYPT, False, True), (3, False, False)]
)
def test_the_usage_mask_decides(node: Node, mask: int, encrypts: bool, decrypts: bool) -> None:
    key = a_key(node, mask=mask)
    assert node.reason(ALICE, Encrypt(DATA, key, RANDOM_GCM)) == (None if encrypts else "refused.usage_mask")
    failure = node.reason(ALICE, Decrypt(DATA, key, RANDOM_GCM, bytes(12), tag=bytes(16)))
    assert failure == ("cryptography" if decrypts else "refused.usage_mask")


def test_only_active_keys_protect_and_revoked_ones_still_process(node: Node) -> None:
    key = a_key(node, active=False)
    assert node.reason(ALICE, Encrypt(DATA, key, RANDOM_GCM)) == "wrong_state.object"
    assert node.reason(ALICE, Decrypt(DATA, key, RANDOM_GCM, bytes(12), tag=bytes(16))) == "wrong_state.object"
    node.ask(ALICE, Activate(key))
    encrypted = node.ask(ALICE, Encrypt(DATA, key, RANDOM_GCM))
    for code in (6, 2):
        node.ask(ALICE, Revoke(code, target=key))
        assert node.reason(ALICE, Encrypt(DATA, key, RANDOM_GCM)) == "wrong_state.object"
        assert back(node, key, encrypted, RANDOM_GCM) == DATA


def test_process_start_and_protect_stop_dates_count_to_the_moment(node: Node) -> None:
    key = a_key(node)
    encrypted = node.ask(ALICE, Encrypt(DATA, key, RANDOM_GCM))
    node.ask(ALICE, AddAttribute("Process Start Date", date(10), key))
    node.ask(ALICE, AddAttribute("Protect Stop Date", date(10), key))
    decryption = Decrypt(encrypted.data, key, RANDOM_GCM, encrypted.iv, tag=encrypted.tag)
    encryption = Encrypt(DATA, key, RANDOM_GCM)
    assert [node.reason(ALICE, request) for request in (decryption, encryption)] == ["wrong_state.object", None]
    node.clock.pass_s(10)
    assert [node.reason(ALICE, request) for request in (decryption, encryption)] == [None, "wrong_state.object"]


def test_secret_data_and_mac_keys_do_not_encrypt(node: Node) -> None:
    block = KeyBlock(1, Secret(bytes(32)))
    secret = node.ask(ALICE, Register(SECRET_DATA, block, (Attribute("Cryptographic Usage Mask", 0, integer(12)),))).id
    node.ask(ALICE, Activate(secret))
    assert node.reason(ALICE, Encrypt(DATA, secret, RANDOM_GCM)) == "invalid.object_type"
    assert (
        node.reason(ALICE, Encrypt(DATA, a_key(node, algorithm=HMAC_SHA256), RANDOM_GCM))
        == "not_supported.cryptography"
    )


def test_outdated_algorithms_and_modes_follow_their_switches(open_node: Node) -> None:
    """An outdated key decrypts what it once protected; an outdated mode is off in both directions."""
    old, new = a_key(open_node, algorithm=DES3, bits=168), a_key(open_node)
    ecb = CipherParameters(mode=ECB, padding=PKCS5)
    by_old = open_node.ask(ALICE, Encrypt(DATA, old, RANDOM_CBC))
    by_new = open_node.ask(ALICE, Encrypt(DATA, new, ecb))
    open_node.gate.switches = PERMISSIVE
    assert open_node.reason(ALICE, Encrypt(DATA, old, RANDOM_CBC)) == "refused.switched_off"
    assert back(open_node, old, by_old, RANDOM_CBC) == DATA
    assert open_node.reason(ALICE, Encrypt(DATA, new, ecb)) == "refused.switched_off"
    assert open_node.reason(ALICE, Decrypt(by_new.data, new, ecb)) == "refused.switched_off"


def test_usage_limits_are_spent_durably_and_end(node: Node) -> None:
    key = a_key(node, Usage_Limits=made("Usage Limits", 130, None, 1))
    for left in (66, 2):
        node.ask(ALICE, Encrypt(DATA, key, RANDOM_GCM))
        limits = node.record(key).attributes.first("Usage Limits")
        assert limits is not None
        assert limits.field(TAG_USAGE_LIMITS_COUNT) == left
    assert node.reason(ALICE, Encrypt(DATA, key, RANDOM_GCM)) == "refused.usage_limit"
    assert node.reason(ALICE, Encrypt(b"ab", key, RANDOM_GCM)) is None
    assert node.reason(ALICE, Encrypt(b"a", key, RANDOM_GCM)) == "refused.usage_limit"
    raised = made("Usage Limits", 10_000, None, 1)
    assert node.reason(ALICE, ModifyAttribute("Usage Limits", raised, target=key)) == "refused.permission"


def test_usage_limits_count_objects_also_within_one_message(node: Node) -> None:
    key = a_key(node, Usage_Limits=made("Usage Limits", 2, None, 2))
    replies = node.batch(ALICE, [Encrypt(DATA, key, RANDOM_GCM)] * 3, go_on=True)
    assert [reply.error.reason if reply.error else None for reply in replies] == [None, None, "refused.usage_limit"]


@pytest.mark.parametrize("cached", [True, False], ids=["cache on", "cache off"])
def test_the_very_next_request_knows_what_has_changed(node: Node, cached: bool) -> None:
    """Whatever is held of a key between requests: revoked, switched off or locked is refused at once."""
    node.module.set_key_cache(enabled=cached)
    key = a_key(node)
    request = Encrypt(DATA, key, CipherParameters(mode=CBC, padding=PKCS5, random_iv=True))
    assert [node.reason(ALICE, request) for _ in range(3)] == [None, None, None]
    assert bool(node.keyring.ready) is cached
    node.module.deactivate()
    assert node.reason(ALICE, request) == "unavailable.locked"
    assert not node.keyring.ready
    node.unlock()
    assert node.reason(ALICE, request) is None
    node.ask(ALICE, Revoke(6, target=key))
    assert node.reason(ALICE, request) == "wrong_state.object"


@pytest.mark.row("KS-HSM-054")
def test_what_is_held_follows_record_and_switches(open_node: Node) -> None:
    """The secure key cache allows nothing that is not allowed without it."""
    key = a_key(open_node, Cryptographic_Parameters=made("Cryptographic Parameters", ECB, PKCS5))
    assert open_node.reason(ALICE, Encrypt(DATA, key)) is None
    assert open_node.keyring.ready
    open_node.gate.switches = replace(EVERYTHING, legacy_modes=False)
    assert open_node.reason(ALICE, Encrypt(DATA, key)) == "refused.switched_off"
    changed = made("Cryptographic Parameters", CBC, PKCS5, None, None, None, None, True)
    open_node.ask(ALICE, ModifyAttribute("Cryptographic Parameters", changed, target=key))
    assert open_node.ask(ALICE, Encrypt(DATA, key)).detail == "1 Encrypt AES/CBC/PKCS5"


def test_what_is_held_is_bounded(node: Node) -> None:
    ready = node.keyring.ready
    assert ready is not None
    ready.update(dict.fromkeys(range(READY_COUNT_MAX)))
    key = a_key(node)
    node.ask(ALICE, Encrypt(DATA, key, RANDOM_GCM))
    assert len(ready) <= READY_COUNT_MAX
    assert 0 not in ready


def test_random_ivs_are_counted_durably_until_the_budget_ends(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "ALLOWANCE_COUNT", 4)
    monkeypatch.setattr(leases, "LEASE_COUNT", 10)
    few = replace(SUITES[3, GCM], budget_count=30)
    monkeypatch.setitem(SUITES, (3, GCM), few)
    key = a_key(node)
    request = Encrypt(DATA, key, RANDOM_GCM)
    outcomes = [node.reason(ALICE, request) for _ in range(40)]
    assert 20 <= outcomes.count(None) <= 30
    assert set(outcomes[outcomes.count(None) :]) == {"refused.usage_limit"}
    assert node.reason(ALICE, request._replace(iv=bytes(12))) is None  # the asker's own, hence their care
    assert node.reason(ALICE, Encrypt(DATA, key, RANDOM_CBC)) is None
    name = budget_of(node.record(key))
    assert node.objects.reader.record(KIND_COUNTER, name) is not None
    node.ask(ALICE, Revoke(6, target=key))
    node.ask(ALICE, Destroy(key))
    assert node.objects.reader.record(KIND_COUNTER, name) is None


def test_many_encryptions_of_one_message_are_counted_once(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "ALLOWANCE_COUNT", 4)
    key = a_key(node)
    replies = node.batch(ALICE, [Encrypt(DATA, key, RANDOM_GCM)] * 20)
    assert [reply.error for reply in replies] == [None] * 20
    assert len({reply.result.iv for reply in replies}) == 20


def test_export_may_be_off_while_keys_are_used(node: Node) -> None:
    key = a_key(node)
    node.gate.switches = Switches()
    assert node.reason(ALICE, Encrypt(DATA, key, RANDOM_GCM)) is None


@pytest.mark.row("KS-LOG-013", "KS-LOG-030")
def test_each_encryption_has_a_line_with_its_transformation(node: Node) -> None:
    key = a_key(node)
    encryption = Encrypt(DATA, key, RANDOM_CBC)
    encrypted = node.ask(ALICE, encryption)
    node.batch(ALICE, [encryption] * 3)
    node.ask(ALICE, Decrypt(encrypted.data, key, RANDOM_CBC, encrypted.iv))
    crypto = [line for line in node.lines() if "crypt " in line]
    assert [f"7 Encrypt {key} [1 Encrypt AES/CBC/PKCS5] 0 [Success]" in line for line in crypto[:4]] == [True] * 4
    assert f"7 Decrypt {key} [1 Decrypt AES/CBC/PKCS5] 0 [Success]" in crypto[4]
    assert len(crypto) == 5


@pytest.mark.row("KS-LOG-013", "KS-LOG-031")
def test_lines_name_the_operation_and_what_was_made(node: Node) -> None:
    key = a_key(node)
    node.ask(ALICE, registration(bytes(16)))
    node.ask(ALICE, AddAttribute("x-Own", text("v"), key))
    assert attribute(node, ALICE, key, "State") == 2
    node.reason(ALICE, Create(99))
    tails = [line.split(" alice 7 ")[1] for line in node.lines()]
    assert tails[0] == f"Create {key} [AES 256 Deletable Exportable] 0 [Success]"
    assert tails[1] == f"Activate {key} [-] 0 [Success]"
    assert tails[2].startswith("Register ")
    assert tails[2].endswith(" [AES 128 Deletable Exportable] 0 [Success]")
    assert [tail.split()[0] for tail in tails[3:]] == ["AddAttribute", "GetAttributes", "Create"]
    assert tails[5].startswith("Create - [-] invalid.object_type [")
