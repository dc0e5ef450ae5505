"""From the text that a customer types to a master key.

Laws: a text is stretched by Argon2id with a salt of the client or of the account, so that each guess costs that; the
raw form, which older backups need, pads with zero bytes and costs a guesser nothing: whoever uses it is warned.

Source: requirements DS-004, AMB-56, LEG-21; RFC 9106 section 4.
"""

import hashlib

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from keystead.core.errors import Invalid
from keystead.core.secret import Secret
from keystead.custody.safeguard.client_keys import MASTER_KEY_BYTES, EncryptionType
from keystead.trust.recipients import ARGON2_LANES_COUNT, ARGON2_MEMORY_KIB, ARGON2_PASSES_COUNT
from keystead.trust.sealing import frame

SALT_BYTES = 32
RAW_WARNING = (
    "the key text is used as it is, padded with zero bytes; who steals the data can guess a short text quickly. "
    "Use this only with a client that cannot do otherwise"
)


def check_text(text: str, kind: EncryptionType) -> None:
    """Judge a key text by the limit of its cipher: 8 (DES), 16, 24 or 32 characters.

    Raises:
        Invalid: empty, too long, or of a type that makes no new backups.
    """
    if not 1 <= len(text) <= kind.key_bytes:
        raise Invalid(f"a key text for {kind.value} has 1 to {kind.key_bytes} characters", "invalid.key")
    if not kind.protects:
        raise Invalid(f"{kind.value} protects nothing any more; choose AES-256", "invalid.algorithm")


def master_of(text: str, kind: EncryptionType, salt: bytes, context: str) -> Secret:
    """Derive a master key (about 0.1 s and 64 MiB).

    Args:
        text: What the customer typed.
        kind: The client's encryption type.
        salt: 32 bytes that the vault keeps for the client or the account.
        context: Whose key, so that a vault gains nothing by giving two customers one salt.

    Raises:
        Invalid: the text is not within the limits.
    """
    check_text(text, kind)
    if len(salt) != SALT_BYTES:
        raise Invalid(f"a salt has {SALT_BYTES} bytes", "invalid.key")
    bound = hashlib.sha256(frame(b"keystead/key-text/1", kind.value.encode(), context.encode(), salt)).digest()
    derivation = Argon2id(
        salt=bound,
        length=MASTER_KEY_BYTES,
        iterations=ARGON2_PASSES_COUNT,
        lanes=ARGON2_LANES_COUNT,
        memory_cost=ARGON2_MEMORY_KIB,
    )
    return Secret(derivation.derive(text.encode()))


def raw_master_of(text: str, kind: EncryptionType) -> Secret:
    """Return a text itself, padded with zero bytes, as master key; see RAW_WARNING.

    Raises:
        Invalid: the text is not within the limits, counted in bytes here.
    """
    check_text(text, kind)
    data = text.encode()
    if len(data) > kind.key_bytes:
        raise Invalid(f"a raw key text for {kind.value} has at most {kind.key_bytes} bytes", "invalid.key")
    return Secret(data.ljust(MASTER_KEY_BYTES, b"\0"))
