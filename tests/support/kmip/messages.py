"""The KMIP 1.4 requests that rigs and benchmarks send, and replies as trees.

Written by hand from the specification and independent of the server's codec, so that a rig cannot repeat its mistakes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

STRUCTURE, INTEGER, ENUMERATION, BOOLEAN, TEXT, OCTETS = 0x01, 0x02, 0x05, 0x06, 0x07, 0x08
HEADER_BYTES = 8

REQUEST_MESSAGE, REQUEST_HEADER, REQUEST_PAYLOAD, BATCH_ITEM, BATCH_COUNT = (
    0x420078,
    0x420077,
    0x420079,
    0x42000F,
    0x42000D,
)
VERSION, VERSION_MAJOR, VERSION_MINOR, OPERATION = 0x420069, 0x42006A, 0x42006B, 0x42005C
OBJECT_TYPE, UNIQUE_IDENTIFIER, TEMPLATE_ATTRIBUTE, MAXIMUM_ITEMS = 0x420057, 0x420094, 0x420091, 0x42004F
ATTRIBUTE, ATTRIBUTE_NAME, ATTRIBUTE_VALUE = 0x420008, 0x42000A, 0x42000B
NAME_VALUE, NAME_TYPE = 0x420055, 0x420054
REVOCATION_REASON, REVOCATION_REASON_CODE = 0x420081, 0x420082
CRYPTOGRAPHIC_PARAMETERS, BLOCK_CIPHER_MODE, PADDING_METHOD = 0x42002B, 0x420011, 0x42005F
ALGORITHM, RANDOM_IV, TAG_LENGTH, DATA, KEY_MATERIAL = 0x420028, 0x4200C5, 0x4200CE, 0x4200C2, 0x420043
UNIQUE_BATCH_ITEM_ID = 0x420093
RESULT_STATUS, RESULT_REASON, RESULT_MESSAGE = 0x42007F, 0x42007E, 0x42007D

CREATE, LOCATE, GET, GET_ATTRIBUTES, ACTIVATE, REVOKE, DESTROY, ENCRYPT = 0x01, 0x08, 0x0A, 0x0B, 0x12, 0x13, 0x14, 0x1F
SYMMETRIC_KEY, AES, MODE_CBC, MODE_GCM, PADDING_PKCS5 = 0x02, 0x03, 0x01, 0x09, 0x03
MASK_ENCRYPT, MASK_DECRYPT = 0x04, 0x08
CESSATION_OF_OPERATION = 0x06
SUCCESS, ITEM_NOT_FOUND = 0x00, 0x01


def _item(tag: int, kind: int, value: bytes) -> bytes:
    return struct.pack(">II", tag << 8 | kind, len(value)) + value + bytes(-len(value) % 8)


def structure(tag: int, *children: bytes) -> bytes:
    return _item(tag, STRUCTURE, b"".join(children))


def integer(tag: int, value: int) -> bytes:
    return _item(tag, INTEGER, struct.pack(">i", value))


def enumeration(tag: int, value: int) -> bytes:
    return _item(tag, ENUMERATION, struct.pack(">I", value))


def boolean(tag: int, value: bool) -> bytes:
    return _item(tag, BOOLEAN, struct.pack(">Q", value))


def text(tag: int, value: str) -> bytes:
    return _item(tag, TEXT, value.encode())


def octets(tag: int, value: bytes) -> bytes:
    return _item(tag, OCTETS, value)


def request(operation: int, *payload: bytes) -> bytes:
    """One request of one batch item in KMIP 1.4."""
    return batch([batch_item(operation, *payload)])


def batch_item(operation: int, *payload: bytes, number: int | None = None) -> bytes:
    """`number` makes the unique batch item id that each item of a larger batch needs."""
    identifier = [octets(UNIQUE_BATCH_ITEM_ID, number.to_bytes(4, "big"))] if number is not None else []
    return structure(BATCH_ITEM, enumeration(OPERATION, operation), *identifier, structure(REQUEST_PAYLOAD, *payload))


def batch(items: Sequence[bytes]) -> bytes:
    """One request of these batch items."""
    version = structure(VERSION, integer(VERSION_MAJOR, 1), integer(VERSION_MINOR, 4))
    header = structure(REQUEST_HEADER, version, integer(BATCH_COUNT, len(items)))
    return structure(REQUEST_MESSAGE, header, *items)


def attribute(name: str, value: bytes) -> bytes:
    """`value` is an item tagged ATTRIBUTE_VALUE."""
    return structure(ATTRIBUTE, text(ATTRIBUTE_NAME, name), value)


def name_attribute(name: str) -> bytes:
    value = structure(ATTRIBUTE_VALUE, text(NAME_VALUE, name), enumeration(NAME_TYPE, 1))
    return attribute("Name", value)


def custom_attribute(name: str, value: str) -> bytes:
    """`name` starts with x-."""
    return attribute(name, text(ATTRIBUTE_VALUE, value))


def create(name: str | None = None, *further: bytes) -> bytes:
    """Create an AES-256 key for Encrypt and Decrypt, with further attributes."""
    return request(CREATE, *create_payload(name, *further))


def create_payload(name: str | None, *further: bytes) -> tuple[bytes, bytes]:
    attributes = [
        attribute("Cryptographic Algorithm", enumeration(ATTRIBUTE_VALUE, AES)),
        attribute("Cryptographic Length", integer(ATTRIBUTE_VALUE, 256)),
        attribute("Cryptographic Usage Mask", integer(ATTRIBUTE_VALUE, MASK_ENCRYPT | MASK_DECRYPT)),
        *([name_attribute(name)] if name is not None else []),
        *further,
    ]
    return enumeration(OBJECT_TYPE, SYMMETRIC_KEY), structure(TEMPLATE_ATTRIBUTE, *attributes)


def get(identifier: str) -> bytes:
    return request(GET, text(UNIQUE_IDENTIFIER, identifier))


def get_attributes(identifier: str) -> bytes:
    return request(GET_ATTRIBUTES, text(UNIQUE_IDENTIFIER, identifier))


def activate(identifier: str) -> bytes:
    return request(ACTIVATE, text(UNIQUE_IDENTIFIER, identifier))


def revoke(identifier: str) -> bytes:
    reason = structure(REVOCATION_REASON, enumeration(REVOCATION_REASON_CODE, CESSATION_OF_OPERATION))
    return request(REVOKE, text(UNIQUE_IDENTIFIER, identifier), reason)


def destroy(identifier: str) -> bytes:
    return request(DESTROY, text(UNIQUE_IDENTIFIER, identifier))


def locate(*attributes: bytes, items_max: int | None = None) -> bytes:
    limit = [integer(MAXIMUM_ITEMS, items_max)] if items_max is not None else []
    return request(LOCATE, *limit, *attributes)


def encrypt_cbc(identifier: str, data: bytes) -> bytes:
    """AES-CBC with PKCS5 padding under an IV of the server's choice."""
    mode = [enumeration(BLOCK_CIPHER_MODE, MODE_CBC), enumeration(PADDING_METHOD, PADDING_PKCS5)]
    return _encrypt(identifier, data, *mode, enumeration(ALGORITHM, AES), boolean(RANDOM_IV, True))


def encrypt_gcm(identifier: str, data: bytes) -> bytes:
    """AES-GCM with a tag of 16 bytes under an IV of the server's choice."""
    mode = [enumeration(BLOCK_CIPHER_MODE, MODE_GCM), enumeration(ALGORITHM, AES)]
    return _encrypt(identifier, data, *mode, boolean(RANDOM_IV, True), integer(TAG_LENGTH, 16))


def _encrypt(identifier: str, data: bytes, *parameters: bytes) -> bytes:
    return request(
        ENCRYPT,
        text(UNIQUE_IDENTIFIER, identifier),
        structure(CRYPTOGRAPHIC_PARAMETERS, *parameters),
        octets(DATA, data),
    )


class MalformedReply(Exception):
    """A reply that is no TTLV message."""


@dataclass(frozen=True)
class Item:
    """One element of a reply; the value of a structure is the tuple of its elements."""

    tag: int
    value: tuple[Item, ...] | int | str | bytes

    def find(self, tag: int) -> Iterator[Item]:
        """This element and those below it that have the tag, in order."""
        if self.tag == tag:
            yield self
        if isinstance(self.value, tuple):
            for child in self.value:
                yield from child.find(tag)


def parse(message: bytes) -> Item:
    """The one element that the message consists of.

    Raises:
        MalformedReply: lengths or padding do not fit.
    """
    item, end = _parse(message, 0, len(message))
    if end != len(message):
        raise MalformedReply(f"{len(message) - end} bytes after the message")
    return item


def _parse(message: bytes, at: int, limit: int) -> tuple[Item, int]:
    if at + HEADER_BYTES > limit:
        raise MalformedReply(f"header cut off at byte {at}")
    word, length = struct.unpack_from(">II", message, at)
    tag, kind, start = word >> 8, word & 0xFF, at + HEADER_BYTES
    end, padded_end = start + length, start + length + -length % 8
    if padded_end > limit or any(message[end:padded_end]):
        raise MalformedReply(f"length or padding wrong at byte {at}")
    if kind == STRUCTURE:
        children = []
        while start < end:
            child, start = _parse(message, start, end)
            children.append(child)
        return Item(tag, tuple(children)), padded_end
    raw = message[start:end]
    if kind == TEXT:
        return Item(tag, raw.decode()), padded_end
    return Item(tag, raw if kind == OCTETS else int.from_bytes(raw, "big")), padded_end
