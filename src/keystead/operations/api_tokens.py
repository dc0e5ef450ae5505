"""API tokens: what an administrator's programs log in with, for some time and with part of the rights.

Laws: the secret is shown once and kept as a digest only; a token never does more than its administrator may at that
moment, and nothing with the administrator's own account; it ends with the account, whoever takes the name later.

Source: requirements KS-GEN-002; attacks.md classes 46 and 47.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Annotated

from keystead.core.changes import Change, Put
from keystead.core.errors import Invalid, NotFound, Refused
from keystead.core.fields import Items, Number, Text
from keystead.core.permission import ACCESS_CONTROLS, Access
from keystead.core.records import KIND_ADMINISTRATOR, KIND_API_TOKEN, Record
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import operation
from keystead.operations.users import records_of

PREFIX = "kst"
ID_BYTES = 8
SECRET_BYTES = 32
LABEL_CHARACTERS_MAX = 64
DAYS_MAX = 366
TOKENS_PER_ADMINISTRATOR_COUNT_MAX = 50
DAY_US = 86_400_000_000
NEVER = ("admin_web", "admin_ssh")
"""Access controls that no token has: ways in are for people. Nor does one change passwords, make tokens or approve."""
SCOPES = tuple(name for name in ACCESS_CONTROLS if name not in NEVER)


@dataclass(frozen=True, slots=True)
class CreateToken:
    """Make a token for the asker's own programs.

    Attributes:
        label: What it is for.
        scopes: Access controls that it has, as far as its administrator has them; none = it may only read.
        days: After how many days it ends.
    """

    label: Annotated[str, Text(characters_min=1, characters_max=LABEL_CHARACTERS_MAX, pattern=r"[\x20-\x7e]+")]
    scopes: Annotated[tuple[str, ...], Items(len(SCOPES), SCOPES)] = ()
    days: Annotated[int, Number(1, DAYS_MAX)] = 90


@dataclass(frozen=True, slots=True)
class ListTokens:
    """List the asker's tokens, those that have ended among them; whoever has high access sees everybody's."""


@dataclass(frozen=True, slots=True)
class RevokeToken:
    """End a token at once, one's own or, with high access, anybody's.

    Attributes:
        id: As the list shows it.
    """

    id: Annotated[str, Text(pattern=r"[0-9a-f]{16}", characters_max=16)]


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is listed.

    Attributes:
        id: Public part of it.
        administrator: Whose.
        label: What it is for.
        scopes: Access controls that it has, as far as its administrator has them.
        created_us: When it was made.
        expires_us: When it ends.
    """

    id: str
    administrator: str
    label: str
    scopes: tuple[str, ...]
    created_us: int
    expires_us: int


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made.

    Attributes:
        token: To be sent as `Authorization: Bearer`; it is shown this once.
        id: Public part of it.
        expires_us: When it ends.
    """

    token: Secret
    id: str
    expires_us: int


@operation(CreateToken, "api_token.create", "ApiTokenCreate", administrator=Access.OWN, answer=NewToken)
def create_token(call: Call, request: CreateToken) -> Change:
    """Make the token."""
    unknown = set(request.scopes) - set(SCOPES)
    if unknown:
        raise Invalid(f"a token cannot have {min(unknown)!r}; there are: {', '.join(SCOPES)}", "invalid.field")
    if not 1 <= len(request.label) <= LABEL_CHARACTERS_MAX or not request.label.isprintable():
        raise Invalid(f"say what the token is for, in 1 to {LABEL_CHARACTERS_MAX} characters", "invalid.field")
    if not 1 <= request.days <= DAYS_MAX:
        raise Invalid(f"a token ends after 1 to {DAYS_MAX} days", "invalid.field")
    owner = _account(call)
    if sum(one.fields["owner_id"] == owner.id for one in records_of(call, KIND_API_TOKEN)) >= (
        TOKENS_PER_ADMINISTRATOR_COUNT_MAX
    ):
        raise Refused(f"an administrator has at most {TOKENS_PER_ADMINISTRATOR_COUNT_MAX} tokens; revoke one first")
    token_id, secret = secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    expires_us = call.now_us + request.days * DAY_US
    scopes = sorted(set(request.scopes))
    fields = {
        "digest": digest(secret),
        "owner": owner.handle,
        "owner_id": owner.id,
        "label": request.label,
        "scopes": scopes,
        "created_us": call.now_us,
        "expires_us": expires_us,
    }
    record = Record(KIND_API_TOKEN, new_id(call.now_us), token_id, fields)
    made = NewToken(Secret(f"{PREFIX}_{token_id}_{secret}".encode()), token_id, expires_us)
    told = ", ".join(scopes) or "reading"
    return Change((Put(record),), made, detail=f"API token {token_id} for {owner.handle}: {told}")


@operation(ListTokens, "api_token.list", "ApiTokenList", administrator=Access.ANY)
def list_tokens(call: Call, _request: ListTokens) -> tuple[Token, ...]:
    """Return tokens by administrator, the newest first."""
    found = [_shown(record) for record in records_of(call, KIND_API_TOKEN) if _may_see(call, record)]
    return tuple(sorted(found, key=lambda one: (one.administrator, -one.created_us)))


@operation(RevokeToken, "api_token.revoke", "ApiTokenRevoke", administrator=Access.OWN, route="DELETE /api-tokens/{id}")
def revoke_token(call: Call, request: RevokeToken) -> Change:
    """Forget the token; its next request is refused."""
    record = call.desk.objects.record(KIND_API_TOKEN, request.id)
    if record is None or not _may_see(call, record):
        raise NotFound("you have no such token; the list shows them")
    detail = f"API token {request.id} of {record.fields['owner']} revoked"
    return Change((), None, ((KIND_API_TOKEN, record.id, record.revision),), detail)


def digest(secret: str) -> bytes:
    """Return what is kept of a token's secret, which is too long to be guessed."""
    return hashlib.sha256(secret.encode()).digest()


def _account(call: Call) -> Record:
    if call.principal.kind != "administrator":
        raise Refused("tokens are administrators'; log in as one", "refused.permission")
    record = call.desk.objects.record(KIND_ADMINISTRATOR, call.principal.name)
    if record is None:
        raise NotFound("this account is gone")
    return record


def _may_see(call: Call, record: Record) -> bool:
    return bool(call.principal.access & Access.HIGH_ACCESS) or record.fields["owner"] == call.principal.name


def _shown(record: Record) -> Token:
    fields = record.fields
    return Token(
        record.handle,
        fields["owner"],
        fields["label"],
        tuple(fields["scopes"]),
        fields["created_us"],
        fields["expires_us"],
    )
