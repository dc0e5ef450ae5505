"""Registration files: a client's deposited keys, opened by M custodians for one request, sealed under a passphrase.

A request names the client, the reason and a one-time key. Each custodian checks it, opens its share, encrypts it to
that key and signs. Only the requester's program, which holds the one-time secret, can put M shares together. What
remains is a receipt with the custodians' signatures, numbered per client, which the client checks and shows.

Laws: an approval is good for one request only; the keys are never in clear outside the requester's program; a
receipt cannot be made, changed or renumbered without the custodians whose approval it tells.

Source: requirements DS-015, DS-016, DS-020; docs/adr/0089-registration-files.md.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

from keystead.core.errors import Invalid, Refused, Tampered
from keystead.core.secret import Secret
from keystead.custody.safeguard.client_keys import ClientIdentity
from keystead.custody.safeguard.deposits import BUNDLE_BYTES_MAX, Bundle, read_deposit
from keystead.custody.safeguard.messages import packed, unpacked
from keystead.custody.safeguard.quorums import Card, Custodian, CustodyQuorum
from keystead.custody.safeguard.verifiers import origin_of
from keystead.trust import envelope
from keystead.trust.envelope import Sealing
from keystead.trust.origins import ORIGIN_KEY_BYTES, OriginKey
from keystead.trust.recipients import Identity, Passphrase, Recipient, RecipientKey, RecipientSecret, Shares, open_share
from keystead.trust.sealing import frame
from keystead.trust.shares import Share

KIND = "client-registration"
REASON_CHARACTERS_MAX = 500
REQUEST_BYTES_MAX = 1_048_576
APPROVAL_BYTES_MAX = 65_536
REGISTRATION_BYTES_MAX = 262_144
_REQUEST = {
    "account": str,
    "client": str,
    "reason": str,
    "requester": str,
    "made": int,
    "number": int,
    "key": bytes,
    "origin": bytes,
    "quorum": bytes,
    "deposit": bytes,
}
_APPROVAL = {
    "request": bytes,
    "custodian": bytes,
    "made": int,
    "share": bytes,
    "set": bytes,
    "index": int,
    "signature": bytes,
}
_RECEIPT = {"summary": bytes, "approvals": list}
_SUMMARY = {"account": str, "client": str, "reason": str, "requester": str, "made": int, "number": int, "body": bytes}


@dataclass(frozen=True)
class Request:
    """A request for a client's registration file.

    Attributes:
        who: The client whose keys are asked for.
        reason: Why, for custodians and customer; 1 to 500 printable characters.
        requester: Who asks.
        made_us: When, UTC microseconds.
        number: Of the receipt that it will leave; counts from 1 for each client.
        key: The one-time key that approvals are encrypted to.
        origin: The client's, as the vault keeps it.
        quorum: Whose approval is needed.
        deposit: The client's deposited keys, sealed.
    """

    who: ClientIdentity
    reason: str
    requester: str
    made_us: int
    number: int
    key: RecipientKey
    origin: OriginKey
    quorum: CustodyQuorum
    deposit: bytes

    def __post_init__(self) -> None:
        """Judge the words.

        Raises:
            Invalid: no reason, no requester, or too long.
        """
        for text, what in ((self.reason, "reason"), (self.requester, "requester")):
            if not 1 <= len(text.strip()) <= len(text) <= REASON_CHARACTERS_MAX or not text.isprintable():
                raise Invalid(f"the {what} has 1 to {REASON_CHARACTERS_MAX} printable characters")

    def summary(self) -> bytes:
        """Return what custodians sign and a receipt shows; the digest of all the rest is within."""
        body = (self.key.encoded, self.origin.encoded, self.quorum.fingerprint, self.deposit)
        return packed(
            {
                "account": self.who.account,
                "client": self.who.client,
                "reason": self.reason,
                "requester": self.requester,
                "made": self.made_us,
                "number": self.number,
                "body": hashlib.sha256(frame(b"keystead/registration-request/1", *body)).digest(),
            }
        )

    @property
    def digest(self) -> bytes:
        """Return 32 bytes that stand for the whole request."""
        return hashlib.sha256(self.summary()).digest()

    def encoded(self) -> bytes:
        """Return the file that custodians are sent."""
        fields = {"key": self.key.encoded, "origin": self.origin.encoded, "quorum": self.quorum.encoded()}
        words = {"reason": self.reason, "requester": self.requester, "made": self.made_us, "number": self.number}
        who = {"account": self.who.account, "client": self.who.client, "deposit": self.deposit}
        return packed({**who, **words, **fields})

    @classmethod
    def read(cls, data: bytes) -> "Request":
        """Read a request.

        Raises:
            Invalid: it is none.
        """
        if len(data) > REQUEST_BYTES_MAX:
            raise Invalid(f"a request has at most {REQUEST_BYTES_MAX} bytes")
        found = unpacked(data, _REQUEST, "request for a registration file")
        return cls(
            ClientIdentity(found["account"], found["client"]),
            *(found["reason"], found["requester"], found["made"], found["number"]),
            RecipientKey(found["key"]),
            OriginKey(found["origin"]),
            CustodyQuorum.read(found["quorum"]),
            found["deposit"],
        )


def approve(request: Request, custodian: Custodian, now_us: int) -> bytes:
    """Approve a request as one custodian; return the approval's bytes.

    Raises:
        Tampered: the deposited keys are not of the client that the request names.
        Refused: this custodian is not of the quorum.
    """
    deposit = read_deposit(request.deposit, request.origin, request.who, request.quorum)
    card = _card_of(request.quorum, custodian.origin.key.id)
    share = open_share(deposit.header.stanzas[0], custodian.recipient, deposit.header.context)
    encrypted = request.key.encrypt(Secret(share.value), frame(b"keystead/approval/1", request.digest))
    fields = {
        "request": request.digest,
        "custodian": card.origin.id,
        "made": now_us,
        "share": encrypted,
        "set": share.set_id,
        "index": share.index,
    }
    signature = custodian.origin.sign(packed(fields), "registration-approval")
    return packed({**fields, "signature": signature})


def check_approval(data: bytes, digest: bytes, quorum: CustodyQuorum) -> tuple[Card, dict[str, object]]:
    """Return who approved, and the fields, if an approval is of this request and of a custodian of this quorum.

    Raises:
        Refused: of another request, or of nobody in the quorum. Tampered: its signature does not hold. Invalid: none.
    """
    if len(data) > APPROVAL_BYTES_MAX:
        raise Invalid(f"an approval has at most {APPROVAL_BYTES_MAX} bytes")
    found = unpacked(data, _APPROVAL, "custodian's approval")
    if found["request"] != digest:
        raise Refused("this approval was given to another request")
    card = _card_of(quorum, found["custodian"])
    signature = found.pop("signature")
    card.origin.verify(signature, packed(found), "registration-approval")
    return card, found


def collect(request: Request, approvals: Sequence[bytes], secret: RecipientSecret) -> tuple[Bundle, bytes]:
    """Put M approvals together; return the client's keys and the receipt, which the vault must have kept first.

    Raises:
        Refused: fewer than M custodians approved. Others: see `check_approval`, `read_deposit`.
    """
    deposit = read_deposit(request.deposit, request.origin, request.who, request.quorum)
    chosen: dict[bytes, tuple[bytes, Share]] = {}
    counts = request.quorum.threshold, len(request.quorum.cards)
    for data in approvals:
        card, found = check_approval(data, request.digest, request.quorum)
        value = secret.decrypt(bytes(_part(found, "share")), frame(b"keystead/approval/1", request.digest)).reveal()
        share = Share(_part(found, "set"), int(str(found["index"])), *counts, value)
        chosen[card.origin.id] = data, share
    if len(chosen) < request.quorum.threshold:
        raise Refused(f"{len(chosen)} of {request.quorum.threshold} necessary approvals are there; ask more custodians")
    taken = list(chosen.values())[: request.quorum.threshold]
    identities: list[Identity] = [Shares([share for _, share in taken])]
    bundle = Bundle.read(deposit.read(identities, BUNDLE_BYTES_MAX))
    if bundle.who != request.who:
        raise Tampered("the deposited keys are of another client than the deposit says")
    receipt = packed({"summary": request.summary(), "approvals": [data for data, _ in taken]})
    return bundle, receipt


@dataclass(frozen=True)
class Receipt:
    """What a client shows of one registration file that was made.

    Attributes:
        number: Counts from 1.
        reason: Why.
        requester: Who asked.
        made_us: When, UTC microseconds.
        approvers: Names of the custodians.
        digest: SHA-256 of the receipt, 32 bytes.
    """

    number: int
    reason: str
    requester: str
    made_us: int
    approvers: tuple[str, ...]
    digest: bytes


def read_receipt(data: bytes, who: ClientIdentity, quorum: CustodyQuorum) -> Receipt:
    """Check a receipt against the quorum that the client has pinned.

    Raises:
        Tampered: of another client, or fewer than M custodians of the quorum have signed. Invalid: it is none.
    """
    if len(data) > REQUEST_BYTES_MAX:
        raise Invalid(f"a receipt has at most {REQUEST_BYTES_MAX} bytes")
    found = unpacked(data, _RECEIPT, "receipt")
    summary = unpacked(found["summary"], _SUMMARY, "receipt")
    digest = hashlib.sha256(found["summary"]).digest()
    try:
        names = {check_approval(one, digest, quorum)[0].name for one in found["approvals"]}
    except (Refused, TypeError):
        raise Tampered("the vault shows a receipt that the pinned custodians did not sign; ask your provider") from None
    if ClientIdentity(summary["account"], summary["client"]) != who or len(names) < quorum.threshold:
        raise Tampered("the vault shows a receipt of another client or of too few custodians; ask your provider")
    words = summary["number"], summary["reason"], summary["requester"], summary["made"]
    return Receipt(*words, tuple(sorted(names)), hashlib.sha256(data).digest())


def receipt_number(data: bytes) -> int:
    """Return a receipt's number without judging the rest."""
    summary = unpacked(unpacked(data, _RECEIPT, "receipt")["summary"], _SUMMARY, "receipt")
    return int(summary["number"])


def seal_registration(bundle: Bundle, receipts: Sequence[bytes], passphrase: Secret, now_us: int) -> bytes:
    """Return a registration file: the client's origin (1,984 bytes), then an envelope under the passphrase.

    The receipts are all of the client's, this file's at the end; their digests go with the keys.
    """
    origin = origin_of(bundle.keys.private, bundle.who)
    whole = replace(bundle, receipts=tuple(hashlib.sha256(receipt).digest() for receipt in receipts))
    recipients: list[Recipient] = [Passphrase(passphrase)]
    target = io.BytesIO()
    envelope.seal([whole.encoded().reveal()], target, Sealing(KIND, recipients, origin, now_us, {}))
    return origin.key.encoded + target.getvalue()


def open_registration(data: bytes, passphrase: Secret) -> Bundle:
    """Open a registration file.

    The origin in front of the envelope is believed only once the keys within prove to be the ones it follows from.

    Raises:
        Refused: the passphrase is wrong. Tampered: changed, or made by somebody without the client's keys.
    """
    if len(data) > REGISTRATION_BYTES_MAX or len(data) <= ORIGIN_KEY_BYTES:
        raise Invalid("this is no registration file")
    origin = OriginKey(data[:ORIGIN_KEY_BYTES])
    found = envelope.verify(io.BytesIO(data[ORIGIN_KEY_BYTES:]), {origin.id: origin}, KIND)
    bundle = Bundle.read(found.read([Passphrase(passphrase)], BUNDLE_BYTES_MAX * 4))
    if origin_of(bundle.keys.private, bundle.who).key.id != origin.id:
        raise Tampered("this registration file was not made from the keys within; do not use it")
    return bundle


def _card_of(quorum: CustodyQuorum, origin_id: bytes) -> Card:
    for card in quorum.cards:
        if card.origin.id == origin_id:
            return card
    raise Refused("this custodian is not of the quorum that the client chose")


def _part(found: dict[str, object], name: str) -> bytes:
    value = found[name]
    return value if isinstance(value, bytes) else b""
