"""Who asks over HTTP, or over SSH: a session's token or an API token, judged anew for every request.

Law: nothing below /v1 is looked at before it is known who asks, except what everybody may see.

Source: RFC 6750; requirements KS-UI-025; KS-ADM-005, 006, 041; attacks.md classes 38 and 46.
"""

import hashlib
import hmac
from dataclasses import dataclass, replace

from keystead.core.errors import Unauthenticated
from keystead.core.permission import Access, Principal
from keystead.core.records import KIND_ADMINISTRATOR
from keystead.core.secret import Secret
from keystead.gate.admit import admit_administrator, admit_token
from keystead.gate.sessions import Sessions
from keystead.operations.administrators import ChangeOwnPassword
from keystead.operations.api_tokens import PREFIX
from keystead.operations.logins import AccountKind, Door, LogIn
from keystead.operations.sessions import LogOut
from keystead.protocols.asking import Asker

TOKEN_CHARACTERS_MAX = 256
WAYS_IN = {Door.WEB: Access.WEB, Door.SSH: Access.SSH}
LOG_IN = "log in first: POST /v1/session, then send its token as Authorization: Bearer"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sends a request.

    Attributes:
        principal: Who it is.
        session: Token of the session, None for programs with an API token.
        must_change: Another password has to be set first.
    """

    principal: Principal
    session: Secret | None = None
    must_change: bool = False


class Entrance:
    """Lets administrators in and out.

    Args:
        asker: Runs operations.
        sessions: Of this process.
        door: Where they come from.
    """

    def __init__(self, asker: Asker, sessions: Sessions, door: Door = Door.WEB) -> None:
        self._asker = asker
        self._sessions = sessions
        self._door = door

    async def log_in(self, name: str, password: Secret, address: str) -> tuple[Secret, bool]:
        """Return the token of a new session, and whether another password has to be set first.

        Raises:
            Unauthenticated: they do not belong together, or the account is locked, disabled or has no access this way.
            Limited: too many are logged in.
        """
        stranger = Principal("stranger", "", address=address)
        self._asker.refresh()
        before = self._kept(name)
        found = await self._asker.run(stranger, LogIn(name, password, AccountKind.ADMINISTRATOR, self._door))
        record = self._asker.gate.objects.record(KIND_ADMINISTRATOR, found["name"])
        kept = self._kept(found["name"])
        if record is None or not hmac.compare_digest(before, kept):  # another password was set meanwhile
            raise Unauthenticated(LOG_IN)
        must_change = bool(found["must_change"])
        return self._sessions.begin(record.handle, address, kept, must_change=must_change), must_change

    def _kept(self, name: str) -> str:
        record = self._asker.gate.objects.record(KIND_ADMINISTRATOR, name)
        return "" if record is None else str(record.fields.get("password"))

    def caller(self, authorization: str, address: str) -> Caller:
        """Return who sends this header, as accounts are now.

        Raises:
            Unauthenticated: nobody, or nobody any more.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > TOKEN_CHARACTERS_MAX:
            raise Unauthenticated(LOG_IN)
        self._asker.refresh()
        if token.startswith(f"{PREFIX}_"):
            return Caller(self._program(token, address))
        return self.person(Secret(token.encode(errors="replace")), address)

    def refresh(self) -> None:
        """See what others have changed since."""
        self._asker.refresh()

    async def log_out(self, caller: Caller) -> None:
        """End the session that asks."""
        await self._asker.run(caller.principal, LogOut())
        if caller.session is not None:
            self._sessions.end(caller.session)

    async def change_password(self, caller: Caller, current: Secret, new: Secret) -> None:
        """Set the caller's own password; the session that asks goes on, all others of the account end."""
        await self._asker.run(caller.principal, ChangeOwnPassword(current, new))
        record = self._asker.gate.objects.record(KIND_ADMINISTRATOR, caller.principal.name)
        if record is not None and caller.session is not None:
            self._sessions.renew(caller.session, str(record.fields["password"]))

    def person(self, token: Secret, address: str) -> Caller:
        """Return who has this session, as accounts are now, and count it as used.

        Raises:
            Unauthenticated: nobody, or nobody any more.
        """
        session = self._sessions.find(token)
        if session is None:
            raise Unauthenticated(LOG_IN)
        objects = self._asker.gate.objects
        record = objects.record(KIND_ADMINISTRATOR, session.administrator)
        if record is None or not hmac.compare_digest(str(record.fields.get("password")), session.password):
            self._sessions.end(token)
            raise Unauthenticated(LOG_IN)
        must_change = session.must_change or bool(record.fields.get("must_change"))
        principal = admit_administrator(objects, session.administrator, address, must_change=must_change)
        if not must_change and not principal.access & WAYS_IN[self._door]:
            raise Unauthenticated("this account may not be used this way any more")
        return Caller(replace(principal, door=self._door), token, must_change)

    def _program(self, token: str, address: str) -> Principal:
        _, token_id, secret = (*token.split("_", 2), "", "")[:3]
        gate = self._asker.gate
        digest = hashlib.sha256(secret.encode(errors="replace")).digest()
        principal = admit_token(gate.objects, token_id, digest, address, gate.clock.now_us())
        return replace(principal, door=self._door)
