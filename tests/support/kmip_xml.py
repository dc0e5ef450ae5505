"""KMIP messages in XML, as the OASIS test cases write them, to nodes of the wire codec.

Source: KMIP Additional Message Encodings 1.0 section 5. What the cases do beyond it is named at its place.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.names import enum_value, enumeration_of, tag_number
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag

TYPES = {
    "Structure": nodes.STRUCTURE,
    "Integer": nodes.INTEGER,
    "LongInteger": nodes.LONG_INTEGER,
    "BigInteger": nodes.BIG_INTEGER,
    "Enumeration": nodes.ENUMERATION,
    "Boolean": nodes.BOOLEAN,
    "TextString": nodes.TEXT_STRING,
    "ByteString": nodes.BYTE_STRING,
    "DateTime": nodes.DATE_TIME,
    "Interval": nodes.INTERVAL,
    "DateTimeExtended": nodes.DATE_TIME_EXTENDED,
}
MESSAGES = ("RequestMessage", "ResponseMessage")
PLACEHOLDER = re.compile(r"\$([A-Z][A-Z_0-9]*)([+-]\d+)?")
NUMBER = re.compile(r"-?\d+|0x[0-9A-Fa-f]+")
SPELLINGS = {"NotAuthorized": "NotAuthorised"}  # one case against the specification
PKCS11_NUMBERS = {"C_Initialize": 1, "C_Finalize": 2, "C_GetInfo": 3, "OK": 0}
"""Names of another standard, which KMIP 2.x sections 11.38 and 11.39 point to without repeating them."""


def messages(path: Path) -> Iterator[Element]:
    """The messages of one case, in order. Text between them, which some cases have, is passed over.

    Raises:
        xml.etree.ElementTree.ParseError: the file is not well formed (one of the published cases is not).
    """
    for element in fromstring(path.read_bytes()):
        if element.tag in MESSAGES:
            yield element


def node(element: Element, bindings: Mapping[str, str], attribute: str = "") -> Node:
    """One element as a node.

    Args:
        element: A message, or any part of one.
        bindings: The text of each placeholder, "NOW" among them as seconds since 1970.
        attribute: The attribute whose value is read: KMIP 1.x names it beside the value, not around it.
    """
    kind = TYPES[element.get("type", "Structure")]
    tag = int(element.get("tag", "0"), 16) or tag_number(element.tag)
    if kind == nodes.STRUCTURE:
        if tag == Tag.ATTRIBUTE:
            attribute = _attribute_name(element)
        return (tag, kind, [node(child, bindings, attribute) for child in element])
    text = _bound(element.get("value", ""), bindings)
    if kind in (nodes.ENUMERATION, nodes.INTEGER):
        return (tag, kind, _symbolic(text, attribute if tag == Tag.ATTRIBUTE_VALUE else element.tag))
    return (tag, kind, _READERS[kind](text))


def _attribute_name(element: Element) -> str:
    name = element.find("AttributeName")
    return "" if name is None else re.sub(r"\W+", "", name.get("value", ""))


def _bound(text: str, bindings: Mapping[str, str]) -> str:
    """Replaces a placeholder, which is always the whole value: $UNIQUE_IDENTIFIER_0, $NOW-3600."""
    found = PLACEHOLDER.fullmatch(text)
    if found is None:
        return text
    value = bindings[found[1]]
    return str(int(value) + int(found[2])) if found[2] else value


def _symbolic(text: str, field: str) -> int:
    """A number, the name of an enumeration's member, or the names of a mask's bits."""
    if NUMBER.fullmatch(text.strip()):
        return int(text, 0)
    if text in PKCS11_NUMBERS:
        return PKCS11_NUMBERS[text]
    if field == "AttributeReference":
        return tag_number(text)
    enumeration = enumeration_of(tag_number(field))
    assert enumeration is not None, f"{field} has no names"
    return sum(enum_value(enumeration, SPELLINGS.get(name, name)) for name in text.split())


def _seconds(text: str) -> int:
    return int(text) if NUMBER.fullmatch(text) else int(datetime.fromisoformat(text).timestamp())


def _hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


_READERS: dict[int, Callable[[str], Any]] = {
    nodes.LONG_INTEGER: int,
    nodes.BIG_INTEGER: lambda text: int.from_bytes(_hex(text), "big", signed=True),
    nodes.BOOLEAN: lambda text: text == "true",
    nodes.TEXT_STRING: str,
    nodes.BYTE_STRING: _hex,
    nodes.DATE_TIME: _seconds,
    nodes.INTERVAL: int,
    nodes.DATE_TIME_EXTENDED: int,
}
