"""Reading certificates that clients register."""

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa, x25519
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.algorithms import Algorithm
from keystead.core.certificates import ALTERNATIVE_NAMES_COUNT_MAX, NAME_PARTS_COUNT_MAX, Certificate
from keystead.core.errors import Invalid
from keystead.core.secret import Secret
from keystead.trust.certificates import read_certificate
from tests.support.certificates import ISSUER, SUBJECT, certified, name_of, signing_key
from tests.support.kmip_trees import damaged

HOST, MAIL = x509.DNSName("kms.example.org"), x509.RFC822Name("keys@example.org")
URI, ADDRESS = x509.UniformResourceIdentifier("https://kms.example.org/"), x509.IPAddress(ip_address("192.0.2.7"))
PERSON = x509.DirectoryName(name_of(SUBJECT))

ORDINARY = certified(alternatives=(HOST, MAIL, URI, ADDRESS, PERSON))


def read(data: bytes, algorithm: int = 0) -> Certificate:
    return read_certificate(Secret(data), algorithm)


def test_names_and_number_are_the_certificates_own_bytes() -> None:
    found = read(ORDINARY)
    assert found.serial_number == bytes.fromhex("020400c0ffee")
    assert found.subject.encoded == name_of(SUBJECT).public_bytes()
    assert found.issuer.encoded == name_of(ISSUER).public_bytes()
    assert found.subject.name == "CN=kms,O=Keys & Co,C=AT"
    assert found.subject.parts == (("C", "AT"), ("O", "Keys & Co"), ("CN", "kms"))
    assert found.issuer.parts == (("DC", "org"), ("DC", "example"), ("CN", "CA"))
    assert found.issuer.alternatives == ()


def test_alternative_names_stand_in_der_and_where_they_are_text_as_text() -> None:
    found = read(certified((), alternatives=(HOST, MAIL, URI, ADDRESS, PERSON), issuer_alternatives=(MAIL,)))
    assert (found.subject.encoded, found.subject.name, found.subject.parts) == (b"\x30\x00", "", ())
    assert found.subject.alternatives[0] == b"\x82\x0f" + b"kms.example.org"
    assert [one[0] for one in found.subject.alternatives] == [0x82, 0x81, 0x86, 0x87, 0xA4]
    assert found.subject.alternative_names == (
        *("kms.example.org", "keys@example.org", "https://kms.example.org/", "192.0.2.7"),
    )
    assert found.issuer.alternative_names == ("keys@example.org",)


@pytest.mark.parametrize(
    ("key", "algorithm", "bits"),
    [
        (lambda: rsa.generate_private_key(65537, 1024), Algorithm.RSA, 1024),
        (lambda: ec.generate_private_key(ec.SECP384R1()), Algorithm.EC, 384),
        (lambda: dsa.generate_private_key(1024), Algorithm.DSA, 1024),
        (ed25519.Ed25519PrivateKey.generate, Algorithm.ED25519, 256),
        (ed448.Ed448PrivateKey.generate, Algorithm.ED448, 448),
        (x25519.X25519PrivateKey.generate, Algorithm.ECDH, 256),
    ],
)
def test_the_public_key_tells_algorithm_and_length(key: Any, algorithm: int, bits: int) -> None:
    found = read(certified(key=key()))
    assert (found.algorithm, found.length_bits) == (algorithm, bits)


def test_an_elliptic_key_keeps_the_name_that_was_told() -> None:
    assert read(ORDINARY, Algorithm.ECDSA).algorithm == Algorithm.ECDSA
    with pytest.raises(Invalid):
        read(ORDINARY, Algorithm.RSA)


def test_a_key_of_an_unknown_kind_is_no_reason_to_refuse() -> None:
    """Its object identifier is changed to one that nobody has given out."""
    found = read(ORDINARY.replace(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d027f")))
    assert (found.algorithm, found.length_bits) == (0, 0)
    assert found.subject.name == "CN=kms,O=Keys & Co,C=AT"


def test_signature_algorithms_have_kmips_numbers() -> None:
    pair = rsa.generate_private_key(65537, 1024)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    edwards = ed25519.Ed25519PrivateKey.generate()
    assert read(ORDINARY).signature == 0x0E
    assert read(certified(signature=(signing_key(), hashes.SHA512(), {}))).signature == 0x10
    assert read(certified(signature=(pair, hashes.SHA256(), {}))).signature == 0x05
    assert read(certified(signature=(pair, hashes.SHA256(), {"rsa_padding": pss}))).signature == 0x08
    assert read(certified(signature=(edwards, None, {}))).signature == 0


def test_what_a_strict_ca_would_not_certify_is_read_without_a_warning() -> None:
    found = read(certified(((NameOID.COUNTRY_NAME, "Austria"), (NameOID.COMMON_NAME, "x" * 200))))
    assert found.subject.parts == (("C", "Austria"), ("CN", "x" * 200))
    negative = read(ORDINARY.replace(bytes.fromhex("020400c0ffee"), bytes.fromhex("020480c0ffee")))
    assert negative.serial_number == bytes.fromhex("020480c0ffee")


@pytest.mark.row("KS-KCRT-004")
def test_dates_and_signature_are_not_judged() -> None:
    assert read(certified(days=(-300, -200))).subject.name
    assert read(ORDINARY[:-1] + bytes([ORDINARY[-1] ^ 1])) == read(ORDINARY)


@pytest.mark.row("KS-KCRT-003")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"0",
        b"\x30\x00",
        ORDINARY[:-1],
        ORDINARY + b"\x00",
        ORDINARY + ORDINARY,
        b"\x30\x84\xff\xff\xff\xff" + ORDINARY,
        b"-----BEGIN CERTIFICATE-----\n",
        bytes(65_536),
        b"\x30\x80" * 30_000,
        name_of(SUBJECT).public_bytes(),
    ],
    ids=range(11),
)
def test_anything_but_one_certificate_in_der_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        read(data)
    assert caught.value.reason == "invalid.key"


def test_names_have_their_bounds() -> None:
    many = tuple((NameOID.COMMON_NAME, "x") for _ in range(NAME_PARTS_COUNT_MAX))
    assert len(read(certified(many)).subject.parts) == NAME_PARTS_COUNT_MAX
    for subject in ((*many, *many[:1]), ((NameOID.COMMON_NAME, "x" * 16_384),)):
        with pytest.raises(Invalid):
            read(certified(subject))


def test_only_so_many_alternative_names_become_attributes() -> None:
    hosts = [x509.DNSName(f"host{number}.example.org") for number in range(ALTERNATIVE_NAMES_COUNT_MAX + 50)]
    found = read(certified(alternatives=hosts)).subject
    assert len(found.alternatives) == len(found.alternative_names) == ALTERNATIVE_NAMES_COUNT_MAX


def test_a_serial_number_beyond_all_bounds_is_refused() -> None:
    """The one of the certificate, 4 bytes long, becomes 70 bytes long, with all the lengths around it."""
    serial = bytes.fromhex("020400c0ffee")
    longer = b"\x02\x46" + b"\x01" * 70
    grown = len(longer) - len(serial)
    whole, inner = (int.from_bytes(ORDINARY[at : at + 2], "big") for at in (2, 6))
    changed = b"\x30\x82" + (whole + grown).to_bytes(2, "big") + b"\x30\x82" + (inner + grown).to_bytes(2, "big")
    with pytest.raises(Invalid):
        read(changed + ORDINARY[8:].replace(serial, longer, 1))


@given(damaged(ORDINARY))
def test_damaged_certificates_are_read_or_refused(data: bytes) -> None:
    try:
        found = read(data)
    except Invalid:
        return
    assert found.subject.encoded in data


@given(st.binary(max_size=300))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        read(data)


def test_the_certificates_of_the_conformance_cases_are_read(shared_folder: Path) -> None:
    texts = (path.read_text() for path in (shared_folder / "kmip/vectors").glob("v*/*/*.xml"))
    values = {
        part.split('"')[0] for text in texts for part in text.split('<CertificateValue type="ByteString" value="')[1:]
    }
    assert len(values) >= 5
    for value in values:
        found = read(bytes.fromhex(value))
        assert found.subject.encoded.hex() in value
        assert found.length_bits
