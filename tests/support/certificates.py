"""Certificates of many kinds, as clients register them."""

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

Parts = Sequence[tuple[x509.ObjectIdentifier, str]]

SUBJECT: Parts = ((NameOID.COUNTRY_NAME, "AT"), (NameOID.ORGANIZATION_NAME, "Keys & Co"), (NameOID.COMMON_NAME, "kms"))
ISSUER: Parts = ((NameOID.DOMAIN_COMPONENT, "org"), (NameOID.DOMAIN_COMPONENT, "example"), (NameOID.COMMON_NAME, "CA"))
SERIAL = 0xC0FFEE


@cache
def signing_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name_of(parts: Parts) -> x509.Name:
    """A name also of parts that no honest CA would certify."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x509.Name([x509.NameAttribute(kind, value, _validate=False) for kind, value in parts])


def certified(
    subject: Parts = SUBJECT,
    *,
    key: Any = None,
    alternatives: Sequence[x509.GeneralName] = (),
    issuer_alternatives: Sequence[x509.GeneralName] = (),
    serial: int = SERIAL,
    days: tuple[int, int] = (-1, 1),
    signature: Any = None,
) -> bytes:
    """A certificate in DER, on P-256 with ECDSA and SHA-256 unless something else is wanted."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of(subject))
        .issuer_name(name_of(ISSUER))
        .public_key((key or signing_key()).public_key())
        .serial_number(serial)
        .not_valid_before(now + timedelta(days[0]))
        .not_valid_after(now + timedelta(days[1]))
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=True)
    if issuer_alternatives:
        builder = builder.add_extension(x509.IssuerAlternativeName(issuer_alternatives), critical=False)
    if signature is None:
        return builder.sign(signing_key(), hashes.SHA256()).public_bytes(Encoding.DER)
    signer, algorithm, more = signature
    return builder.sign(signer, algorithm, **more).public_bytes(Encoding.DER)
