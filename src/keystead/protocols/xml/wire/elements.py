"""Elements: reading one from its bytes, writing one on a single line.

An element has text or children, never attributes. What reaches `parse` has been measured by the framer; the parser
decides what is XML. Declarations, comments, processing instructions and entities of a client's own never get that far.

Source: XML 1.0 (fifth edition) sections 2.1 to 2.4, 3.1, 4.6; attacks.md class 2.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple
from xml.parsers import expat

from keystead.core.errors import Invalid

DEPTH_MAX = 16
ELEMENTS_COUNT_MAX = 1_000  # in one request

TAG = re.compile(rb"<(/?)([A-Za-z_][A-Za-z0-9_.-]{0,127})[ \t\r\n]*(/?)>")
SPACE = b" \t\r\n"
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 section 2.2


class Element(NamedTuple):
    """An element of a request or answer; it may hold a password or a key, and shows its name alone.

    Attributes:
        name: Of its tag.
        text: What stands in it; "" when it has children.
        children: In order.
    """

    name: str
    text: str = ""
    children: tuple["Element", ...] = ()

    def __repr__(self) -> str:
        """Show what may be shown."""
        return f"Element({self.name!r})"

    def first(self, name: str) -> "Element | None":
        """Return the first child of a name."""
        return next((child for child in self.children if child.name == name), None)


def parse(data: bytes) -> Element:
    """Return the one element that the bytes are.

    Raises:
        Invalid: they are not well-formed, or text stands beside elements.
    """
    reader = _Reader()
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, UnicodeError):
        raise Invalid("the request is no well-formed XML", "invalid.message") from None
    return reader.root()


class _Reader:
    """Gathers an element from the parser's events."""

    def __init__(self) -> None:
        self._open: list[tuple[str, list[str], list[Element]]] = [("", [], [])]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if attributes:
            raise Invalid("elements have no attributes here", "invalid.message")
        self._open.append((name, [], []))

    def end(self, _name: str) -> None:
        name, texts, children = self._open.pop()
        text = "".join(texts)
        if children and text.strip():
            raise Invalid("an element has text or elements, not both", "invalid.message")
        self._open[-1][2].append(Element(name, "" if children else text, tuple(children)))

    def text(self, text: str) -> None:
        self._open[-1][1].append(text)

    def root(self) -> Element:
        return self._open[0][2][0]


def write(element: Element) -> bytes:
    """Return an element as bytes, without line breaks of our own; what XML cannot hold becomes a question mark."""
    parts: list[str] = []
    _write(element, parts)
    return "".join(parts).encode()


def _write(element: Element, parts: list[str]) -> None:
    if not element.children and not element.text:
        parts.append(f"<{element.name}/>")
        return
    parts.append(f"<{element.name}>")
    parts.append(_escaped(element.text))
    for child in element.children:
        _write(child, parts)
    parts.append(f"</{element.name}>")


def _escaped(text: str) -> str:
    if not text.isalnum():
        text = _UNWRITABLE.sub("?", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text = text.replace("\r", "&#13;")
    return text


def of(name: str, children: Iterable[Element | None]) -> Element:
    """Return an element with those children that are there."""
    return Element(name, "", tuple(child for child in children if child is not None))
