"""Deposits: a client's keys, sealed for the vault's custody quorum. The vault keeps them and cannot open them.

Source: requirements DS-014, DS-015, DS-020; docs/design/envelope.md (kind "client-keys").
"""

import io
from dataclasses import dataclass

from keystead.core.errors import Tampered
from keystead.core.secret import Secret
from keystead.custody.safeguard.client_keys import ClientIdentity, ClientKeys, EncryptionType
from keystead.custody.safeguard.messages import Shape, packed, unpacked
from keystead.custody.safeguard.quorums import CustodyQuorum
from keystead.custody.safeguard.verifiers import origin_of
from keystead.trust import envelope
from keystead.trust.envelope import Envelope, Sealing
from keystead.trust.origins import OriginKey
from keystead.trust.recipients import Plain

KIND = "client-keys"
DEPOSIT_BYTES_MAX = 262_144
BUNDLE_BYTES_MAX = 65_536
_SHAPE: Shape = {
    "account": str,
    "client": str,
    "type": str,
    "private": bytes,
    "account_key": (bytes, type(None)),
    "url": str,
    "ca": str,
    "quorum": bytes,
    "receipts": list,
    "salt": bytes,
}


@dataclass(frozen=True)
class Bundle:
    """All that a client needs on an empty machine.

    Attributes:
        who: The client.
        keys: Its master keys.
        url: Address of its vault.
        ca: Certificate of the vault's CA, PEM.
        quorum: The quorum that the client has pinned, encoded; b"" = none.
        receipts: SHA-256 of those that the client has seen, oldest first.
        salt: Of the account key's derivation, 32 bytes; public.
    """

    who: ClientIdentity
    keys: ClientKeys
    url: str
    ca: str
    quorum: bytes = b""
    receipts: tuple[bytes, ...] = ()
    salt: bytes = b""

    def encoded(self) -> Secret:
        """Return the bytes, which hold the keys."""
        account = self.keys.account
        fields = {
            "account": self.who.account,
            "client": self.who.client,
            "type": self.keys.kind.value,
            "private": self.keys.private.reveal(),
            "account_key": None if account is None else account.reveal(),
            "url": self.url,
            "ca": self.ca,
            "quorum": self.quorum,
            "receipts": list(self.receipts),
            "salt": self.salt,
        }
        return Secret(packed(fields))

    @classmethod
    def read(cls, data: Secret) -> "Bundle":
        """Read what `encoded` gave.

        Raises:
            Invalid: it is something else.
        """
        found = unpacked(data.reveal(), _SHAPE, "set of client keys")
        account = found["account_key"]
        keys = ClientKeys(
            EncryptionType(found["type"]), Secret(found["private"]), None if account is None else Secret(account)
        )
        who = ClientIdentity(found["account"], found["client"])
        return cls(who, keys, found["url"], found["ca"], found["quorum"], tuple(found["receipts"]), found["salt"])


def make_deposit(bundle: Bundle, quorum: CustodyQuorum, now_us: int) -> bytes:
    """Seal a client's keys for a quorum, signed by the client."""
    target = io.BytesIO()
    about = _about(bundle.who, quorum.fingerprint)
    origin = origin_of(bundle.keys.private, bundle.who)
    envelope.seal([bundle.encoded().reveal()], target, Sealing(KIND, [quorum.recipient], origin, now_us, about))
    return target.getvalue()


def read_deposit(data: bytes, origin: OriginKey, who: ClientIdentity, quorum: CustodyQuorum) -> Envelope:
    """Check that a deposit is this client's, for this quorum.

    Raises:
        Tampered: of another client or for other custodians, changed, or not signed by this client.
        Invalid, NotSupported: it is no deposit.
    """
    found = envelope.verify(io.BytesIO(data), {origin.id: origin}, KIND)
    stanzas = found.header.stanzas
    custodians = stanzas[0].fields.get("custodians") if len(stanzas) == 1 else None
    wanted = [card.id for card in quorum.recipient.custodians]
    is_shared = isinstance(custodians, list) and [one[0] for one in custodians if isinstance(one, list)] == wanted
    counts = stanzas[0].fields.get("counts")
    if found.header.about != _about(who, quorum.fingerprint):
        raise Tampered("these deposited keys are of another client or for another custody quorum")
    if not is_shared or counts != [quorum.threshold, len(wanted)]:
        raise Tampered("these deposited keys are sealed for others than the custodians of the quorum")
    return found


def _about(who: ClientIdentity, fingerprint: bytes) -> dict[str, Plain]:
    return {"account": who.account, "client": who.client, "quorum": fingerprint}
