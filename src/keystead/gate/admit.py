"""From a proven certificate to a principal: the user behind a connection, as the store knows it now.

Source: requirements KS-KMIP-010, 011, 048; KS-AUTH-002, 003, 013; attacks.md class 27.
"""

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
