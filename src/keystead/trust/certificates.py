"""Reading certificates that clients keep here: exactly one X.509 certificate in DER, nothing behind it.

Laws: a certificate is kept and told of, never trusted: dates, signature and chain are not looked at (KS-KCRT-004). The
library decides what is a certificate; names, serial number and alternative names are then cut out of its very bytes,
since encoding them anew could change them.

Source: RFC 5280 sections 4.1 and 4.2.1.6; RFC 4514; KMIP 1.4 sections 3.5, 3.9 to 3.16; requirements KS-KMIP-024,
KS-KCRT-003, 004.
"""

import ipaddress
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from keystead.core.algorithms import Algorithm
from keystead.core.certificates import (
    ALTERNATIVE_NAMES_COUNT_MAX,
    NAME_BYTES_MAX,
    NAME_PARTS_COUNT_MAX,
    SERIAL_BYTES_MAX,
    Certificate,
    Party,
)
from keystead.core.errors import Invalid
from keystead.core.secret import Secret
from keystead.trust.key_pairs import PublicKey, specification_of

_PARTS = {
    NameOID.COMMON_NAME: "CN",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.EMAIL_ADDRESS: "Email",
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.USER_ID: "UID",
    NameOID.SERIAL_NUMBER: "Serial Number",
    NameOID.TITLE: "Title",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.DN_QUALIFIER: "DN Qualifier",
}
"""Kind of a name's part -> how the attributes of KMIP 2.x call it (KMIP 2.1 section 4.6)."""

_SIGNATURES = {
    SignatureAlgorithmOID.RSA_WITH_MD5: 0x02,
    SignatureAlgorithmOID.RSA_WITH_SHA1: 0x03,
    SignatureAlgorithmOID.RSA_WITH_SHA224: 0x04,
    SignatureAlgorithmOID.RSA_WITH_SHA256: 0x05,
    SignatureAlgorithmOID.RSA_WITH_SHA384: 0x06,
    SignatureAlgorithmOID.RSA_WITH_SHA512: 0x07,
    SignatureAlgorithmOID.RSASSA_PSS: 0x08,
    SignatureAlgorithmOID.DSA_WITH_SHA1: 0x09,
    SignatureAlgorithmOID.DSA_WITH_SHA224: 0x0A,
    SignatureAlgorithmOID.DSA_WITH_SHA256: 0x0B,
    SignatureAlgorithmOID.ECDSA_WITH_SHA1: 0x0C,
    SignatureAlgorithmOID.ECDSA_WITH_SHA224: 0x0D,
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: 0x0E,
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: 0x0F,
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: 0x10,
    SignatureAlgorithmOID.RSA_WITH_SHA3_256: 0x11,
    SignatureAlgorithmOID.RSA_WITH_SHA3_384: 0x12,
    SignatureAlgorithmOID.RSA_WITH_SHA3_512: 0x13,
}
"""Signature algorithm -> Digital Signature Algorithm. Others, such as Ed25519, have no number in KMIP."""

_VERSION, _EXTENSIONS = 0xA0, 0xA3  # tags of a certificate's optional members
_SUBJECT_ALTERNATIVE, _ISSUER_ALTERNATIVE = bytes.fromhex("0603551d11"), bytes.fromhex("0603551d12")
_MAIL, _HOST, _URI, _ADDRESS = 0x81, 0x82, 0x86, 0x87  # tags of GeneralName


class _Item(NamedTuple):
    """One DER item: its tag, what is inside, and the whole of it."""

    tag: int
    content: bytes
    encoded: bytes


def read_certificate(material: Secret, algorithm: int = 0) -> Certificate:
    """Read a certificate.

    Args:
        material: One X.509 certificate in DER.
        algorithm: Cryptographic Algorithm of its public key as told: an elliptic key has several names.

    Raises:
        NotSupported: the curve of its key is not offered.
        Invalid: it is no certificate, has something behind it, or names beyond all bounds.
    """
    data = material.reveal()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what others have certified, such as a country of three letters
            return _certificate(x509.load_der_x509_certificate(data), _members(data), algorithm)
    except (ValueError, TypeError, IndexError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise Invalid("this is not one X.509 certificate in DER; send the certificate alone", "invalid.key") from error


def _certificate(certificate: x509.Certificate, members: list[_Item], told: int) -> Certificate:
    serial_number, issuer, subject = members[0], members[2], members[4]
    if len(serial_number.content) > SERIAL_BYTES_MAX:
        raise Invalid(f"the certificate's serial number has more than {SERIAL_BYTES_MAX} bytes", "invalid.key")
    if max(len(issuer.encoded), len(subject.encoded)) > NAME_BYTES_MAX:
        raise Invalid(f"a name in the certificate has more than {NAME_BYTES_MAX} bytes", "invalid.key")
    alternatives = _alternatives(members)
    return Certificate(
        serial_number.encoded,
        _party(issuer.encoded, certificate.issuer, alternatives.get(_ISSUER_ALTERNATIVE, [])),
        _party(subject.encoded, certificate.subject, alternatives.get(_SUBJECT_ALTERNATIVE, [])),
        _SIGNATURES.get(certificate.signature_algorithm_oid, 0),
        *_kind_of(_public_key(certificate), told),
    )


def _public_key(certificate: x509.Certificate) -> CertificatePublicKeyTypes | None:
    try:
        return certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None  # a key of an unknown kind is no reason not to keep its certificate


def _kind_of(key: CertificatePublicKeyTypes | None, told: int) -> tuple[int, int]:
    """Return Cryptographic Algorithm and Cryptographic Length, 0 for what is not known."""
    if isinstance(key, dsa.DSAPublicKey):
        return int(Algorithm.DSA), key.key_size
    if not isinstance(key, PublicKey):
        return 0, 0
    found = specification_of(key, told)
    return int(found.algorithm), found.length_bits


def _items(data: bytes) -> Iterator[_Item]:
    """Cut DER into its items; raises ValueError or IndexError where it ends too early."""
    at = 0
    while at < len(data):
        start, length = at, data[at + 1]
        at += 2
        if length & 0x80:
            count_bytes = length & 0x7F
            length = int.from_bytes(data[at : at + count_bytes], "big")
            at += count_bytes
        if at + length > len(data):
            raise ValueError("an item is longer than what holds it")
        yield _Item(data[start], data[at : at + length], data[start : at + length])
        at += length


def _inside(data: bytes) -> list[_Item]:
    """Return the members of the one item that the bytes are."""
    (whole,) = _items(data)
    return list(_items(whole.content))


def _members(data: bytes) -> list[_Item]:
    """Return serial number, signature algorithm, issuer, validity, subject, key and optional members."""
    found = _inside(_inside(data)[0].encoded)
    return found[1:] if found[0].tag == _VERSION else found


def _alternatives(members: list[_Item]) -> dict[bytes, list[_Item]]:
    """Return the alternative names by the identifier of their extension."""
    found: dict[bytes, list[_Item]] = {}
    for member in members:
        if member.tag == _EXTENSIONS:
            for extension in _inside(member.content):
                parts = list(_items(extension.content))
                if parts[0].encoded in (_SUBJECT_ALTERNATIVE, _ISSUER_ALTERNATIVE):
                    (names,) = _items(parts[-1].content)
                    found[parts[0].encoded] = list(islice(_items(names.content), ALTERNATIVE_NAMES_COUNT_MAX))
    return found


def _party(encoded: bytes, name: x509.Name, alternatives: list[_Item]) -> Party:
    if sum(1 for _ in name) > NAME_PARTS_COUNT_MAX:
        raise Invalid(f"a name in the certificate has more than {NAME_PARTS_COUNT_MAX} parts", "invalid.key")
    parts = [(_PARTS[part.oid], part.value) for part in name if part.oid in _PARTS]
    texts = [words for item in alternatives if (words := _words(item))]
    return Party(
        encoded,
        name.rfc4514_string(),
        tuple((part, value) for part, value in parts if isinstance(value, str)),
        tuple(item.encoded for item in alternatives),
        tuple(texts),
    )


def _words(name: _Item) -> str:
    """Return an alternative name as text, "" for one that is none."""
    if name.tag == _ADDRESS and len(name.content) in (4, 16):
        return str(ipaddress.ip_address(name.content))
    is_text = name.tag in (_MAIL, _HOST, _URI) and name.content.isascii()
    return name.content.decode("ascii") if is_text else ""
