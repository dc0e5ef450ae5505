"""What is written down of administrators' sessions when they end.

Source: requirements KS-UI-025; chapter Administrators.
"""

from dataclasses import dataclass

from keystead.core.changes import Change
from keystead.core.permission import Access
from keystead.gate.call import Call
from keystead.gate.operation import operation


@dataclass(frozen=True, slots=True)
class LogOut:
    """End the session that asks."""


@dataclass(frozen=True, slots=True)
class SessionExpired:
    """Write down that a session has ended by itself; the clock's.

    Attributes:
        administrator: Whose it was.
        address: Where its login came from.
    """

    administrator: str
    address: str


@operation(LogOut, "session.log_out", "LogOut", administrator=Access.OWN, route=None)
def log_out(call: Call, _request: LogOut) -> Change:
    """Write it down; the door forgets the session."""
    return Change((), None, detail=f"administrator {call.principal.name} logged out")


@operation(SessionExpired, "session.expire", "SessionExpire")
def expire(_call: Call, request: SessionExpired) -> Change:
    """Write it down."""
    return Change(
        (), None, detail=f"session of administrator {request.administrator} from {request.address} has expired"
    )
