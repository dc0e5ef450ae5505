"""Who is asking on one connection: what its certificate proves, what a login adds, and what the settings want.

| certificate | password | who is asking |
|---|---|---|
| not asked for, or for TLS only | required | who has logged in |
| not asked for, or for TLS only | optional | who has logged in; else nobody, where global sessions are allowed |
| names the user | required | who has logged in, and is the one that the certificate names: two factors |
| names the user | optional | the one that the certificate names; a login must be theirs |

Laws: it is decided anew as soon as users, certificates or settings change; a login under another name than the
certificate's is not tried, so that nobody locks other people's accounts by it.

Source: requirements KS-AUTH-002 to 006, KS-NAE-003, 004; LEG-05.
"""

from collections.abc import Callable
from dataclasses import replace

from keystead.core.errors import Unauthenticated
from keystead.core.permission import Principal
from keystead.gate.admit import Admissions, admit_nobody
from keystead.operations.logins import FAILED
from keystead.settings.xml import NAMED_CERTIFICATE, NO_CERTIFICATE, REQUIRED, XmlServer
from keystead.trust.x509 import ClientIdentity

Policy = Callable[[], XmlServer]


class Entrance:
    """Of one connection.

    Args:
        admissions: Of the process.
        policy: Returns the settings as they are now.
        identity: What the peer's certificate says; None = it brought none.
        address: Of the peer.

    Attributes:
        was_stranger: Nobody had logged in when that was told last.
    """

    def __init__(self, admissions: Admissions, policy: Policy, identity: ClientIdentity | None, address: str) -> None:
        self._admissions = admissions
        self._policy = policy
        self._identity = identity
        self._address = address
        self._by_certificate = None if identity is None else admissions.of(identity, address)
        common_name = "" if identity is None else identity.common_name
        self._stranger = Principal("stranger", "", common_name=common_name, address=address)
        self._name: str | None = None  # of who has logged in
        self._known: Principal | None = None
        self._generation = -1
        self.was_stranger = True

    def admit(self) -> Principal:
        """Return who is asking now: a user, nobody in particular, or a stranger who has to log in.

        Raises:
            Unauthenticated: nobody may ask on this connection any more.
            Unsettled: that has to be asked for (gate.directory).
        """
        if self._known is None or self._generation != self._admissions.generation:
            self._known = None
            known = replace(self._admitted(), past_states=not self._policy().life_cycle_states)
            self._generation, self._known = self._admissions.generation, known
            self.was_stranger = known.kind == "stranger"
        return self._known

    def check_name(self, name: str) -> None:
        """Check that a login is not in another name than the certificate's.

        Raises:
            Unauthenticated: it is.
        """
        if self._policy().client_certificate == NAMED_CERTIFICATE and self._user() not in (
            "",
            self._admissions.spelled(name),
        ):
            raise Unauthenticated(FAILED)

    def logged_in(self, name: str) -> None:
        """Remember who has proven to be who."""
        self._name, self._known = name, None

    @property
    def stranger(self) -> Principal:
        """Who has not logged in yet."""
        return self._stranger

    def _user(self) -> str:
        return "" if self._identity is None else self._admissions.spelled(self._identity.user)

    def _admitted(self) -> Principal:
        policy = self._policy()
        certificate = policy.client_certificate
        if certificate != NO_CERTIFICATE:
            if self._identity is None or self._by_certificate is None:
                raise Unauthenticated("a client certificate is needed; connect with one")
            self._admissions.check(self._identity, self._address)
        if certificate == NAMED_CERTIFICATE and self._by_certificate is not None and self._user():
            named = self._by_certificate()
            if self._name not in (None, named.name):
                raise Unauthenticated(FAILED)
            is_proven = self._name is not None or policy.password_authentication != REQUIRED
            return named if is_proven else self._stranger
        if self._name is not None:
            return self._admissions.user(self._name, self._stranger.common_name, self._address)
        if policy.password_authentication == REQUIRED or not self._admissions.global_sessions:
            return self._stranger
        return admit_nobody(self._stranger.common_name, self._address, permitted=True)
