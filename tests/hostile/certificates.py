"""Client certificates as no honest CA issues them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keystead.core.records import KIND_AUTHORITY, ROOT_REALM, Record
from keystead.gate.objects import Objects
from keystead.node.folder import read_config
from keystead.node.opening import open_module, open_parts, realm_keys
from keystead.node.unlocking import unlock_from
from keystead.operations.certificates import CLIENT_AUTHORITY
from keystead.trust import x509 as keystead_x509
from keystead.trust.keyring import Keyring
from tests.support.dev_node import DevNode
from tests.support.kmip.sessions import Client

CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True)
class Leaf:
    """What a certificate says; the defaults are what an honest one says.

    Attributes:
        names: common names, as many as wanted.
        usage: None = no extended key usage at all.
        lasts: from when and until when, seconds from now.
    """

    names: tuple[str, ...] = ("alice",)
    usage: tuple[x509.ObjectIdentifier, ...] | None = (CLIENT_AUTH,)
    lasts: tuple[float, float] = (-60, 3600)
    is_authority: bool = False


@dataclass(frozen=True)
class Authority:
    """Somebody who signs."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    def issue(self, leaf: Leaf = Leaf()) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in leaf.names]))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(seconds=leaf.lasts[0]))
            .not_valid_after(now + timedelta(seconds=leaf.lasts[1]))
            .add_extension(x509.BasicConstraints(leaf.is_authority, None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if leaf.usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(leaf.usage), critical=False)
        return key, builder.sign(self.key, hashes.SHA256())

    def client(self, folder: Path, leaf: Leaf, server_authority: Path, *chain: x509.Certificate) -> Client:
        """A client with this certificate, who believes in the server's real CA."""
        key, certificate = self.issue(leaf)
        pem = b"".join(each.public_bytes(Encoding.PEM) for each in (certificate, *chain))
        (folder / "client.pem").write_bytes(pem)
        (folder / "client.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Client(folder / "client.pem", folder / "client.key", server_authority)


def authority_of(node: DevNode, folder: Path) -> Authority:
    """Open the CA of a running `dev` node, in a copy of its folder."""
    copy = folder / "copy"
    shutil.copytree(node.data, copy, ignore=shutil.ignore_patterns("run"))
    parts = open_parts(read_config(copy))
    module = open_module(parts)
    unlock_from(parts.config.insecure, module)
    objects = Objects(parts.shared.reader())
    loaded = objects.reader.by_handle(ROOT_REALM, KIND_AUTHORITY, CLIENT_AUTHORITY)
    assert loaded is not None
    assert isinstance(loaded.record, Record)
    assert loaded.material is not None
    keyring = Keyring(module, lambda: realm_keys(objects))
    pem = keyring.open(ROOT_REALM, KIND_AUTHORITY, loaded.record.id, loaded.material)
    key = serialization.load_pem_private_key(pem.reveal(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    objects.reader.close()
    return Authority(key, x509.load_pem_x509_certificate(str(loaded.record.fields["certificate"]).encode()))


def stranger(like: Authority) -> Authority:
    """A CA of the same name with a key of its own."""
    name = like.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    key, certificate = keystead_x509.make_authority(str(name))
    loaded = serialization.load_pem_private_key(key.reveal(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return Authority(loaded, x509.load_pem_x509_certificate(certificate.encode()))
