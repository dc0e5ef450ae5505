"""The few calls of PKCS#11 that keystead makes, through ctypes. Runs in the token's process only.

Laws: nothing here is thread-safe, as the libraries are not; whoever holds a `Cryptoki` is its only user. Every buffer
has a fixed size that is larger than any answer, so that no operation is begun twice.

Source: OASIS PKCS#11 2.40 (base specification, current mechanisms); docs/adr/0026.
"""

import ctypes
from collections.abc import Mapping
from ctypes import POINTER, byref, c_char, c_char_p, c_ubyte, c_ulong, c_void_p
from dataclasses import dataclass

from keystead.trust.pkcs11.names_table import FUNCTIONS, Attribute, Mechanism, Returned, TokenFlag

OUTPUT_BYTES_MAX = 65_536
SLOTS_COUNT_MAX = 1_024
MECHANISMS_COUNT_MAX = 1_024
OBJECTS_COUNT_MAX = 256
_UNAVAILABLE = c_ulong(-1).value
_RW_SESSION = 0x2 | 0x4
_NAMES = {int(each): each.name for each in Returned}
_Value = bool | int | bytes


class CryptokiError(Exception):
    """A function returned something else than CKR_OK.

    Attributes:
        function: Its name, such as "C_Login".
        value: What it returned.
    """

    def __init__(self, function: str, value: int) -> None:
        name = _NAMES.get(value, f"{value:#x}")
        super().__init__(f"{function}: CKR_{name}")
        self.function = function
        self.value = value


class _Version(ctypes.Structure):
    _fields_ = (("major", c_ubyte), ("minor", c_ubyte))


class _TokenInfo(ctypes.Structure):
    _fields_ = (
        ("label", c_char * 32),
        ("manufacturer", c_char * 32),
        ("model", c_char * 16),
        ("serial", c_char * 16),
        ("flags", c_ulong),
        *((f"sessions{number}", c_ulong) for number in range(4)),
        ("pin_characters_max", c_ulong),
        ("pin_characters_min", c_ulong),
        *((f"memory{number}", c_ulong) for number in range(4)),
        ("hardware", _Version),
        ("firmware", _Version),
        ("time", c_char * 16),
    )


class _Mechanism(ctypes.Structure):
    _fields_ = (("mechanism", c_ulong), ("parameter", c_char_p), ("parameter_bytes", c_ulong))


class _MechanismInfo(ctypes.Structure):
    _fields_ = (("key_min", c_ulong), ("key_max", c_ulong), ("flags", c_ulong))


class _Attribute(ctypes.Structure):
    _fields_ = (("type", c_ulong), ("value", c_char_p), ("value_bytes", c_ulong))


class _FunctionList(ctypes.Structure):
    _fields_ = (("version", _Version), *((name, c_void_p) for name in FUNCTIONS))


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a token says of itself.

    Attributes:
        label: Without the spaces that fill it.
        flags: CKF_…
        pin_characters_max: Longest PIN it takes.
    """

    label: str
    flags: TokenFlag
    pin_characters_max: int


class Cryptoki:
    """A loaded and initialised library.

    Args:
        library: Its path.

    Raises:
        OSError: it cannot be loaded. CryptokiError: it does not start.
    """

    def __init__(self, library: str) -> None:
        loaded = ctypes.CDLL(library)
        functions = POINTER(_FunctionList)()
        loaded.C_GetFunctionList.restype = c_ulong
        self._check("C_GetFunctionList", loaded.C_GetFunctionList(byref(functions)))
        self._functions = functions.contents
        self.call("C_Initialize", None)

    def finalize(self) -> None:
        """End the use of the library."""
        self.call("C_Finalize", None)

    def call(self, function: str, *arguments: object) -> None:
        """Call a function; every integer argument is a CK_ULONG.

        Raises:
            CryptokiError: it did not return CKR_OK.
        """
        address = getattr(self._functions, function)
        if not address:
            raise CryptokiError(function, Returned.FUNCTION_NOT_SUPPORTED)
        prototype = ctypes.CFUNCTYPE(c_ulong, *(_kind_of(argument) for argument in arguments))
        self._check(function, prototype(address)(*arguments))

    @staticmethod
    def _check(function: str, value: int) -> None:
        if value != Returned.OK:
            raise CryptokiError(function, value)

    # ------------------------------------------------------------------------------------------------ slots and tokens

    def slots(self) -> list[int]:
        """Return the slots that have a token."""
        listed, count = (c_ulong * SLOTS_COUNT_MAX)(), c_ulong(SLOTS_COUNT_MAX)
        # Asked for the number first, as the standard has it: some libraries look for new tokens only then.
        self.call("C_GetSlotList", c_ubyte(1), None, byref(c_ulong()))
        self.call("C_GetSlotList", c_ubyte(1), listed, byref(count))
        return list(listed[: count.value])

    def token(self, slot: int) -> TokenFacts:
        """Return what the token in a slot says of itself."""
        info = _TokenInfo()
        self.call("C_GetTokenInfo", slot, byref(info))
        longest = info.pin_characters_max
        return TokenFacts(
            label=bytes(info.label).decode(errors="replace").rstrip(" \0"),
            flags=TokenFlag(info.flags),
            pin_characters_max=0 if longest == _UNAVAILABLE else longest,
        )

    def can(self, slot: int, mechanism: Mechanism, flag: int) -> bool:
        """Tell whether a token offers a mechanism for a use (CKF_WRAP and so on)."""
        listed, count = (c_ulong * MECHANISMS_COUNT_MAX)(), c_ulong(MECHANISMS_COUNT_MAX)
        self.call("C_GetMechanismList", slot, listed, byref(count))
        if mechanism not in listed[: count.value]:
            return False
        info = _MechanismInfo()
        self.call("C_GetMechanismInfo", slot, int(mechanism), byref(info))
        return bool(info.flags & flag)

    def init_token(self, slot: int, officer_pin: bytes, label: str) -> None:
        """Initialise a token: everything on it goes."""
        padded = label.encode().ljust(32)
        self.call("C_InitToken", slot, officer_pin, len(officer_pin), padded)

    # --------------------------------------------------------------------------------------------- sessions and logins

    def open_session(self, slot: int) -> int:
        """Open a read-write session."""
        session = c_ulong()
        self.call("C_OpenSession", slot, _RW_SESSION, None, None, byref(session))
        return session.value

    def login(self, session: int, user: int, pin: bytes) -> None:
        """Log in: 0 = security officer, 1 = user."""
        self.call("C_Login", session, user, pin, len(pin))

    def init_pin(self, session: int, pin: bytes) -> None:
        """Set the user's PIN; the security officer is logged in."""
        self.call("C_InitPIN", session, pin, len(pin))

    def set_pin(self, session: int, old: bytes, new: bytes) -> None:
        """Change the PIN of who is logged in."""
        self.call("C_SetPIN", session, old, len(old), new, len(new))

    # --------------------------------------------------------------------------------------------------------- objects

    def create(self, session: int, template: Mapping[Attribute, _Value]) -> int:
        """Make an object from its attributes."""
        handle = c_ulong()
        self.call("C_CreateObject", session, *_template(template), byref(handle))
        return handle.value

    def generate(self, session: int, mechanism: Mechanism, template: Mapping[Attribute, _Value]) -> int:
        """Generate a secret key."""
        handle = c_ulong()
        self.call("C_GenerateKey", session, byref(_mechanism(mechanism)), *_template(template), byref(handle))
        return handle.value

    def change(self, session: int, handle: int, template: Mapping[Attribute, _Value]) -> None:
        """Set attributes of an object."""
        self.call("C_SetAttributeValue", session, handle, *_template(template))

    def destroy(self, session: int, handle: int) -> None:
        """Destroy an object."""
        self.call("C_DestroyObject", session, handle)

    def find(self, session: int, template: Mapping[Attribute, _Value]) -> list[int]:
        """Return the objects that have these attributes."""
        found, count = (c_ulong * OBJECTS_COUNT_MAX)(), c_ulong()
        self.call("C_FindObjectsInit", session, *_template(template))
        self.call("C_FindObjects", session, found, OBJECTS_COUNT_MAX, byref(count))
        self.call("C_FindObjectsFinal", session)
        return list(found[: count.value])

    def wrap(self, session: int, how: tuple[Mechanism, bytes], wrapping: int, key: int) -> bytes:
        """Wrap a key under another."""
        output, length = (c_ubyte * OUTPUT_BYTES_MAX)(), c_ulong(OUTPUT_BYTES_MAX)
        self.call("C_WrapKey", session, byref(_mechanism(*how)), wrapping, key, output, byref(length))
        return bytes(output[: length.value])

    def unwrap(
        self,
        session: int,
        how: tuple[Mechanism, bytes],
        wrapping: int,
        wrapped: bytes,
        template: Mapping[Attribute, _Value],
    ) -> int:
        """Make an object of a wrapped key."""
        handle = c_ulong()
        mechanism = byref(_mechanism(*how))
        data = (wrapped, len(wrapped))
        self.call("C_UnwrapKey", session, mechanism, wrapping, *data, *_template(template), byref(handle))
        return handle.value

    # --------------------------------------------------------------------------------------------------------- ciphers

    def encrypt(self, session: int, how: tuple[Mechanism, bytes], key: int, data: bytes) -> bytes:
        """Encrypt in one part."""
        return self._run(session, "C_Encrypt", how, key, data)

    def decrypt(self, session: int, how: tuple[Mechanism, bytes], key: int, data: bytes) -> bytes:
        """Decrypt in one part."""
        return self._run(session, "C_Decrypt", how, key, data)

    def sign(self, session: int, how: tuple[Mechanism, bytes], key: int, data: bytes) -> bytes:
        """Sign, or make an authentication code, in one part."""
        return self._run(session, "C_Sign", how, key, data)

    def _run(self, session: int, function: str, how: tuple[Mechanism, bytes], key: int, data: bytes) -> bytes:
        self.call(function + "Init", session, byref(_mechanism(*how)), key)
        output, length = (c_ubyte * (len(data) + 128))(), c_ulong(len(data) + 128)
        self.call(function, session, data, len(data), output, byref(length))
        try:
            return bytes(output[: length.value])
        finally:
            ctypes.memset(output, 0, len(output))


def _kind_of(argument: object) -> type[c_ulong] | type[c_ubyte] | type[c_void_p]:
    if isinstance(argument, c_ubyte):
        return c_ubyte
    return c_ulong if isinstance(argument, int) else c_void_p


def _mechanism(mechanism: Mechanism, parameter: bytes = b"") -> _Mechanism:
    return _Mechanism(int(mechanism), parameter or None, len(parameter))


def _template(attributes: Mapping[Attribute, _Value]) -> tuple[ctypes.Array[_Attribute], int]:
    """Return the array, which keeps the values alive, and the number of its items."""
    made = (_Attribute * len(attributes))()
    for item, (kind, value) in zip(made, attributes.items(), strict=True):
        data = _encoded(value)
        item.type, item.value, item.value_bytes = int(kind), data, len(data)
    return made, len(attributes)


def _encoded(value: _Value) -> bytes:
    if isinstance(value, bool):
        return bytes([value])
    return bytes(c_ulong(value)) if isinstance(value, int) else value
