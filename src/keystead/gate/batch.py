"""What goes through the gate at once, and what comes back.

Source: KMIP 1.4 section 6.1 (batches); requirement KS-MC-008.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from keystead.core.errors import KeysteadError
from keystead.core.permission import Principal
from keystead.core.secret import Secret
from keystead.gate.activity import Label


class Reply(NamedTuple):
    """Answer to one request: a result, or the error that took its place."""

    result: Any
    error: KeysteadError | None = None


class Batch(NamedTuple):
    """Requests of one message, run in order.

    Attributes:
        principal: Who is asking.
        requests: Request objects; an error in place of a request that could not be read is answered as it is.
        go_on: Run the remaining requests after one has failed (KMIP Batch Error Continuation Option "Continue").
        number: Request id for the activity log.
        undo: Take all of it back when one request fails (KMIP Batch Error Continuation Option "Undo").
        label: What the activity log shall call its requests, where the door has names of its own.
        credentials: Names and passwords of further administrators who approve its request (KS-MC-008).
    """

    principal: Principal
    requests: Sequence[Any]
    go_on: bool = False
    number: int = 0
    undo: bool = False
    label: Label | None = None
    credentials: tuple[tuple[str, Secret], ...] = ()
