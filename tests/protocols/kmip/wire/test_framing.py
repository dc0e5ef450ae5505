"""A stream is cut into the same messages however it arrives."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.protocols.kmip.wire.framing import REQUEST, RESPONSE, Framer
from keystead.protocols.kmip.wire.ttlv import MESSAGE_BYTES_MAX, encode
from tests.support import kmip_samples

GET = encode(kmip_samples.get_request())
ENCRYPT = encode(kmip_samples.encrypt_request(bytes(1000)))
EMPTY = REQUEST + bytes(4)


@given(st.lists(st.sampled_from([GET, ENCRYPT, EMPTY]), max_size=6), st.data())
def test_messages_do_not_depend_on_the_cuts(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(messages)
    framer = Framer(REQUEST)
    found = []
    at = 0
    while at < len(stream):
        size = data.draw(st.integers(1, 200))
        found += framer.feed(stream[at : at + size])
        at += size
    assert found == messages
    assert framer.pending_bytes == 0
    assert framer.failure is None


def test_one_byte_at_a_time() -> None:
    framer = Framer(REQUEST)
    found = []
    for number, byte in enumerate(GET + ENCRYPT):
        found += framer.feed(bytes([byte]))
        assert framer.pending_bytes == (number + 1 if number + 1 < len(GET) else (number + 1 - len(GET)) % len(ENCRYPT))
    assert found == [GET, ENCRYPT]


def test_each_role_takes_its_own_messages() -> None:
    reply = encode(kmip_samples.get_response())
    assert Framer(RESPONSE).feed(reply) == [reply]
    wrong = Framer(REQUEST)
    assert wrong.feed(reply) == []
    assert wrong.failure is not None


BAD = {
    "a request line": b"POST /kmip HTTP/1.1\r\n",
    "a handshake": bytes.fromhex("16030100F8010000F4"),
    "an integer": bytes.fromhex("4200780200000004"),
    "4 GiB": bytes.fromhex("42007801FFFFFFF8"),
    "eight bytes too many": REQUEST + MESSAGE_BYTES_MAX.to_bytes(4, "big"),
    "a length not of eight": REQUEST + (12).to_bytes(4, "big"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_header_ends_the_stream(name: str) -> None:
    framer = Framer(REQUEST)
    assert framer.feed(GET + BAD[name]) == [GET], "what came before it is delivered"
    assert framer.failure is not None
    failure = framer.failure
    assert framer.feed(GET) == []
    assert framer.failure is failure
    assert framer.pending_bytes == 0


def test_the_limit_is_exact() -> None:
    assert Framer(REQUEST, len(GET)).feed(GET) == [GET]
    short = Framer(REQUEST, len(GET) - 8)
    assert short.feed(GET[:8]) == []
    assert short.failure is not None


def test_a_promised_message_takes_no_room_until_it_comes() -> None:
    framer = Framer(REQUEST)
    tracemalloc.start()
    try:
        framer.feed(REQUEST + (MESSAGE_BYTES_MAX - 8).to_bytes(4, "big"))
        assert tracemalloc.get_traced_memory()[1] < 4096
    finally:
        tracemalloc.stop()
    assert framer.pending_bytes == 8
    message = framer.feed(bytes(MESSAGE_BYTES_MAX - 8))
    assert [len(found) for found in message] == [MESSAGE_BYTES_MAX]
