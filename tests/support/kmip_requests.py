"""Requests as trees, and answers taken apart, for tests of KMIP's sessions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.names import enum_name, enum_value
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version


def version_node(version: Version) -> Node:
    return nodes.structure(
        Tag.PROTOCOL_VERSION,
        nodes.integer(Tag.PROTOCOL_VERSION_MAJOR, version[0]),
        nodes.integer(Tag.PROTOCOL_VERSION_MINOR, version[1]),
    )


def item(operation: str, *payload: Node, batch_id: bytes | None = None, behind: Sequence[Node] = ()) -> Node:
    """One batch item; `behind` stands after its payload."""
    return nodes.structure(
        Tag.BATCH_ITEM,
        nodes.enumeration(Tag.OPERATION, enum_value("Operation", operation)),
        None if batch_id is None else nodes.byte_string(Tag.UNIQUE_BATCH_ITEM_ID, batch_id),
        nodes.structure(Tag.REQUEST_PAYLOAD, *payload),
        *behind,
    )


def message(version: Version, *items: Node, header: Sequence[Node] = (), count: int | None = None) -> Node:
    """A request message; `header` stands between version and Batch Count, `count` may be wrong on purpose."""
    head = nodes.structure(
        Tag.REQUEST_HEADER,
        version_node(version),
        *header,
        nodes.integer(Tag.BATCH_COUNT, len(items) if count is None else count),
    )
    return nodes.structure(Tag.REQUEST_MESSAGE, head, *items)


def target(identifier: str) -> Node:
    return nodes.text(Tag.UNIQUE_IDENTIFIER, identifier)


def query(*functions: str) -> tuple[Node, ...]:
    return tuple(nodes.enumeration(Tag.QUERY_FUNCTION, enum_value("QueryFunction", name)) for name in functions)


def attribute(name: str, value: Node) -> Node:
    """An Attribute of 1.x; the value's tag does not matter."""
    return nodes.structure(
        Tag.ATTRIBUTE, nodes.text(Tag.ATTRIBUTE_NAME, name), (Tag.ATTRIBUTE_VALUE, value[1], value[2])
    )


def text_attribute(name: str, value: str) -> Node:
    return attribute(name, nodes.text(Tag.ATTRIBUTE_VALUE, value))


def name_value(name: str) -> Node:
    return nodes.structure(Tag.NAME, nodes.text(Tag.NAME_VALUE, name), nodes.enumeration(Tag.NAME_TYPE, 1))


def aes(*further: Node, bits: int = 256, mask: int = 0x0C) -> tuple[Node, ...]:
    """Payload of a Create of 1.x for an AES key that encrypts and decrypts."""
    return (
        nodes.enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", "SymmetricKey")),
        nodes.structure(
            Tag.TEMPLATE_ATTRIBUTE,
            attribute("Cryptographic Algorithm", nodes.enumeration(0, enum_value("CryptographicAlgorithm", "AES"))),
            attribute("Cryptographic Length", nodes.integer(0, bits)),
            attribute("Cryptographic Usage Mask", nodes.integer(0, mask)),
            *further,
        ),
    )


class Answer(NamedTuple):
    """One item of a response; `reason` is "" for success."""

    operation: str
    batch_id: bytes | None
    reason: str
    text: str
    payload: Node | None

    def value(self, tag: int) -> Any:
        """The value of the payload's first item with this tag, None without one."""
        found = nodes.first(self.payload, tag) if self.payload is not None else None
        return found[2] if found is not None else None

    def values(self, tag: int) -> list[Any]:
        return [found[2] for found in nodes.every(self.payload, tag)] if self.payload is not None else []


def answers(response: Node) -> list[Answer]:
    """The items of a response; its Batch Count is compared with them."""
    header = nodes.first(response, Tag.RESPONSE_HEADER)
    assert header is not None
    items = nodes.every(response, Tag.BATCH_ITEM)
    assert nodes.first(header, Tag.BATCH_COUNT) == nodes.integer(Tag.BATCH_COUNT, len(items))
    return [_answer(found) for found in items]


def spoken_version(response: Node) -> Version:
    header = nodes.first(response, Tag.RESPONSE_HEADER)
    found = nodes.first(header, Tag.PROTOCOL_VERSION) if header is not None else None
    assert found is not None
    major, minor = (number[2] for number in found[2])
    return major, minor


def _answer(found: Node) -> Answer:
    values = {child[0]: child[2] for child in found[2]}
    operation = values.get(Tag.OPERATION)
    reason = values.get(Tag.RESULT_REASON)
    status = enum_name("ResultStatus", values[Tag.RESULT_STATUS])
    assert (status in {"Success", "OperationUndone"}) is (reason is None)
    failure = status if status == "OperationUndone" else ""
    return Answer(
        "" if operation is None else enum_name("Operation", operation),
        values.get(Tag.UNIQUE_BATCH_ITEM_ID),
        failure if reason is None else enum_name("ResultReason", reason),
        values.get(Tag.RESULT_MESSAGE, ""),
        nodes.first(found, Tag.RESPONSE_PAYLOAD),
    )
