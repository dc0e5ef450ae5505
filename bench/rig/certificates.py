"""A throw-away authority for servers that bring none: P-256 throughout, as a `keystead dev` node makes it."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.kmip.sessions import Client

LIFETIME_DAYS = 2


@dataclass(frozen=True)
class _Signer:
    name: x509.Name
    key: ec.EllipticCurvePrivateKey


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=LIFETIME_DAYS))
    )


def _write(folder: Path, stem: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{stem}.pem").write_bytes(certificate.public_bytes(pem))
    (folder / f"{stem}.key").touch(mode=0o600)
    (folder / f"{stem}.key").write_bytes(private)


def _issue(folder: Path, stem: str, signer: _Signer, usage: x509.ObjectIdentifier) -> Client:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_name(stem), signer.name, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    _write(folder, stem, builder.sign(signer.key, hashes.SHA256()), key)
    return Client(folder / f"{stem}.pem", folder / f"{stem}.key", folder / "authority.pem")


def issue(folder: Path) -> tuple[Client, Client]:
    """Make an authority in the folder; returns the server's and one client's certificate, key and authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = _Signer(_name("bench authority"), key)
    builder = _builder(signer.name, signer.name, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    _write(folder, "authority", builder.sign(key, hashes.SHA256()), key)
    server = _issue(folder, "server", signer, ExtendedKeyUsageOID.SERVER_AUTH)
    return server, _issue(folder, "client", signer, ExtendedKeyUsageOID.CLIENT_AUTH)
