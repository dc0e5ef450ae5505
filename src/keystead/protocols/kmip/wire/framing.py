"""A stream of bytes to whole messages, however the bytes were cut on their way.

Rule 1: a length is judged before a byte of its message is kept.
Rule 2: each byte is copied a fixed number of times, also when bytes come one by one.
Rule 3: after the first wrong header nothing more is read: where the next message starts is unknown.

Source: KMIP 1.4 section 9.1.1; KMIP 2.1 section 10.1.
"""

from keystead.protocols.kmip.wire.ttlv import MESSAGE_BYTES_MAX, WRONG_LENGTH, MalformedMessage

HEADER_BYTES = 8
_ALL_BITS = 0xFFFFFFFF
REQUEST = bytes.fromhex("42007801")
RESPONSE = bytes.fromhex("42007B01")


class Framer:
    """Cuts the bytes of one connection into messages.

    Args:
        start: The first four bytes of every message: REQUEST for a server, RESPONSE for a client.
        message_bytes_max: Largest message, header included.

    Attributes:
        failure: Why the stream cannot be read on. The messages before it were delivered; answer them, then close.
    """

    __slots__ = ("_bytes_max", "_pending", "_start", "_wanted", "failure")

    def __init__(self, start: bytes, message_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._start = start
        self._bytes_max = message_bytes_max
        self._pending = bytearray()
        self._wanted = HEADER_BYTES  # bytes needed before looking again
        self.failure: MalformedMessage | None = None

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished message has come; 0 between messages."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that these bytes complete, in order; nothing once `failure` is set."""
        if self.failure is not None:
            return []
        size = len(data)
        if (  # most often it is one whole message
            size <= self._bytes_max
            and not self._pending
            and data.startswith(self._start)
            and data[4:HEADER_BYTES] == (size - HEADER_BYTES & _ALL_BITS).to_bytes(4, "big")
            and not size & 7
        ):
            return [data]
        if self._pending:
            self._pending += data
            if len(self._pending) < self._wanted:
                return []
            data = bytes(self._pending)
        messages, kept_from = self._cut(data)
        self._pending = bytearray(data[kept_from:])
        return messages

    def _cut(self, data: bytes) -> tuple[list[bytes], int]:
        """Whole messages at the start of `data`, and from where on to keep it."""
        messages: list[bytes] = []
        at, size = 0, len(data)
        self._wanted = HEADER_BYTES
        while size - at >= HEADER_BYTES:
            if data[at : at + 4] != self._start:
                self.failure = MalformedMessage(0, "no KMIP message starts here")
                return messages, size
            message_bytes = HEADER_BYTES + int.from_bytes(data[at + 4 : at + 8], "big")
            if message_bytes > self._bytes_max or message_bytes & 7:
                too_large = message_bytes > self._bytes_max
                text = "the message is larger than allowed" if too_large else WRONG_LENGTH
                self.failure = MalformedMessage(0, text)
                return messages, size
            if size - at < message_bytes:
                self._wanted = message_bytes
                break
            messages.append(data[at : at + message_bytes])
            at += message_bytes
        return messages, at
