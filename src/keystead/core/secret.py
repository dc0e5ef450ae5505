"""Secret: bytes that no log, error, repr or comparison gives away.

Law: key bytes, PINs and passwords travel as `Secret` from the moment they exist; `reveal()` is the only way out and
its call sites are listed in a test.

Source: requirement KS-LOG-032; attacks.md classes 30 and 33.
"""

import hmac
from typing import NoReturn


class Secret:
    """Holds secret bytes. Not comparable with `==`, not hashable, not picklable, redacted in every text form."""

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]  # a hash would leak equality through timing and dictionaries

    def __init__(self, value: bytes) -> None:
        self._value = value if type(value) is bytes else bytes(value)

    def reveal(self) -> bytes:
        """Return the bytes. Every caller of this is listed in tests/surface."""
        return self._value

    def matches(self, other: "Secret") -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self._value, other._value)

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return "Secret(redacted)"

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("compare secrets with Secret.matches()")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be serialised; seal it")
