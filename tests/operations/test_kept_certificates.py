"""Certificates that clients register: kept as they came, told of, found by what they say, and never used or trusted."""

from hashlib import sha256
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings

from keystead.core.attributes import Attribute, ItemType, Value, text
from keystead.core.secret import Secret
from keystead.core.structures import (
    TAG_CERTIFICATE_SUBJECT_ALTERNATIVE_NAME,
    TAG_CERTIFICATE_SUBJECT_DISTINGUISHED_NAME,
    TAG_ISSUER_DISTINGUISHED_NAME,
    TAG_SERIAL_NUMBER,
    TAG_SUBJECT_ALTERNATIVE_NAME,
    TAG_SUBJECT_DISTINGUISHED_NAME,
    made,
)
from keystead.operations.grants import GrantKey
from keystead.operations.macs import Mac
from keystead.operations.requests import (
    Activate,
    AddAttribute,
    Condition,
    DeleteAttribute,
    Destroy,
    Encrypt,
    Get,
    GetAttributeList,
    GetAttributes,
    KeyBlock,
    Locate,
    ModifyAttribute,
    Register,
    SetAttribute,
)
from keystead.operations.signatures import SignatureVerify
from tests.support.builders import ALICE, BOB, Node, a_user, attribute, attributes, enumeration, integer
from tests.support.certificates import ISSUER, SUBJECT, certified, name_of
from tests.support.kmip_trees import damaged

CERTIFICATE, PUBLIC_KEY = 1, 3
X_509, PGP = 1, 2
EC, ECDSA, RSA = 26, 6, 4
HOSTS = (x509.DNSName("kms.example.org"), x509.DNSName("kms2.example.org"))
ORDINARY = certified(alternatives=HOSTS)


def registration(data: bytes = ORDINARY, kind: int = X_509, /, **more: Value) -> Register:
    return Register(CERTIFICATE, KeyBlock(5, Secret(data), subtype=kind), attributes(**more))


def a_certificate(node: Node, data: bytes = ORDINARY, /, **more: Value) -> str:
    kept: str = node.ask(ALICE, registration(data, **more)).id
    return kept


def values(node: Node, kept: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, index, value in node.ask(ALICE, GetAttributes(kept)).attributes:
        assert len(found.setdefault(name, [])) == index
        found[name].append(value)
    return found


def found_by(node: Node, *conditions: Condition, asker: Any = ALICE) -> set[str]:
    return set(node.ask(asker, Locate(conditions)).ids)


@pytest.mark.row("KS-KMIP-024", "KS-KMIP-047", "KS-KCRT-003")
def test_a_certificate_comes_back_byte_for_byte(node: Node) -> None:
    kept = a_certificate(node)
    for wanted in (None, 5, 1):
        got = node.ask(ALICE, Get(kept, wanted))
        assert (got.object_type, got.block.subtype) == (CERTIFICATE, X_509)
        assert got.block.material.reveal() == ORDINARY
    assert node.reason(ALICE, Get(kept, 4)) == "not_supported.key_format"


@pytest.mark.row("KS-KCRT-002")
def test_the_server_tells_what_the_certificate_says(node: Node) -> None:
    held = values(node, a_certificate(node))
    subject, issuer = name_of(SUBJECT).public_bytes(), name_of(ISSUER).public_bytes()
    alternatives = (b"\x82\x0fkms.example.org", b"\x82\x10kms2.example.org")
    assert held["Certificate Type"] == [enumeration(X_509)]
    assert held["Certificate Length"] == [integer(len(ORDINARY))]
    assert held["Cryptographic Algorithm"] == [enumeration(EC)]
    assert held["Cryptographic Length"] == [integer(256)]
    assert held["Key Format Type"] == [enumeration(5)]
    assert held["Digital Signature Algorithm"] == [enumeration(0x0E)]
    assert held["Certificate Identifier"] == [made("Certificate Identifier", "CN=CA,DC=example,DC=org", "C0FFEE")]
    assert held["Certificate Subject"] == [
        made("Certificate Subject", "CN=kms,O=Keys & Co,C=AT", ("kms.example.org", "kms2.example.org"))
    ]
    assert held["Certificate Issuer"] == [made("Certificate Issuer", "CN=CA,DC=example,DC=org", ())]
    serial = bytes.fromhex("020400c0ffee")
    assert held["X.509 Certificate Identifier"] == [made("X.509 Certificate Identifier", issuer, serial)]
    assert held["X.509 Certificate Subject"] == [made("X.509 Certificate Subject", subject, alternatives)]
    assert held["X.509 Certificate Issuer"] == [made("X.509 Certificate Issuer", issuer, ())]
    assert held["Certificate Subject CN"] == [text("kms")]
    assert held["Certificate Issuer DC"] == [text("org"), text("example")]
    assert "Certificate Subject OU" not in held


@pytest.mark.row("KS-KMIP-029")
def test_its_digest_is_that_of_its_bytes(node: Node) -> None:
    (digest,) = values(node, a_certificate(node))["Digest"]
    assert digest == made("Digest", 6, sha256(ORDINARY).digest(), 5)


@pytest.mark.row("KS-KCRT-001", "KS-KMIP-043")
def test_a_certificate_is_found_by_what_it_says(node: Node) -> None:
    kept = a_certificate(node)
    other = a_certificate(node, certified(((NameOID.COMMON_NAME, "other"),), serial=7))
    subject, issuer = name_of(SUBJECT).public_bytes(), name_of(ISSUER).public_bytes()

    def field(tag: int, content: Any) -> Value:
        kind = ItemType.BYTE_STRING if isinstance(content, bytes) else ItemType.TEXT_STRING
        return Value(ItemType.STRUCTURE, ((tag, int(kind), content),))

    for condition in (
        Condition("Certificate Subject CN", text("kms")),
        Condition("Certificate Length", integer(len(ORDINARY))),
        Condition("X.509 Certificate Subject", field(TAG_SUBJECT_DISTINGUISHED_NAME, subject)),
        Condition("X.509 Certificate Subject", field(TAG_SUBJECT_ALTERNATIVE_NAME, b"\x82\x10kms2.example.org")),
        Condition("Certificate Subject", field(TAG_CERTIFICATE_SUBJECT_DISTINGUISHED_NAME, "CN=kms,O=Keys & Co,C=AT")),
        Condition("Certificate Subject", field(TAG_CERTIFICATE_SUBJECT_ALTERNATIVE_NAME, "kms.example.org")),
        Condition("Certificate Identifier", field(TAG_SERIAL_NUMBER, "C0FFEE")),
        *(Condition(name, value) for name, (value, *_) in values(node, kept).items() if name.endswith("Subject")),
    ):
        assert found_by(node, condition) == {kept}, condition
    assert found_by(node, Condition("Certificate Issuer CN", text("CA"))) == {kept, other}
    assert found_by(node, Condition("X.509 Certificate Issuer", field(TAG_ISSUER_DISTINGUISHED_NAME, issuer))) == {
        *(kept, other)
    }
    assert found_by(node, Condition("Certificate Subject CN", text("CA"))) == set()
    assert found_by(node, Condition("Certificate Type", enumeration(X_509))) == {kept, other}
    assert found_by(node, Condition("Digital Signature Algorithm", enumeration(0x0E))) == {kept, other}


def test_a_stranger_finds_nothing_and_a_member_what_was_shown(node: Node) -> None:
    kept = a_certificate(node)
    by_name = Condition("Certificate Subject CN", text("kms"))
    member = a_user("carol", "staff")
    assert found_by(node, by_name, asker=BOB) == found_by(node, by_name, asker=member) == set()
    assert node.reason(BOB, Get(kept)) == node.reason(BOB, GetAttributes(kept)) == "not_found.item"
    node.ask(ALICE, GrantKey(kept, "staff", 1))
    assert found_by(node, by_name, asker=member) == {kept}
    assert found_by(node, by_name, asker=BOB) == set()


@pytest.mark.row("KS-KCRT-001")
def test_clients_add_change_and_delete_attributes_of_their_own(node: Node) -> None:
    kept = a_certificate(node, x_Shelf=text("3"))
    link = made("Link", 0x102, "018f0000-0000-7000-8000-000000000000")  # Public Key Link
    node.ask(ALICE, AddAttribute("Link", link, kept))
    node.ask(ALICE, ModifyAttribute("x-Shelf", text("4"), target=kept))
    assert values(node, kept)["Link"] == [link]
    assert attribute(node, ALICE, kept, "x-Shelf") == "4"
    node.ask(ALICE, DeleteAttribute("Link", 0, target=kept))
    assert "Link" not in values(node, kept)
    assert {a.name for a in node.ask(ALICE, GetAttributeList(kept)).attributes} >= {"x-Shelf", "Certificate Subject"}


@pytest.mark.row("KS-KCRT-002")
@pytest.mark.parametrize("name", ["Certificate Type", "Certificate Length", "X.509 Certificate Subject"])
def test_what_the_certificate_says_is_read_only(node: Node, name: str) -> None:
    kept = a_certificate(node)
    (value,) = values(node, kept)[name]
    for request in (
        AddAttribute(name, value, kept),
        ModifyAttribute(name, value, target=kept),
        SetAttribute(name, value, kept),
        DeleteAttribute(name, target=kept),
    ):
        assert node.reason(ALICE, request) == "invalid.attribute_read_only"
    assert values(node, kept)[name] == [value]


def test_a_client_may_repeat_what_the_certificate_says_and_not_say_otherwise(node: Node) -> None:
    agreed = a_certificate(
        node,
        Certificate_Type=enumeration(X_509),
        Cryptographic_Algorithm=enumeration(ECDSA),
        Cryptographic_Length=integer(256),
    )
    assert values(node, agreed)["Certificate Type"] == [enumeration(X_509)]
    assert attribute(node, ALICE, agreed, "Cryptographic Algorithm") == ECDSA
    for more in (
        {"Certificate_Type": enumeration(PGP)},
        {"Cryptographic_Algorithm": enumeration(RSA)},
        {"Cryptographic_Length": integer(384)},
        {"Key_Format_Type": enumeration(1)},
    ):
        assert node.reason(ALICE, registration(**more)) == "invalid.field"
    subject = Attribute("Certificate Subject CN", 0, text("root"))
    forged = Register(CERTIFICATE, KeyBlock(5, Secret(ORDINARY), subtype=X_509), (subject,))
    assert node.reason(ALICE, forged) == "invalid.attribute_read_only"


def test_a_pgp_certificate_is_kept_and_not_interpreted(node: Node) -> None:
    kept = node.ask(ALICE, registration(b"\x99\x01not ours to read", PGP)).id
    assert node.ask(ALICE, Get(kept)).block.material.reveal() == b"\x99\x01not ours to read"
    held = values(node, kept)
    assert (held["Certificate Type"], held["Certificate Length"]) == ([enumeration(PGP)], [integer(18)])
    assert not {name for name in held if "Subject" in name or "Issuer" in name or "Algorithm" in name}


@pytest.mark.row("KS-KCRT-004")
def test_no_cryptography_is_done_with_a_certificate(node: Node) -> None:
    kept = a_certificate(node, Cryptographic_Usage_Mask=integer(0x1FF))
    node.ask(ALICE, Activate(kept))
    for request in (Encrypt(b"data", kept), SignatureVerify(b"data", b"signature", kept), Mac(b"data", kept)):
        assert node.reason(ALICE, request) == "invalid.object_type"


@pytest.mark.row("KS-KCRT-004")
def test_a_certificate_is_kept_whatever_its_dates(node: Node) -> None:
    assert attribute(node, ALICE, a_certificate(node, certified(days=(-900, -800))), "State") == 1


def test_a_destroyed_certificate_leaves_its_attributes(node: Node) -> None:
    kept = a_certificate(node)
    node.ask(ALICE, Destroy(kept))
    assert node.reason(ALICE, Get(kept)) == "wrong_state.destroyed"
    assert values(node, kept)["Certificate Subject CN"] == [text("kms")]
    assert found_by(node, Condition("Certificate Subject CN", text("kms"))) == set()


@pytest.mark.row("KS-KMIP-047")
@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (ORDINARY[:-1], X_509, "invalid.key"),
        (ORDINARY + b"\x00", X_509, "invalid.key"),
        (ORDINARY + ORDINARY, X_509, "invalid.key"),
        (b"-----BEGIN CERTIFICATE-----", X_509, "invalid.key"),
        (b"", X_509, "invalid.key"),
        (b"", PGP, "invalid.key"),
        (bytes(65_537), PGP, "invalid.key"),
        (ORDINARY, 0, "invalid.field"),
        (ORDINARY, 3, "invalid.field"),
        (ORDINARY, 0x80000001, "invalid.field"),
    ],
)
def test_what_is_no_certificate_is_refused(node: Node, data: bytes, kind: int, reason: str) -> None:
    assert node.reason(ALICE, registration(data, kind)) == reason
    assert found_by(node) == set()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(damaged(ORDINARY))
def test_whatever_is_sent_is_kept_as_it_is_or_refused(node: Node, data: bytes) -> None:
    (reply,) = node.batch(ALICE, [registration(data)])
    if reply.error is None:
        assert node.ask(ALICE, Get(reply.result.id)).block.material.reveal() == data
    else:
        assert reply.error.reason in ("invalid.key", "not_supported.cryptography")
