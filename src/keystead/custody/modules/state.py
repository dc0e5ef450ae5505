"""What a secure module remembers, and its three PINs: each a slot in which the encryption key lies sealed.

Laws: a PIN is kept as nothing but the key that it opens; one derivation judges an entry against all slots, so that its
time does not tell which PIN it was; slots are bound to the key's lineage, not to the module, as clones share them.

Source: requirements CA-001, 022 to 027; docs/cloning.md section 2.
"""

import os
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import cbor2
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from keystead.core.errors import Invalid, Tampered
from keystead.core.secret import Secret
from keystead.core.translation import mark, tr
from keystead.custody.modules.pins import PinPolicy
from keystead.trust.recipients import ARGON2_LANES_COUNT, ARGON2_MEMORY_KIB, ARGON2_PASSES_COUNT
from keystead.trust.sealing import KEY_BYTES, derive, frame, seal, unseal

FORMAT = 1
LINEAGE_BYTES = 16
SALT_BYTES = 16
ATTEMPTS_COUNT = 10
AUTO_LOCK_MIN_MIN = 5
AUTO_LOCK_MIN_MAX = 99


class Slot(StrEnum):
    """Whose PIN it is."""

    ADMINISTRATOR = "administrator"
    USER = "user"
    SELF_DESTRUCT = "self-destruct"


SLOTS = {
    Slot.ADMINISTRATOR: mark("administrator"),
    Slot.USER: mark("user"),
    Slot.SELF_DESTRUCT: mark("self-destruct"),
}
"""What people read for each."""


class Mode(StrEnum):
    """How files are encrypted (CA-023)."""

    XTS = "AES-XTS"
    ECB = "AES-ECB"


@dataclass(slots=True)
class ModuleState:
    """A secure module's memory.

    Attributes:
        epoch: Rises with every change; an older state that was put back is noticed by it.
        lineage: 16 bytes that a key and its clones share; empty = no key.
        salt: Of the derivation of PINs.
        slots: Slot -> the encryption key, sealed under its PIN; the self-destruct slot seals a mark.
        check: 32 bytes by which two modules tell that they hold the same key.
        attempts_left: Wrong PINs in a row until it destroys its key; whose PIN was meant, nobody can know.
        mode: See `Mode`.
        legacy_ecb: AES-ECB was allowed, with a warning (LEG-20).
        cloning: Others may be cloned from this module.
        disable_pending: Cloning goes off at the end of this cycle, whatever ends it.
        auto_lock_min: Minutes without use until it locks, 5 to 99; None = never (CA-025).
        policy: For users' PINs; None = only their form counts.
        copied_from: Serial of the module that it was cloned from; "" = it made its key.
        revoked: Serials of the newest revocation list that it has seen.
        revocation_number: Number of that list.
    """

    epoch: int = 0
    lineage: bytes = b""
    salt: bytes = b""
    slots: dict[Slot, bytes] = field(default_factory=dict)
    check: bytes = b""
    attempts_left: int = ATTEMPTS_COUNT
    mode: Mode = Mode.XTS
    legacy_ecb: bool = False
    cloning: bool = False
    disable_pending: bool = False
    auto_lock_min: int | None = None
    policy: PinPolicy | None = None
    copied_from: str = ""
    revoked: frozenset[str] = frozenset()
    revocation_number: int = 0

    @property
    def holds_key(self) -> bool:
        """Tell whether there is a key, and thereby data somewhere that depends on it."""
        return bool(self.lineage)

    def forget(self) -> None:
        """Destroy the key and all PINs at once; only a new set-up or cloning helps (CA-024)."""
        self.lineage, self.salt, self.check, self.copied_from = b"", b"", b"", ""
        self.slots, self.attempts_left = {}, ATTEMPTS_COUNT
        self.cloning = self.disable_pending = False

    def encoded(self) -> bytes:
        """Return the state as canonical CBOR."""
        policy = None if self.policy is None else [self.policy.digits_min, self.policy.no_patterns]
        fields = {
            "format": FORMAT,
            "epoch": self.epoch,
            "lineage": self.lineage,
            "salt": self.salt,
            "slots": {str(slot): sealed for slot, sealed in self.slots.items()},
            "check": self.check,
            "attempts_left": self.attempts_left,
            "mode": str(self.mode),
            "legacy_ecb": self.legacy_ecb,
            "cloning": self.cloning,
            "disable_pending": self.disable_pending,
            "auto_lock_min": self.auto_lock_min,
            "policy": policy,
            "copied_from": self.copied_from,
            "revoked": sorted(self.revoked),
            "revocation_number": self.revocation_number,
        }
        return cbor2.dumps(fields, canonical=True)

    @classmethod
    def decoded(cls, encoded: bytes) -> "ModuleState":
        """Read what `encoded` wrote.

        Raises:
            Tampered: of another format. ValueError, TypeError, KeyError, CBORError: no state (a source may send one).
        """
        fields: dict[str, Any] = cbor2.loads(encoded)
        if fields.pop("format") != FORMAT:
            raise Tampered(tr("the module's memory is of another version of this program"))
        policy = fields.pop("policy")
        fields["policy"] = None if policy is None else PinPolicy(*policy)
        fields["slots"] = {Slot(name): sealed for name, sealed in fields["slots"].items()}
        fields["mode"], fields["revoked"] = Mode(fields["mode"]), frozenset(fields["revoked"])
        state = cls(**fields)
        state._check()
        return state

    def _check(self) -> None:
        """Check that everything is of its kind and in its range."""
        numbers = (self.epoch, self.attempts_left, self.revocation_number)
        switches = (self.legacy_ecb, self.cloning, self.disable_pending)
        kept = (self.lineage, self.salt, self.check, *self.slots.values())
        if any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError("a number of a module's memory")
        if any(type(switch) is not bool for switch in switches) or any(type(part) is not bytes for part in kept):
            raise ValueError("a switch or a part of a module's memory")
        minutes = self.auto_lock_min
        if minutes is not None and (type(minutes) is not int or not AUTO_LOCK_MIN_MIN <= minutes <= AUTO_LOCK_MIN_MAX):
            raise ValueError("the auto-lock of a module's memory")
        if type(self.copied_from) is not str or (self.lineage and len(self.lineage) != LINEAGE_BYTES):
            raise ValueError("the lineage of a module's memory")


# --------------------------------------------------------------------------------------------------------------- PINs


@dataclass(frozen=True, slots=True)
class Entry:
    """An entered PIN, after the one slow derivation.

    Attributes:
        key: 32 bytes; opens the slot of this PIN and no other.
    """

    key: bytes = field(repr=False)

    def open(self, state: ModuleState) -> tuple[Slot, Secret] | None:
        """Return whose PIN it is and what lies in the slot; all slots are tried."""
        found = None
        for slot, sealed in state.slots.items():
            try:
                found = slot, unseal(self._of(slot), sealed, _context(state, slot))
            except Tampered:
                continue
        return found

    def seal(self, state: ModuleState, slot: Slot, secret: Secret) -> bytes:
        """Seal a slot under this PIN."""
        return seal(self._of(slot), secret, _context(state, slot))

    def _of(self, slot: Slot) -> bytes:
        return derive(self.key, "module-token/pin", slot.encode())


def entry_of(pin: Secret, salt: bytes) -> Entry:
    """Derive what a PIN opens with: Argon2id, about 0.1 s and 64 MiB."""
    derivation = Argon2id(
        salt=salt,
        length=KEY_BYTES,
        iterations=ARGON2_PASSES_COUNT,
        lanes=ARGON2_LANES_COUNT,
        memory_cost=ARGON2_MEMORY_KIB,
    )
    return Entry(derivation.derive(pin.reveal()))


def new_key(state: ModuleState, administrator: Secret) -> Secret:
    """Make a new encryption key under an administrator's PIN; whatever was there is forgotten. Returns the key."""
    state.forget()
    state.lineage, state.salt = os.urandom(LINEAGE_BYTES), os.urandom(SALT_BYTES)
    key = Secret(os.urandom(KEY_BYTES))
    state.check = check_value(key)
    set_pin(state, Slot.ADMINISTRATOR, administrator, key)
    return key


def set_pin(state: ModuleState, slot: Slot, pin: Secret, key: Secret) -> None:
    """Put a PIN in its slot.

    Raises:
        Invalid: another slot has this PIN.
    """
    entry = entry_of(pin, state.salt)
    opened = entry.open(state)
    if opened is not None and opened[0] is not slot:
        raise Invalid(tr("this PIN is in use in this module already; choose another one"))
    content = Secret(frame(b"destroy", state.lineage)) if slot is Slot.SELF_DESTRUCT else key
    state.slots[slot] = entry.seal(state, slot, content)


def check_value(key: Secret) -> bytes:
    """Return 32 bytes that tell keys apart and nothing about them."""
    return derive(key.reveal(), "module-token/check")


def _context(state: ModuleState, slot: Slot) -> bytes:
    return frame(b"module-token/slot/1", state.lineage, state.salt, slot.encode())
