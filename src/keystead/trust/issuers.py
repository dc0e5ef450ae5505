"""Certificate authorities: who has signed a certificate, and which ones each has revoked.

TLS has verified chain and dates when a certificate comes in; here stands what TLS does not tell: over which authorities
the way led, so that trust can be taken back later, also from open connections and from resumed TLS sessions.

An authority is known by its name and key (a trust anchor of RFC 5280 section 6.1.1), so a renewed certificate of the
same key is the same authority.

Source: RFC 5280 sections 4 to 6; requirements KS-CAU-005, 011; KS-CRL-001, 004, 005; KS-AUTH-014.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keystead.core.errors import Invalid, Unauthenticated

AUTHORITY_BYTES_MAX = 16_384
REVOCATION_LIST_BYTES_MAX = 2_097_152
PATH_STEPS_MAX = 8
INTERMEDIATES_COUNT_MAX = 256
RSA_BITS_MIN = 2_048
CURVE_BITS_MIN = 256

_NOT_COMPLETE = (x509.DeltaCRLIndicator, x509.IssuingDistributionPoint)


class Step(NamedTuple):
    """One certificate on the way from a leaf upward.

    Attributes:
        serial: Of the certificate.
        issuer: `authority_id` of who signed it.
    """

    serial: int
    issuer: bytes


@dataclass(frozen=True, slots=True)
class RevocationList:
    """What one authority has revoked.

    Attributes:
        serials: Serial numbers of certificates that nobody may use any more.
        this_update: When it was made, UTC.
        next_update: When the next one is due, UTC; None = it does not say. It stays in force until there is one.
        number: CRL Number; None = it has none.
    """

    serials: frozenset[int]
    this_update: datetime
    next_update: datetime | None
    number: int | None

    def is_older_than(self, other: "RevocationList") -> bool:
        """Tell whether the other one must stay: somebody may have kept an old list to bring a certificate back."""
        if self.number is not None and other.number is not None and self.number < other.number:
            return True
        return self.this_update < other.this_update


def authority_id(certificate: x509.Certificate) -> bytes:
    """Return what tells one authority from all others: SHA-256 over subject and public key, 32 bytes."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(certificate.subject.public_bytes() + key).digest()


def read_authority(pem: str) -> x509.Certificate:
    """Return an authority's certificate.

    Raises:
        Invalid: not one certificate in PEM form, or of nobody who may sign certificates and revocation lists.
    """
    if len(pem) > AUTHORITY_BYTES_MAX or pem.count("-----BEGIN") != 1:
        raise Invalid("give one CA certificate in PEM form")
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        _check_signs_certificates(certificate)
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension):
        raise Invalid("this is no certificate in PEM form that can be read") from None
    if certificate.not_valid_after_utc < datetime.now(UTC):
        raise Invalid("the CA certificate has expired; install its successor")
    is_strong = (
        (isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS_MIN)
        or (isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= CURVE_BITS_MIN)
        or isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)
    )
    if not is_strong:
        raise Invalid(
            f"the CA's key is too weak: RSA has {RSA_BITS_MIN} bits, curves {CURVE_BITS_MIN}", "invalid.field"
        )
    return certificate


def pem_of(certificate: x509.Certificate) -> str:
    """Return a certificate in PEM and nothing beside it, as TLS wants it."""
    return certificate.public_bytes(Encoding.PEM).decode()


def contents(der: bytes) -> RevocationList:
    """Return what a revocation list says that `read_revocation_list` has accepted."""
    return _contents(x509.load_der_x509_crl(der))


def read_revocation_list(data: bytes, authorities: Mapping[str, x509.Certificate]) -> tuple[str, RevocationList, bytes]:
    """Return whose revocation list this is, what it says, and the list itself in DER.

    Args:
        data: PEM or DER, at most 2 MiB.
        authorities: Those whose lists count, by name.

    Raises:
        Invalid: no complete list in X.509 version 2 form, or not signed by one of the authorities (KS-CRL-004).
    """
    if len(data) > REVOCATION_LIST_BYTES_MAX:
        raise Invalid(f"a revocation list has at most {REVOCATION_LIST_BYTES_MAX} bytes")
    try:
        load = x509.load_pem_x509_crl if data.lstrip().startswith(b"-----") else x509.load_der_x509_crl
        found = load(data)
        kinds = [extension for extension in found.extensions if extension.critical]
        partial = any(isinstance(extension.value, _NOT_COMPLETE) for extension in found.extensions)
        if partial or any(isinstance(one.value, x509.UnrecognizedExtension) for one in kinds):
            raise Invalid(
                "only complete revocation lists are used: no delta, partial or indirect ones", "invalid.field"
            )
        name = next((name for name, one in authorities.items() if _has_signed_list(one, found)), None)
        if name is None:
            raise Invalid("the list is signed by no CA that is installed here; install the CA first")
        return name, _contents(found), found.public_bytes(Encoding.DER)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension):
        raise Invalid("this is no revocation list in PEM or DER form that can be read") from None


class Issuers:
    """Finds out who has signed a certificate.

    Args:
        certificates: Of the authorities that are installed.
        before: What was in use until now: intermediates that clients have sent are remembered on.
    """

    def __init__(self, certificates: Iterable[x509.Certificate], before: "Issuers | None" = None) -> None:
        self._installed = _by_subject(certificates)
        self._sent: dict[bytes, x509.Certificate] = {} if before is None else before._sent

    def remember(self, verified: Sequence[bytes]) -> None:
        """Keep authorities' certificates (DER) of a chain that TLS has verified: resuming a session repeats none."""
        for der in verified:
            self._sent.setdefault(der, x509.load_der_x509_certificate(der))
            if len(self._sent) > INTERMEDIATES_COUNT_MAX:
                self._sent.pop(next(iter(self._sent)))

    def path(self, leaf: bytes) -> tuple[Step, ...]:
        """Return the way from a certificate (DER) upward, as far as issuers are known; its own step comes first."""
        sent = _by_subject(self._sent.values())
        steps: list[Step] = []
        below = x509.load_der_x509_certificate(leaf)
        while len(steps) < PATH_STEPS_MAX:
            name = below.issuer.public_bytes()
            candidates = (*self._installed.get(name, ()), *sent.get(name, ()))
            above = next((one for one in candidates if _has_signed(one, below)), None)
            if above is None:
                break
            steps.append(Step(below.serial_number, authority_id(above)))
            if authority_id(above) == authority_id(below):
                break
            below = above
        return tuple(steps)


@dataclass(frozen=True, slots=True)
class Trusted:
    """Which authorities count, and what they have revoked.

    Attributes:
        anchors: Authorities of whose certificates clients may make use, by `authority_id`.
        revoked: Serial numbers by `authority_id` of who has revoked them.
    """

    anchors: frozenset[bytes] = frozenset()
    revoked: Mapping[bytes, frozenset[int]] = field(default_factory=dict)

    def check_trusted(self, path: Sequence[Step]) -> None:
        """Check that the way from a client's certificate upward leads over a trusted authority.

        Raises:
            Unauthenticated: it does not.
        """
        if not any(step.issuer in self.anchors for step in path):
            raise Unauthenticated("the CA of the client certificate is not trusted here; have another one issued")

    def check_not_revoked(self, path: Sequence[Step]) -> None:
        """Check that no certificate on the way was revoked.

        Raises:
            Unauthenticated: one was.
        """
        if any(step.serial in self.revoked.get(step.issuer, ()) for step in path):
            raise Unauthenticated("the client certificate was revoked by its CA; have a new one issued")


def _contents(found: x509.CertificateRevocationList) -> RevocationList:
    try:
        number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        number = None
    serials = frozenset(entry.serial_number for entry in found)
    return RevocationList(serials, found.last_update_utc, found.next_update_utc, number)


def _check_signs_certificates(certificate: x509.Certificate) -> None:
    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        is_authority, usage = False, None
    if not is_authority or usage is None or not usage.key_cert_sign:
        raise Invalid("this is not the certificate of a CA: it must not sign others")


def _by_subject(certificates: Iterable[x509.Certificate]) -> dict[bytes, list[x509.Certificate]]:
    found: dict[bytes, list[x509.Certificate]] = {}
    for one in certificates:
        found.setdefault(one.subject.public_bytes(), []).append(one)
    return found


def _has_signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _has_signed_list(authority: x509.Certificate, found: x509.CertificateRevocationList) -> bool:
    if found.issuer != authority.subject:
        return False
    try:
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
        return usage.crl_sign and found.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # any of them
    except (x509.ExtensionNotFound, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
