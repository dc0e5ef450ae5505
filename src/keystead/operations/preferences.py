"""What an administrator wants to see of the console; kept with the account, of no weight to anything else.

Source: requirement KS-UI-003; chapter Management console.
"""

from dataclasses import dataclass

from keystead.core.changes import Change, Put
from keystead.core.errors import NotFound, Refused
from keystead.core.permission import Access
from keystead.core.records import KIND_ADMINISTRATOR, Record
from keystead.gate.call import Call
from keystead.gate.operation import operation

PREFERENCES = "preferences"


@dataclass(frozen=True, slots=True)
class ShowPreferences:
    """Show one's own preferences."""


@dataclass(frozen=True, slots=True)
class ChangePreferences:
    """Change one's own preferences.

    Attributes:
        security_summary: Home shows the Security Summary.
    """

    security_summary: bool


@dataclass(frozen=True, slots=True)
class Preferences:
    """What an administrator wants to see.

    Attributes:
        security_summary: Home shows the Security Summary.
    """

    security_summary: bool


@operation(
    ShowPreferences, "preferences.show", "PreferencesShow", administrator=Access.OWN, route="GET /session/preferences"
)
def show_preferences(call: Call, _request: ShowPreferences) -> Preferences:
    """Return them as they are."""
    return Preferences(bool(_account(call).fields.get(PREFERENCES, {}).get("security_summary", True)))


@operation(
    ChangePreferences,
    "preferences.change",
    "PreferencesChange",
    administrator=Access.OWN,
    route="PUT /session/preferences",
    answer=Preferences,
)
def change_preferences(call: Call, request: ChangePreferences) -> Change:
    """Keep them with the account; its sessions go on."""
    record = _account(call)
    wanted = {"security_summary": request.security_summary}
    put = Put(record._replace(fields={**record.fields, PREFERENCES: wanted}))
    detail = f"administrator {record.handle}: Security Summary {'shown' if request.security_summary else 'dismissed'}"
    return Change((put,), Preferences(request.security_summary), detail=detail)


def _account(call: Call) -> Record:
    if call.principal.kind != "administrator":
        raise Refused("only administrators have preferences; log in as one", "refused.permission")
    record = call.desk.objects.record(KIND_ADMINISTRATOR, call.principal.name)
    if record is None:
        raise NotFound("this account is gone")
    return record
