"""Manufacturing: the root that makes modules genuine, each module's identity, and the list of revoked ones.

A module's identity has two faces: an X.509 certificate for TLS, and a statement by the root's origin that names that
certificate, the module's signing key and its encryption key, so that secrets rest on post-quantum algorithms as well.

Laws: a statement binds serial, certificate, signing key and encryption key together and is checked as a whole; the
number of a revocation list only rises.

Source: requirements CA-004, 005, 033; RFC 5280; docs/cloning.md section 4.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keystead.core.errors import Invalid, Refused, Tampered
from keystead.core.secret import Secret
from keystead.core.translation import tr
from keystead.trust.origins import Origin, OriginKey
from keystead.trust.recipients import RecipientKey, RecipientSecret
from keystead.trust.x509 import key_usage

SERIAL_CHARACTERS_MAX = 32
REVOKED_COUNT_MAX = 10_000
IDENTITY_DAYS = 3650
ROOT_DAYS = 7300
_STATEMENT, _REVOCATION = "module-identity", "module-revocation"
_US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class Root:
    """What everybody knows of a manufacturing root.

    Attributes:
        certificate: PEM of its CA, for TLS.
        key: Of its origin, for statements and revocation lists.
    """

    certificate: str
    key: OriginKey

    def encoded(self) -> bytes:
        """Return the bytes that a module carries from its manufacture."""
        return cbor2.dumps({"certificate": self.certificate, "key": self.key.encoded}, canonical=True)

    @classmethod
    def decoded(cls, encoded: bytes) -> "Root":
        """Read what `encoded` wrote.

        Raises:
            Invalid: it is none.
        """
        fields = _map(encoded)
        return cls(str(fields["certificate"]), OriginKey(fields["key"]))


@dataclass(frozen=True)
class RootSecret:
    """The manufacturing root itself; stays with the manufacturer.

    Attributes:
        root: Its public half.
        origin: Signs statements and lists.
        ca_key: PEM of the CA's private key.
    """

    root: Root
    origin: Origin
    ca_key: Secret = field(repr=False)

    def encoded(self) -> Secret:
        """Return what has to be sealed to keep it."""
        fields = {"root": self.root.encoded(), "origin": self.origin.secret.reveal(), "ca": self.ca_key.reveal()}
        return Secret(cbor2.dumps(fields, canonical=True))

    @classmethod
    def decoded(cls, encoded: Secret) -> "RootSecret":
        """Read what `encoded` wrote."""
        fields = _map(encoded.reveal())
        return cls(Root.decoded(fields["root"]), Origin(Secret(fields["origin"])), Secret(fields["ca"]))


@dataclass(frozen=True, slots=True)
class Identity:
    """What a module shows of itself, proven by the root.

    Attributes:
        serial: 1 to 32 letters, digits and hyphens.
        certificate: SHA-256 of its TLS certificate (DER).
        origin: Its signing key.
        recipient: Its encryption key.
        valid_from, valid_until: Microseconds since 1970, UTC.
        encoded: The signed statement as it travels.
    """

    serial: str
    certificate: bytes
    origin: OriginKey
    recipient: RecipientKey
    valid_from: int
    valid_until: int
    encoded: bytes


@dataclass(frozen=True)
class Device:
    """A module's identity with its secrets.

    Attributes:
        identity: What it shows.
        certificate: PEM of its TLS certificate.
        tls_key: PEM of that certificate's private key.
        origin: Signs its transcripts and envelopes.
        recipient: Opens envelopes for it.
    """

    identity: Identity
    certificate: str
    origin: Origin
    recipient: RecipientSecret
    tls_key: Secret = field(repr=False)

    def encoded(self) -> Secret:
        """Return what has to be sealed to keep it."""
        fields = {
            "identity": self.identity.encoded,
            "certificate": self.certificate,
            "origin": self.origin.secret.reveal(),
            "recipient": self.recipient.secret.reveal(),
            "tls": self.tls_key.reveal(),
        }
        return Secret(cbor2.dumps(fields, canonical=True))

    @classmethod
    def decoded(cls, encoded: Secret, root: Root) -> "Device":
        """Read what `encoded` wrote.

        Raises:
            Tampered: the statement is not of this root.
        """
        fields = _map(encoded.reveal())
        origin, recipient = Origin(Secret(fields["origin"])), RecipientSecret(Secret(fields["recipient"]))
        identity = read_identity(fields["identity"], root)
        return cls(identity, str(fields["certificate"]), origin, recipient, Secret(fields["tls"]))


@dataclass(frozen=True, slots=True)
class Revocations:
    """Modules that take part in no cloning any more.

    Attributes:
        number: Rises with every list.
        serials: The revoked ones.
    """

    number: int
    serials: frozenset[str]


# --------------------------------------------------------------------------------------------------------- manufacture


def new_root(name: str, now: int) -> RootSecret:
    """Make a manufacturing root.

    Args:
        name: For the certificate, 1 to 64 characters.
        now: Microseconds since 1970, UTC.
    """
    key, origin = ec.generate_private_key(ec.SECP256R1()), Origin.generate()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key(), now, ROOT_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(key_usage(is_authority=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return RootSecret(Root(_pem(certificate), origin.key), origin, _key_pem(key))


def manufacture(root: RootSecret, serial: str, now: int, days: int = IDENTITY_DAYS) -> Device:
    """Make the identity of one module (CA-005).

    Raises:
        Invalid: the serial is not 1 to 32 letters, digits and hyphens.
    """
    check_serial(serial)
    key, origin, recipient = ec.generate_private_key(ec.SECP256R1()), Origin.generate(), RecipientSecret.generate()
    ca = x509.load_pem_x509_certificate(root.root.certificate.encode())
    ca_key = serialization.load_pem_private_key(root.ca_key.reveal(), None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise Invalid(tr("the key of the manufacturing root is of another kind"))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, serial)])
    builder = _builder(subject, ca.subject, key.public_key(), now, days)
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (key_usage(is_authority=False), True),
        (x509.ExtendedKeyUsage(uses), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(ca_key, hashes.SHA256())
    fields = {
        "serial": serial,
        "certificate": certificate.fingerprint(hashes.SHA256()),
        "origin": origin.key.encoded,
        "recipient": recipient.key.encoded,
        "from": now,
        "until": now + days * 86_400 * _US_PER_S,
    }
    identity = read_identity(_signed(root.origin, fields, _STATEMENT), root.root)
    return Device(identity, _pem(certificate), origin, recipient, _key_pem(key))


def revoke(root: RootSecret, number: int, serials: Sequence[str]) -> bytes:
    """Return a signed revocation list.

    Raises:
        Invalid: too many, or no serials.
    """
    if len(serials) > REVOKED_COUNT_MAX:
        raise Invalid(tr("a revocation list names at most {most} modules", most=REVOKED_COUNT_MAX))
    for serial in serials:
        check_serial(serial)
    return _signed(root.origin, {"number": number, "serials": sorted(set(serials))}, _REVOCATION)


# --------------------------------------------------------------------------------------------------------------- judge


def read_identity(encoded: bytes, root: Root) -> Identity:
    """Return an identity whose statement the root made (CA-033).

    Raises:
        Tampered: by another root, or changed. Invalid: it breaks its form.
    """
    fields = _verified(encoded, root, _STATEMENT)
    try:
        check_serial(fields["serial"])
        return Identity(
            fields["serial"],
            bytes(fields["certificate"]),
            OriginKey(fields["origin"]),
            RecipientKey(fields["recipient"]),
            int(fields["from"]),
            int(fields["until"]),
            encoded,
        )
    except (KeyError, TypeError, ValueError):
        raise Invalid(tr("the identity of a module breaks its form")) from None


def read_revocations(encoded: bytes, root: Root) -> Revocations:
    """Return a revocation list of this root.

    Raises:
        Tampered: by another root, or changed. Invalid: it breaks its form.
    """
    fields = _verified(encoded, root, _REVOCATION)
    try:
        return Revocations(int(fields["number"]), frozenset(str(serial) for serial in fields["serials"]))
    except (KeyError, TypeError, ValueError):
        raise Invalid(tr("the revocation list breaks its form")) from None


def judge(identity: Identity, certificate: bytes, revoked: frozenset[str], now: int) -> None:
    """Check that an identity may take part now.

    Args:
        identity: Proven by the root.
        certificate: DER of the certificate that the peer proved in TLS.
        revoked: Serials.
        now: Microseconds since 1970, UTC.

    Raises:
        Refused: it names another certificate, is expired or not valid yet, or revoked.
    """
    if not hmac.compare_digest(hashlib.sha256(certificate).digest(), identity.certificate):
        raise Refused(tr("the other module shows an identity that does not belong to its certificate"))
    if not identity.valid_from <= now < identity.valid_until:
        raise Refused(tr("the other module's identity has expired or is not valid yet; have it replaced"))
    if identity.serial in revoked:
        raise Refused(tr("the other module is revoked; keep it out of use"))


def check_serial(serial: object) -> None:
    """Check the form of a serial number.

    Raises:
        Invalid: not 1 to 32 letters, digits and hyphens.
    """
    text = serial if isinstance(serial, str) else ""
    if not (text.isascii() and text.replace("-", "").isalnum() and len(text) <= SERIAL_CHARACTERS_MAX):
        raise Invalid(tr("a serial number has 1 to {most} letters, digits and hyphens", most=SERIAL_CHARACTERS_MAX))


# --------------------------------------------------------------------------------------------------------------- parts


def _signed(origin: Origin, fields: dict[str, Any], purpose: str) -> bytes:
    said = cbor2.dumps(fields, canonical=True)
    return cbor2.dumps([said, origin.sign(said, purpose)], canonical=True)


def _verified(encoded: bytes, root: Root, purpose: str) -> dict[str, Any]:
    """Check a signed statement before it is read."""
    try:
        said, signature = cbor2.loads(encoded)
        if not isinstance(said, bytes) or not isinstance(signature, bytes):
            raise TypeError
    except (cbor2.CBORError, ValueError, TypeError):
        raise Tampered(tr("a statement of the manufacturing root breaks its form")) from None
    root.key.verify(signature, said, purpose)
    return _map(said)


def _map(encoded: bytes) -> dict[str, Any]:
    try:
        fields = cbor2.loads(encoded)
    except (cbor2.CBORError, ValueError):
        fields = None
    if not isinstance(fields, dict):
        raise Invalid(tr("the statement breaks its form"))
    return fields


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: int, days: int
) -> x509.CertificateBuilder:
    start = datetime.fromtimestamp(now / _US_PER_S, UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> Secret:
    form, no_encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Secret(key.private_bytes(serialization.Encoding.PEM, form, no_encryption))
