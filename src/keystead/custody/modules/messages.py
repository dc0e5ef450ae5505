"""The messages of cloning, in CBOR, each padded to one size, and the transcript that both sides sign.

Laws: every message has the same length on the wire, whatever it says (so it tells no PIN's length); a message says its
place in the protocol and is refused elsewhere; both sides sign everything that was said before, with both identities.

Source: docs/cloning.md section 5.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cbor2

from keystead.core.errors import Invalid, TooLarge
from keystead.core.translation import tr
from keystead.trust.sealing import frame

MESSAGE_BYTES = 24_576
NONCE_BYTES = 32
SUITE = 1  # TLS 1.3; statements and transcripts by Ed25519 with ML-DSA-65; envelope of suite 1


class Said(StrEnum):
    """The messages in their order."""

    HELLO = "hello"  # target: who I am, what I hold
    OFFER = "offer"  # source: who I am, what I will send
    READY = "ready"  # target: signs the transcript
    CLONE = "clone"  # source: the envelope
    DONE = "done"  # target: signs what it holds now


@dataclass(frozen=True, slots=True)
class Options:
    """What a person chose at the coordinator (CA-016 to 018).

    Attributes:
        auto_lock: Copy the auto-lock setting.
        policy: Copy the policy for users' PINs.
        disable_source: Switch cloning off in the source after the cycle.
    """

    auto_lock: bool = True
    policy: bool = True
    disable_source: bool = False


def packed(said: Said, fields: dict[str, Any]) -> bytes:
    """Return a message of exactly 24,576 bytes.

    Raises:
        TooLarge: it does not fit, which no message of this protocol does not.
    """
    encoded = cbor2.dumps({"said": str(said), "suite": SUITE, **fields}, canonical=True)
    if len(encoded) + 4 > MESSAGE_BYTES:
        raise TooLarge(tr("a message of cloning is longer than all of them are"))
    return (len(encoded).to_bytes(4, "big") + encoded).ljust(MESSAGE_BYTES, b"\0")


def unpacked(message: bytes, expected: Said) -> dict[str, Any]:
    """Read a message of a padded length.

    Raises:
        Invalid: another message than the protocol has in this place, another suite, or it breaks its form.
    """
    length = int.from_bytes(message[:4], "big")
    padding = message[4 + length :]
    try:
        fields = cbor2.loads(message[4 : 4 + length])
        if len(message) != MESSAGE_BYTES or 4 + length > MESSAGE_BYTES or padding.strip(b"\0"):
            raise ValueError
        if not isinstance(fields, dict):
            raise TypeError
    except (cbor2.CBORError, ValueError, TypeError):
        raise Invalid(tr("the other module sent something else than a message of cloning")) from None
    if fields.get("suite") != SUITE:
        raise Invalid(
            tr(
                "the other module speaks suite {theirs!r}; only suite {ours} is accepted",
                theirs=fields.get("suite"),
                ours=SUITE,
            )
        )
    if fields.get("said") != expected:
        raise Invalid(
            tr(
                "the other module said {said!r} where {expected!r} has to come",
                said=fields.get("said"),
                expected=str(expected),
            )
        )
    return fields


def transcript(hello: bytes, offer: bytes, target_certificate: bytes, source_certificate: bytes) -> bytes:
    """Return 64 bytes over everything that was said and both certificates (DER)."""
    parts = frame(b"keystead/clone/1", hello, offer, target_certificate, source_certificate)
    return hashlib.sha512(parts).digest()


def field_bytes(fields: dict[str, Any], name: str, length_bytes: int | None = None) -> bytes:
    """Return a field of bytes.

    Raises:
        Invalid: missing, of another kind, or of another length.
    """
    value = fields.get(name)
    if not isinstance(value, bytes) or (length_bytes is not None and len(value) != length_bytes):
        raise Invalid(tr("the field {name!r} of a message of cloning breaks its form", name=name))
    return value
