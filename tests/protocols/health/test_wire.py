"""The little HTTP of the health check."""

import pytest

from keystead.protocols.health.wire import BODY_BYTES_MAX, Head, Page, read_head, response


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Head("GET", "/", 0, keep=True)),
        (b"HEAD /ready?x=1 HTTP/1.0\r\n\r\n", Head("HEAD", "/ready", 0, keep=False)),
        (b"POST / HTTP/1.1\r\nContent-Length: 12\r\nConnection: close\r\n\r\n", Head("POST", "/", 12, keep=False)),
        (b"PUT / HTTP/1.1\r\n\r\n", 405),
        (b"GET /\r\n\r\n", 400),
        (b"\xff\xfe / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\nContent-Length: {BODY_BYTES_MAX + 1}\r\n\r\n".encode(), 413),
    ],
)
def test_heads(text: bytes, expected: Head | int) -> None:
    assert read_head(text) == expected


def test_an_answer_to_head_has_no_body() -> None:
    assert response(Page(200, b"{}"), head_only=True).endswith(b"\r\n\r\n")
    assert response(Page(500, b"{}")).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
