"""The custody quorum of a vault: N custodians, any M of whom together can open what clients deposited.

A custodian has two key pairs: one that shares are encrypted to, one that signs approvals. Its card has the public
halves. The quorum's fingerprint stands for M and both keys of each; a customer confirms it, the client pins it.

Source: requirements DS-014, DS-015; docs/adr/0089-registration-files.md.
"""

import hashlib
from dataclasses import dataclass

from keystead.core.errors import Invalid
from keystead.core.secret import Secret
from keystead.custody.safeguard.messages import packed, unpacked
from keystead.trust.origins import ORIGIN_SECRET_BYTES, Origin, OriginKey
from keystead.trust.recipients import Quorum, RecipientKey, RecipientSecret
from keystead.trust.sealing import frame
from keystead.trust.shares import COUNT_MAX

CARD_BYTES_MAX = 8192
QUORUM_BYTES_MAX = COUNT_MAX * CARD_BYTES_MAX
CUSTODIAN_NAME_CHARACTERS_MAX = 64
_CARD = {"name": str, "recipient": bytes, "origin": bytes}


@dataclass(frozen=True)
class Card:
    """The public side of a custodian.

    Attributes:
        name: For people; 1 to 64 printable characters.
        recipient: Shares are encrypted to it.
        origin: Its approvals are signed by it.
    """

    name: str
    recipient: RecipientKey
    origin: OriginKey

    def __post_init__(self) -> None:
        """Judge the name.

        Raises:
            Invalid: empty, too long or not printable.
        """
        if not 1 <= len(self.name) <= CUSTODIAN_NAME_CHARACTERS_MAX or not self.name.isprintable():
            raise Invalid(f"a custodian's name has 1 to {CUSTODIAN_NAME_CHARACTERS_MAX} printable characters")

    def encoded(self) -> bytes:
        """Return the card's bytes."""
        return packed({"name": self.name, "recipient": self.recipient.encoded, "origin": self.origin.encoded})

    @classmethod
    def read(cls, data: bytes) -> "Card":
        """Read a card.

        Raises:
            Invalid: it is none.
        """
        if len(data) > CARD_BYTES_MAX:
            raise Invalid(f"a custodian's card has at most {CARD_BYTES_MAX} bytes")
        found = unpacked(data, _CARD, "custodian's card")
        return cls(found["name"], RecipientKey(found["recipient"]), OriginKey(found["origin"]))


class Custodian:
    """The private side: 96 bytes that open shares, 64 bytes that sign."""

    def __init__(self, secret: Secret) -> None:
        """Take what `secret` gave.

        Raises:
            Invalid: of another length.
        """
        data = secret.reveal()
        self.secret = secret
        self.recipient = RecipientSecret(Secret(data[:-ORIGIN_SECRET_BYTES]))
        self.origin = Origin(Secret(data[-ORIGIN_SECRET_BYTES:]))

    @classmethod
    def generate(cls) -> "Custodian":
        """Make a new one."""
        return cls(Secret(RecipientSecret.generate().secret.reveal() + Origin.generate().secret.reveal()))

    def card(self, name: str) -> Card:
        """Return the public side."""
        return Card(name, self.recipient.key, self.origin.key)


@dataclass(frozen=True)
class CustodyQuorum:
    """M and the cards, in the order of their recipients' ids.

    Attributes:
        threshold: M.
        cards: N, 1 to 16.
    """

    threshold: int
    cards: tuple[Card, ...]

    def __post_init__(self) -> None:
        """Judge counts and that nobody is there twice.

        Raises:
            Invalid: not 1 <= M <= N <= 16, or a name or key is there twice.
        """
        _ = self.recipient
        for distinct in ({card.name for card in self.cards}, {card.origin.id for card in self.cards}):
            if len(distinct) != len(self.cards):
                raise Invalid("the same custodian is named twice")

    @property
    def recipient(self) -> Quorum:
        """Return whom deposits are sealed for."""
        return Quorum(self.threshold, [card.recipient for card in self.cards])

    @property
    def fingerprint(self) -> bytes:
        """Return 32 bytes that stand for M and both keys of every custodian."""
        ordered = sorted(self.cards, key=lambda card: card.recipient.id)
        parts = [frame(card.name.encode(), card.recipient.id, card.origin.id) for card in ordered]
        return hashlib.sha256(frame(b"keystead/custody-quorum/1", bytes([self.threshold]), *parts)).digest()

    def encoded(self) -> bytes:
        """Return the bytes that clients are given."""
        return packed({"threshold": self.threshold, "cards": [card.encoded() for card in self.cards]})

    @classmethod
    def read(cls, data: bytes) -> "CustodyQuorum":
        """Read a quorum.

        Raises:
            Invalid: it is none.
        """
        if len(data) > QUORUM_BYTES_MAX:
            raise Invalid(f"a quorum has at most {QUORUM_BYTES_MAX} bytes")
        found = unpacked(data, {"threshold": int, "cards": list}, "custody quorum")
        if not all(isinstance(card, bytes) for card in found["cards"]):
            raise Invalid("the cards of this quorum break their form")
        return cls(found["threshold"], tuple(Card.read(card) for card in found["cards"]))


def spoken(fingerprint: bytes) -> str:
    """Return a fingerprint as people compare it: 64 hex digits in groups of four."""
    digits = fingerprint.hex()
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))
