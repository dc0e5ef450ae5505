"""Derive Key: published answers, who may, what is refused, and who names whom afterwards."""

import hashlib
import hmac
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from keystead.core.permission import Right
from keystead.core.secret import Secret
from keystead.core.structures import TAG_USAGE_LIMITS_COUNT, made, name_value
from keystead.operations.derivations import DeriveKey
from keystead.operations.grants import GrantKey
from keystead.operations.key_pairs import CreateKeyPair, Wishes
from keystead.operations.links import LinkType, link_of
from keystead.operations.requests import (
    Activate,
    AddAttribute,
    CipherParameters,
    Get,
    KeyBlock,
    Register,
    Revoke,
    SetAttribute,
)
from tests.support.builders import (
    ALICE,
    BOB,
    PERMISSIVE,
    SECRET_DATA,
    SYMMETRIC_KEY,
    Node,
    a_key,
    a_user,
    attributes,
    boolean,
    date,
    enumeration,
    integer,
    registration,
)

PBKDF2, HASH, HMAC, ENCRYPT, COUNTER, FEEDBACK, AGREE, HKDF = 1, 2, 3, 4, 5, 6, 8, 10
DERIVE = 0x200
AES = 3
SHA_256, SHA_1 = CipherParameters(hashing=6), CipherParameters(hashing=4)
ECB = CipherParameters(mode=2)
CBC = CipherParameters(mode=1)


def wanted(bits: int = 128) -> Any:
    return attributes(
        Cryptographic_Algorithm=enumeration(AES),
        Cryptographic_Length=integer(bits),
        Cryptographic_Usage_Mask=integer(12),
    )


def a_secret(node: Node, material: bytes, mask: int = DERIVE) -> str:
    block = KeyBlock(2, Secret(material), subtype=2)
    given = attributes(Cryptographic_Usage_Mask=integer(mask), Activation_Date=date(-10))
    return str(node.ask(ALICE, Register(SECRET_DATA, block, given)).id)


LEGACY = replace(PERMISSIVE, legacy_algorithms=True)


def a_base(node: Node, material: bytes = bytes(range(16)), mask: int = DERIVE) -> str:
    key = node.ask(ALICE, registration(material, AES, mask)).id
    node.ask(ALICE, Activate(key))
    return str(key)


def derived(node: Node, request: DeriveKey) -> str:
    return str(node.ask(ALICE, Get(node.ask(ALICE, request).id)).block.material.reveal().hex())


@pytest.mark.parametrize(
    ("iterations", "parameters", "bits", "expected"),
    [
        (1, None, 128, "0c60c80f961f0e71f3a9b524af601206"),  # RFC 6070
        (4096, None, 128, "4b007901b765489abead49d926f721d0"),
        (4096, SHA_256, 256, "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"),
    ],
)
def test_pbkdf2_gives_the_published_answers(
    node: Node, iterations: int, parameters: CipherParameters | None, bits: int, expected: str
) -> None:
    node.gate.switches = LEGACY
    base = a_secret(node, b"password")
    request = DeriveKey(
        SYMMETRIC_KEY, base, PBKDF2, parameters=parameters, salt=b"salt", iterations=iterations, attributes=wanted(bits)
    )
    assert derived(node, request) == expected


def test_hmac_hash_counter_and_hkdf_are_what_they_say(node: Node) -> None:
    material = bytes(range(32))
    base = a_base(node, material)

    def of(method: int, **more: Any) -> str:
        return derived(node, DeriveKey(SYMMETRIC_KEY, base, method, parameters=SHA_256, attributes=wanted(), **more))

    assert of(HMAC, data=b"\1\2") == hmac.digest(material, b"\1\2", "sha256")[:16].hex()
    assert of(HASH) == hashlib.sha256(material).digest()[:16].hex()
    assert of(COUNTER, data=b"label\0context") == hmac.digest(material, b"\0\0\0\1label\0context", "sha256")[:16].hex()
    extracted = hmac.digest(b"salt", material, "sha256")
    assert of(HKDF, salt=b"salt", data=b"info") == hmac.digest(extracted, b"info\1", "sha256")[:16].hex()


def test_encrypt_derives_from_ciphertext_and_stretches_nothing(node: Node) -> None:
    base = a_base(node, bytes(16))
    made = DeriveKey(SYMMETRIC_KEY, base, ENCRYPT, parameters=CBC, data=bytes(16), iv=bytes(16), attributes=wanted())
    assert derived(node, made) == "66e94bd4ef8a2c3b884cfa59ca342b2e"  # AES-128 of zeros, FIPS 197
    longer = DeriveKey(
        SYMMETRIC_KEY, base, ENCRYPT, parameters=CBC, data=bytes(16), iv=bytes(16), attributes=wanted(256)
    )
    assert node.reason(ALICE, longer) == "cryptography"
    outdated = DeriveKey(SYMMETRIC_KEY, base, ENCRYPT, parameters=ECB, data=bytes(16), attributes=wanted())
    assert node.reason(ALICE, outdated) == "refused.switched_off"
    for lacking in ({"parameters": CBC}, {"data": bytes(16)}):
        request = DeriveKey(SYMMETRIC_KEY, base, ENCRYPT, attributes=wanted(), **lacking)
        assert node.reason(ALICE, request) == "invalid.missing"


@pytest.mark.parametrize("hashing", [3, 4], ids=["MD5", "SHA-1"])
@pytest.mark.parametrize(
    ("method", "more"),
    [
        (HMAC, {"data": b"data"}),
        (HASH, {}),
        (COUNTER, {"data": b"data"}),
        (HKDF, {"salt": b"salt"}),
        (PBKDF2, {"salt": b"salt", "iterations": 1}),
    ],
)
def test_an_outdated_hash_derives_nothing_new(node: Node, hashing: int, method: int, more: dict[str, Any]) -> None:
    base = a_base(node)
    request = DeriveKey(
        SYMMETRIC_KEY, base, method, parameters=CipherParameters(hashing=hashing), attributes=wanted(128), **more
    )
    assert node.reason(ALICE, request) == "refused.switched_off"
    node.gate.switches = LEGACY
    assert node.reason(ALICE, request) is None


def test_pbkdf2_without_a_hash_means_an_outdated_one(node: Node) -> None:
    base = a_secret(node, b"password")
    request = DeriveKey(SYMMETRIC_KEY, base, PBKDF2, salt=b"salt", iterations=1, attributes=wanted())
    assert node.reason(ALICE, request) == "refused.switched_off"
    node.gate.switches = LEGACY
    assert derived(node, request) == hashlib.pbkdf2_hmac("sha1", b"password", b"salt", 1, 16).hex()


@pytest.mark.row("KS-KMIP-031")
def test_base_and_derived_key_name_each_other(node: Node) -> None:
    base, data = a_base(node), a_secret(node, b"derivation data")
    request = DeriveKey(SYMMETRIC_KEY, base, HMAC, data, SHA_256, attributes=wanted())
    new = node.ask(ALICE, request).id
    linked = [a.value.content[1][2] for a in node.record(new).attributes.instances("Link")]
    assert linked == [base, data]
    assert link_of(node.record(base).attributes, LinkType.DERIVED_KEY) == new
    assert link_of(node.record(data).attributes, LinkType.DERIVED_KEY) == new


def test_two_sides_agree_on_one_key(node: Node) -> None:
    common = Wishes(attributes(Cryptographic_Algorithm=enumeration(26), Activation_Date=date(-10)))
    mask = Wishes(attributes(Cryptographic_Usage_Mask=integer(DERIVE)))
    one, other = (node.ask(ALICE, CreateKeyPair(common, mask, mask)) for _ in range(2))
    keys = [
        derived(node, DeriveKey(SYMMETRIC_KEY, private, AGREE, public, attributes=wanted(256)))
        for private, public in ((one.private_id, other.public_id), (other.private_id, one.public_id))
    ]
    assert keys[0] == keys[1]
    swapped = DeriveKey(SYMMETRIC_KEY, one.public_id, AGREE, other.private_id, attributes=wanted())
    assert node.reason(ALICE, swapped) == "invalid.field"
    assert node.reason(ALICE, DeriveKey(SYMMETRIC_KEY, one.private_id, HASH, attributes=wanted())) == "invalid.field"


def test_secret_data_can_be_derived_too(node: Node) -> None:
    length = attributes(Cryptographic_Length=integer(256), Cryptographic_Usage_Mask=integer(DERIVE))
    request = DeriveKey(SECRET_DATA, a_base(node), HMAC, parameters=SHA_256, data=b"d", attributes=length)
    assert len(derived(node, request)) == 64


def test_the_base_must_allow_it_and_be_active(node: Node) -> None:
    plain = a_key(node)
    assert node.reason(ALICE, DeriveKey(SYMMETRIC_KEY, plain, HASH, attributes=wanted())) == "refused.usage_mask"
    base = a_base(node)
    hashing = {"parameters": SHA_256, "attributes": wanted()}
    assert node.reason(ALICE, DeriveKey(SYMMETRIC_KEY, base, HASH, **hashing)) is None
    data = a_secret(node, b"data", mask=0)
    assert node.reason(ALICE, DeriveKey(SYMMETRIC_KEY, base, HMAC, data, **hashing)) == "refused.usage_mask"
    node.ask(ALICE, Revoke(1, target=base))
    assert node.reason(ALICE, DeriveKey(SYMMETRIC_KEY, base, HASH, **hashing)) == "wrong_state.object"


def test_nobody_derives_from_what_is_not_theirs(node: Node) -> None:
    base = a_base(node)
    request = DeriveKey(SYMMETRIC_KEY, base, HASH, parameters=SHA_256, attributes=wanted())
    member = a_user("carol", "staff")
    assert node.reason(BOB, request) == "not_found.item"
    node.ask(ALICE, GrantKey(base, "staff", int(Right.SEE)))
    assert node.reason(member, request) == "refused.permission"
    node.ask(ALICE, GrantKey(base, "staff", int(Right.DERIVE)))
    made = node.ask(member, request).id
    assert node.record(made).owner == "carol"
    assert node.reason(ALICE, Get(made)) == "not_found.item"
    bobs = DeriveKey(SYMMETRIC_KEY, base, HMAC, a_secret(node, b"d"), SHA_256, attributes=wanted())
    assert node.reason(member, bobs) == "not_found.item"  # the data is alice's alone


@pytest.mark.parametrize(
    ("method", "more", "reason"),
    [
        (PBKDF2, {"salt": b"s"}, "invalid.missing"),
        (PBKDF2, {"iterations": 1}, "invalid.missing"),
        (PBKDF2, {"salt": b"s", "iterations": 0}, "invalid.field"),
        (PBKDF2, {"salt": b"s", "iterations": 10_000_001}, "invalid.field"),
        (PBKDF2, {"salt": bytes(4097), "iterations": 1}, "invalid.field"),
        (PBKDF2, {"salt": b"s", "iterations": 1, "data": b"d"}, "invalid.field"),
        (HASH, {"data": b"public", "parameters": SHA_256}, "invalid.message"),
        (HASH, {}, "invalid.missing"),
        (HMAC, {"parameters": SHA_256}, "invalid.missing"),
        (HMAC, {"data": b"d"}, "invalid.missing"),
        (HMAC, {"data": b"d", "parameters": CipherParameters(hashing=1)}, "not_supported.cryptography"),
        (HMAC, {"data": b"d", "parameters": SHA_1, "attributes": wanted(256)}, "cryptography"),
        (HKDF, {"salt": bytes(4097), "parameters": SHA_256}, "invalid.field"),
        (FEEDBACK, {"data": b"d", "parameters": SHA_256}, "not_supported.cryptography"),
        (99, {}, "not_supported.cryptography"),
        (HASH, {"parameters": SHA_256, "attributes": ()}, "invalid.missing"),
    ],
)
def test_what_is_missing_or_too_much_is_told(node: Node, method: int, more: dict[str, Any], reason: str) -> None:
    node.gate.switches = LEGACY
    request = DeriveKey(SYMMETRIC_KEY, a_base(node), method, **{"attributes": wanted(), **more})
    assert node.reason(ALICE, request) == reason


def test_data_from_two_places_is_refused(node: Node) -> None:
    base, data = a_base(node), a_secret(node, b"data")
    both = DeriveKey(SYMMETRIC_KEY, base, HMAC, data, SHA_256, b"other data", attributes=wanted())
    assert node.reason(ALICE, both) == "invalid.message"
    assert (
        node.reason(ALICE, DeriveKey(SYMMETRIC_KEY, base, HMAC, base, SHA_256, attributes=wanted())) == "invalid.field"
    )
    assert node.reason(ALICE, DeriveKey(8, base, HASH, parameters=SHA_256)) == "invalid.object_type"


def test_links_of_a_base_are_bounded_and_those_of_derived_keys_complete(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keystead.operations.links.LINKS_MADE_COUNT_MAX", 2)
    base = a_base(node)
    request = DeriveKey(SYMMETRIC_KEY, base, HASH, parameters=SHA_256, attributes=wanted())
    keys = [node.ask(ALICE, request).id for _ in range(3)]
    assert len(node.record(base).attributes.instances("Link")) == 2
    assert all(link_of(node.record(key).attributes, LinkType.DERIVATION_BASE_OBJECT) == base for key in keys)


def test_no_secret_shows(node: Node) -> None:
    request = DeriveKey(SYMMETRIC_KEY, a_base(node), HMAC, parameters=SHA_256, data=b"canary-data", attributes=wanted())
    node.ask(ALICE, request)
    assert "canary" not in repr(request) + "".join(node.lines())


def of_bytes(count: int) -> Any:
    return attributes(Cryptographic_Length=integer(8 * count), Cryptographic_Usage_Mask=integer(12))


def test_no_derivation_takes_the_time_of_others(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.gate.switches = LEGACY
    base = a_secret(node, b"password")
    elsewhere: list[Any] = []
    monkeypatch.setattr(node.gate.workshop, "submit", lambda make, _: elsewhere.append(make))
    with pytest.raises(ValueError, match="unpack"):  # it has gone elsewhere, so that there is no answer yet
        node.ask(ALICE, DeriveKey(SECRET_DATA, base, PBKDF2, salt=b"s", iterations=500, attributes=of_bytes(65_536)))
    assert len(elsewhere) == 1
    monkeypatch.undo()
    too_much = DeriveKey(SECRET_DATA, base, PBKDF2, salt=b"s", iterations=10_000_000, attributes=of_bytes(21))
    assert node.reason(ALICE, too_much) == "invalid.field"
    for method in (COUNTER, HKDF):
        request = DeriveKey(SECRET_DATA, base, method, None, SHA_1, bytes(4097), attributes=of_bytes(5100))
        assert node.reason(ALICE, request) == "invalid.field"


def test_encrypt_is_no_way_out_for_a_secret_that_must_stay(node: Node) -> None:
    """Alice knows the bytes of the key, so that she could decrypt what is derived."""
    key, secret = a_base(node, bytes(16)), a_secret(node, b"sixteen bytes..." * 2)
    request = DeriveKey(SECRET_DATA, key, ENCRYPT, secret, CBC, iv=bytes(16), attributes=of_bytes(32))
    assert node.reason(ALICE, request) is None
    node.ask(ALICE, SetAttribute("Sensitive", boolean(True), secret))
    assert node.reason(ALICE, request) == "refused.sensitive"
    node.ask(ALICE, SetAttribute("Extractable", boolean(False), secret))
    assert node.reason(ALICE, request) == "refused.not_extractable"


@pytest.mark.parametrize(
    ("method", "mask", "right", "more"),
    [
        (ENCRYPT, 8, Right.ENCRYPT, {"parameters": CipherParameters(mode=6), "iv": bytes(16)}),
        (HMAC, 0x80, Right.MAC, {"parameters": SHA_256}),
        (COUNTER, 0x100, Right.MAC, {"parameters": SHA_256}),
    ],
)
def test_deriving_is_no_way_to_encrypt_or_make_codes(
    node: Node, method: int, mask: int, right: Right, more: dict[str, Any]
) -> None:
    """In CTR this ENCRYPT decrypts; HMAC with a key that makes codes gives the code."""
    carol = a_user("carol", "staff")
    both, derives_only = (
        a_key(node, algorithm=AES if method == ENCRYPT else 9, mask=DERIVE | also) for also in (mask, 0)
    )
    for key in (both, derives_only):
        node.ask(ALICE, GrantKey(key, "staff", int(Right.DERIVE)))
    data = bytes(16)
    request = partial(DeriveKey, SYMMETRIC_KEY, method=method, data=data, attributes=wanted(), **more)
    assert node.reason(carol, request(base=both)) == "refused.permission"
    assert node.reason(carol, request(base=derives_only)) is None
    node.ask(ALICE, GrantKey(both, "staff", int(Right.DERIVE | right)))
    assert node.reason(carol, request(base=both)) is None


@pytest.mark.parametrize(("unit", "total", "left"), [(2, 2, 1), (1, 40, 8)], ids=["objects", "bytes"])
def test_encrypt_spends_the_limits_of_the_key(node: Node, unit: int, total: int, left: int) -> None:
    base, data = a_base(node), a_secret(node, bytes(32))
    node.ask(ALICE, AddAttribute("Usage Limits", made("Usage Limits", total, None, unit), base))
    request = DeriveKey(SYMMETRIC_KEY, base, ENCRYPT, data, CBC, iv=bytes(16), attributes=wanted())
    node.ask(ALICE, request)
    limits = node.record(base).attributes.first("Usage Limits")
    assert limits is not None
    assert limits.field(TAG_USAGE_LIMITS_COUNT) == left
    assert link_of(node.record(base).attributes, LinkType.DERIVED_KEY) is not None
    assert [node.reason(ALICE, request) for _ in range(2)][-1] == "refused.usage_limit"


def test_one_object_does_not_go_in_twice(node: Node) -> None:
    """It would be stored twice in one change, which loses every race, and the batch is run a hundred times."""
    secret = a_secret(node, bytes(32))
    commits: list[Any] = []
    inner = node.gate.committer

    class Counts:
        """A committer that counts."""

        def submit(self, transaction: Any, done: Any) -> None:
            commits.append(transaction)
            inner.submit(transaction, done)

    node.gate.committer = Counts()
    request = DeriveKey(SYMMETRIC_KEY, secret, HMAC, secret, SHA_256, attributes=wanted())
    assert node.reason(ALICE, request) == "invalid.field"
    assert commits == []


def test_bytes_derived_for_another_length_are_not_taken(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """While they are derived, the template that the request names becomes one of another length."""
    node.gate.switches = LEGACY
    templates = [
        node.ask(ALICE, Register(6, None, attributes(name, Cryptographic_Length=integer(bits)))).id
        for name, bits in (("in use", 128), ("to come", 256))
    ]
    inner = node.gate.workshop.submit

    def submit(make: Any, done: Any) -> None:
        def renamed(outcome: Any) -> None:
            for template, name in zip(templates, ("gone", "in use"), strict=True):
                left = node.record(template).attributes.removed("Name")
                node.change(template, attributes=left.added("Name", name_value(name)))
            done(outcome)

        inner(make, renamed)

    monkeypatch.setattr(node.gate.workshop, "submit", submit)
    base = a_secret(node, b"password")
    request = DeriveKey(
        SECRET_DATA,
        base,
        PBKDF2,
        salt=b"salt",
        iterations=5000,
        attributes=attributes(Cryptographic_Usage_Mask=integer(12)),
        templates=("in use",),
    )
    assert node.reason(ALICE, request) == "conflict"
