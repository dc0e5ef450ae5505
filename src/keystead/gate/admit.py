"""From a proven certificate to a principal: the user behind a connection, as the store knows it now.

Source: requirements KS-KMIP-010, 011, 013, 048; KS-CAU-009; KS-AUTH-002, 003, 013, 014; attacks.md class 27.
"""

import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from keystead.core.errors import Refused, Unauthenticated
from keystead.core.permission import ACCESS_CONTROLS, Access, Principal, Switches
from keystead.core.records import KIND_ADMINISTRATOR, KIND_API_TOKEN, KIND_CERTIFICATE, KIND_USER
from keystead.gate.directory import Users
from keystead.gate.objects import Objects
from keystead.gate.operation import Declaration
from keystead.trust.issuers import Trusted
from keystead.trust.x509 import ClientIdentity


def admit_user(objects: Objects, name: str, common_name: str, address: str, *, realm: str = "root") -> Principal:
    """Return the principal of a user named by a client certificate.

    Raises:
        Unauthenticated: no such user in the realm, or the account is disabled.
    """
    record = objects.record(KIND_USER, name, realm)
    if record is None or record.fields.get("disabled"):
        raise Unauthenticated("the certificate names no user of this server; ask an administrator to create one")
    groups = frozenset(record.fields.get("groups", ()))
    return Principal("user", name, realm, groups, common_name=common_name, address=address)


def admit_administrator(objects: Objects, name: str, address: str, *, must_change: bool) -> Principal:
    """Return the principal of an administrator who has logged in.

    Args:
        objects: Where the accounts are.
        name: Of the account.
        address: Where they come from.
        must_change: The password is good for nothing but setting another one (KS-ADM-005, 006; KS-PWD-009).

    Raises:
        Unauthenticated: there is no such account any more, or it is disabled.
    """
    record = objects.record(KIND_ADMINISTRATOR, name)
    if record is None or record.fields.get("disabled"):
        raise Unauthenticated("this account cannot be used any more")
    access = Access.OWN
    if not must_change:
        access |= Access.ANY
        for given in record.fields.get("access", ()):
            access |= ACCESS_CONTROLS.get(given, Access.NONE)
    return Principal("administrator", name, access=access, address=address)


def admit_token(objects: Objects, token_id: str, secret_digest: bytes, address: str, now_us: int) -> Principal:
    """Return the principal of an administrator's program: what the token and its administrator both may.

    Raises:
        Unauthenticated: there is no such token, it has ended, or its administrator is not who made it any more.
    """
    record = objects.record(KIND_API_TOKEN, token_id)
    fields = {} if record is None else record.fields
    if not hmac.compare_digest(bytes(fields.get("digest", b"")), secret_digest) or now_us >= fields["expires_us"]:
        raise Unauthenticated("there is no such API token any more; make a new one")
    owner = objects.record(KIND_ADMINISTRATOR, str(fields["owner"]))
    if owner is None or owner.id != fields["owner_id"] or owner.fields.get("must_change"):
        raise Unauthenticated("the administrator of this API token cannot use it now")
    principal = admit_administrator(objects, owner.handle, address, must_change=False)
    allowed = Access.ANY
    for name in fields["scopes"]:
        allowed |= ACCESS_CONTROLS.get(name, Access.NONE)
    return replace(principal, access=principal.access & allowed)


def admit_nobody(common_name: str, address: str, *, permitted: bool) -> Principal:
    """Return the principal of a client whose certificate names no user.

    Raises:
        Unauthenticated: such clients are not permitted.
    """
    if not permitted:
        raise Unauthenticated(
            "clients without a user are switched off; an administrator can set key_server.allow_global_sessions"
        )
    return Principal("global", "", common_name=common_name, address=address)


def check_access(declaration: Declaration, principal: Principal, switches: Switches) -> None:
    """Let pass who may ask for the operation at all.

    Raises:
        Refused, Unauthenticated: not this one.
    """
    kind = principal.kind
    if kind in ("user", "global"):
        if declaration.user is None:
            raise Refused("this operation is for administrators", "refused.permission")
        if declaration.configuration and not switches.key_configuration:
            raise Refused(
                "key configuration by clients is switched off; an administrator can set "
                "key_server.allow_key_configuration",
                "refused.switched_off",
            )
    elif kind == "stranger":
        raise Unauthenticated("log in first")
    elif kind != "clock":
        if declaration.administrator is None:
            raise Refused("this operation is for key users, not for administrators", "refused.permission")
        if declaration.administrator & ~principal.access:
            raise Refused("your administrator rights do not cover this operation", "refused.permission")


def check_certificate(objects: Objects, fingerprint: bytes) -> None:
    """Check that a certificate which TLS has verified was not revoked.

    Raises:
        Unauthenticated: it was.
    """
    record = objects.record(KIND_CERTIFICATE, fingerprint.hex())
    if record is not None and record.fields.get("revoked") is not None:
        raise Unauthenticated("the client certificate was revoked; have a new one issued")


class Admissions:
    """Tells of each connection who it is, for each message; looks that up anew only after something changed.

    Args:
        objects: Where the users are.
        turn_away: Told (address, cause, why) when a peer is nobody any more.

    Attributes:
        generation: Raised by whoever hears that users, certificates or settings changed.
        trusted: Authorities whose certificates count, and what they have revoked.
        directory: Where users are looked up instead; None = they are in the store.
        global_sessions: Whether peers whose certificate names no user, as it serves TLS only, may ask at all (LEG-05).
    """

    def __init__(self, objects: Objects, turn_away: Callable[[str, str, str], None]) -> None:
        self._objects = objects
        self._turn_away = turn_away
        self.generation = 0
        self.trusted = Trusted()
        self.directory: Users | None = None
        self.global_sessions = False

    def check(self, identity: ClientIdentity, address: str) -> None:
        """Check that a certificate counts as things are now.

        Raises:
            Unauthenticated: its CA is not trusted, or it was revoked.
        """
        with self._watching(address, "issuer"):
            self.trusted.check_trusted(identity.path)
        with self._watching(address, "revoked"):
            self.trusted.check_not_revoked(identity.path)
            check_certificate(self._objects, identity.fingerprint)

    def user(self, name: str, common_name: str, address: str) -> Principal:
        """Return the principal of a user who has logged in.

        Raises:
            Unauthenticated: there is no such user any more, or the account is disabled.
            Unsettled: that has to be asked for (gate.directory).
        """
        with self._watching(address, "user"):
            return self._user(name, common_name, address)

    def spelled(self, name: str) -> str:
        """Return the one spelling of a user's name."""
        return name if self.directory is None else name.lower()

    def _user(self, name: str, common_name: str, address: str) -> Principal:
        """Return the principal of a user. Raises Unauthenticated, and as `gate.directory.Users.admit` does."""
        if self.directory is None:
            return admit_user(self._objects, name, common_name, address)
        return self.directory.admit(name, common_name, address)

    @contextmanager
    def _watching(self, address: str, cause: str) -> Iterator[None]:
        """Tell of a peer that is turned away."""
        try:
            yield
        except Unauthenticated as error:
            self._turn_away(address, cause, error.message)
            raise

    def of(self, identity: ClientIdentity, address: str) -> Callable[[], Principal]:
        """Return a function that tells who a peer is now; it raises Unauthenticated when that is nobody.

        It raises Unsettled while that has to be asked for (gate.directory).

        Args:
            identity: What the peer's certificate says.
            address: Of the peer.
        """
        user, common_name = identity.user, identity.common_name
        known: Principal | None = None
        generation = -1

        def admit() -> Principal:
            nonlocal known, generation
            if known is None or generation != self.generation:
                known = None
                self.check(identity, address)
                with self._watching(address, "user"):
                    known = (
                        self._user(user, common_name, address)
                        if user
                        else admit_nobody(common_name, address, permitted=self.global_sessions)
                    )
                generation = self.generation
            return known

        return admit
