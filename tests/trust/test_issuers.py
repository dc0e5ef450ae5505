"""Who has signed a certificate, and what revocation lists say."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.core.errors import Invalid, Unauthenticated
from keystead.trust.issuers import (
    AUTHORITY_BYTES_MAX,
    INTERMEDIATES_COUNT_MAX,
    PATH_STEPS_MAX,
    REVOCATION_LIST_BYTES_MAX,
    Issuers,
    Trusted,
    authority_id,
    read_authority,
    read_revocation_list,
)
from tests.support.authorities import FOR_AUTHORITIES, Foreign, a_root, usage

ROOT = a_root()
BELOW = ROOT.below("Foreign intermediate")


def leaf(authority: Foreign, user: str = "alice") -> x509.Certificate:
    return authority.issue(user)[1]


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def test_the_way_leads_over_every_known_issuer() -> None:
    certificate = leaf(BELOW)
    path = Issuers([ROOT.certificate, BELOW.certificate]).path(der(certificate))
    assert [step.serial for step in path] == [certificate.serial_number, *two(BELOW, ROOT)]
    assert [step.issuer for step in path] == [authority_id(one.certificate) for one in (BELOW, ROOT, ROOT)]
    assert len(Issuers([BELOW.certificate]).path(der(certificate))) == 1
    assert Issuers([ROOT.certificate]).path(der(certificate)) == ()


def two(*authorities: Foreign) -> list[int]:
    return [one.certificate.serial_number for one in authorities]


def test_intermediates_that_came_with_a_handshake_are_remembered_over_changes() -> None:
    issuers = Issuers([ROOT.certificate])
    issuers.remember([BELOW.der, ROOT.der])
    renewed = Issuers([ROOT.certificate], issuers)
    assert len(renewed.path(der(leaf(BELOW)))) == 3


def test_only_so_many_intermediates_are_remembered() -> None:
    issuers = Issuers([ROOT.certificate])
    for _ in range(INTERMEDIATES_COUNT_MAX + 5):
        issuers.remember([leaf(ROOT).public_bytes(Encoding.DER)])
    assert len(issuers._sent) == INTERMEDIATES_COUNT_MAX


def test_a_namesake_with_another_key_has_signed_nothing() -> None:
    namesake = a_root()
    assert Issuers([namesake.certificate]).path(der(leaf(ROOT))) == ()
    both = Issuers([namesake.certificate, ROOT.certificate]).path(der(leaf(ROOT)))
    assert both[0].issuer == authority_id(ROOT.certificate) != authority_id(namesake.certificate)


def test_a_renewed_certificate_of_the_same_key_is_the_same_authority() -> None:
    renewed = a_root(key=ROOT.key)
    assert renewed.certificate != ROOT.certificate
    assert authority_id(renewed.certificate) == authority_id(ROOT.certificate)


def test_a_circle_of_authorities_ends() -> None:
    """Two authorities that certify each other."""
    one, other = a_root("one"), a_root("other")
    cross = Foreign(one.key, other.sign("one", one.key.public_key(), FOR_AUTHORITIES))
    back = Foreign(other.key, one.sign("other", other.key.public_key(), FOR_AUTHORITIES))
    assert len(Issuers([cross.certificate, back.certificate]).path(der(leaf(cross)))) == PATH_STEPS_MAX


def test_trust_needs_an_anchor_and_no_revoked_step() -> None:
    issuers = Issuers([ROOT.certificate, BELOW.certificate])
    certificate = leaf(BELOW)
    path = issuers.path(der(certificate))
    root, below = authority_id(ROOT.certificate), authority_id(BELOW.certificate)
    for anchors in ({root}, {below}, {root, below}):
        trusted = Trusted(frozenset(anchors))
        trusted.check_trusted(path)
        trusted.check_not_revoked(path)
    for anchors in (set(), {authority_id(a_root().certificate)}):
        with pytest.raises(Unauthenticated, match="not trusted"):
            Trusted(frozenset(anchors)).check_trusted(path)
    with pytest.raises(Unauthenticated, match="not trusted"):
        Trusted(frozenset({root})).check_trusted(())
    for revoked in ({below: {certificate.serial_number}}, {root: {BELOW.certificate.serial_number}}):
        lists = {issuer: frozenset(serials) for issuer, serials in revoked.items()}
        with pytest.raises(Unauthenticated, match="revoked"):
            Trusted(frozenset({below}), lists).check_not_revoked(path)
    of_another = {root: frozenset({certificate.serial_number})}  # a serial number is one of its issuer
    Trusted(frozenset({below}), of_another).check_not_revoked(path)


WEAK = rsa.generate_private_key(65537, 1024)
NO_AUTHORITIES = {
    "nothing": "",
    "text": "hello",
    "a leaf": leaf(ROOT).public_bytes(Encoding.PEM).decode(),
    "two certificates": ROOT.pem + BELOW.pem,
    "rubbish in armour": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "must not sign certificates": a_root(
        extensions=[FOR_AUTHORITIES[0], (usage(signs_certificates=False), True)],
    ).pem,
    "says nothing about its use": a_root(extensions=[FOR_AUTHORITIES[0]]).pem,
    "expired": a_root(days=(-10, -1)).pem,
    "a weak key": a_root(key=WEAK).pem,
    "too much": " " * AUTHORITY_BYTES_MAX + ROOT.pem,
}


@pytest.mark.parametrize("name", NO_AUTHORITIES)
def test_what_is_no_authority_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        read_authority(NO_AUTHORITIES[name])


@pytest.mark.parametrize("strong", [ROOT, a_root(key=rsa.generate_private_key(65537, 2048))], ids=["P-256", "RSA"])
def test_authorities_of_usual_keys_are_read(strong: Foreign) -> None:
    assert read_authority(strong.pem) == strong.certificate


def test_a_revocation_list_is_read_in_both_forms() -> None:
    authorities = {"other": a_root("Other").certificate, "ours": ROOT.certificate}
    data = ROOT.revocation_list([5, 7], number=3)
    name, found, kept = read_revocation_list(data, authorities)
    assert (name, found.serials, found.number, kept) == ("ours", frozenset({5, 7}), 3, data)
    pem = x509.load_der_x509_crl(data).public_bytes(Encoding.PEM)
    assert read_revocation_list(pem, authorities) == (name, found, data)
    assert read_revocation_list(ROOT.revocation_list(number=None), authorities)[1].number is None


PARTIAL = {
    "delta": (x509.DeltaCRLIndicator(1), True),
    "of users only": (x509.IssuingDistributionPoint(None, None, True, False, None, False, False), True),
    "indirect": (x509.IssuingDistributionPoint(None, None, False, False, None, True, False), True),
    "unknown and critical": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),
}


@pytest.mark.parametrize("name", PARTIAL)
def test_only_complete_lists_count(name: str) -> None:
    data = ROOT.revocation_list([5], extensions=[PARTIAL[name]])
    with pytest.raises(Invalid, match="complete"):
        read_revocation_list(data, {"ours": ROOT.certificate})


def test_only_lists_of_a_known_authority_with_its_key_count() -> None:
    may_not = a_root(extensions=[FOR_AUTHORITIES[0], (usage(signs_lists=False), True)])
    forged = bytearray(ROOT.revocation_list([5]))
    forged[-1] ^= 1
    for data in (a_root().revocation_list([5]), may_not.revocation_list([5]), bytes(forged)):
        with pytest.raises(Invalid):
            read_revocation_list(data, {"ours": ROOT.certificate, "may not": may_not.certificate})


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", ROOT.der, bytes(9), b"\x30\x80"],
    ids=["nothing", "text", "armour", "certificate", "zeros", "cut"],
)
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        read_revocation_list(data, {"ours": ROOT.certificate})


def test_a_list_has_a_limit() -> None:
    with pytest.raises(Invalid, match=str(REVOCATION_LIST_BYTES_MAX)):
        read_revocation_list(bytes(REVOCATION_LIST_BYTES_MAX + 1), {})


@pytest.mark.parametrize(
    ("new", "old"),
    [((2, 0), (3, 0)), ((3, -2), (3, -1)), ((None, -2), (None, -1)), ((None, -2), (7, -1))],
)
def test_an_older_list_is_known_as_one(new: tuple[int | None, int], old: tuple[int | None, int]) -> None:
    lists = [
        read_revocation_list(ROOT.revocation_list([5], number=number, days=(day, 9)), {"ours": ROOT.certificate})[1]
        for number, day in (new, old)
    ]
    assert lists[0].is_older_than(lists[1])
    assert not lists[1].is_older_than(lists[0])
