"""What keystead does with a token: set it up, judge PINs, make the partition's keys, wrap and unwrap with them.

Runs in the token's process. Laws: the two keys of a partition are made in the token, or unwrapped there, and cannot be
taken out again; what a token lacks is said, never replaced by something weaker.

Wrapping is encrypt-then-MAC with two keys, all of it in the token: AES-256 in CBC mode with PKCS #7 padding (NIST SP
800-38A), then HMAC-SHA-256 (FIPS 198-1) over associated data, IV, ciphertext and the length of the associated data in
bits, in the order of RFC 7518 section 5.2.2.1. Why not GCM: docs/adr/0027.

Source: requirements KS-HSM-002, 006, 011, 013; PKCS#11 2.40 sections 5.5 to 5.14.
"""

import hmac
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from keystead.core.errors import DeviceFault, NotSupported, Tampered, WrongState
from keystead.trust.pkcs11.cryptoki import Cryptoki, CryptokiError, TokenFacts
from keystead.trust.pkcs11.names_table import (
    SECRET_KEY,
    Attribute,
    KeyType,
    Mechanism,
    Returned,
    TokenFlag,
    Use,
    User,
)

IV_BYTES = 16
MAC_BYTES = 32
PIN_CHARACTERS_MIN = 8
"""Of the longest PIN that a token takes: 48 bits of the base64 that our PINs are made of."""

LABEL_BYTES_MAX = 32
KEY_LABEL = b"keystead partition"
_WRONG_PIN = {Returned.PIN_INCORRECT, Returned.PIN_INVALID, Returned.PIN_LEN_RANGE}
_NEEDED = (
    (Mechanism.AES_KEY_GEN, Use.GENERATE),
    (Mechanism.GENERIC_SECRET_KEY_GEN, Use.GENERATE),
    (Mechanism.AES_CBC_PAD, Use.ENCRYPT | Use.DECRYPT),
    (Mechanism.SHA256_HMAC, Use.SIGN),
)
_WRAPS = (Mechanism.AES_KEY_WRAP, Mechanism.AES_CBC_PAD)
_Template = dict[Attribute, bool | int | bytes]
_USES = (
    *(Attribute.ENCRYPT, Attribute.DECRYPT, Attribute.SIGN, Attribute.VERIFY),
    *(Attribute.WRAP, Attribute.UNWRAP, Attribute.DERIVE),
)
_NO_USE: _Template = dict.fromkeys(_USES, False)
_CIPHER: _Template = {**_NO_USE, Attribute.KEY_TYPE: KeyType.AES, Attribute.ENCRYPT: True, Attribute.DECRYPT: True}
_MAC: _Template = {**_NO_USE, Attribute.KEY_TYPE: KeyType.GENERIC_SECRET, Attribute.SIGN: True, Attribute.VERIFY: True}
_STAYS: _Template = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
_SECRET: _Template = {Attribute.CLASS: SECRET_KEY, Attribute.PRIVATE: True, Attribute.SENSITIVE: True}


@dataclass(frozen=True, slots=True)
class WrappedKeys:
    """Both keys of a partition, wrapped by the token under the domain's key.

    Attributes:
        mechanism: CKM_AES_KEY_WRAP, or CKM_AES_CBC_PAD with the IV before each key.
        cipher: The AES key.
        mac: The HMAC key.
    """

    mechanism: int
    cipher: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class _Keys:
    session: int
    cipher: int
    mac: int


class Token:
    """The token of one label.

    Args:
        cryptoki: The library.
        label: At most 32 bytes.
    """

    def __init__(self, cryptoki: Cryptoki, label: str) -> None:
        self._cryptoki = cryptoki
        self._label = label
        self._keys: _Keys | None = None

    def end(self) -> None:
        """End the use of the library, which logs out."""
        self._cryptoki.finalize()

    # --------------------------------------------------------------------------------------------------- setting it up

    def initialise(self, officer_pin: str, maker_pin: str | None, slot: int | None) -> None:
        """Initialise a blank token under our label and give its security officer our PIN.

        Args:
            officer_pin: Ours.
            maker_pin: The PIN that the maker gave the token's security officer, where there is one.
            slot: Its slot; None = the first with a blank token.

        Raises:
            WrongState: the token is not blank, or needs its maker's PIN. NotSupported: it cannot do what we need.
        """
        chosen = self._blank(slot)
        self._check_mechanisms(chosen)
        pin = self._fitted(chosen, officer_pin)
        try:
            self._cryptoki.init_token(chosen, pin if maker_pin is None else maker_pin.encode(), self._label)
        except CryptokiError as error:
            if error.value in _WRONG_PIN:
                raise WrongState(
                    "the token's security officer has another PIN: give the one that its maker set",
                    "wrong_state.module",
                ) from None
            raise
        if maker_pin is not None:
            with self._logged_in(User.OFFICER, maker_pin.encode()) as session:
                self._cryptoki.set_pin(session, maker_pin.encode(), pin)

    def make_partition(
        self, officer_pin: str, user_pin: str, partition_id: bytes, domain_key: bytes, existing: WrappedKeys | None
    ) -> WrappedKeys:
        """Give the user our PIN and make the partition's keys in the token, or unwrap existing ones there.

        What an earlier attempt left behind is removed first.

        Raises:
            Tampered: `existing` does not unwrap. NotSupported: the token cannot unwrap its form.
        """
        slot = self._slot()
        pin, first = self._fitted(slot, user_pin), self._fitted(slot, os.urandom(33).hex())
        with self._logged_in(User.OFFICER, self._fitted(slot, officer_pin)) as session:
            self._cryptoki.init_pin(session, first)
        with self._logged_in(User.USER, first) as session:  # some tokens want the officer's choice changed at once
            self._cryptoki.set_pin(session, first, pin)
        with self._logged_in(User.USER, pin) as session:
            for old in self._cryptoki.find(session, {Attribute.CLASS: SECRET_KEY, Attribute.LABEL: KEY_LABEL}):
                self._cryptoki.destroy(session, old)
            domain = self._cryptoki.create(session, _domain_template(domain_key))
            wrapped = existing or self._generate(slot, session, domain)
            self._keep(session, domain, partition_id, wrapped)
            return wrapped

    def change_pin(self, user: User, old: str, new: str) -> None:
        """Change a PIN.

        Raises:
            Tampered: `old` is wrong.
        """
        slot = self._slot()
        former = self._fitted(slot, old)
        with self._logged_in(user, former) as session:
            self._cryptoki.set_pin(session, former, self._fitted(slot, new))

    def judge(self, user: User, pin: str) -> None:
        """Find out whether a PIN is right.

        Raises:
            Tampered: it is not. WrongState: the token has blocked the role.
        """
        with self._logged_in(user, self._fitted(self._slot(), pin)):
            pass

    def attempts_left(self) -> dict[str, int | None]:
        """Tell what the token's flags say of its counters: 0, 1 or None (not known) for "officer" and "user"."""
        flags = self._cryptoki.token(self._slot()).flags
        return {
            "officer": _left(flags, TokenFlag.SO_PIN_LOCKED, TokenFlag.SO_PIN_FINAL_TRY),
            "user": _left(flags, TokenFlag.USER_PIN_LOCKED, TokenFlag.USER_PIN_FINAL_TRY),
        }

    # ------------------------------------------------------------------------------------------------------ using it

    def open(self, user_pin: str, partition_id: bytes) -> None:
        """Log the user in for good and find the partition's keys.

        Raises:
            Tampered: the PIN is wrong. DeviceFault: the token has no such partition.
        """
        slot = self._slot()
        session = self._cryptoki.open_session(slot)
        self._login(session, User.USER, self._fitted(slot, user_pin))
        self._keys = _Keys(
            session,
            self._key(session, partition_id, KeyType.AES),
            self._key(session, partition_id, KeyType.GENERIC_SECRET),
        )

    def wrap(self, key: bytes, associated: bytes) -> bytes:
        """Return IV, ciphertext and authentication code."""
        keys = self._opened()
        iv = os.urandom(IV_BYTES)
        sealed = iv + self._cryptoki.encrypt(keys.session, (Mechanism.AES_CBC_PAD, iv), keys.cipher, key)
        return sealed + self._authentication_code(keys, associated, sealed)

    def unwrap(self, wrapped: bytes, associated: bytes) -> bytes:
        """Return what `wrap` was given; nothing is decrypted before it is found authentic.

        Raises:
            Tampered: not made by this partition, or with other associated data.
        """
        keys = self._opened()
        sealed, code = wrapped[:-MAC_BYTES], wrapped[-MAC_BYTES:]
        if not hmac.compare_digest(self._authentication_code(keys, associated, sealed), code):
            raise Tampered("a wrapped key does not open: another partition, wrong place or changed bytes")
        iv, body = sealed[:IV_BYTES], sealed[IV_BYTES:]
        return self._cryptoki.decrypt(keys.session, (Mechanism.AES_CBC_PAD, iv), keys.cipher, body)

    def _authentication_code(self, keys: _Keys, associated: bytes, sealed: bytes) -> bytes:
        data = associated + sealed + struct.pack(">Q", len(associated) * 8)
        return self._cryptoki.sign(keys.session, (Mechanism.SHA256_HMAC, b""), keys.mac, data)

    # --------------------------------------------------------------------------------------------------------- within

    def _opened(self) -> _Keys:
        if self._keys is None:
            raise DeviceFault("the token's user is not logged in")
        return self._keys

    def _slot(self) -> int:
        """Return the slot of our token; numbers of slots change, labels do not."""
        found = [slot for slot in self._cryptoki.slots() if self._facts(slot).label == self._label]
        if len(found) != 1:
            what = "there are several tokens" if found else "there is no token"
            raise DeviceFault(f"{what} with the label {self._label!r}; insert the one that was initialised here")
        return found[0]

    def _blank(self, wanted: int | None) -> int:
        """Return the slot of a token without an owner; ours counts as blank until its user was made."""
        slots = {slot: self._facts(slot) for slot in self._cryptoki.slots()}
        ours = [slot for slot, facts in slots.items() if facts.label == self._label]
        if any(TokenFlag.USER_PIN_INITIALIZED in slots[slot].flags for slot in ours):
            raise WrongState(f"a token labelled {self._label!r} is in use; choose another label", "wrong_state.module")
        blank = [slot for slot, facts in slots.items() if TokenFlag.TOKEN_INITIALIZED not in facts.flags]
        for slot in (*ours, *blank):
            if wanted in (None, slot):
                return slot
        where = "no slot has a blank token" if wanted is None else f"slot {wanted} has no blank token"
        raise WrongState(f"{where}; nothing that somebody else initialised is touched", "wrong_state.module")

    def _facts(self, slot: int) -> TokenFacts:
        return self._cryptoki.token(slot)

    def _check_mechanisms(self, slot: int) -> None:
        missing = [mechanism.name for mechanism, use in _NEEDED if not self._cryptoki.can(slot, mechanism, use)]
        if missing:
            raise NotSupported(f"the token lacks CKM_{', CKM_'.join(missing)}", "not_supported.cryptography")
        if self._facts(slot).pin_characters_max < PIN_CHARACTERS_MIN:
            raise NotSupported(f"the token's PINs are shorter than {PIN_CHARACTERS_MIN} characters")

    def _fitted(self, slot: int, pin: str) -> bytes:
        """Cut one of our PINs to what the token takes."""
        return pin.encode()[: self._facts(slot).pin_characters_max]

    @contextmanager
    def _logged_in(self, user: User, pin: bytes) -> Iterator[int]:
        session = self._cryptoki.open_session(self._slot())
        try:
            self._login(session, user, pin)
            yield session
            self._cryptoki.call("C_Logout", session)
        finally:
            self._cryptoki.call("C_CloseSession", session)

    def _login(self, session: int, user: User, pin: bytes) -> None:
        try:
            self._cryptoki.login(session, user, pin)
        except CryptokiError as error:
            if error.value in _WRONG_PIN:
                raise Tampered("the token does not take this PIN") from None
            if error.value == Returned.PIN_LOCKED:
                raise WrongState("the token itself has blocked this role", "wrong_state.module") from None
            raise

    def _generate(self, slot: int, session: int, domain: int) -> WrappedKeys:
        """Make both keys for the length of this session and wrap them; only what is unwrapped again stays."""
        mechanism = next((each for each in _WRAPS if self._cryptoki.can(slot, each, Use.WRAP)), None)
        if mechanism is None:
            raise NotSupported("the token can wrap neither by AES key wrap nor by CBC", "not_supported.cryptography")
        made = (
            (Mechanism.AES_KEY_GEN, {**_SECRET, **_CIPHER, **_PASSING}),
            (Mechanism.GENERIC_SECRET_KEY_GEN, {**_SECRET, **_MAC, **_PASSING}),
        )
        wrapped = []
        for how, template in made:
            key = self._cryptoki.generate(session, how, template)
            iv = b"" if mechanism is Mechanism.AES_KEY_WRAP else os.urandom(IV_BYTES)
            wrapped.append(iv + self._cryptoki.wrap(session, (mechanism, iv), domain, key))
            self._cryptoki.destroy(session, key)
        return WrappedKeys(int(mechanism), wrapped[0], wrapped[1])

    def _keep(self, session: int, domain: int, partition_id: bytes, wrapped: WrappedKeys) -> None:
        try:
            mechanism = Mechanism(wrapped.mechanism)
        except ValueError:
            raise NotSupported("the partition was exported by a newer version") from None
        ours: _Template = {Attribute.TOKEN: True, Attribute.LABEL: KEY_LABEL, Attribute.ID: partition_id}
        for data, kind in ((wrapped.cipher, _CIPHER), (wrapped.mac, _MAC)):
            cut = 0 if mechanism is Mechanism.AES_KEY_WRAP else IV_BYTES
            how = (mechanism, data[:cut])
            try:
                key = self._cryptoki.unwrap(session, how, domain, data[cut:], {**_SECRET, **kind, **ours, **_STAYS})
            except CryptokiError as error:
                if error.value == Returned.MECHANISM_INVALID:
                    raise NotSupported(f"the token cannot unwrap by CKM_{mechanism.name}") from None
                raise
            self._shut(session, key, ours)

    def _shut(self, session: int, key: int, ours: _Template) -> None:
        """See to it that a key cannot be taken out: some tokens pass over what an unwrapped key was to be.

        Raises:
            NotSupported: it still can; the key is destroyed again.
        """
        if key not in self._cryptoki.find(session, {**ours, **_STAYS}):
            with suppress(CryptokiError):
                self._cryptoki.change(session, key, _STAYS)
        if key not in self._cryptoki.find(session, {**ours, **_STAYS}):
            self._cryptoki.destroy(session, key)
            raise NotSupported("the token would give its keys away", "not_supported.cryptography")

    def _key(self, session: int, partition_id: bytes, kind: KeyType) -> int:
        template: _Template = {Attribute.CLASS: SECRET_KEY, Attribute.ID: partition_id, Attribute.KEY_TYPE: kind}
        found = self._cryptoki.find(session, template)
        if len(found) != 1:
            raise DeviceFault("the token does not hold this node's partition; set it up again from its export")
        return found[0]


_PASSING: _Template = {Attribute.TOKEN: False, Attribute.EXTRACTABLE: True, Attribute.VALUE_LEN: 32}


def _domain_template(key: bytes) -> _Template:
    return {
        **_SECRET,
        Attribute.KEY_TYPE: KeyType.AES,
        Attribute.TOKEN: False,
        Attribute.EXTRACTABLE: False,
        Attribute.WRAP: True,
        Attribute.UNWRAP: True,
        Attribute.VALUE: key,
    }


def _left(flags: TokenFlag, locked: TokenFlag, final_try: TokenFlag) -> int | None:
    return 0 if locked in flags else 1 if final_try in flags else None
