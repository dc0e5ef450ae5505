"""Certificates that clients keep here: what is known of one, and the attributes that follow from it.

Laws: the server makes these attributes from the certificate alone and nobody changes them; names stand as they are in
the certificate (DER), once more as text for KMIP 1.x, and part by part for 1.4 and 2.x.

Source: KMIP 1.4 sections 3.8 to 3.16; KMIP 2.1 sections 4.6 to 4.8, 4.61 to 4.63; RFC 5280; requirements KS-KMIP-024,
KS-KCRT-002.
"""

from collections import Counter
from enum import IntEnum
from typing import NamedTuple

from keystead.core.attributes import Attribute, Attributes, ItemType, Value, text
from keystead.core.errors import Invalid
from keystead.core.structures import made

NAME_BYTES_MAX = 16_384  # of a subject's or issuer's name, DER
NAME_PARTS_COUNT_MAX = 100
SERIAL_BYTES_MAX = 64  # RFC 5280 section 4.1.2.2: 20, and others should be handled gracefully
ALTERNATIVE_NAMES_COUNT_MAX = 100  # that become attributes; what is beyond stands in the certificate only


class CertificateType(IntEnum):
    """Certificate Type."""

    X_509 = 1
    PGP = 2


class Party(NamedTuple):
    """The subject or the issuer of a certificate.

    Attributes:
        encoded: Its distinguished name, DER; may be an empty name.
        name: The same as text (RFC 4514), "" when empty.
        parts: (kind of the part as attributes are called after it, value), in the order of the certificate.
        alternatives: Its alternative names, each a GeneralName in DER.
        alternative_names: Those of them that are text: addresses and names of mail, hosts and networks.
    """

    encoded: bytes
    name: str
    parts: tuple[tuple[str, str], ...] = ()
    alternatives: tuple[bytes, ...] = ()
    alternative_names: tuple[str, ...] = ()


class Certificate(NamedTuple):
    """What an X.509 certificate says of itself.

    Attributes:
        serial_number: DER INTEGER.
        signature: Digital Signature Algorithm, 0 where KMIP has no number for it.
        algorithm: Cryptographic Algorithm of its public key, 0 where it is of an unknown kind.
        length_bits: Cryptographic Length of its public key, likewise.
    """

    serial_number: bytes
    issuer: Party
    subject: Party
    signature: int
    algorithm: int
    length_bits: int


def check_certificate_type(kind: int) -> None:
    """Check a Certificate Type.

    Raises:
        Invalid: there is no such type.
    """
    if kind not in tuple(CertificateType):
        raise Invalid("a certificate is of type X.509 or PGP", "invalid.field")


def with_certificate(attributes: Attributes, kind: int, length_bytes: int, found: Certificate | None) -> Attributes:
    """Return attributes with those that a certificate has.

    Args:
        attributes: As the client gave them.
        kind: Certificate Type.
        length_bytes: Of the whole certificate.
        found: What was read of it; None of a PGP certificate, which is not interpreted.

    Raises:
        Invalid: the client said another Certificate Type.
    """
    told = attributes.first("Certificate Type")
    if told is not None and told.content != kind:
        raise Invalid("the object and the attributes name a different Certificate Type", "invalid.field")
    counts: Counter[str] = Counter()
    made_here = []
    for name, value in _attributes(kind, length_bytes, found):
        made_here.append(Attribute(name, counts[name], value))
        counts[name] += 1
    return Attributes([*attributes.removed("Certificate Type"), *made_here])


def _attributes(kind: int, length_bytes: int, found: Certificate | None) -> list[tuple[str, Value]]:
    made_here = [
        ("Certificate Type", Value(ItemType.ENUMERATION, kind)),
        ("Certificate Length", Value(ItemType.INTEGER, length_bytes)),
    ]
    if found is None:
        return made_here
    issuer, subject = found.issuer, found.subject
    if found.signature:
        made_here.append(("Digital Signature Algorithm", Value(ItemType.ENUMERATION, found.signature)))
    serial_number = _number_of(found.serial_number)
    made_here += [
        ("X.509 Certificate Identifier", made("X.509 Certificate Identifier", issuer.encoded, found.serial_number)),
        ("X.509 Certificate Subject", made("X.509 Certificate Subject", subject.encoded, subject.alternatives)),
        ("X.509 Certificate Issuer", made("X.509 Certificate Issuer", issuer.encoded, issuer.alternatives)),
        ("Certificate Identifier", made("Certificate Identifier", issuer.name, serial_number)),
        ("Certificate Subject", made("Certificate Subject", subject.name, subject.alternative_names)),
        ("Certificate Issuer", made("Certificate Issuer", issuer.name, issuer.alternative_names)),
    ]
    for party, role in ((subject, "Subject"), (issuer, "Issuer")):
        made_here += [(f"Certificate {role} {part}", text(value)) for part, value in party.parts]
    return made_here


def _number_of(serial_number: bytes) -> str:
    """Return a serial number as text: its octets in hexadecimal, without the one that only carries the sign."""
    octets = serial_number[2:]  # a length of one byte: SERIAL_BYTES_MAX is far below 128
    return (octets[1:] if len(octets) > 1 and octets[0] == 0 else octets).hex().upper()
