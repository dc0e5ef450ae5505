"""Whole tokens as PKCS#11 shows them: every object with its attributes. Beside `cryptoki`, which serves one partition.

Runs in a token's process only; the laws of `cryptoki` hold here, too.

Source: OASIS PKCS#11 2.40 sections 4.4 to 4.9, 5.5 to 5.7; docs/adr/0082.
"""

import ctypes
from collections.abc import Mapping, Sequence
from ctypes import byref, c_char_p, c_ulong

from keystead.trust.pkcs11.cryptoki import _UNAVAILABLE, Cryptoki, CryptokiError, _Attribute
from keystead.trust.pkcs11.names_table import Attribute, Returned

VALUE_BYTES_MAX = 60_000
_FOUND_AT_ONCE = 1_000
_PARTIAL = {Returned.ATTRIBUTE_SENSITIVE, Returned.ATTRIBUTE_TYPE_INVALID}
BOOLEANS = frozenset(
    {
        *(Attribute.TOKEN, Attribute.PRIVATE, Attribute.TRUSTED, Attribute.SENSITIVE, Attribute.ENCRYPT),
        *(Attribute.DECRYPT, Attribute.WRAP, Attribute.UNWRAP, Attribute.SIGN, Attribute.SIGN_RECOVER),
        *(Attribute.VERIFY, Attribute.VERIFY_RECOVER, Attribute.DERIVE, Attribute.EXTRACTABLE),
        *(Attribute.MODIFIABLE, Attribute.ALWAYS_AUTHENTICATE, Attribute.WRAP_WITH_TRUSTED),
    }
)
NUMBERS = frozenset({Attribute.CLASS, Attribute.CERTIFICATE_TYPE, Attribute.KEY_TYPE, Attribute.VALUE_LEN})
Value = bool | int | bytes


class TokenObjects(Cryptoki):
    """A loaded library that whole tokens are read and filled through."""

    def logout(self, session: int) -> None:
        """Log out whoever is logged in to the session's token."""
        self.call("C_Logout", session)

    def close_session(self, session: int) -> None:
        """Close a session; its objects go."""
        self.call("C_CloseSession", session)

    def find_all(self, session: int, template: Mapping[Attribute, Value]) -> list[int]:
        """Return every object that has these attributes, however many there are."""
        made = (_Attribute * len(template))()
        for item, (kind, value) in zip(made, template.items(), strict=True):
            data = encoded(value)
            item.type, item.value, item.value_bytes = int(kind), data, len(data)
        self.call("C_FindObjectsInit", session, made, len(template))
        found: list[int] = []
        try:
            some, count = (c_ulong * _FOUND_AT_ONCE)(), c_ulong()
            while True:
                self.call("C_FindObjects", session, some, _FOUND_AT_ONCE, byref(count))
                found += some[: count.value]
                if not count.value:
                    return found
        finally:
            self.call("C_FindObjectsFinal", session)

    def read(self, session: int, handle: int, kinds: Sequence[Attribute]) -> dict[Attribute, Value]:
        """Return those of an object's attributes that it has and shows; empty ones are left out.

        Raises:
            CryptokiError: the object is gone. ValueError: a value is longer than 60,000 bytes.
        """
        asked = (_Attribute * len(kinds))()
        for item, kind in zip(asked, kinds, strict=True):
            item.type, item.value, item.value_bytes = int(kind), None, 0
        self._get(session, handle, asked)
        buffers = {}
        for item in asked:
            if item.value_bytes in (0, _UNAVAILABLE):
                continue
            if item.value_bytes > VALUE_BYTES_MAX:
                raise ValueError(f"an attribute has more than {VALUE_BYTES_MAX} bytes")
            buffers[Attribute(item.type)] = ctypes.create_string_buffer(item.value_bytes)
        there = (_Attribute * len(buffers))()
        for item, (kind, buffer) in zip(there, buffers.items(), strict=True):
            item.type, item.value, item.value_bytes = int(kind), ctypes.cast(buffer, c_char_p), len(buffer)
        self._get(session, handle, there)
        return {kind: decoded(kind, buffer.raw) for kind, buffer in buffers.items()}

    def _get(self, session: int, handle: int, asked: "ctypes.Array[_Attribute]") -> None:
        try:
            self.call("C_GetAttributeValue", session, handle, asked, len(asked))
        except CryptokiError as error:
            if error.value not in _PARTIAL:
                raise


def encoded(value: Value) -> bytes:
    """Return an attribute's value as PKCS#11 has it."""
    if isinstance(value, bool):
        return bytes([value])
    return bytes(c_ulong(value)) if isinstance(value, int) else value


def decoded(kind: Attribute, data: bytes) -> Value:
    """Return what `encoded` took."""
    if kind in BOOLEANS:
        return data != b"\0"
    return c_ulong.from_buffer_copy(data).value if kind in NUMBERS else data
