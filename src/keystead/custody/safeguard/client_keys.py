"""The keys of a backup client: one for its own files, one for files common to its account; and who the client is.

Laws: each is 32 bytes made from the customer's key text by a slow derivation (or drawn at random), used for nothing but
deriving others, one for each purpose; the vault never holds one.

Source: requirements DS-003, DS-005, DS-006, DS-019, LEG-21; docs/adr/0087-which-key-for-which-file.md.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from keystead.core.errors import Invalid
from keystead.core.secret import Secret

MASTER_KEY_BYTES = 32
NAME_CHARACTERS_MAX = 64
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_CHARACTERS_MAX - 1}}}")


class EncryptionType(StrEnum):
    """What a customer chooses once, at set-up; AES always in an authenticated mode. DES only reads what is old."""

    AES_128 = "AES-128"
    AES_192 = "AES-192"
    AES_256 = "AES-256"
    DES = "DES"

    @property
    def key_bytes(self) -> int:
        """Length of a key of the cipher, in bytes."""
        return {"AES-128": 16, "AES-192": 24, "AES-256": 32, "DES": 8}[self.value]

    @property
    def protects(self) -> bool:
        """Tell whether new backups may be made with it."""
        return self is not EncryptionType.DES


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """Who a client is at its vault.

    Attributes:
        account: Name of the account, which several clients may share.
        client: Name of the client, unique within its account.

    Raises:
        Invalid: a name is empty, too long or has other characters than letters, digits, point, dash and underscore.
    """

    account: str
    client: str

    def __post_init__(self) -> None:
        for name in (self.account, self.client):
            if not _NAME.fullmatch(name):
                raise Invalid(
                    f"a name has 1 to {NAME_CHARACTERS_MAX} letters, digits, points, dashes or underscores and "
                    "begins with a letter or digit"
                )


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """The master keys of one client.

    Attributes:
        kind: Encryption type, the same for ever.
        private: 32 bytes, for the client's own files and its snapshots.
        account: 32 bytes, for files common to the account; None while the client has no account key.

    Raises:
        Invalid: a key is not 32 bytes long.
    """

    kind: EncryptionType
    private: Secret
    account: Secret | None = None

    def __post_init__(self) -> None:
        for key in (self.private, self.account):
            if key is not None and len(key) != MASTER_KEY_BYTES:
                raise Invalid(f"a master key has {MASTER_KEY_BYTES} bytes")
