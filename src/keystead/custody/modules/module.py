"""A secure module: what it does for the person who knows a PIN, and what it refuses everybody else.

Laws: the counter of failures is durable before a PIN is judged; the key is in memory only while unlocked; what a
person sets, is set here and never by a coordinator (CA-034); a change is durable before it is answered.

Source: requirements CA-002, 013, 014, 022 to 027, 032, 034; docs/cloning.md section 2.
"""

from collections.abc import Callable
from typing import BinaryIO

from keystead.core.errors import Invalid, Refused, Unavailable, WrongState
from keystead.core.secret import Secret
from keystead.core.translation import tr
from keystead.custody.modules import files, pins
from keystead.custody.modules.manufacture import Device, Revocations, Root, read_revocations
from keystead.custody.modules.pins import PinPolicy
from keystead.custody.modules.state import (
    ATTEMPTS_COUNT,
    AUTO_LOCK_MIN_MAX,
    AUTO_LOCK_MIN_MIN,
    Mode,
    ModuleState,
    Slot,
    entry_of,
    new_key,
    set_pin,
)
from keystead.custody.modules.store import ModuleStore

_US_PER_MIN = 60_000_000


class SecureModule:
    """One module. One thread at a time.

    Args:
        device: Its identity with secrets.
        root: The manufacturing root that it was made under.
        store: Where its memory lies.
        clock: Microseconds since 1970, UTC.
    """

    def __init__(self, device: Device, root: Root, store: ModuleStore, clock: Callable[[], int]) -> None:
        self.device = device
        self.root = root
        self._store = store
        self._clock = clock
        self._state = store.load()
        self._key: Secret | None = None
        self._who: Slot | None = None
        self._used_at = 0
        if self._state.disable_pending:
            self.end_cycle()

    # ---------------------------------------------------------------------------------------------------- unlocking

    @property
    def state(self) -> ModuleState:
        """Return what it remembers; look, do not change."""
        return self._state

    @property
    def serial(self) -> str:
        """Return its serial number."""
        return self.device.identity.serial

    @property
    def now(self) -> int:
        """Return its time, microseconds since 1970, UTC."""
        return self._clock()

    def who(self) -> Slot | None:
        """Tell who has unlocked it, after locking it if it was left alone for too long (CA-025)."""
        minutes = self._state.auto_lock_min
        if self._who is not None and minutes is not None and self.now - self._used_at >= minutes * _US_PER_MIN:
            self.lock()
        return self._who

    def set_up(self, administrator: Secret) -> None:
        """Make a new encryption key under an administrator's PIN; what was there is lost.

        Raises:
            WrongState: there is a key and nobody has unlocked it as administrator. Invalid: the PIN's form.
        """
        pins.check_form(administrator)
        if self._state.holds_key and self.who() is not Slot.ADMINISTRATOR:
            raise WrongState(
                tr("this module holds a key; unlock it as administrator before you replace it"), "wrong_state.module"
            )
        self._key = new_key(self._state, administrator)
        self._store.save(self._state)
        self._let_in(Slot.ADMINISTRATOR)

    def unlock(self, pin: Secret) -> Slot:
        """Judge a PIN (CA-013); the self-destruct PIN destroys the key and all PINs (CA-024).

        Returns: whose PIN it was; SELF_DESTRUCT = all is gone.

        Raises:
            Refused: wrong (reason refused.wrong_secret); counted, and the tenth in a row destroys the key.
            WrongState: nothing is set up. Invalid: not 7 to 15 digits; not counted.
        """
        if not self._state.holds_key:
            raise WrongState(tr("this module is empty; set it up, or clone another one to it"), "wrong_state.module")
        pins.check_form(pin)
        self.lock()
        self._state.attempts_left -= 1
        self._store.save(self._state)
        opened = entry_of(pin, self._state.salt).open(self._state)
        if opened is None and self._state.attempts_left <= 0:
            self.destroy()
            raise Refused(
                tr("{count} wrong PINs in a row: the module destroyed its key", count=ATTEMPTS_COUNT),
                "refused.wrong_secret",
            )
        if opened is None:
            raise Refused(
                tr("the PIN is wrong; attempts left: {left}", left=self._state.attempts_left), "refused.wrong_secret"
            )
        slot, secret = opened
        if slot is Slot.SELF_DESTRUCT:
            self.destroy()
            return slot
        self._state.attempts_left = ATTEMPTS_COUNT
        self._store.save(self._state)
        self._key = secret
        self._let_in(slot)
        return slot

    def _let_in(self, slot: Slot) -> None:
        self._who, self._used_at = slot, self.now

    def lock(self) -> None:
        """Forget the key in memory."""
        self._key, self._who = None, None
        if self._state.disable_pending:
            self.end_cycle()

    def destroy(self) -> None:
        """Destroy the encryption key and every PIN at once, durably."""
        self._state.forget()
        self._store.save(self._state)
        self._key, self._who = None, None

    # ----------------------------------------------------------------------------------------------------- settings

    def set_user_pin(self, pin: Secret) -> None:
        """Set the user's PIN within the policy: by the administrator, or by the user for itself (CA-022, 026)."""
        self._unlocked(Slot.ADMINISTRATOR, Slot.USER)
        pins.check_policy(pin, self._state.policy)
        self._set_pin(Slot.USER, pin)

    def set_administrator_pin(self, pin: Secret) -> None:
        """Set the administrator's PIN."""
        self._unlocked(Slot.ADMINISTRATOR)
        pins.check_form(pin)
        self._set_pin(Slot.ADMINISTRATOR, pin)

    def set_self_destruct_pin(self, pin: Secret | None) -> None:
        """Set the PIN whose entry destroys everything, or take it away with None (CA-024)."""
        self._unlocked(Slot.ADMINISTRATOR)
        if pin is None:
            self._state.slots.pop(Slot.SELF_DESTRUCT, None)
            self._store.save(self._state)
            return
        pins.check_form(pin)
        self._set_pin(Slot.SELF_DESTRUCT, pin)

    def _set_pin(self, slot: Slot, pin: Secret) -> None:
        set_pin(self._state, slot, pin, self.key())
        self._store.save(self._state)

    def set_policy(self, policy: PinPolicy | None) -> None:
        """Set the policy for users' PINs that are set from now on (CA-026)."""
        self._unlocked(Slot.ADMINISTRATOR)
        self._state.policy = policy
        self._store.save(self._state)

    def set_auto_lock(self, minutes: int | None) -> None:
        """Set after how many minutes without use it locks, 5 to 99; None = never (CA-025).

        Raises:
            Invalid: out of range.
        """
        self._unlocked(Slot.ADMINISTRATOR)
        if minutes is not None and not AUTO_LOCK_MIN_MIN <= minutes <= AUTO_LOCK_MIN_MAX:
            raise Invalid(
                tr("auto-lock takes {least} to {most} minutes, or off", least=AUTO_LOCK_MIN_MIN, most=AUTO_LOCK_MIN_MAX)
            )
        self._state.auto_lock_min = minutes
        self._store.save(self._state)

    def set_mode(self, mode: Mode, *, legacy_ecb: bool = False) -> None:
        """Set how files are encrypted from now on (CA-023); AES-ECB needs the legacy switch (LEG-20).

        Raises:
            Refused: AES-ECB without it (reason refused.switched_off).
        """
        self._unlocked(Slot.ADMINISTRATOR)
        if mode is Mode.ECB and not legacy_ecb:
            raise Refused(
                tr("AES-ECB shows which blocks of a file are equal; allow it with the legacy switch if you must"),
                "refused.switched_off",
            )
        self._state.mode, self._state.legacy_ecb = mode, mode is Mode.ECB
        self._store.save(self._state)

    def set_cloning(self, *, enabled: bool) -> None:
        """Let others be cloned from this module, or not (CA-027)."""
        self._unlocked(Slot.ADMINISTRATOR)
        self._state.cloning, self._state.disable_pending = enabled, False
        self._store.save(self._state)

    def learn_revocations(self, encoded: bytes) -> Revocations:
        """Take over a revocation list if it is newer; anybody may bring one, only the root can make one.

        Raises:
            Refused: older than the one it has. Tampered: not the root's.
        """
        listed = read_revocations(encoded, self.root)
        if listed.number < self._state.revocation_number:
            raise Refused(tr("this revocation list is older than the one that the module has"))
        self._state.revoked, self._state.revocation_number = listed.serials, listed.number
        self._store.save(self._state)
        return listed

    # ------------------------------------------------------------------------------------------------------- the key

    def key(self) -> Secret:
        """Return the encryption key to the module's own code; using it counts as use.

        Raises:
            Unavailable: locked (reason unavailable.locked).
        """
        self._unlocked(Slot.ADMINISTRATOR, Slot.USER)
        if self._key is None:
            raise Unavailable(tr("the module is locked"), "unavailable.locked")
        return self._key

    def encrypt(self, source: BinaryIO, target: BinaryIO) -> int:
        """Encrypt a stream by the module's mode; returns bytes read."""
        return files.encrypt(source, target, self.key(), self._state.mode, self._state.lineage)

    def decrypt(self, source: BinaryIO, target: BinaryIO) -> int:
        """Decrypt a stream that this module or a clone encrypted (CA-028); returns bytes written."""
        return files.decrypt(source, target, self.key(), self._state.lineage)

    # ------------------------------------------------------------------------------------------------------- cloning

    def check_source(self) -> None:
        """Check that it may be cloned from now (CA-014, 021, 027).

        Raises:
            Unavailable: locked. Refused: not unlocked by the administrator, or cloning is off.
        """
        self._unlocked(Slot.ADMINISTRATOR)
        if not self._state.cloning:
            raise Refused(tr("cloning is switched off in this module; switch it on there"), "refused.switched_off")

    def check_target(self, *, replace: bool) -> None:
        """Check that it may become a clone now (CA-032).

        Raises:
            Refused: it holds a key and nobody confirmed. Unavailable: it holds a key and is locked.
        """
        if not self._state.holds_key:
            return
        if not replace:
            raise Refused(tr("this module holds a key, which cloning would replace; confirm it"))
        self._unlocked(Slot.ADMINISTRATOR)

    def become(self, copied: ModuleState) -> None:
        """Take over a clone's state as a whole, durably; epoch and revocations stay its own, and it is locked."""
        copied.epoch = self._state.epoch
        copied.revoked, copied.revocation_number = self._state.revoked, self._state.revocation_number
        self._state = copied
        self._store.save(copied)
        self._key, self._who = None, None

    def cloned_once(self, *, disable_after: bool) -> None:
        """Note that a target was cloned; with `disable_after`, cloning goes off when this cycle ends (CA-018)."""
        if disable_after and not self._state.disable_pending:
            self._state.disable_pending = True
            self._store.save(self._state)

    def end_cycle(self) -> None:
        """End a cycle of cloning: switch it off if that was asked and a target was cloned."""
        if self._state.disable_pending:
            self._state.cloning = self._state.disable_pending = False
            self._store.save(self._state)

    def _unlocked(self, *allowed: Slot) -> None:
        who = self.who()
        if who is None:
            raise Unavailable(tr("the module is locked; unlock it with its PIN first"), "unavailable.locked")
        if who not in allowed:
            raise Refused(tr("only the administrator of this module may do this; unlock it with that PIN"))
        self._used_at = self.now
