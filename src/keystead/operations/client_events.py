"""Recording a client's event in the client event log.

Source: requirements KS-NAE-020, KS-LOG-014.
"""

from dataclasses import dataclass, field

from keystead.core.errors import Invalid, NotSupported
from keystead.core.permission import Right
from keystead.gate.call import Call
from keystead.gate.client_events import ClientEventLog
from keystead.gate.operation import operation

CLIENT_EVENTS = "client_events"
EVENT_BYTES_MAX = 4_096


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """Write a line of the client event log.

    Attributes:
        message: What the client says, as UTF-8; other bytes become question marks.
        number: Request id that the client gave.
    """

    message: bytes = field(repr=False)
    number: str = ""


@operation(RecordEvent, "event.record", "RecordEvent", user=Right.NONE)
def record_event(call: Call, request: RecordEvent) -> None:
    """Add the line; it is written with those of the activity log."""
    if len(request.message) > EVENT_BYTES_MAX:
        raise Invalid("an event has at most 4,096 bytes", "invalid.field")
    log: ClientEventLog | None = call.desk.services.get(CLIENT_EVENTS)
    if log is None:
        raise NotSupported("this process has no client event log", "not_supported.operation")
    log.add(call.principal, request.number, request.message.decode(errors="replace"))
