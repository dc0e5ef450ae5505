"""Framing: cuts a stream of bytes into elements, each with the chunked data that follows it.

An element ends at its closing tag: there is no length before it and no mark behind it. Data is `<Data><Size>N</Size>`,
N raw bytes, further chunks, `</Data>`; only the count decides where a chunk ends, whatever is in it. How the stream is
split into reads changes nothing: every decision is made on whole tags.

Laws: what is refused is refused before it is kept; work is linear in the bytes received, however they arrive.

Source: requirements KS-NAE-001, 014; attacks.md classes 1, 2.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from keystead.core.errors import Invalid, KeysteadError, TooLarge
from keystead.protocols.xml.wire.elements import DEPTH_MAX, ELEMENTS_COUNT_MAX, SPACE, TAG, Element, parse

ELEMENT_BYTES_MAX = 262_144  # a request without its data
TAG_BYTES_MAX = 160
DECLARATION_BYTES_MAX = 128  # <?xml … ?>
DATA_BYTES_MAX = 4_194_304  # all chunks of one request
CHUNKS_COUNT_MAX = 65_536

_SIZE = re.compile(rb"<Size>([0-9]{1,10})</Size>")
_SIZE_BYTES_MAX = 23
_SPACES = re.compile(rb"[ \t\r\n]+")
_DECLARATION = re.compile(rb"<\?xml[ \t\r\n][^<>?]*\?>")
_BINARY, _BASE64 = b"<Data>", b"<Base64Data>"
_NO_HEAD = Element("")


class Message(NamedTuple):
    """A whole request or answer.

    Attributes:
        element: Its head.
        data: All chunks together; None = none follow such a head.
        chunks: How many they were.
    """

    element: Element
    data: bytes | None = None
    chunks: int = 0

    def __repr__(self) -> str:
        """Show what may be shown: not the data."""
        return f"Message({self.element!r})"


class _Place(Enum):
    """Where in the stream."""

    BETWEEN = auto()
    ELEMENT = auto()
    DATA = auto()
    CHUNKS = auto()
    RAW = auto()


class Framer:
    """One direction of one connection; sans-IO.

    Args:
        follows: Tells of an element whether data follows it.

    Attributes:
        failure: Why nothing can follow what was returned so far; None while all is well.
    """

    def __init__(self, follows: Callable[[Element], bool]) -> None:
        self._follows = follows
        self._buffer = bytearray()
        self._place = _Place.BETWEEN
        self._steps = {
            _Place.BETWEEN: self._between,
            _Place.ELEMENT: self._element,
            _Place.DATA: self._data,
            _Place.CHUNKS: self._chunks,
            _Place.RAW: self._raw,
        }
        self._scanned = 0  # of the buffer: what has been looked at of the element
        self._depth = 0
        self._elements_count = 0
        self._is_begun = False  # a declaration may stand before the first element only
        self._head = _NO_HEAD
        self._head_bytes = 0
        self._collected = bytearray()
        self._chunks_count = 0
        self._is_base64 = False
        self._missing_bytes = 0  # of a chunk
        self._messages: list[Message] = []
        self.failure: KeysteadError | None = None

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished message is held."""
        return len(self._buffer) + self._head_bytes + len(self._collected)

    def feed(self, data: bytes) -> list[Message]:
        """Take received bytes, return the messages that they complete; none once `failure` is set."""
        if self.failure is not None:
            return []
        self._buffer += data
        try:
            while self._steps[self._place]():
                pass
        except KeysteadError as error:
            self.failure = error
            self._buffer.clear()
            self._collected.clear()
            self._head_bytes = 0
        complete, self._messages = self._messages, []
        return complete

    # Each step returns True when another one may follow with what is there.

    def _skip_space(self) -> bool:
        """Drop white space; tell whether anything is left."""
        found = _SPACES.match(self._buffer)
        if found is not None:
            del self._buffer[: found.end()]
        return bool(self._buffer)

    def _between(self) -> bool:
        if not self._skip_space():
            return False
        buffer = self._buffer
        if buffer[0] != 0x3C:
            raise Invalid("a request begins with an element", "invalid.message")
        if len(buffer) < 2:
            return False
        if buffer[1] == 0x3F and not self._is_begun:
            return self._declaration()
        self._is_begun = True
        self._place, self._scanned, self._depth, self._elements_count = _Place.ELEMENT, 0, 0, 0
        return True

    def _declaration(self) -> bool:
        end = self._buffer.find(b">", 0, DECLARATION_BYTES_MAX)
        if end < 0:
            if len(self._buffer) >= DECLARATION_BYTES_MAX:
                raise Invalid("this is no XML declaration", "invalid.message")
            return False
        if _DECLARATION.fullmatch(self._buffer, 0, end + 1) is None:
            raise Invalid("this is no XML declaration", "invalid.message")
        del self._buffer[: end + 1]
        self._is_begun = True
        return True

    def _element(self) -> bool:
        """Walk from tag to tag until the element is closed."""
        buffer, at = self._buffer, self._scanned
        while True:
            begin = buffer.find(b"<", at)
            if (len(buffer) if begin < 0 else begin) > ELEMENT_BYTES_MAX:
                raise TooLarge("a request has at most 262,144 bytes beside its data", "too_large.request")
            if begin < 0:
                self._scanned = len(buffer)
                return False
            end = buffer.find(b">", begin, begin + TAG_BYTES_MAX)
            if end < 0:
                if len(buffer) - begin >= TAG_BYTES_MAX:
                    raise Invalid("a tag is too long, or not closed", "invalid.message")
                self._scanned = begin
                return False
            at = end + 1
            if self._tag(begin, at):
                self._close(at)
                return True

    def _tag(self, begin: int, end: int) -> bool:
        """Take a tag; tell whether it closes the element."""
        found = TAG.fullmatch(self._buffer, begin, end)
        if found is None or (found[1] and found[3]):
            raise Invalid("only plain elements are read: no attributes, comments or declarations", "invalid.message")
        if found[1]:
            self._depth -= 1
            if self._depth < 0:
                raise Invalid("an element is closed that is not open", "invalid.message")
        else:
            self._elements_count += 1
            if self._elements_count > ELEMENTS_COUNT_MAX or self._depth >= DEPTH_MAX:
                raise TooLarge("a request has at most 1,000 elements, 16 deep", "too_large.request")
            self._depth += not found[3]
        return self._depth == 0

    def _close(self, end: int) -> None:
        if end > ELEMENT_BYTES_MAX:
            raise TooLarge("a request has at most 262,144 bytes beside its data", "too_large.request")
        head = parse(bytes(self._buffer[:end]))
        del self._buffer[:end]
        if self._follows(head):
            self._head, self._head_bytes, self._place = head, end, _Place.DATA
            self._chunks_count = 0
            return
        self._messages.append(Message(head))
        self._place = _Place.BETWEEN

    def _data(self) -> bool:
        if not self._skip_space():
            return False
        buffer = self._buffer
        for tag in (_BINARY, _BASE64):
            if buffer.startswith(tag):
                self._is_base64 = tag == _BASE64
                del buffer[: len(tag)]
                self._place = _Place.CHUNKS
                return True
            if tag.startswith(buffer):
                return False
        raise Invalid("this request is followed by a Data element", "invalid.message")

    def _chunks(self) -> bool:
        if not self._skip_space():
            return False
        buffer = self._buffer
        end = b"</Base64Data>" if self._is_base64 else b"</Data>"
        if buffer.startswith(end):
            del buffer[: len(end)]
            self._finish()
            return True
        found = _SIZE.match(buffer)
        if found is None:
            if len(buffer) >= _SIZE_BYTES_MAX:
                raise Invalid("each chunk of data begins with its Size", "invalid.message")
            return False
        size_bytes = int(found[1])
        self._chunks_count += 1
        if len(self._collected) + size_bytes > DATA_BYTES_MAX or self._chunks_count > CHUNKS_COUNT_MAX:
            raise TooLarge("a request has at most 4,194,304 bytes of data in 65,536 chunks", "too_large.request")
        del buffer[: found.end()]
        self._missing_bytes, self._place = size_bytes, _Place.RAW
        return True

    def _raw(self) -> bool:
        taken = self._buffer[: self._missing_bytes]
        del self._buffer[: len(taken)]
        self._missing_bytes -= len(taken)
        self._collected += taken
        if self._missing_bytes:
            return False
        self._place = _Place.CHUNKS
        return True

    def _finish(self) -> None:
        data = bytes(self._collected)
        self._collected.clear()
        if self._is_base64:
            try:
                data = b64decode(bytes(data.translate(None, SPACE)), validate=True)
            except binascii.Error:
                raise Invalid("Base64Data holds no Base64", "invalid.message") from None
        self._messages.append(Message(self._head, data, self._chunks_count))
        self._head, self._head_bytes, self._place = _NO_HEAD, 0, _Place.BETWEEN


def write_data(parts: tuple[bytes, ...]) -> bytes:
    """Return a Data element with one chunk for each part."""
    chunks = [b"<Size>%d</Size>%b" % (len(part), part) for part in parts]
    return b"<Data>%b</Data>" % b"".join(chunks)
