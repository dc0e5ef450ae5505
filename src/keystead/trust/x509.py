"""The local CA, and who a client certificate is.

Laws: what is issued holds only what we say: of a request its public key alone is taken. Every certificate has key usage
and key identifiers, or strict verifiers (Python 3.13's default) refuse it. A name from a certificate is a user's name
only if its field occurs exactly once and has nothing in it that people cannot see.

Source: RFC 5280; requirements KS-KMIP-010 to 015, KS-CAU-001, 006, 008; attacks.md classes 27 and 40.
"""

import ipaddress
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keystead.core.errors import Invalid, Unauthenticated
from keystead.core.secret import Secret
from keystead.trust.issuers import Step

AUTHORITY_DAYS = 3_650
SERVER_DAYS = 825
CLIENT_DAYS = 365
DAYS_MAX = 3_650
CLOCK_SKEW = timedelta(minutes=5)  # a client whose clock is a little behind must be able to connect at once
NAME_CHARACTERS_MAX = 255
COMMON_NAME_BYTES_MAX = 64  # RFC 5280 appendix A, ub-common-name, as the library counts it
REQUEST_BYTES_MAX = 16_384
SERVER_NAMES_COUNT_MAX = 100
RSA_BITS_MIN = 2_048
RSA_BITS_MAX = 8_192
ALWAYS_NAMED = ("localhost", "127.0.0.1", "::1")

AuthorityKey = ec.EllipticCurvePrivateKey
ClientKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


class NameField(StrEnum):
    """Field of a client certificate that names the user (KS-KMIP-011); E_ND is the e-mail address left of @."""

    UID = "UID"
    CN = "CN"
    SN = "SN"
    E = "E"
    E_ND = "E_ND"
    OU = "OU"


_SUBJECT_FIELDS = {
    NameField.UID: NameOID.USER_ID,
    NameField.CN: NameOID.COMMON_NAME,
    NameField.SN: NameOID.SURNAME,
    NameField.E: NameOID.EMAIL_ADDRESS,
    NameField.E_ND: NameOID.EMAIL_ADDRESS,
    NameField.OU: NameOID.ORGANIZATIONAL_UNIT_NAME,
}


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """Who a client certificate says its holder is; TLS has verified chain and dates.

    Attributes:
        user: Name from the configured field, "" when certificates are used for the TLS session only.
        common_name: For logs; "" when there is none that can be shown.
        fingerprint: SHA-256 over the certificate, 32 bytes.
        serial: Serial number.
        not_before: UTC.
        not_after: UTC.
        addresses: IP addresses of its subjectAltName, normalised.
        path: Over which authorities it leads upward; see `issuers.Issuers.path`.
    """

    user: str
    common_name: str
    fingerprint: bytes
    serial: int
    not_before: datetime
    not_after: datetime
    addresses: frozenset[str]
    path: tuple[Step, ...] = ()

    def names_address(self, address: str) -> bool:
        """Tell whether the peer's address is one that the certificate names (KS-KMIP-015)."""
        try:
            return _normal_address(address) in self.addresses
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """What a client certificate is made from.

    Attributes:
        request_pem: PKCS#10 request of the client, of which only the public key is used; None = make the key here.
        validity_days: 1 to 3650; never longer than the CA's own.
        addresses: IP addresses that the client will connect from (KS-KMIP-015); none = any.
    """

    request_pem: str | None = None
    validity_days: int = CLIENT_DAYS
    addresses: tuple[str, ...] = ()


def make_authority(common_name: str, *, now: datetime | None = None) -> tuple[Secret, str]:
    """Make a local CA on P-256.

    Returns: private key (PKCS#8, PEM) and self-signed certificate (PEM).

    Raises:
        Invalid: the name cannot stand in a certificate.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name)
    start = now or datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - CLOCK_SKEW)
        .not_valid_after(start + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _key_pem(key), _pem(certificate)


def issue_server(
    authority_key: Secret, authority_pem: str, names: Sequence[str], *, now: datetime | None = None
) -> tuple[Secret, str]:
    """Make a server's key and certificate.

    Args:
        authority_key: From `make_authority`.
        authority_pem: The CA's certificate.
        names: DNS names and IP addresses, at most 100; localhost, 127.0.0.1 and ::1 are always added.
        now: Start of validity.

    Returns: private key (PKCS#8, PEM) and certificate (PEM).

    Raises:
        Invalid: a name can be neither.
    """
    alternatives = [_alternative(name) for name in dict.fromkeys((*names, *ALWAYS_NAMED))]
    if len(alternatives) > SERVER_NAMES_COUNT_MAX:
        raise Invalid(f"a server certificate has at most {SERVER_NAMES_COUNT_MAX} names")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _issue(
        _authority(authority_key, authority_pem),
        _name((*names, "localhost")[0][:COMMON_NAME_BYTES_MAX]),
        key.public_key(),
        _Leaf(ExtendedKeyUsageOID.SERVER_AUTH, alternatives, SERVER_DAYS, now),
    )
    return _key_pem(key), _pem(certificate)


def issue_client(
    authority_key: Secret,
    authority_pem: str,
    user: str,
    request: ClientRequest = ClientRequest(),
    *,
    now: datetime | None = None,
) -> tuple[Secret | None, str]:
    """Certify a user's client: common name = user, for client authentication only.

    Returns: private key (PKCS#8, PEM; None when the client has it) and certificate (PEM).

    Raises:
        Invalid: user name, request, key or validity cannot be certified.
    """
    check_name(user, "the user name")
    made: Secret | None = None
    public: ClientKey
    if request.request_pem is None:
        key = ec.generate_private_key(ec.SECP256R1())
        public, made = key.public_key(), _key_pem(key)
    else:
        public = _requested_key(request.request_pem)
    alternatives = [_alternative_address(address) for address in request.addresses]
    leaf = _Leaf(ExtendedKeyUsageOID.CLIENT_AUTH, alternatives, request.validity_days, now)
    certificate = _issue(_authority(authority_key, authority_pem), _name(user), public, leaf)
    return made, _pem(certificate)


def identity(certificate: bytes, field: str | None = NameField.CN) -> ClientIdentity:
    """Tell who a client certificate's holder is.

    Args:
        certificate: DER, verified by TLS.
        field: A `NameField`; None = the certificate serves the TLS session only (KS-KMIP-010).

    Raises:
        Unauthenticated: not for client authentication, or the field names nobody.
    """
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        _check_client_use(parsed)
        user = "" if field is None else _user(parsed, NameField(field))
        names = _subject_values(parsed, NameOID.COMMON_NAME)
        shown = names[0] if len(names) == 1 and _is_plain(names[0]) else ""
        return ClientIdentity(
            user=user,
            common_name=shown,
            fingerprint=parsed.fingerprint(hashes.SHA256()),
            serial=parsed.serial_number,
            not_before=parsed.not_valid_before_utc,
            not_after=parsed.not_valid_after_utc,
            addresses=frozenset(_normal_address(str(each)) for each in _alternatives(parsed, x509.IPAddress)),
        )
    except (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise Unauthenticated("the client certificate cannot be read; have it issued anew") from None


def check_name(name: str, what: str) -> None:
    """Check that a name shows all there is of it: no control or format characters, no blanks at its ends, NFC.

    Raises:
        Invalid: it does not; the message repeats `what`, not the name.
    """
    if not _is_plain(name):
        raise Invalid(f"{what} is empty, too long, or has characters that cannot be seen")


@dataclass(frozen=True, slots=True)
class _Leaf:
    """What differs between certificates that the CA issues."""

    usage: x509.ObjectIdentifier
    alternatives: Sequence[x509.GeneralName]
    validity_days: int
    now: datetime | None


def _issue(
    authority: tuple[AuthorityKey, x509.Certificate], subject: x509.Name, public: ClientKey, leaf: _Leaf
) -> x509.Certificate:
    if not 1 <= leaf.validity_days <= DAYS_MAX:
        raise Invalid(f"a certificate is valid for 1 to {DAYS_MAX} days")
    key, issuer = authority
    start = leaf.now or datetime.now(UTC)
    end = min(start + timedelta(days=leaf.validity_days), issuer.not_valid_after_utc)
    if end <= start:
        raise Invalid("the CA's certificate has expired; make a new CA")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - CLOCK_SKEW)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([leaf.usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if leaf.alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(leaf.alternatives), critical=False)
    return builder.sign(key, hashes.SHA256())


def _authority(key_pem: Secret, certificate_pem: str) -> tuple[AuthorityKey, x509.Certificate]:
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    key = serialization.load_pem_private_key(key_pem.reveal(), password=None)
    if not isinstance(key, AuthorityKey) or key.public_key() != certificate.public_key():
        raise Invalid("the CA's key does not belong to its certificate")
    return key, certificate


def _requested_key(request_pem: str) -> ClientKey:
    if len(request_pem) > REQUEST_BYTES_MAX:
        raise Invalid("the certificate request is too large")
    try:
        request = x509.load_pem_x509_csr(request_pem.strip().encode())
        is_signed, public = request.is_signature_valid, request.public_key()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        raise Invalid("this is no certificate request in PEM form, or one with an unknown kind of key") from None
    if not is_signed:
        raise Invalid("the certificate request is not signed by its own key")
    if isinstance(public, rsa.RSAPublicKey) and RSA_BITS_MIN <= public.key_size <= RSA_BITS_MAX:
        return public
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(
        public.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1
    ):
        return public
    if isinstance(public, ed25519.Ed25519PublicKey):
        return public
    raise Invalid(f"certify RSA keys of {RSA_BITS_MIN} bits or more, P-256, P-384, P-521 or Ed25519")


def _name(common_name: str) -> x509.Name:
    check_name(common_name, "the common name")
    if len(common_name.encode()) > COMMON_NAME_BYTES_MAX:
        raise Invalid(f"a common name has at most {COMMON_NAME_BYTES_MAX} bytes")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def key_usage(*, is_authority: bool) -> x509.KeyUsage:
    """Return what a CA's key may do, or a server's, client's or device's (RFC 5280 section 4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return _alternative_address(name)
    except Invalid:
        pass
    try:
        if name and len(name) <= NAME_CHARACTERS_MAX and all(c.isalnum() or c in "-._*" for c in name):
            return x509.DNSName(name)
    except ValueError:  # not ASCII: an internationalised name has to come in its A-label form
        pass
    raise Invalid("a server name is a DNS name in ASCII or an IP address")


def _alternative_address(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        raise Invalid("this is no IP address") from None


def _normal_address(address: str) -> str:
    """Bring an address to one form; one over IPv6's mapping is the IPv4 address that it stands for."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _check_client_use(certificate: x509.Certificate) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise Unauthenticated("the certificate is not for client authentication; have one issued for a client")


def _user(certificate: x509.Certificate, field: NameField) -> str:
    values = _subject_values(certificate, _SUBJECT_FIELDS[field])
    if field in {NameField.E, NameField.E_ND}:
        values = _addresses_of_mail(certificate, values)
    if len(values) != 1:
        raise Unauthenticated(f"the certificate must have the field {field} exactly once, it has {len(values)}")
    name = values[0]
    if field is NameField.E_ND:
        name, at, domain = name.rpartition("@")
        if not (name and at and domain) or "@" in name:
            raise Unauthenticated("the certificate's e-mail address has no user part left of one @")
    if not _is_plain(name):
        raise Unauthenticated(f"the certificate's field {field} has characters that cannot be seen, or is too long")
    return name


def _addresses_of_mail(certificate: x509.Certificate, in_subject: list[str]) -> list[str]:
    """E-mail addresses of subject and subjectAltName; the same one in both places counts once."""
    alternatives = [str(each) for each in _alternatives(certificate, x509.RFC822Name)]
    return in_subject + [each for each in alternatives if len(in_subject) != 1 or each != in_subject[0]]


def _subject_values(certificate: x509.Certificate, field: x509.ObjectIdentifier) -> list[str]:
    return [
        each.value if isinstance(each.value, str) else "" for each in certificate.subject.get_attributes_for_oid(field)
    ]


def _alternatives(certificate: x509.Certificate, kind: type[x509.IPAddress | x509.RFC822Name]) -> list[object]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return list(names.get_values_for_type(kind))


def _is_plain(name: str) -> bool:
    return (
        0 < len(name) <= NAME_CHARACTERS_MAX
        and name == name.strip()
        and unicodedata.is_normalized("NFC", name)
        and not any(unicodedata.category(character)[0] in "CZ" and character != " " for character in name)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: AuthorityKey) -> Secret:
    return Secret(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
