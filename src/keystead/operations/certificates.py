"""Client certificates from the local CA: the first way for a client to prove who it is, until it is revoked.

The private key is made here only when no request is given, is handed out once and kept nowhere (AMB-07). Every
certificate is kept as a record whose handle is its fingerprint; a revoked one is refused from the next message on
(gate/admit.py).

Source: requirements KS-CAU-001, 007, 008, 009; KS-KMIP-002, 011; KS-AUTH-014; AMB-07; RFC 5280 section 5.3.1.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from cryptography import x509 as pkix
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization

from keystead.core.changes import Change, Put, SealedMaterial
from keystead.core.errors import Exists, Invalid, NotFound, Unavailable
from keystead.core.fields import Number, Text
from keystead.core.permission import Access
from keystead.core.records import KIND_AUTHORITY, KIND_CERTIFICATE, MaterialReference, Record
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import operation
from keystead.operations.users import NAME, NAME_CHARACTERS_MAX, UserName, known_user, records_of
from keystead.trust import x509

CLIENT_AUTHORITY = "clients"
VALIDITY_DAYS_MAX = 3650


@dataclass(frozen=True, slots=True)
class IssueClientCertificate:
    """Certify a user's client: from a PKCS#10 request in PEM, or with a key made here when there is none.

    Attributes:
        addresses: IP addresses that the client will connect from, with commas between them; "" = any.
    """

    user: UserName
    request_pem: Annotated[str, Text(characters_max=x509.REQUEST_BYTES_MAX, multiline=True)] | None = None
    validity_days: Annotated[int, Number(1, VALIDITY_DAYS_MAX)] = 365
    addresses: Annotated[str, Text(r"[0-9A-Fa-f.:, ]*", 1024, example="127.0.0.1")] = ""


class Reason(StrEnum):
    """Why a certificate is revoked (RFC 5280 section 5.3.1); there is no way back."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key-compromise"
    AFFILIATION_CHANGED = "affiliation-changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation-of-operation"
    PRIVILEGE_WITHDRAWN = "privilege-withdrawn"


@dataclass(frozen=True, slots=True)
class ListCertificates:
    """List client certificates, of one user or of all."""

    user: Annotated[str, Text(f"|{NAME.pattern}", NAME_CHARACTERS_MAX)] = ""


@dataclass(frozen=True, slots=True)
class ShowCertificate:
    """Show one client certificate; `serial` in hexadecimal."""

    serial: Annotated[str, Text(r"[0-9A-Fa-f]{1,40}", 40)]


@dataclass(frozen=True, slots=True)
class RevokeCertificate:
    """Revoke a client certificate for ever.

    Attributes:
        serial: In hexadecimal; "" when the certificate itself is given.
        certificate: In PEM, as one that was issued before they were kept needs.
        reason: Why.
    """

    serial: Annotated[str, Text(r"[0-9A-Fa-f]{0,40}", 40)] = ""
    certificate: Annotated[str, Text(characters_max=x509.REQUEST_BYTES_MAX, multiline=True)] | None = None
    reason: Reason = Reason.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class KnownCertificate:
    """A client certificate as administrators see it.

    Attributes:
        serial: In hexadecimal.
        user: Whom it names.
        not_after_s: When it expires, since 1970.
        revoked: Why it was revoked; None = it was not.
        revoked_s: When, since 1970.
        certificate: In PEM; None in lists.
    """

    serial: str
    user: str
    not_after_s: int
    revoked: str | None
    revoked_s: int | None
    certificate: str | None = None


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate in PEM with its CA; `key` in PEM when it was made here."""

    certificate: str
    authority: str
    key: Secret | None = None


@operation(
    IssueClientCertificate,
    "certificate.issue",
    "CertificateIssue",
    administrator=Access.CERTIFICATES,
    material=True,
    route="POST /certificates",
    answer=ClientCertificate,
)
def issue_client_certificate(call: Call, request: IssueClientCertificate) -> Change:
    """Sign a client certificate whose common name is the user's."""
    known_user(call, request.user)
    loaded = call.desk.objects.reader.by_handle(call.principal.realm, KIND_AUTHORITY, CLIENT_AUTHORITY)
    if loaded is None or loaded.material is None:
        raise Unavailable("the local CA has no key here", "unavailable.store")
    record = loaded.record
    key = call.desk.keyring.open(call.principal.realm, KIND_AUTHORITY, record.id, loaded.material)
    authority = str(record.fields["certificate"])  # type: ignore[union-attr]  # by_handle gave a Record of this kind
    made, certificate = x509.issue_client(
        key,
        authority,
        request.user,
        x509.ClientRequest(
            request.request_pem,
            min(request.validity_days, VALIDITY_DAYS_MAX),
            tuple(address.strip() for address in request.addresses.split(",") if address.strip()),
        ),
    )
    kept = _record(call, certificate, request.user)
    detail = f"certificate {kept.fields['serial']} for {request.user}"
    return Change((Put(kept),), ClientCertificate(certificate, authority, made), detail=detail)


@operation(ListCertificates, "certificate.list", "CertificateList", administrator=Access.ANY)
def list_certificates(call: Call, request: ListCertificates) -> tuple[KnownCertificate, ...]:
    """Return certificates by user, those that end first before others."""
    found = [_known(record) for record in records_of(call, KIND_CERTIFICATE)]
    wanted = [one for one in found if request.user in ("", one.user)]
    return tuple(sorted(wanted, key=lambda one: (one.user, one.not_after_s)))


@operation(ShowCertificate, "certificate.show", "CertificateShow", administrator=Access.ANY)
def show_certificate(call: Call, request: ShowCertificate) -> KnownCertificate:
    """Return one certificate."""
    return _known(_of_serial(call, request.serial), is_whole=True)


@operation(
    RevokeCertificate,
    "certificate.revoke",
    "CertificateRevoke",
    administrator=Access.CERTIFICATES,
    route="POST /certificate-revocations",
    answer=KnownCertificate,
)
def revoke_certificate(call: Call, request: RevokeCertificate) -> Change:
    """Revoke it; the next message on any connection that was made with it is refused."""
    if bool(request.serial) == (request.certificate is not None):
        raise Invalid("name the certificate by its serial number, or give it", "invalid.field")
    given = request.certificate
    record = _of_serial(call, request.serial) if given is None else _of_pem(call, given)
    if record.fields["revoked"] is not None:
        raise Exists(f"certificate {record.fields['serial']} is revoked already")
    ended = revoked(record, call.now_us, request.reason)
    detail = f"certificate {record.fields['serial']} of {record.fields['user']} revoked: {request.reason}"
    return Change((Put(ended),), _known(ended), detail=detail)


def certificates_of(call: Call, user: str) -> Iterator[Record]:
    """Yield the certificates of a user that are not revoked."""
    for record in records_of(call, KIND_CERTIFICATE):
        if record.fields["user"] == user and record.fields["revoked"] is None:
            yield record


def revoked(record: Record, now_us: int, reason: str) -> Record:
    """Return the record of a certificate as a revoked one's."""
    ended = {"reason": str(reason), "at_us": now_us}
    return record._replace(fields={**record.fields, "revoked": ended})


def _record(call: Call, pem: str, user: str) -> Record:
    parsed = pkix.load_pem_x509_certificate(pem.encode())
    fields = {
        "user": user,
        "serial": f"{parsed.serial_number:x}",
        "not_after_s": int(parsed.not_valid_after_utc.timestamp()),
        "certificate": pem,
        "revoked": None,
    }
    handle = parsed.fingerprint(hashes.SHA256()).hex()
    return Record(KIND_CERTIFICATE, new_id(call.now_us), handle, fields, call.principal.realm)


def _known(record: Record, *, is_whole: bool = False) -> KnownCertificate:
    fields, ended = record.fields, record.fields["revoked"]
    return KnownCertificate(
        fields["serial"],
        fields["user"],
        fields["not_after_s"],
        None if ended is None else ended["reason"],
        None if ended is None else ended["at_us"] // 1_000_000,
        fields["certificate"] if is_whole else None,
    )


def _of_serial(call: Call, serial: str) -> Record:
    wanted = serial.lower().lstrip("0")
    for record in records_of(call, KIND_CERTIFICATE):
        if record.fields["serial"] == wanted:
            return record
    raise NotFound("no certificate with this serial number is kept; give the certificate itself in PEM form")


def _of_pem(call: Call, pem: str) -> Record:
    """Return the record of a certificate; one that is not kept yet is, if our CA has made it."""
    authority = call.desk.objects.record(KIND_AUTHORITY, CLIENT_AUTHORITY)
    if authority is None:
        raise NotFound("this node has no local CA")
    try:
        parsed = pkix.load_pem_x509_certificate(pem[: x509.REQUEST_BYTES_MAX].encode())
        parsed.verify_directly_issued_by(pkix.load_pem_x509_certificate(authority.fields["certificate"].encode()))
        identity = x509.identity(parsed.public_bytes(serialization.Encoding.DER))
    except (ValueError, TypeError, InvalidSignature, pkix.InvalidVersion):
        raise Invalid("this is no certificate in PEM form that the CA of this node has made", "invalid.field") from None
    kept = call.desk.objects.record(KIND_CERTIFICATE, identity.fingerprint.hex(), call.principal.realm)
    return kept if kept is not None else _record(call, pem, identity.user)


def material_reference(sealed: SealedMaterial) -> MaterialReference:
    """Return the reference that binds sealed material to a record's document."""
    return MaterialReference(sealed.id, sealed.version, hashlib.sha256(sealed.sealed).digest())
