"""Certificate authorities of other people, with what they issue and revoke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.kmip.sessions import Client

Extension = tuple[x509.ExtensionType, bool]


def a_name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def usage(*, signs_certificates: bool = True, signs_lists: bool = True) -> x509.KeyUsage:
    held = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    return x509.KeyUsage(
        digital_signature=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_lists,
        encipher_only=False,
        decipher_only=False,
        **held,
    )


@dataclass(frozen=True)
class Foreign:
    """A CA with its key."""

    key: Any = field(repr=False)
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def sign(
        self, subject: str, public: Any, extensions: Sequence[Extension], days: tuple[float, float] = (-1, 10)
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(a_name(subject))
            .issuer_name(self.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days[0]))
            .not_valid_after(now + timedelta(days[1]))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def below(self, subject: str) -> Foreign:
        """An intermediate CA."""
        key = ec.generate_private_key(ec.SECP256R1())
        return Foreign(key, self.sign(subject, key.public_key(), FOR_AUTHORITIES))

    def issue(self, user: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """A user's certificate with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        client_use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return key, self.sign(user, key.public_key(), [(client_use, False)])

    def client(self, folder: Path, user: str, server_authority: Path, *chain: Foreign) -> Client:
        """A client with a certificate of this CA, who sends a chain with it."""
        key, certificate = self.issue(user)
        folder.mkdir(parents=True, exist_ok=True)
        sent = (certificate, *(one.certificate for one in chain))
        (folder / "client.pem").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in sent))
        (folder / "client.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Client(folder / "client.pem", folder / "client.key", server_authority)

    def revocation_list(
        self,
        serials: Sequence[int] = (),
        *,
        number: int | None = 1,
        days: tuple[float, float] = (0, 7),
        extensions: Sequence[Extension] = (),
    ) -> bytes:
        """A revocation list in DER.

        Args:
            serials: What is revoked.
            number: CRL Number.
            days: When it was made and when the next one is due, from now.
            extensions: Further ones, with whether they are critical.
        """
        now = datetime.now(UTC)
        revoked = [x509.RevokedCertificateBuilder(serial, now).build() for serial in serials]
        made, due = (now + timedelta(each) for each in days)
        builder = x509.CertificateRevocationListBuilder(self.certificate.subject, made, due, [], revoked)
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)


FOR_AUTHORITIES: Sequence[Extension] = (
    (x509.BasicConstraints(ca=True, path_length=None), True),
    (usage(), True),
)


def a_root(
    name: str = "Foreign root",
    *,
    key: Any = None,
    extensions: Sequence[Extension] = FOR_AUTHORITIES,
    days: tuple[float, float] = (-1, 100),
) -> Foreign:
    """A root CA of somebody else."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(a_name(name))
        .issuer_name(a_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days[0]))
        .not_valid_after(now + timedelta(days[1]))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return Foreign(key, builder.sign(key, hashes.SHA256()))


def serial_of(client: Client) -> int:
    return x509.load_pem_x509_certificate(client.certificate.read_bytes()).serial_number
