"""Fields of a request: their kinds, and reading them by a table.

Law: an element that a request does not have is refused, never ignored: who sends it relies on what it means.

Source: docs/xml-interface.md; requirement KS-KEY-002.
"""

from base64 import b64decode
from binascii import Error
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from keystead.core.errors import Invalid, Refused
from keystead.core.handles import HANDLE_CHARACTERS_MAX, is_handle
from keystead.protocols.xml.wire.elements import Element

ID_CHARACTERS_MAX = 64
TEXT_CHARACTERS_MAX = 256
DIGITS_MAX = 10

Values = Mapping[str, Any]


class Mark(StrEnum):
    """How we know of a field."""

    DOCUMENTED = "documented"
    WITNESSED = "witnessed"
    OURS = "ours"


class Kind(NamedTuple):
    """A kind of value: what the documentation calls it, and how it is read; `read` raises Invalid."""

    name: str
    read: Callable[[Element], Any]


class Field(NamedTuple):
    """One child element of a request or answer.

    Attributes:
        name: Of the element.
        kind: None = not offered: refused with a word about it.
        mark: How we know of it.
        required: It must be there.
        multiple: It may come again; read as a tuple.
        about: For the documentation.
    """

    name: str
    kind: Kind | None
    mark: Mark = Mark.DOCUMENTED
    required: bool = False
    multiple: bool = False
    about: str = ""


def _bad(element: Element, what: str) -> Invalid:
    return Invalid(f"{element.name} is {what}", "invalid.field")


def _plain(element: Element) -> str:
    if element.children:
        raise _bad(element, "text, without elements in it")
    return element.text.strip()


def text(most: int = TEXT_CHARACTERS_MAX) -> Kind:
    """Return the kind of printable text of bounded length."""

    def read(element: Element) -> str:
        found = _plain(element)
        if not 1 <= len(found) <= most or not found.isprintable():
            raise _bad(element, f"1 to {most} printable characters")
        return found

    return Kind(f"text, 1 to {most} characters", read)


def number(least: int, most: int) -> Kind:
    """Return the kind of whole numbers within limits."""

    def read(element: Element) -> int:
        digits = _plain(element)
        if not (digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX):
            raise _bad(element, "a whole number")
        found = int(digits)
        if not least <= found <= most:
            raise _bad(element, f"from {least} to {most}")
        return found

    return Kind(f"number, {least:,} to {most:,}", read)


def choice(name: str, meanings: Mapping[str, Any]) -> Kind:
    """Return the kind of words that mean something each."""

    def read(element: Element) -> Any:
        found = _plain(element)
        if found not in meanings:
            raise _bad(element, f"one of {', '.join(meanings)}")
        return meanings[found]

    return Kind(name, read)


def _read_flag(element: Element) -> bool:
    if element.children or element.text.strip():
        raise _bad(element, "an empty element")
    return True


def _read_key_name(element: Element) -> str:
    found = _plain(element)
    if "#" in found:
        raise Refused("'#' stands in no name; KeyVersion names a version", "refused.feature")
    if not is_handle(found):
        raise _bad(element, "a letter and up to 63 letters, digits, '_', '.' and '-'")
    return found


def _read_raw(element: Element) -> str:
    if element.children or not element.text:
        raise _bad(element, "text, not empty")
    return element.text


def _read_base64(element: Element) -> bytes:
    try:
        return b64decode("".join(element.text.split()), validate=True)
    except (Error, ValueError):
        raise _bad(element, "Base64") from None


def hexadecimal(most_bytes: int) -> Kind:
    """Return the kind of bytes in hexadecimal."""

    def read(element: Element) -> bytes:
        digits = _plain(element)
        if len(digits) > 2 * most_bytes:
            raise _bad(element, f"at most {most_bytes} bytes in hexadecimal")
        try:
            return bytes.fromhex(digits)
        except ValueError:
            raise _bad(element, "bytes in hexadecimal") from None

    return Kind(f"hexadecimal, at most {most_bytes:,} bytes", read)


BASE64 = Kind("Base64", _read_base64)
FLAG = Kind("empty element", _read_flag)
KEY_NAME = Kind(f"name of a key, 1 to {HANDLE_CHARACTERS_MAX} characters", _read_key_name)
RAW = Kind("text", _read_raw)
ID = Field("ID", text(ID_CHARACTERS_MAX), required=True, about="comes back in the answer and in the logs")


def read_fields(fields: tuple[Field, ...], element: Element) -> Values:
    """Return the values of a request by the names of their elements; what was left out is not in it.

    Raises:
        Invalid: an element is unknown, missing, there twice, or of another kind.
        Refused: it is known and not offered.
    """
    known = {field.name: field for field in fields}
    values: dict[str, Any] = {}
    if element.text.strip():
        raise Invalid(f"{element.name} holds elements", "invalid.field")
    for child in element.children:
        field = known.get(child.name)
        if field is None:
            raise Invalid(f"{element.name} has no element {child.name}", "invalid.field")
        if field.kind is None:
            raise Refused(f"{child.name} is not offered: {field.about}", "refused.feature")
        value = field.kind.read(child)
        if field.multiple:
            values[child.name] = (*values.get(child.name, ()), value)
        elif child.name in values:
            raise Invalid(f"{child.name} comes twice", "invalid.field")
        else:
            values[child.name] = value
    for field in fields:
        if field.required and field.name not in values:
            raise Invalid(f"{element.name} lacks {field.name}", "invalid.missing")
    return values
