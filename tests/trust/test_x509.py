import hashlib
import ssl
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509 as library
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import Invalid, Unauthenticated
from keystead.core.secret import Secret
from keystead.trust import x509
from keystead.trust.x509 import ClientRequest, NameField

AUTHORITY_KEY, AUTHORITY = x509.make_authority("a test CA")
KEY = ec.generate_private_key(ec.SECP256R1())


def load(pem: str) -> library.Certificate:
    return library.load_pem_x509_certificate(pem.encode())


def der(pem: str) -> bytes:
    return load(pem).public_bytes(serialization.Encoding.DER)


def a_certificate(
    attributes: list[tuple[library.ObjectIdentifier, str]],
    alternatives: list[library.GeneralName] | None = None,
    usages: list[library.ObjectIdentifier] | None = None,
) -> bytes:
    """A client certificate of any shape, as a foreign CA might have signed it."""
    names = [library.NameAttribute(oid, value, _validate=False) for oid, value in attributes]
    builder = (
        library.CertificateBuilder()
        .subject_name(library.Name(names))
        .issuer_name(library.Name(names))
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
    )
    if usages is None:
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if usages:
        builder = builder.add_extension(library.ExtendedKeyUsage(usages), critical=False)
    if alternatives:
        builder = builder.add_extension(library.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


# --------------------------------------------------------------------------------------------------- what is issued


def test_the_ca_and_what_it_issues_carry_what_strict_verifiers_ask_for() -> None:
    _, server = x509.issue_server(AUTHORITY_KEY, AUTHORITY, ["keys.example.org", "192.0.2.7"])
    _, client = x509.issue_client(AUTHORITY_KEY, AUTHORITY, "alice")
    for certificate in map(load, (AUTHORITY, server, client)):
        extensions = certificate.extensions
        for kind in (library.KeyUsage, library.SubjectKeyIdentifier, library.AuthorityKeyIdentifier):
            extensions.get_extension_for_class(kind)  # raises when there is none
        assert extensions.get_extension_for_class(library.KeyUsage).critical
        assert extensions.get_extension_for_class(library.BasicConstraints).critical
        assert 0 < certificate.serial_number.bit_length() <= 159
        certificate.verify_directly_issued_by(load(AUTHORITY))
    names = load(server).extensions.get_extension_for_class(library.SubjectAlternativeName).value
    assert names.get_values_for_type(library.DNSName) == ["keys.example.org", "localhost"]
    assert [str(each) for each in names.get_values_for_type(library.IPAddress)] == ["192.0.2.7", "127.0.0.1", "::1"]


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    """A TLS handshake in memory; what the server sees of the client."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[0].getpeercert(binary_form=True) or b""


def contexts(tmp_path: Path, client: tuple[Secret | None, str]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    both = []
    server = x509.issue_server(AUTHORITY_KEY, AUTHORITY, ())
    for protocol, (key, certificate) in ((ssl.PROTOCOL_TLS_SERVER, server), (ssl.PROTOCOL_TLS_CLIENT, client)):
        assert key is not None
        context = ssl.SSLContext(protocol)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=AUTHORITY)
        file = tmp_path / f"{protocol}.pem"
        file.write_bytes(certificate.encode() + key.reveal())
        context.load_cert_chain(file)
        both.append(context)
    return both[0], both[1]


def test_client_and_server_meet_over_strict_tls(tmp_path: Path) -> None:
    issued = x509.issue_client(AUTHORITY_KEY, AUTHORITY, "alice")
    seen = handshake(*contexts(tmp_path, issued))
    assert x509.identity(seen).user == "alice"


def test_a_client_of_another_ca_is_refused(tmp_path: Path) -> None:
    foreign = x509.make_authority("a test CA")
    issued = x509.issue_client(*foreign, "alice")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(*contexts(tmp_path, issued))


def test_a_server_certificate_serves_no_client(tmp_path: Path) -> None:
    issued = x509.issue_server(AUTHORITY_KEY, AUTHORITY, ["alice"])
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(*contexts(tmp_path, issued))
    with pytest.raises(Unauthenticated, match="not for client authentication"):
        x509.identity(der(issued[1]))


def test_what_is_issued_never_outlives_the_ca() -> None:
    nearly_over = load(AUTHORITY).not_valid_after_utc - timedelta(days=10)
    _, certificate = x509.issue_client(AUTHORITY_KEY, AUTHORITY, "alice", now=nearly_over)
    assert load(certificate).not_valid_after_utc == load(AUTHORITY).not_valid_after_utc
    with pytest.raises(Invalid, match="has expired"):
        x509.issue_client(AUTHORITY_KEY, AUTHORITY, "alice", now=nearly_over + timedelta(days=10))


@pytest.mark.row("KS-CAU-008")
def test_serial_numbers_are_random_and_positive() -> None:
    serials = {load(x509.issue_client(AUTHORITY_KEY, AUTHORITY, "alice")[1]).serial_number for _ in range(20)}
    assert len(serials) == 20
    assert min(serials).bit_length() > 64


def a_request(key: object, **extra: str) -> str:
    builder = library.CertificateSigningRequestBuilder().subject_name(
        library.Name([library.NameAttribute(NameOID.COMMON_NAME, "root")])
    )
    builder = builder.add_extension(library.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(library.SubjectAlternativeName([library.DNSName("evil.example")]), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()  # type: ignore[arg-type]  # any kind of key


@pytest.mark.parametrize(
    "make",
    [
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate,
    ],
    ids=["RSA", "P-384", "Ed25519"],
)
def test_of_a_request_only_the_key_is_taken(make: Callable[[], rsa.RSAPrivateKey]) -> None:
    key = make()
    made, pem = x509.issue_client(AUTHORITY_KEY, AUTHORITY, "alice", ClientRequest(a_request(key)))
    certificate = load(pem)
    assert made is None
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=alice"
    assert not certificate.extensions.get_extension_for_class(library.BasicConstraints).value.ca
    with pytest.raises(library.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(library.SubjectAlternativeName)


def forged_request() -> str:
    request = bytearray(library.load_pem_x509_csr(a_request(KEY).encode()).public_bytes(serialization.Encoding.DER))
    request[-1] ^= 1
    return library.load_der_x509_csr(bytes(request)).public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("request_pem", "message"),
    [
        ("hello", "no certificate request"),
        ("x" * 20_000, "too large"),
        (a_request(rsa.generate_private_key(65537, 1024)), "2048 bits or more"),
        (a_request(ec.generate_private_key(ec.SECP256K1())), "P-256"),
        (a_request(dsa.generate_private_key(2048)), "P-256"),
        (forged_request(), "not signed by its own key"),
    ],
)
def test_requests_that_are_not_certified(request_pem: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        x509.issue_client(AUTHORITY_KEY, AUTHORITY, "alice", ClientRequest(request_pem))


HOSTILE = [
    "",
    " alice",
    "alice ",
    "al\x00ice",
    "alice\n",
    "al\u202eice",
    "al\u200bice",
    "cafe\u0301",
    "a" * 256,
    "\u00a0a",
]


@pytest.mark.parametrize("name", [*HOSTILE, "a" * 65, "é" * 33])
def test_names_that_cannot_be_certified(name: str) -> None:
    with pytest.raises(Invalid):
        x509.issue_client(AUTHORITY_KEY, AUTHORITY, name)
    with pytest.raises(Invalid):
        x509.make_authority(name)


@pytest.mark.parametrize("name", ["", "two words", "new\nline", "a" * 256, "bücher.example", "*.*\x00"])
def test_names_that_no_server_has(name: str) -> None:
    with pytest.raises(Invalid, match="DNS name in ASCII or an IP address"):
        x509.issue_server(AUTHORITY_KEY, AUTHORITY, [name])


def test_limits_of_what_is_issued() -> None:
    for days in (0, -1, 3651):
        with pytest.raises(Invalid, match="1 to 3650 days"):
            x509.issue_client(AUTHORITY_KEY, AUTHORITY, "alice", ClientRequest(validity_days=days))
    with pytest.raises(Invalid, match="at most 100"):
        x509.issue_server(AUTHORITY_KEY, AUTHORITY, [f"h{n}.example" for n in range(100)])
    with pytest.raises(Invalid, match="does not belong"):
        x509.issue_client(x509.make_authority("other")[0], AUTHORITY, "alice")
    with pytest.raises(Invalid, match="no IP address"):
        x509.issue_client(AUTHORITY_KEY, AUTHORITY, "alice", ClientRequest(addresses=("here",)))


# ------------------------------------------------------------------------------------------------------- who it is


EVERYTHING = [
    (NameOID.USER_ID, "uid1"),
    (NameOID.COMMON_NAME, "alice"),
    (NameOID.SURNAME, "Sn"),
    (NameOID.EMAIL_ADDRESS, "User1@company.com"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Unit"),
]


@pytest.mark.row("KS-KMIP-011", "KS-KMIP-012")
@pytest.mark.parametrize(
    ("field", "user"),
    [("UID", "uid1"), ("CN", "alice"), ("SN", "Sn"), ("E", "User1@company.com"), ("E_ND", "User1"), ("OU", "Unit")],
)
def test_the_chosen_field_names_the_user(field: str, user: str) -> None:
    assert x509.identity(a_certificate(EVERYTHING), field).user == user


@pytest.mark.row("KS-KMIP-011")
@pytest.mark.parametrize("field", list(NameField))
def test_the_chosen_field_must_occur_exactly_once(field: NameField) -> None:
    none, twice = a_certificate([(NameOID.TITLE, "none")]), a_certificate(EVERYTHING * 2)
    for certificate in (none, twice):
        with pytest.raises(Unauthenticated, match="exactly once"):
            x509.identity(certificate, field)
        assert x509.identity(certificate, None).user == ""  # used for the TLS session only


@pytest.mark.row("KS-KMIP-012")
@pytest.mark.parametrize("address", ["User1", "@company.com", "User1@", "a@b@company.com"])
def test_an_address_without_a_user_part_names_nobody(address: str) -> None:
    with pytest.raises(Unauthenticated, match="left of"):
        x509.identity(a_certificate([(NameOID.EMAIL_ADDRESS, address)]), "E_ND")


def test_an_address_may_stand_in_the_subject_or_beside_it() -> None:
    address, other = library.RFC822Name("a@example.org"), library.RFC822Name("b@example.org")
    subject = [(NameOID.EMAIL_ADDRESS, "a@example.org")]
    assert x509.identity(a_certificate([], [address]), "E").user == "a@example.org"
    assert x509.identity(a_certificate(subject, [address]), "E").user == "a@example.org"
    for certificate in (a_certificate(subject, [other]), a_certificate([], [address, other])):
        with pytest.raises(Unauthenticated, match="exactly once"):
            x509.identity(certificate, "E")


@pytest.mark.parametrize(
    "usages", [[], [ExtendedKeyUsageOID.SERVER_AUTH], [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]]
)
def test_client_authentication_must_be_said(usages: list[library.ObjectIdentifier]) -> None:
    with pytest.raises(Unauthenticated, match="not for client authentication"):
        x509.identity(a_certificate(EVERYTHING, usages=usages))


@pytest.mark.parametrize("name", [name for name in HOSTILE if name])
def test_names_with_more_than_meets_the_eye_are_nobodys(name: str) -> None:
    with pytest.raises(Unauthenticated, match="cannot be seen, or is too long"):
        x509.identity(a_certificate([(NameOID.USER_ID, name)]), "UID")
    if len(name) <= 64:
        assert x509.identity(a_certificate([(NameOID.COMMON_NAME, name)]), None).common_name == ""


def test_common_names_only_for_logs() -> None:
    assert x509.identity(a_certificate(EVERYTHING), "UID").common_name == "alice"
    assert x509.identity(a_certificate(EVERYTHING * 2), None).common_name == ""


def test_the_rest_of_an_identity() -> None:
    _, pem = x509.issue_client(AUTHORITY_KEY, AUTHORITY, "alice")
    seen = x509.identity(der(pem))
    certificate = load(pem)
    assert seen.fingerprint == hashlib.sha256(der(pem)).digest()
    assert seen.serial == certificate.serial_number
    assert (seen.not_before, seen.not_after) == (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    assert seen.not_after - seen.not_before == timedelta(days=365, minutes=5)


@pytest.mark.parametrize(
    ("peer", "named"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("2001:db8::1", True),
        ("2001:0db8:0::0001", True),
        ("2001:db8::1%eth0", True),
        ("192.0.2.8", False),
        ("-", False),
        ("", False),
    ],
)
def test_the_peers_address_is_compared_with_those_of_the_certificate(peer: str, named: bool) -> None:
    request = ClientRequest(addresses=("192.0.2.7", "2001:db8::1"))
    _, pem = x509.issue_client(AUTHORITY_KEY, AUTHORITY, "alice", request)
    assert x509.identity(der(pem)).names_address(peer) is named


def test_a_certificate_without_addresses_names_none() -> None:
    assert not x509.identity(a_certificate(EVERYTHING)).names_address("127.0.0.1")


@given(st.binary(max_size=300))
def test_bytes_that_are_no_certificate(data: bytes) -> None:
    with pytest.raises(Unauthenticated):
        x509.identity(data)


GOOD = a_certificate(EVERYTHING, [library.RFC822Name("User1@company.com")])


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # the library still reads one that is not positive
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_damaged_certificate_is_read_or_refused_but_nothing_else(position: int, change: int) -> None:
    damaged = bytearray(GOOD)
    damaged[position] ^= change
    for field in ("CN", "E", "OU"):
        try:
            x509.identity(bytes(damaged), field)
        except Unauthenticated:
            continue


def test_another_openssl_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    _, server = x509.issue_server(AUTHORITY_KEY, AUTHORITY, ["keys.example.org"])
    _, client = x509.issue_client(AUTHORITY_KEY, AUTHORITY, "alice")
    (tmp_path / "ca.pem").write_text(AUTHORITY)
    for purpose, pem in (("sslserver", server), ("sslclient", client)):
        (tmp_path / "leaf.pem").write_text(pem)
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.pem", "leaf.pem"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)
        assert done.stdout.strip() == "leaf.pem: OK", done.stderr
