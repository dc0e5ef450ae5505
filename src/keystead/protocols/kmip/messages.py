"""Messages: bytes to a header and requests, replies to bytes.

Reading never fails: what cannot be read becomes an error in the place of a request, so that every message has an
answer. What concerns the whole message (version, credentials, options) takes the place of each of its requests.

Source: KMIP 1.4 sections 6, 7 and 11.1; KMIP 2.1 section 8; requirement KS-KMIP-018.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, NamedTuple

from keystead.core.errors import Invalid, KeysteadError, NotSupported, Refused, TooLarge, Undone
from keystead.core.permission import Switches
from keystead.gate.call import BATCH_COUNT_MAX, Reply
from keystead.protocols.kmip.credentials import check_credentials
from keystead.protocols.kmip.errors_table import FAILED, SUCCESS, UNDONE, result_reason
from keystead.protocols.kmip.translate.capabilities import read_version, version_node
from keystead.protocols.kmip.translate.fields import (
    Dialect,
    Field,
    Layout,
    Values,
    boolean,
    byte_string,
    enumeration,
    ignored,
    integer,
)
from keystead.protocols.kmip.translate.operations import OPERATIONS, read_request
from keystead.protocols.kmip.wire import nodes, ttlv
from keystead.protocols.kmip.wire.names import VERSIONS, enum_value
from keystead.protocols.kmip.wire.nodes import BOOLEAN, STRUCTURE, Node, every, first
from keystead.protocols.kmip.wire.tags_table import Tag, Version

RESPONSE_BYTES_MAX = 4 << 20
"""Largest answer, whatever a client can take: a batch could ask for a thousand of the largest objects."""
RESULT_MESSAGE_CHARACTERS_MAX = 512
CORRELATION_SINCE: Version = (1, 4)

CONTINUE = enum_value("BatchErrorContinuationOption", "Continue")
STOP = enum_value("BatchErrorContinuationOption", "Stop")
UNDO = enum_value("BatchErrorContinuationOption", "Undo")
ASYNCHRONOUS_MANDATORY = enum_value("AsynchronousIndicator", "Mandatory")

_header = Struct(">II").pack


class Item(NamedTuple):
    """One request of a message.

    Attributes:
        operation: KMIP's Operation; None when it could not be read.
        batch_id: Unique Batch Item ID as bytes, told back as it came; None without one, a slot in a template.
        request: For the gate; an error in place of a request that could not be read.
    """

    operation: int | None
    batch_id: Any
    request: Any


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it is to be run and answered.

    Attributes:
        dialect: In which to answer.
        go_on: Run the remaining items after one has failed.
        response_bytes_max: What the client can take.
        undo: Take the whole batch back when one item fails.
    """

    dialect: Dialect
    items: tuple[Item, ...]
    go_on: bool = False
    response_bytes_max: int = RESPONSE_BYTES_MAX
    undo: bool = False


# -- reading ---------------------------------------------------------------------------------------------------------


def _is_mandatory(node: Node) -> bool:
    """Asynchronous Indicator: the Boolean of 1.x allows, the Enumeration of 2.x may demand."""
    return node[1] != BOOLEAN and enumeration(node) == ASYNCHRONOUS_MANDATORY


_HEADER = Layout(
    Field(Tag.PROTOCOL_VERSION, "version", ignored),  # read before all others, as it decides about them
    Field(Tag.MAXIMUM_RESPONSE_SIZE, "response_bytes_max", integer),
    Field(Tag.CLIENT_CORRELATION_VALUE, "client_correlation", ignored),
    Field(Tag.SERVER_CORRELATION_VALUE, "server_correlation", ignored),
    Field(Tag.ASYNCHRONOUS_INDICATOR, "is_asynchronous", _is_mandatory),
    Field(Tag.ATTESTATION_CAPABLE_INDICATOR, "attestation", ignored),
    Field(Tag.ATTESTATION_TYPE, "attestation_types", ignored, many=True),
    Field(Tag.AUTHENTICATION, "authentication", lambda node: node),
    Field(Tag.BATCH_ERROR_CONTINUATION_OPTION, "continuation", enumeration),
    Field(Tag.BATCH_ORDER_OPTION, "order", boolean),  # items run in order in any case
    Field(Tag.TIME_STAMP, "time", ignored),
    Field(Tag.BATCH_COUNT, "count", integer, required=True),
)
_EXTENSION = Layout(
    Field(Tag.VENDOR_IDENTIFICATION, "vendor", ignored),
    Field(Tag.CRITICALITY_INDICATOR, "is_critical", boolean, required=True),
    Field(Tag.VENDOR_EXTENSION, "extension", ignored),
)
_ITEM = Layout(
    Field(Tag.OPERATION, "operation", enumeration, required=True),
    Field(Tag.EPHEMERAL, "is_ephemeral", boolean),
    Field(Tag.UNIQUE_BATCH_ITEM_ID, "batch_id", byte_string),
    Field(Tag.REQUEST_PAYLOAD, "payload", lambda node: node, required=True),
    Field(Tag.MESSAGE_EXTENSION, "extensions", lambda node: _EXTENSION.read(node, VERSIONS[0]), many=True),
)


def read_message(data: bytes, switches: Switches, username: str) -> Incoming:
    """Return what a message asks for.

    Args:
        data: One whole message, framed.
        switches: What this server has switched on.
        username: Who is asking by certificate; credentials in the header must not name another.
    """
    try:
        message = ttlv.decode(data)
    except Invalid as error:
        return refused(guess_version(data), error)
    header = first(message, Tag.REQUEST_HEADER) if message[:2] == (Tag.REQUEST_MESSAGE, STRUCTURE) else None
    asked = _asked_version(header)
    if header is None or asked is None:
        return refused(VERSIONS[0], Invalid("the message has no header with a protocol version", "invalid.message"))
    if asked not in VERSIONS:
        hint = "this version of KMIP is not spoken here; use 1.0 to 1.4, 2.0 or 2.1"
        return refused(_nearest(asked), NotSupported(hint, "not_supported.version"))
    return _read_known(message, header, Dialect(asked, switches), username)


def refused(version: Version, error: KeysteadError) -> Incoming:
    """Return a message of which nothing could be read but perhaps the version: its answer has no operation."""
    return Incoming(Dialect(version), (Item(None, None, error),))


def guess_version(data: bytes) -> Version:
    """Return the version of a message that may be broken further on; the oldest when that is broken, too."""
    if len(data) >= 64 and data[16:20] == _VERSION_HEAD:
        asked = (int.from_bytes(data[32:36], "big"), int.from_bytes(data[48:52], "big"))
        return _nearest(asked)
    return VERSIONS[0]


_VERSION_HEAD = (Tag.PROTOCOL_VERSION << 8 | STRUCTURE).to_bytes(4, "big")


def _asked_version(header: Node | None) -> Version | None:
    version = first(header, Tag.PROTOCOL_VERSION) if header is not None and header[1] == STRUCTURE else None
    try:
        return None if version is None else read_version(version)
    except Invalid:
        return None


def _nearest(asked: Version) -> Version:
    return max((version for version in VERSIONS if version <= asked), default=VERSIONS[0])


def _read_known(message: Node, header_node: Node, dialect: Dialect, username: str) -> Incoming:
    found = every(message, Tag.BATCH_ITEM)
    header: Values = {}
    error: KeysteadError | None = None
    try:
        header = _HEADER.read(header_node, dialect.version)
        _check(message, header, len(found))
        check_credentials(header.get("authentication"), username, folds=dialect.switches.directory)
    except KeysteadError as caught:
        error = caught
    limit = _limit(header)
    if not 0 < len(found) <= BATCH_COUNT_MAX:
        return refused(dialect.version, error or _wrong_count())
    items = tuple(_read_item(node, dialect) for node in found)
    error = error or _critical(items)
    if error is not None:
        items = tuple(item._replace(request=error) for item in items)
        return Incoming(dialect, items, go_on=True, response_bytes_max=limit)
    continuation = header.get("continuation")
    return Incoming(dialect, items, continuation == CONTINUE, limit, continuation == UNDO)


def _limit(header: Values) -> int:
    asked = header.get("response_bytes_max", 0)
    return min(asked, RESPONSE_BYTES_MAX) if asked > 0 else RESPONSE_BYTES_MAX


def _wrong_count() -> KeysteadError:
    return Invalid("Batch Count is not the number of batch items", "invalid.message")


def _check(message: Node, header: Values, item_count: int) -> None:
    """Check what is wrong with a message as a whole.

    Raises:
        KeysteadError: of that kind.
    """
    if len(message[2]) != 1 + item_count or message[2][0][0] != Tag.REQUEST_HEADER:
        raise Invalid("a message is one header followed by batch items", "invalid.message")
    if item_count > BATCH_COUNT_MAX:
        raise TooLarge(f"a batch has at most {BATCH_COUNT_MAX} items; send several messages", "too_large.request")
    if header["count"] != item_count:
        raise _wrong_count()
    continuation = header.get("continuation", STOP)
    if continuation not in (CONTINUE, STOP, UNDO):
        raise Invalid("Batch Error Continuation Option is Stop, Continue or Undo", "invalid.field")
    if header.get("is_asynchronous"):
        raise NotSupported("requests are answered at once; do not demand otherwise", "not_supported.asynchronous")


def _critical(items: Sequence[Item]) -> KeysteadError | None:
    """Return the error of an extension that must be understood and is not: it concerns the whole message."""
    errors = (item.request for item in items if isinstance(item.request, KeysteadError))
    return next((error for error in errors if error.reason == "not_supported.critical_extension"), None)


def _read_item(node: Node, dialect: Dialect) -> Item:
    operation = _peek(node, Tag.OPERATION, nodes.ENUMERATION)
    batch_id = _peek(node, Tag.UNIQUE_BATCH_ITEM_ID, nodes.BYTE_STRING)
    try:
        values = _ITEM.read(node, dialect.version)
        if any(extension["is_critical"] for extension in values.get("extensions", ())):
            hint = "a critical message extension is not understood here; send it as not critical"
            raise NotSupported(hint, "not_supported.critical_extension")
        if values.get("is_ephemeral"):
            raise Refused("output cannot be kept back; leave Ephemeral out", "refused.feature")
        return Item(operation, batch_id, read_request(values["operation"], values["payload"], dialect))
    except KeysteadError as error:
        return Item(operation, batch_id, error)


def _peek(node: Node, tag: int, kind: int) -> Any:
    """Return a field's value for the answer, also when the item as a whole cannot be read."""
    found = first(node, tag) if node[1] == STRUCTURE else None
    return found[2] if found is not None and found[1] == kind else None


# -- writing ---------------------------------------------------------------------------------------------------------


def write_message(incoming: Incoming, replies: Sequence[Reply], seconds: int, correlation: str) -> bytes:
    """Return the answer to a message.

    Args:
        incoming: The message as it was read.
        replies: One for each item that was run, in order.
        seconds: Time stamp, since 1970.
        correlation: Server Correlation Value, for versions that have it.
    """
    answered = list(zip(incoming.items, replies, strict=False))
    head = ttlv.encode(header_node(incoming.dialect.version, seconds, correlation, len(answered)))
    room = incoming.response_bytes_max - len(head) - 8
    encoded = _fitting(answered, incoming.dialect, room)
    return _wrapped(head, encoded)


def _fitting(answered: Sequence[tuple[Item, Reply]], dialect: Dialect, room: int) -> list[bytes]:
    """Encode items; when they do not fit, those that only read fail first: what has changed is told if possible."""
    encoded: list[bytes] = []
    for reads_stay, changes_stay in ((True, True), (False, True), (False, False)):
        encoded, size = [], 0
        for item, reply in answered:
            stays = reply.error is not None or (changes_stay if _is_change(item) else reads_stay)
            encoded.append(_encoded(item, reply if stays else _TOO_LARGE, dialect))
            size += len(encoded[-1])
            if size > room and changes_stay:
                break
        else:
            return encoded
    return encoded


def _is_change(item: Item) -> bool:
    row = OPERATIONS.get(item.operation or 0)
    return row is not None and row.changes


_TOO_LARGE = Reply(None, TooLarge("the answer is larger than asked for or allowed; ask for less", "too_large.response"))


def _encoded(item: Item, reply: Reply, dialect: Dialect) -> bytes:
    try:
        return ttlv.encode(item_node(item, reply, dialect))
    except KeysteadError as error:  # a result that the version cannot express
        return ttlv.encode(item_node(item, Reply(None, error), dialect))


def _wrapped(head: bytes, items: Sequence[bytes]) -> bytes:
    body = b"".join((head, *items))
    return _header(Tag.RESPONSE_MESSAGE << 8 | STRUCTURE, len(body)) + body


def header_node(version: Version, seconds: Any, correlation: Any, item_count: int) -> Node:
    """Return a response header; the values may be slots of a template."""
    return nodes.structure(
        Tag.RESPONSE_HEADER,
        version_node(version),
        nodes.date_time(Tag.TIME_STAMP, seconds),
        nodes.text(Tag.SERVER_CORRELATION_VALUE, correlation) if version >= CORRELATION_SINCE else None,
        nodes.integer(Tag.BATCH_COUNT, item_count),
    )


def item_node(item: Item, reply: Reply, dialect: Dialect) -> Node:
    """Return one item of a response.

    Raises:
        KeysteadError: the version cannot express the result.
    """
    operation = nodes.enumeration(Tag.OPERATION, item.operation) if item.operation is not None else None
    batch_id = nodes.byte_string(Tag.UNIQUE_BATCH_ITEM_ID, item.batch_id) if item.batch_id is not None else None
    error = reply.error
    if isinstance(error, Undone):
        return nodes.structure(
            Tag.BATCH_ITEM,
            operation,
            batch_id,
            nodes.enumeration(Tag.RESULT_STATUS, UNDONE),
            nodes.text(Tag.RESULT_MESSAGE, error.message),
        )
    if error is not None:
        return nodes.structure(
            Tag.BATCH_ITEM,
            operation,
            batch_id,
            nodes.enumeration(Tag.RESULT_STATUS, FAILED),
            nodes.enumeration(Tag.RESULT_REASON, result_reason(error.reason, item.operation, dialect.version)),
            nodes.text(Tag.RESULT_MESSAGE, error.message[:RESULT_MESSAGE_CHARACTERS_MAX]),
        )
    row = OPERATIONS[item.operation or 0]
    return nodes.structure(
        Tag.BATCH_ITEM,
        operation,
        batch_id,
        nodes.enumeration(Tag.RESULT_STATUS, SUCCESS),
        nodes.structure(Tag.RESPONSE_PAYLOAD, *row.answer(reply.result, dialect)),
    )
