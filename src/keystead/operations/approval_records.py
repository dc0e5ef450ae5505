"""Requests that wait for approvals, as they are kept: sealed, hashed, with what people are shown of them.

Laws: the stored request is sealed and canonical; the hash that approvers name covers the sealed bytes, who asked, and
what is shown; what is opened again says itself which record it belongs to. What is shown holds no secret.

Source: design.md section 6 ("pending approvals"); attacks.md class 41; docs/adr/0070.
"""

import dataclasses
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

import cbor2

from keystead.core.approvals import Approval
from keystead.core.changes import SealedMaterial
from keystead.core.errors import NotSupported, Refused, Tampered, TooLarge, Unauthenticated, Unavailable
from keystead.core.permission import EVERY_ACCESS, Principal
from keystead.core.records import KIND_ADMINISTRATOR, KIND_APPROVAL, Record
from keystead.core.secret import Secret
from keystead.gate.admit import admit_administrator
from keystead.gate.approvals import kind_of_approval
from keystead.gate.call import Call
from keystead.gate.objects import Objects
from keystead.gate.operation import Declaration
from keystead.gate.plain import declaration_of, plain, request_from
from keystead.operations.logins import is_expired
from keystead.trust.material import Place

APPROVE = "approval.approve"
APPROVAL_SEAL = "approval_seal"
"""Service of the gate: what seals waiting requests in a process that has no keyring."""
REQUEST_BYTES_MAX = 131_072
MASK = "(secret)"
FORMAT = 1


class Sealer(Protocol):
    """Seals for one record and opens again."""

    def seal(self, record_id: str, secret: Secret) -> bytes:
        """Seal a secret for a record."""

    def unseal(self, record_id: str, sealed: bytes) -> Secret:
        """Open what `seal` made; raises Tampered."""


class Requester(NamedTuple):
    """Who asked: kind and name of the principal, and the account behind it, which no namesake has."""

    kind: str
    name: str
    account: str


class Asked(NamedTuple):
    """A request as it was stored; nothing of it ever changes.

    Attributes:
        id: Of the record.
        operation: Dotted name.
        kind: What others approve.
        view: Field -> words, for people.
        sealed: The request, sealed.
    """

    id: str
    realm: str
    operation: str
    kind: Approval
    requester: Requester
    created_us: int
    expires_us: int
    view: tuple[tuple[str, str], ...]
    sealed: bytes

    def digest(self) -> bytes:
        """Return the SHA-256 over all of it as canonical CBOR."""
        return sha256(cbor2.dumps([FORMAT, *self._head(), self.sealed], canonical=True)).digest()

    def _head(self) -> list[Any]:
        view = [list(shown) for shown in self.view]
        by = list(self.requester)
        return [self.id, self.realm, self.operation, str(self.kind), by, self.created_us, self.expires_us, view]

    def fields(self) -> dict[str, Any]:
        """Return what is stored of it."""
        names = ("id", "realm", "operation", "kind", "requester", "created_us", "expires_us", "view")
        stored = dict(zip(names[2:], self._head()[2:], strict=True))
        return {**stored, "sealed": self.sealed, "hash": self.digest()}


def asked_of(record: Record) -> Asked:
    """Return the request of a record.

    Raises:
        Refused: it is not what was hashed when it was stored.
    """
    fields = record.fields
    asked = Asked(
        record.id,
        record.realm,
        fields["operation"],
        Approval(fields["kind"]),
        Requester(*fields["requester"]),
        fields["created_us"],
        fields["expires_us"],
        tuple((name, words) for name, words in fields["view"]),
        fields["sealed"],
    )
    if asked.digest() != fields["hash"]:
        raise Refused("the stored request was changed since it was asked; it never runs", "refused.permission")
    return asked


def requester_of(call: Call) -> Requester:
    """Return who asks.

    Raises:
        Refused: an administrator whose account is gone.
    """
    principal = call.principal
    if principal.kind != "administrator":
        return Requester(principal.kind, principal.name, f"{principal.kind}:{principal.name}")
    record = call.desk.objects.record(KIND_ADMINISTRATOR, principal.name)
    if record is None:
        raise Refused("this account cannot be used any more", "refused.permission")
    return Requester(principal.kind, principal.name, record.id)


def principal_of(call: Call, asked: Asked) -> Principal:
    """Return who asked, with what they may do now.

    Raises:
        Unauthenticated: the account is gone, disabled, or another one of the same name.
    """
    kind, name, account = asked.requester
    if kind == "local":
        return Principal("local", name, asked.realm, access=EVERY_ACCESS)
    record = call.desk.objects.record(KIND_ADMINISTRATOR, name)
    if kind != "administrator" or record is None or record.id != account:
        raise Unauthenticated("the account that asked is gone")
    must_change = bool(record.fields.get("must_change")) or is_expired(call, record)
    return admit_administrator(call.desk.objects, name, "-", must_change=must_change)


def sealed_request(call: Call, record_id: str, declaration: Declaration, request: Any) -> bytes:
    """Seal a request for its record.

    Raises:
        NotSupported: it could not be made again exactly. TooLarge: of more than 131,072 bytes.
    """
    encoded = _encoded(record_id, declaration, request)
    if len(encoded) > REQUEST_BYTES_MAX:
        raise TooLarge("the request is too large to wait for approvals", "too_large.request")
    _, _, fields = cbor2.loads(encoded)
    if _encoded(record_id, declaration, request_from(declaration, fields)) != encoded:
        raise NotSupported("this request cannot wait for approvals", "not_supported.operation")
    return _sealer(call).seal(record_id, Secret(encoded))


def opened_request(call: Call, asked: Asked) -> Any:
    """Return the request exactly as it was asked.

    Raises:
        Tampered: it is not that of the record, or not what is shown.
    """
    encoded = _sealer(call).unseal(asked.id, asked.sealed).reveal()
    declaration = declaration_of(asked.operation)
    record_id, operation, fields = cbor2.loads(encoded)
    request = request_from(declaration, fields)
    is_it = (record_id, operation, view_of(request)) == (asked.id, asked.operation, asked.view)
    if not is_it or kind_of_approval(declaration, request) is not asked.kind:
        raise Tampered("the stored request is not the one that was approved; it never runs")
    return request


def concerns_material(objects: Objects, message: Mapping[str, Any]) -> bool:
    """Tell whether a message approves what has to run where the keys are."""
    fields = message.get("fields")
    record_id = fields.get("id") if isinstance(fields, dict) else None
    if message.get("operation") != APPROVE or not isinstance(record_id, str):
        return False
    record = objects.record(KIND_APPROVAL, record_id)
    return record is not None and declaration_of(record.fields["operation"]).material


def view_of(request: Any) -> tuple[tuple[str, str], ...]:
    """Return each field of a request as text of visible ASCII characters, secrets masked."""
    names = (
        [field.name for field in dataclasses.fields(request)] if dataclasses.is_dataclass(request) else request._fields
    )
    return tuple((name, json.dumps(_masked(getattr(request, name)), sort_keys=True)) for name in names)


def _encoded(record_id: str, declaration: Declaration, request: Any) -> bytes:
    return cbor2.dumps([record_id, declaration.name, plain(request)], canonical=True)


def _masked(value: Any) -> Any:
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, bytes):
        return value.hex()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _masked(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _masked(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(item) for item in value]
    return value


class _KeyringSealer:
    """Seals as material is sealed, where the keyring is."""

    def __init__(self, call: Call) -> None:
        self._keyring = call.desk.keyring
        self._realm = call.principal.realm

    def seal(self, record_id: str, secret: Secret) -> bytes:
        sealed: SealedMaterial = self._keyring.seal(Place(self._realm, KIND_APPROVAL, record_id, record_id, 1), secret)
        return sealed.sealed

    def unseal(self, record_id: str, sealed: bytes) -> Secret:
        found: Secret = self._keyring.open(self._realm, KIND_APPROVAL, record_id, SealedMaterial(record_id, 1, sealed))
        return found


def _sealer(call: Call) -> Sealer:
    sealer: Sealer | None = call.desk.services.get(APPROVAL_SEAL)
    if sealer is None and call.desk.keyring is None:
        raise Unavailable("requests cannot wait for approvals here", "unavailable.locked")
    return sealer or _KeyringSealer(call)
