"""Every message of the OASIS test cases can be written, read and written again."""

from collections import Counter
from pathlib import Path
from xml.etree.ElementTree import ParseError

import pytest

from keystead.protocols.kmip.wire import names, nodes
from keystead.protocols.kmip.wire.framing import REQUEST, RESPONSE, Framer
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag
from keystead.protocols.kmip.wire.ttlv import decode, encode
from tests.support import kmip_xml

FILES_NOT_WELL_FORMED = {"v1.4/testcases/TC-ECDSA-SIGN-1-14.xml"}
MESSAGES = 9254


class AnyText(dict[str, str]):
    """Placeholders of unknown value: hexadecimal, so that the text fits a byte string too."""

    def __missing__(self, name: str) -> str:
        return "00112233445566778899aabbccddeeff"


@pytest.fixture(scope="module")
def messages(shared_folder: Path) -> list[Node]:
    found = []
    bindings = AnyText(NOW="1700000000")
    folder = shared_folder / "kmip" / "vectors"
    for path in sorted(folder.rglob("*.xml")):
        try:
            found += [kmip_xml.node(element, bindings) for element in kmip_xml.messages(path)]
        except ParseError:
            assert str(path.relative_to(folder)) in FILES_NOT_WELL_FORMED
    assert len(found) == MESSAGES
    return found


def test_all_messages_are_read_as_written(messages: list[Node]) -> None:
    for message in messages:
        encoded = encode(message)
        assert decode(encoded) == message
        assert encode(decode(encoded)) == encoded


def test_all_messages_pass_the_framing(messages: list[Node]) -> None:
    framers = {Tag.REQUEST_MESSAGE: Framer(REQUEST), Tag.RESPONSE_MESSAGE: Framer(RESPONSE)}
    for message in messages:
        assert framers[message[0]].feed(encode(message)) == [encode(message)]


def test_no_message_contains_what_its_version_does_not_know(messages: list[Node]) -> None:
    wrong = Counter(
        (version, names.tag_name(tag))
        for message in messages
        for version in [version_of(message)]
        for tag in names.unavailable_tags(message, version)
    )
    assert not wrong


def test_enumerations_belong_to_the_version(messages: list[Node]) -> None:
    wrong = Counter(
        (version, enumeration, names.enum_name(enumeration, value))
        for message in messages
        for version in [version_of(message)]
        for enumeration, value in enumerations(message)
        if not names.enum_available(enumeration, value, version)
    )
    assert not wrong


def version_of(message: Node) -> tuple[int, int]:
    header: Node = message[2][0]
    version = nodes.first(header, Tag.PROTOCOL_VERSION)
    assert version is not None
    major, minor = (number[2] for number in version[2])
    return (major, minor)


def enumerations(tree: Node) -> list[tuple[str, int]]:
    tag, kind, value = tree
    if kind == nodes.STRUCTURE:
        return [found for child in value for found in enumerations(child)]
    enumeration = names.enumeration_of(tag) if kind == nodes.ENUMERATION else None
    return [(enumeration, value)] if enumeration else []
