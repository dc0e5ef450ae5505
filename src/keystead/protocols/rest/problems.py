"""Errors as problem details (RFC 9457), with one HTTP status for each cause.

422: the request is not as described. 409: it is, but a rule or the present state of things stands against it.

Source: RFC 9457; RFC 9110 section 15; design.md law 10.
"""

from typing import Any

from keystead.core import errors

STATUSES: dict[type[errors.KeysteadError], int] = {
    errors.Invalid: 409,
    errors.NotFound: 404,
    errors.Exists: 409,
    errors.Unauthenticated: 401,
    errors.Refused: 403,
    errors.Limited: 429,
    errors.Pending: 409,
    errors.WrongState: 409,
    errors.NotSupported: 409,
    errors.TooLarge: 413,
    errors.Undone: 409,
    errors.Conflict: 409,
    errors.Unavailable: 503,
    errors.Tampered: 500,
    errors.CryptographicFailure: 409,
    errors.DeviceFault: 503,
    errors.Internal: 500,
}
"""Cause -> status; every class of errors stands here (tested)."""
RETRY_AFTER_S = 1
MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "Not understood",
    401: "Not logged in",
    403: "Not permitted",
    404: "Not found",
    405: "Method not allowed",
    409: "Refused as things are",
    413: "Too large",
    415: "Not JSON",
    422: "Not as described",
    429: "Too much at once",
    500: "Mistake of the server",
    503: "Not available now",
}


def status_of(error: errors.KeysteadError) -> int:
    """Return the HTTP status of a cause."""
    if error.reason == "unavailable.locked":
        return 409  # it does not pass by itself: somebody has to log in at the module
    return STATUSES[type(error)]


def problem(status: int, detail: str, reason: str, **more: Any) -> dict[str, Any]:
    """Return the members of a problem: type, title, status, detail, and `reason`, which programs may rely on."""
    return {
        "type": "about:blank",
        "title": TITLES[status],
        "status": status,
        "detail": detail,
        "reason": reason,
        **more,
    }
