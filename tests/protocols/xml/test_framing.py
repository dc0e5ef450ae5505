"""The stream of elements and chunks: how it is split changes nothing; what is hostile ends it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.protocols.xml.wire.elements import DEPTH_MAX, ELEMENTS_COUNT_MAX, Element, of, parse, write
from keystead.protocols.xml.wire.framing import (
    CHUNKS_COUNT_MAX,
    DATA_BYTES_MAX,
    ELEMENT_BYTES_MAX,
    TAG_BYTES_MAX,
    Framer,
    Message,
    write_data,
)

HOSTILE = b"</Data><Size>9</Size>\0<Data></CryptoRequest>"


def follows(element: Element) -> bool:
    return element.name == "CryptoRequest"


def fed(*parts: bytes) -> tuple[list[Message], str | None]:
    """Messages of a stream that arrives in parts, and why it ended."""
    framer = Framer(follows)
    messages = [message for part in parts for message in framer.feed(part)]
    return messages, framer.failure.reason if framer.failure is not None else None


STREAM = b"".join(
    (
        b'<?xml version="1.0"?>\n<VersionRequest><ID>1</ID><VersionList><Version>2.9</Version></VersionList>',
        b"</VersionRequest><AuthRequest><ID>2</ID><User>a&amp;b&#x20AC;</User><Passwd>x&lt;y</Passwd></AuthRequest>",
        b"<CryptoRequest><ID>3</ID></CryptoRequest>\r\n<Data>",
        b"<Size>%d</Size>%b<Size>0</Size>\n<Size>03</Size>\n\n\n</Data>" % (len(HOSTILE), HOSTILE),
        b"<CryptoRequest/><Base64Data><Size>5</Size>AAEC\n<Size>4</Size>AwQ=</Base64Data><Empty />\n",
    )
)


def test_elements_and_data_come_apart() -> None:
    messages, failure = fed(STREAM)
    assert failure is None
    names = [(message.element.name, message.data, message.chunks) for message in messages]
    assert names == [
        ("VersionRequest", None, 0),
        ("AuthRequest", None, 0),
        ("CryptoRequest", HOSTILE + b"\n\n\n", 3),
        ("CryptoRequest", bytes(range(5)), 2),
        ("Empty", None, 0),
    ]
    assert [child.text for child in messages[1].element.children] == ["2", "a&b€", "x<y"]


def test_every_two_way_split_and_byte_by_byte_is_the_same() -> None:
    whole = fed(STREAM)
    for at in range(len(STREAM)):
        assert fed(STREAM[:at], STREAM[at:]) == whole, at
    assert fed(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == whole


@given(st.lists(st.sampled_from([*b"<>/? \n&;AD19", *STREAM]), max_size=40), st.integers(0, len(STREAM)), st.data())
def test_a_damaged_stream_ends_the_same_way_however_it_is_split(junk: list[int], at: int, data: st.DataObject) -> None:
    stream = STREAM[:at] + bytes(junk) + STREAM[at:]
    whole = fed(stream)
    split = data.draw(st.integers(0, len(stream)))
    assert fed(stream[:split], stream[split:]) == whole
    assert fed(*(stream[at : at + 1] for at in range(len(stream)))) == whole


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "invalid.message"),
        (b"<a>&b;</a>", "invalid.message"),
        (b"<a><?php ?></a>", "invalid.message"),
        (b"<a/><?xml version='1.0'?><a/>", "invalid.message"),
        (b"<a><!-- b --></a>", "invalid.message"),
        (b"<a><![CDATA[b]]></a>", "invalid.message"),
        (b"<a b='c'/>", "invalid.message"),
        (b"<a></b>", "invalid.message"),
        (b"<a><b></a></b>", "invalid.message"),
        (b"</a>", "invalid.message"),
        (b"<a>\0</a>", "invalid.message"),
        (b"<a>\xff</a>", "invalid.message"),
        (b"<a>&#0;</a>", "invalid.message"),
        (b"<a>b<c/></a>", "invalid.message"),
        (b"GET / HTTP/1.1\r\n", "invalid.message"),
        (b"<" + b"a" * TAG_BYTES_MAX, "invalid.message"),
        (b"<a>" * (DEPTH_MAX + 1), "too_large.request"),
        (b"<a>" + b"<b/>" * ELEMENTS_COUNT_MAX, "too_large.request"),
        (b"<a>" + b"b" * ELEMENT_BYTES_MAX, "too_large.request"),
        (b"<CryptoRequest/><Size>1</Size>a", "invalid.message"),
        (b"<CryptoRequest/><Data><Size>-1</Size>aaaaaaaaaaaaaaaa", "invalid.message"),
        (b"<CryptoRequest/><Data><Size>99999999999</Size>", "invalid.message"),
        (b"<CryptoRequest/><Data><Size>%d</Size>" % (DATA_BYTES_MAX + 1), "too_large.request"),
        (b"<CryptoRequest/><Data>" + b"<Size>0</Size>" * (CHUNKS_COUNT_MAX + 1), "too_large.request"),
        (b"<CryptoRequest/><Base64Data><Size>3</Size>A=B</Base64Data>", "invalid.message"),
    ],
)
def test_what_is_hostile_ends_the_stream(stream: bytes, reason: str) -> None:
    framer = Framer(follows)
    framer.feed(stream)
    assert framer.failure is not None
    assert framer.failure.reason == reason
    assert framer.pending_bytes == 0
    assert framer.feed(b"<a/>") == []


def test_what_is_held_is_told() -> None:
    framer = Framer(follows)
    assert framer.feed(b"\n \n") == []
    assert framer.pending_bytes == 0
    framer.feed(b"<CryptoRequest/><Data><Size>10</Size>12345")
    assert framer.pending_bytes == len("<CryptoRequest/>") + 5


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cc", "Cs")), max_size=20)


@given(st.lists(TEXTS, max_size=5))
def test_what_is_written_is_read_again(texts: list[str]) -> None:
    texts = [text.replace("￾", "").replace("￿", "") for text in texts]
    element = of("a", [Element("b", text) for text in texts])
    assert parse(write(element)) == element
    assert b"\n" not in write(element)


def test_written_data_is_read_again() -> None:
    messages, failure = fed(b"<CryptoRequest/>" + write_data((HOSTILE, b"", b"a")))
    assert failure is None
    assert messages[0].data == HOSTILE + b"a"


def test_nothing_secret_shows() -> None:
    (message,), _ = fed(b"<AuthRequest><Passwd>canary</Passwd></AuthRequest>")
    assert "canary" not in f"{message!r} {message.element!r} {message.element.children!r}"
