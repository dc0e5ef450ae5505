"""Certificates of many kinds, as clients register them."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Wanted:
    """What a certificate shall say.

    Attributes:
        key: The private key whose public half is certified; None = the one that signs.
        days: From when and until when, from now.
        signature: Who signs, with which hash and further arguments.
    """

    subject: Parts = SUBJECT
    key: Any = None
    alternatives: Sequence[x509.GeneralName] = ()
    issuer_alternatives: Sequence[x509.GeneralName] = ()
    serial: int = SERIAL
    days: tuple[int, int] = (-1, 1)
    signature: tuple[Any, Any, dict[str, Any]] | None = None


def certified(subject: Parts = SUBJECT, **more: Any) -> bytes:
    """A certificate in DER, on P-256 with ECDSA and SHA-256 unless something else is wanted."""
    wanted = Wanted(subject, **more)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of(wanted.subject))
        .issuer_name(name_of(ISSUER))
        .public_key((wanted.key or signing_key()).public_key())
        .serial_number(wanted.serial)
        .not_valid_before(now + timedelta(wanted.days[0]))
        .not_valid_after(now + timedelta(wanted.days[1]))
    )
    if wanted.alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(wanted.alternatives), critical=True)
    if wanted.issuer_alternatives:
        builder = builder.add_extension(x509.IssuerAlternativeName(wanted.issuer_alternatives), critical=False)
    signer, algorithm, options = wanted.signature or (signing_key(), hashes.SHA256(), {})
    return builder.sign(signer, algorithm, **options).public_bytes(Encoding.DER)
