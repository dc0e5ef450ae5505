"""The little HTTP that a health check needs; pure.

Source: RFC 9112; requirements KS-HCK-001, 005.
"""

from dataclasses import dataclass

HEAD_BYTES_MAX = 8_192
BODY_BYTES_MAX = 65_536
METHODS = ("GET", "POST", "HEAD")
_PHRASES = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
}


@dataclass(frozen=True, slots=True)
class Head:
    """Request line and what matters of the header fields."""

    method: str
    path: str
    body_bytes: int
    keep: bool


def read_head(data: bytes) -> Head | int:
    """Read the head of a request (up to and with the empty line); returns a status code when it is no good."""
    try:
        lines = data.decode("ascii").split("\r\n")
        method, target, version = lines[0].split(" ")
    except (UnicodeDecodeError, ValueError):
        return 400
    if not version.startswith("HTTP/1."):
        return 400
    if method not in METHODS:
        return 405
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    length = fields.get("content-length", "0")
    if not length.isdigit() or len(length) > 9 or "transfer-encoding" in fields:
        return 400
    if int(length) > BODY_BYTES_MAX:
        return 413
    keep = version == "HTTP/1.1" and fields.get("connection", "").lower() != "close"
    return Head(method, target.partition("?")[0], int(length), keep)


@dataclass(frozen=True, slots=True)
class Page:
    """What is answered to a request."""

    status: int
    body: bytes
    content_type: str = "application/json"


def response(page: Page, *, head_only: bool = False, keep: bool = False) -> bytes:
    """Return a whole response."""
    lines = (
        f"HTTP/1.1 {page.status} {_PHRASES[page.status]}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        f"Connection: {'keep-alive' if keep else 'close'}",
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii") + (b"" if head_only else page.body)
