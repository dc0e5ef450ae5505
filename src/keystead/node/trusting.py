"""Whose client certificates the key server takes now: trust profile, authorities and revocation lists of the store.

Source: requirements KS-KMIP-013, 014; KS-AUTH-014; KS-CAU-005, 012; KS-CRL-005.
"""

from keystead.core.records import (
    KIND_AUTHORITY,
    KIND_REVOCATION_LIST,
    KIND_SETTINGS,
    KIND_TRUST_PROFILE,
)
from keystead.gate.objects import Objects
from keystead.operations.authorities import parsed, trusted_by
from keystead.settings.key_server import KeyServer
from keystead.trust.issuers import Issuers, Trusted, authority_id, contents

KINDS = frozenset({KIND_AUTHORITY, KIND_REVOCATION_LIST, KIND_TRUST_PROFILE, KIND_SETTINGS})
"""Of records that decide whom to trust."""


class Trust:
    """Keeps what the store says at hand; lists that have not changed are not read again.

    Args:
        objects: Where the records are.

    Attributes:
        trusted: Authorities of the profile in use, and what all have revoked.
        issuers: Finds the way from a certificate to its authority.
        anchors_pem: Certificates of the profile's authorities for TLS, one after the other; "" = nobody is trusted.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._revoked: dict[tuple[str, int], frozenset[int]] = {}
        self.issuers = Issuers(())
        self.trusted = Trusted()
        self.anchors_pem = ""
        self.refresh()

    def refresh(self) -> bool:
        """Look at the store; tell whether the authorities of the profile are others than before."""
        authorities = {record.handle: record for record in self._objects.records(KIND_AUTHORITY)}
        certificates = parsed(authorities.values())
        names = [name for name in trusted_names(self._objects) if name in certificates]
        revoked = {}
        for held in self._objects.records(KIND_REVOCATION_LIST):
            if held.handle in authorities:
                key = (held.handle, held.revision)
                revoked[key] = self._revoked.get(key) or contents(bytes(held.fields["list"])).serials
        self._revoked = revoked
        self.issuers = Issuers(certificates.values(), self.issuers)
        self.trusted = Trusted(
            frozenset(authority_id(certificates[name]) for name in names),
            {authority_id(certificates[name]): serials for (name, _), serials in revoked.items()},
        )
        before, self.anchors_pem = (
            self.anchors_pem,
            "".join(f"{str(authorities[name].fields['certificate']).strip()}\n" for name in sorted(names)),
        )
        return self.anchors_pem != before


def trusted_names(objects: Objects) -> tuple[str, ...]:
    """Return the names of the CAs in the profile that the key server uses."""
    name = objects.section(KeyServer).trusted_ca_profile
    return trusted_by(name, objects.record(KIND_TRUST_PROFILE, name))
