"""Keys of whole tokens on their way out to a backup and in again. Runs in a process of its own.

Laws: a private or secret key leaves a token only wrapped by the token itself, under the backup's wrapping key; what a
token will not wrap is said, never passed over; what is put in is first kept under a label that no application looks
for, and gets its own label and id only when all of it is in.

Source: requirements CB-003, 004, 007, 008, 014, 021; RFC 5649 (AES key wrap with padding); docs/adr/0082, 0083.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from keystead.core.errors import DeviceFault, Invalid, NotFound, NotSupported, Refused, WrongState
from keystead.trust.pkcs11.cryptoki import CryptokiError
from keystead.trust.pkcs11.names_table import Attribute, KeyType, Mechanism, ObjectClass, Returned, TokenFlag, Use, User
from keystead.trust.pkcs11.token_objects import TokenObjects, Value

LISTED_COUNT_MAX = 200
NAME_BYTES_MAX = 100
OBJECT_BYTES_MAX = 60_000
STAGED = b"keystead-restoring:"
_HOW = (Mechanism.AES_KEY_WRAP_PAD, b"")
_KEYS = {ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY}
_WRONG_PIN = {Returned.PIN_INCORRECT, Returned.PIN_INVALID, Returned.PIN_LEN_RANGE}
_COMMON = (Attribute.CLASS, Attribute.PRIVATE, Attribute.LABEL, Attribute.MODIFIABLE)
_DATES = (Attribute.START_DATE, Attribute.END_DATE)
_KEY = (*_COMMON, Attribute.KEY_TYPE, Attribute.ID, Attribute.DERIVE, *_DATES)
_HIDDEN = (*_KEY, Attribute.SENSITIVE, Attribute.EXTRACTABLE, Attribute.WRAP_WITH_TRUSTED)
_CIPHER = (Attribute.ENCRYPT, Attribute.DECRYPT, Attribute.WRAP, Attribute.UNWRAP)
ATTRIBUTES: dict[ObjectClass, tuple[Attribute, ...]] = {
    ObjectClass.DATA: (*_COMMON, Attribute.APPLICATION, Attribute.OBJECT_ID, Attribute.VALUE),
    ObjectClass.CERTIFICATE: (
        *(*_COMMON, Attribute.CERTIFICATE_TYPE, Attribute.SUBJECT, Attribute.ID, Attribute.ISSUER),
        *(Attribute.SERIAL_NUMBER, Attribute.VALUE, *_DATES),
    ),
    ObjectClass.PUBLIC_KEY: (
        *(*_KEY, Attribute.SUBJECT, Attribute.ENCRYPT, Attribute.VERIFY, Attribute.VERIFY_RECOVER, Attribute.WRAP),
        *(Attribute.MODULUS, Attribute.PUBLIC_EXPONENT, Attribute.EC_PARAMS, Attribute.EC_POINT),
    ),
    ObjectClass.PRIVATE_KEY: (
        *(*_HIDDEN, Attribute.SUBJECT, Attribute.DECRYPT, Attribute.SIGN, Attribute.SIGN_RECOVER, Attribute.UNWRAP),
        Attribute.ALWAYS_AUTHENTICATE,
    ),
    ObjectClass.SECRET_KEY: (*_HIDDEN, *_CIPHER, Attribute.SIGN, Attribute.VERIFY),
}
"""Object class -> attributes that are saved and given back."""

_REASONS = {
    Returned.KEY_UNEXTRACTABLE: "the module does not let it out: it is not extractable",
    Returned.KEY_NOT_WRAPPABLE: "the module does not let it out: it is not wrappable",
    Returned.ATTRIBUTE_SENSITIVE: "the module does not let it out: it is sensitive",
}
Fields = dict[int, Value]


@dataclass(frozen=True, slots=True)
class _Place:
    """A token that is open; `handles` and `present` are what it held then, the latter by what tells objects apart."""

    session: int
    wrapping: int
    handles: list[int]
    present: Counter[bytes]
    staged: dict[bytes, int]
    put: Counter[bytes]
    settled: Counter[bytes]


class Transfer:
    """The tokens behind one library.

    Args:
        library: Its path.
    """

    def __init__(self, library: str) -> None:
        self._cryptoki = TokenObjects(library)
        self._places: dict[str, _Place] = {}

    def end(self) -> None:
        """End the use of the library, which logs out."""
        self._cryptoki.finalize()

    def partitions(self) -> list[list[Any]]:
        """Return slot and label of every token that is initialised, by slot."""
        facts = [(slot, self._cryptoki.token(slot)) for slot in self._cryptoki.slots()]
        return [[slot, token.label] for slot, token in sorted(facts) if TokenFlag.TOKEN_INITIALIZED in token.flags]

    def judge_officer(self, label: str, pin: str) -> None:
        """Have the token judge its security officer's PIN.

        Raises:
            Refused: wrong (reason refused.wrong_secret). WrongState: blocked. NotFound: no such token.
        """
        session = self._cryptoki.open_session(self._slot(label))
        try:
            self._login(session, User.OFFICER, pin, f"the security officer of {label}")
            self._cryptoki.logout(session)
        finally:
            self._cryptoki.close_session(session)

    def open(self, label: str, pin: str, wrapping_key: bytes) -> int:
        """Log the user in and take the backup's wrapping key for this session; return how many objects there are.

        Raises:
            Refused, WrongState, NotFound: see `judge_officer`. NotSupported: no AES key wrap with padding.
        """
        slot = self._slot(label)
        if not self._cryptoki.can(slot, Mechanism.AES_KEY_WRAP_PAD, Use.WRAP | Use.UNWRAP):
            raise NotSupported(f"the token {label} cannot wrap keys by AES key wrap with padding")
        session = self._cryptoki.open_session(slot)
        self._login(session, User.USER, pin, f"the user of {label}")
        wrapping = self._cryptoki.create(session, {**_WRAPPING, Attribute.VALUE: wrapping_key})
        handles = sorted(self._cryptoki.find_all(session, {Attribute.TOKEN: True}))
        place = self._places[label] = _Place(session, wrapping, handles, Counter(), {}, Counter(), Counter())
        for handle in handles:
            found = self._cryptoki.read(session, handle, _IDENTITY)
            name = bytes_of(found, Attribute.LABEL)
            if name.startswith(STAGED):
                place.staged[name] = handle
            else:
                place.present[_identity(found)] += 1
        return len(handles)

    def handles(self, label: str, start: int) -> list[list[Any]]:
        """Return handle, class, label and id of up to 200 objects as they were at `open`; empty = no more."""
        place = self._place(label)
        asked = (Attribute.CLASS, Attribute.LABEL, Attribute.ID)
        rows = []
        for handle in place.handles[start : start + LISTED_COUNT_MAX]:
            found = self._cryptoki.read(place.session, handle, asked)
            names = (bytes_of(found, Attribute.LABEL)[:NAME_BYTES_MAX], bytes_of(found, Attribute.ID)[:NAME_BYTES_MAX])
            rows.append([handle, found.get(Attribute.CLASS, -1), *names])
        return rows

    def take(self, label: str, handle: int) -> dict[str, Any]:
        """Return one object: `fields`, and for a key `wrapped`; or `reason` where it stays in the token."""
        place = self._place(label)
        try:
            kind = ObjectClass(
                int(str(self._cryptoki.read(place.session, handle, (Attribute.CLASS,))[Attribute.CLASS]))
            )
            fields = self._cryptoki.read(place.session, handle, ATTRIBUTES[kind])
            wrapped = None
            if kind in _KEYS:
                wrapped = self._cryptoki.wrap(place.session, _HOW, place.wrapping, handle)
        except CryptokiError as error:
            return {"reason": _REASONS.get(Returned(error.value), str(error)) if _known(error) else str(error)}
        except (KeyError, ValueError):
            return {"reason": "an object of a kind that is not saved"}
        if (
            len(wrapped or b"") + sum(len(value) for value in fields.values() if isinstance(value, bytes))
            > OBJECT_BYTES_MAX
        ):
            return {"reason": f"it has more than {OBJECT_BYTES_MAX} bytes"}
        return {"fields": {int(name): value for name, value in fields.items()}, "wrapped": wrapped}

    # --------------------------------------------------------------------------------------------------------- put in

    def put(self, label: str, mark: str, fields: Fields, wrapped: bytes | None) -> bool:
        """Put one object in, where nobody looks for it yet; False = the token holds it already.

        An object that could not get its own label afterwards is only tried, as an object of the session.
        """
        place, template = self._place(label), _template(fields)
        name = STAGED + mark.encode()
        if _is_present(place, place.put, template) or name in place.staged:
            return False
        if template.get(Attribute.MODIFIABLE) is False:
            handle = self._make(place, {**template, Attribute.TOKEN: False}, wrapped)
            self._cryptoki.destroy(place.session, handle)
            return True
        passing: dict[Attribute, Value] = {kind: value for kind, value in template.items() if kind is not Attribute.ID}
        passing |= {Attribute.TOKEN: True, Attribute.LABEL: name}
        place.staged[name] = self._make(place, passing, wrapped)
        return True

    def settle(self, label: str, mark: str, fields: Fields, wrapped: bytes | None) -> bool:
        """Give a staged object its own label and id; False = it has them already."""
        place, template = self._place(label), _template(fields)
        is_present = _is_present(place, place.settled, template)
        staged = place.staged.pop(STAGED + mark.encode(), None)
        if staged is not None:
            own = {Attribute.LABEL: template.get(Attribute.LABEL, b"")}
            if Attribute.ID in template:
                own[Attribute.ID] = template[Attribute.ID]
            self._cryptoki.change(place.session, staged, own)
        elif not is_present:
            self._make(place, {**template, Attribute.TOKEN: True}, wrapped)
        return staged is not None or not is_present

    def drop_staged(self, label: str) -> int:
        """Destroy what an unfinished restore left; return how many objects it was."""
        place = self._place(label)
        count = len(place.staged)
        while place.staged:
            self._cryptoki.destroy(place.session, place.staged.popitem()[1])
        return count

    def _make(self, place: _Place, template: dict[Attribute, Value], wrapped: bytes | None) -> int:
        if wrapped is None:
            return self._cryptoki.create(place.session, template)
        return self._cryptoki.unwrap(place.session, _HOW, place.wrapping, wrapped, template)

    # --------------------------------------------------------------------------------------------------------- tokens

    def _login(self, session: int, user: User, pin: str, who: str) -> None:
        try:
            self._cryptoki.login(session, user, pin.encode())
        except CryptokiError as error:
            if error.value in _WRONG_PIN:
                raise Refused(f"the PIN of {who} is wrong", "refused.wrong_secret") from None
            if error.value == Returned.PIN_LOCKED:
                raise WrongState(f"the token has blocked {who}", "wrong_state.module") from None
            raise

    def _slot(self, label: str) -> int:
        found = [slot for slot, name in self.partitions() if name == label]
        if not found:
            raise NotFound(f"no slot holds a token with the label {label}")
        if len(found) > 1:
            raise Invalid(f"{len(found)} tokens have the label {label}; give each its own")
        return int(found[0])

    def _place(self, label: str) -> _Place:
        if label not in self._places:
            raise DeviceFault(f"nobody is logged in to {label}")
        return self._places[label]


_IDENTITY = (Attribute.CLASS, Attribute.KEY_TYPE, Attribute.LABEL, Attribute.ID)
_WRAPPING: dict[Attribute, Value] = {
    Attribute.CLASS: ObjectClass.SECRET_KEY,
    Attribute.KEY_TYPE: KeyType.AES,
    Attribute.TOKEN: False,
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.WRAP: True,
    Attribute.UNWRAP: True,
}


def bytes_of(fields: dict[Attribute, Value], kind: Attribute) -> bytes:
    """Return an attribute of bytes, empty if it is not there."""
    value = fields.get(kind, b"")
    return value if isinstance(value, bytes) else b""


def _identity(fields: dict[Attribute, Value]) -> bytes:
    """Return what tells objects of a token apart: class, kind of key, label and id; several may share it."""
    return repr([fields.get(name, b"") for name in _IDENTITY]).encode()


def _is_present(place: _Place, seen: Counter[bytes], template: dict[Attribute, Value]) -> bool:
    """Tell whether the token held the object when it was opened: of n alike the first n are those that it has."""
    identity = _identity(template)
    seen[identity] += 1
    return seen[identity] <= place.present[identity]


def _template(fields: Fields) -> dict[Attribute, Value]:
    return {Attribute(name): value for name, value in fields.items()}


def _known(error: CryptokiError) -> bool:
    return error.value in set(Returned)
