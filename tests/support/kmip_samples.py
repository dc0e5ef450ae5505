"""Messages as trees, for the codec's tests and its benchmark, and which of their leaves differ between requests."""

from keystead.protocols.kmip.wire.names import enum_value
from keystead.protocols.kmip.wire.nodes import (
    DATE_TIME,
    Node,
    byte_string,
    date_time,
    enumeration,
    integer,
    structure,
    text,
)
from keystead.protocols.kmip.wire.shapes import Freedom, Path
from keystead.protocols.kmip.wire.tags_table import Tag, Version

UNIQUE_IDENTIFIER = "0190b6a2-5c3e-7d4f-8a1b-2c3d4e5f6071"
NONCE = bytes(range(12))
NOW = 1_700_000_000

ITEM = (Tag.REQUEST_MESSAGE, Tag.BATCH_ITEM)
PAYLOAD = (*ITEM, Tag.REQUEST_PAYLOAD)
FREE: dict[Path, Freedom] = {
    (Tag.REQUEST_MESSAGE, Tag.REQUEST_HEADER, Tag.CLIENT_CORRELATION_VALUE): Freedom.VALUE,
    (Tag.REQUEST_MESSAGE, Tag.REQUEST_HEADER, Tag.TIME_STAMP): Freedom.VALUE,
    (*ITEM, Tag.UNIQUE_BATCH_ITEM_ID): Freedom.VALUE,
    (*PAYLOAD, Tag.UNIQUE_IDENTIFIER): Freedom.VALUE,
    (*PAYLOAD, Tag.DATA): Freedom.LENGTH,
    (*PAYLOAD, Tag.IV_COUNTER_NONCE): Freedom.VALUE,
    (*PAYLOAD, Tag.AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA): Freedom.VALUE,
    (*PAYLOAD, Tag.AUTHENTICATED_ENCRYPTION_TAG): Freedom.VALUE,
}


def header(tag: int, version: Version, *items: Node) -> Node:
    numbers = structure(
        Tag.PROTOCOL_VERSION,
        integer(Tag.PROTOCOL_VERSION_MAJOR, version[0]),
        integer(Tag.PROTOCOL_VERSION_MINOR, version[1]),
    )
    return structure(tag, numbers, *items, integer(Tag.BATCH_COUNT, 1))


def request(operation: str, *payload: Node, version: Version = (1, 4), item_id: bytes | None = None) -> Node:
    item = structure(
        Tag.BATCH_ITEM,
        enumeration(Tag.OPERATION, enum_value("Operation", operation)),
        None if item_id is None else byte_string(Tag.UNIQUE_BATCH_ITEM_ID, item_id),
        structure(Tag.REQUEST_PAYLOAD, *payload),
    )
    return structure(Tag.REQUEST_MESSAGE, header(Tag.REQUEST_HEADER, version), item)


def response(operation: str, *payload: Node, version: Version = (1, 4), time_stamp: Node | None = None) -> Node:
    item = structure(
        Tag.BATCH_ITEM,
        enumeration(Tag.OPERATION, enum_value("Operation", operation)),
        enumeration(Tag.RESULT_STATUS, enum_value("ResultStatus", "Success")),
        structure(Tag.RESPONSE_PAYLOAD, *payload),
    )
    stamp = time_stamp or date_time(Tag.TIME_STAMP, NOW)
    return structure(Tag.RESPONSE_MESSAGE, header(Tag.RESPONSE_HEADER, version, stamp), item)


def unique_identifier(value: str = UNIQUE_IDENTIFIER) -> Node:
    return text(Tag.UNIQUE_IDENTIFIER, value)


def get_request(value: str = UNIQUE_IDENTIFIER) -> Node:
    return request("Get", unique_identifier(value))


def encrypt_request(data: bytes, nonce: bytes = NONCE) -> Node:
    parameters = structure(
        Tag.CRYPTOGRAPHIC_PARAMETERS, enumeration(Tag.BLOCK_CIPHER_MODE, enum_value("BlockCipherMode", "GCM"))
    )
    return request(
        "Encrypt",
        unique_identifier(),
        parameters,
        byte_string(Tag.DATA, data),
        byte_string(Tag.IV_COUNTER_NONCE, nonce),
    )


def get_response(*, now: object = NOW, identifier: object = UNIQUE_IDENTIFIER, material: object = bytes(32)) -> Node:
    """A raw AES key; the arguments may also be a template's slots."""
    block = structure(
        Tag.KEY_BLOCK,
        enumeration(Tag.KEY_FORMAT_TYPE, enum_value("KeyFormatType", "Raw")),
        structure(Tag.KEY_VALUE, (Tag.KEY_MATERIAL, 8, material)),
        enumeration(Tag.CRYPTOGRAPHIC_ALGORITHM, enum_value("CryptographicAlgorithm", "AES")),
        integer(Tag.CRYPTOGRAPHIC_LENGTH, 256),
    )
    return response(
        "Get",
        enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", "SymmetricKey")),
        (Tag.UNIQUE_IDENTIFIER, 7, identifier),
        structure(Tag.SYMMETRIC_KEY, block),
        time_stamp=(Tag.TIME_STAMP, DATE_TIME, now),
    )


def encrypt_response(*, now: object = NOW, data: object = bytes(64), nonce: object = NONCE) -> Node:
    """Ciphertext and nonce; the arguments may also be a template's slots."""
    return response(
        "Encrypt",
        unique_identifier(),
        (Tag.DATA, 8, data),
        (Tag.IV_COUNTER_NONCE, 8, nonce),
        time_stamp=(Tag.TIME_STAMP, DATE_TIME, now),
    )


def identifiers(count: int) -> list[str]:
    return [f"{UNIQUE_IDENTIFIER[:24]}{number:012d}" for number in range(count)]


def locate_response(count: int) -> Node:
    return response("Locate", *(unique_identifier(value) for value in identifiers(count)))
