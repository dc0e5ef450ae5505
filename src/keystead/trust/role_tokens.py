"""Role tokens: files that carry a role's secret, or a share of it, each masked by its own PIN.

Laws: a token has no integrity tag over what the PIN masks. Every PIN gives a secret; only the module can tell a right
one, and it counts (KS-HSM-011). The checksum covers what is stored and finds a damaged file, nothing else. Whoever
reads a token learns nothing without its PIN; whoever holds the token *and* a copy of the module's state *and* the node
key can guess PINs at the cost of one Argon2id each (docs/adr/0020).

Source: requirements KS-HSM-009 to 016, 022 to 024; RFC 9106 (Argon2id); RFC 8949 section 4.2 (canonical CBOR).
"""

import hashlib
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cbor2
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from keystead.core.errors import DeviceFault, Invalid
from keystead.core.secret import Secret
from keystead.trust.root import ROLE_SECRET_BYTES, Role
from keystead.trust.sealing import derive
from keystead.trust.shares import SET_ID_BYTES, Share, check_counts, combine, split

PIN_DIGITS_MIN = 4
PIN_DIGITS_MAX = 48  # KS-HSM-010
PASSPHRASE_CHARACTERS_MAX = 256  # LEG-27
TOKEN_BYTES_MAX = 1024
SALT_BYTES = 16
SERIAL_BYTES = 8
CHECKSUM_BYTES = 8
_VERSION = 1
_KIND = "keystead role token"


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """Work of one PIN guess (RFC 9106 section 3.1). Stored in the token, so that it can rise with new tokens.

    Attributes:
        memory_kib: Memory in KiB, 32 to 1 GiB.
        iterations: Passes over it, 1 to 64.
        lanes: 1 to 4.
    """

    memory_kib: int
    iterations: int
    lanes: int

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            Invalid: out of bounds; a forged token must not take the machine's memory or its day.
        """
        if not (32 <= self.memory_kib <= 1 << 20 and 1 <= self.iterations <= 64 and 1 <= self.lanes <= 4):
            raise Invalid("the token asks for an unreasonable amount of work")


STANDARD_COST = Argon2Cost(memory_kib=65_536, iterations=3, lanes=4)
"""RFC 9106 section 4, second recommended option: 64 MiB, three passes, four lanes."""

INSECURE_COST = Argon2Cost(memory_kib=32, iterations=1, lanes=1)
"""No protection of the PIN at all: for tests and throw-away nodes."""


@dataclass(frozen=True, slots=True)
class RoleToken:
    """A role token as it stands in its file.

    Attributes:
        serial: 8 bytes, unlike any other token's, also a duplicate's.
        share: Set, index, M and N; its `value` is the masked share.
        salt: 16 bytes for Argon2id.
    """

    role: Role
    serial: bytes
    share: Share
    cost: Argon2Cost
    salt: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Encode as canonical CBOR."""
        fields = {
            "kind": _KIND,
            "version": _VERSION,
            "role": self.role.value,
            "serial": self.serial,
            "set": self.share.set_id,
            "index": self.share.index,
            "m": self.share.threshold,
            "n": self.share.count,
            "kdf": ["argon2id", self.cost.memory_kib, self.cost.iterations, self.cost.lanes],
            "salt": self.salt,
            "masked": self.share.value,
        }
        return cbor2.dumps({**fields, "checksum": _checksum(fields)}, canonical=True)

    @classmethod
    def from_bytes(cls, data: bytes) -> "RoleToken":
        """Decode a token file.

        Raises:
            Invalid: not a role token, of an unknown version, or with numbers out of range.
            DeviceFault: damaged.
        """
        fields = _decoded(data)
        try:
            token = _token(fields)
            is_whole = token.to_bytes() == data
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _damaged() from None
        if not is_whole:
            raise _damaged()
        return token

    def describe(self) -> str:
        """Say what may be shown of it: role, serial, its place among the shares."""
        place = f"{self.share.index} of {self.share.count}, {self.share.threshold} needed"
        return f"{self.role.value} token {self.serial.hex()} ({place})"


def pin(text: str) -> Secret:
    """Check the form of a PIN or passphrase and make it a Secret.

    Args:
        text: 4 to 48 digits (KS-HSM-010), or a passphrase of 4 to 256 characters with something else than digits
            (LEG-27); a passphrase is brought to Unicode normal form C (RFC 8265 section 4.2.2).

    Raises:
        Invalid: neither; the message doesn't repeat it.
    """
    if text.isascii() and text.isdigit():
        if not PIN_DIGITS_MIN <= len(text) <= PIN_DIGITS_MAX:
            raise Invalid(f"a PIN has {PIN_DIGITS_MIN} to {PIN_DIGITS_MAX} digits")
        return Secret(text.encode())
    normal = unicodedata.normalize("NFC", text)
    if not PIN_DIGITS_MIN <= len(normal) <= PASSPHRASE_CHARACTERS_MAX or not normal.isprintable():
        raise Invalid(
            f"a PIN has {PIN_DIGITS_MIN} to {PIN_DIGITS_MAX} digits, a passphrase {PIN_DIGITS_MIN} to "
            f"{PASSPHRASE_CHARACTERS_MAX} printable characters"
        )
    return Secret(normal.encode())


def new_role_secret() -> Secret:
    """Make the secret of a role: 32 random bytes."""
    return Secret(secrets.token_bytes(ROLE_SECRET_BYTES))


def imprint(
    role: Role, secret: Secret, pins: Sequence[Secret], threshold: int = 1, cost: Argon2Cost = STANDARD_COST
) -> tuple[RoleToken, ...]:
    """Make the tokens of a role: one a PIN, any `threshold` of which give the secret (KS-HSM-012, 024).

    Args:
        role: Whose secret it is.
        secret: 32 bytes, from `new_role_secret` or an existing key set (KS-HSM-013).
        pins: 1 to 16, in the order of the tokens; from `pin`.
        threshold: M, 1 to the number of PINs.
        cost: Work of one guess.

    Raises:
        Invalid: counts or lengths out of range.
    """
    if len(secret) != ROLE_SECRET_BYTES:
        raise Invalid(f"a role secret has {ROLE_SECRET_BYTES} bytes")
    check_counts(threshold, len(pins))
    shares = split(
        secret,
        (threshold, len(pins)),
        set_id=secrets.token_bytes(SET_ID_BYTES),
        randomness=secrets.token_bytes((threshold - 1) * ROLE_SECRET_BYTES),
    )
    return tuple(_masked(role, share, each, cost) for share, each in zip(shares, pins, strict=True))


def duplicate(token: RoleToken) -> RoleToken:
    """Copy a token to another carrier: same share under the same PIN, a serial of its own (KS-HSM-014).

    The PIN is not asked for: a wrong one would make a useless copy that looks like a good one.
    """
    return replace(token, serial=secrets.token_bytes(SERIAL_BYTES))


def change_pin(token: RoleToken, old: Secret, new: Secret, cost: Argon2Cost = STANDARD_COST) -> RoleToken:
    """Mask a token's share anew. Nothing here can tell whether `old` is right: log in with it at the module first."""
    return _masked(token.role, _unmasked(token, old), new, cost)


def unlock(role: Role, presented: Sequence[tuple[RoleToken, Secret]]) -> Secret:
    """Give a role's secret from tokens and their PINs. Right or wrong, only the module can tell.

    Args:
        role: The role that is wanted.
        presented: Exactly M tokens of one set with their PINs.

    Raises:
        Invalid: a token of another role or set, the same share twice, or not exactly M.
    """
    for token, _ in presented:
        if token.role is not role:
            raise Invalid(f"the {role.value} token is needed, a {token.role.value} token was presented")
    _check_before_work([token for token, _ in presented])
    return combine([_unmasked(token, each) for token, each in presented])


def _check_before_work(tokens: Sequence[RoleToken]) -> None:
    """Find misfits before Argon2id costs anybody time: combining the masked shares says the same as the clear ones."""
    combine([token.share for token in tokens])


def _masked(role: Role, share: Share, each: Secret, cost: Argon2Cost) -> RoleToken:
    salt = secrets.token_bytes(SALT_BYTES)
    value = _xor(share.value, _keystream(role, share, each, (salt, cost)))
    return RoleToken(role, secrets.token_bytes(SERIAL_BYTES), replace(share, value=value), cost, salt)


def _unmasked(token: RoleToken, each: Secret) -> Share:
    stream = _keystream(token.role, token.share, each, (token.salt, token.cost))
    return replace(token.share, value=_xor(token.share.value, stream))


def _keystream(role: Role, share: Share, each: Secret, work: tuple[bytes, Argon2Cost]) -> bytes:
    """Argon2id of the PIN, then HKDF bound to role, set and index."""
    salt, cost = work
    stretched = Argon2id(
        salt=salt, length=32, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory_kib
    ).derive(each.reveal())
    place = (role.value.encode(), share.set_id, bytes([share.index]))
    return derive(stretched, "role-token/mask", *place, length_bytes=len(share.value))


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def _decoded(data: bytes) -> dict[str, Any]:
    if len(data) > TOKEN_BYTES_MAX:
        raise Invalid("this is not a role token")
    try:
        fields = cbor2.loads(data)
    except cbor2.CBORDecodeError:
        fields = None
    if not isinstance(fields, dict) or fields.get("kind") != _KIND:
        raise Invalid("this is not a role token")
    if fields.get("version") != _VERSION:
        raise Invalid("the role token was made by a newer version; use that version to read it")
    return fields


def _checksum(fields: dict[str, Any]) -> bytes:
    return hashlib.sha256(cbor2.dumps(fields, canonical=True)).digest()[:CHECKSUM_BYTES]


def _token(fields: dict[str, Any]) -> RoleToken:
    name, memory_kib, iterations, lanes = fields["kdf"]
    share = Share(fields["set"], fields["index"], fields["m"], fields["n"], fields["masked"])
    lengths = (len(fields["serial"]), len(share.set_id), len(fields["salt"]), len(share.value))
    is_in_place = 1 <= share.index <= share.count
    if name != "argon2id" or not is_in_place or lengths != (SERIAL_BYTES, SET_ID_BYTES, SALT_BYTES, ROLE_SECRET_BYTES):
        raise _damaged()
    check_counts(share.threshold, share.count)
    cost = Argon2Cost(memory_kib, iterations, lanes)
    return RoleToken(Role(fields["role"]), fields["serial"], share, cost, fields["salt"])


def _damaged() -> DeviceFault:
    return DeviceFault("the role token is damaged; use its duplicate")
