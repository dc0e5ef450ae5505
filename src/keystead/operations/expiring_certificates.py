"""Client certificates that end soon: whoever renews them in time keeps clients from standing still.

Source: requirement KS-CAU-009; chapter Local CAs.
"""

from dataclasses import dataclass
from typing import Annotated

from keystead.core.fields import Number
from keystead.core.permission import Access
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.operations.certificates import VALIDITY_DAYS_MAX, KnownCertificate, ListCertificates, list_certificates

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class ListExpiring:
    """List the client certificates that end within some days and were not revoked, those that end first before others.

    Attributes:
        days: From now on; certificates that have ended already are listed, too.
    """

    days: Annotated[int, Number(0, VALIDITY_DAYS_MAX)] = 30


@operation(ListExpiring, "expiring_certificate.list", "ExpiringCertificateList", administrator=Access.ANY)
def list_expiring(call: Call, request: ListExpiring) -> tuple[KnownCertificate, ...]:
    """Return the certificates."""
    ends_s = call.now_us // 1_000_000 + request.days * DAY_S
    found = [
        one for one in list_certificates(call, ListCertificates()) if not one.revoked and one.not_after_s <= ends_s
    ]
    return tuple(sorted(found, key=lambda one: one.not_after_s))
