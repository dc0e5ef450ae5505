"""Client certificates from the local CA: the first way for a client to prove who it is.

The private key is made here only when no request is given, is handed out once and kept nowhere (AMB-07).

Source: requirements KS-CAU-001, 008; KS-KMIP-002, 011; AMB-07; chapter Local CAs.
"""

import hashlib
from dataclasses import dataclass

from keystead.core.changes import Change, SealedMaterial
from keystead.core.errors import NotFound, Unavailable
from keystead.core.permission import Access
from keystead.core.records import KIND_AUTHORITY, KIND_USER, MaterialReference
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.trust import x509

CLIENT_AUTHORITY = "clients"
VALIDITY_DAYS_MAX = 3650


@dataclass(frozen=True, slots=True)
class ShowAuthority:
    """Show the certificate of the local CA."""


@dataclass(frozen=True, slots=True)
class IssueClientCertificate:
    """Certify a user's client: from a PKCS#10 request in PEM, or with a key made here when there is none."""

    user: str
    request_pem: str | None = None
    validity_days: int = 365


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate in PEM with its CA; `key` in PEM when it was made here."""

    certificate: str
    authority: str
    key: Secret | None = None


@operation(ShowAuthority, "authority.show", "AuthorityShow", administrator=Access.ANY)
def show_authority(call: Call, _request: ShowAuthority) -> str:
    """Return the CA certificate in PEM."""
    record = call.desk.objects.record(KIND_AUTHORITY, CLIENT_AUTHORITY)
    if record is None:
        raise NotFound("this node has no local CA")
    return str(record.fields["certificate"])


@operation(
    IssueClientCertificate, "certificate.issue", "CertificateIssue", administrator=Access.CERTIFICATES, material=True
)
def issue_client_certificate(call: Call, request: IssueClientCertificate) -> Change:
    """Sign a client certificate whose common name is the user's."""
    if call.desk.objects.record(KIND_USER, request.user) is None:
        raise NotFound(f"there is no user {request.user}; create it first (`keystead user create`)")
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
        x509.ClientRequest(request.request_pem, min(request.validity_days, VALIDITY_DAYS_MAX)),
    )
    fingerprint = hashlib.sha256(certificate.encode()).hexdigest()[:16]
    return Change(
        (), ClientCertificate(certificate, authority, made), detail=f"certificate {fingerprint} for {request.user}"
    )


def material_reference(sealed: SealedMaterial) -> MaterialReference:
    """Return the reference that binds sealed material to a record's document."""
    return MaterialReference(sealed.id, sealed.version, hashlib.sha256(sealed.sealed).digest())
