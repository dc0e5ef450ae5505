"""From a proven certificate to a principal: the user behind a connection, as the store knows it now.

Source: requirements KS-KMIP-010, 011, 048; KS-AUTH-002, 003, 013; attacks.md class 27.
"""

from collections.abc import Callable

from keystead.core.errors import Unauthenticated
from keystead.core.permission import Principal
from keystead.core.records import KIND_USER
from keystead.gate.objects import Objects


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


class Admissions:
    """Tells of each connection who it is, for each message; looks that up anew only after something changed.

    Args:
        objects: Where the users are.
        turn_away: Told (address, cause, why) when a peer is nobody any more.

    Attributes:
        generation: Raised by whoever hears that users or settings changed.
    """

    def __init__(self, objects: Objects, turn_away: Callable[[str, str, str], None]) -> None:
        self._objects = objects
        self._turn_away = turn_away
        self.generation = 0

    def of(self, user: str, common_name: str, address: str) -> Callable[[], Principal]:
        """Return a function that tells who a peer is now; it raises Unauthenticated when that is nobody."""
        known: Principal | None = None
        generation = -1

        def admit() -> Principal:
            nonlocal known, generation
            if known is None or generation != self.generation:
                try:
                    known = admit_user(self._objects, user, common_name, address)
                except Unauthenticated as error:
                    known = None
                    self._turn_away(address, "user", error.message)
                    raise
                generation = self.generation
            return known

        return admit
