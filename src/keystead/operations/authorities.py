"""Certificate authorities: the local one, and those of others whose certificates clients may bring.

An authority that is installed is known, not trusted: trust is a matter of the profiles (operations/trust_profiles.py).
What an authority has revoked is known from its revocation list, which stays in force until a newer one is installed.

Source: requirements KS-CAU-010 to 012; KS-CRL-001, 004, 005; KS-AUTH-014; RFC 5280 section 5.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from cryptography import x509

from keystead.core.changes import Change, Put
from keystead.core.errors import Exists, Invalid, NotFound, Refused
from keystead.core.examples import AUTHORITY_PEM, REVOCATION_LIST_BASE64
from keystead.core.fields import Text
from keystead.core.permission import Access
from keystead.core.records import KIND_AUTHORITY, KIND_REVOCATION_LIST, KIND_TRUST_PROFILE, Record
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import operation
from keystead.operations.certificates import CLIENT_AUTHORITY
from keystead.operations.users import NAME, NAME_CHARACTERS_MAX, check_name, records_of
from keystead.settings.key_server import DEFAULT_PROFILE, PARTITION_PROFILE
from keystead.trust.issuers import authority_id, contents, pem_of, read_authority, read_revocation_list

AUTHORITIES_COUNT_MAX = 200
PEM_CHARACTERS_MAX = 32_768
AuthorityName = Annotated[str, Text(NAME.pattern, NAME_CHARACTERS_MAX, example="supplier")]
BUILT_IN_PROFILES: dict[str, tuple[str, ...]] = {DEFAULT_PROFILE: (CLIENT_AUTHORITY,), PARTITION_PROFILE: ()}
"""Profiles that are always there -> whom they trust while nobody has changed them."""


@dataclass(frozen=True, slots=True)
class ShowAuthority:
    """Show the certificate of a CA, of the local one unless another is named."""

    name: AuthorityName = CLIENT_AUTHORITY


@dataclass(frozen=True, slots=True)
class ListAuthorities:
    """List every CA that is known here."""


@dataclass(frozen=True, slots=True)
class InstallAuthority:
    """Make the CA of somebody else known here, or put a renewed certificate of it in the place of the former one.

    Attributes:
        name: As users' names.
        certificate: In PEM.
    """

    name: AuthorityName
    certificate: Annotated[str, Text(characters_max=PEM_CHARACTERS_MAX, example=AUTHORITY_PEM, multiline=True)]


@dataclass(frozen=True, slots=True)
class RemoveAuthority:
    """Forget a CA and its revocation list; it must be in no trust profile."""

    name: AuthorityName


@dataclass(frozen=True, slots=True)
class InstallRevocationList:
    """Take over what a CA has revoked; which one it was is told by the signature.

    Attributes:
        revocation_list: X.509 version 2, complete, in PEM or DER.
    """

    revocation_list: Annotated[bytes, Text(example=REVOCATION_LIST_BASE64)]


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA as administrators see it.

    Attributes:
        name: Of the CA here.
        is_local: Its key is here.
        subject: As the certificate has it (RFC 4514).
        not_after_s: When its certificate expires, since 1970.
        revoked_count: Certificates on its revocation list; None = no list was installed.
        list_due_s: When its next revocation list is due, since 1970; None = unknown.
    """

    name: str
    is_local: bool
    subject: str
    not_after_s: int
    revoked_count: int | None
    list_due_s: int | None


@operation(
    ShowAuthority,
    "authority.show",
    "AuthorityShow",
    administrator=Access.ANY,
    route="GET /authorities/{name}/certificate",
)
def show_authority(call: Call, request: ShowAuthority) -> str:
    """Return the CA certificate in PEM."""
    return str(found_authority(call, request.name).fields["certificate"])


@operation(ListAuthorities, "authority.list", "AuthorityList", administrator=Access.ANY)
def list_authorities(call: Call, _request: ListAuthorities) -> tuple[Authority, ...]:
    """Return authorities by name."""
    lists = {record.handle: record for record in records_of(call, KIND_REVOCATION_LIST)}
    return tuple(_authority(record, lists.get(record.handle)) for record in records_of(call, KIND_AUTHORITY))


@operation(
    InstallAuthority,
    "authority.install",
    "AuthorityInstall",
    administrator=Access.AUTHORITIES,
    route="POST /authorities",
    answer=Authority,
)
def install_authority(call: Call, request: InstallAuthority) -> Change:
    """Keep the certificate; nobody gets in by it until the CA is in a profile."""
    check_name(request.name, "CA")
    certificate = read_authority(request.certificate)
    known = {record.handle: record for record in records_of(call, KIND_AUTHORITY)}
    same = next((name for name, one in known.items() if _id(one) == authority_id(certificate)), None)
    before = known.get(request.name)
    if before is not None and (same != request.name or before.material is not None):
        raise Exists(f"there is a CA {request.name} already; choose another name")
    if same not in (None, request.name):
        raise Exists(f"this CA is known already, as {same}")
    if len(known) >= AUTHORITIES_COUNT_MAX and before is None:
        raise Refused(f"at most {AUTHORITIES_COUNT_MAX} CAs can be known; remove one that is not needed any more")
    fields = {"certificate": pem_of(certificate)}
    record = (
        Record(KIND_AUTHORITY, new_id(call.now_us), request.name, fields, call.principal.realm)
        if before is None
        else before._replace(fields=fields)
    )
    held = call.desk.objects.record(KIND_REVOCATION_LIST, request.name, call.principal.realm)
    return Change((Put(record),), _authority(record, held), detail=f"CA {request.name} installed")


@operation(RemoveAuthority, "authority.remove", "AuthorityRemove", administrator=Access.AUTHORITIES, answer=Authority)
def remove_authority(call: Call, request: RemoveAuthority) -> Change:
    """Forget the CA with its list."""
    record = found_authority(call, request.name)
    if record.material is not None:
        raise Refused("the local CA cannot be removed: its key signs the certificates of this node")
    trusting = sorted(name for name, trusted in trust_profiles(call).items() if request.name in trusted)
    if trusting:
        raise Refused(f"{request.name} is trusted by the profile {trusting[0]}; take it out there first")
    held = call.desk.objects.record(KIND_REVOCATION_LIST, request.name, call.principal.realm)
    purges = [(one.kind, one.id, one.revision) for one in (record, held) if one is not None]
    return Change((), _authority(record, held), tuple(purges), f"CA {request.name} removed")


@operation(
    InstallRevocationList,
    "authority.install_list",
    "AuthorityListInstall",
    administrator=Access.AUTHORITIES,
    route="POST /revocation-lists",
    answer=Authority,
)
def install_revocation_list(call: Call, request: InstallRevocationList) -> Change:
    """Put the list in force; certificates on it are refused from the next message on."""
    records = {record.handle: record for record in records_of(call, KIND_AUTHORITY)}
    name, found, der = read_revocation_list(request.revocation_list, parsed(records.values()))
    held = call.desk.objects.record(KIND_REVOCATION_LIST, name, call.principal.realm)
    if held is not None and found.is_older_than(contents(bytes(held.fields["list"]))):
        raise Invalid(f"a newer list of the CA {name} is in force; an older one would bring certificates back")
    due = found.next_update
    fields = {
        "list": der,
        "revoked_count": len(found.serials),
        "next_update_s": None if due is None else int(due.timestamp()),
    }
    record = (
        Record(KIND_REVOCATION_LIST, new_id(call.now_us), name, fields, call.principal.realm)
        if held is None
        else held._replace(fields=fields)
    )
    detail = f"revocation list of the CA {name} installed, {len(found.serials)} revoked"
    return Change((Put(record),), _authority(records[name], record), detail=detail)


def found_authority(call: Call, name: str) -> Record:
    """Return the record of a CA.

    Raises:
        NotFound: there is none of this name.
    """
    record = call.desk.objects.record(KIND_AUTHORITY, name, call.principal.realm)
    if record is None:
        raise NotFound(f"there is no CA {name}; `keystead ca list` shows them")
    return record


def trust_profiles(call: Call) -> dict[str, tuple[str, ...]]:
    """Return every trust profile with the names of the CAs that it trusts."""
    stored = {record.handle: record for record in records_of(call, KIND_TRUST_PROFILE)}
    return {name: trusted_by(name, stored.get(name)) for name in sorted({*BUILT_IN_PROFILES, *stored})}


def trusted_by(name: str, record: Record | None) -> tuple[str, ...]:
    """Return the names of the CAs that a profile trusts; of a profile that does not exist, none.

    Args:
        name: Of the profile.
        record: As it is stored; None when nobody has changed it, or when it does not exist.
    """
    return BUILT_IN_PROFILES.get(name, ()) if record is None else tuple(record.fields["authorities"])


def parsed(records: Iterable[Record]) -> dict[str, x509.Certificate]:
    """Return certificates of authorities by name."""
    return {record.handle: _certificate(record) for record in records}


def _certificate(record: Record) -> x509.Certificate:
    return x509.load_pem_x509_certificate(str(record.fields["certificate"]).encode())


def _id(record: Record) -> bytes:
    return authority_id(_certificate(record))


def _authority(record: Record, held: Record | None) -> Authority:
    certificate = _certificate(record)
    return Authority(
        record.handle,
        record.material is not None,
        certificate.subject.rfc4514_string(),
        int(certificate.not_valid_after_utc.timestamp()),
        None if held is None else int(held.fields["revoked_count"]),
        None if held is None else held.fields["next_update_s"],
    )
